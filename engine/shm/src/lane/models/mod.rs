//! Loom models of the lanes: the product's own code over few words, in every order that the memory
//! model allows within the bound. Futexes have no timeouts here, so a lost wake is a deadlock, which
//! loom reports.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shmirror-shm --release --lib`

mod events;
mod requests;

use crate::sync::AtomicU64;

/// Explores `model` with at most `preemptions` switches away from a thread that could go on.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}
