//! Where rows stand in a list that the caller keeps, found by table and key.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use shmirror_shm::key::Key;

/// Hashes that are hashes already.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Capacity that is kept.
const KEPT: usize = 1 << 16;
/// There is none.
const NONE: u32 = u32::MAX;

/// The hash of a row's table and key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowHash(u64);

/// Places of rows: 0 for the first, and so on. There are at most 2^32 - 1, far more than
/// [`shmirror_shm::limits::TRANSACTION_ROWS`].
#[derive(Debug)]
pub(crate) struct Places {
    /// By hash: the last row with it.
    heads: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    /// Of each row: its hash, and the row with the same hash before it.
    rows: Vec<(RowHash, u32)>,
    seed: u64,
}

impl Default for Places {
    fn default() -> Self {
        let seed = RandomState::new().hash_one(0u64);
        Self { heads: HashMap::default(), rows: Vec::new(), seed }
    }
}

impl Places {
    /// The hash of a row.
    pub fn hash(&self, table: u32, key: &Key) -> RowHash {
        RowHash(key.hash(self.seed ^ u64::from(table)))
    }

    /// The place of the row that `is` it, among those with this hash.
    pub fn find(&self, hash: RowHash, is: impl Fn(usize) -> bool) -> Option<usize> {
        let mut at = *self.heads.get(&hash.0)?;
        loop {
            if is(at as usize) {
                return Some(at as usize);
            }
            at = self.rows.get(at as usize)?.1;
            if at == NONE {
                return None;
            }
        }
    }

    /// A row is added at the end.
    pub fn push(&mut self, hash: RowHash) {
        let before = self.heads.insert(hash.0, self.rows.len() as u32);
        self.rows.push((hash, before.unwrap_or(NONE)));
    }

    /// The last row goes.
    pub fn pop(&mut self) {
        match self.rows.pop() {
            Some((hash, NONE)) => drop(self.heads.remove(&hash.0)),
            Some((hash, before)) => drop(self.heads.insert(hash.0, before)),
            None => {}
        }
    }

    /// So many rows more are coming.
    pub fn reserve(&mut self, count: usize) {
        self.heads.reserve(count);
        self.rows.reserve(count);
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.heads.shrink_to(KEPT);
        self.rows.clear();
        self.rows.shrink_to(KEPT);
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
        assert_eq!(places.find(one, |at| at == 0), Some(0));
        assert_eq!(places.find(one, |_| true), Some(3));
        assert_eq!(places.find(one, |at| at == 1), None);
        places.pop();
        assert_eq!(places.find(one, |_| true), Some(2));
        places.pop();
        places.pop();
        assert_eq!(places.find(other, |_| true), None);
        assert_eq!(places.find(one, |_| true), Some(0));
        places.clear();
        assert_eq!(places.find(one, |_| true), None);
    }
}
