//! A namespace that is in use, and the thread that keeps it attached.
//!
//! In: an attachment. Out: the same for all handles, for as long as the last of them lives.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::event::{EventfdFlags, eventfd};
use shmirror_shm::signals::with_signals_blocked;

use crate::attachment::Core;
use crate::error::Error;

/// What all handles of a namespace hold: the attachment and its keeper, who ends with the last of them.
pub(crate) struct Kept {
    core: Arc<Core>,
    stop: Arc<OwnedFd>,
    keeper: Option<JoinHandle<()>>,
}

impl Kept {
    /// Starts the keeper of an attachment.
    pub(crate) fn start(core: Core) -> Result<Arc<Self>, Error> {
        let core = Arc::new(core);
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(Arc::new)
            .map_err(|e| Error::io("making an eventfd", e))?;
        let spawn = || {
            let (core, stop) = (core.clone(), stop.clone());
            thread::Builder::new()
                .name("shmirror-keeper".to_owned())
                .spawn(move || core.keep(&stop))
        };
        let keeper = with_signals_blocked(spawn)
            .map_err(|e| Error::io("starting the mirror's keeper", e))?;
        Ok(Arc::new(Self { core, stop, keeper: Some(keeper) }))
    }

    /// The attachment.
    #[inline]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let keeper = self.keeper.take();
        if self.core.same_process().is_err() {
            // A forked child has no keeper, and the eventfd is the parent's too.
            return std::mem::forget(keeper);
        }
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        // One that waits for a daemon's answer ends by itself when that comes, or does not.
        if let Some(keeper) = keeper
            && !self.core.is_reaching()
        {
            // A panic of the keeper's has been printed; there is nothing more to do about it here.
            let _ = keeper.join();
        }
    }
}
