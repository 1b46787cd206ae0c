//! A cell with every address worked out: the same load as [`CellSite::load`], in a straight line.
//!
//! What a general load computes each time (where the slot's latch is, which words of a version hold
//! tag and value, where the table's index word is) never changes for one cell, so it is computed
//! once. Whatever is out of the ordinary is left to [`CellSite::load`], which says what it is.

use std::sync::Arc;

use super::cell::{CellSite, CellValue};
use super::layout::{FLAG_DELETED, VERSION_BIRTH, VERSION_REVISION};
use super::view::{TableView, cell_place};
use crate::latch::{enter, front_words, holds_in_front};
use crate::pillar::Pillar;
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::value::StorageClass;

/// One column of one row, pinned to the mapping that it was found in. Any thread.
pub struct PinnedCell {
    /// The sequence of the row's slot, and of its front the words with the value, its tag, the row's number and
    /// its revision; the table's index word. All are words of `_region`, which stay mapped as long as it lives,
    /// and are never handed out for longer than a borrow of `self`.
    seq: &'static AtomicU64,
    bits: &'static AtomicU64,
    tags: &'static AtomicU64,
    birth: &'static AtomicU64,
    made: &'static AtomicU64,
    index: &'static AtomicU64,
    /// The row's number.
    row: u64,
    /// 1 at the tag's place.
    unit: u64,
    /// All bits of it.
    mask: u64,
    shift: u32,
    _region: Arc<Region>,
}

impl PinnedCell {
    /// The cell at `site` of `view`; `None` where there is no such column or slot.
    pub fn new(view: &TableView, site: &CellSite, column: usize) -> Option<Self> {
        let columns = view.columns();
        let (tag, shift, cell) = cell_place(columns, column);
        if column >= columns {
            return None;
        }
        let region = view.region.clone();
        let words = region.words(site.slot(), front_words(view.shape.version))?;
        // SAFETY: the words belong to the mapping of `region`, which is unmapped only when its last
        // Arc is dropped (vacating leaves it mapped), and `_region` is one, dropped after them; the
        // longer lifetime does not leave this struct.
        let words: &'static [AtomicU64] = unsafe { &*std::ptr::from_ref(words) };
        // SAFETY: as above: the index word lies in the same mapping.
        let index: &'static AtomicU64 = unsafe { &*std::ptr::from_ref(view.index_word()) };
        let (seq, front) = words.split_first()?;
        Some(Self {
            seq,
            bits: front.get(cell)?,
            tags: front.get(tag)?,
            birth: front.get(VERSION_BIRTH)?,
            made: front.get(VERSION_REVISION)?,
            index,
            row: site.birth(),
            unit: 1 << shift,
            mask: 0xF << shift,
            shift,
            _region: region,
        })
    }

    /// The newest published value; `None` where the row was deleted, the table has moved, or a writer
    /// came in between: then [`CellSite::load`] says which.
    #[inline]
    pub fn load(&self) -> Option<CellValue> {
        self.look(|bits, tags| {
            let made = self.made.load(Ordering::Relaxed);
            let row = made & FLAG_DELETED == 0 || !Pillar::CellDeleted.stands();
            let class = StorageClass::from_tag((tags >> self.shift) as u8 & 0xF);
            class.filter(|_| row).map(|class| CellValue { class, bits })
        })
    }

    /// The bits of the newest published value, where it is an INTEGER or a REAL, as asked; else as
    /// [`PinnedCell::load`], which this is a shorter way of.
    #[inline]
    pub fn load_bits(&self, class: StorageClass) -> Option<u64> {
        debug_assert!(matches!(class, StorageClass::Integer | StorageClass::Real));
        // A deleted row has NULLs alone.
        let wanted = self.unit * class as u64;
        self.look(|bits, tags| (tags & self.mask == wanted).then_some(bits))
    }

    /// What `take` makes of the newest version's word of the cell and that with its tag.
    #[inline(always)]
    fn look<T>(&self, take: impl FnOnce(u64, u64) -> Option<T>) -> Option<T> {
        let entry = enter(self.seq);
        let (bits, tags) = (self.bits.load(Ordering::Relaxed), self.tags.load(Ordering::Relaxed));
        let row = self.birth.load(Ordering::Relaxed);
        let taken = take(bits, tags)?;
        if row != self.row && Pillar::CellBirth.stands() || !holds_in_front(self.seq, entry) {
            return None;
        }
        Pillar::MovedFence.fence(Ordering::Acquire);
        let there = self.index.load(Ordering::Relaxed) != 0 || !Pillar::Moved.stands();
        there.then_some(taken)
    }
}

impl std::fmt::Debug for PinnedCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedCell").field("row", &self.row).finish_non_exhaustive()
    }
}
