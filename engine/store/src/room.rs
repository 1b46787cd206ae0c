//! Room for SQLite's write-ahead log: its file is written with zeros before the first commit, as far as the
//! log goes until it is begun anew. A commit's sync then finds the file as long as it was, and has the log's
//! pages to write and nothing else; of a file that grows, the file system must keep a new length as well, by
//! a journal of its own and so by another write of the disk.
//!
//! Zeros are no transaction: SQLite takes a log for empty whose head is not valid (`walIndexRecover`), and a
//! frame for none that is of page 0. So a kill at any point leaves an empty log, and a log that has a head is
//! let be. Where there is no room on the disk, the log grows as it is needed.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::files;
use crate::sure::{FRAME, HEAD};
use crate::wal;

/// Bytes that are written at a time.
const AT_ONCE: usize = 1 << 20;

/// Bytes of the log's file: those after which the log is moved, and some that come meanwhile.
fn bytes() -> u64 {
    HEAD as u64 + (wal::soft() + wal::soft() / 8) * FRAME as u64
}

/// Makes room in the log at `wal`, if it is there and empty. The caller is the only one who may write to the
/// database, and does not.
pub(crate) fn make(wal: &Path) {
    match extend(wal, bytes()) {
        Ok(()) => {}
        // SQLite makes it when it needs it.
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "no room for the write-ahead log yet; it will grow"),
    }
}

fn extend(wal: &Path, bytes: u64) -> io::Result<()> {
    let no_link = OFlags::NOFOLLOW.bits() as i32;
    let file = File::options().read(true).write(true).custom_flags(no_link).open(wal)?;
    let about = file.metadata()?;
    let length = about.len();
    if !about.is_file() || length >= bytes {
        return Ok(());
    }
    let mut head = [0; HEAD];
    let there = length.min(HEAD as u64) as usize;
    file.read_exact_at(&mut head[..there], 0)?;
    if head != [0; HEAD] {
        return Ok(());
    }
    let zeros = vec![0; AT_ONCE];
    let mut at = length;
    let written = loop {
        let some = bytes.saturating_sub(at).min(zeros.len() as u64) as usize;
        if some == 0 {
            break files::sync(&file, wal);
        }
        if let Err(error) = files::write(&file, wal, &zeros[..some], at) {
            break Err(error);
        }
        at += some as u64;
    };
    if written.is_err() {
        // What is left of the disk is for what is committed.
        files::cut(&file, wal, length)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    const ROOM: u64 = (HEAD + 20 * FRAME) as u64;

    /// A database with one row, all of which is in the file, and where its log will be.
    fn database() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        let sql = "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; CREATE TABLE t(a); \
                   INSERT INTO t VALUES(1)";
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let wal = dir.path().join("a.db-wal");
        assert!(!wal.exists());
        (dir, wal)
    }

    fn rows(dir: &Path) -> Vec<i64> {
        let conn = Connection::open(dir.join("a.db")).unwrap();
        let mut all = conn.prepare("SELECT a FROM t ORDER BY a").unwrap();
        all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_kill_at_any_point_leaves_an_empty_log_and_the_next_one_goes_on() {
        let around = |at: usize| [at - 1, at, at + 1];
        let ends =
            [around(HEAD), around(HEAD + 24), around(HEAD + FRAME), around(ROOM as usize - 1)];
        for length in [0, 1].into_iter().chain(ends.into_iter().flatten()) {
            let (dir, wal) = database();
            std::fs::write(&wal, vec![0; length]).unwrap();
            assert_eq!(rows(dir.path()), [1], "{length} zeros");
            std::fs::write(&wal, vec![0; length]).unwrap();
            extend(&wal, ROOM).unwrap();
            let found = std::fs::read(&wal).unwrap();
            assert!(
                found.len() == ROOM as usize && found.iter().all(|&byte| byte == 0),
                "{length}"
            );
            assert_eq!(rows(dir.path()), [1], "{length} zeros, and then room");
        }
    }

    #[test]
    fn what_is_committed_into_it_is_found_after_a_kill_and_the_length_stays() {
        let (dir, wal) = database();
        let copies = tempfile::tempdir().unwrap();
        std::fs::File::create(&wal).unwrap();
        extend(&wal, ROOM).unwrap();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        for a in 2..9 {
            conn.execute("INSERT INTO t VALUES(?1)", [a]).unwrap();
            assert_eq!(wal.metadata().unwrap().len(), ROOM);
            for name in ["a.db", "a.db-wal"] {
                std::fs::copy(dir.path().join(name), copies.path().join(name)).unwrap();
            }
            assert_eq!(rows(copies.path()), (1..=a).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_log_that_has_anything_in_it_is_not_touched() {
        let (dir, wal) = database();
        let conn = Connection::open(dir.path().join("a.db")).unwrap();
        conn.execute("INSERT INTO t VALUES(2)", []).unwrap();
        let before = std::fs::read(&wal).unwrap();
        extend(&wal, ROOM).unwrap();
        assert_eq!(std::fs::read(&wal).unwrap(), before);
        drop(conn);
        for bytes in [&b"x"[..], &[&[0; HEAD - 1][..], b"x"].concat()] {
            std::fs::write(&wal, bytes).unwrap();
            extend(&wal, ROOM).unwrap();
            assert_eq!(std::fs::read(&wal).unwrap(), bytes);
        }
        std::fs::write(&wal, vec![0; ROOM as usize + 1]).unwrap();
        extend(&wal, ROOM).unwrap();
        assert_eq!(wal.metadata().unwrap().len(), ROOM + 1);
    }

    #[test]
    fn where_there_is_none_nothing_is_made() {
        let (dir, wal) = database();
        make(&wal);
        assert!(!wal.exists());
        let elsewhere = dir.path().join("elsewhere");
        std::fs::File::create(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &wal).unwrap();
        make(&wal);
        assert_eq!(elsewhere.metadata().unwrap().len(), 0);
    }
}
