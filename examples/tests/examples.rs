//! Runs the examples as the README says, each as a process of its own, against a served instance.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Output, Stdio};

/// An instance served by `config_server`, and so by a program that embeds the daemon.
struct Server {
    process: std::process::Child,
    output: BufReader<ChildStdout>,
    directory: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap())
    }

    fn start_in(directory: tempfile::TempDir) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_config_server"))
            .arg(directory.path().join("data"))
            .arg(directory.path().join("sock"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.contains("greeting is \"hello\""), "{line}");
        Self { process, output, directory }
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        command(program, arguments, self.directory.path()).output().unwrap()
    }

    /// Ends the server's input; the directory that it served.
    fn stop(mut self) -> tempfile::TempDir {
        drop(self.process.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success());
        assert_eq!(rest, "stopped\n");
        self.directory
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
    producer.stdout.take().unwrap().read_to_string(&mut written).unwrap();
    assert!(producer.wait().unwrap().success());
    let count: u64 = written.split(' ').next().unwrap().parse().unwrap();
    assert!(count > 100, "{written}");
    server.stop();
}

#[test]
fn config_server_stops_when_its_input_ends_and_starts_again_with_its_rows() {
    let server = Server::start();
    let client = shmirror::Producer::attach(
        &shmirror::Options::new().socket(server.directory.path().join("sock")),
    )
    .unwrap();
    client.insert("setting", &serde_json::json!({ "name": "colour", "value": "blue" })).unwrap();
    let again = Server::start_in(server.stop());
    let mirror = shmirror::Mirror::attach(
        &shmirror::Options::new().socket(again.directory.path().join("sock")),
    )
    .unwrap();
    let row = mirror.table("setting").unwrap().get("colour").unwrap().unwrap();
    assert_eq!(row.get::<String>("value").unwrap(), "blue");
    again.stop();
}
