//! Loom models of a lookup while the index is replaced and its memory used for something else.
//!
//! A space of words: index A, index B, and slots of one word that hold the key.

use loom::sync::Arc;
use loom::thread;

use super::*;

const A: u64 = 8 * 4;
const B: u64 = 8 * 6;
const HASH: u64 = 0x5A << 56;
const KEY: u64 = 77;
/// Slots at words 1 and 2 (0 is no slot): the key's, and one that garbage points to.
const SLOT: u64 = 8;
const WRONG: u64 = 16;

struct Model {
    index: AtomicU64,
    words: Vec<AtomicU64>,
}

fn fresh() -> Arc<Model> {
    let words: Vec<_> = (0..8).map(|_| AtomicU64::new(0)).collect();
    words[1].store(KEY, Ordering::Relaxed);
    words[2].store(KEY, Ordering::Relaxed); // garbage may well look like the key
    let model = Arc::new(Model { index: AtomicU64::new(0), words });
    insert(at(&model, A), HASH, SLOT);
    model.index.store(IndexRef::new(A, 1, 1).0, Ordering::Release);
    model
}

fn at(model: &Model, offset: u64) -> &[AtomicU64] {
    &model.words[offset as usize / 8..offset as usize / 8 + 2]
}

fn read(model: &Model) -> Result<Option<u64>, ReadError> {
    lookup(&model.words[..], &model.index, HASH, |slot| {
        Ok((model.words[slot as usize / 8].load(Ordering::Relaxed) == KEY).then_some(slot))
    })
}

/// Swaps to index B and uses A's memory for something that looks like an index to other slots.
fn replace(model: &Model, fenced: bool) {
    insert(at(model, B), HASH, SLOT);
    model.index.store(IndexRef::new(B, 1, 2).0, Ordering::Release);
    if fenced {
        fence(Ordering::Release);
    }
    for word in at(model, A) {
        word.store(entry(HASH, WRONG), Ordering::Relaxed);
    }
}

fn check(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[test]
fn a_key_is_found_while_its_index_is_replaced_and_reused() {
    check(|| {
        let model = fresh();
        let theirs = model.clone();
        let writer = thread::spawn(move || replace(&theirs, true));
        assert_eq!(read(&model), Ok(Some(SLOT)));
        writer.join().unwrap();
    });
}

#[test]
#[should_panic]
fn weakened_without_the_fence_after_the_swap() {
    check(|| {
        let model = fresh();
        let theirs = model.clone();
        let writer = thread::spawn(move || replace(&theirs, false));
        assert_eq!(read(&model), Ok(Some(SLOT)));
        writer.join().unwrap();
    });
}

#[test]
fn a_dropped_table_says_so() {
    check(|| {
        let model = fresh();
        let theirs = model.clone();
        let writer = thread::spawn(move || {
            theirs.index.store(0, Ordering::Release);
            fence(Ordering::Release);
            at(&theirs, A).iter().for_each(|w| w.store(0, Ordering::Relaxed));
        });
        let found = read(&model);
        assert!(found == Ok(Some(SLOT)) || found == Err(ReadError::Moved), "{found:?}");
        writer.join().unwrap();
    });
}

/// The slot's word is written before the entry: whoever finds an inserted row sees the row.
#[test]
fn an_inserted_row_is_seen_whole() {
    check(|| {
        let model = fresh();
        model.words[2].store(0, Ordering::Relaxed);
        let theirs = model.clone();
        let writer = thread::spawn(move || {
            theirs.words[2].store(KEY + 1, Ordering::Relaxed);
            insert(at(&theirs, A), HASH, WRONG);
        });
        let found = lookup(&model.words[..], &model.index, HASH, |slot| {
            let key = model.words[slot as usize / 8].load(Ordering::Relaxed);
            assert_ne!(key, 0, "an entry to a row that is not there yet");
            Ok((key == KEY + 1).then_some(slot))
        });
        assert!(found == Ok(None) || found == Ok(Some(WRONG)));
        writer.join().unwrap();
    });
}
