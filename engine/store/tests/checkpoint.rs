//! The checkpoint, from what is known of the log's tail and from the log alone.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::*;
use rusqlite::Connection;
use shmirror_store::{STORE_FILE, Store, StoreError};

/// A store of one table with this many rows, all in table `row`.
fn checkpointed(dir: &std::path::Path, rows: u64) -> (Store, Model) {
    let (mut store, ..) = open(dir).unwrap();
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    for _ in 0..rows {
        model.put(&mut store, 1, "first");
    }
    finish(&mut store);
    (store, model)
}

fn finish(store: &mut Store) {
    while store.checkpoint_step(7).unwrap() > 0 {}
    let figures = store.figures();
    assert_eq!(
        (figures.checkpoint, figures.dirty_rows, figures.dirty_bytes),
        (figures.newest, 0, 0)
    );
}

fn put(birth: u64, text: &str) -> Change {
    Change::Put { table: 1, birth, key: birth as i64, text: text.into() }
}

/// Breaks the seal of the group that begins at `first`.
fn break_group(store: &Store, first: u64) {
    let conn = Connection::open(store.path()).unwrap();
    let sql = "UPDATE commit_log SET sealed = zeroblob(length(sealed)) WHERE first_revision = ?1";
    assert_eq!(conn.execute(sql, [first as i64]).unwrap(), 1);
}

#[test]
fn a_group_whose_rows_were_all_written_again_is_passed_unopened() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut model) = checkpointed(dir.path(), 3);
    let first = model.newest + 1;
    for text in ["a", "b", "c"] {
        model.commit(&mut store, &[(1..=3).map(|birth| put(birth, text)).collect()]);
    }
    break_group(&store, first);
    break_group(&store, first + 1);
    assert_eq!(store.checkpoint_step(100).unwrap(), 9);
    finish(&mut store);
    drop(store);
    let (_, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn a_group_that_has_the_newest_of_one_row_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut model) = checkpointed(dir.path(), 3);
    let first = model.newest + 1;
    model.commit(&mut store, &[(1..=3).map(|birth| put(birth, "a")).collect()]);
    model.commit(&mut store, &[(2..=3).map(|birth| put(birth, "b")).collect()]);
    break_group(&store, first);
    let before = store.figures();
    let error = store.checkpoint_step(100).unwrap_err();
    assert!(matches!(error, StoreError::BadSeal { .. }), "{error}");
    assert_eq!(store.figures(), before);
    // Until that one was written again as well.
    model.commit(&mut store, &[vec![put(1, "c")]]);
    finish(&mut store);
    drop(store);
    let (_, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

#[test]
fn a_deleted_row_leaves_through_the_group_that_deleted_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, mut model) = checkpointed(dir.path(), 2);
    model.commit(&mut store, &[vec![put(1, "again")]]);
    model.commit(&mut store, &[vec![Change::Delete { table: 1, birth: 1, key: 1 }]]);
    assert_eq!(store.figures().rows, 2);
    finish(&mut store);
    assert_eq!(store.figures().rows, 1);
    drop(store);
    let (_, recovered, rows) = open(dir.path()).unwrap();
    model.assert_recovered(&recovered, &rows);
}

/// Slot and revision of each row in table `row`.
fn slots(dir: &std::path::Path) -> Vec<(i64, i64)> {
    let conn = Connection::open(dir.join(STORE_FILE)).unwrap();
    let mut all = conn.prepare("SELECT slot, revision FROM row ORDER BY slot").unwrap();
    let found = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

/// Two stores with the same history. One was never closed, so it knows the tail; the other is opened anew before
/// each checkpoint, and has the log alone.
#[test]
fn what_is_known_of_the_tail_changes_nothing_of_what_is_written() {
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for rows in [1, 4, 30] {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (mut knows, mut model) = checkpointed(dirs[0].path(), rows);
        let (mut opens, mut other) = checkpointed(dirs[1].path(), rows);
        for round in 0..25 {
            for _ in 0..below(12) {
                let mut transactions = vec![];
                for _ in 0..=below(3) {
                    let births = (1..=rows).filter(|_| below(3) == 0).collect::<Vec<_>>();
                    let text = format!("of round {round}");
                    transactions.push(births.iter().map(|&birth| put(birth, &text)).collect());
                }
                transactions.retain(|transaction: &Vec<Change>| !transaction.is_empty());
                if !transactions.is_empty() {
                    model.commit(&mut knows, &transactions);
                    other.commit(&mut opens, &transactions);
                }
            }
            for _ in 0..below(3) {
                knows.checkpoint_step(1 + below(6) as usize).unwrap();
            }
            drop(opens);
            let (opened, recovered, found) = open(dirs[1].path()).unwrap();
            other.assert_recovered(&recovered, &found);
            opens = opened;
            if round % 5 == 4 {
                finish(&mut knows);
                finish(&mut opens);
                assert_eq!(slots(dirs[0].path()), slots(dirs[1].path()), "round {round}");
            }
        }
        drop(knows);
        let (_, recovered, found) = open(dirs[0].path()).unwrap();
        model.assert_recovered(&recovered, &found);
    }
}
