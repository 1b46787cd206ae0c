//! A page of named shared memory (crate shared_memory), for what is compared word by word.

use std::sync::atomic::{AtomicU32, AtomicU64};

use anyhow::{Context as _, Result, ensure};
use shared_memory::{Shmem, ShmemConf};

const BYTES: usize = 4096;

/// A page that processes have in common. Who made it removes its name when it is dropped.
pub struct Shared(Shmem);

impl Shared {
    /// Makes one, all zero.
    pub fn create() -> Result<Self> {
        Ok(Self(ShmemConf::new().size(BYTES).create()?))
    }

    /// The one with this name, for as long as the process lives.
    pub fn open(name: &str) -> Result<&'static Self> {
        let memory = ShmemConf::new().os_id(name).open().with_context(|| name.to_owned())?;
        ensure!(memory.len() >= BYTES, "{name} has {} bytes", memory.len());
        Ok(Box::leak(Box::new(Self(memory))))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.get_os_id()
    }

    /// Its beginning, for a mutex.
    pub fn start(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// The word of a futex, on a line of its own.
    pub fn futex(&self) -> &AtomicU32 {
        // SAFETY: mapped as long as `self`, 4096 bytes from a page's start; nobody uses these bytes otherwise.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().add(1024).cast()) }
    }

    /// A word on a line of its own, one of eight.
    pub fn word(&self, number: usize) -> &AtomicU64 {
        assert!(number < 8, "there are eight");
        // SAFETY: as in `futex`.
        unsafe { AtomicU64::from_ptr(self.0.as_ptr().add(2048 + 128 * number).cast()) }
    }
}
