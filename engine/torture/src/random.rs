//! Random numbers that follow from a seed (SplitMix64, <https://prng.di.unimi.it/splitmix64.c>).

use std::hash::{BuildHasher, RandomState};

/// A source of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// A seed that nobody has chosen.
pub fn fresh_seed() -> u64 {
    RandomState::new().hash_one(0u64) >> 16
}

impl Random {
    /// The numbers of `seed` for a purpose: another purpose has others.
    pub fn of(seed: u64, purpose: &str) -> Self {
        let hash = purpose.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(hash)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
