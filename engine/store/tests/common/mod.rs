//! What the store's tests share: groups of records, a model of what should be in the store, and
//! directories that are hashed and copied.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(missing_docs, reason = "test helpers")]

use std::collections::BTreeMap;
use std::path::Path;

use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, TableDef,
};
use shmirror_shm::image::Image;
use shmirror_shm::record::{FLAG_LAST, Operation, RecordHeader, RowRecord, encode_schema};
use shmirror_shm::value::{Value, ValueRef};
use shmirror_store::{Group, Recovered, Store, StoreError, StoreOptions};

/// Words that must never be found in a file.
pub const CANARY: &str = "CanaryWordQz7";

pub fn table(id: u32) -> TableDef {
    let column = |n: u32, name: &str, key| ColumnDef {
        id: n,
        name: format!("{name}{CANARY}"),
        decl_type: "TEXT".into(),
        affinity: Affinity::Text,
        not_null: false,
        default_sql: None,
        key_position: key,
        generated: Generated::No,
        hidden: false,
        collation: Collation::Binary,
    };
    TableDef {
        id,
        namespace: "main".to_owned(),
        name: format!("table{id}{CANARY}"),
        shape: 1,
        sql: format!("CREATE TABLE table{id}{CANARY}(...)"),
        key: KeyKind::Integer,
        key_columns: vec![0],
        columns: vec![column(1, "id", 1), column(2, "text", 0)],
        without_rowid: false,
        strict: false,
        past_shapes: vec![],
    }
}

pub fn catalogue(version: u64, tables: &[u32]) -> Catalogue {
    Catalogue {
        schema_version: version,
        next_table_id: 100,
        tables: tables.iter().map(|&id| table(id)).collect(),
        objects: vec![],
        ..Catalogue::default()
    }
}

/// One row's change.
#[derive(Clone, Debug)]
pub enum Change {
    Put {
        table: u32,
        birth: u64,
        key: i64,
        text: String,
    },
    Delete {
        table: u32,
        birth: u64,
        key: i64,
    },
    /// The catalogue has these tables now.
    Schema(Vec<u32>),
}

/// Builds groups for a store and keeps in step what should be in it.
#[derive(Clone, Debug)]
pub struct Model {
    pub newest: u64,
    pub next_birth: u64,
    pub catalogue: Catalogue,
    /// birth → (table, revision, values)
    pub rows: BTreeMap<u64, (u32, u64, Vec<Value>)>,
    /// Every record, by revision.
    pub log: Vec<(u64, Vec<u64>)>,
}

pub struct Built {
    pub first: u64,
    pub last: u64,
    pub records: Vec<u64>,
    pub catalogue: Option<Catalogue>,
    pub next_birth: u64,
    pub at_us: i64,
}

impl Built {
    pub fn group(&self) -> Group<'_> {
        Group {
            first_revision: self.first,
            last_revision: self.last,
            at_us: self.at_us,
            records: &self.records,
            catalogue: self.catalogue.as_ref(),
            next_birth: self.next_birth,
            sequences: None,
        }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            newest: 0,
            next_birth: 1,
            catalogue: Catalogue::default(),
            rows: BTreeMap::new(),
            log: vec![],
        }
    }
}

impl Model {
    /// A group of these transactions; the model is as after it.
    pub fn build(&mut self, lane: u64, transactions: &[Vec<Change>]) -> Built {
        let at_us = now_us();
        let first = self.newest + 1;
        let mut records = Vec::new();
        let mut changed = None;
        for changes in transactions {
            self.newest += 1;
            let revision = self.newest;
            let mut origin = RecordHeader {
                revision,
                at_us,
                uid: 1000,
                pid: 77,
                lane,
                ticket: revision,
                ..RecordHeader::default()
            };
            for (i, change) in changes.iter().enumerate() {
                origin.flags = if i + 1 == changes.len() { FLAG_LAST } else { 0 };
                let mut record = Vec::new();
                match change {
                    Change::Put { table, birth, key, text } => {
                        let values = vec![Value::Integer(*key), Value::Text(text.clone())];
                        let image = Image::encode(refs(&values).iter().copied());
                        let key = Image::encode([ValueRef::Integer(*key)].into_iter());
                        let operation = if self.rows.contains_key(birth) {
                            Operation::Update
                        } else {
                            Operation::Insert
                        };
                        self.next_birth = self.next_birth.max(birth + 1);
                        self.rows.insert(*birth, (*table, revision, values.clone()));
                        RowRecord {
                            operation,
                            table: (*table, 1),
                            birth: *birth,
                            revision,
                            origin,
                            changed: &[3],
                            key: key.as_ref(),
                            row: Some(image.as_ref()),
                            columns: 2,
                        }
                        .encode(&mut record);
                    }
                    Change::Delete { table, birth, key } => {
                        self.rows.remove(birth);
                        let key = Image::encode([ValueRef::Integer(*key)].into_iter());
                        RowRecord {
                            operation: Operation::Delete,
                            table: (*table, 1),
                            birth: *birth,
                            revision,
                            origin,
                            changed: &[0],
                            key: key.as_ref(),
                            row: None,
                            columns: 2,
                        }
                        .encode(&mut record);
                    }
                    Change::Schema(tables) => {
                        let version = self.catalogue.schema_version + 1;
                        self.catalogue = catalogue(version, tables);
                        self.rows.retain(|_, (table, ..)| tables.contains(table));
                        let archive = self.catalogue.to_bytes().unwrap();
                        encode_schema(&archive, 0, origin, &mut record);
                        // encode_schema keeps the origin's flags out
                        changed = Some(self.catalogue.clone());
                    }
                }
                self.log.push((revision, record.clone()));
                records.extend_from_slice(&record);
            }
        }
        let (last, next_birth) = (self.newest, self.next_birth);
        Built { first, last, records, catalogue: changed, next_birth, at_us }
    }

    /// Commits these transactions as one group.
    pub fn commit(&mut self, store: &mut Store, transactions: &[Vec<Change>]) {
        let built = self.build(5, transactions);
        store.commit(&built.group()).unwrap();
    }

    /// A new row in a transaction and group of its own; its birth.
    pub fn put(&mut self, store: &mut Store, table: u32, text: &str) -> u64 {
        let birth = self.next_birth;
        let change = Change::Put { table, birth, key: birth as i64, text: text.into() };
        self.commit(store, &[vec![change]]);
        birth
    }

    /// Asserts that recovery delivers exactly the model.
    pub fn assert_recovered(&self, recovered: &Recovered, rows: &Rows) {
        assert_eq!(recovered.newest_revision, self.newest);
        assert_eq!(recovered.next_birth, self.next_birth);
        assert_eq!(recovered.catalogue, self.catalogue);
        assert_eq!(*rows, self.rows);
    }
}

pub type Rows = BTreeMap<u64, (u32, u64, Vec<Value>)>;

fn refs(values: &[Value]) -> Vec<ValueRef<'_>> {
    values
        .iter()
        .map(|v| match v {
            Value::Null => ValueRef::Null,
            Value::Integer(i) => ValueRef::Integer(*i),
            Value::Real(r) => ValueRef::Real(*r),
            Value::Text(t) => ValueRef::Text(t),
            Value::Blob(b) => ValueRef::Blob(b),
        })
        .collect()
}

pub fn now_us() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_micros() as i64
}

pub fn open(dir: &Path) -> Result<(Store, Recovered, Rows), StoreError> {
    open_with(dir, StoreOptions::default())
}

/// Opens and loads; each row must come once.
pub fn open_with(
    dir: &Path,
    options: StoreOptions,
) -> Result<(Store, Recovered, Rows), StoreError> {
    let (mut store, recovered) = Store::open(dir, options)?;
    let mut rows = Rows::new();
    store.load_rows(|row| {
        let values = row.image.to_values().unwrap();
        let twice = rows.insert(row.birth, (row.table, row.revision, values));
        assert!(twice.is_none(), "row {} came twice", row.birth);
        Ok::<(), StoreError>(())
    })?;
    Ok((store, recovered, rows))
}

/// Name → contents and mode of every file.
pub fn contents(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let about = entry.metadata().unwrap();
        let bytes = if about.is_dir() { vec![] } else { std::fs::read(entry.path()).unwrap() };
        all.insert(name, (about.mode(), bytes));
    }
    all
}

/// Asserts that two states of a directory are the same, naming the file that is not.
pub fn assert_same(
    before: &BTreeMap<String, (u32, Vec<u8>)>,
    after: &BTreeMap<String, (u32, Vec<u8>)>,
) {
    let names = |m: &BTreeMap<String, (u32, Vec<u8>)>| m.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    for (name, entry) in before {
        assert!(*entry == after[name], "{name} was changed");
    }
}

/// A copy of the directory as a crash would leave it now, in a new temporary directory. The lock
/// goes along as a file, not as a lock.
pub fn crash_copy(dir: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(dir, copy.path());
    copy
}

pub fn copy_into(dir: &Path, to: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A small store with both checkpointed rows and a log tail; its model. Closed.
pub fn small_store(dir: &Path) -> Model {
    small_store_with(dir, StoreOptions::default())
}

/// The same, made with these options.
pub fn small_store_with(dir: &Path, options: StoreOptions) -> Model {
    let (mut store, ..) = open_with(dir, options).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for i in 0..4 {
        model.put(&mut store, 1 + i % 2, &format!("row {i} {CANARY}"));
    }
    while store.checkpoint_step(100).unwrap() > 0 {}
    let change = Change::Put { table: 1, birth: 1, key: 1, text: "again".into() };
    model.commit(&mut store, &[vec![change]]);
    model.put(&mut store, 2, "in the tail");
    assert!(store.figures().checkpoint < store.figures().newest);
    store.close().unwrap();
    model
}
