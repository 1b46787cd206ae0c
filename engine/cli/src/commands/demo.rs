//! `shmirror demo`: proof on real series.

use clap::Args;

use crate::demo;
use crate::failure::Failure;

/// What `--help` says of it.
pub const HELP: &str = "\
Shows what shmirror does, with an instance of its own in a temporary directory, in under 30 seconds: \
loads three real plant series (a machine's temperature, a compressor's suction pressure, a volume \
flow), then runs producers that replay them, readers and subscribers, each a process of its own, and \
prints reads per second, read latency, the time from a write to its being visible elsewhere, events \
delivered, and torn reads (0). Every row carries a proof of its own values, and rows that are \
written together are read together, so that a torn read would be seen.";

const EXAMPLES: &str = "\
Examples:
  shmirror demo
  shmirror demo --seconds 5          a longer run";

/// Arguments of `demo`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// How long readers and writers run
    #[arg(long, value_name = "S", default_value_t = 6.0, value_parser = seconds)]
    seconds: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(s) if (0.2..=3600.0).contains(&s) => Ok(s),
        _ => Err("expected seconds, 0.2 to 3600".into()),
    }
}

/// Runs it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    demo::run(arguments.seconds)
}
