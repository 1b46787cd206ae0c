//! Loom models of the latch: every interleaving and every stale value that the memory model allows,
//! within a bound. Each weakened copy drops one step of the protocol and must fail: it shows that
//! the models can see what the step is for.
//!
//! A version's words all hold the version's number, so a torn or wrong copy is seen at once.

use loom::sync::Arc;
use loom::thread;

use super::*;

const W: usize = 2;

fn model(f: impl Fn() + Sync + Send + 'static) {
    bounded(3, f);
}

fn bounded(preemptions: usize, f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

fn fresh(extra: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..latch_words(W) + extra).map(|_| AtomicU64::new(0)).collect())
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
    let found = copy(latch.version(entry.version()));
    latch.holds(entry).then(|| {
        assert_eq!(found, [entry.version(); W]);
        entry.version()
    })
}

#[test]
fn newest_is_whole_while_three_versions_are_written() {
    model(|| {
        let words = fresh(0);
        let theirs = words.clone();
        let writer = thread::spawn(move || (1..=3).for_each(|n| write(&theirs, n)));
        read_newest(&words);
        writer.join().unwrap();
        assert_eq!(read_newest(&words), Some(3));
    });
}

#[test]
fn two_readers_see_whole_versions() {
    bounded(2, || {
        let words = fresh(0);
        write(&words, 1);
        let (first, second) = (words.clone(), words.clone());
        let readers = [first, second].map(|words| thread::spawn(move || _ = read_newest(&words)));
        (2..=3).for_each(|n| write(&words, n));
        readers.into_iter().for_each(|r| r.join().unwrap());
    });
}

#[test]
fn a_reader_never_goes_back() {
    bounded(2, || {
        let words = fresh(0);
        write(&words, 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || (2..=3).for_each(|n| write(&theirs, n)));
        if let (Some(one), Some(two)) = (read_newest(&words), read_newest(&words)) {
            assert!(one <= two);
        }
        writer.join().unwrap();
    });
}

#[test]
fn the_version_before_is_whole_or_refused() {
    model(|| {
        let words = fresh(0);
        (1..=2).for_each(|n| write(&words, n));
        let theirs = words.clone();
        let writer = thread::spawn(move || (3..=4).for_each(|n| write(&theirs, n)));
        let latch = latch(&words);
        let entry = latch.enter();
        let found = copy(latch.version(entry.version() - 1));
        if latch.holds_previous(entry) {
            assert_eq!(found, [entry.version() - 1; W]);
        }
        writer.join().unwrap();
    });
}

/// A version refers to a block, which is reused for something else once the version was overwritten.
#[test]
fn a_block_is_reused_only_after_its_version() {
    model(|| {
        let words = fresh(3); // three blocks of one word behind the latch
        let block = latch_words(W);
        let put = |words: &[AtomicU64], n: u64, at: usize| {
            words[at].store(n * 100, Ordering::Relaxed);
            latch(words).write(|v| {
                v[0].store(n, Ordering::Relaxed);
                v[1].store(at as u64, Ordering::Relaxed);
            });
        };
        put(&words, 1, block);
        put(&words, 2, block + 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || {
            put(&theirs, 3, block + 2); // version 1 is overwritten: its block is free
            put(&theirs, 4, block); // and is used again
        });
        let latch = latch(&words);
        let entry = latch.enter();
        let [n, at] = copy(latch.version(entry.version()));
        if latch.holds(entry) {
            let content = words[at as usize].load(Ordering::Relaxed);
            if latch.holds(entry) {
                assert_eq!((n, content), (entry.version(), n * 100));
            }
        }
        writer.join().unwrap();
    });
}

#[test]
#[should_panic]
fn weakened_without_the_second_look() {
    model(|| {
        let words = fresh(0);
        write(&words, 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || (2..=3).for_each(|n| write(&theirs, n)));
        let latch = latch(&words);
        let entry = latch.enter();
        let found = copy(latch.version(entry.version()));
        assert_eq!(found, [entry.version(); W]);
        writer.join().unwrap();
    });
}

#[test]
#[should_panic]
fn weakened_without_the_readers_fence() {
    model(|| {
        let words = fresh(0);
        write(&words, 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || (2..=3).for_each(|n| write(&theirs, n)));
        let latch = latch(&words);
        let entry = latch.enter();
        let found = copy(latch.version(entry.version()));
        let seq = latch.seq.load(Ordering::Relaxed);
        if seq.wrapping_sub(entry.version() << 1) <= 2 {
            assert_eq!(found, [entry.version(); W]);
        }
        writer.join().unwrap();
    });
}

#[test]
#[should_panic]
fn weakened_without_the_writers_fence() {
    model(|| {
        let words = fresh(0);
        write(&words, 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || {
            let latch = latch(&theirs);
            for n in 1..=2 {
                latch.seq.store(2 * n + 1, Ordering::Relaxed);
                latch.version(n + 1).iter().for_each(|w| w.store(n + 1, Ordering::Relaxed));
                latch.seq.store(2 * n + 2, Ordering::Release);
            }
        });
        read_newest(&words);
        writer.join().unwrap();
    });
}

/// The first store of a write as a relaxed one, the fence behind it: a reader that sees only 2n+1 is
/// owed nothing of version n.
#[test]
#[should_panic]
fn weakened_first_store_relaxed() {
    model(|| {
        let words = fresh(0);
        write(&words, 1);
        let theirs = words.clone();
        let writer = thread::spawn(move || {
            let latch = latch(&theirs);
            for n in 1..=3 {
                latch.seq.store(2 * n + 1, Ordering::Relaxed);
                fence(Ordering::Release);
                latch.version(n + 1).iter().for_each(|w| w.store(n + 1, Ordering::Relaxed));
                latch.seq.store(2 * n + 2, Ordering::Release);
            }
        });
        read_newest(&words);
        writer.join().unwrap();
    });
}

#[test]
#[should_panic]
fn weakened_version_before_taken_during_a_write() {
    model(|| {
        let words = fresh(0);
        (1..=2).for_each(|n| write(&words, n));
        let theirs = words.clone();
        let writer = thread::spawn(move || write(&theirs, 3));
        let latch = latch(&words);
        let entry = latch.enter();
        let found = copy(latch.version(entry.version() - 1));
        if latch.holds(entry) {
            assert_eq!(found, [entry.version() - 1; W]);
        }
        writer.join().unwrap();
    });
}
