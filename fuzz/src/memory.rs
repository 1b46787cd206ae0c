//! What the code under test takes of memory: counted where Rust allocates, by the thread that does.
//! Without a sanitizer this is what holds a parser to "a factor of its input".

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(bytes: isize) {
    // Thread-locals without destructor: there for as long as the thread is.
    let now = NOW.get() + bytes;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

// SAFETY: each call goes to `System` as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new stand beside each other while it moves.
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What `f` returns.
///
/// # Panics
/// It had more than `most` bytes at one moment.
pub fn within<T>(most: usize, what: &str, f: impl FnOnce() -> T) -> T {
    let (base, outer) = (NOW.get(), PEAK.get());
    PEAK.set(base);
    let out = f();
    let peak = PEAK.get();
    PEAK.set(outer.max(peak));
    let used = (peak - base) as usize;
    assert!(used <= most, "{what} took {used} bytes, at most {most} allowed");
    out
}
