//! The get by one integer key, in a straight line: one look at the index, one at the slot, one copy.
//!
//! Whatever is out of the ordinary (a tag that two keys share, a copy that was overwritten, a table
//! that has moved, a key of another class) is left to the general way. The steps, and why what they
//! find may be believed, are those of `index.rs` and `slot.rs`; only the loops are not here.

use super::index::has_tag;
use super::layout::{ENTRY_OFFSET, IndexRef};
use super::rowbuf::RowBuf;
use super::slot::{IntKey, try_copy_newest};
use super::view::TableView;
use crate::key::Key;
use crate::pillar::Pillar;
use crate::sync::Ordering;

impl TableView {
    /// Whether there is a row of this key, which is in `out` then; `None` where the general way is
    /// to be asked.
    #[inline]
    pub(super) fn try_get(&self, key: i64, place: IntKey, out: &mut RowBuf) -> Option<bool> {
        let index_word = self.index_word();
        let word = index_word.load(Pillar::IndexWord.order(Ordering::Acquire));
        let index = IndexRef(word);
        if index.is_none() {
            return None;
        }
        let entries = self.region.words(index.offset(), index.entries())?;
        let mask = entries.len() - 1;
        let hash = self.hash(&Key::Int(key));
        let mut at = hash as usize & mask;
        let last = at + mask;
        let slot = loop {
            let found = entries[at & mask].load(Pillar::IndexProbe.order(Ordering::Acquire));
            if has_tag(found, hash) {
                break (found & ENTRY_OFFSET) * 8;
            }
            if found == 0 {
                Pillar::IndexFence.fence(Ordering::Acquire);
                let still = index_word.load(Ordering::Relaxed) == word;
                return (still || !Pillar::IndexStill.stands()).then_some(false);
            }
            if at == last {
                return None;
            }
            at += 1;
        };
        let copied = try_copy_newest(&*self.region, &self.shape, slot, key, place, out);
        // Behind the latch's last look too: that may have met other memory than the slot's.
        Pillar::IndexFence.fence(Ordering::Acquire);
        let still = index_word.load(Ordering::Relaxed) == word || !Pillar::IndexStill.stands();
        (copied && still).then_some(true)
    }
}
