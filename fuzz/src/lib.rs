//! Fuzz targets for what shmirror reads from others: producers and their lanes, peers at the control
//! socket, files, and a store that somebody had in his hands.
//!
//! ```text
//! fuzz/run.sh ─► shmirror-fuzz (libFuzzer) ─► Target::run ─► the very code that reads such bytes
//! fuzz/tests/replay.rs ─► corpus/TARGET, regressions/TARGET ─┘
//! ```
//! A target never fails on bad input, and fails where something does not hold of what was read: what parses
//! is, encoded again, the same; what lies behind it changes nothing; memory stays within a factor of the
//! input ([`memory`]); an error is one of the typed ones that are meant.
//!
//! The modules of the command line are compiled into this package from where they lie, as a binary has none
//! to give out.

use std::cell::Cell;

mod bytes;
pub mod memory;
mod samples;
mod targets;

#[allow(dead_code, reason = "the command line uses all of it")]
#[path = "../../engine/cli/src/failure.rs"]
mod failure;
#[allow(dead_code, reason = "the command line uses all of it")]
#[path = "../../engine/cli/src/input/mod.rs"]
mod input;
#[allow(dead_code, reason = "the command line uses all of it")]
#[path = "../../engine/cli/src/name.rs"]
mod name;
#[allow(dead_code, reason = "the command line uses all of it")]
#[path = "../../engine/cli/src/output.rs"]
mod output;
#[allow(dead_code, reason = "the command line uses all of it")]
#[path = "../../engine/cli/src/text.rs"]
mod text;

thread_local! {
    static UNDERSTOOD: Cell<usize> = const { Cell::new(0) };
}

/// How often this thread's targets came to the end of what a good input says: so that a test sees when
/// seeds are good no longer.
pub fn understood() -> usize {
    UNDERSTOOD.get()
}

fn is_understood() {
    UNDERSTOOD.set(UNDERSTOOD.get() + 1);
}

/// What is fuzzed, and how.
pub struct Target {
    /// Its name: of its folder in the corpus, and what `fuzz/run.sh` is told.
    pub name: &'static str,
    /// Reads one input, and panics where something does not hold.
    pub run: fn(&[u8]),
    /// Inputs made from real values, which the corpus began with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[
            $(Target {
                name: stringify!($name),
                run: targets::$name::run,
                seeds: targets::$name::seeds,
            }),*
        ];
    };
}
targets![
    record,
    image,
    catalogue,
    request,
    packed,
    wire,
    group,
    seal,
    key,
    csv,
    json,
    config,
    requests_lane,
    events_lane,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
