//! The ring's two lanes: requests up, events down.
//!
//! ```text
//! producer ─ RequestsProducer ─► ring ─► RequestsConsumer ─ daemon      robust mutex, one consumer
//! producer ◄──────────── outcome table ◄──────────────────┘             ticket, status, message
//! reader   ◄─ EventsReader ◄─── ring ◄─── EventsWriter ◄─ daemon        broadcast, no lock
//! ```
//!
//! **Submitting** (under the mutex, `queue.rs`): header and payload are stored as relaxed words behind
//! the head; then one release store moves the head, and with it the count of tickets. Killed before
//! that store, a producer leaves the lane as it was; killed after it, its request is in the lane. There
//! is no third case and nothing to repair, so a recovered mutex needs no more than being taken.
//!
//! **Taking** (the daemon): an acquire load of the head, then the header is copied once, bounded, and
//! the payload copied once. The daemon's cursor is its own: the shared one is written, never read. What
//! the producers' side of the lane holds can be anything; the worst is [`LaneCorrupt`].
//!
//! **Answering** (`outcomes.rs`): entry `ticket % 4096` gets the outcome, its ticket stored last.
//!
//! **Retiring**: the word `retired` names the last ticket that was taken, for ever. A producer that
//! finds it submits elsewhere what was not taken.
//!
//! **Announcing** (`log.rs`): the daemon moves `oldest` on, then overwrites; a reader copies, then looks
//! whether `oldest` has passed what it copied.

pub mod layout;
mod log;
mod outcomes;
mod queue;
mod ring;
mod watch;

#[cfg(not(loom))]
mod consumer;
#[cfg(not(loom))]
mod events;
#[cfg(not(loom))]
mod pace;
#[cfg(not(loom))]
mod requests;
#[cfg(not(loom))]
mod words;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(not(loom))]
pub use consumer::RequestsConsumer;
#[cfg(not(loom))]
pub use events::{EventsError, EventsReader, EventsWriter};
pub use outcomes::{FLAG_HAS_ROWS, FLAG_MORE_TEXT, RawOutcome};
pub use queue::{LaneCorrupt, RawRequest};
#[cfg(not(loom))]
pub use requests::{Poll, RequestsProducer, SubmitError, WaitError};

/// What a request record carries. Room for others: a number that the daemon does not know is
/// rejected, not an error of the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKind(pub u16);

impl RequestKind {
    /// An archive of [`Request`](crate::request::Request).
    pub const REQUEST: Self = Self(1);
    /// [Packed](crate::packed) changes.
    pub const CHANGES: Self = Self(2);
}

/// Head of a record in the requests lane; the payload follows, zero-padded to whole words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct RequestHeader {
    /// Bytes of the payload.
    pub length: u32,
    /// A [`RequestKind`].
    pub kind: u16,
    /// Zero.
    pub flags: u16,
    /// Its number in the lane, from 1.
    pub ticket: u64,
    /// The producer's process id, as it says.
    pub pid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Words of a [`RequestHeader`].
pub const REQUEST_HEADER_WORDS: usize = size_of::<RequestHeader>() / 8;
const _: () = assert!(size_of::<RequestHeader>() == 24);

#[cfg(all(test, loom))]
pub(crate) mod models;
