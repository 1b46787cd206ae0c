//! What can go wrong, as one enum that a caller can match on.
//!
//! Every message names the thing (table, key, column, path), what was found and what was expected.

use std::io;
use std::path::PathBuf;

use shmirror_shm::request::RejectCode;
use shmirror_shm::value::StorageClass;
use shmirror_shm::wire::RefuseCode;

use crate::nearby::suggest;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody answers at the control socket.
    #[error("no daemon at {}: {source}; start one with `shmirror serve`", socket.display())]
    NoDaemon {
        /// The socket's path.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path that does not fit into a socket address.
    #[error(
        "socket path {} has {found} bytes, at most {limit} allowed; choose a shorter one with \
         --socket or SHMIRROR_SOCKET",
        path.display()
    )]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        found: usize,
        /// The most there may be.
        limit: usize,
    },
    /// An instance name that is none.
    #[error("instance name {name:?}: {expected}")]
    InstanceName {
        /// The name.
        name: String,
        /// What a name is.
        expected: &'static str,
    },
    /// Client and daemon were built with different memory layouts.
    #[error("client {client} and daemon do not fit together: {daemon}")]
    Layout {
        /// This build.
        client: String,
        /// What the daemon said of its own, or what was found in its memory.
        daemon: String,
    },
    /// The daemon's access rules, or the socket's mode, refuse this process.
    #[error("denied: {message}")]
    Denied {
        /// What was refused to whom.
        message: String,
    },
    /// No table of this name that this process may see.
    #[error("no table {table:?}{}", suggest(table, known, "tables"))]
    UnknownTable {
        /// The name asked for.
        table: String,
        /// The tables there are.
        known: Vec<String>,
    },
    /// No column of this name.
    #[error("table {table:?} has no column {column:?}{}", suggest(column, known, "columns"))]
    UnknownColumn {
        /// The table.
        table: String,
        /// The name asked for.
        column: String,
        /// The columns there are.
        known: Vec<String>,
    },
    /// No row with this key.
    #[error("table {table:?} has no row with key {key}")]
    NoSuchRow {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
    },
    /// Values that are no key of the table.
    #[error("table {table:?}, key {key}: {message}")]
    Key {
        /// The table.
        table: String,
        /// The key, as text.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// A value that does not convert without loss.
    #[error("table {table:?}, column {column:?}: found {found}, expected {expected}")]
    Type {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Storage class and value.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// A Rust value that is no row, or no value of a column.
    #[error("row for table {table:?}{}: {message}", at_column(column))]
    Encode {
        /// The table.
        table: String,
        /// The field, where it is one field's fault.
        column: Option<String>,
        /// What was found and what was expected.
        message: String,
    },
    /// A row that does not fit into the Rust type.
    #[error("row of table {table:?}{}: {message}", at_column(column))]
    Decode {
        /// The table.
        table: String,
        /// The column, where it is one column's fault.
        column: Option<String>,
        /// What was found and what was expected.
        message: String,
    },
    /// A cell that cannot be read.
    #[error("{what}: {source}")]
    Cell {
        /// Which, as far as is known: the typed getters of a cell name no table.
        what: String,
        /// Why.
        source: CellError,
    },
    /// The daemon did nothing of the transaction.
    #[error("rejected ({}): {message}", reject_name(*code))]
    Rejected {
        /// Why.
        code: RejectCode,
        /// What, where and what was expected.
        message: String,
    },
    /// The daemon refused a call.
    #[error("refused: {message}")]
    Refused {
        /// Why.
        code: RefuseCode,
        /// What was found and what was expected.
        message: String,
    },
    /// The requests lane has no room now.
    #[error("the requests lane is full: {message}")]
    Full {
        /// What was wanted and what there is.
        message: String,
    },
    /// A transaction that is larger than the lane takes.
    #[error("{what} of {found} bytes, at most {allowed} allowed; commit it in several parts")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its bytes.
        found: usize,
        /// The most there may be.
        allowed: usize,
    },
    /// It took longer than the caller allowed.
    #[error("timed out: {what}")]
    TimedOut {
        /// What was waited for, and for how long.
        what: String,
    },
    /// The outcome of this ticket was overwritten by those of later ones.
    #[error(
        "the outcome of ticket {ticket} is no longer held; whether it was committed is in the \
         commit log"
    )]
    OutcomeExpired {
        /// The ticket.
        ticket: u64,
    },
    /// The transaction was committed, but the rows that it returned are lost.
    #[error("committed at revision {revision}, but its result rows are no longer held")]
    ResultLost {
        /// The revision.
        revision: u64,
    },
    /// The connection to the daemon is down.
    #[error("the daemon is away: {what}")]
    Disconnected {
        /// What was going on.
        what: String,
    },
    /// Another instance answers at the socket than the one attached to.
    #[error("another instance answers at the socket: {found}, expected {expected}")]
    OtherInstance {
        /// Id of the instance attached to.
        expected: String,
        /// Id of the one found.
        found: String,
    },
    /// The commit log no longer holds this revision.
    #[error("revision {asked} is no longer in the commit log, the oldest there is {oldest}")]
    TooOld {
        /// The revision asked for.
        asked: u64,
        /// The oldest that the log holds.
        oldest: u64,
    },
    /// The row, table or schema went on changing under the reader until its time was up.
    #[error("{what} went on changing while it was read")]
    Contended {
        /// What was read.
        what: String,
    },
    /// This process was forked from the one that attached.
    #[error("attached by process {attached}, used by its child {child}: attach in the child anew")]
    Forked {
        /// The process that attached.
        attached: u32,
        /// This process.
        child: u32,
    },
    /// A call that makes no sense as it stands.
    #[error("{0}")]
    Usage(String),
    /// The daemon, or the memory it shares, broke the protocol.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was attempted.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// A stable, short name of the kind of error, for programs: `unknown-table`, `unique`, …
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDaemon { .. } => "no-daemon",
            Self::SocketPathTooLong { .. } => "socket-path-too-long",
            Self::InstanceName { .. } => "instance-name",
            Self::Layout { .. } => "layout",
            Self::Denied { .. } => "denied",
            Self::UnknownTable { .. } => "unknown-table",
            Self::UnknownColumn { .. } => "unknown-column",
            Self::NoSuchRow { .. } => "no-such-row",
            Self::Key { .. } => "bad-key",
            Self::Type { .. } => "type",
            Self::Encode { .. } => "encode",
            Self::Decode { .. } => "decode",
            Self::Cell { source, .. } => source.code(),
            Self::Rejected { code, .. } => reject_name(*code),
            Self::Refused { code, .. } => refuse_name(*code),
            Self::Full { .. } => "full",
            Self::TooLarge { .. } => "too-large",
            Self::TimedOut { .. } => "timed-out",
            Self::OutcomeExpired { .. } => "outcome-expired",
            Self::ResultLost { .. } => "result-lost",
            Self::Disconnected { .. } => "disconnected",
            Self::OtherInstance { .. } => "other-instance",
            Self::TooOld { .. } => "too-old",
            Self::Contended { .. } => "contended",
            Self::Forked { .. } => "forked",
            Self::Usage(_) => "usage",
            Self::Protocol(_) => "protocol",
            Self::Io { .. } => "io",
        }
    }

    /// An [`Error::Io`] of what the system said.
    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }
}

impl From<CellError> for Error {
    fn from(source: CellError) -> Self {
        Self::Cell { what: "cell".to_owned(), source }
    }
}

/// Why a cell cannot be read as asked. Small and without allocation: it is met on the fast path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CellError {
    /// The row was deleted (and perhaps inserted again since).
    #[error("its row was deleted; refresh() looks for the key again")]
    Deleted,
    /// The table changed shape, or was dropped.
    #[error("its table changed shape; refresh() looks for key and column again")]
    Reshaped,
    /// The value is NULL.
    #[error("found null, expected {expected}")]
    Null {
        /// What was asked for.
        expected: &'static str,
    },
    /// The value does not convert without loss.
    #[error("found {}, expected {expected}", found.name())]
    Type {
        /// Its storage class.
        found: StorageClass,
        /// What was asked for.
        expected: &'static str,
    },
    /// It went on changing until the tries were used up.
    #[error("it went on changing while it was read")]
    Contended,
    /// The mirror has nothing to read from: the daemon went away while it replaced the segment.
    #[error("the daemon is away")]
    Disconnected,
    /// The daemon's rules were changed: this process may no longer see the table.
    #[error("denied: the daemon withdrew its namespace from this process")]
    Denied,
    /// This process was forked from the one that attached.
    #[error("attached by a parent process: attach in the child anew")]
    Forked,
}

impl CellError {
    /// A stable, short name of the kind of error, as [`Error::code`] has.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Reshaped => "reshaped",
            Self::Null { .. } => "null",
            Self::Type { .. } => "type",
            Self::Contended => "contended",
            Self::Disconnected => "disconnected",
            Self::Denied => "denied",
            Self::Forked => "forked",
        }
    }
}

/// The short name of a reason to reject.
fn reject_name(code: RejectCode) -> &'static str {
    match code {
        RejectCode::Malformed => "malformed",
        RejectCode::UnknownTable => "unknown-table",
        RejectCode::UnknownColumn => "unknown-column",
        RejectCode::NoSuchRow => "no-such-row",
        RejectCode::BadKey => "bad-key",
        RejectCode::RevisionMismatch => "revision-mismatch",
        RejectCode::NotNull => "not-null",
        RejectCode::Unique => "unique",
        RejectCode::PrimaryKey => "primary-key",
        RejectCode::Check => "check",
        RejectCode::ForeignKey => "foreign-key",
        RejectCode::Trigger => "trigger",
        RejectCode::Datatype => "datatype",
        RejectCode::Sql => "sql",
        RejectCode::NotAllowed => "not-allowed",
        RejectCode::Limit => "limit",
        RejectCode::TimeLimit => "time-limit",
        RejectCode::Store => "store",
        RejectCode::Memory => "memory",
        RejectCode::Stopping => "stopping",
        RejectCode::NotUtf8 => "not-utf8",
        RejectCode::Denied => "denied",
        _ => "internal",
    }
}

/// The short name of a reason to refuse.
fn refuse_name(code: RefuseCode) -> &'static str {
    match code {
        RefuseCode::Layout => "layout",
        RefuseCode::Denied => "denied",
        RefuseCode::Limit => "limit",
        RefuseCode::UnknownTable => "unknown-table",
        RefuseCode::Expired => "expired",
        RefuseCode::TooOld => "too-old",
        RefuseCode::Sql => "sql",
        RefuseCode::TimeLimit => "time-limit",
        RefuseCode::Malformed => "malformed",
        RefuseCode::File => "file",
        RefuseCode::Stopping => "stopping",
        _ => "internal",
    }
}

fn at_column(column: &Option<String>) -> String {
    column.as_ref().map(|c| format!(", column {c:?}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn an_unknown_name_is_told_what_it_may_have_meant() {
        let known = names(&["station", "price", "holiday"]);
        let e = Error::UnknownTable { table: "prise".into(), known: known.clone() };
        assert_eq!(e.to_string(), r#"no table "prise"; did you mean price?"#);
        let e = Error::UnknownTable { table: "zebra_crossing".into(), known };
        assert_eq!(e.to_string(), r#"no table "zebra_crossing"; tables: station, price, holiday"#);
        let e = Error::UnknownTable { table: "a".into(), known: Vec::new() };
        assert_eq!(e.to_string(), r#"no table "a"; there are no tables"#);
    }

    #[test]
    fn codes_of_rejections_are_their_own() {
        let e = Error::Rejected { code: RejectCode::Unique, message: "price.id".into() };
        assert_eq!((e.code(), e.to_string().as_str()), ("unique", "rejected (unique): price.id"));
    }
}
