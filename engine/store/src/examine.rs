//! Looking at a store without changing a byte of it, until all of it was found good.
//!
//! SQLite is opened with `locking_mode=EXCLUSIVE`, so that the index of the write-ahead log is kept
//! in memory and `store.db-shm` is neither made nor rewritten, and never writes a checkpoint at
//! close. An empty `store.db-wal` that it makes is removed again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use shmirror_shm::catalogue::Catalogue;

use crate::error::{Place, StoreError, io, sqlite};
use crate::format::{META_CATALOGUE, META_INSTANCE, META_STATE, examine_header, meta};
use crate::key::Providers;
use crate::keys::{KeyProvider, open_data_key};
use crate::plain::Plain;
use crate::seal::{KeyRing, Opener, Parts};
use crate::slots::{Slot, read_slots};
use crate::state::State;

/// A store that is open for reading alone.
pub(crate) struct Examination {
    // Dropped before the file it may have made is removed, see `drop`.
    conn: Option<Connection>,
    wal: PathBuf,
    wal_was_there: bool,
}

impl Examination {
    /// Opens the file at `path` and makes sure that SQLite can read it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        examine_header(path)?;
        // SQLite would open a file that it may not write for reading, and fail later by another name. As for
        // the header, nobody here has a connection to it yet.
        File::options()
            .write(true)
            .open(path)
            .map_err(io(path, "opening the store for writing"))?;
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let wal_was_there = wal.symlink_metadata().is_ok();
        let opening = sqlite(path, "opening the store");
        let mut exam = Self { conn: None, wal, wal_was_there };
        let conn = exam.conn.insert(
            Connection::open_with_flags(
                path,
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            )
            .map_err(&opening)?,
        );
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(&opening)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(&opening)?;
        conn.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY; \
             PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cell_size_check = ON;",
        )
        .map_err(&opening)?;
        let tables: i64 = conn
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN \
                 ('meta', 'key_slot', 'commit_log', 'row')",
                [],
                |r| r.get(0),
            )
            .map_err(&opening)?;
        if tables != 4 {
            let what = format!("{tables} of its tables meta, key_slot, commit_log, row");
            return Err(StoreError::Damaged { file: path.to_path_buf(), what });
        }
        Ok(exam)
    }

    /// The connection. It writes nothing.
    pub fn conn(&self) -> &Connection {
        // Set in `open` before anyone has an `Examination`, taken only in `drop`.
        self.conn.as_ref().expect("an examination has its connection until it is dropped")
    }
}

impl Drop for Examination {
    fn drop(&mut self) {
        self.conn = None;
        if !self.wal_was_there
            && let Ok(about) = self.wal.symlink_metadata()
            && about.len() == 0
        {
            let _ = std::fs::remove_file(&self.wal); // an empty one does no harm either
        }
    }
}

/// Opens the seals that everything else hangs from: data key and state. Returns the provider that the
/// slots name, as well.
pub(crate) fn open_seals(
    conn: &Connection,
    path: &Path,
    keys: Providers,
) -> Result<(Opener, State, Box<dyn KeyProvider>), StoreError> {
    let instance = meta(conn, path, META_INSTANCE)?;
    let Ok(instance) = <[u8; 16]>::try_from(instance.as_slice()) else {
        let what = format!("instance id of {} bytes, expected 16", instance.len());
        return Err(StoreError::Damaged { file: path.to_path_buf(), what });
    };
    let slots = read_slots(conn, path)?;
    let provider = keys.take(path, &slots)?;
    // One, or two while a rotation is under way; `take` refuses none.
    let mut ring: Option<KeyRing> = None;
    for Slot { id, wrapped, .. } in &slots {
        let key = open_data_key(provider.as_ref(), path, &instance, *id, wrapped)?.in_slot(*id);
        match &ring {
            None => ring = Some(key),
            Some(ring) if ring.add(key) => {}
            Some(_) => {
                let what = format!("key_slot, id {id}: its data key has the number of another");
                return Err(StoreError::Damaged { file: path.to_path_buf(), what });
            }
        }
    }
    let Some(ring) = ring else {
        let what = "it has no key slot".into();
        return Err(StoreError::Damaged { file: path.to_path_buf(), what });
    };
    let opener = Opener { instance, file: Arc::from(path), keys: Arc::new(ring) };
    let state = State::read(conn, &opener)?;
    // The newest key seals the state from its first transaction on: a state of an older one was put
    // back from before.
    let sealed = meta(conn, path, META_STATE)?;
    let (found, expected) = (Parts::of(&sealed).map(|p| p.key_id), opener.keys.current().number);
    if found.as_ref().ok() != Some(&expected) {
        let what = format!("meta, state: not sealed with data key {expected}, the newest there is");
        return Err(StoreError::Damaged { file: path.to_path_buf(), what });
    }
    Ok((opener, state, provider))
}

/// Reads and opens the catalogue.
///
/// ```text
/// body   bytes of the archive, one word | the archive, zero-padded to a word
/// ```
pub(crate) fn read_catalogue(
    conn: &Connection,
    opener: &Opener,
    revision: u64,
) -> Result<Catalogue, StoreError> {
    use zerocopy::IntoBytes;
    let blob = meta(conn, &opener.file, META_CATALOGUE)?;
    let mut buffer = Plain::default();
    let opened = opener.open(Place::Catalogue, Some(revision), &blob, &mut buffer)?;
    let archive = opened
        .body
        .split_first()
        .and_then(|(&length, words)| words.as_bytes().get(..usize::try_from(length).ok()?));
    let archive = archive
        .ok_or_else(|| opener.malformed(Place::Catalogue, "an archive longer than its seal"))?;
    Catalogue::from_bytes(archive).map_err(|e| opener.malformed(Place::Catalogue, e))
}
