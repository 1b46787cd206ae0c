//! What all threads of one daemon know of it: its identity, which never changes, and the
//! descriptors of what is published at the moment.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shmirror_shm::Region;
use shmirror_shm::catalogue::{Catalogue, Namespace};
use shmirror_shm::snapshot::Segment;

use crate::config::Config;
use crate::denials::Denials;
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
    /// The generation that it began with.
    pub generation: u64,
    /// When it was started.
    pub started: Instant,
    /// The key provider that opened the store, and where its key is.
    pub key: (&'static str, String),
    /// What is published.
    pub published: Published,
    /// Lines about what was denied.
    pub denials: Denials,
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

/// What clients are handed, by the number of the namespace.
#[derive(Debug, Default)]
pub(crate) struct Published {
    current: Mutex<BTreeMap<u16, Arc<Descriptors>>>,
}

/// Read-only descriptors of a namespace's present generation.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// The namespace's name.
    pub namespace: String,
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
    /// What is published now in the namespace of this name, and its number.
    pub fn named(&self, name: &str) -> Option<(u16, Arc<Descriptors>)> {
        let current = self.lock();
        let found = current.iter().find(|(_, d)| d.namespace.eq_ignore_ascii_case(name));
        found.map(|(id, d)| (*id, d.clone()))
    }

    /// All that is published now, by rising number of the namespace.
    pub fn all(&self) -> Vec<(u16, Arc<Descriptors>)> {
        self.lock().iter().map(|(id, d)| (*id, d.clone())).collect()
    }

    /// The numbers of the namespaces there are, as a catalogue without tables.
    pub fn catalogue(&self) -> Catalogue {
        let named =
            |(id, part): (u16, Arc<Descriptors>)| Namespace { id, name: part.namespace.clone() };
        let namespaces = self.all().into_iter().filter(|(id, _)| *id != 0).map(named).collect();
        Catalogue { namespaces, ..Catalogue::default() }
    }

    /// From now on attaching clients get `next` for this namespace.
    pub fn replace(&self, namespace: u16, next: Descriptors) {
        self.lock().insert(namespace, Arc::new(next));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<Descriptors>>> {
        // Entries are replaced whole: a panic elsewhere cannot leave one half done.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
