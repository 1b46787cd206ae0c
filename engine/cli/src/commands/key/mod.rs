//! `shmirror key`: the keys that open a store. One file a command; here only who is called.

use clap::{Args, Subcommand};

use crate::args::Place;
use crate::failure::Failure;

pub mod rotate;
pub mod status;

/// What `--help` says of it.
pub const HELP: &str = "\
The data of a store is sealed with a data key, which is random and stands in the store only wrapped: in \
a key slot, by a key provider. These commands show the key slots and work on them.";

const EXAMPLES: &str = "\
Examples:
  shmirror key status --data /var/lib/plant
  shmirror key rotate";

/// Arguments of `key`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new data key and seal everything anew, while the daemon serves
    #[command(long_about = rotate::HELP)]
    Rotate(rotate::Arguments),
    /// Show the key slots and data keys of a store
    #[command(long_about = status::HELP)]
    Status(status::Arguments),
}

/// Does it.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Rotate(a) => rotate::run(place, a),
        Action::Status(a) => status::run(a),
    }
}
