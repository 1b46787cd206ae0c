//! A disk that fails, or that is watched so that a test can have its power go. Only with the feature `faults`,
//! and only in a process whose environment asks for it by [`VARIABLE`].
//!
//! ```text
//! SQLite ─► vfs ─┬─► the points StoreRead … StoreLock: a call fails, in place of being done
//!                ├─► the journal: what is done, in its order
//!                └─► SQLite's own
//! the store's own calls (files.rs) ─► the same points, the same journal
//! ```
//! A sync that fails is as one of Linux: every handle of the file is told once, whichever asks first, and
//! what was to be synced is dropped: a later sync that succeeds says nothing of it.

pub mod journal;
mod vfs;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, PoisonError};

use shmirror_shm::points::{self, Point};

use self::journal::{Journal, Op};

/// Says that the store's files are on this disk: `calls` where calls may fail; else the path of the
/// journal in which all is written down that is done to them.
pub const VARIABLE: &str = "SHMIRROR_DISK";

/// The disk of this process.
struct Disk {
    journal: Option<Journal>,
    /// How often a sync of each file has failed.
    failures: Mutex<HashMap<PathBuf, Arc<AtomicU64>>>,
}

fn disk() -> Option<&'static Disk> {
    static DISK: OnceLock<Option<Disk>> = OnceLock::new();
    let open = || {
        let asked = std::env::var_os(VARIABLE)?;
        let journal = if asked == "calls" { None } else { Some(Journal::open(Path::new(&asked))) };
        // A test that asks for a journal and gets none would check nothing.
        let journal = journal.transpose().expect("the disk's journal can be opened");
        Some(Disk { journal, failures: Mutex::default() })
    };
    DISK.get_or_init(open).as_ref()
}

impl Disk {
    fn failures(&self, path: &Path) -> Arc<AtomicU64> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(failures.entry(path.to_path_buf()).or_default())
    }

    fn tell(&self, op: &Op<'_>) {
        if let Some(journal) = &self.journal {
            journal.append(op);
        }
    }

    /// What is done from here on is not covered by a sync that begins now.
    fn position(&self) -> u64 {
        self.journal.as_ref().map_or(0, Journal::position)
    }
}

/// Puts the disk under SQLite, if the environment asks for one.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if disk().is_some() {
            vfs::register();
        }
    });
}

/// Writes a word of the test's into the journal.
pub fn note(text: &str) {
    if let Some(disk) = disk() {
        disk.tell(&Op::Note { text });
    }
}

/// The store itself writes to a file.
pub(crate) fn write(path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
    failing(Point::StoreWrite)?;
    if let Some(disk) = disk() {
        disk.tell(&Op::Write { path, at, bytes });
    }
    Ok(())
}

/// The store itself cuts a file to `length`.
pub(crate) fn cut(path: &Path, length: u64) {
    if let Some(disk) = disk() {
        disk.tell(&Op::Length { path, length });
    }
}

/// The store itself syncs a file with `sync`.
pub(crate) fn sync(path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(disk) = disk() else { return sync() };
    let before = disk.position();
    if let Err(error) = failing(Point::StoreSync) {
        disk.failures(path).fetch_add(1, Ordering::SeqCst);
        disk.tell(&Op::SyncFailed { path, before });
        return Err(error);
    }
    if disk.journal.is_none() {
        return sync();
    }
    disk.tell(&Op::Sync { path, before });
    Ok(())
}

/// The store itself has made a small file with these contents.
pub(crate) fn made(path: &Path, contents: &[u8]) {
    let Some(disk) = disk() else { return };
    disk.tell(&Op::Open { path, length: 0 });
    disk.tell(&Op::Write { path, at: 0, bytes: contents });
}

/// The store itself has made a directory.
pub(crate) fn made_directory(path: &Path) {
    if let Some(disk) = disk() {
        disk.tell(&Op::MakeDirectory { path });
    }
}

/// The store itself has renamed a file.
pub(crate) fn renamed(from: &Path, to: &Path) {
    if let Some(disk) = disk() {
        disk.tell(&Op::Rename { from, to });
    }
}

/// The store itself syncs a directory with `sync`.
pub(crate) fn sync_directory(path: &Path, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(disk) = disk() else { return sync() };
    let before = disk.position();
    failing(Point::StoreSync)?;
    sync()?;
    disk.tell(&Op::SyncDirectory { path, before });
    Ok(())
}

fn failing(point: Point) -> io::Result<()> {
    if disk().is_none() {
        return Ok(());
    }
    points::fails(point).map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}
