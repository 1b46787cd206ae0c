//! The store: opened, committed to, closed. Groups of records go in; each is one sealed value in
//! one SQLite transaction, durable when `commit` returns.
//!
//! The parts that go with it: [`crate::recover`] loads the rows, [`crate::checkpoint`] moves rows
//! from the log into table `row`, [`crate::retention`] trims the log, [`crate::reader`] reads beside
//! the writer.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::blob::ZeroBlob;
use shmirror_shm::catalogue::Catalogue;
use zeroize::Zeroizing;

use crate::checkpoint::Walk;
use crate::create::{create, seal_catalogue};
use crate::directory::{self, KEY_FILE, Lock, STORE_FILE};
use crate::dirty::DirtyRows;
use crate::error::{StoreError, sqlite};
use crate::examine::{Examination, open_seals, read_catalogue};
use crate::files;
use crate::format::{META_CATALOGUE, set_meta};
use crate::group::{Group, Noted, are_sound};
use crate::key::{KeyFile, Providers};
use crate::keys::KeyProvider;
use crate::live::Live;
use crate::reader::LogReader;
use crate::retention::Age;
use crate::rotate::Rotating;
use crate::seal::{Algorithm, Identity, Kind, Sealer};
use crate::state::State;

/// When a commit counts as durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// It is on the disk when `commit` returns: survives a power loss.
    #[default]
    Full,
    /// It is with the kernel when `commit` returns: survives a crash of the daemon; a power loss may
    /// take the last seconds, but never leaves anything half.
    Normal,
}

/// How to open a store.
pub struct StoreOptions {
    /// When a commit counts as durable.
    pub synchronous: Synchronous,
    /// The key providers at hand; `None`: the file `key` in the data directory.
    pub keys: Option<Providers>,
    /// The cipher of a store that is made now; one that is there has its own.
    pub cipher: Algorithm,
    /// Groups of the log older than this are trimmed: by the wall clock, and by the time that the store was open
    /// since (or before) its newest group.
    pub log_keep: Duration,
    /// The oldest groups are trimmed while the log has more sealed bytes than this.
    pub log_keep_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            keys: None,
            cipher: Algorithm::DEFAULT,
            log_keep: Duration::from_secs(7 * 86_400),
            log_keep_bytes: 1 << 30,
        }
    }
}

/// What was found when the store was opened.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The instance's id: random, made with the store.
    pub instance: [u8; 16],
    /// The catalogue as of the newest revision.
    pub catalogue: Catalogue,
    /// Newest committed revision; 0 in a new store.
    pub newest_revision: u64,
    /// Birth that the next row gets.
    pub next_birth: u64,
    /// Generation of this start: one more than that of the start before.
    pub generation: u64,
    /// Whether the store was made just now.
    pub new: bool,
    /// Rows in the checkpoint: a hint of how many there are in all.
    pub rows_hint: u64,
    /// For each AUTOINCREMENT table, by its id, the greatest id that it ever gave.
    pub sequences: Vec<(u32, i64)>,
}

/// Figures of an open store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFigures {
    /// Newest committed revision.
    pub newest: u64,
    /// Every record up to this revision is in the checkpointed rows.
    pub checkpoint: u64,
    /// Oldest revision in the log; newest + 1 where the log is empty.
    pub oldest: u64,
    /// Sealed bytes in the log.
    pub log_bytes: u64,
    /// Sealed bytes in the part of the log that a start would have to replay.
    pub dirty_bytes: u64,
    /// Rows that wait to be checkpointed.
    pub dirty_rows: usize,
    /// Rows in table `row`.
    pub rows: u64,
    /// Pages in SQLite's write-ahead log.
    pub wal_pages: u64,
}

/// The durable store of one instance. One thread owns it; others read through [`Store::reader`].
pub struct Store {
    // Dropped in this order: connections before the lock.
    pub(crate) exam: Option<Examination>,
    pub(crate) live: Option<Live>,
    pub(crate) sealer: Sealer,
    pub(crate) state: State,
    pub(crate) path: PathBuf,
    pub(crate) options: StoreOptions,
    pub(crate) age: Age,
    /// Ids of the tables of the newest catalogue.
    pub(crate) tables: HashSet<u32>,
    pub(crate) dirty: DirtyRows,
    pub(crate) walk: Option<Walk>,
    /// Slot from which on rows of dropped tables may be found.
    pub(crate) sweep: Option<u64>,
    pub(crate) blob: Vec<u8>,
    /// The rotation under way.
    pub(crate) rotating: Option<Rotating>,
    /// SQLite's write-ahead log may still have the page with the slot of an old data key.
    pub(crate) wal_has_old_slot: bool,
    noted: Noted,
    /// The key provider that opened it.
    pub(crate) provider: Box<dyn KeyProvider>,
    pub(crate) lock: Lock,
}

impl Store {
    /// Opens the store in `dir`; makes directory, key and store where there is none.
    ///
    /// Nothing that exists is changed before [`Store::load_rows`] has come to its end: if this or
    /// that fails, every file is as it was.
    ///
    /// # Errors
    /// [`StoreError::InUse`], [`StoreError::NotOurs`], [`StoreError::NewerFormat`], the `Key…`
    /// family, [`StoreError::BadSeal`], [`StoreError::Damaged`], [`StoreError::Hole`], or the
    /// system's.
    pub fn open(dir: &Path, mut options: StoreOptions) -> Result<(Self, Recovered), StoreError> {
        files::prepare();
        let keys = options.keys.take();
        let keys =
            keys.unwrap_or_else(|| Providers::new(Box::new(KeyFile::new(dir.join(KEY_FILE)))));
        directory::prepare(dir, &keys.files())?;
        let mut lock = Lock::take(dir)?;
        let path = dir.join(STORE_FILE);
        let new = !directory::has_store(dir)?;
        if new {
            create(dir, keys.first(), options.cipher)?;
            lock.keep();
        }
        let exam = Examination::open(&path)?;
        let (opener, state, provider) = open_seals(exam.conn(), &path, keys)?;
        let catalogue = read_catalogue(exam.conn(), &opener, state.catalogue)?;
        let recovered = Recovered {
            instance: opener.instance,
            newest_revision: state.newest,
            next_birth: state.next_birth,
            generation: state.generation + 1,
            new,
            rows_hint: state.rows.rows,
            sequences: state.sequences.to_vec(),
            catalogue,
        };
        let tables = recovered.catalogue.tables.iter().map(|t| t.id).collect();
        let rotating = Rotating::of(&opener.keys.numbers());
        let age = Age::of(exam.conn(), &path)?;
        let mut store = Self {
            exam: Some(exam),
            live: None,
            sealer: Sealer::new(opener),
            state,
            path,
            options,
            age,
            tables,
            dirty: DirtyRows::default(),
            walk: None,
            sweep: None,
            blob: Vec::new(),
            rotating,
            wal_has_old_slot: false,
            noted: Noted::default(),
            provider,
            lock,
        };
        if store.state.newest == 0 {
            // Nothing was ever committed, so there is nothing to look through first.
            store.load_rows(|_| Ok::<(), StoreError>(()))?;
        }
        store.provider.settled();
        Ok((store, recovered))
    }

    /// Makes the group durable. When this returns an error, nothing of the group is in the store, and
    /// it works on: the same group may be committed again. Where the failure leaves unknown what is on the
    /// disk, as that of a sync does, the write-ahead log is made sure of before anything else is committed.
    ///
    /// # Errors
    /// [`StoreError::BadGroup`] before anything is written; [`StoreError::DiskFull`],
    /// [`StoreError::Io`], [`StoreError::Busy`], [`StoreError::Sqlite`] with the transaction rolled
    /// back; [`StoreError::NotRecovered`]. [`StoreError::Damaged`] where the disk has lost what it was
    /// given: all commits fail from then on, and a new start goes on from what there is. On a disk that
    /// goes on refusing to sync, a group that failed may be found whole after a loss of power.
    pub fn commit(&mut self, group: &Group<'_>) -> Result<(), StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        group.check(self.state.newest, self.state.next_birth, &mut self.noted)?;
        // The schema in plaintext: wiped when it is dropped.
        let archive = group.catalogue.map(Catalogue::to_bytes).transpose();
        let archive = archive.map_err(|e| StoreError::Archive(e.to_string()))?;
        let archive = archive.map(Zeroizing::new);
        let changed = archive
            .as_deref()
            .map(Vec::as_slice)
            .map(Catalogue::from_bytes)
            .transpose()
            .map_err(|e| StoreError::Archive(e.to_string()))?;

        let identity = Identity {
            kind: Kind::Log,
            table: 0,
            place: group.first_revision,
            revision: group.last_revision,
        };
        let mut log = std::mem::take(&mut live.log_blob);
        self.sealer.seal(&identity, &[&[group.at_us as u64], group.records], &mut log)?;
        let mut state = self.state.clone();
        state.newest = group.last_revision;
        state.next_birth = group.next_birth;
        state.log_bytes += log.len() as u64;
        if archive.is_some() {
            state.catalogue = group.last_revision;
        }
        if let Some(sequences) = group.sequences {
            state.sequences = sequences.into();
        }

        let (path, sealer, blob) = (&self.path, &mut self.sealer, &mut self.blob);
        let doing = "committing a group";
        let committed = live.transaction(path, doing, self.options.synchronous, |conn| {
            insert_group(conn, path, group, &log)?;
            if let Some(archive) = &archive {
                seal_catalogue(sealer, archive, group.last_revision, blob)?;
                set_meta(conn, path, META_CATALOGUE, blob)?;
            }
            state.write(conn, sealer, blob)
        });
        let log_bytes = log.len() as u64;
        live.log_blob = log;
        live.log_blob.shrink_to(4 << 20); // one huge group should not hold its memory for ever
        committed?;

        self.state = state;
        let (first, last) = (group.first_revision, group.last_revision);
        self.dirty.commit(first, last, log_bytes, &self.noted.rows);
        self.noted.rows.clear();
        self.noted.rows.shrink_to(1 << 16);
        if let Some(catalogue) = changed {
            let tables: HashSet<u32> = catalogue.tables.iter().map(|t| t.id).collect();
            if !self.tables.is_subset(&tables) {
                self.sweep = Some(0);
            }
            self.tables = tables;
        }
        Ok(())
    }

    /// Makes sequences durable that changed without a row: a transaction that inserts rows and deletes
    /// them again has no record and no revision, but the ids that it used stay used.
    ///
    /// # Errors
    /// As [`Store::commit`]; the sequences are as they were then.
    pub fn keep_sequences(&mut self, sequences: &[(u32, i64)]) -> Result<(), StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        if !are_sound(sequences) {
            let (first, last) = (self.state.newest, self.state.newest);
            let what = "its sequences are not in rising order of table ids".into();
            return Err(StoreError::BadGroup { first, last, what });
        }
        let mut state = self.state.clone();
        state.sequences = sequences.into();
        let (sealer, blob) = (&mut self.sealer, &mut self.blob);
        live.transaction(&self.path, "keeping sequences", self.options.synchronous, |conn| {
            state.write(conn, sealer, blob)
        })?;
        self.state = state;
        Ok(())
    }

    /// For each AUTOINCREMENT table, by its id, the greatest id that it ever gave, as last made
    /// durable.
    pub fn sequences(&self) -> &[(u32, i64)] {
        &self.state.sequences
    }

    /// A reader of the log beside this writer, for any other thread.
    ///
    /// # Errors
    /// [`StoreError::NotRecovered`], or SQLite's.
    pub fn reader(&self) -> Result<LogReader, StoreError> {
        if self.live.is_none() {
            return Err(StoreError::NotRecovered);
        }
        LogReader::open(&self.path, self.sealer.opener.clone())
    }

    /// Rows that wait to be checkpointed.
    pub fn dirty_rows(&self) -> usize {
        self.dirty.rows()
    }

    /// Sealed bytes of the log that wait to be checkpointed: what a start would have to replay. The
    /// rows themselves are not held in memory, only 16 bytes for each.
    pub fn dirty_bytes(&self) -> u64 {
        self.dirty.bytes
    }

    /// Figures for status.
    pub fn figures(&self) -> StoreFigures {
        StoreFigures {
            newest: self.state.newest,
            checkpoint: self.state.checkpoint,
            oldest: self.state.log_first,
            log_bytes: self.state.log_bytes,
            dirty_bytes: self.dirty.bytes,
            dirty_rows: self.dirty.rows(),
            rows: self.state.rows.rows,
            wal_pages: self.live.as_ref().map_or(0, Live::wal_pages),
        }
    }

    /// The name of the cipher that seals what is written now, and the id of its data key.
    pub fn seals_with(&self) -> (&'static str, u32) {
        let key = self.sealer.opener.keys.current();
        (Algorithm::of_id(key.cipher.id()).map_or("unknown", |a| a.name), key.number)
    }

    /// The key provider that opened it.
    pub fn key_provider(&self) -> &dyn KeyProvider {
        self.provider.as_ref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes the store; SQLite's write-ahead log goes into the file. Rows that wait to be
    /// checkpointed stay in the log, and the next start replays them.
    ///
    /// # Errors
    /// SQLite's; the store is closed all the same.
    pub fn close(mut self) -> Result<(), StoreError> {
        match self.live.take() {
            Some(live) => live.close(&self.path),
            None => Ok(()),
        }
    }

    /// Makes SQLite refuse to grow the file beyond `pages`, as on a full disk. For tests.
    ///
    /// # Errors
    /// SQLite's.
    #[doc(hidden)]
    pub fn limit_pages(&mut self, pages: u32) -> Result<u32, StoreError> {
        let Some(live) = self.live.as_ref() else { return Err(StoreError::NotRecovered) };
        let limiting = sqlite(&self.path, "limiting pages");
        let sql = format!("PRAGMA max_page_count = {pages}");
        live.conn().query_row(&sql, [], |r| r.get(0)).map_err(limiting)
    }
}

/// Sealed bytes from which on a group is written into its pages: as a value SQLite would copy it twice before.
const IN_PLACE: usize = 256 << 10;

fn insert_group(
    conn: &Connection,
    path: &Path,
    group: &Group<'_>,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let writing = sqlite(path, "writing commit_log");
    let sql = "INSERT INTO commit_log VALUES(?1, ?2, ?3, ?4)";
    let mut insert = conn.prepare_cached(sql).map_err(&writing)?;
    let (first, last) = (group.first_revision as i64, group.last_revision as i64);
    if sealed.len() < IN_PLACE {
        insert.execute((first, last, group.at_us, sealed)).map_err(&writing)?;
        return Ok(());
    }
    let room = ZeroBlob(sealed.len() as _); // no longer than `GROUP_BYTES` and its head
    insert.execute((first, last, group.at_us, room)).map_err(&writing)?;
    let mut into =
        conn.blob_open("main", "commit_log", "sealed", first, false).map_err(&writing)?;
    into.write_all_at(sealed, 0).map_err(&writing)?;
    into.close().map_err(&writing)
}
