//! Reading the log beside the writer, on a connection of its own: history from a revision on.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OpenFlags};

use crate::error::{StoreError, sqlite};
use crate::group::{LOG_COLUMNS, LogGroup};
use crate::plain::Plain;
use crate::ring::Held;
use crate::seal::Opener;
use crate::state::State;

/// A reader of the commit log. It may be sent to another thread; a thread that reads often should
/// have its own.
pub struct LogReader {
    pub(crate) conn: Connection,
    pub(crate) opener: Opener,
    pub(crate) buffer: Plain,
    pub(crate) tickets: Tickets,
    /// A read transaction is held open, see [`LogReader::pin`], with the keys that it may need.
    pub(crate) pinned: bool,
    pub(crate) held: Vec<Held>,
}

/// What of the log was looked through for tickets.
#[derive(Default)]
pub(crate) struct Tickets {
    /// Revisions `from..=through` are in `lanes`.
    pub span: Option<(u64, u64)>,
    /// For each lane, by the first ticket that a group has of it: its last ticket there, and the
    /// group's first revision.
    pub lanes: HashMap<u64, BTreeMap<u64, (u64, u64)>>,
    /// Entries in `lanes`.
    pub entries: usize,
}

/// What a call of [`LogReader::history`] covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// All revisions from the one asked for up to this are covered: the next call asks from the
    /// one after.
    pub through: u64,
    /// Oldest revision that the log holds; newest + 1 where it is empty.
    pub oldest: u64,
    /// Newest committed revision.
    pub newest: u64,
}

impl LogReader {
    pub(crate) fn open(path: &std::path::Path, opener: Opener) -> Result<Self, StoreError> {
        let opening = sqlite(path, "opening a reader");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags).map_err(&opening)?;
        conn.execute_batch(
            "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; \
             PRAGMA busy_timeout = 5000;",
        )
        .map_err(&opening)?;
        let (buffer, tickets) = (Plain::default(), Tickets::default());
        Ok(Self { conn, opener, buffer, tickets, pinned: false, held: vec![] })
    }

    /// Oldest revision in the log and newest committed revision.
    ///
    /// # Errors
    /// [`StoreError::BadSeal`], or SQLite's.
    pub fn span(&self) -> Result<(u64, u64), StoreError> {
        reading(&self.conn, &self.opener, || {
            let state = State::read(&self.conn, &self.opener)?;
            Ok((state.log_first, state.newest))
        })
    }

    /// Appends to `out` the records of revision `from` and later, in their order, whole
    /// transactions, until `out` has grown by `max_bytes` or more. Of row records those of `tables`
    /// (all, where it is empty); schema records always.
    ///
    /// # Errors
    /// [`StoreError::TooOld`] where the log begins after `from`; [`StoreError::Hole`],
    /// [`StoreError::BadSeal`], or SQLite's.
    pub fn history(
        &mut self,
        from: u64,
        tables: &[u32],
        namespaces: Option<&[u16]>,
        max_bytes: usize,
        out: &mut Vec<u64>,
    ) -> Result<History, StoreError> {
        let Self { conn, opener, buffer, .. } = self;
        let (conn, opener) = (&*conn, &*opener);
        reading(conn, opener, || {
            let state = State::read(conn, opener)?;
            let (oldest, newest, from) = (state.log_first, state.newest, from.max(1));
            if from < oldest {
                return Err(StoreError::TooOld { from, oldest });
            }
            if from > newest {
                return Ok(History { through: newest, oldest, newest });
            }
            let failed = sqlite(&opener.file, "reading commit_log");
            let sql = format!(
                "SELECT {LOG_COLUMNS} FROM commit_log WHERE first_revision >= \
                 (SELECT max(first_revision) FROM commit_log WHERE first_revision <= ?1) \
                 ORDER BY first_revision"
            );
            let mut select = conn.prepare_cached(&sql).map_err(&failed)?;
            let mut rows = select.query([from as i64]).map_err(&failed)?;
            let mut taking =
                Taking { from, tables, namespaces, limit: out.len() + max_bytes / 8, through: 0 };
            let mut expected = None;
            while let Some(found) = rows.next().map_err(&failed)? {
                let group = LogGroup::open(found, opener, buffer)?;
                // The first group is the one that `from` lies in; the others follow gapless.
                let follows = match expected {
                    None => (group.first..=group.last).contains(&from),
                    Some(expected) => group.first == expected,
                };
                if !follows {
                    let file = opener.file.to_path_buf();
                    let expected = expected.unwrap_or(from);
                    return Err(StoreError::Hole { file, expected, found: group.first });
                }
                expected = Some(group.last + 1);
                if taking.group(&group, opener, out)? {
                    break;
                }
            }
            let through = taking.through;
            if through < from {
                let file = opener.file.to_path_buf();
                return Err(StoreError::Hole { file, expected: from, found: newest + 1 });
            }
            Ok(History { through, oldest, newest })
        })
    }
}

/// Takes records out of groups, whole transactions, up to a limit.
struct Taking<'t> {
    from: u64,
    tables: &'t [u32],
    namespaces: Option<&'t [u16]>,
    /// Words of `out` from which on no transaction is begun.
    limit: usize,
    /// Newest revision that was taken, 0 for none yet.
    through: u64,
}

impl Taking<'_> {
    /// Takes from `group`; whether the limit was reached.
    fn group(
        &mut self,
        group: &LogGroup<'_>,
        opener: &Opener,
        out: &mut Vec<u64>,
    ) -> Result<bool, StoreError> {
        let mut full = false;
        group.for_each(opener, |_, record| {
            let header = record.header();
            full |= self.through > 0 && header.revision > self.through && out.len() >= self.limit;
            if full || header.revision < self.from {
                return Ok(());
            }
            self.through = header.revision;
            let wanted = self.tables.is_empty() || self.tables.contains(&header.table);
            let seen = self.namespaces.is_none_or(|n| n.contains(&header.namespace));
            if seen && (wanted || !record.is_row()) {
                out.extend_from_slice(record.words());
            }
            Ok(())
        })?;
        Ok(full || out.len() >= self.limit)
    }
}

/// Runs `work` in one read transaction, or in the one that is open already.
pub(crate) fn reading<T>(
    conn: &Connection,
    opener: &Opener,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    if !conn.is_autocommit() {
        return work();
    }
    let failed = sqlite(&opener.file, "beginning to read");
    // A rotation that ends meanwhile must not take a key away that this moment's seals need; one that
    // begins before the moment is fixed, by the first read, brings one that they may need.
    let before = opener.keys.hold();
    conn.execute_batch("BEGIN").map_err(&failed)?;
    let fixed = conn
        .prepare_cached("SELECT count(*) FROM key_slot")
        .and_then(|mut look| look.query_row([], |row| row.get::<_, i64>(0)))
        .map_err(&failed);
    let after = opener.keys.hold();
    let done = fixed.and_then(|_| work());
    let ended = conn.execute_batch("COMMIT").map_err(&failed);
    drop((before, after));
    done.and_then(|value| ended.map(|()| value))
}
