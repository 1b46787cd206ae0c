//! The daemon's side of a requests lane: take requests, give outcomes.
//!
//! What flows in: whatever producers put into the lane. What flows out: requests, copied once and with
//! every length bounded, or [`LaneCorrupt`]. The daemon never takes the mutex, believes nothing that it
//! reads, and keeps its cursor to itself. What it sleeps on, it must be able to leave without a
//! producer's help: a doorbell can be lost (a producer killed between its push and its ring) or
//! drained by a hostile peer, so each wake of the daemon's timer looks at every lane as well.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{ReadWriteFlags, preadv2};

use super::layout as at;
use super::outcomes::RawOutcome;
use super::queue::{LaneCorrupt, Queue, RawRequest, Taken};
use super::words;
use crate::error::ShmError;
use crate::futex;
use crate::region::Region;

/// The daemon's side of a requests lane.
#[derive(Debug)]
pub struct RequestsConsumer {
    region: Region,
    doorbell: OwnedFd,
    lane: u64,
    ring_words: usize,
    pub(super) taken: Taken,
    retired: bool,
}

impl RequestsConsumer {
    /// A new lane with a ring of `bytes` (rounded up to a power of two, at least 64 KiB), all of its
    /// memory taken.
    ///
    /// # Errors
    /// No memory, or no descriptors.
    pub fn create(lane_id: u64, bytes: u64) -> Result<Self, ShmError> {
        let (region, ring_words) =
            words::create("requests", bytes, at::REQUESTS_MAGIC, lane_id, at::REQUESTS_RING, true)?;
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(ShmError::system("eventfd for a lane's doorbell"))?;
        let taken = Taken::default();
        Ok(Self { region, doorbell, lane: lane_id, ring_words, taken, retired: false })
    }

    /// The lane's id.
    pub fn lane_id(&self) -> u64 {
        self.lane
    }

    /// The lane's memory, for handing out.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// An eventfd that a producer writes when it finds the daemon asleep. Poll it, never read it but
    /// with [`RequestsConsumer::drain_doorbell`].
    pub fn doorbell(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }

    /// Resets the doorbell. Never blocks, though a hostile peer can take the descriptor's non-blocking
    /// flag away.
    pub fn drain_doorbell(&self) {
        let mut counter = [0; 8];
        let mut parts = [IoSliceMut::new(&mut counter)];
        // Offset -1: as read does. NOWAIT: whatever the flags of the descriptor say.
        let _ = preadv2(&self.doorbell, &mut parts, u64::MAX, ReadWriteFlags::NOWAIT);
    }

    /// The next request: `None` if there is none now, or the lane was retired. After an error the
    /// lane stays where it is, and gives the same error again.
    ///
    /// # Errors
    /// A producer scribbled over the lane: close it, and remake it.
    #[expect(clippy::should_implement_trait, reason = "an iterator would hide the error's meaning")]
    pub fn next(&mut self) -> Result<Option<RawRequest>, LaneCorrupt> {
        if self.retired {
            return Ok(None);
        }
        let mut taken = self.taken;
        let request = self.queue().take(&mut taken)?;
        self.taken = taken;
        Ok(request)
    }

    /// Whether there is something to take, or to be told of as an error.
    pub fn pending(&self) -> bool {
        !self.retired && self.queue().pending(&self.taken)
    }

    /// The last ticket that was taken.
    pub fn taken(&self) -> u64 {
        self.taken.tickets
    }

    /// Gives back the space of what was taken, and wakes producers that wait for it.
    pub fn release(&mut self) {
        self.queue().release(&self.taken);
    }

    /// Says that the daemon sleeps (a submit rings the doorbell) or not. After saying yes, ask
    /// [`RequestsConsumer::pending`] before sleeping.
    pub fn set_asleep(&self, asleep: bool) {
        self.queue().set_asleep(asleep);
    }

    /// Puts an outcome into the table, and wakes who waits for it. A message of over 216 bytes is cut,
    /// and marked so.
    pub fn answer(&self, outcome: &RawOutcome) {
        words::slot(&self.region, outcome.ticket).answer(outcome);
    }

    /// Takes nothing more: requests up to the returned ticket were taken, and will be answered here;
    /// later ones never will be. Wakes everybody, so that they see it.
    pub fn retire(&mut self) -> u64 {
        self.retired = true;
        let slots = (0..at::OUTCOME_ENTRIES).map(|entry| words::slot(&self.region, entry));
        self.queue().retire(&self.taken, slots);
        futex::wake(words::half(&self.region, at::MUTEX), futex::ALL);
        self.taken.tickets
    }

    /// Gives the ring's memory back, once the lane is retired: nothing is read there any more. Header
    /// and outcomes stay for whoever still maps the lane.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn vacate_ring(&self) -> Result<(), ShmError> {
        self.region.give_back(at::REQUESTS_RING, self.region.len() - at::REQUESTS_RING)
    }

    /// Gives the outcomes' memory back as well: who asks for one now waits in vain.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn vacate_outcomes(&self) -> Result<(), ShmError> {
        self.region.give_back(at::OUTCOMES, at::REQUESTS_RING - at::OUTCOMES)
    }

    fn queue(&self) -> Queue<'_> {
        words::queue(&self.region, self.lane, self.ring_words)
    }
}
