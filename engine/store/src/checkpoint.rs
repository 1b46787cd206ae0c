//! The checkpoint: rows go from the commit log into table `row`, a step at a time, in the log's
//! order.
//!
//! A step opens the groups after the checkpoint revision C, one by one, and for each record that is
//! the newest of its row seals the image anew and puts it into `row` (or deletes it there). When the
//! end of a group is reached, C becomes its last revision, in the same transaction. A record that is
//! not the newest is passed over: a later group holds a newer one, and as that group stays in the
//! log until C has passed it, recovery finds it there. The log is on the disk already, so a step
//! needs no sync; if its transaction is lost in a crash, C is too.
//!
//! Of groups that were committed since the start it is known how many of their records are still the newest
//! ([`crate::dirty`]). Where none is, as with rows that change again and again, C passes the group unopened.
//!
//! After a table was dropped, steps with nothing else to do sweep through `row` and delete its rows.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use shmirror_shm::record::{Operation, RecordRef};

use crate::error::{Place, StoreError, sqlite};
use crate::group::{LOG_COLUMNS, LogGroup};
use crate::plain::Plain;
use crate::row::{self, ROW_COLUMNS};
use crate::seal::{IDENTITY_WORDS, Opener};
use crate::state::State;
use crate::store::{Store, Synchronous};

/// Sealed bytes of the log that one step opens at most, a single group excepted.
const STEP_BYTES: u64 = 16 << 20;
/// Sealed bytes of groups passed unopened, after which a step ends rather than open one: whether that is wanted
/// is asked anew, as the log's tail is shorter now.
const PASSED_BYTES: u64 = 1 << 20;

/// A group that was checkpointed in part.
pub(crate) struct Walk {
    first: u64,
    last: u64,
    sealed_bytes: u64,
    /// The opened plaintext.
    buffer: Plain,
    /// Word of the next record in it.
    at: usize,
}

/// What one step did, besides the database.
#[derive(Default)]
struct Step {
    records: usize,
    rows: usize,
    log_bytes: u64,
    written: Vec<(u64, u64)>,
}

impl Store {
    /// Moves up to `max_rows` rows from the log into table `row`, reading at most some 16 MiB of log.
    /// Returns how many records (and, in a sweep after a table was dropped, rows) it worked through;
    /// 0 means that there is nothing left to do. Needs no sync of the disk.
    ///
    /// # Errors
    /// As [`Store::commit`]; nothing changed then, and a later step tries again.
    pub fn checkpoint_step(&mut self, max_rows: usize) -> Result<usize, StoreError> {
        if self.live.is_none() {
            return Err(StoreError::NotRecovered);
        }
        if max_rows == 0 {
            Ok(0)
        } else if self.state.checkpoint < self.state.newest {
            self.step(max_rows)
        } else {
            self.sweep_step(max_rows)
        }
    }

    fn step(&mut self, max_rows: usize) -> Result<usize, StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let mut state = self.state.clone();
        let mut walk = self.walk.take(); // after an error the group is begun anew
        let (path, sealer, blob) = (&self.path, &mut self.sealer, &mut self.blob);
        let (dirty, tables) = (&self.dirty, &self.tables);
        let doing = "checkpointing rows";
        let step = live.transaction(path, doing, Synchronous::Normal, |conn| {
            let mut table = RowTable::new(conn, path)?;
            let mut step = Step::default();
            let (mut opened, mut passed) = (0, 0);
            while step.rows < max_rows && opened + passed < STEP_BYTES {
                if walk.is_none()
                    && let Some(group) = dirty.superseded_group(state.checkpoint + 1)
                {
                    state.checkpoint = group.last;
                    step.records += group.records.max(1);
                    step.log_bytes += group.sealed_bytes;
                    passed += group.sealed_bytes;
                    continue;
                }
                let group = match walk.as_mut() {
                    Some(group) => group,
                    None if state.checkpoint == state.newest || passed >= PASSED_BYTES => break,
                    None => walk.insert(Walk::open(conn, &sealer.opener, state.checkpoint + 1)?),
                };
                opened += if group.at == IDENTITY_WORDS + 1 { group.sealed_bytes } else { 0 };
                while step.rows < max_rows && group.at < group.buffer.len() {
                    let place = Place::Log { first: group.first };
                    let record = RecordRef::parse(&group.buffer[group.at..])
                        .map_err(|e| sealer.opener.malformed(place, e))?;
                    group.at += record.words().len();
                    step.records += 1;
                    let header = *record.header();
                    let wanted = record.is_row() && tables.contains(&header.table);
                    if record.is_row() {
                        step.written.push((header.birth, header.revision));
                    }
                    if wanted && dirty.is_newest(header.birth, header.revision) {
                        table.apply(&record, place, &mut state, sealer, blob)?;
                        step.rows += 1;
                    }
                }
                if group.at < group.buffer.len() {
                    break;
                }
                state.checkpoint = group.last;
                step.log_bytes += group.sealed_bytes;
                walk = None;
            }
            state.write(conn, sealer, blob)?;
            Ok(step)
        })?;
        self.state = state;
        self.walk = walk;
        self.dirty.checkpointed(self.state.checkpoint, step.log_bytes);
        for &(birth, revision) in &step.written {
            self.dirty.forget(birth, revision);
        }
        Ok(step.records)
    }

    /// Deletes rows of dropped tables among the next `max_rows` rows of `row`.
    fn sweep_step(&mut self, max_rows: usize) -> Result<usize, StoreError> {
        let Some(from) = self.sweep.take() else { return Ok(0) };
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let mut state = self.state.clone();
        let (path, sealer, blob) = (&self.path, &mut self.sealer, &mut self.blob);
        let tables = &self.tables;
        let doing = "sweeping dropped tables";
        let (looked, next) = live.transaction(path, doing, Synchronous::Normal, |conn| {
            let failed = sqlite(path, doing);
            let sql =
                format!("SELECT {ROW_COLUMNS} FROM row WHERE slot >= ?1 ORDER BY slot LIMIT ?2");
            let mut select = conn.prepare_cached(&sql).map_err(&failed)?;
            let limit = i64::try_from(max_rows).unwrap_or(i64::MAX);
            let mut found = select.query((from as i64, limit)).map_err(&failed)?;
            let (mut buffer, mut orphans) = (Plain::default(), vec![]);
            let (mut looked, mut last) = (0, from);
            while let Some(found) = found.next().map_err(&failed)? {
                let stored = row::open(found, &sealer.opener, &mut buffer)?;
                looked += 1;
                last = stored.birth;
                if !tables.contains(&stored.table) {
                    orphans.push((stored.birth, stored.revision));
                }
            }
            drop(found);
            let mut delete =
                conn.prepare_cached("DELETE FROM row WHERE slot = ?1").map_err(&failed)?;
            for &(slot, revision) in &orphans {
                delete.execute([slot as i64]).map_err(&failed)?;
                state.rows.remove(slot, revision);
            }
            if !orphans.is_empty() {
                state.write(conn, sealer, blob)?;
            }
            Ok((looked, last + 1))
        })?;
        self.state = state;
        if looked == max_rows {
            self.sweep = Some(next);
        }
        Ok(looked)
    }
}

impl Walk {
    fn open(conn: &Connection, opener: &Opener, first: u64) -> Result<Self, StoreError> {
        let reading = sqlite(&opener.file, "reading commit_log");
        let sql = format!("SELECT {LOG_COLUMNS} FROM commit_log WHERE first_revision = ?1");
        let mut select = conn.prepare_cached(&sql).map_err(&reading)?;
        let mut rows = select.query([first as i64]).map_err(&reading)?;
        let Some(found) = rows.next().map_err(&reading)? else {
            let file = opener.file.to_path_buf();
            return Err(StoreError::Hole { file, expected: first, found: 0 });
        };
        let mut buffer = Plain::default();
        let group = LogGroup::open(found, opener, &mut buffer)?;
        let (last, sealed_bytes) = (group.last, group.sealed_bytes);
        Ok(Self { first, last, sealed_bytes, buffer, at: IDENTITY_WORDS + 1 })
    }
}

/// The statements on table `row`.
struct RowTable<'c> {
    path: &'c Path,
    find: rusqlite::CachedStatement<'c>,
    put: rusqlite::CachedStatement<'c>,
    delete: rusqlite::CachedStatement<'c>,
}

impl<'c> RowTable<'c> {
    fn new(conn: &'c Connection, path: &'c Path) -> Result<Self, StoreError> {
        let prepare = |sql| conn.prepare_cached(sql).map_err(sqlite(path, "writing row"));
        Ok(Self {
            path,
            find: prepare("SELECT revision FROM row WHERE slot = ?1")?,
            put: prepare(
                "INSERT INTO row VALUES(?1, ?2, ?3) ON CONFLICT(slot) \
                 DO UPDATE SET revision = excluded.revision, sealed = excluded.sealed",
            )?,
            delete: prepare("DELETE FROM row WHERE slot = ?1")?,
        })
    }

    /// Brings the row up to what `record` tells.
    fn apply(
        &mut self,
        record: &RecordRef<'_>,
        place: Place,
        state: &mut State,
        sealer: &mut crate::seal::Sealer,
        blob: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let failed = sqlite(self.path, "writing row");
        let (slot, revision) = (record.header().birth, record.header().revision);
        let before: Option<i64> =
            self.find.query_row([slot as i64], |r| r.get(0)).optional().map_err(&failed)?;
        let before = before.map(|r| r as u64);
        if before.is_some_and(|r| r >= revision) {
            return Ok(()); // a step before a crash came this far, though C did not
        }
        let malformed = |e: &dyn std::fmt::Display| sealer.opener.malformed(place, e);
        let operation = record.operation().map_err(|e| malformed(&e))?;
        let image = record.row().map_err(|e| malformed(&e))?;
        match (operation, image) {
            (Operation::Delete, _) => {
                if before.is_some() {
                    self.delete.execute([slot as i64]).map_err(&failed)?;
                }
            }
            (_, Some(image)) => {
                row::seal(sealer, record, image, blob)?;
                let row = (slot as i64, revision as i64, blob.as_slice());
                self.put.execute(row).map_err(&failed)?;
                state.rows.add(slot, revision);
            }
            (_, None) => return Err(malformed(&"a record without its row image")),
        }
        if let Some(before) = before {
            state.rows.remove(slot, before);
        }
        Ok(())
    }
}
