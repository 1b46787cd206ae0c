//! The named words of a lane in its region, and the making and checking of its header.

use super::layout as at;
use super::outcomes::Slot;
use super::queue::Queue;
use super::ring::Ring;
use crate::error::ShmError;
use crate::layout::LAYOUT_HASH;
use crate::region::{PAGE, Region};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

const INSIDE: &str =
    "the header's words lie before the ring, and the lane was checked to hold its ring";

/// The word at a fixed offset before the ring.
pub(super) fn whole(region: &Region, offset: u64) -> &AtomicU64 {
    region.word(offset).expect(INSIDE)
}

/// The half word at a fixed offset before the ring.
pub(super) fn half(region: &Region, offset: u64) -> &AtomicU32 {
    region.word32(offset).expect(INSIDE)
}

/// `count` half words at a fixed offset before the ring.
pub(super) fn halves(region: &Region, offset: u64, count: usize) -> &[AtomicU32] {
    region.words32(offset, count).expect(INSIDE)
}

/// `count` words at a fixed offset before the ring.
pub(super) fn run(region: &Region, offset: u64, count: usize) -> &[AtomicU64] {
    region.words(offset, count).expect(INSIDE)
}

/// The ring behind the header.
pub(super) fn ring(region: &Region, start: u64, ring_words: usize) -> Ring<'_> {
    let words = region.words(start, ring_words).expect(INSIDE);
    Ring::new(words).expect("the number of words was checked to be a power of two")
}

/// A requests lane's queue.
pub(super) fn queue(region: &Region, id: u64, ring_words: usize) -> Queue<'_> {
    Queue {
        id,
        head: whole(region, at::HEAD),
        cursor: whole(region, at::CURSOR),
        taken: whole(region, at::TAKEN),
        turn: half(region, at::SPACE_TURN),
        waiting: half(region, at::SPACE_WAITING),
        asleep: half(region, at::ASLEEP),
        retired: whole(region, at::RETIRED),
        ring: ring(region, at::REQUESTS_RING, ring_words),
    }
}

/// A ticket's entry in the outcome table.
pub(super) fn slot(region: &Region, ticket: u64) -> Slot<'_> {
    let entry = at::OUTCOMES + ticket % at::OUTCOME_ENTRIES * at::OUTCOME_BYTES;
    Slot {
        ticket: whole(region, entry + at::OUTCOME_TICKET),
        waiting: half(region, entry + at::OUTCOME_WAITING),
        turn: half(region, entry + at::OUTCOME_TURN),
        body: run(region, entry + at::OUTCOME_BODY, at::OUTCOME_BODY_WORDS),
    }
}

/// New memory for a lane, all of it taken, its header written; and the words of its ring.
pub(super) fn create(
    name: &str,
    bytes: u64,
    magic: u64,
    id: u64,
    ring_start: u64,
    clients_write: bool,
) -> Result<(Region, usize), ShmError> {
    let wanted = bytes.div_ceil(8).clamp(at::LEAST_RING_WORDS, at::MOST_RING_WORDS);
    let ring_words = wanted.next_power_of_two();
    let region = Region::create(name, ring_start + ring_words * 8, clients_write)?;
    region.populate(0, region.len())?;
    whole(&region, at::HASH).store(LAYOUT_HASH, Ordering::Relaxed);
    whole(&region, at::ID).store(id, Ordering::Relaxed);
    whole(&region, at::RING_WORDS).store(ring_words, Ordering::Relaxed);
    whole(&region, at::MAGIC).store(magic, Ordering::Release);
    Ok((region, ring_words as usize))
}

/// Checks the header of a lane that came from the daemon; its id and the words of its ring.
pub(super) fn open(
    region: &Region,
    what: &'static str,
    magic: u64,
    ring_start: u64,
) -> Result<(u64, usize), ShmError> {
    if region.len() < PAGE {
        return Err(ShmError::TooSmall { what, found: region.len(), expected: PAGE });
    }
    let found = whole(region, at::MAGIC).load(Ordering::Acquire);
    if found != magic {
        return Err(ShmError::BadMagic { what, found, expected: magic });
    }
    let found = whole(region, at::HASH).load(Ordering::Relaxed);
    if found != LAYOUT_HASH {
        return Err(ShmError::LayoutMismatch { found, expected: LAYOUT_HASH });
    }
    let found = whole(region, at::RING_WORDS).load(Ordering::Relaxed);
    let sizes = at::LEAST_RING_WORDS..=at::MOST_RING_WORDS;
    if !found.is_power_of_two() || !sizes.contains(&found) {
        let (field, expected) = ("words of the ring", at::MOST_RING_WORDS);
        return Err(ShmError::BadField { what, field, found, expected });
    }
    let expected = ring_start + found * 8;
    if region.len() < expected {
        return Err(ShmError::TooSmall { what, found: region.len(), expected });
    }
    Ok((whole(region, at::ID).load(Ordering::Relaxed), found as usize))
}
