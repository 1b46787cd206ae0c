//! Runs the examples as the README says, each as a process of its own, against a served instance.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// An instance served by `config_server`, and so by a program that embeds the daemon.
struct Server {
    process: std::process::Child,
    directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_config_server"))
            .arg(directory.path().join("data"))
            .arg(directory.path().join("sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("greeting is \"hello\""), "{line}");
        Self { process, directory }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        command(program, arguments, self.directory.path()).output().unwrap()
    }

    fn stop(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().unwrap().success());
    }
}

fn command(program: &str, arguments: &[&str], directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("SHMIRROR_SOCKET", directory.join("sock"));
    command
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn config_client_is_told_of_its_own_changes() {
    let server = Server::start();
    let out = text(&server.run(env!("CARGO_BIN_EXE_config_client"), &[]));
    for expected in [
        "update of pid_loop [Text(\"pump\")], columns [\"kp\"]",
        "delete of pid_loop",
        "Überhitzer",
        "done",
    ] {
        assert!(out.contains(expected), "{expected:?} is missing in:\n{out}");
    }
    assert_eq!(out.matches("insert of pid_loop").count(), 2, "{out}");
    server.stop();
}

#[test]
fn hot_reader_sees_no_torn_row_while_producer_writes() {
    let server = Server::start();
    let mut producer =
        command(env!("CARGO_BIN_EXE_producer"), &["3", "50"], server.directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
    let reads = text(&server.run(env!("CARGO_BIN_EXE_hot_reader"), &["2"]));
    assert!(reads.contains(" 0 torn, 0 older"), "{reads}");
    let mut written = String::new();
    std::io::Read::read_to_string(&mut producer.stdout.take().unwrap(), &mut written).unwrap();
    assert!(producer.wait().unwrap().success());
    let count: u64 = written.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 100, "{written}");
    server.stop();
}

#[test]
fn config_server_stops_when_its_input_ends_and_starts_again_with_its_rows() {
    let mut server = Server::start();
    let directory = {
        server.process.stdin.as_mut().unwrap().flush().unwrap();
        drop(server.process.stdin.take());
        assert!(server.process.wait().unwrap().success());
        server.directory
    };
    let mut again = Command::new(env!("CARGO_BIN_EXE_config_server"))
        .arg(directory.path().join("data"))
        .arg(directory.path().join("sock"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = String::new();
    std::io::Read::read_to_string(&mut again.stdout.take().unwrap(), &mut out).unwrap();
    assert!(out.contains("greeting is \"hello\"") && out.contains("stopped"), "{out}");
    assert!(again.wait().unwrap().success());
}
