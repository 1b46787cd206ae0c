//! Stage 1, collect: requests come out of all lanes in fair shares; a [`Batch`] of decoded ones
//! goes on.
//!
//! Between two batches, and only there, the thread answers mail and does background work; with
//! nothing to do it spins briefly, then sleeps until a doorbell, mail or the end of [`SLEEP`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use shmirror_shm::archive;
use shmirror_shm::lane::RequestKind;
use shmirror_shm::request::{RejectCode, Request};

use super::Pipeline;
use super::lanes::{MAIL_TOKEN, Raw};
use crate::apply::{Reject, WorkingCopy};

/// Most requests of one group.
const REQUESTS: usize = 4_096;
/// Most payload bytes of one group.
const BYTES: usize = 8 << 20;
/// How long an idle pipeline looks for work before it sleeps.
const SPIN: Duration = Duration::from_micros(40);
/// Longest sleep.
const SLEEP: Duration = Duration::from_millis(200);
/// How soon a pipeline that waits for work is heard of again, at the latest.
const PRESENT: Duration = Duration::from_secs(1);
/// How long work that waits for no request may take: a commit on a slow disk, a copy of a table.
pub(super) const WORK: Duration = Duration::from_secs(60);
/// How long a stopping daemon goes on committing what producers still send. What is in the lanes then
/// is for the next daemon: producers see in the retired lane that it was not taken.
const DRAIN: Duration = Duration::from_secs(2);

/// Requests of one group commit, in the order in which they are applied.
pub(super) struct Batch {
    taken: VecDeque<Taken>,
}

impl Batch {
    /// Its requests.
    pub fn into_requests(self) -> VecDeque<Taken> {
        self.taken
    }
}

/// One request: who sent it, what it asks for.
pub(super) struct Taken {
    pub lane: u64,
    pub ticket: u64,
    pub uid: u32,
    pub pid: u32,
    /// What is asked, or why it cannot even be read.
    pub request: Result<Request, Reject>,
    /// It may change the schema, so it stands at the head of its group.
    pub may_reshape: bool,
}

impl Taken {
    fn decode(Raw { lane, uid, request: raw }: Raw) -> Self {
        let request = if RequestKind(raw.kind) == RequestKind::REQUEST {
            archive::from_bytes::<Request>(&raw.payload)
                .map_err(|e| Reject::new(RejectCode::Malformed, e.to_string()))
        } else {
            let message = format!("request of kind {}, expected 1", raw.kind);
            Err(Reject::new(RejectCode::Malformed, message))
        };
        let may_reshape = request.as_ref().is_ok_and(WorkingCopy::may_change_schema);
        Self { lane, ticket: raw.ticket, uid, pid: plausible(raw.pid), request, may_reshape }
    }
}

/// A pid as the producer's record says it, 0 where no process can have it.
fn plausible(pid: u32) -> u32 {
    const PID_MAX: u32 = 1 << 22;
    if pid < PID_MAX { pid } else { 0 }
}

impl Pipeline {
    /// The next batch; waits for one. `None`: the daemon stops and everything is answered.
    pub(super) fn collect(&mut self) -> Option<Batch> {
        loop {
            self.instance.pulse.vouch(PRESENT);
            if self.working.broken().is_some()
                && let Err(error) = self.remake_working_copy()
            {
                self.failure = Some(error);
                return None;
            }
            // What was taken is answered before anybody learns of the state.
            if self.carry.is_empty() {
                while let Some(mail) = self.mailbox.take() {
                    self.instance.pulse.vouch(WORK);
                    self.attend(mail);
                }
                self.check_a_table();
                if self.stopping.is_some_and(|since| since.elapsed() > DRAIN) {
                    self.lanes.close();
                }
                let mut raw = Vec::new();
                self.lanes.take(REQUESTS, BYTES, &mut raw);
                self.carry.extend(raw.into_iter().map(Taken::decode));
            }
            let batch = self.next_group();
            if !batch.taken.is_empty() {
                self.last_work = Instant::now();
                return Some(batch);
            }
            if self.stopping.is_some() {
                return None;
            }
            if !self.background() {
                self.rest();
            }
        }
    }

    /// As many of the carried requests as may share a group: what may change the schema begins one.
    fn next_group(&mut self) -> Batch {
        let rest = self
            .carry
            .iter()
            .skip(1)
            .position(|t| t.may_reshape)
            .map_or(self.carry.len(), |i| i + 1);
        Batch { taken: self.carry.drain(..rest).collect() }
    }

    fn awaited(&self) -> bool {
        self.lanes.any_pending() || self.mailbox.has_mail() || self.checking.is_some()
    }

    /// Spins, then sleeps until something comes, but never long: a doorbell can be lost.
    fn rest(&mut self) {
        let since = Instant::now();
        while self.spins && since.elapsed() < SPIN {
            if self.awaited() {
                return;
            }
            std::hint::spin_loop();
        }
        // A producer that submits after this store rings; one that did before is seen here.
        self.lanes.set_asleep(true);
        if !self.awaited() {
            let sleep = Timespec { tv_sec: 0, tv_nsec: SLEEP.as_nanos() as _ };
            let mut events = Vec::with_capacity(8);
            let buffer = rustix::buffer::spare_capacity(&mut events);
            // An error is an interruption: the loop looks again either way.
            let _ = epoll::wait(&self.epoll, buffer, Some(&sleep));
            if events.iter().any(|e| e.data.u64() == MAIL_TOKEN) {
                self.mailbox.hush();
            }
        }
        self.lanes.set_asleep(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_pids_are_dropped() {
        assert_eq!((plausible(7), plausible(u32::MAX)), (7, 0));
    }
}
