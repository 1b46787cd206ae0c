//! `shmirror key export-public`: the public half of a store's RSA pair.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use shmirror_store::PassphraseSource;

use crate::commands::key::options::{PairFiles, Which, asking};
use crate::failure::Failure;
use crate::output::Out;

/// What `--help` says of it.
pub const HELP: &str = "\
Prints the public RSA key of a data directory as PEM, or writes it into a new file: what it seals, only \
the private key opens. Taken from public.pem, or where that is not there, from private.pem.";

const EXAMPLES: &str = "\
Examples:
  shmirror key export-public --data plant
  shmirror key export-public --data plant --output /srv/keys/plant.pem
  shmirror key export-public | openssl pkey -pubin -outform DER | sha256sum   as `key status` has it";

/// Arguments of `key export-public`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    pair: PairFiles,
    /// Write it into this new file
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Read the passphrase of private.pem from this file descriptor, where it is needed
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<i32>,
}

/// Prints or writes it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let passphrases: Arc<dyn PassphraseSource> = Arc::new(asking(arguments.passphrase_fd)?);
    let mut config = arguments.which.config()?;
    arguments.pair.over(&mut config)?;
    let text = config.key.pair(&config.data, &passphrases).public_text()?;
    let Some(path) = &arguments.output else {
        let mut out = Out::new();
        out.text(&text)?;
        return out.flush();
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o644).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(Failure::file(path))
}
