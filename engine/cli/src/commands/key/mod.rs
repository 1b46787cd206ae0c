//! `shmirror key`: the keys that open a store. One file a command; here only who is called.

use clap::{Args, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::args::Place;
use crate::failure::Failure;

pub mod export_public;
pub mod init;
pub mod options;
pub mod rotate;
pub mod status;
pub mod wrap;

/// What `--help` says of it.
pub const HELP: &str = "\
The data of a store is sealed with a data key, which is random and stands in the store only wrapped: in \
a key slot, by a key provider. These commands show the key slots and work on them.";

const EXAMPLES: &str = "\
Examples:
  shmirror key init --data /var/lib/plant --provider passphrase
  shmirror key status --data /var/lib/plant
  shmirror key wrap --data /var/lib/plant --to rsa
  shmirror key rotate";

/// Arguments of `key`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", options::STATUS), disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a new store, and its key, by the provider asked for
    #[command(long_about = init::HELP)]
    Init(init::Arguments),
    /// Make a new data key and seal everything anew, while the daemon serves
    #[command(long_about = rotate::HELP)]
    Rotate(rotate::Arguments),
    /// Show the key slots and data keys of a store
    #[command(long_about = status::HELP)]
    Status(status::Arguments),
    /// Change what opens a store: another key provider, or another passphrase
    #[command(long_about = wrap::HELP)]
    Wrap(wrap::Arguments),
    /// Print the public RSA key
    #[command(long_about = export_public::HELP)]
    ExportPublic(export_public::Arguments),
}

/// Does it.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    // Keys pass through this process: nobody of the same uid looks into it, and no core is dumped.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    match arguments.action {
        Action::Init(a) => init::run(&a),
        Action::Rotate(a) => rotate::run(place, a),
        Action::Status(a) => status::run(a),
        Action::Wrap(a) => wrap::run(&a),
        Action::ExportPublic(a) => export_public::run(&a),
    }
}
