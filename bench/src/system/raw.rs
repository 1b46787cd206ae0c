//! raw_sync's mutex on a segment of shared_memory: shared between processes, and not robust.

use anyhow::{Result, anyhow};
use raw_sync::locks::{LockImpl, LockInit, Mutex};

use super::shared::Shared;

/// Why nobody recovers it.
pub const NOT_ROBUST: &str = "not robust: who waits for a holder that was killed waits for ever";

/// Makes one at the start of a page.
pub fn init(page: &Shared) -> Result<()> {
    // SAFETY: the page is mapped, larger than a mutex, and nobody else uses it yet. The data that it guards
    // is not looked at through the lock.
    let made = unsafe { Mutex::new(page.start(), page.start()) };
    made.map(drop).map_err(|e| anyhow!("{e}"))
}

/// The one that [`init`] made there.
pub fn open(page: &'static Shared) -> Result<Box<dyn LockImpl>> {
    // SAFETY: the page stays mapped, and `init` made the mutex.
    let found = unsafe { Mutex::from_existing(page.start(), page.start()) };
    Ok(found.map_err(|e| anyhow!("{e}"))?.0)
}
