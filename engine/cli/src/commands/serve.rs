//! `shmirror serve`: the daemon.

use std::path::PathBuf;

use clap::Args;

use crate::args::Place;
use crate::commands::key::options::STATUS;
use crate::failure::Failure;

/// What `--help` says of it.
pub const HELP: &str = "\
Runs the daemon in the foreground until SIGTERM or SIGINT; then everything accepted is committed \
and answered, and it ends.

With no option it serves ./shmirror-data. Where that is empty or not there, it makes a store, a key \
file (mode 0600: keep a copy elsewhere, without it nothing opens the store) and a commented \
configuration file, shmirror.toml. A directory that holds something else, or a store that does not \
open, is refused and left as it is. How a store opens it says itself: by a key file, a passphrase, an RSA \
pair, a variable or a credential, see `shmirror key --help`; `[key]` in the configuration says where \
these are. Logs go to standard error and to DATA/log/. Once the daemon \
answers, it prints a line that begins with `ready`.

Other users can do nothing, unless the configuration says what: readers and writers in \
[namespaces.NAME], administrators in [access]. SIGHUP takes these rules as the file has them then; \
who loses a right is cut off. For others to get to the socket, put it where they can, with \
[instance] socket.";

const EXAMPLES: &str = "\
Examples:
  shmirror serve                                      in ./shmirror-data, instance `default`
  shmirror serve --data /var/lib/plant --instance plant
  shmirror serve --data d --config other.toml         settings from elsewhere
  shmirror serve --data d --socket /run/plant.sock    its socket at this path
  shmirror serve --data d --passphrase-fd 3 3< file   a store under a passphrase";

/// Arguments of `serve`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{STATUS}"))]
pub struct Arguments {
    /// Directory of the store, the key, the configuration and the logs
    #[arg(long, value_name = "DIR", default_value = "shmirror-data")]
    data: PathBuf,
    /// Configuration file [default: DIR/shmirror.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read a passphrase that is needed from this file descriptor, instead of asking on the terminal
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<i32>,
}

/// Runs the daemon until it is told to stop.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let (instance, socket) = place.of_daemon();
    let Arguments { data, config, passphrase_fd } = arguments;
    let options = shmirror_daemon::ServeOptions { data, config, instance, socket, passphrase_fd };
    shmirror_daemon::serve(options)?;
    Ok(())
}
