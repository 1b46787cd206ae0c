//! A fuzzed input, taken from the front. What is not there is zero, so that every input means something
//! and means the same each time.

use zerocopy::IntoBytes;

/// The rest of an input.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// The whole of it.
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Whether there is nothing left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Up to `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        head
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let taken = self.take(N);
        out[..taken.len()].copy_from_slice(taken);
        out
    }

    /// One byte.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// All that is left, as words; a part of one is left out.
    pub fn words(&mut self) -> Vec<u64> {
        let chunks = self.rest().as_chunks::<8>().0;
        chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect()
    }
}

/// Words as the bytes of an input.
pub fn of_words(words: &[u64]) -> Vec<u8> {
    words.as_bytes().to_vec()
}

/// Parts of an input, one behind the other.
pub fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
