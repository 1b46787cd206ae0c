//! Processes of other users: a copy of this binary that anybody may run, started by root, which takes on
//! the user, the groups and then the role.
//!
//! In: role, socket and arguments by the environment; lines on standard input. Out: lines that begin with
//! `@` on standard output (the harness prints lines of its own).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use shmirror::Options;

use crate::common::{Instance, PATIENCE, Process};

const ROLE: &str = "SHMIRROR_ACCESS_ROLE";
const SOCKET: &str = "SHMIRROR_ACCESS_SOCKET";

/// A copy of `binary` that every user can reach.
fn reachable(binary: &Path) -> PathBuf {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), mode).unwrap();
        directory
    });
    let copy = directory.path().join(binary.file_name().unwrap());
    static COPYING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = COPYING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !copy.exists() {
        let unfinished = copy.with_extension("new");
        std::fs::copy(binary, &unfinished).unwrap();
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(&unfinished, &copy).unwrap();
    }
    copy
}

/// Has `command` run as this user with these groups, the first of them its own.
fn become_user(command: &mut Command, uid: u32, groups: &[u32]) {
    let groups: Vec<Gid> = groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let switch = move || {
        set_thread_groups(&groups[1..])?;
        set_thread_gid(groups[0])?;
        set_thread_uid(Uid::from_raw(uid))?;
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(switch) };
}

/// A user, and the groups that they are in; the first is their own.
#[derive(Clone, Copy)]
pub struct User<'a>(pub u32, pub &'a [u32]);

impl User<'_> {
    /// Runs the real binary as this user against the instance.
    pub fn run(&self, i: &Instance, arguments: &[&str]) -> std::process::Output {
        let mut command = Command::new(reachable(Path::new(env!("CARGO_BIN_EXE_shmirror"))));
        command.args(arguments).env_clear().env("SHMIRROR_SOCKET", i.socket());
        become_user(&mut command, self.0, self.1);
        command.current_dir("/").stdin(Stdio::null()).output().unwrap()
    }

    /// Starts the real binary as this user.
    pub fn spawn(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(reachable(Path::new(env!("CARGO_BIN_EXE_shmirror"))));
        command.args(arguments).env_clear().current_dir("/");
        become_user(&mut command, self.0, self.1);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process(command.spawn().unwrap())
    }
}

/// A process of the test's; killed when dropped.
pub struct Person {
    pub process: Process,
    lines: Receiver<String>,
    input: Option<ChildStdin>,
}

impl Person {
    /// As this user; `None` for the one that the test runs as.
    pub fn start(i: &Instance, user: Option<User<'_>>, role: &str) -> Self {
        let mut command = Command::new(reachable(&std::env::current_exe().unwrap()));
        command
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(SOCKET, i.socket())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(User(uid, groups)) = user {
            become_user(&mut command, uid, groups);
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let Some(line) = line.strip_prefix('@') else { continue };
                if send.send(line.to_owned()).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Self { process: Process(child), lines, input }
    }

    /// The next line that it says.
    #[track_caller]
    pub fn hear(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the process said nothing in time, or ended")
    }

    /// Tells it something.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Tells it something and takes its answer.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Waits for its end, which must be a good one; what it said until then.
    #[track_caller]
    pub fn finish(mut self) -> Vec<String> {
        drop(self.input.take());
        let said: Vec<String> = self.lines.iter().collect();
        assert_eq!(self.process.end(), 0, "{said:?}");
        said
    }
}

/// The process's own side.
pub struct Task {
    pub role: String,
    pub socket: PathBuf,
}

impl Task {
    /// What this process was started for, if it was started by a test.
    pub fn of_environment() -> Option<Self> {
        let role = std::env::var(ROLE).ok()?;
        let socket = PathBuf::from(std::env::var_os(SOCKET)?);
        // The harness has begun a line.
        println!();
        Some(Self { role, socket })
    }

    pub fn options(&self) -> Options {
        Options::new().socket(&self.socket).program("shmirror-access").attach_timeout(PATIENCE)
    }

    /// The next line that it is told; `None` at the end.
    pub fn hear(&self) -> Option<String> {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).unwrap();
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

/// Says a line to the test.
pub fn say(line: impl std::fmt::Display) {
    println!("@{line}");
}
