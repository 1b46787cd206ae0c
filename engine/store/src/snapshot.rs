//! A look at everything in the store as of one moment: each seal is opened, each live row visited,
//! each fault noted by its place, without stopping at the first.

use std::collections::HashSet;

use rusqlite::Row;
use shmirror_shm::record::RecordRef;

use crate::dirty::DirtyRows;
use crate::error::{Place, StoreError, sqlite};
use crate::examine::read_catalogue;
use crate::group::{LOG_COLUMNS, LogGroup};
use crate::plain::Plain;
use crate::reader::{LogReader, reading};
use crate::recover::{check_ends, check_rows};
use crate::row::{self, ROW_COLUMNS, StoredRow};
use crate::rowset::RowSet;
use crate::state::State;

/// Most faults that are kept; the rest are counted.
const FAULTS: usize = 1_000;

/// What [`LogReader::snapshot`] found.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Revision that the visited rows are of.
    pub revision: u64,
    /// Live rows visited.
    pub rows: u64,
    /// Sealed rows opened.
    pub sealed_rows: u64,
    /// Sealed groups of the log opened.
    pub groups: u64,
    /// For each AUTOINCREMENT table, by its id, the greatest id that it ever gave.
    pub sequences: Vec<(u32, i64)>,
    /// The first faults, each naming its place. Empty in a sound store.
    pub faults: Vec<StoreError>,
    /// All faults.
    pub fault_count: u64,
}

impl Snapshot {
    fn fault(&mut self, error: StoreError) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS {
            self.faults.push(error);
        }
    }
}

impl LogReader {
    /// Holds the store as it is now for the next [`LogReader::snapshot`] or
    /// [`LogReader::backup_to`], and returns the newest revision. Takes microseconds, so the writer's
    /// thread can call it between two commits and hand the reader to another thread.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`], or SQLite's.
    pub fn pin(&mut self) -> Result<u64, StoreError> {
        self.unpin()?;
        self.held.push(self.opener.keys.hold());
        self.conn.execute_batch("BEGIN").map_err(sqlite(&self.opener.file, "beginning to read"))?;
        self.pinned = true;
        let state = State::read(&self.conn, &self.opener);
        self.held.push(self.opener.keys.hold());
        if state.is_err() {
            self.unpin()?;
        }
        Ok(state?.newest)
    }

    /// Ends what [`LogReader::pin`] began.
    ///
    /// # Errors
    /// SQLite's.
    pub fn unpin(&mut self) -> Result<(), StoreError> {
        let mut ended = Ok(());
        if std::mem::take(&mut self.pinned) && !self.conn.is_autocommit() {
            ended = self.conn.execute_batch("COMMIT");
        }
        self.held.clear();
        ended.map_err(sqlite(&self.opener.file, "ending to read"))
    }

    /// Opens every seal of the store as of the pinned moment, or of now, and calls `f` with each live
    /// row as recovery would. Where seals are bad, `f` sees the rows that can still be opened.
    ///
    /// # Errors
    /// Only where nothing can be told at all: the state does not open, or SQLite fails.
    pub fn snapshot(&mut self, mut f: impl FnMut(StoredRow<'_>)) -> Result<Snapshot, StoreError> {
        reading(&self.conn, &self.opener, || {
            let (conn, opener) = (&self.conn, &self.opener);
            let state = State::read(conn, opener)?;
            let mut report = Snapshot {
                revision: state.newest,
                sequences: state.sequences.to_vec(),
                ..Snapshot::default()
            };
            if let Err(error) = check_ends(conn, opener, &state) {
                report.fault(error);
            }
            let tables: Option<HashSet<u32>> = match read_catalogue(conn, opener, state.catalogue) {
                Ok(catalogue) => Some(catalogue.tables.iter().map(|t| t.id).collect()),
                Err(error) => {
                    report.fault(error);
                    None
                }
            };
            let mut visit = |report: &mut Snapshot, stored: StoredRow<'_>| {
                if tables.as_ref().is_none_or(|t| t.contains(&stored.table)) {
                    report.rows += 1;
                    f(stored);
                }
            };
            let dirty = self.log(&state, &mut report, &mut visit)?;
            self.rows(&state, &dirty, &mut report, &mut visit)?;
            Ok(report)
        })
    }

    /// Opens all groups, newest first, and visits what the tail has.
    fn log(
        &self,
        state: &State,
        report: &mut Snapshot,
        visit: &mut dyn FnMut(&mut Snapshot, StoredRow<'_>),
    ) -> Result<DirtyRows, StoreError> {
        let opener = &self.opener;
        let failed = sqlite(&opener.file, "reading commit_log");
        let sql = format!("SELECT {LOG_COLUMNS} FROM commit_log ORDER BY first_revision DESC");
        let mut select = self.conn.prepare(&sql).map_err(&failed)?;
        let mut found = select.query([]).map_err(&failed)?;
        let (mut dirty, mut buffer, mut offsets) = (DirtyRows::default(), Plain::default(), vec![]);
        let mut expected = state.newest;
        while let Some(row) = next(&mut found, report, &failed) {
            let group = match LogGroup::open(row, opener, &mut buffer) {
                Ok(group) => group,
                Err(error) => {
                    report.fault(error);
                    // Its place and reach are in the clear, if they can be believed.
                    expected = row.get::<_, i64>(0).map_err(&failed)?.saturating_sub(1) as u64;
                    continue;
                }
            };
            report.groups += 1;
            if group.last != expected {
                let file = opener.file.to_path_buf();
                report.fault(StoreError::Hole { file, expected, found: group.last });
            }
            expected = group.first.saturating_sub(1);
            let place = Place::Log { first: group.first };
            offsets.clear();
            let walked = group.for_each(opener, |at, record| {
                if record.is_row() {
                    offsets.push(at);
                }
                Ok(())
            });
            if let Err(error) = walked {
                report.fault(error);
            }
            if group.last <= state.checkpoint {
                continue;
            }
            for &at in offsets.iter().rev() {
                let Ok(record) = RecordRef::parse(&group.records[at..]) else { continue };
                let header = record.header();
                if !dirty.note_first(header.birth, header.revision) {
                    continue;
                }
                match row::of_record(&record, opener, place) {
                    Ok(Some(stored)) => visit(report, stored),
                    Ok(None) => {}
                    Err(error) => report.fault(error),
                }
            }
        }
        Ok(dirty)
    }

    /// Opens all rows, and visits those that the tail does not mention.
    fn rows(
        &self,
        state: &State,
        dirty: &DirtyRows,
        report: &mut Snapshot,
        visit: &mut dyn FnMut(&mut Snapshot, StoredRow<'_>),
    ) -> Result<(), StoreError> {
        let opener = &self.opener;
        let failed = sqlite(&opener.file, "reading row");
        let sql = format!("SELECT {ROW_COLUMNS} FROM row ORDER BY slot");
        let mut select = self.conn.prepare(&sql).map_err(&failed)?;
        let mut found = select.query([]).map_err(&failed)?;
        let (mut set, mut buffer) = (RowSet::empty(state.rows.key), Plain::default());
        while let Some(at) = next(&mut found, report, &failed) {
            let (slot, revision) = row::address(at, opener)?;
            set.add(slot, revision);
            match row::open(at, opener, &mut buffer) {
                Ok(stored) => {
                    report.sealed_rows += 1;
                    if !dirty.mentions(slot) {
                        visit(report, stored);
                    }
                }
                Err(error) => report.fault(error),
            }
        }
        if let Err(error) = check_rows(opener, state, &set) {
            report.fault(error);
        }
        Ok(())
    }
}

/// The next row; where SQLite can't go on that is a fault, and the end.
fn next<'r>(
    rows: &'r mut rusqlite::Rows<'_>,
    report: &mut Snapshot,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Option<&'r Row<'r>> {
    rows.next().unwrap_or_else(|error| {
        report.fault(failed(error));
        None
    })
}
