//! The daemon-private allocator of a segment: it hands out offsets and keeps its books in private
//! memory, so that no client can see or spoil them. It never touches the segment.
//!
//! ```text
//! small    up to 4 KiB: size classes of 1 to 16 words, then eight to each doubling (at most 12.5 %
//!          waste), in runs of 32 KiB with a bit for each block
//! large    extents in grains of 512 bytes: best fit, joined with free neighbours on return
//! frontier where no extent was ever handed out; it falls back when what lies before it is free
//! ```

use std::collections::{BTreeMap, BTreeSet};

const GRAIN: u64 = 512;
const RUN: u64 = 32 << 10;
const SMALL: u64 = 4 << 10;
const CLASSES: usize = 56;

/// The reserve has no room for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Where the segment would have to end.
    pub needed: u64,
}

/// Size class of a block of `words` words (1 to 512).
fn class_of(words: u64) -> usize {
    if words <= 16 {
        return words.max(1) as usize - 1;
    }
    // 2^(k+4) < words ≤ 2^(k+5), in eight steps of 2^(k+1)
    let k = (words - 1).ilog2() - 4;
    let step = 2u64 << k;
    16 + 8 * k as usize + ((words - (16 << k)).div_ceil(step) - 1) as usize
}

/// Words of a block of this class.
fn class_words(class: usize) -> u64 {
    if class < 16 {
        return class as u64 + 1;
    }
    let (k, i) = ((class - 16) / 8, (class - 16) % 8);
    (16 << k) + (i as u64 + 1) * (2 << k)
}

/// One run: blocks of one class.
struct Run {
    class: u8,
    /// It stands in the class's list of runs with free blocks.
    listed: bool,
    free: u16,
    /// Word of `taken` where the next search begins.
    hint: u16,
    /// A bit for each block; bits beyond the last block are set.
    taken: Box<[u64]>,
}

/// Hands out parts of `start..limit`.
pub struct Allocator {
    start: u64,
    limit: u64,
    frontier: u64,
    used: u64,
    /// Runs by offset / RUN.
    runs: Vec<Option<Run>>,
    /// For each class, runs (by number) that may have a free block.
    partial: [Vec<u32>; CLASSES],
    /// Free extents: offset → length.
    by_offset: BTreeMap<u64, u64>,
    /// The same: (length, offset).
    by_length: BTreeSet<(u64, u64)>,
}

impl Allocator {
    /// All of `start..limit` is free. `start` is a multiple of 512.
    pub fn new(start: u64, limit: u64) -> Self {
        debug_assert!(start.is_multiple_of(GRAIN));
        Self {
            start,
            limit,
            frontier: start,
            used: 0,
            runs: Vec::new(),
            partial: [const { Vec::new() }; CLASSES],
            by_offset: BTreeMap::new(),
            by_length: BTreeSet::new(),
        }
    }

    /// Bytes handed out, rounding included.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Everything behind it is free.
    #[cfg(test)]
    pub fn frontier(&self) -> u64 {
        self.frontier
    }

    /// Bytes that a block of `bytes` bytes takes.
    pub fn rounded(bytes: u64) -> u64 {
        if bytes <= SMALL {
            class_words(class_of(bytes.div_ceil(8))) * 8
        } else {
            bytes.next_multiple_of(GRAIN)
        }
    }

    /// The offset of `bytes` free bytes: a multiple of 8, of 512 where `bytes` is over 4 KiB.
    ///
    /// # Errors
    /// The reserve is used up, or too scattered.
    pub fn alloc(&mut self, bytes: u64) -> Result<u64, Exhausted> {
        let rounded = Self::rounded(bytes);
        let offset = if bytes <= SMALL {
            self.alloc_small(class_of(bytes.div_ceil(8)))?
        } else {
            self.alloc_extent(rounded, GRAIN)?
        };
        self.used += rounded;
        Ok(offset)
    }

    /// Takes back what [`Allocator::alloc`] gave for the same number of bytes.
    pub fn free(&mut self, offset: u64, bytes: u64) {
        let rounded = Self::rounded(bytes);
        self.used -= rounded;
        if bytes <= SMALL {
            self.free_small(offset, class_of(bytes.div_ceil(8)));
        } else {
            self.free_extent(offset, rounded);
        }
    }

    fn alloc_small(&mut self, class: usize) -> Result<u64, Exhausted> {
        let size = class_words(class) * 8;
        while let Some(&number) = self.partial[class].last() {
            if let Some(run) = &mut self.runs[number as usize]
                && usize::from(run.class) == class
            {
                if let Some(block) = run.take() {
                    return Ok(u64::from(number) * RUN + block * size);
                }
                run.listed = false;
            }
            self.partial[class].pop(); // full, or no longer a run of this class
        }
        let offset = self.alloc_extent(RUN, RUN)?;
        let number = (offset / RUN) as usize;
        if self.runs.len() <= number {
            self.runs.resize_with(number + 1, || None);
        }
        let mut run = Run::new(class, RUN / size);
        let block = run.take().unwrap_or(0); // a new run has a free block, its first
        self.runs[number] = Some(run);
        self.partial[class].push(number as u32);
        Ok(offset + block * size)
    }

    fn free_small(&mut self, offset: u64, class: usize) {
        let size = class_words(class) * 8;
        let number = (offset / RUN) as usize;
        let Some(Some(run)) = self.runs.get_mut(number) else {
            debug_assert!(false, "block {offset} is in no run");
            return;
        };
        debug_assert_eq!(usize::from(run.class), class, "block {offset} is of another class");
        run.give((offset % RUN) / size);
        if !run.listed {
            run.listed = true;
            self.partial[class].push(number as u32);
        } else if u64::from(run.free) == RUN / size && self.partial[class].len() > 1 {
            // Its number may stay in the list: whoever comes to it finds no run of this class.
            self.runs[number] = None;
            self.free_extent(number as u64 * RUN, RUN);
        }
    }

    /// `length` is a multiple of GRAIN, `align` a power of two from GRAIN on.
    fn alloc_extent(&mut self, length: u64, align: u64) -> Result<u64, Exhausted> {
        let fits = |&(len, at): &(u64, u64)| at.next_multiple_of(align) + length <= at + len;
        let found = self
            .by_length
            .range((length, 0)..)
            .take(16)
            .find(|e| fits(e))
            .or_else(|| self.by_length.range((length + align - GRAIN, 0)..).next())
            .copied();
        if let Some((len, at)) = found {
            self.remove_extent(at, len);
            let offset = at.next_multiple_of(align);
            self.insert_extent(at, offset - at);
            self.insert_extent(offset + length, at + len - offset - length);
            return Ok(offset);
        }
        let offset = self.frontier.next_multiple_of(align);
        let end = offset.checked_add(length).ok_or(Exhausted { needed: u64::MAX })?;
        if end > self.limit {
            return Err(Exhausted { needed: end });
        }
        let gap = self.frontier;
        self.frontier = end;
        if offset > gap {
            self.free_extent(gap, offset - gap);
        }
        Ok(offset)
    }

    fn free_extent(&mut self, mut offset: u64, mut length: u64) {
        debug_assert!(offset >= self.start && offset + length <= self.frontier);
        if let Some((&at, &len)) = self.by_offset.range(..offset).next_back()
            && at + len == offset
        {
            self.remove_extent(at, len);
            (offset, length) = (at, len + length);
        }
        if let Some(&len) = self.by_offset.get(&(offset + length)) {
            self.remove_extent(offset + length, len);
            length += len;
        }
        if offset + length == self.frontier {
            self.frontier = offset;
        } else {
            self.insert_extent(offset, length);
        }
    }

    fn insert_extent(&mut self, offset: u64, length: u64) {
        if length > 0 {
            self.by_offset.insert(offset, length);
            self.by_length.insert((length, offset));
        }
    }

    fn remove_extent(&mut self, offset: u64, length: u64) {
        self.by_offset.remove(&offset);
        self.by_length.remove(&(length, offset));
    }
}

impl Run {
    fn new(class: usize, blocks: u64) -> Self {
        let mut taken = vec![0u64; blocks.div_ceil(64) as usize].into_boxed_slice();
        if let (Some(last), rest @ 1..) = (taken.last_mut(), blocks % 64) {
            *last = !0 << rest;
        }
        Self { class: class as u8, listed: true, free: blocks as u16, hint: 0, taken }
    }

    fn take(&mut self) -> Option<u64> {
        if self.free == 0 {
            return None;
        }
        let hint = usize::from(self.hint);
        let at = (hint..self.taken.len()).chain(0..hint).find(|&i| self.taken[i] != !0)?;
        let bit = self.taken[at].trailing_ones();
        self.taken[at] |= 1 << bit;
        self.hint = at as u16;
        self.free -= 1;
        Some(at as u64 * 64 + u64::from(bit))
    }

    fn give(&mut self, block: u64) {
        let (at, bit) = ((block / 64) as usize, block % 64);
        debug_assert!(self.taken[at] >> bit & 1 == 1, "block {block} of a run is free already");
        self.taken[at] &= !(1 << bit);
        self.hint = self.hint.min(at as u16);
        self.free += 1;
    }
}

#[cfg(test)]
#[path = "alloc_tests.rs"]
mod tests;
