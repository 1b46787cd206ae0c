//! Stage 4, commit: a [`Prepared`] group becomes durable in the store; a [`Committed`] one comes out. Only
//! this stage can make one. What the working copy has of it becomes definite once everybody was told.

use std::time::{Duration, Instant};

use shmirror_shm::points::{self, Point};
use shmirror_store::Group as StoreGroup;

use super::Pipeline;
use super::group::Group;
use super::reserve::Prepared;
use super::segments::Reserved;
use crate::clock;
use crate::refusal::{Refusal, Refused};

/// A group that is durable: no failure can take it back, and it must be published.
pub(super) struct Committed {
    group: Group,
    reserved: Reserved,
}

impl Committed {
    /// For the next stage.
    pub fn into_parts(self) -> (Group, Reserved) {
        (self.group, self.reserved)
    }
}

impl Pipeline {
    /// Commits the group. If the store cannot, nothing of it remains anywhere.
    pub(super) fn commit(&mut self, prepared: Prepared) -> Result<Committed, Refused> {
        let (group, mut reserved) = prepared.into_parts();
        if group.is_unchanged() {
            // Ids that were used and whose rows went again have no revision, but stay used.
            let kept = group.sequences.as_deref().map_or(Ok(()), |s| self.store.keep_sequences(s));
            if let Err(error) = kept {
                tracing::error!(%error, revision = group.base, "keeping sequences failed");
                self.segments.give_back(reserved);
                return Err(self.refuse(group, Refusal::store(&error)));
            }
            return Ok(Committed { group, reserved });
        }
        if points::is_put_in(Point::PublishBeforeCommit) {
            let catalogue = group.schema.as_ref().map(|schema| &*schema.catalogue);
            self.segments.publish(std::mem::take(&mut reserved), catalogue, group.newest);
        }
        // A new schema may bring namespaces whose lanes are not there yet.
        if group.schema.is_none() {
            self.segments.write_ahead(&group.records);
        }
        points::pass(Point::Commit);
        let begun = clock::monotonic_ns();
        let durable = self.store.commit(&StoreGroup {
            first_revision: group.base + 1,
            last_revision: group.newest,
            at_us: group.at_us,
            records: &group.records,
            catalogue: group.schema.as_ref().map(|s| &*s.catalogue),
            next_birth: group.next_birth,
            sequences: group.sequences.as_deref(),
        });
        if let Err(error) = durable {
            if let Some(untold) = self.trouble.occurs(Instant::now()) {
                let (first, last) = (group.base + 1, group.newest);
                tracing::error!(%error, first, last, untold, "commit failed");
            }
            self.segments.take_back();
            self.segments.give_back(reserved);
            return Err(self.refuse(group, Refusal::store(&error)));
        }
        let now = clock::monotonic_ns();
        self.segments.set_committed(now);
        points::pass(Point::Committed);
        let time = Duration::from_nanos(now.saturating_sub(begun));
        self.commit_time = (7 * self.commit_time + time) / 8;
        self.newest_revision = group.newest;
        self.next_birth = group.next_birth;
        Ok(Committed { group, reserved })
    }

    /// The working copy keeps the group that was committed last. Nobody waits for that, so it comes after
    /// everything else. Where it cannot, the group is durable and published all the same, and the working
    /// copy is made anew from what is published.
    pub(super) fn settle_working_copy(&mut self) {
        if let Err(error) = self.working.commit_group() {
            tracing::error!(%error, "the working copy failed");
        }
    }
}
