//! The index of a table: open addressing, linear probing, one writer, any number of readers.
//!
//! ```text
//! entry    hash tag (16 bits, odd) | offset of the slot / 8 (48 bits); 0 empty; TOMBSTONE
//! insert   entry ← slot (relaxed, behind the fence of the slot's write), into the first tombstone or empty entry of its row of entries
//! remove   entry ← TOMBSTONE (relaxed), or empty where the next entry is empty
//! grow     a new index is built aside; index word ← new (release); fence(release); the old one's
//!          memory is free
//! lookup   i ← index word (acquire) ; probe ; fence(acquire) ; believed while index word = i
//! ```
//! Why a lookup may be believed:
//! - *A row that it found.* The old index's memory, a dropped table's slots and a vacated mapping all
//!   come after a change of the index word (to the new index, to 0, to 0). If one word that the
//!   lookup read was written after that, then the fences pair and the second look sees the change.
//! - *A row that it did not find.* An entry never moves within an index, so a key that is there
//!   throughout is met. If the key was taken out (at t1) behind the reader's position and put in
//!   again (at t2 > t1) before it, then the reader passed the place of the second before t2 and came
//!   to the place of the first after t1: between the two it was absent, at a moment within the read.
//! - *An entry whose slot has another row by now.* The caller compares the key in the row that it
//!   copied, and goes on: as if it had met a tombstone, which was true at a moment within the read.

use super::error::ReadError;
use super::layout::{ENTRY_OFFSET, IndexRef, TAG_MARK, TAG_SHIFT, TOMBSTONE};
use crate::pillar::Pillar;
use crate::sync::{AtomicU64, Ordering};

/// Words at offsets: a region, or in models a plain slice.
pub trait Space {
    /// `count` words from `offset` on: `None` if they are not aligned or not all inside.
    fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]>;
}

impl Space for crate::Region {
    #[inline]
    fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        Self::words(self, offset, count)
    }
}

impl Space for [AtomicU64] {
    fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        let start = usize::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8))?;
        self.get(start..start.checked_add(count)?)
    }
}

/// How often a lookup begins anew when the index was replaced under it. Each time costs the writer a
/// whole new index.
const TRIES: u32 = 64;

/// The entry for a slot.
#[inline]
const fn entry(hash: u64, slot: u64) -> u64 {
    ((hash | TAG_MARK) >> TAG_SHIFT << TAG_SHIFT) | (slot / 8)
}

/// Whether an entry is of a row with this tag. Every row's tag is odd; that of an empty entry and of
/// a tombstone is even.
#[inline]
pub(super) const fn has_tag(found: u64, hash: u64) -> bool {
    (found ^ (hash | TAG_MARK)) >> TAG_SHIFT == 0
}

/// Asks `candidate` for each slot whose hash may be `hash`, until it gives something.
#[inline]
fn probe<T>(
    entries: &[AtomicU64],
    hash: u64,
    mut candidate: impl FnMut(u64) -> Result<Option<T>, ReadError>,
) -> Result<Option<T>, ReadError> {
    let mask = entries.len() - 1;
    let mut at = hash as usize & mask;
    for _ in 0..entries.len() {
        // Acquire: whoever sees the entry sees nothing of what stood where the slot is.
        let found = entries[at & mask].load(Pillar::IndexProbe.order(Ordering::Acquire));
        if found == 0 {
            return Ok(None);
        }
        if has_tag(found, hash) {
            let given = candidate((found & ENTRY_OFFSET) * 8)?;
            if given.is_some() {
                return Ok(given);
            }
        }
        at = (at + 1) & mask;
    }
    Ok(None)
}

/// A reader's lookup: what `candidate` gave for a slot of the key, or `None` where there is no such
/// key. What `candidate` returns, errors too, is believed only if the index was not replaced.
///
/// # Errors
/// [`ReadError::Moved`] where the table is gone; what `candidate` reports.
#[inline]
pub fn lookup<S: Space + ?Sized, T>(
    space: &S,
    index_word: &AtomicU64,
    hash: u64,
    mut candidate: impl FnMut(u64) -> Result<Option<T>, ReadError>,
) -> Result<Option<T>, ReadError> {
    for _ in 0..TRIES {
        let word = index_word.load(Pillar::IndexWord.order(Ordering::Acquire));
        let index = IndexRef(word);
        if index.is_none() {
            return Err(ReadError::Moved);
        }
        let found = match space.words(index.offset(), index.entries()) {
            Some(entries) if !entries.is_empty() => probe(entries, hash, &mut candidate),
            _ => Err(ReadError::Corrupt { what: "index", offset: index.offset() }),
        };
        Pillar::IndexFence.fence(Ordering::Acquire);
        if index_word.load(Ordering::Relaxed) == word || !Pillar::IndexStill.stands() {
            return found;
        }
    }
    Err(ReadError::Contended { tries: TRIES })
}

/// The writer's lookup: place and slot of the first entry that `matches`.
pub fn find(
    entries: &[AtomicU64],
    hash: u64,
    mut matches: impl FnMut(u64) -> bool,
) -> Option<(usize, u64)> {
    let mask = entries.len() - 1;
    let start = hash as usize & mask;
    for step in 0..entries.len() {
        let at = (start + step) & mask;
        let found = entries[at].load(Ordering::Relaxed);
        if found == 0 {
            return None;
        }
        let slot = (found & ENTRY_OFFSET) * 8;
        if has_tag(found, hash) && matches(slot) {
            return Some((at, slot));
        }
    }
    None
}

/// The writer's insert of a key that is not in the index; whether it took a tombstone's place. There
/// must be a place.
///
/// A relaxed store: it stands behind the fence of the slot's write, or before the swap of a new index.
pub fn insert(entries: &[AtomicU64], hash: u64, slot: u64) -> bool {
    let mask = entries.len() - 1;
    let mut at = hash as usize & mask;
    loop {
        let found = entries[at].load(Ordering::Relaxed);
        if found & ENTRY_OFFSET == 0 {
            entries[at].store(entry(hash, slot), Ordering::Relaxed);
            return found == TOMBSTONE;
        }
        at = (at + 1) & mask;
    }
}

/// The writer's removal of the entry at `at`; how many tombstones there are more (or fewer) then.
///
/// Where the next entry is empty, no probe goes on from here, so that this entry and the tombstones
/// before it become empty.
///
/// Its stores are relaxed: whoever publishes a removal has a fence before it, and who misses a row by
/// key may have looked a moment earlier.
pub fn remove(entries: &[AtomicU64], at: usize) -> isize {
    let mask = entries.len() - 1;
    if entries[(at + 1) & mask].load(Ordering::Relaxed) != 0 {
        entries[at].store(TOMBSTONE, Ordering::Relaxed);
        return 1;
    }
    let mut delta = 0;
    let mut at = at;
    entries[at].store(0, Ordering::Relaxed);
    loop {
        at = at.wrapping_sub(1) & mask;
        if entries[at].load(Ordering::Relaxed) != TOMBSTONE {
            return delta;
        }
        entries[at].store(0, Ordering::Relaxed);
        delta -= 1;
    }
}

/// Least entries of an index.
const LEAST: usize = if cfg!(loom) { 2 } else { 8 };

/// log2 of the entries of a new index for `rows` rows: the smallest that `rows` fill to the half.
pub fn size_for(rows: usize) -> u32 {
    let least = (rows.max(1) * 2).max(LEAST);
    least.next_power_of_two().trailing_zeros()
}

/// Whether `filled` entries (rows and tombstones) are too many for `entries`.
pub fn is_over(filled: usize, entries: usize) -> bool {
    filled * 2 > entries
}

#[cfg(all(test, not(loom)))]
#[path = "index_tests.rs"]
mod tests;
