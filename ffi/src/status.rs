//! The one numbered list of what a call can come to. Numbers are never changed nor used again: a
//! program that was built against an older header gets those it does not know as plain failures.

use shmirror::{CellError, Error, RefuseCode, RejectCode};

/// What a call came to. 0 is success; 1 to 15 are outcomes that are no failure, and set no message;
/// everything else is a failure, whose particulars shmirror_last_message() tells. The list grows at its
/// gaps and its end: treat a number that you do not know as a failure.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_status {
    /// Done.
    SHMIRROR_OK = 0,
    /// There is no row with this key.
    SHMIRROR_NOT_FOUND = 1,
    /// There is nothing more to come.
    SHMIRROR_END = 2,
    /// Not yet: the request is under way, or there was no event in time.
    SHMIRROR_PENDING = 3,

    /// A pointer is NULL that must not be.
    SHMIRROR_NULL_ARGUMENT = 16,
    /// A handle that was closed, or one of another kind.
    SHMIRROR_STALE_HANDLE = 17,
    /// The caller's buffer is too small; where there is a length to be told, it was told.
    SHMIRROR_SHORT_BUFFER = 18,
    /// A text that is not UTF-8.
    SHMIRROR_NOT_UTF8 = 19,
    /// A number that is out of its range: an index, an enumerator, a count.
    SHMIRROR_BAD_ARGUMENT = 20,
    /// A fault of the library's own, caught at its edge; the handle should be closed.
    SHMIRROR_PANIC = 21,
    /// The library is older than the header that the program was built with.
    SHMIRROR_VERSION = 22,
    /// Another thread is using this handle, which serves one at a time.
    SHMIRROR_BUSY = 23,

    /// Nobody answers at the control socket.
    SHMIRROR_NO_DAEMON = 32,
    /// The socket's path does not fit into a socket address.
    SHMIRROR_SOCKET_PATH_TOO_LONG = 33,
    /// An instance name that is none.
    SHMIRROR_INSTANCE_NAME = 34,
    /// Library and daemon were built with different memory layouts.
    SHMIRROR_LAYOUT = 35,
    /// The daemon's access rules, or the socket's mode, refuse this process.
    SHMIRROR_DENIED = 36,
    /// The daemon is away.
    SHMIRROR_DISCONNECTED = 37,
    /// Another instance answers at the socket than the one attached to.
    SHMIRROR_OTHER_INSTANCE = 38,
    /// The handle belongs to the process that this one was forked from.
    SHMIRROR_FORKED = 39,
    /// It took longer than the caller allowed.
    SHMIRROR_TIMED_OUT = 40,
    /// The daemon, or the memory it shares, broke the protocol.
    SHMIRROR_PROTOCOL = 41,
    /// The system refused something.
    SHMIRROR_IO = 42,
    /// A call that makes no sense as it stands.
    SHMIRROR_USAGE = 43,
    /// What was read went on changing until the time was up.
    SHMIRROR_CONTENDED = 44,
    /// The daemon is stopping.
    SHMIRROR_STOPPING = 45,
    /// The daemon holds this no longer.
    SHMIRROR_EXPIRED = 46,
    /// The daemon cannot write, or must not replace, that file.
    SHMIRROR_FILE = 47,

    /// No table of this name.
    SHMIRROR_UNKNOWN_TABLE = 48,
    /// No column of this name or index.
    SHMIRROR_UNKNOWN_COLUMN = 49,
    /// No row with this key, where there must be one.
    SHMIRROR_NO_SUCH_ROW = 50,
    /// Values that are no key of the table.
    SHMIRROR_BAD_KEY = 51,
    /// A value that does not convert to what was asked for without loss.
    SHMIRROR_TYPE_MISMATCH = 52,
    /// The value is NULL.
    SHMIRROR_NULL_VALUE = 53,
    /// A value or row that cannot be stored.
    SHMIRROR_ENCODE = 54,
    /// A row that does not fit into what was asked for.
    SHMIRROR_DECODE = 55,
    /// The cell's row was deleted; shmirror_cell_refresh() looks for the key again.
    SHMIRROR_DELETED = 56,
    /// The cell's table changed shape; shmirror_cell_refresh() looks for key and column again.
    SHMIRROR_RESHAPED = 57,

    /// The lane is full.
    SHMIRROR_FULL = 64,
    /// A transaction that is larger than the lane takes.
    SHMIRROR_TOO_LARGE = 65,
    /// The ticket's outcome is no longer held; whether it was committed is in the commit log.
    SHMIRROR_OUTCOME_EXPIRED = 66,
    /// Committed, but the rows that it returned are lost.
    SHMIRROR_RESULT_LOST = 67,
    /// The commit log no longer holds this revision.
    SHMIRROR_TOO_OLD = 68,

    /// Rejected: the row is not of the revision asked for.
    SHMIRROR_REVISION_MISMATCH = 80,
    /// Rejected: NULL in a NOT NULL column.
    SHMIRROR_NOT_NULL = 81,
    /// Rejected: a UNIQUE rule.
    SHMIRROR_UNIQUE = 82,
    /// Rejected: the primary key is there already.
    SHMIRROR_PRIMARY_KEY = 83,
    /// Rejected: a CHECK rule.
    SHMIRROR_CHECK = 84,
    /// Rejected: a FOREIGN KEY rule.
    SHMIRROR_FOREIGN_KEY = 85,
    /// Rejected by a trigger.
    SHMIRROR_TRIGGER = 86,
    /// Rejected: a value of the wrong type for a STRICT table or an INTEGER PRIMARY KEY.
    SHMIRROR_DATATYPE = 87,
    /// Rejected: SQL that SQLite does not take.
    SHMIRROR_SQL = 88,
    /// Rejected: SQL that an instance does not allow.
    SHMIRROR_NOT_ALLOWED = 89,
    /// Rejected: one of the stated limits.
    SHMIRROR_LIMIT = 90,
    /// Rejected: the statement took too long.
    SHMIRROR_TIME_LIMIT = 91,
    /// Rejected: the store cannot be written.
    SHMIRROR_STORE = 92,
    /// Rejected: no memory for the rows.
    SHMIRROR_MEMORY = 93,
    /// Rejected: a request that is no request.
    SHMIRROR_MALFORMED = 94,
    /// A fault of the daemon's own; its log has the particulars.
    SHMIRROR_INTERNAL = 95,
}

use shmirror_status::*;

/// Each status once, with its name and a short text, both terminated.
const TABLE: &[(shmirror_status, &str, &str)] = &[
    (SHMIRROR_OK, "SHMIRROR_OK\0", "done\0"),
    (SHMIRROR_NOT_FOUND, "SHMIRROR_NOT_FOUND\0", "there is no row with this key\0"),
    (SHMIRROR_END, "SHMIRROR_END\0", "there is nothing more to come\0"),
    (SHMIRROR_PENDING, "SHMIRROR_PENDING\0", "not yet\0"),
    (SHMIRROR_NULL_ARGUMENT, "SHMIRROR_NULL_ARGUMENT\0", "a pointer is NULL that must not be\0"),
    (
        SHMIRROR_STALE_HANDLE,
        "SHMIRROR_STALE_HANDLE\0",
        "the handle is closed, or of another kind\0",
    ),
    (SHMIRROR_SHORT_BUFFER, "SHMIRROR_SHORT_BUFFER\0", "the buffer is too small\0"),
    (SHMIRROR_NOT_UTF8, "SHMIRROR_NOT_UTF8\0", "the text is not UTF-8\0"),
    (SHMIRROR_BAD_ARGUMENT, "SHMIRROR_BAD_ARGUMENT\0", "an argument is out of its range\0"),
    (SHMIRROR_PANIC, "SHMIRROR_PANIC\0", "a fault of the library's own\0"),
    (SHMIRROR_VERSION, "SHMIRROR_VERSION\0", "the library is older than the program's header\0"),
    (SHMIRROR_BUSY, "SHMIRROR_BUSY\0", "another thread is using the handle\0"),
    (SHMIRROR_NO_DAEMON, "SHMIRROR_NO_DAEMON\0", "nobody answers at the control socket\0"),
    (
        SHMIRROR_SOCKET_PATH_TOO_LONG,
        "SHMIRROR_SOCKET_PATH_TOO_LONG\0",
        "the socket's path is too long\0",
    ),
    (SHMIRROR_INSTANCE_NAME, "SHMIRROR_INSTANCE_NAME\0", "that is no instance name\0"),
    (SHMIRROR_LAYOUT, "SHMIRROR_LAYOUT\0", "library and daemon do not fit together\0"),
    (SHMIRROR_DENIED, "SHMIRROR_DENIED\0", "denied\0"),
    (SHMIRROR_DISCONNECTED, "SHMIRROR_DISCONNECTED\0", "the daemon is away\0"),
    (SHMIRROR_OTHER_INSTANCE, "SHMIRROR_OTHER_INSTANCE\0", "another instance answers\0"),
    (SHMIRROR_FORKED, "SHMIRROR_FORKED\0", "the handle belongs to the parent process\0"),
    (SHMIRROR_TIMED_OUT, "SHMIRROR_TIMED_OUT\0", "timed out\0"),
    (SHMIRROR_PROTOCOL, "SHMIRROR_PROTOCOL\0", "the daemon broke the protocol\0"),
    (SHMIRROR_IO, "SHMIRROR_IO\0", "the system refused something\0"),
    (SHMIRROR_USAGE, "SHMIRROR_USAGE\0", "the call makes no sense as it stands\0"),
    (SHMIRROR_CONTENDED, "SHMIRROR_CONTENDED\0", "it went on changing while it was read\0"),
    (SHMIRROR_STOPPING, "SHMIRROR_STOPPING\0", "the daemon is stopping\0"),
    (SHMIRROR_EXPIRED, "SHMIRROR_EXPIRED\0", "the daemon holds this no longer\0"),
    (SHMIRROR_FILE, "SHMIRROR_FILE\0", "the daemon cannot write that file\0"),
    (SHMIRROR_UNKNOWN_TABLE, "SHMIRROR_UNKNOWN_TABLE\0", "no such table\0"),
    (SHMIRROR_UNKNOWN_COLUMN, "SHMIRROR_UNKNOWN_COLUMN\0", "no such column\0"),
    (SHMIRROR_NO_SUCH_ROW, "SHMIRROR_NO_SUCH_ROW\0", "no such row\0"),
    (SHMIRROR_BAD_KEY, "SHMIRROR_BAD_KEY\0", "the values are no key of the table\0"),
    (
        SHMIRROR_TYPE_MISMATCH,
        "SHMIRROR_TYPE_MISMATCH\0",
        "the value does not convert without loss\0",
    ),
    (SHMIRROR_NULL_VALUE, "SHMIRROR_NULL_VALUE\0", "the value is NULL\0"),
    (SHMIRROR_ENCODE, "SHMIRROR_ENCODE\0", "the value cannot be stored\0"),
    (SHMIRROR_DECODE, "SHMIRROR_DECODE\0", "the row does not fit\0"),
    (SHMIRROR_DELETED, "SHMIRROR_DELETED\0", "the cell's row was deleted\0"),
    (SHMIRROR_RESHAPED, "SHMIRROR_RESHAPED\0", "the cell's table changed shape\0"),
    (SHMIRROR_FULL, "SHMIRROR_FULL\0", "the lane is full\0"),
    (SHMIRROR_TOO_LARGE, "SHMIRROR_TOO_LARGE\0", "the transaction is too large\0"),
    (SHMIRROR_OUTCOME_EXPIRED, "SHMIRROR_OUTCOME_EXPIRED\0", "the outcome is no longer held\0"),
    (SHMIRROR_RESULT_LOST, "SHMIRROR_RESULT_LOST\0", "committed, but its rows are lost\0"),
    (SHMIRROR_TOO_OLD, "SHMIRROR_TOO_OLD\0", "the commit log no longer holds the revision\0"),
    (
        SHMIRROR_REVISION_MISMATCH,
        "SHMIRROR_REVISION_MISMATCH\0",
        "rejected: the row is of another revision\0",
    ),
    (SHMIRROR_NOT_NULL, "SHMIRROR_NOT_NULL\0", "rejected: NOT NULL\0"),
    (SHMIRROR_UNIQUE, "SHMIRROR_UNIQUE\0", "rejected: UNIQUE\0"),
    (SHMIRROR_PRIMARY_KEY, "SHMIRROR_PRIMARY_KEY\0", "rejected: the key is there already\0"),
    (SHMIRROR_CHECK, "SHMIRROR_CHECK\0", "rejected: CHECK\0"),
    (SHMIRROR_FOREIGN_KEY, "SHMIRROR_FOREIGN_KEY\0", "rejected: FOREIGN KEY\0"),
    (SHMIRROR_TRIGGER, "SHMIRROR_TRIGGER\0", "rejected by a trigger\0"),
    (SHMIRROR_DATATYPE, "SHMIRROR_DATATYPE\0", "rejected: wrong type of value\0"),
    (SHMIRROR_SQL, "SHMIRROR_SQL\0", "rejected: SQL\0"),
    (SHMIRROR_NOT_ALLOWED, "SHMIRROR_NOT_ALLOWED\0", "rejected: SQL that is not allowed here\0"),
    (SHMIRROR_LIMIT, "SHMIRROR_LIMIT\0", "rejected: over a limit\0"),
    (SHMIRROR_TIME_LIMIT, "SHMIRROR_TIME_LIMIT\0", "rejected: took too long\0"),
    (SHMIRROR_STORE, "SHMIRROR_STORE\0", "rejected: the store cannot be written\0"),
    (SHMIRROR_MEMORY, "SHMIRROR_MEMORY\0", "rejected: no memory\0"),
    (SHMIRROR_MALFORMED, "SHMIRROR_MALFORMED\0", "rejected: malformed\0"),
    (SHMIRROR_INTERNAL, "SHMIRROR_INTERNAL\0", "a fault of the daemon's own\0"),
];

/// The name of a status, and its short text; both end with NUL.
pub(crate) fn describe(status: i32) -> Option<(&'static str, &'static str)> {
    TABLE.iter().find(|(s, ..)| *s as i32 == status).map(|(_, name, text)| (*name, *text))
}

/// The status of a failure of the client's.
pub(crate) fn of_error(error: &Error) -> shmirror_status {
    match error {
        Error::NoDaemon { .. } => SHMIRROR_NO_DAEMON,
        Error::SocketPathTooLong { .. } => SHMIRROR_SOCKET_PATH_TOO_LONG,
        Error::InstanceName { .. } => SHMIRROR_INSTANCE_NAME,
        Error::Layout { .. } => SHMIRROR_LAYOUT,
        Error::Denied { .. } => SHMIRROR_DENIED,
        Error::UnknownTable { .. } => SHMIRROR_UNKNOWN_TABLE,
        Error::UnknownColumn { .. } => SHMIRROR_UNKNOWN_COLUMN,
        Error::NoSuchRow { .. } => SHMIRROR_NO_SUCH_ROW,
        Error::Key { .. } => SHMIRROR_BAD_KEY,
        Error::Type { .. } => SHMIRROR_TYPE_MISMATCH,
        Error::Encode { .. } => SHMIRROR_ENCODE,
        Error::Decode { .. } => SHMIRROR_DECODE,
        Error::Cell { source, .. } => of_cell(*source),
        Error::Rejected { code, .. } => of_reject(*code),
        Error::Refused { code, .. } => of_refuse(*code),
        Error::Full { .. } => SHMIRROR_FULL,
        Error::TooLarge { .. } => SHMIRROR_TOO_LARGE,
        Error::TimedOut { .. } => SHMIRROR_TIMED_OUT,
        Error::OutcomeExpired { .. } => SHMIRROR_OUTCOME_EXPIRED,
        Error::ResultLost { .. } => SHMIRROR_RESULT_LOST,
        Error::Disconnected { .. } => SHMIRROR_DISCONNECTED,
        Error::OtherInstance { .. } => SHMIRROR_OTHER_INSTANCE,
        Error::TooOld { .. } => SHMIRROR_TOO_OLD,
        Error::Contended { .. } => SHMIRROR_CONTENDED,
        Error::Forked { .. } => SHMIRROR_FORKED,
        Error::Usage(_) => SHMIRROR_USAGE,
        Error::Protocol(_) => SHMIRROR_PROTOCOL,
        Error::Io { .. } => SHMIRROR_IO,
        // The enum may grow.
        _ => SHMIRROR_INTERNAL,
    }
}

/// The status of a cell that cannot be read.
pub(crate) fn of_cell(error: CellError) -> shmirror_status {
    match error {
        CellError::Deleted => SHMIRROR_DELETED,
        CellError::Reshaped => SHMIRROR_RESHAPED,
        CellError::Null { .. } => SHMIRROR_NULL_VALUE,
        CellError::Type { .. } => SHMIRROR_TYPE_MISMATCH,
        CellError::Contended => SHMIRROR_CONTENDED,
        CellError::Disconnected => SHMIRROR_DISCONNECTED,
        CellError::Forked => SHMIRROR_FORKED,
        CellError::Denied => SHMIRROR_DENIED,
        _ => SHMIRROR_INTERNAL,
    }
}

fn of_reject(code: RejectCode) -> shmirror_status {
    match code {
        RejectCode::Malformed => SHMIRROR_MALFORMED,
        RejectCode::UnknownTable => SHMIRROR_UNKNOWN_TABLE,
        RejectCode::UnknownColumn => SHMIRROR_UNKNOWN_COLUMN,
        RejectCode::NoSuchRow => SHMIRROR_NO_SUCH_ROW,
        RejectCode::BadKey => SHMIRROR_BAD_KEY,
        RejectCode::RevisionMismatch => SHMIRROR_REVISION_MISMATCH,
        RejectCode::NotNull => SHMIRROR_NOT_NULL,
        RejectCode::Unique => SHMIRROR_UNIQUE,
        RejectCode::PrimaryKey => SHMIRROR_PRIMARY_KEY,
        RejectCode::Check => SHMIRROR_CHECK,
        RejectCode::ForeignKey => SHMIRROR_FOREIGN_KEY,
        RejectCode::Trigger => SHMIRROR_TRIGGER,
        RejectCode::Datatype => SHMIRROR_DATATYPE,
        RejectCode::Sql => SHMIRROR_SQL,
        RejectCode::NotAllowed => SHMIRROR_NOT_ALLOWED,
        RejectCode::Limit => SHMIRROR_LIMIT,
        RejectCode::TimeLimit => SHMIRROR_TIME_LIMIT,
        RejectCode::Store => SHMIRROR_STORE,
        RejectCode::Memory => SHMIRROR_MEMORY,
        RejectCode::Stopping => SHMIRROR_STOPPING,
        RejectCode::NotUtf8 => SHMIRROR_NOT_UTF8,
        RejectCode::Denied => SHMIRROR_DENIED,
        _ => SHMIRROR_INTERNAL,
    }
}

fn of_refuse(code: RefuseCode) -> shmirror_status {
    match code {
        RefuseCode::Layout => SHMIRROR_LAYOUT,
        RefuseCode::Denied => SHMIRROR_DENIED,
        RefuseCode::Limit => SHMIRROR_LIMIT,
        RefuseCode::UnknownTable => SHMIRROR_UNKNOWN_TABLE,
        RefuseCode::Expired => SHMIRROR_EXPIRED,
        RefuseCode::TooOld => SHMIRROR_TOO_OLD,
        RefuseCode::Sql => SHMIRROR_SQL,
        RefuseCode::TimeLimit => SHMIRROR_TIME_LIMIT,
        RefuseCode::Malformed => SHMIRROR_MALFORMED,
        RefuseCode::File => SHMIRROR_FILE,
        RefuseCode::Stopping => SHMIRROR_STOPPING,
        _ => SHMIRROR_INTERNAL,
    }
}
