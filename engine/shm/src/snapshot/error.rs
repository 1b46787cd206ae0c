//! What reading from, and publishing into, a segment can fail with.

use crate::ShmError;

/// A read that gave nothing. It holds no heap memory and formats nothing until it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The table was dropped or reshaped, or its generation is over: look it up again.
    #[error(
        "the table has moved: its shape changed, it was dropped, or a new generation took over"
    )]
    Moved,
    /// The writer was faster at every try; the data is fine.
    #[error("the rows changed under each of {tries} tries")]
    Contended {
        /// Tries made.
        tries: u32,
    },
    /// Shared memory that says what cannot be.
    #[error("segment: {what} at offset {offset} is not valid")]
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: u64,
    },
    /// One value for a key of several columns.
    #[error("key of 1 value, {expected} expected")]
    KeyCount {
        /// Columns of the key.
        expected: usize,
    },
}

/// A cell that has no value to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// The row was deleted (a row inserted later under the same key is another row).
    #[error("the row was deleted")]
    Deleted,
    /// The table was dropped or reshaped, or its generation is over: locate the row again.
    #[error(
        "the table has moved: its shape changed, it was dropped, or a new generation took over"
    )]
    Moved,
    /// The writer was faster at every try.
    #[error("the cell changed under each of {tries} tries")]
    Contended {
        /// Tries made.
        tries: u32,
    },
    /// No such column.
    #[error("column {index} of a table of {columns} columns")]
    NoColumn {
        /// Index asked for.
        index: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// Shared memory that says what cannot be.
    #[error("segment: {what} at offset {offset} is not valid")]
    Corrupt {
        /// What was being read.
        what: &'static str,
        /// Where.
        offset: u64,
    },
}

impl From<ReadError> for CellError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Moved => Self::Moved,
            ReadError::Contended { tries } => Self::Contended { tries },
            ReadError::Corrupt { what, offset } => Self::Corrupt { what, offset },
            ReadError::KeyCount { .. } => Self::Corrupt { what: "key", offset: 0 },
        }
    }
}

/// A segment that could not take what it was given; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// The reserve is used up: a larger generation is needed.
    #[error("segment is full: {needed} bytes needed, reserve {reserve} bytes")]
    Full {
        /// Bytes that the segment would have, at least.
        needed: u64,
        /// Bytes that it can have.
        reserve: u64,
    },
    /// The machine has no memory, or refused a call.
    #[error(transparent)]
    Shm(#[from] ShmError),
    /// No storage was made for this table and shape.
    #[error("segment has no table {table} of shape {shape}")]
    UnknownTable {
        /// Table id.
        table: u32,
        /// Shape.
        shape: u32,
    },
    /// A table definition that contradicts itself, or storage that there is already.
    #[error("table {table} of shape {shape}: {what}")]
    BadTable {
        /// Table id.
        table: u32,
        /// Shape.
        shape: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// An image of another number of columns than the table's.
    #[error("table {table}: row image of {found} columns, {expected} expected")]
    Columns {
        /// Table id.
        table: u32,
        /// Columns of the image.
        found: usize,
        /// Columns of the table.
        expected: usize,
    },
    /// A row, or a catalogue, over its limit.
    #[error("table {table}: {found} bytes, at most {allowed} allowed")]
    TooLarge {
        /// Table id; 0 for the catalogue.
        table: u32,
        /// Bytes found.
        found: usize,
        /// Most bytes.
        allowed: usize,
    },
    /// The catalogue could not be written.
    #[error(transparent)]
    Archive(#[from] crate::ArchiveError),
    /// The segment's own words contradict each other.
    #[error("segment's own memory: {0}")]
    Read(#[from] ReadError),
}
