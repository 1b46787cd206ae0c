//! shmirror beside its peers: the same rows, keys, sizes and process layout on every system, in one run.
//!
//! ```text
//! main ─► row R1 … M1: sets its systems up, each with processes of its own (worker)
//!           │ rounds: every system in turn, none twice before each was once (measure)
//!           ▼
//!         lines (report): min, median, spread, ratio to ours, what was to be reached
//!           ├─► curves (growth): the same with tables of ten times as many rows
//!           └─► results.json ─► the chart that the README shows (chart)
//! ```
//! One process measures at a time; the others of a row wait for their order. Where two cores allow, who
//! measures has one of its own, and daemons and servers have the other.

mod chart;
mod context;
mod growth;
mod instance;
mod measure;
mod report;
mod row;
mod system;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::report::Report;

/// Measures shmirror beside its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Option<Part>,
    /// Fewer and shorter rounds, and no tables of 1,000,000 rows: under five minutes in all
    #[arg(long)]
    quick: bool,
    /// Only these rows: R1, W2, …
    #[arg(long)]
    only: Vec<String>,
    /// Only what shows growth with the rows of the table
    #[arg(long)]
    growth: bool,
    /// Where the results go, as JSON; the chart goes beside it
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// Draws the chart anew, beside results that were kept
    Chart {
        /// Results, as JSON
        results: PathBuf,
    },
    /// What a process of a row does; started by the run
    #[command(hide = true)]
    Part {
        /// Its name
        name: String,
        /// What it is told, as JSON
        told: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.part {
        Some(Part::Chart { results }) => chart::draw_file(results),
        Some(Part::Part { name, told }) => worker::obey(name, told),
        None => run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shmirror-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let mut context = Context::new(arguments.quick)?;
    context.growth = arguments.growth;
    let wanted = |row: &row::Row| {
        let named = || arguments.only.iter().any(|only| row.id.eq_ignore_ascii_case(only));
        (arguments.only.is_empty() || named()) && (row.grows || !arguments.growth)
    };
    let mut report = Report::begin(&context);
    let mut failed = Vec::new();
    for row in row::ROWS.iter().filter(|row| wanted(row)) {
        eprintln!("{} {} …", row.id, row.what);
        let begun = Instant::now();
        let done = (row.run)(&context);
        report.took(row.id, begun.elapsed());
        match done {
            Ok(lines) => lines.into_iter().for_each(|line| {
                print!("{line}");
                report.add(line);
            }),
            // The others are worth having.
            Err(error) => {
                eprintln!("{} failed: {error:#}", row.id);
                failed.push(row.id);
            }
        }
    }
    print!("{}", report.summary());
    if let Some(path) = &arguments.out {
        report.write(path)?;
        chart::draw_file(path)?;
        println!("results: {}, {}", path.display(), path.with_extension("svg").display());
    }
    ensure!(failed.is_empty(), "rows that failed: {}", failed.join(", "));
    Ok(())
}
