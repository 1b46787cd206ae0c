//! Breaks the engine on purpose, with real processes, and checks what must hold.
//!
//! ```text
//! run ─► each fault: an instance of its own, processes in their roles, the fault itself
//!            │ what everybody was told, read and heard
//!            ▼
//!        checker ─► a row of the report: how often, what was checked, lost, torn, hung
//! ```
//! Everything random follows from a seed, which is printed.

mod actor;
mod checker;
mod crowd;
mod disk;
mod fault;
mod gauge;
mod instance;
mod random;
mod report;
mod role;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::fault::{FAULTS, Setting};
use crate::report::Report;

/// Breaks the engine on purpose, and checks that nothing is lost, torn or hung.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Injects faults and prints what came of them; the exit status tells whether all held
    Run {
        /// Seconds for each fault
        #[arg(long, default_value_t = 8)]
        seconds: u64,
        /// Minutes for all of them together, instead
        #[arg(long)]
        minutes: Option<u64>,
        /// Only these faults, by a part of their names
        #[arg(long)]
        only: Vec<String>,
        /// The seed of everything random
        #[arg(long, env = "SHMIRROR_SEED")]
        seed: Option<u64>,
    },
    /// What a process of a fault does; started by `run`
    #[command(hide = true)]
    Role {
        /// Its role
        name: String,
        /// What the role is told
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Role { name, arguments } => role::play(&name, &arguments),
        Command::Run { seconds, minutes, only, seed } => {
            let seed = seed.unwrap_or_else(random::fresh_seed);
            let wanted = |name: &str| only.is_empty() || only.iter().any(|o| name.contains(o));
            let faults: Vec<_> = FAULTS.iter().filter(|f| wanted(f.name)).collect();
            let share = |minutes: u64| (minutes * 60).div_ceil(faults.len().max(1) as u64);
            let seconds = minutes.map_or(seconds, share);
            println!("SHMIRROR_SEED={seed}, {seconds} s for each fault");
            let mut report = Report::default();
            for fault in faults {
                println!("{} …", fault.name);
                let time = Duration::from_secs(seconds);
                report.add((fault.run)(&Setting { name: fault.name, seed, time }));
            }
            print!("{report}");
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}
