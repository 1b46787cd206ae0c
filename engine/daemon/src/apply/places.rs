//! Where rows stand in a list that the caller keeps, found by table and key.
//!
//! An open table of hashing with linear probing, at most half full, of the low half of each hash and the row's
//! number: rows come and go at the end of the list alone.

use std::hash::{BuildHasher, RandomState};

use shmirror_shm::key::Key;
use shmirror_shm::sync::prefetch;

/// Capacity that is kept.
const KEPT: usize = 1 << 16;
/// Entries of the smallest table.
const LEAST: usize = 64;

/// The hash of a row's table and key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowHash(u64);

/// What stands in the table: nothing, or one more than a row's number (low half), and of its hash the low half
/// (high half).
#[derive(Clone, Copy, Debug, Default)]
struct Entry(u64);

impl Entry {
    fn of(hash: RowHash, place: usize) -> Self {
        Self(hash.0 << 32 | (place as u64 + 1))
    }

    fn place(self) -> Option<usize> {
        ((self.0 as u32) as usize).checked_sub(1)
    }

    fn is_of(self, hash: RowHash) -> bool {
        (self.0 >> 32) as u32 == hash.0 as u32
    }
}

/// Places of rows: 0 for the first, and so on. There are at most 2^31, far more than
/// [`shmirror_shm::limits::TRANSACTION_ROWS`].
#[derive(Debug)]
pub(crate) struct Places {
    /// As many as a power of two, or none. Where a row begins to be looked for: the hash's high bits.
    entries: Vec<Entry>,
    /// Of each row.
    rows: Vec<RowHash>,
    seed: u64,
}

impl Default for Places {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0u64);
        Self { entries: Vec::new(), rows: Vec::new(), seed }
    }
}

impl Places {
    /// The hash of a row.
    #[inline]
    pub fn hash(&self, table: u32, key: &Key) -> RowHash {
        RowHash(key.hash(self.seed ^ u64::from(table)))
    }

    /// The place of the row that `is` it, among those with this hash.
    #[inline]
    pub fn find(&self, hash: RowHash, is: impl Fn(usize) -> bool) -> Option<usize> {
        if self.entries.is_empty() {
            return None;
        }
        let mut at = self.first(hash);
        loop {
            let entry = self.entries[at];
            let place = entry.place()?;
            if entry.is_of(hash) && is(place) {
                return Some(place);
            }
            at = (at + 1) & (self.entries.len() - 1);
        }
    }

    /// Fetches what [`Places::find`] will look at first.
    #[inline]
    pub fn foresee(&self, hash: RowHash) {
        if !self.entries.is_empty() {
            prefetch(&self.entries[self.first(hash)]);
        }
    }

    /// The place where the row with this hash most likely is, without a look whether it is its.
    #[inline]
    pub fn likely(&self, hash: RowHash) -> Option<usize> {
        let entry = self.entries.get(self.first(hash))?;
        entry.place().filter(|_| entry.is_of(hash))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A row is added at the end.
    #[inline]
    pub fn push(&mut self, hash: RowHash) {
        if self.rows.len() * 2 >= self.entries.len() {
            self.grow(self.rows.len() + 1);
        }
        self.enter(hash, self.rows.len());
        self.rows.push(hash);
    }

    /// The last row goes.
    pub fn pop(&mut self) {
        if let Some(hash) = self.rows.pop() {
            // Whatever came behind it in the table went before it.
            let at = self.entry_of(hash, self.rows.len());
            self.entries[at] = Entry::default();
        }
    }

    /// So many rows more are coming.
    pub fn reserve(&mut self, count: usize) {
        self.rows.reserve(count);
        if (self.rows.len() + count) * 2 > self.entries.len() {
            self.grow(self.rows.len() + count);
        }
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        if self.entries.len() > 2 * KEPT {
            self.entries = Vec::new();
        } else if self.rows.len() * 16 < self.entries.len() {
            (0..self.rows.len()).for_each(|_| self.pop());
        } else {
            self.entries.fill(Entry::default());
        }
        self.rows.clear();
        self.rows.shrink_to(KEPT);
    }

    #[inline]
    fn first(&self, hash: RowHash) -> usize {
        let bits = self.entries.len().trailing_zeros();
        (hash.0 >> (64 - bits)) as usize
    }

    fn entry_of(&self, hash: RowHash, place: usize) -> usize {
        let mut at = self.first(hash);
        while self.entries[at].place() != Some(place) {
            at = (at + 1) & (self.entries.len() - 1);
        }
        at
    }

    #[inline]
    fn enter(&mut self, hash: RowHash, place: usize) {
        let mut at = self.first(hash);
        while self.entries[at].place().is_some() {
            at = (at + 1) & (self.entries.len() - 1);
        }
        self.entries[at] = Entry::of(hash, place);
    }

    #[cold]
    fn grow(&mut self, rows: usize) {
        let length = (rows * 2).next_power_of_two().max(LEAST);
        self.entries.clear();
        self.entries.resize(length, Entry::default());
        for place in 0..self.rows.len() {
            self.enter(self.rows[place], place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_hash_are_told_apart_and_go_in_turn() {
        let mut places = Places::default();
        let [one, other] = [RowHash(1), RowHash(2)];
        for hash in [one, other, one, one] {
            places.push(hash);
        }
        let all = |places: &Places, hash| {
            (0..4).filter(|i| places.find(hash, |at| at == *i) == Some(*i)).collect::<Vec<_>>()
        };
        assert_eq!((all(&places, one), all(&places, other)), (vec![0, 2, 3], vec![1]));
        places.pop();
        assert_eq!((all(&places, one), all(&places, other)), (vec![0, 2], vec![1]));
        places.pop();
        places.pop();
        assert_eq!((all(&places, one), all(&places, other)), (vec![0], vec![]));
        places.clear();
        assert_eq!(places.find(one, |_| true), None);
    }

    #[test]
    fn rows_come_and_go_in_any_number() {
        let mut places = Places::default();
        let hash = |i: usize| RowHash((i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) & !0xFF);
        for (most, reserved) in [(10, 0), (3_000, 100), (40, 0), (100_000, 70_000), (5, 5)] {
            places.reserve(reserved);
            (0..most).for_each(|i| places.push(hash(i)));
            for _ in 0..most / 2 {
                places.pop();
            }
            let left = most - most / 2;
            for i in (0..most).step_by(1 + most / 100) {
                let found = places.find(hash(i), |at| at == i);
                assert_eq!(found, (i < left).then_some(i), "{i} of {left}");
            }
            places.clear();
            assert!((0..most).all(|i| places.find(hash(i), |_| true).is_none()));
            assert!(places.entries.len() <= 2 * KEPT);
        }
    }
}
