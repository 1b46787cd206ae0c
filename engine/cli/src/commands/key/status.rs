//! `shmirror key status`: what a store says of its keys. No key is needed.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use shmirror_store::{KeyStatus, Particular};

use crate::failure::Failure;
use crate::output::Out;
use crate::report;

/// What `--help` says of it.
pub const HELP: &str = "\
Shows the key slots of a store (which provider wrapped each, and what the slot says of its key), the \
data keys that seal it with their ciphers and how much each seals, and whether a rotation is under way. \
It needs no key, changes nothing, and works beside a serving daemon.";

const EXAMPLES: &str = "\
Examples:
  shmirror key status                            of ./shmirror-data
  shmirror key status --data /var/lib/plant --json | jq -r '.slots[].provider'";

/// Arguments of `key status`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Data directory of the store
    #[arg(long, value_name = "DIR", default_value = "shmirror-data")]
    data: PathBuf,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let status = KeyStatus::of(&arguments.data)?;
    let shown = shown(&arguments, &status);
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(&shown))?;
    } else {
        out.text(&report::readable(&shown))?;
    }
    out.flush()
}

fn shown(arguments: &Arguments, status: &KeyStatus) -> Value {
    let slots: Vec<Value> = status
        .slots
        .iter()
        .map(|slot| {
            let mut shown = json!({"slot": slot.id, "provider": slot.provider});
            for (name, value) in &slot.particulars {
                shown[*name] = match value {
                    Particular::Number(number) => json!(number),
                    Particular::Text(text) => json!(text),
                };
            }
            shown
        })
        .collect();
    let data_keys: Vec<Value> = status
        .data_keys
        .iter()
        .map(|key| {
            json!({
                "data_key": key.number,
                "cipher": key.cipher,
                "current": key.current,
                "rows": key.rows,
                "groups_of_log": key.groups,
            })
        })
        .collect();
    json!({
        "data": arguments.data.to_string_lossy(),
        "served_by_pid": status.served_by,
        "rotation": if status.rotating() { "under way" } else { "none" },
        "slots": slots,
        "data_keys": data_keys,
    })
}
