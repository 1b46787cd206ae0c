//! A mapping of shared memory.
//!
//! What flows in: a name and a size (the daemon), or a descriptor that came over the control socket
//! (a client). What flows out: `&AtomicU64` and `&AtomicU32` at checked offsets. Nobody gets a `&T`
//! or a `&[u8]` into memory that another process writes.
//!
//! ```text
//! create   memfd, mode 0400 → ftruncate → mmap read-write → seals SHRINK, GROW (no SIGBUS under a
//!          reader), FUTURE_WRITE where clients only read (our own mapping, made before, goes on
//!          writing), SEAL (nobody adds seals)
//! grow     never: a region is as large as it will be, sparse, and populated step by step
//! let go   munmap when the last handle is dropped; `vacate` gives the memory back earlier
//! ```

use core::ffi::c_void;
use core::fmt;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{self, FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use crate::error::ShmError;
use crate::memory::room_for;
use crate::points::{self, Point};
use crate::sync::{AtomicU32, AtomicU64};

#[cfg(not(all(target_os = "linux", target_endian = "little", target_pointer_width = "64")))]
compile_error!("shmirror's layout is for little-endian 64-bit Linux");

/// Bytes of a page, and the grain of a region's size.
pub const PAGE: u64 = 4096;

/// A mapping of shared memory, unmapped when dropped.
///
/// Storing through a word of a region that was mapped read-only faults (SIGSEGV): code that writes
/// is only ever given a region that it made or mapped with [`Region::map_read_write`].
pub struct Region {
    base: NonNull<u8>,
    bytes: u64,
    descriptor: OwnedFd,
    writable: bool,
    locks: AtomicBool,
}

// SAFETY: the mapping belongs to the value alone, lives until its drop whatever the thread, and is
// only reachable as atomics.
unsafe impl Send for Region {}
// SAFETY: as above; every shared access is an atomic one.
unsafe impl Sync for Region {}

impl Region {
    /// New shared memory of `bytes` (rounded up to whole pages), mapped for writing. Sparse: nothing
    /// is populated. Descriptors handed out later can be mapped for writing only if
    /// `clients_write`.
    ///
    /// # Errors
    /// What the system refuses: no descriptors, no address space.
    pub fn create(name: &str, bytes: u64, clients_write: bool) -> Result<Self, ShmError> {
        let Some(bytes) = bytes.max(1).checked_next_multiple_of(PAGE) else {
            return Err(ShmError::NoMemory { wanted: bytes, offset: 0, source: Errno::NOMEM });
        };
        if let Some(errno) = points::fails(Point::Memfd) {
            let source = Errno::from_raw_os_error(errno);
            return Err(ShmError::System { what: "memfd_create", source });
        }
        let descriptor = memfd(&format!("shmirror-{name}"))?;
        fs::fchmod(&descriptor, Mode::RUSR).map_err(ShmError::system("fchmod of a memfd"))?;
        fs::ftruncate(&descriptor, bytes).map_err(ShmError::system("ftruncate of a memfd"))?;
        let region = Self::map(descriptor, bytes, true)?;
        let mut seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        if !clients_write {
            seals |= SealFlags::FUTURE_WRITE;
        }
        fs::fcntl_add_seals(&region.descriptor, seals)
            .map_err(ShmError::system("sealing a memfd"))?;
        Ok(region)
    }

    /// Maps a descriptor from another process for reading: its first `bytes`.
    ///
    /// # Errors
    /// A descriptor that is shorter, or that its owner could still truncate under us.
    pub fn map_read_only(descriptor: OwnedFd, bytes: u64) -> Result<Self, ShmError> {
        check_descriptor(descriptor.as_fd(), bytes)?;
        Self::map(descriptor, bytes, false)
    }

    /// Maps a descriptor from another process for reading and writing: its first `bytes`.
    ///
    /// # Errors
    /// A descriptor that is shorter, that its owner could still truncate under us, or that may not
    /// be written.
    pub fn map_read_write(descriptor: OwnedFd, bytes: u64) -> Result<Self, ShmError> {
        check_descriptor(descriptor.as_fd(), bytes)?;
        Self::map(descriptor, bytes, true)
    }

    fn map(descriptor: OwnedFd, bytes: u64, writable: bool) -> Result<Self, ShmError> {
        let Ok(length) = usize::try_from(bytes) else {
            return Err(ShmError::NoMemory { wanted: bytes, offset: 0, source: Errno::NOMEM });
        };
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours, and
        // it is only ever read and written as atomics.
        let base = unsafe {
            mm::mmap(ptr::null_mut(), length, protection(writable), flags, &descriptor, 0)
        }
        .map_err(ShmError::system("mmap of a memfd"))?;
        let Some(base) = NonNull::new(base.cast::<u8>()) else {
            return Err(ShmError::System { what: "mmap of a memfd", source: Errno::NOMEM });
        };
        let locks = AtomicBool::new(true);
        let region = Self { base, bytes, descriptor, writable, locks };
        // SAFETY: the whole of our own mapping; the advice changes nothing that we see.
        unsafe { mm::madvise(base.as_ptr().cast(), length, Advice::LinuxDontDump) }
            .map_err(ShmError::system("keeping a mapping out of core dumps"))?;
        Ok(region)
    }

    /// Takes memory for `[offset, offset + len)` now, so that no later store can fail, and tries to
    /// lock it; whether it is locked.
    ///
    /// # Errors
    /// [`ShmError::NoMemory`], with nothing lost of what was there; a range outside of the region.
    pub fn populate(&self, offset: u64, len: u64) -> Result<bool, ShmError> {
        let outside =
            ShmError::Bounds { what: "range to populate", offset, length: len, size: self.bytes };
        if offset.checked_add(len).is_none_or(|end| end > self.bytes) {
            return Err(outside);
        }
        if len == 0 {
            return Ok(true);
        }
        // fallocate does not fail where memory is short: it goes on until the kernel kills somebody.
        if !room_for(len) {
            return Err(ShmError::NoMemory { wanted: len, offset, source: Errno::NOMEM });
        }
        if let Some(errno) = points::fails(Point::Populate) {
            let source = Errno::from_raw_os_error(errno);
            return Err(ShmError::NoMemory { wanted: len, offset, source });
        }
        loop {
            match fs::fallocate(&self.descriptor, FallocateFlags::empty(), offset, len) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(source) => return Err(ShmError::NoMemory { wanted: len, offset, source }),
            }
        }
        if !self.locks_pages() {
            return Ok(false);
        }
        // mlock wants a page boundary; the range was checked to lie inside of the mapping.
        let start = offset & !(PAGE - 1);
        let length = (offset - start + len) as usize;
        // SAFETY: the range lies inside of our mapping; locking changes no contents.
        let locked =
            unsafe { mm::mlock(self.base.as_ptr().add(start as usize).cast(), length) }.is_ok();
        Ok(locked)
    }

    /// Gives the memory of a range back, for everybody who maps it: it reads as zeros from now on, and
    /// who writes there takes new memory. Where it was created for clients to write only.
    ///
    /// # Errors
    /// What the system refuses; a region that is sealed against new writers.
    pub fn give_back(&self, offset: u64, len: u64) -> Result<(), ShmError> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fs::fallocate(&self.descriptor, flags, offset, len)
            .map_err(ShmError::system("giving back memory of a memfd"))
    }

    /// Whether [`Region::populate`] tries to lock what it populates from now on. At first it does.
    pub fn lock_pages(&self, lock: bool) {
        self.locks.store(lock, Ordering::Relaxed);
    }

    /// Whether [`Region::populate`] tries to lock.
    pub fn locks_pages(&self) -> bool {
        self.locks.load(Ordering::Relaxed)
    }

    /// The same memory on a new descriptor that can only be read.
    ///
    /// # Errors
    /// What the system refuses; it needs `/proc`.
    pub fn read_only_descriptor(&self) -> Result<OwnedFd, ShmError> {
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(ShmError::system("reopening a memfd through /proc/self/fd for reading"))
    }

    /// The same memory on a descriptor that can be mapped for writing, where it was created so.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn read_write_descriptor(&self) -> Result<OwnedFd, ShmError> {
        rustix::io::fcntl_dupfd_cloexec(&self.descriptor, 3)
            .map_err(ShmError::system("duplicating a memfd"))
    }

    /// Bytes of the mapping.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a region is never empty")]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether it is mapped for writing.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The word at `offset`: `None` if that is not a multiple of 8, or outside.
    #[inline]
    pub fn word(&self, offset: u64) -> Option<&AtomicU64> {
        self.words(offset, 1)?.first()
    }

    /// The half word at `offset`: `None` if that is not a multiple of 4, or outside.
    #[inline]
    pub fn word32(&self, offset: u64) -> Option<&AtomicU32> {
        self.words32(offset, 1)?.first()
    }

    /// `count` half words from `offset` on: `None` if that is not a multiple of 4, or they are not
    /// all inside.
    #[inline]
    pub fn words32(&self, offset: u64, count: usize) -> Option<&[AtomicU32]> {
        if !offset.is_multiple_of(4) || offset > self.bytes {
            return None;
        }
        if (self.bytes - offset) / 4 < count as u64 {
            return None;
        }
        // SAFETY: aligned and inside of the mapping, which lives as long as `self`; all bytes are
        // valid AtomicU32s, and whoever writes there does so atomically or in another process.
        Some(unsafe {
            core::slice::from_raw_parts(self.base.as_ptr().add(offset as usize).cast(), count)
        })
    }

    /// All words of the mapping.
    #[inline(always)]
    pub(crate) fn all(&self) -> &[AtomicU64] {
        // SAFETY: a mapping begins at a page; else as in `words`.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr().cast(), (self.bytes / 8) as usize) }
    }

    /// `count` words from `offset` on: `None` if that is not a multiple of 8, or they are not all
    /// inside.
    #[inline]
    pub fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        if !offset.is_multiple_of(8) || offset > self.bytes {
            return None;
        }
        if (self.bytes - offset) / 8 < count as u64 {
            return None;
        }
        // SAFETY: aligned and inside of the mapping, which lives as long as `self`; all bytes are
        // valid AtomicU64s, and whoever writes there does so atomically or in another process.
        Some(unsafe {
            core::slice::from_raw_parts(self.base.as_ptr().add(offset as usize).cast(), count)
        })
    }

    /// Detach in place: the mapping shows private zero pages from now on, so that the memory of an
    /// old generation goes back at once, while whoever still holds a word of it reads zeros, which
    /// every check refuses. Not for a lane whose mutex somebody may hold.
    ///
    /// If the system has no memory for that, the old pages stay until the drop.
    pub fn vacate(&self) {
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        let (base, length) = (self.base.as_ptr().cast::<c_void>(), self.bytes as usize);
        // SAFETY: the range is our own mapping, whole; it stays mapped, as readable and writable as
        // before, so that every reference into it stays valid. Its contents change as they do when
        // another process writes.
        let _ = unsafe { mm::mmap_anonymous(base, length, protection(self.writable), flags) };
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("bytes", &self.bytes)
            .field("writable", &self.writable)
            .finish_non_exhaustive()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whole; no word of it outlives `self`.
        let _ = unsafe { mm::munmap(self.base.as_ptr().cast(), self.bytes as usize) };
    }
}

fn protection(writable: bool) -> ProtFlags {
    if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ }
}

/// A memfd that can be sealed and never executed; kernels before 6.3 do not know the latter flag.
pub(crate) fn memfd(name: &str) -> Result<OwnedFd, ShmError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| fs::memfd_create(name, flags))
        .map_err(ShmError::system("memfd_create"))
}

fn check_descriptor(descriptor: BorrowedFd<'_>, bytes: u64) -> Result<(), ShmError> {
    let expected = SealFlags::SHRINK;
    let found = fs::fcntl_get_seals(descriptor)
        .map_err(|_| ShmError::NotSealed { found: 0, expected: expected.bits() })?;
    if !found.contains(expected) {
        return Err(ShmError::NotSealed { found: found.bits(), expected: expected.bits() });
    }
    let found = fs::fstat(descriptor).map_err(ShmError::system("fstat of a descriptor"))?.st_size;
    let found = u64::try_from(found).unwrap_or(0);
    if bytes == 0 || !bytes.is_multiple_of(8) || found < bytes {
        return Err(ShmError::TooSmall { what: "shared memory", found, expected: bytes.max(8) });
    }
    Ok(())
}

#[cfg(test)]
#[path = "region_tests.rs"]
mod tests;
