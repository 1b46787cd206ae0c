//! `shmirror key init`: a new store with the key provider that is asked for, without a daemon.

use clap::Args;
use serde_json::json;
use shmirror_store::cipher::{ALGORITHMS, Algorithm};

use crate::commands::key::options::{Named, Particulars, Which, asking, secrets};
use crate::failure::Failure;
use crate::output::Out;
use crate::report;

/// What `--help` says of it.
pub const HELP: &str = "\
Makes a data directory with a store and a key, by the key provider asked for; `shmirror serve` then \
finds out by itself how the store opens. A directory that has a store already is refused.

A key file or RSA pair is made where there is none: keep a copy apart from the data, as nothing else \
opens the store. A passphrase is asked for twice on the terminal, without echo, or read from a file \
descriptor. A variable or a credential must be there already.";

const EXAMPLES: &str = "\
Examples:
  shmirror key init --data plant --provider passphrase
  shmirror key init --data plant --provider rsa --private /media/stick/private.pem --protect
  SHMIRROR_KEY=$(openssl rand -hex 32) shmirror key init --data plant --provider environment
  shmirror key init --data plant --provider passphrase --passphrase-fd 3 3< passphrase.txt";

/// Arguments of `key init`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The key provider [default: that of the configuration, which is key-file unless it says otherwise]
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<Named>,
    /// The cipher: XSalsa20-Poly1305, XChaCha20-Poly1305 or AES-256-GCM [default: the configured one]
    #[arg(long, value_name = "NAME")]
    cipher: Option<String>,
    /// Read a new passphrase from this file descriptor, a line, instead of asking on the terminal
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<i32>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    particulars: Particulars,
}

/// Makes them.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let asking = asking(arguments.passphrase_fd)?;
    let (mut config, lines) = arguments.particulars.over(&arguments.which.config()?)?;
    if let Some(named) = arguments.provider {
        config.key.provider = named.into();
    }
    let cipher = match &arguments.cipher {
        None => config.store.cipher,
        Some(name) => Algorithm::of_name(name).ok_or_else(|| {
            let known: Vec<_> = ALGORITHMS.iter().map(|a| a.name).collect();
            Failure::Usage(format!("--cipher {name:?}: one of {} expected", known.join(", ")))
        })?,
    };
    let keys = config.providers(&secrets(asking, &config));
    let (provider, place) = shmirror_store::init(&config.data, &keys, cipher)?;
    let mut shown = json!({
        "store": config.data.join(shmirror_store::STORE_FILE).to_string_lossy(),
        "cipher": cipher.name,
        "provider": provider,
        "key": place,
        "note": match provider {
            "passphrase" => "without the passphrase nobody can open the store",
            _ => "keep a copy of the key elsewhere: without it nobody can open the store",
        },
    });
    if !lines.is_empty() {
        shown["put_into_the_configuration"] = json!(lines);
    }
    let mut out = Out::new();
    match arguments.json {
        true => out.line(&report::pretty(&shown))?,
        false => out.text(&report::readable(&shown))?,
    }
    out.flush()
}
