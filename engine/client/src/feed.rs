//! What a subscriber follows: a follower for each namespace, and the namespaces that are not, or no
//! longer, to be seen.
//!
//! In: names of tables. Out: events of all of them, merged.
//!
//! ```text
//!            ┌── the daemon denies it: told once ──┐
//! followed ──┘                                     └─► absent: a fresh greeting every 0.2 to 3 s
//!     ▲                                                  │   (an old connection has old rights)
//!     └── shown by a greeting: what it did not see is ───┘
//!         told as missing
//! ```
//! Without names all namespaces are followed that a greeting shows, those that a later one shows first
//! too. That is: of another daemon, or after this one closed the connection as rights were withdrawn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shmirror_shm::wire::{Answer, Call, Seen};

use crate::connection::{CALL, Connection, DENIED_BACKOFF, Place, only, wrong_answer};
use crate::error::Error;
use crate::event::Event;
use crate::follow::{Follow, published};
use crate::history::oldest;
use crate::lane::hex;
use crate::line::Line;
use crate::merge::{self, Filled, Source};
use crate::name::{Wanted, seen_as};

/// The namespaces behind a subscriber.
pub(crate) struct Feed {
    line: Arc<Line>,
    instance: [u8; 16],
    /// Whatever there is to see is followed.
    everything: bool,
    follows: Vec<Follow>,
    absent: Vec<Absent>,
    /// The connection whose greeting was looked at.
    epoch: u64,
    look_at: Instant,
    pause: Duration,
    /// All before this revision was told.
    floor: u64,
    /// Something of this revision, or all of it, was told.
    told: u64,
    /// Why the last namespace was denied.
    refusal: String,
}

/// A namespace that is not to be seen.
struct Absent {
    namespace: String,
    names: Vec<Wanted>,
    /// It was to be seen before.
    follow: Option<Follow>,
}

/// What is listened to, and over which connection; where it is the same, so is the bell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    epoch: u64,
    versions: Vec<(u16, u64)>,
}

impl Feed {
    /// Attaches and begins with revision `from`; 0: the oldest that the log holds; `None`: now.
    pub(crate) fn begin(
        place: Place,
        patience: Duration,
        names: &[String],
        from: Option<u64>,
    ) -> Result<Self, Error> {
        let line = Arc::new(Line::open(place, patience)?);
        let connection = line.newest();
        let visible = connection.visible()?;
        let from = from.map(|from| begin_at(&connection, from)).transpose()?;
        let mut feed = Self {
            instance: connection.welcome().instance,
            everything: names.is_empty(),
            follows: Vec::new(),
            absent: Vec::new(),
            epoch: line.epoch(),
            look_at: Instant::now() + DENIED_BACKOFF.0,
            pause: DENIED_BACKOFF.0,
            floor: from.unwrap_or(connection.welcome().revision + 1),
            told: 0,
            refusal: String::new(),
            line,
        };
        let wanted = match names {
            [] => visible.iter().map(|seen| (seen.name.clone(), Vec::new())).collect(),
            names => by_namespace(names, &connection)?,
        };
        for (namespace, names) in wanted {
            match seen_as(visible, &namespace) {
                Some(seen) => {
                    let connection = connection.clone();
                    feed.follows.push(Follow::begin(&feed.line, connection, seen, names, from)?);
                }
                None => feed.absent.push(Absent { namespace, names, follow: None }),
            }
        }
        Ok(feed)
    }

    /// Goes to a revision, of the instance that is there now; 0: the oldest that the log holds.
    pub(crate) fn resume(&mut self, from: u64) -> Result<(), Error> {
        let connection = self.line.connection()?.ok_or_else(away)?;
        let from = begin_at(&connection, from)?;
        self.instance = connection.welcome().instance;
        (self.floor, self.told) = (from, 0);
        let absent = self.absent.iter_mut().filter_map(|absent| absent.follow.as_mut());
        self.follows.iter_mut().chain(absent).for_each(|f| f.go_to(from, self.instance));
        self.welcome_new();
        Ok(())
    }

    /// The one follower, if no other is to be waited for.
    pub(crate) fn single(&mut self) -> Option<&mut Follow> {
        match &mut self.follows[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The next event, once [`Feed::fill`] said that there is one.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = merge::pop(&mut self.follows)?;
        self.told = self.told.max(event.revision());
        Some(event)
    }

    /// Reads until an event may be told, or until there is nothing to read. Waits for nothing but the
    /// daemon's answers.
    pub(crate) fn fill(&mut self) -> Result<Filled, Error> {
        if !self.absent.is_empty() && Instant::now() >= self.look_at {
            self.look_for_absent()?;
        }
        loop {
            let filled = match merge::fill(&mut self.follows) {
                Ok(filled) => filled,
                Err((index, Error::Denied { message })) => {
                    self.shut(index, &message);
                    return Err(Error::Denied { message });
                }
                Err((_, error)) => return Err(error),
            };
            if self.line.epoch() != self.epoch {
                // Before anything is told that one of these would have to come before.
                self.welcome_new();
                continue;
            }
            if self.follows.is_empty() && self.absent.iter().any(|a| a.follow.is_some()) {
                return Err(Error::Denied { message: self.refusal.clone() });
            }
            self.floor = self.floor.max(merge::bound(&self.follows).unwrap_or_default());
            return Ok(filled);
        }
    }

    /// A namespace may no longer be seen.
    fn shut(&mut self, index: usize, message: &str) {
        let mut follow = self.follows.remove(index);
        follow.unlink();
        let namespace = follow.namespace().to_owned();
        self.absent.push(Absent { namespace, names: Vec::new(), follow: Some(follow) });
        message.clone_into(&mut self.refusal);
        self.pause = DENIED_BACKOFF.0;
        self.look_at = Instant::now() + self.pause;
    }

    /// Asks whether what is absent may be seen now.
    fn look_for_absent(&mut self) -> Result<(), Error> {
        self.look_at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(DENIED_BACKOFF.1);
        let mut other = None;
        let absent = &self.absent;
        let done = self.line.look(|fresh| {
            let welcome = fresh.welcome();
            other = (welcome.instance != self.instance).then_some(welcome.instance);
            other.is_none()
                && absent.iter().any(|a| seen_as(&welcome.namespaces, &a.namespace).is_some())
        });
        if let Some(found) = other.filter(|_| self.follows.is_empty()) {
            let (expected, found) = (hex(&self.instance), hex(&found));
            return Err(Error::OtherInstance { expected, found });
        }
        if let Err(error) = done {
            tracing::debug!(%error, "no namespace is seen anew");
        }
        if self.line.epoch() != self.epoch {
            self.welcome_new();
        }
        Ok(())
    }

    /// Follows what the newest greeting shows first.
    fn welcome_new(&mut self) {
        self.epoch = self.line.epoch();
        let connection = self.line.newest();
        if connection.welcome().instance != self.instance {
            return;
        }
        for seen in &connection.welcome().namespaces {
            let is_it = |namespace: &str| namespace.eq_ignore_ascii_case(&seen.name);
            let absent = self.absent.iter().position(|a| is_it(&a.namespace));
            let absent = match absent.map(|index| self.absent.swap_remove(index)) {
                Some(absent) => absent,
                None if self.everything && !self.follows.iter().any(|f| is_it(f.namespace())) => {
                    Absent { namespace: seen.name.clone(), names: Vec::new(), follow: None }
                }
                None => continue,
            };
            self.admit(absent, seen, &connection);
        }
    }

    fn admit(&mut self, absent: Absent, seen: &Seen, connection: &Arc<Connection>) {
        // What was told of a revision may have stood behind what this one has of it.
        let from = self.floor.max(self.told + 1);
        let Absent { namespace, names, follow } = absent;
        if let Some(mut follow) = follow {
            follow.go_on(from);
            return self.follows.push(follow);
        }
        let begun = Follow::begin(&self.line, connection.clone(), seen, names.clone(), Some(from));
        match begun {
            Ok(follow) => self.follows.push(follow),
            Err(error) => {
                tracing::debug!(%error, namespace, "it cannot be followed yet");
                self.absent.push(Absent { namespace, names, follow: None });
            }
        }
    }

    /// Lets go of a daemon that is gone, once all that it announced was read.
    pub(crate) fn check_links(&mut self) {
        self.follows.iter_mut().for_each(Follow::check_link);
    }

    /// Whether nothing that is wanted may be seen now.
    pub(crate) fn is_empty(&self) -> bool {
        self.follows.is_empty()
    }

    /// Whether there is a daemon, as far as there is anything to follow.
    pub(crate) fn is_linked(&self) -> bool {
        self.follows.iter().all(Follow::is_linked)
    }

    /// How long until a look at whether what is absent may be seen.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let left = self.look_at.saturating_duration_since(Instant::now());
        (!self.absent.is_empty()).then_some(left)
    }

    /// What is listened to now.
    pub(crate) fn heard(&self) -> Heard {
        let versions = self.follows.iter().map(|f| (f.number(), f.schema_version())).collect();
        Heard { epoch: self.line.epoch(), versions }
    }

    /// Has the daemon ring a bell when something of interest changes.
    pub(crate) fn bell(&self) -> Result<std::os::fd::OwnedFd, Error> {
        let ids: Option<Vec<Vec<u32>>> = self.follows.iter().map(Follow::ids).collect();
        let mut tables = ids.map(|ids| ids.concat()).unwrap_or_default();
        if !tables.is_empty() {
            // The schema as a whole.
            tables.push(0);
        }
        let what = "asking to be woken";
        let (answer, fds) = self.line.newest().call(&Call::Notify(tables), CALL, what)?;
        if answer != Answer::Done {
            return Err(wrong_answer(what));
        }
        only(fds, what)
    }
}

/// The revision to begin with: this one, if the log still has it; 0: the oldest that it has.
fn begin_at(connection: &Connection, from: u64) -> Result<u64, Error> {
    let oldest = oldest(&mut |call, what| connection.call(call, CALL, what))?;
    if from != 0 && from < oldest {
        return Err(Error::TooOld { asked: from, oldest });
    }
    Ok(from.max(oldest))
}

/// The tables that these names mean, by their namespace.
fn by_namespace(
    names: &[String],
    connection: &Connection,
) -> Result<Vec<(String, Vec<Wanted>)>, Error> {
    let mut all: Vec<(String, Vec<Wanted>)> = Vec::new();
    for name in names {
        let mut failed = None;
        let table = Wanted::of(name, |space, rest| {
            // Only where there is a dot are there two ways to read it.
            name.contains('.')
                && connection.sees(space).is_ok()
                && published(connection, space)
                    .map_err(|e| failed = Some(e))
                    .is_ok_and(|part| part.table_in(space, rest).is_some())
        });
        if let Some(error) = failed {
            return Err(error);
        }
        match all.iter_mut().find(|(space, _)| space.eq_ignore_ascii_case(&table.namespace)) {
            Some((_, tables)) => tables.push(table),
            None => all.push((table.namespace.clone(), vec![table])),
        }
    }
    Ok(all)
}

#[cold]
fn away() -> Error {
    Error::Disconnected { what: "following changes".to_owned() }
}
