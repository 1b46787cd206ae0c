//! The state of the store: the few numbers that each transaction changes, sealed as one value.
//!
//! They are sealed, though none is a secret, because recovery believes them: a checkpoint revision
//! that was raised would hide the log's tail, a newest revision that was lowered would hand out
//! revisions twice.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::{Place, StoreError};
use crate::format::{META_STATE, meta, set_meta};
use crate::plain::Plain;
use crate::rowset::RowSet;
use crate::seal::{Identity, Kind, Opener, Sealer};

const WORDS: usize = 12;

/// The greatest id that each AUTOINCREMENT table ever gave, by table id in rising order.
pub(crate) type Sequences = Arc<[(u32, i64)]>;

/// ```text
/// word 0   newest       newest committed revision, 0 for none
///      1   next_birth   birth that the next row gets
///      2   checkpoint   every record of this revision and before is in `row`; the last of a group
///      3   log_first    first revision that commit_log holds; newest + 1 where it is empty
///      4   log_bytes    bytes of the sealed groups in commit_log
///      5   generation   of the segment; +1 at each start
///      6   catalogue    revision of the catalogue in meta
///      7   rows         rows in table `row`
///      8   rows_sum     their sum, see [`RowSet`]
///   9, 10  rows_key     key of the sum
///     11   sequences    how many there are
///  12 ..   table id, and the greatest id that its AUTOINCREMENT key ever had, for each
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub newest: u64,
    pub next_birth: u64,
    pub checkpoint: u64,
    pub log_first: u64,
    pub log_bytes: u64,
    pub generation: u64,
    pub catalogue: u64,
    pub rows: RowSet,
    pub sequences: Sequences,
}

impl State {
    /// Of a store that has nothing yet.
    pub fn new(rows_key: [u64; 2]) -> Self {
        Self {
            newest: 0,
            next_birth: 1,
            checkpoint: 0,
            log_first: 1,
            log_bytes: 0,
            generation: 0,
            catalogue: 0,
            rows: RowSet::empty(rows_key),
            sequences: Arc::default(),
        }
    }

    /// Reads and opens the state.
    pub fn read(conn: &Connection, opener: &Opener) -> Result<Self, StoreError> {
        let blob = meta(conn, &opener.file, META_STATE)?;
        let mut buffer = Plain::default();
        let opened = opener.open(Place::State, None, &blob, &mut buffer)?;
        let Some((w, rest)) = opened.body.split_first_chunk::<WORDS>() else {
            let what = format!("{} words, expected {WORDS} or more", opened.body.len());
            return Err(opener.malformed(Place::State, what));
        };
        if rest.len() as u64 != w[11].saturating_mul(2) {
            let what = format!("{} words of {} sequences, expected 2 of each", rest.len(), w[11]);
            return Err(opener.malformed(Place::State, what));
        }
        let sequence = |pair: &[u64]| (pair[0] as u32, pair[1] as i64);
        let state = Self {
            newest: w[0],
            next_birth: w[1],
            checkpoint: w[2],
            log_first: w[3],
            log_bytes: w[4],
            generation: w[5],
            catalogue: w[6],
            rows: RowSet { rows: w[7], sum: w[8], key: [w[9], w[10]] },
            sequences: rest.chunks_exact(2).map(sequence).collect(),
        };
        let sound = state.checkpoint <= state.newest
            && state.log_first >= 1
            && state.log_first - 1 <= state.checkpoint
            && state.newest == opened.revision
            && state.newest < i64::MAX as u64;
        if !sound {
            return Err(opener.malformed(Place::State, "its numbers contradict each other"));
        }
        Ok(state)
    }

    /// Seals and writes the state, in the caller's transaction.
    pub fn write(
        &self,
        conn: &Connection,
        sealer: &mut Sealer,
        buffer: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let words: [u64; WORDS] = [
            self.newest,
            self.next_birth,
            self.checkpoint,
            self.log_first,
            self.log_bytes,
            self.generation,
            self.catalogue,
            self.rows.rows,
            self.rows.sum,
            self.rows.key[0],
            self.rows.key[1],
            self.sequences.len() as u64,
        ];
        let sequences: Vec<u64> = self
            .sequences
            .iter()
            .flat_map(|&(table, last)| [u64::from(table), last as u64])
            .collect();
        let identity = Identity { kind: Kind::State, table: 0, place: 0, revision: self.newest };
        sealer.seal(&identity, &[&words, &sequences], buffer)?;
        let file: &Path = &sealer.opener.file;
        set_meta(conn, file, META_STATE, buffer)
    }
}
