//! The producers' side of a requests lane: submit, and learn what became of it.
//!
//! What flows in: payloads. What flows out: tickets, and the daemon's outcomes for them. Threads and
//! processes share a lane; its mutex, in shared memory, puts them in order.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::layout as at;
use super::outcomes::{Entry, RawOutcome, Slot};
use super::pace::Pace;
use super::queue::{PushError, Queue, most_payload};
use super::{RequestKind, words};
use crate::error::ShmError;
use crate::futex;
use crate::mutex::{self, Guard, LockError};
use crate::points::{self, Point};
use crate::region::Region;
use crate::sync::{Ordering, spin_loop};

/// A holder that does not move for so long is stuck.
const STUCK: Duration = Duration::from_millis(50);
/// Longest that [`RequestsProducer::try_submit`] waits for the mutex.
const TRY: Duration = Duration::from_millis(100);
/// Longest sleep between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Looks at an outcome before the first sleep.
const SPINS: u32 = 200;
/// Looks between two at the clock, while an outcome is due.
const LOOKS: u32 = 32;

/// Why a request is not in the lane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// No room, and, for [`RequestsProducer::submit`], none until the deadline.
    #[error("requests lane full: no room for a payload of {found} bytes in {lane} bytes")]
    Full {
        /// Bytes of the payload.
        found: u64,
        /// Bytes of the lane's ring.
        lane: u64,
    },
    /// Longer than this lane takes.
    #[error("payload of {found} bytes, at most {allowed} fit into the requests lane")]
    TooLarge {
        /// Bytes of the payload.
        found: u64,
        /// Most there may be.
        allowed: u64,
    },
    /// The lane was followed by another.
    #[error("requests lane retired: what came after ticket {cursor} was not taken")]
    Retired {
        /// Requests with a ticket up to this were taken.
        cursor: u64,
    },
    /// Somebody holds the mutex and does not go on: ask the daemon to retire the lane.
    #[error("requests lane stuck: thread {holder} holds its mutex and does not go on")]
    LockStuck {
        /// The holder's thread id, in its PID namespace.
        holder: u32,
    },
    /// The mutex was not to be had until the deadline, though it went from hand to hand.
    #[error("requests lane busy: its mutex was not free until the deadline")]
    TimedOut,
    /// Somebody scribbled over the lane: ask the daemon to retire it.
    #[error("requests lane {lane:#x} is corrupt")]
    Corrupt {
        /// The lane's id.
        lane: u64,
    },
}

/// What is known of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Poll {
    /// Not answered yet.
    Pending,
    /// Answered.
    Done(RawOutcome),
    /// Answered, but 4096 later answers ago.
    Expired,
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// Not until the deadline; the request may yet commit.
    #[error("no outcome until the deadline")]
    TimedOut,
    /// The outcome was there, and is no more.
    #[error("the outcome was overwritten by a later one")]
    Expired,
    /// The daemon is gone.
    #[error("the daemon is gone, and gave no outcome")]
    Dead,
    /// The lane was retired, and the request was not taken: it is to be submitted elsewhere.
    #[error("requests lane retired after ticket {cursor}: the request was not taken")]
    Retired {
        /// Requests with a ticket up to this were taken.
        cursor: u64,
    },
}

/// The producers' side of a requests lane.
#[derive(Debug)]
pub struct RequestsProducer {
    region: Arc<Region>,
    doorbell: OwnedFd,
    lane: u64,
    ring_words: usize,
    pace: Pace,
}

impl RequestsProducer {
    /// A lane that the daemon handed out, mapped read-write, and its doorbell.
    ///
    /// # Errors
    /// Memory that is no requests lane of this build's layout, or that cannot be written.
    pub fn open(region: Arc<Region>, doorbell: OwnedFd) -> Result<Self, ShmError> {
        let (lane, ring_words) =
            words::open(&region, "requests lane", at::REQUESTS_MAGIC, at::REQUESTS_RING)?;
        if !region.is_writable() {
            let what = "requests lane mapped for reading alone";
            return Err(ShmError::System { what, source: rustix::io::Errno::ACCESS });
        }
        Ok(Self { region, doorbell, lane, ring_words, pace: Pace::default() })
    }

    /// The lane's id.
    pub fn lane_id(&self) -> u64 {
        self.lane
    }

    /// Most bytes of payload in one request.
    pub fn most_payload(&self) -> usize {
        most_payload(self.ring_words)
    }

    /// Puts a request into the lane if there is room now, and returns its ticket; tickets of a lane
    /// begin with 1 and have no gaps. Waits for nothing but the mutex, at most 100 ms.
    ///
    /// # Errors
    /// Any [`SubmitError`]; the request is not in the lane then.
    pub fn try_submit(&self, kind: RequestKind, payload: &[u8]) -> Result<u64, SubmitError> {
        match self.attempt(kind, payload, Instant::now() + TRY)? {
            Ok(ticket) => Ok(ticket),
            Err(_needed) => Err(self.full(payload)),
        }
    }

    /// Puts a request into the lane, waiting until `deadline` for room and for the mutex.
    ///
    /// # Errors
    /// Any [`SubmitError`]; the request is not in the lane then.
    pub fn submit(
        &self,
        kind: RequestKind,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<u64, SubmitError> {
        loop {
            let needed = match self.attempt(kind, payload, deadline)? {
                Ok(ticket) => return Ok(ticket),
                Err(needed) => needed,
            };
            loop {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() && self.retired().is_none() {
                    return Err(self.full(payload));
                }
                let queue = self.queue();
                if queue.overslept() {
                    self.ring();
                }
                // Before both looks, so that what they do not see yet wakes us.
                let turn = queue.want_space();
                if let Some(cursor) = queue.retired() {
                    return Err(SubmitError::Retired { cursor });
                }
                if queue.has_room(needed) {
                    break;
                }
                futex::wait(queue.turn, turn, Some(left.min(LOOK)));
            }
        }
    }

    /// One push under the mutex; `Ok(Err(words needed))` if there is no room.
    fn attempt(
        &self,
        kind: RequestKind,
        payload: &[u8],
        deadline: Instant,
    ) -> Result<Result<u64, usize>, SubmitError> {
        let guard = self.lock(deadline)?;
        points::pass(Point::Locked);
        // Under the mutex or not, this is a race with the daemon: what is pushed after it retired the
        // lane has a ticket after its cursor, and the waiter learns that it was not taken.
        if let Some(cursor) = self.retired() {
            return Err(SubmitError::Retired { cursor });
        }
        let queue = self.queue();
        let pushed = queue.push(kind.0, guard.pid(), payload);
        drop(guard);
        match pushed {
            Ok(ticket) => {
                if queue.must_ring() {
                    self.ring();
                }
                Ok(Ok(ticket))
            }
            Err(PushError::Full { needed }) => Ok(Err(needed)),
            Err(PushError::TooLarge { allowed }) => {
                let (found, allowed) = (payload.len() as u64, allowed as u64);
                Err(SubmitError::TooLarge { found, allowed })
            }
            Err(PushError::Corrupt) => Err(SubmitError::Corrupt { lane: self.lane }),
        }
    }

    /// The mutex, or why not: its holder has not moved for 50 ms, or the deadline is here.
    fn lock(&self, deadline: Instant) -> Result<Guard<'_>, SubmitError> {
        let word = words::half(&self.region, at::MUTEX);
        let head = words::whole(&self.region, at::HEAD);
        let mut before = (mutex::holder(word), head.load(Ordering::Relaxed));
        loop {
            let start = Instant::now();
            let LockError::TimedOut { holder } =
                match mutex::lock(word, deadline.min(start + STUCK)) {
                    Ok(guard) => return Ok(guard),
                    Err(e) => e,
                };
            if let Some(cursor) = self.retired() {
                return Err(SubmitError::Retired { cursor });
            }
            let now = (holder, head.load(Ordering::Relaxed));
            if now == before && start.elapsed() >= STUCK {
                return Err(SubmitError::LockStuck { holder });
            }
            if Instant::now() >= deadline {
                return Err(SubmitError::TimedOut);
            }
            before = now;
        }
    }

    fn full(&self, payload: &[u8]) -> SubmitError {
        SubmitError::Full { found: payload.len() as u64, lane: self.ring_words as u64 * 8 }
    }

    /// What is known of `ticket` at this moment.
    pub fn poll(&self, ticket: u64) -> Poll {
        match self.slot(ticket).read(ticket) {
            Entry::Pending => Poll::Pending,
            Entry::Done(outcome) => Poll::Done(outcome),
            Entry::Expired => Poll::Expired,
        }
    }

    /// Waits for the outcome of `ticket`: looks for a moment, then sleeps, at most 20 ms at a time, and
    /// looks again around the time at which outcomes usually come. Before each sleep `alive` says whether
    /// the daemon is there.
    ///
    /// # Errors
    /// Any [`WaitError`].
    pub fn wait(
        &self,
        ticket: u64,
        deadline: Instant,
        alive: &mut dyn FnMut() -> bool,
    ) -> Result<RawOutcome, WaitError> {
        let slot = self.slot(ticket);
        let look = || match slot.read(ticket) {
            Entry::Pending => None,
            Entry::Done(outcome) => Some(Ok(outcome)),
            Entry::Expired => Some(Err(WaitError::Expired)),
        };
        let begun = Instant::now();
        for _ in 0..SPINS {
            if let Some(answer) = look() {
                self.pace.took(begun.elapsed());
                return answer;
            }
            spin_loop();
        }
        let mut plan = self.pace.plan(begun);
        loop {
            // Asked before the look, so that an answer given before its end is never missed.
            let dead = !alive();
            let turn = slot.want();
            let retired = self.retired().filter(|cursor| *cursor < ticket);
            if let Some(answer) = look() {
                self.pace.took(begun.elapsed());
                return answer;
            }
            if let Some(cursor) = retired {
                return Err(WaitError::Retired { cursor });
            }
            if dead {
                return Err(WaitError::Dead);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WaitError::TimedOut);
            }
            if self.queue().overslept() {
                self.ring();
            }
            let Some(plan) = plan.take() else {
                futex::wait(slot.turn, turn, Some(left.min(LOOK)));
                continue;
            };
            let early = plan.from.saturating_duration_since(Instant::now());
            if !early.is_zero() {
                futex::wait(slot.turn, turn, Some(left.min(early)));
            }
            if let Some(answer) = look() {
                self.pace.came_before(begun, &plan);
                return answer;
            }
            let found = look_until(plan.until.min(deadline), look);
            self.pace.looked(found.is_some());
            if let Some(answer) = found {
                self.pace.took(begun.elapsed());
                return answer;
            }
        }
    }

    /// Whether the lane was retired: the last ticket that was taken.
    pub fn retired(&self) -> Option<u64> {
        self.queue().retired()
    }

    /// Wakes the daemon. A doorbell whose counter is full has been rung enough, and would keep us here if
    /// somebody who shares it has made it block.
    fn ring(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut takes = [PollFd::new(&self.doorbell, PollFlags::OUT)];
        if poll(&mut takes, Some(&now)) == Ok(1) {
            // There is no error to act on.
            let _ = rustix::io::write(&self.doorbell, &1u64.to_ne_bytes());
        }
    }

    fn queue(&self) -> Queue<'_> {
        words::queue(&self.region, self.lane, self.ring_words)
    }

    fn slot(&self, ticket: u64) -> Slot<'_> {
        words::slot(&self.region, ticket)
    }
}

/// Looks until then, in turns with whoever else wants the processor.
fn look_until<T>(until: Instant, look: impl Fn() -> Option<T>) -> Option<T> {
    loop {
        for _ in 0..LOOKS {
            if let Some(found) = look() {
                return Some(found);
            }
            spin_loop();
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::yield_now();
    }
}

#[cfg(test)]
#[path = "requests_tests.rs"]
mod tests;
