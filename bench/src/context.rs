//! What all rows of a run share: how long they may take, where things are, which core is whose.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What all rows of a run share.
pub struct Context {
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// Only what shows growth with the rows of the table.
    pub growth: bool,
    /// The daemon's program.
    pub program: PathBuf,
    /// The core of who measures, and the one of daemons, servers and writers; `None` on a machine with one.
    pub cores: Option<(usize, usize)>,
}

impl Context {
    /// Looks around.
    pub fn new(quick: bool) -> Result<Self> {
        let own = std::env::current_exe().context("this program's path")?;
        let program = own.with_file_name("shmirror");
        if !program.exists() {
            bail!("{}: there is none; `make bench` builds it", program.display());
        }
        let allowed = sched_getaffinity(None).context("the cores that there are")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let cores = cores.next().and_then(|first| Some((cores.next()?, first)));
        Ok(Self { quick, growth: false, program, cores })
    }

    /// Rounds of each system, besides one to warm up.
    pub fn rounds(&self) -> usize {
        if self.quick { 7 } else { 15 }
    }

    /// How long a round is to take, about.
    pub fn round(&self) -> Duration {
        Duration::from_millis(if self.quick { 40 } else { 200 })
    }

    /// Rows of the tables that show how something grows.
    pub fn sizes(&self) -> &'static [u64] {
        let all = &[1_000, 10_000, 100_000, 1_000_000];
        if self.quick { &all[..3] } else { all }
    }

    /// The core of who measures.
    pub fn measuring(&self) -> Option<usize> {
        self.cores.map(|(measuring, _)| measuring)
    }

    /// The core of one of several who measure, in turns with those who serve.
    pub fn in_turns(&self, at: usize) -> Option<usize> {
        if at.is_multiple_of(2) { self.measuring() } else { self.serving() }
    }

    /// The core of who serves.
    pub fn serving(&self) -> Option<usize> {
        self.cores.map(|(_, serving)| serving)
    }
}

/// A directory on a disk: what is said of durable writes is to be true of them.
pub fn directory() -> Result<tempfile::TempDir> {
    let place =
        std::env::var_os("SHMIRROR_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::Builder::new()
        .prefix("shmirror-bench-")
        .tempdir_in(&place)
        .with_context(|| place.display().to_string())
}

/// Binds the calling thread, and those that it starts from then on, to a core.
pub fn pin(core: Option<usize>) -> Result<()> {
    let Some(core) = core else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("core {core}"))
}

/// The first line of a file that begins with `name`, behind its colon.
pub fn field(file: impl AsRef<Path>, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Processor time that a process has used, all its threads together.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has ended meanwhile has none to speak of.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().context("schedstat has numbers")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Starts a process on a core.
pub fn spawn_on(core: Option<usize>, command: &mut Command) -> Result<Child> {
    let own = sched_getaffinity(None).context("the cores that there are")?;
    // A child begins where its parent is.
    pin(core)?;
    let child = command.spawn().with_context(|| format!("{command:?}"));
    sched_setaffinity(None, &own).context("all cores")?;
    child
}
