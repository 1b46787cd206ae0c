//! The command line as a whole; each command's own arguments stand with the command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;

const ABOUT: &str = "\
Tables in an encrypted SQLite store, mirrored into shared memory, where every process on this host \
reads them without a lock or a system call.";

const TOUR: &str = "\
A first tour:
  shmirror serve &                                          the daemon, in ./shmirror-data
  shmirror sql 'CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT, flow REAL)'
  shmirror put pump 7 state=run flow=12.5                   insert or update by key
  shmirror get pump 7                                       the row, from shared memory
  shmirror watch pump                                       each change as it comes
  shmirror demo                                             proof on real series, in under 30 s

Environment:
  SHMIRROR_SOCKET    as --socket      SHMIRROR_INSTANCE    as --instance
  (an option on the command line goes before both; SHMIRROR_SOCKET before SHMIRROR_INSTANCE)

Exit status:
  0  done      1  refused or failed      2  wrong usage, or no daemon there, or it cannot start";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "shmirror", version, about = ABOUT, after_help = TOUR, max_term_width = 100)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Which daemon.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Which daemon to talk to, or to be.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// Name of the instance [default: default; environment: SHMIRROR_INSTANCE]
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "socket")]
    pub instance: Option<String>,
    /// Path of its control socket [environment: SHMIRROR_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Serve(commands::serve::Arguments),
    /// Show what it does, on real plant series, in under 30 seconds
    Demo(commands::demo::Arguments),
    /// Run SQL: tables, changes, queries
    Sql(commands::sql::Arguments),
    /// Read one row, or one value, from shared memory
    Get(commands::get::Arguments),
    /// Write out a whole table as of one revision
    Dump(commands::dump::Arguments),
    /// Insert or update one row by its key
    Put(commands::put::Arguments),
    /// Delete one row by its key
    Del(commands::del::Arguments),
    /// Load a CSV, JSON or NDJSON file into a table
    Load(commands::load::Arguments),
    /// Bring in every table of a plain SQLite database
    Import(commands::import::Arguments),
    /// Print each change as it comes
    Watch(commands::watch::Arguments),
    /// Print what changed, when and by whom, from the commit log
    Log(commands::log::Arguments),
    /// Show the state of the instance
    Status(commands::status::Arguments),
    /// Compare the store, the working copy and the shared memory
    Check(commands::check::Arguments),
    /// Write a consistent copy of the store while serving
    Backup(commands::backup::Arguments),
    /// Measure the figures that the project promises, on this machine
    Bench(commands::bench::Arguments),
    /// A process of the demo or the benchmark.
    #[command(hide = true)]
    Part(commands::part::Arguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_example() {
        for command in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let help = command.clone().render_long_help().to_string();
            let name = command.get_name();
            assert!(help.contains(&format!("  shmirror {name}")), "{name}: no example in\n{help}");
        }
    }
}
