//! A cell with every address worked out: the same load as [`CellSite::load`], in a straight line.
//!
//! What a general load computes each time (where the slot's latch is, which words of a version hold
//! tag and value, where the table's index word is) never changes for one cell, so it is computed
//! once. Whatever is out of the ordinary is left to [`CellSite::load`], which says what it is.

use std::sync::Arc;

use super::cell::{CellSite, CellValue};
use super::layout::{FLAG_DELETED, VERSION_BIRTH, VERSION_META, VERSION_REVISION};
use super::view::{TableView, cell_place};
use crate::latch::{Latch, latch_words};
use crate::pillar::Pillar;
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::value::StorageClass;

/// One column of one row, pinned to the mapping that it was found in. Any thread.
pub struct PinnedCell {
    /// Words of `_region`, which stay mapped as long as it lives: never handed out for longer than a
    /// borrow of `self`.
    latch: Latch<'static>,
    index: &'static AtomicU64,
    birth: u64,
    tag: usize,
    shift: u32,
    /// 1 at the tag's place.
    unit: u64,
    cell: usize,
    _region: Arc<Region>,
}

impl PinnedCell {
    /// The cell at `site` of `view`; `None` where there is no such column or slot.
    pub fn new(view: &TableView, site: &CellSite, column: usize) -> Option<Self> {
        let columns = view.columns();
        let (tag, shift, cell) = cell_place(columns, column);
        if column >= columns || tag.max(cell).max(VERSION_META) >= view.shape.version {
            return None;
        }
        let region = view.region.clone();
        let words = region.words(site.slot(), latch_words(view.shape.version))?;
        // SAFETY: the words belong to the mapping of `region`, which is unmapped only when its last
        // Arc is dropped (vacating leaves it mapped), and `_region` is one, dropped after them; the
        // longer lifetime does not leave this struct.
        let words: &'static [AtomicU64] = unsafe { &*std::ptr::from_ref(words) };
        // SAFETY: as above: the index word lies in the same mapping.
        let index: &'static AtomicU64 = unsafe { &*std::ptr::from_ref(view.index_word()) };
        Some(Self {
            latch: Latch::new(words, view.shape.version)?,
            index,
            birth: site.birth(),
            tag,
            shift,
            unit: 1 << shift,
            cell,
            _region: region,
        })
    }

    /// The newest published value; `None` where the row was deleted, the table has moved, or a writer
    /// came in between: then [`CellSite::load`] says which.
    #[inline]
    pub fn load(&self) -> Option<CellValue> {
        self.look(|version, bits, tags| {
            let row =
                version(VERSION_REVISION) & FLAG_DELETED == 0 || !Pillar::CellDeleted.stands();
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
        self.look(|_, bits, tags| (tags & (self.unit * 0xF) == wanted).then_some(bits))
    }

    /// What `take` makes of the newest version: of its words, the cell's word and the word with its tag.
    #[inline(always)]
    fn look<T>(
        &self,
        take: impl FnOnce(&dyn Fn(usize) -> u64, u64, u64) -> Option<T>,
    ) -> Option<T> {
        let entry = self.latch.enter();
        let version = self.latch.version(entry.version());
        // SAFETY: `new` looked that a version has these words.
        let word = |at: usize| unsafe { version.get_unchecked(at) }.load(Ordering::Relaxed);
        let (bits, tags) = (word(self.cell), word(self.tag));
        let birth = word(VERSION_BIRTH);
        let taken = take(&word, bits, tags)?;
        if birth != self.birth && Pillar::CellBirth.stands() || !self.latch.holds(entry) {
            return None;
        }
        Pillar::MovedFence.fence(Ordering::Acquire);
        let there = self.index.load(Ordering::Relaxed) != 0 || !Pillar::Moved.stands();
        there.then_some(taken)
    }
}

impl std::fmt::Debug for PinnedCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedCell").field("birth", &self.birth).finish_non_exhaustive()
    }
}
