//! `shmirror man`: the man pages, into a directory.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::args::Cli;
use crate::failure::Failure;
use crate::manual;

/// What `--help` says of it.
pub const HELP: &str = "\
Writes the man pages into a directory, which is made if need be: shmirror.1, and one for each command, \
as shmirror-get.1. Files of these names are replaced. `make install` puts them where `man` looks.";

const EXAMPLES: &str = "\
Examples:
  shmirror man ~/.local/share/man/man1              then `man shmirror-get`
  shmirror man /tmp && man /tmp/shmirror.1";

/// Arguments of `man`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory).map_err(Failure::file(directory))?;
    for page in manual::pages(Cli::command()) {
        let path = directory.join(&page.file);
        std::fs::write(&path, page.text).map_err(Failure::file(&path))?;
    }
    Ok(())
}
