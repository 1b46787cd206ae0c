//! `shmirror backup`: a consistent copy of the store while it is served.

use std::path::PathBuf;

use clap::Args;

use crate::args::Place;
use crate::failure::Failure;
use crate::output::Out;
use crate::report;

/// What `--help` says of it.
pub const HELP: &str = "\
Writes a consistent copy of the store into a new file, while the daemon goes on serving, and a copy \
of its key beside it as FILE.key. The copy is sealed like the store: whoever has both files can read \
everything, so keep them apart. A file that is there already is refused.

`shmirror serve --data FILE` starts from it: FILE and its key are copied into the data directory \
FILE.data, which is served.";

const EXAMPLES: &str = "\
Examples:
  shmirror backup /backup/plant-monday.db
  shmirror serve --data /backup/plant-monday.db --instance monday          serve it";

/// Arguments of `backup`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The new file
    file: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Writes the copy.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    // The daemon writes it, and its working directory is another.
    let path = std::path::absolute(&arguments.file).map_err(Failure::file(&arguments.file))?;
    let answer = place.administrator()?.backup(&path)?;
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(&answer))?;
    } else {
        out.text(&report::readable(&answer))?;
    }
    out.flush()
}
