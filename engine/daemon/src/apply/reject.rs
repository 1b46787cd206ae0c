//! Why a request was refused: SQLite's errors and our own, as a code and a sentence.

use std::fmt::Write as _;

use rusqlite::ffi;
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::limits;
use shmirror_shm::request::RejectCode;
use shmirror_shm::value::ValueRef;

use super::db::SqlError;

/// A request that was refused. Nothing of it remains.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Reject {
    /// Why, as a stable number.
    pub code: RejectCode,
    /// What was found where, and what was expected.
    pub message: String,
}

impl Reject {
    /// A refusal.
    pub fn new(code: RejectCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An error of our own making.
    pub(crate) fn internal(what: &str, error: impl std::fmt::Display) -> Self {
        Self::new(RejectCode::Internal, format!("error inside the daemon while {what}: {error}"))
    }

    /// A limit that was passed.
    pub(crate) fn limit(what: impl std::fmt::Display, found: usize, allowed: usize) -> Self {
        Self::new(RejectCode::Limit, format!("{what}: {found} found, at most {allowed} allowed"))
    }

    /// A limit of the whole instance that was passed, for who may not see all of it.
    pub(crate) fn full(what: &str, allowed: usize) -> Self {
        Self::new(
            RejectCode::Limit,
            format!("there is no room for this: an instance has at most {allowed} {what}"),
        )
    }

    /// No such table among `tables`, which are those that whoever asks may know of.
    pub(crate) fn unknown_table<'t>(
        tables: impl Iterator<Item = &'t TableDef>,
        name: &str,
    ) -> Self {
        let names: Vec<_> = tables.map(TableDef::full_name).collect();
        let message = if names.is_empty() {
            format!("there is no table \"{name}\": there are no tables yet")
        } else {
            let known = list(names.iter().map(AsRef::as_ref));
            format!("there is no table \"{name}\"; tables are {known}")
        };
        Self::new(RejectCode::UnknownTable, message)
    }

    /// No such column.
    pub(crate) fn unknown_column(table: &TableDef, name: &str) -> Self {
        let known = list(table.columns.iter().map(|c| c.name.as_str()));
        let table = table.full_name();
        Self::new(
            RejectCode::UnknownColumn,
            format!("table \"{table}\" has no column \"{name}\"; its columns are {known}"),
        )
    }

    /// What SQLite said, about the thing that `context` names.
    pub(crate) fn of_sqlite(error: &SqlError, context: &str) -> Self {
        let code = code_of(error);
        let mut message = String::new();
        if !context.is_empty() {
            let _ = write!(message, "{context}: ");
        }
        match code {
            RejectCode::NotNull
            | RejectCode::Unique
            | RejectCode::PrimaryKey
            | RejectCode::Check
            | RejectCode::ForeignKey
            | RejectCode::Datatype
            | RejectCode::Sql => message.push_str(&error.message),
            RejectCode::Trigger => {
                let _ = write!(message, "a trigger refused it: {}", error.message);
            }
            RejectCode::Limit => {
                let _ = write!(
                    message,
                    "{}: a value may have {} bytes and a row {}",
                    error.message,
                    limits::VALUE_BYTES,
                    limits::ROW_BYTES
                );
            }
            _ => {
                let _ = write!(message, "{error}");
            }
        }
        Self { code, message }
    }
}

/// SQLite's text for every broken foreign key.
pub(crate) const FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";

fn code_of(error: &SqlError) -> RejectCode {
    match error.code {
        ffi::SQLITE_CONSTRAINT_NOTNULL => return RejectCode::NotNull,
        ffi::SQLITE_CONSTRAINT_UNIQUE => return RejectCode::Unique,
        ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            return RejectCode::PrimaryKey;
        }
        ffi::SQLITE_CONSTRAINT_CHECK => return RejectCode::Check,
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => return RejectCode::ForeignKey,
        // ON DELETE RESTRICT is compiled into a RAISE with this very text.
        ffi::SQLITE_CONSTRAINT_TRIGGER if error.message == FOREIGN_KEY => {
            return RejectCode::ForeignKey;
        }
        ffi::SQLITE_CONSTRAINT_TRIGGER => return RejectCode::Trigger,
        ffi::SQLITE_CONSTRAINT_DATATYPE => return RejectCode::Datatype,
        _ => {}
    }
    match error.primary() {
        ffi::SQLITE_MISMATCH => RejectCode::Datatype,
        ffi::SQLITE_TOOBIG => RejectCode::Limit,
        ffi::SQLITE_INTERRUPT => RejectCode::TimeLimit,
        ffi::SQLITE_NOMEM | ffi::SQLITE_FULL => RejectCode::Memory,
        ffi::SQLITE_AUTH => RejectCode::NotAllowed,
        ffi::SQLITE_ERROR | ffi::SQLITE_CONSTRAINT | ffi::SQLITE_RANGE => RejectCode::Sql,
        _ => RejectCode::Internal,
    }
}

/// Up to twenty names, quoted, then how many more there are.
fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let more = names.len().saturating_sub(SHOWN);
    let mut out = String::new();
    for (i, name) in names.take(SHOWN).enumerate() {
        let _ = write!(out, "{}\"{name}\"", if i == 0 { "" } else { ", " });
    }
    if more > 0 {
        let _ = write!(out, " and {more} more");
    }
    out
}

/// Values as a person writes them: `(7, 'north')`, long ones cut.
pub(crate) fn show_values<'v>(values: impl Iterator<Item = ValueRef<'v>>) -> String {
    const SHOWN: usize = 60;
    let mut out = String::from("(");
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        let _ = match value {
            ValueRef::Null => write!(out, "NULL"),
            ValueRef::Integer(v) => write!(out, "{v}"),
            ValueRef::Real(v) => write!(out, "{v:?}"),
            ValueRef::Text(t) if t.chars().nth(SHOWN).is_none() => write!(out, "'{t}'"),
            ValueRef::Text(t) => {
                let cut: String = t.chars().take(SHOWN).collect();
                write!(out, "'{cut}…' of {} bytes", t.len())
            }
            ValueRef::Blob(b) if b.len() <= SHOWN / 2 => {
                let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
                write!(out, "x'{hex}'")
            }
            ValueRef::Blob(b) => write!(out, "blob of {} bytes", b.len()),
        };
    }
    out.push(')');
    out
}
