//! SQLite's write-ahead log: it has room before anything is committed, and is begun anew in it.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use shmirror_store::Store;

const SMALL: &str = "SHMIRROR_STORE_TEST_SMALL";

fn length(dir: &Path) -> u64 {
    dir.join("store.db-wal").metadata().unwrap().len()
}

/// Commits so many bytes in one row.
fn put(model: &mut Model, store: &mut Store, bytes: usize) {
    let (birth, text) = (model.next_birth.min(5), "x".repeat(bytes));
    model.commit(store, &[vec![Change::Put { table: 1, birth, key: birth as i64, text }]]);
}

#[test]
fn its_length_stays_as_it_is_while_it_fills_and_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    let room = length(dir.path());
    assert!(room > 16 << 20, "{room}");

    let mut longest = 0;
    for round in 0..3 {
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            put(&mut model, &mut store, 100_000);
            let pages = store.figures().wal_pages;
            if pages < longest {
                break;
            }
            longest = pages;
            assert!(Instant::now() < until, "{pages} pages in round {round}");
        }
        assert!(longest >= (16 << 20) / 4096, "{longest} pages");
        longest = 0;
    }
    assert!(length(dir.path()) < 2 * room, "{} after {room}", length(dir.path()));

    // As a killed daemon leaves it: a part of it is of the log's last life.
    let copy = crash_copy(dir.path());
    let (again, recovered, rows) = open(copy.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    again.close().unwrap();
    store.close().unwrap();
    assert!(!dir.path().join("store.db-wal").exists());

    let (store, ..) = open(dir.path()).unwrap();
    assert_eq!(length(dir.path()), room);
    drop(store);
}

/// Opens a store where no file may have more than 256 KiB. Does nothing unless it is the child.
#[test]
fn child() {
    let Some(dir) = std::env::var_os(SMALL) else { return };
    let dir = Path::new(&dir);
    let limit = libc::rlimit { rlim_cur: 256 << 10, rlim_max: 256 << 10 };
    // SAFETY: no other thread of this process handles signals or looks at limits.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
    let (mut store, ..) = open(dir).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    put(&mut model, &mut store, 1_000);
    println!("\nlength {}", length(dir));
}

#[test]
fn where_there_is_no_room_it_grows_as_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(SMALL, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let said = lines.filter_map(|line| line.strip_prefix("length ")?.parse::<u64>().ok()).last();
    child.wait().unwrap();
    let said = said.expect("it has committed");
    assert!((1..100 << 10).contains(&said), "{said} bytes");
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    assert_eq!((recovered.newest_revision, rows.len()), (2, 1));
}
