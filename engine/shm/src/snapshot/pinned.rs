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
            cell,
            _region: region,
        })
    }

    /// The newest published value; `None` where the row was deleted, the table has moved, or a writer
    /// came in between: then [`CellSite::load`] says which.
    #[inline]
    pub fn load(&self) -> Option<CellValue> {
        let entry = self.latch.enter();
        let version = self.latch.version(entry.version());
        // SAFETY: `new` looked that a version has these words.
        let word = |at: usize| unsafe { version.get_unchecked(at) }.load(Ordering::Relaxed);
        let (bits, tag) = (word(self.cell), word(self.tag) >> self.shift);
        let (birth, flags) = (word(VERSION_BIRTH), word(VERSION_REVISION));
        let holds = self.latch.holds(entry);
        Pillar::MovedFence.fence(Ordering::Acquire);
        let there = self.index.load(Ordering::Relaxed) != 0 || !Pillar::Moved.stands();
        let ours = birth == self.birth || !Pillar::CellBirth.stands();
        let row = flags & FLAG_DELETED == 0 || !Pillar::CellDeleted.stands();
        // One jump for all of them.
        if !(holds & there & ours & row) {
            return None;
        }
        Some(CellValue { class: StorageClass::from_tag(tag as u8 & 0xF)?, bits })
    }
}

impl std::fmt::Debug for PinnedCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PinnedCell").field("birth", &self.birth).finish_non_exhaustive()
    }
}
