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
    use super::*;

    const DRAWS: usize = 10_000_000;

    /// Draws `draws` nonces; the first that came before, if one did. Compared by their first 8 bytes,
    /// of which two among ten million are the same with a probability of 3 in a million.
    fn repeats(draws: usize, mut next: impl FnMut() -> [u8; NONCE_BYTES]) -> Option<usize> {
        let mut seen = vec![0u64; 1 << 24];
        for draw in 0..draws {
            let nonce = next();
            let prefix = u64::from_le_bytes(*nonce.first_chunk().unwrap());
            let mut at = (prefix >> 40) as usize;
            while seen[at] != 0 {
                if seen[at] == prefix {
                    return Some(draw);
                }
                at = (at + 1) % seen.len();
            }
            seen[at] = prefix;
        }
        None
    }

    #[test]
    fn ten_million_nonces_do_not_repeat() {
        let mut source = NonceSource::new();
        assert_eq!(repeats(DRAWS, || source.next().unwrap()), None);
    }

    #[test]
    fn one_that_repeats_is_found() {
        let (mut source, mut drawn) = (NonceSource::new(), 0);
        let mut first = None;
        let next = || {
            drawn += 1;
            let nonce = source.next().unwrap();
            let first = *first.get_or_insert(nonce);
            if drawn == 50_000 { first } else { nonce }
        };
        assert_eq!(repeats(60_000, next), Some(49_999));
    }
}
