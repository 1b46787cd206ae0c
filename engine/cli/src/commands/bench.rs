//! `shmirror bench`: the figures that the project promises, measured here.

use clap::Args;

use crate::bench;
use crate::failure::Failure;

/// What `--help` says of it.
pub const HELP: &str = "\
Measures the figures that the project promises, with an instance of its own in a temporary directory \
(synchronous=FULL): keyed get, cell, scan under a writer, load of many rows, restart, reattach, \
attach, memory, idle load, synchronous put. One line a figure: what was measured, what is demanded, \
ok or over. Exit status 1 where a figure is over. Nothing else should run meanwhile.";

const EXAMPLES: &str = "\
Examples:
  shmirror bench                   1,000,000 rows, about a minute
  shmirror bench --quick           100,000 rows and short runs
  shmirror bench --json";

/// Arguments of `bench`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Short runs, 100,000 rows
    #[arg(long)]
    quick: bool,
    /// Rows to load [default: 1000000, with --quick 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=20_000_000))]
    rows: Option<u64>,
    /// As JSON: an array of objects
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let rows = arguments.rows.unwrap_or(if arguments.quick { 100_000 } else { 1_000_000 });
    bench::run(rows, arguments.quick, arguments.json)
}
