//! Loom models of the lanes.

pub mod events;
pub mod mutex;
pub mod outcomes;
pub mod requests;

use crate::sync::AtomicU64;

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}
