//! The one binary, `shmirror`: `shmirror serve` is the daemon, every other command its client.
//!
//! In: the command line. Out: text on standard output, what went wrong on standard error, and the
//! exit status 0 (done), 1 (refused or failed), 2 (usage, or no daemon) or what `failure` says of keys.

mod args;
mod bench;
mod commands;
mod connect;
mod demo;
mod event;
mod failure;
mod histogram;
mod import;
mod input;
mod load;
mod manual;
mod name;
mod output;
mod part;
mod private;
mod report;
mod table;
mod text;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::run(args::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
