//! Waiting on a shared word: futexes between processes, and their stand-in for the models.
//!
//! A wake is a hint: whoever returns from [`wait`] looks again at what it waits for. A waiter on a
//! page that it may only read is served as well, and can also steal a wake that was meant for one,
//! so wakers of such words wake all.

use core::time::Duration;

#[cfg(not(loom))]
use crate::sync::AtomicU32;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Somebody woke us (or nobody did: wakes can be spurious).
    Woken,
    /// The time is up.
    TimedOut,
    /// The word did not hold the expected value, so there was no wait.
    Changed,
}

/// Every waiter of a word, for [`wake`].
pub const ALL: u32 = i32::MAX as u32;

/// Sleeps while `word` holds `expected`, until woken or for as long as `timeout` says. A signal does
/// not end the wait. Never fails: an error of the system call is told as a spurious wake.
#[cfg(not(loom))]
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Waited {
    use rustix::io::Errno;
    use rustix::thread::futex;
    use std::time::Instant;

    let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
    let mut left = timeout;
    loop {
        let relative = left.and_then(|t| t.try_into().ok());
        match futex::wait(word, futex::Flags::empty(), expected, relative.as_ref()) {
            Ok(()) => return Waited::Woken,
            Err(Errno::AGAIN) => return Waited::Changed,
            Err(Errno::TIMEDOUT) => return Waited::TimedOut,
            Err(Errno::INTR) => {
                left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                if left == Some(Duration::ZERO) {
                    return Waited::TimedOut;
                }
            }
            Err(_) => return Waited::Woken,
        }
    }
}

/// Wakes up to `count` waiters of `word`, in whatever process; how many there were.
#[cfg(not(loom))]
pub fn wake(word: &AtomicU32, count: u32) -> usize {
    use rustix::thread::futex;
    futex::wake(word, futex::Flags::empty(), count).unwrap_or(0)
}

#[cfg(loom)]
pub use model::{wait, wake};

/// A futex for loom: one bucket for all words, no timeouts, so that a lost wake is a deadlock, which
/// loom reports.
#[cfg(loom)]
mod model {
    use super::{Duration, Waited};
    use crate::sync::{AtomicU32, Ordering};

    loom::lazy_static! {
        static ref BUCKET: (loom::sync::Mutex<()>, loom::sync::Condvar) =
            (loom::sync::Mutex::new(()), loom::sync::Condvar::new());
    }

    /// Sleeps until woken, if `word` holds `expected` at this moment.
    pub fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) -> Waited {
        let bucket = BUCKET.0.lock().expect("no model thread panics with the bucket held");
        if word.load(Ordering::SeqCst) != expected {
            return Waited::Changed;
        }
        drop(BUCKET.1.wait(bucket));
        Waited::Woken
    }

    /// Wakes one waiter, so in a model that wakes one all wait for the same word; or every waiter of
    /// every word, which is more than asked for, as a futex may do too.
    pub fn wake(_word: &AtomicU32, count: u32) -> usize {
        drop(BUCKET.0.lock());
        if count == 1 {
            BUCKET.1.notify_one()
        } else {
            BUCKET.1.notify_all()
        }
        0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::Ordering;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn a_changed_word_is_not_waited_for() {
        assert_eq!(wait(&AtomicU32::new(1), 0, None), Waited::Changed);
    }

    #[test]
    fn a_wait_ends_at_its_time() {
        let start = Instant::now();
        let limit = Duration::from_millis(15);
        assert_eq!(wait(&AtomicU32::new(0), 0, Some(limit)), Waited::TimedOut);
        assert!(start.elapsed() >= limit, "{:?}", start.elapsed());
    }

    #[test]
    fn a_waker_is_heard() {
        let word = Arc::new(AtomicU32::new(0));
        let waiter = {
            let word = word.clone();
            std::thread::spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(20);
                while word.load(Ordering::Acquire) == 0 && Instant::now() < deadline {
                    wait(&word, 0, Some(Duration::from_secs(20)));
                }
                Instant::now() < deadline
            })
        };
        word.store(1, Ordering::Release);
        wake(&word, ALL);
        assert!(waiter.join().expect("the waiter does not panic"));
    }
}
