//! A daemon to break: its data directory, its socket, its points.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shmirror::Options;
use shmirror_shm::points::{Board, VARIABLE};
use shmirror_store::faults::VARIABLE as DISK;

/// How long anything may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A process, killed when dropped.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            // One that has ended by itself needs none.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for its end; `None` where that does not come.
    pub fn end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.0.try_wait() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.signal(Signal::CONT);
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What the store of an instance stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// The real disk.
    #[default]
    Disk,
    /// The same, of which the write-ahead log is moved no more often than elsewhere: for what commits cost.
    Usual,
    /// Memory, where the system has a file system there: for times that must not depend on who else
    /// writes to the disk.
    Memory,
    /// The real disk, of which calls may be made to fail.
    Failing,
    /// One of which everything is written down, in the file `journal`; what is real of it is memory.
    Watched,
}

/// An instance in a directory of its own.
pub struct Instance {
    /// Its daemon.
    pub daemon: Process,
    /// The points of the daemon's process.
    pub board: Board,
    directory: tempfile::TempDir,
    medium: Medium,
}

/// This binary in a role, with the points of `board`, if any.
pub fn role(name: &str, arguments: &[&str], board: Option<&Path>) -> Command {
    let own = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(own);
    command.arg("role").arg(name).args(arguments);
    match board {
        Some(path) => command.env(VARIABLE, path),
        None => command.env_remove(VARIABLE),
    };
    command
}

impl Instance {
    /// Starts one with this configuration; it serves when this returns.
    pub fn start(config: &str) -> std::io::Result<Self> {
        Self::start_on(config, Medium::Disk)
    }

    /// As [`Self::start`], with its store on this medium.
    pub fn start_on(config: &str, medium: Medium) -> std::io::Result<Self> {
        let prefix = || tempfile::Builder::new().prefix("torture-").to_owned();
        let directory = match medium {
            Medium::Memory | Medium::Watched => {
                prefix().tempdir_in("/dev/shm").or_else(|_| prefix().tempdir())?
            }
            Medium::Disk | Medium::Usual | Medium::Failing => prefix().tempdir()?,
        };
        let data = directory.path().join("data");
        std::fs::create_dir(&data)?;
        std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        std::fs::write(data.join("shmirror.toml"), config)?;
        let board = Board::open(&directory.path().join("points"))?;
        let daemon = spawn(directory.path(), medium)?;
        Ok(Self { daemon, board, directory, medium })
    }

    /// A path beside the data directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// How clients attach.
    pub fn options(&self) -> Options {
        Options::new().socket(self.socket()).program("torture").attach_timeout(PATIENCE)
    }

    /// Starts the daemon again, after it ended in whatever way.
    pub fn restart(&mut self) -> std::io::Result<()> {
        self.daemon = spawn(self.directory.path(), self.medium)?;
        Ok(())
    }

    /// What the daemon has said on standard error.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }
}

/// Starts a daemon and waits until it says that it is ready, or ends.
fn spawn(directory: &Path, medium: Medium) -> std::io::Result<Process> {
    let path = |name: &str| directory.join(name);
    let errors = std::fs::File::options().append(true).create(true).open(path("stderr"))?;
    let text = |name: &str| path(name).to_string_lossy().into_owned();
    let mut command = role("daemon", &[&text("data"), &text("s")], Some(&path("points")));
    match medium {
        Medium::Disk | Medium::Memory => command.env_remove(DISK),
        Medium::Usual => command.env_remove(DISK).env("SHMIRROR_LONG_WAL", "1"),
        Medium::Failing => command.env(DISK, "calls"),
        Medium::Watched => command.env(DISK, path("journal")),
    };
    let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn()?;
    let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no output"))?;
    let process = Process(child);
    let mut lines = BufReader::new(output);
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            let said = std::fs::read_to_string(path("stderr")).unwrap_or_default();
            let tail: Vec<&str> = said.lines().rev().take(5).collect();
            return Err(std::io::Error::other(format!("the daemon ended at its start: {tail:?}")));
        }
        if line.starts_with("ready") {
            break;
        }
    }
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
    Ok(process)
}
