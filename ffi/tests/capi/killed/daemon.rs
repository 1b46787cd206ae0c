//! What the daemon's process holds: descriptors, threads, mappings, memory of its own.

use std::fmt;

use crate::common::Instance;

pub struct Footprint {
    descriptors: usize,
    threads: usize,
    mappings: usize,
    /// Memory that is no file's and not shared, in KiB.
    memory: u64,
    /// Rows in all tables, which the daemon keeps a working copy of.
    rows: u64,
}

/// What may come and go by itself: the threads and descriptors of a checkpoint, a query, a status.
const SLACK: usize = 4;
/// Memory that a row may take in the working copy and its indexes, in KiB.
const ROW: u64 = 1;
/// Memory that the daemon may come to hold in buffers, in KiB. 150 dead clients that leave something of
/// the size of a lane or of a request would be beyond it.
const BUFFERS: u64 = 48 * 1024;

impl Footprint {
    pub fn of(i: &Instance) -> Self {
        let process = format!("/proc/{}", i.daemon.0.id());
        let read = |name: &str| std::fs::read_to_string(format!("{process}/{name}")).unwrap();
        let status = read("status");
        let field = |name: &str| -> u64 {
            let line = status.lines().find(|l| l.starts_with(name)).expect("the field is there");
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let told: serde_json::Value =
            serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap();
        let tables = told["tables"].as_array().unwrap();
        Self {
            descriptors: std::fs::read_dir(format!("{process}/fd")).unwrap().count(),
            threads: field("Threads:") as usize,
            mappings: read("maps").lines().count(),
            memory: field("RssAnon:"),
            rows: tables.iter().map(|t| t["rows"].as_u64().unwrap()).sum(),
        }
    }

    /// Whether what clients make the daemon hold is gone again.
    pub fn as_before(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors + SLACK && self.threads <= before.threads + SLACK
    }

    /// That nothing grew but with the rows.
    #[track_caller]
    pub fn not_grown_since(&self, early: &Self) {
        assert!(self.descriptors <= early.descriptors + 10 * SLACK, "from {early} to {self}");
        assert!(self.threads <= early.threads + 2 * SLACK, "from {early} to {self}");
        assert!(self.mappings <= early.mappings + 100, "from {early} to {self}");
        let rows = self.rows.saturating_sub(early.rows) * ROW;
        assert!(self.memory <= early.memory + rows + BUFFERS, "from {early} to {self}");
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, threads, mappings, memory, rows } = self;
        write!(
            f,
            "{descriptors} descriptors, {threads} threads, {mappings} mappings, {memory} KiB, {rows} rows"
        )
    }
}
