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

/// Whether looking at a word for a while can pay: there is another processor, whose thread may change it
/// meanwhile. That this thread has but one does not matter. Who looks for longer than some microseconds
/// yields its processor in between all the same: the other thread may be bound to the same one.
#[cfg(not(loom))]
pub fn may_look() -> bool {
    use std::sync::OnceLock;

    static SEVERAL: OnceLock<bool> = OnceLock::new();
    // SAFETY: it only asks; where the system does not know, it says -1.
    *SEVERAL.get_or_init(|| unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } > 1)
}

#[cfg(loom)]
pub use model::{wait, wake};

/// A futex for loom: no timeouts, so that a lost wake is a deadlock, which loom reports.
#[cfg(loom)]
mod model {
    use super::{Duration, Waited};
    use crate::sync::{AtomicU32, Ordering};
    use loom::sync::{Condvar, Mutex};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering as Plain};

    /// Who sleeps: the word's address, whether it was woken, and what it sleeps on.
    type Sleeper = (usize, Arc<AtomicBool>, Arc<Condvar>);

    loom::lazy_static! {
        static ref SLEEPERS: Mutex<Vec<Sleeper>> = Mutex::new(Vec::new());
    }

    /// Sleeps until woken, if `word` holds `expected` at this moment.
    pub fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) -> Waited {
        let mut sleepers = SLEEPERS.lock().expect("no model thread panics with the list held");
        if word.load(Ordering::SeqCst) != expected {
            return Waited::Changed;
        }
        let (woken, condition) = (Arc::new(AtomicBool::new(false)), Arc::new(Condvar::new()));
        sleepers.push((address(word), woken.clone(), condition.clone()));
        while !woken.load(Plain::Relaxed) {
            sleepers = condition.wait(sleepers).expect("as above");
        }
        Waited::Woken
    }

    /// Wakes up to `count` waiters of this word, those first who came first.
    pub fn wake(word: &AtomicU32, count: u32) -> usize {
        let mut sleepers = SLEEPERS.lock().expect("no model thread panics with the list held");
        let mut left = count as usize;
        sleepers.retain(|(whose, woken, condition)| {
            let wake = *whose == address(word) && left > 0;
            if wake {
                left -= 1;
                woken.store(true, Plain::Relaxed);
                condition.notify_one();
            }
            !wake
        });
        count as usize - left
    }

    fn address(word: &AtomicU32) -> usize {
        core::ptr::from_ref(word) as usize
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
