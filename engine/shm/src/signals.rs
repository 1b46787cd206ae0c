//! Threads of the library's own, in programs whose signals are none of its business.

use core::mem::MaybeUninit;
use core::ptr;

/// Runs `f` with every signal blocked in the calling thread, and then sets back which are. A thread that
/// `f` spawns keeps them blocked for its life: the program's signals go to the program's threads, be it
/// to a handler, a `signalfd` or `sigwait`, whichever of its threads attached and when.
pub fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
    struct Back(libc::sigset_t);

    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: the set that `pthread_sigmask` gave; the old one is not asked for.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, ptr::null_mut()) };
        }
    }

    let mut all = MaybeUninit::uninit();
    let mut old = MaybeUninit::uninit();
    // SAFETY: `sigfillset` fills the set that it is given, `pthread_sigmask` reads it and writes the
    // other one; with SIG_SETMASK and valid pointers neither fails.
    let _back = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), old.as_mut_ptr());
        Back(old.assume_init())
    };
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_blocked(signal: i32) -> bool {
        let mut now = MaybeUninit::uninit();
        // SAFETY: no new set; the present one is written to `now`, then looked at.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), now.as_mut_ptr());
            libc::sigismember(now.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn a_thread_spawned_within_gets_no_signals_and_the_caller_its_own_again() {
        let blocked = with_signals_blocked(|| {
            std::thread::spawn(|| is_blocked(libc::SIGTERM) && is_blocked(libc::SIGUSR1))
        });
        assert!(blocked.join().unwrap());
        assert!(!is_blocked(libc::SIGTERM));
    }
}
