//! The words of a lane as a ring: positions count all words ever written, and are taken modulo the
//! ring's length, a power of two. A record that reaches the end goes on at the beginning.

use crate::sync::AtomicU64;
use crate::words::{copy_bytes, copy_words, store_bytes, store_words};

/// The ring of a lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Ring<'a> {
    /// A ring over `words`: `None` unless their number is a power of two.
    pub fn new(words: &'a [AtomicU64]) -> Option<Self> {
        words.len().is_power_of_two().then_some(Self { words })
    }

    /// How many words it has.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// The word at `position`.
    pub fn word(&self, position: u64) -> &'a AtomicU64 {
        &self.words[self.index(position)]
    }

    /// Copies words out, from `position` on; at most a whole ring of them.
    pub fn copy_words(&self, position: u64, out: &mut [u64]) {
        let (first, second) = self.split(position);
        let cut = first.len().min(out.len());
        let (head, tail) = out.split_at_mut(cut);
        copy_words(first, head);
        copy_words(second, tail);
    }

    /// Stores words from `position` on; at most a whole ring of them.
    pub fn store_words(&self, position: u64, words: &[u64]) {
        let (first, second) = self.split(position);
        let (head, tail) = words.split_at(first.len().min(words.len()));
        store_words(first, head);
        store_words(second, tail);
    }

    /// Appends `count` bytes to `out`, from `position` on; at most a whole ring of them.
    pub fn copy_bytes(&self, position: u64, count: usize, out: &mut Vec<u8>) {
        let (first, second) = self.split(position);
        let head = count.min(first.len() * 8);
        copy_bytes(first, head, out);
        copy_bytes(second, count - head, out);
    }

    /// Stores bytes from `position` on, the last word zero-padded; at most a whole ring of them.
    pub fn store_bytes(&self, position: u64, bytes: &[u8]) {
        let (first, second) = self.split(position);
        let (head, tail) = bytes.split_at(bytes.len().min(first.len() * 8));
        store_bytes(first, head);
        store_bytes(second, tail);
    }

    fn index(&self, position: u64) -> usize {
        position as usize & (self.words.len() - 1)
    }

    /// From `position` to the end, and from the beginning to `position`.
    fn split(&self, position: u64) -> (&'a [AtomicU64], &'a [AtomicU64]) {
        let (second, first) = self.words.split_at(self.index(position));
        (first, second)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn records_go_round_the_end() {
        let words: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
        assert!(Ring::new(&words[..7]).is_none());
        assert!(Ring::new(&[]).is_none());
        let ring = Ring::new(&words).expect("eight is a power of two");
        for start in [0, 1, 5, 7, 8, 13, u64::MAX - 2] {
            for n in 0..=8 {
                let payload: Vec<u64> = (0..n).map(|i| start ^ (i << 8)).collect();
                ring.store_words(start, &payload);
                let mut back = vec![0; payload.len()];
                ring.copy_words(start, &mut back);
                assert_eq!(back, payload);
            }
            for n in 0..=64u8 {
                let payload: Vec<u8> = (0..n).map(|i| i ^ start as u8).collect();
                ring.store_bytes(start, &payload);
                let mut back = Vec::new();
                ring.copy_bytes(start, payload.len(), &mut back);
                assert_eq!(back, payload, "{n} bytes from {start}");
            }
        }
    }
}
