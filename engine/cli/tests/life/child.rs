//! Processes of a test: this binary again, running its test `child` in some role.
//!
//! In: role, socket and arguments by the environment; the end of standard input says "stop". Out:
//! lines that begin with `@` on standard output (the harness prints lines of its own).

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use shmirror::{Mirror, Options, Producer};

use crate::common::{PATIENCE, Process};

const ROLE: &str = "SHMIRROR_LIFE_ROLE";
const SOCKET: &str = "SHMIRROR_LIFE_SOCKET";
const ARGUMENTS: &str = "SHMIRROR_LIFE_ARGUMENTS";

/// Lines of a process as they come, each wait with a deadline.
pub struct Lines(Receiver<String>);

impl Lines {
    /// Those lines that begin with `mark`, without it.
    pub fn of(output: impl Read + Send + 'static, mark: &'static str) -> Self {
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some(line) = line.strip_prefix(mark) else { continue };
                if send.send(line.to_owned()).is_err() {
                    break;
                }
            }
        });
        Self(lines)
    }

    /// The next line; `None` at the end of the output.
    #[track_caller]
    pub fn next(&self) -> Option<String> {
        match self.0.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}"),
        }
    }

    /// The next line that `wanted` accepts; what came before is dropped.
    #[track_caller]
    pub fn find(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.next().unwrap_or_else(|| panic!("the process ended before {what}"));
            if wanted(&line) {
                return line;
            }
            assert!(Instant::now() < deadline, "no {what} within {PATIENCE:?}");
        }
    }

    /// The lines that are there.
    pub fn so_far(&self) -> impl Iterator<Item = String> {
        self.0.try_iter()
    }
}

/// A process of the test's; killed when dropped.
pub struct Child {
    pub process: Process,
    pub lines: Lines,
    name: String,
}

impl Child {
    pub fn spawn(role: &str, socket: &Path, arguments: &[&dyn ToString]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|a| a.to_string()).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(SOCKET, socket)
            .env(ARGUMENTS, arguments.join(" "))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap(), "@");
        let name = format!("{role} {}", arguments.join(" "));
        Self { process: Process(child), lines, name }
    }

    /// Tells it to stop, and waits until it has; what it said since it was last listened to.
    #[track_caller]
    pub fn finish(mut self) -> Vec<String> {
        drop(self.process.0.stdin.take());
        let said: Vec<String> = std::iter::from_fn(|| self.lines.next()).collect();
        assert_eq!(self.process.end(), 0, "{} failed", self.name);
        said
    }
}

/// The child's side.
pub struct Task {
    pub role: String,
    pub options: Options,
    arguments: Vec<String>,
    stop: Arc<AtomicBool>,
}

impl Task {
    /// What this process was started for, if it was started by a test.
    pub fn of_environment() -> Option<Self> {
        let role = std::env::var(ROLE).ok()?;
        let socket = std::env::var_os(SOCKET)?;
        let options =
            Options::new().socket(socket).program("shmirror-life").attach_timeout(PATIENCE);
        let arguments = std::env::var(ARGUMENTS).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let stop = stop.clone();
            move || {
                // Until the test closes it, or is gone.
                let _ = std::io::stdin().read_to_end(&mut Vec::new());
                stop.store(true, Ordering::Relaxed);
            }
        });
        // The harness has begun a line.
        println!();
        let arguments = arguments.split(' ').map(str::to_owned).collect();
        Some(Self { role, options, arguments, stop })
    }

    pub fn number(&self, index: usize) -> u64 {
        self.arguments[index].parse().unwrap()
    }

    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells the test.
    pub fn say(&self, what: impl std::fmt::Display) {
        // One write: a kill may not leave half a line.
        let line = format!("@{what}\n");
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
    }

    pub fn producer(&self) -> Producer {
        Producer::attach(&self.options).unwrap().with_timeout(PATIENCE)
    }

    pub fn mirror(&self) -> Mirror {
        Mirror::attach(&self.options).unwrap()
    }
}

/// Longer than anything between two looks at whether to stop.
pub const STEP: Duration = Duration::from_millis(100);
