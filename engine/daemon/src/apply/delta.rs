//! What a request changed: rows, and the schema.

use std::sync::Arc;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::{Image, ImageRef, tag_words};
use shmirror_shm::key::Key;
use shmirror_shm::limits;
use shmirror_shm::record::Operation;
use shmirror_shm::request::ResultSet;
use shmirror_shm::value::StorageClass;

use super::sequences::Sequences;

/// Words that hold a bit for each column, the hidden rowid included.
pub const CHANGED_WORDS: usize = (limits::COLUMNS + 1).div_ceil(64);

/// A bit for each column whose value is new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed([u64; CHANGED_WORDS]);

impl Changed {
    /// All of `columns` columns.
    pub fn all(columns: usize) -> Self {
        let mut bits = Self::default();
        for (i, word) in bits.0.iter_mut().enumerate() {
            let left = columns.saturating_sub(i * 64);
            *word = if left >= 64 { u64::MAX } else { (1u64 << left) - 1 };
        }
        bits
    }

    /// The columns in which two images of one shape differ.
    pub fn between(old: &ImageRef<'_>, new: &ImageRef<'_>) -> Self {
        let mut bits = Self::default();
        let columns = new.columns().min(old.columns()).min(CHANGED_WORDS * 64);
        let ((old_tags, old_cells), (new_tags, new_cells)) = (parts(old), parts(new));
        for i in 0..columns {
            let tag = |tags: &[u64]| tags[i / 16] >> (4 * (i % 16)) & 0xF;
            let (was, is) = (tag(old_tags), tag(new_tags));
            let same = was == is
                && if is == StorageClass::Text as u64 || is == StorageClass::Blob as u64 {
                    same_bytes(old, new, i)
                } else {
                    // Of a double all bits: 0.0 is not -0.0.
                    old_cells[i] == new_cells[i]
                };
            bits.0[i / 64] |= u64::from(!same) << (i % 64);
        }
        bits
    }

    /// The words for `columns` columns, as a record wants them.
    pub fn words(&self, columns: usize) -> &[u64] {
        &self.0[..columns.div_ceil(64).min(CHANGED_WORDS)]
    }

    /// Whether column `index` is among them.
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|w| w >> (index % 64) & 1 == 1)
    }
}

/// Tags and cells.
fn parts<'a>(image: &ImageRef<'a>) -> (&'a [u64], &'a [u64]) {
    image.head().split_at(tag_words(image.columns()))
}

fn same_bytes(old: &ImageRef<'_>, new: &ImageRef<'_>, index: usize) -> bool {
    use shmirror_shm::value::ValueRef::{Blob, Text};
    match (old.get(index), new.get(index)) {
        (Ok(Text(a)), Ok(Text(b))) => a == b,
        (Ok(Blob(a)), Ok(Blob(b))) => a == b,
        _ => false,
    }
}

/// The net change of one row by one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDelta {
    /// Number of the table's namespace.
    pub namespace: u16,
    /// Table id.
    pub table: u32,
    /// Shape of the image.
    pub shape: u32,
    /// Columns of that shape.
    pub columns: u16,
    /// What happened to the row.
    pub operation: Operation,
    /// The row's key.
    pub key: Key,
    /// Values of the key columns in key order: after the change, or, for a delete, before it.
    pub key_image: Image,
    /// The row after the change; `None` for a delete.
    pub image: Option<Image>,
    /// The columns whose value is new: all for an insert, none for a delete.
    pub changed: Changed,
}

/// How a request changed the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDelta {
    /// The catalogue after the request.
    pub catalogue: Arc<Catalogue>,
    /// Numbers of the namespaces whose part of it is another now, rising.
    pub parts: Vec<u16>,
    /// Ids of new tables. Their rows are among the changes, as inserts.
    pub created: Vec<u32>,
    /// Ids of tables whose name or columns changed: every row has a new image, whether or not it is among
    /// the changes. See [`super::WorkingCopy::for_each_row`].
    pub reshaped: Vec<u32>,
    /// Id and last shape of tables that are gone, and with them their rows, without a change each.
    pub dropped: Vec<(u32, u32)>,
}

/// What a request did to the working copy.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// Net changes, one for each row, by rising number of their namespace, and in each in the order in
    /// which the rows were first touched. An update
    /// of a key is a delete of the old and an insert of the new key.
    pub changes: Arc<Vec<RowDelta>>,
    /// Set where the schema changed. It ends its group.
    pub schema: Option<SchemaDelta>,
    /// All sequences of AUTOINCREMENT keys, where one of them changed. That can be all that a request
    /// did: an insert whose row it deletes again.
    pub sequences: Option<Sequences>,
    /// Rows inserted, updated and deleted, those of triggers and cascades included.
    pub count: u64,
    /// Rows of SELECT and RETURNING, where they were wanted.
    pub results: Vec<ResultSet>,
}

impl Applied {
    /// Whether the request changed anything.
    pub fn is_change(&self) -> bool {
        !self.changes.is_empty() || self.schema.is_some()
    }
}

/// Tells the revisions of rows as they are before the request: of the segment and of the requests of
/// the same group before this one.
pub trait RowRevisions {
    /// The revision of the row with this key; `None` where there is no such row.
    fn revision_of(&self, table: u32, key: &Key) -> Option<u64>;
}
