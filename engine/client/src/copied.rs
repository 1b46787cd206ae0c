//! A table that the daemon copied between two commits, for a reader that the writers outrun.
//!
//! In: words of a sealed descriptor. Out: rows, each checked.

use shmirror_shm::image::{ImageRef, head_words};
use shmirror_shm::wire::{TableCopyHeader, TableCopyRow};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::Error;

/// Words of a copy's head, and of each row's.
const HEADER_WORDS: usize = size_of::<TableCopyHeader>() / 8;
const ROW_WORDS: usize = size_of::<TableCopyRow>() / 8;

/// A table's copy, each row of it checked.
pub(crate) struct Copied {
    pub(crate) header: TableCopyHeader,
    words: Vec<u64>,
    columns: usize,
    /// Where each row's head begins.
    starts: Vec<usize>,
}

impl Copied {
    /// Takes the words as a copy of a table of so many columns.
    pub(crate) fn parse(words: Vec<u64>, columns: usize) -> Result<Self, Error> {
        let short = |at: usize| {
            Error::Protocol(format!("the copy of a table: {} words, cut off at {at}", words.len()))
        };
        let Ok((header, _)) = TableCopyHeader::read_from_prefix(words.as_bytes()) else {
            return Err(short(0));
        };
        let mut starts = Vec::new();
        let mut at = HEADER_WORDS;
        for _ in 0..header.rows {
            let (head, image) = words.get(at..).and_then(row_parts).ok_or_else(|| short(at))?;
            let var_bytes = usize::try_from(head.var_bytes).map_err(|_| short(at))?;
            ImageRef::new(columns, var_bytes, image).map_err(|_| short(at))?;
            starts.push(at);
            at += ROW_WORDS + head_words(columns) + var_bytes.div_ceil(8);
        }
        Ok(Self { header, words, columns, starts })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Revision and image of a row.
    pub(crate) fn row(&self, place: usize) -> Option<(u64, ImageRef<'_>)> {
        let (head, image) = row_parts(&self.words[*self.starts.get(place)?..])?;
        let image = ImageRef::new(self.columns, head.var_bytes as usize, image).ok()?;
        Some((head.revision, image))
    }
}

fn row_parts(words: &[u64]) -> Option<(TableCopyRow, &[u64])> {
    let (head, _) = TableCopyRow::read_from_prefix(words.as_bytes()).ok()?;
    Some((head, &words[ROW_WORDS..]))
}
