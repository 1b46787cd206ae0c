//! Tests of the working copy. Each request's changes are replayed into a model, which must then
//! equal every table.

mod capture;
mod changes;
mod db;
mod ddl;
mod direct;
mod functions;
mod groups;
mod property;
mod rejects;
mod rights;
mod sequences;
mod spaces;

use std::collections::{BTreeMap, HashMap};

use shmirror_shm::image::Image;
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::record::Operation;
use shmirror_shm::request::{Action, Change, OnConflict, RejectCode, SqlRequest};
use shmirror_shm::value::{Value, ValueRef};

use super::*;

/// A working copy with what a mirror of it would hold.
struct World {
    copy: WorkingCopy,
    rows: BTreeMap<u32, BTreeMap<Key, Image>>,
    revisions: HashMap<(u32, Key), u64>,
    revision: u64,
}

struct Known<'a>(&'a HashMap<(u32, Key), u64>);

impl RowRevisions for Known<'_> {
    fn revision_of(&self, table: u32, key: &Key) -> Option<u64> {
        self.0.get(&(table, key.clone())).copied()
    }
}

fn request(sql: &str) -> Request {
    Request::Sql(SqlRequest { sql: sql.to_owned(), params: vec![], want_rows: true })
}

fn asked(sql: &str) -> Asked {
    Asked::of(request(sql)).unwrap()
}

fn insert(table: &str, columns: &[&str], rows: Vec<Vec<Value>>, on: OnConflict) -> Change {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    let action = Action::Insert { columns, rows, on_conflict: on, if_revision: None };
    Change { table: table.to_owned(), action }
}

fn update(table: &str, key: Vec<Value>, columns: &[&str], values: Vec<Value>) -> Change {
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    let action = Action::Update { key, columns, values, if_revision: None };
    Change { table: table.to_owned(), action }
}

fn delete(table: &str, key: Vec<Value>) -> Change {
    Change { table: table.to_owned(), action: Action::Delete { key, if_revision: None } }
}

fn empty() -> WorkingCopy {
    let mut copy = WorkingCopy::new(&Catalogue::default()).unwrap();
    copy.finish_load().unwrap();
    copy
}

impl World {
    fn new(ddl: &str) -> Self {
        let mut world =
            Self { copy: empty(), rows: BTreeMap::new(), revisions: HashMap::new(), revision: 0 };
        if !ddl.is_empty() {
            world.sql(ddl).unwrap();
        }
        world
    }

    /// With namespaces besides main.
    fn with(namespaces: &[&str], ddl: &str) -> Self {
        let mut world = Self::new("");
        for (id, name) in (1..).zip(namespaces) {
            assert_eq!(world.copy.add_namespace(name), Ok(id));
        }
        world.sql(ddl).unwrap();
        world
    }

    /// One request in a group of its own.
    fn apply(&mut self, request: &Request) -> Result<Applied, Reject> {
        self.apply_as(&Rights::all(), request)
    }

    /// One request of who has `rights`.
    fn apply_as(&mut self, rights: &Rights, request: &Request) -> Result<Applied, Reject> {
        self.copy.begin_group().unwrap();
        let known = Known(&self.revisions);
        let asked = Asked::of(request.clone()).unwrap();
        let applied = self.copy.apply_as(rights, &asked, &known, &Budget::default());
        if let Ok(applied) = &applied {
            self.replay(applied);
        }
        self.copy.commit_group().unwrap();
        assert_eq!(self.copy.broken(), None);
        self.check();
        applied
    }

    fn sql(&mut self, sql: &str) -> Result<Applied, Reject> {
        self.apply(&request(sql))
    }

    fn change(&mut self, changes: Vec<Change>) -> Result<Applied, Reject> {
        self.apply(&Request::Transaction(changes))
    }

    /// What a mirror does with the outcome.
    fn replay(&mut self, applied: &Applied) {
        if !applied.is_change() {
            return;
        }
        self.revision += 1;
        if let Some(schema) = &applied.schema {
            for (id, _) in &schema.dropped {
                self.rows.remove(id);
                self.revisions.retain(|(table, _), _| table != id);
            }
            for id in &schema.reshaped {
                let mut rows = BTreeMap::new();
                self.copy
                    .for_each_row(*id, |key, image| {
                        assert!(rows.insert(key.clone(), image.to_image()).is_none());
                    })
                    .unwrap();
                self.rows.insert(*id, rows);
            }
        }
        for delta in applied.changes.iter() {
            self.replay_one(&delta, applied);
        }
    }

    fn replay_one(&mut self, delta: &RowDelta<'_>, applied: &Applied) {
        let catalogue = self.copy.catalogue();
        let def = catalogue.table_by_id(delta.table).unwrap();
        assert_eq!(delta.shape, def.shape);
        assert_eq!(usize::from(delta.columns), def.columns.len());
        let parts: Vec<KeyPart> = def
            .key_columns
            .iter()
            .map(|&i| KeyPart::of(i.into(), &def.columns[usize::from(i)]))
            .collect();
        let key_values = delta.key_image.to_values().unwrap();
        let key_refs: Vec<ValueRef<'_>> = key_values.iter().map(Value::as_ref).collect();
        assert_eq!(&Key::new(&parts, &key_refs).unwrap(), delta.key);
        let reshaped = applied.schema.as_ref().is_some_and(|s| s.reshaped.contains(&delta.table));
        let rows = self.rows.entry(delta.table).or_default();
        let at = (delta.table, delta.key.clone());
        if let Some(image) = &delta.image {
            assert_eq!(&Key::of_image(&parts, image).unwrap(), delta.key);
            let old = rows.insert(delta.key.clone(), image.to_image());
            if !reshaped {
                assert_eq!(old.is_some(), delta.operation == Operation::Update, "{delta:?}");
                if let Some(old) = &old {
                    assert_ne!(old.as_ref(), *image, "an update that changes nothing");
                    for i in 0..def.columns.len() {
                        let (old, new) = (old.as_ref().get(i), image.get(i));
                        // 0.0 and -0.0 are equal, and are two values.
                        let same = match (&old, &new) {
                            (Ok(ValueRef::Real(a)), Ok(ValueRef::Real(b))) => {
                                a.to_bits() == b.to_bits()
                            }
                            _ => old == new,
                        };
                        assert_eq!(delta.changed.has(i), !same, "column {i} of {delta:?}");
                    }
                }
            }
            self.revisions.insert(at, self.revision);
        } else {
            assert_eq!(delta.operation, Operation::Delete);
            assert!(rows.remove(delta.key).is_some() || reshaped, "{delta:?}");
            self.revisions.remove(&at);
        }
    }

    /// The model equals every table.
    fn check(&self) {
        for def in &self.copy.catalogue().tables {
            let mut found = BTreeMap::new();
            self.copy
                .for_each_row(def.id, |key, image| {
                    assert!(
                        found.insert(key.clone(), image.to_image()).is_none(),
                        "two rows with one key"
                    );
                })
                .unwrap();
            let expected = self.rows.get(&def.id).cloned().unwrap_or_default();
            assert_eq!(expected, found, "table {}", def.name);
        }
    }

    /// SQLite's own check of tables, indexes and constraints.
    fn check_integrity(&self) {
        for (_, namespace) in self.copy.catalogue().all_namespaces() {
            let sql = format!("PRAGMA \"{namespace}\".integrity_check");
            let mut query = self.copy.db.prepare(&sql).unwrap();
            assert!(query.step().unwrap());
            assert_eq!(query.text(0), "ok");
        }
    }

    fn query(&mut self, sql: &str) -> Vec<Vec<Value>> {
        let mut applied = self.sql(sql).unwrap();
        applied.results.pop().unwrap().rows
    }

    fn code(&mut self, sql: &str) -> (RejectCode, String) {
        let reject = self.sql(sql).unwrap_err();
        (reject.code, reject.message)
    }

    /// The same rows in a fresh working copy of the same catalogue.
    fn reload(&self) -> WorkingCopy {
        let mut copy = WorkingCopy::new(self.copy.catalogue()).unwrap();
        for (id, rows) in &self.rows {
            let shape = self.copy.catalogue().table_by_id(*id).unwrap().shape;
            for image in rows.values() {
                copy.load_row(*id, shape, &image.as_ref()).unwrap();
            }
        }
        copy.load_sequences(self.copy.sequences());
        copy.finish_load().unwrap();
        copy
    }
}

fn v(value: impl Into<Value>) -> Value {
    value.into()
}
