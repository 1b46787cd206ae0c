//! What a read costs in C, beside what it costs in Rust, in one run: `make test-figures` prints it.
//!
//! The loops are `tests/c/figures.c` against the installed library and `examples/figures.rs`, both as a
//! release builds them, whatever this test is built as.

#[path = "../../engine/cli/tests/common/mod.rs"]
mod common;
#[path = "capi/program.rs"]
mod program;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::common::Instance;

/// Rounds of each kind of read in one run.
const ROUNDS: u32 = 400;
/// Runs until all is within its limits. A machine that does other things besides can take the caches,
/// or a part of the core, away from one side for as long as a whole run; that can only make a read look
/// slower than it is, so the least of all runs counts, and more of them are fair to both sides.
const RUNS: u32 = 6;

/// What C may cost more than Rust, in nanoseconds; of what is not bounded, nothing.
fn limit(what: &str) -> Option<f64> {
    match what {
        "cell i64" | "cell f64" => Some(3.0),
        _ if what.starts_with("row") => Some(10.0),
        _ => None,
    }
}

/// Nanoseconds a read: the least, and the median.
#[derive(Clone, Copy)]
struct Figure {
    rust: f64,
    c: f64,
    medians: (f64, f64),
}

/// By kind of read and number of rows, in the order of their measurement.
#[derive(Default)]
struct Figures {
    order: Vec<(String, u64)>,
    least: BTreeMap<(String, u64), Figure>,
}

impl Figures {
    fn add(&mut self, line: &str) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| line[name].as_f64().unwrap();
        let kind = (line["what"].as_str().unwrap().to_owned(), line["rows"].as_u64().unwrap());
        let medians = (number("rust_median"), number("c_median"));
        let new = Figure { rust: number("rust"), c: number("c"), medians };
        match self.least.get_mut(&kind) {
            None => {
                self.order.push(kind.clone());
                self.least.insert(kind, new);
            }
            Some(least) => {
                least.rust = least.rust.min(new.rust);
                least.c = least.c.min(new.c);
                least.medians = new.medians;
            }
        }
    }

    /// Those that are beyond their limit.
    fn beyond(&self) -> Vec<String> {
        let kinds = self.order.iter().map(|kind| (kind, &self.least[kind]));
        kinds
            .filter(|((what, _), f)| limit(what).is_some_and(|limit| f.c - f.rust > limit))
            .map(|((what, rows), f)| {
                format!("{what} ({rows} rows): {:.1} ns in Rust, {:.1} in C", f.rust, f.c)
            })
            .collect()
    }

    fn table(&self) -> String {
        let mut table = String::new();
        let mut line = |cells: [&str; 8]| {
            let [what, rows, cells @ ..] = cells;
            let _ = write!(table, "{what:<26}{rows:>8}");
            for cell in cells {
                let _ = write!(table, "{cell:>9}");
            }
            table.push('\n');
        };
        line(["ns a read", "rows", "Rust", "C", "more", "at most", "(median", "Rust, C)"]);
        for kind in &self.order {
            let f = self.least[kind];
            let limit = limit(&kind.0).map_or(String::new(), |l| format!("{l:.0}"));
            let ns = |n: f64| format!("{n:.2}");
            line([
                &kind.0,
                &kind.1.to_string(),
                &ns(f.rust),
                &ns(f.c),
                &ns(f.c - f.rust),
                &limit,
                &ns(f.medians.0),
                &ns(f.medians.1),
            ]);
        }
        table
    }
}

/// The loops in C, as a shared object.
fn object(name: &str, flags: &[&str]) -> PathBuf {
    let flags = [&["-std=c99", "-O2", "-shared", "-fPIC"], flags].concat();
    program::build("ffi/tests/c/figures.c", name, &flags)
}

/// One run of all of it, added to what there is.
fn run(i: &Instance, object: &Path, rounds: u32, figures: &mut Figures) {
    /// The loops in Rust, in a program that loads the others; one at a time.
    static ALONE: LazyLock<Mutex<PathBuf>> =
        LazyLock::new(|| Mutex::new(program::example("figures")));
    let example = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let printed =
        program::run(Command::new(&*example).arg(i.socket()).arg(object).arg(rounds.to_string()));
    printed.lines().for_each(|line| figures.add(line));
}

#[test]
fn a_read_costs_hardly_more_in_c_than_in_rust() {
    let i = program::instance();
    let object = object("figures.so", &[]);
    let mut figures = Figures::default();
    for number in 1..=RUNS {
        run(&i, &object, ROUNDS, &mut figures);
        let beyond = figures.beyond();
        if beyond.is_empty() || number == RUNS {
            println!("{}{number} runs of {ROUNDS} rounds", figures.table());
            assert!(beyond.is_empty(), "C costs too much more:\n{}", beyond.join("\n"));
            return;
        }
    }
}

#[test]
fn a_look_at_the_clock_with_each_read_is_noticed() {
    let i = program::instance();
    let mut figures = Figures::default();
    run(&i, &object("figures_slow.so", &["-DEXTRA"]), 40, &mut figures);
    println!("with a look at the clock\n{}", figures.table());
    let bounded = figures.order.iter().filter(|(what, _)| limit(what).is_some()).count();
    let beyond = figures.beyond();
    assert_eq!(beyond.len(), bounded, "noticed: {beyond:#?}");
}
