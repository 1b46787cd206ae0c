//! The get by one integer key, in a straight line: one look at the index, one at the slot, one copy.
//!
//! Whatever is out of the ordinary (a tag that two keys share, a copy that was overwritten, a table
//! that has moved, a key of another class) is left to the general way. The steps, and why what they
//! find may be believed, are those of `index.rs` and `slot.rs`; only the loops are not here.

#![allow(unsafe_code, reason = "what was checked once is not checked again for each read")]

use super::index::{Space as _, next_tagged, tag};
use super::layout::{
    BlockRef, ENTRY_OFFSET, IndexRef, REVISION_MASK, SlotShape, VERSION_BIRTH, VERSION_BLOCK,
    VERSION_META, VERSION_REVISION,
};
use super::rowbuf::{INLINE_WORDS, ImageForm, RowBuf};
use super::slot::{IntKey, try_copy_block};
use super::view::TableView;
use crate::key::Key;
use crate::latch::{enter, front_words, holds_in_front};
use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::table_at;
use crate::value::StorageClass;

/// Words that are copied at a time: few are copied in vain, and the jumps between cost little.
const AT_ONCE: usize = 3;
/// Words that there must be from the first place of a probe on, as its pair may end behind it.
const PAIR: usize = 2;

/// What the straight way needs of a table, worked out once, on few lines of the cache. Places are in words,
/// from the mapping's begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Straight {
    /// All words of the view's region, which lives as long as the view does.
    words: *const AtomicU64,
    /// The table's index word.
    index_word: usize,
    seed: u64,
    /// The last slot that the mapping has room for the front of, with what may be copied from behind it.
    last_slot: usize,
    /// The last word.
    last_word: usize,
    form: ImageForm,
    /// Words in which a head is copied: whole steps of [`AT_ONCE`], with a few words behind it.
    copied: usize,
    /// Words of the head that have the key's tag and its value.
    tag: usize,
    cell: usize,
    /// The bits of the key's tag, and what they are where it is an integer.
    tag_mask: u64,
    tag_wanted: u64,
}

// SAFETY: the words are reached as atomics alone, and only by way of the view that keeps their region.
unsafe impl Send for Straight {}
// SAFETY: as above.
unsafe impl Sync for Straight {}

impl Straight {
    /// Of a table whose header is at `place`, with such slots and keys; `None` where its rows are too long, or
    /// its keys other ones.
    pub(super) fn of(
        region: &Region,
        place: u64,
        shape: &SlotShape,
        key: Option<IntKey>,
        seed: u64,
    ) -> Option<Self> {
        let key = key?;
        let copied = shape.head.next_multiple_of(AT_ONCE);
        let slot = front_words(shape.version) + (copied - shape.head);
        let within = |at: usize| at.checked_sub(VERSION_META).filter(|at| *at < shape.head);
        let index_word = usize::try_from(place / 8).ok()? + table_at!(index);
        let all = region.all();
        (copied <= INLINE_WORDS && index_word < all.len()).then_some(())?;
        Some(Self {
            words: all.as_ptr(),
            index_word,
            seed,
            last_slot: all.len().checked_sub(slot)?,
            last_word: all.len().checked_sub(PAIR)?,
            form: ImageForm::new(shape.columns, 0),
            copied,
            tag: within(key.tag)?,
            cell: within(key.cell)?,
            tag_mask: 0xF << key.shift,
            tag_wanted: (StorageClass::Integer as u64) << key.shift,
        })
    }

    /// The word at a place.
    ///
    /// # Safety
    /// It is inside of the mapping, and the view that this was made for still is.
    #[inline(always)]
    unsafe fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: inside, says the caller; aligned, and valid as an atomic as all words of a region are.
        unsafe { &*self.words.add(at) }
    }
}

/// Copies [`AT_ONCE`] words from `at` on.
///
/// # Safety
/// As [`Straight::word`], for all of them; and `to` has room for as many from `at` on.
#[inline(always)]
unsafe fn copy_step(way: &Straight, from: usize, to: &mut [u64; INLINE_WORDS], at: usize) {
    for at in at..at + AT_ONCE {
        // SAFETY: says the caller.
        unsafe { *to.get_unchecked_mut(at) = way.word(from + at).load(Ordering::Relaxed) };
    }
}

impl TableView {
    /// Whether there is a row of this key, which is in `out` then; `None` where the general way is
    /// to be asked.
    #[inline(always)]
    pub(super) fn try_get(&self, key: i64, way: &Straight, out: &mut RowBuf) -> Option<bool> {
        // SAFETY: `way` was made for this view's region, and looked that the word is inside.
        let index_word = unsafe { way.word(way.index_word) };
        let word = index_word.load(Pillar::IndexWord.order(Ordering::Acquire));
        let index = IndexRef(word);
        let first = index.offset() as usize / 8;
        let hash = Key::Int(key).hash(way.seed);
        let home = (hash >> index.shift()) as usize;
        // Where there is no index, `home` is as large as a hash.
        if home > way.last_word || first + home > way.last_word {
            return None;
        }
        let entry = |at: usize| {
            // SAFETY: it is `home` or one less or more, and there are `PAIR` words from `home` on.
            let entry = unsafe { way.word(first + at) };
            entry.load(Pillar::IndexProbe.order(Ordering::Acquire))
        };
        // Both of the pair at once: a jump between them is one that no processor guesses well. What is left of an
        // entry without the tag is its slot; of one with another tag, or without a row, more than a slot can be.
        let tag = tag(hash);
        let (one, two) = (entry(home) ^ tag, entry(home ^ 1) ^ tag);
        let mut slot = one.min(two) as usize;
        if slot > way.last_slot {
            // A pair with an empty entry is the last of a probe.
            if one == tag || two == tag {
                Pillar::IndexFence.fence(Ordering::Acquire);
                let still = index_word.load(Ordering::Relaxed) == word;
                let is_none = index.is_none();
                return ((still || !Pillar::IndexStill.stands()) && !is_none).then_some(false);
            }
            slot = self.probe_on(way, index, hash)?;
        }
        // SAFETY: it was just looked at whether a front has room from there on, which begins with its sequence.
        let seq = unsafe { way.word(slot) };
        let entry = enter(seq);
        let begin = slot + 1;
        // SAFETY: as above: a front goes on with a version, which begins with so many words.
        let meta = |at: usize| unsafe { way.word(begin + at) }.load(Ordering::Relaxed);
        out.birth = meta(VERSION_BIRTH);
        let made = meta(VERSION_REVISION);
        let block = BlockRef(meta(VERSION_BLOCK));
        // Without its flags, as a deleted row has none of its values, and so no key either.
        out.revision = made;
        let to = out.head(way.form);
        points::pass(Point::Copied);
        let head = begin + VERSION_META;
        // SAFETY: `of` left room for whole steps behind the last slot, and looked that as many fit into what a
        // buffer has. There is one at least.
        unsafe {
            // Not one loop: up to nine words without counting.
            copy_step(way, head, to, 0);
            if way.copied > AT_ONCE {
                copy_step(way, head, to, AT_ONCE);
            }
            if way.copied > 2 * AT_ONCE {
                copy_step(way, head, to, 2 * AT_ONCE);
            }
            let mut at = 3 * AT_ONCE;
            while at < way.copied {
                copy_step(way, head, to, at);
                at += AT_ONCE;
            }
        }
        // SAFETY: `of` looked that both are within the head.
        let (tag, cell) = unsafe { (*to.get_unchecked(way.tag), *to.get_unchecked(way.cell)) };
        if tag & way.tag_mask != way.tag_wanted || cell != key as u64 {
            return None;
        }
        if !block.is_none() {
            out.revision = made & REVISION_MASK;
            // The key was looked for in front: what is in the back may have another one.
            if !entry.is_in_front()
                || !try_copy_block(&*self.region, &self.shape, slot as u64 * 8, entry, out)
            {
                return None;
            }
        } else if !holds_in_front(seq, entry) {
            return None;
        }
        // Behind the latch's last look too: that may have met other memory than the slot's.
        Pillar::IndexFence.fence(Ordering::Acquire);
        let still = index_word.load(Ordering::Relaxed) == word || !Pillar::IndexStill.stands();
        still.then_some(true)
    }

    /// Goes on behind the first pair of a probe: the slot, if it is the row's, that the next pairs have; `None`
    /// where the general way is to be asked.
    #[cold]
    #[inline(never)]
    fn probe_on(&self, way: &Straight, index: IndexRef, hash: u64) -> Option<usize> {
        let entries = self.space().words(index.offset(), index.entries())?;
        let found = next_tagged(entries, hash)?;
        let slot = (found & ENTRY_OFFSET) as usize;
        (slot <= way.last_slot).then_some(slot)
    }
}
