//! A daemon and commands, as the real binary in processes of their own.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }

    /// Standard output of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Standard error of a command that failed with this status, and printed nothing else.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.starts_with("shmirror: "), "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        self.err
    }
}

/// Where the binary is, for tests of another package than its own.
pub static ELSEWHERE: OnceLock<PathBuf> = OnceLock::new();

/// The binary with these arguments.
pub fn shmirror(arguments: &[&str]) -> Command {
    let own = option_env!("CARGO_BIN_EXE_shmirror").map(Path::new);
    let binary = own.or_else(|| ELSEWHERE.get().map(PathBuf::as_path)).expect("a binary");
    let mut command = Command::new(binary);
    command.args(arguments).env_remove("SHMIRROR_SOCKET").env_remove("SHMIRROR_INSTANCE");
    command
}

/// Runs the binary without an instance of the test's.
pub fn run(arguments: &[&str]) -> Ran {
    Ran::of(shmirror(arguments).output().unwrap())
}

/// A process that is stopped and waited for when the test ends, however it ends.
pub struct Process(pub Child);

impl Process {
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.0.id() as i32).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end and gives the exit status.
    pub fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "process {} does not end", self.0.id());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end and gives what it printed.
    pub fn output(mut self) -> String {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.end();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A served instance in a temporary directory.
pub struct Instance {
    pub daemon: Process,
    pub directory: tempfile::TempDir,
    pub greeting: String,
}

impl Instance {
    pub fn start() -> Self {
        Self::configured("")
    }

    /// With this configuration.
    pub fn configured(config: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
        let data = directory.path().join("data");
        if !config.is_empty() {
            use std::os::unix::fs::DirBuilderExt;
            std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
            std::fs::write(data.join("shmirror.toml"), config).unwrap();
        }
        let (daemon, greeting) = serve(&data, &directory.path().join("s"));
        Self { daemon, directory, greeting }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// A command against this instance.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = shmirror(arguments);
        command.env("SHMIRROR_SOCKET", self.socket());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// A command with this standard input.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Ran {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran::of(child.wait_with_output().unwrap())
    }

    /// A command that goes on beside the test.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        Process(self.command(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }

    pub fn sql(&self, sql: &str) -> String {
        self.run(&["sql", sql]).ok()
    }

    /// Stops the daemon as a service manager does; its exit status.
    pub fn stop(&mut self) -> i32 {
        self.daemon.signal(Signal::TERM);
        self.daemon.end()
    }

    pub fn restart(&mut self) {
        assert_eq!(self.stop(), 0);
        let (daemon, greeting) = serve(&self.path("data"), &self.socket());
        (self.daemon, self.greeting) = (daemon, greeting);
    }
}

/// Starts a daemon and waits for its line `ready`; gives what it printed until then.
pub fn serve(data: &Path, socket: &Path) -> (Process, String) {
    let errors = data.with_extension("stderr");
    let mut child = shmirror(&["serve", "--data"])
        .arg(data)
        .arg("--socket")
        .arg(socket)
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let process = Process(child);
    let mut greeting = String::new();
    loop {
        let mut line = String::new();
        let read = lines.read_line(&mut line).unwrap();
        assert!(
            read > 0,
            "the daemon ended before it was ready: {greeting}{}",
            std::fs::read_to_string(&errors).unwrap_or_default()
        );
        greeting.push_str(&line);
        if line.starts_with("ready") {
            break;
        }
    }
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    (process, greeting)
}

/// The rows of a table as JSON.
pub fn rows(instance: &Instance, table: &str) -> serde_json::Value {
    serde_json::from_str(&instance.run(&["dump", table]).ok()).unwrap()
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
