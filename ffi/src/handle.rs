//! Handles: what a C program holds instead of a Rust object.
//!
//! A handle looks like a pointer and is none: its low 48 bits are the address of a slot, its high 16
//! bits the slot's generation when the handle was made. A slot's memory is never given back, so to look
//! at it is sound however old the handle is, and its state word says whether the object that the handle
//! stands for is still in it.
//!
//! ```text
//! state    live << 63 | kind << 16 | generation        what happens
//! free     0 | kind | g                                make: object is written, then live is set
//! live     1 | kind | g                                close: live is cleared, object dropped, g + 1
//! worn     0 | kind | 0xffff                           never used again: no handle is ever valid twice
//! ```
//!
//! Out of a closed handle, or one of another kind, comes `SHMIRROR_STALE_HANDLE`; what one gives in that
//! no call ever gave out is not checked, nor is a handle that one thread closes while another uses it:
//! both are faults that C leaves to the program, as with `FILE *`.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::call::Outcome;
use crate::error::Failure;
use crate::status::shmirror_status;

/// Bits of a user-space address: 47 on x86-64, 48 on AArch64, unless larger ones are asked for.
const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;
const LIVE: u64 = 1 << 63;
/// A slot of this generation is not used again.
const WORN: u64 = 0xFFFF;
/// Slots that are made at a time.
const CHUNK: usize = 8;
/// How often a thread looks for the list of free slots before it does without.
const TRIES: u32 = 100;

/// Where an object of one kind may be.
#[repr(C)]
pub(crate) struct Slot<T> {
    state: AtomicU64,
    object: UnsafeCell<MaybeUninit<T>>,
}

/// A kind of object that has handles.
pub(crate) trait Object: Sized + 'static {
    /// Its number among the kinds, as no other has.
    const KIND: u8;
    /// What a message calls it.
    const NAME: &'static str;

    /// Free slots for its objects.
    fn free() -> &'static Free<Self>;
}

/// The free slots of one kind.
pub(crate) struct Free<T: 'static>(Mutex<Vec<Vacant<T>>>);

/// A slot that nobody has a valid handle of.
struct Vacant<T: 'static>(&'static Slot<T>);

// SAFETY: a vacant slot has no object in it, so nothing of a `T` goes to the other thread with it.
unsafe impl<T: 'static> Send for Vacant<T> {}

impl<T: 'static> Free<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The list, unless somebody has it for long: a process forked while its parent had it never gets
    /// it, and does without.
    fn with<R>(&self, f: impl FnOnce(&mut Vec<Vacant<T>>) -> R) -> Option<R> {
        for _ in 0..TRIES {
            if let Ok(mut list) = self.0.try_lock() {
                return Some(f(&mut list));
            }
            thread::yield_now();
        }
        None
    }
}

/// Makes a kind's list of free slots.
macro_rules! object {
    ($t:ty, $kind:literal, $name:literal) => {
        impl $crate::handle::Object for $t {
            const KIND: u8 = $kind;
            const NAME: &'static str = $name;

            fn free() -> &'static $crate::handle::Free<Self> {
                static FREE: $crate::handle::Free<$t> = $crate::handle::Free::new();
                &FREE
            }
        }
    };
}
pub(crate) use object;

const fn state<T: Object>(generation: u64) -> u64 {
    (T::KIND as u64) << 16 | generation
}

/// The slot that a handle is of, and the generation that it was made at.
#[inline(always)]
fn slot_of<T: Object>(handle: *const T) -> (*const Slot<T>, u64) {
    let bits = handle.expose_provenance();
    (ptr::with_exposed_provenance(bits & ADDRESS), (bits >> ADDRESS_BITS) as u64)
}

/// Moves the object behind a new handle.
pub(crate) fn make<T: Object>(object: T) -> Result<*mut T, Failure> {
    let vacant = T::free().with(|list| {
        if list.is_empty() {
            list.extend(chunk().into_iter().map(Vacant));
        }
        list.pop()
    });
    let slot = match vacant.flatten() {
        Some(Vacant(slot)) => slot,
        None => Box::leak(Box::new(empty())),
    };
    let address = ptr::from_ref(slot).expose_provenance();
    if address & !ADDRESS != 0 {
        return Err(Failure::argument(
            shmirror_status::SHMIRROR_IO,
            format!("memory for a handle at {address:#x}, expected an address of 48 bits"),
        ));
    }
    let generation = slot.state.load(Ordering::Relaxed) & WORN;
    // SAFETY: the slot came off the free list, or is new: no handle of it is valid, so nobody looks at
    // the object.
    unsafe { (*slot.object.get()).write(object) };
    slot.state.store(LIVE | state::<T>(generation), Ordering::Release);
    Ok(ptr::with_exposed_provenance_mut(address | (generation as usize) << ADDRESS_BITS))
}

fn empty<T: Object>() -> Slot<T> {
    Slot {
        // Never 0, so that a handle is no bare address, which a program could follow.
        state: AtomicU64::new(state::<T>(1)),
        object: UnsafeCell::new(MaybeUninit::uninit()),
    }
}

fn chunk<T: Object>() -> Vec<&'static Slot<T>> {
    let slots: &'static mut [Slot<T>] =
        Box::leak((0..CHUNK).map(|_| empty()).collect::<Box<[_]>>());
    slots.iter_mut().map(|slot| &*slot).collect()
}

/// The object that a handle stands for.
///
/// # Safety
/// `handle` is NULL or came from [`make`] for any kind; until the reference ends nobody closes it, nor
/// has it from [`get_mut`].
#[inline(always)]
pub(crate) unsafe fn get<'a, T: Object>(handle: *const T) -> Result<&'a T, Failure> {
    // SAFETY: the caller's.
    unsafe { find(handle) }.map(|object| {
        // SAFETY: `find` saw it live, so `make` has written it, and the caller keeps it from being
        // closed or changed.
        unsafe { (*object.get()).assume_init_ref() }
    })
}

/// The object that a handle stands for, to be changed.
///
/// # Safety
/// As [`get`], and nobody else has it meanwhile: kinds that are reached so serve one thread at a time,
/// which the header says of each.
#[inline(always)]
pub(crate) unsafe fn get_mut<'a, T: Object>(handle: *mut T) -> Result<&'a mut T, Failure> {
    // SAFETY: the caller's.
    unsafe { find(handle) }.map(|object| {
        // SAFETY: as in `get`, and the caller says that it is the only one.
        unsafe { (*object.get()).assume_init_mut() }
    })
}

/// # Safety
/// `handle` is NULL or came from [`make`] for any kind.
#[inline(always)]
unsafe fn find<'a, T: Object>(handle: *const T) -> Result<&'a UnsafeCell<MaybeUninit<T>>, Failure> {
    let (slot, generation) = slot_of(handle);
    if slot.is_null() {
        return Err(null::<T>());
    }
    // SAFETY: slots are never given back. Of another kind it may be smaller than `Slot<T>`, but its
    // first word is a state all the same, and no more than that is touched before it says the kind.
    let found = unsafe { (*slot.cast::<AtomicU64>()).load(Ordering::Acquire) };
    if found != LIVE | state::<T>(generation) {
        return Err(stale::<T>());
    }
    // SAFETY: it is a slot of this kind, and lives for ever.
    Ok(unsafe { &(*slot).object })
}

#[cold]
fn null<T: Object>() -> Failure {
    Failure::argument(
        shmirror_status::SHMIRROR_NULL_ARGUMENT,
        format!("found NULL, expected a handle of a {}", T::NAME),
    )
}

#[cold]
fn stale<T: Object>() -> Failure {
    Failure::argument(
        shmirror_status::SHMIRROR_STALE_HANDLE,
        format!(
            "found a handle that was closed or is of another kind, expected one of a {}",
            T::NAME
        ),
    )
}

/// Ends a handle and drops its object. NULL is fine.
///
/// # Safety
/// `handle` is NULL or came from [`make`] for any kind, and nobody is using its object.
pub(crate) unsafe fn close<T: Object>(handle: *mut T) -> Outcome {
    if handle.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's.
    let object = unsafe { find(handle.cast_const()) }?;
    let (slot, generation) = slot_of(handle.cast_const());
    // SAFETY: `find` saw that it is a slot of this kind; slots live for ever.
    let slot: &'static Slot<T> = unsafe { &*slot };
    let next = (generation + 1).min(WORN);
    // Of two that close it at a time one comes second.
    slot.state
        .compare_exchange(
            LIVE | state::<T>(generation),
            state::<T>(next),
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .map_err(|_| stale::<T>())?;
    // SAFETY: it was live, and this thread was the one to end that; the caller says that nobody uses it.
    unsafe { (*object.get()).assume_init_drop() };
    if next < WORN {
        // Where the list is not to be had the slot is left alone: some bytes, once in a fork.
        let _ = T::free().with(|list| list.push(Vacant(slot)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    struct Boat(Arc<()>);
    object!(Boat, 250, "boat");
    struct Raft(#[expect(dead_code, reason = "it has a size of its own")] [u64; 9]);
    object!(Raft, 251, "raft");

    fn status<T>(result: Result<T, Failure>) -> i32 {
        result.map_or_else(|f| crate::error::keep(f) as i32, |_| 0)
    }

    #[test]
    fn a_closed_handle_is_stale_for_ever() {
        let crew = Arc::new(());
        let first = make(Boat(crew.clone())).ok().unwrap();
        let mut old = vec![first];
        // SAFETY: handles of `make`, one thread.
        unsafe {
            assert!(Arc::ptr_eq(&get(first).ok().unwrap().0, &crew));
            assert_eq!(status(close(first)), 0);
            assert_eq!(Arc::strong_count(&crew), 1, "its object was dropped");
            // As often as the slots are used anew, and beyond the last generation.
            for _ in 0..70_000 * CHUNK {
                let handle = make(Boat(crew.clone())).ok().unwrap();
                assert_ne!(handle, first);
                assert_eq!(status(close(handle)), 0);
                if old.len() < 1000 {
                    old.push(handle);
                }
            }
            for handle in old {
                assert_eq!(status(get(handle)), 17);
                assert_eq!(status(get_mut(handle)), 17);
                assert_eq!(status(close(handle)), 17);
            }
        }
        assert_eq!(Arc::strong_count(&crew), 1);
    }

    #[test]
    fn null_and_handles_of_another_kind_are_told() {
        let raft = make(Raft([0; 9])).ok().unwrap();
        // SAFETY: NULL, and handles of `make`.
        unsafe {
            assert_eq!(status(get(ptr::null::<Boat>())), 16);
            assert_eq!(status(close(ptr::null_mut::<Boat>())), 0);
            assert_eq!(status(get(raft.cast::<Boat>())), 17);
            assert_eq!(status(close(raft.cast::<Boat>())), 17);
            assert_eq!(status(close(raft)), 0);
        }
    }

    #[test]
    fn many_threads_make_and_close() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let mine = Arc::new(());
                        let handle = make(Boat(mine.clone())).ok().unwrap();
                        // SAFETY: this thread's own handle.
                        unsafe {
                            assert!(Arc::ptr_eq(&get(handle).ok().unwrap().0, &mine));
                            assert_eq!(status(close(handle)), 0);
                        }
                        assert_eq!(Arc::strong_count(&mine), 1);
                    }
                });
            }
        });
    }
}
