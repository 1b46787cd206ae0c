//! `shmirror key wrap`: another key provider for a store that is there.

use clap::Args;
use serde_json::json;
use shmirror_store::StoreError;

use crate::commands::key::options::{Named, Particulars, Which, asking, secrets};
use crate::failure::Failure;
use crate::output::Out;
use crate::report;

/// What `--help` says of it.
pub const HELP: &str = "\
Changes what opens a store: its data key is unwrapped with the present provider, wrapped by the new one, \
unwrapped again for proof, and put in the place of the old slot, all in one transaction. Killed at any \
moment, the store opens with the old provider or the new one. With `--to passphrase` on a store that has \
a passphrase it changes the passphrase.

The daemon must be stopped. Old key files stay where they are, as backups of before still open with them. \
The data key itself stays too, so whoever had a copy of the store and the old key can read what is written \
later: `shmirror key rotate` ends that.";

const EXAMPLES: &str = "\
Examples:
  shmirror key wrap --to passphrase
  shmirror key wrap --to rsa --data plant --public p.pem --private /media/stick/private.pem
  shmirror key wrap --to passphrase --passphrase-fd 3 --new-passphrase-fd 3 3< old-and-new.txt";

/// Arguments of `key wrap`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    which: Which,
    /// The new key provider
    #[arg(long, value_name = "PROVIDER")]
    to: Named,
    /// Read the present passphrase (of the store, or of private.pem) from this file descriptor, a line
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<i32>,
    /// Read the new one from this file descriptor, a line; it may be the same
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<i32>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    particulars: Particulars,
}

/// Wraps.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (present, new) = (asking(arguments.passphrase_fd)?, asking(arguments.new_passphrase_fd)?);
    let config = arguments.which.config()?;
    let (over, lines) = arguments.particulars.over(&config)?;
    // The new one's variable first: where it is the present one's too, it is gone afterwards.
    let new = secrets(new, &over);
    let new_provider = over.provider(arguments.to.into(), &new);
    let present =
        secrets(present, &config).or_variable_of(&new, config.key.variable == over.key.variable);
    let keys = config.providers(&present);
    let done = shmirror_store::rewrap(&config.data, keys, new_provider.as_ref());
    let done = done.map_err(|error| match error {
        StoreError::InUse { .. } => Failure::Advised(
            error.to_string(),
            "stop the daemon first, then wrap, then start it again".into(),
        ),
        other => other.into(),
    })?;
    let (old, old_place) = &done.from;
    let left = match *old {
        "passphrase" => "backups of before still open with the old passphrase".to_owned(),
        _ => format!("{old_place} is left as it is: backups of before still open with it"),
    };
    let mut shown = json!({
        "store": config.data.join(shmirror_store::STORE_FILE).to_string_lossy(),
        "provider": done.to.0,
        "key": done.to.1,
        "data_keys": done.data_keys,
        "provider_before": old,
        "note": left,
    });
    if !done.tidied {
        shown["caution"] = json!(
            "the old slot may still be in store.db-wal, until the daemon was started and stopped once"
        );
    }
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
