//! The SQLite file: its numbers, its tables, and the look at its first bytes before SQLite sees it.
//! FORMAT.md describes all of it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::error::{StoreError, io, sqlite};

/// `application_id` of a store: "shmr".
pub const APPLICATION_ID: u32 = 0x7368_6D72;
/// `user_version` of a store: the format that this build writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Bytes of a page.
pub(crate) const PAGE_BYTES: u64 = 4_096;

/// The tables. Nothing in them but numbers and sealed values.
pub(crate) const SCHEMA: &str = "
CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE key_slot(id INTEGER PRIMARY KEY, provider TEXT NOT NULL, wrapped BLOB NOT NULL) STRICT;
CREATE TABLE commit_log(first_revision INTEGER PRIMARY KEY, last_revision INTEGER NOT NULL,
    at INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
CREATE TABLE row(slot INTEGER PRIMARY KEY, revision INTEGER NOT NULL, sealed BLOB NOT NULL) STRICT;
";

/// Names in `meta`.
pub(crate) const META_INSTANCE: &str = "instance";
pub(crate) const META_STATE: &str = "state";
pub(crate) const META_CATALOGUE: &str = "catalogue";

/// Looks at the first 100 bytes of the file (<https://sqlite.org/fileformat2.html#the_database_header>)
/// and refuses what is no store of ours, without SQLite, which might write.
///
/// The caller has the directory's lock and no SQLite connection to the file: closing a descriptor of
/// it drops all POSIX locks that the process has on it.
pub(crate) fn examine_header(path: &Path) -> Result<(), StoreError> {
    let reading = io(path, "reading the store's header");
    let mut file = File::open(path).map_err(&reading)?;
    let about = file.metadata().map_err(&reading)?;
    let not_ours = |found: String| {
        let expected = format!("a store (SQLite, application_id {APPLICATION_ID:#x})");
        StoreError::NotOurs { path: path.to_path_buf(), found, expected }
    };
    if !about.is_file() {
        return Err(not_ours("no regular file".into()));
    }
    let mut head = [0u8; 100];
    if about.len() < 100 {
        let what = format!("{} bytes, a store has at least {PAGE_BYTES}", about.len());
        return Err(StoreError::Damaged { file: path.to_path_buf(), what });
    }
    file.read_exact(&mut head).map_err(&reading)?;
    if &head[..16] != b"SQLite format 3\0" {
        return Err(not_ours("a file that is no SQLite database".into()));
    }
    let number =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (application, version) = (number(68), number(60));
    if application != APPLICATION_ID {
        return Err(not_ours(format!("a SQLite database of application_id {application:#x}")));
    }
    if version > FORMAT {
        let path = path.to_path_buf();
        return Err(StoreError::NewerFormat { path, found: version, supported: FORMAT });
    }
    if version != FORMAT {
        let what = format!("format {version}, expected {FORMAT}");
        return Err(StoreError::Damaged { file: path.to_path_buf(), what });
    }
    Ok(())
}

/// A value of `meta`.
pub(crate) fn meta(conn: &Connection, file: &Path, name: &str) -> Result<Vec<u8>, StoreError> {
    let reading = sqlite(file, "reading meta");
    let mut find =
        conn.prepare_cached("SELECT value FROM meta WHERE name = ?1").map_err(&reading)?;
    let value = find.query_row([name], |r| r.get(0)).optional().map_err(&reading)?;
    value.ok_or_else(|| StoreError::Damaged {
        file: file.to_path_buf(),
        what: format!("meta has no value {name:?}"),
    })
}

/// Sets a value of `meta`.
pub(crate) fn set_meta(
    conn: &Connection,
    file: &Path,
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    let writing = sqlite(file, "writing meta");
    let sql =
        "INSERT INTO meta VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET value = excluded.value";
    let mut set = conn.prepare_cached(sql).map_err(&writing)?;
    set.execute((name, value)).map_err(&writing)?;
    Ok(())
}
