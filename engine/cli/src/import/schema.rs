//! The schema of the file: tables with what is needed to carry their rows, and everything else as
//! the SQL that makes it.

use super::Source;
use crate::failure::Failure;
use crate::name::Name;
use crate::text::quoted_name;

/// One table.
pub struct Table {
    /// Its name.
    pub name: String,
    /// What requests call it once it is here.
    pub target: String,
    /// Its `CREATE TABLE`.
    sql: String,
    /// Rows in it.
    pub rows: u64,
    /// Columns that take values: not the computed ones.
    pub columns: Vec<String>,
    /// Its rows keep their rowid by this name; `None` where a key column or nothing does.
    pub rowid: Option<&'static str>,
    /// What tells one row from another: the rowid, or the primary key where there is none.
    pub identity: Vec<String>,
    /// Foreign keys.
    pub references: Vec<Reference>,
    not_null: Vec<String>,
}

/// One foreign key.
pub struct Reference {
    /// The table it refers to.
    pub parent: String,
    /// Columns here and there.
    pub pairs: Vec<(String, String)>,
}

/// One index, view or trigger.
struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
    unique: bool,
}

/// All of it.
pub struct Schema {
    /// Tables in the order of the file.
    pub tables: Vec<Table>,
    objects: Vec<Object>,
    /// The namespace that all of it is made in.
    namespace: String,
}

/// A statement of SQLite's schema, its object made in this namespace. SQLite keeps the words before the
/// name in a form of its own, whatever was written.
fn placed(source: &Source<'_>, sql: &str, namespace: &str) -> Result<String, Failure> {
    const HEADS: [&str; 5] = [
        "CREATE TABLE ",
        "CREATE INDEX ",
        "CREATE UNIQUE INDEX ",
        "CREATE VIEW ",
        "CREATE TRIGGER ",
    ];
    let mut heads = HEADS.into_iter();
    let Some((head, rest)) = heads.find_map(|head| Some((head, sql.strip_prefix(head)?))) else {
        let start: String = sql.chars().take(40).collect();
        return Err(source.refused(format!(
            "its schema has {start:?}, expected CREATE and TABLE, INDEX, VIEW or TRIGGER"
        )));
    };
    Ok(format!("{head}{}.{rest}", quoted_name(namespace)))
}

/// A list of rows of one query.
fn list<T>(
    source: &Source<'_>,
    sql: &str,
    parameters: &[&str],
    row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Failure> {
    let mut statement = source.connection.prepare(sql).map_err(|e| source.failed(e))?;
    statement
        .query_map(rusqlite::params_from_iter(parameters), row)
        .and_then(Iterator::collect)
        .map_err(|e| source.failed(e))
}

impl Schema {
    /// Reads it.
    ///
    /// # Errors
    /// A virtual table, a table to leave out that is not there, no table at all.
    pub fn read(source: &Source<'_>, except: &[String], namespace: &str) -> Result<Self, Failure> {
        let left_out = |name: &str| except.iter().any(|e| e.eq_ignore_ascii_case(name));
        let listed = list(
            source,
            "SELECT s.name, s.sql, l.type, l.wr FROM sqlite_schema AS s \
             JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = s.name \
             WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY s.rowid",
            &[],
            |row| {
                let name: String = row.get(0)?;
                let sql: Option<String> = row.get(1)?;
                Ok((
                    name,
                    sql.unwrap_or_default(),
                    row.get::<_, String>(2)?,
                    row.get::<_, bool>(3)?,
                ))
            },
        )?;
        if let Some(name) =
            except.iter().find(|e| !listed.iter().any(|l| l.0.eq_ignore_ascii_case(e)))
        {
            return Err(source.refused(format!("no table {name} to leave out")));
        }
        let mut tables = Vec::new();
        for (name, sql, kind, without_rowid) in listed {
            if left_out(&name) {
                continue;
            }
            if kind != "table" {
                return Err(Failure::Advised(
                    format!(
                        "{}: {name} is a {kind} table, expected ordinary ones",
                        source.path.display()
                    ),
                    format!("leave it out with --except {name} (and what belongs to it)"),
                ));
            }
            let sql = placed(source, &sql, namespace)?;
            let target = Name::new(namespace, &name).full();
            tables.push(Table::read(source, name, target, sql, without_rowid)?);
        }
        if tables.is_empty() {
            return Err(source.refused("no table in it"));
        }
        let mut objects = list(
            source,
            "SELECT s.type, s.name, s.tbl_name, s.sql, coalesce(i.\"unique\", 0) \
             FROM sqlite_schema AS s LEFT JOIN pragma_index_list(s.tbl_name) AS i \
             ON s.type = 'index' AND i.name = s.name \
             WHERE s.type IN ('index', 'view', 'trigger') AND s.sql IS NOT NULL ORDER BY s.rowid",
            &[],
            |row| {
                Ok(Object {
                    kind: row.get(0)?,
                    name: row.get(1)?,
                    table: row.get(2)?,
                    sql: row.get(3)?,
                    unique: row.get(4)?,
                })
            },
        )?;
        objects.retain(|o| !left_out(&o.table));
        for object in &mut objects {
            object.sql = placed(source, &object.sql, namespace)?;
        }
        Ok(Self { tables, objects, namespace: namespace.to_owned() })
    }

    /// The namespace that all of it is made in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What something of the file is called once it is here.
    pub fn target(&self, name: &str) -> Name {
        Name::new(&self.namespace, name)
    }

    /// Names of everything that will be made.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.iter().map(|t| t.name.as_str());
        tables.chain(self.objects.iter().map(|o| o.name.as_str()))
    }

    /// Whether this table is brought in.
    pub fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|t| t.name.eq_ignore_ascii_case(table))
    }

    /// Number of indexes, views and triggers.
    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// What is made before the rows: tables, and unique indexes, as a foreign key may stand on one.
    pub fn before_rows(&self) -> String {
        let tables = self.tables.iter().map(|t| t.sql.as_str());
        joined(tables.chain(self.objects.iter().filter(|o| o.unique).map(|o| o.sql.as_str())))
    }

    /// What is made after the rows: the other indexes, then views, then triggers.
    pub fn after_rows(&self) -> String {
        let of = |kind: &'static str| {
            self.objects.iter().filter(move |o| o.kind == kind && !o.unique).map(|o| o.sql.as_str())
        };
        joined(of("index").chain(of("view")).chain(of("trigger")))
    }

    /// Kinds and names of what has to be dropped beside tables (indexes and triggers go with
    /// theirs): views, and triggers first.
    pub fn droppable(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let of = |kind: &'static str, word: &'static str| {
            let objects = self.objects.iter().filter(move |o| o.kind == kind);
            objects.map(move |o| (word, o.name.as_str()))
        };
        of("trigger", "TRIGGER").chain(of("view", "VIEW"))
    }
}

fn joined<'a>(statements: impl Iterator<Item = &'a str>) -> String {
    // A statement may end in a comment, so the semicolon stands on a line of its own.
    statements.map(|sql| format!("{sql}\n;\n")).collect()
}

impl Table {
    fn read(
        source: &Source<'_>,
        name: String,
        target: String,
        sql: String,
        without_rowid: bool,
    ) -> Result<Self, Failure> {
        struct Column {
            name: String,
            not_null: bool,
            key: u32,
            hidden: u32,
        }
        let columns = list(
            source,
            "SELECT name, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid",
            &[&name],
            |row| {
                Ok(Column {
                    name: row.get(0)?,
                    not_null: row.get(1)?,
                    key: row.get(2)?,
                    hidden: row.get(3)?,
                })
            },
        )?;
        let mut key: Vec<&Column> = columns.iter().filter(|c| c.key > 0).collect();
        key.sort_by_key(|c| c.key);
        let taken = |alias: &str| columns.iter().any(|c| c.name.eq_ignore_ascii_case(alias));
        let alias = ["rowid", "_rowid_", "oid"].into_iter().find(|a| !taken(a));
        let identity = match (without_rowid, alias) {
            (false, Some(alias)) => vec![alias.to_owned()],
            _ => key.iter().map(|c| c.name.clone()).collect(),
        };
        let rows: i64 = source
            .connection
            .query_row(&format!("SELECT count(*) FROM {}", quoted_name(&name)), [], |r| r.get(0))
            .map_err(|e| source.failed(e))?;
        Ok(Self {
            references: references(source, &name)?,
            // A table without a key has its rowids as its keys; they come over too.
            rowid: (key.is_empty() && !taken("rowid")).then_some("rowid"),
            identity,
            not_null: columns.iter().filter(|c| c.not_null).map(|c| c.name.clone()).collect(),
            columns: columns.into_iter().filter(|c| c.hidden == 0).map(|c| c.name).collect(),
            name,
            target,
            sql,
            rows: rows.unsigned_abs(),
        })
    }

    /// Columns of foreign keys that may be NULL.
    pub fn nullable_references(&self) -> impl Iterator<Item = &str> {
        let columns = self.references.iter().flat_map(|r| r.pairs.iter().map(|p| p.0.as_str()));
        columns.filter(|c| !self.not_null.iter().any(|n| n.eq_ignore_ascii_case(c)))
    }
}

fn references(source: &Source<'_>, table: &str) -> Result<Vec<Reference>, Failure> {
    let rows = list(
        source,
        "SELECT f.id, f.\"table\", f.\"from\", coalesce(f.\"to\", \
             (SELECT name FROM pragma_table_info(f.\"table\") WHERE pk = f.seq + 1)) \
         FROM pragma_foreign_key_list(?1) AS f ORDER BY f.id, f.seq",
        &[table],
        |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Option<String>>(3)?,
            ))
        },
    )?;
    let mut references: Vec<(i64, Reference)> = Vec::new();
    for (id, parent, from, to) in rows {
        // A parent that is not there has no key to name; the daemon judges its rows.
        let Some(to) = to else { continue };
        match references.last_mut() {
            Some((last, reference)) if *last == id => reference.pairs.push((from, to)),
            _ => references.push((id, Reference { parent, pairs: vec![(from, to)] })),
        }
    }
    Ok(references.into_iter().map(|(_, r)| r).collect())
}
