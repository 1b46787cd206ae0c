//! The index of a table: open addressing, pairs of entries probed one after another, one writer, any number
//! of readers.
//!
//! ```text
//! entry    hash tag (16 bits, odd) | offset of the slot / 8 (48 bits); 0 empty; TOMBSTONE
//! probe    home (the hash's high bits), the other entry of its pair, then pair after pair, until a pair
//!          has an empty entry. A pair lies in one line of the cache
//! insert   entry ← slot (relaxed, behind the fence of the slot's write), into the first tombstone or empty
//!          entry of its probe
//! remove   entry ← TOMBSTONE (relaxed), or empty where no probe goes on behind its pair
//! grow     a new index is built aside; index word ← new (release); fence(release); the old one's
//!          memory is free
//! lookup   i ← index word (acquire) ; probe ; fence(acquire) ; believed while index word = i
//! ```
//! Why a lookup may be believed:
//! - *A row that it found.* The old index's memory, a dropped table's slots and a vacated mapping all
//!   come after a change of the index word (to the new index, to 0, to 0). If one word that the
//!   lookup read was written after that, then the fences pair and the second look sees the change.
//! - *A row that it did not find.* An entry never moves within an index, so a key that is there
//!   throughout is met: the loads are acquires, in the order of the probe. If the key was taken out (at t1)
//!   behind the reader's position and put in
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

/// The tag of a hash: its low bits, as the high ones say where its home is. Always odd.
#[inline(always)]
pub(super) const fn tag(hash: u64) -> u64 {
    (hash << TAG_SHIFT) | TAG_MARK
}

/// The entry for a slot.
#[inline]
const fn entry(hash: u64, slot: u64) -> u64 {
    tag(hash) | (slot / 8)
}

/// Whether an entry is of a row with this tag. Every row's tag is odd; that of an empty entry and of
/// a tombstone is even.
#[inline]
const fn has_tag(found: u64, hash: u64) -> bool {
    (found ^ tag(hash)) >> TAG_SHIFT == 0
}

/// Where the probe for `hash` begins, of so many entries.
#[inline]
fn home(hash: u64, entries: usize) -> usize {
    debug_assert!(entries.is_power_of_two() && entries > 1);
    (hash >> (64 - entries.trailing_zeros())) as usize
}

/// The `step`th place of the probe that begins at `home`.
#[inline]
fn place(home: usize, step: usize, entries: usize) -> usize {
    match step {
        0 => home,
        1 => home ^ 1,
        _ => ((home & !1) + step) & (entries - 1),
    }
}

/// Asks `visit` for what is at each place of the probe for `hash`, with the place, until it gives something or
/// the probe ends.
#[inline]
fn walk<T>(
    entries: &[AtomicU64],
    hash: u64,
    order: Ordering,
    mut visit: impl FnMut(usize, u64) -> Option<T>,
) -> Option<T> {
    let home = home(hash, entries.len());
    let mut ends = false;
    for step in 0..entries.len() {
        let at = place(home, step, entries.len());
        let found = entries[at].load(order);
        if let Some(given) = visit(at, found) {
            return Some(given);
        }
        ends |= found == 0;
        if ends && step % 2 == 1 {
            return None;
        }
    }
    None
}

/// The first entry with the tag of `hash` behind the first pair of its probe.
pub(super) fn next_tagged(entries: &[AtomicU64], hash: u64) -> Option<u64> {
    let order = Pillar::IndexProbe.order(Ordering::Acquire);
    let mut step = 0;
    walk(entries, hash, order, |_, found| {
        step += 1;
        (step > 2 && has_tag(found, hash)).then_some(found)
    })
}

/// Asks `candidate` for each slot whose hash may be `hash`, until it gives something.
#[inline]
fn probe<T>(
    entries: &[AtomicU64],
    hash: u64,
    mut candidate: impl FnMut(u64) -> Result<Option<T>, ReadError>,
) -> Result<Option<T>, ReadError> {
    // Acquire: whoever sees the entry sees nothing of what stood where the slot is.
    let order = Pillar::IndexProbe.order(Ordering::Acquire);
    let given = walk(entries, hash, order, |_, found| {
        has_tag(found, hash).then(|| candidate((found & ENTRY_OFFSET) * 8).transpose()).flatten()
    });
    given.transpose()
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
            Some(entries) if entries.len() > 1 => probe(entries, hash, &mut candidate),
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
    walk(entries, hash, Ordering::Relaxed, |at, found| {
        let slot = (found & ENTRY_OFFSET) * 8;
        (has_tag(found, hash) && matches(slot)).then_some((at, slot))
    })
}

/// The first entry that a probe for `hash` looks at.
pub fn first(entries: &[AtomicU64], hash: u64) -> &AtomicU64 {
    &entries[home(hash, entries.len())]
}

/// The slot that a probe for `hash` most likely ends at, without a look whose it is.
pub fn likely(entries: &[AtomicU64], hash: u64) -> Option<u64> {
    let home = home(hash, entries.len());
    let both = [entries[home].load(Ordering::Relaxed), entries[home ^ 1].load(Ordering::Relaxed)];
    both.into_iter().find(|found| has_tag(*found, hash)).map(|found| (found & ENTRY_OFFSET) * 8)
}

/// The writer's insert of a key that is not in the index; whether it took a tombstone's place. There
/// must be a place.
///
/// A relaxed store: it stands behind the fence of the slot's write, or before the swap of a new index.
pub fn insert(entries: &[AtomicU64], hash: u64, slot: u64) -> bool {
    let home = home(hash, entries.len());
    let mut step = 0;
    loop {
        let at = &entries[place(home, step, entries.len())];
        let found = at.load(Ordering::Relaxed);
        if found & ENTRY_OFFSET == 0 {
            at.store(entry(hash, slot), Ordering::Relaxed);
            return found == TOMBSTONE;
        }
        step += 1;
    }
}

/// The writer's removal of the entry at `at`; how many tombstones there are more (or fewer) then.
///
/// Where its pair has an empty entry, or the next pair is empty, no probe goes on behind its pair: then this
/// entry becomes empty and so do the pair's tombstones; and those of the pairs before, as far as each pair is
/// empty by now.
///
/// Its stores are relaxed: whoever publishes a removal has a fence before it, and who misses a row by
/// key may have looked a moment earlier.
pub fn remove(entries: &[AtomicU64], at: usize) -> isize {
    let mask = entries.len() - 1;
    let pair = |first: usize| [&entries[first], &entries[first + 1]];
    let is_empty = |first| pair(first).iter().all(|e| e.load(Ordering::Relaxed) == 0);
    let mut first = at & !1;
    let ends = entries[at ^ 1].load(Ordering::Relaxed) == 0;
    if !ends && !is_empty((first + 2) & mask) {
        entries[at].store(TOMBSTONE, Ordering::Relaxed);
        return 1;
    }
    entries[at].store(0, Ordering::Relaxed);
    let mut delta = 0;
    for _ in 0..entries.len() / 2 {
        for entry in pair(first) {
            if entry.load(Ordering::Relaxed) == TOMBSTONE {
                entry.store(0, Ordering::Relaxed);
                delta -= 1;
            }
        }
        if !is_empty(first) {
            break;
        }
        first = first.wrapping_sub(2) & mask;
    }
    delta
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
