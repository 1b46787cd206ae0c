//! Processes that are killed with SIGKILL while they make a store or write to it.
//!
//! The child is this test binary itself, told by an environment variable what to do.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::*;
use shmirror_store::{StoreError, StoreOptions, Synchronous};

const TASK: &str = "SHMIRROR_STORE_TEST_TASK";

fn start(task: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(TASK, format!("{task} {}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Does nothing unless it is the child.
#[test]
fn child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (task, dir) = task.split_once(' ').unwrap();
    match task {
        "make" => {
            println!("\nbegun");
            drop(open(Path::new(dir)).unwrap());
        }
        "write" => write(Path::new(dir)),
        other => panic!("{other}"),
    }
}

/// The work of generation `n` of the writer: a text that names revision and row, so that the parent
/// knows what each row must hold.
fn write(dir: &Path) {
    let options = StoreOptions {
        // SIGKILL takes no page from the kernel; without syncs there are more kills in more places.
        synchronous: Synchronous::Normal,
        log_keep_bytes: 200_000,
        ..StoreOptions::default()
    };
    let (mut store, recovered, rows) = open_with(dir, options).unwrap();
    let mut model = Model {
        newest: recovered.newest_revision,
        next_birth: recovered.next_birth,
        catalogue: recovered.catalogue,
        rows,
        log: vec![],
    };
    println!("\nopen {}", model.newest);
    if model.newest == 0 {
        model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    }
    loop {
        let revision = model.newest + 1;
        let birth = if revision.is_multiple_of(3) { model.next_birth } else { revision % 50 + 1 };
        let birth = birth.min(model.next_birth);
        let text = format!("row {birth} at {revision} {}", "z".repeat(revision as usize % 999));
        let change = Change::Put { table: 1, birth, key: birth as i64, text };
        model.commit(&mut store, &[vec![change]]);
        println!("done {revision}");
        match revision % 5 {
            0 => drop(store.checkpoint_step(7).unwrap()),
            1 => drop(store.trim_step().unwrap()),
            _ => {}
        }
    }
}

/// What the child wrote, from its rules alone: birth → revision.
fn expected(newest: u64) -> std::collections::BTreeMap<u64, u64> {
    let (mut rows, mut next) = (std::collections::BTreeMap::new(), 1);
    for revision in 2..=newest {
        let birth = if revision.is_multiple_of(3) { next } else { (revision % 50 + 1).min(next) };
        next = next.max(birth + 1);
        rows.insert(birth, revision);
    }
    rows
}

fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    u64::from_le_bytes(bytes) % below
}

#[test]
fn a_kill_while_a_store_is_made_leaves_none_or_a_whole_one() {
    let (mut none, mut whole) = (0, 0);
    for _ in 0..40 {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("data");
        let mut child = start("make", &dir);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while lines.next().is_some_and(|l| l.unwrap() != "begun") {}
        let until = Instant::now() + Duration::from_micros(random(12_000));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let there = dir.join("store.db").exists();
        *(if there { &mut whole } else { &mut none }) += 1;
        let (store, recovered, _) = open(&dir).unwrap_or_else(|e| {
            panic!("{e}; files: {:?}", contents(&dir).keys().collect::<Vec<_>>())
        });
        assert_eq!((recovered.new, recovered.newest_revision), (!there, 0));
        store.close().unwrap();
        let left: Vec<String> = contents(&dir).into_keys().collect();
        assert_eq!(left, ["key", "lock", "store.db"]);
    }
    println!("killed before the store was there: {none}, after: {whole}");
}

#[test]
fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..25 {
        let mut child = start("write", dir.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop_after = random(200);
        let mut seen = 0;
        let deadline = Instant::now() + Duration::from_secs(30);
        for line in lines {
            let line = line.unwrap();
            if let Some(newest) = line.strip_prefix("open ") {
                let newest: u64 = newest.parse().unwrap();
                assert!(newest >= acknowledged, "{newest} after {acknowledged}");
                acknowledged = newest;
            } else if let Some(revision) = line.strip_prefix("done ") {
                acknowledged = revision.parse().unwrap();
                seen += 1;
            }
            if seen >= stop_after || Instant::now() > deadline {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(acknowledged > 0, "round {round}");

        // Looked at in a copy, so that the next child meets what the kill left.
        let copy = crash_copy(dir.path());
        let (store, recovered, rows) = open(copy.path()).unwrap();
        let newest = recovered.newest_revision;
        assert!(newest >= acknowledged, "round {round}: {newest} of {acknowledged}");
        let found: std::collections::BTreeMap<u64, u64> =
            rows.iter().map(|(&birth, (_, revision, _))| (birth, *revision)).collect();
        assert_eq!(found, expected(newest), "round {round}");
        for (birth, (_, revision, values)) in &rows {
            let text = format!("{:?}", values[1]);
            assert!(text.contains(&format!("row {birth} at {revision} ")), "{text}");
        }
        let mut reader = store.reader().unwrap();
        assert_eq!(reader.snapshot(|_| ()).unwrap().fault_count, 0);
    }
    println!("{acknowledged} revisions over 25 kills");
    assert!(acknowledged > 100);
}

#[test]
fn a_living_process_is_named_as_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start("write", dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    while lines.next().is_some_and(|l| !l.unwrap().starts_with("done")) {}
    match open(dir.path()).map(|_| ()) {
        Err(StoreError::InUse { pid, .. }) => assert_eq!(pid, Some(child.id())),
        other => panic!("{other:?}"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open(dir.path()).unwrap());
}
