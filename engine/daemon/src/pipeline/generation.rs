//! The next generation of a namespace's segment: one with all that is published, to which readers move
//! by themselves. The same path as a restart, without the restart.

use std::sync::Arc;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::points::{self, Point};
use shmirror_shm::snapshot::{SegmentError, SegmentWriter};

use super::Pipeline;
use super::segments::Part;
use crate::clock;
use crate::error::DaemonError;
use crate::room::{larger, rebuilt};

impl Pipeline {
    /// Replaces the segment of a namespace by one with room for `needed` bytes and more. On an error the
    /// present one stays in use.
    pub(super) fn next_generation(
        &mut self,
        namespace: u16,
        needed: u64,
    ) -> Result<(), DaemonError> {
        let generation = self.store.next_generation()?;
        let instance = Arc::clone(&self.instance);
        let next = larger(&self.part(namespace)?.segment, instance.id, generation, needed)?;
        let next = self.with_catalogue(&self.catalogue.part(namespace), next)?;
        points::pass(Point::Growth);
        // First who attaches gets the next one, then the present one sends its readers there.
        let descriptors = self.part(namespace)?.descriptors_with(&next)?;
        let reserve = next.reserve_bytes();
        if let Some(part) = self.segments.part_mut(namespace) {
            instance.published.replace(namespace, descriptors);
            part.go_on_in(next);
        }
        tracing::info!(
            namespace,
            generation,
            reserve,
            "the segment was full; the next generation follows it"
        );
        Ok(())
    }

    /// Replaces segment and events lane of a namespace, so that who has mapped the present ones and
    /// cannot get the next sees nothing that comes later. On an error the present ones stay in use.
    pub(super) fn withdraw(&mut self, namespace: u16) -> Result<(), DaemonError> {
        let generation = self.store.next_generation()?;
        let instance = Arc::clone(&self.instance);
        let present = self.part(namespace)?;
        let (name, segment) = (present.name.clone(), &present.segment);
        let bytes = instance.config.lanes.events_bytes;
        let next = match rebuilt(segment, instance.id, generation, segment.reserve_bytes()) {
            Err(SegmentError::Full { needed, .. }) => {
                larger(segment, instance.id, generation, needed)
            }
            next => next,
        };
        let next = self.with_catalogue(&self.catalogue.part(namespace), next?)?;
        let next = Part::new((namespace, &name), next, bytes, self.newest_revision)?;
        let descriptors = next.descriptors()?;
        if let Some(part) = self.segments.part_mut(namespace) {
            instance.published.replace(namespace, descriptors);
            part.go_on_as(next);
        }
        tracing::info!(
            namespace,
            generation,
            "somebody may no longer see it: the next generation follows"
        );
        Ok(())
    }

    fn part(&self, namespace: u16) -> Result<&Part, DaemonError> {
        self.segments.part(namespace).ok_or_else(|| {
            DaemonError::Inconsistent(format!("nothing is published of namespace {namespace}"))
        })
    }

    /// The segment with the catalogue of its namespace, alive.
    pub(super) fn with_catalogue(
        &self,
        part: &Catalogue,
        mut segment: SegmentWriter,
    ) -> Result<SegmentWriter, DaemonError> {
        let catalogue = segment.prepare_catalogue(part)?;
        segment.publish_catalogue(catalogue, self.newest_revision);
        segment.set_heartbeat(clock::monotonic_ns());
        segment.set_committed(self.segments.committed());
        Ok(segment)
    }
}
