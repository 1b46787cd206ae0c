//! The layout of everything that two builds share, folded into one number.
//!
//! Daemon and client compare [`LAYOUT_HASH`] before anything else, and every header in shared memory
//! carries it: builds that would read each other's bytes wrongly refuse each other by name. What is
//! drawn in `lane/mod.rs`, `record.rs`, `wire.rs` and `snapshot/layout.rs` is folded in here; where a
//! meaning changes and no number does, [`LAYOUT_VERSION`] is counted up.

use core::mem::size_of;

use crate::record::RecordHeader;
use crate::wire;

/// Counted up when the meaning of shared bytes changes and no size or offset does.
pub const LAYOUT_VERSION: u64 = 4;

/// FNV-1a, 64 bits (Fowler, Noll, Vo), of nothing.
pub const FNV_START: u64 = 0xCBF2_9CE4_8422_2325;

/// Folds `words`, as little-endian bytes, into an FNV-1a hash.
pub const fn fold(mut hash: u64, words: &[u64]) -> u64 {
    let mut i = 0;
    while i < words.len() {
        let bytes = words[i].to_le_bytes();
        let mut b = 0;
        while b < 8 {
            hash = (hash ^ bytes[b] as u64).wrapping_mul(0x0000_0100_0000_01B3);
            b += 1;
        }
        i += 1;
    }
    hash
}

/// Sizes of the records and packets.
const FORMS: [u64; 6] = [
    LAYOUT_VERSION,
    size_of::<RecordHeader>() as u64,
    wire::VERSION as u64,
    size_of::<wire::PacketHeader>() as u64,
    size_of::<wire::Hello>() as u64,
    wire::INLINE_BYTES as u64,
];

/// What daemon and client must agree in.
pub const LAYOUT_HASH: u64 = {
    let hash = fold(FNV_START, &FORMS);
    let hash = fold(hash, &[crate::lane::layout::LANE_HASH]);
    fold(hash, &crate::snapshot::layout::FORMS)
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        // "foobar" padded to 8 bytes by zeros, computed byte by byte with another formulation.
        let word = u64::from_le_bytes(*b"foobar\0\0");
        let expected = word.to_le_bytes().iter().fold(FNV_START, |h, b| {
            let h = u128::from(h ^ u64::from(*b));
            ((h * 0x100_0000_01B3) & u128::from(u64::MAX)) as u64
        });
        assert_eq!(fold(FNV_START, &[word]), expected);
        assert_ne!(fold(FNV_START, &[1, 2]), fold(FNV_START, &[2, 1]));
        assert_ne!(fold(FNV_START, &[0]), FNV_START);
    }
}
