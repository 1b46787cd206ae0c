//! The rows of the table.

mod read;
mod scan;
mod write;

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
    /// Measures it.
    pub run: fn(&Context) -> Result<Vec<Line>>,
}

/// All of them.
pub const ROWS: &[Row] = &[
    Row { id: "R1", what: "keyed reads", run: read::keyed },
    Row { id: "R2", what: "reads of one value", run: read::cells },
    Row { id: "R3", what: "keyed reads of other rows", run: read::others },
    Row { id: "R5", what: "scans", run: scan::whole },
    Row { id: "W1", what: "durable rows per second", run: write::many },
    Row { id: "W2", what: "one durable put", run: write::one },
];

/// What processes of these rows can be told to do.
pub fn parts() -> impl Iterator<Item = (&'static str, Make)> {
    [read::PARTS, scan::PARTS, write::PARTS].into_iter().flatten().copied()
}
