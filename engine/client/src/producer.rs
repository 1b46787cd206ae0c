//! The writing side: transactions go into the requests lane, outcomes come back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use shmirror_shm::archive;
use shmirror_shm::lane::RequestKind;
use shmirror_shm::limits;
use shmirror_shm::packed::{PackError, pack};
use shmirror_shm::request::{Action, Change, OnConflict, Request, ResultSet, SqlRequest};
use shmirror_shm::value::Value;

use crate::connection::Place as Daemon;
use crate::error::Error;
use crate::into_key::IntoKey;
use crate::lane::{Bytes, Payload};
use crate::options::Options;
use crate::shared::Shared;
use crate::ticket::{Ticket, after};
use crate::transaction::{Transaction, rows_action};

/// How long a producer waits where the program says nothing.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What a transaction came to: all of it is durable, and visible to every reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its revision; where it changed nothing, the newest that there was.
    pub revision: u64,
    /// Rows inserted, updated and deleted, those of triggers and cascades included. 0 also where the
    /// daemon died after the commit and only its log could tell of it.
    pub changes: u64,
}

/// Writes to the tables of one instance. Clones share one lane; any number of threads may use them.
///
/// Each request is one transaction. It is acknowledged once: when the daemon restarts meanwhile, the
/// producer reattaches, asks the commit log what became of what was under way, and submits again what
/// was not committed.
///
/// ```no_run
/// # use shmirror::{Options, Producer, Value, OnConflict};
/// # use serde_json::json;
/// let producer = Producer::attach(&Options::new())?;
/// producer.execute("CREATE TABLE tag (name TEXT PRIMARY KEY, unit TEXT, value REAL)")?;
/// producer.insert("tag", &json!({"name": "p1", "unit": "bar", "value": 4.2}))?;
/// let commit = producer.update("tag", "p1", &json!({"value": 4.3}))?;
/// // Compare and set, and two changes that commit or fail as one:
/// producer
///     .begin()
///     .update("tag", "p1", &json!({"value": 4.4}))?
///     .if_revision(commit.revision)
///     .insert("tag", &json!({"name": "p2"}))?
///     .commit()?;
/// // Many rows at once, without waiting:
/// let rows = (0..1000).map(|i| vec![Value::from(format!("t{i}")), Value::Null]).collect();
/// let ticket = producer.insert_rows("tag", &["name", "value"], rows, OnConflict::Skip)?;
/// println!("revision {}", ticket.wait()?.revision);
/// # Ok::<(), shmirror::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
    timeout: Duration,
}

impl Producer {
    /// Attaches to the daemon and gets the requests lane of this user.
    ///
    /// # Errors
    /// [`Error::NoDaemon`], [`Error::Denied`], [`Error::Layout`], [`Error::SocketPathTooLong`].
    pub fn attach(options: &Options) -> Result<Self, Error> {
        let shared = Shared::attach(Daemon::of(options)?, options.attach_time())?;
        Ok(Self { shared: Arc::new(shared), timeout: TIMEOUT })
    }

    /// How long this producer waits for room in the lane and for outcomes; 10 s unless set.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same producer with another timeout.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// A transaction of any number of changes to any tables.
    pub fn begin(&self) -> Transaction {
        Transaction::new(self.clone())
    }

    /// A new row; waits for the outcome. See [`Transaction::insert`].
    ///
    /// # Errors
    /// As [`Transaction::insert`] and [`Transaction::commit`].
    pub fn insert<T: Serialize + ?Sized>(&self, table: &str, row: &T) -> Result<Commit, Error> {
        self.begin().insert(table, row)?.commit()
    }

    /// A new row, or new values for the columns given; waits. See [`Transaction::upsert`].
    ///
    /// # Errors
    /// As [`Transaction::insert`] and [`Transaction::commit`].
    pub fn upsert<T: Serialize + ?Sized>(&self, table: &str, row: &T) -> Result<Commit, Error> {
        self.begin().upsert(table, row)?.commit()
    }

    /// New values for some columns of one row; waits. See [`Transaction::update`].
    ///
    /// # Errors
    /// As [`Transaction::update`] and [`Transaction::commit`].
    pub fn update<K: IntoKey, T: Serialize + ?Sized>(
        &self,
        table: &str,
        key: K,
        columns: &T,
    ) -> Result<Commit, Error> {
        self.begin().update(table, key, columns)?.commit()
    }

    /// One row goes; waits. See [`Transaction::delete`].
    ///
    /// # Errors
    /// As [`Transaction::delete`] and [`Transaction::commit`].
    pub fn delete<K: IntoKey>(&self, table: &str, key: K) -> Result<Commit, Error> {
        self.begin().delete(table, key)?.commit()
    }

    /// Many new rows as one transaction, without waiting for the outcome. One request takes up to
    /// half of the lane (8 MiB unless configured): load a large file in parts.
    ///
    /// # Errors
    /// [`Error::Encode`], [`Error::TooLarge`], [`Error::Full`], [`Error::Disconnected`].
    pub fn insert_rows(
        &self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
        on_conflict: OnConflict,
    ) -> Result<Ticket, Error> {
        let action = rows_action(table, columns, rows, on_conflict)?;
        self.submit(vec![Change { table: table.to_owned(), action }])
    }

    /// SQL that defines or changes: any number of statements, one transaction; waits.
    ///
    /// # Errors
    /// [`Error::Rejected`] with SQLite's message, else as [`Transaction::commit`].
    pub fn execute(&self, sql: &str) -> Result<Commit, Error> {
        self.submit_sql(sql, &[], false)?.wait()
    }

    /// SQL with parameters `?1`, `?2`, … (then a single statement), and the rows that SELECT and
    /// RETURNING yield; waits.
    ///
    /// # Errors
    /// As [`Producer::execute`]; [`Error::ResultLost`]: committed, but the daemon died before the
    /// rows were fetched.
    pub fn sql(&self, sql: &str, params: &[Value]) -> Result<(Commit, Vec<ResultSet>), Error> {
        let ticket = self.submit_sql(sql, params, true)?;
        let commit = ticket.wait_deadline(after(self.timeout))?;
        Ok((commit, ticket.rows()?))
    }

    /// As [`Producer::sql`], for a statement whose rows nobody wants: none are kept or fetched.
    ///
    /// # Errors
    /// As [`Producer::execute`].
    pub fn execute_with(&self, sql: &str, params: &[Value]) -> Result<Commit, Error> {
        self.submit_sql(sql, params, false)?.wait()
    }

    /// Submits changes as one transaction, waiting for room in the lane up to the timeout.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::Disconnected`], [`Error::Encode`]; whatever it
    /// is, nothing was submitted.
    pub fn submit(&self, mut changes: Vec<Change>) -> Result<Ticket, Error> {
        self.submit_from(&mut changes, Some(after(self.timeout)))
    }

    /// Submits changes as one transaction if the lane has room now.
    ///
    /// # Errors
    /// [`Error::Full`] at once where there is none; else as [`Producer::submit`].
    pub fn try_submit(&self, mut changes: Vec<Change>) -> Result<Ticket, Error> {
        self.submit_from(&mut changes, None)
    }

    /// Submits changes as one transaction and takes them out of `changes`; where nothing was submitted,
    /// which is so for every error, they stay. Without a deadline: now or not at all.
    pub(crate) fn submit_from(
        &self,
        changes: &mut Vec<Change>,
        deadline: Option<Instant>,
    ) -> Result<Ticket, Error> {
        changes.iter().try_for_each(no_nan)?;
        let words = pack(changes).map_err(|error| match error {
            PackError::TooLarge { found } => {
                let allowed = limits::REQUEST_BYTES;
                Error::TooLarge { what: "transaction", found, allowed }
            }
            other => Error::Protocol(other.to_string()),
        })?;
        let (kind, bytes) = (RequestKind::CHANGES, Bytes::Packed(words));
        let ticket = self.send(Payload { kind, bytes, may_have_rows: false }, deadline)?;
        changes.clear();
        Ok(ticket)
    }

    /// Whether the daemon that this producer is attached to is there and takes requests. After a restart it
    /// is `false` until the next request, which attaches to the next daemon. One system call.
    pub fn is_live(&self) -> bool {
        self.shared.is_usable()
    }

    fn submit_sql(&self, sql: &str, params: &[Value], want_rows: bool) -> Result<Ticket, Error> {
        if sql.len() > limits::SQL_BYTES {
            let (found, allowed) = (sql.len(), limits::SQL_BYTES);
            return Err(Error::TooLarge { what: "SQL text", found, allowed });
        }
        let request = SqlRequest { sql: sql.to_owned(), params: params.to_vec(), want_rows };
        let bytes = Bytes::Archive(archived(&Request::Sql(request))?);
        let (kind, may_have_rows) = (RequestKind::REQUEST, want_rows && may_yield_rows(sql));
        self.send(Payload { kind, bytes, may_have_rows }, Some(after(self.timeout)))
    }

    fn send(&self, payload: Payload, deadline: Option<Instant>) -> Result<Ticket, Error> {
        let request = self.shared.submit(payload, deadline)?;
        Ok(Ticket::new(self.shared.clone(), request, self.timeout))
    }
}

/// Whether a statement of this text can yield rows. Asked only where the daemon died after the commit,
/// and its answer with it.
fn may_yield_rows(sql: &str) -> bool {
    let sql = sql.to_ascii_lowercase();
    let has = |word| sql.contains(word);
    has("select")
        || has("returning")
        || has("explain")
        || has("values") && !has("insert") && !has("replace")
}

fn archived(request: &Request) -> Result<Vec<u8>, Error> {
    let payload = archive::to_bytes(request).map_err(|e| Error::Protocol(e.to_string()))?;
    if payload.len() > limits::REQUEST_BYTES {
        let (found, allowed) = (payload.len(), limits::REQUEST_BYTES);
        return Err(Error::TooLarge { what: "transaction", found, allowed });
    }
    Ok(payload)
}

/// SQLite would store NaN as NULL: refuse it while the column can be named.
fn no_nan(change: &Change) -> Result<(), Error> {
    let nan = |v: &Value| matches!(v, Value::Real(r) if r.is_nan());
    let (columns, at) = match &change.action {
        Action::Insert { columns, rows, .. } => {
            (columns, rows.iter().find_map(|row| row.iter().position(nan)))
        }
        Action::Update { columns, values, .. } => (columns, values.iter().position(nan)),
        Action::Delete { .. } => return Ok(()),
    };
    let Some(at) = at else { return Ok(()) };
    Err(Error::Encode {
        table: change.table.clone(),
        column: columns.get(at).cloned(),
        message: "found NaN, expected a number (SQL would make it NULL)".to_owned(),
    })
}
