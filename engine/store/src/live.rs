//! The writer's SQLite connection once the store was found good: transactions and their durability.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use shmirror_shm::points::{self, Point};

use crate::error::{StoreError, sqlite};
use crate::format::PAGE_BYTES;
use crate::room;
use crate::store::Synchronous;
use crate::sure::{Doubt, Extent};
use crate::wal::{self, WalMover};

/// How long another connection's lock is waited for: rusqlite's own default.
const BUSY_MS: u64 = 5_000;
/// Time between two tries to make sure of the write-ahead log.
const SURE_EVERY: Duration = Duration::from_millis(250);

/// The writer's connection.
pub(crate) struct Live {
    // Before `conn`: the connection that is closed last tidies up, and that should be this one.
    mover: WalMover,
    conn: Connection,
    level: Option<Synchronous>,
    wal: PathBuf,
    doubt: Arc<Doubt>,
    /// When it could not be made sure of the log, and why.
    unsure: Option<(Instant, String)>,
    /// The blob of the group that is committed, kept for its memory.
    pub log_blob: Vec<u8>,
}

impl Live {
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opening = sqlite(path, "opening the store");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags).map_err(&opening)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(&opening)?;
        // A log in doubt is moved into the file by nobody; `close` lets it be where it is not.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&opening)?;
        conn.set_prepared_statement_cache_capacity(32);
        conn.execute_batch(&format!(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; \
             PRAGMA cell_size_check = ON; PRAGMA cache_size = -16384; \
             PRAGMA journal_size_limit = {};",
            wal::soft() * PAGE_BYTES * 2
        ))
        .map_err(&opening)?;
        let mode: String =
            conn.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(&opening)?;
        if mode != "wal" {
            let what = format!("journal mode {mode}, expected wal");
            return Err(StoreError::Damaged { file: path.to_path_buf(), what });
        }
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let (wal, doubt) = (PathBuf::from(wal), Arc::new(Doubt::default()));
        // SQLite has made it by now, with the database's mode and owner.
        room::make(&wal);
        // Whoever left the log may have met a sync that failed.
        doubt.lost();
        let mover = WalMover::start(path, &mut conn, Arc::clone(&doubt))?;
        let (level, unsure, log_blob) = (None, None, Vec::new());
        Ok(Self { mover, conn, level, wal, doubt, unsure, log_blob })
    }

    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    pub fn wal_pages(&self) -> u64 {
        self.mover.pages()
    }

    /// Runs `work` in one write transaction of this durability. On any error it is rolled back.
    pub fn transaction<T>(
        &mut self,
        path: &Path,
        doing: &'static str,
        level: Synchronous,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = sqlite(path, doing);
        if !self.conn.is_autocommit() {
            self.conn.execute_batch("ROLLBACK").map_err(&failed)?; // an earlier rollback failed
        }
        self.be_sure(path)?;
        if self.level != Some(level) {
            let sql = match level {
                Synchronous::Full => "PRAGMA synchronous = FULL",
                Synchronous::Normal => "PRAGMA synchronous = NORMAL",
            };
            self.conn.execute_batch(sql).map_err(&failed)?;
            self.level = Some(level);
        }
        let run = |sql: &str| {
            let done = self.conn.prepare_cached(sql).and_then(|mut s| s.execute([]));
            done.inspect_err(|error| self.doubt.note(error)).map_err(&failed)
        };
        run("BEGIN IMMEDIATE")?;
        let done = work(&self.conn).and_then(|value| match run("COMMIT") {
            Ok(_) => Ok(value),
            Err(error) => {
                self.doubt.ghost();
                Err(error)
            }
        });
        if let Err(error) = &done {
            if let StoreError::Io { source, .. } = error
                && let Some(error) = source.downcast_ref()
            {
                self.doubt.note(error);
            }
            if !self.conn.is_autocommit() {
                let _ = run("ROLLBACK"); // tried again before the next transaction
            }
            // Now, as nobody was told yet that it failed; where that can't be, before the next one.
            self.unsure = None;
            let _ = self.be_sure(path);
        }
        done
    }

    /// Makes sure of the write-ahead log, where it is in doubt.
    fn be_sure(&mut self, path: &Path) -> Result<(), StoreError> {
        if !self.doubt.is_any() || points::is_put_in(Point::TrustFailedSync) {
            return Ok(());
        }
        if let Some((tried, why)) = &self.unsure
            && tried.elapsed() < SURE_EVERY
        {
            let (file, doing) = (self.wal.clone(), "making sure of the write-ahead log");
            return Err(StoreError::Io { file, doing, source: why.as_str().into() });
        }
        let looking = sqlite(path, "looking at the write-ahead log");
        let _alone = self.doubt.alone();
        let extent = self.conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
            let [frames, moved] = [row.get::<_, i64>(1)?, row.get(2)?];
            let count = |frames| u64::try_from(frames).unwrap_or(0);
            Ok(Extent { frames: count(frames), moved: count(moved) })
        });
        let sure =
            extent.map_err(looking).and_then(|extent| self.doubt.end(path, &self.wal, extent));
        self.unsure = sure.as_ref().err().map(|error| (Instant::now(), error.to_string()));
        if let Err(error) = &sure {
            tracing::warn!(%error, "what is on the disk is not known");
        }
        sure
    }

    /// As [`Live::transaction`], durable whatever the store's level is, and with zeros in the place of
    /// everything that it deletes.
    pub fn overwriting<T>(
        &mut self,
        path: &Path,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let failed = sqlite(path, doing);
        let set = |conn: &Connection, on| conn.pragma_update(None, "secure_delete", on);
        set(&self.conn, true).map_err(&failed)?;
        let done = self.transaction(path, doing, Synchronous::Full, work);
        let reset = set(&self.conn, false).map_err(&failed);
        // What was committed stays so: that later deletions cost more is no failure of it.
        done.inspect(|_| drop(reset))
    }

    /// Whether the write-ahead log is long and being moved into the file: what can wait for that
    /// should, or a commit would have to do it.
    pub fn wal_lags(&self) -> bool {
        self.mover.lags()
    }

    /// Moves the whole write-ahead log into the file and makes it empty. `false` where a reader is in
    /// the way; nothing is waited for.
    pub fn empty_wal(&mut self, path: &Path) -> Result<bool, StoreError> {
        self.be_sure(path)?;
        // The thread that moves it may be at it, or have failed since.
        let Some(_alone) = self.doubt.try_alone().filter(|_| !self.doubt.is_any()) else {
            return Ok(false);
        };
        let failed = sqlite(path, "emptying the write-ahead log");
        let wait = |ms| self.conn.busy_timeout(Duration::from_millis(ms));
        wait(0).map_err(&failed)?;
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy = self.conn.query_row(sql, [], |row| row.get::<_, i64>(0));
        wait(BUSY_MS).map_err(&failed)?;
        match busy {
            Ok(0) => {
                room::make(&self.wal);
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
            Err(error) => {
                self.doubt.note(&error);
                Err(failed(error))
            }
        }
    }

    pub fn close(mut self, path: &Path) -> Result<(), StoreError> {
        let failed = sqlite(path, "closing the store");
        // First the thread, as what it does last may fail.
        self.mover.stop();
        let sure = self.be_sure(path);
        let Self { conn, .. } = self;
        if sure.is_ok() {
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            conn.set_db_config(keep, false).map_err(&failed)?;
        }
        conn.close().map_err(|(_, e)| failed(e))
    }
}
