//! Groups of the commit log: what a commit is given, checked; and sealed groups, opened.
//!
//! ```text
//! body   at, microseconds since 1970-01-01 UTC, one word | records, as record.rs has them
//! ```

use rusqlite::Row;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::record::{FLAG_ELIDED, RecordKind, RecordRef, records};

use crate::error::{Place, StoreError, sqlite};
use crate::plain::Plain;
use crate::seal::Opener;

/// Longest body of a group, in bytes: SQLite takes values of at most 10^9 bytes.
pub const GROUP_BYTES: usize = 900 << 20;

/// One group commit: transactions that become durable together.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// Revision of its first transaction: the newest revision before it, plus one.
    pub first_revision: u64,
    /// Revision of its last transaction.
    pub last_revision: u64,
    /// When: microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// The records of its transactions, one after another, in the encoding of
    /// [`shmirror_shm::record`]. Each revision has at least one.
    pub records: &'a [u64],
    /// The catalogue after the group, where it changed: then it has schema records, each of the part of
    /// one namespace, and without it none.
    pub catalogue: Option<&'a Catalogue>,
    /// The birth that the next row gets.
    pub next_birth: u64,
    /// Where one of them changed: the greatest id that each AUTOINCREMENT table ever gave, of all
    /// such tables, by table id in rising order.
    pub sequences: Option<&'a [(u32, i64)]>,
}

/// What a commit notes of a group's records.
#[derive(Debug, Default)]
pub(crate) struct Noted {
    /// Birth and revision of each row record.
    pub rows: Vec<(u64, u64)>,
    /// Whether there is a schema record.
    pub schema: bool,
}

impl Group<'_> {
    /// Checks the group against the newest revision and the next birth before it.
    pub(crate) fn check(
        &self,
        newest: u64,
        next_birth: u64,
        noted: &mut Noted,
    ) -> Result<(), StoreError> {
        let bad = |what: String| {
            let (first, last) = (self.first_revision, self.last_revision);
            Err(StoreError::BadGroup { first, last, what })
        };
        noted.rows.clear();
        noted.schema = false;
        if self.first_revision != newest + 1 {
            return bad(format!("expected to begin at {}, after the newest", newest + 1));
        }
        if self.last_revision < self.first_revision || self.last_revision >= i64::MAX as u64 {
            return bad("expected first ≤ last < 2^63 - 1".into());
        }
        if self.next_birth < next_birth {
            return bad(format!("next birth {}, expected {next_birth} or more", self.next_birth));
        }
        if self.records.len() * 8 > GROUP_BYTES {
            let bytes = self.records.len() * 8;
            return bad(format!("{bytes} bytes of records, at most {GROUP_BYTES} expected"));
        }
        if !self.sequences.is_none_or(are_sound) {
            return bad("its sequences are not in rising order of table ids".into());
        }
        let mut revision = newest;
        let mut at = 0;
        for record in records(self.records) {
            let record = match record {
                Ok(record) => record,
                Err(e) => return bad(format!("record at word {at}: {e}")),
            };
            let header = record.header();
            if header.revision != revision && header.revision != revision + 1 {
                let found = header.revision;
                return bad(format!("record at word {at}: revision {found} after {revision}"));
            }
            revision = header.revision;
            if revision > self.last_revision || revision < self.first_revision {
                return bad(format!("record at word {at}: revision {revision}"));
            }
            if header.flags & FLAG_ELIDED != 0 {
                return bad(format!("record at word {at}: its row image is elided"));
            }
            let end = at + record.words().len();
            if record.is_row() {
                if header.birth == 0 || header.birth >= self.next_birth {
                    let (birth, next) = (header.birth, self.next_birth);
                    return bad(format!("record at word {at}: birth {birth}, next is {next}"));
                }
                noted.rows.push((header.birth, revision));
            } else {
                noted.schema = true;
            }
            at = end;
        }
        if revision != self.last_revision {
            return bad(format!("its records end at revision {revision}"));
        }
        if noted.schema != self.catalogue.is_some() {
            let found = if noted.schema { "schema records" } else { "a catalogue" };
            return bad(format!("{found} alone; a catalogue and schema records belong together"));
        }
        Ok(())
    }
}

/// Whether sequences are as a store takes them: one for each table, in the order of their ids.
pub(crate) fn are_sound(sequences: &[(u32, i64)]) -> bool {
    sequences.is_sorted_by(|a, b| a.0 < b.0)
}

/// A group that was read and opened.
#[derive(Debug)]
pub(crate) struct LogGroup<'b> {
    pub first: u64,
    pub last: u64,
    pub sealed_bytes: u64,
    pub records: &'b [u64],
}

/// Columns that [`LogGroup::open`] reads.
pub(crate) const LOG_COLUMNS: &str = "first_revision, last_revision, at, sealed";

impl<'b> LogGroup<'b> {
    /// Opens the group in a row of [`LOG_COLUMNS`], into `buffer`.
    pub fn open(row: &Row<'_>, opener: &Opener, buffer: &'b mut Plain) -> Result<Self, StoreError> {
        let reading = sqlite(&opener.file, "reading commit_log");
        let first: i64 = row.get(0).map_err(&reading)?;
        let last: i64 = row.get(1).map_err(&reading)?;
        let at: i64 = row.get(2).map_err(&reading)?;
        let (first, last) = (first as u64, last as u64);
        let place = Place::Log { first };
        let sealed = row.get_ref(3).map_err(&reading)?;
        let sealed = sealed.as_blob().map_err(|e| opener.malformed(place, e))?;
        let opened = opener.open(place, Some(last), sealed, buffer)?;
        let Some((&at_us, records)) = opened.body.split_first() else {
            return Err(opener.malformed(place, "no words, expected at least one"));
        };
        if at_us != at as u64 {
            let what = format!("at {at}, but {} is sealed", at_us as i64);
            return Err(opener.malformed(place, what));
        }
        if last < first {
            return Err(opener.malformed(place, format!("last_revision {last}")));
        }
        Ok(Self { first, last, sealed_bytes: sealed.len() as u64, records })
    }

    /// Calls `f` with each record and its place in words. Every record's revision lies in the group.
    pub fn for_each<'s>(
        &'s self,
        opener: &Opener,
        mut f: impl FnMut(usize, RecordRef<'b>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let place = Place::Log { first: self.first };
        let mut at = 0;
        for record in records(self.records) {
            let record = record.map_err(|e| opener.malformed(place, e))?;
            let revision = record.header().revision;
            if revision < self.first || revision > self.last {
                return Err(opener.malformed(place, format!("a record of revision {revision}")));
            }
            debug_assert_ne!(record.header().kind, RecordKind::Pad as u16);
            f(at, record)?;
            at += record.words().len();
        }
        Ok(())
    }
}
