//! Who we are to the kernel: the thread's id, and its robust list head.
//!
//! At the death of a thread the kernel looks at its robust list: at the list, which belongs to the C
//! library's mutexes, and at `list_op_pending`, which the C library only uses inside of its own lock
//! and unlock of a robust mutex. Between those it is free, and we point it at the futex word that we
//! hold. Nothing of ours is ever linked into the list.
//!
//! ```text
//! head   next            → (the C library's list)
//!        futex_offset    what the kernel adds to an entry's address to find its word
//!        list_op_pending = address of our word - futex_offset, while we hold or want it
//! ```

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32 as CoreU32, Ordering, compiler_fence};
use std::sync::Once;

use crate::sync::AtomicU32;

/// `struct robust_list_head` of `linux/futex.h`.
#[repr(C)]
struct Head {
    next: *mut Head,
    futex_offset: libc::c_long,
    list_op_pending: *mut libc::c_void,
}

/// The calling thread as the kernel knows it. Only for the thread that asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    /// Forks of this process at the time that the rest was asked for; 0: never asked.
    forks: u32,
    pid: u32,
    tid: u32,
    head: *mut Head,
}

/// Counts forks, beginning with 1: each thread's cached identity is of the process that it was asked
/// in, and the child of a fork is another.
static FORKS: CoreU32 = CoreU32::new(1);

thread_local! {
    static CACHED: Cell<Identity> =
        const { Cell::new(Identity { forks: 0, pid: 0, tid: 0, head: ptr::null_mut() }) };
}

/// The identity of the calling thread: from the second call on a load and a comparison.
#[inline]
pub(crate) fn identity() -> Identity {
    let cached = CACHED.get();
    if cached.forks == FORKS.load(Ordering::Relaxed) { cached } else { ask() }
}

/// The process id, without a system call from the second time on in a thread: a child of `fork` has its
/// own.
#[inline]
pub fn process_id() -> u32 {
    identity().pid
}

#[cold]
fn ask() -> Identity {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        // SAFETY: the handler only counts. Should registering fail, no memory is left, and a child
        // that forks without exec goes on with the parent's id until then.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    });
    let fresh = Identity {
        forks: FORKS.load(Ordering::Relaxed),
        pid: std::process::id(),
        tid: rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs(),
        head: own_head(),
    };
    CACHED.set(fresh);
    fresh
}

unsafe extern "C" fn forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The calling thread's robust list head: the C library's, or, where there is none, one that we
/// register. Null if the kernel has no robust lists: a dead holder is then not told from a stopped
/// one.
fn own_head() -> *mut Head {
    let mut head: *mut Head = ptr::null_mut();
    let mut length = size_of::<Head>();
    // SAFETY: the kernel writes one pointer and one size.
    let status =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut length) };
    if status == 0 && !head.is_null() {
        return head;
    }
    let own = Box::into_raw(Box::new(Head {
        next: ptr::null_mut(),
        futex_offset: 0,
        list_op_pending: ptr::null_mut(),
    }));
    // SAFETY: `own` is a fresh allocation; an empty list points at itself.
    unsafe { (*own).next = own };
    // SAFETY: the head stays allocated for ever, as the kernel reads it when the thread is gone.
    let status = unsafe { libc::syscall(libc::SYS_set_robust_list, own, size_of::<Head>()) };
    if status == 0 { own } else { ptr::null_mut() }
}

impl Identity {
    /// The process id.
    pub fn pid(self) -> u32 {
        self.pid
    }

    /// The thread id.
    pub fn tid(self) -> u32 {
        self.tid
    }

    /// From now on the kernel looks at `word` when this thread dies.
    #[inline]
    pub fn watch(self, word: &AtomicU32) {
        if self.head.is_null() {
            return;
        }
        // SAFETY: the head of the calling thread (`Identity` leaves neither this crate nor its
        // thread: guards are not Send), alive as long as the thread, and used by nobody else at this
        // moment. Volatile, as the kernel reads it at any point of our code.
        unsafe {
            let offset = (*self.head).futex_offset as isize;
            let entry = ptr::from_ref(word).cast::<u8>().wrapping_offset(-offset);
            (&raw mut (*self.head).list_op_pending).write_volatile(entry.cast_mut().cast());
        }
        compiler_fence(Ordering::SeqCst);
    }

    /// The kernel looks at no word of ours any more.
    #[inline]
    pub fn unwatch(self) {
        if self.head.is_null() {
            return;
        }
        compiler_fence(Ordering::SeqCst);
        // SAFETY: as in `watch`.
        unsafe { (&raw mut (*self.head).list_op_pending).write_volatile(ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_process_is_another() {
        let here = process_id();
        assert_eq!(here, std::process::id());
        // SAFETY: the child only asks for its id, which allocates nothing, and ends.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let other = process_id() == rustix::process::getpid().as_raw_nonzero().get() as u32;
            // SAFETY: ends the child without running what the test harness registered.
            unsafe { libc::_exit(if other && process_id() != here { 0 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: `status` is written to.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }

    #[test]
    fn the_c_librarys_head_is_found_and_each_thread_has_its_own() {
        let here = identity();
        assert!(!here.head.is_null());
        assert_eq!(here.pid, std::process::id());
        let address = here.head as usize;
        let (tid, there) = std::thread::spawn(|| (identity().tid, identity().head as usize))
            .join()
            .expect("a thread that only asks");
        assert_ne!(tid, here.tid);
        assert_ne!(there, address);
        assert_eq!(identity().tid, here.tid);
    }
}
