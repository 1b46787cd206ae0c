//! Stage 3, reserve: all memory that publishing an [`Applied`] group will need is taken from the
//! segment, and filled aside; a [`Prepared`] group comes out. After this, only the store can fail.
//!
//! A segment whose reserve is used up is followed by the next generation, with a larger one.

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::snapshot::{self, PreparedCatalogue, RowChange, SegmentError};

use super::Pipeline;
use super::apply::Applied;
use super::group::Group;
use crate::apply::{ApplyError, SchemaDelta};
use crate::error::DaemonError;
use crate::refusal::{Refusal, Refused};
use crate::room::{may_be_short, with_room};

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

/// Memory taken for a group.
pub(super) struct Reserved {
    /// Its rows.
    pub rows: snapshot::Prepared,
    /// The catalogue, where it changes.
    pub catalogue: Option<PreparedCatalogue>,
    /// Storage made for tables, by id and shape.
    made: Vec<(u32, u32)>,
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

    /// Lets go of what was taken.
    pub(super) fn give_back(&mut self, reserved: Reserved) {
        self.segment.abandon(reserved.rows);
        if let Some(catalogue) = reserved.catalogue {
            self.segment.abandon_catalogue(catalogue);
        }
        for (table, shape) in reserved.made {
            self.segment.drop_table(table, shape);
        }
    }

    fn take_all(&mut self, group: &mut Group) -> Result<Reserved, Refusal> {
        let changes = self.changes_of(group)?;
        // A copy is made only where a second try may be needed.
        let spare = may_be_short(&self.segment, &changes).then(|| changes.clone());
        let schema = group.schema.as_ref();
        let taken = match (self.take(changes, schema), spare) {
            (Err(SegmentError::Full { needed, .. }), Some(spare)) => {
                self.next_generation(needed).and_then(|()| {
                    let take = |pipeline: &mut Self| pipeline.take(spare.clone(), schema);
                    with_room(self, take, Self::next_generation)
                })
            }
            (taken, _) => taken.map_err(DaemonError::from),
        };
        taken.map_err(|error| {
            tracing::error!(%error, "no memory for a group");
            Refusal::memory(&error)
        })
    }

    /// The rows that the segment is to get. A reshaped table gets all of its rows anew.
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
            let published = || self.segment.find(table, key).map(|l| (l.birth, l.revision));
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

    /// Takes memory for `changes` and the new schema, or nothing.
    fn take(
        &mut self,
        changes: Vec<RowChange>,
        schema: Option<&SchemaDelta>,
    ) -> Result<Reserved, SegmentError> {
        let mut reserved =
            Reserved { rows: snapshot::Prepared::default(), catalogue: None, made: Vec::new() };
        match self.take_into(&mut reserved, changes, schema) {
            Ok(()) => Ok(reserved),
            Err(error) => {
                self.give_back(reserved);
                Err(error)
            }
        }
    }

    fn take_into(
        &mut self,
        reserved: &mut Reserved,
        changes: Vec<RowChange>,
        schema: Option<&SchemaDelta>,
    ) -> Result<(), SegmentError> {
        if let Some(schema) = schema {
            for def in &schema.catalogue.tables {
                if schema.created.contains(&def.id) || schema.reshaped.contains(&def.id) {
                    let rows = self.segment.rows(def.id) as usize;
                    self.segment.create_table(def, rows)?;
                    reserved.made.push((def.id, def.shape));
                }
            }
        }
        reserved.rows = self.segment.prepare(changes)?;
        if let Some(schema) = schema {
            reserved.catalogue = Some(self.segment.prepare_catalogue(&schema.catalogue)?);
        }
        Ok(())
    }
}
