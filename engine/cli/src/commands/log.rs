//! `shmirror log`: what changed, when and by whom, from the commit log.

use std::collections::VecDeque;

use clap::Args;
use shmirror::Event;
use shmirror_shm::key::{Key, KeyPart};

use crate::args::Place;
use crate::event;
use crate::failure::Failure;
use crate::input::key;
use crate::output::Out;

/// What `--help` says of it.
pub const HELP: &str = "\
Prints what the commit log holds, oldest first: the same lines as `watch`. The log is kept for the \
time and size that the configuration says; an older revision than it holds is refused with the \
oldest there is, and without --since it begins there.";

const EXAMPLES: &str = "\
Examples:
  shmirror log                            everything there is
  shmirror log pump                       of one table
  shmirror log pump 7                     the history of one row
  shmirror log --since 41 --limit 20      the newest 20 from revision 41 on
  shmirror log pump --json                one JSON object a line";

/// Arguments of `log`.
#[derive(Args, Debug)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", key::HELP))]
pub struct Arguments {
    /// Only this table
    table: Option<String>,
    /// Only the row with this key
    #[arg(allow_negative_numbers = true)]
    key: Option<String>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// From this revision on
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// Only the newest N lines
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Prints the log.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let mirror = place.mirror()?;
    let mut wanted: Option<(Vec<KeyPart>, Key)> = None;
    if let (Some(table), Some(written)) = (&arguments.table, &arguments.key) {
        let schema = mirror.table(table)?.schema();
        let values = key::parse(&schema, written)?;
        let parts = key_parts(&schema);
        let canonical = canonical(&parts, &values)
            .ok_or_else(|| Failure::Refused(format!("{written:?} is no key of {table}")))?;
        wanted = Some((parts, canonical));
    }
    let tables: Vec<&str> = arguments.table.as_deref().into_iter().collect();
    let mut out = Out::new();
    let mut newest: VecDeque<String> = VecDeque::new();
    for event in mirror.history(arguments.since.unwrap_or(0), &tables)? {
        let event = event?;
        if let Some((parts, key)) = &wanted {
            match &event {
                Event::Change(change) if canonical(parts, &change.key).as_ref() == Some(key) => {}
                _ => continue,
            }
        }
        let line = event::line(&event, arguments.json)?;
        match arguments.limit {
            None => out.line(&line)?,
            Some(limit) => {
                newest.push_back(line);
                if newest.len() > limit {
                    newest.pop_front();
                }
            }
        }
    }
    for line in newest {
        out.line(&line)?;
    }
    out.flush()
}

/// How the columns of the key compare.
fn key_parts(schema: &shmirror_shm::catalogue::TableDef) -> Vec<KeyPart> {
    let indices = schema.key_columns.iter().map(|&i| usize::from(i));
    indices.filter_map(|i| schema.columns.get(i).map(|c| KeyPart::of(i, c))).collect()
}

fn canonical(parts: &[KeyPart], values: &[shmirror_shm::value::Value]) -> Option<Key> {
    let values: Vec<_> = values.iter().map(|v| v.as_ref()).collect();
    Key::new(parts, &values).ok()
}
