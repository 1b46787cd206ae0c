//! From records to events: numbers become names, images become rows.
//!
//! In: records in the order of revisions, from the events lane or the commit log, of one namespace or of
//! several. Out: events of the tables that are followed. Schema records go by here too, each with one
//! namespace's part of the catalogue, so names are those of their revision, and a table that is created
//! later is followed from its creation on.

use std::collections::{HashMap, HashSet};

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::record::{FLAG_LAST, Operation, RecordRef};

use crate::by_id::ById;
use crate::error::Error;
use crate::event::{ChangeEvent, Event, SchemaEvent};
use crate::name::Wanted;
use crate::row::Row;
use crate::schema::Schema;

/// What is needed to render records.
pub(crate) struct Renderer {
    /// The tables that are followed; all where empty.
    names: Vec<Wanted>,
    /// By the namespace's number: its part of the catalogue, as of the newest schema record or as of
    /// the start.
    parts: ById<Catalogue>,
    /// Every table ever seen, its newest definition, for records of tables dropped since.
    seen: HashMap<u32, TableDef>,
    /// Ids of the tables that are followed, where not all are.
    followed: HashSet<u32>,
    forms: HashMap<(u32, u32), &'static Schema>,
}

impl Renderer {
    /// A renderer for these tables, all where there are none, of the namespaces with these parts.
    pub(crate) fn new(
        names: Vec<Wanted>,
        parts: impl IntoIterator<Item = (u16, Catalogue)>,
    ) -> Self {
        let mut renderer = Self {
            names,
            parts: ById::new(),
            seen: HashMap::new(),
            followed: HashSet::new(),
            forms: HashMap::new(),
        };
        parts.into_iter().for_each(|(namespace, part)| renderer.learn(namespace, part));
        renderer
    }

    /// Takes a namespace's part of the catalogue, which holds from now on.
    pub(crate) fn learn(&mut self, namespace: u16, part: Catalogue) {
        for table in &part.tables {
            if self.names.iter().any(|n| n.is(table)) {
                self.followed.insert(table.id);
            }
            let known = self.seen.get(&table.id);
            if known.is_none_or(|k| k.shape <= table.shape) {
                self.seen.insert(table.id, table.clone());
            }
        }
        self.parts.insert(namespace, part);
        self.forms.clear();
    }

    /// Version of the schema that is known.
    pub(crate) fn schema_version(&self) -> u64 {
        self.parts.values().map(|p| p.schema_version).max().unwrap_or_default()
    }

    /// Ids of the followed tables, where each of the names is a table now. `None`: all tables must be
    /// listened to, as all are followed or some do not exist yet.
    pub(crate) fn ids(&self) -> Option<Vec<u32>> {
        if self.names.is_empty() {
            return None;
        }
        let id = |n: &Wanted| self.parts.values().find_map(|p| n.find(p)).map(|t| t.id);
        self.names.iter().map(id).collect()
    }

    /// Whether a record of this table is wanted. A table is followed once it has had one of the names,
    /// and from then on through its renaming as well.
    fn follows(&self, table: u32) -> bool {
        self.names.is_empty() || self.followed.contains(&table)
    }

    /// Whether anything of this record is wanted.
    pub(crate) fn wants(&self, record: &RecordRef<'_>) -> bool {
        !record.is_row() || self.follows(record.header().table)
    }

    /// The event that a record tells of, if it is wanted. An elided row image is the caller's to fill
    /// in first.
    pub(crate) fn render(&mut self, record: &RecordRef<'_>) -> Result<Option<Event>, Error> {
        if record.is_row() {
            if !self.follows(record.header().table) {
                return Ok(None);
            }
            return self.change(record).map(|e| Some(Event::Change(e)));
        }
        let (event, told) = self.schema(record)?;
        Ok((told || self.names.is_empty()).then_some(Event::Schema(event)))
    }

    fn change(&mut self, record: &RecordRef<'_>) -> Result<ChangeEvent, Error> {
        let header = *record.header();
        let columns = usize::from(header.columns);
        let form = self.form(header.table, header.shape, columns);
        let operation = record.operation().map_err(bad_record)?;
        let row = record.row().map_err(bad_record)?;
        let changed = match operation {
            Operation::Delete => Vec::new(),
            Operation::Insert => form.columns.iter().map(|c| c.name.clone()).collect(),
            Operation::Update => {
                (0..columns).filter(|&i| record.changed(i)).map(|i| form.name(i)).collect()
            }
        };
        Ok(ChangeEvent {
            revision: header.revision,
            sequence: header.sequence,
            table: form.table.clone(),
            operation,
            key: record.key().and_then(|k| Ok(k.to_values()?)).map_err(bad_record)?,
            changed,
            row: row.map(|image| Row::of_image(form, header.revision, header.birth, image)),
            uid: header.uid,
            pid: header.pid,
            at_us: header.at_us,
            last_of_transaction: header.flags & FLAG_LAST != 0,
        })
    }

    /// The form of the rows of a table at a shape, as far as anybody knows.
    fn form(&mut self, table: u32, shape: u32, columns: usize) -> &'static Schema {
        if let Some(form) = self.forms.get(&(table, shape))
            && form.columns.len() == columns
        {
            return form;
        }
        let now = self.parts.values().find_map(|p| p.table_by_id(table));
        let form = [now, self.seen.get(&table)]
            .into_iter()
            .flatten()
            .find_map(|def| Schema::of_shape(def, shape))
            .filter(|form| form.columns.len() == columns)
            .unwrap_or_else(|| Schema::unknown(table, columns));
        self.forms.insert((table, shape), form);
        form
    }

    /// What a schema record tells, and whether it is of a table that is followed by name.
    fn schema(&mut self, record: &RecordRef<'_>) -> Result<(SchemaEvent, bool), Error> {
        let header = *record.header();
        let next = record.catalogue().map_err(bad_record)?;
        let mut event = SchemaEvent {
            revision: header.revision,
            uid: header.uid,
            pid: header.pid,
            at_us: header.at_us,
            ..SchemaEvent::default()
        };
        let mut told = false;
        let mut tell = |to: &mut Vec<String>, table: &TableDef| {
            told |= self.names.iter().any(|n| n.is(table));
            to.push(table.full_name().into_owned());
        };
        // Before the first schema of all there was none.
        let none = Catalogue::default();
        let known = self.parts.get(header.namespace);
        let before = known.filter(|_| next.schema_version != 1).unwrap_or(&none);
        if before.schema_version < next.schema_version {
            for table in &next.tables {
                match before.table_by_id(table.id) {
                    None => tell(&mut event.created, table),
                    Some(old) if old.shape != table.shape || old.name != table.name => {
                        tell(&mut event.changed, table);
                    }
                    Some(_) => {}
                }
            }
            let gone = before.tables.iter().filter(|t| next.table_by_id(t.id).is_none());
            gone.for_each(|table| tell(&mut event.dropped, table));
        } else {
            // Where history is read from its middle on, the catalogue known is newer than the first
            // records, and there is none before them to compare with: what can be told is told of the
            // one table that the record is about.
            let id = header.table;
            match (next.table_by_id(id), self.seen.get(&id)) {
                (Some(table), _) if table.past_shapes.is_empty() => {
                    tell(&mut event.created, table);
                }
                (Some(table), _) => tell(&mut event.changed, table),
                (None, Some(table)) => tell(&mut event.dropped, table),
                (None, None) if id != 0 => event.dropped.push(format!("#{id}")),
                (None, None) => {}
            }
        }
        self.learn(header.namespace, next);
        Ok((event, told))
    }
}

/// A record that lies about itself.
pub(crate) fn bad_record(error: impl std::fmt::Display) -> Error {
    Error::Protocol(format!("a change record: {error}"))
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
