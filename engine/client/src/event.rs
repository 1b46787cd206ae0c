//! What a subscriber is told.

use serde_json::{Value as Json, json};
use shmirror_shm::record::Operation;
use shmirror_shm::value::Value;

use crate::json::{timestamp, value_to_json};
use crate::row::Row;

/// One thing that a subscriber is told, in the order of revisions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A row was inserted, updated or deleted.
    Change(ChangeEvent),
    /// Tables were created, changed or dropped.
    Schema(SchemaEvent),
    /// This subscriber was too slow, or away too long, in one of the namespaces that it follows: changes of
    /// that one are missing between what it was told before and what comes next. [`Subscriber::resume_from`](crate::Subscriber::resume_from) gets
    /// them from the commit log.
    Lagged {
        /// How many records were overwritten before they were read; where the commit log no longer
        /// holds them, or the namespace was not to be seen for a while, how many revisions.
        missed: u64,
        /// First revision of which something may be missing.
        first_revision: u64,
    },
}

/// What happened to one row in one transaction.
#[derive(Clone, Debug)]
pub struct ChangeEvent {
    /// Revision of the transaction.
    pub revision: u64,
    /// Number of the event in the lane of its namespace; 0 where it came from the commit log.
    pub sequence: u64,
    /// The table's name at that revision, with its namespace before unless that is `main`; `#` and a
    /// number for one dropped since and unknown.
    pub table: String,
    /// What happened.
    pub operation: Operation,
    /// Values of the key, in key order. A table without a declared key has its rowid here.
    pub key: Vec<Value>,
    /// Names of the columns whose values are new: all of them for an insert, none for a delete.
    pub changed: Vec<String>,
    /// The row after the change; `None` for a delete.
    pub row: Option<Row>,
    /// User id of who made the change.
    pub uid: u32,
    /// Process id of who made the change: one that attached to the lane through which it came, by the
    /// kernel's word. Where several did, the one that the producer's record names; 0 where it names none
    /// of them.
    pub pid: u32,
    /// When it was committed: microseconds since 1970-01-01 UTC.
    pub at_us: i64,
    /// Whether this is the transaction's last change, whatever tables and namespaces are followed: who
    /// follows but some of them may never see it for a transaction, which is then over with the first
    /// event of a newer revision.
    pub last_of_transaction: bool,
}

/// What a transaction did to the schema of one namespace: names of tables, with the namespace before
/// unless that is `main`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaEvent {
    /// Revision of the transaction.
    pub revision: u64,
    /// Tables that are new.
    pub created: Vec<String>,
    /// Tables whose columns or name changed, by their new name.
    pub changed: Vec<String>,
    /// Tables that are gone.
    pub dropped: Vec<String>,
    /// User id of who did it.
    pub uid: u32,
    /// Process id of who did it, as [`ChangeEvent::pid`].
    pub pid: u32,
    /// When it was committed: microseconds since 1970-01-01 UTC.
    pub at_us: i64,
}

impl Event {
    /// The revision that it is about; for [`Event::Lagged`] the first that may be missing.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Change(e) => e.revision,
            Self::Schema(e) => e.revision,
            Self::Lagged { first_revision, .. } => *first_revision,
        }
    }

    /// The event as a JSON object.
    pub fn to_json(&self) -> Json {
        match self {
            Self::Change(e) => e.to_json(),
            Self::Schema(e) => e.to_json(),
            Self::Lagged { missed, first_revision } => {
                json!({"operation": "lagged", "missed": missed, "first_revision": first_revision})
            }
        }
    }
}

impl ChangeEvent {
    /// The event as a JSON object: `revision`, `sequence`, `table`, `key` (array), `operation`,
    /// `columns` (names of the changed ones), `row` (object or null), `uid`, `pid`, `at` (RFC 3339).
    pub fn to_json(&self) -> Json {
        json!({
            "revision": self.revision,
            "sequence": self.sequence,
            "table": self.table,
            "key": self.key.iter().map(|v| value_to_json(v.as_ref())).collect::<Vec<_>>(),
            "operation": self.operation.name(),
            "columns": self.changed,
            "row": self.row.as_ref().map(Row::to_json),
            "uid": self.uid,
            "pid": self.pid,
            "at": timestamp(self.at_us),
        })
    }
}

impl SchemaEvent {
    /// The event as a JSON object: `revision`, `operation` (`"schema"`), `created`, `changed`,
    /// `dropped` (arrays of names), `uid`, `pid`, `at` (RFC 3339).
    pub fn to_json(&self) -> Json {
        json!({
            "revision": self.revision,
            "operation": "schema",
            "created": self.created,
            "changed": self.changed,
            "dropped": self.dropped,
            "uid": self.uid,
            "pid": self.pid,
            "at": timestamp(self.at_us),
        })
    }
}
