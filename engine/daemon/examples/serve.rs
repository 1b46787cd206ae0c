//! The daemon without the command line: `serve [DATA [SOCKET]]`.

use std::path::PathBuf;

fn main() -> Result<(), shmirror_daemon::DaemonError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let data = arguments.next().unwrap_or_else(|| PathBuf::from("shmirror-data"));
    let socket = arguments.next();
    shmirror_daemon::serve(shmirror_daemon::ServeOptions { data, socket, ..Default::default() })
}
