//! Models of the robust mutex: who holds it is alone, who sleeps is woken, who dies is followed.
//!
//! What the kernel does at the death of a thread whose `list_op_pending` points at the word is written
//! out in [`die`].

use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

use crate::futex;
use crate::models::{Seen, explore, seen, weaken_each};
use crate::mutex::{acquire, release};
use crate::pillar::Pillar;
use crate::sync::{AtomicU32, Ordering};

const TID: u32 = 0x3FFF_FFFF;
const OWNER_DIED: u32 = 0x4000_0000;
const WAITERS: u32 = 0x8000_0000;

/// The word, and what it guards: loom refuses two who are not ordered.
struct Guarded {
    word: AtomicU32,
    guarded: UnsafeCell<u32>,
}

// SAFETY: the cell is touched under the word only, which is what the models look at.
unsafe impl Send for Guarded {}
// SAFETY: as above.
unsafe impl Sync for Guarded {}

fn fresh() -> Arc<Guarded> {
    Arc::new(Guarded { word: AtomicU32::new(0), guarded: UnsafeCell::new(0) })
}

fn lock(word: &AtomicU32, tid: u32) -> bool {
    acquire(word, tid, |expected| {
        futex::wait(word, expected, None);
        true
    })
    .expect("the model never gives up")
}

fn hold(shared: &Guarded, tid: u32) -> bool {
    let recovered = lock(&shared.word, tid);
    // SAFETY: the lock is held, and loom looks whether that orders us with the holder before.
    shared.guarded.with_mut(|count| unsafe { *count += 1 });
    release(&shared.word);
    recovered
}

/// The death of thread `tid` as the kernel handles it (`handle_futex_death` of
/// linux/kernel/futex/core.c, the case of a pending operation).
pub(super) fn die(word: &AtomicU32, tid: u32) {
    let found = word.load(Ordering::Relaxed);
    if found & TID == 0 {
        futex::wake(word, 1);
        return;
    }
    if found & TID != tid {
        return;
    }
    let died = word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |found| {
        Some((found & WAITERS) | OWNER_DIED)
    });
    if died.expect("always some") & WAITERS != 0 {
        futex::wake(word, 1);
    }
}

fn one_at_a_time() {
    let shared = fresh();
    let others = [1, 2].map(|tid| {
        let shared = shared.clone();
        thread::spawn(move || hold(&shared, tid))
    });
    hold(&shared, 3);
    others.into_iter().for_each(|t| assert!(!t.join().expect("no panic"), "nobody died"));
    // SAFETY: all others are done.
    assert_eq!(shared.guarded.with(|count| unsafe { *count }), 3);
}

fn a_holder_dies() {
    let shared = fresh();
    let waiters = [1, 2].map(|tid| {
        let shared = shared.clone();
        thread::spawn(move || hold(&shared, tid))
    });
    lock(&shared.word, 3);
    die(&shared.word, 3);
    let recovered = waiters.into_iter().map(|w| w.join().expect("no panic"));
    let recovered = recovered.filter(|r| *r).count();
    // The next holder alone learns of it, unless 3 came last.
    let left = shared.word.load(Ordering::Relaxed);
    assert_eq!(left & TID, 0);
    assert_eq!(recovered, usize::from(left & OWNER_DIED == 0));
}

/// One of the two who sleep is killed when it is woken, before it has the word.
fn a_woken_one_dies() {
    let shared = fresh();
    lock(&shared.word, 3);
    let doomed = {
        let shared = shared.clone();
        thread::spawn(move || {
            let taken = acquire(&shared.word, 1, |expected| {
                futex::wait(&shared.word, expected, None);
                false
            });
            match taken {
                Ok(_) => release(&shared.word),
                Err(_) => die(&shared.word, 1),
            }
        })
    };
    let waiter = {
        let shared = shared.clone();
        thread::spawn(move || _ = hold(&shared, 2))
    };
    die(&shared.word, 3);
    hold(&shared, 4);
    doomed.join().expect("no panic");
    waiter.join().expect("no panic");
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::MutexTake, 2, one_at_a_time, "Causality violation"),
    seen(Pillar::MutexTakeOver, 2, one_at_a_time, "Causality violation"),
    seen(Pillar::MutexGive, 2, one_at_a_time, "Causality violation"),
    seen(Pillar::MutexSays, 2, one_at_a_time, "deadlock"),
    seen(Pillar::MutexSlept, 2, one_at_a_time, "deadlock"),
    seen(Pillar::MutexKeeps, 3, a_woken_one_dies, "deadlock"),
    seen(Pillar::MutexWakes, 2, one_at_a_time, "deadlock"),
];

#[test]
fn one_holds_it_at_a_time() {
    explore(2, one_at_a_time);
}

#[test]
fn a_dead_holder_is_recovered_whether_somebody_sleeps_or_not() {
    explore(3, a_holder_dies);
}

#[test]
fn a_wake_is_not_lost_with_the_one_who_got_it() {
    explore(3, a_woken_one_dies);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
