//! A place that many threads read at the cost of one load, while now and then one stores.
//!
//! What is stored stays until the whole place is dropped, so a reader needs no reference count. It is
//! for values that change as seldom as a daemon restarts and that are small beside what they replace
//! (the old segment's memory is given back at once, see `Region::vacate`).
//!
//! This is the only file of this crate with unsafe code.

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// The newest of some values, all of which live as long as this.
pub(crate) struct Swap<T> {
    /// One of `all`.
    newest: AtomicPtr<T>,
    all: Mutex<Vec<NonNull<T>>>,
}

// SAFETY: the values are owned; they are dropped by whoever drops the Swap, and shared by reference.
unsafe impl<T: Send + Sync> Send for Swap<T> {}
// SAFETY: `load` shares the values and `store` takes them from any thread, so they must be both.
unsafe impl<T: Send + Sync> Sync for Swap<T> {}

impl<T> Swap<T> {
    /// A place with its first value.
    pub(crate) fn new(value: T) -> Self {
        let first = NonNull::from(Box::leak(Box::new(value)));
        Self { newest: AtomicPtr::new(first.as_ptr()), all: Mutex::new(vec![first]) }
    }

    /// The newest value.
    #[inline]
    pub(crate) fn load(&self) -> &T {
        // SAFETY: the pointer came from a leaked box, is never null, and is freed only in `drop`,
        // which the returned borrow of self excludes. Nobody ever makes a `&mut T` of it. Acquire
        // pairs with the Release of `store`, so the value is seen as it was stored.
        unsafe { &*self.newest.load(Ordering::Acquire) }
    }

    /// Puts a newer value in place and returns it.
    pub(crate) fn store(&self, value: T) -> &T {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let next = NonNull::from(Box::leak(Box::new(value)));
        all.push(next);
        self.newest.store(next.as_ptr(), Ordering::Release);
        // SAFETY: as in `load`.
        unsafe { &*next.as_ptr() }
    }
}

impl<T> Drop for Swap<T> {
    fn drop(&mut self) {
        let all = self.all.get_mut().unwrap_or_else(PoisonError::into_inner);
        for value in all.drain(..) {
            // SAFETY: each pointer came from its own leaked box and is in the list once; `&mut self`
            // says that no borrow by `load` or `store` is left.
            drop(unsafe { Box::from_raw(value.as_ptr()) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn readers_see_whole_values_and_old_ones_stay_until_the_drop() {
        struct Counted(u64, u64, Arc<AtomicUsize>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.2.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let swap = Swap::new(Counted(0, 0, dropped.clone()));
        let first = swap.load();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut newest = 0;
                    while newest < 99 {
                        let value = swap.load();
                        assert!(value.0 == value.1 && value.0 >= newest);
                        newest = value.0;
                    }
                });
            }
            for i in 1..100 {
                swap.store(Counted(i, i, dropped.clone()));
            }
        });
        assert_eq!((first.0, dropped.load(Ordering::Relaxed)), (0, 0));
        drop(swap);
        assert_eq!(dropped.load(Ordering::Relaxed), 100);
    }
}
