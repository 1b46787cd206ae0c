//! Loom models of the latch. A version's words all hold the version's number, so a torn or wrong copy
//! is seen at once.

use loom::thread;
use std::sync::Arc;

use super::*;
use crate::models::{Seen, explore, seen, weaken_each};

const W: usize = 2;

fn fresh(extra: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..latch_words(W) + extra).map(|_| AtomicU64::new(0)).collect())
}

fn spawn(words: &Arc<Vec<AtomicU64>>, read: fn(&[AtomicU64])) -> thread::JoinHandle<()> {
    let words = words.clone();
    thread::spawn(move || read(&words))
}

fn latch(words: &[AtomicU64]) -> Latch<'_> {
    Latch::new(&words[..latch_words(W)], W).unwrap()
}

fn write(words: &[AtomicU64], number: u64) {
    latch(words).write(|v| v.iter().for_each(|w| w.store(number, Ordering::Relaxed)));
}

fn copy(words: &[AtomicU64]) -> [u64; W] {
    [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)]
}

/// Reads the newest version once; what it believes must be whole and that version's.
fn read_newest(words: &[AtomicU64]) -> Option<u64> {
    let latch = latch(words);
    let entry = latch.enter();
    if entry.version() == 0 {
        return None;
    }
    let found = copy(latch.newest(entry));
    latch.holds(entry).then(|| {
        assert_eq!(found, [entry.version(); W], "a torn or stale copy");
        entry.version()
    })
}

fn newest_while_three_are_written() {
    let words = fresh(0);
    let reader = spawn(&words, |words| _ = read_newest(words));
    (1..=3).for_each(|n| write(&words, n));
    reader.join().unwrap();
    assert_eq!(read_newest(&words), Some(3));
}

fn two_readers() {
    let words = fresh(0);
    write(&words, 1);
    let readers = [(); 2].map(|()| spawn(&words, |words| _ = read_newest(words)));
    write(&words, 2);
    readers.into_iter().for_each(|r| r.join().unwrap());
}

fn never_back() {
    let words = fresh(0);
    write(&words, 1);
    let reader = spawn(&words, |words| {
        if let (Some(one), Some(two)) = (read_newest(words), read_newest(words)) {
            assert!(one <= two);
        }
    });
    (2..=3).for_each(|n| write(&words, n));
    reader.join().unwrap();
}

fn the_version_before() {
    let words = fresh(0);
    (1..=2).for_each(|n| write(&words, n));
    let reader = spawn(&words, |words| {
        let latch = latch(words);
        let entry = latch.enter();
        let found = copy(latch.previous());
        if latch.holds_previous(entry) {
            assert_eq!(found, [entry.version() - 1; W], "a torn or stale copy");
        }
    });
    (3..=4).for_each(|n| write(&words, n));
    reader.join().unwrap();
}

/// A version refers to a block, which is used for something else once the version was overwritten in the back.
fn a_block_is_reused() {
    let words = fresh(3); // three blocks of one word behind the latch
    let reused = 1000;
    let block = latch_words(W);
    let put = |n: u64, at: usize| {
        words[at].store(n * 100, Ordering::Relaxed);
        latch(&words).write(|v| {
            v[0].store(n, Ordering::Relaxed);
            v[1].store(at as u64, Ordering::Relaxed);
        });
    };
    put(1, block);
    let reader = spawn(&words, |words| {
        let latch = latch(words);
        let entry = latch.enter();
        let [n, at] = copy(latch.newest(entry));
        if latch.holds(entry) {
            let content = words[at as usize].load(Ordering::Relaxed);
            if latch.holds(entry) {
                assert_eq!((n, content), (entry.version(), n * 100), "another's block");
            }
        }
    });
    put(2, block + 1);
    put(3, block + 2); // version 2 was written over version 1, whose block is free
    words[block].store(reused, Ordering::Relaxed);
    reader.join().unwrap();
}

/// The mapping turns to zeros, first where the reader looks last.
fn the_mapping_is_vacated() {
    let words = fresh(0);
    write(&words, 1);
    let reader = spawn(&words, |words| _ = read_newest(words));
    words[0].store(0, Ordering::Relaxed);
    crate::sync::fence(Ordering::Release);
    words.iter().for_each(|w| w.store(0, Ordering::Relaxed));
    reader.join().unwrap();
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::LatchBegin, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchBeginFence, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchKept, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchKeptFence, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchEnd, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchEnterFence, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchBeginFence, 3, a_block_is_reused, "another's block"),
    seen(Pillar::LatchHolds, 3, a_block_is_reused, "another's block"),
    seen(Pillar::LatchHoldsFence, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchHolds, 3, newest_while_three_are_written, "a torn or stale copy"),
    seen(Pillar::LatchWraps, 3, the_mapping_is_vacated, "a torn or stale copy"),
    seen(Pillar::LatchBeforeFence, 3, the_version_before, "a torn or stale copy"),
    seen(Pillar::LatchBefore, 3, the_version_before, "a torn or stale copy"),
    seen(Pillar::LatchBeforeQuiet, 3, the_version_before, "a torn or stale copy"),
];

#[test]
fn newest_is_whole_while_three_versions_are_written() {
    explore(3, newest_while_three_are_written);
}

#[test]
fn two_readers_see_whole_versions() {
    explore(2, two_readers);
}

#[test]
fn a_reader_never_goes_back() {
    explore(2, never_back);
}

#[test]
fn the_version_before_is_whole_or_refused() {
    explore(3, the_version_before);
}

#[test]
fn a_block_is_reused_only_after_its_version() {
    explore(3, a_block_is_reused);
}

#[test]
fn a_vacated_mapping_is_refused() {
    explore(3, the_mapping_is_vacated);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
