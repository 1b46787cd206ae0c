//! From records to events: numbers become names, images become rows.
//!
//! In: records in the order of revisions, from the events lane or the commit log. Out: events of the
//! tables that are followed. Schema records go by here too, so names are those of their revision, and
//! a table that is created later is followed from its creation on.

use std::collections::{HashMap, HashSet};

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::record::{FLAG_LAST, Operation, RecordRef};

use crate::error::Error;
use crate::event::{ChangeEvent, Event, SchemaEvent};
use crate::row::Row;
use crate::schema::Schema;

/// What is needed to render records.
pub(crate) struct Renderer {
    /// Names of the tables that are followed; all where empty.
    names: Vec<String>,
    /// The catalogue as of the newest schema record, or as of the start.
    catalogue: Catalogue,
    /// Every table ever seen, its newest definition, for records of tables dropped since.
    seen: HashMap<u32, TableDef>,
    /// Ids of the tables that are followed, where not all are.
    followed: HashSet<u32>,
    forms: HashMap<(u32, u32), &'static Schema>,
}

impl Renderer {
    /// A renderer for the tables of these names, all where there are none.
    pub(crate) fn new(names: Vec<String>, catalogue: Catalogue) -> Self {
        let mut renderer = Self {
            names,
            catalogue: Catalogue::default(),
            seen: HashMap::new(),
            followed: HashSet::new(),
            forms: HashMap::new(),
        };
        renderer.learn(catalogue);
        renderer
    }

    /// Takes a catalogue that holds from now on.
    pub(crate) fn learn(&mut self, catalogue: Catalogue) {
        for table in &catalogue.tables {
            if self.names.iter().any(|n| n.eq_ignore_ascii_case(&table.name)) {
                self.followed.insert(table.id);
            }
            let known = self.seen.get(&table.id);
            if known.is_none_or(|k| k.shape <= table.shape) {
                self.seen.insert(table.id, table.clone());
            }
        }
        self.catalogue = catalogue;
        self.forms.clear();
    }

    /// Version of the schema that is known.
    pub(crate) fn schema_version(&self) -> u64 {
        self.catalogue.schema_version
    }

    /// Ids of the followed tables, where each of the names is a table now. `None`: all tables must be
    /// listened to, as all are followed or some do not exist yet.
    pub(crate) fn ids(&self) -> Option<Vec<u32>> {
        if self.names.is_empty() {
            return None;
        }
        self.names.iter().map(|n| self.catalogue.table(n).map(|t| t.id)).collect()
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
        let event = self.schema(record)?;
        let told = self.names.is_empty()
            || [&event.created, &event.changed, &event.dropped]
                .into_iter()
                .flatten()
                .any(|t| self.names.iter().any(|n| n.eq_ignore_ascii_case(t)));
        Ok(told.then_some(Event::Schema(event)))
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
        let known = [self.catalogue.table_by_id(table), self.seen.get(&table)];
        let form = known
            .into_iter()
            .flatten()
            .find_map(|def| Schema::of_shape(def, shape))
            .filter(|form| form.columns.len() == columns)
            .unwrap_or_else(|| Schema::unknown(table, columns));
        self.forms.insert((table, shape), form);
        form
    }

    fn schema(&mut self, record: &RecordRef<'_>) -> Result<SchemaEvent, Error> {
        let header = *record.header();
        let next = record.catalogue().map_err(bad_record)?;
        let mut event = SchemaEvent {
            revision: header.revision,
            uid: header.uid,
            pid: header.pid,
            at_us: header.at_us,
            ..SchemaEvent::default()
        };
        // Before the first schema of all there was none.
        let none = Catalogue::default();
        let before = if next.schema_version == 1 { &none } else { &self.catalogue };
        if before.schema_version < next.schema_version {
            for table in &next.tables {
                match before.table_by_id(table.id) {
                    None => event.created.push(table.name.clone()),
                    Some(old) if old.shape != table.shape || old.name != table.name => {
                        event.changed.push(table.name.clone());
                    }
                    Some(_) => {}
                }
            }
            let gone = before.tables.iter().filter(|t| next.table_by_id(t.id).is_none());
            event.dropped.extend(gone.map(|t| t.name.clone()));
        } else {
            // Where history is read from its middle on, the catalogue known is newer than the first
            // records, and there is none before them to compare with: what can be told is told of the
            // one table that the record is about.
            let id = header.table;
            match (next.table_by_id(id), self.seen.get(&id)) {
                (Some(table), _) if table.past_shapes.is_empty() => {
                    event.created.push(table.name.clone());
                }
                (Some(table), _) => event.changed.push(table.name.clone()),
                (None, Some(table)) => event.dropped.push(table.name.clone()),
                (None, None) if id != 0 => event.dropped.push(format!("#{id}")),
                (None, None) => {}
            }
        }
        self.learn(next);
        Ok(event)
    }
}

/// A record that lies about itself.
pub(crate) fn bad_record(error: impl std::fmt::Display) -> Error {
    Error::Protocol(format!("a change record: {error}"))
}

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
