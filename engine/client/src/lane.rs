//! A requests lane and what this process has under way in it.
//!
//! In: encoded requests. Out: what became of each, once and for certain, whatever happens to the lane
//! or the daemon meanwhile:
//!
//! | what happened | what a request under way comes to |
//! |---|---|
//! | nothing | its outcome in the lane |
//! | lane retired at cursor c, ticket ≤ c | it was taken: its outcome in the old lane |
//! | lane retired at cursor c, ticket > c | it was not taken: submitted again, in the fresh lane |
//! | daemon died, outcome in the lane | that |
//! | daemon died, no outcome | the commit log knows the ticket: committed; it does not: submitted again |
//!
//! Requests are settled and submitted again in the order in which they were first submitted.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shmirror_shm::lane::{
    FLAG_HAS_ROWS, FLAG_MORE_TEXT, Poll, RawOutcome, RequestKind, RequestsProducer,
};
use shmirror_shm::region::Region;
use shmirror_shm::request::RejectCode;
use shmirror_shm::wire::{Answer, Call, RefuseCode};
use zerocopy::IntoBytes;

use crate::connection::{CALL, Connection, wrong_answer};
use crate::error::Error;

/// One lane, and the connection that it came over.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Arc<Connection>,
    pub(crate) lane: Arc<RequestsProducer>,
    /// The daemon has retired the lane, whatever the lane itself says: who shares it may write there.
    lost: AtomicBool,
}

impl Session {
    /// The lane of this user, over `connection`.
    pub(crate) fn attach(connection: Arc<Connection>) -> Result<Self, Error> {
        let what = "asking for a requests lane";
        let answer = connection.call(&Call::Lane, CALL, what)?;
        Self::of_answer(connection, answer, what)
    }

    /// Has this lane retired, as somebody holds its mutex and does not go on; the fresh one.
    fn retire(&self) -> Result<Self, Error> {
        let what = "having a stuck requests lane retired";
        let answer = self.connection.call(&Call::RetireLane(self.id()), CALL, what)?;
        Self::of_answer(self.connection.clone(), answer, what)
    }

    fn of_answer(
        connection: Arc<Connection>,
        (answer, fds): (Answer, Vec<OwnedFd>),
        what: &str,
    ) -> Result<Self, Error> {
        let Answer::Lane { bytes, .. } = answer else { return Err(wrong_answer(what)) };
        let found = fds.len();
        let mut fds = fds.into_iter();
        let (Some(memory), Some(doorbell), None) = (fds.next(), fds.next(), fds.next()) else {
            return Err(Error::Protocol(format!("{what}: {found} descriptors came, expected 2")));
        };
        let lane = Region::map_read_write(memory, bytes)
            .and_then(|region| RequestsProducer::open(Arc::new(region), doorbell))
            .map_err(|e| Error::Protocol(format!("{what}: {e}")))?;
        Ok(Self { connection, lane: Arc::new(lane), lost: AtomicBool::new(false) })
    }

    pub(crate) fn id(&self) -> u64 {
        self.lane.lane_id()
    }

    /// Whether this lane's daemon may still answer `ticket` in it.
    pub(crate) fn may_answer(&self, ticket: u64) -> bool {
        self.lane.retired().is_none_or(|cursor| ticket <= cursor) && self.connection.is_up()
    }

    /// Whether new requests may go here.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_lost() && self.lane.retired().is_none() && self.connection.is_up()
    }

    /// Whether the daemon has said that it takes nothing more from this lane.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Asks the daemon which lane it takes requests from, and knows whether it is this one.
    pub(crate) fn doubt(&self) -> Result<(), Error> {
        let present = Self::attach(self.connection.clone())?;
        self.lost.fetch_or(present.id() != self.id(), Ordering::Relaxed);
        Ok(())
    }

    /// Has the daemon retire it, if it has not yet.
    pub(crate) fn lose(&self) -> Result<(), Error> {
        self.retire()?;
        self.lost.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// Committed.
    Committed { revision: u64, changes: u64, has_rows: bool },
    /// Nothing of it was done.
    Rejected { code: RejectCode, message: String },
    /// Answered, but the answer was overwritten.
    Expired,
    /// The instance that it was for is no longer there.
    Elsewhere { expected: String, found: String },
}

/// Bytes of a request.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// An archive.
    Archive(Vec<u8>),
    /// Packed changes.
    Packed(Vec<u64>),
}

impl Bytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Archive(bytes) => bytes,
            Self::Packed(words) => words.as_bytes(),
        }
    }
}

/// A request as it goes into a lane.
pub(crate) struct Payload {
    pub(crate) kind: RequestKind,
    pub(crate) bytes: Bytes,
    /// It may have result rows, for all that its text says.
    pub(crate) may_have_rows: bool,
}

/// A request that was submitted.
#[derive(Debug)]
pub(crate) struct Submitted {
    /// It may have result rows, for all that its text says.
    may_have_rows: bool,
    /// Emptied once its fate is known.
    payload: Mutex<Bytes>,
    kind: RequestKind,
    place: Mutex<Place>,
}

/// Where a request is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a lane, under this ticket.
    UnderWay(Arc<Session>, u64),
    /// Its fate is known; lane and ticket are for its result rows.
    Settled(Arc<Session>, u64, Fate),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Submitted {
    pub(crate) fn new(payload: Payload, session: Arc<Session>, ticket: u64) -> Self {
        let Payload { kind, bytes: payload, may_have_rows } = payload;
        Self {
            may_have_rows,
            payload: Mutex::new(payload),
            kind,
            place: Mutex::new(Place::UnderWay(session, ticket)),
        }
    }

    /// Where it is now.
    pub(crate) fn place(&self) -> Place {
        lock(&self.place).clone()
    }

    fn settle(&self, session: Arc<Session>, ticket: u64, fate: Fate) {
        let mut place = lock(&self.place);
        // The first answer holds.
        if matches!(*place, Place::UnderWay(..)) {
            *place = Place::Settled(session, ticket, fate);
            drop(place);
            *lock(&self.payload) = Bytes::Archive(Vec::new());
        }
    }

    /// Takes an outcome from the lane; a cut message is fetched whole.
    pub(crate) fn take(&self, session: &Arc<Session>, outcome: RawOutcome) {
        let ticket = outcome.ticket;
        let fate = if outcome.committed {
            Fate::Committed {
                revision: outcome.revision,
                changes: outcome.changes,
                has_rows: outcome.flags & FLAG_HAS_ROWS != 0,
            }
        } else {
            let whole =
                (outcome.flags & FLAG_MORE_TEXT != 0).then(|| whole_message(session, ticket));
            Fate::Rejected {
                code: RejectCode::from_number(outcome.code),
                message: whole.flatten().unwrap_or(outcome.message),
            }
        };
        self.settle(session.clone(), ticket, fate);
    }

    /// Its outcome was overwritten.
    pub(crate) fn expire(&self, session: &Arc<Session>, ticket: u64) {
        self.settle(session.clone(), ticket, Fate::Expired);
    }

    /// Looks for its outcome without waiting; whether its fate is known now.
    pub(crate) fn look(&self) -> bool {
        let Place::UnderWay(session, ticket) = self.place() else { return true };
        match session.lane.poll(ticket) {
            Poll::Pending => false,
            Poll::Done(outcome) => {
                self.take(&session, outcome);
                true
            }
            Poll::Expired => {
                self.expire(&session, ticket);
                true
            }
        }
    }

    /// After the lane or daemon that it is in was lost: finds out what became of it, or submits it
    /// again to `fresh`.
    pub(crate) fn recover(&self, fresh: &Arc<Session>, deadline: Instant) -> Result<(), Error> {
        if self.look() {
            return Ok(());
        }
        let Place::UnderWay(session, ticket) = self.place() else { return Ok(()) };
        if session.id() == fresh.id() {
            // The lane outlived a lost connection.
            *lock(&self.place) = Place::UnderWay(fresh.clone(), ticket);
            return Ok(());
        }
        let not_taken = session.lane.retired().is_some_and(|cursor| ticket > cursor);
        if !not_taken {
            let (old, new) = (session.connection.welcome(), fresh.connection.welcome());
            if old.instance != new.instance {
                let fate =
                    Fate::Elsewhere { expected: hex(&old.instance), found: hex(&new.instance) };
                self.settle(session, ticket, fate);
                return Ok(());
            }
            let one_daemon = old.pid == new.pid && old.generation == new.generation;
            let is_there = one_daemon || session.connection.is_up();
            let settled = match is_there && !session.is_lost() {
                true => Settled::Live,
                false => settled(fresh, session.id(), ticket)?,
            };
            if matches!(settled, Settled::Live) {
                // Taken, and its daemon is there: it will answer in the old lane.
                let (connection, lane) = (fresh.connection.clone(), session.lane.clone());
                let lost = AtomicBool::new(session.is_lost());
                *lock(&self.place) =
                    Place::UnderWay(Arc::new(Session { connection, lane, lost }), ticket);
                return Ok(());
            }
            // Answered meanwhile, and not with a commit.
            if self.look() {
                return Ok(());
            }
            if let Settled::At(revision) = settled {
                // How much it changed died with the daemon.
                let has_rows = self.may_have_rows;
                let fate = Fate::Committed { revision, changes: 0, has_rows };
                self.settle(session, ticket, fate);
                return Ok(());
            }
        }
        let ticket = {
            let payload = lock(&self.payload);
            fresh.lane.submit(self.kind, payload.as_slice(), deadline)
        }
        .map_err(|e| Error::Full { message: format!("submitting a request again: {e}") })?;
        *lock(&self.place) = Place::UnderWay(fresh.clone(), ticket);
        Ok(())
    }
}

fn whole_message(session: &Session, ticket: u64) -> Option<String> {
    let call = Call::Result { lane: session.id(), ticket };
    match session.connection.call(&call, CALL, "fetching a message") {
        Ok((Answer::Text(message), _)) => Some(message),
        _ => None,
    }
}

/// What the daemon knows of a ticket in a lane that it no longer takes requests from.
enum Settled {
    /// It is still to be answered there.
    Live,
    /// It was committed at this revision.
    At(u64),
    /// It was not committed.
    Not,
}

fn settled(fresh: &Session, lane: u64, ticket: u64) -> Result<Settled, Error> {
    let what = "asking what became of a request";
    match fresh.connection.call(&Call::Settled { lane, ticket }, CALL, what) {
        Ok((Answer::Settled(Some(revision)), _)) => Ok(Settled::At(revision)),
        Ok((Answer::Settled(None), _)) => Ok(Settled::Not),
        Ok(_) => Err(wrong_answer(what)),
        Err(Error::Refused { code: RefuseCode::Malformed, .. }) => Ok(Settled::Live),
        Err(error) => Err(error),
    }
}

/// An instance id as text.
pub(crate) fn hex(id: &[u8; 16]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}
