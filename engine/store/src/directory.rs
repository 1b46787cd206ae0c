//! The data directory: whose it is, who has it, and how files come into it in one step.
//!
//! ```text
//! store.db            the store; with store.db-wal and store.db-shm while it is open
//! key                 the key file; or public.pem, private.pem
//! lock                flock'd while a daemon has the directory; holds its pid
//! shmirror.toml, log/ the daemon's
//! ```
//! Files are written under a name that ends in `.new`, synced, and renamed: a kill leaves the old
//! state or the new one, and leftovers that the next start removes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{StoreError, io};
use crate::files;
use crate::key::{PRIVATE_FILE, PUBLIC_FILE};

/// Name of the store in its directory.
pub const STORE_FILE: &str = "store.db";
/// Name of the key file in the data directory.
pub const KEY_FILE: &str = "key";
/// Name of the lock file in the data directory.
pub const LOCK_FILE: &str = "lock";
/// Name of the daemon's configuration file in the data directory.
pub const CONFIG_FILE: &str = "shmirror.toml";
/// Name of the directory of the daemon's log files.
pub const LOG_DIR: &str = "log";

/// The store while it is being made.
pub(crate) const FRESH_FILE: &str = "store.db.new";
/// What SQLite and a kill can leave beside [`FRESH_FILE`].
const FRESH_REST: [&str; 3] = ["store.db.new-journal", "store.db.new-wal", "store.db.new-shm"];

/// How long another holder of the lock is waited for.
const PATIENCE: Duration = Duration::from_millis(300);

/// Makes the directory where it is missing, and refuses one that is somebody else's. Writes nothing
/// into it. `keys` may be there already: of a start that was killed, or put there.
pub(crate) fn prepare(dir: &Path, keys: &[PathBuf]) -> Result<(), StoreError> {
    match std::fs::metadata(dir) {
        Ok(about) if about.is_dir() => {}
        Ok(_) => {
            return Err(StoreError::NotOurs {
                path: dir.to_path_buf(),
                found: "a file".into(),
                expected: "a directory".into(),
            });
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            make(dir).map_err(io(dir, "making the data directory"))?;
        }
        Err(e) => return Err(io(dir, "opening the data directory")(e)),
    }
    if !has_store(dir)? {
        let foreign = foreign_names(dir, keys)?;
        // Another daemon may have made its store meanwhile; the lock will tell.
        if !foreign.is_empty() && !has_store(dir)? {
            return Err(StoreError::NotOurs {
                path: dir.to_path_buf(),
                found: foreign.join(", "),
                expected: "an empty directory, or one with store.db in it".into(),
            });
        }
    }
    Ok(())
}

/// Makes the directory, and those that it lies in.
fn make(dir: &Path) -> std::io::Result<()> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    missing.into_iter().rev().for_each(files::made_directory);
    Ok(())
}

/// Syncs the names of the data directory, of those that it lies in, and of the key's files: a store whose
/// directory is gone after a loss of power is gone with it. Whoever made them may have been killed before it
/// did, so the first life of a store does it, and not whoever makes a directory.
pub(crate) fn sync_names(dir: &Path, keys: &[PathBuf]) -> Result<(), StoreError> {
    let syncing = |path: &Path| match files::sync_directory(path) {
        // Somebody else's, in which we have made nothing.
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(()),
        done => done.map_err(io(path, "syncing a directory")),
    };
    let dir = std::fs::canonicalize(dir).map_err(io(dir, "opening the data directory"))?;
    dir.ancestors().try_for_each(syncing)?;
    let present = keys.iter().filter_map(|key| std::fs::canonicalize(key).ok());
    for parent in present.filter_map(|key| Some(key.parent()?.to_path_buf())) {
        syncing(&parent)?;
    }
    Ok(())
}

/// Whether there is a store in `dir`.
pub(crate) fn has_store(dir: &Path) -> Result<bool, StoreError> {
    let path = dir.join(STORE_FILE);
    // symlink_metadata: a dangling link is a store that is missing, not a place for a new one.
    match std::fs::symlink_metadata(&path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(io(&path, "looking for the store")(e)),
    }
}

fn foreign_names(dir: &Path, keys: &[PathBuf]) -> Result<Vec<String>, StoreError> {
    let listing = io(dir, "listing the data directory");
    let mut foreign = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(&listing)? {
        let name = entry.map_err(&listing)?.file_name();
        let name = name.to_string_lossy();
        let key = name.strip_suffix(".new").unwrap_or(&name);
        let ours = [LOCK_FILE, CONFIG_FILE, LOG_DIR, FRESH_FILE, "lost+found"];
        let is_key =
            [KEY_FILE, PUBLIC_FILE, PRIVATE_FILE].contains(&key) || keys.contains(&dir.join(key));
        if !ours.contains(&&*name) && !is_key && !FRESH_REST.contains(&&*name) {
            foreign.push(name.into_owned());
        }
    }
    foreign.sort();
    let more = foreign.len().saturating_sub(5);
    if more > 0 {
        foreign.truncate(5);
        foreign.push(format!("and {more} more"));
    }
    Ok(foreign)
}

/// Removes what a kill left of a store that was being made.
pub(crate) fn remove_fresh(dir: &Path) -> Result<(), StoreError> {
    for name in FRESH_REST.iter().chain([&FRESH_FILE]) {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(io(&path, "removing what is left of a half-made store")(e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Syncs the directory that `path` is in.
pub(crate) fn sync_parent(path: &Path) -> std::io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    files::sync_directory(parent)
}

/// Renames `fresh` to `path`, which must not exist.
pub(crate) fn publish_new(fresh: &Path, path: &Path) -> std::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, fresh, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {
            files::renamed(fresh, path);
            Ok(())
        }
        // File systems that can't: look first. Only ours write here, under the lock.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if path.symlink_metadata().is_ok() {
                return Err(ErrorKind::AlreadyExists.into());
            }
            std::fs::rename(fresh, path)?;
            files::renamed(fresh, path);
            Ok(())
        }
        Err(e) => Err(e.into()),
    }
}

/// The lock on a data directory, held as long as this lives.
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
    /// What the file held before; `None` where there was no file.
    before: Option<Vec<u8>>,
    kept: bool,
}

impl Lock {
    /// Takes the lock and writes our pid into it. Waits a moment for one who only has a look, or whose
    /// forked child has not yet let go.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::take_now(dir) {
                Err(StoreError::InUse { .. }) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                done => return done,
            }
        }
    }

    /// As [`Self::take`], without waiting.
    pub fn take_now(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOCK_FILE);
        let locking = io(&path, "locking the data directory");
        loop {
            let made =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
            let (mut file, existed) = match made {
                Ok(file) => (file, false),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                    match OpenOptions::new().read(true).write(true).open(&path) {
                        Ok(file) => (file, true),
                        Err(e) if e.kind() == ErrorKind::NotFound => continue, // just removed
                        Err(e) => return Err(locking(e)),
                    }
                }
                Err(e) => return Err(locking(e)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(std::fs::TryLockError::WouldBlock) => {
                    let pid = read_small(&mut file).ok().and_then(|b| {
                        std::str::from_utf8(&b).ok().and_then(|t| t.trim().parse().ok())
                    });
                    return Err(StoreError::InUse { dir: dir.to_path_buf(), pid });
                }
                Err(std::fs::TryLockError::Error(e)) => return Err(locking(e)),
            }
            // A refused start may have removed the file between our open and our lock.
            let same = match (file.metadata(), std::fs::metadata(&path)) {
                (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
                _ => false,
            };
            if !same {
                continue;
            }
            let before =
                if existed { Some(read_small(&mut file).map_err(&locking)?) } else { None };
            let mut lock = Self { file, path: path.clone(), before, kept: false };
            let pid = format!("{}\n", std::process::id());
            lock.write(pid.as_bytes()).map_err(&locking)?;
            return Ok(lock);
        }
    }

    /// The start was not refused: the file stays ours when this is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(bytes)
    }
}

impl Drop for Lock {
    /// After a refusal the file is as it was; else it stays, empty. Errors can't matter: the lock
    /// itself goes with the descriptor.
    fn drop(&mut self) {
        let _ = match (self.kept, self.before.take()) {
            (true, _) => self.file.set_len(0),
            (false, Some(before)) => self.write(&before),
            (false, None) => std::fs::remove_file(&self.path),
        };
    }
}

fn read_small(file: &mut File) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(4_096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_store_that_comes_while_one_looks_is_no_strangers_file() {
        let parent = tempfile::tempdir().unwrap();
        for round in 0..2_000 {
            let dir = parent.path().join(round.to_string());
            std::fs::create_dir(&dir).unwrap();
            let together = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    together.wait();
                    for name in [STORE_FILE, "store.db-wal", "store.db-shm"] {
                        File::create(dir.join(name)).unwrap();
                    }
                });
                together.wait();
                prepare(&dir, &[]).unwrap();
            });
        }
    }

    #[test]
    fn a_strangers_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        File::create(dir.path().join("diary")).unwrap();
        let error = prepare(dir.path(), &[]).unwrap_err();
        assert!(error.to_string().contains("diary"), "{error}");
        File::create(dir.path().join(STORE_FILE)).unwrap();
        prepare(dir.path(), &[]).unwrap();
    }
}
