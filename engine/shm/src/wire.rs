//! The control socket's messages: Unix SEQPACKET, one message a packet, descriptors beside it.
//!
//! ```text
//! packet   [`PacketHeader`] (16 bytes), then the payload: an rkyv archive of [`Call`] (up) or
//!          [`Answer`] (down), or the fixed [`Hello`] in the first packet up
//! ```
//! The first packet up is `Hello`, whose form never changes, so that builds of any age can refuse
//! each other by name. A payload over [`INLINE_BYTES`] travels in a sealed memfd: the packet's flag
//! says so and its first descriptor is that memfd.
#![expect(missing_docs, reason = "rkyv's derive writes structs without docs for enum variants")]

use rkyv::{Archive, Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::request::{ResultSet, SqlRequest};

/// First word of every packet.
pub const MAGIC: u32 = 0x6D68_7373; // "sshm"
/// Version of `Hello` and [`PacketHeader`].
pub const VERSION: u16 = 1;
/// Longest payload that travels in the packet itself.
pub const INLINE_BYTES: usize = 48 << 10;
/// Flag of a packet whose payload is in its first descriptor.
pub const FLAG_MEMFD: u16 = 1;

/// Head of every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PacketHeader {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u16,
    /// [`FLAG_MEMFD`].
    pub flags: u16,
    /// Number of the call; its answer has the same.
    pub id: u32,
    /// Bytes of the payload.
    pub length: u32,
}

/// First payload up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hello {
    /// [`crate::layout::LAYOUT_HASH`] of the client's build.
    pub layout_hash: u64,
    /// What it comes for: a bit set of `ROLE_*`.
    pub roles: u32,
    /// The client's pid in its own namespace (for display; never trusted).
    pub pid: u32,
    /// Version of the client crate, zero-padded.
    pub version: [u8; 16],
    /// Name of the program, UTF-8, zero-padded.
    pub program: [u8; 32],
}

/// The client reads.
pub const ROLE_MIRROR: u32 = 1;
/// The client writes.
pub const ROLE_PRODUCER: u32 = 2;
/// The client follows changes.
pub const ROLE_SUBSCRIBER: u32 = 4;
/// The client asks (status, check, backup).
pub const ROLE_ADMIN: u32 = 8;

/// What a client asks of the daemon.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub enum Call {
    /// The snapshot segment of this namespace. Answer: [`Answer::Segment`] with its descriptor.
    Segment(String),
    /// The requests lane of the peer's uid and rights. Answer: [`Answer::Lane`] with lane and doorbell.
    Lane,
    /// The events lane of this namespace. Answer: [`Answer::Events`] with its descriptor.
    Events(String),
    /// A descriptor that becomes readable (8 bytes, as of an eventfd) when one of these tables (all
    /// that the peer may see, where empty) changes. It is the reading end of a pipe: an eventfd would share its flags, and
    /// so the daemon's patience, with the client. Answer: [`Answer::Done`] with the descriptor.
    Notify(Vec<u32>),
    /// Somebody holds this lane's mutex and does not go on. Answer: [`Answer::Lane`], a fresh one.
    RetireLane(u64),
    /// What became of a ticket in a lane of an earlier daemon. Answer: [`Answer::Settled`].
    Settled {
        /// The lane's id.
        lane: u64,
        /// The ticket.
        ticket: u64,
    },
    /// A copy of one table between two commits. Answer: [`Answer::TableCopy`] with a memfd.
    TableCopy(u32),
    /// Records of the commit log from a revision on. Answer: [`Answer::History`].
    History {
        /// First revision wanted.
        from: u64,
        /// The namespace wanted; all that the peer may see where empty.
        namespace: String,
        /// Tables wanted, by id; all where empty.
        tables: Vec<u32>,
        /// Stop after about so many bytes.
        max_bytes: u64,
    },
    /// Result rows or the full message of a ticket in the caller's lane. Answer: [`Answer::Rows`]
    /// or [`Answer::Text`].
    Result {
        /// The lane's id.
        lane: u64,
        /// The ticket.
        ticket: u64,
    },
    /// A query that writes nothing, run beside the pipeline at one revision. Answer:
    /// [`Answer::Rows`].
    Query(SqlRequest),
    /// State of the instance. Answer: [`Answer::Text`], JSON.
    Status,
    /// Opens every seal and compares store, working copy and segment. Answer: [`Answer::Text`],
    /// JSON.
    Check,
    /// A consistent copy of the store into a new file. Answer: [`Answer::Text`], JSON.
    Backup(String),
    /// Begins a rotation: a new data key, and everything sealed anew with it, by the cipher of this
    /// name or by the present one. Answer: [`Answer::Text`], JSON; how far it is the status tells.
    RotateKey(Option<String>),
}

/// A namespace that the peer may read.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Seen {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: String,
    /// Whether the peer may write too.
    pub writable: bool,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Archive, Serialize, Deserialize)]
pub enum Answer {
    /// To `Hello`.
    Welcome {
        /// Instance id.
        instance: [u8; 16],
        /// The instance's name.
        name: String,
        /// Generation that the daemon began with.
        generation: u64,
        /// Version of the daemon.
        version: String,
        /// The daemon's pid.
        pid: u32,
        /// Revision at this moment.
        revision: u64,
        /// What the peer may see, by rising number of the namespace.
        namespaces: Vec<Seen>,
    },
    /// The snapshot segment.
    Segment {
        /// Its generation.
        generation: u64,
        /// Its size in bytes, as sealed.
        bytes: u64,
    },
    /// A requests lane: descriptors are the lane's memory and the doorbell eventfd.
    Lane {
        /// Random id, never used again.
        lane: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// The events lane.
    Events {
        /// Its generation.
        generation: u64,
        /// Its size in bytes.
        bytes: u64,
    },
    /// Nothing but success.
    Done,
    /// What became of a ticket: its revision, or `None` where it was not committed.
    Settled(Option<u64>),
    /// A table copied between two commits: the descriptor holds [`TableCopyHeader`] and rows.
    TableCopy {
        /// Revision it is of.
        revision: u64,
        /// Rows in it.
        rows: u64,
        /// Bytes in it.
        bytes: u64,
    },
    /// Records of the commit log. The payload of records is in the packet's last descriptor, a
    /// sealed memfd of `bytes` bytes.
    History {
        /// All of the revisions from `from` up to this are covered.
        through: u64,
        /// Oldest revision that the log holds.
        oldest: u64,
        /// Newest committed revision.
        newest: u64,
        /// Bytes of records.
        bytes: u64,
    },
    /// Result rows, one set for each statement that yields rows.
    Rows {
        /// Revision they are of.
        revision: u64,
        /// Result sets.
        sets: Vec<ResultSet>,
    },
    /// Text, mostly JSON.
    Text(String),
    /// Refused.
    Refused {
        /// Why.
        code: RefuseCode,
        /// What was found and what was expected.
        message: String,
    },
}

/// Why a call was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Archive, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RefuseCode {
    /// The builds' layouts differ.
    Layout,
    /// The peer may not do that.
    Denied,
    /// Too many clients or lanes.
    Limit,
    /// No such table.
    UnknownTable,
    /// No such ticket, or its result was dropped.
    Expired,
    /// The log no longer holds that revision.
    TooOld,
    /// SQLite refused the query.
    Sql,
    /// It took longer than it may.
    TimeLimit,
    /// The message is malformed or out of turn.
    Malformed,
    /// The file could not be written.
    File,
    /// The daemon is stopping.
    Stopping,
    /// An error inside the daemon.
    Internal,
}

/// Head of a table copy; rows follow, each [`TableCopyRow`] and its image's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TableCopyHeader {
    /// Revision it is of.
    pub revision: u64,
    /// Rows that follow.
    pub rows: u64,
    /// Table id.
    pub table: u32,
    /// Shape of the images.
    pub shape: u32,
}

/// Head of one row in a table copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TableCopyRow {
    /// Revision of the row.
    pub revision: u64,
    /// The row's number.
    pub birth: u64,
    /// Bytes of the image's variable part.
    pub var_bytes: u64,
}
