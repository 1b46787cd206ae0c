//! What a request changed: rows, and the schema.

use std::sync::Arc;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::{Image, ImageRef, tag_words};
use shmirror_shm::key::Key;
use shmirror_shm::record::Operation;
use shmirror_shm::request::ResultSet;
use shmirror_shm::value::StorageClass;

use super::sequences::Sequences;
use super::tables::Table;

/// A bit for each column whose value is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed<'a>(&'a [u64]);

impl Changed<'_> {
    /// Whether column `index` is among them.
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|w| w >> (index % 64) & 1 == 1)
    }
}

/// Appends the bits of all of `columns` columns.
fn push_all(columns: usize, out: &mut Vec<u64>) {
    out.extend((0..columns.div_ceil(64)).map(|i| match columns - i * 64 {
        left if left >= 64 => u64::MAX,
        left => (1u64 << left) - 1,
    }));
}

/// Appends the bits of the columns in which two images of one shape differ.
fn push_between(old: &ImageRef<'_>, new: &ImageRef<'_>, out: &mut Vec<u64>) {
    let columns = new.columns();
    let ((old_tags, old_cells), (new_tags, new_cells)) = (parts(old), parts(new));
    let has_var = old.var_bytes() > 0 || new.var_bytes() > 0;
    if !has_var && old_cells.len() == new_cells.len() && old_tags == new_tags {
        let mut from = 0;
        while from < columns {
            let to = columns.min(from + 64);
            let (old_cells, new_cells) = (&old_cells[from..to], &new_cells[from..to]);
            // Of a double all bits: 0.0 is not -0.0.
            let differ = (0..to - from).rev().map(|i| u64::from(old_cells[i] != new_cells[i]));
            out.push(differ.fold(0, |bits, bit| bits << 1 | bit));
            from = to;
        }
        return;
    }
    let start = out.len();
    out.resize(start + columns.div_ceil(64), 0);
    for i in 0..columns.min(old.columns()) {
        let tag = |tags: &[u64]| tags[i / 16] >> (4 * (i % 16)) & 0xF;
        let (was, is) = (tag(old_tags), tag(new_tags));
        let same = was == is
            && if is == StorageClass::Text as u64 || is == StorageClass::Blob as u64 {
                same_bytes(old, new, i)
            } else {
                old_cells[i] == new_cells[i]
            };
        out[start + i / 64] |= u64::from(!same) << (i % 64);
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowDelta<'a> {
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
    pub key: &'a Key,
    /// Values of the key columns in key order: after the change, or, for a delete, before it.
    pub key_image: ImageRef<'a>,
    /// The row after the change; `None` for a delete.
    pub image: Option<ImageRef<'a>>,
    /// The columns whose value is new: all for an insert, none for a delete.
    pub changed: Changed<'a>,
    /// What stands behind the header in the row's record.
    pub body: &'a [u64],
}

/// One of them.
#[derive(Clone, Debug)]
struct Row {
    key: Key,
    /// Where its words begin: which columns changed, key image, row image; and where they end.
    at: u32,
    key_at: u32,
    row_at: u32,
    end: u32,
    table: u32,
    shape: u32,
    key_var: u32,
    row_var: u32,
    namespace: u16,
    columns: u16,
    key_columns: u16,
    operation: Operation,
}

/// Net changes of rows, one for each, their images in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    rows: Vec<Row>,
    words: Arc<[u64]>,
}

impl Changes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RowDelta<'_>> {
        self.rows.iter().map(|row| self.view(row))
    }

    /// The one at `index`.
    pub fn get(&self, index: usize) -> Option<RowDelta<'_>> {
        self.rows.get(index).map(|row| self.view(row))
    }

    /// Namespace, table and keys of at most `count` rows from `index` on, as far as they are of one table.
    pub fn keys(
        &self,
        index: usize,
        count: usize,
    ) -> Option<(u16, u32, impl Iterator<Item = &Key> + Clone)> {
        let rows = self.rows.get(index..)?;
        let first = rows.first()?;
        let of = (first.namespace, first.table);
        let same = rows[..count.min(rows.len())].iter();
        let same = same.take_while(move |row| (row.namespace, row.table) == of);
        Some((of.0, of.1, same.map(|row| &row.key)))
    }

    /// The image of the row at `index` after its change, which shares the memory of all.
    pub fn image(&self, index: usize) -> Option<Image> {
        let row = self.rows.get(index).filter(|row| row.operation != Operation::Delete)?;
        let at = row.row_at as usize;
        Image::within(&self.words, at, row.columns.into(), row.row_var as usize).ok()
    }

    fn view<'a>(&'a self, row: &'a Row) -> RowDelta<'a> {
        let body = &self.words[row.at as usize..row.end as usize];
        let (changed, images) = body.split_at((row.key_at - row.at) as usize);
        let (key_words, row_words) = images.split_at((row.row_at - row.key_at) as usize);
        let image = |columns: u16, var: u32, words| {
            // They were made here, of as many words as they need.
            ImageRef::new(columns.into(), var as usize, words).unwrap_or_default()
        };
        let is_there = row.operation != Operation::Delete;
        RowDelta {
            namespace: row.namespace,
            table: row.table,
            shape: row.shape,
            columns: row.columns,
            operation: row.operation,
            key: &row.key,
            key_image: image(row.key_columns, row.key_var, key_words),
            image: is_there.then(|| image(row.columns, row.row_var, row_words)),
            changed: Changed(changed),
            body,
        }
    }
}

impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Changes in the making. Its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Making {
    rows: Vec<Row>,
    words: Vec<u64>,
}

/// Most words that are kept for the next request.
const KEPT: usize = 1 << 20;

impl Making {
    /// So many come next.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Adds a row of `table` that was `old` and is `new`, where that is a change. `key_image` appends the
    /// image of its key and says how many bytes its variable part has.
    pub fn push<E>(
        &mut self,
        table: &Table,
        key: Key,
        old: Option<ImageRef<'_>>,
        new: Option<ImageRef<'_>>,
        key_image: impl FnOnce(&ImageRef<'_>, &mut Vec<u64>) -> Result<usize, E>,
    ) -> Result<(), E> {
        let columns = table.def.columns.len();
        let at = self.words.len();
        let Some(source) = new.as_ref().or(old.as_ref()) else { return Ok(()) };
        let operation = match (&old, &new) {
            (Some(old), Some(new)) if old == new => return Ok(()),
            (Some(old), Some(new)) => {
                push_between(old, new, &mut self.words);
                Operation::Update
            }
            (None, _) => {
                push_all(columns, &mut self.words);
                Operation::Insert
            }
            (_, None) => {
                self.words.resize(at + columns.div_ceil(64), 0);
                Operation::Delete
            }
        };
        let key_at = self.words.len();
        let key_var = match key_image(source, &mut self.words) {
            Ok(key_var) => key_var as u32,
            Err(error) => {
                self.words.truncate(at);
                return Err(error);
            }
        };
        let row_at = self.words.len();
        let row_var = new.map_or(0, |new| {
            self.words.extend_from_slice(new.words());
            new.var_bytes() as u32
        });
        self.rows.push(Row {
            key,
            // limits::TRANSACTION_BYTES are far fewer words.
            at: at as u32,
            key_at: key_at as u32,
            row_at: row_at as u32,
            end: self.words.len() as u32,
            table: table.def.id,
            shape: table.def.shape,
            key_var,
            row_var,
            namespace: table.namespace,
            columns: columns as u16, // at most limits::COLUMNS + 1
            key_columns: table.parts.len() as u16,
            operation,
        });
        Ok(())
    }

    /// What was made, by rising number of the namespace.
    pub fn finish(&mut self) -> Changes {
        let mut rows = std::mem::take(&mut self.rows);
        if !rows.is_sorted_by_key(|row| row.namespace) {
            rows.sort_by_key(|row| row.namespace);
        }
        let words = Arc::from(&self.words[..]);
        self.clear();
        Changes { rows, words }
    }

    /// Forgets what was made.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.words.clear();
        self.words.shrink_to(KEPT);
    }
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
    pub changes: Arc<Changes>,
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
