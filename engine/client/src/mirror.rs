//! The reading side: a mirror of an instance, and what can be asked of its daemon.

use std::fmt;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::limits;
use shmirror_shm::request::{ResultSet, SqlRequest};
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, Call, Seen};

use crate::administrator::{backup, json_of};
use crate::attachment::Core;
use crate::connection::{CALL, Place, wrong_answer};
use crate::error::Error;
use crate::history::History;
use crate::kept::Kept;
use crate::options::Options;
use crate::spaces::Spaces;
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
/// Each namespace of the instance is shared memory of its own, of which a process maps only what it may
/// read. A mirror attaches to the first that it may see, mostly `main`; to another, with a connection
/// and a keeper of its own, when a table of it is first asked for. When the daemon's rules are changed
/// and no longer let this process see a namespace, whoever asks for it is told [`Error::Denied`], reads
/// through handles that there are too as soon as the daemon has withdrawn the memory; a right that comes
/// back brings them back to life.
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
    /// Of the first namespace.
    kept: Arc<Kept>,
    spaces: Arc<Spaces>,
}

impl Mirror {
    /// Attaches to the daemon and maps the snapshot segment of the first namespace that this process
    /// may see.
    ///
    /// # Errors
    /// [`Error::NoDaemon`], [`Error::Layout`], [`Error::SocketPathTooLong`]; [`Error::Denied`], also
    /// where there is no namespace that this process may see.
    pub fn attach(options: &Options) -> Result<Self, Error> {
        let spaces = Spaces::attach(Place::of(options)?, options.attach_time())?;
        Ok(Self { kept: spaces.primary().clone(), spaces: Arc::new(spaces) })
    }

    fn core(&self) -> &Core {
        self.kept.core()
    }

    /// Newest published revision: no read that begins now is of an older one. Revisions are of the
    /// instance, so they mean the same in all of its namespaces; this is the newest of the first one, and
    /// the others were published before it.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.core().revision()
    }

    /// When the newest published revision became durable: nanoseconds of `CLOCK_MONOTONIC`, as
    /// [`monotonic_ns`](crate::monotonic_ns) reads it in any process of this host. `None` where nothing
    /// was committed since the daemon began, and where its state is there no more. It tells how old news
    /// is: what this process finds changed was committed by then, as far as it asks after the read.
    ///
    /// The daemon stores it as soon as the store has committed, before anything of the group can be seen.
    /// So for a moment it may be that of the revision which comes next, and never an older one than of
    /// what was seen. Two loads, no system call; any thread.
    #[inline]
    pub fn committed_at(&self) -> Option<u64> {
        NonZeroU64::new(self.core().committed()).map(NonZeroU64::get)
    }

    /// Generation of the first namespace's segment: +1 with each restart, and with each growth beyond
    /// its reserve.
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

    /// Whether the daemon is connected, lets this process see the first namespace, and said within the
    /// last 2 s that it lives. One clock reading, and the system call that asks whether this is still the
    /// process that attached.
    pub fn is_live(&self) -> bool {
        self.core().is_live()
    }

    /// The namespaces that this process may see now, by their numbers. The daemon is asked; while it is
    /// away, they are those that it named last.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Forked`].
    pub fn namespaces(&self) -> Result<Vec<Seen>, Error> {
        match self.spaces.look() {
            Err(Error::NoDaemon { .. } | Error::Disconnected { .. } | Error::TimedOut { .. }) => {
                Ok(self.spaces.seen())
            }
            other => other,
        }
    }

    /// All tables and schema objects of the namespaces that this process may see, as published now. Of
    /// namespaces that came since the daemon was last asked, by [`Mirror::namespaces`] or for a name that
    /// was not known, it has nothing yet.
    ///
    /// # Errors
    /// [`Error::Disconnected`] and its like, if the segment moves and the next one cannot be had;
    /// [`Error::Denied`] where nothing may be seen any more.
    pub fn catalogue(&self) -> Result<Arc<Catalogue>, Error> {
        self.spaces.catalogue()
    }

    /// Names of all tables that this process may see, in the order of their creation: those of `main` as
    /// they are, those of other namespaces with their namespace and a dot before.
    ///
    /// # Errors
    /// As [`Mirror::catalogue`].
    pub fn tables(&self) -> Result<Vec<String>, Error> {
        Ok(self.catalogue()?.tables.iter().map(|t| t.full_name().into_owned()).collect())
    }

    /// A handle of the table of this name (ASCII case folded): `namespace.name`, or a name of `main`. To
    /// be kept and used again and again.
    ///
    /// # Errors
    /// [`Error::UnknownTable`], which names the tables there are; a table that this process may not see
    /// is not there. [`Error::Denied`]: of a namespace that it could see until now. [`Error::NoDaemon`]
    /// and its like, where a namespace is used for the first time.
    pub fn table(&self, name: &str) -> Result<Table, Error> {
        self.spaces.table(name)
    }

    /// Waits until this revision, or a newer one, is published in every namespace in use. For readers
    /// that were told a revision by somebody else: a producer's own commits are visible when they are
    /// acknowledged.
    ///
    /// # Errors
    /// [`Error::TimedOut`]; [`Error::Denied`] where nothing may be seen any more.
    pub fn wait_revision(&self, revision: u64, timeout: Duration) -> Result<(), Error> {
        let start = Instant::now();
        // A forked child must not wait for the lock behind which the others are.
        let forked = self.core().same_process().is_err();
        let used = if forked { vec![self.kept.clone()] } else { self.spaces.used() };
        let mut pause = Duration::from_micros(10);
        loop {
            let open = used.iter().map(|kept| kept.core()).filter(|core| !core.is_shut());
            let Some(found) = open.map(Core::revision).min() else {
                // It says why.
                return self.core().readable(start).map(|_| ());
            };
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
        self.ask_json(&backup(path)?, LONG, "backup")
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
    /// the time that the iterator gets there; of these tables, or of all that this process may see where
    /// none is named. `from` 0 begins with the oldest that the log holds.
    ///
    /// # Errors
    /// [`Error::TooOld`], which names the oldest revision there is; [`Error::UnknownTable`].
    pub fn history(&self, from: u64, tables: &[&str]) -> Result<History, Error> {
        History::new(self.spaces.clone(), from, tables)
    }

    fn ask_json(&self, call: &Call, timeout: Duration, what: &str) -> Result<Json, Error> {
        json_of(self.core().ask(call, timeout, what)?.0, what)
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
