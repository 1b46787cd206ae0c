//! What all handles of one namespace share: the present segment, and the way to the next one.
//!
//! In: a control connection. Out: the segment to read from, always the newest that could be had.
//!
//! ```text
//! attached ──hang-up──► away: readers go on with the last published state
//!   ▲   ▲                 │ the keeper tries every 10 to 200 ms
//!   │   └── new segment ──┤ the old one is vacated: its readers meet zeros, which every check
//!   │                     │ refuses, and resolve anew; then the new one is swapped in
//!   │                     │ the daemon is there and says no
//!   └── new segment ─── shut: who must resolve is told so at once; the keeper tries every 0.2 to 3 s
//! ```
//! A segment that was retired, or whose daemon is gone, is vacated too when the namespace is shut: no
//! handle goes on showing what this process may no longer see.
//!
//! In this order nobody who has seen the new segment can still read from the old one, through whatever
//! handle. Who meets the zeros before the swap waits for it at the lock that the swapper holds.
//!
//! Growth beyond a segment's reserve goes the same way over the same connection: the old header says
//! `retired`, and whoever notices first, a reader or the keeper, fetches the next segment.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::clock::monotonic_ns;
use shmirror_shm::region::Region;
use shmirror_shm::snapshot::{ReadError, Segment};
use shmirror_shm::wire::{Answer, Call, ROLE_ADMIN, ROLE_MIRROR, ROLE_SUBSCRIBER};

use crate::connection::{
    BACKOFF, CALL, Connection, DENIED_BACKOFF, Place, only, same_process, this_build, wrong_answer,
};
use crate::error::Error;
use crate::swap::Swap;

/// A daemon that did not say that it lives for so long is taken for dead or stopped.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the keeper looks whether a segment was retired, where no reader notices it.
const LOOK: Duration = Duration::from_millis(500);
/// How long a reader waits for a segment where the one it has is no longer valid.
pub(crate) const MOVING: Duration = Duration::from_secs(2);

/// One generation of the segment, mapped.
pub(crate) struct Attachment {
    pub(crate) segment: Arc<Segment>,
    region: Arc<Region>,
    /// Name of the instance that serves it.
    pub(crate) name: String,
    known: Mutex<Option<Known>>,
}

/// The catalogue of a segment, as copied out at one schema version.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) catalogue: Arc<Catalogue>,
    /// Where each table (by id) is.
    pub(crate) places: Arc<[(u32, u64)]>,
}

impl Attachment {
    /// Asks for the segment of a namespace and maps it.
    pub(crate) fn fetch(connection: &Connection, namespace: &str) -> Result<Self, Error> {
        let what = "asking for the segment";
        let (answer, fds) = connection.call(&Call::Segment(namespace.to_owned()), CALL, what)?;
        let Answer::Segment { bytes, .. } = answer else { return Err(wrong_answer(what)) };
        let region = Region::map_read_only(only(fds, what)?, bytes)
            .map(Arc::new)
            .map_err(|e| Error::Protocol(format!("{what}: {e}")))?;
        let segment = Segment::open(region.clone())
            .map_err(|e| Error::Layout { client: this_build(), daemon: e.to_string() })?;
        let name = connection.welcome().name.clone();
        Ok(Self { segment, region, name, known: Mutex::new(None) })
    }

    /// The segment's catalogue as it is now.
    pub(crate) fn catalogue(&self) -> Result<Known, ReadError> {
        let mut known = lock(&self.known);
        let version = self.segment.schema_version();
        if let Some(known) = known.as_ref()
            && known.catalogue.schema_version == version
        {
            return Ok(known.clone());
        }
        let found = self.segment.catalogue()?;
        let fresh = Known { catalogue: Arc::new(found.catalogue), places: found.places.into() };
        *known = Some(fresh.clone());
        Ok(fresh)
    }
}

/// Shared by all handles of one namespace, and by their keeper.
pub(crate) struct Core {
    place: Place,
    pid: u32,
    namespace: String,
    connection: Mutex<Arc<Connection>>,
    current: Swap<Attachment>,
    /// One thread at a time swaps segments.
    renewing: Mutex<()>,
    up: AtomicBool,
    /// The daemon is there and lets this process see the namespace no more; its reason.
    shut: AtomicBool,
    refusal: Mutex<String>,
    /// The newest revision of a segment that was vacated with none in its place.
    parting: AtomicU64,
    /// The keeper is asking a daemon, which may take seconds to answer.
    reaching: AtomicBool,
    /// For calls that take long; made when first needed.
    asking: Mutex<Option<Arc<Connection>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// Attaches to a namespace of the daemon at `place`, over a connection that is for it alone.
    pub(crate) fn attach(
        place: Place,
        connection: Arc<Connection>,
        namespace: &str,
    ) -> Result<Self, Error> {
        let first = Attachment::fetch(&connection, namespace)?;
        Ok(Self {
            place,
            pid: std::process::id(),
            namespace: namespace.to_owned(),
            connection: Mutex::new(connection),
            current: Swap::new(first),
            renewing: Mutex::new(()),
            up: AtomicBool::new(true),
            shut: AtomicBool::new(false),
            refusal: Mutex::new(String::new()),
            parting: AtomicU64::new(0),
            reaching: AtomicBool::new(false),
            asking: Mutex::new(None),
        })
    }

    /// Name of the namespace.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The segment to read from.
    #[inline]
    pub(crate) fn current(&self) -> &Attachment {
        self.current.load()
    }

    /// The newest published revision.
    #[inline]
    pub(crate) fn revision(&self) -> u64 {
        match self.header(Segment::revision) {
            0 => self.parting.load(Ordering::Relaxed),
            found => found,
        }
    }

    /// When the newest group became durable; 0: none did, or the segment was vacated.
    #[inline]
    pub(crate) fn committed(&self) -> u64 {
        self.header(Segment::committed)
    }

    /// Reads words of the present segment's header. They are the zeros of one that is vacated only
    /// where none takes its place.
    fn header<T>(&self, read: impl Fn(&Segment) -> T) -> T {
        loop {
            let segment = &self.current().segment;
            let found = read(segment);
            // No header says that nothing is populated. In a forked child nobody swaps any more.
            if segment.populated() != 0 || self.is_shut() || self.same_process().is_err() {
                return found;
            }
            std::thread::yield_now();
        }
    }

    /// That this is the process that attached. To be asked before any lock: a child must not wait for
    /// one that a thread of its parent held.
    pub(crate) fn same_process(&self) -> Result<(), Error> {
        same_process(self.pid)
    }

    /// The control connection.
    pub(crate) fn connection(&self) -> Arc<Connection> {
        lock(&self.connection).clone()
    }

    /// Whether the daemon is connected and says that it lives.
    pub(crate) fn is_live(&self) -> bool {
        let silent = self.silent_ns();
        self.same_process().is_ok()
            && self.up.load(Ordering::Relaxed)
            && !self.is_shut()
            && u128::from(silent) < HEARTBEAT.as_nanos()
    }

    fn silent_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.header(Segment::heartbeat))
    }

    /// Whether the daemon is there and lets this process see the namespace no more.
    pub(crate) fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Acquire)
    }

    /// What a shut namespace says to whoever must resolve.
    fn refusal(&self) -> Option<Error> {
        self.is_shut().then(|| Error::Denied { message: lock(&self.refusal).clone() })
    }

    /// A connection for calls that take long, so that they do not hold up the other one.
    pub(crate) fn ask(
        &self,
        call: &Call,
        timeout: Duration,
        what: &str,
    ) -> Result<(Answer, Vec<OwnedFd>), Error> {
        self.same_process()?;
        let connection = {
            let mut asking = lock(&self.asking);
            match asking.as_ref().filter(|c| c.is_up()) {
                Some(connection) => connection.clone(),
                None => {
                    let roles = ROLE_MIRROR | ROLE_SUBSCRIBER | ROLE_ADMIN;
                    let fresh = Arc::new(Connection::try_open(&self.place, roles)?);
                    *asking = Some(fresh.clone());
                    fresh
                }
            }
        };
        connection.call(call, timeout, what)
    }

    /// The next call that takes long goes over a connection that has the rights of then.
    pub(crate) fn ask_anew(&self) {
        *lock(&self.asking) = None;
    }

    /// Fetches the next segment, as `seen` was retired. `Ok` where there is another one now.
    pub(crate) fn renew(&self, seen: &Attachment) -> Result<(), Error> {
        self.same_process()?;
        let _one = lock(&self.renewing);
        if !std::ptr::eq(self.current(), seen) {
            return Ok(());
        }
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let next = match Attachment::fetch(&self.connection(), &self.namespace) {
            Ok(next) => next,
            Err(Error::Denied { message }) => {
                self.shut_out(&message);
                return Err(Error::Denied { message });
            }
            Err(error) => return Err(error),
        };
        if next.segment.generation() == seen.segment.generation()
            && next.segment.instance() == seen.segment.instance()
        {
            return Err(Error::Contended { what: "the segment".to_owned() });
        }
        self.install(next);
        Ok(())
    }

    /// To be called with `renewing` locked.
    fn install(&self, next: Attachment) {
        let old = self.current();
        tracing::debug!(
            namespace = self.namespace,
            from = old.segment.generation(),
            to = next.segment.generation(),
            "moving to another generation of the segment"
        );
        // Before the store: a reader that was told of the next one, its revision perhaps, must not
        // meet old rows through a handle that has not moved yet.
        old.region.vacate();
        self.current.store(next);
    }

    /// The daemon lets this process see the namespace no more. To be called with `renewing` locked.
    fn shut_out(&self, message: &str) {
        if !self.is_shut() {
            tracing::warn!(namespace = self.namespace, "denied: {message}");
        }
        message.clone_into(&mut lock(&self.refusal));
        let current = self.current();
        let segment = &current.segment;
        let gone = u128::from(self.silent_ns()) >= HEARTBEAT.as_nanos();
        // While its own daemon goes on with a segment it is open to whoever had it.
        let withdrawn = segment.populated() != 0 && (segment.is_retired() || gone);
        if withdrawn {
            self.parting.store(segment.revision(), Ordering::Relaxed);
        }
        // Before the zeros, which readers would else take for those of a segment that has moved.
        self.shut.store(true, Ordering::Release);
        if withdrawn {
            current.region.vacate();
        }
    }

    /// Whether the keeper is asking a daemon, so that it may take seconds to end.
    pub(crate) fn is_reaching(&self) -> bool {
        self.reaching.load(Ordering::Relaxed)
    }

    /// The keeper's work, until `stop` becomes readable.
    pub(crate) fn keep(&self, stop: &OwnedFd) {
        loop {
            let connection = self.connection();
            if wait(stop, Some(&connection), LOOK) {
                return;
            }
            if connection.is_up() && !self.is_shut() {
                let current = self.current();
                match current.segment.is_retired().then(|| self.renew(current)) {
                    None | Some(Ok(())) => continue,
                    Some(Err(Error::Denied { .. })) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, "no next segment yet");
                        continue;
                    }
                }
            }
            self.up.store(false, Ordering::Relaxed);
            if !self.is_shut() {
                tracing::info!(
                    namespace = self.namespace,
                    "the daemon is away; reading goes on with what was published last"
                );
            }
            let mut pause = BACKOFF.0;
            loop {
                self.reaching.store(true, Ordering::Relaxed);
                let done = self.reattach();
                self.reaching.store(false, Ordering::Relaxed);
                let (least, most) = match done {
                    Ok(()) => break,
                    Err(Error::Denied { message }) => {
                        let _one = lock(&self.renewing);
                        self.shut_out(&message);
                        DENIED_BACKOFF
                    }
                    Err(error) => {
                        tracing::trace!(%error, "not attached");
                        BACKOFF
                    }
                };
                pause = pause.clamp(least, most);
                if wait(stop, None, pause) {
                    return;
                }
                pause *= 2;
            }
            self.up.store(true, Ordering::Relaxed);
            let generation = self.current().segment.generation();
            tracing::info!(namespace = self.namespace, generation, "attached again");
        }
    }

    fn reattach(&self) -> Result<(), Error> {
        let connection = Arc::new(Connection::try_open(&self.place, ROLE_MIRROR)?);
        // What the greeting does not show need not be asked for, and be denied, again and again.
        connection.sees(&self.namespace)?;
        let next = Attachment::fetch(&connection, &self.namespace)?;
        let _one = lock(&self.renewing);
        let seen = &self.current().segment;
        // The very same segment: only the connection was lost.
        let same = next.segment.generation() == seen.generation()
            && next.segment.instance() == seen.instance()
            && seen.populated() != 0;
        if !same {
            self.install(next);
        }
        *lock(&self.connection) = connection;
        *lock(&self.asking) = None;
        self.shut.store(false, Ordering::Release);
        Ok(())
    }

    /// Waits for a segment that is not retired, or for one other than `stale`.
    pub(crate) fn readable(&self, deadline: Instant) -> Result<&Attachment, Error> {
        let mut pause = Duration::from_micros(50);
        loop {
            let current = self.current();
            if let Some(refusal) = self.refusal() {
                return Err(refusal);
            }
            if !current.segment.is_retired() {
                return Ok(current);
            }
            let Err(error) = self.renew(current) else { continue };
            let for_good = matches!(error, Error::Forked { .. } | Error::Denied { .. });
            if for_good || Instant::now() >= deadline {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

/// Sleeps until `stop` is readable (then true), the connection is hung up, or the time is over.
/// Nothing of the connection is read: its answers belong to the callers.
fn wait(stop: &OwnedFd, connection: Option<&Connection>, time: Duration) -> bool {
    let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
    let stop = PollFd::new(stop, PollFlags::IN);
    let told = |fds: &mut [PollFd<'_>]| match poll(fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => !fds[0].revents().is_empty(),
        Err(error) => {
            tracing::error!(%error, "poll failed; the mirror no longer watches its daemon");
            true
        }
    };
    match connection {
        Some(c) => told(&mut [stop, PollFd::from_borrowed_fd(c.as_fd(), PollFlags::empty())]),
        None => told(&mut [stop]),
    }
}
