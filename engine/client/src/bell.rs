//! A descriptor that is readable when there may be something to read, for `epoll` and `poll` users.
//!
//! It is an epoll set of its own, so it stays the same, and stays registered wherever it is, while what
//! it holds changes: the bell that the present daemon rings (a pipe), and, while there is no daemon, a
//! timer that makes the user ask, and so reattach.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::error::Error;

/// What a user of `epoll` waits on.
#[derive(Debug)]
pub(crate) struct Bell {
    set: OwnedFd,
    timer: OwnedFd,
    pipe: RefCell<Option<OwnedFd>>,
}

impl Bell {
    /// A bell that nobody rings yet.
    pub(crate) fn new() -> Result<Self, Error> {
        let failed = |source| Error::io("making a descriptor to wait on", source);
        let set = epoll::create(CreateFlags::CLOEXEC).map_err(failed)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(failed)?;
        epoll::add(&set, &timer, EventData::new_u64(0), EventFlags::IN).map_err(failed)?;
        Ok(Self { set, timer, pipe: RefCell::new(None) })
    }

    /// Whether a daemon rings it.
    pub(crate) fn is_hung(&self) -> bool {
        self.pipe.borrow().is_some()
    }

    /// From now on this pipe rings it.
    pub(crate) fn hang(&self, pipe: OwnedFd) -> Result<(), Error> {
        self.take_down();
        epoll::add(&self.set, &pipe, EventData::new_u64(1), EventFlags::IN)
            .map_err(|e| Error::io("waiting on the daemon's bell", e))?;
        *self.pipe.borrow_mut() = Some(pipe);
        Ok(())
    }

    /// No daemon rings it any more.
    pub(crate) fn take_down(&self) {
        if let Some(pipe) = self.pipe.take() {
            // Closing is not enough: the daemon may hold the same end.
            let _ = epoll::delete(&self.set, &pipe);
        }
    }

    /// Makes it readable after `time`, once. Never, for `None`.
    pub(crate) fn ring_after(&self, time: Option<Duration>) {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = time.map_or(zero, |t| Timespec {
            tv_sec: t.as_secs().try_into().unwrap_or(i64::MAX),
            // Zero would mean never.
            tv_nsec: t.subsec_nanos().max(1).into(),
        });
        let spec = Itimerspec { it_interval: zero, it_value: at };
        // It cannot fail for a timer of ours and a valid time.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &spec);
    }

    /// Sleeps until it rings, or for as long as `time` says.
    pub(crate) fn wait(&self, time: Duration) {
        let time = Timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        // Interrupted is as good as rung: the caller looks.
        let _ = poll(&mut [PollFd::new(&self.set, PollFlags::IN)], Some(&time));
    }

    /// Silences it. To be followed by another look at what it rings for.
    pub(crate) fn hush(&self) {
        let mut buffer = [0u8; 8];
        // Both fail where there is nothing to take.
        let _ = rustix::io::read(&self.timer, &mut buffer);
        if let Some(pipe) = &*self.pipe.borrow() {
            let _ = rustix::io::read(pipe, &mut buffer);
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn readable(bell: &Bell, millis: i64) -> bool {
        let time = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        poll(&mut [PollFd::new(bell, PollFlags::IN)], Some(&time)).unwrap() == 1
    }

    #[test]
    fn rings_by_pipe_and_by_timer_and_by_the_end_of_the_daemon() {
        let bell = Bell::new().unwrap();
        assert!(!readable(&bell, 0));
        bell.ring_after(Some(Duration::ZERO));
        assert!(readable(&bell, 900));
        bell.hush();
        assert!(!readable(&bell, 0));

        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        let daemons_own = read.try_clone().unwrap();
        bell.hang(read).unwrap();
        rustix::io::write(&write, &1u64.to_ne_bytes()).unwrap();
        assert!(readable(&bell, 900));
        bell.hush();
        assert!(bell.is_hung() && !readable(&bell, 0));
        drop(write);
        assert!(readable(&bell, 900));
        bell.take_down();
        assert!(!bell.is_hung() && !readable(&bell, 0));
        drop(daemons_own);
    }
}
