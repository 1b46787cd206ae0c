//! The reading side: a mirror of an instance, and what can be asked of its daemon.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use serde_json::Value as Json;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::limits;
use shmirror_shm::request::{ResultSet, SqlRequest};
use shmirror_shm::signals::with_signals_blocked;
use shmirror_shm::snapshot::{ReadError, Segment};
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, Call};

use crate::attachment::{Core, MOVING};
use crate::connection::{CALL, Place, wrong_answer};
use crate::error::Error;
use crate::history::History;
use crate::options::Options;
use crate::table::Table;

/// Longest that a query may take; the daemon's own limit is mostly shorter.
const QUERY: Duration = Duration::from_secs(600);
/// Longest that a check or a backup may take.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// A read-only view of an instance's tables in shared memory.
///
/// Clones share one attachment, and all of it may be used from any thread. A thread of the mirror's
/// (`shmirror-keeper`) sleeps on the control socket: when the daemon goes away, reading goes on with
/// what was published last; when the next one is there, every handle moves over by itself, within a
/// second.
///
/// After `fork` the child must attach anew: what asks the daemon, or must follow a table that moved,
/// says [`Error::Forked`] there.
///
/// ```no_run
/// # use shmirror::{Mirror, Options};
/// let mirror = Mirror::attach(&Options::new())?;
/// for name in mirror.tables()? {
///     println!("{name}: {} rows", mirror.table(&name)?.len());
/// }
/// println!("revision {}, live: {}", mirror.revision(), mirror.is_live());
/// # Ok::<(), shmirror::Error>(())
/// ```
#[derive(Clone)]
pub struct Mirror {
    kept: Arc<Kept>,
}

/// What all handles hold: the attachment and its keeper, who ends with the last of them.
pub(crate) struct Kept {
    core: Arc<Core>,
    stop: Arc<OwnedFd>,
    keeper: Option<JoinHandle<()>>,
}

impl Kept {
    /// The attachment.
    #[inline]
    pub(crate) fn core(&self) -> &Core {
        &self.core
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let keeper = self.keeper.take();
        if self.core.same_process().is_err() {
            // A forked child has no keeper, and the eventfd is the parent's too.
            return std::mem::forget(keeper);
        }
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        // One that waits for a daemon's answer ends by itself when that comes, or does not.
        if let Some(keeper) = keeper
            && !self.core.is_reaching()
        {
            // A panic of the keeper's has been printed; there is nothing more to do about it here.
            let _ = keeper.join();
        }
    }
}

impl Mirror {
    /// Attaches to the daemon and maps its snapshot segment.
    ///
    /// # Errors
    /// [`Error::NoDaemon`], [`Error::Denied`], [`Error::Layout`], [`Error::SocketPathTooLong`].
    pub fn attach(options: &Options) -> Result<Self, Error> {
        let core = Arc::new(Core::attach(Place::of(options)?, options.attach_time())?);
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map(Arc::new)
            .map_err(|e| Error::io("making an eventfd", e))?;
        let spawn = || {
            let (core, stop) = (core.clone(), stop.clone());
            thread::Builder::new()
                .name("shmirror-keeper".to_owned())
                .spawn(move || core.keep(&stop))
        };
        let keeper = with_signals_blocked(spawn)
            .map_err(|e| Error::io("starting the mirror's keeper", e))?;
        Ok(Self { kept: Arc::new(Kept { core, stop, keeper: Some(keeper) }) })
    }

    fn core(&self) -> &Core {
        self.kept.core()
    }

    /// Newest published revision: no read that begins now is of an older one.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.core().header(Segment::revision)
    }

    /// Generation of the segment: +1 with each restart, and with each growth beyond its reserve.
    pub fn generation(&self) -> u64 {
        self.core().current().segment.generation()
    }

    /// The instance's name.
    pub fn instance_name(&self) -> String {
        self.core().current().name.clone()
    }

    /// The instance's id, which its store keeps for ever.
    pub fn instance_id(&self) -> [u8; 16] {
        self.core().current().segment.instance()
    }

    /// Whether the daemon is connected and said within the last 2 s that it lives. One clock reading,
    /// and the system call that asks whether this is still the process that attached.
    pub fn is_live(&self) -> bool {
        self.core().is_live()
    }

    /// All tables and schema objects, as published now.
    ///
    /// # Errors
    /// [`Error::Disconnected`] and its like, if the segment moves and the next one cannot be had.
    pub fn catalogue(&self) -> Result<Arc<Catalogue>, Error> {
        self.core().same_process()?;
        let deadline = Instant::now() + MOVING;
        loop {
            match self.core().readable(deadline)?.catalogue() {
                Ok(known) => return Ok(known.catalogue),
                Err(ReadError::Moved | ReadError::Contended { .. }) => {}
                Err(error) => return Err(Error::Protocol(format!("catalogue: {error}"))),
            }
            if Instant::now() >= deadline {
                return Err(Error::Contended { what: "the catalogue".to_owned() });
            }
            thread::sleep(Duration::from_micros(100));
        }
    }

    /// Names of all tables, in the order of their creation.
    ///
    /// # Errors
    /// As [`Mirror::catalogue`].
    pub fn tables(&self) -> Result<Vec<String>, Error> {
        Ok(self.catalogue()?.tables.iter().map(|t| t.name.clone()).collect())
    }

    /// A handle of the table of this name (ASCII case folded). To be kept and used again and again.
    ///
    /// # Errors
    /// [`Error::UnknownTable`], which names the tables there are.
    pub fn table(&self, name: &str) -> Result<Table, Error> {
        Table::new(self.kept.clone(), name)
    }

    /// Waits until this revision, or a newer one, is published. For readers that were told a revision
    /// by somebody else: a producer's own commits are visible when they are acknowledged.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub fn wait_revision(&self, revision: u64, timeout: Duration) -> Result<(), Error> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(10);
        loop {
            let found = self.revision();
            if found >= revision {
                return Ok(());
            }
            if start.elapsed() >= timeout {
                let what = format!("revision {revision}, found {found} after {timeout:?}");
                return Err(Error::TimedOut { what });
            }
            thread::sleep(pause.min(timeout.saturating_sub(start.elapsed())));
            pause = (pause * 2).min(Duration::from_millis(1));
        }
    }

    /// Runs SQL that changes nothing, in the daemon, at one revision, which comes first in the answer.
    /// `params` are `?1`, `?2`, …
    ///
    /// # Errors
    /// [`Error::Refused`] with SQLite's message; [`Error::Disconnected`].
    pub fn query(&self, sql: &str, params: &[Value]) -> Result<(u64, Vec<ResultSet>), Error> {
        if sql.len() > limits::SQL_BYTES {
            let (found, allowed) = (sql.len(), limits::SQL_BYTES);
            return Err(Error::TooLarge { what: "SQL text", found, allowed });
        }
        let request = SqlRequest { sql: sql.to_owned(), params: params.to_vec(), want_rows: true };
        match self.core().ask(&Call::Query(request), QUERY, "a query")?.0 {
            Answer::Rows { revision, sets } => Ok((revision, sets)),
            _ => Err(wrong_answer("a query")),
        }
    }

    /// State of the instance, as the daemon sees it.
    ///
    /// # Errors
    /// [`Error::Disconnected`], [`Error::Denied`].
    pub fn status(&self) -> Result<Json, Error> {
        self.ask_json(&Call::Status, CALL, "status")
    }

    /// Has the daemon open every seal and compare store, working copy and segment; says what differs.
    ///
    /// # Errors
    /// As [`Mirror::status`].
    pub fn check(&self) -> Result<Json, Error> {
        self.ask_json(&Call::Check, LONG, "check")
    }

    /// Has the daemon copy its store, consistently, to a new file. A relative path is of this process.
    ///
    /// # Errors
    /// [`Error::Refused`]: the file is there already, or cannot be written.
    pub fn backup(&self, path: &Path) -> Result<Json, Error> {
        let path = std::path::absolute(path)
            .map_err(|e| Error::io(format!("backup to {}", path.display()), e))?;
        let Some(text) = path.to_str() else {
            return Err(Error::Usage(format!(
                "backup to {}: the path is not UTF-8",
                path.display()
            )));
        };
        self.ask_json(&Call::Backup(text.to_owned()), LONG, "backup")
    }

    /// Has the daemon begin a rotation: it makes a new data key, for the cipher of this name or for the
    /// present one, and seals everything anew with it while it goes on serving. Returns when the new
    /// key is in use; how far the rest is, [`Mirror::status`] says in `store.rotation`.
    ///
    /// # Errors
    /// [`Error::Refused`]: one is under way, the cipher is unknown, or the key provider cannot wrap.
    pub fn rotate_key(&self, cipher: Option<&str>) -> Result<Json, Error> {
        self.ask_json(&Call::RotateKey(cipher.map(str::to_owned)), LONG, "rotate")
    }

    /// What was committed from revision `from` on, out of the commit log, up to the newest revision at
    /// the time that the iterator gets there; of these tables, or of all where none is named. `from` 0
    /// begins with the oldest that the log holds.
    ///
    /// # Errors
    /// [`Error::TooOld`], which names the oldest revision there is; [`Error::UnknownTable`].
    pub fn history(&self, from: u64, tables: &[&str]) -> Result<History, Error> {
        History::new(self.kept.clone(), self.catalogue()?, from, tables)
    }

    fn ask_json(&self, call: &Call, timeout: Duration, what: &str) -> Result<Json, Error> {
        match self.core().ask(call, timeout, what)?.0 {
            Answer::Text(text) => serde_json::from_str(&text)
                .map_err(|e| Error::Protocol(format!("the answer to {what:?} is no JSON: {e}"))),
            _ => Err(wrong_answer(what)),
        }
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror")
            .field("generation", &self.generation())
            .field("revision", &self.revision())
            .finish_non_exhaustive()
    }
}
