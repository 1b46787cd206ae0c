//! The following side: each change as it comes, in order, once.

use std::ffi::{c_char, c_int};
use std::os::fd::AsRawFd;
use std::time::Duration;

use shmirror::{Error, Event, Subscriber};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::event::shmirror_event;
use crate::handle::{self, object};
use crate::options::{self, shmirror_options};
use crate::status::shmirror_status;
use crate::turn::{self, Turns};

/// Follows the changes of some or all tables: each once, in the order of revisions, through restarts of
/// the daemon. One that is too slow for the events lane is told SHMIRROR_EVENT_LAGGED, once, and goes on;
/// shmirror_subscriber_resume_from() gets from the commit log what it missed. One thread at a time.
pub struct shmirror_subscriber {
    turns: Turns<Subscriber>,
}
object!(shmirror_subscriber, 13, "shmirror_subscriber");

/// Follows `count` tables (0: all of them) of the daemon that the options mean (NULL: the default ones),
/// from this revision on: first what the commit log has of it, then what comes. SHMIRROR_FROM_NOW: what
/// is committed after this returns; 0: from the oldest revision that the log holds. A name that is no
/// table yet is followed as soon as there is one. Close the subscriber with shmirror_subscriber_close().
/// SHMIRROR_TOO_OLD (the message names the oldest revision there is), SHMIRROR_NO_DAEMON,
/// SHMIRROR_DENIED, SHMIRROR_LAYOUT, SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscribe(
    options: *const shmirror_options,
    tables: *const *const c_char,
    count: usize,
    from_revision: u64,
    out: *mut *mut shmirror_subscriber,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let tables = argument::texts(tables, count, "tables")?;
        let builder = Subscriber::builder(&options::given(options)?).tables(&tables);
        // SHMIRROR_FROM_NOW.
        let builder = match from_revision {
            u64::MAX => builder.from_now(),
            revision => builder.from_revision(revision),
        };
        let turns = Turns::new(builder.subscribe()?);
        argument::write(out, handle::make(shmirror_subscriber { turns })?, "out")
    })
}

/// Ends a subscriber, and its descriptor with it. NULL is fine. SHMIRROR_BUSY, and it goes on: another
/// thread is in one of its calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_close(
    subscriber: *mut shmirror_subscriber,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { turn::close(subscriber, |s| &s.turns) })
}

/// Fills `event` with the next one; SHMIRROR_PENDING if there is none for so long, and `event` is as it
/// was. 0: one look, as shmirror_subscriber_try_next(). While there is no daemon it tries to reattach,
/// and that is no failure. SHMIRROR_OTHER_INSTANCE: another store is served at the socket now, which
/// shmirror_subscriber_resume_from() accepts. No system call while there are events in the lane.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_next(
    subscriber: *mut shmirror_subscriber,
    timeout_ns: u64,
    event: *mut shmirror_event,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { next(subscriber, event, |s| s.next(argument::timeout(timeout_ns))) })
}

/// As shmirror_subscriber_next(), until a time of shmirror_now()'s clock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_next_until(
    subscriber: *mut shmirror_subscriber,
    deadline_ns: u64,
    event: *mut shmirror_event,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        next(subscriber, event, |s| match argument::deadline(deadline_ns) {
            Some(deadline) => s.next_deadline(deadline),
            None => s.next(Duration::MAX),
        })
    })
}

/// The next event, if there is one now; else SHMIRROR_PENDING, and the descriptor is silent until there
/// is. Of this kind are the calls of an epoll loop: once shmirror_subscriber_fd() is readable, until
/// SHMIRROR_PENDING. Else as shmirror_subscriber_next().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_try_next(
    subscriber: *mut shmirror_subscriber,
    event: *mut shmirror_event,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { next(subscriber, event, Subscriber::try_next) })
}

/// A descriptor that becomes readable when shmirror_subscriber_try_next() may have something, for poll,
/// select and epoll. It stays the same through restarts of the daemon and belongs to the subscriber: do
/// neither read from it nor close it. It may be readable though there is nothing. Once it is, call
/// shmirror_subscriber_try_next() until that says SHMIRROR_PENDING: who stops before must come back without
/// being told, as the descriptor may be silent while events are there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_fd(
    subscriber: *mut shmirror_subscriber,
    fd: *mut c_int,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let subscriber = handle::get(subscriber.cast_const())?.turns.turn()?;
        argument::present(fd, "fd")?;
        argument::write(fd, subscriber.fd().as_raw_fd(), "fd")
    })
}

/// Goes to a revision, back or forth: what comes next is the first event of it, or after it. Events not
/// yet read are forgotten. 0: the oldest revision that the commit log holds. SHMIRROR_TOO_OLD (the
/// message names the oldest), SHMIRROR_NO_DAEMON, SHMIRROR_DISCONNECTED: it stays where it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_subscriber_resume_from(
    subscriber: *mut shmirror_subscriber,
    revision: u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let mut subscriber = handle::get(subscriber.cast_const())?.turns.turn()?;
        Ok(subscriber.resume_from(revision)?)
    })
}

/// # Safety
/// As [`handle::get`].
unsafe fn next(
    subscriber: *mut shmirror_subscriber,
    event: *mut shmirror_event,
    look: impl FnOnce(&mut Subscriber) -> Result<Option<Event>, Error>,
) -> Outcome {
    // SAFETY: the caller's.
    let (subscriber, event) =
        unsafe { (handle::get(subscriber.cast_const())?, handle::get(event.cast_const())?) };
    let mut subscriber = subscriber.turns.turn()?;
    // Before one is taken, which else would be lost.
    let mut told = event.turn()?;
    match look(&mut subscriber)? {
        Some(event) => {
            told.fill(event);
            Ok(())
        }
        None => Err(Failure::Plain(shmirror_status::SHMIRROR_PENDING)),
    }
}
