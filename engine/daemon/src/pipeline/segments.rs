//! What is published: for each namespace a snapshot segment and an events lane, so that a reader maps
//! only what it may see.
//!
//! Flow: rows and tables in, routed to their namespace by the table's id; memory is taken in all parts
//! or in none; then every part gets the group's newest revision, whether anything changed in it or not.
//!
//! ```text
//! publish    part of the greatest number … part of main        main last
//! announce   lanes without a record: the revision alone ; lanes with records ; who waits is woken
//! ```
//! So a revision that a reader sees in the segment of main is there in all others. Who sees a record of
//! a revision finds each lane without one at that revision or beyond, and those with one follow at once,
//! before anybody is woken.

use std::collections::HashMap;
use std::sync::Arc;

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::key::Key;
use shmirror_shm::lane::{EventsReader, EventsWriter};
use shmirror_shm::points::{self, Point};
use shmirror_shm::record::records;
use shmirror_shm::snapshot::{
    Located, Prepared, PreparedCatalogue, RowBuf, RowChange, Segment, SegmentError, SegmentWriter,
};
use shmirror_shm::{Region, ShmError};

use crate::apply::SchemaDelta;
use crate::clock;
use crate::instance::Descriptors;
use crate::room::may_be_short;

/// What is published of one namespace.
pub(crate) struct Part {
    /// Number of the namespace.
    pub id: u16,
    /// Its name.
    pub name: String,
    pub segment: SegmentWriter,
    events: EventsWriter,
    /// The lane as its readers see it.
    view: EventsReader,
}

impl Part {
    /// A part with this segment, and a lane of `bytes` of the segment's generation.
    pub fn new(
        (id, name): (u16, &str),
        segment: SegmentWriter,
        bytes: u64,
        newest_revision: u64,
    ) -> Result<Self, ShmError> {
        let (events, view) = lane(segment.generation(), bytes, newest_revision)?;
        Ok(Self { id, name: name.to_owned(), segment, events, view })
    }

    /// What clients are handed of it.
    pub fn descriptors(&self) -> Result<Descriptors, ShmError> {
        self.descriptors_with(&self.segment)
    }

    /// The same with another segment.
    pub fn descriptors_with(&self, segment: &SegmentWriter) -> Result<Descriptors, ShmError> {
        let (region, lane) = (segment.region(), self.events.region());
        Ok(Descriptors {
            namespace: self.name.clone(),
            segment: Segment::open(Arc::clone(region))?,
            memory: Arc::clone(region),
            segment_fd: region.read_only_descriptor()?,
            segment_bytes: region.len(),
            events_fd: Arc::new(lane.read_only_descriptor()?),
            events_generation: self.view.generation(),
            events_bytes: lane.len(),
        })
    }

    /// The lane as its readers see it.
    pub fn lane(&self) -> &EventsReader {
        &self.view
    }

    /// Bytes of the lane.
    pub fn lane_bytes(&self) -> u64 {
        self.events.region().len()
    }

    /// Sequence of the newest event.
    pub fn newest_sequence(&self) -> u64 {
        self.events.newest_sequence()
    }

    /// Goes on in `next`, which is handed out already; readers of the present segment are sent there.
    pub fn go_on_in(&mut self, next: SegmentWriter) {
        self.segment.retire();
        self.segment = next;
    }

    /// Goes on in `next` with segment and lane, as [`Part::go_on_in`] does.
    pub fn go_on_as(&mut self, next: Self) {
        self.segment.retire();
        self.events.retire();
        *self = next;
    }
}

/// A lane, and a view of it.
fn lane(
    generation: u64,
    bytes: u64,
    newest_revision: u64,
) -> Result<(EventsWriter, EventsReader), ShmError> {
    let mut events = EventsWriter::create(generation, bytes)?;
    events.start(newest_revision);
    let memory = events.region().read_only_descriptor()?;
    let memory = Region::map_read_only(memory, events.region().len())?;
    Ok((events, EventsReader::open(Arc::new(memory))?))
}

/// Memory taken for a group. To be published or given back before the next is taken.
#[must_use = "its memory is taken until it is published or given back"]
#[derive(Default)]
pub(crate) struct Reserved {
    /// In the order of the parts.
    shares: Vec<Share>,
    /// Storage made for tables, by id and shape.
    made: Vec<(u32, u32)>,
}

/// Memory taken in one part.
#[derive(Default)]
struct Share {
    rows: Prepared,
    /// Where the part of the catalogue changes.
    catalogue: Option<PreparedCatalogue>,
}

/// Memory could not be taken in one of the parts.
pub(crate) struct Short {
    /// Number of the namespace.
    pub namespace: u16,
    pub error: SegmentError,
}

/// The parts of all namespaces.
#[derive(Default)]
pub(crate) struct Segments {
    /// By rising number.
    parts: Vec<Part>,
    /// Table → number of its namespace.
    routes: HashMap<u32, u16>,
    /// The records of the group that is to be announced next are in the lanes.
    written: bool,
}

impl Segments {
    /// Adds the part of another namespace.
    pub fn add(&mut self, part: Part) {
        let at = self.parts.partition_point(|p| p.id < part.id);
        self.parts.insert(at, part);
    }

    /// All parts, by rising number.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The part of a namespace.
    pub fn part(&self, namespace: u16) -> Option<&Part> {
        self.parts.get(self.place(namespace)?)
    }

    /// The same, to be changed.
    pub fn part_mut(&mut self, namespace: u16) -> Option<&mut Part> {
        let at = self.place(namespace)?;
        self.parts.get_mut(at)
    }

    fn place(&self, namespace: u16) -> Option<usize> {
        self.parts.binary_search_by_key(&namespace, |p| p.id).ok()
    }

    /// Learns which namespace each table of `catalogue` is in. What it knew stays known until
    /// [`Segments::publish`]: the catalogue may not come to be.
    pub fn learn(&mut self, catalogue: &Catalogue) {
        for def in &catalogue.tables {
            if let Some(namespace) = catalogue.namespace_id(&def.namespace) {
                self.routes.insert(def.id, namespace);
            }
        }
    }

    /// Number of the namespace of a table.
    pub fn namespace_of(&self, table: u32) -> Option<u16> {
        self.routes.get(&table).copied()
    }

    fn segment_of(&self, table: u32) -> Option<&SegmentWriter> {
        self.part(self.namespace_of(table)?).map(|part| &part.segment)
    }

    /// Number and revision of the live row of `key`.
    pub fn find(&self, table: u32, key: &Key) -> Option<Located> {
        self.segment_of(table)?.find(table, key)
    }

    /// Copies the live row of `key`; false where there is none.
    pub fn read(&self, table: u32, key: &Key, out: &mut RowBuf) -> bool {
        self.segment_of(table).is_some_and(|s| s.read(table, key, out))
    }

    /// Live rows of a table.
    pub fn rows(&self, table: u32) -> u64 {
        self.segment_of(table).map_or(0, |s| s.rows(table))
    }

    /// Bytes that a table takes for its slots and its index.
    pub fn slot_bytes(&self, table: u32) -> u64 {
        self.segment_of(table).map_or(0, |s| s.slot_bytes(table))
    }

    /// Calls `f` with each live row of a table, in no particular order.
    pub fn for_each(&self, table: u32, f: impl FnMut(&RowBuf)) {
        if let Some(segment) = self.segment_of(table) {
            segment.for_each(table, f);
        }
    }

    /// Appends a copy of `table` as of the newest revision to `out`; the number of its rows.
    pub fn copy_table(&self, table: u32, out: &mut Vec<u8>) -> Result<u64, SegmentError> {
        let segment = self.segment_of(table);
        segment.ok_or(SegmentError::UnknownTable { table, shape: 0 })?.copy_table(table, out)
    }

    /// Says that the daemon lives: CLOCK_MONOTONIC, in nanoseconds.
    pub fn beat(&self) {
        let now = clock::monotonic_ns();
        self.parts.iter().for_each(|part| part.segment.set_heartbeat(now));
    }

    /// Says when a group became durable that is to be published next: CLOCK_MONOTONIC, in nanoseconds.
    pub fn set_committed(&self, ns: u64) {
        self.parts.iter().for_each(|part| part.segment.set_committed(ns));
    }

    /// When the newest group became durable; 0 where none did in this daemon's life.
    pub fn committed(&self) -> u64 {
        self.parts.first().map_or(0, |part| part.segment.committed())
    }

    /// The changes of each part, in the order of the parts.
    pub fn sort(&self, changes: Vec<RowChange>) -> Result<Vec<Vec<RowChange>>, SegmentError> {
        let mut sorted: Vec<Vec<RowChange>> = self.parts.iter().map(|_| Vec::new()).collect();
        let place = |change: &RowChange| {
            let (table, shape) = (change.table, change.shape);
            let place = self.namespace_of(table).and_then(|namespace| self.place(namespace));
            place.ok_or(SegmentError::UnknownTable { table, shape })
        };
        let Some(first) = changes.first() else { return Ok(sorted) };
        if changes.iter().all(|change| change.table == first.table) {
            let place = place(first)?;
            sorted[place] = changes;
            return Ok(sorted);
        }
        for change in changes {
            sorted[place(&change)?].push(change);
        }
        Ok(sorted)
    }

    /// Whether what is left of a part's reserve may not do for its share of `changes`.
    pub fn may_be_short(&self, changes: &[Vec<RowChange>]) -> bool {
        let mut shares = self.parts.iter().zip(changes);
        shares.any(|(part, changes)| may_be_short(&part.segment, changes))
    }

    /// Takes memory for `changes`, as [`Segments::sort`] gave them, and for the new schema, or nothing.
    pub fn take(
        &mut self,
        changes: Vec<Vec<RowChange>>,
        schema: Option<&SchemaDelta>,
    ) -> Result<Reserved, Short> {
        let mut reserved = Reserved::default();
        match self.take_into(&mut reserved, changes, schema) {
            Ok(()) => Ok(reserved),
            Err(short) => {
                self.give_back(reserved);
                Err(short)
            }
        }
    }

    fn take_into(
        &mut self,
        reserved: &mut Reserved,
        changes: Vec<Vec<RowChange>>,
        schema: Option<&SchemaDelta>,
    ) -> Result<(), Short> {
        if let Some(schema) = schema {
            let made = |def: &&TableDef| {
                schema.created.contains(&def.id) || schema.reshaped.contains(&def.id)
            };
            for def in schema.catalogue.tables.iter().filter(made) {
                let namespace = self.namespace_of(def.id).unwrap_or_default();
                let Some(part) = self.part_mut(namespace) else {
                    let (table, shape) = (def.id, def.shape);
                    let error = SegmentError::UnknownTable { table, shape };
                    return Err(Short { namespace, error });
                };
                let rows = part.segment.rows(def.id) as usize;
                let created = part.segment.create_table(def, rows);
                created.map_err(|error| Short { namespace, error })?;
                reserved.made.push((def.id, def.shape));
            }
        }
        for (part, changes) in self.parts.iter_mut().zip(changes) {
            let namespace = part.id;
            let short = |error| Short { namespace, error };
            let rows = part.segment.prepare(changes).map_err(short)?;
            reserved.shares.push(Share { rows, catalogue: None });
        }
        let Some(schema) = schema else { return Ok(()) };
        for (part, share) in self.parts.iter_mut().zip(&mut reserved.shares) {
            let namespace = part.id;
            if schema.parts.contains(&namespace) {
                let of_part = schema.catalogue.part(namespace);
                let prepared = part.segment.prepare_catalogue(&of_part);
                share.catalogue = Some(prepared.map_err(|error| Short { namespace, error })?);
            }
        }
        Ok(())
    }

    /// Lets go of what was taken.
    pub fn give_back(&mut self, reserved: Reserved) {
        for (part, share) in self.parts.iter_mut().zip(reserved.shares) {
            part.segment.abandon(share.rows);
            if let Some(catalogue) = share.catalogue {
                part.segment.abandon_catalogue(catalogue);
            }
        }
        for (table, shape) in reserved.made {
            let part = self.namespace_of(table).and_then(|namespace| self.part_mut(namespace));
            if let Some(part) = part {
                part.segment.drop_table(table, shape);
            }
        }
    }

    /// Shows what was taken for, and `revision` in every part; `catalogue` is the new one, where there is
    /// one. Nothing here can fail.
    pub fn publish(&mut self, reserved: Reserved, catalogue: Option<&Catalogue>, revision: u64) {
        for (part, share) in self.parts.iter_mut().zip(reserved.shares).rev() {
            points::pass(Point::Publish);
            // Storage that a new catalogue does not list any more is retired in the same step.
            part.segment.publish_all(share.rows, share.catalogue, revision);
        }
        if let Some(catalogue) = catalogue {
            self.routes.retain(|table, _| catalogue.table_by_id(*table).is_some());
        }
    }

    /// Puts the records of a group into the lanes before it is committed, if it is a small one: nobody sees
    /// them before [`Segments::announce`], which has less to do then while readers wait for it.
    pub fn write_ahead(&mut self, group: &[u64]) {
        if self.parts.iter().all(|part| part.events.can_take_back(group.len())) {
            self.write(group);
            self.written = true;
        }
    }

    /// Takes back what [`Segments::write_ahead`] did: the group was not committed.
    pub fn take_back(&mut self) {
        if std::mem::take(&mut self.written) {
            self.parts.iter_mut().for_each(|part| part.events.take_back());
        }
    }

    fn write(&mut self, group: &[u64]) {
        // They were made by the apply stage: none of them can be malformed.
        for record in records(group).flatten() {
            if points::is_put_in(Point::DropEvent) {
                continue;
            }
            if let Some(part) = self.part_mut(record.header().namespace) {
                part.events.push(record);
            }
        }
    }

    /// Tells of `group`, which is published, in the lanes of the namespaces that its records name.
    /// `touched` are namespaces and tables; table 0 stands for the namespace's schema.
    pub fn announce(&mut self, group: &[u64], touched: &[(u16, u32)], revision: u64) {
        points::pass(Point::Announce);
        if !std::mem::take(&mut self.written) {
            self.write(group);
        }
        let mut tables = Vec::with_capacity(touched.len());
        for part in &mut self.parts {
            if !touched.iter().any(|(namespace, _)| *namespace == part.id) {
                part.events.step(revision);
            }
        }
        for part in &mut self.parts {
            if tables_of(part.id, touched, &mut tables) {
                part.events.show(&tables, revision);
            }
        }
        for part in &mut self.parts {
            if tables_of(part.id, touched, &mut tables) {
                part.events.wake(&tables);
            }
        }
    }
}

/// Those of `touched` that are in a namespace; whether there are any.
fn tables_of(namespace: u16, touched: &[(u16, u32)], out: &mut Vec<u32>) -> bool {
    out.clear();
    out.extend(touched.iter().filter(|(of, _)| *of == namespace).map(|(_, table)| *table));
    !out.is_empty()
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
