//! Stage 1, collect: requests come out of all lanes in fair shares; a [`Batch`] of decoded ones
//! goes on.
//!
//! Between two groups, and only there, the thread answers mail and does background work. Neither mail
//! nor the requests of one lane can take all of its time: mail gets at most as much as requests, and
//! behind a slow request come those of other lanes, new ones included. Before a group in which lanes have had
//! their shares ends, who came late joins it. With nothing to do it spins briefly, then sleeps until a doorbell,
//! mail or the end of [`SLEEP`].

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};
use shmirror_shm::archive;
use shmirror_shm::lane::RequestKind;
use shmirror_shm::packed::Packed;
use shmirror_shm::points::{self, Point};
use shmirror_shm::request::{RejectCode, Request};

use super::Pipeline;
use super::lanes::{MAIL_TOKEN, Raw};
use super::mail::PipelineMail;
use crate::apply::{Asked, Reject, WorkingCopy};
use crate::rights::Rights;

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

/// Time after which mail waits for requests.
const MAIL_TIME: Duration = Duration::from_millis(5);
/// Longest time that it waits for them.
const MAIL_REST: Duration = Duration::from_secs(1);

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
    /// 0 where it is not known.
    pub pid: u32,
    /// Of the lane.
    pub rights: Arc<Rights>,
    /// What is asked, or why it cannot even be read.
    pub request: Result<Asked, Reject>,
    /// It may change the schema, so it stands at the head of its group.
    pub may_reshape: bool,
}

impl Taken {
    fn decode(Raw { lane, uid, pid, rights, request: raw }: Raw) -> Self {
        let request = match RequestKind(raw.kind) {
            RequestKind::CHANGES => Ok(Asked::Changes(Packed::new(raw.payload))),
            RequestKind::REQUEST => archive::from_bytes::<Request>(&raw.payload)
                .map_err(|e| Reject::new(RejectCode::Malformed, e.to_string()))
                .and_then(Asked::of),
            RequestKind(kind) => {
                let message = format!("request of kind {kind}, expected 1 or 2");
                Err(Reject::new(RejectCode::Malformed, message))
            }
        };
        let may_reshape = request.as_ref().is_ok_and(WorkingCopy::may_change_schema);
        Self { lane, ticket: raw.ticket, uid, pid, rights, request, may_reshape }
    }

    /// It is refused, whatever it asks for.
    pub fn deny(&mut self, why: &str) {
        self.request = Err(Reject::new(RejectCode::Denied, why));
        self.may_reshape = false;
    }
}

/// Requests that a lane has in one turn, as long as others wait.
const TURN: usize = 4;

/// Has lanes take turns, those of which fewer requests wait first. Within each lane the order stays.
pub(super) fn take_turns(requests: &mut VecDeque<Taken>) {
    let mut waiting: HashMap<u64, usize> = HashMap::new();
    let ranks: Vec<usize> = requests
        .iter()
        .map(|taken| {
            let count = waiting.entry(taken.lane).or_default();
            *count += 1;
            (*count - 1) / TURN
        })
        .collect();
    if waiting.len() > 1 {
        let mut all: Vec<_> = ranks.into_iter().zip(requests.drain(..)).collect();
        all.sort_by_key(|(turn, taken)| (*turn, waiting[&taken.lane], taken.lane)); // stable
        requests.extend(all.into_iter().map(|(_, taken)| taken));
    }
}

/// Puts what is not of `lane` first. Within each lane the order stays.
pub(super) fn put_behind(lane: u64, requests: &mut VecDeque<Taken>) {
    requests.make_contiguous().sort_by_key(|taken| taken.lane == lane); // stable
}

/// Has requests that came later take part in a group of which these are left. The lanes that they are of; or
/// the late ones again, if one of them has to begin a group.
fn join(left: &mut VecDeque<Taken>, late: Vec<Taken>) -> Result<HashSet<u64>, Vec<Taken>> {
    if late.iter().any(|taken| taken.may_reshape) {
        return Err(late);
    }
    let lanes = late.iter().map(|taken| taken.lane).collect();
    if !late.is_empty() {
        left.extend(late);
        take_turns(left);
    }
    Ok(lanes)
}

impl Pipeline {
    /// Looks, before a group ends of which `left` is left, at lanes with little under way: who was answered
    /// after the group before asks again about now, and would wait for this group and the next. The lanes of
    /// which there is more now.
    pub(super) fn admit_late(&mut self, left: &mut VecDeque<Taken>) -> HashSet<u64> {
        // What is carried comes before what comes now.
        if !self.carry.is_empty() {
            return HashSet::new();
        }
        let mut raw = Vec::new();
        self.lanes.take_of_quiet(&mut raw);
        let late = raw.into_iter().map(Taken::decode).collect();
        join(left, late).unwrap_or_else(|late| {
            self.carry.extend(late);
            HashSet::new()
        })
    }

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
            self.stash.expire();
            self.lanes.expire();
            self.lanes.tend();
            self.attend_some();
            if self.failure.is_some() {
                return None;
            }
            if self.stopping.is_some_and(|since| since.elapsed() > DRAIN) {
                self.lanes.close();
            }
            let mut raw = Vec::new();
            if self.carry.is_empty() {
                self.lanes.take(REQUESTS, BYTES, &mut raw);
                self.carry.extend(raw.into_iter().map(Taken::decode));
            } else if !points::is_put_in(Point::UnfairShares) {
                // The carry can be long, and be of one lane.
                self.lanes.take_of_quiet(&mut raw);
                self.carry.extend(raw.into_iter().map(Taken::decode));
                take_turns(&mut self.carry);
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

    /// Answers mail, but not for ever: while requests wait, mail gets as much time as they do.
    fn attend_some(&mut self) {
        while let Some(mail) = self.mailbox.take() {
            match mail {
                // It does not wait in line.
                PipelineMail::Stop => {
                    self.stopping.get_or_insert_with(Instant::now);
                }
                mail => self.letters.push_back(mail),
            }
        }
        let since = Instant::now();
        let busy = !self.carry.is_empty() || self.lanes.any_pending();
        if busy && since < self.mail_rests {
            return;
        }
        while let Some(mail) = self.letters.pop_front() {
            self.instance.pulse.vouch(WORK);
            self.attend(mail);
            if since.elapsed() > MAIL_TIME {
                break;
            }
        }
        self.check_a_table();
        let now = Instant::now();
        self.mail_rests = now + (now - since).min(MAIL_REST);
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
        self.lanes.any_pending()
            || self.mailbox.has_mail()
            || !self.letters.is_empty()
            || self.checking.is_some()
    }

    /// Spins, then sleeps until something comes, but never long: a doorbell can be lost.
    fn rest(&mut self) {
        let since = Instant::now();
        while self.spins && since.elapsed() < SPIN {
            if self.awaited() {
                return;
            }
            // A producer may be bound to the same processor.
            std::thread::yield_now();
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

    fn taken((lane, ticket): (u64, u64)) -> Taken {
        Taken {
            lane,
            ticket,
            uid: 0,
            pid: 0,
            rights: Arc::default(),
            request: Err(Reject::new(RejectCode::Malformed, "")),
            may_reshape: false,
        }
    }

    #[test]
    fn lanes_take_turns_and_each_keeps_its_order() {
        let flood = (0..2 * TURN as u64).map(|ticket| (7, ticket));
        let mut carry: VecDeque<Taken> = flood.chain([(9, 1), (8, 1), (9, 2)]).map(taken).collect();
        take_turns(&mut carry);
        let order: Vec<_> = carry.iter().map(|t| (t.lane, t.ticket)).collect();
        let flood: Vec<_> = (0..2 * TURN as u64).map(|ticket| (7, ticket)).collect();
        assert_eq!(order[..3], [(8, 1), (9, 1), (9, 2)]);
        assert_eq!(order[3..], flood);
        // What comes later does not wait for all that was there.
        carry.extend([(8, 2), (8, 3)].map(taken));
        take_turns(&mut carry);
        let order: Vec<_> = carry.iter().take(6).map(|t| (t.lane, t.ticket)).collect();
        assert_eq!(order, [(9, 1), (9, 2), (8, 1), (8, 2), (8, 3), (7, 0)]);
    }

    #[test]
    fn who_is_late_joins_without_overtaking_their_own() {
        let orders =
            |all: &VecDeque<Taken>| -> Vec<_> { all.iter().map(|t| (t.lane, t.ticket)).collect() };
        let flood = (0..8).map(|ticket| (7, ticket));
        let mut left: VecDeque<Taken> = flood.clone().chain([(8, 1)]).map(taken).collect();
        let lanes = join(&mut left, [(8, 2), (9, 1)].map(taken).into()).ok().unwrap();
        assert_eq!(lanes, HashSet::from([8, 9]));
        assert_eq!(orders(&left)[..3], [(9, 1), (8, 1), (8, 2)]);
        assert_eq!(orders(&left)[3..], flood.collect::<Vec<_>>());
        // What begins a group can't be in the middle of one, nor can what comes behind it.
        let before = orders(&left);
        let reshapes = Taken { may_reshape: true, ..taken((8, 3)) };
        let late = join(&mut left, vec![taken((9, 2)), reshapes, taken((8, 4))]).err().unwrap();
        assert_eq!(orders(&late.into()), [(9, 2), (8, 3), (8, 4)]);
        assert_eq!(orders(&left), before);
    }

    #[test]
    fn who_is_slow_comes_behind_and_each_lane_keeps_its_order() {
        let mut carry: VecDeque<Taken> =
            [(7, 1), (7, 2), (8, 1), (7, 3), (9, 1), (8, 2)].map(taken).into();
        put_behind(7, &mut carry);
        let order: Vec<_> = carry.iter().map(|t| (t.lane, t.ticket)).collect();
        assert_eq!(order, [(8, 1), (9, 1), (8, 2), (7, 1), (7, 2), (7, 3)]);
    }
}
