//! What was committed, out of the commit log.

use std::ffi::c_char;

use shmirror::History;

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::event::shmirror_event;
use crate::handle::{self, object};
use crate::mirror::shmirror_mirror;
use crate::status::shmirror_status;
use crate::turn::{self, Turns};

/// What was committed from a revision on, up to the newest one at the time that it gets there. One
/// thread at a time: another gets SHMIRROR_BUSY.
pub struct shmirror_history {
    turns: Turns<History>,
}
object!(shmirror_history, 14, "shmirror_history");

/// What was committed from revision `from_revision` on (0: from the oldest that the commit log holds);
/// of these `count` tables, or of all where there are none. Close it with shmirror_history_close().
/// SHMIRROR_TOO_OLD: the log no longer holds that revision, and the message says which is the oldest.
/// SHMIRROR_UNKNOWN_TABLE, SHMIRROR_DISCONNECTED, SHMIRROR_NO_DAEMON. Fetches some megabytes of the log
/// at a time, now the first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_history(
    mirror: *const shmirror_mirror,
    from_revision: u64,
    tables: *const *const c_char,
    count: usize,
    out: *mut *mut shmirror_history,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let mirror = &handle::get(mirror)?.mirror;
        let tables = argument::texts(tables, count, "tables")?;
        let turns = Turns::new(mirror.history(from_revision, &tables)?);
        argument::write(out, handle::make(shmirror_history { turns })?, "out")
    })
}

/// Ends a history; its events stay. NULL is fine. SHMIRROR_BUSY, and it goes on: another thread is in
/// one of its calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_history_close(history: *mut shmirror_history) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { turn::close(history, |h| &h.turns) })
}

/// Fills `event` with the next one. SHMIRROR_END: there is none, now and for ever, and `event` is as it
/// was. A failure ends the history too. Asks the daemon where what it fetched is used up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_history_next(
    history: *mut shmirror_history,
    event: *mut shmirror_event,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let history = handle::get(history.cast_const())?;
        // Before one is taken that could not be handed over.
        let mut told = handle::get(event.cast_const())?.turn()?;
        match history.turns.turn()?.next() {
            Some(next) => told.fill(next?),
            None => return Err(Failure::Plain(shmirror_status::SHMIRROR_END)),
        }
        Ok(())
    })
}
