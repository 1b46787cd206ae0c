//! Runs a C program that asks for things to be done to the daemon; see `tests/c/expect.h`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::common::{self, Instance, PATIENCE, Process};
use crate::program;

/// Runs `tests/c/NAME.c`, under the sanitizers, against an instance with these lines in its
/// configuration.
pub fn test(name: &str, lines: &[&str]) {
    let flags: Vec<&str> = ["-std=c99"].iter().chain(program::SANITIZED).copied().collect();
    let program = program::build(&format!("ffi/tests/c/{name}.c"), name, &flags);
    serve(&program, &mut configured(lines));
}

/// An instance with these lines in its configuration, each in place of the one that shows the default.
fn configured(lines: &[&str]) -> Instance {
    let mut instance = program::instance();
    let path = instance.path("data").join("shmirror.toml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for line in lines {
        let name = line.split(" =").next().unwrap();
        let default = text.lines().find(|l| l.starts_with(&format!("# {name} ="))).expect(name);
        text = text.replace(&default.to_owned(), line);
    }
    std::fs::write(&path, text).unwrap();
    instance.restart();
    instance
}

/// Runs the program until it ends, and must end well, doing what it asks for.
fn serve(program: &Path, instance: &mut Instance) {
    let mut command = Command::new(program);
    command
        .env("SHMIRROR_SOCKET", instance.socket())
        .env_remove("SHMIRROR_INSTANCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut answers, asked) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut process = Process(child);
    // The program has deadlines of its own; this is for one that forgot them.
    let deadline = Instant::now() + 4 * PATIENCE;
    for line in BufReader::new(asked).lines() {
        let line = line.unwrap();
        assert!(Instant::now() < deadline, "it goes on for ever");
        answer(instance, &line);
        writeln!(answers, "{}", instance.daemon.0.id()).unwrap();
    }
    assert_eq!(process.end(), 0, "{}", program.display());
}

fn answer(instance: &mut Instance, asked: &str) {
    match asked {
        "pid" => {}
        "stop" => assert_eq!(instance.stop(), 0),
        "kill" => kill(instance),
        "start" => start(instance, "data"),
        // Another store, at the same socket.
        "other" => {
            kill(instance);
            start(instance, "other");
        }
        asked => panic!("the program asks {asked:?}"),
    }
}

fn kill(instance: &mut Instance) {
    instance.daemon.signal(Signal::KILL);
    instance.daemon.end();
}

fn start(instance: &mut Instance, data: &str) {
    let served = common::serve(&instance.path(data), &instance.socket());
    (instance.daemon, instance.greeting) = served;
}
