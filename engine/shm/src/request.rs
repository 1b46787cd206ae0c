//! What a producer asks for, and what comes of it: the payloads of the requests lane.
#![expect(missing_docs, reason = "rkyv's derive writes structs without docs for enum variants")]

use rkyv::{Archive, Deserialize, Serialize};

use crate::value::Value;

/// The payload of one request record: an rkyv archive of this, checked on a private copy.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub enum Request {
    /// Changes that commit or fail as one, done in their order.
    ///
    /// An `if_revision` asks for a row as it was *before* the request: it says that nobody else has
    /// changed the row since its revision was read. What earlier changes of the same request did to the
    /// row does not count, so several of them can ask for the same revision, in any order; a row that
    /// was not there before is 0 for all of them.
    Transaction(Vec<Change>),
    /// SQL: DDL, DML and SELECT; several statements are one transaction.
    Sql(SqlRequest),
}

/// Changes to one table.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct Change {
    /// The table's name.
    pub table: String,
    /// What to do.
    pub action: Action,
}

/// One kind of change.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub enum Action {
    /// New rows: each of `rows` has a value for each of `columns`; other columns take their DEFAULT.
    Insert {
        /// Column names; a table without a key also takes `rowid`.
        columns: Vec<String>,
        /// Rows of values in the order of `columns`.
        rows: Vec<Vec<Value>>,
        /// What to do where the key is there already.
        on_conflict: OnConflict,
        /// For a single row: its revision before the request must be this; 0: there must have been no
        /// such row.
        if_revision: Option<u64>,
    },
    /// New values for some columns of the row with this key. No such row is an error.
    Update {
        /// Values of the key columns, in key order.
        key: Vec<Value>,
        /// Names of the columns that change.
        columns: Vec<String>,
        /// Their new values.
        values: Vec<Value>,
        /// The row's revision before the request must be this; 0: the request itself made the row.
        if_revision: Option<u64>,
    },
    /// The row with this key goes. No such row is an error.
    Delete {
        /// Values of the key columns, in key order.
        key: Vec<Value>,
        /// The row's revision before the request must be this; 0: the request itself made the row.
        if_revision: Option<u64>,
    },
}

/// What to do with a new row whose key is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum OnConflict {
    /// The transaction fails.
    Fail,
    /// The old row goes, the new one comes (`INSERT OR REPLACE`).
    Replace,
    /// The old row stays, the new one is left out.
    Skip,
    /// The given columns of the old row take the new values, its other columns stay.
    Update,
}

/// SQL text with values for its parameters.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub struct SqlRequest {
    /// One or more statements.
    pub sql: String,
    /// Values for `?1`, `?2`, … (allowed for a single statement).
    pub params: Vec<Value>,
    /// Keep the rows that SELECT and RETURNING yield, to be fetched with the ticket.
    pub want_rows: bool,
}

/// Why a request was rejected. Numbers are stable; new reasons are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[non_exhaustive]
pub enum RejectCode {
    /// The record or its archive is malformed.
    Malformed = 1,
    /// No such table.
    UnknownTable = 2,
    /// No such column.
    UnknownColumn = 3,
    /// No row with that key.
    NoSuchRow = 4,
    /// The key has a wrong number of values, a NULL, or is too long.
    BadKey = 5,
    /// The row's revision is not the one asked for.
    RevisionMismatch = 6,
    /// A NOT NULL constraint.
    NotNull = 7,
    /// A UNIQUE constraint.
    Unique = 8,
    /// A PRIMARY KEY constraint.
    PrimaryKey = 9,
    /// A CHECK constraint.
    Check = 10,
    /// A FOREIGN KEY constraint.
    ForeignKey = 11,
    /// A trigger raised it.
    Trigger = 12,
    /// A value that the column's type does not take (STRICT tables, rowid).
    Datatype = 13,
    /// SQLite refused the SQL text.
    Sql = 14,
    /// A statement that is not allowed here (ATTACH, PRAGMA, BEGIN …).
    NotAllowed = 15,
    /// Over a stated limit.
    Limit = 16,
    /// The transaction took longer than it may.
    TimeLimit = 17,
    /// The store could not commit (disk full, I/O error).
    Store = 18,
    /// No memory for the segment.
    Memory = 19,
    /// The daemon is stopping.
    Stopping = 20,
    /// TEXT that is not UTF-8.
    NotUtf8 = 21,
    /// The sender may not write.
    Denied = 22,
    /// An error inside the daemon.
    Internal = 23,
}

impl RejectCode {
    /// The code with this number; an unknown one is [`RejectCode::Internal`].
    pub fn from_number(n: u16) -> Self {
        use RejectCode::*;
        const ALL: [RejectCode; 23] = [
            Malformed,
            UnknownTable,
            UnknownColumn,
            NoSuchRow,
            BadKey,
            RevisionMismatch,
            NotNull,
            Unique,
            PrimaryKey,
            Check,
            ForeignKey,
            Trigger,
            Datatype,
            Sql,
            NotAllowed,
            Limit,
            TimeLimit,
            Store,
            Memory,
            Stopping,
            NotUtf8,
            Denied,
            Internal,
        ];
        ALL.into_iter().find(|c| *c as u16 == n).unwrap_or(Internal)
    }
}

/// What became of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed and visible.
    Committed {
        /// The revision, or, where nothing changed, the newest there was.
        revision: u64,
        /// Rows inserted, updated and deleted, those of triggers and cascades included.
        changes: u64,
        /// There are result rows to fetch.
        has_rows: bool,
    },
    /// Nothing of it was done.
    Rejected {
        /// Why.
        code: RejectCode,
        /// What, where and what was expected.
        message: String,
    },
}

/// Result rows of SELECT or RETURNING.
#[derive(Clone, Debug, Default, PartialEq, Archive, Serialize, Deserialize)]
pub struct ResultSet {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows.
    pub rows: Vec<Vec<Value>>,
}
