//! Odd things that happen to an instance: its clock is set, its socket or its directories are taken away or made
//! read-only, a second daemon wants its store, a client forks, another version comes along.
//!
//! The real binary, and real processes: each thing is done as it happens outside, see the modules.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/home.rs"]
mod home;
#[path = "../life/child.rs"]
#[allow(dead_code, reason = "only the lines of a process are used here")]
mod lines;

mod clock;
mod daemon;
mod fork;
mod newer;
mod pair;
mod read_only;
mod socket;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{PATIENCE, Process};
use lines::Lines;
use shmirror::Options;

const ROLE: &str = "SHMIRROR_ODD_ROLE";
const SOCKET: &str = "SHMIRROR_ODD_SOCKET";

/// Not a test: what a process of a test does, which is this binary again. See [`spawn`].
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let socket = std::env::var_os(SOCKET).unwrap();
    let options = Options::new().socket(socket).program("shmirror-odd").attach_timeout(PATIENCE);
    // The harness has begun a line.
    println!();
    match role.as_str() {
        "waiter" => clock::wait(&options),
        "forker" => fork::forks(&options),
        other => panic!("no role {other}"),
    }
    // The harness has nothing to add.
    std::process::exit(0);
}

/// A process of a test in this role, and what it says.
fn spawn(role: &str, socket: &Path, change: impl FnOnce(&mut Command)) -> (Process, Lines) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(SOCKET, socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    change(&mut command);
    let mut child = command.spawn().unwrap();
    let lines = Lines::of(child.stdout.take().unwrap(), "@");
    (Process(child), lines)
}
