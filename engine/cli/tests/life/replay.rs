//! A stream of changes, replayed into tables, each event checked against what came before it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::common::Instance;

type Row = Map<String, Json>;

/// Tables as a stream told of them: name → key → row.
#[derive(Default)]
pub struct Replay {
    pub tables: BTreeMap<String, BTreeMap<String, Row>>,
    /// Revision of the last event.
    pub revision: u64,
    /// Changes replayed.
    pub changes: u64,
    seen: BTreeSet<(String, String)>,
    /// What ALTER TABLE gives to the rows that are there: (table, column, DEFAULT), by revision.
    added: Option<(String, String, Json)>,
}

impl Replay {
    /// When the table changes shape, its rows get this column.
    pub fn adding(table: &str, column: &str, default: impl Into<Json>) -> Self {
        let added = Some((table.to_owned(), column.to_owned(), default.into()));
        Self { added, ..Self::default() }
    }

    /// Takes the next event, in the form of `watch --json`.
    pub fn apply(&mut self, event: &Json) {
        let operation = event["operation"].as_str().unwrap();
        assert_ne!(operation, "lagged", "{event}");
        let revision = event["revision"].as_u64().unwrap();
        assert!(revision >= self.revision, "{event} after revision {}", self.revision);
        if revision > self.revision {
            self.revision = revision;
            self.seen.clear();
        }
        if operation == "schema" {
            return self.schema(event);
        }
        self.changes += 1;
        let table = event["table"].as_str().unwrap();
        let key = event["key"].to_string();
        let once = self.seen.insert((table.to_owned(), key.clone()));
        assert!(once, "twice in one transaction: {event}");
        let rows = self.tables.get_mut(table).expect("changes of a table come after its creation");
        let told: BTreeSet<&str> =
            event["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        let row = event["row"].as_object();
        match operation {
            "insert" => {
                let row = row.expect("an insert has a row");
                // A hidden rowid is told as the key alone.
                assert!(row.keys().all(|c| told.contains(c.as_str())), "{event}");
                assert!(rows.insert(key, row.clone()).is_none(), "it was there already: {event}");
            }
            "update" => {
                let row = row.expect("an update has a row");
                let before = rows.insert(key, row.clone());
                let before = before.unwrap_or_else(|| panic!("it was not there: {event}"));
                let names = |row: &Row| row.keys().cloned().collect::<Vec<_>>();
                assert_eq!(names(&before), names(row), "another shape: {event}");
                let changed: BTreeSet<&str> = row
                    .iter()
                    .filter(|(c, v)| before[*c] != **v)
                    .map(|(c, _)| c.as_str())
                    .collect();
                assert_eq!(told, changed, "{event} after {before:?}");
            }
            "delete" => {
                assert!(row.is_none() && told.is_empty(), "{event}");
                assert!(rows.remove(&key).is_some(), "it was not there: {event}");
            }
            other => panic!("operation {other}: {event}"),
        }
    }

    fn schema(&mut self, event: &Json) {
        let names = |of: &str| -> Vec<String> {
            event[of].as_array().unwrap().iter().map(|n| n.as_str().unwrap().to_owned()).collect()
        };
        for name in names("created") {
            let old = self.tables.insert(name, BTreeMap::new());
            assert!(old.is_none(), "it was there already: {event}");
        }
        for name in names("dropped") {
            assert!(self.tables.remove(&name).is_some(), "it was not there: {event}");
        }
        for name in names("changed") {
            let Some((table, column, default)) = self.added.take() else {
                panic!("nothing was to change: {event}")
            };
            assert_eq!(name, table, "{event}");
            for row in self.tables.get_mut(&name).unwrap().values_mut() {
                row.insert(column.clone(), default.clone());
            }
        }
    }

    /// The tables are those that `dump` shows now; `keys` names the key columns of each.
    pub fn equals_dump(&self, i: &Instance, keys: &[(&str, &[&str])]) {
        for (table, key) in keys {
            let dumped = dump(i, table, key);
            let replayed = &self.tables[*table];
            for (key, row) in &dumped {
                assert_eq!(replayed.get(key), Some(row), "table {table}, key {key}");
            }
            assert_eq!(replayed.len(), dumped.len(), "rows of {table}");
        }
    }
}

/// What `dump` shows of a table, by key. A key `rowid` is none of the row's columns.
pub fn dump(i: &Instance, table: &str, key: &[&str]) -> BTreeMap<String, Row> {
    let rowid = key == ["rowid"];
    let arguments: &[&str] = if rowid { &["dump", table, "--rowid"] } else { &["dump", table] };
    let rows: Vec<Row> = serde_json::from_str(&i.run(arguments).ok()).unwrap();
    let count = rows.len();
    let rows: BTreeMap<String, Row> = rows
        .into_iter()
        .map(|mut row| {
            let values = key.iter().map(|c| row[*c].clone()).collect();
            if rowid {
                row.remove("rowid");
            }
            (Json::Array(values).to_string(), row)
        })
        .collect();
    assert_eq!(rows.len(), count, "{table}: a key twice");
    rows
}
