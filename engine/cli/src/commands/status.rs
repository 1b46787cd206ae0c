//! `shmirror status`: the state of the instance, as the daemon tells it.

use clap::Args;

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
    let status = place.administrator()?.status()?;
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(&status))?;
    } else {
        out.text(&report::readable(&status))?;
    }
    out.flush()
}
