//! Events: what a subscriber or the commit log tells.

use std::sync::{Mutex, MutexGuard, TryLockError};

use shmirror::Event;

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::status::shmirror_status;
use crate::told::Told;

/// One event, filled again and again by shmirror_subscriber_next(), shmirror_history_next() and their
/// like. One thread at a time: another gets SHMIRROR_BUSY. What is asked of an event of another kind is
/// SHMIRROR_USAGE, and the message says which kind it is.
pub struct shmirror_event {
    told: Mutex<Told>,
}
object!(shmirror_event, 15, "shmirror_event");

impl shmirror_event {
    /// This thread's turn with the event. To be had before an event is taken from where it comes
    /// from, as one that cannot be handed over would be lost: `turn()?.fill(event)`.
    pub(crate) fn turn(&self) -> Result<MutexGuard<'_, Told>, Failure> {
        match self.told.try_lock() {
            Ok(told) => Ok(told),
            // Whatever a panic left, the next event replaces all of it.
            Err(TryLockError::Poisoned(told)) => Ok(told.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Failure::Plain(shmirror_status::SHMIRROR_BUSY)),
        }
    }

    /// Takes the next event; pointers that came out of the last one end.
    #[allow(dead_code, reason = "for those who reach an event through `get_mut`")]
    pub(crate) fn fill(&mut self, event: Event) {
        self.told.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).fill(event);
    }
}

/// An event that was never filled: of kind SHMIRROR_EVENT_NONE. Close it with shmirror_event_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_new(out: *mut *mut shmirror_event) -> shmirror_status {
    // SAFETY: as the prologue says of out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        argument::write(out, handle::make(shmirror_event { told: Mutex::default() })?, "out")
    })
}

/// Ends an event, and the pointers that came out of it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_close(event: *mut shmirror_event) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(event) })
}
