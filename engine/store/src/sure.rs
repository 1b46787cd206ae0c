//! Making sure of SQLite's write-ahead log, where nobody knows what of it is on the disk.
//!
//! What leaves it so, and what would come of it:
//!
//! ```text
//! lost    a sync failed. Linux then calls the pages clean that it could not write: the next sync succeeds,
//!         and what was committed without a sync before (rows that were checkpointed, say) is on no
//!         disk. A loss of power cuts the log there, whatever was acknowledged behind it.
//!         A process before this one may have met that, and been killed
//! ghost   a commit failed when its frames had been written: its sync failed, or the index of the log
//!         could not grow. SQLite forgets the frames, but they are a whole transaction: if nothing
//!         is written over them, the next start finds what its producers were told is rejected
//! ```
//! So after such a failure nothing is committed, and nothing is moved into the file, before the log was made
//! sure of: each frame is read and checked against the log's chain of checksums, written again to where it
//! stands, so that the kernel calls it dirty again; the head of the frame behind the last one is filled with
//! zeros, which ends the chain; and the file is synced. Readers go on meanwhile: no byte that they may
//! read changes. The writer alone does this, and it alone writes to the log.
//!
//! The log's format: <https://sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

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

    /// Ends it: the first `frames` of the log at `wal` are on the disk when this returns, and none after
    /// them is valid.
    pub fn end(&self, wal: &Path, frames: u64) -> Result<(), StoreError> {
        let (lost, ghost) =
            (self.lost.swap(false, Ordering::SeqCst), self.ghost.swap(false, Ordering::SeqCst));
        let ended = make_sure(wal, if lost { frames } else { 0 }, frames);
        if ended.is_err() {
            // What was noted meanwhile stays noted.
            self.lost.fetch_or(lost, Ordering::SeqCst);
            self.ghost.fetch_or(ghost, Ordering::SeqCst);
        }
        ended
    }
}

/// Writes `again` frames again, and ends the log behind `frames`.
fn make_sure(wal: &Path, again: u64, frames: u64) -> Result<(), StoreError> {
    let doing = failed(wal, "making sure of the write-ahead log");
    let file = match File::options().read(true).write(true).open(wal) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound && frames == 0 => return Ok(()),
        Err(e) => return Err(doing(e)),
    };
    if again > 0 {
        write_again(&file, wal, again)?;
    }
    let end = HEAD as u64 + frames * FRAME as u64;
    let length = file.metadata().map_err(&doing)?.len();
    let zeros = [0; FRAME_HEAD];
    let there = length.saturating_sub(end).min(zeros.len() as u64) as usize;
    if there > 0 {
        files::write(&file, wal, &zeros[..there], end).map_err(&doing)?;
    }
    files::sync(&file, wal).map_err(&doing)
}

fn write_again(file: &File, wal: &Path, frames: u64) -> Result<(), StoreError> {
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
        next += count;
    }
    Ok(())
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
        let (_dir, wal, conn) = log(&mut frames);
        assert!(frames > 2 * AT_ONCE as u64);
        let before = std::fs::read(&wal).unwrap();
        let doubt = Doubt::default();
        doubt.lost();
        doubt.end(&wal, frames).unwrap();
        assert!(!doubt.is_any());
        assert_eq!(std::fs::read(&wal).unwrap(), before);
        drop(conn);
    }

    #[test]
    fn a_frame_that_the_disk_lost_is_noticed_and_the_doubt_stays() {
        let mut frames = 0;
        let (_dir, wal, conn) = log(&mut frames);
        let mut bytes = std::fs::read(&wal).unwrap();
        for at in [HEAD + 70 * FRAME + 100, HEAD + 70 * FRAME + 9, HEAD + 70 * FRAME + 17, 20] {
            bytes[at] ^= 1;
            std::fs::write(&wal, &bytes).unwrap();
            let doubt = Doubt::default();
            doubt.lost();
            let error = doubt.end(&wal, frames).unwrap_err();
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
        doubt.end(&wal, frames).unwrap();
        let copy = dir.path().join("copy.db");
        std::fs::copy(dir.path().join("a.db"), &copy).unwrap();
        std::fs::copy(&wal, dir.path().join("copy.db-wal")).unwrap();
        let found = Connection::open(&copy).unwrap();
        let rows: i64 = found.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
        assert_eq!(rows, 1);
        drop(conn);
    }
}
