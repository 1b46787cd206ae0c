//! The commit log: history from a revision on, tickets, retention, and a reader on another thread.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::time::Duration;

use common::*;
use shmirror_shm::record::records;
use shmirror_store::{Store, StoreError, StoreOptions};

fn put(table: u32, birth: u64, text: &str) -> Change {
    Change::Put { table, birth, key: birth as i64, text: text.into() }
}

fn checkpoint_all(store: &mut Store) {
    while store.checkpoint_step(3).unwrap() > 0 {}
}

#[test]
fn history_gives_whole_transactions_from_a_revision_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1, 2])]]);
    for _ in 0..6 {
        let birth = model.next_birth;
        let transactions: Vec<Vec<Change>> = (0..5)
            .map(|i| (0..3).map(|j| put(1 + j % 2, birth + u64::from(i * 3 + j), "text")).collect())
            .collect();
        model.commit(&mut store, &transactions);
    }
    let mut reader = store.reader().unwrap();
    assert_eq!(reader.span().unwrap(), (1, 31));
    for (tables, limit) in
        [(&[][..], 1 << 30), (&[], 0), (&[], 1_000), (&[2], 700), (&[1, 2], 900), (&[9], 100)]
    {
        for from in 1..=model.newest {
            let (mut at, mut words) = (from, Vec::new());
            while at <= model.newest {
                let mut part = Vec::new();
                let history = reader.history(at, tables, None, limit, &mut part).unwrap();
                assert_eq!((history.oldest, history.newest), (1, 31));
                assert!(history.through >= at, "{history:?} from {at}");
                if limit == 0 && tables.is_empty() {
                    assert_eq!(history.through, at, "one transaction at a time");
                }
                assert!(part.len() * 8 <= limit + 3 * 400, "{} bytes", part.len() * 8);
                for record in records(&part) {
                    let revision = record.unwrap().header().revision;
                    assert!((at..=history.through).contains(&revision));
                }
                words.extend(part);
                at = history.through + 1;
            }
            let expected: Vec<u64> = model
                .log
                .iter()
                .filter(|(revision, _)| *revision >= from)
                .filter(|(_, record)| {
                    let record = records(record).next().unwrap().unwrap();
                    let table = record.header().table;
                    tables.is_empty() || !record.is_row() || tables.contains(&table)
                })
                .flat_map(|(_, record)| record.clone())
                .collect();
            assert!(words == expected, "tables {tables:?}, limit {limit}, from {from}");
        }
    }
    let history = reader.history(model.newest + 1, &[], None, 100, &mut Vec::new()).unwrap();
    assert_eq!(history.through, model.newest);
    // A reader sees what is committed after it was opened.
    model.put(&mut store, 1, "later");
    assert_eq!(reader.span().unwrap(), (1, 32));
}

#[test]
fn tickets_are_found_as_long_as_the_log_holds_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { log_keep: Duration::ZERO, ..StoreOptions::default() };
    let (mut store, ..) = open_with(dir.path(), options).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    let mut reader = store.reader().unwrap();
    let mut expected = Vec::new();
    for round in 0..40u64 {
        // Tickets are revisions here; lanes alternate, so each lane has gaps in its tickets.
        let lane = 10 + round % 3;
        let birth = model.next_birth;
        let built = model.build(lane, &[vec![put(1, birth, "a")], vec![put(1, birth, "b")]]);
        store.commit(&built.group()).unwrap();
        expected.push((lane, built.first));
        expected.push((lane, built.last));
        if round % 7 == 0 {
            assert_eq!(reader.settled(lane, built.last).unwrap(), Some(built.last));
            assert_eq!(reader.settled(lane, built.last + 1).unwrap(), None);
        }
    }
    let mut fresh = store.reader().unwrap();
    for reader in [&mut reader, &mut fresh] {
        for &(lane, ticket) in expected.iter().rev() {
            assert_eq!(reader.settled(lane, ticket).unwrap(), Some(ticket), "lane {lane}");
            let other = 10 + (lane - 9) % 3;
            assert_eq!(reader.settled(other, ticket).unwrap(), None, "lane {other}");
        }
        assert_eq!(reader.settled(99, 1).unwrap(), None);
    }
    checkpoint_all(&mut store);
    while store.trim_step().unwrap() > 0 {}
    assert_eq!(reader.settled(expected[5].0, expected[5].1).unwrap(), None, "trimmed");
    assert_eq!(store.reader().unwrap().settled(expected[5].0, expected[5].1).unwrap(), None);
}

#[test]
fn trimming_keeps_what_is_not_checkpointed_and_never_resets_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let options = || StoreOptions { log_keep: Duration::ZERO, ..StoreOptions::default() };
    let (mut store, ..) = open_with(dir.path(), options()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for _ in 0..9 {
        model.put(&mut store, 1, "text");
    }
    assert_eq!(store.trim_step().unwrap(), 0, "nothing is checkpointed");
    store.checkpoint_step(4).unwrap();
    assert!(store.trim_step().unwrap() > 0);
    let oldest = store.oldest();
    assert_eq!(oldest, store.figures().checkpoint + 1);
    let mut reader = store.reader().unwrap();
    match reader.history(oldest - 1, &[], None, 1 << 20, &mut Vec::new()) {
        Err(StoreError::TooOld { from, oldest: found }) => {
            assert_eq!((from, found), (oldest - 1, oldest));
        }
        other => panic!("{other:?}"),
    }
    reader.history(oldest, &[], None, 1 << 20, &mut Vec::new()).unwrap();
    checkpoint_all(&mut store);
    while store.trim_step().unwrap() > 0 {}
    assert_eq!((store.oldest(), store.figures().log_bytes), (model.newest + 1, 0));
    drop((reader, store));

    let (mut store, recovered, rows) = open_with(dir.path(), options()).unwrap();
    model.assert_recovered(&recovered, &rows);
    model.put(&mut store, 1, "goes on");
    assert_eq!(store.reader().unwrap().span().unwrap(), (model.newest, model.newest));
    drop(store);
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn the_log_is_trimmed_by_size_alone_too() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { log_keep_bytes: 5_000, ..StoreOptions::default() };
    let (mut store, ..) = open_with(dir.path(), options).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for _ in 0..40 {
        model.put(&mut store, 1, "text");
    }
    checkpoint_all(&mut store);
    while store.trim_step().unwrap() > 0 {}
    let bytes = store.figures().log_bytes;
    assert!(bytes <= 5_000 && bytes > 4_000, "{bytes}");
    drop(store);
    let (_store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn stores_and_readers_go_to_other_threads() {
    fn send<T: Send>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    send(&store);
    // A reader that follows while the writer commits, checkpoints and trims nothing.
    let mut reader = store.reader().unwrap();
    let follower = std::thread::spawn(move || {
        let (mut at, mut words) = (1, Vec::new());
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while at <= 301 && std::time::Instant::now() < deadline {
            at = reader.history(at, &[], None, 5_000, &mut words).unwrap().through + 1;
        }
        words
    });
    for i in 0..300 {
        model.put(&mut store, 1, "text");
        if i % 10 == 0 {
            store.checkpoint_step(20).unwrap();
        }
    }
    let expected: Vec<u64> = model.log.iter().flat_map(|(_, record)| record.clone()).collect();
    assert!(follower.join().unwrap() == expected);
}

#[test]
fn a_group_too_large_for_one_value_is_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, ..) = open(dir.path()).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    // Around the length from which on it is written in another way, and far beyond.
    for length in (261_000..262_200).step_by(8).chain([3_000_000]) {
        model.put(&mut store, 1, &"x".repeat(length));
        while length < 262_100 && store.checkpoint_step(100).unwrap() > 0 {}
    }
    let pages = store.limit_pages(1).unwrap();
    let built = model.clone().build(1, &[vec![put(1, model.next_birth, &"y".repeat(2_000_000))]]);
    let error = store.commit(&built.group()).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    store.limit_pages(u32::MAX - 1).unwrap();
    assert!(pages > 0);
    model.put(&mut store, 1, &"z".repeat(2_000_000));
    drop(store);
    let (mut store, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
    let report = store.reader().unwrap().snapshot(|_| ()).unwrap();
    assert_eq!(report.fault_count, 0);
    while store.checkpoint_step(100).unwrap() > 0 {}
}
