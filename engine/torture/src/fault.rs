//! The faults there are. Each module under here breaks one thing, and has a checker look at what
//! everybody was told.

mod bugs;
mod failing;
mod hostile;
mod killed;
mod power;
mod producers;
mod slow;
mod soak;

use std::time::Duration;

use crate::report::Row;

/// How a fault is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The fault's name.
    pub name: &'static str,
    /// The seed of everything random.
    pub seed: u64,
    /// How long, about.
    pub time: Duration,
}

/// A fault.
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// Injects it for the setting's time; what came of it.
    pub run: fn(&Setting) -> Row,
}

/// All of them.
pub const FAULTS: &[Fault] = &[
    Fault { name: "the checker itself", run: bugs::run },
    Fault { name: "daemon killed", run: killed::run },
    Fault { name: "clients killed or stopped", run: producers::run },
    Fault { name: "power lost", run: power::run },
    Fault { name: "power lost, store alone", run: power::store::run },
    Fault { name: "failing calls", run: failing::run },
    Fault { name: "hostile clients", run: hostile::run },
    Fault { name: "slow subscribers", run: slow::subscribers },
    Fault { name: "a full lane", run: slow::full_lane },
    Fault { name: "soak", run: soak::run },
];
