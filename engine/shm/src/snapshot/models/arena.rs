//! The segment's memory in the models: the product's allocator keeps private books only, so a plain one
//! stands in for it, which hands out again at once what was given back.

use std::sync::Arc;

use crate::ShmError;
use crate::header_at;
use crate::latch::Latch;
use crate::region::{PAGE, Region};
use crate::snapshot::error::SegmentError;
use crate::snapshot::layout::{SegmentHeader, SlotShape, TABLE_WORDS};
use crate::snapshot::slot::slot_latch;
use crate::sync::{AtomicU64, Ordering};

pub(in crate::snapshot) struct Arena {
    region: Arc<Region>,
    end: u64,
    free: Vec<(u64, usize)>,
}

impl Arena {
    pub fn new(region: Arc<Region>) -> Result<Self, ShmError> {
        let arena = Self { region, end: size_of::<SegmentHeader>() as u64, free: Vec::new() };
        arena.header(header_at!(populated)).store(PAGE, Ordering::Relaxed);
        Ok(arena)
    }

    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub fn used(&self) -> u64 {
        self.end
    }

    pub fn populated(&self) -> u64 {
        self.end
    }

    pub fn locked(&self) -> bool {
        true
    }

    pub fn own(&self, offset: u64, count: usize) -> &[AtomicU64] {
        self.region.words(offset, count).expect("the models' memory has room for them")
    }

    pub fn header(&self, offset: u64) -> &AtomicU64 {
        &self.own(offset, 1)[0]
    }

    pub fn table(&self, place: u64) -> &[AtomicU64] {
        self.own(place, TABLE_WORDS)
    }

    pub fn latch(&self, shape: &SlotShape, slot: u64) -> Latch<'_> {
        let words = self.own(slot, shape.span());
        slot_latch(words, shape).expect("the shape's words")
    }

    /// What was given back last, of this many words; else what nobody had yet.
    pub fn take(&mut self, words: usize) -> Result<u64, SegmentError> {
        if let Some(at) = self.free.iter().rposition(|(_, count)| *count == words) {
            return Ok(self.free.remove(at).0);
        }
        let offset = self.end;
        let bytes = words as u64 * 8;
        if self.region.words(offset, words).is_none() {
            return Err(Region::exhausted(bytes, offset).into());
        }
        self.end += bytes;
        Ok(offset)
    }

    pub fn take_zeroed(&mut self, words: usize) -> Result<u64, SegmentError> {
        let offset = self.take(words)?;
        self.own(offset, words).iter().for_each(|w| w.store(0, Ordering::Relaxed));
        Ok(offset)
    }

    pub fn give(&mut self, offset: u64, words: usize) {
        self.free.push((offset, words));
    }
}
