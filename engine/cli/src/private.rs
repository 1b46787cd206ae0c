//! An instance of one's own, for `demo` and `bench`: a real daemon in a process of its own, in a
//! directory that goes away with it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use shmirror::{Mirror, Options};

use crate::args::Place;
use crate::failure::Failure;

/// How long a daemon may take to be ready, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes that run now: a signal to this process ends them, and so everything that waits for
/// them, and then what was made is cleared away.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running(change: impl FnOnce(&mut Vec<u32>)) {
    // A list of numbers is whole after any panic.
    change(&mut RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}

fn end_all_on_signal() -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            running(|pids| pids.iter().for_each(|pid| terminate(*pid)));
        }
    });
    Ok(())
}

/// A private instance; dropping it stops the daemon and removes its directory.
pub struct Private {
    child: Option<Child>,
    directory: tempfile::TempDir,
}

impl Private {
    /// Starts it and waits until it answers.
    pub fn start() -> Result<Self, Failure> {
        end_all_on_signal()?;
        let directory = tempfile::Builder::new()
            .prefix("shmirror-")
            .tempdir()
            .map_err(Failure::file(std::env::temp_dir()))?;
        let mut this = Self { child: None, directory };
        this.up()?;
        Ok(this)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// A place for files of one's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// How to reach it.
    pub fn place(&self) -> Place {
        Place { instance: None, socket: Some(self.socket()) }
    }

    /// How to reach it, waiting for it.
    pub fn options(&self) -> Options {
        self.place().options().attach_timeout(PATIENCE)
    }

    /// Starts the daemon; how long it took until its line `ready` came.
    pub fn up(&mut self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let log = self.path("serve.log");
        let errors = File::create(&log).map_err(Failure::file(&log))?;
        let mut child = this_program()?
            .args(["serve", "--data"])
            .arg(self.path("data"))
            .arg("--socket")
            .arg(self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .map_err(Failure::file("shmirror serve"))?;
        let output = child.stdout.take();
        running(|pids| pids.push(child.id()));
        self.child = Some(child);
        let mut lines = BufReader::new(output.into_iter().next().ok_or(Failure::Said)?);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            if line.starts_with("ready") {
                let took = begun.elapsed();
                // Whatever the daemon prints from here on has to go somewhere.
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok(took);
            }
            line.clear();
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        Err(Failure::Refused(format!("the private daemon did not start: {}", said.trim())))
    }

    /// Stops the daemon as SIGTERM does, and waits for its end.
    pub fn down(&mut self) -> Result<(), Failure> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        running(|pids| pids.retain(|pid| *pid != child.id()));
        terminate(child.id());
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                return Err(Failure::Refused("the private daemon did not stop in time".into()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// An attached reader.
    pub fn mirror(&self) -> Result<Mirror, Failure> {
        Ok(Mirror::attach(&self.options())?)
    }

    /// Another process of this program that talks to this instance, in a part of its own.
    pub fn part(&self, arguments: &[&str]) -> Result<Part, Failure> {
        let mut child = this_program()?
            .arg("part")
            .args(arguments)
            .arg("--socket")
            .arg(self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Failure::file("shmirror part"))?;
        let output = child.stdout.take().map(BufReader::new);
        running(|pids| pids.push(child.id()));
        Ok(Part { name: arguments.join(" "), child, output })
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // Whoever is interested in a failure to stop calls `down`.
        let _ = self.down();
    }
}

fn this_program() -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(Failure::file("/proc/self/exe"))?;
    Ok(Command::new(path))
}

fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// A process with a part in the demo or the benchmark; ended when dropped.
pub struct Part {
    name: String,
    child: Child,
    output: Option<BufReader<std::process::ChildStdout>>,
}

impl Part {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints, which is JSON.
    pub fn says(&mut self) -> Result<serde_json::Value, Failure> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        serde_json::from_str(&line)
            .map_err(|_| Failure::Refused(format!("part {:?} ended early: {line:?}", self.name)))
    }

    /// Ends it.
    pub fn end(mut self) -> Result<(), Failure> {
        terminate(self.child.id());
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        running(|pids| pids.retain(|pid| *pid != self.child.id()));
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
