//! Objects that serve one thread at a time, and none in a forked child.
//!
//! In: calls of any threads. Out: the object, for one of them; SHMIRROR_BUSY for the others, and
//! SHMIRROR_FORKED for those of a child.

use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use shmirror::Error;

use crate::call::Outcome;
use crate::error::Failure;
use crate::handle::{self, Object};
use crate::status::shmirror_status::SHMIRROR_BUSY;

/// The process that something was made in.
#[derive(Clone, Copy)]
struct Home(u32);

impl Home {
    fn here() -> Self {
        Self(std::process::id())
    }

    /// That this is it.
    fn check(self) -> Outcome {
        let (attached, child) = (self.0, std::process::id());
        if child == attached { Ok(()) } else { Err(Error::Forked { attached, child }.into()) }
    }
}

/// An object that one thread at a time uses.
pub(crate) struct Turns<T> {
    home: Home,
    object: ManuallyDrop<Mutex<T>>,
}

impl<T> Turns<T> {
    pub(crate) fn new(object: T) -> Self {
        Self { home: Home::here(), object: ManuallyDrop::new(Mutex::new(object)) }
    }

    /// This thread's turn.
    pub(crate) fn turn(&self) -> Result<MutexGuard<'_, T>, Failure> {
        // First: a child never gets a turn that a thread of its parent had.
        self.home.check()?;
        self.turn_anywhere()
    }

    /// This thread's turn, in a child too: for what is nothing but private memory.
    pub(crate) fn turn_anywhere(&self) -> Result<MutexGuard<'_, T>, Failure> {
        self.look().ok_or(Failure::Plain(SHMIRROR_BUSY))
    }

    fn look(&self) -> Option<MutexGuard<'_, T>> {
        match self.object.try_lock() {
            Ok(guard) => Some(guard),
            // The caller was told of the panic, and to close the handle.
            Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Drop for Turns<T> {
    fn drop(&mut self) {
        let idle = self.look().is_some();
        // In a child, what a thread of its parent was in the middle of changing is left as it is.
        if idle {
            // SAFETY: nothing is done with it after this.
            unsafe { ManuallyDrop::drop(&mut self.object) };
        }
    }
}

/// Closes a handle, unless another thread of this process is using its object: SHMIRROR_BUSY.
///
/// # Safety
/// As [`handle::close`].
pub(crate) unsafe fn close<O: Object, T>(handle: *mut O, of: fn(&O) -> &Turns<T>) -> Outcome {
    if handle.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's.
    let turns = of(unsafe { handle::get(handle.cast_const()) }?);
    if turns.home.check().is_ok() {
        drop(turns.turn()?);
    }
    // SAFETY: the caller's.
    unsafe { handle::close(handle) }
}

/// An object that any number of threads use. A call holds it while it runs, so that a child that was
/// forked in the middle of one does not drop what that was changing.
pub(crate) struct Shared<T> {
    home: Home,
    object: Arc<T>,
}

impl<T> Shared<T> {
    pub(crate) fn new(object: T) -> Self {
        Self { home: Home::here(), object: Arc::new(object) }
    }

    /// It, for a call.
    pub(crate) fn here(&self) -> Result<Arc<T>, Failure> {
        self.home.check()?;
        Ok(self.object.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::keep;

    #[test]
    fn the_second_thread_is_told() {
        let turns = Turns::new(Arc::new(()));
        let first = turns.turn().ok().unwrap();
        std::thread::scope(|s| {
            let second = s.spawn(|| turns.turn().map(drop).map_err(|f| keep(f) as i32));
            assert_eq!(second.join().unwrap(), Err(23));
        });
        let kept = first.clone();
        drop(first);
        assert!(turns.turn().is_ok());
        drop(turns);
        assert_eq!(Arc::strong_count(&kept), 1, "it was dropped");
    }

    #[test]
    fn what_is_in_use_is_not_dropped() {
        let turns = Turns::new(Arc::new(()));
        let guard = turns.turn().ok().unwrap();
        let kept = guard.clone();
        std::mem::forget(guard);
        drop(turns);
        assert_eq!(Arc::strong_count(&kept), 2);
    }

    #[test]
    fn a_child_gets_no_turn() {
        let mut turns = Turns::new(());
        turns.home = Home(1);
        assert_eq!(turns.turn().map(drop).map_err(|f| keep(f) as i32), Err(39));
        assert!(turns.turn_anywhere().is_ok());
        let mut shared = Shared::new(());
        assert!(shared.here().is_ok());
        shared.home = Home(1);
        assert_eq!(shared.here().map(drop).map_err(|f| keep(f) as i32), Err(39));
    }
}
