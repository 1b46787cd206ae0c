//! The requests lanes of all producers: one for each owner and what it may do, drained in fair shares.
//!
//! Flow: an attach makes or finds the owner's lane → requests are taken in turns → outcomes go back
//! into the lane that a request came from. A lane whose records are malformed, or whose mutex is
//! stuck, is retired at a definite cursor: everything up to it was taken and is answered, nothing
//! behind it ever is. What was taken stays answerable until it is answered.
//!
//! A request may do what its lane may, whoever put it there: so a lane is retired once anybody who ever
//! had it may no longer do all of that.
//!
//! What producers scribble over a lane must not outlast them: who attaches next could not use it. So the
//! daemon looks at each lane now and then ([`Lanes::tend`]), writes anew what it alone writes, and retires one
//! whose header is no longer its own.
//!
//! A producer that maps a lane keeps its memory alive. So the ring of a retired lane is given back at
//! once, its outcomes after [`KEEP`], and a uid gets new lanes no faster than its [`Allowance`].

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use serde_json::{Value as Json, json};
use shmirror_shm::lane::{RawOutcome, RawRequest, RequestHeader, RequestsConsumer, layout};
use shmirror_shm::layout::LAYOUT_HASH;
use shmirror_shm::limits;
use shmirror_shm::points::{self, Point};
use shmirror_shm::sync::Ordering;
use shmirror_shm::wire::{Answer, RefuseCode};

use super::producers::Producers;
use crate::access::{Peer, Rules};
use crate::exchange::Reply;
use crate::logging::COMM;
use crate::rights::Rights;

/// Requests that one lane may give before the next has its turn.
const SHARE: usize = 8;
/// Bytes that one lane may give before the next has its turn.
const SHARE_BYTES: usize = 1 << 20;
/// Requests that a lane may give of which little is under way.
const FIRST_SHARE: usize = 64;
/// Requests that are taken at once while several lanes are in use: what was taken has to be worked off.
const SHARED: usize = 128;
/// How long a lane is in use after a request.
const IN_USE: Duration = Duration::from_millis(100);

/// Time between two looks at whether lanes are as they should be.
const TEND: Duration = Duration::from_millis(200);

/// How long the outcomes of a retired lane can still be read.
const KEEP: Duration = Duration::from_secs(30);
/// New lanes that a uid may have at once, in place of lost ones.
const AT_ONCE: u32 = limits::LANES as u32;
/// Time after which it may have one more.
const ONE_MORE: Duration = Duration::from_secs(1);

/// Whose lane it is: processes of one uid in one PID namespace that may do the same share one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    pid_namespace: u64,
    rights: Arc<Rights>,
}

impl Owner {
    fn of(peer: &Peer, rights: &Rights) -> Self {
        let rights = Arc::new(rights.clone());
        Self { uid: peer.uid, pid_namespace: peer.pid_namespace, rights }
    }

    fn may_retire(&self, other: &Self) -> bool {
        let Self { uid, pid_namespace, .. } = *other;
        (self.uid, self.pid_namespace) == (uid, pid_namespace) && self.rights.covers(&other.rights)
    }
}

/// Who asks for a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub peer: &'a Peer,
    pub rights: &'a Rights,
    /// The pid that it called itself in its greeting.
    pub said: u32,
    pub connection: u64,
}

struct Lane {
    id: u64,
    owner: Owner,
    consumer: RequestsConsumer,
    producers: Producers,
    /// Requests taken and not yet answered.
    unanswered: usize,
    retired: bool,
    /// A producer scribbled over it.
    corrupt: bool,
    /// When it last had a request.
    used: Option<Instant>,
    taken: u64,
    committed: u64,
    rejected: u64,
}

/// A request as it came, and where it came from.
pub(super) struct Raw {
    pub lane: u64,
    pub uid: u32,
    /// Who it was, as far as that is known; 0 where it is not.
    pub pid: u32,
    /// What it may do.
    pub rights: Arc<Rights>,
    pub request: RawRequest,
}

/// How many new lanes a uid may still have made, as of a moment.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    lanes: u32,
    since: Instant,
}

impl Allowance {
    /// As of `now`.
    fn at(self, now: Instant) -> Self {
        let more = now.duration_since(self.since).as_secs() / ONE_MORE.as_secs();
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let lanes = self.lanes.saturating_add(more).min(AT_ONCE);
        Self { lanes, since: self.since + ONE_MORE * more.min(AT_ONCE) }
    }
}

/// All lanes of the instance.
pub(crate) struct Lanes {
    lanes: Vec<Lane>,
    /// Retired lanes whose requests are all answered, since when.
    done: VecDeque<(Instant, RequestsConsumer)>,
    /// By uid; only those that are not whole.
    allowances: HashMap<u32, Allowance>,
    epoll: Arc<OwnedFd>,
    turn: usize,
    bytes: u64,
    tended: Instant,
    /// The daemon stops: there are no lanes any more.
    closed: bool,
}

impl Lanes {
    /// No lanes yet; each will have `bytes`, and its doorbell wakes `epoll`.
    pub fn new(bytes: u64, epoll: Arc<OwnedFd>) -> Self {
        Self {
            lanes: Vec::new(),
            done: VecDeque::new(),
            allowances: HashMap::new(),
            epoll,
            turn: 0,
            bytes,
            tended: Instant::now(),
            closed: false,
        }
    }

    /// The asker's lane; made if there is none.
    pub(super) fn attach(&mut self, asker: Asker<'_>) -> Reply {
        if self.closed {
            let message = "the daemon is stopping".to_owned();
            return (Answer::Refused { code: RefuseCode::Stopping, message }, vec![]);
        }
        let owner = Owner::of(asker.peer, asker.rights);
        self.retire_defaced();
        let found = self.lanes.iter().position(|l| l.owner == owner && !l.retired);
        let index = match found.map_or_else(|| self.make(owner), Ok) {
            Ok(index) => index,
            Err(answer) => return (answer, vec![]),
        };
        let lane = &mut self.lanes[index];
        let descriptors = (|| {
            let memory = lane.consumer.region().read_write_descriptor()?;
            let bell = lane.consumer.doorbell().try_clone_to_owned();
            Ok::<_, shmirror_shm::ShmError>((memory, bell))
        })();
        let message = match descriptors {
            Ok((memory, Ok(bell))) => {
                lane.producers.attach(asker.connection, asker.peer, asker.said);
                let bytes = lane.consumer.region().len();
                return (Answer::Lane { lane: lane.id, bytes }, vec![memory, bell]);
            }
            Ok((_, Err(error))) => error.to_string(),
            Err(error) => error.to_string(),
        };
        (Answer::Refused { code: RefuseCode::Internal, message }, vec![])
    }

    /// Retires the asker's lane `id`, if it is still its present one, and hands out a fresh one.
    pub(super) fn retire(&mut self, asker: Asker<'_>, id: u64) -> Reply {
        let owner = Owner::of(asker.peer, asker.rights);
        // Its rights may have grown since it got the lane.
        let is_theirs = |l: &Lane| l.id == id && owner.may_retire(&l.owner) && !l.retired;
        if let Some(index) = self.lanes.iter().position(is_theirs) {
            // Not without another one to go on in.
            if let Err(answer) = self.check_allowance(owner.uid) {
                return (answer, vec![]);
            }
            self.lanes[index].retire("a producer holds its mutex and does not go on", &self.epoll);
            self.drop_done();
        }
        self.attach(asker)
    }

    /// Whether a uid may have another lane now.
    fn check_allowance(&mut self, uid: u32) -> Result<Allowance, Answer> {
        let now = Instant::now();
        self.allowances.retain(|_, a| a.at(now).lanes < AT_ONCE);
        let whole = Allowance { lanes: AT_ONCE, since: now };
        let allowance = self.allowances.get(&uid).map_or(whole, |a| a.at(now));
        if allowance.lanes > 0 {
            return Ok(allowance);
        }
        Err(Answer::Refused {
            code: RefuseCode::Limit,
            message: format!(
                "uid {uid} has had {AT_ONCE} requests lanes made in a short time; one more may be \
                 had in {} s",
                ONE_MORE.as_secs()
            ),
        })
    }

    fn make(&mut self, owner: Owner) -> Result<usize, Answer> {
        let refused = |code, message| Answer::Refused { code, message };
        let Allowance { lanes: allowed, since } = self.check_allowance(owner.uid)?;
        let present = |lanes: &[Lane]| lanes.iter().filter(|l| !l.retired).count();
        if present(&self.lanes) >= limits::LANES {
            // The lane of an owner that has gone makes room.
            let idle = self.lanes.iter_mut().find(|l| {
                !l.retired && l.producers.is_empty() && l.unanswered == 0 && !l.consumer.pending()
            });
            let Some(idle) = idle else {
                let message = format!("{} requests lanes are in use, the limit", limits::LANES);
                return Err(refused(RefuseCode::Limit, message));
            };
            idle.retire("its owner is gone and another needs the place", &self.epoll);
            self.drop_done();
        }
        let id = random_id().map_err(|e| refused(RefuseCode::Internal, e))?;
        let consumer = RequestsConsumer::create(id, self.bytes)
            .map_err(|e| refused(RefuseCode::Internal, e.to_string()))?;
        // Edge-triggered, so that the doorbell is never read: its producers share it and could make
        // a read wait.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.epoll, consumer.doorbell(), epoll::EventData::new_u64(id), flags)
            .map_err(|e| refused(RefuseCode::Internal, format!("watch a doorbell: {e}")))?;
        self.allowances.insert(owner.uid, Allowance { lanes: allowed - 1, since });
        tracing::info!(target: COMM, lane = %Name(id), uid = owner.uid, "requests lane made");
        self.lanes.push(Lane {
            id,
            producers: Producers::new(owner.uid),
            owner,
            consumer,
            unanswered: 0,
            retired: false,
            corrupt: false,
            used: None,
            taken: 0,
            committed: 0,
            rejected: 0,
        });
        Ok(self.lanes.len() - 1)
    }

    /// A connection is gone.
    pub fn detached(&mut self, connection: u64) {
        for lane in &mut self.lanes {
            // A ring has no more requests than headers.
            let header = size_of::<RequestHeader>() as u64;
            let most = lane.consumer.region().len() / header;
            lane.producers.detach(connection, lane.consumer.taken() + most);
            lane.settle_producers();
        }
    }

    /// Other rules hold: retires the lanes of which somebody may no longer do what the lane may; their
    /// ids.
    pub fn enforce(&mut self, rules: &Rules) -> Vec<u64> {
        let mut ended = Vec::new();
        for lane in &mut self.lanes {
            if !lane.producers.are_covered(rules, &lane.owner.rights) {
                ended.push(lane.id);
                lane.retire("somebody who has it may no longer do what it may", &self.epoll);
            }
        }
        self.drop_done();
        ended
    }

    /// Takes a share of each lane of which little is under way: what it has need not wait for what was taken
    /// of others.
    pub(super) fn take_of_quiet(&mut self, out: &mut impl Extend<Raw>) {
        for lane in self.lanes.iter_mut().filter(|l| l.unanswered < SHARE) {
            if lane.take(FIRST_SHARE, SHARE_BYTES, out).0 > 0 {
                lane.consumer.release();
            }
        }
        self.retire_corrupt();
        self.drop_done();
    }

    /// Takes requests, lane by lane in turn, until none is left or there are enough.
    pub(super) fn take(&mut self, most: usize, most_bytes: usize, out: &mut impl Extend<Raw>) {
        let (mut count, mut bytes, mut idle) = (0, 0, 0);
        let lanes = self.lanes.len();
        let now = Instant::now();
        let several = self.lanes.iter().filter(|l| l.is_in_use(now)).nth(1).is_some();
        let fair = several && !points::is_put_in(Point::UnfairShares);
        let most = if fair { most.min(SHARED) } else { most };
        while idle < lanes && count < most && bytes < most_bytes {
            self.turn = (self.turn + 1) % lanes;
            let lane = &mut self.lanes[self.turn];
            let share = SHARE.min(most - count);
            let taken = lane.take(share, SHARE_BYTES.min(most_bytes - bytes), out);
            (count, bytes) = (count + taken.0, bytes + taken.1);
            if taken.0 == 0 {
                idle += 1;
            } else {
                idle = 0;
                // What was copied out is the producers' space again.
                lane.consumer.release();
            }
        }
        self.retire_corrupt();
        self.drop_done();
    }

    /// Whether another lane than this one has a request, or had one a moment ago: its producers may wait
    /// for their processor only.
    pub(super) fn others_are_in_use(&self, id: u64, now: Instant) -> bool {
        self.lanes.iter().any(|l| l.id != id && l.is_in_use(now))
    }

    /// Undoes, now and then, what a producer may have done to a lane that nobody else could undo. A cursor
    /// that is not the daemon's makes a lane look full to all; a doorbell whose counter is full, or whose
    /// writers wait as somebody made it block, wakes nobody. What rings meanwhile is not lost: the daemon looks
    /// at all lanes before it sleeps.
    pub fn tend(&mut self) {
        if self.tended.elapsed() < TEND {
            return;
        }
        self.tended = Instant::now();
        for lane in self.lanes.iter_mut().filter(|l| !l.retired) {
            lane.consumer.release();
            lane.consumer.drain_doorbell();
        }
        // Who waits for an outcome rings there too.
        self.done.iter().for_each(|(_, consumer)| consumer.drain_doorbell());
        self.retire_defaced();
    }

    fn retire_defaced(&mut self) {
        for lane in self.lanes.iter_mut().filter(|l| !l.retired && l.is_defaced()) {
            lane.retire("a producer wrote into its header", &self.epoll);
        }
        self.drop_done();
    }

    fn retire_corrupt(&mut self) {
        for lane in self.lanes.iter_mut().filter(|l| l.corrupt) {
            lane.retire("it is corrupt", &self.epoll);
        }
    }

    /// Whether any lane has a request.
    pub fn any_pending(&self) -> bool {
        self.lanes.iter().any(|l| !l.retired && l.consumer.pending())
    }

    /// Whether producers must ring the doorbell.
    pub fn set_asleep(&self, asleep: bool) {
        self.lanes.iter().filter(|l| !l.retired).for_each(|l| l.consumer.set_asleep(asleep));
    }

    /// Tells the producer what became of its ticket.
    pub fn answer(&mut self, id: u64, outcome: &RawOutcome) {
        if let Some(lane) = self.lanes.iter_mut().find(|l| l.id == id) {
            lane.consumer.answer(outcome);
            lane.unanswered = lane.unanswered.saturating_sub(1);
            if outcome.committed {
                lane.committed += 1;
            } else {
                lane.rejected += 1;
            }
        }
    }

    /// Whether a ticket in this lane may yet be committed: it is still drained, or what was taken of
    /// it is not all answered.
    pub fn is_live(&self, id: u64) -> bool {
        self.lanes.iter().any(|l| l.id == id && (!l.retired || l.unanswered > 0))
    }

    /// Lets go of retired lanes whose requests are all answered. Producers can read their outcomes for
    /// some time.
    pub fn drop_done(&mut self) {
        let is_done = |l: &mut Lane| l.retired && l.unanswered == 0;
        for lane in self.lanes.extract_if(.., is_done) {
            if let Err(error) = lane.consumer.vacate_ring() {
                tracing::warn!(target: COMM, %error, "memory of a retired lane stays in use");
            }
            self.done.push_back((Instant::now(), lane.consumer));
        }
    }

    /// Gives back what nobody has asked for in time.
    pub fn expire(&mut self) {
        while self.done.front().is_some_and(|(since, _)| since.elapsed() > KEEP) {
            if let Some((_, consumer)) = self.done.pop_front()
                && let Err(error) = consumer.vacate_outcomes()
            {
                tracing::warn!(target: COMM, %error, "memory of a retired lane stays in use");
            }
        }
    }

    /// Takes no more from any lane, says so in each, and makes no other: who flooded a lane would go
    /// on in the next.
    pub fn close(&mut self) {
        self.closed = true;
        for lane in &mut self.lanes {
            lane.retire("the daemon stops", &self.epoll);
        }
    }

    /// For the status: all of them, or only those of a uid that may do no more than `rights` say.
    pub fn status(&self, only: Option<(u32, &Rights)>) -> Json {
        let is_shown = |l: &&Lane| {
            let its = |(uid, rights): (u32, &Rights)| {
                l.owner.uid == uid && rights.covers(&l.owner.rights)
            };
            !l.retired && only.is_none_or(its)
        };
        let lane = |l: &Lane| {
            json!({
                "id": Name(l.id).to_string(),
                "uid": l.owner.uid,
                "submitted": l.taken,
                "committed": l.committed,
                "rejected": l.rejected,
                "pending": l.unanswered > 0 || l.consumer.pending(),
                "producers": l.producers.len(),
            })
        };
        self.lanes.iter().filter(is_shown).map(lane).collect()
    }
}

impl Lane {
    /// Takes up to `most` requests of about `most_bytes`: how many, and of how many bytes they are.
    fn take(
        &mut self,
        most: usize,
        most_bytes: usize,
        out: &mut impl Extend<Raw>,
    ) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        while !self.retired && !self.corrupt && count < most && bytes < most_bytes {
            match self.consumer.next() {
                Ok(Some(request)) => {
                    count += 1;
                    bytes += request.payload.len();
                    out.extend([Raw {
                        lane: self.id,
                        uid: self.owner.uid,
                        pid: self.producers.pid_of(request.pid),
                        rights: Arc::clone(&self.owner.rights),
                        request,
                    }]);
                }
                Ok(None) => break,
                Err(corrupt) => {
                    tracing::warn!(target: COMM, lane = %Name(self.id), %corrupt, "lane is corrupt");
                    self.corrupt = true;
                }
            }
        }
        if count > 0 {
            self.used = Some(Instant::now());
        }
        self.taken += count as u64;
        self.unanswered += count;
        self.settle_producers();
        (count, bytes)
    }

    fn is_in_use(&self, now: Instant) -> bool {
        let recently = |used: Instant| now.saturating_duration_since(used) < IN_USE;
        !self.retired && (self.used.is_some_and(recently) || self.consumer.pending())
    }

    /// Whether what those who attach look at first is no longer as it was made.
    fn is_defaced(&self) -> bool {
        let region = self.consumer.region();
        let ring_words = (region.len() - layout::REQUESTS_RING) / 8;
        [
            (layout::MAGIC, layout::REQUESTS_MAGIC),
            (layout::HASH, LAYOUT_HASH),
            (layout::ID, self.id),
            (layout::RING_WORDS, ring_words),
            (layout::RETIRED, 0),
        ]
        .into_iter()
        .any(|(at, made)| region.word(at).is_none_or(|w| w.load(Ordering::Relaxed) != made))
    }

    /// Forgets who has gone and of whom nothing is left in the lane.
    fn settle_producers(&mut self) {
        let all = self.producers.has_gone() && !self.consumer.pending();
        self.producers.taken(self.consumer.taken(), all);
    }

    fn retire(&mut self, why: &str, epoll: &OwnedFd) {
        if !self.retired {
            self.retired = true;
            // Producers keep the doorbell open, and with it its place in the set.
            let _ = epoll::delete(epoll, self.consumer.doorbell());
            let cursor = self.consumer.retire();
            self.consumer.drain_doorbell();
            tracing::info!(target: COMM, lane = %Name(self.id), cursor, "requests lane retired: {why}");
        }
    }
}

/// A lane's id as it is shown.
struct Name(u64);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A lane id: random, so that one of an earlier daemon is never met again.
fn random_id() -> Result<u64, String> {
    loop {
        let mut bytes = [0u8; 8];
        getrandom::fill(&mut bytes).map_err(|e| format!("no random lane id: {e}"))?;
        let id = u64::from_ne_bytes(bytes);
        if id > MAIL_TOKEN {
            return Ok(id);
        }
    }
}

/// The epoll token of the pipeline's mailbox; every lane id is larger.
pub(super) const MAIL_TOKEN: u64 = 0;

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
