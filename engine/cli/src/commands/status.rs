//! `shmirror status`: the state of the instance, as the daemon tells it.

use clap::Args;
use serde_json::Value;

use crate::args::Place;
use crate::failure::Failure;
use crate::output::Out;
use crate::report;

/// What `--help` says of it.
pub const HELP: &str = "\
Shows the state of the instance: revision, namespaces, tables with their rows and bytes, lanes, who is \
attached for reading and writing, how far anything lags behind, durability, and what of the memory is \
locked.

Namespaces are those that this process may read, with whether it may write them too. --json has more of \
each than fits a line.

Who does not administer the instance ([access] in its configuration) is shown what is theirs: the \
namespaces that they may read, and the tables in them.";

const EXAMPLES: &str = "\
Examples:
  shmirror status
  shmirror status --json | jq .revision
  shmirror status --instance plant";

/// Arguments of `status`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints the state.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let mirror = place.mirror()?;
    let mut status = mirror.status()?;
    let seen = mirror.namespaces()?;
    let entries = status.get_mut("namespaces").and_then(Value::as_array_mut).into_iter().flatten();
    for entry in entries.filter_map(Value::as_object_mut) {
        let name = entry.get("name").and_then(Value::as_str);
        let seen = seen.iter().find(|seen| name == Some(&seen.name));
        let writable = seen.map(|seen| Value::Bool(seen.writable));
        entry.entry("writable").or_insert(writable.unwrap_or_default());
    }
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(&status))?;
    } else {
        out.text(&report::readable(&status))?;
    }
    out.flush()
}
