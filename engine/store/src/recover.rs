//! Recovery: every live row once, with its newest image, and the proof that nothing is missing.
//!
//! ```text
//! 1  the log's tail (groups after the checkpoint revision), newest group first, each backwards:
//!    a row seen for the first time is at its newest state; deleted rows are only noted
//! 2  table `row`, rows that the tail did not mention
//! ```
//! So each seal is opened once, and memory holds one group and 16 bytes for each row of the tail.
//! Checked on the way: every seal; that the log's tail has no hole and reaches from checkpoint to
//! newest revision; that `row` holds exactly the rows that the state's sum was made of.

use rusqlite::Connection;
use shmirror_shm::record::RecordRef;

use crate::directory::sync_names;
use crate::dirty::DirtyRows;
use crate::error::{Place, StoreError, sqlite};
use crate::group::{LOG_COLUMNS, LogGroup};
use crate::live::Live;
use crate::plain::Plain;
use crate::row::{self, ROW_COLUMNS, StoredRow};
use crate::rowset::RowSet;
use crate::seal::Opener;
use crate::state::State;
use crate::store::Store;

impl Store {
    /// Calls `f` with each live row once: its newest image, in no particular order. Rows of dropped
    /// tables are passed over. Images may be of past shapes of their table.
    ///
    /// When it has come to its end the store is open for writing, and the generation is counted up.
    /// When it fails, or `f` does, no file was changed.
    ///
    /// # Errors
    /// `f`'s; [`StoreError::BadSeal`], [`StoreError::Hole`], [`StoreError::Damaged`]. Called again
    /// after success: [`StoreError::NotRecovered`].
    pub fn load_rows<E: From<StoreError>>(
        &mut self,
        mut f: impl FnMut(StoredRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(exam) = self.exam.as_ref() else {
            // A new store went live when it was opened, with no row to visit.
            let fresh = self.live.is_some() && self.state.newest == 0;
            return if fresh { Ok(()) } else { Err(StoreError::NotRecovered.into()) };
        };
        let conn = exam.conn();
        let opener = &self.sealer.opener;
        let begun = conn.execute_batch("BEGIN").map_err(sqlite(&self.path, "loading rows"));
        begun?;
        let mut sweep = None;
        let loaded = (|| {
            check_ends(conn, opener, &self.state)?;
            let dirty = visit_tail(conn, opener, &self.state, |stored| {
                let listed = self.tables.contains(&stored.table);
                if listed { f(stored) } else { Ok(()) }
            })?;
            visit_rows(conn, opener, &self.state, |stored| {
                if !self.tables.contains(&stored.table) {
                    sweep.get_or_insert(stored.birth); // its table was dropped
                    return Ok(());
                }
                if dirty.mentions(stored.birth) { Ok(()) } else { f(stored) }
            })?;
            Ok::<DirtyRows, E>(dirty)
        })();
        let ended = conn.execute_batch("COMMIT").map_err(sqlite(&self.path, "loading rows"));
        let dirty = loaded?;
        ended?;
        self.dirty = dirty;
        self.sweep = sweep;
        self.go_live()?;
        Ok(())
    }

    /// The store was found good: opens it for writing and counts the generation up.
    fn go_live(&mut self) -> Result<(), StoreError> {
        self.exam = None; // its lock excludes every other connection
        if self.state.generation == 0
            && let Some(dir) = self.path.parent()
        {
            sync_names(dir, &self.provider.files())?;
        }
        let mut live = Live::open(&self.path)?;
        let mut state = self.state.clone();
        state.generation += 1;
        let (sealer, blob) = (&mut self.sealer, &mut self.blob);
        let level = self.options.synchronous;
        live.transaction(&self.path, "counting the generation", level, |conn| {
            state.write(conn, sealer, blob)
        })?;
        self.state = state;
        self.live = Some(live);
        self.lock.keep();
        Ok(())
    }

    /// Counts the generation up while serving, for a segment that takes the place of the present
    /// one, and returns it. Durable when it returns, so that no later start gives it out again.
    ///
    /// # Errors
    /// As [`Store::commit`]; the generation is as it was then.
    pub fn next_generation(&mut self) -> Result<u64, StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let mut state = self.state.clone();
        state.generation += 1;
        let (sealer, blob) = (&mut self.sealer, &mut self.blob);
        let level = self.options.synchronous;
        live.transaction(&self.path, "counting the generation", level, |conn| {
            state.write(conn, sealer, blob)
        })?;
        self.state = state;
        Ok(self.state.generation)
    }
}

/// Compares the ends of the log with the state.
pub(crate) fn check_ends(
    conn: &Connection,
    opener: &Opener,
    state: &State,
) -> Result<(), StoreError> {
    let reading = sqlite(&opener.file, "reading commit_log");
    let end = |sql: &str| conn.query_row(sql, [], |r| r.get::<_, Option<i64>>(0)).map_err(&reading);
    // MIN and MAX of a rowid table's key read one page each; the last group is that of MAX.
    let first = end("SELECT min(first_revision) FROM commit_log")?;
    let last = end("SELECT last_revision FROM commit_log \
         WHERE first_revision = (SELECT max(first_revision) FROM commit_log) UNION ALL SELECT NULL")?;
    let first = first.map_or(state.newest + 1, |r| r as u64);
    if first != state.log_first {
        let (file, expected) = (opener.file.to_path_buf(), state.log_first);
        return Err(StoreError::Hole { file, expected, found: first });
    }
    if let Some(last) = last
        && last as u64 != state.newest
    {
        let what = format!("commit_log ends at revision {last}, expected {}", state.newest);
        return Err(StoreError::Damaged { file: opener.file.to_path_buf(), what });
    }
    Ok(())
}

/// Opens the groups after the checkpoint, newest first, and calls `f` with the newest image of each
/// row that is not deleted. Returns which rows they mention.
pub(crate) fn visit_tail<E: From<StoreError>>(
    conn: &Connection,
    opener: &Opener,
    state: &State,
    mut f: impl FnMut(StoredRow<'_>) -> Result<(), E>,
) -> Result<DirtyRows, E> {
    let reading = sqlite(&opener.file, "reading commit_log");
    let sql = format!(
        "SELECT {LOG_COLUMNS} FROM commit_log WHERE first_revision > ?1 \
         ORDER BY first_revision DESC"
    );
    let mut select = conn.prepare(&sql).map_err(&reading)?;
    let mut rows = select.query([state.checkpoint as i64]).map_err(&reading)?;
    let (mut dirty, mut buffer, mut offsets) = (DirtyRows::default(), Plain::default(), vec![]);
    let mut expected = state.newest;
    while let Some(found) = rows.next().map_err(&reading)? {
        let group = LogGroup::open(found, opener, &mut buffer)?;
        if group.last != expected {
            let file = opener.file.to_path_buf();
            return Err(StoreError::Hole { file, expected, found: group.last }.into());
        }
        expected = group.first - 1;
        dirty.bytes += group.sealed_bytes;
        let place = Place::Log { first: group.first };
        offsets.clear();
        group.for_each(opener, |at, record| {
            if record.is_row() {
                offsets.push(at);
            }
            Ok(())
        })?;
        for &at in offsets.iter().rev() {
            let record =
                RecordRef::parse(&group.records[at..]).map_err(|e| opener.malformed(place, e))?;
            let header = record.header();
            if !dirty.note_first(header.birth, header.revision) {
                continue;
            }
            if let Some(stored) = row::of_record(&record, opener, place)? {
                f(stored)?;
            }
        }
    }
    if expected != state.checkpoint {
        let file = opener.file.to_path_buf();
        let found = state.checkpoint;
        return Err(StoreError::Hole { file, expected, found }.into());
    }
    Ok(dirty)
}

/// Opens the rows of table `row`, calls `f` with each, and checks that they are all there.
pub(crate) fn visit_rows<E: From<StoreError>>(
    conn: &Connection,
    opener: &Opener,
    state: &State,
    mut f: impl FnMut(StoredRow<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let reading = sqlite(&opener.file, "reading row");
    let sql = format!("SELECT {ROW_COLUMNS} FROM row ORDER BY slot");
    let mut select = conn.prepare(&sql).map_err(&reading)?;
    let mut rows = select.query([]).map_err(&reading)?;
    let mut buffer = Plain::default();
    let mut set = RowSet::empty(state.rows.key);
    while let Some(found) = rows.next().map_err(&reading)? {
        let stored = row::open(found, opener, &mut buffer)?;
        set.add(stored.birth, stored.revision);
        f(stored)?;
    }
    Ok(check_rows(opener, state, &set)?)
}

/// Compares what `row` holds with what it should.
pub(crate) fn check_rows(opener: &Opener, state: &State, found: &RowSet) -> Result<(), StoreError> {
    if *found == state.rows {
        return Ok(());
    }
    let what = if found.rows == state.rows.rows {
        format!("table row: its {} rows are not those last written: some are older", found.rows)
    } else {
        format!("table row holds {} rows, {} were written", found.rows, state.rows.rows)
    };
    Err(StoreError::Damaged { file: opener.file.to_path_buf(), what })
}
