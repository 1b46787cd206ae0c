//! The rows of the table.

mod attach;
mod crowd;
mod events;
mod later;
mod mutex;
mod notify;
mod read;
mod scan;
mod write;
mod writers;

use anyhow::Result;

use crate::context::Context;
use crate::report::Line;
use crate::worker::Make;

/// A row of the table.
pub struct Row {
    /// Its name: R1.
    pub id: &'static str,
    /// What it measures.
    pub what: &'static str,
    /// Whether it has lines of tables of several sizes.
    pub grows: bool,
    /// Measures it.
    pub run: fn(&Context) -> Result<Vec<Line>>,
}

/// All of them.
pub const ROWS: &[Row] = &[
    Row { id: "R1", what: "keyed reads", grows: true, run: read::keyed },
    Row { id: "R2", what: "reads of one value", grows: false, run: read::cells },
    Row { id: "R3", what: "keyed reads of other rows", grows: false, run: read::others },
    Row { id: "R4", what: "keyed reads by several processes", grows: false, run: crowd::readers },
    Row { id: "R5", what: "scans", grows: true, run: scan::whole },
    Row { id: "W1", what: "durable rows per second", grows: true, run: write::many },
    Row { id: "W2", what: "one durable put", grows: false, run: write::one },
    Row { id: "N1", what: "from a commit until others know", grows: false, run: notify::latency },
    Row { id: "N2", what: "changes per second", grows: false, run: events::rate },
    Row { id: "A1", what: "what it takes to begin", grows: true, run: attach::begin },
    Row { id: "M1", what: "the mutex of the requests lane", grows: false, run: mutex::all },
];

/// What processes of these rows can be told to do.
pub fn parts() -> impl Iterator<Item = (&'static str, Make)> {
    [
        attach::PARTS,
        crowd::PARTS,
        events::PARTS,
        mutex::PARTS,
        notify::PARTS,
        read::PARTS,
        scan::PARTS,
        write::PARTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}
