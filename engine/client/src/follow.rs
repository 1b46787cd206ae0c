//! Following the changes of one namespace: out of its events lane, and out of the commit log where the
//! lane no longer, or not yet, has them.
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
//! records of a revision in the same order, and are both read unfiltered. A transaction that ends in
//! another namespace has no record here that says it is the last; that it is over is then known from a
//! record of a newer revision, or from the lane's newest revision, once all was read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::lane::{EventsError, EventsReader};
use shmirror_shm::record::{FLAG_ELIDED, RecordRef, records};
use shmirror_shm::region::Region;
use shmirror_shm::snapshot::Segment;
use shmirror_shm::wire::{Answer, Call, Seen};

use crate::connection::{CALL, Connection, only, this_build, wrong_answer};
use crate::error::Error;
use crate::event::Event;
use crate::history::{Chunk, chunk};
use crate::lane::hex;
use crate::line::Line;
use crate::merge::{Filled, Source};
use crate::name::Wanted;
use crate::position::Position;
use crate::render::{Renderer, bad_record};

/// About so many bytes of the commit log are fetched at a time.
const CHUNK: u64 = 4 << 20;

/// Where records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Log,
    /// While joining, what came before the wanted revision is passed over.
    Lane {
        joining: bool,
    },
}

/// A connection and the events lane of its daemon.
struct Link {
    connection: Arc<Connection>,
    reader: EventsReader,
}

/// The follower of one namespace.
pub(crate) struct Follow {
    line: Arc<Line>,
    instance: [u8; 16],
    namespace: String,
    /// The namespace's number.
    number: u16,
    link: Option<Link>,
    from: From,
    position: Position,
    renderer: Renderer,
    ready: VecDeque<Event>,
    buffer: Vec<u64>,
}

impl Follow {
    /// Begins with revision `from`, or with what is committed from now on.
    pub(crate) fn begin(
        line: &Arc<Line>,
        connection: Arc<Connection>,
        seen: &Seen,
        names: Vec<Wanted>,
        from: Option<u64>,
    ) -> Result<Self, Error> {
        let mut reader = events(&connection, &seen.name)?;
        let mut part = published(&connection, &seen.name)?;
        // Where it begins and what it knows of the schema must be of one moment.
        let newest = loop {
            let newest = reader.from_newest();
            let again = published(&connection, &seen.name)?;
            if again.schema_version == part.schema_version {
                break newest;
            }
            part = again;
        };
        let mut follow = Self {
            line: line.clone(),
            instance: connection.welcome().instance,
            namespace: seen.name.clone(),
            number: seen.id,
            link: Some(Link { connection, reader }),
            from: From::Lane { joining: false },
            position: Position::at(newest + 1),
            renderer: Renderer::new(names, [(seen.id, part)]),
            ready: VecDeque::new(),
            buffer: Vec::new(),
        };
        if let Some(from) = from {
            follow.go_to(from, follow.instance);
        }
        Ok(follow)
    }

    /// Goes to revision `from` of an instance, which may be another one than before.
    pub(crate) fn go_to(&mut self, from: u64, instance: [u8; 16]) {
        self.ready.clear();
        self.instance = instance;
        self.position = Position::at(from);
        self.from = From::Log;
    }

    /// Goes on with revision `from`, if it is not there yet, after a time in which the namespace was
    /// not to be seen.
    pub(crate) fn go_on(&mut self, from: u64) {
        let first_revision = self.position.revision;
        if first_revision < from {
            let missed = from - first_revision;
            self.ready.push_back(Event::Lagged { missed, first_revision });
            self.position = Position::at(from);
        }
    }

    /// Name of the namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Sleeps until there may be something to read, or for as long as `time` says.
    pub(crate) fn wait(&mut self, time: Duration) {
        let ids = self.renderer.ids();
        let Some(link) = &mut self.link else {
            return std::thread::sleep(time.min(self.line.pause()));
        };
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

    /// Ids of the tables that are listened to; `None` for all.
    pub(crate) fn ids(&self) -> Option<Vec<u32>> {
        self.renderer.ids()
    }

    /// Version of the schema that is known; what [`Follow::ids`] are follows from it.
    pub(crate) fn schema_version(&self) -> u64 {
        self.renderer.schema_version()
    }

    pub(crate) fn unlink(&mut self) {
        self.link = None;
        self.from = From::Log;
    }

    /// Connects again, if there is a daemon.
    fn reconnect(&mut self) -> Result<bool, Error> {
        let Some(connection) = self.line.connection()? else { return Ok(false) };
        let found = connection.welcome().instance;
        if found != self.instance {
            let (expected, found) = (hex(&self.instance), hex(&found));
            return Err(Error::OtherInstance { expected, found });
        }
        self.number = connection.sees(&self.namespace)?.id;
        let reader = match events(&connection, &self.namespace) {
            // It went away at this very moment.
            Err(Error::Disconnected { .. }) => return Ok(false),
            reader => reader?,
        };
        self.link = Some(Link { connection, reader });
        self.from = From::Log;
        Ok(true)
    }

    /// One step on the way to the lane: joins it, or takes a chunk of the log. False: neither brings
    /// anything now.
    fn catch_up(&mut self) -> Result<bool, Error> {
        let link = self.link.as_mut().ok_or_else(away)?;
        self.position.again();
        if link.reader.from_oldest() <= self.position.revision {
            self.from = From::Lane { joining: true };
            return Ok(true);
        }
        let connection = &link.connection;
        let mut ask = |call: &Call, what: &str| connection.call(call, CALL, what);
        let wanted = self.position.revision;
        let Chunk { words, through } = match chunk(&mut ask, wanted, (&self.namespace, &[]), CHUNK)
        {
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
                    self.from = From::Lane { joining: false };
                }
                self.take(&record)?;
                Ok(true)
            }
            Ok(None) => {
                self.from = From::Lane { joining: false };
                self.position.advance_to(newest + 1);
                Ok(false)
            }
            Err(EventsError::Lagged { .. }) if joining => {
                self.from = From::Log;
                Ok(true)
            }
            Err(EventsError::Lagged { missed, .. }) => self.overtaken(missed, buffer),
            Err(EventsError::Retired { generation }) => {
                let next = events(&link.connection, &self.namespace)?;
                if next.generation() == generation {
                    return Ok(false);
                }
                link.reader = next;
                self.from = From::Log;
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
        let found = match chunk(&mut ask, self.position.revision, (&self.namespace, &ids), CHUNK) {
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
        let part = published(&link.connection, &self.namespace)?;
        self.renderer.learn(self.number, part);
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
        let log = chunk(&mut ask, header.revision, (&self.namespace, &[header.table]), 0)?;
        for whole in records(&log.words) {
            let whole = whole.map_err(bad_record)?;
            let h = whole.header();
            if (h.revision, h.kind, h.operation, h.birth, h.namespace)
                == (header.revision, header.kind, header.operation, header.birth, header.namespace)
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

impl Source for Follow {
    fn number(&self) -> u16 {
        self.number
    }

    fn bound(&self) -> u64 {
        self.ready.front().map_or(self.position.revision, Event::revision)
    }

    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn fill(&mut self) -> Result<Filled, Error> {
        loop {
            if !self.ready.is_empty() {
                return Ok(Filled::Ready);
            }
            if self.link.is_none() && !self.reconnect()? {
                return Ok(Filled::Away);
            }
            let done = match self.from {
                From::Log => self.catch_up(),
                From::Lane { joining } => self.read_lane(joining),
            };
            match done {
                Ok(true) => {}
                Ok(false) => return Ok(Filled::Idle),
                Err(Error::Disconnected { .. }) => self.unlink(),
                Err(error) => return Err(error),
            }
        }
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

/// The events lane of a namespace of the daemon at the other end.
fn events(connection: &Connection, namespace: &str) -> Result<EventsReader, Error> {
    let what = "asking for the events lane";
    let (answer, fds) = connection.call(&Call::Events(namespace.to_owned()), CALL, what)?;
    let Answer::Events { bytes, .. } = answer else { return Err(wrong_answer(what)) };
    Region::map_read_only(only(fds, what)?, bytes)
        .and_then(|region| EventsReader::open(Arc::new(region)))
        .map_err(|e| Error::Layout { client: this_build(), daemon: e.to_string() })
}

/// The part of the catalogue that the daemon at the other end publishes in a namespace now.
pub(crate) fn published(connection: &Connection, namespace: &str) -> Result<Catalogue, Error> {
    let what = "asking for the segment";
    let deadline = Instant::now() + CALL;
    loop {
        let (answer, fds) = connection.call(&Call::Segment(namespace.to_owned()), CALL, what)?;
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
