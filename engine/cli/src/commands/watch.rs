//! `shmirror watch`: each change as it comes, a line each.

use std::time::Duration;

use clap::Args;
use shmirror::{Event, Subscriber};

use crate::args::Place;
use crate::event;
use crate::failure::Failure;
use crate::output::{Out, note};

/// What `--help` says of it.
pub const HELP: &str = "\
Prints each change as it comes, one line a changed row: revision, table, operation, key, the changed \
columns with their new values, who (uid and pid), when (UTC). Changes of the schema are lines too. \
It waits without using the processor, goes on across a restart of the daemon, and ends with status 0 \
on Ctrl-C.

--since begins with what the commit log holds from that revision on, then goes on with what comes. \
A watcher that is slower than the writers for long is told how many events it missed (lagged), once.";

const EXAMPLES: &str = "\
Examples:
  shmirror watch                            all tables, from now on
  shmirror watch pump valve                 two tables
  shmirror watch pump --since 41            from revision 41 on
  shmirror watch pump --count 1             wait for one change
  shmirror watch --json | jq .row           one JSON object a line";

/// Arguments of `watch`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Only these tables
    #[arg(value_name = "TABLE")]
    tables: Vec<String>,
    /// Begin with this revision
    #[arg(long, value_name = "REVISION")]
    since: Option<u64>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    /// End after N lines
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Prints events until it is interrupted.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    end_on_signal()?;
    let tables: Vec<&str> = arguments.tables.iter().map(String::as_str).collect();
    let catalogue = place.mirror()?.catalogue()?;
    for table in tables.iter().filter(|t| catalogue.table(t).is_none()) {
        note(&format!("no table {table} yet; its changes are told once it is there"));
    }
    let builder = Subscriber::builder(&place.options()).tables(&tables);
    let mut subscriber = match arguments.since {
        Some(revision) => builder.from_revision(revision),
        None => builder.from_now(),
    }
    .subscribe()?;
    let mut out = Out::new();
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 {
        // Waiting is woken by events alone; the hour only bounds one call.
        let Some(event) = subscriber.next(Duration::from_secs(3600))? else { continue };
        out.line(&event::line(&event, arguments.json)?)?;
        out.flush()?;
        left -= u64::from(!matches!(event, Event::Lagged { .. }));
    }
    Ok(())
}

/// SIGINT and SIGTERM end the process with status 0: every line was flushed when it was written.
fn end_on_signal() -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        if signals.forever().next().is_some() {
            std::process::exit(0);
        }
    });
    Ok(())
}
