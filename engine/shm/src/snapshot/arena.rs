//! The segment's memory as its only writer sees it: the mapping, the allocator's books, and how much
//! has memory behind it.

use std::sync::Arc;

use super::alloc::{Allocator, Exhausted};
use super::error::SegmentError;
use super::layout::{HEADER_BYTES, SlotShape};
use super::slot::slot_latch;
use crate::header_at;
use crate::latch::Latch;
use crate::region::{PAGE, Region};
use crate::sync::{AtomicU64, Ordering};
use crate::{ShmError, snapshot::layout::TABLE_WORDS};

/// Least that is populated at a time.
const STEP: u64 = 256 << 10;

pub(super) struct Arena {
    region: Arc<Region>,
    alloc: Allocator,
    populated: u64,
    locked: bool,
}

impl Arena {
    /// All of `region` behind its header.
    pub fn new(region: Arc<Region>) -> Result<Self, ShmError> {
        let alloc = Allocator::new(HEADER_BYTES, region.len());
        let mut arena = Self { region, alloc, populated: 0, locked: true };
        arena.populate(HEADER_BYTES)?;
        Ok(arena)
    }

    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub fn used(&self) -> u64 {
        HEADER_BYTES + self.alloc.used()
    }

    pub fn populated(&self) -> u64 {
        self.populated
    }

    pub fn locked(&self) -> bool {
        self.locked
    }

    /// The words at an offset that this writer handed out itself.
    pub fn own(&self, offset: u64, count: usize) -> &[AtomicU64] {
        self.region
            .words(offset, count)
            .expect("offsets in the segment that only this process writes lie inside of it")
    }

    pub fn header(&self, offset: u64) -> &AtomicU64 {
        &self.own(offset, 1)[0]
    }

    pub fn table(&self, place: u64) -> &[AtomicU64] {
        self.own(place, TABLE_WORDS)
    }

    pub fn latch(&self, shape: &SlotShape, slot: u64) -> Latch<'_> {
        slot_latch(self.own(slot, shape.span()), shape)
            .expect("as many words as the shape has were asked for")
    }

    /// `words` words of memory with pages behind it; what they hold is unspecified.
    pub fn take(&mut self, words: usize) -> Result<u64, SegmentError> {
        let bytes = words as u64 * 8;
        let offset = self.alloc.alloc(bytes).map_err(|Exhausted { needed }| {
            SegmentError::Full { needed, reserve: self.region.len() }
        })?;
        if let Err(error) = self.populate(offset + bytes) {
            self.alloc.free(offset, bytes);
            return Err(error.into());
        }
        Ok(offset)
    }

    /// As [`Arena::take`], the words being 0.
    pub fn take_zeroed(&mut self, words: usize) -> Result<u64, SegmentError> {
        let offset = self.take(words)?;
        self.own(offset, words).iter().for_each(|w| w.store(0, Ordering::Relaxed));
        Ok(offset)
    }

    /// Takes back `words` words; whoever may still read them looks at a latch or index word that was
    /// changed before, with a release fence behind the change.
    pub fn give(&mut self, offset: u64, words: usize) {
        self.alloc.free(offset, words as u64 * 8);
    }

    /// Sees to it that everything before `end` has memory behind it, and somewhat more, so that it
    /// is asked for rarely: a sixteenth of what is used.
    fn populate(&mut self, end: u64) -> Result<(), ShmError> {
        if end <= self.populated {
            return Ok(());
        }
        let step = (self.used() / 16).max(STEP);
        let roomy = (self.populated + step).max(end).next_multiple_of(PAGE).min(self.region.len());
        let tight = end.next_multiple_of(PAGE).min(self.region.len());
        let (end, locked) = match self.region.populate(self.populated, roomy - self.populated) {
            Ok(locked) => (roomy, locked),
            Err(ShmError::NoMemory { .. }) if tight < roomy => {
                (tight, self.region.populate(self.populated, tight - self.populated)?)
            }
            Err(error) => return Err(error),
        };
        self.locked &= locked;
        self.populated = end;
        self.header(header_at!(populated)).store(end, Ordering::Relaxed);
        Ok(())
    }
}
