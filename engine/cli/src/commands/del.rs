//! `shmirror del`: a key in, the revision of its deletion out.

use clap::Args;
use shmirror_shm::request::{Action, Change};

use crate::args::Place;
use crate::failure::Failure;
use crate::input::key;
use crate::name::Name;
use crate::output::Out;

/// What `--help` says of it.
pub const HELP: &str = "\
Deletes the row with this key and prints the revision. No such row: exit status 1. --if-revision N \
deletes only if the row is still at revision N.";

const EXAMPLES: &str = "\
Examples:
  shmirror del pump 7
  shmirror del pump 7 --if-revision 41
  shmirror del valve north,7                by a key of two columns";

/// Arguments of `del`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", key::HELP))]
pub struct Arguments {
    /// The table
    table: String,
    /// The row's key
    #[arg(allow_negative_numbers = true)]
    key: String,
    /// Only if the row's revision is N
    #[arg(long, value_name = "N")]
    if_revision: Option<u64>,
}

/// Deletes the row.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let schema = place.mirror()?.table(&arguments.table)?.schema();
    let key = key::parse(&schema, &arguments.key)?;
    let action = Action::Delete { key, if_revision: arguments.if_revision };
    let change = Change { table: Name::of(&schema).full(), action };
    let commit = place.producer()?.submit(vec![change])?.wait()?;
    let mut out = Out::new();
    out.line(&format!("revision {}", commit.revision))?;
    out.flush()
}
