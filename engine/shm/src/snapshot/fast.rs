//! The get by one integer key, in a straight line: one look at the index, one at the slot, one copy.
//!
//! Whatever is out of the ordinary (a tag that two keys share, a copy that was overwritten, a table
//! that has moved, a key of another class) is left to the general way. The steps, and why what they
//! find may be believed, are those of `index.rs` and `slot.rs`; only the loops are not here.

use super::layout::{ENTRY_OFFSET, IndexRef, TAG_SHIFT};
use super::rowbuf::RowBuf;
use super::slot::try_copy_newest;
use super::view::{IntKey, TableView};
use crate::key::Key;
use crate::sync::{Ordering, fence};
use crate::value::StorageClass;

impl TableView {
    /// Whether there is a row of this key, which is in `out` then; `None` where the general way is
    /// to be asked.
    #[inline]
    pub(super) fn try_get(&self, key: i64, place: IntKey, out: &mut RowBuf) -> Option<bool> {
        let index_word = self.index_word();
        let word = index_word.load(Ordering::Acquire);
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
            let found = entries[at & mask].load(Ordering::Acquire);
            if (found ^ hash) >> TAG_SHIFT == 0 && found & ENTRY_OFFSET != 0 {
                break (found & ENTRY_OFFSET) * 8;
            }
            if found == 0 {
                fence(Ordering::Acquire);
                return (index_word.load(Ordering::Relaxed) == word).then_some(false);
            }
            if at == last {
                return None;
            }
            at += 1;
        };
        if !try_copy_newest(&*self.region, &self.shape, slot, out) {
            return None;
        }
        let class = (out.words.get(place.tag)? >> place.shift) as u8 & 0xF;
        let is_key = class == StorageClass::Integer as u8
            && *out.words.get(place.cell)? == key as u64
            && index_word.load(Ordering::Relaxed) == word;
        is_key.then_some(true)
    }
}
