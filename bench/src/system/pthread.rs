//! The C library's robust mutex between processes.

use std::mem::{MaybeUninit, size_of};

use anyhow::{Result, ensure};

use super::shared::Shared;

const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= 1024);

/// A mutex at the start of a page.
pub struct Mutex(*mut libc::pthread_mutex_t);

/// Makes one there.
pub fn init(page: &Shared) -> Result<()> {
    let mut attributes = MaybeUninit::uninit();
    let at = attributes.as_mut_ptr();
    // SAFETY: the attributes are made before they are used, and destroyed once; the mutex lies in a page that
    // is mapped, aligned for anything, and nobody else uses yet.
    let failed = unsafe {
        [
            libc::pthread_mutexattr_init(at),
            libc::pthread_mutexattr_setpshared(at, libc::PTHREAD_PROCESS_SHARED),
            libc::pthread_mutexattr_setrobust(at, libc::PTHREAD_MUTEX_ROBUST),
            libc::pthread_mutex_init(page.start().cast(), at),
            libc::pthread_mutexattr_destroy(at),
        ]
    };
    ensure!(failed == [0; 5], "no robust mutex: {failed:?}");
    Ok(())
}

impl Mutex {
    /// The one that [`init`] made there.
    pub fn open(page: &'static Shared) -> Self {
        Self(page.start().cast())
    }

    /// Takes it; whether its holder had died.
    pub fn lock(&self) -> Result<bool> {
        // SAFETY: `init` made it, in a page that stays mapped.
        match unsafe { libc::pthread_mutex_lock(self.0) } {
            0 => Ok(false),
            libc::EOWNERDEAD => {
                // SAFETY: the same; this thread holds it.
                let status = unsafe { libc::pthread_mutex_consistent(self.0) };
                ensure!(status == 0, "not to be made consistent: {status}");
                Ok(true)
            }
            status => anyhow::bail!("pthread_mutex_lock: {status}"),
        }
    }

    /// Gives it back.
    pub fn unlock(&self) -> Result<()> {
        // SAFETY: as in `lock`, and this thread holds it.
        let status = unsafe { libc::pthread_mutex_unlock(self.0) };
        ensure!(status == 0, "pthread_mutex_unlock: {status}");
        Ok(())
    }
}
