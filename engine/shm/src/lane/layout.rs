//! Where everything is in the two lanes: offsets, sizes, magic words. No logic.
//!
//! ```text
//! both lanes            0  magic    8  layout hash    16  lane id, or generation    24  words of ring
//!
//! requests lane       128  mutex u32                    producers' line, under the mutex
//!                     256  head                         ditto, stored last
//!                     384  cursor   392  taken          the daemon's line
//!                     400  turn u32                     futex of those who wait for space
//!                     404  waiting u32                  set by them, cleared by the daemon
//!                     512  asleep u32                   the daemon sleeps: ring the doorbell
//!                     640  retired                      0, or 1 + the last ticket that was taken
//!                    4096  outcome table                4096 entries of 256 bytes
//!               1_052_672  ring
//!
//! events lane         128  oldest   136  complete from
//!                     256  turn     264  end 0, next 0, newest 0    288  end 1, next 1, newest 1
//!                     384  retired  392  all tables' futex u32
//!                    4096  a futex u32 for each of 1024 tables (id modulo 1024)
//!                    8192  ring
//!
//! outcome               0  ticket, stored last    8  waiting u32    12  turn u32 (futex)
//!                      16  status    24  revision    32  changes    40  message, 216 bytes
//! ```
//! Words that different sides write are 128 bytes apart, as processors fetch cache lines in pairs.

use core::mem::size_of;

use super::RequestHeader;
use crate::layout::{FNV_START, fold};

/// First word of a requests lane: "shmreqs1".
pub const REQUESTS_MAGIC: u64 = u64::from_le_bytes(*b"shmreqs1");
/// First word of an events lane: "shmevnt1".
pub const EVENTS_MAGIC: u64 = u64::from_le_bytes(*b"shmevnt1");

/// Magic word.
pub const MAGIC: u64 = 0;
/// Layout hash of the build that made the lane.
pub const HASH: u64 = 8;
/// Lane id (requests) or generation (events).
pub const ID: u64 = 16;
/// Words of the ring, a power of two.
pub const RING_WORDS: u64 = 24;

/// Requests: the mutex word.
pub const MUTEX: u64 = 128;
/// Requests: tickets given (upper half) and words written (lower half), both modulo 2^32.
pub const HEAD: u64 = 256;
/// Requests: words consumed.
pub const CURSOR: u64 = 384;
/// Requests: tickets taken.
pub const TAKEN: u64 = 392;
/// Requests: counts releases of space that somebody waited for.
pub const SPACE_TURN: u64 = 400;
/// Requests: somebody waits for space.
pub const SPACE_WAITING: u64 = 404;
/// Requests: the daemon sleeps.
pub const ASLEEP: u64 = 512;
/// Requests: 0, or 1 + the last ticket that was taken.
pub const RETIRED: u64 = 640;
/// Requests: the outcome table.
pub const OUTCOMES: u64 = 4096;
/// Entries of the outcome table.
pub const OUTCOME_ENTRIES: u64 = 4096;
/// Bytes of an outcome entry.
pub const OUTCOME_BYTES: u64 = 256;
/// Requests: the ring.
pub const REQUESTS_RING: u64 = OUTCOMES + OUTCOME_ENTRIES * OUTCOME_BYTES;

/// In an outcome: its ticket.
pub const OUTCOME_TICKET: u64 = 0;
/// In an outcome: somebody waits.
pub const OUTCOME_WAITING: u64 = 8;
/// In an outcome: counts answers that somebody waited for.
pub const OUTCOME_TURN: u64 = 12;
/// In an outcome: status word, revision, changes, message.
pub const OUTCOME_BODY: u64 = 16;
/// Words of [`OUTCOME_BODY`].
pub const OUTCOME_BODY_WORDS: usize = 30;
/// Longest message in an outcome, in bytes.
pub const OUTCOME_MESSAGE_BYTES: usize = 216;

/// Events: position of the oldest valid record, in words ever written.
pub const OLDEST: u64 = 128;
/// Events: first revision all of whose records are still there.
pub const COMPLETE_FROM: u64 = 136;
/// Events: counts announcements; its parity names the valid one of the two [`ENDS`].
pub const TURN: u64 = 256;
/// Events: two times end position, next sequence, newest revision.
pub const ENDS: u64 = 264;
/// Words of each of the [`ENDS`].
pub const END_WORDS: usize = 3;
/// Events: the lane has been followed by another.
pub const EVENTS_RETIRED: u64 = 384;
/// Events: futex word that every announcement changes.
pub const ALL_TABLES: u64 = 392;
/// Events: futex words of the tables.
pub const TABLES: u64 = 4096;
/// Futex words of the tables.
pub const TABLE_WORDS: u64 = 1024;
/// Events: the ring.
pub const EVENTS_RING: u64 = 8192;

/// Smallest ring, in words.
pub const LEAST_RING_WORDS: u64 = 1 << 13;
/// Largest ring, in words: positions are compared modulo 2^32.
pub const MOST_RING_WORDS: u64 = 1 << 28;
/// A record of the events lane takes at most this part of the ring.
pub const EVENTS_SHARE: u64 = 8;
/// A record of the requests lane takes at most this part of the ring.
pub const REQUESTS_SHARE: u64 = 2;

const _: () = {
    assert!(MUTEX >= RING_WORDS + 8 && RETIRED + 8 <= OUTCOMES);
    assert!(CURSOR + 8 == TAKEN && TAKEN + 8 == SPACE_TURN && SPACE_TURN + 4 == SPACE_WAITING);
    assert!(OUTCOME_BODY + OUTCOME_BODY_WORDS as u64 * 8 == OUTCOME_BYTES);
    assert!((3 + OUTCOME_MESSAGE_BYTES / 8) == OUTCOME_BODY_WORDS);
    assert!(REQUESTS_RING == 1_052_672);
    assert!(ENDS + 2 * END_WORDS as u64 * 8 <= EVENTS_RETIRED);
    assert!(ALL_TABLES == EVENTS_RETIRED + 8 && TABLES + 4 * TABLE_WORDS == EVENTS_RING);
};

/// All of the above as one number, for [`LAYOUT_HASH`](crate::layout::LAYOUT_HASH).
pub const LANE_HASH: u64 = {
    let both = [REQUESTS_MAGIC, EVENTS_MAGIC, MAGIC, HASH, ID, RING_WORDS];
    let requests = [
        MUTEX,
        HEAD,
        CURSOR,
        TAKEN,
        SPACE_TURN,
        SPACE_WAITING,
        ASLEEP,
        RETIRED,
        OUTCOMES,
        OUTCOME_ENTRIES,
        OUTCOME_BYTES,
        REQUESTS_RING,
        REQUESTS_SHARE,
        size_of::<RequestHeader>() as u64,
    ];
    let outcome = [
        OUTCOME_TICKET,
        OUTCOME_WAITING,
        OUTCOME_TURN,
        OUTCOME_BODY,
        OUTCOME_BODY_WORDS as u64,
        OUTCOME_MESSAGE_BYTES as u64,
    ];
    let events = [
        OLDEST,
        COMPLETE_FROM,
        TURN,
        ENDS,
        END_WORDS as u64,
        EVENTS_RETIRED,
        ALL_TABLES,
        TABLES,
        TABLE_WORDS,
        EVENTS_RING,
        EVENTS_SHARE,
    ];
    fold(fold(fold(fold(FNV_START, &both), &requests), &outcome), &events)
};
