//! The robust mutex of a requests lane: one futex word between processes that trust each other as
//! far as one uid does.
//!
//! ```text
//! word   0                       free
//!        TID                     held by the thread TID
//!        TID | WAITERS           held, and somebody may sleep: the unlock must wake
//!        OWNER_DIED [| WAITERS]  the holder died; free, and what it guards may be half done
//! ```
//! There is no pointer in shared memory. The kernel finds a dead holder's word through the thread's
//! own robust list (see `robust.rs`): its `list_op_pending` points at the word from
//! before the lock until after the unlock, so that
//! - a holder that is killed is marked OWNER_DIED, and one waiter is woken;
//! - a thread killed between the unlocking store and the wake, or a woken one killed before it took
//!   the lock, passes the wake on (the kernel wakes one if the word has no TID).
//!
//! Waiters still look again every 20 ms. A holder that is stopped, or a word that somebody scribbled
//! on, is no case for the kernel: the lock times out and names the TID it found.

use crate::futex;
use crate::pillar::Pillar;
use crate::sync::{AtomicU32, Ordering, spin_loop};

/// The part of the word that is the holder's thread id.
const TID: u32 = 0x3FFF_FFFF;
/// The holder died.
const OWNER_DIED: u32 = 0x4000_0000;
/// Somebody may sleep.
const WAITERS: u32 = 0x8000_0000;
/// Looks before each sleep.
const LOOKS: u32 = if cfg!(loom) { 0 } else { 8 };
/// Pauses before the first of them, and at most between two: whoever holds the lock is done with it the
/// sooner, the less often its line is taken away by who only looks.
const PAUSES: (u32, u32) = (16, 64);

/// Takes the lock for the thread `tid`; whether its last holder died. `pause` is to sleep while the
/// word has the given value, and says whether to go on; if not, the error is the holder's TID.
#[inline]
pub(crate) fn acquire(
    word: &AtomicU32,
    tid: u32,
    pause: impl FnMut(u32) -> bool,
) -> Result<bool, u32> {
    let take = Pillar::MutexTake.order(Ordering::Acquire);
    if word.compare_exchange(0, tid, take, Ordering::Relaxed).is_ok() {
        return Ok(false);
    }
    contend(word, tid, pause)
}

/// As [`acquire`], where the word was not simply free.
#[cold]
fn contend(word: &AtomicU32, tid: u32, mut pause: impl FnMut(u32) -> bool) -> Result<bool, u32> {
    let (mut looks, mut pauses) = (0, PAUSES.0);
    // Once we slept, others may sleep too, and only WAITERS makes our unlock wake one of them.
    let mut slept = 0;
    loop {
        let found = word.load(Ordering::Relaxed);
        let is_free = found & TID == 0;
        if is_free {
            let kept = if Pillar::MutexKeeps.stands() { found & WAITERS } else { 0 };
            let take = Pillar::MutexTakeOver.order(Ordering::Acquire);
            let taken = tid | kept | slept;
            if word.compare_exchange(found, taken, take, Ordering::Relaxed).is_ok() {
                return Ok(found & OWNER_DIED != 0);
            }
        }
        if looks < LOOKS {
            looks += 1;
            (0..pauses).for_each(|_| spin_loop());
            pauses = (2 * pauses).min(PAUSES.1);
            continue;
        }
        if is_free {
            spin_loop();
            continue;
        }
        let waited = if Pillar::MutexSays.stands() { found | WAITERS } else { found };
        if found != waited
            && word.compare_exchange(found, waited, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            continue;
        }
        if !pause(waited) {
            return Err(found & TID);
        }
        slept = if Pillar::MutexSlept.stands() { WAITERS } else { 0 };
        (looks, pauses) = (0, PAUSES.0);
    }
}

/// Gives the lock back, and wakes one waiter if there may be any.
pub(crate) fn release(word: &AtomicU32) {
    let waiters = word.swap(0, Pillar::MutexGive.order(Ordering::Release)) & WAITERS != 0;
    if waiters && Pillar::MutexWakes.stands() {
        futex::wake(word, 1);
    }
}

/// The thread that holds the lock at this moment, or 0.
#[cfg(not(loom))]
pub(crate) fn holder(word: &AtomicU32) -> u32 {
    word.load(Ordering::Relaxed) & TID
}

#[cfg(not(loom))]
pub use timed::{Guard, LockError, lock};

#[cfg(not(loom))]
mod timed {
    use core::marker::PhantomData;
    use core::time::Duration;
    use std::time::Instant;

    use super::{acquire, release};
    use crate::futex;
    use crate::robust::{self, Identity};
    use crate::sync::AtomicU32;

    /// Longest sleep between two looks at the word.
    const LOOK: Duration = Duration::from_millis(20);

    /// The lock was not to be had.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
    pub enum LockError {
        /// Not until the deadline.
        #[error("the lane's mutex is held by thread {holder}")]
        TimedOut {
            /// The holder's thread id, in its PID namespace.
            holder: u32,
        },
    }

    /// The lock is held until this is dropped, by the thread that took it: not `Send`. The word must
    /// stay mapped meanwhile, which its lifetime sees to.
    #[derive(Debug)]
    #[must_use = "the lock is given back when this is dropped"]
    pub struct Guard<'a> {
        word: &'a AtomicU32,
        identity: Identity,
        recovered: bool,
        here: PhantomData<*const ()>,
    }

    impl Guard<'_> {
        /// Whether the last holder died with the lock, so that what it guards may be half done.
        pub fn recovered(&self) -> bool {
            self.recovered
        }

        /// The process that holds it: ours.
        pub fn pid(&self) -> u32 {
            self.identity.pid()
        }
    }

    /// Takes the lock, waiting until `deadline`. A thread holds one such lock at a time, and takes no
    /// other robust mutex while it does: the kernel follows one of them only.
    ///
    /// # Errors
    /// Somebody holds it until then.
    pub fn lock(word: &AtomicU32, deadline: Instant) -> Result<Guard<'_>, LockError> {
        let identity = robust::identity();
        // Before the word can hold our TID, so that there is no moment at which we are killed
        // unnoticed.
        identity.watch(word);
        let taken = acquire(word, identity.tid(), |expected| {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            futex::wait(word, expected, Some(left.min(LOOK)));
            true
        });
        match taken {
            Ok(recovered) => Ok(Guard { word, identity, recovered, here: PhantomData }),
            Err(holder) => {
                identity.unwatch();
                Err(LockError::TimedOut { holder })
            }
        }
    }

    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            release(self.word);
            // After the wake: killed before it, the kernel wakes in our place.
            self.identity.unwatch();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::AtomicU64;
    use core::time::Duration;
    use std::sync::Arc;
    use std::time::Instant;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    #[test]
    fn one_at_a_time() {
        let shared = Arc::new((AtomicU32::new(0), AtomicU64::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let shared = shared.clone();
                std::thread::spawn(move || {
                    for _ in 0..5_000 {
                        let guard = lock(&shared.0, soon()).expect("nobody keeps it");
                        let n = shared.1.load(Ordering::Relaxed);
                        std::thread::yield_now();
                        shared.1.store(n + 1, Ordering::Relaxed);
                        drop(guard);
                    }
                })
            })
            .collect();
        for t in threads {
            t.join().expect("a thread that only counts");
        }
        assert_eq!(shared.1.load(Ordering::Relaxed), 20_000);
        assert_eq!(holder(&shared.0), 0);
    }

    #[test]
    fn a_held_lock_names_its_holder() {
        let word = AtomicU32::new(0);
        let guard = lock(&word, soon()).expect("a free lock");
        let tid = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let start = Instant::now();
        std::thread::scope(|s| {
            s.spawn(|| {
                let refused = lock(&word, Instant::now() + Duration::from_millis(60));
                assert_eq!(refused.err(), Some(LockError::TimedOut { holder: tid }));
            });
        });
        assert!(start.elapsed() >= Duration::from_millis(60));
        drop(guard);
        assert!(!lock(&word, soon()).expect("free again").recovered());
    }

    #[test]
    fn a_thread_that_ends_with_the_lock_is_recovered() {
        let word: &AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        for waiting in [false, true] {
            std::thread::scope(|s| {
                let (told, held) = std::sync::mpsc::channel();
                s.spawn(move || {
                    let guard = lock(word, soon()).expect("a free lock");
                    told.send(()).expect("the test listens");
                    let until = soon();
                    while waiting && word.load(Ordering::Relaxed) & WAITERS == 0 {
                        assert!(Instant::now() < until, "nobody waits");
                        std::thread::yield_now();
                    }
                    core::mem::forget(guard);
                });
                held.recv().expect("the holder tells");
                let guard = lock(word, soon()).expect("the kernel gives it back");
                assert!(guard.recovered(), "waiting: {waiting}");
            });
            assert!(!lock(word, soon()).expect("free").recovered());
        }
    }
}
