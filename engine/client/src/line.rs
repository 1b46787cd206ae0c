//! The way to the daemon that the followers of one subscriber share.
//!
//! In: where the daemon is. Out: one greeted connection, and the next one when that is down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shmirror_shm::wire::{ROLE_MIRROR, ROLE_SUBSCRIBER};

use crate::connection::{BACKOFF, Connection, DENIED_BACKOFF, Place};
use crate::error::Error;

const ROLES: u32 = ROLE_SUBSCRIBER | ROLE_MIRROR;

/// One connection at a time.
pub(crate) struct Line {
    place: Place,
    /// Counts the connections that there were.
    epoch: AtomicU64,
    state: Mutex<State>,
}

struct State {
    present: Arc<Connection>,
    /// When to try next.
    try_at: Instant,
    pause: Duration,
    /// What the daemon said when it turned this process away.
    denied: Option<String>,
}

impl Line {
    /// Connects, waiting for a daemon as long as `patience` says.
    pub(crate) fn open(place: Place, patience: Duration) -> Result<Self, Error> {
        let present = Arc::new(Connection::open(&place, ROLES, patience)?);
        let (try_at, pause) = (Instant::now(), BACKOFF.0);
        let state = State { present, try_at, pause, denied: None };
        Ok(Self { place, epoch: AtomicU64::new(0), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest connection, up or not.
    pub(crate) fn newest(&self) -> Arc<Connection> {
        self.state().present.clone()
    }

    /// Another number with each connection.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// How long to wait for the next attempt to connect.
    pub(crate) fn pause(&self) -> Duration {
        self.state().pause
    }

    /// The connection; the next one, if it is down and time to try. `None`: there is no daemon.
    pub(crate) fn connection(&self) -> Result<Option<Arc<Connection>>, Error> {
        let mut state = self.state();
        if state.present.is_up() {
            return Ok(Some(state.present.clone()));
        }
        if Instant::now() < state.try_at {
            return match state.denied.clone() {
                Some(message) => Err(Error::Denied { message }),
                None => Ok(None),
            };
        }
        let done = Connection::try_open(&self.place, ROLES);
        let (least, most) = match &done {
            Err(Error::Denied { .. }) => DENIED_BACKOFF,
            _ => BACKOFF,
        };
        state.pause = state.pause.clamp(least, most);
        state.try_at = Instant::now() + state.pause;
        state.pause = (state.pause * 2).min(most);
        state.denied = None;
        match done {
            Ok(fresh) => Ok(Some(self.take(&mut state, fresh))),
            Err(Error::NoDaemon { .. } | Error::Disconnected { .. } | Error::Refused { .. }) => {
                Ok(None)
            }
            Err(Error::Denied { message }) => {
                state.denied = Some(message.clone());
                Err(Error::Denied { message })
            }
            Err(error) => Err(error),
        }
    }

    /// Greets anew, as a connection has the rights of its beginning, and stays with the new connection
    /// where it `shows` what is looked for.
    pub(crate) fn look(&self, shows: impl FnOnce(&Connection) -> bool) -> Result<(), Error> {
        let fresh = Connection::try_open(&self.place, ROLES)?;
        if shows(&fresh) {
            self.take(&mut self.state(), fresh);
        }
        Ok(())
    }

    fn take(&self, state: &mut State, fresh: Connection) -> Arc<Connection> {
        state.present = Arc::new(fresh);
        (state.pause, state.denied) = (BACKOFF.0, None);
        self.epoch.fetch_add(1, Ordering::Relaxed);
        state.present.clone()
    }
}
