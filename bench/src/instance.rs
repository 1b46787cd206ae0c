//! A daemon of one's own, in a process and a directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use shmirror::{Mirror, Options, Producer};

use crate::context::{self, Context};

/// A daemon; dropping it stops it and removes its directory.
pub struct Instance {
    child: Option<Child>,
    directory: tempfile::TempDir,
    program: PathBuf,
    core: Option<usize>,
}

impl Instance {
    /// Starts one, on the core of those who serve.
    pub fn start(context: &Context) -> Result<Self> {
        Self::start_with(context, "")
    }

    /// The same, with a configuration.
    pub fn start_with(context: &Context, config: &str) -> Result<Self> {
        let directory = context::directory()?;
        std::fs::write(directory.path().join("config.toml"), config)?;
        let program = context.program.clone();
        let mut this = Self { child: None, directory, program, core: context.serving() };
        this.up()?;
        Ok(this)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The daemon's process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// An attached reader.
    pub fn mirror(&self) -> Result<Mirror> {
        Ok(Mirror::attach(&options(&self.socket()))?)
    }

    /// An attached writer.
    pub fn producer(&self) -> Result<Producer> {
        Ok(Producer::attach(&options(&self.socket()))?)
    }

    /// Waits until nothing is left to do for what was written: the daemon moves rows from its log when there is
    /// a pause.
    pub fn rest(&self) -> Result<()> {
        let mirror = self.mirror()?;
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let status = mirror.status()?;
            let left = status["lag"]["revisions_after_checkpoint"].as_u64();
            if left.context("a number of the status")? == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the daemon does not come to rest: {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Starts the daemon; how long it took until it was ready.
    pub fn up(&mut self) -> Result<Duration> {
        let begun = Instant::now();
        let mut command = Command::new(&self.program);
        command
            .arg("serve")
            .arg("--data")
            .arg(self.path("data"))
            .arg("--config")
            .arg(self.path("config.toml"))
            .arg("--socket")
            .arg(self.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(self.path("stderr"))?);
        let mut child = context::spawn_on(self.core, &mut command)?;
        let mut lines = BufReader::new(child.stdout.take().context("it was piped")?);
        self.child = Some(child);
        let mut line = String::new();
        while lines.read_line(&mut line)? > 0 {
            if line.starts_with("ready") {
                let took = begun.elapsed();
                std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
                return Ok(took);
            }
            line.clear();
        }
        let said = std::fs::read_to_string(self.path("stderr")).unwrap_or_default();
        bail!("the daemon did not start: {}", said.trim())
    }

    /// Stops the daemon as SIGTERM does, and waits for its end.
    pub fn down(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        terminate(&mut child)
    }
}

/// Has a process end as SIGTERM does, and waits for it.
pub fn terminate(child: &mut Child) -> Result<()> {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    let until = Instant::now() + Duration::from_secs(60);
    while child.try_wait()?.is_none() {
        if Instant::now() > until {
            child.kill()?;
            child.wait()?;
            bail!("process {} did not stop in time", child.id());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// How to reach the daemon at this socket.
pub fn options(socket: &Path) -> Options {
    Options::new().socket(socket).attach_timeout(Duration::from_secs(60))
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Whoever is interested in a failure to stop calls `down`.
        let _ = self.down();
    }
}
