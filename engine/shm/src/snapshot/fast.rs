//! The get by one integer key, in a straight line: one look at the index, one at the slot, one copy.
//!
//! Whatever is out of the ordinary (a tag that two keys share, a copy that was overwritten, a table
//! that has moved, a key of another class) is left to the general way. The steps, and why what they
//! find may be believed, are those of `index.rs` and `slot.rs`; only the loops are not here.

#![allow(unsafe_code, reason = "what was checked once is not checked again for each read")]

use super::index::has_tag;
use super::layout::{
    BlockRef, ENTRY_OFFSET, FLAG_DELETED, IndexRef, REVISION_MASK, SlotShape, VERSION_BIRTH,
    VERSION_BLOCK, VERSION_META, VERSION_REVISION,
};
use super::rowbuf::{INLINE_WORDS, ImageForm, RowBuf};
use super::slot::{IntKey, try_copy_block};
use super::view::TableView;
use crate::key::Key;
use crate::latch::{Latch, latch_words};
use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::table_at;
use crate::value::StorageClass;

/// Words that are copied at a time: enough that the loop costs little, and no more than registers are free.
const AT_ONCE: usize = 4;

/// What the straight way needs of a table, worked out once. Places are in words, from the mapping's begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Straight {
    /// The table's index word.
    index_word: usize,
    /// Words of a version.
    version: usize,
    /// The last slot that the mapping has room for, with what may be copied from behind it.
    last_slot: usize,
    /// The last word.
    last_word: usize,
    /// Steps of [`AT_ONCE`] words in which a head is copied, with a few words behind it.
    steps: u32,
    /// Where in its word the key's tag is.
    shift: u32,
    /// Words of the head that have the key's tag and its value.
    tag: usize,
    cell: usize,
    form: ImageForm,
}

impl Straight {
    /// Of a table whose header is at `place`, with such slots and keys; `None` where its rows are too long, or
    /// its keys other ones.
    pub(super) fn of(
        region: &Region,
        place: u64,
        shape: &SlotShape,
        key: Option<IntKey>,
    ) -> Option<Self> {
        let key = key?;
        let copied = shape.head.next_multiple_of(AT_ONCE);
        let slot = latch_words(shape.version) + (copied - shape.head);
        let within = |at: usize| at.checked_sub(VERSION_META).filter(|at| *at < shape.head);
        let index_word = usize::try_from(place / 8).ok()? + table_at!(index);
        let count = region.all().len();
        (copied <= INLINE_WORDS && index_word < count).then_some(())?;
        Some(Self {
            index_word,
            version: shape.version,
            last_slot: count.checked_sub(slot)?,
            last_word: count.checked_sub(1)?,
            steps: (copied / AT_ONCE) as u32,
            shift: key.shift,
            tag: within(key.tag)?,
            cell: within(key.cell)?,
            form: ImageForm::of_head(shape.columns, shape.head),
        })
    }
}

/// Copies `STEPS` times [`AT_ONCE`] words.
///
/// # Safety
/// There are so many.
#[inline(always)]
unsafe fn copy_steps<const STEPS: usize>(from: &[AtomicU64], to: &mut [u64]) {
    for at in 0..STEPS * AT_ONCE {
        // SAFETY: there are so many, says the caller.
        unsafe { *to.get_unchecked_mut(at) = from.get_unchecked(at).load(Ordering::Relaxed) };
    }
}

impl TableView {
    /// Whether there is a row of this key, which is in `out` then; `None` where the general way is
    /// to be asked.
    #[inline(always)]
    pub(super) fn try_get(&self, key: i64, way: &Straight, out: &mut RowBuf) -> Option<bool> {
        let all = self.region.all();
        // SAFETY: `of` was made for this view's region, and looked that the word is inside.
        let index_word = unsafe { all.get_unchecked(way.index_word) };
        let word = index_word.load(Pillar::IndexWord.order(Ordering::Acquire));
        let index = IndexRef(word);
        if index.is_none() {
            return None;
        }
        let (first, mask) = (index.offset() as usize / 8, index.entries() - 1);
        if first + mask > way.last_word {
            return None;
        }
        let hash = self.hash(&Key::Int(key));
        let entry = |at: usize| {
            // SAFETY: no entry is behind the last one, which is inside, as was just looked at.
            let entry = unsafe { all.get_unchecked(first + (at & mask)) };
            entry.load(Pillar::IndexProbe.order(Ordering::Acquire))
        };
        let begin = hash as usize;
        // The first two at once: a jump between them is one that no processor guesses well.
        let (one, two) = (entry(begin), entry(begin.wrapping_add(1)));
        let mut found = if has_tag(one, hash) { one } else { two };
        if one == 0 {
            found = 0;
        }
        let mut at = begin.wrapping_add(2);
        while !has_tag(found, hash) {
            if found == 0 {
                Pillar::IndexFence.fence(Ordering::Acquire);
                let still = index_word.load(Ordering::Relaxed) == word;
                return (still || !Pillar::IndexStill.stands()).then_some(false);
            }
            if at.wrapping_sub(begin) > mask {
                return None;
            }
            found = entry(at);
            at = at.wrapping_add(1);
        }
        let slot = (found & ENTRY_OFFSET) as usize;
        if slot > way.last_slot {
            return None;
        }
        // SAFETY: so many words from there on are inside, as was just looked at.
        let words = unsafe { all.get_unchecked(slot..slot + latch_words(way.version)) };
        // SAFETY: there are so many.
        let latch = unsafe { Latch::new_unchecked(words, way.version) };
        let entry = latch.enter();
        let begin = slot + (way.version + 1) * (entry.version() & 1) as usize;
        // SAFETY: a latch has two versions, each of which begins with so many words.
        let meta = unsafe { all.get_unchecked(begin..begin + VERSION_META) };
        let made = meta[VERSION_REVISION].load(Ordering::Relaxed);
        let block = BlockRef(meta[VERSION_BLOCK].load(Ordering::Relaxed));
        out.birth = meta[VERSION_BIRTH].load(Ordering::Relaxed);
        out.revision = made & REVISION_MASK;
        let to = out.head(way.form);
        points::pass(Point::Copied);
        // SAFETY: `of` left room for whole steps behind the last slot, and looked that as many fit into what a
        // buffer has.
        unsafe {
            let from = all.get_unchecked(begin + VERSION_META..);
            match way.steps {
                1 => copy_steps::<1>(from, to),
                2 => copy_steps::<2>(from, to),
                3 => copy_steps::<3>(from, to),
                4 => copy_steps::<4>(from, to),
                more => {
                    for at in (0..more as usize * AT_ONCE).step_by(AT_ONCE) {
                        copy_steps::<1>(from.get_unchecked(at..), to.get_unchecked_mut(at..));
                    }
                }
            }
        }
        // SAFETY: `of` looked that both are within the head.
        let (tag, cell) = unsafe { (*to.get_unchecked(way.tag), *to.get_unchecked(way.cell)) };
        if (tag >> way.shift) & 0xF != StorageClass::Integer as u64 || cell != key as u64 {
            return None;
        }
        let copied = match block.is_none() {
            true => latch.holds(entry) && made & FLAG_DELETED == 0 && entry.version() != 0,
            false => try_copy_block(&*self.region, &self.shape, slot as u64 * 8, entry, out),
        };
        // Behind the latch's last look too: that may have met other memory than the slot's.
        Pillar::IndexFence.fence(Ordering::Acquire);
        let still = index_word.load(Ordering::Relaxed) == word || !Pillar::IndexStill.stands();
        (copied && still).then_some(true)
    }
}
