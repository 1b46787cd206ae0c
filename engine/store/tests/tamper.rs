//! Sealed values that were changed, moved, put back or taken away are noticed and named.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;

use common::*;
use rusqlite::Connection;
use shmirror_store::{Place, StoreError};

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

/// Table, key column, key, value column, value of every sealed value.
fn sealed(
    dir: &Path,
) -> Vec<(&'static str, &'static str, rusqlite::types::Value, &'static str, Vec<u8>)> {
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
            .query_map([], |r| Ok((table, key, r.get(0)?, value, r.get(1)?)))
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        all.extend(rows);
    }
    drop(conn);
    all
}

#[test]
fn no_bit_of_a_sealed_value_can_be_flipped_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let model = small_store(dir.path());
    let checkpoint = 5; // small_store checkpoints its first five revisions
    let all = sealed(dir.path());
    assert_eq!(all.len(), 4 + 7 + 2 + 1);
    let mut seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    for (table, key, id, value, blob) in all {
        let sql = format!("UPDATE {table} SET {value} = ?1 WHERE {key} = ?2");
        // One connection for all flips of a value: each opening must leave the file as it is.
        for at in 0..blob.len() {
            // Every byte of the head, a sample of the rest; a random bit of it.
            seed = seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            if at >= 56 && at + 8 < blob.len() && !at.is_multiple_of(13) {
                continue;
            }
            let harmless = matches!(
                (table, &id),
                ("commit_log", rusqlite::types::Value::Integer(first)) if *first <= checkpoint
            );
            if harmless && !at.is_multiple_of(9) {
                continue; // the opening goes all the way then, which takes longer
            }
            let bit = (seed >> 60) as u32 & 7;
            let mut flipped = blob.clone();
            flipped[at] ^= 1 << bit;
            change(dir.path(), &sql, (&flipped, &id));
            let what = format!("{table} {id:?}, bit {bit} of byte {at}");
            if harmless {
                // Before the checkpoint: recovery does not need it, but check and history see it.
                let (store, recovered, rows) = open(dir.path()).unwrap();
                model.assert_recovered(&recovered, &rows);
                let mut reader = store.reader().unwrap();
                let report = reader.snapshot(|_| ()).unwrap();
                assert_eq!(report.fault_count, 1, "{what}: {:?}", report.faults);
                let history = reader.history(1, &[], 1 << 20, &mut Vec::new());
                assert!(matches!(history, Err(StoreError::BadSeal { .. })), "{what}");
            } else {
                let error = refused(dir.path());
                let place = match (&error, table) {
                    (StoreError::BadSeal { place, .. }, _) => *place,
                    // The id of the key that wrapped it.
                    (StoreError::KeyWrong { .. }, "key_slot") if at < 8 => continue,
                    _ => panic!("{what}: {error}"),
                };
                let named = match place {
                    Place::Row { slot } => ("row", slot.to_string()),
                    Place::Log { first } => ("commit_log", first.to_string()),
                    Place::State => ("meta", "state".into()),
                    Place::Catalogue => ("meta", "catalogue".into()),
                    Place::KeySlot { id } => ("key_slot", id.to_string()),
                };
                let id = match &id {
                    rusqlite::types::Value::Integer(i) => i.to_string(),
                    rusqlite::types::Value::Text(t) => t.clone(),
                    other => panic!("{other:?}"),
                };
                assert_eq!(named, (table, id), "{what}: {error}");
            }
        }
        change(dir.path(), &sql, (&blob, &id));
    }
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn seals_open_only_in_their_own_place() {
    let dir = tempfile::tempdir().unwrap();
    small_store(dir.path());
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
    for sql in cases {
        let copy = crash_copy(dir.path());
        change(copy.path(), sql, []);
        let error = refused(copy.path());
        let named = matches!(
            error,
            StoreError::BadSeal { .. }
                | StoreError::Damaged { .. }
                | StoreError::Hole { .. }
                | StoreError::KeyProvider { .. }
        );
        assert!(named, "{sql}: {error:?}");
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
