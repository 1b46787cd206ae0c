//! Making sure of SQLite's write-ahead log, where nobody knows what of it is on the disk.
//!
//! What leaves it so, and what would come of it:
//!
//! ```text
//! lost    a sync failed. Linux then calls the pages clean that it could not write: the next sync succeeds,
//!         and what was committed without a sync before (rows that were checkpointed, say) is on no
//!         disk. A loss of power cuts the log there, whatever was acknowledged behind it.
//!         A process before this one may have met that, and been killed.
//!         So it is with pages of the file that a move of the log had written without coming to its end, which
//!         is not synced: SQLite counts them as moved (`nBackfill`), does not move them again,
//!         and begins the log anew once a later move has synced the others
//! ghost   a commit failed when its frames had been written: its sync failed, or the index of the log
//!         could not grow. SQLite forgets the frames, but they are a whole transaction: if nothing
//!         is written over them, the next start finds what its producers were told is rejected
//! ```
//! So after such a failure nothing is committed, and nothing is moved into the file, before the log was made
//! sure of: each frame is read and checked against the log's chain of checksums, written again to where it
//! stands, so that the kernel calls it dirty again; the head of the frame behind the last one is filled with
//! zeros, which ends the chain; and the file is synced. Then what counts as moved is written to the database
//! again, from the log, and that is synced. Readers go on meanwhile: no byte that they may read changes. The
//! writer alone does this, and it alone writes to the log; nobody moves the log meanwhile, and a move that
//! fails has said so before the next may begin.
//!
//! The log's format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};

use crate::error::{StoreError, io as failed};
use crate::files;
use crate::format::PAGE_BYTES;

/// Bytes of the log's head.
pub(crate) const HEAD: usize = 32;
const FRAME_HEAD: usize = 24;
/// Bytes of a frame.
pub(crate) const FRAME: usize = FRAME_HEAD + PAGE_BYTES as usize;
/// Frames that are read and written again at a time.
const AT_ONCE: usize = 64;

/// What is not known of the log. Shared by the writer and the thread that moves the log into the file.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    lost: AtomicBool,
    ghost: AtomicBool,
    moving: Mutex<()>,
}

/// How far the log goes, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Frames of committed transactions.
    pub frames: u64,
    /// Of those as many as count as moved into the file.
    pub moved: u64,
}

impl Doubt {
    /// Frames may be on no disk.
    pub fn lost(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    /// There may be frames of a transaction that was not committed.
    pub fn ghost(&self) {
        self.ghost.store(true, Ordering::SeqCst);
    }

    /// Waits until nobody moves the log, and has nobody do so until the answer is dropped.
    pub fn alone(&self) -> MutexGuard<'_, ()> {
        // It guards no value that a panic could leave half-written.
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same where nobody does.
    pub fn try_alone(&self) -> Option<MutexGuard<'_, ()>> {
        match self.moving.try_lock() {
            Ok(alone) => Some(alone),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether there is any.
    pub fn is_any(&self) -> bool {
        self.lost.load(Ordering::SeqCst) || self.ghost.load(Ordering::SeqCst)
    }

    /// Notes what an error of SQLite's leaves unknown.
    pub fn note(&self, error: &rusqlite::Error) {
        let code = error.sqlite_error().map(|e| e.extended_code);
        if matches!(code, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC)) {
            self.lost();
        }
    }

    /// Ends it: the frames of the log at `wal` are on the disk when this returns, and none after them is valid;
    /// and those that count as moved are on the disk in the database at `file`. The caller is alone.
    pub fn end(&self, file: &Path, wal: &Path, extent: Extent) -> Result<(), StoreError> {
        let (lost, ghost) =
            (self.lost.swap(false, Ordering::SeqCst), self.ghost.swap(false, Ordering::SeqCst));
        let ended = make_sure(file, wal, extent, lost);
        if ended.is_err() {
            // What was noted meanwhile stays noted.
            self.lost.fetch_or(lost, Ordering::SeqCst);
            self.ghost.fetch_or(ghost, Ordering::SeqCst);
        }
        ended
    }
}

/// Ends the log behind its frames; if any may be `lost`, writes all of them again, and all that count as moved.
fn make_sure(file: &Path, wal: &Path, extent: Extent, lost: bool) -> Result<(), StoreError> {
    let doing = failed(wal, "making sure of the write-ahead log");
    let Extent { frames, moved } = extent;
    let log = match File::options().read(true).write(true).open(wal) {
        Ok(log) => log,
        Err(e) if e.kind() == io::ErrorKind::NotFound && frames == 0 => return Ok(()),
        Err(e) => return Err(doing(e)),
    };
    let pages =
        if lost && frames > 0 { write_again(&log, wal, frames, moved)? } else { BTreeMap::new() };
    let end = HEAD as u64 + frames * FRAME as u64;
    let length = log.metadata().map_err(&doing)?.len();
    let zeros = [0; FRAME_HEAD];
    let there = length.saturating_sub(end).min(zeros.len() as u64) as usize;
    if there > 0 {
        files::write(&log, wal, &zeros[..there], end).map_err(&doing)?;
    }
    files::sync(&log, wal).map_err(&doing)?;
    move_again(&log, wal, file, &pages)
}

/// Writes pages to the database again, each from the frame of that number (from 0). A page behind its end is one
/// that it has no more.
fn move_again(
    log: &File,
    wal: &Path,
    path: &Path,
    pages: &BTreeMap<u32, u64>,
) -> Result<(), StoreError> {
    if pages.is_empty() {
        return Ok(());
    }
    let doing = failed(path, "making sure of what was moved from the write-ahead log");
    let file = File::options().write(true).open(path).map_err(&doing)?;
    let length = file.metadata().map_err(&doing)?.len();
    let mut page = vec![0; PAGE_BYTES as usize];
    for (&number, frame) in pages {
        let to = (u64::from(number) - 1) * PAGE_BYTES;
        if to + PAGE_BYTES > length {
            continue;
        }
        let from = (HEAD + FRAME_HEAD) as u64 + frame * FRAME as u64;
        log.read_exact_at(&mut page, from).map_err(failed(wal, "reading a frame"))?;
        files::write(&file, path, &page, to).map_err(&doing)?;
    }
    files::sync(&file, path).map_err(&doing)
}

/// Writes `frames` frames again. Which pages the first `moved` of them have, each with its last frame; but not
/// those that a later frame has, which SQLite does not move before that.
fn write_again(
    file: &File,
    wal: &Path,
    frames: u64,
    moved: u64,
) -> Result<BTreeMap<u32, u64>, StoreError> {
    let mut pages = BTreeMap::new();
    let doing = failed(wal, "making sure of the write-ahead log");
    let damaged = |what: String| StoreError::Damaged { file: wal.to_path_buf(), what };
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).map_err(&doing)?;
    let mut chain = Chain::of(&head).map_err(damaged)?;
    files::write(file, wal, &head, 0).map_err(&doing)?;
    let mut buffer = vec![0; AT_ONCE * FRAME];
    let mut next = 0;
    while next < frames {
        let count = (frames - next).min(AT_ONCE as u64);
        let some = &mut buffer[..count as usize * FRAME];
        let at = HEAD as u64 + next * FRAME as u64;
        file.read_exact_at(some, at).map_err(&doing)?;
        for (i, frame) in some.chunks_exact(FRAME).enumerate() {
            if !chain.goes_on(frame) {
                let number = next + i as u64 + 1;
                return Err(damaged(format!(
                    "frame {number} of {frames} is not what was written there: the disk lost it when a sync \
                     failed; nothing more is committed, and a restart goes on from what is left"
                )));
            }
        }
        files::write(file, wal, some, at).map_err(&doing)?;
        for (frame, number) in some.chunks_exact(FRAME).zip(next..) {
            if number < moved {
                pages.insert(word(frame, 0), number);
            } else {
                pages.remove(&word(frame, 0));
            }
        }
        next += count;
    }
    Ok(pages)
}

/// The chain of checksums that goes through the log.
struct Chain {
    big_endian: bool,
    salts: [u8; 8],
    sums: (u32, u32),
}

impl Chain {
    /// Of a log with this head.
    fn of(head: &[u8; HEAD]) -> Result<Self, String> {
        let magic = word(head, 0);
        let page = word(head, 8);
        if magic & !1 != 0x377F_0682 || u64::from(page) != PAGE_BYTES {
            return Err(format!("its head has magic {magic:#x} and pages of {page} bytes"));
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(&head[16..24]);
        let mut chain = Self { big_endian: magic & 1 == 1, salts, sums: (0, 0) };
        chain.add(&head[..24]);
        if chain.sums != (word(head, 24), word(head, 28)) {
            return Err("the checksum of its head is wrong".into());
        }
        Ok(chain)
    }

    /// Takes the next frame; whether it belongs there.
    fn goes_on(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEAD..]);
        frame[8..16] == self.salts && self.sums == (word(frame, 16), word(frame, 20))
    }

    fn add(&mut self, bytes: &[u8]) {
        let (mut a, mut b) = self.sums;
        for pair in bytes.chunks_exact(8) {
            let of = |at: usize| {
                let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            a = a.wrapping_add(of(0)).wrapping_add(b);
            b = b.wrapping_add(of(4)).wrapping_add(a);
        }
        self.sums = (a, b);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn log(frames: &mut u64) -> (tempfile::TempDir, std::path::PathBuf, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}; PRAGMA journal_mode = WAL"))
            .unwrap();
        conn.execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES(zeroblob(600000))").unwrap();
        let count = |r: &rusqlite::Row<'_>| r.get::<_, i64>(1);
        *frames = conn.query_row("PRAGMA wal_checkpoint(NOOP)", [], count).unwrap() as u64;
        let wal = dir.path().join("a.db-wal");
        (dir, wal, conn)
    }

    #[test]
    fn a_sound_log_is_made_sure_of_and_stays_what_it_is() {
        let mut frames = 0;
        let (dir, wal, conn) = log(&mut frames);
        assert!(frames > 2 * AT_ONCE as u64);
        let before = std::fs::read(&wal).unwrap();
        let doubt = Doubt::default();
        doubt.lost();
        let extent = Extent { frames, moved: 0 };
        doubt.end(&dir.path().join("a.db"), &wal, extent).unwrap();
        assert!(!doubt.is_any());
        assert_eq!(std::fs::read(&wal).unwrap(), before);
        drop(conn);
    }

    #[test]
    fn a_frame_that_the_disk_lost_is_noticed_and_the_doubt_stays() {
        let mut frames = 0;
        let (dir, wal, conn) = log(&mut frames);
        let mut bytes = std::fs::read(&wal).unwrap();
        for at in [HEAD + 70 * FRAME + 100, HEAD + 70 * FRAME + 9, HEAD + 70 * FRAME + 17, 20] {
            bytes[at] ^= 1;
            std::fs::write(&wal, &bytes).unwrap();
            let doubt = Doubt::default();
            doubt.lost();
            let extent = Extent { frames, moved: 0 };
            let error = doubt.end(&dir.path().join("a.db"), &wal, extent).unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
            assert!(doubt.is_any());
            bytes[at] ^= 1;
        }
        drop(conn);
    }

    #[test]
    fn what_stands_behind_the_last_frame_is_no_transaction_any_more() {
        let mut frames = 0;
        let (dir, wal, conn) = log(&mut frames);
        conn.execute_batch("INSERT INTO t VALUES('ghost')").unwrap();
        let doubt = Doubt::default();
        doubt.ghost();
        let extent = Extent { frames, moved: 0 };
        doubt.end(&dir.path().join("a.db"), &wal, extent).unwrap();
        let copy = dir.path().join("copy.db");
        std::fs::copy(dir.path().join("a.db"), &copy).unwrap();
        std::fs::copy(&wal, dir.path().join("copy.db-wal")).unwrap();
        let found = Connection::open(&copy).unwrap();
        let rows: i64 = found.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 1);
        drop(conn);
    }

    /// A move that did not come to its end, as a commit came meanwhile, whose pages the disk then lost; and one
    /// that comes to its end, moves the others alone, and syncs them.
    #[test]
    fn what_counts_as_moved_is_in_the_file_again() {
        let mut frames = 0;
        let (dir, wal, conn) = log(&mut frames);
        let path = dir.path().join("a.db");
        let before = std::fs::read(&path).unwrap();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let read = reader.query_row("SELECT count(*) FROM t", [], |r| r.get::<_, i64>(0)).unwrap();
        conn.execute_batch("INSERT INTO t VALUES('behind the reader')").unwrap();
        let extent = |row: &rusqlite::Row<'_>| Ok((row.get(1)?, row.get(2)?));
        let (all, moved): (i64, i64) =
            conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], extent).unwrap();
        assert!(read == 1 && moved as u64 == frames && all > moved, "{moved} of {all} were moved");
        let written = std::fs::read(&path).unwrap();
        assert!(written.len() > before.len());
        let lost = vec![0; written.len() - before.len()];
        std::fs::write(&path, [&before[..], &lost].concat()).unwrap();
        let doubt = Doubt::default();
        doubt.lost();
        let extent = Extent { frames: all as u64, moved: moved as u64 };
        doubt.end(&path, &wal, extent).unwrap();
        assert!(std::fs::read(&path).unwrap() == written, "pages that were lost");
        drop((reader, conn));
    }
}
