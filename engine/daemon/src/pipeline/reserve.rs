//! Stage 3, reserve: all memory that publishing an [`Applied`] group will need is taken from the
//! segments of all namespaces, and filled aside; a [`Prepared`] group comes out. After this, only the
//! store can fail.
//!
//! A segment whose reserve is used up is followed by the next generation, with a larger one.

use std::time::Instant;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::snapshot::{RowChange, SegmentError};

use super::Pipeline;
use super::apply::Applied;
use super::group::Group;
use super::segments::{Reserved, Short};
use crate::apply::ApplyError;
use crate::error::DaemonError;
use crate::refusal::{Refusal, Refused};
use crate::room::DOUBLINGS;

/// A group that can be published as soon as it is durable.
pub(super) struct Prepared {
    group: Group,
    reserved: Reserved,
}

impl Prepared {
    /// For the next stage.
    pub fn into_parts(self) -> (Group, Reserved) {
        (self.group, self.reserved)
    }
}

impl Pipeline {
    /// Takes the memory for the group. If there is none, nothing of the group remains anywhere.
    pub(super) fn reserve(&mut self, applied: Applied) -> Result<Prepared, Refused> {
        let mut group = applied.into_group();
        if let Some(refusal) = group.poison.take() {
            return Err(self.refuse(group, refusal));
        }
        match self.take_all(&mut group) {
            Ok(reserved) => Ok(Prepared { group, reserved }),
            Err(refusal) => Err(self.refuse(group, refusal)),
        }
    }

    fn take_all(&mut self, group: &mut Group) -> Result<Reserved, Refusal> {
        let changes = self.changes_of(group)?;
        let schema = group.schema.as_ref();
        if let Some(schema) = schema {
            self.segments.learn(&schema.catalogue);
        }
        let changes = self.segments.sort(changes).map_err(|e| Refusal::internal(&e))?;
        // A copy is made only where a second try may be needed.
        let spare = self.segments.may_be_short(&changes).then(|| changes.clone());
        let mut taken = self.segments.take(changes, schema);
        if let Some(spare) = spare {
            // Each part may need room, and more than once.
            for _ in 0..DOUBLINGS * self.segments.parts().len() {
                let Err(Short { namespace, error: SegmentError::Full { needed, .. } }) = taken
                else {
                    break;
                };
                self.next_generation(namespace, needed).map_err(|error| self.short_of(&error))?;
                taken = self.segments.take(spare.clone(), schema);
            }
        }
        taken.map_err(|short| self.short_of(&DaemonError::from(short.error)))
    }

    fn short_of(&mut self, error: &DaemonError) -> Refusal {
        if let Some(untold) = self.shortage.occurs(Instant::now()) {
            tracing::error!(%error, untold, "no memory for a group");
        }
        Refusal::memory(error)
    }

    /// The rows that the segments are to get. A reshaped table gets all of its rows anew.
    fn changes_of(&self, group: &mut Group) -> Result<Vec<RowChange>, Refusal> {
        let Some(schema) = &group.schema else { return Ok(group.take_rows(&[])) };
        let mut anew = Vec::new();
        for &table in &schema.reshaped {
            let found = self.rows_anew(table, &schema.catalogue, group, &mut anew);
            found.map_err(|e| Refusal::internal(&e))?;
        }
        let dropped = schema.dropped.iter().map(|(table, _)| *table);
        let without: Vec<u32> = schema.reshaped.iter().copied().chain(dropped).collect();
        anew.append(&mut group.take_rows(&without));
        Ok(anew)
    }

    fn rows_anew(
        &self,
        table: u32,
        catalogue: &Catalogue,
        group: &Group,
        out: &mut Vec<RowChange>,
    ) -> Result<(), ApplyError> {
        let shape = catalogue.table_by_id(table).map_or(0, |def| def.shape);
        let mut strange = false;
        self.working.for_each_row(table, |key, image| {
            let published = || self.segments.find(table, key).map(|l| (l.birth, l.revision));
            let identity = group.identity_of(table, key).unwrap_or_else(published);
            let Some((birth, revision)) = identity else {
                strange = true;
                return;
            };
            let image = Some(image.to_image());
            out.push(RowChange { table, shape, key: key.clone(), birth, revision, image });
        })?;
        if strange {
            return Err(ApplyError::State("a reshaped table has a row that nobody inserted"));
        }
        Ok(())
    }
}
