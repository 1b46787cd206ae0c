//! One file a command; here only who is called.

pub mod backup;
pub mod bench;
pub mod check;
pub mod completions;
pub mod del;
pub mod demo;
pub mod dump;
pub mod get;
pub mod import;
pub mod key;
pub mod load;
pub mod log;
pub mod man;
pub mod part;
pub mod put;
pub mod serve;
pub mod sql;
pub mod status;
pub mod watch;

use crate::args::{Cli, Command};
use crate::failure::Failure;

/// Runs the command.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let place = &cli.place;
    match cli.command {
        Command::Serve(a) => serve::run(place, a),
        Command::Demo(a) => demo::run(a),
        Command::Sql(a) => sql::run(place, a),
        Command::Get(a) => get::run(place, a),
        Command::Dump(a) => dump::run(place, a),
        Command::Put(a) => put::run(place, a),
        Command::Del(a) => del::run(place, a),
        Command::Load(a) => load::run(place, a),
        Command::Import(a) => import::run(place, a),
        Command::Watch(a) => watch::run(place, a),
        Command::Log(a) => log::run(place, a),
        Command::Status(a) => status::run(place, a),
        Command::Check(a) => check::run(place, a),
        Command::Backup(a) => backup::run(place, a),
        Command::Key(a) => key::run(place, a),
        Command::Bench(a) => bench::run(a),
        Command::Completions(a) => completions::run(a),
        Command::Man(a) => man::run(a),
        Command::Part(a) => part::run(place, a),
    }
}
