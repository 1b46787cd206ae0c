//! Another provider for a store that is there: it opens with the new one alone, and a kill at any write
//! leaves it with the old or the new one.
#![allow(missing_docs, reason = "tests")]

mod common;
#[path = "common/traced.rs"]
mod traced;

use std::path::Path;
use std::process::{Command, Stdio};

use common::*;
use shmirror_store::cipher::Algorithm;
use shmirror_store::{
    EnvironmentKey, KeyFile, KeyProvider, KeyStatus, NoSource, Providers, RsaFiles, RsaPair,
    StoreError, StoreOptions, init, rewrap,
};
use zeroize::Zeroizing;

const TASK: &str = "SHMIRROR_STORE_TEST_TASK";
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn environment(key: &str) -> Box<dyn KeyProvider> {
    Box::new(EnvironmentKey::new("UNSET", Some(Zeroizing::new(key.as_bytes().to_vec()))))
}

fn key_file(dir: &Path) -> Box<dyn KeyProvider> {
    Box::new(KeyFile::new(dir.join("key")))
}

fn pair(dir: &Path) -> Box<dyn KeyProvider> {
    let files = RsaFiles {
        public: dir.join("public.pem"),
        private: dir.join("private.pem"),
        bits: RsaFiles::BITS,
        protect: false,
    };
    Box::new(RsaPair::new(files, std::sync::Arc::new(NoSource)))
}

fn with(keys: Providers) -> StoreOptions {
    StoreOptions { keys: Some(keys), ..StoreOptions::default() }
}

fn all(dir: &Path) -> Providers {
    Providers::new(key_file(dir)).and(environment(KEY)).and(pair(dir))
}

fn provider_of(dir: &Path) -> String {
    KeyStatus::of(dir).unwrap().slots.iter().map(|s| s.provider.as_str()).collect()
}

/// Does nothing unless it is the child.
#[test]
fn child() {
    let Ok(dir) = std::env::var(TASK) else { return };
    let dir = Path::new(&dir);
    rewrap(dir, Providers::new(environment(KEY)), key_file(dir).as_ref()).unwrap();
}

#[test]
fn a_kill_at_any_write_leaves_the_old_provider_or_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    init(home.path(), &Providers::new(environment(KEY)), Algorithm::DEFAULT).unwrap();
    let options = with(Providers::new(environment(KEY)));
    let (mut store, ..) = open_with(home.path(), options).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    model.put(&mut store, 1, "kept");
    // As a killed daemon leaves it: with the log in SQLite's -wal.
    let crashed = crash_copy(home.path());
    store.close().unwrap();
    for (state, start) in [("closed", home.path()), ("crashed", crashed.path())] {
        let mut found = vec![];
        for nth in 0.. {
            let dir = crash_copy(start);
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
            command.env(TASK, dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
            let killed = traced::killed_at(command, nth);
            let options = with(all(dir.path()));
            let (store, recovered, rows) = open_with(dir.path(), options)
                .unwrap_or_else(|e| panic!("{state}, killed at write {nth}: {e}"));
            model.assert_recovered(&recovered, &rows);
            store.close().unwrap();
            found.push(provider_of(dir.path()));
            if !killed {
                break;
            }
        }
        let old = found.iter().filter(|p| *p == "environment").count();
        println!("{state}: killed at each of {} writes, {old} with the old one", found.len() - 1);
        assert!(old > 5 && found.len() > old + 3, "{found:?}");
        assert!(found[old..].iter().all(|p| p == "key-file"), "{found:?}");
    }
}

#[test]
fn from_each_provider_to_each_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let model = small_store(dir);
    let mut before = vec![];
    for (new, name) in [
        (environment(KEY), "environment"),
        (pair(dir), "rsa"),
        (environment(KEY), "environment"),
        (key_file(dir), "key-file"),
        (pair(dir), "rsa"),
        (key_file(dir), "key-file"),
    ] {
        before.push(slot(dir));
        let done = rewrap(dir, all(dir), new.as_ref()).unwrap();
        assert_eq!((done.to.0, done.data_keys, done.tidied), (name, 1, true));
        assert_eq!(provider_of(dir), name);
        // No other opens it, and what it held before is nowhere in the file.
        let (store, recovered, rows) = open_with(dir, with(Providers::new(new))).unwrap();
        model.assert_recovered(&recovered, &rows);
        store.close().unwrap();
        let file = std::fs::read(dir.join("store.db")).unwrap();
        for (nth, old) in before.iter().enumerate() {
            // A piece from anywhere of it, as a page's free space keeps no more than a part.
            for piece in old[32..].chunks_exact(16) {
                assert!(!file.windows(16).any(|w| w == piece), "{name}: slot {nth} is still there");
            }
        }
    }
    let error = open_with(dir, with(Providers::new(environment(KEY)))).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::KeyProvider { .. }), "{error}");
}

fn slot(dir: &Path) -> Vec<u8> {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    conn.query_row("SELECT wrapped FROM key_slot", [], |r| r.get(0)).unwrap()
}

#[test]
fn what_cannot_be_wrapped_is_refused_and_left_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path();
    small_store(dir);
    let refused = |keys: Providers, new: Box<dyn KeyProvider>| {
        let before = contents(dir);
        let error = rewrap(dir, keys, new.as_ref()).unwrap_err();
        assert_same(&before, &contents(dir));
        error
    };
    let none: Box<dyn KeyProvider> = Box::new(EnvironmentKey::new("SHMIRROR_NOBODY_SETS", None));
    assert!(matches!(refused(all(dir), none), StoreError::NoKey { .. }));
    assert!(matches!(refused(all(dir), environment("short")), StoreError::KeyUnusable { .. }));
    let only = Providers::new(environment(KEY));
    assert!(matches!(refused(only, environment(KEY)), StoreError::KeyProvider { .. }));
    // A public key whose private one is not there could seal the store for ever.
    let keys = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    std::fs::copy(keys.join("test-public.pem"), dir.join("public.pem")).unwrap();
    assert!(matches!(refused(all(dir), pair(dir)), StoreError::KeyMissing { .. }));
    // A store that is served.
    let (store, ..) = open(dir).unwrap();
    let error = rewrap(dir, all(dir), environment(KEY).as_ref()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(store);
    let error = init(dir, &all(dir), Algorithm::DEFAULT).unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    let nowhere = tempfile::tempdir().unwrap();
    let error = rewrap(nowhere.path(), all(dir), environment(KEY).as_ref()).unwrap_err();
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0);
}
