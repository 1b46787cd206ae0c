//! The schema as SQLite has it, and the catalogue that follows from it.
//!
//! What flows in: a connection after a DDL statement, and the catalogue before it. What flows out:
//! the next catalogue, with every id kept, and which tables are new, reshaped, or gone.

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, MAIN, ObjectKind, PastShape,
    SchemaObject, TableDef,
};
use shmirror_shm::limits;
use shmirror_shm::request::RejectCode;
use shmirror_shm::value::ValueRef;

use super::db::{Db, SqlError};
use super::guard::Touched;
use super::reject::Reject;
use super::tables::{quote, rowid_alias};

/// Name of the hidden column that a table without a declared key gets.
pub(crate) const ROWID: &str = "rowid";

/// What one DDL statement did to the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evolution {
    /// Ids of new tables.
    pub created: Vec<u32>,
    /// Ids of tables whose definition is another: renamed, reshaped, or with another text.
    pub altered: Vec<u32>,
    /// Ids of those whose columns are others.
    pub reshaped: Vec<u32>,
    /// Ids and shapes of tables that are gone.
    pub dropped: Vec<(u32, u32)>,
    /// Anything at all is different.
    pub changed: bool,
}

/// Reads the schema and derives the next catalogue from `before`. `altered` is the table that an
/// ALTER TABLE statement named.
pub(crate) fn evolve(
    db: &Db,
    before: &Catalogue,
    altered: Option<&Touched>,
) -> Result<(Catalogue, Evolution), Reject> {
    let (mut found, mut objects) = (Vec::new(), Vec::new());
    for (_, namespace) in before.all_namespaces() {
        read_objects(db, namespace, &mut found, &mut objects)
            .map_err(|e| Reject::internal("reading the schema", e))?;
    }
    // ALTER TABLE … RENAME TO: the one new name belongs to the one that is missing.
    let renamed = altered.filter(|old| !found.iter().any(|f| old.is(f.namespace, &f.name)));
    let mut evolution = Evolution::default();
    let mut next = Catalogue {
        schema_version: before.schema_version,
        next_table_id: before.next_table_id.max(1),
        next_namespace_id: before.next_namespace_id,
        namespaces: before.namespaces.clone(),
        tables: Vec::with_capacity(found.len()),
        objects,
    };
    for Found { namespace, name, sql } in found {
        let known = before.table_in(namespace, &name);
        let is_its = |old: &&Touched| {
            old.namespace.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(namespace))
        };
        let known = match (known, renamed.filter(is_its)) {
            (None, Some(old)) => before.table_in(namespace, &old.name),
            (known, _) => known,
        };
        match known {
            Some(table) if table.sql == sql && table.name == name => {
                next.tables.push(table.clone())
            }
            Some(table) => {
                let read = read_table(db, namespace, &name, sql)?;
                let (table, reshaped) = succeed(table, read)?;
                evolution.altered.push(table.id);
                if reshaped {
                    evolution.reshaped.push(table.id);
                }
                next.tables.push(table);
            }
            None => {
                let mut table = read_table(db, namespace, &name, sql)?;
                table.id = next.next_table_id;
                table.shape = 1;
                for (id, column) in (1..).zip(&mut table.columns) {
                    column.id = id;
                }
                next.next_table_id += 1;
                evolution.created.push(table.id);
                next.tables.push(table);
            }
        }
    }
    evolution.dropped = before
        .tables
        .iter()
        .filter(|t| next.table_by_id(t.id).is_none())
        .map(|t| (t.id, t.shape))
        .collect();
    evolution.changed = next.tables != before.tables || next.objects != before.objects;
    Ok((next, evolution))
}

/// A table of SQLite's schema.
struct Found<'n> {
    namespace: &'n str,
    name: String,
    sql: String,
}

/// The tables of a namespace, and all other objects of it, both in the order of their creation.
fn read_objects<'n>(
    db: &Db,
    namespace: &'n str,
    tables: &mut Vec<Found<'n>>,
    objects: &mut Vec<SchemaObject>,
) -> Result<(), SqlError> {
    let mut query = db.prepare(&format!(
        "SELECT type,name,tbl_name,sql FROM {}.sqlite_schema
         WHERE sql IS NOT NULL AND substr(name,1,7)<>'sqlite_' ORDER BY rowid",
        quote(namespace)
    ))?;
    while query.step()? {
        let (name, sql) = (query.text(1), query.text(3));
        let kind = match query.text(0).as_str() {
            "table" => {
                tables.push(Found { namespace, name, sql });
                continue;
            }
            "index" => ObjectKind::Index,
            "view" => ObjectKind::View,
            _ => ObjectKind::Trigger,
        };
        let table = query.text(2);
        objects.push(SchemaObject { kind, namespace: namespace.to_owned(), name, table, sql });
    }
    Ok(())
}

/// The table as SQLite describes it. Its own id, its columns' and its shape are still 0.
fn read_table(db: &Db, namespace: &str, name: &str, sql: String) -> Result<TableDef, Reject> {
    let failed = |e: SqlError| Reject::internal("reading the schema", e);
    check_name("table", name)?;
    let shown = full_name(namespace, name);
    let (without_rowid, strict) = read_kind(db, namespace, name).map_err(failed)?;
    let mut columns = read_columns(db, namespace, name, strict).map_err(failed)?;
    for column in &columns {
        check_name("column", &column.name)?;
    }
    if columns.len() > limits::COLUMNS {
        let what = format!("table \"{shown}\": columns");
        return Err(Reject::limit(what, columns.len(), limits::COLUMNS));
    }
    let key_index = read_key_collations(db, namespace, name, &mut columns).map_err(failed)?;
    let mut key: Vec<(u16, u16)> = (0u16..)
        .zip(&columns)
        .filter(|(_, c)| c.key_position > 0)
        .map(|(i, c)| (c.key_position, i))
        .collect();
    key.sort_unstable();
    if key.len() > limits::KEY_COLUMNS {
        let what = format!("table \"{shown}\": columns of its key");
        return Err(Reject::limit(what, key.len(), limits::KEY_COLUMNS));
    }
    let mut key_columns: Vec<u16> = key.into_iter().map(|(_, i)| i).collect();
    let kind = match (key_columns.len(), key_index || without_rowid) {
        (0, _) => KeyKind::Rowid,
        (1, false) => KeyKind::Integer,
        _ => KeyKind::Columns,
    };
    if kind == KeyKind::Rowid {
        if rowid_alias(&columns).is_none() {
            return Err(Reject::new(
                RejectCode::NotAllowed,
                format!(
                    "table \"{shown}\" declares no PRIMARY KEY, and its columns rowid, _rowid_ and oid \
                     hide its rowid, so that its rows have no key; declare a PRIMARY KEY"
                ),
            ));
        }
        key_columns = vec![columns.len() as u16]; // at most limits::COLUMNS
        columns.push(ColumnDef {
            id: 0,
            name: ROWID.to_owned(),
            decl_type: "INTEGER".to_owned(),
            affinity: Affinity::Integer,
            not_null: true,
            default_sql: None,
            key_position: 1,
            generated: Generated::No,
            hidden: true,
            collation: Collation::Binary,
        });
    }
    Ok(TableDef {
        id: 0,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        shape: 0,
        sql,
        key: kind,
        key_columns,
        columns,
        without_rowid,
        strict,
        past_shapes: Vec::new(),
    })
}

/// As [`TableDef::full_name`].
fn full_name(namespace: &str, name: &str) -> String {
    if namespace.eq_ignore_ascii_case(MAIN) {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

fn check_name(what: &str, name: &str) -> Result<(), Reject> {
    if name.len() > limits::NAME_BYTES {
        let shown: String = name.chars().take(40).collect();
        let what = format!("bytes of the {what} name \"{shown}…\"");
        return Err(Reject::limit(what, name.len(), limits::NAME_BYTES));
    }
    Ok(())
}

fn read_kind(db: &Db, namespace: &str, table: &str) -> Result<(bool, bool), SqlError> {
    let mut query = db.prepare("SELECT wr,strict FROM pragma_table_list(?1) WHERE schema=?2")?;
    query.bind(&[ValueRef::Text(table), ValueRef::Text(namespace)])?;
    Ok(if query.step()? { (query.integer(0) != 0, query.integer(1) != 0) } else { (false, false) })
}

fn read_columns(
    db: &Db,
    namespace: &str,
    table: &str,
    strict: bool,
) -> Result<Vec<ColumnDef>, SqlError> {
    let mut query = db.prepare(
        "SELECT name,type,\"notnull\",dflt_value,pk,hidden FROM pragma_table_xinfo(?1,?2) \
         ORDER BY cid",
    )?;
    query.bind(&[ValueRef::Text(table), ValueRef::Text(namespace)])?;
    let mut columns = Vec::new();
    while query.step()? {
        let (name, decl_type) = (query.text(0), query.text(1));
        // In a STRICT table ANY takes every value as it is; elsewhere it has no meaning.
        let affinity = if strict && decl_type.eq_ignore_ascii_case("ANY") {
            Affinity::Blob
        } else {
            Affinity::of_declared(&decl_type)
        };
        columns.push(ColumnDef {
            id: 0,
            affinity,
            not_null: query.integer(2) != 0,
            default_sql: match query.value(3) {
                Ok(ValueRef::Text(t)) => Some(t.to_owned()),
                _ => None,
            },
            key_position: u16::try_from(query.integer(4)).unwrap_or(0),
            generated: match query.integer(5) {
                2 => Generated::Virtual,
                3 => Generated::Stored,
                _ => Generated::No,
            },
            hidden: false,
            collation: collation(&db.collation_of(namespace, table, &name)?),
            name,
            decl_type,
        });
    }
    Ok(columns)
}

/// Gives the key columns the collation that the key's index has; whether there is such an index.
fn read_key_collations(
    db: &Db,
    namespace: &str,
    table: &str,
    columns: &mut [ColumnDef],
) -> Result<bool, SqlError> {
    let mut query = db.prepare(
        "SELECT x.name,x.coll FROM pragma_index_list(?1,?2) AS l,
         pragma_index_xinfo(l.name,?2) AS x WHERE l.origin='pk' AND x.key",
    )?;
    query.bind(&[ValueRef::Text(table), ValueRef::Text(namespace)])?;
    let mut found = false;
    while query.step()? {
        found = true;
        let (name, coll) = (query.text(0), query.text(1));
        if let Some(column) = columns.iter_mut().find(|c| c.name == name && c.key_position > 0) {
            column.collation = collation(&coll);
        }
    }
    Ok(found)
}

fn collation(name: &str) -> Collation {
    if name.eq_ignore_ascii_case("NOCASE") {
        Collation::NoCase
    } else if name.eq_ignore_ascii_case("RTRIM") {
        Collation::RTrim
    } else {
        Collation::Binary
    }
}

/// The definition that follows `before` when the table reads as `read` now, and whether its shape is
/// another. One ALTER TABLE adds a column, drops one, or renames one; or it renames the table, which
/// counts as a shape too: who reads by the old name must look it up again.
fn succeed(before: &TableDef, mut read: TableDef) -> Result<(TableDef, bool), Reject> {
    let same =
        |a: &ColumnDef, b: &ColumnDef| a.hidden == b.hidden && a.name.eq_ignore_ascii_case(&b.name);
    let mut free: Vec<&ColumnDef> =
        before.columns.iter().filter(|b| !read.columns.iter().any(|c| same(b, c))).collect();
    let mut next_id = before
        .columns
        .iter()
        .map(|c| c.id)
        .chain(before.past_shapes.iter().flat_map(|p| p.columns.iter().map(|(id, _)| *id)))
        .max()
        .unwrap_or(0)
        + 1;
    let renames = read.columns.len() == before.columns.len();
    for column in &mut read.columns {
        column.id = match before.columns.iter().find(|b| same(b, column)) {
            Some(known) => known.id,
            None if renames && free.len() == 1 => free.remove(0).id,
            None => {
                next_id += 1;
                next_id - 1
            }
        };
    }
    read.id = before.id;
    read.past_shapes.clone_from(&before.past_shapes);
    let names = |t: &TableDef| -> Vec<(u32, String)> {
        t.columns.iter().map(|c| (c.id, c.name.clone())).collect()
    };
    let reshaped = before.name != read.name || names(before) != names(&read);
    read.shape = before.shape;
    if reshaped {
        if read.past_shapes.len() >= limits::PAST_SHAPES {
            let what = format!("table \"{}\": changes of its columns", read.full_name());
            return Err(Reject::limit(what, limits::PAST_SHAPES + 1, limits::PAST_SHAPES));
        }
        read.past_shapes.push(PastShape { shape: before.shape, columns: names(before) });
        read.shape = before
            .shape
            .checked_add(1)
            .ok_or_else(|| Reject::internal("numbering a table's shape", "no number is left"))?;
    }
    Ok((read, reshaped))
}
