//! Following the changes: out of the events lane, and out of the commit log where the lane no longer,
//! or not yet, has them.
//!
//! In: a revision to begin with. Out: events, each once and in order, whatever happens between.
//!
//! ```text
//! Log ──── the lane is complete from the wanted revision on ────► Lane
//!  ▲  chunk by chunk                                               │ record by record
//!  └──── another daemon, another lane, overtaken while joining ────┘
//! ```
//! What was delivered is remembered as a revision and how many of its records, so a change of source
//! in the middle of a transaction neither loses nor doubles anything: both sources have the same
//! records of a revision in the same order, and are both read unfiltered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::{Catalogue, MAIN};
use shmirror_shm::lane::{EventsError, EventsReader};
use shmirror_shm::record::{FLAG_ELIDED, RecordRef, records};
use shmirror_shm::region::Region;
use shmirror_shm::snapshot::Segment;
use shmirror_shm::wire::{Answer, Call, ROLE_MIRROR, ROLE_SUBSCRIBER};

use crate::connection::{BACKOFF, CALL, Connection, Place, only, this_build, wrong_answer};
use crate::error::Error;
use crate::event::Event;
use crate::history::{Chunk, chunk, oldest};
use crate::lane::hex;
use crate::position::Position;
use crate::render::{Renderer, bad_record};

/// About so many bytes of the commit log are fetched at a time.
const CHUNK: u64 = 4 << 20;

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Log,
    /// While joining, what came before the wanted revision is passed over.
    Lane {
        joining: bool,
    },
}

/// A connection and the events lane of its daemon.
struct Link {
    connection: Connection,
    reader: EventsReader,
}

/// Why nothing more is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something is ready.
    Ready,
    /// All there is was read.
    Idle,
    /// There is no daemon.
    Away,
}

/// The follower behind a subscriber.
pub(crate) struct Follow {
    place: Place,
    instance: [u8; 16],
    link: Option<Link>,
    source: Source,
    position: Position,
    renderer: Renderer,
    ready: VecDeque<Event>,
    buffer: Vec<u64>,
    try_at: Instant,
    pause: Duration,
}

impl Follow {
    /// Attaches and begins with revision `from`; 0: the oldest that the log holds; `None`: now.
    pub(crate) fn begin(
        place: Place,
        patience: Duration,
        names: Vec<String>,
        from: Option<u64>,
    ) -> Result<Self, Error> {
        let connection = Connection::open(&place, ROLE_SUBSCRIBER | ROLE_MIRROR, patience)?;
        let mut reader = events(&connection)?;
        let mut catalogue = published(&connection)?;
        // Where it begins and what it knows of the schema must be of one moment.
        let newest = loop {
            let newest = reader.from_newest();
            let again = published(&connection)?;
            if again.schema_version == catalogue.schema_version {
                break newest;
            }
            catalogue = again;
        };
        let mut follow = Self {
            place,
            instance: connection.welcome().instance,
            link: Some(Link { connection, reader }),
            source: Source::Lane { joining: false },
            position: Position::at(newest + 1),
            renderer: Renderer::new(names, catalogue),
            ready: VecDeque::new(),
            buffer: Vec::new(),
            try_at: Instant::now(),
            pause: BACKOFF.0,
        };
        if let Some(from) = from {
            follow.resume(from)?;
        }
        Ok(follow)
    }

    /// Goes to revision `from`; 0: the oldest that the log holds.
    pub(crate) fn resume(&mut self, from: u64) -> Result<(), Error> {
        let oldest = self.oldest()?;
        if from != 0 && from < oldest {
            return Err(Error::TooOld { asked: from, oldest });
        }
        self.ready.clear();
        self.position = Position::at(from.max(oldest));
        self.source = Source::Log;
        Ok(())
    }

    /// Goes to the oldest revision of an instance that took the place of the one before.
    fn oldest(&mut self) -> Result<u64, Error> {
        if self.link.is_none() {
            self.connect()?;
        }
        let link = self.link.as_ref().ok_or_else(away)?;
        self.instance = link.connection.welcome().instance;
        oldest(&mut |call, what| link.connection.call(call, CALL, what))
    }

    /// The next event that is ready.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// Reads until something is ready, or until there is nothing to read. Waits for nothing but the
    /// daemon's answers.
    pub(crate) fn fill(&mut self) -> Result<Filled, Error> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Filled::Ready);
            }
            if self.link.is_none() && !self.reconnect()? {
                return Ok(Filled::Away);
            }
            let done = match self.source {
                Source::Log => self.catch_up(),
                Source::Lane { joining } => self.read_lane(joining),
            };
            match done {
                Ok(true) => {}
                Ok(false) => return Ok(Filled::Idle),
                Err(Error::Disconnected { .. }) => self.unlink(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sleeps until there may be something to read, or for as long as `time` says.
    pub(crate) fn wait(&mut self, time: Duration) {
        let ids = self.renderer.ids();
        let Some(link) = &mut self.link else { return std::thread::sleep(time.min(self.pause)) };
        if !link.reader.wait(ids.as_deref(), time) {
            self.check_link();
        }
    }

    /// Lets go of a daemon that is gone, once all that it announced was read.
    pub(crate) fn check_link(&mut self) {
        let Some(link) = &self.link else { return };
        let nothing_left = link.reader.newest_revision() < self.position.revision;
        if nothing_left && !link.connection.is_up() {
            self.unlink();
        }
    }

    /// Whether there is a daemon.
    pub(crate) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Has the daemon ring a bell when something of interest changes.
    pub(crate) fn bell(&self) -> Result<std::os::fd::OwnedFd, Error> {
        let link = self.link.as_ref().ok_or_else(away)?;
        let mut tables = self.renderer.ids().unwrap_or_default();
        if !tables.is_empty() {
            // The schema as a whole.
            tables.push(0);
        }
        let what = "asking to be woken";
        let (answer, fds) = link.connection.call(&Call::Notify(tables), CALL, what)?;
        if answer != Answer::Done {
            return Err(wrong_answer(what));
        }
        only(fds, what)
    }

    /// Version of the schema that is known; what [`Follow::bell`] listens to follows from it.
    pub(crate) fn schema_version(&self) -> u64 {
        self.renderer.schema_version()
    }

    fn unlink(&mut self) {
        self.link = None;
        self.source = Source::Log;
        (self.pause, self.try_at) = (BACKOFF.0, Instant::now());
    }

    /// Connects again, if it is time to try.
    fn reconnect(&mut self) -> Result<bool, Error> {
        if Instant::now() < self.try_at {
            return Ok(false);
        }
        match self.connect() {
            Ok(()) => {}
            Err(Error::NoDaemon { .. } | Error::Disconnected { .. } | Error::Refused { .. }) => {
                self.try_at = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(BACKOFF.1);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        let found = self.link.as_ref().map(|l| l.connection.welcome().instance);
        if let Some(found) = found
            && found != self.instance
        {
            self.unlink();
            let (expected, found) = (hex(&self.instance), hex(&found));
            return Err(Error::OtherInstance { expected, found });
        }
        Ok(true)
    }

    fn connect(&mut self) -> Result<(), Error> {
        let connection = Connection::try_open(&self.place, ROLE_SUBSCRIBER | ROLE_MIRROR)?;
        let reader = events(&connection)?;
        self.link = Some(Link { connection, reader });
        self.source = Source::Log;
        Ok(())
    }

    /// One step on the way to the lane: joins it, or takes a chunk of the log. False: neither brings
    /// anything now.
    fn catch_up(&mut self) -> Result<bool, Error> {
        let link = self.link.as_mut().ok_or_else(away)?;
        self.position.again();
        if link.reader.from_oldest() <= self.position.revision {
            self.source = Source::Lane { joining: true };
            return Ok(true);
        }
        let connection = &link.connection;
        let mut ask = |call: &Call, what: &str| connection.call(call, CALL, what);
        let wanted = self.position.revision;
        let Chunk { words, through } = match chunk(&mut ask, wanted, &[], CHUNK) {
            Err(Error::TooOld { oldest, .. }) => {
                let missed = oldest.saturating_sub(wanted);
                self.lagged(missed, oldest)?;
                return Ok(true);
            }
            other => other?,
        };
        for record in records(&words) {
            self.take(&record.map_err(bad_record)?)?;
        }
        self.position.advance_to(through + 1);
        Ok(through >= wanted)
    }

    /// Takes what the lane has, up to an event. False: there is nothing now.
    fn read_lane(&mut self, joining: bool) -> Result<bool, Error> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let done = self.read_record(&mut buffer, joining);
        self.buffer = buffer;
        done
    }

    fn read_record(&mut self, buffer: &mut Vec<u64>, joining: bool) -> Result<bool, Error> {
        let link = self.link.as_mut().ok_or_else(away)?;
        // Before the look: what was announced up to it was then read, or passed over.
        let newest = link.reader.newest_revision();
        match link.reader.next(buffer) {
            Ok(Some(())) => {
                let record = RecordRef::parse(buffer).map_err(bad_record)?;
                if record.header().revision >= self.position.revision {
                    self.source = Source::Lane { joining: false };
                }
                self.take(&record)?;
                Ok(true)
            }
            Ok(None) => {
                self.source = Source::Lane { joining: false };
                self.position.advance_to(newest + 1);
                Ok(false)
            }
            Err(EventsError::Lagged { .. }) if joining => {
                self.source = Source::Log;
                Ok(true)
            }
            Err(EventsError::Lagged { missed, .. }) => self.overtaken(missed, buffer),
            Err(EventsError::Retired { generation }) => {
                let next = events(&link.connection)?;
                if next.generation() == generation {
                    return Ok(false);
                }
                link.reader = next;
                self.source = Source::Log;
                Ok(true)
            }
            Err(error @ EventsError::Corrupt { .. }) => Err(Error::Protocol(error.to_string())),
        }
    }

    /// Goes on behind a gap, with the first transaction that the lane has whole.
    fn overtaken(&mut self, mut missed: u64, buffer: &mut Vec<u64>) -> Result<bool, Error> {
        let link = self.link.as_mut().ok_or_else(away)?;
        let mut whole_from = link.reader.oldest_revision();
        let first = loop {
            match link.reader.next(buffer) {
                Ok(Some(())) => {
                    let record = RecordRef::parse(buffer).map_err(bad_record)?;
                    if record.header().revision >= whole_from {
                        break Some(record);
                    }
                    missed += 1;
                }
                Err(EventsError::Lagged { missed: more, .. }) => {
                    missed += more;
                    whole_from = link.reader.oldest_revision();
                }
                Ok(None) => break None,
                Err(error) => return Err(Error::Protocol(error.to_string())),
            }
        };
        if self.anything_missed(whole_from)? {
            self.lagged(missed, whole_from)?;
        } else {
            self.position.advance_to(whole_from);
        }
        if let Some(record) = first {
            self.take(&record)?;
        }
        Ok(true)
    }

    /// Whether the log has anything for us between what was delivered and revision `until`.
    fn anything_missed(&self, until: u64) -> Result<bool, Error> {
        let link = self.link.as_ref().ok_or_else(away)?;
        let Some(ids) = self.renderer.ids().filter(|_| self.position.read == 0) else {
            return Ok(true);
        };
        let mut ask = |call: &Call, what: &str| link.connection.call(call, CALL, what);
        let found = match chunk(&mut ask, self.position.revision, &ids, CHUNK) {
            Ok(found) => found,
            Err(Error::TooOld { .. }) => return Ok(true),
            Err(error) => return Err(error),
        };
        let ours = records(&found.words).next();
        Ok(match ours {
            Some(record) => record.map_err(bad_record)?.header().revision < until,
            None => found.through + 1 < until,
        })
    }

    /// Says that something is missing up to revision `next`, and goes on there.
    fn lagged(&mut self, missed: u64, next: u64) -> Result<(), Error> {
        let first_revision = self.position.revision;
        self.ready.push_back(Event::Lagged { missed, first_revision });
        self.position = Position::at(next.max(first_revision));
        // Changes of the schema may be among what is missing.
        let link = self.link.as_ref().ok_or_else(away)?;
        self.renderer.learn(published(&link.connection)?);
        Ok(())
    }

    fn take(&mut self, record: &RecordRef<'_>) -> Result<(), Error> {
        let header = *record.header();
        if !self.position.admits(&header) {
            return Ok(());
        }
        if header.flags & FLAG_ELIDED == 0 || !self.renderer.wants(record) {
            self.ready.extend(self.renderer.render(record)?);
            return Ok(());
        }
        // The lane had no room for all of it; the log has.
        let link = self.link.as_ref().ok_or_else(away)?;
        let mut ask = |call: &Call, what: &str| link.connection.call(call, CALL, what);
        let log = chunk(&mut ask, header.revision, &[header.table], 0)?;
        for whole in records(&log.words) {
            let whole = whole.map_err(bad_record)?;
            let h = whole.header();
            if (h.revision, h.kind, h.operation, h.birth)
                == (header.revision, header.kind, header.operation, header.birth)
            {
                let event = self.renderer.render(&whole)?;
                self.ready.extend(event.map(|e| with_sequence(e, header.sequence)));
                return Ok(());
            }
        }
        Err(Error::Protocol(format!(
            "revision {} is not in the commit log, though it was announced",
            header.revision
        )))
    }
}

fn with_sequence(event: Event, sequence: u64) -> Event {
    match event {
        Event::Change(change) => Event::Change(crate::event::ChangeEvent { sequence, ..change }),
        other => other,
    }
}

#[cold]
fn away() -> Error {
    Error::Disconnected { what: "following changes".to_owned() }
}

/// The events lane of the daemon at the other end.
fn events(connection: &Connection) -> Result<EventsReader, Error> {
    let what = "asking for the events lane";
    let (answer, fds) = connection.call(&Call::Events(MAIN.to_owned()), CALL, what)?;
    let Answer::Events { bytes, .. } = answer else { return Err(wrong_answer(what)) };
    Region::map_read_only(only(fds, what)?, bytes)
        .and_then(|region| EventsReader::open(Arc::new(region)))
        .map_err(|e| Error::Layout { client: this_build(), daemon: e.to_string() })
}

/// The catalogue that the daemon at the other end publishes now.
fn published(connection: &Connection) -> Result<Catalogue, Error> {
    let what = "asking for the segment";
    let deadline = Instant::now() + CALL;
    loop {
        let (answer, fds) = connection.call(&Call::Segment(MAIN.to_owned()), CALL, what)?;
        let Answer::Segment { bytes, .. } = answer else { return Err(wrong_answer(what)) };
        let segment = Region::map_read_only(only(fds, what)?, bytes)
            .and_then(|region| Segment::open(Arc::new(region)))
            .map_err(|e| Error::Layout { client: this_build(), daemon: e.to_string() })?;
        match segment.catalogue() {
            Ok(found) => return Ok(found.catalogue),
            Err(error) if Instant::now() >= deadline => {
                return Err(Error::Protocol(format!("catalogue: {error}")));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
