//! One writer flat out, readers beside it: nothing torn, and every scan of exactly one revision.
//!
//! The accounts: each transaction moves money between rows, opens some with nothing in them, and
//! closes some whose money it moves on first. So the sum over all rows is the same at every revision,
//! and at no mixture of two. Each row says its amount several times, in numbers and in a text of
//! varying length, so a torn copy contradicts itself.

mod rows;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rows::*;
use shmirror_shm::catalogue::Affinity::{Integer, Text};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::image::ImageRef;
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{
    CellError, ReadError, RowBuf, RowChange, ScanBuf, SegmentWriter, TableView,
};
use shmirror_shm::value::{Value, ValueRef};

const MONEY: i64 = 1_200_000;

/// A small generator, so that a failure can be run again from its seed.
struct Random(u64);

impl Random {
    fn new(name: &str) -> Self {
        let given = std::env::var("SHMIRROR_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            now.unwrap().as_nanos() as u64
        });
        println!("{name}: SHMIRROR_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn def() -> TableDef {
    table(1, 1, &[Integer, Integer, Integer, Text, Integer], 1)
}

fn text(amount: i64) -> String {
    format!("{amount} {}{amount}", "·".repeat((amount % 40) as usize))
}

fn account(id: i64, amount: i64) -> Vec<Value> {
    vec![id.into(), amount.into(), (-amount).into(), text(amount).into(), amount.into()]
}

/// The amount that a row says, if it says the same everywhere.
fn amount(image: ImageRef<'_>) -> i64 {
    let int = |i| match image.get(i) {
        Ok(ValueRef::Integer(v)) => v,
        other => panic!("column {i}: {other:?}"),
    };
    let amount = int(1);
    assert_eq!((int(2), int(4)), (-amount, amount), "torn numbers");
    assert_eq!(image.get(3), Ok(ValueRef::Text(&text(amount))), "torn text");
    amount
}

struct Bank {
    accounts: i64,
    writer: SegmentWriter,
    amounts: BTreeMap<i64, (u64, i64)>,
    births: u64,
    revision: u64,
}

impl Bank {
    fn open(accounts: i64) -> Self {
        let mut writer = SegmentWriter::create([1; 16], 1, 64 << 20).unwrap();
        writer.create_table(&def(), 0).unwrap();
        let mut bank = Self { accounts, writer, amounts: BTreeMap::new(), births: 0, revision: 1 };
        let changes = (0..accounts).map(|id| bank.set(id, MONEY / accounts)).collect();
        publish(&mut bank.writer, changes, 1);
        publish_catalogue(&mut bank.writer, &[&def()], 1);
        bank
    }

    fn view(&self) -> TableView {
        view(&open(&self.writer), 1)
    }

    fn set(&mut self, id: i64, amount: i64) -> RowChange {
        let births = &mut self.births;
        let entry = self.amounts.entry(id).or_insert_with(|| {
            *births += 1;
            (*births, 0)
        });
        entry.1 = amount;
        put(&def(), &account(id, amount), entry.0, self.revision)
    }

    /// One transaction over a few accounts, or a group of several, some of which may be open or not.
    fn transact(&mut self, random: &mut Random) {
        let before = self.revision;
        self.revision += 1 + random.below(3);
        let mut changes = BTreeMap::new();
        for _ in 0..1 + random.below(8) {
            let from = random.below(self.accounts as u64 * 2) as i64;
            let to = random.below(self.accounts as u64 * 2) as i64;
            let Some(&(_, has)) = self.amounts.get(&from) else { continue };
            if from == to {
                continue;
            }
            let close = random.below(3) == 0;
            let moved = if close { has } else { random.below(has as u64 + 1) as i64 };
            let there = self.amounts.get(&to).map_or(0, |a| a.1);
            changes.insert(to, self.set(to, there + moved));
            let change = self.set(from, has - moved);
            changes.insert(from, change);
            if close {
                self.amounts.remove(&from);
                changes.insert(from, delete(&def(), Key::Int(from), self.revision));
            }
        }
        let mut changes: Vec<RowChange> = changes.into_values().collect();
        for change in &mut changes {
            // The rows of a group have the revisions of its transactions.
            change.revision = before + 1 + random.below(self.revision - before);
        }
        let prepared = self.writer.prepare(changes).unwrap();
        self.writer.publish(prepared, self.revision);
    }
}

/// A scan of one revision, whatever the writer does: its sum.
fn scanned(view: &TableView, scan: &mut ScanBuf) -> Result<u64, ReadError> {
    let revision = view.scan_into(scan)?;
    let sum: i64 = scan.rows().map(|r| amount(r.image)).sum();
    assert_eq!(sum, MONEY, "a scan of revision {revision} is of two");
    assert!(scan.rows().all(|r| r.revision <= revision));
    Ok(revision)
}

fn asked(view: &TableView, keys: &[Key]) -> Result<u64, ReadError> {
    let mut sum = 0;
    let revision = view.get_many(keys, |at, row| {
        if let Some(row) = row {
            assert_eq!(row.image().get(0), Ok(ValueRef::Integer(at as i64)));
            sum += amount(row.image());
        }
    })?;
    assert_eq!(sum, MONEY, "a list of revision {revision} is of two");
    Ok(revision)
}

fn keys(accounts: i64) -> Vec<Key> {
    (0..accounts * 2).map(Key::Int).collect()
}

#[test]
fn readers_see_whole_rows_and_one_revision() {
    read_beside_a_writer(200, 15_000, "many accounts");
}

/// Nearly every row is written by every transaction, so that readers meet rows that move on twice,
/// versions that are being written, and slots that go from row to row.
#[test]
fn readers_see_whole_rows_and_one_revision_of_a_few_hot_rows() {
    read_beside_a_writer(5, 60_000, "few accounts");
}

fn read_beside_a_writer(accounts: i64, publications: u64, name: &str) {
    let mut random = Random::new(name);
    let mut bank = Bank::open(accounts);
    let views: [TableView; 4] = core::array::from_fn(|_| bank.view());
    let stop = AtomicBool::new(false);
    let done = [const { AtomicU64::new(0) }; 4];
    let count = |which: usize, result: Result<u64, ReadError>, newest: &mut u64| match result {
        Ok(revision) => {
            assert!(revision >= *newest, "revisions go back");
            *newest = revision;
            done[which].fetch_add(1, Ordering::Relaxed);
        }
        Err(ReadError::Contended { .. }) => {}
        Err(other) => panic!("{other}"),
    };
    thread::scope(|scope| {
        let [gets, scans, lists, cells] = &views;
        let (stop, done, count) = (&stop, &done, &count);
        scope.spawn(move || {
            let (mut row, mut id) = (RowBuf::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                id = (id + 7) % (accounts * 2);
                if gets.get_int(id, &mut row).unwrap() {
                    assert_eq!(row.image().get(0), Ok(ValueRef::Integer(id)));
                    amount(row.image());
                    done[0].fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        scope.spawn(move || {
            let (mut scan, mut newest) = (ScanBuf::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                count(1, scanned(scans, &mut scan), &mut newest);
            }
        });
        scope.spawn(move || {
            let (keys, mut newest) = (keys(accounts), 0);
            while !stop.load(Ordering::Relaxed) {
                count(2, asked(lists, &keys), &mut newest);
            }
        });
        scope.spawn(move || {
            let (mut bytes, mut id) = (Vec::new(), 0);
            while !stop.load(Ordering::Relaxed) {
                id = (id + 1) % (accounts * 2);
                let Some(site) = cells.locate(&Key::Int(id)).unwrap() else { continue };
                loop {
                    match site.load_bytes(cells, 3, &mut bytes) {
                        Ok(_) => {}
                        Err(CellError::Deleted) => break,
                        Err(other) => panic!("{other}"),
                    }
                    let found = str::from_utf8(&bytes).unwrap();
                    let amount = found.split(' ').next().unwrap().parse().unwrap();
                    assert_eq!(found, text(amount), "a torn cell");
                    done[3].fetch_add(1, Ordering::Relaxed);
                    match site.load(cells, 0) {
                        Ok(value) => assert_eq!(value.bits, id as u64, "a cell of another row"),
                        Err(CellError::Deleted) => break,
                        Err(other) => panic!("{other}"),
                    }
                    if stop.load(Ordering::Relaxed) || done[3].load(Ordering::Relaxed) % 16 == 0 {
                        break;
                    }
                }
            }
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut published = 0;
        while published < publications
            || done.iter().any(|d| d.load(Ordering::Relaxed) == 0) && Instant::now() < deadline
        {
            bank.transact(&mut random);
            published += 1;
        }
        stop.store(true, Ordering::Relaxed);
        println!("{name}: {published} publications, reads {done:?}");
    });
    assert!(done.iter().all(|d| d.load(Ordering::Relaxed) > 0), "some reader never got through");
    assert_eq!(scanned(&views[1], &mut ScanBuf::new()), Ok(bank.revision));
    assert_eq!(asked(&views[2], &keys(accounts)), Ok(bank.revision));
}

/// Tables are dropped and made again where others were: whoever still reads the old one finds its
/// rows or is told that it has moved, never a row of another table.
#[test]
fn memory_that_is_used_again_is_never_taken_for_the_old_table() {
    let def = |id: u32| table(id, 1, &[Integer, Text, Integer], 1);
    let row = |id: u32, key: i64| -> Vec<Value> {
        let text = format!("{id}").repeat(1 + key as usize % 9);
        vec![key.into(), text.into(), i64::from(id).into()]
    };
    let make = |w: &mut SegmentWriter, id: u32| {
        let def = def(id);
        w.create_table(&def, 0).unwrap();
        for start in (0..300).step_by(100) {
            let rows = (start..start + 100).map(|k| put(&def, &row(id, k), 1, id.into()));
            publish(w, rows.collect(), id.into());
        }
        publish_catalogue(w, &[&def], id.into());
    };
    let mut w = SegmentWriter::create([1; 16], 1, 16 << 20).unwrap();
    make(&mut w, 1);
    let segment = open(&w);
    let (stop, reads, moves) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut buffer, mut scan) = (RowBuf::new(), ScanBuf::new());
                while !stop.load(Ordering::Relaxed) {
                    let found = match segment.catalogue() {
                        Ok(found) => found,
                        Err(ReadError::Contended { .. }) => continue,
                        Err(other) => panic!("{other}"),
                    };
                    let def = &found.catalogue.tables[0];
                    let (id, place) = found.places[0];
                    let Ok(view) = TableView::new(segment.clone(), def, place) else { continue };
                    let mut key = 0;
                    let error = loop {
                        key = (key + 1) % 400;
                        match view.get_int(key, &mut buffer) {
                            Ok(found) => assert_eq!(found, key < 300, "key {key} of table {id}"),
                            Err(error) => break error,
                        }
                        if key < 300 {
                            let values = buffer.image().to_values().unwrap();
                            assert_eq!(values, row(id, key));
                        }
                        if key % 50 == 0 {
                            match view.scan_into(&mut scan) {
                                Ok(_) => assert_eq!(scan.len(), 300),
                                Err(error) => break error,
                            }
                            for found in scan.rows() {
                                let values = found.image.to_values().unwrap();
                                let Value::Integer(key) = values[0] else { panic!("no key") };
                                assert_eq!(values, row(id, key));
                            }
                        }
                        reads.fetch_add(1, Ordering::Relaxed);
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                    };
                    assert_eq!(error, ReadError::Moved);
                    moves.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut id = 1;
        while id < 2000 || moves.load(Ordering::Relaxed) < 10 && Instant::now() < deadline {
            id += 1;
            make(&mut w, id);
        }
        stop.store(true, Ordering::Relaxed);
        println!("{id} tables, {reads:?} reads, {moves:?} moves");
    });
    assert!(moves.load(Ordering::Relaxed) >= 10 && reads.load(Ordering::Relaxed) > 0);
}

/// The writer is killed wherever it happens to be. All that it published stays readable, as of the
/// published revision, by every way of reading, without waiting for anybody.
#[test]
fn a_writer_killed_anywhere_leaves_the_published_revision() {
    const KILLS: u32 = 150;
    const ACCOUNTS: i64 = 50;
    const PATIENCE: Duration = Duration::from_secs(30);
    let mut random = Random::new("a_writer_killed_anywhere_leaves_the_published_revision");
    let mut in_the_middle = 0;
    for _ in 0..KILLS {
        let mut bank = Bank::open(ACCOUNTS);
        let view = bank.view();
        let mut theirs = Random(random.below(u64::MAX));
        // SAFETY: the child touches only what it has of its own and the segment's mapping, and ends
        // by being killed, or by _exit, without returning into the test harness.
        let child = unsafe { libc::fork() };
        assert!(child >= 0, "fork");
        if child == 0 {
            let end = Instant::now() + PATIENCE;
            let flat_out = || {
                while Instant::now() < end {
                    bank.transact(&mut theirs);
                }
            };
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(flat_out));
            // SAFETY: ends this process.
            unsafe { libc::_exit(0) };
        }
        let (end, from) = (Instant::now() + PATIENCE, 10 + random.below(200));
        while view.segment().revision() < from {
            assert!(Instant::now() < end, "the writer publishes nothing");
            std::hint::spin_loop();
        }
        for _ in 0..random.below(5000) {
            std::hint::spin_loop();
        }
        let mut status = 0;
        // SAFETY: signals and waits for our own child; the status is written to a local.
        let waited = unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, &raw mut status, 0)
        };
        assert_eq!((waited, libc::WTERMSIG(status)), (child, libc::SIGKILL), "it ended by itself");
        let revision = view.segment().revision();
        let mut scan = ScanBuf::new();
        assert_eq!(scanned(&view, &mut scan), Ok(revision));
        assert_eq!(asked(&view, &keys(ACCOUNTS)), Ok(revision));
        let mut row = RowBuf::new();
        let mut newer = false;
        for key in 0..ACCOUNTS * 2 {
            if view.get_int(key, &mut row).unwrap() {
                amount(row.image());
                newer |= row.revision() > revision;
            }
        }
        in_the_middle += u32::from(newer);
    }
    println!("{KILLS} kills, {in_the_middle} of them seen in the middle of a publication");
}
