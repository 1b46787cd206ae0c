//! A whole table copied between two commits, for a reader that the writer outruns.
//!
//! ```text
//! TableCopyHeader | for each row: TableCopyRow | words of its image
//! ```

use zerocopy::{FromBytes, IntoBytes};

use super::error::SegmentError;
use super::rowbuf::{ImageForm, RowBuf};
use super::writer::SegmentWriter;
use crate::image::head_words;
use crate::limits;
use crate::wire::{TableCopyHeader, TableCopyRow};

impl SegmentWriter {
    /// Appends a copy of `table` as of the newest revision to `out`; the number of its rows.
    ///
    /// # Errors
    /// An unknown table.
    pub fn copy_table(&self, table: u32, out: &mut Vec<u8>) -> Result<u64, SegmentError> {
        let storage =
            self.newest_storage(table).ok_or(SegmentError::UnknownTable { table, shape: 0 })?;
        let rows = storage.rows() as u64;
        let header =
            TableCopyHeader { revision: self.revision, rows, table, shape: storage.def.shape };
        out.extend_from_slice(header.as_bytes());
        let mut copied = 0;
        self.visit(storage, |row| {
            let image = row.image();
            let var_bytes = image.var_bytes() as u64;
            let head = TableCopyRow { revision: row.revision(), birth: row.birth(), var_bytes };
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(image.words().as_bytes());
            copied += 1;
        });
        debug_assert_eq!(copied, rows);
        Ok(rows)
    }
}

/// A copy that is shorter than it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("table copy: {found} bytes left, {expected} expected")]
pub struct TableCopyError {
    /// Bytes there are.
    pub found: usize,
    /// Bytes there should be.
    pub expected: usize,
}

/// Reads the rows of a copy, which is in private memory of any alignment.
#[derive(Clone, Debug)]
pub struct TableCopy<'a> {
    header: TableCopyHeader,
    columns: usize,
    rest: &'a [u8],
    left: u64,
}

impl<'a> TableCopy<'a> {
    /// Takes `bytes` as a copy of a table whose images have `columns` columns.
    ///
    /// # Errors
    /// Too short for its header.
    pub fn new(bytes: &'a [u8], columns: usize) -> Result<Self, TableCopyError> {
        let short = TableCopyError { found: bytes.len(), expected: size_of::<TableCopyHeader>() };
        let (header, rest) = TableCopyHeader::read_from_prefix(bytes).map_err(|_| short)?;
        Ok(Self { left: header.rows, header, columns, rest })
    }

    /// Its header: revision, table, shape, number of rows.
    pub fn header(&self) -> &TableCopyHeader {
        &self.header
    }

    /// Copies the next row into `out`; false after the last.
    ///
    /// # Errors
    /// A row that is cut short, or longer than rows may be.
    pub fn next_row(&mut self, out: &mut RowBuf) -> Result<bool, TableCopyError> {
        if self.left == 0 {
            return Ok(false);
        }
        let short = |found, expected| TableCopyError { found, expected };
        let (head, rest) = TableCopyRow::read_from_prefix(self.rest)
            .map_err(|_| short(self.rest.len(), size_of::<TableCopyRow>()))?;
        let var_bytes = usize::try_from(head.var_bytes).unwrap_or(usize::MAX);
        if var_bytes > limits::ROW_BYTES {
            return Err(short(rest.len(), var_bytes));
        }
        let words = head_words(self.columns) + var_bytes.div_ceil(8);
        let (image, rest) = rest.split_at_checked(words * 8).ok_or(short(rest.len(), words * 8))?;
        let form = ImageForm::new(self.columns, var_bytes);
        out.room(form).as_mut_bytes().copy_from_slice(image);
        out.birth = head.birth;
        out.revision = head.revision;
        self.rest = rest;
        self.left -= 1;
        Ok(true)
    }
}
