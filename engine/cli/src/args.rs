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

Tables:
  pump          a table of the namespace main
  plant.pump    one of the namespace plant. A table of a namespace that you may not read is not there for
                you; the daemon's configuration says who may ([namespaces.plant], [access])

Environment:
  SHMIRROR_SOCKET    as --socket      SHMIRROR_INSTANCE    as --instance
  (an option on the command line goes before both; SHMIRROR_SOCKET before SHMIRROR_INSTANCE)

Exit status:
  0  done      1  refused or failed      2  wrong usage, or no daemon there, or it cannot start
  3 to 7  a store does not open with its key: see `shmirror key --help`";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "shmirror", version, about = ABOUT, after_help = TOUR, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
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
#[command(next_help_heading = "Which daemon")]
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
    #[command(long_about = commands::serve::HELP)]
    Serve(commands::serve::Arguments),
    /// Show what it does, on real plant series, in under 30 seconds
    #[command(long_about = commands::demo::HELP)]
    Demo(commands::demo::Arguments),
    /// Run SQL: tables, changes, queries
    #[command(long_about = commands::sql::HELP)]
    Sql(commands::sql::Arguments),
    /// Read one row, or one value, from shared memory
    #[command(long_about = commands::get::HELP)]
    Get(commands::get::Arguments),
    /// Write out a whole table as of one revision
    #[command(long_about = commands::dump::HELP)]
    Dump(commands::dump::Arguments),
    /// Insert or update one row by its key
    #[command(long_about = commands::put::HELP)]
    Put(commands::put::Arguments),
    /// Delete one row by its key
    #[command(long_about = commands::del::HELP)]
    Del(commands::del::Arguments),
    /// Load a CSV, JSON or NDJSON file into a table
    #[command(long_about = commands::load::HELP)]
    Load(commands::load::Arguments),
    /// Bring in every table of a plain SQLite database
    #[command(long_about = commands::import::HELP)]
    Import(commands::import::Arguments),
    /// Print each change as it comes
    #[command(long_about = commands::watch::HELP)]
    Watch(commands::watch::Arguments),
    /// Print what changed, when and by whom, from the commit log
    #[command(long_about = commands::log::HELP)]
    Log(commands::log::Arguments),
    /// Show the state of the instance
    #[command(long_about = commands::status::HELP)]
    Status(commands::status::Arguments),
    /// Compare the store, the working copy and the shared memory
    #[command(long_about = commands::check::HELP)]
    Check(commands::check::Arguments),
    /// Write a consistent copy of the store while serving
    #[command(long_about = commands::backup::HELP)]
    Backup(commands::backup::Arguments),
    /// Make, show and change the keys that open a store
    #[command(long_about = commands::key::HELP)]
    Key(commands::key::Arguments),
    /// Measure the figures that the project promises, on this machine
    #[command(long_about = commands::bench::HELP)]
    Bench(commands::bench::Arguments),
    /// Print the completions of a shell
    #[command(long_about = commands::completions::HELP)]
    Completions(commands::completions::Arguments),
    /// Write the man pages
    #[command(long_about = commands::man::HELP)]
    Man(commands::man::Arguments),
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
        let mut cli = Cli::command();
        cli.build();
        let visible = || cli.get_subcommands().filter(|c| !c.is_hide_set());
        for command in visible().chain(visible().flat_map(|c| c.get_subcommands())) {
            let help = command.clone().render_long_help().to_string();
            let name = command.get_bin_name().unwrap_or_default().trim_start_matches("shmirror ");
            let about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 80, "{name}: --help says no more than -h");
            assert!(help.contains(&format!("  shmirror {name}")), "{name}: no example in\n{help}");
        }
    }
}
