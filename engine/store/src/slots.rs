//! What a store says of its keys without being opened: its key slots, and which data keys its seals
//! name. No key is needed, nothing is changed, and a daemon may be serving it meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::cipher::Algorithm;
use crate::directory::{Lock, STORE_FILE, has_store};
use crate::error::{StoreError, sqlite};
use crate::examine::Examination;
use crate::format::examine_header;
use crate::key::Providers;

/// The keys of a store, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// The process that has the data directory, where one has; 0 where it did not say which.
    pub served_by: Option<u32>,
    /// Its key slots.
    pub slots: Vec<SlotStatus>,
    /// The data keys that its seals name, by their numbers.
    pub data_keys: Vec<DataKeyStatus>,
}

/// A key slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotStatus {
    /// Its number.
    pub id: u64,
    /// Name of the provider that wrapped it.
    pub provider: String,
    /// What the slot says of the key that wrapped it: names and values.
    pub particulars: Vec<(&'static str, Particular)>,
}

/// A value that a slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Particular {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for Particular {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// A data key, and what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataKeyStatus {
    /// Its number.
    pub number: u32,
    /// Its cipher.
    pub cipher: &'static str,
    /// Whether it seals the store's state: the key of new seals.
    pub current: bool,
    /// Rows that it seals.
    pub rows: u64,
    /// Groups of the commit log that it seals.
    pub groups: u64,
}

impl KeyStatus {
    /// Looks at the store in `dir`.
    ///
    /// # Errors
    /// [`StoreError::NotOurs`] where there is none, [`StoreError::NewerFormat`],
    /// [`StoreError::Damaged`], or the system's.
    pub fn of(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(STORE_FILE);
        if !has_store(dir)? {
            let (found, expected) = ("no store.db".into(), "a data directory with a store".into());
            return Err(StoreError::NotOurs { path: dir.to_path_buf(), found, expected });
        }
        match Lock::take_now(dir) {
            Ok(_lock) => Self::read(Examination::open(&path)?.conn(), &path, None),
            Err(StoreError::InUse { pid, .. }) => {
                examine_header(&path)?;
                let opening = sqlite(&path, "opening the store beside its daemon");
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let conn = Connection::open_with_flags(&path, flags).map_err(&opening)?;
                conn.execute_batch(
                    "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; \
                     PRAGMA query_only = ON; BEGIN;",
                )
                .map_err(&opening)?;
                Self::read(&conn, &path, Some(pid.unwrap_or(0)))
            }
            Err(other) => Err(other),
        }
    }

    /// Looks at a store in the single file `path`, as a backup writes it, which nobody serves.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_file(path: &Path) -> Result<Self, StoreError> {
        Self::read(Examination::open(path)?.conn(), path, None)
    }

    fn read(conn: &Connection, path: &Path, served_by: Option<u32>) -> Result<Self, StoreError> {
        let slots = read_slots(conn, path)?.into_iter().map(|slot| SlotStatus {
            id: slot.id,
            particulars: Providers::particulars(&slot),
            provider: slot.provider,
        });
        let slots = slots.collect();
        let mut seals: BTreeMap<u32, DataKeyStatus> = BTreeMap::new();
        for (what, sql) in [
            ("row", "SELECT substr(sealed, 1, 8) AS head, count(*) FROM row GROUP BY head"),
            ("log", "SELECT substr(sealed, 1, 8) AS head, count(*) FROM commit_log GROUP BY head"),
            ("state", "SELECT substr(value, 1, 8), 1 FROM meta WHERE name = 'state'"),
        ] {
            let reading = sqlite(path, "reading which keys seal it");
            let mut select = conn.prepare(sql).map_err(&reading)?;
            let heads = select.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).map_err(&reading)?;
            for head in heads {
                let (head, count): (Vec<u8>, i64) = head.map_err(&reading)?;
                let [_, cipher, _, _, number @ ..] = head.as_slice() else { continue };
                let Ok(number) = <[u8; 4]>::try_from(number).map(u32::from_le_bytes) else {
                    continue; // shorter than any seal: opening the store refuses it
                };
                let cipher = Algorithm::of_id(*cipher).map_or("unknown", |a| a.name);
                let new = DataKeyStatus { number, cipher, current: false, rows: 0, groups: 0 };
                let key = seals.entry(number).or_insert(new);
                match what {
                    "row" => key.rows += count as u64,
                    "log" => key.groups += count as u64,
                    _ => key.current = true,
                }
            }
        }
        Ok(Self { served_by, slots, data_keys: seals.into_values().collect() })
    }

    /// Whether the store is between two data keys.
    pub fn rotating(&self) -> bool {
        self.slots.len() > 1 || self.data_keys.len() > 1
    }
}

/// A row of `key_slot`.
pub(crate) struct Slot {
    pub id: u64,
    pub provider: String,
    pub wrapped: Vec<u8>,
}

/// The key slots, by their numbers.
pub(crate) fn read_slots(conn: &Connection, path: &Path) -> Result<Vec<Slot>, StoreError> {
    let reading = sqlite(path, "reading key_slot");
    let mut slots =
        conn.prepare("SELECT id, provider, wrapped FROM key_slot ORDER BY id").map_err(&reading)?;
    let row = |r: &rusqlite::Row<'_>| {
        Ok(Slot { id: r.get::<_, i64>(0)? as u64, provider: r.get(1)?, wrapped: r.get(2)? })
    };
    slots.query_map([], row).and_then(Iterator::collect).map_err(&reading)
}
