//! Nonces: 24 random bytes each, from the kernel, fetched some hundred at a time.
//!
//! A system call for each seal would cost more than the seal. The bytes are the kernel's own, used
//! once and in order, so that a batch is as good as single calls. The process must not go on
//! sealing in a fork of itself: both would use the rest of the batch. (The daemon never forks.)

use crate::error::StoreError;
use crate::seal::NONCE_BYTES;

const BATCH: usize = 170; // 4,080 bytes

/// A source of nonces that never repeat (2^-96 or less for any two of 2^48).
pub(crate) struct NonceSource {
    batch: Box<[[u8; NONCE_BYTES]; BATCH]>,
    used: usize,
}

impl NonceSource {
    pub fn new() -> Self {
        Self { batch: Box::new([[0; NONCE_BYTES]; BATCH]), used: BATCH }
    }

    pub fn next(&mut self) -> Result<[u8; NONCE_BYTES], StoreError> {
        if self.used == BATCH {
            getrandom::fill(self.batch.as_flattened_mut()).map_err(StoreError::Random)?;
            self.used = 0;
        }
        let nonce = self.batch[self.used];
        self.used += 1;
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nonces_are_unique_over_many_batches() {
        let mut source = NonceSource::new();
        let mut seen = HashSet::new();
        for _ in 0..300_000 {
            let nonce = source.next().unwrap();
            assert_ne!(nonce, [0; NONCE_BYTES]);
            assert!(seen.insert(nonce), "{nonce:?} came twice");
        }
    }
}
