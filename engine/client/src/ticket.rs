//! Tickets: the caller's side of a request that is under way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shmirror_shm::request::ResultSet;
use shmirror_shm::wire::{Answer, Call};

use crate::connection::CALL;
use crate::error::Error;
use crate::lane::{Fate, Place, Submitted};
use crate::producer::Commit;
use crate::shared::Shared;

/// Longer than any process runs, and still within what the clock can say.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// When so much time is over.
pub(crate) fn after(time: Duration) -> Instant {
    Instant::now() + time.min(FOREVER)
}

/// The claim on the outcome of a request that was submitted.
///
/// A ticket that is dropped takes nothing back: the request goes on, nobody hears of it. If lane or
/// daemon are lost meanwhile the producer settles it when any ticket is next asked or anything next
/// submitted: it is committed once or not at all, never twice.
#[derive(Debug)]
#[must_use = "without wait() or poll() nobody learns whether it was committed"]
pub struct Ticket {
    shared: Arc<Shared>,
    request: Arc<Submitted>,
    timeout: Duration,
}

impl Ticket {
    pub(crate) fn new(shared: Arc<Shared>, request: Arc<Submitted>, timeout: Duration) -> Self {
        Self { shared, request, timeout }
    }

    /// Its number in the lane that it is in now.
    pub fn number(&self) -> u64 {
        match self.request.place() {
            Place::UnderWay(_, ticket) | Place::Settled(_, ticket, _) => ticket,
        }
    }

    /// The outcome, if it is there already: `None` while the request is under way.
    ///
    /// # Errors
    /// [`Error::Rejected`], [`Error::OutcomeExpired`], [`Error::OtherInstance`], [`Error::Forked`].
    pub fn poll(&self) -> Result<Option<Commit>, Error> {
        self.shared.same_process()?;
        if !self.request.look() {
            let Place::UnderWay(session, ticket) = self.request.place() else {
                return self.outcome();
            };
            if session.may_answer(ticket) {
                return Ok(None);
            }
            match self.shared.recover(Instant::now()) {
                // Nobody there to ask: still under way.
                Ok(())
                | Err(Error::NoDaemon { .. } | Error::Disconnected { .. } | Error::Full { .. }) => {
                }
                Err(error) => return Err(error),
            }
        }
        self.outcome()
    }

    /// Waits for the outcome as long as the producer's timeout says.
    ///
    /// # Errors
    /// [`Error::Rejected`]: nothing was done, and why. [`Error::TimedOut`], [`Error::Disconnected`]:
    /// not known yet; the request may still be committed. [`Error::OutcomeExpired`]: asked too late.
    /// [`Error::OtherInstance`], [`Error::Forked`].
    pub fn wait(self) -> Result<Commit, Error> {
        self.wait_deadline(after(self.timeout))
    }

    /// Waits for the outcome until `deadline`; may be asked again.
    ///
    /// # Errors
    /// As [`Ticket::wait`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<Commit, Error> {
        self.shared.same_process()?;
        loop {
            if let Some(commit) = self.outcome()? {
                return Ok(commit);
            }
            let Place::UnderWay(session, ticket) = self.request.place() else { continue };
            let mut alive = || session.may_answer(ticket);
            match session.lane.wait(ticket, deadline, &mut alive) {
                Ok(outcome) => self.request.take(&session, outcome),
                Err(error) => {
                    let shared = &self.shared;
                    shared
                        .no_outcome(&self.request, &session, ticket, error, deadline)
                        .map_err(|e| not_known(e, ticket))?;
                }
            }
        }
    }

    /// The result rows of what was committed, one set for each statement that yields rows.
    pub(crate) fn rows(&self) -> Result<Vec<ResultSet>, Error> {
        let Place::Settled(session, ticket, Fate::Committed { revision, has_rows, .. }) =
            self.request.place()
        else {
            return Ok(Vec::new());
        };
        if !has_rows {
            return Ok(Vec::new());
        }
        let call = Call::Result { lane: session.id(), ticket };
        // Rows belong to the lane, so any connection of this user gets them.
        let connection = self.shared.connection(&session);
        match connection.call(&call, CALL, "fetching result rows") {
            Ok((Answer::Rows { sets, .. }, _)) => Ok(sets),
            Err(Error::Refused { .. } | Error::Disconnected { .. }) => {
                Err(Error::ResultLost { revision })
            }
            Err(error) => Err(error),
            Ok(_) => Err(crate::connection::wrong_answer("fetching result rows")),
        }
    }

    fn outcome(&self) -> Result<Option<Commit>, Error> {
        let Place::Settled(_, ticket, fate) = self.request.place() else { return Ok(None) };
        match fate {
            Fate::Committed { revision, changes, .. } => Ok(Some(Commit { revision, changes })),
            Fate::Rejected { code, message } => Err(Error::Rejected { code, message }),
            Fate::Expired => Err(Error::OutcomeExpired { ticket }),
            Fate::Elsewhere { expected, found } => Err(Error::OtherInstance { expected, found }),
        }
    }
}

/// The same trouble, for a request that is under way: [`Error::NoDaemon`] and [`Error::Full`] would say
/// that nothing was submitted.
fn not_known(error: Error, ticket: u64) -> Error {
    match error {
        Error::NoDaemon { .. } => {
            Error::Disconnected { what: format!("the outcome of ticket {ticket}: {error}") }
        }
        Error::Full { .. } => {
            Error::TimedOut { what: format!("the outcome of ticket {ticket}: {error}") }
        }
        other => other,
    }
}
