//! The next generation of the segment: a larger one with all that is published, to which readers
//! move by themselves. The same path as a restart, without the restart.

use std::sync::Arc;

use shmirror_shm::snapshot::Segment;

use super::Pipeline;
use crate::clock;
use crate::error::DaemonError;
use crate::instance::Descriptors;
use crate::room::larger;

impl Pipeline {
    /// Replaces the segment by one with room for `needed` bytes and more. On an error the present
    /// one stays in use.
    pub(super) fn next_generation(&mut self, needed: u64) -> Result<(), DaemonError> {
        let generation = self.store.next_generation()?;
        let mut next = larger(&self.segment, self.instance.id, generation, needed)?;
        let catalogue = next.prepare_catalogue(&self.catalogue)?;
        next.publish_catalogue(catalogue, self.newest_revision);
        next.set_heartbeat(clock::monotonic_ns());
        let Some(present) = self.instance.published.of(0) else {
            return Err(DaemonError::Inconsistent("nothing is published".to_owned()));
        };
        let descriptors = Descriptors {
            namespace: present.namespace.clone(),
            segment: Segment::open(Arc::clone(next.region()))?,
            memory: Arc::clone(next.region()),
            segment_fd: next.region().read_only_descriptor()?,
            segment_bytes: next.region().len(),
            events_fd: Arc::clone(&present.events_fd),
            events_generation: present.events_generation,
            events_bytes: present.events_bytes,
        };
        // First who attaches gets the next one, then the present one sends its readers there.
        self.instance.published.replace(0, descriptors);
        self.segment.retire();
        self.segment = next;
        let reserve = self.segment.reserve_bytes();
        tracing::info!(generation, reserve, "the segment was full; the next generation follows it");
        Ok(())
    }
}
