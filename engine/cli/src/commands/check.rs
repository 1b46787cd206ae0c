//! `shmirror check`: the store, the working copy and the segment compared.

use clap::Args;
use serde_json::Value;

use crate::args::Place;
use crate::failure::Failure;
use crate::output::Out;
use crate::report;
use crate::table;

/// What `--help` says of it.
pub const HELP: &str = "\
Opens every seal of the store and compares three things row by row: what the store holds, the \
daemon's working copy, and what the shared memory shows. Prints what was compared and what differs. \
Exit status 0 where nothing differs, else 1.

Reads go on meanwhile; commits wait for about a second per million rows, so that what is compared is of \
one revision.";

const EXAMPLES: &str = "\
Examples:
  shmirror check
  shmirror check --json | jq .differences";

/// Arguments of `check`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints the comparison.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let answer = place.administrator()?.check()?;
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(&answer))?;
    } else {
        out.text(&report::readable(&answer))?;
    }
    out.flush()?;
    let counted = answer.get("difference_count").and_then(Value::as_u64);
    let differs =
        counted.unwrap_or_else(|| u64::from(answer.get("ok") != Some(&Value::Bool(true))));
    match differs {
        0 => Ok(()),
        n => Err(Failure::Refused(format!(
            "{} between the store, the working copy and the shared memory",
            table::count(n, "difference")
        ))),
    }
}
