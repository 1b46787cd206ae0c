//! The one shim for atomics: core's in the product, loom's in the models.
//!
//! Every algorithm on shared memory (latch, lanes, mutex word) is written against these names and
//! over `&[AtomicU64]`, so the code that loom explores is the code that runs.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Tells the processor (or the model) that this thread is waiting for another one.
#[inline]
pub fn spin_loop() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
