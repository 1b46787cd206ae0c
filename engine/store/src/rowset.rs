//! What should be in table `row`, in two words: how many rows, and a keyed sum over their
//! `(slot, revision)` pairs.
//!
//! Each row's seal says that it is genuine, not that it is all there: a row that was deleted, or
//! put back with an older seal of its own slot, opens well. The sum, kept in the sealed state and
//! changed in the same transactions as the rows, does not match then. It is the sum, modulo 2^64,
//! of SipHash-2-4 (Aumasson, Bernstein 2012) of the pairs under a key that is random for each store
//! and sealed too, so that nobody without the key can find another set of rows with the same sum.

/// Count and sum of the rows of table `row`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowSet {
    pub rows: u64,
    pub sum: u64,
    pub key: [u64; 2],
}

impl RowSet {
    pub fn empty(key: [u64; 2]) -> Self {
        Self { rows: 0, sum: 0, key }
    }

    pub fn add(&mut self, slot: u64, revision: u64) {
        self.rows = self.rows.wrapping_add(1);
        self.sum = self.sum.wrapping_add(siphash(self.key, slot, revision));
    }

    pub fn remove(&mut self, slot: u64, revision: u64) {
        self.rows = self.rows.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(siphash(self.key, slot, revision));
    }
}

/// SipHash-2-4 of the 16 bytes of two little-endian words.
fn siphash(key: [u64; 2], a: u64, b: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    for word in [a, b, 16 << 56] {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    #[expect(deprecated, reason = "std's SipHash-2-4, the reference here")]
    fn siphash_is_siphash_2_4() {
        let mut x = 0x9E37_79B9_7F4A_7C15u64;
        for _ in 0..1_000 {
            let [k0, k1, a, b] = [1, 2, 3, 4].map(|i| {
                x = x.wrapping_mul(0xD129_0B26_88E4_2F35).wrapping_add(i);
                x ^ x >> 29
            });
            let mut reference = std::hash::SipHasher::new_with_keys(k0, k1);
            reference.write(&a.to_le_bytes());
            reference.write(&b.to_le_bytes());
            assert_eq!(siphash([k0, k1], a, b), reference.finish());
        }
    }

    #[test]
    fn the_sum_forgets_nothing_and_comes_back() {
        let mut set = RowSet::empty([1, 2]);
        set.add(1, 10);
        let one = set.clone();
        set.add(2, 11);
        set.remove(1, 10);
        set.add(1, 12);
        set.remove(2, 11);
        assert_ne!(set, one, "a row at another revision");
        set.remove(1, 12);
        set.add(1, 10);
        assert_eq!(set, one);
    }
}
