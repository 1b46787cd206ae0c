//! The virtual tables: one read-only table of the mirror each.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::sync::Arc;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef as SqlValue};
use rusqlite::vtab::{
    Context, CreateVTab, Filters, IndexConstraintOp, IndexFlags, IndexInfo, Module, VTab,
    VTabConfig, VTabConnection, VTabCursor, VTabKind, sqlite3_vtab, sqlite3_vtab_cursor,
};
use shmirror_shm::catalogue::{Affinity, Collation, KeyKind, TableDef};
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::snapshot::RowBuf;
use shmirror_shm::value::ValueRef;

use super::Stop;
use super::direct::{Scanned, Shared, key_parts};
use crate::apply::db::{Db, SqlError};
use crate::apply::reject::Reject;
use crate::apply::tables::quote;

/// Name of the module.
pub(crate) const MODULE: &str = "shmirror";

/// Plan: the key's values are given.
const BY_KEY: c_int = 1;

/// Registers the module on `db`.
pub(crate) fn install(db: &Db, shared: Arc<Shared>) -> Result<(), SqlError> {
    const READ_ONLY: &Module<'static, MirrorTable> = &Module::read_only_module();
    Ok(db.connection().create_module(MODULE, READ_ONLY, Some(shared))?)
}

/// A table.
#[repr(C)]
pub(crate) struct MirrorTable {
    base: sqlite3_vtab,
    open: Arc<Opened>,
}

/// What its cursors share.
struct Opened {
    shared: Arc<Shared>,
    def: TableDef,
    parts: Vec<KeyPart>,
}

fn refuse(text: String) -> rusqlite::Error {
    rusqlite::Error::ModuleError(text)
}

/// How SQLite is to see the columns: names, affinities and collations; the hidden rowid is its rowid.
fn declaration(def: &TableDef) -> String {
    let columns: Vec<String> = def
        .visible()
        .map(|(_, c)| {
            let affinity = match c.affinity {
                Affinity::Blob => "BLOB",
                Affinity::Text => "TEXT",
                Affinity::Numeric => "NUMERIC",
                Affinity::Integer => "INTEGER",
                Affinity::Real => "REAL",
            };
            let collation = match c.collation {
                Collation::Binary => "BINARY",
                Collation::NoCase => "NOCASE",
                Collation::RTrim => "RTRIM",
            };
            format!("{} {affinity} COLLATE {collation}", quote(&c.name))
        })
        .collect();
    format!("CREATE TABLE mirror({})", columns.join(","))
}

// SAFETY: the struct is repr(C) and begins with `sqlite3_vtab`.
unsafe impl<'vtab> VTab<'vtab> for MirrorTable {
    type Aux = Arc<Shared>;
    type Cursor = MirrorCursor;

    fn connect(
        db: &mut VTabConnection,
        aux: Option<&Self::Aux>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        args: &[&[u8]],
    ) -> rusqlite::Result<(Cow<'static, CStr>, Self)> {
        // Views may use it: it only reads.
        db.config(VTabConfig::Innocuous)?;
        let shared = aux.ok_or_else(|| refuse("no query".to_owned()))?.clone();
        let id = args
            .first()
            .and_then(|a| std::str::from_utf8(a).ok())
            .and_then(|a| a.trim().parse::<u32>().ok());
        let def = id.and_then(|id| shared.source.catalogue().table_by_id(id)).cloned();
        let def = def.ok_or_else(|| refuse("no such table".to_owned()))?;
        let sql = CString::new(declaration(&def)).map_err(|e| refuse(e.to_string()))?;
        let parts = key_parts(&def);
        let open = Arc::new(Opened { shared, def, parts });
        Ok((Cow::Owned(sql), Self { base: sqlite3_vtab::default(), open }))
    }

    fn best_index(&self, info: &mut IndexInfo) -> rusqlite::Result<bool> {
        let Opened { shared, def, parts } = &*self.open;
        // The rowid, column -1, is the key where it is hidden or goes by another name.
        let names = |part: &KeyPart, column: c_int| {
            usize::try_from(column).map_or(def.key != KeyKind::Columns, |c| c == part.index)
        };
        let is_usable = |info: &IndexInfo, at: usize, part: &KeyPart| {
            // Under another collation than the key's, other rows are equal.
            part.affinity != Affinity::Text && part.affinity != Affinity::Blob
                || info.collation(at).is_ok_and(|name| {
                    name.eq_ignore_ascii_case(match part.collation {
                        Collation::Binary => "BINARY",
                        Collation::NoCase => "NOCASE",
                        Collation::RTrim => "RTRIM",
                    })
                })
        };
        let mut found = Vec::with_capacity(parts.len());
        for part in parts {
            let equal = info.constraints().enumerate().find(|(at, c)| {
                c.is_usable()
                    && c.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ
                    && names(part, c.column())
                    && is_usable(info, *at, part)
            });
            found.extend(equal.map(|(at, _)| at));
        }
        if found.len() == parts.len() && !parts.is_empty() {
            for (argument, at) in (1..).zip(found) {
                info.constraint_usage(at).set_argv_index(argument);
            }
            info.set_idx_num(BY_KEY);
            info.set_idx_flags(IndexFlags::SQLITE_INDEX_SCAN_UNIQUE);
            info.set_estimated_cost(2.0);
            info.set_estimated_rows(1);
        } else {
            let rows = shared.source.rows(def).max(1);
            info.set_estimated_cost(rows as f64 * 2.0);
            info.set_estimated_rows(i64::try_from(rows).unwrap_or(i64::MAX));
        }
        Ok(true)
    }

    fn open(&'vtab mut self) -> rusqlite::Result<MirrorCursor> {
        Ok(MirrorCursor {
            base: sqlite3_vtab_cursor::default(),
            open: self.open.clone(),
            at: 0,
            scanned: None,
            row: RowBuf::new(),
            found: false,
            scans: 0,
        })
    }
}

impl CreateVTab<'_> for MirrorTable {
    const KIND: VTabKind = VTabKind::Default;
}

/// A place in a table: in a scan, or at the one row of a key.
#[repr(C)]
pub(crate) struct MirrorCursor {
    base: sqlite3_vtab_cursor,
    open: Arc<Opened>,
    at: usize,
    /// Set for a scan.
    scanned: Option<Arc<Scanned>>,
    /// The row of a key, where `found` says so.
    row: RowBuf,
    found: bool,
    scans: u32,
}

impl MirrorCursor {
    /// The key that the arguments are: `Ok(None)` where no row can have it, and an error where only
    /// SQLite can tell what is equal to them.
    fn key(&self, args: &Filters<'_>) -> Result<Option<Key>, NotByKey> {
        let mut values = Vec::with_capacity(self.open.parts.len());
        for (part, value) in self.open.parts.iter().zip(args.iter()) {
            let value = match value {
                SqlValue::Null => return Ok(None),
                SqlValue::Integer(v) => ValueRef::Integer(v),
                SqlValue::Real(v) => ValueRef::Real(v),
                SqlValue::Text(t) => ValueRef::Text(std::str::from_utf8(t).map_err(|_| NotByKey)?),
                SqlValue::Blob(b) => ValueRef::Blob(b),
            };
            // A number may come from a column with a numeric affinity, which SQLite would apply to
            // our TEXT: then '5.0' is equal to 5, too. And TEXT may meet a number likewise.
            let same_class = match part.affinity {
                Affinity::Text => matches!(value, ValueRef::Text(_) | ValueRef::Blob(_)),
                Affinity::Blob => matches!(value, ValueRef::Blob(_)),
                _ => true,
            };
            if !same_class {
                return Err(NotByKey);
            }
            values.push(value);
        }
        Ok(Key::new(&self.open.parts, &values).ok())
    }

    fn fail(&self, stop: Stop) -> rusqlite::Error {
        self.open.shared.fail(stop)
    }

    fn value(&self, column: usize) -> rusqlite::Result<ValueRef<'_>> {
        let value = match &self.scanned {
            Some(scanned) => match scanned.row(self.at) {
                Some(row) => row.image.get(column),
                None => return Ok(ValueRef::Null),
            },
            None => self.row.image().get(column),
        };
        value.map_err(|e| self.fail(Stop::Reject(Reject::internal("reading a row", e))))
    }
}

/// The row is not to be found by its key.
struct NotByKey;

struct Borrowed<'a>(ValueRef<'a>);

impl ToSql for Borrowed<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            ValueRef::Null => SqlValue::Null,
            ValueRef::Integer(v) => SqlValue::Integer(v),
            ValueRef::Real(v) => SqlValue::Real(v),
            ValueRef::Text(t) => SqlValue::Text(t.as_bytes()),
            ValueRef::Blob(b) => SqlValue::Blob(b),
        }))
    }
}

// SAFETY: the struct is repr(C) and begins with `sqlite3_vtab_cursor`.
unsafe impl VTabCursor for MirrorCursor {
    fn filter(
        &mut self,
        plan: c_int,
        _text: Option<&str>,
        args: &Filters<'_>,
    ) -> rusqlite::Result<()> {
        let open = self.open.clone();
        (self.at, self.found, self.scanned) = (0, false, None);
        if plan == BY_KEY {
            match self.key(args) {
                Ok(None) => return Ok(()),
                Ok(Some(key)) => {
                    let found = open.shared.source.get(&open.def, &key, &mut self.row);
                    self.found = found.map_err(|e| self.fail(e.into()))?;
                    return Ok(());
                }
                Err(NotByKey) => {}
            }
        }
        let scanned = open.shared.scan(&open.def).map_err(|e| self.fail(e))?;
        self.scans += 1;
        if self.scans > 1 {
            open.shared.visit(scanned.len()).map_err(|e| self.fail(e))?;
        }
        self.scanned = Some(scanned);
        Ok(())
    }

    fn next(&mut self) -> rusqlite::Result<()> {
        self.at += 1;
        self.found = false;
        Ok(())
    }

    fn eof(&self) -> bool {
        match &self.scanned {
            Some(scanned) => self.at >= scanned.len(),
            None => !self.found,
        }
    }

    fn column(&self, context: &mut Context, column: c_int) -> rusqlite::Result<()> {
        let column = usize::try_from(column).map_err(|e| refuse(e.to_string()))?;
        context.set_result(Borrowed(self.value(column)?))
    }

    fn rowid(&self) -> rusqlite::Result<i64> {
        let def = &self.open.def;
        if def.key == KeyKind::Columns {
            // Its rowid is not mirrored; the row's number is as good as one.
            let birth = match &self.scanned {
                Some(scanned) => scanned.row(self.at).map_or(0, |row| row.birth),
                None => self.row.birth(),
            };
            return Ok(birth as i64);
        }
        let key = def.key_columns.first().map_or(0, |&i| usize::from(i));
        Ok(match self.value(key)? {
            ValueRef::Integer(rowid) => rowid,
            _ => 0,
        })
    }
}
