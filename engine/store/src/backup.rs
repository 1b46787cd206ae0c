//! A consistent copy of the store while it is served: one file, complete when it appears under its
//! name, that a daemon with the same key can start from.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use shmirror_shm::points::{self, Point};

use crate::directory::{publish_new, sync_parent};
use crate::error::{StoreError, io, sqlite};
use crate::files;
use crate::reader::{LogReader, reading};
use crate::state::State;

/// Pages copied at a time.
const STEP_PAGES: std::ffi::c_int = 1_024;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// It is of this revision.
    pub revision: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

impl LogReader {
    /// Copies the store as of one moment into the new file `path`. To start from it, put it as
    /// `store.db` into an empty directory, with the key file beside it. The writer goes on meanwhile;
    /// only SQLite's write-ahead log can't begin anew until the copy is done.
    ///
    /// # Errors
    /// [`StoreError::Exists`] where there is a file at `path`; [`StoreError::DiskFull`],
    /// [`StoreError::Io`], with nothing left of the copy.
    pub fn backup_to(&mut self, path: &Path) -> Result<BackupReport, StoreError> {
        if path.symlink_metadata().is_ok() {
            return Err(StoreError::Exists { path: path.to_path_buf() });
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let writing = io(path, "writing the backup");
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(&partial) {
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists { path: partial });
            }
            Err(e) => return Err(writing(e)),
        }
        let done = self.copy_to(&partial).and_then(|revision| {
            let placed = File::open(&partial).and_then(|file| {
                files::sync(&file, &partial)?;
                publish_new(&partial, path)?;
                sync_parent(path)?;
                file.metadata()
            });
            match placed {
                Ok(about) => Ok(BackupReport { revision, bytes: about.len() }),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    Err(StoreError::Exists { path: path.to_path_buf() })
                }
                Err(e) => Err(writing(e)),
            }
        });
        if done.is_err() {
            let _ = std::fs::remove_file(&partial); // the first error is the one to tell
        }
        done
    }

    fn copy_to(&self, partial: &Path) -> Result<u64, StoreError> {
        let failed = sqlite(partial, "writing the backup");
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(partial, flags).map_err(&failed)?;
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            .map_err(&failed)?;
        // The source's own read transaction holds the moment: SQLite does not begin anew then.
        let revision = reading(&self.conn, &self.opener, || {
            let state = State::read(&self.conn, &self.opener)?;
            let backup = Backup::new(&self.conn, &mut copy).map_err(&failed)?;
            loop {
                points::pass(Point::Backup);
                match backup.step(STEP_PAGES).map_err(&failed)? {
                    StepResult::Done => return Ok(state.newest),
                    StepResult::More => {}
                    _ => {
                        let (file, doing) = (partial.to_path_buf(), "writing the backup");
                        return Err(StoreError::Busy { file, doing });
                    }
                }
            }
        })?;
        copy.close().map_err(|(_, e)| failed(e))?;
        Ok(revision)
    }
}
