//! What all clones of a producer share: the present lane, and what is under way.
//!
//! In: payloads. Out: requests in a lane; and, where lane or daemon were lost, another lane, with
//! everything that was under way settled or submitted again in its order.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::lane::{SubmitError, WaitError};
use shmirror_shm::wire::{ROLE_PRODUCER, RefuseCode};

use crate::connection::{BACKOFF, Connection, Place as Daemon, same_process};
use crate::error::Error;
use crate::lane::{Payload, Place, Session, Submitted};

/// Pause between two attempts at a full lane: first, and most.
const FULL_PAUSE: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// What all clones of a producer share.
#[derive(Debug)]
pub(crate) struct Shared {
    daemon: Daemon,
    pid: u32,
    state: Mutex<State>,
    /// One thread at a time reattaches.
    recovering: Mutex<()>,
}

#[derive(Debug)]
struct State {
    session: Arc<Session>,
    /// A request in its lane was not answered in time: perhaps the lane is none any more.
    doubted: bool,
    /// Requests whose fate may not be known yet, in the order of their submission.
    under_way: VecDeque<Arc<Submitted>>,
}

impl State {
    /// Takes the outcomes that are there, so that they do not expire while nobody asks.
    fn reap(&mut self) {
        while self.under_way.front().is_some_and(|request| request.look()) {
            self.under_way.pop_front();
        }
    }
}

impl Shared {
    /// Attaches to the daemon and gets the lane of this user.
    pub(crate) fn attach(daemon: Daemon, patience: Duration) -> Result<Self, Error> {
        let connection = Connection::open(&daemon, ROLE_PRODUCER, patience)?;
        let session = Arc::new(Session::attach(Arc::new(connection))?);
        Ok(Self {
            daemon,
            pid: std::process::id(),
            state: Mutex::new(State { session, doubted: false, under_way: VecDeque::new() }),
            recovering: Mutex::new(()),
        })
    }

    /// Whether the daemon is there and takes requests.
    pub(crate) fn is_usable(&self) -> bool {
        self.same_process().is_ok() && self.state().session.is_usable()
    }

    /// That this is the process that attached. To be asked before any lock: a child must not wait for
    /// one that a thread of its parent held.
    pub(crate) fn same_process(&self) -> Result<(), Error> {
        same_process(self.pid)
    }

    /// The connection of this session, or, if that is down, the present one.
    pub(crate) fn connection(&self, session: &Session) -> Arc<Connection> {
        if session.connection.is_up() {
            return session.connection.clone();
        }
        self.state().session.connection.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request into the lane. Without a deadline: now or not at all.
    pub(crate) fn submit(
        &self,
        payload: Payload,
        deadline: Option<Instant>,
    ) -> Result<Arc<Submitted>, Error> {
        self.same_process()?;
        let until = deadline.unwrap_or_else(Instant::now);
        let mut pause = FULL_PAUSE.0;
        if deadline.is_some() {
            self.look_at_doubted();
        }
        loop {
            let (session, error) = {
                let mut state = self.state();
                state.reap();
                let session = state.session.clone();
                if session.is_lost() {
                    drop(state);
                    self.recover(until)?;
                    continue;
                }
                match session.lane.try_submit(payload.kind, payload.bytes.as_slice()) {
                    Ok(ticket) => {
                        let request = Submitted::new(payload, session, ticket);
                        let request = Arc::new(request);
                        state.under_way.push_back(request.clone());
                        return Ok(request);
                    }
                    Err(error) => (session, error),
                }
            };
            match error {
                SubmitError::Full { .. } if Instant::now() >= until => {
                    return Err(Error::Full { message: error.to_string() });
                }
                SubmitError::Full { .. } if session.is_usable() => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(FULL_PAUSE.1);
                }
                SubmitError::Full { .. } | SubmitError::Retired { .. } => self.recover(until)?,
                SubmitError::TooLarge { found, allowed } => {
                    let size = |n| usize::try_from(n).unwrap_or(usize::MAX);
                    let (found, allowed) = (size(found), size(allowed));
                    return Err(Error::TooLarge { what: "transaction", found, allowed });
                }
                SubmitError::TimedOut if Instant::now() < until => {}
                SubmitError::TimedOut => {
                    return Err(Error::Full { message: error.to_string() });
                }
                // Its holder is stopped, or somebody scribbled over it.
                SubmitError::LockStuck { .. } | SubmitError::Corrupt { .. } => {
                    match session.lose() {
                        Ok(()) => self.recover(until)?,
                        // There have been too many of late: there will be one.
                        Err(Error::Refused { code: RefuseCode::Limit, .. })
                            if Instant::now() < until =>
                        {
                            thread::sleep(BACKOFF.0);
                        }
                        Err(error) => return Err(error),
                    }
                }
                error => return Err(Error::Protocol(error.to_string())),
            }
        }
    }

    /// Where an outcome did not come in time, asks whether the lane is still the one of this user: a lane
    /// that was retired says so, but whoever shares it can write over that.
    fn look_at_doubted(&self) {
        let session = {
            let mut state = self.state();
            if !std::mem::take(&mut state.doubted) {
                return;
            }
            state.session.clone()
        };
        if session.is_usable() && session.doubt().is_err() {
            self.state().doubted = true;
        }
    }

    /// Why there was no outcome, and what to do about it. `Ok`: look again.
    pub(crate) fn no_outcome(
        &self,
        request: &Submitted,
        session: &Arc<Session>,
        ticket: u64,
        error: WaitError,
        deadline: Instant,
    ) -> Result<(), Error> {
        match error {
            WaitError::TimedOut => {
                self.state().doubted = true;
                Err(Error::TimedOut { what: format!("the outcome of ticket {ticket}") })
            }
            WaitError::Expired => {
                request.expire(session, ticket);
                Ok(())
            }
            // The daemon is gone, or the lane was retired before it took the request.
            _ => self.recover(deadline),
        }
    }

    /// Reattaches where that is needed, and finds out about everything that was under way.
    pub(crate) fn recover(&self, deadline: Instant) -> Result<(), Error> {
        self.same_process()?;
        let mut pause = BACKOFF.0;
        let _one = loop {
            // Who has it may go on for as long as its own caller allows, which is not this one's time.
            match self.recovering.try_lock() {
                Ok(guard) => break guard,
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let what = "another thread is attaching to the next one".to_owned();
                return Err(Error::Disconnected { what });
            }
            thread::sleep(pause.min(left));
            pause = (pause * 2).min(BACKOFF.1);
        };
        let mut pause = BACKOFF.0;
        loop {
            let error = match self.try_recover(deadline) {
                Ok(()) => return Ok(()),
                Err(e @ (Error::NoDaemon { .. } | Error::Denied { .. } | Error::Layout { .. })) => {
                    return Err(e);
                }
                Err(error) => error,
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    fn try_recover(&self, deadline: Instant) -> Result<(), Error> {
        let present = self.state().session.clone();
        let fresh = if present.is_usable() {
            present
        } else {
            let connection = if present.connection.is_up() {
                present.connection.clone()
            } else {
                let left = deadline.saturating_duration_since(Instant::now());
                Arc::new(Connection::open(&self.daemon, ROLE_PRODUCER, left)?)
            };
            Arc::new(Session::attach(connection)?)
        };
        // Held throughout, so that what is submitted meanwhile comes after what was before.
        let mut state = self.state();
        for request in &state.under_way {
            request.recover(&fresh, deadline)?;
        }
        state.session = fresh;
        state.under_way.retain(|r| matches!(r.place(), Place::UnderWay(..)));
        Ok(())
    }
}
