//! Random publications against a model: a map from key to row for each table, and the whole model as
//! it was at each revision that a reader may still ask for.

mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::Config;
use rows::*;
use shmirror_shm::catalogue::Affinity::{Integer, Text};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{
    ReadError, RowBuf, RowChange, ScanBuf, Segment, SegmentError, SegmentWriter, TableCopy,
    TableView,
};
use shmirror_shm::value::Value;

/// Key → number, revision, values.
type Rows = BTreeMap<Key, (u64, u64, Vec<Value>)>;

#[derive(Clone, Debug)]
enum Op {
    /// One transaction: for each of these keys a row with a text of this length, or none.
    Publish(Vec<(usize, i64, Option<u16>)>),
    /// Taken and given back.
    Abandon(Vec<(usize, i64, Option<u16>)>),
    /// The table gets or loses a column.
    Reshape(usize),
    /// The table is dropped and made again, empty.
    Recreate(usize),
    Read(usize, i64),
}

fn op() -> impl Strategy<Value = Op> {
    let length = prop_oneof![
        2 => Just(None),
        4 => (0u16..60).prop_map(Some),
        1 => (0u16..40_000).prop_map(Some),
    ];
    let change = (0usize..3, 0i64..80, length);
    prop_oneof![
        12 => prop::collection::vec(change.clone(), 1..30).prop_map(Op::Publish),
        1 => prop::collection::vec(change, 1..30).prop_map(Op::Abandon),
        1 => (0usize..3).prop_map(Op::Reshape),
        1 => (0usize..3).prop_map(Op::Recreate),
        6 => (0usize..3, 0i64..90).prop_map(|(t, k)| Op::Read(t, k)),
    ]
}

struct World {
    writer: SegmentWriter,
    segment: Arc<Segment>,
    defs: Vec<TableDef>,
    views: Vec<TableView>,
    rows: Vec<Rows>,
    revision: u64,
    births: u64,
    generation: u64,
    next_id: u32,
    /// Table headers made in this generation.
    headers: u64,
}

/// Table 0 has one integer for a key, table 1 a text, table 2 a text and an integer.
fn def(which: usize, id: u32, shape: u32) -> TableDef {
    let mut columns = match which {
        0 => vec![Integer, Text],
        1 => vec![Text, Text],
        _ => vec![Text, Integer, Text],
    };
    if shape.is_multiple_of(2) {
        columns.push(Integer);
    }
    table(id, shape, &columns, if which == 2 { 2 } else { 1 })
}

fn values(def: &TableDef, which: usize, key: i64, length: u16) -> Vec<Value> {
    let mut values = match which {
        0 => vec![key.into()],
        1 => vec![format!("key {key}").into()],
        _ => vec!["common".into(), key.into()],
    };
    values.push("é".repeat(usize::from(length) / 2).into());
    if def.columns.len() > values.len() {
        values.push(i64::from(length).into());
    }
    values
}

impl World {
    fn new() -> Self {
        let defs: Vec<_> = (0..3).map(|w| def(w, w as u32 + 1, 1)).collect();
        // The least reserve, so that growth into a next generation comes up.
        let mut writer = SegmentWriter::create([1; 16], 1, 1 << 20).unwrap();
        defs.iter().for_each(|d| writer.create_table(d, 0).unwrap());
        let (segment, generation) = (open(&writer), 1);
        let mut world = Self {
            writer,
            segment,
            views: Vec::new(),
            rows: vec![Rows::new(); 3],
            revision: 1,
            births: 0,
            generation,
            next_id: 4,
            headers: 3,
            defs,
        };
        world.publish_catalogue();
        world
    }

    fn publish_catalogue(&mut self) {
        publish_catalogue(&mut self.writer, &self.defs.iter().collect::<Vec<_>>(), self.revision);
        self.views = self.defs.iter().map(|d| view(&self.segment, d.id)).collect();
    }

    /// The changes of a transaction, the last of each key, and what the model becomes.
    fn changes(&mut self, ops: &[(usize, i64, Option<u16>)]) -> (Vec<RowChange>, Vec<Rows>) {
        let (revision, mut after) = (self.revision + 1, self.rows.clone());
        let mut changes = BTreeMap::new();
        for &(which, number, length) in ops {
            let def = &self.defs[which];
            let row = values(def, which, number, length.unwrap_or(0));
            let key = key(def, &row);
            let change = match length {
                None => {
                    after[which].remove(&key);
                    delete(def, key.clone(), revision)
                }
                Some(_) => {
                    let birth = after[which].get(&key).map(|r| r.0).unwrap_or_else(|| {
                        self.births += 1;
                        self.births
                    });
                    after[which].insert(key.clone(), (birth, revision, row.clone()));
                    put(def, &row, birth, revision)
                }
            };
            changes.insert((which, key), change);
        }
        (changes.into_values().collect(), after)
    }

    /// As the daemon does: where there is no room, a next and larger generation.
    fn publish(&mut self, ops: &[(usize, i64, Option<u16>)]) {
        let (changes, after) = self.changes(ops);
        let prepared = match self.writer.prepare(changes.clone()) {
            Ok(prepared) => prepared,
            Err(SegmentError::Full { .. }) => {
                self.grow();
                self.writer.prepare(changes).unwrap()
            }
            Err(other) => panic!("{other}"),
        };
        self.revision += 1;
        self.writer.publish(prepared, self.revision);
        self.rows = after;
    }

    fn grow(&mut self) {
        self.generation += 1;
        let reserve = self.writer.reserve_bytes() * 2;
        let mut next = SegmentWriter::create([1; 16], self.generation, reserve).unwrap();
        self.writer.rebuild_into(&mut next).unwrap();
        self.segment = open(&next);
        self.writer.retire();
        let old = core::mem::replace(&mut self.writer, next);
        drop(old);
        self.headers = 3;
        let views = core::mem::take(&mut self.views);
        assert_eq!(views[0].get_int(1, &mut RowBuf::new()), Err(ReadError::Moved));
        self.publish_catalogue();
    }

    fn reshape(&mut self, which: usize) {
        let new = def(which, self.defs[which].id, self.defs[which].shape + 1);
        self.revision += 1;
        let revision = self.revision;
        let mut changes = Vec::new();
        for (birth, made, row) in self.rows[which].values_mut() {
            let keys = new.key_columns.len();
            row.truncate(keys + 1);
            if new.columns.len() > row.len() {
                row.push(revision.try_into().map(|r: i64| r.into()).unwrap());
            }
            *made = revision;
            changes.push(put(&new, row, *birth, revision));
        }
        let defs: Vec<&TableDef> =
            self.defs.iter().enumerate().map(|(i, d)| if i == which { &new } else { d }).collect();
        let make = |w: &mut SegmentWriter, changes| {
            w.create_table(&new, 0)?;
            let prepared = match w.prepare(changes) {
                Ok(prepared) => prepared,
                Err(error) => {
                    w.drop_table(new.id, new.shape);
                    return Err(error);
                }
            };
            match w.prepare_catalogue(&catalogue(&defs, revision)) {
                Ok(catalogue) => Ok((prepared, catalogue)),
                Err(error) => {
                    w.abandon(prepared);
                    w.drop_table(new.id, new.shape);
                    Err(error)
                }
            }
        };
        let made = match make(&mut self.writer, changes.clone()) {
            Err(SegmentError::Full { .. }) => {
                let mut next = SegmentWriter::create([1; 16], 99, 64 << 20).unwrap();
                self.writer.rebuild_into(&mut next).unwrap();
                self.segment = open(&next);
                self.writer.retire();
                self.writer = next;
                self.headers = 3;
                make(&mut self.writer, changes)
            }
            made => made,
        };
        let (prepared, catalogue) = made.unwrap();
        self.writer.publish_all(prepared, Some(catalogue), revision);
        self.headers += 1;
        let old = core::mem::replace(&mut self.defs[which], new);
        let _ = old;
        assert_eq!(self.views[which].get_many(&[], |_, _| ()), Err(ReadError::Moved));
        self.views = self.defs.iter().map(|d| view(&self.segment, d.id)).collect();
    }

    fn recreate(&mut self, which: usize) {
        let new = def(which, self.next_id, 1);
        if self.writer.create_table(&new, 10).is_err() {
            self.grow();
            self.writer.create_table(&new, 10).unwrap();
        }
        self.next_id += 1;
        self.headers += 1;
        self.revision += 1;
        self.defs[which] = new;
        self.rows[which].clear();
        self.publish_catalogue();
    }

    fn read(&self, which: usize, number: i64) {
        let (def, view) = (&self.defs[which], &self.views[which]);
        let key = key(def, &values(def, which, number, 0));
        let expected = self.rows[which].get(&key);
        let mut row = RowBuf::new();
        let found = if let Key::Int(i) = key {
            view.get_int(i, &mut row)
        } else {
            view.get(&key, &mut row)
        };
        assert_eq!(found, Ok(expected.is_some()));
        let located = self.writer.find(def.id, &key);
        let site = view.locate(&key).unwrap();
        assert_eq!(site.map(|s| s.birth()), expected.map(|e| e.0));
        assert_eq!(located.map(|l| (l.birth, l.revision)), expected.map(|e| (e.0, e.1)));
        let Some((birth, made, expected)) = expected else { return };
        assert_eq!((row.birth(), row.revision()), (*birth, *made));
        assert_eq!(&row.image().to_values().unwrap(), expected);
    }

    fn check(&self, scan: &mut ScanBuf) {
        for ((def, view), rows) in self.defs.iter().zip(&self.views).zip(&self.rows) {
            assert_eq!(view.scan_into(scan), Ok(self.revision));
            let mut found = Rows::new();
            for row in scan.rows() {
                let row = (row.birth, row.revision, row.image.to_values().unwrap());
                let key = key(def, &row.2);
                assert!(found.insert(key, row).is_none(), "a key comes up twice in a scan");
            }
            assert_eq!((&found, scan.len()), (rows, rows.len()));
            assert_eq!((view.rows(), self.writer.rows(def.id)), (rows.len() as u64, view.rows()));
            let keys: Vec<Key> = rows.keys().cloned().chain([Key::Int(-1)]).collect();
            let revision = view.get_many(&keys, |at, row| {
                let found = row.map(|r| r.image().to_values().unwrap());
                assert_eq!(found.as_ref(), rows.get(&keys[at]).map(|r| &r.2));
            });
            assert_eq!(revision, Ok(self.revision));
            let mut bytes = Vec::new();
            assert_eq!(self.writer.copy_table(def.id, &mut bytes).unwrap(), rows.len() as u64);
            let mut copy = TableCopy::new(&bytes, def.columns.len()).unwrap();
            let mut row = RowBuf::new();
            while copy.next_row(&mut row).unwrap() {
                let values = row.image().to_values().unwrap();
                assert_eq!(rows.get(&key(def, &values)).map(|r| &r.2), Some(&values));
            }
        }
    }
}

proptest! {
    #![proptest_config(Config { cases: 48, max_shrink_iters: 2000, ..Config::default() })]

    /// A failure prints its seed and is kept in `proptest-regressions`.
    #[test]
    fn it_is_what_was_published(ops in prop::collection::vec(op(), 1..60)) {
        let mut world = World::new();
        let mut scan = ScanBuf::new();
        for op in ops {
            match op {
                Op::Publish(ops) => world.publish(&ops),
                Op::Abandon(ops) => {
                    let changes = world.changes(&ops).0;
                    if let Ok(prepared) = world.writer.prepare(changes) {
                        world.writer.abandon(prepared);
                    }
                }
                Op::Reshape(which) => world.reshape(which),
                Op::Recreate(which) => world.recreate(which),
                Op::Read(which, number) => world.read(which, number),
            }
            world.check(&mut scan);
        }
        // Without tables nothing is left but headers, which are never used again, and catalogues.
        for _ in 0..2 {
            publish_catalogue(&mut world.writer, &[], world.revision);
        }
        prop_assert!(world.writer.used_bytes() <= 4096 + 128 * world.headers + 1024);
    }
}
