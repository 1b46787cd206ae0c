//! What is not a good store of ours is refused by name, and every file stays byte for byte.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::*;
use shmirror_store::{Store, StoreError, StoreOptions};

/// Opens `dir`, which must be refused, and asserts that nothing in it changed.
fn refused(dir: &Path) -> StoreError {
    let before = contents(dir);
    let Err(error) = open(dir) else { panic!("{} was opened", dir.display()) };
    assert_same(&before, &contents(dir));
    error
}

/// The small store in three states: closed; crashed with its log in SQLite's -wal; the same with
/// the -shm that a killed daemon leaves.
fn states() -> Vec<(&'static str, tempfile::TempDir)> {
    let closed = tempfile::tempdir().unwrap();
    let mut model = small_store(closed.path());
    let (mut store, ..) = open(closed.path()).unwrap();
    model.put(&mut store, 1, "in the -wal");
    let (killed, crashed) = (crash_copy(closed.path()), crash_copy(closed.path()));
    std::fs::remove_file(crashed.path().join("store.db-shm")).unwrap();
    store.close().unwrap();
    for dir in [&killed, &crashed] {
        assert!(std::fs::metadata(dir.path().join("store.db-wal")).unwrap().len() > 0);
    }
    let lockless = crash_copy(closed.path());
    std::fs::remove_file(lockless.path().join("lock")).unwrap();
    vec![("closed", closed), ("killed", killed), ("crashed", crashed), ("lockless", lockless)]
}

#[test]
fn a_missing_key_is_named_and_no_new_one_is_made() {
    for (state, dir) in states() {
        let key = dir.path().join("key");
        std::fs::remove_file(&key).unwrap();
        match refused(dir.path()) {
            StoreError::KeyMissing { key: named, store } => {
                let expected = format!("key file {}", key.display());
                assert_eq!((named, store), (expected, dir.path().join("store.db")), "{state}");
            }
            other => panic!("{state}: {other}"),
        }
    }
}

#[test]
fn a_wrong_key_is_named_with_both_ids() {
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()).unwrap());
    for (state, dir) in states() {
        let right = std::fs::read_to_string(dir.path().join("key")).unwrap();
        std::fs::copy(other.path().join("key"), dir.path().join("key")).unwrap();
        let error = refused(dir.path());
        let text = error.to_string();
        let StoreError::KeyWrong { found, expected, .. } = error else { panic!("{state}: {text}") };
        assert!(right.contains(&expected) && !right.contains(&found), "{text}");
        assert!(text.contains("store.db") && text.contains("key file"), "{text}");
        // The right key again: nothing was lost.
        std::fs::write(dir.path().join("key"), right).unwrap();
        drop(open(dir.path()).unwrap());
    }
}

#[test]
fn a_key_file_with_the_right_id_and_other_bits_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    small_store(dir.path());
    let path = dir.path().join("key");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("key = ").unwrap() + 6;
    let other = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
    std::fs::write(&path, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    let error = refused(dir.path());
    assert!(error.to_string().contains("key_slot, id 1"), "{error}");
}

#[test]
fn malformed_key_files_are_named_by_line() {
    let dir = tempfile::tempdir().unwrap();
    small_store(dir.path());
    let path = dir.path().join("key");
    let good = std::fs::read_to_string(&path).unwrap();
    let cases = [
        ("", "no version"),
        ("version = 2\n", "version 2, expected 1"),
        ("nonsense", "line 1: expected NAME = VALUE"),
        ("version = 1\n\n# c\nid = 12\n", "line 4: id: expected 16"),
        ("version = 1\nkey = zz\n", "line 2: key: expected 64"),
        ("version = 1\nversion = 1\n", "line 2: the second"),
        ("version = 1\ncolour = red\n", "line 2: unknown name"),
        ("version = 1\n", "no id"),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, text).unwrap();
        let error = refused(dir.path());
        assert!(matches!(error, StoreError::KeyFile { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{text:?}: {error}");
    }
    for (bytes, expected) in [(vec![0xFF; 40], "UTF-8"), (vec![b'#'; 20_000], "20000 bytes")] {
        std::fs::write(&path, bytes).unwrap();
        let error = refused(dir.path());
        assert!(error.to_string().contains(expected), "{error}");
    }
    // No key leaks into a message, and blanks do no harm.
    let key = good.lines().last().unwrap().trim_start_matches("key = ");
    std::fs::write(&path, good.replace("id =", "ident =")).unwrap();
    let error = refused(dir.path());
    assert!(!format!("{error} {error:?}").contains(key));
    std::fs::write(&path, format!("\n{}\n", good.replace(" = ", "="))).unwrap();
    drop(open(dir.path()).unwrap());
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    small_store(dir.path());
    let path = dir.path().join("key");
    for mode in [0o644, 0o640, 0o660, 0o700, 0o000, 0o200] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let before = std::fs::metadata(dir.path().join("store.db")).unwrap().modified().unwrap();
        match open(dir.path()).map(|_| ()) {
            Err(StoreError::KeyMode { found, .. }) => assert_eq!(found, mode),
            Err(StoreError::Io { .. }) => assert_eq!(mode & 0o400, 0, "not readable"),
            other => panic!("{mode:o}: {other:?}"),
        }
        let after = std::fs::metadata(dir.path().join("store.db")).unwrap().modified().unwrap();
        assert_eq!(before, after);
    }
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o400)).unwrap();
    drop(open(dir.path()).unwrap());
}

#[test]
fn a_key_that_was_put_there_first_is_used() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(open(other.path()).unwrap());
    std::fs::copy(other.path().join("key"), dir.path().join("key")).unwrap();
    let before = std::fs::read(dir.path().join("key")).unwrap();
    drop(open(dir.path()).unwrap());
    assert_eq!(std::fs::read(dir.path().join("key")).unwrap(), before);
    drop(open(dir.path()).unwrap());
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() {
    for (state, dir) in states() {
        // In the header alone, as SQLite has not looked yet when it is read.
        let path = dir.path().join("store.db");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[60..64].copy_from_slice(&7u32.to_be_bytes());
        std::fs::write(&path, &bytes).unwrap();
        match refused(dir.path()) {
            StoreError::NewerFormat { found: 7, supported: 1, .. } => {}
            other => panic!("{state}: {other}"),
        }
        bytes[60..64].copy_from_slice(&0u32.to_be_bytes());
        std::fs::write(&path, &bytes).unwrap();
        let error = refused(dir.path());
        assert!(error.to_string().contains("format 0, expected 1"), "{error}");
    }
}

#[test]
fn what_is_not_ours_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    std::fs::create_dir(dir.path().join("photos")).unwrap();
    match refused(dir.path()) {
        StoreError::NotOurs { found, .. } => assert_eq!(found, "photos, thesis.txt"),
        other => panic!("{other}"),
    }
    match Store::open(&dir.path().join("thesis.txt"), StoreOptions::default()).map(|_| ()) {
        Err(StoreError::NotOurs { found, .. }) => assert_eq!(found, "a file"),
        other => panic!("{other:?}"),
    }

    // The daemon's own files do not stand in the way.
    let ours = tempfile::tempdir().unwrap();
    std::fs::write(ours.path().join("shmirror.toml"), "").unwrap();
    std::fs::create_dir(ours.path().join("log")).unwrap();
    drop(open(ours.path()).unwrap());

    // A write-ahead log without its store is what is left of somebody's data.
    let wal = tempfile::tempdir().unwrap();
    std::fs::write(wal.path().join("store.db-wal"), "x").unwrap();
    assert!(refused(wal.path()).to_string().contains("store.db-wal"));

    for (contents, expected) in [
        (b"".to_vec(), "0 bytes"),
        (vec![7u8; 5_000], "no SQLite database"),
        (b"SQLite format 3\0".iter().copied().chain([0; 200]).collect(), "application_id 0x0"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store.db"), contents).unwrap();
        let error = refused(dir.path());
        assert!(error.to_string().contains(expected), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/no/such/place", dir.path().join("store.db")).unwrap();
    let error = open(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(dir.path().join("store.db").is_symlink());
}

#[test]
fn another_sqlite_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let conn = rusqlite::Connection::open(dir.path().join("store.db")).unwrap();
    conn.execute_batch("CREATE TABLE mine(a); INSERT INTO mine VALUES(1);").unwrap();
    drop(conn);
    assert!(matches!(refused(dir.path()), StoreError::NotOurs { .. }));
}

#[test]
fn one_daemon_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, ..) = open(dir.path()).unwrap();
    match Store::open(dir.path(), StoreOptions::default()).map(|_| ()) {
        Err(StoreError::InUse { pid, dir: named }) => {
            assert_eq!(pid, Some(std::process::id()));
            assert_eq!(named, dir.path());
        }
        other => panic!("{other:?}"),
    }
    drop(store);
    drop(open(dir.path()).unwrap());
    assert_eq!(std::fs::read(dir.path().join("lock")).unwrap(), b"");
}

#[test]
fn a_truncated_store_is_refused_at_any_length() {
    for (state, dir) in states() {
        let path = dir.path().join("store.db");
        let whole = std::fs::read(&path).unwrap();
        // With its pages in the -wal a short file can be whole all the same, so that goes here.
        if state == "killed" || state == "crashed" {
            std::fs::remove_file(dir.path().join("store.db-wal")).unwrap();
            let _ = std::fs::remove_file(dir.path().join("store.db-shm"));
        }
        for length in (0..whole.len()).step_by(1_024).chain([1, 99, 100, whole.len() - 32]) {
            std::fs::write(&path, &whole[..length]).unwrap();
            let error = refused(dir.path());
            // The last page is padded with zeros where it is cut: then seals do not open.
            let fits = matches!(error, StoreError::Damaged { .. } | StoreError::BadSeal { .. });
            assert!(fits, "{state}, {length} bytes: {error}");
        }
    }
}

#[test]
fn an_error_of_the_caller_while_loading_changes_nothing_either() {
    for (state, dir) in states() {
        let before = contents(dir.path());
        let (mut store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
        #[derive(Debug)]
        enum Mine {
            Stop,
            Store,
        }
        impl From<StoreError> for Mine {
            fn from(_: StoreError) -> Self {
                Self::Store
            }
        }
        let stopped = store.load_rows(|_| Err(Mine::Stop));
        assert!(matches!(stopped, Err(Mine::Stop)), "{state}: {stopped:?}");
        drop(store);
        assert_same(&before, &contents(dir.path()));
        // Nor does an opening that is given up.
        drop(Store::open(dir.path(), StoreOptions::default()).unwrap());
        assert_same(&before, &contents(dir.path()));
        // And it can be tried again in the same opening.
        let (mut store, _) = Store::open(dir.path(), StoreOptions::default()).unwrap();
        assert!(store.load_rows(|_| Err(Mine::Stop)).is_err());
        store.load_rows(|_| Ok::<(), StoreError>(())).unwrap();
        store.close().unwrap();
    }
}
