//! What the processes of a fault do: this binary again, in a role.
//!
//! In: the role's arguments; the end of standard input says "stop". Out: lines on standard output.

use std::path::PathBuf;
use std::process::ExitCode;

/// Plays the role of this name.
pub fn play(name: &str, arguments: &[String]) -> ExitCode {
    match name {
        "daemon" => serve(arguments),
        other => {
            eprintln!("no role {other:?}");
            ExitCode::FAILURE
        }
    }
}

/// A daemon: the data directory and the socket.
fn serve(arguments: &[String]) -> ExitCode {
    let [data, socket] = arguments else { return ExitCode::FAILURE };
    let options = shmirror_daemon::ServeOptions {
        data: PathBuf::from(data),
        socket: Some(PathBuf::from(socket)),
        ..Default::default()
    };
    match shmirror_daemon::serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
