//! What a daemon takes of the system: memory, descriptors, bytes of logs.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::instance::Instance;

/// What a process takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauge {
    /// Bytes of its own memory that are present.
    pub own: u64,
    /// Bytes of shared memory: what it has mapped, or, where its descriptors can be seen, all behind them.
    pub shared: u64,
    /// Open descriptors; `None` where the system does not let us see them.
    pub descriptors: Option<u64>,
}

impl Gauge {
    /// Of process `pid`.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
        };
        let (own, mapped) = (field("RssAnon:"), field("RssShmem:"));
        let (mut descriptors, mut behind) = (None, 0);
        if let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) {
            let entries: Vec<_> = entries.flatten().collect();
            descriptors = Some(entries.len() as u64);
            let mut seen = std::collections::HashSet::new();
            for entry in entries {
                let is_memory = std::fs::read_link(entry.path())
                    .is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:"));
                if let Ok(meta) = std::fs::metadata(entry.path())
                    && is_memory
                    && seen.insert(std::os::unix::fs::MetadataExt::ino(&meta))
                {
                    behind += std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
                }
            }
        }
        let shared = behind.max(mapped.unwrap_or_default());
        Self { own: own.unwrap_or_default(), shared, descriptors }
    }

    /// All of its memory.
    pub fn memory(&self) -> u64 {
        self.own + self.shared
    }
}

/// Bytes of all logs of an instance, and of what its daemon says on standard error.
pub fn log_bytes(i: &Instance) -> u64 {
    let length = |path: &Path| std::fs::symlink_metadata(path).map_or(0, |meta| meta.len());
    let files = std::fs::read_dir(i.path("data/log")).into_iter().flatten().flatten();
    files.map(|file| length(&file.path())).sum::<u64>() + length(&i.path("stderr"))
}

/// The lines of the communication log.
pub fn log_lines(i: &Instance) -> String {
    std::fs::read_to_string(i.path("data/log/communication.log")).unwrap_or_default()
}

/// Bytes of a file, 0 where there is none.
pub fn file_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Looks at a process all the time; what it took at most is told in the end.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
}

impl Watch {
    /// Begins to look.
    pub fn begin(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let of_thread = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut most = (0, 0);
            while !of_thread.load(Ordering::Relaxed) {
                let gauge = Gauge::of(pid);
                most.0 = gauge.memory().max(most.0);
                most.1 = gauge.descriptors.unwrap_or_default().max(most.1);
                std::thread::sleep(Duration::from_millis(30));
            }
            most
        });
        Self { stop, thread }
    }

    /// Most bytes of memory and most descriptors.
    pub fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Waits for something, at most until `patience` is over: whether it came.
pub fn wait_for(patience: Duration, mut is: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    loop {
        if is() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The value below which the `percent` smallest are.
pub fn percentile(mut values: Vec<u64>, percent: usize) -> u64 {
    values.sort_unstable();
    values
        .get((values.len() * percent / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}
