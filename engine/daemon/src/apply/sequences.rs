//! AUTOINCREMENT: the greatest id that each such table ever gave, so that none is given twice.
//!
//! SQLite keeps it in its tables `sqlite_sequence`, one in each namespace, of which the working copy is only a copy: what a
//! request did to it goes out beside the row changes, and comes back at the start. It is read after
//! requests that can have changed it: inserts into such a table, changes of schema, and statements
//! that name `sqlite_sequence`, as an import does.
//!
//! An insert that another row keeps out (ON CONFLICT DO NOTHING) can move SQLite's number on though
//! no row ever had it. That alone is not told: after a restart a new row may get it.

use std::sync::Arc;

use shmirror_shm::request::RejectCode;
use shmirror_shm::value::ValueRef;

use super::db::SqlError;
use super::guard::Notes;
use super::reject::{Reject, show_values};
use super::tables::quote;
use super::{ApplyError, WorkingCopy};

/// SQLite's tables.
const NAME: &str = "sqlite_sequence";

/// Table ids in rising order, each with the greatest id that its key ever had.
pub type Sequences = Arc<[(u32, i64)]>;

/// Whether a statement writes `sqlite_sequence` by its name.
pub(crate) fn writes_sequence(notes: &Notes) -> bool {
    notes.written.iter().any(|table| table.name.eq_ignore_ascii_case(NAME))
}

/// Whether a statement reads `sqlite_sequence`.
pub(crate) fn reads_sequence(notes: &Notes) -> bool {
    notes.read.iter().any(|table| table.name.eq_ignore_ascii_case(NAME))
}

impl WorkingCopy {
    /// The sequences as they are now, those of the open group included.
    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// The sequences as SQLite has them at this moment.
    ///
    /// # Errors
    /// SQLite cannot read them.
    pub(crate) fn sequences_now(&self) -> Result<Sequences, Reject> {
        self.read_sequences(false)
    }

    /// Sequences for [`WorkingCopy::finish_load`] to set. Those that are not given follow from the
    /// rows.
    pub fn load_sequences(&mut self, sequences: &[(u32, i64)]) {
        self.sequences = sequences.into();
    }

    /// Sets what was loaded; what the rows gave stays where nothing was.
    pub(super) fn finish_sequences(&mut self) -> Result<(), ApplyError> {
        for (table, last) in self.sequences.clone().iter() {
            self.set_sequence(*table, *last)?;
        }
        self.sequences = self.read_sequences(false)?;
        Ok(())
    }

    /// Sets all sequences as they were after the last request that was accepted.
    pub(super) fn redo_sequences(&mut self) -> Result<(), ApplyError> {
        let failed = |e: SqlError| ApplyError::sqlite("doing sequences again", &e);
        for (_, namespace) in self.catalogue.all_namespaces() {
            if self.has_sequences(namespace) {
                let sql = format!("DELETE FROM {}.{NAME}", quote(namespace));
                self.db.exec(&sql).map_err(failed)?;
            }
        }
        for (table, last) in self.sequences.clone().iter() {
            self.set_sequence(*table, *last)?;
        }
        Ok(())
    }

    fn set_sequence(&self, table: u32, last: i64) -> Result<(), ApplyError> {
        let failed = |e: SqlError| ApplyError::sqlite("setting a sequence", &e);
        let Some(def) = self.catalogue.table_by_id(table) else {
            return Err(ApplyError::UnknownTable { found: table });
        };
        let (name, last) = (ValueRef::Text(&def.name), ValueRef::Integer(last));
        let namespace = quote(&def.namespace);
        let sql = format!("DELETE FROM {namespace}.{NAME} WHERE name=?1 COLLATE NOCASE");
        let mut delete = self.db.prepare(&sql).map_err(failed)?;
        delete.run([name].into_iter()).map_err(failed)?;
        let sql = format!("INSERT INTO {namespace}.{NAME}(name,seq) VALUES(?1,?2)");
        let mut insert = self.db.prepare(&sql).map_err(failed)?;
        insert.run([name, last].into_iter()).map_err(failed)
    }

    /// What a request did to the sequences: the new ones, where they are others. `schema`: it
    /// changed the schema.
    pub(super) fn settle_sequences(&mut self, schema: bool) -> Result<Option<Sequences>, Reject> {
        let (moved, named) = self.capture.state().take_sequenced();
        if !(moved || named || schema) {
            return Ok(None);
        }
        let now = self.read_sequences(named)?;
        if now == self.sequences {
            return Ok(None);
        }
        self.sequences = now.clone();
        Ok(Some(now))
    }

    /// Whether a table of this namespace has an AUTOINCREMENT key.
    fn has_sequences(&self, namespace: &str) -> bool {
        let state = self.capture.state();
        self.catalogue
            .tables
            .iter()
            .filter(|t| t.namespace.eq_ignore_ascii_case(namespace))
            .any(|t| state.table(t.id).is_some_and(|t| t.autoincrement))
    }

    /// `strict`: a client wrote one, so that everything in them is looked at.
    fn read_sequences(&self, strict: bool) -> Result<Sequences, Reject> {
        let failed = |e: SqlError| Reject::internal("reading sequences", e);
        let mut found: Vec<(u32, i64)> = Vec::new();
        for (_, namespace) in self.catalogue.all_namespaces() {
            // Without such a table there may be no sqlite_sequence.
            let is_there = self.has_sequences(namespace)
                || strict && self.has_sequence_table(namespace).map_err(failed)?;
            if is_there {
                self.read_sequences_of(namespace, strict, &mut found)?;
            }
        }
        found.sort_unstable();
        if strict && found.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(not_allowed("a table has two"));
        }
        found.dedup_by_key(|(id, _)| *id);
        Ok(found.into())
    }

    fn has_sequence_table(&self, namespace: &str) -> Result<bool, SqlError> {
        let schema = quote(namespace);
        let sql = format!("SELECT 1 FROM {schema}.sqlite_schema WHERE name='{NAME}'");
        self.db.prepare(&sql)?.step()
    }

    fn read_sequences_of(
        &self,
        namespace: &str,
        strict: bool,
        found: &mut Vec<(u32, i64)>,
    ) -> Result<(), Reject> {
        let failed = |e: SqlError| Reject::internal("reading sequences", e);
        let sql = format!("SELECT name,seq FROM {}.{NAME}", quote(namespace));
        let mut query = self.db.prepare(&sql).map_err(failed)?;
        while query.step().map_err(failed)? {
            let (name, seq) = (query.value(0), query.value(1));
            let table = match name {
                Ok(ValueRef::Text(name)) => self.catalogue.table_in(namespace, name).map(|t| t.id),
                _ => None,
            };
            let is_ours =
                |id: &u32| self.capture.state().table(*id).is_some_and(|t| t.autoincrement);
            match (table.filter(is_ours), &seq) {
                (Some(id), Ok(ValueRef::Integer(last))) if *last >= 0 => found.push((id, *last)),
                _ if strict => {
                    let row = [name.unwrap_or_default(), seq.unwrap_or_default()];
                    return Err(not_allowed(&format!("{} is none", show_values(row.into_iter()))));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn not_allowed(what: &str) -> Reject {
    Reject::new(
        RejectCode::NotAllowed,
        format!(
            "{NAME}: {what}; each row is the name of a table with an AUTOINCREMENT key and the \
             greatest id that it ever gave, an integer of 0 or more, one row a table"
        ),
    )
}
