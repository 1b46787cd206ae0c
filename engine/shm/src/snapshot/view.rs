//! A reader's view of one table: keyed reads of the newest published version.
//!
//! No lock, no system call, no allocation, and nothing shared is written. A view stays good until its
//! table is dropped or reshaped or its generation is over; every read says so then.

use std::sync::Arc;

use super::cell::CellSite;
use super::error::ReadError;
use super::fast::Straight;
use super::index::{Space, lookup};
use super::layout::{SlotShape, TABLE_WORDS, VERSION_META};
use super::rowbuf::RowBuf;
use super::segment::Segment;
use super::slot::{IntKey, Newest, copy_newest};
use super::storage::{key_parts, row_has_key};
use crate::catalogue::{Affinity, TableDef};
use crate::image::tag_words;
use crate::key::{Key, KeyPart};
use crate::pillar::Pillar;
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::table_at;
use crate::value::ValueRef;

/// One table of one segment. Any thread.
#[derive(Debug)]
pub struct TableView {
    pub(super) region: Arc<Region>,
    pub(super) shape: SlotShape,
    /// Offset of the table header.
    place: u64,
    seed: u64,
    /// Whether a key is an integer as it is.
    int_key: bool,
    straight: Option<Straight>,
    pub(super) parts: Vec<KeyPart>,
    segment: Arc<Segment>,
    identity: (u32, u32),
}

impl IntKey {
    fn of(parts: &[KeyPart], columns: usize) -> Option<Self> {
        match parts {
            // A TEXT column never holds a number.
            [part] if part.affinity != Affinity::Text => {
                let (tag, shift, cell) = cell_place(columns, part.index);
                Some(Self { tag, shift, cell })
            }
            _ => None,
        }
    }
}

/// Where a column stands in a version: word of its tag, where in it, word of its value.
#[inline]
pub(super) fn cell_place(columns: usize, column: usize) -> (usize, u32, usize) {
    let tag = VERSION_META + column / 16;
    let cell = VERSION_META + tag_words(columns) + column;
    (tag, 4 * (column % 16) as u32, cell)
}

impl TableView {
    /// The table of `def`, whose header is at `place` (both from one
    /// [`Segment::catalogue`]).
    ///
    /// # Errors
    /// [`ReadError::Moved`] where the table has gone meanwhile; a header that is not `def`'s.
    pub fn new(segment: Arc<Segment>, def: &TableDef, place: u64) -> Result<Self, ReadError> {
        let corrupt = ReadError::Corrupt { what: "table header", offset: place };
        let region = segment.region().clone();
        let shape = SlotShape::new(def.columns.len());
        let header = region.words(place, TABLE_WORDS).ok_or(corrupt)?;
        let identity = u64::from(def.id) << 32 | u64::from(def.shape);
        let slot = (shape.columns as u64) << 32 | shape.front as u64;
        let found = header[table_at!(identity)].load(Ordering::Relaxed) == identity
            && header[table_at!(slot)].load(Ordering::Relaxed) == slot;
        // A header that has gone with its mapping is one that has moved, and no wrong one.
        Pillar::MovedFence.fence(Ordering::Acquire);
        if header[table_at!(index)].load(Ordering::Relaxed) == 0 {
            return Err(ReadError::Moved);
        }
        let parts = key_parts(def).filter(|parts| !parts.is_empty()).ok_or(corrupt)?;
        if !found {
            return Err(corrupt);
        }
        let int_key = IntKey::of(&parts, shape.columns);
        Ok(Self {
            int_key: int_key.is_some(),
            straight: Straight::of(&region, place, &shape, int_key, segment.seed()),
            seed: segment.seed(),
            identity: (def.id, def.shape),
            region,
            shape,
            place,
            parts,
            segment,
        })
    }

    /// The columns of the key, in key order.
    pub fn key_parts(&self) -> &[KeyPart] {
        &self.parts
    }

    /// The segment that it is a table of.
    pub fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Table id and shape.
    pub fn identity(&self) -> (u32, u32) {
        self.identity
    }

    /// Number of columns of the image.
    pub fn columns(&self) -> usize {
        self.shape.columns
    }

    /// Live rows, as of about now.
    pub fn rows(&self) -> u64 {
        self.header(table_at!(rows)).load(Ordering::Relaxed)
    }

    /// Whether the table is there no more, so that every read says [`ReadError::Moved`].
    #[inline]
    pub fn has_moved(&self) -> bool {
        Pillar::MovedFence.fence(Ordering::Acquire);
        self.index_word().load(Ordering::Relaxed) == 0 && Pillar::Moved.stands()
    }

    /// A word of the table's header.
    #[inline]
    pub(super) fn header(&self, word: usize) -> &AtomicU64 {
        self.region
            .word(self.place + word as u64 * 8)
            .expect("the header was found inside of the mapping, whose size never changes")
    }

    #[inline]
    pub(super) fn index_word(&self) -> &AtomicU64 {
        self.header(table_at!(index))
    }

    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        key.hash(self.seed)
    }

    #[inline]
    pub(super) fn lookup<T>(
        &self,
        key: &Key,
        candidate: impl FnMut(u64) -> Result<Option<T>, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        lookup(&*self.region, self.index_word(), self.hash(key), candidate)
    }

    /// Copies the newest published version of the row of `key`; false where there is none, when
    /// `out` holds nothing in particular.
    ///
    /// # Errors
    /// [`ReadError::Moved`]: look the table up again. [`ReadError::Contended`]: the row is written
    /// faster than it can be copied.
    #[inline]
    pub fn get(&self, key: &Key, out: &mut RowBuf) -> Result<bool, ReadError> {
        match key {
            Key::Int(value) if self.int_key => self.get_int(*value, out),
            _ => Ok(self.find(key, out)?.is_some()),
        }
    }

    /// The same for a key of one integer.
    ///
    /// # Errors
    /// As [`TableView::get`]; [`ReadError::KeyCount`] where the key has several columns.
    #[inline]
    pub fn get_int(&self, key: i64, out: &mut RowBuf) -> Result<bool, ReadError> {
        match self.get_straight(key, out) {
            Some(found) => Ok(found),
            None if self.int_key => self.get_surely(key, out),
            None => self.get_converted(key, out),
        }
    }

    /// The same in a straight line; `None` where [`TableView::get_int`] is to be asked: what is there is out of
    /// the ordinary, or was being written.
    #[inline(always)]
    pub fn get_straight(&self, key: i64, out: &mut RowBuf) -> Option<bool> {
        self.try_get(key, self.straight.as_ref()?, out)
    }

    #[cold]
    #[inline(never)]
    fn get_surely(&self, key: i64, out: &mut RowBuf) -> Result<bool, ReadError> {
        Ok(self.find(&Key::Int(key), out)?.is_some())
    }

    /// The key column is TEXT (5 becomes '5'), or there are several.
    #[cold]
    #[inline(never)]
    fn get_converted(&self, key: i64, out: &mut RowBuf) -> Result<bool, ReadError> {
        let expected = self.parts.len();
        let key = Key::new(&self.parts, &[ValueRef::Integer(key)])
            .map_err(|_| ReadError::KeyCount { expected })?;
        Ok(self.find(&key, out)?.is_some())
    }

    /// The slot of `key`, its newest version in `out`.
    pub(super) fn find(&self, key: &Key, out: &mut RowBuf) -> Result<Option<u64>, ReadError> {
        self.lookup(key, |slot| {
            let found = copy_newest(&*self.region, &self.shape, slot, out)? == Newest::Row
                && row_has_key(&self.parts, out, key);
            Ok(found.then_some(slot))
        })
    }

    /// Where the row of `key` stands, for cells.
    ///
    /// # Errors
    /// As [`TableView::get`].
    pub fn locate(&self, key: &Key) -> Result<Option<CellSite>, ReadError> {
        let mut row = RowBuf::new();
        let slot = self.find(key, &mut row)?;
        Ok(slot.map(|slot| CellSite::new(slot, row.birth)))
    }

    pub(super) fn space(&self) -> &(impl Space + use<>) {
        &*self.region
    }
}
