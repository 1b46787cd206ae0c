//! What the models share: exploring one, and seeing that it fails where a step is weakened.
//!
//! A model is the product's own code over few words, run in every order and with every stale value that
//! the memory model allows, up to a number of preemptions: switches away from a thread that could go
//! on. Futexes have no timeouts in a model, so a wake that is lost is a deadlock, which loom reports.
//!
//! | models | of |
//! |---|---|
//! | `latch_loom.rs` | the latch |
//! | `lane/models/mutex.rs` | the robust mutex: sleepers, dead holders |
//! | `lane/models/requests.rs` | the requests lane: queue, room, doorbell, retirement |
//! | `lane/models/outcomes.rs` | the outcome table |
//! | `lane/models/events.rs` | the events lane: lapping, the end, waiting, several lanes |
//! | `snapshot/models/` | segment writer and readers: index, growth, drop, cells, as-of reads, scans |
//!
//! Readers of latch, events lane and segment write nothing, so all that they can meet is which store each
//! of their loads gives. There the reader is the thread that is spawned: it runs when the writer is done,
//! and its loads give each of the values that it may still see, which is every behaviour that there is,
//! with any number of preemptions. (Loom keeps the last seven stores of a word.) The other way round
//! behaviours would be missed: loom looks for a race with the last access of a word only, which a
//! writer's own load of it can hide.
//!
//! What loom does not do: it runs a load in its turn, so that no load gives what is stored later. Where
//! an order keeps a load from being overtaken by a store (a producer that writes where the daemon has
//! read), the models put a [`loom::cell::UnsafeCell`] in the words' place, which finds the missing order
//! without it.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shmirror-shm --release --lib`

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::pillar::{Pillar, weakened};

/// Explores `model` with at most `preemptions` switches away from a thread that could go on.
pub fn explore(preemptions: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 5_000;
    builder.check(model);
}

/// A pillar, and the model that fails when it is weakened.
#[derive(Clone, Copy)]
pub struct Seen {
    /// What is weakened.
    pub pillar: Pillar,
    /// Preemptions that it takes.
    pub preemptions: usize,
    /// The model.
    pub model: fn(),
    /// A part of what it fails with.
    pub with: &'static str,
}

/// Short for [`Seen`].
pub const fn seen(pillar: Pillar, preemptions: usize, model: fn(), with: &'static str) -> Seen {
    Seen { pillar, preemptions, model, with }
}

/// Weakens each pillar in turn: its model must fail, and with the words that say what went wrong.
pub fn weaken_each(table: &[Seen]) {
    let mut unseen = Vec::new();
    for &Seen { pillar, preemptions, model, with } in table {
        let start = std::time::Instant::now();
        match failure(Some(pillar), preemptions, model) {
            Some(text) if text.contains(with) => {
                println!(
                    "{pillar:?} ({:.1?}): {}",
                    start.elapsed(),
                    text.trim().replace('\n', " ")
                );
            }
            other => unseen.push((pillar, other)),
        }
    }
    assert!(unseen.is_empty(), "weakened and not seen, or seen by something else: {unseen:#?}");
}

/// A model of what must not be done fails, and with these words.
pub fn fails(preemptions: usize, model: fn(), with: &str) {
    let text = failure(None, preemptions, model);
    assert!(text.as_ref().is_some_and(|text| text.contains(with)), "{text:?}");
}

/// What a model fails with.
fn failure(pillar: Option<Pillar>, preemptions: usize, model: fn()) -> Option<String> {
    // A thread of its own, as a failed exploration leaves loom's state of that thread as it is.
    let explored = std::thread::spawn(move || {
        if let Some(pillar) = pillar {
            weakened::set(pillar);
        }
        catch_unwind(AssertUnwindSafe(|| explore(preemptions, model))).err().map(|panic| {
            let owned = panic.downcast_ref::<String>().map(String::as_str);
            let text = owned.or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("a panic without words").to_owned()
        })
    });
    explored.join().expect("the panic was caught")
}

/// Every table there is.
const TABLES: &[&[&[Seen]]] = &[
    &[crate::latch::loom_models::SEEN],
    &[crate::lane::models::mutex::SEEN],
    &[crate::lane::models::requests::SEEN],
    &[crate::lane::models::outcomes::SEEN],
    &[crate::lane::models::events::SEEN],
    crate::snapshot::models::SEEN,
];

#[test]
fn every_pillar_has_a_model_that_sees_it() {
    let has = |pillar: &Pillar| {
        TABLES.iter().copied().flatten().copied().flatten().any(|s| s.pillar == *pillar)
    };
    let without: Vec<_> = Pillar::ALL.iter().filter(|p| !has(p)).collect();
    assert!(without.is_empty(), "no model sees {without:?}");
}

/// An order or fence that is in the code and not in the list would be one that nobody looks after.
#[test]
fn every_order_of_the_modelled_code_is_a_pillar() {
    let files = [
        ("latch.rs", include_str!("../latch.rs")),
        ("mutex.rs", include_str!("../mutex.rs")),
        ("lane/queue.rs", include_str!("../lane/queue.rs")),
        ("lane/outcomes.rs", include_str!("../lane/outcomes.rs")),
        ("lane/log.rs", include_str!("../lane/log.rs")),
        ("lane/watch.rs", include_str!("../lane/watch.rs")),
        ("snapshot/index.rs", include_str!("../snapshot/index.rs")),
        ("snapshot/fast.rs", include_str!("../snapshot/fast.rs")),
        ("snapshot/slot.rs", include_str!("../snapshot/slot.rs")),
        ("snapshot/view.rs", include_str!("../snapshot/view.rs")),
        ("snapshot/scan.rs", include_str!("../snapshot/scan.rs")),
        ("snapshot/many.rs", include_str!("../snapshot/many.rs")),
        ("snapshot/cell.rs", include_str!("../snapshot/cell.rs")),
        ("snapshot/pinned.rs", include_str!("../snapshot/pinned.rs")),
        ("snapshot/storage.rs", include_str!("../snapshot/storage.rs")),
        ("snapshot/publish.rs", include_str!("../snapshot/publish.rs")),
        ("snapshot/catalogue.rs", include_str!("../snapshot/catalogue.rs")),
    ];
    for (file, text) in files {
        let code = text.split("mod tests {").next().unwrap_or_default();
        for (line, number) in code.lines().zip(1..) {
            let strong = ["::Acquire", "::Release", "::AcqRel", "::SeqCst"];
            let ordered = strong.iter().any(|o| line.contains(o)) || line.contains(" fence(");
            let named = line.contains("Pillar::") || line.trim_start().starts_with("//");
            assert!(!ordered || named, "{file}:{number}: {line}");
        }
    }
}
