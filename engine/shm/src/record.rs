//! Records of what was committed: one form for the events lane and the commit log.
//!
//! ```text
//! header    88 bytes, [`RecordHeader`]
//! changed   ceil(columns/64) words, a bit for each column whose value is new (all, for an insert)
//! key       image of the key's columns, in key order
//! row       image of the whole row after the change; absent for a delete or when elided
//! ```
//! A schema record has behind its header the archive of one namespace's part of the [`Catalogue`] after
//! the change, zero-padded to a word. A transaction's records stand by rising number of their namespace.
//! Every part is whole words, so a record is a `[u64]` and is read where it was copied to.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::catalogue::Catalogue;
use crate::image::{ImageError, ImageRef, head_words};

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordKind {
    /// A row was inserted, updated or deleted.
    Row = 1,
    /// The schema changed.
    Schema = 2,
    /// Nothing: the rest of the lane's end.
    Pad = 0xFFFF,
}

/// What happened to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Operation {
    /// It is new.
    Insert = 1,
    /// Some of its columns are new.
    Update = 2,
    /// It is gone.
    Delete = 3,
}

impl Operation {
    /// The lower-case English word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The row image was left out, as the record would have been too long for the lane; the commit log
/// has it.
pub const FLAG_ELIDED: u8 = 1;
/// The last record of its transaction.
pub const FLAG_LAST: u8 = 2;

/// Head of every record.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RecordHeader {
    /// Bytes of the whole record, a multiple of 8.
    pub length: u32,
    /// A [`RecordKind`].
    pub kind: u16,
    /// An [`Operation`]; 0 in a schema record.
    pub operation: u8,
    /// [`FLAG_ELIDED`] and [`FLAG_LAST`].
    pub flags: u8,
    /// Number of the event in its lane; 0 in the commit log.
    pub sequence: u64,
    /// Revision of the transaction.
    pub revision: u64,
    /// Table id; in a schema record the table it is about, or 0.
    pub table: u32,
    /// Shape of the image.
    pub shape: u32,
    /// The row's number: given at its insert, never used again.
    pub birth: u64,
    /// When it was committed: microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Who: user id, from the lane's credentials.
    pub uid: u32,
    /// Who: process id, from the credentials of those who attached to the lane; 0 where several did
    /// and the producer's record names none of them.
    pub pid: u32,
    /// The lane that it came through.
    pub lane: u64,
    /// The ticket it had there.
    pub ticket: u64,
    /// Columns of the row image.
    pub columns: u16,
    /// Columns of the key image.
    pub key_columns: u16,
    /// Bytes of the key image's variable part.
    pub key_var: u32,
    /// Bytes of the row image's variable part; in a schema record, bytes of the archive.
    pub row_var: u32,
    /// Number of the table's namespace; in a schema record that of the catalogue's part in it.
    pub namespace: u16,
    /// Zero.
    pub reserved: u16,
}

/// Words of a record's header.
pub const HEADER_WORDS: usize = core::mem::size_of::<RecordHeader>() / 8;
const _: () = assert!(size_of::<RecordHeader>() == 88);

/// A record that lies about itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its parts.
    #[error("record of {found} bytes, at least {expected} expected")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes its header calls for.
        expected: usize,
    },
    /// An unknown kind.
    #[error("record kind {0}, expected 1 (row) or 2 (schema)")]
    Kind(u16),
    /// An unknown operation.
    #[error("record operation {0}, expected 1 to 3")]
    Operation(u8),
    /// A bad image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A bad catalogue.
    #[error("schema record: {0}")]
    Catalogue(String),
}

/// One record in private words.
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    header: &'a RecordHeader,
    words: &'a [u64],
}

impl<'a> RecordRef<'a> {
    /// The first record in `words`, its parts checked against its length.
    ///
    /// # Errors
    /// A record that lies about itself.
    pub fn parse(words: &'a [u64]) -> Result<Self, RecordError> {
        let found = words.len() * 8;
        let short = |expected| RecordError::Short { found, expected };
        let head = words.get(..HEADER_WORDS).ok_or(short(size_of::<RecordHeader>()))?;
        let header = RecordHeader::ref_from_bytes(head.as_bytes()).map_err(|_| short(0))?;
        let length = header.length as usize;
        if !length.is_multiple_of(8) || length < size_of::<RecordHeader>() || length > found {
            return Err(short(length));
        }
        let record = Self { header, words: &words[..length / 8] };
        let needs = match header.kind {
            k if k == RecordKind::Row as u16 => {
                record.operation()?;
                record.row_start() + record.row_words()
            }
            k if k == RecordKind::Schema as u16 => {
                HEADER_WORDS + (header.row_var as usize).div_ceil(8)
            }
            k => return Err(RecordError::Kind(k)),
        };
        if needs * 8 > length {
            return Err(RecordError::Short { found: length, expected: needs * 8 });
        }
        Ok(record)
    }

    /// Its header.
    pub fn header(&self) -> &'a RecordHeader {
        self.header
    }

    /// Its words, header first.
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// Whether it tells of a row.
    pub fn is_row(&self) -> bool {
        self.header.kind == RecordKind::Row as u16
    }

    /// What happened to the row.
    ///
    /// # Errors
    /// An unknown operation.
    pub fn operation(&self) -> Result<Operation, RecordError> {
        match self.header.operation {
            1 => Ok(Operation::Insert),
            2 => Ok(Operation::Update),
            3 => Ok(Operation::Delete),
            other => Err(RecordError::Operation(other)),
        }
    }

    /// Whether the value of column `index` is new.
    pub fn changed(&self, index: usize) -> bool {
        self.is_row()
            && index < usize::from(self.header.columns)
            && self.words[HEADER_WORDS + index / 64] >> (index % 64) & 1 == 1
    }

    /// The key image: values of the key's columns in key order.
    ///
    /// # Errors
    /// A bad image.
    pub fn key(&self) -> Result<ImageRef<'a>, RecordError> {
        self.expect_row()?;
        let start = self.key_start();
        let words = &self.words[start..start + self.key_words()];
        Ok(ImageRef::new(self.header.key_columns.into(), self.header.key_var as usize, words)?)
    }

    /// The row image after the change: `None` for a delete, or where it was elided.
    ///
    /// # Errors
    /// A bad image.
    pub fn row(&self) -> Result<Option<ImageRef<'a>>, RecordError> {
        self.expect_row()?;
        if self.has_no_row() {
            return Ok(None);
        }
        let words = &self.words[self.row_start()..];
        let columns = self.header.columns.into();
        Ok(Some(ImageRef::new(columns, self.header.row_var as usize, words)?))
    }

    /// The catalogue of a schema record.
    ///
    /// # Errors
    /// It is no schema record, or its archive is bad.
    pub fn catalogue(&self) -> Result<Catalogue, RecordError> {
        if self.header.kind != RecordKind::Schema as u16 {
            return Err(RecordError::Kind(self.header.kind));
        }
        let bytes = &self.words[HEADER_WORDS..].as_bytes()[..self.header.row_var as usize];
        Catalogue::from_bytes(bytes).map_err(|e| RecordError::Catalogue(e.to_string()))
    }

    fn expect_row(&self) -> Result<(), RecordError> {
        if self.is_row() { Ok(()) } else { Err(RecordError::Kind(self.header.kind)) }
    }

    fn key_start(&self) -> usize {
        HEADER_WORDS + usize::from(self.header.columns).div_ceil(64)
    }

    fn key_words(&self) -> usize {
        head_words(self.header.key_columns.into()) + (self.header.key_var as usize).div_ceil(8)
    }

    fn row_start(&self) -> usize {
        self.key_start() + self.key_words()
    }

    fn has_no_row(&self) -> bool {
        self.header.operation == Operation::Delete as u8 || self.header.flags & FLAG_ELIDED != 0
    }

    fn row_words(&self) -> usize {
        if self.has_no_row() {
            return 0;
        }
        head_words(self.header.columns.into()) + (self.header.row_var as usize).div_ceil(8)
    }
}

/// What a row record tells, before it is encoded.
#[derive(Clone, Debug)]
pub struct RowRecord<'a> {
    /// What happened.
    pub operation: Operation,
    /// Table id and shape.
    pub table: (u32, u32),
    /// The row's number.
    pub birth: u64,
    /// Revision.
    pub revision: u64,
    /// When, who and in which namespace; `length`, `kind`, `operation` and the sizes are filled in.
    pub origin: RecordHeader,
    /// A bit for each changed column.
    pub changed: &'a [u64],
    /// Key image.
    pub key: ImageRef<'a>,
    /// Row image: `None` for a delete.
    pub row: Option<ImageRef<'a>>,
    /// Columns of the table (those of `row`, where there is one).
    pub columns: usize,
}

impl RowRecord<'_> {
    /// Appends the record to `out`.
    pub fn encode(&self, out: &mut Vec<u64>) {
        let changed_words = self.columns.div_ceil(64);
        let (key, row) = (self.key.words(), self.row.map_or(&[][..], |r| r.words()));
        let header = RecordHeader {
            operation: self.operation as u8,
            revision: self.revision,
            table: self.table.0,
            shape: self.table.1,
            birth: self.birth,
            columns: self.columns as u16,
            key_columns: self.key.columns() as u16,
            key_var: self.key.var_bytes() as u32,
            row_var: self.row.map_or(0, |r| r.var_bytes() as u32),
            ..self.origin
        };
        push_head(&header, changed_words + key.len() + row.len(), out);
        out.extend((0..changed_words).map(|i| self.changed.get(i).copied().unwrap_or(0)));
        out.extend_from_slice(key);
        out.extend_from_slice(row);
    }
}

/// Appends a row's record to `out`: `body` is what stands behind its header, for which `header` has all
/// that is not the same in every row record of the commit log.
pub fn push_row(header: &RecordHeader, body: &[u64], out: &mut Vec<u64>) {
    push_head(header, body.len(), out);
    out.extend_from_slice(body);
}

/// Appends a row record's header to `out`, with room for a body of so many words.
fn push_head(header: &RecordHeader, body: usize, out: &mut Vec<u64>) {
    let header = RecordHeader {
        length: ((HEADER_WORDS + body) * 8) as u32,
        kind: RecordKind::Row as u16,
        flags: 0,
        sequence: 0,
        ..*header
    };
    let words: [u64; HEADER_WORDS] = zerocopy::transmute!(header);
    out.reserve(HEADER_WORDS + body);
    out.extend_from_slice(&words);
}

/// Appends a schema record to `out`: `archive` is of the part that is in the namespace of `origin`.
pub fn encode_schema(archive: &[u8], table: u32, origin: RecordHeader, out: &mut Vec<u64>) {
    let start = out.len();
    let words = archive.len().div_ceil(8);
    out.resize(start + HEADER_WORDS + words, 0);
    out[start + HEADER_WORDS..].as_mut_bytes()[..archive.len()].copy_from_slice(archive);
    let header = RecordHeader {
        length: ((HEADER_WORDS + words) * 8) as u32,
        kind: RecordKind::Schema as u16,
        operation: 0,
        flags: 0,
        sequence: 0,
        table,
        columns: 0,
        key_columns: 0,
        key_var: 0,
        row_var: archive.len() as u32,
        ..origin
    };
    write_header(out, start, &header);
}

fn write_header(out: &mut [u64], start: usize, header: &RecordHeader) {
    out[start..start + HEADER_WORDS].as_mut_bytes().copy_from_slice(header.as_bytes());
}

/// The records in `words`, one after another.
pub fn records(words: &[u64]) -> Records<'_> {
    Records { rest: words }
}

/// Iterator over records; it ends at the first bad one, which it yields as an error.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u64],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordRef<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = RecordRef::parse(self.rest);
        self.rest = match &record {
            Ok(r) => &self.rest[r.words.len()..],
            Err(_) => &[],
        };
        Some(record)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::value::ValueRef;
    use proptest::prelude::*;

    fn sample() -> Vec<u64> {
        let key = Image::encode([ValueRef::Text("pump")].into_iter());
        let row = Image::encode([ValueRef::Text("pump"), ValueRef::Real(1.5)].into_iter());
        let origin = RecordHeader { at_us: 5, uid: 1000, pid: 42, ..Default::default() };
        let mut words = Vec::new();
        for operation in [Operation::Insert, Operation::Delete] {
            RowRecord {
                operation,
                table: (3, 1),
                birth: 9,
                revision: 77,
                origin,
                changed: &[0b10],
                key: key.as_ref(),
                row: (operation == Operation::Insert).then_some(row.as_ref()),
                columns: 2,
            }
            .encode(&mut words);
        }
        encode_schema(b"not a catalogue", 3, origin, &mut words);
        words
    }

    #[test]
    fn records_come_back_in_order() {
        let words = sample();
        let all: Vec<_> = records(&words).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 3);
        assert_eq!(all[0].operation(), Ok(Operation::Insert));
        assert_eq!(all[0].header().revision, 77);
        assert_eq!(all[0].key().unwrap().get(0), Ok(ValueRef::Text("pump")));
        assert_eq!(all[0].row().unwrap().unwrap().get(1), Ok(ValueRef::Real(1.5)));
        assert!(all[0].changed(1) && !all[0].changed(0) && !all[0].changed(2));
        assert_eq!(all[1].row(), Ok(None));
        assert!(!all[2].is_row());
        assert!(matches!(all[2].catalogue(), Err(RecordError::Catalogue(_))));
    }

    proptest! {
        #[test]
        fn damaged_records_never_panic(at in 0usize..60, bits in any::<u64>(), cut in 0usize..60) {
            let mut words = sample();
            let n = words.len();
            words[at % n] ^= bits;
            words.truncate(n - cut % n);
            for record in records(&words).flatten() {
                let _ = (record.key().map(|k| k.to_values()), record.row(), record.catalogue());
                let _ = record.row().map(|r| r.map(|r| r.to_values()));
                let _ = record.changed(usize::MAX);
            }
        }
    }
}
