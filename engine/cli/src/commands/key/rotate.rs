//! `shmirror key rotate`: a new data key, and everything sealed anew, while the daemon serves.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::Failure;
use crate::load::progress::Progress;
use crate::output::{Out, note};
use crate::report;
use crate::table;

/// What `--help` says of it.
pub const HELP: &str = "\
Has the daemon make a new data key, wrap it by the store's key provider, and seal everything anew with \
it; then the old key is removed. Reading and writing go on meanwhile. Waits until it is done and shows how \
far it is; `shmirror status` and `shmirror key status` show it too.

Stopping this command does not stop the rotation. A daemon that is stopped or killed goes on with it at \
its next start. One rotation at a time: a second is refused, and told how far the first is.

Backups of before still hold the old key, under the provider's key as it was then.";

const EXAMPLES: &str = "\
Examples:
  shmirror key rotate
  shmirror key rotate --cipher XChaCha20-Poly1305     and change the cipher
  shmirror key rotate --no-wait                       begin it, and look at it later
  shmirror key rotate --json | jq .seconds";

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// How long a daemon may be away before nobody waits for it any more.
const AWAY: Duration = Duration::from_secs(60);

/// Arguments of `key rotate`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Cipher of the new key: XSalsa20-Poly1305, XChaCha20-Poly1305 or AES-256-GCM [default: the present one]
    #[arg(long, value_name = "NAME")]
    cipher: Option<String>,
    /// Return once the new key is in use; the rest goes on
    #[arg(long)]
    no_wait: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Begins it, and waits for its end.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let instance = place.administrator()?;
    let begun = instance.rotate_key(arguments.cipher.as_deref())?;
    if arguments.no_wait {
        return print(&arguments, &begun);
    }
    let to = begun["to_data_key"].clone();
    let since = Instant::now();
    let bar = Progress::new("rotating", 100, true);
    let (mut heard, mut told) = (Instant::now(), None);
    loop {
        let status = match instance.status() {
            Ok(status) => status,
            Err(_) if heard.elapsed() < AWAY => {
                std::thread::sleep(LOOK);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        heard = Instant::now();
        let rotation = &status["store"]["rotation"];
        if rotation["to_data_key"] == to && rotation["under_way"] == true {
            let number = |name: &str| rotation[name].as_u64().unwrap_or(0);
            bar.at(number("percent"), number("rows_looked_at"));
            let trouble = rotation["trouble"].as_str().map(str::to_owned);
            if trouble.is_some() && trouble != told {
                note(&format!("it waits: {}", trouble.as_deref().unwrap_or_default()));
                told = trouble;
            }
            std::thread::sleep(LOOK);
            continue;
        }
        drop(bar);
        let mut ended = match rotation {
            // Of a later one, or of none since the daemon started anew: this one has ended before.
            Value::Object(_) if rotation["to_data_key"] == to => rotation.clone(),
            _ => json!({"under_way": false, "percent": 100, "to_data_key": to}),
        };
        if ended["seconds"].is_null() {
            ended["seconds"] = json!(since.elapsed().as_secs_f64());
        }
        return print(&arguments, &ended);
    }
}

fn print(arguments: &Arguments, rotation: &Value) -> Result<(), Failure> {
    let mut out = Out::new();
    if arguments.json {
        out.line(&report::pretty(rotation))?;
        return out.flush();
    }
    let number = |name: &str| rotation[name].as_u64().unwrap_or(0);
    let to = number("to_data_key");
    let line = if rotation["under_way"] == true {
        format!(
            "data key {to} is in use; what the old one sealed is sealed anew, see shmirror status"
        )
    } else if rotation["rows_sealed_anew"].is_null() {
        format!("data key {to} seals everything; the daemon was started anew meanwhile")
    } else {
        format!(
            "data key {to}, {} and {} sealed anew in {:.2} s; the old key is gone",
            table::count(number("rows_sealed_anew"), "row"),
            table::count(number("groups_sealed_anew"), "group"),
            rotation["seconds"].as_f64().unwrap_or(0.0)
        )
    };
    out.line(&line)?;
    out.flush()
}
