//! What all threads of one daemon know of it: its identity, which never changes, and the
//! descriptors of what is published at the moment.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shmirror_shm::Region;
use shmirror_shm::snapshot::Segment;

use crate::config::Config;
use crate::pulse::Pulse;

/// Identity of a running daemon.
#[derive(Debug)]
pub(crate) struct Instance {
    /// The instance id, from the store.
    pub id: [u8; 16],
    /// The configuration it was started with.
    pub config: Config,
    /// The control socket.
    pub socket: PathBuf,
    /// The daemon's pid.
    pub pid: u32,
    /// The daemon's uid.
    pub uid: u32,
    /// When it was started.
    pub started: Instant,
    /// The key provider that opened the store, and where its key is.
    pub key: (&'static str, String),
    /// What is published.
    pub published: Published,
    /// Its sign of life.
    pub pulse: Pulse,
}

/// Version of this crate, as told to clients.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Instance {
    /// The instance id as text.
    pub fn id_text(&self) -> String {
        self.id.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// One published memory file: what a client is handed.
#[derive(Debug)]
pub(crate) struct Published {
    current: Mutex<Arc<Descriptors>>,
}

/// Read-only descriptors of the present generation.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// A view of the snapshot segment.
    pub segment: Arc<Segment>,
    /// The daemon's own mapping of it.
    pub memory: Arc<Region>,
    /// Its memory, read-only.
    pub segment_fd: OwnedFd,
    /// Its size as sealed.
    pub segment_bytes: u64,
    /// The events lane's memory, read-only.
    pub events_fd: Arc<OwnedFd>,
    /// Generation of the events lane.
    pub events_generation: u64,
    /// Its size as sealed.
    pub events_bytes: u64,
}

impl Descriptors {
    /// Sets the segment's heartbeat: `CLOCK_MONOTONIC`, in nanoseconds.
    pub fn beat(&self, now: u64) {
        if let Some(word) = self.memory.word(shmirror_shm::header_at!(heartbeat)) {
            word.store(now, Ordering::Relaxed);
        }
    }
}

impl Published {
    /// Begins with `first`.
    pub fn new(first: Descriptors) -> Self {
        Self { current: Mutex::new(Arc::new(first)) }
    }

    /// What is published now.
    pub fn current(&self) -> Arc<Descriptors> {
        self.lock().clone()
    }

    /// From now on attaching clients get `next`.
    pub fn replace(&self, next: Descriptors) {
        *self.lock() = Arc::new(next);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Descriptors>> {
        // The guarded value is replaced whole: a panic elsewhere cannot leave it half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
