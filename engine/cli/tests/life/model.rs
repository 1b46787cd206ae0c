//! The product against a model: a plain SQLite database in memory that is told the same things. Each
//! step must succeed or fail in both; what it changed must be visible at once, at its revision; in the
//! end, and after a restart in the middle, every table is the same.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::Value as Json;
use shmirror::{
    Action, Change, Commit, Error, Mirror, OnConflict, Options, Producer, Value, value_to_json,
};

use crate::common::{Instance, PATIENCE, until};
use crate::random::seed;
use crate::steps::{SCHEMA, Step, TABLES, step};
use crate::{calm, kill, sound, start};

const CASES: u32 = 6;
const STEPS: usize = 240;

#[test]
fn random_steps_do_what_sqlite_does() {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed("model").to_le_bytes());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        // A failure is shown in time rather than in its smallest form.
        max_shrink_iters: 40,
        max_shrink_time: 20_000,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let steps = (vec(step(), STEPS / 2..STEPS), any::<Index>(), any::<bool>());
    let (mut done, mut refused) = (0, 0);
    let counts = std::cell::RefCell::new((&mut done, &mut refused));
    let result = runner.run(&steps, |(steps, restart, by_kill)| {
        let restart = restart.index(steps.len());
        let mut world = World::new();
        for (number, step) in steps.iter().enumerate() {
            if number == restart {
                world.restart(by_kill);
            }
            let ok = world.step(step);
            let mut counts = counts.borrow_mut();
            *(if ok { &mut *counts.0 } else { &mut *counts.1 }) += 1;
        }
        world.compare();
        sound(&mut world.instance);
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!("{done} steps done, {refused} refused in {CASES} cases");
    assert!(done > 50 && refused > 20, "{done} done, {refused} refused");
}

/// The instance, the model, and who writes and reads.
struct World {
    instance: Instance,
    model: Connection,
    producer: Producer,
    mirror: Mirror,
    newest: u64,
}

/// Rows of the model's tables: table → key → row.
type State = BTreeMap<String, BTreeMap<String, (Vec<Value>, Vec<Value>)>>;

impl World {
    fn new() -> Self {
        let instance = Instance::start();
        let options = Options::new().socket(instance.socket());
        let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
        let mirror = Mirror::attach(&options).unwrap();
        let model = Connection::open_in_memory().unwrap();
        // A row that REPLACE removes is deleted, as far as triggers are concerned.
        model.execute_batch("PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON").unwrap();
        let world = Self { instance, model, producer, mirror, newest: 0 };
        world.model.execute_batch(SCHEMA).unwrap();
        world.producer.execute(SCHEMA).unwrap();
        world
    }

    fn restart(&mut self, by_kill: bool) {
        let generation = self.mirror.generation();
        if by_kill {
            kill(&mut self.instance);
        } else {
            assert_eq!(self.instance.stop(), 0);
            calm(&self.instance);
        }
        start(&mut self.instance);
        until("the mirror's moving over", || self.mirror.generation() > generation);
        self.compare();
    }

    /// Does the step on both sides; whether it succeeded.
    fn step(&mut self, step: &Step) -> bool {
        let before = self.state();
        let mut expected = Ok(());
        let outcome: Result<Commit, Error> = match step {
            Step::Sql(sql) => {
                expected = self.on_model(|model| model.execute_batch(sql));
                self.producer.execute(sql)
            }
            Step::Changes(changes) => {
                expected = self.on_model(|m| changes.iter().try_for_each(|c| apply(m, c)));
                self.producer.submit(changes.clone()).unwrap().wait()
            }
            Step::IfRevision(change, right) => {
                let found = self.revision_of(change);
                let wanted = if *right { found } else { found + 1 };
                let mut change = change.clone();
                match &mut change.action {
                    Action::Insert { if_revision, .. }
                    | Action::Update { if_revision, .. }
                    | Action::Delete { if_revision, .. } => *if_revision = Some(wanted),
                }
                if *right {
                    expected = self.on_model(|m| apply(m, &change));
                } else {
                    expected = expected.and(Err("the row is of another revision".to_owned()));
                }
                self.producer.submit(vec![change]).unwrap().wait()
            }
        };
        match (&outcome, &expected) {
            (Ok(commit), Ok(())) => self.visible(&before, commit, step),
            (Err(Error::Rejected { .. }), Err(_)) => {}
            _ => panic!("found {outcome:?}, expected {expected:?}, of {step:?}"),
        }
        outcome.is_ok()
    }

    /// What the step changed in the model is in the mirror, at its revision.
    fn visible(&mut self, before: &State, commit: &Commit, step: &Step) {
        assert!(commit.revision >= self.newest, "{commit:?} after {}", self.newest);
        self.newest = commit.revision;
        let empty = BTreeMap::new();
        for (table, rows) in &self.state() {
            let old = before.get(table).unwrap_or(&empty);
            let handle = self.mirror.table(table).unwrap();
            assert_eq!(handle.len(), rows.len(), "rows of {table} after {step:?}");
            for (key, row) in rows.values() {
                let is_new = !old.values().any(|o| o == &(key.clone(), row.clone()));
                if is_new {
                    let there = handle.get(&key[..]).unwrap();
                    let there = there.unwrap_or_else(|| panic!("{table} {key:?} after {step:?}"));
                    let values: Vec<Value> =
                        there.as_ref().values().map(|(_, v)| v.to_owned()).collect();
                    assert_eq!(&values, row, "{table} {key:?} after {step:?}");
                    // A table that changed shape is not written anew.
                    let reshaped = matches!(step, Step::Sql(sql) if sql.starts_with("ALTER"));
                    let expected = if reshaped { there.revision() } else { commit.revision };
                    assert_eq!(there.revision(), expected, "{table} {key:?}, {step:?}");
                }
            }
            for (text, (key, _)) in old {
                // In `child` another spelling of the same key may have come.
                if !rows.contains_key(text) && table != "child" {
                    assert!(handle.get(&key[..]).unwrap().is_none(), "{table} {key:?}, {step:?}");
                }
            }
        }
    }

    fn on_model(&self, f: impl Fn(&Connection) -> rusqlite::Result<()>) -> Result<(), String> {
        self.model.execute_batch("SAVEPOINT step").unwrap();
        let done = f(&self.model);
        let end = if done.is_ok() { "RELEASE step" } else { "ROLLBACK TO step; RELEASE step" };
        self.model.execute_batch(end).unwrap();
        done.map_err(|e| e.to_string())
    }

    /// Revision of the row that a change is for; 0 if there is none.
    fn revision_of(&self, change: &Change) -> u64 {
        let key = match &change.action {
            Action::Insert { rows, .. } => &rows[0][..keys(&change.table).len()],
            Action::Update { key, .. } | Action::Delete { key, .. } => key,
        };
        let row = self.mirror.table(&change.table).unwrap().get(key).unwrap();
        row.map_or(0, |r| r.revision())
    }

    fn state(&self) -> State {
        self.tables().into_iter().map(|table| (table.clone(), self.rows(&table))).collect()
    }

    fn tables(&self) -> Vec<String> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'";
        let mut statement = self.model.prepare(sql).unwrap();
        statement.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn key_of(&self, table: &str) -> Vec<String> {
        let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
        let mut statement = self.model.prepare(sql).unwrap();
        let key: Vec<String> =
            statement.query_map([table], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        if key.is_empty() { vec!["rowid".to_owned()] } else { key }
    }

    fn rows(&self, table: &str) -> BTreeMap<String, (Vec<Value>, Vec<Value>)> {
        self.in_order(table).into_iter().map(|(k, r)| (format!("{k:?}"), (k, r))).collect()
    }

    /// Keys and rows in key order.
    fn in_order(&self, table: &str) -> Vec<(Vec<Value>, Vec<Value>)> {
        let key = self.key_of(table);
        let list = key.join(",");
        let sql = format!("SELECT {list}, * FROM {table} ORDER BY {list}");
        let mut statement = self.model.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let read = |row: &rusqlite::Row<'_>| {
            let mut values: Vec<Value> =
                (0..columns).map(|c| of_sql(row.get(c).unwrap())).collect();
            let row = values.split_off(key.len());
            Ok((values, row))
        };
        statement.query_map([], read).unwrap().map(Result::unwrap).collect()
    }

    /// Every table is what `dump` shows.
    fn compare(&self) {
        let mut names = self.tables();
        names.sort();
        let mut published = self.mirror.tables().unwrap();
        published.sort();
        assert_eq!(published, names);
        for table in &names {
            let key = self.key_of(table);
            let rows: Vec<Json> = self
                .in_order(table)
                .into_iter()
                .map(|(key_values, row)| {
                    let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
                    let mut statement = self.model.prepare(sql).unwrap();
                    let names = statement.query_map([table], |r| r.get::<_, String>(0)).unwrap();
                    let mut shown: serde_json::Map<String, Json> = names
                        .map(Result::unwrap)
                        .zip(row.iter().map(|v| value_to_json(v.as_ref())))
                        .collect();
                    if key == ["rowid"] {
                        shown.insert("rowid".to_owned(), value_to_json(key_values[0].as_ref()));
                    }
                    Json::Object(shown)
                })
                .collect();
            let dumped = self.instance.run(&["dump", table, "--rowid"]).ok();
            let dumped: Json = serde_json::from_str(&dumped).unwrap();
            assert_eq!(dumped, Json::Array(rows), "table {table}");
        }
    }
}

fn keys(table: &str) -> &'static [&'static str] {
    TABLES.iter().find(|(name, ..)| *name == table).unwrap().1
}

fn of_sql(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(i) => Value::Integer(i),
        SqlValue::Real(r) => Value::Real(r),
        SqlValue::Text(t) => Value::Text(t),
        SqlValue::Blob(b) => Value::Blob(b),
    }
}

fn to_sql(value: &Value) -> SqlValue {
    match value.clone() {
        Value::Null => SqlValue::Null,
        Value::Integer(i) => SqlValue::Integer(i),
        Value::Real(r) => SqlValue::Real(r),
        Value::Text(t) => SqlValue::Text(t),
        Value::Blob(b) => SqlValue::Blob(b),
    }
}

/// What a typed change means, in SQL.
fn apply(model: &Connection, change: &Change) -> rusqlite::Result<()> {
    let table = &change.table;
    let key = keys(table);
    let run = |sql: &str, values: &[&Value]| {
        model.execute(sql, rusqlite::params_from_iter(values.iter().map(|v| to_sql(v))))
    };
    let test: Vec<String> = key.iter().map(|c| format!("{c} = ?")).collect();
    let test = test.join(" AND ");
    let there = |values: &[&Value]| {
        let sql = format!("SELECT 1 FROM {table} WHERE {test}");
        model.prepare(&sql)?.exists(rusqlite::params_from_iter(values.iter().map(|v| to_sql(v))))
    };
    match &change.action {
        Action::Insert { columns, rows, on_conflict, .. } => {
            for row in rows {
                let values: Vec<&Value> = row.iter().collect();
                let marks = vec!["?"; columns.len()].join(",");
                let insert = |how: &str| {
                    format!("{how} INTO {table}({}) VALUES ({marks})", columns.join(","))
                };
                let (of_key, others) = values.split_at(key.len());
                match on_conflict {
                    OnConflict::Fail => run(&insert("INSERT"), &values)?,
                    OnConflict::Replace => run(&insert("INSERT OR REPLACE"), &values)?,
                    OnConflict::Skip => {
                        let target = key.join(",");
                        let sql = format!("{} ON CONFLICT({target}) DO NOTHING", insert("INSERT"));
                        // A rowid is no target, but it is the only thing to collide with.
                        let sql = if key == ["rowid"] { insert("INSERT OR IGNORE") } else { sql };
                        run(&sql, &values)?
                    }
                    OnConflict::Update if !there(of_key)? => run(&insert("INSERT"), &values)?,
                    OnConflict::Update if others.is_empty() => 0,
                    OnConflict::Update => {
                        let set: Vec<String> =
                            columns[key.len()..].iter().map(|c| format!("{c} = ?")).collect();
                        let sql = format!("UPDATE {table} SET {} WHERE {test}", set.join(","));
                        run(&sql, &[others, of_key].concat())?
                    }
                };
            }
        }
        Action::Update { key: of_key, columns, values, .. } => {
            let of_key: Vec<&Value> = of_key.iter().collect();
            let set: Vec<String> = columns.iter().map(|c| format!("{c} = ?")).collect();
            let sql = format!("UPDATE {table} SET {} WHERE {test}", set.join(","));
            let values: Vec<&Value> = values.iter().chain(of_key.iter().copied()).collect();
            if !there(&of_key)? {
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
            run(&sql, &values)?;
        }
        Action::Delete { key: of_key, .. } => {
            let of_key: Vec<&Value> = of_key.iter().collect();
            if !there(&of_key)? {
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
            run(&format!("DELETE FROM {table} WHERE {test}"), &of_key)?;
        }
    }
    Ok(())
}
