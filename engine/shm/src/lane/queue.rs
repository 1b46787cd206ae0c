//! The requests lane's ring: what a producer does under the mutex, and what the daemon does without.
//!
//! One word, the head, says both how far the ring is written and how many tickets there are (lower and
//! upper 32 bits, each modulo 2^32), so that they cannot disagree, wherever a producer is killed. The
//! whole numbers follow from the daemon's cursor and count, which are never 2^32 behind: the ring has
//! at most 2^28 words.
//!
//! ```text
//! push     h ← head ; c ← cursor (acquire) ; room? ; words (relaxed) ; head ← h' (release)
//! take     h ← head (acquire) ; copy header, bound it ; copy payload
//! release  taken, cursor ← ours (release) ; fence(SeqCst) ; waiting ? wake
//! bell     head ← h' ; fence(SeqCst) ; asleep ? ring         (producer)
//!          asleep ← 1 ; fence(SeqCst) ; head moved ? stay up  (daemon): one of the two sees the other
//! retire   retired ← 1 + tickets taken ; fence(SeqCst) ; wake who waits for space, and for outcomes
//! want     n ← turn ; waiting ← 1 ; fence(SeqCst) ; retired, or room ? up : futex wait while turn = n
//! ```

use zerocopy::{FromBytes, IntoBytes};

use super::layout::REQUESTS_SHARE;
use super::outcomes::Slot;
use super::ring::Ring;
use super::{REQUEST_HEADER_WORDS, RequestHeader};
use crate::futex;
use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// A request, copied out of the lane once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRequest {
    /// Its number in the lane.
    pub ticket: u64,
    /// Number of its [`RequestKind`](super::RequestKind).
    pub kind: u16,
    /// The producer's process id, as it says.
    pub pid: u32,
    /// Its payload; nothing in it was checked yet.
    pub payload: Vec<u8>,
}

/// A producer scribbled over the lane: it is to be closed and remade.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "requests lane {lane:#x} is corrupt after ticket {ticket}: {what} is {found}, {expected} expected"
)]
pub struct LaneCorrupt {
    /// The lane's id.
    pub lane: u64,
    /// The last ticket that was taken.
    pub ticket: u64,
    /// What is wrong.
    pub what: &'static str,
    /// What was found.
    pub found: u64,
    /// What must be there, or its bound.
    pub expected: u64,
}

/// Why a record is not in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// No room until the daemon takes some.
    Full { needed: usize },
    /// There never will be room.
    TooLarge { allowed: usize },
    /// Head and cursor cannot be.
    Corrupt,
}

/// The daemon's place in the lane: its own, never read back from shared memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Words consumed.
    pub position: u64,
    /// Tickets taken.
    pub tickets: u64,
}

/// The lane's words, without its mutex and outcomes.
#[derive(Clone, Copy)]
pub(crate) struct Queue<'a> {
    pub id: u64,
    pub head: &'a AtomicU64,
    pub cursor: &'a AtomicU64,
    pub taken: &'a AtomicU64,
    pub turn: &'a AtomicU32,
    pub waiting: &'a AtomicU32,
    pub asleep: &'a AtomicU32,
    pub retired: &'a AtomicU64,
    pub ring: Ring<'a>,
}

/// Most bytes of payload in a ring of so many words.
pub(crate) fn most_payload(ring_words: usize) -> usize {
    let words = (ring_words / REQUESTS_SHARE as usize).saturating_sub(REQUEST_HEADER_WORDS);
    (words * 8).min(crate::limits::REQUEST_BYTES)
}

fn record_words(payload: usize) -> usize {
    REQUEST_HEADER_WORDS + payload.div_ceil(8)
}

impl Queue<'_> {
    /// Puts a record into the ring, and returns its ticket. With the mutex held.
    pub fn push(&self, kind: u16, pid: u32, payload: &[u8]) -> Result<u64, PushError> {
        let allowed = most_payload(self.ring.len());
        if payload.len() > allowed {
            return Err(PushError::TooLarge { allowed });
        }
        let needed = record_words(payload.len());
        let (count, end) = halves(self.head.load(Ordering::Relaxed));
        // Acquire: the daemon has read what was in the space that it gave back.
        let cursor = self.cursor.load(Pillar::QueueRoom.order(Ordering::Acquire));
        let used = end.wrapping_sub(cursor as u32) as usize;
        if used > self.ring.len() {
            return Err(PushError::Corrupt);
        }
        if used + needed > self.ring.len() {
            return Err(PushError::Full { needed });
        }
        let position = cursor.wrapping_add(used as u64);
        let taken = self.taken.load(Ordering::Relaxed);
        let count = count.wrapping_add(1);
        let ticket = taken.wrapping_add(u64::from(count.wrapping_sub(taken as u32)));
        let length = payload.len() as u32;
        let header = RequestHeader { length, kind, flags: 0, ticket, pid, reserved: 0 };
        let mut words = [0; REQUEST_HEADER_WORDS];
        words.as_mut_bytes().copy_from_slice(header.as_bytes());
        let head = whole(count, end.wrapping_add(needed as u32));
        if !Pillar::QueueHeadLast.stands() {
            self.head.store(head, Pillar::QueueHead.order(Ordering::Release));
        }
        self.ring.store_words(position, &words);
        self.ring.store_bytes(position.wrapping_add(REQUEST_HEADER_WORDS as u64), payload);
        points::pass(Point::Written);
        // The decisive store. Killed before it: nothing happened. Killed after it: the record is in.
        self.head.store(head, Pillar::QueueHead.order(Ordering::Release));
        Ok(ticket)
    }

    /// After a push: whether the daemon sleeps, so that the doorbell must be rung.
    pub fn must_ring(&self) -> bool {
        Pillar::QueueBellFence.fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed) != 0
    }

    /// Whether the daemon sleeps while there are records. For a producer that waits: it rings again,
    /// in place of one that was killed between its push and its ring.
    #[cfg(not(loom))]
    pub fn overslept(&self) -> bool {
        let end = halves(self.head.load(Ordering::Relaxed)).1;
        end != self.cursor.load(Ordering::Relaxed) as u32 && self.must_ring()
    }

    /// Whether a record of `needed` words has room, as far as one can know without the mutex.
    pub fn has_room(&self, needed: usize) -> bool {
        let end = halves(self.head.load(Ordering::Relaxed)).1;
        let used = end.wrapping_sub(self.cursor.load(Ordering::Relaxed) as u32) as usize;
        used + needed <= self.ring.len()
    }

    /// Says that somebody waits for space; the value that the futex `turn` has until some is
    /// released. Then [`Queue::retired`] and [`Queue::has_room`] are to be asked once more.
    pub fn want_space(&self) -> u32 {
        let turn = self.turn.load(Pillar::QueueWant.order(Ordering::Acquire));
        self.waiting.store(1, Ordering::Relaxed);
        Pillar::QueueWantFence.fence(Ordering::SeqCst);
        turn
    }

    /// The next record, copied out (daemon).
    pub fn take(&self, taken: &mut Taken) -> Result<Option<RawRequest>, LaneCorrupt> {
        let (count, end) = halves(self.head.load(Pillar::QueueTake.order(Ordering::Acquire)));
        let written = end.wrapping_sub(taken.position as u32);
        let waiting = count.wrapping_sub(taken.tickets as u32);
        let corrupt = |what, found: u64, expected: u64| {
            Err(LaneCorrupt { lane: self.id, ticket: taken.tickets, what, found, expected })
        };
        if written as usize > self.ring.len() {
            return corrupt("words in the ring", written.into(), self.ring.len() as u64);
        }
        if written == 0 && waiting == 0 {
            return Ok(None);
        }
        let most = written as usize / REQUEST_HEADER_WORDS;
        if waiting == 0 || waiting as usize > most {
            return corrupt("number of records", waiting.into(), most as u64);
        }
        let mut words = [0; REQUEST_HEADER_WORDS];
        self.ring.copy_words(taken.position, &mut words);
        let Ok(header) = RequestHeader::read_from_bytes(words.as_bytes()) else {
            return corrupt("header's words", words.len() as u64, REQUEST_HEADER_WORDS as u64);
        };
        let allowed = most_payload(self.ring.len());
        let length = header.length as usize;
        if length > allowed {
            return corrupt("bytes of payload", length as u64, allowed as u64);
        }
        let needed = record_words(length);
        if needed > written as usize {
            return corrupt("words of the record", needed as u64, written.into());
        }
        let ticket = taken.tickets.wrapping_add(1);
        if header.ticket != ticket {
            return corrupt("ticket", header.ticket, ticket);
        }
        let start = taken.position.wrapping_add(REQUEST_HEADER_WORDS as u64);
        let mut payload = Vec::with_capacity(length);
        self.ring.copy_bytes(start, length, &mut payload);
        taken.position = taken.position.wrapping_add(needed as u64);
        taken.tickets = ticket;
        Ok(Some(RawRequest { ticket, kind: header.kind, pid: header.pid, payload }))
    }

    /// Whether the head has moved on from the daemon's place, whatever it says.
    pub fn pending(&self, taken: &Taken) -> bool {
        let here = whole(taken.tickets as u32, taken.position as u32);
        self.head.load(Ordering::Relaxed) != here
    }

    /// Gives space back up to the daemon's place, and wakes who waits for it.
    pub fn release(&self, taken: &Taken) {
        self.taken.store(taken.tickets, Ordering::Relaxed);
        self.cursor.store(taken.position, Pillar::QueueRelease.order(Ordering::Release));
        Pillar::QueueReleaseFence.fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.wake_waiting();
        }
    }

    /// Wakes who waits for space, whether there is any or not.
    pub fn wake_waiting(&self) {
        self.waiting.store(0, Ordering::Relaxed);
        if Pillar::QueueTurn.stands() {
            self.turn.fetch_add(1, Pillar::QueueForget.order(Ordering::Release));
        }
        futex::wake(self.turn, futex::ALL);
    }

    /// Whether the lane was retired: the last ticket that was taken.
    pub fn retired(&self) -> Option<u64> {
        self.retired.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Tells for ever that what is behind the daemon's place will not be taken, and wakes all who wait:
    /// for space, and at `slots` for an outcome.
    pub fn retire<'s>(&self, taken: &Taken, slots: impl Iterator<Item = Slot<'s>>) {
        self.release(taken);
        if !Pillar::QueueRetireTold.stands() {
            self.wake_waiting();
        }
        self.retired.store(taken.tickets.wrapping_add(1), Ordering::Relaxed);
        // Who said before this that it waits is seen below; who says so after it sees the word.
        Pillar::QueueRetireFence.fence(Ordering::SeqCst);
        if Pillar::QueueRetireWakes.stands() && Pillar::QueueRetireTold.stands() {
            self.wake_waiting();
        }
        slots.for_each(|slot| slot.wake());
    }

    /// Says whether the daemon sleeps. After saying yes, [`Queue::pending`] is to be asked once more.
    pub fn set_asleep(&self, asleep: bool) {
        self.asleep.store(asleep.into(), Ordering::Relaxed);
        Pillar::QueueSleepFence.fence(Ordering::SeqCst);
    }
}

/// Upper and lower half: count of tickets, position.
fn halves(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

fn whole(count: u32, position: u32) -> u64 {
    u64::from(count) << 32 | u64::from(position)
}

#[cfg(all(test, not(loom)))]
#[path = "queue_tests.rs"]
mod tests;
