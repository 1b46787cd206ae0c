//! Tables in shared memory: read in nanoseconds by any process of the host, written through a daemon
//! that keeps them in an encrypted SQLite store.
//!
//! This is the crate that programs add. The daemon (`shmirror serve`) owns the store; this crate
//! attaches to it over one Unix socket, gets descriptors of shared memory, and from then on reads
//! without a lock, a system call or a word to the daemon.
//!
//! | to | use | costs |
//! |---|---|---|
//! | read rows | [`Mirror`] → [`Table`]: [`get`](Table::get), [`get_many`](Table::get_many), [`scan`](Table::scan) | some ten nanoseconds a row |
//! | read one value over and over | [`Table::cell`] → [`Cell`] | a few nanoseconds |
//! | write | [`Producer`]: [`insert`](Producer::insert), [`update`](Producer::update), [`begin`](Producer::begin), [`execute`](Producer::execute) | one group commit of the store |
//! | be told of changes | [`Subscriber`] → [`Event`] | nothing while nothing changes |
//! | look back | [`Mirror::history`] | a read of the commit log |
//! | ask with SQL | [`Mirror::query`] | a query in the daemon |
//!
//! # A tour
//!
//! Rows are serde types, maps or JSON objects; columns are their fields.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use shmirror::{Event, Mirror, Options, Producer, Subscriber};
//! use std::time::Duration;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Tag {
//!     name: String,
//!     unit: Option<String>, // None is NULL
//!     value: f64,
//! }
//!
//! // The socket that SHMIRROR_SOCKET or SHMIRROR_INSTANCE names, else that of the instance `default`.
//! let options = Options::new();
//!
//! // Write. Every call is one transaction: when it returns, it is durable and every reader sees it.
//! let producer = Producer::attach(&options)?;
//! producer.execute("CREATE TABLE tag (name TEXT PRIMARY KEY, unit TEXT, value REAL NOT NULL)")?;
//!
//! // Follow: everything that is committed from here on.
//! let mut changes = Subscriber::builder(&options).tables(&["tag"]).subscribe()?;
//!
//! producer.insert("tag", &Tag { name: "p1".into(), unit: Some("bar".into()), value: 4.2 })?;
//! let commit = producer.update("tag", "p1", &serde_json::json!({"value": 4.3}))?;
//! producer
//!     .begin() // several changes, of several tables, that commit or fail as one
//!     .upsert("tag", &Tag { name: "p2".into(), unit: None, value: 0.0 })?
//!     .update("tag", "p1", &serde_json::json!({"value": 4.4}))?
//!     .if_revision(commit.revision) // only if nobody else changed p1 meanwhile
//!     .commit()?;
//!
//! // Read.
//! let mirror = Mirror::attach(&options)?;
//! let tags = mirror.table("tag")?; // keep the handle: finding a table is the slow part
//! if let Some(row) = tags.get("p1")? {
//!     let tag: Tag = row.deserialize()?;
//!     let value: f64 = row.get("value")?; // or column by column
//!     println!("{} {value} at revision {}", tag.name, row.revision());
//! }
//! let p1 = tags.cell("p1", "value")?; // one value, resolved once …
//! println!("{}", p1.f64()?); // … then a few nanoseconds
//! for row in tags.scan()?.sorted() { // the whole table as of one revision
//!     println!("{}", row.to_json());
//! }
//!
//! // What happened, when, and by whom.
//! while let Some(event) = changes.next(Duration::from_secs(1))? {
//!     if let Event::Change(c) = event {
//!         println!("{} {} of {:?} by pid {}", c.revision, c.operation.name(), c.key, c.pid);
//!     }
//! }
//! # Ok::<(), shmirror::Error>(())
//! ```
//!
//! # What holds
//!
//! - A [`Commit`] is durable and visible: a read that begins after it sees it, in any process.
//! - A row is never torn; [`Table::get_many`] and [`Table::scan`] are of exactly one revision.
//! - A request is committed once or not at all, whatever dies meanwhile; see [`Ticket`].
//! - A subscriber is told each change once and in order, or told that it missed some.
//! - Values convert only where nothing is lost; else [`Error::Type`] says what was found.
//!
//! # Namespaces
//!
//! A table's name is `namespace.name`, or that of a table of the namespace `main`. Each namespace is
//! shared memory of its own, and a process maps only those that the daemon's rules let it read: what it
//! may not see is not there, by whatever name it asks. [`Mirror::namespaces`] says which there are for
//! this process. Who may write more than one changes them in one transaction; revisions are of the
//! instance as a whole.
//!
//! # When the daemon goes away
//!
//! Every handle outlives it. A [`Mirror`] reads on what was published last ([`Mirror::is_live`] tells)
//! and moves over to the next daemon by itself; a [`Producer`] waits for it, up to its timeout; a
//! [`Subscriber`] goes on where it was. Nothing is to be opened again.
//!
//! # Threads and processes
//!
//! [`Mirror`], [`Table`], [`Cell`], [`Producer`] and [`Ticket`] are `Send` and `Sync` and are used
//! through `&self`; a [`Subscriber`] is `Send`. After `fork` without `exec` a child attaches anew: what
//! it inherited says [`Error::Forked`] as soon as it needs the daemon.

#![deny(unsafe_code)]

mod administrator;
mod attachment;
mod bell;
mod buffer;
mod by_id;
mod cell;
mod connection;
mod copied;
mod de;
mod error;
mod event;
mod feed;
mod follow;
mod form;
mod from_value;
mod history;
mod into_key;
mod json;
mod kept;
mod lane;
mod line;
mod memfd;
mod merge;
mod mirror;
mod name;
mod nearby;
mod options;
mod order;
mod position;
mod producer;
mod render;
mod resolve;
mod row;
mod rows;
mod scan;
mod schema;
mod ser;
mod ser_bytes;
mod shared;
mod spaces;
mod subscriber;
mod swap;
mod table;
mod ticket;
mod transaction;

pub use shmirror_shm::catalogue::{
    Affinity, Catalogue, Collation, ColumnDef, Generated, KeyKind, Namespace, ObjectKind,
    PastShape, SchemaObject, TableDef,
};
/// For the C library, whose deadlines are numbers of this clock.
#[doc(hidden)]
pub use shmirror_shm::clock::monotonic_ns;
pub use shmirror_shm::layout::LAYOUT_HASH;
pub use shmirror_shm::limits;
pub use shmirror_shm::record::Operation;
pub use shmirror_shm::request::{Action, Change, OnConflict, RejectCode, ResultSet};
pub use shmirror_shm::value::{StorageClass, Value, ValueRef};
pub use shmirror_shm::wire::RefuseCode;
/// A namespace that this process may see, from [`Mirror::namespaces`].
pub use shmirror_shm::wire::Seen as VisibleNamespace;

pub use administrator::Administrator;
pub use cell::Cell;
pub use error::{CellError, Error};
pub use event::{ChangeEvent, Event, SchemaEvent};
pub use form::Form;
pub use from_value::{FromValue, Mismatch};
pub use history::History;
pub use into_key::{IntoKey, KeyColumn};
pub use json::{timestamp, value_to_json};
pub use mirror::Mirror;
pub use options::{DEFAULT_INSTANCE, INSTANCE_VARIABLE, Options, SOCKET_VARIABLE};
pub use producer::{Commit, Producer};
pub use row::{Row, RowRef};
pub use rows::Rows;
pub use scan::Scan;
pub use subscriber::{Subscriber, SubscriberBuilder};
pub use table::Table;
pub use ticket::Ticket;
pub use transaction::Transaction;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_where_the_documentation_says() {
        fn shared<T: Send + Sync>() {}
        fn sent<T: Send>() {}
        shared::<(Mirror, Table, Cell, Producer, Ticket, Transaction, Row, Scan)>();
        shared::<(Error, Event, Options, Rows, Form)>();
        sent::<(Subscriber, History)>();
    }
}
