//! Random work against a model: groups, checkpoint steps, trims, clean and unclean ends. Whatever
//! the order, recovery delivers the model, and the log its records.
#![allow(missing_docs, reason = "tests")]

mod common;

use common::*;
use proptest::prelude::*;
use shmirror_store::{StoreError, StoreOptions};

#[derive(Clone, Debug)]
enum Step {
    /// Transactions of one group, as (what, pick, text length) triples.
    Commit(Vec<Vec<(u8, usize, usize)>>),
    Schema(Vec<u32>),
    Checkpoint(usize),
    Trim,
    Close,
    Drop,
    /// The files as they are now, opened elsewhere.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let change = (0u8..4, any::<usize>(), 0usize..300);
    let transaction = proptest::collection::vec(change, 1..6);
    prop_oneof![
        8 => proptest::collection::vec(transaction, 1..5).prop_map(Step::Commit),
        1 => proptest::collection::vec(1u32..5, 1..4).prop_map(Step::Schema),
        4 => (1usize..12).prop_map(Step::Checkpoint),
        1 => Just(Step::Trim),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
        2 => Just(Step::Crash),
    ]
}

/// Turns triples into changes that are possible in the model's state.
fn transactions(model: &Model, plan: &[Vec<(u8, usize, usize)>]) -> Vec<Vec<Change>> {
    let mut next = model.next_birth;
    let tables: Vec<u32> = model.catalogue.tables.iter().map(|t| t.id).collect();
    let mut live: Vec<(u64, u32)> = model.rows.iter().map(|(b, (t, ..))| (*b, *t)).collect();
    let mut all = Vec::new();
    for changes in plan {
        let mut used = Vec::new();
        let mut transaction = Vec::new();
        for &(what, pick, length) in changes {
            let chosen = (!live.is_empty()).then(|| live[pick % live.len()]);
            let text = "t".repeat(length);
            match chosen {
                Some((birth, table)) if what < 2 && !used.contains(&birth) => {
                    used.push(birth);
                    let key = birth as i64;
                    if what == 0 {
                        live.retain(|(b, _)| *b != birth);
                        transaction.push(Change::Delete { table, birth, key });
                    } else {
                        transaction.push(Change::Put { table, birth, key, text });
                    }
                }
                _ => {
                    let (birth, table) = (next, tables[pick % tables.len()]);
                    next += 1;
                    used.push(birth);
                    live.push((birth, table));
                    transaction.push(Change::Put { table, birth, key: birth as i64, text });
                }
            }
        }
        all.push(transaction);
    }
    all
}

fn options() -> StoreOptions {
    let synchronous = shmirror_store::Synchronous::Normal; // no power is lost here
    StoreOptions { log_keep_bytes: 4_000, synchronous, ..StoreOptions::default() }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..ProptestConfig::default()
    })]

    #[test]
    fn recovery_delivers_the_model(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let mut model = Model::default();
        let (store, ..) = open_with(dir.path(), options()).unwrap();
        let mut store = Some(store);
        let mut generation = 1;
        model.commit(store.as_mut().unwrap(), &[vec![Change::Schema(vec![1, 2])]]);
        for step in steps {
            let open_store = store.as_mut().unwrap();
            match step {
                Step::Commit(plan) => {
                    let transactions = transactions(&model, &plan);
                    model.commit(open_store, &transactions);
                }
                Step::Schema(places) => {
                    // Some of the tables stay, one is new: table ids are never used again.
                    let known = model.catalogue.tables.iter().map(|t| t.id);
                    let mut tables: Vec<u32> = (1..)
                        .zip(known)
                        .filter_map(|(place, id)| places.contains(&place).then_some(id))
                        .collect();
                    tables.push(10 + model.catalogue.schema_version as u32);
                    model.commit(open_store, &[vec![Change::Schema(tables)]]);
                }
                Step::Checkpoint(rows) => {
                    open_store.checkpoint_step(rows).unwrap();
                }
                Step::Trim => {
                    open_store.trim_step().unwrap();
                }
                Step::Close | Step::Drop => {
                    let closed = store.take().unwrap();
                    if matches!(step, Step::Close) {
                        closed.close().unwrap();
                    } else {
                        drop(closed);
                    }
                    let (again, recovered, rows) = open_with(dir.path(), options()).unwrap();
                    model.assert_recovered(&recovered, &rows);
                    generation += 1;
                    prop_assert_eq!(recovered.generation, generation);
                    store = Some(again);
                }
                Step::Crash => {
                    let copy = crash_copy(dir.path());
                    let (mut copied, recovered, rows) = open_with(copy.path(), options()).unwrap();
                    model.assert_recovered(&recovered, &rows);
                    // What was begun goes on there.
                    while copied.checkpoint_step(100).unwrap() > 0 {}
                    prop_assert_eq!(copied.figures().rows, model.rows.len() as u64);
                    drop(copied);
                    let (_, recovered, rows) = open_with(copy.path(), options()).unwrap();
                    model.assert_recovered(&recovered, &rows);
                }
            }
        }
        let store = store.unwrap();
        let mut reader = store.reader().unwrap();
        let (oldest, newest) = reader.span().unwrap();
        prop_assert_eq!(newest, model.newest);
        let mut words = Vec::new();
        if oldest <= newest {
            let history = reader.history(oldest, &[], None, usize::MAX / 2, &mut words).unwrap();
            prop_assert_eq!(history.through, newest);
        }
        let expected: Vec<u64> = model
            .log
            .iter()
            .filter(|(revision, _)| *revision >= oldest)
            .flat_map(|(_, record)| record.clone())
            .collect();
        prop_assert!(words == expected);
        let too_old = reader.history(oldest - 1, &[], None, 0, &mut words);
        if oldest > 1 {
            let named = matches!(too_old, Err(StoreError::TooOld { .. }));
            prop_assert!(named);
        }
        let mut rows = Rows::new();
        let report = reader.snapshot(|row| {
            let values = row.image.to_values().unwrap();
            rows.insert(row.birth, (row.table, row.revision, values));
        }).unwrap();
        prop_assert_eq!(report.fault_count, 0);
        prop_assert!(rows == model.rows);
    }
}
