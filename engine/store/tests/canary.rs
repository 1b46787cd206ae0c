//! No name, key or value is readable in any file of the data directory or in a backup, at any time.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::path::Path;

use common::*;
use shmirror_store::{Store, StoreOptions};

/// Asserts that no file holds the canary, whole or as UTF-16.
fn assert_silent(dir: &Path, files: &[&str]) {
    let all = contents(dir);
    for name in files {
        assert!(all.contains_key(*name), "{name} is not there to be looked at");
    }
    let wide: Vec<u8> = CANARY.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, (_, bytes)) in &all {
        for needle in [CANARY.as_bytes(), &wide, &CANARY.as_bytes()[..8]] {
            let found = bytes.windows(needle.len()).position(|w| w == needle);
            assert_eq!(found, None, "{name} holds {:?}", String::from_utf8_lossy(needle));
        }
    }
}

#[test]
fn nothing_is_readable_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    // Where SQLite would put temporary files, were they not in memory.
    let temporary = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for i in 0..200u64 {
        // Up to several pages, so that overflow pages are looked at too.
        model.put(&mut store, 1 + (i % 2) as u32, &CANARY.repeat(1 + (i as usize % 40) * 20));
    }
    assert_silent(dir.path(), &["store.db", "store.db-wal", "store.db-shm"]);
    while store.checkpoint_step(50).unwrap() > 0 {}
    assert_silent(dir.path(), &["store.db", "store.db-wal"]);
    model.commit(&mut store, &[vec![Change::Schema(vec![2])]]);
    while store.checkpoint_step(50).unwrap() > 0 {}
    let mut reader = store.reader().unwrap();
    reader.snapshot(|_| ()).unwrap();
    reader.backup_to(&temporary.path().join("copy.db")).unwrap();
    assert_silent(temporary.path(), &["copy.db"]);
    assert_silent(dir.path(), &["store.db", "store.db-wal"]);
    drop(reader);
    store.close().unwrap();
    assert_silent(dir.path(), &["store.db", "key", "lock"]);

    // The search itself finds what is there.
    std::fs::write(dir.path().join("log"), format!("xx{CANARY}xx")).unwrap();
    assert!(std::panic::catch_unwind(|| assert_silent(dir.path(), &[])).is_err());
    std::fs::remove_file(dir.path().join("log")).unwrap();

    // The key is in no file but its own.
    let key = std::fs::read_to_string(dir.path().join("key")).unwrap();
    let key = key.lines().last().unwrap().trim_start_matches("key = ").to_owned();
    assert_eq!(key.len(), 64);
    let bytes: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&key[2 * i..2 * i + 2], 16).unwrap()).collect();
    let store = std::fs::read(dir.path().join("store.db")).unwrap();
    assert!(!store.windows(16).any(|w| w == &bytes[..16]));
    let (store, recovered) = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let shown = format!("{recovered:?}");
    assert!(!shown.contains(&key));
    drop(store);
}
