//! The one shim for atomics: core's in the product, loom's in the models.
//!
//! Every algorithm on shared memory (latch, lanes, mutex word) is written against these names and
//! over `&[AtomicU64]`, so the code that loom explores is the code that runs.

#[cfg(not(loom))]
pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Words of a line of the cache.
pub const LINE_WORDS: usize = 8;

/// Asks the processor to fetch the line where this begins, which will be read soon. Changes nothing that a
/// program can see.
#[inline(always)]
#[allow(unsafe_code)]
pub fn prefetch<T>(what: &T) {
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    // SAFETY: a prefetch reads nothing and cannot fault; every x86-64 processor has it.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(what).cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(loom))))]
    let _ = what;
}

/// Tells the processor (or the model) that this thread is waiting for another one.
#[inline]
pub fn spin_loop() {
    #[cfg(not(loom))]
    core::hint::spin_loop();
    #[cfg(loom)]
    loom::thread::yield_now();
}
