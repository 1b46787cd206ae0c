//! Copies between shared words and private ones: the only way payload crosses the border.
//!
//! Shared words may change at any moment, so each is read once, as a relaxed atomic load of eight
//! bytes. What was read may be torn between words; the caller's latch, cursor or sequence says
//! whether it was.

use core::mem::MaybeUninit;

use crate::points::{self, Point};
use crate::sync::{AtomicU64, Ordering};

/// Copies the words of `src` into `dst`, as many as the shorter of the two has.
#[inline]
pub fn copy_words(src: &[AtomicU64], dst: &mut [u64]) {
    points::pass(Point::Copied);
    let count = dst.len().min(src.len());
    let (to, to_rest) = dst[..count].as_chunks_mut::<8>();
    let (from, from_rest) = src[..count].as_chunks::<8>();
    // Eight at a time: compilers leave loops of atomic loads as they are.
    for (to, from) in to.iter_mut().zip(from) {
        *to = core::array::from_fn(|i| from[i].load(Ordering::Relaxed));
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = from.load(Ordering::Relaxed);
    }
}

/// Appends the words of `src` to `out`.
#[inline]
pub fn append_words(src: &[AtomicU64], out: &mut Vec<u64>) {
    out.reserve(src.len());
    let (to, to_rest) = out.spare_capacity_mut()[..src.len()].as_chunks_mut::<8>();
    let (from, from_rest) = src.as_chunks::<8>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = core::array::from_fn(|i| MaybeUninit::new(from[i].load(Ordering::Relaxed)));
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        to.write(from.load(Ordering::Relaxed));
    }
    // SAFETY: the room is there, and as many words of it were written as `src` has.
    unsafe { out.set_len(out.len() + src.len()) };
}

/// Copies the words of `src` into those of `dst`, which are shared as well, as many as the shorter of the two
/// has.
#[inline]
pub fn copy_shared(src: &[AtomicU64], dst: &[AtomicU64]) {
    let count = dst.len().min(src.len());
    let (to, to_rest) = dst[..count].as_chunks::<8>();
    let (from, from_rest) = src[..count].as_chunks::<8>();
    for (to, from) in to.iter().zip(from) {
        for (to, from) in to.iter().zip(from) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    for (to, from) in to_rest.iter().zip(from_rest) {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Stores the words of `src` into `dst`, as many as the shorter of the two has.
#[inline]
pub fn store_words(dst: &[AtomicU64], src: &[u64]) {
    for (to, from) in dst.iter().zip(src) {
        to.store(*from, Ordering::Relaxed);
    }
}

/// Appends `count` bytes to `out`, read from the words of `src` in memory order; fewer where `src`
/// has fewer.
pub fn copy_bytes(src: &[AtomicU64], count: usize, out: &mut Vec<u8>) {
    let count = count.min(src.len() * 8);
    let (whole, rest) = (count / 8, count % 8);
    out.reserve(count);
    let (to, _) = out.spare_capacity_mut()[..whole * 8].as_chunks_mut::<8>();
    for (to, from) in to.iter_mut().zip(src) {
        *to = from.load(Ordering::Relaxed).to_ne_bytes().map(MaybeUninit::new);
    }
    // SAFETY: the room is there, and so many bytes of it were written: `src` has no fewer words.
    unsafe { out.set_len(out.len() + whole * 8) };
    if rest > 0 {
        let last = src[whole].load(Ordering::Relaxed).to_ne_bytes();
        out.extend_from_slice(&last[..rest]);
    }
}

/// Stores `src` into the words of `dst` in memory order, the last word zero-padded; as many bytes
/// as `dst` has room for.
pub fn store_bytes(dst: &[AtomicU64], src: &[u8]) {
    let (whole, rest) = src.as_chunks::<8>();
    for (to, from) in dst.iter().zip(whole) {
        to.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
    if let (false, Some(to)) = (rest.is_empty(), dst.get(whole.len())) {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        to.store(u64::from_ne_bytes(last), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_come_back() {
        let shared: Vec<AtomicU64> = (0..5).map(|_| AtomicU64::new(u64::MAX)).collect();
        for n in 0..=40 {
            let bytes: Vec<u8> = (0..n as u8).collect();
            store_bytes(&shared, &bytes);
            let mut back = vec![7];
            copy_bytes(&shared, n, &mut back);
            assert_eq!(back[1..], bytes);
            if n % 8 != 0 {
                let last = shared[n / 8].load(Ordering::Relaxed).to_ne_bytes();
                assert!(last[n % 8..].iter().all(|b| *b == 0), "padding of {n} bytes");
            }
        }
    }

    #[test]
    fn a_copy_is_as_long_as_the_shorter_side() {
        let shared: Vec<AtomicU64> = (0..3).map(AtomicU64::new).collect();
        let mut out = [9; 5];
        copy_words(&shared, &mut out);
        assert_eq!(out, [0, 1, 2, 9, 9]);
        store_words(&shared, &[5, 6]);
        copy_words(&shared, &mut out);
        assert_eq!(out, [5, 6, 2, 9, 9]);
        let mut bytes = Vec::new();
        copy_bytes(&shared, 1000, &mut bytes);
        assert_eq!(bytes.len(), 24);
        store_bytes(&shared, &[0xFF; 100]);
    }
}
