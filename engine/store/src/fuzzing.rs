//! Openings for the fuzz targets: what the store reads, without a file around it. No part of the API.
//!
//! What flows in: bytes of any kind. What flows out: what the store would have taken them for, or its
//! error. Everything runs through the very functions that read a store.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use zerocopy::IntoBytes;

use crate::error::{Place, StoreError, sqlite};
use crate::format::{META_STATE, SCHEMA, set_meta};
use crate::group::{Group, LogGroup, Noted};
use crate::plain::Plain;
use crate::row::{self, StoredRow};
use crate::seal::{
    Algorithm, BLOB_HEAD, IDENTITY_WORDS, Identity, KEY_BYTES, KeyRing, Kind, NONCE_BYTES, Opener,
    SealFault, Sealer, seal_in_place,
};
use crate::state::State;

pub use crate::key::fuzzing as key;

/// Instance whose seals a [`Vault`] opens.
pub const INSTANCE: [u8; 16] = *b"fuzzing instance";
/// Number of its data key.
pub const DATA_KEY: u32 = 1;

/// A store's keys and an empty database: seals, and opens what is said to be sealed.
pub struct Vault {
    sealer: Sealer,
    conn: Connection,
    buffer: Plain,
    blob: Vec<u8>,
}

impl Vault {
    /// With a known key for this cipher.
    ///
    /// # Errors
    /// SQLite's.
    pub fn new(algorithm: Algorithm) -> Result<Self, StoreError> {
        let file: Arc<Path> = Path::new("fuzzing.db").into();
        let keys = Arc::new(KeyRing::new(DATA_KEY, algorithm.under(&[7; KEY_BYTES])));
        let conn = Connection::open_in_memory().map_err(sqlite(&file, "opening"))?;
        conn.execute_batch(SCHEMA).map_err(sqlite(&file, "making"))?;
        let sealer = Sealer::new(Opener { instance: INSTANCE, file, keys });
        Ok(Self { sealer, conn, buffer: Plain::default(), blob: Vec::new() })
    }

    /// The head of a plaintext that belongs where it says.
    pub fn identity(kind: Kind, table: u32, place: u64, revision: u64) -> [u64; IDENTITY_WORDS] {
        Identity { kind, table, place, revision }.words(&INSTANCE)
    }

    /// A blob of this plaintext, whatever it is, identity and all; the nonce is always the same.
    ///
    /// # Errors
    /// The cipher's.
    pub fn seal(&self, text: &[u64]) -> Result<Vec<u8>, SealFault> {
        let mut blob = vec![0; BLOB_HEAD];
        blob.extend_from_slice(text.as_bytes());
        let key = self.sealer.opener.keys.current();
        seal_in_place(key.cipher.as_ref(), key.number, &[9; NONCE_BYTES], &mut blob)?;
        Ok(blob)
    }

    /// Opens what is said to be a seal of `place`: table, revision, body.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`].
    pub fn open(
        &mut self,
        place: Place,
        revision: Option<u64>,
        blob: &[u8],
    ) -> Result<(u32, u64, &[u64]), StoreError> {
        let opened = self.sealer.opener.open(place, revision, blob, &mut self.buffer)?;
        Ok((opened.table, opened.revision, opened.body))
    }

    /// Reads a row of table `row`, and, where it is one, seals it again and reads that. Both are told.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`].
    pub fn row(
        &mut self,
        slot: u64,
        revision: u64,
        blob: &[u8],
        mut told: impl FnMut(StoredRow<'_>),
    ) -> Result<(), StoreError> {
        let opener = &self.sealer.opener;
        let reading = sqlite(&opener.file, "reading a row");
        let mut select = self.conn.prepare_cached("SELECT ?1, ?2, ?3").map_err(&reading)?;
        let mut rows = select.query((slot as i64, revision as i64, blob)).map_err(&reading)?;
        if let Some(found) = rows.next().map_err(&reading)? {
            told(row::open(found, opener, &mut self.buffer)?);
        }
        Ok(())
    }

    /// Reads a row of table `commit_log`; its records one after another.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`].
    pub fn group(
        &mut self,
        (first, last, at_us): (u64, u64, i64),
        blob: &[u8],
    ) -> Result<Vec<u64>, StoreError> {
        let opener = &self.sealer.opener;
        let reading = sqlite(&opener.file, "reading a group");
        let mut select = self.conn.prepare_cached("SELECT ?1, ?2, ?3, ?4").map_err(&reading)?;
        let mut rows = select.query((first as i64, last as i64, at_us, blob)).map_err(&reading)?;
        let mut out = Vec::new();
        if let Some(found) = rows.next().map_err(&reading)? {
            let group = LogGroup::open(found, opener, &mut self.buffer)?;
            group.for_each(opener, |at, record| {
                debug_assert_eq!(at, out.len());
                if record.is_row() {
                    row::of_record(&record, opener, Place::Log { first })?;
                }
                out.extend_from_slice(record.words());
                Ok(())
            })?;
        }
        Ok(out)
    }

    /// Reads the state that `blob` is said to be, and, where it is one, writes it and reads it again:
    /// whether that came out the same.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`].
    pub fn state(&mut self, blob: &[u8]) -> Result<bool, StoreError> {
        set_meta(&self.conn, &self.sealer.opener.file, META_STATE, blob)?;
        let state = State::read(&self.conn, &self.sealer.opener)?;
        state.write(&self.conn, &mut self.sealer, &mut self.blob)?;
        Ok(State::read(&self.conn, &self.sealer.opener)? == state)
    }
}

/// What a commit checks of a group: the newest revision and the next birth before it are given.
///
/// # Errors
/// [`StoreError::BadGroup`].
pub fn check_group(group: &Group<'_>, newest: u64, next_birth: u64) -> Result<(), StoreError> {
    group.check(newest, next_birth, &mut Noted::default())
}
