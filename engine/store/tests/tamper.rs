//! Sealed values that were changed, moved, put back or taken away are noticed and named, whatever cipher
//! sealed them.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::*;
use rusqlite::Connection;
use rusqlite::types::Value as Sql;
use shmirror_store::cipher::{ALGORITHMS, Algorithm};
use shmirror_store::seal::SealFault;
use shmirror_store::{Place, StoreError, StoreOptions};

/// Revisions that `small_store` checkpoints. Groups of the log up to here are not read at a start: check
/// and history see what is wrong with them.
const CHECKPOINT: i64 = 5;

fn of_cipher(dir: &Path, cipher: Algorithm) -> Model {
    let model = small_store_with(dir, StoreOptions { cipher, ..StoreOptions::default() });
    let heads = sealed(dir).into_iter().filter(|s| s.table != "key_slot");
    heads.for_each(|s| assert_eq!(s.blob[1], cipher.id, "{s:?}"));
    model
}

/// Changes a closed store behind its back. Leaves no side files.
fn change(dir: &Path, sql: &str, params: impl rusqlite::Params) {
    let conn = Connection::open(dir.join("store.db")).unwrap();
    conn.execute_batch("PRAGMA synchronous = OFF").unwrap();
    assert!(conn.execute(sql, params).unwrap() > 0, "{sql}");
    conn.close().unwrap();
}

fn refused(dir: &Path) -> StoreError {
    let before = contents(dir);
    let Err(error) = open(dir) else { panic!("it was opened") };
    assert_same(&before, &contents(dir));
    error
}

/// A sealed value, and where it is.
#[derive(Clone, Debug, PartialEq)]
struct Sealed {
    table: &'static str,
    key: &'static str,
    id: Sql,
    value: &'static str,
    blob: Vec<u8>,
}

impl Sealed {
    /// Puts `blob` into its place.
    fn put(&self, dir: &Path, blob: &[u8]) {
        let sql = format!("UPDATE {} SET {} = ?1 WHERE {} = ?2", self.table, self.value, self.key);
        change(dir, &sql, (blob, &self.id));
    }

    /// Whether nothing reads it at a start.
    fn is_old_group(&self) -> bool {
        self.table == "commit_log" && matches!(self.id, Sql::Integer(first) if first <= CHECKPOINT)
    }

    /// Whether `error` names this place, and as the cause its seal. `head`: the eight bytes before the
    /// seal of a key slot may be what is wrong.
    fn is_named_by(&self, error: &StoreError, head: bool) -> bool {
        let named = match error {
            StoreError::KeyWrong { .. } => return head && self.table == "key_slot",
            StoreError::BadSeal { place, .. } => match place {
                Place::Row { slot } => ("row", slot.to_string()),
                Place::Log { first } => ("commit_log", first.to_string()),
                Place::State => ("meta", "state".into()),
                Place::Catalogue => ("meta", "catalogue".into()),
                Place::KeySlot { id } => ("key_slot", id.to_string()),
            },
            _ => return false,
        };
        let id = match &self.id {
            Sql::Integer(i) => i.to_string(),
            Sql::Text(t) => t.clone(),
            other => panic!("{other:?}"),
        };
        named == (self.table, id)
    }

    /// Asserts that the store is refused because of this place; or, where no start reads it, that check
    /// names it and history stops there.
    #[track_caller]
    fn assert_found(&self, dir: &Path, what: &str) {
        if !self.is_old_group() {
            let error = refused(dir);
            let named = self.is_named_by(&error, true);
            return assert!(named, "{what}, {} {:?}: {error}", self.table, self.id);
        }
        let (store, ..) = open(dir).unwrap();
        let mut reader = store.reader().unwrap();
        let report = reader.snapshot(|_| ()).unwrap();
        let named = report.faults.iter().any(|fault| self.is_named_by(fault, false));
        assert!(named, "{what}, {} {:?}: {:?}", self.table, self.id, report.faults);
        let history = reader.history(1, &[], None, 1 << 20, &mut Vec::new());
        assert!(matches!(history, Err(StoreError::BadSeal { .. })), "{what}: {history:?}");
    }
}

/// Every sealed value.
fn sealed(dir: &Path) -> Vec<Sealed> {
    let conn = Connection::open(dir.join("store.db")).unwrap();
    let mut all = Vec::new();
    for (table, key, value, filter) in [
        ("row", "slot", "sealed", ""),
        ("commit_log", "first_revision", "sealed", ""),
        ("meta", "name", "value", "WHERE name <> 'instance'"),
        ("key_slot", "id", "wrapped", ""),
    ] {
        let sql = format!("SELECT {key}, {value} FROM {table} {filter}");
        let mut select = conn.prepare(&sql).unwrap();
        let rows = select
            .query_map([], |r| Ok(Sealed { table, key, id: r.get(0)?, value, blob: r.get(1)? }))
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        all.extend(rows);
    }
    assert_eq!(all.len(), 4 + 7 + 2 + 1);
    all
}

/// One of each kind that a start reads: a row, a group of the tail, state, catalogue, key slot.
fn one_of_each(all: &[Sealed]) -> Vec<&Sealed> {
    let mut kinds: Vec<&Sealed> = all.iter().filter(|s| s.table == "meta").collect();
    for table in ["row", "commit_log", "key_slot"] {
        kinds.extend(all.iter().rfind(|s| s.table == table));
    }
    assert!(kinds.len() == 5 && kinds.iter().all(|s| !s.is_old_group()));
    kinds
}

/// In the file itself, so that it is quick; each value lies there once.
fn flip_every_bit(cipher: Algorithm) {
    let dir = tempfile::tempdir().unwrap();
    let model = of_cipher(dir.path(), cipher);
    let all = sealed(dir.path());
    let path = dir.path().join("store.db");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let mut expected = contents(dir.path());
    let (mut flips, stored) = (0, std::fs::read(&path).unwrap());
    for value in one_of_each(&all) {
        let places: Vec<usize> = (0..=stored.len() - value.blob.len())
            .filter(|at| stored[*at..].starts_with(&value.blob))
            .collect();
        let &[at] = &places[..] else { panic!("{value:?} is at {places:?}") };
        for bit in 0..value.blob.len() * 8 {
            let (byte, flipped) = (bit / 8, value.blob[bit / 8] ^ 1 << (bit % 8));
            file.write_all_at(&[flipped], (at + byte) as u64).unwrap();
            expected.get_mut("store.db").unwrap().1[at + byte] = flipped;
            let Err(error) = open(dir.path()) else { panic!("bit {bit} of {value:?}") };
            let head = value.table == "key_slot" && byte < 8;
            assert!(value.is_named_by(&error, head), "bit {bit} of {value:?}: {error}");
            assert_same(&expected, &contents(dir.path()));
            file.write_all_at(&value.blob[byte..=byte], (at + byte) as u64).unwrap();
            expected.get_mut("store.db").unwrap().1[at + byte] = value.blob[byte];
            flips += 1;
        }
    }
    println!("{}: {flips} flips", cipher.name);
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn every_bit_counts_under_xsalsa20_poly1305() {
    flip_every_bit(Algorithm::of_id(1).unwrap());
}

#[test]
fn every_bit_counts_under_xchacha20_poly1305() {
    flip_every_bit(Algorithm::of_id(2).unwrap());
}

#[test]
fn every_bit_counts_under_aes_256_gcm() {
    flip_every_bit(Algorithm::of_id(3).unwrap());
    assert_eq!(ALGORITHMS.len(), 3, "one test for each");
}

#[test]
fn no_value_may_be_longer_or_shorter() {
    for cipher in ALGORITHMS {
        let dir = tempfile::tempdir().unwrap();
        of_cipher(dir.path(), *cipher);
        let all = sealed(dir.path());
        for value in one_of_each(&all) {
            for length in 0..value.blob.len() {
                value.put(dir.path(), &value.blob[..length]);
                value.assert_found(dir.path(), &format!("{cipher:?}, cut to {length}"));
            }
            for more in [1, 8, 16] {
                let longer = [&value.blob[..], &vec![0; more]].concat();
                value.put(dir.path(), &longer);
                value.assert_found(dir.path(), &format!("{cipher:?}, {more} bytes more"));
            }
            value.put(dir.path(), &value.blob);
        }
        drop(open(dir.path()).unwrap());
    }
}

#[test]
fn no_value_opens_in_the_place_of_another() {
    for cipher in ALGORITHMS {
        let dir = tempfile::tempdir().unwrap();
        of_cipher(dir.path(), *cipher);
        let all = sealed(dir.path());
        for from in &all {
            for to in all.iter().filter(|to| *to != from) {
                let copy = crash_copy(dir.path());
                to.put(copy.path(), &from.blob);
                let what = format!("{cipher:?}, {} {:?} moved", from.table, from.id);
                to.assert_found(copy.path(), &what);
            }
        }
        for (i, one) in all.iter().enumerate() {
            for other in &all[i + 1..] {
                let copy = crash_copy(dir.path());
                one.put(copy.path(), &other.blob);
                other.put(copy.path(), &one.blob);
                let what = format!("{cipher:?}, {one:?} and {other:?} exchanged");
                if one.is_old_group() && other.is_old_group() {
                    one.assert_found(copy.path(), &what);
                    other.assert_found(copy.path(), &what);
                } else {
                    let error = refused(copy.path());
                    let named = one.is_named_by(&error, true) || other.is_named_by(&error, true);
                    assert!(named, "{what}: {error}");
                }
            }
        }
    }
}

/// Where all the rest is the same: rows of one revision; a row and a group with the same numbers; a row and
/// what it was.
#[test]
fn place_kind_and_revision_each_tell_seals_apart() {
    for cipher in ALGORITHMS {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { cipher: *cipher, ..StoreOptions::default() };
        let (mut store, ..) = open_with(dir.path(), options).unwrap();
        let mut model = Model::default();
        let put = |birth: u64, text: &str| {
            let text = text.to_owned();
            Change::Put { table: 1, birth, key: birth as i64, text }
        };
        let first = vec![Change::Schema(vec![1]), put(1, "one"), put(2, "two"), put(3, "old")];
        model.commit(&mut store, &[first]);
        while store.checkpoint_step(100).unwrap() > 0 {}
        let read = |sql: &str| -> Vec<u8> {
            let conn = Connection::open(dir.path().join("store.db")).unwrap();
            conn.query_row(sql, [], |r| r.get(0)).unwrap()
        };
        let old = read("SELECT sealed FROM row WHERE slot = 3");
        model.commit(&mut store, &[vec![put(3, "new")]]);
        while store.checkpoint_step(100).unwrap() > 0 {}
        store.close().unwrap();
        let two = read("SELECT sealed FROM row WHERE slot = 2");
        let group = read("SELECT sealed FROM commit_log WHERE first_revision = 1");
        for (slot, blob, expected) in [(1, two, "place"), (1, group, "kind"), (3, old, "revision")]
        {
            let copy = crash_copy(dir.path());
            change(copy.path(), "UPDATE row SET sealed = ?1 WHERE slot = ?2", (&blob, slot as i64));
            match refused(copy.path()) {
                StoreError::BadSeal { place, fault: SealFault::Moved { field, .. }, .. } => {
                    assert_eq!((place, field), (Place::Row { slot }, expected));
                }
                other => panic!("{cipher:?}, {expected}: {other}"),
            }
        }
    }
}

/// Of every value, also of those that no start reads, a sample of the bits.
#[test]
fn no_bit_of_any_value_can_be_flipped_unnoticed() {
    let mut seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    for cipher in ALGORITHMS {
        let dir = tempfile::tempdir().unwrap();
        of_cipher(dir.path(), *cipher);
        for value in &sealed(dir.path()) {
            for at in (0..value.blob.len()).step_by(9) {
                seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
                let bit = (seed >> 60) as u32 & 7;
                let mut flipped = value.blob.clone();
                flipped[at] ^= 1 << bit;
                let copy = crash_copy(dir.path());
                value.put(copy.path(), &flipped);
                let what = format!("{cipher:?}, bit {bit} of byte {at}");
                value.assert_found(copy.path(), &what);
            }
        }
    }
}

#[test]
fn seals_open_only_in_their_own_place() {
    let cases = [
        // two rows exchanged, with and without their revisions
        "UPDATE row SET sealed = (SELECT sealed FROM row r WHERE r.slot = 5 - row.slot) \
         WHERE slot IN (2, 3)",
        "UPDATE row SET sealed = (SELECT sealed FROM row r WHERE r.slot = 5 - row.slot), \
         revision = (SELECT revision FROM row r WHERE r.slot = 5 - row.slot) WHERE slot IN (2, 3)",
        // a row doubled under another slot
        "INSERT INTO row SELECT 77, revision, sealed FROM row WHERE slot = 2",
        "UPDATE row SET revision = revision + 1 WHERE slot = 2",
        "UPDATE row SET slot = 80 WHERE slot = 4",
        // the tail's groups exchanged, renumbered, redated
        "UPDATE commit_log SET sealed = (SELECT sealed FROM commit_log l \
         WHERE l.first_revision = 13 - commit_log.first_revision) WHERE first_revision IN (6, 7)",
        "UPDATE commit_log SET last_revision = 8 WHERE first_revision = 7",
        "UPDATE commit_log SET at = at + 1 WHERE first_revision = 7",
        // kinds exchanged
        "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'state') \
         WHERE name = 'catalogue'",
        "UPDATE meta SET value = (SELECT sealed FROM row WHERE slot = 2) WHERE name = 'state'",
        "UPDATE row SET sealed = (SELECT value FROM meta WHERE name = 'state') WHERE slot = 2",
        // not what is expected at all
        "UPDATE row SET sealed = x'' WHERE slot = 2",
        "UPDATE row SET sealed = zeroblob(200) WHERE slot = 2",
        "UPDATE meta SET value = zeroblob(16) WHERE name = 'instance'",
        // taken away, or added
        "DELETE FROM row WHERE slot = 2",
        "DELETE FROM row",
        "DELETE FROM commit_log WHERE first_revision = 7",
        "DELETE FROM commit_log WHERE first_revision = 6",
        "DELETE FROM commit_log WHERE first_revision = 1",
        "DELETE FROM commit_log",
        "DELETE FROM meta WHERE name = 'catalogue'",
        "DELETE FROM meta WHERE name = 'state'",
        "DELETE FROM meta WHERE name = 'instance'",
        "DELETE FROM key_slot",
        "UPDATE key_slot SET provider = 'passphrase'",
        "UPDATE key_slot SET id = 2",
        "INSERT INTO commit_log SELECT 8, 8, at, sealed FROM commit_log WHERE first_revision = 7",
    ];
    for (cipher, sql) in ALGORITHMS.iter().flat_map(|cipher| cases.map(|sql| (*cipher, sql))) {
        let dir = tempfile::tempdir().unwrap();
        of_cipher(dir.path(), cipher);
        change(dir.path(), sql, []);
        let error = refused(dir.path());
        let named = matches!(
            error,
            StoreError::BadSeal { .. }
                | StoreError::Damaged { .. }
                | StoreError::Hole { .. }
                | StoreError::KeyProvider { .. }
        );
        assert!(named, "{cipher:?}, {sql}: {error:?}");
        println!("{sql}\n    {error}");
    }
}

#[test]
fn a_row_or_state_of_yesterday_is_not_taken_for_todays() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    model.put(&mut store, 1, "old");
    model.put(&mut store, 1, "other");
    while store.checkpoint_step(100).unwrap() > 0 {}
    store.close().unwrap();
    let yesterday = crash_copy(dir.path());
    let (mut store, ..) = open(dir.path()).unwrap();
    let change_it = Change::Put { table: 1, birth: 1, key: 1, text: "new".into() };
    model.commit(&mut store, &[vec![change_it]]);
    model.commit(&mut store, &[vec![Change::Delete { table: 1, birth: 2, key: 2 }]]);
    while store.checkpoint_step(100).unwrap() > 0 {}
    store.close().unwrap();

    let replays = [
        "INSERT OR REPLACE INTO row SELECT * FROM old.row WHERE slot = 1",
        "INSERT OR REPLACE INTO row SELECT * FROM old.row WHERE slot = 2",
        "INSERT OR REPLACE INTO meta SELECT * FROM old.meta WHERE name = 'state'",
    ];
    for sql in replays {
        let copy = crash_copy(dir.path());
        let conn = Connection::open(copy.path().join("store.db")).unwrap();
        let old = yesterday.path().join("store.db");
        conn.execute("ATTACH ?1 AS old", [old.to_str().unwrap()]).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1);
        drop(conn);
        let error = refused(copy.path());
        assert!(matches!(error, StoreError::Damaged { .. }), "{sql}: {error}");
    }
}

#[test]
fn a_snapshot_names_every_fault_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for _ in 0..20 {
        model.put(&mut store, 1, "text");
    }
    while store.checkpoint_step(100).unwrap() > 0 {}
    let mut reader = store.reader().unwrap();
    // While it is open: as a disk that rots under a running daemon.
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute("UPDATE row SET sealed = zeroblob(100) WHERE slot IN (3, 5)", []).unwrap();
    conn.execute("UPDATE commit_log SET sealed = zeroblob(9) WHERE first_revision = 4", [])
        .unwrap();
    conn.execute("DELETE FROM commit_log WHERE first_revision = 9", []).unwrap();
    let mut rows = 0;
    let report = reader.snapshot(|_| rows += 1).unwrap();
    assert_eq!((rows, report.rows, report.sealed_rows, report.groups), (18, 18, 18, 19));
    let faults: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    assert_eq!(report.fault_count, 4, "{faults:#?}");
    for place in ["slot 3", "slot 5", "first_revision 4", "revision 9 expected"] {
        assert!(faults.iter().any(|f| f.contains(place)), "{place}: {faults:#?}");
    }
}
