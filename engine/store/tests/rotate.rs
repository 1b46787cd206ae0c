//! Rotation of the data key: everything is sealed anew while the store is written and read, and what a
//! kill, a full disk or a missing key leaves is a store that opens.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::*;
use rusqlite::Connection;
use shmirror_store::cipher::Algorithm;
use shmirror_store::{KeyStatus, RotateStep, Store, StoreError, StoreOptions};

const STEP: Duration = Duration::from_micros(300);

/// A store with checkpointed rows, a log of many groups and a tail.
fn store(dir: &Path, rows: u64) -> (Store, Model) {
    let (mut store, ..) = open(dir).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for i in 0..rows {
        let text = format!("{CANARY} {}", "x".repeat((i as usize % 20) * 150));
        model.put(&mut store, 1 + (i % 2) as u32, &text);
    }
    while store.checkpoint_step(200).unwrap() > 0 {}
    for _ in 0..50 {
        model.put(&mut store, 1, CANARY);
    }
    (store, model)
}

/// Steps to the end; how many.
fn finish(store: &mut Store) -> usize {
    for steps in 1..100_000 {
        match store.rotate_step(STEP).unwrap() {
            RotateStep::Ended(figures) => {
                assert_eq!(figures.percent, 100);
                assert!(store.rotation().is_none());
                return steps;
            }
            RotateStep::None => panic!("no rotation"),
            _ => {}
        }
    }
    panic!("it does not end");
}

/// Data key numbers that the heads of all seals name, and the key slots, read from the file itself.
fn names(dir: &Path) -> (Vec<u32>, Vec<i64>) {
    let conn = Connection::open(dir.join("store.db")).unwrap();
    let list = |sql: &str| -> Vec<Vec<u8>> {
        let mut select = conn.prepare(sql).unwrap();
        select.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let mut numbers: Vec<u32> =
        list("SELECT sealed FROM row UNION ALL SELECT sealed FROM commit_log")
            .into_iter()
            .chain(list("SELECT value FROM meta WHERE name <> 'instance'"))
            .map(|blob| u32::from_le_bytes(*blob[4..].first_chunk().unwrap()))
            .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut slots = conn.prepare("SELECT id FROM key_slot").unwrap();
    let slots = slots.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
    (numbers, slots)
}

#[test]
fn everything_is_sealed_anew_while_it_is_written_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut model) = store(dir.path(), 600);
    let slot: Vec<u8> = {
        let conn = Connection::open(dir.path().join("store.db")).unwrap();
        conn.query_row("SELECT wrapped FROM key_slot", [], |r| r.get(0)).unwrap()
    };
    let (mut early, mut pinned) = (store.reader().unwrap(), store.reader().unwrap());
    let pinned_at = pinned.pin().unwrap();

    let aes = Algorithm::of_name("aes-256-gcm").unwrap();
    let begun = store.rotate(Some(aes)).unwrap();
    assert_eq!((begun.from, begun.to, begun.cipher, begun.percent), (1, 2, "AES-256-GCM", 0));
    assert_eq!(store.seals_with(), ("AES-256-GCM", 2));
    assert!(matches!(store.rotate(None), Err(StoreError::Rotating { .. })));

    let (mut steps, mut last) = (0, 0);
    let ended = loop {
        match store.rotate_step(STEP).unwrap() {
            RotateStep::Ended(figures) => break figures,
            RotateStep::None => panic!("no rotation"),
            _ => {}
        }
        let percent = store.rotation().unwrap().percent;
        assert!((last..100).contains(&percent), "{percent} after {last}");
        (steps, last) = (steps + 1, percent);
        model.put(&mut store, 2, "meanwhile");
        if steps % 5 == 0 {
            store.checkpoint_step(7).unwrap();
        }
        if steps == 3 {
            // Two keys: a backup of this moment opens, and nothing is readable in any file.
            let copy = tempfile::tempdir().unwrap();
            std::fs::copy(dir.path().join("key"), copy.path().join("key")).unwrap();
            early.backup_to(&copy.path().join("store.db")).unwrap();
            let at = (model.clone(), open(copy.path()).unwrap());
            let (then, (mut resumed, recovered, rows)) = at;
            then.assert_recovered(&recovered, &rows);
            assert_eq!(resumed.rotation().map(|r| (r.from, r.to)), Some((1, 2)));
            finish(&mut resumed);
            for (name, (_, bytes)) in contents(dir.path()) {
                let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
                assert!(!found, "{name}");
            }
            assert!(KeyStatus::of(dir.path()).unwrap().rotating());
        }
        let mut records = Vec::new();
        let found = early.history(1, &[], None, usize::MAX / 16, &mut records).unwrap();
        assert_eq!(found.through, model.newest);
    };
    assert!(steps > 5, "{steps} steps show nothing");
    assert!(ended.resealed.0 >= 600 && ended.resealed.1 >= 600, "{ended:?}");
    println!("{steps} steps, {ended:?}");

    // What a reader pinned before the rotation still opens; then it can't, and need not.
    let seen = pinned.snapshot(|_| ()).unwrap();
    assert_eq!((seen.fault_count, seen.revision), (0, pinned_at), "{:?}", seen.faults);
    assert!(!store.forget_old_slot().unwrap(), "a pinned reader holds the write-ahead log");
    pinned.unpin().unwrap();
    assert!(store.forget_old_slot().unwrap());
    let seen = early.snapshot(|_| ()).unwrap();
    assert_eq!((seen.fault_count, seen.revision), (0, model.newest), "{:?}", seen.faults);

    // Nothing names the old key, and its slot is in no file.
    assert_eq!(names(dir.path()), (vec![2], vec![2]));
    for (name, (_, bytes)) in contents(dir.path()) {
        assert!(!bytes.windows(32).any(|w| w == &slot[slot.len() - 32..]), "{name}");
    }
    drop((early, pinned));
    store.close().unwrap();
    let (mut store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    assert!(store.rotation().is_none());
    // And again, back to the cipher of before.
    store.rotate(Some(Algorithm::DEFAULT)).unwrap();
    finish(&mut store);
    assert_eq!(names(dir.path()), (vec![3], vec![3]));
    // Once more, without a start in between.
    store.rotate(None).unwrap();
    finish(&mut store);
    assert_eq!(names(dir.path()), (vec![4], vec![4]));
}

#[test]
fn what_a_crash_leaves_at_any_step_opens_and_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, model) = store(dir.path(), 200);
    store.rotate(None).unwrap();
    for crash in 0.. {
        let copy = crash_copy(dir.path());
        let (mut after, recovered, rows) = open(copy.path()).unwrap();
        model.assert_recovered(&recovered, &rows);
        assert!(after.rotation().is_some(), "crash {crash}");
        finish(&mut after);
        let seen = after.reader().unwrap().snapshot(|_| ()).unwrap();
        assert_eq!(seen.fault_count, 0, "crash {crash}: {:?}", seen.faults);
        drop(after);
        assert_eq!(names(copy.path()), (vec![2], vec![2]), "crash {crash}");
        if matches!(store.rotate_step(STEP).unwrap(), RotateStep::Ended(_)) {
            break;
        }
    }
    let copy = crash_copy(dir.path());
    let (after, recovered, rows) = open(copy.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    assert!(after.rotation().is_none());
}

#[test]
fn without_the_key_that_wraps_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut model) = store(dir.path(), 600);
    let (key, aside) = (dir.path().join("key"), dir.path().join("log"));
    let files = || {
        let mut files = contents(dir.path());
        files.remove("store.db-shm"); // has the locks of those who read
        files
    };
    let before = files();
    std::fs::rename(&key, &aside).unwrap();
    let refused = store.rotate(None).unwrap_err();
    let missing = matches!(refused, StoreError::KeyMissing { .. } | StoreError::NoKey { .. });
    assert!(missing, "{refused}");
    // The key of another store wraps well, but nothing would open both slots.
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()).unwrap());
    std::fs::copy(other.path().join("key"), &key).unwrap();
    let refused = store.rotate(None).unwrap_err();
    assert!(matches!(refused, StoreError::KeyWrong { .. }), "{refused}");
    std::fs::rename(&aside, &key).unwrap();
    assert_same(&before, &files());

    assert!(store.rotation().is_none());
    assert_eq!(store.rotate_step(STEP).unwrap(), RotateStep::None);
    model.put(&mut store, 1, "goes on");
    drop(store);
    assert_eq!(names(dir.path()), (vec![1], vec![1]));
    let (mut store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    store.rotate(None).unwrap();
    finish(&mut store);
}

#[test]
fn a_seal_that_does_not_open_keeps_the_old_key() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = store(dir.path(), 600);
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    let right: Vec<u8> =
        conn.query_row("SELECT sealed FROM row WHERE slot = 300", [], |r| r.get(0)).unwrap();
    store.rotate(None).unwrap();
    let mut bent = right.clone();
    bent[60] ^= 1;
    let put = |blob: &[u8]| {
        conn.execute("UPDATE row SET sealed = ?1 WHERE slot = 300", [blob]).unwrap();
    };
    put(&bent);
    let failed = (0..100_000).find_map(|_| match store.rotate_step(STEP) {
        Ok(RotateStep::Ended(_)) => panic!("it ended with a seal that does not open"),
        step => step.err(),
    });
    let failed = failed.unwrap().to_string();
    assert!(failed.contains("row, slot 300"), "{failed}");
    for _ in 0..3 {
        assert!(store.rotate_step(STEP).is_err());
    }
    put(&right);
    finish(&mut store);
    drop(conn);
    assert_eq!(names(dir.path()), (vec![2], vec![2]));
}

#[test]
fn a_state_from_before_the_rotation_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = store(dir.path(), 600);
    let conn = Connection::open(dir.path().join("store.db")).unwrap();
    let state = "SELECT value FROM meta WHERE name = 'state'";
    let old: Vec<u8> = conn.query_row(state, [], |r| r.get(0)).unwrap();
    store.rotate(None).unwrap();
    drop(store);
    let good = crash_copy(dir.path());
    conn.execute("UPDATE meta SET value = ?1 WHERE name = 'state'", [old]).unwrap();
    drop(conn);
    let refused = Store::open(dir.path(), StoreOptions::default()).map(|_| ()).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.contains("not sealed with data key 2"), "{refused}");
    assert!(open(good.path()).is_ok());
}
