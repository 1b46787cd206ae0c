//! Chance, from a seed that is printed.

use std::time::{SystemTime, UNIX_EPOCH};

/// xorshift64* (Vigna).
pub struct Random(u64);

impl Random {
    pub fn of_seed(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// A seed for another process.
    pub fn seed(&mut self) -> u64 {
        self.below(u64::MAX >> 11)
    }
}

/// The seed of this run, printed.
pub fn seed(test: &str) -> u64 {
    let given = std::env::var("SHMIRROR_SEED").ok().and_then(|s| s.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = given.unwrap_or(now >> 10);
    println!("{test}: SHMIRROR_SEED={seed}");
    seed
}
