//! Names the foreign keys that a broken one can be, as SQLite does not say which it is.

use std::fmt::Write as _;

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::value::ValueRef;

use super::db::{Db, SqlError};
use super::guard::Touched;
use super::words::has_keyword;

/// One foreign key of a table: both ends are in one namespace.
struct ForeignKey {
    parent: String,
    /// Names of the columns, and of those that they refer to (empty: the parent's key).
    columns: Vec<(String, String)>,
}

/// The foreign keys that start or end in one of `tables`, as text to go behind SQLite's message.
pub(crate) fn explain(db: &Db, catalogue: &Catalogue, tables: &[Touched]) -> String {
    let among = |namespace: &str, name: &str| tables.iter().any(|t| t.is(namespace, name));
    let mut keys = Vec::new();
    for table in catalogue.tables.iter().filter(|t| has_reference(&t.sql)) {
        let Ok(found) = read(db, table) else { continue };
        let is_child = among(&table.namespace, &table.name);
        let ours = found.into_iter().filter(|k| is_child || among(&table.namespace, &k.parent));
        keys.extend(ours.map(|key| (table, key)));
    }
    let mut out = String::new();
    for (i, (table, key)) in keys.iter().enumerate() {
        let before = match (i, keys.len()) {
            (0, 1) => " ",
            (0, _) => " (one of) ",
            _ => ", ",
        };
        let names = |pick: fn(&(String, String)) -> &String| {
            key.columns.iter().map(pick).cloned().collect::<Vec<_>>().join(", ")
        };
        let (from, to) = (names(|c| &c.0), names(|c| &c.1));
        let child = table.full_name();
        let prefix = child.strip_suffix(&table.name).unwrap_or_default();
        let _ = write!(out, "{before}{child}({from}) → {prefix}{}", key.parent);
        if key.columns.iter().all(|c| !c.1.is_empty()) {
            let _ = write!(out, "({to})");
        }
    }
    out
}

/// `REFERENCES` stands before a parenthesis only behind a table's name, so it is a keyword here.
fn has_reference(sql: &str) -> bool {
    has_keyword(sql, "REFERENCES")
}

fn read(db: &Db, table: &TableDef) -> Result<Vec<ForeignKey>, SqlError> {
    let mut query = db.prepare(
        "SELECT id,\"table\",\"from\",\"to\" FROM pragma_foreign_key_list(?1,?2) ORDER BY id,seq",
    )?;
    query.bind(&[ValueRef::Text(&table.name), ValueRef::Text(&table.namespace)])?;
    let mut keys: Vec<(i64, ForeignKey)> = Vec::new();
    while query.step()? {
        let (id, column) = (query.integer(0), (query.text(2), query.text(3)));
        match keys.last_mut() {
            Some((last, key)) if *last == id => key.columns.push(column),
            _ => keys.push((id, ForeignKey { parent: query.text(1), columns: vec![column] })),
        }
    }
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}
