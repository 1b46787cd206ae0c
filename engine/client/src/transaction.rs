//! Transactions: changes to any tables that commit or fail as one.
//!
//! In: rows and keys of the caller's types. Out: a list of changes for one request.

use std::time::Duration;

use serde::Serialize;
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use crate::error::Error;
use crate::into_key::{IntoKey, key_values};
use crate::producer::{Commit, Producer};
use crate::ser::to_fields;
use crate::ticket::{Ticket, after};

/// A transaction in the making, from [`Producer::begin`]. Nothing leaves the process before
/// [`commit`](Transaction::commit) or [`submit`](Transaction::submit); dropped, it is forgotten.
#[derive(Debug)]
#[must_use = "a transaction does nothing before commit() or submit()"]
pub struct Transaction {
    producer: Producer,
    changes: Vec<Change>,
    fault: Option<String>,
    timeout: Duration,
}

impl Transaction {
    pub(crate) fn new(producer: Producer) -> Self {
        let timeout = producer.timeout();
        Self { producer, changes: Vec::new(), fault: None, timeout }
    }

    /// A new row. Columns that `row` does not have take their DEFAULT. If the key is there already
    /// the transaction fails.
    ///
    /// # Errors
    /// [`Error::Encode`]: `row` is no struct or map, or one of its fields no SQL value.
    pub fn insert<T: Serialize + ?Sized>(self, table: &str, row: &T) -> Result<Self, Error> {
        self.put(table, row, OnConflict::Fail)
    }

    /// A new row or, where the key is there already, new values for the columns that `row` has.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn upsert<T: Serialize + ?Sized>(self, table: &str, row: &T) -> Result<Self, Error> {
        self.put(table, row, OnConflict::Update)
    }

    /// New values for the columns that `columns` has, in the row with this key. No such row, and the
    /// transaction fails.
    ///
    /// # Errors
    /// As [`Transaction::insert`].
    pub fn update<K: IntoKey, T: Serialize + ?Sized>(
        mut self,
        table: &str,
        key: K,
        columns: &T,
    ) -> Result<Self, Error> {
        let fields = to_fields(table, columns)?;
        let (columns, values) = (fields.columns, fields.values);
        let key = key_values(&key);
        self.add(table, Action::Update { key, columns, values, if_revision: None });
        Ok(self)
    }

    /// The row with this key goes. No such row, and the transaction fails.
    ///
    /// # Errors
    /// None today; a `Result` as its siblings have.
    pub fn delete<K: IntoKey>(mut self, table: &str, key: K) -> Result<Self, Error> {
        self.add(table, Action::Delete { key: key_values(&key), if_revision: None });
        Ok(self)
    }

    /// Many new rows, each with a value for each of `columns`.
    ///
    /// # Errors
    /// [`Error::Encode`]: a row with another number of values.
    pub fn insert_rows(
        mut self,
        table: &str,
        columns: &[&str],
        rows: Vec<Vec<Value>>,
        on_conflict: OnConflict,
    ) -> Result<Self, Error> {
        self.add(table, rows_action(table, columns, rows, on_conflict)?);
        Ok(self)
    }

    /// The last change is made only if its row is of this revision; 0: only if there is no such row.
    /// Else the transaction fails with [`RejectCode::RevisionMismatch`](crate::RejectCode).
    ///
    /// It is the row's revision before this transaction that counts, as it says that nobody else has
    /// changed the row since; what earlier changes of the transaction did to the row does not.
    pub fn if_revision(mut self, revision: u64) -> Self {
        if let Err(fault) = self.require_revision(revision) {
            self.fault.get_or_insert(fault.to_string());
        }
        self
    }

    /// As [`Transaction::if_revision`], which tells of a wrong place only at the end.
    ///
    /// # Errors
    /// [`Error::Usage`]: there is no change yet, or the last one is of several rows; the transaction
    /// stays as it is.
    pub fn require_revision(&mut self, revision: u64) -> Result<(), Error> {
        let what = match self.changes.last_mut().map(|c| &mut c.action) {
            Some(Action::Insert { if_revision, rows, .. }) if rows.len() == 1 => {
                *if_revision = Some(revision);
                return Ok(());
            }
            Some(Action::Update { if_revision, .. } | Action::Delete { if_revision, .. }) => {
                *if_revision = Some(revision);
                return Ok(());
            }
            Some(Action::Insert { .. }) => {
                "follows a change of several rows, expected one of one row"
            }
            None => "comes first, expected after the change that it is for",
        };
        Err(Error::Usage(format!("if_revision({revision}) {what}")))
    }

    /// Adds a change that was made elsewhere.
    pub fn push(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.fault = None;
    }

    /// How long it waits, in place of its producer's timeout.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// How many changes there are so far.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there are no changes yet.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Submits and waits until every change is durable and visible to every reader, or until nothing
    /// of them was done.
    ///
    /// # Errors
    /// [`Error::Rejected`] names what broke which rule; else as [`Transaction::submit`] and
    /// [`Ticket::wait`].
    pub fn commit(self) -> Result<Commit, Error> {
        self.submit()?.wait()
    }

    /// Submits, waiting for room in the lane up to the producer's timeout.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Full`], [`Error::Disconnected`], [`Error::Usage`].
    pub fn submit(mut self) -> Result<Ticket, Error> {
        self.send()
    }

    /// As [`Transaction::submit`], and afterwards it is empty and serves for the next one.
    ///
    /// # Errors
    /// As [`Transaction::submit`]; nothing was submitted then, and it is as it was.
    pub fn send(&mut self) -> Result<Ticket, Error> {
        self.faultless()?;
        let producer = self.producer.clone().with_timeout(self.timeout);
        producer.submit_from(&mut self.changes, Some(after(self.timeout)))
    }

    /// As [`Transaction::send`], if the lane has room now.
    ///
    /// # Errors
    /// [`Error::Full`] at once where there is none; else as [`Transaction::send`].
    pub fn try_send(&mut self) -> Result<Ticket, Error> {
        self.faultless()?;
        let producer = self.producer.clone().with_timeout(self.timeout);
        producer.submit_from(&mut self.changes, None)
    }

    /// The changes themselves, for [`Producer::submit`] or [`Producer::try_submit`].
    ///
    /// # Errors
    /// [`Error::Usage`]: [`Transaction::if_revision`] in a wrong place.
    pub fn into_changes(self) -> Result<Vec<Change>, Error> {
        self.faultless()?;
        Ok(self.changes)
    }

    fn faultless(&self) -> Result<(), Error> {
        self.fault.as_ref().map_or(Ok(()), |fault| Err(Error::Usage(fault.clone())))
    }

    fn put<T: Serialize + ?Sized>(
        mut self,
        table: &str,
        row: &T,
        on_conflict: OnConflict,
    ) -> Result<Self, Error> {
        let fields = to_fields(table, row)?;
        let (columns, rows) = (fields.columns, vec![fields.values]);
        self.add(table, Action::Insert { columns, rows, on_conflict, if_revision: None });
        Ok(self)
    }

    fn add(&mut self, table: &str, action: Action) {
        self.push(Change { table: table.to_owned(), action });
    }
}

/// The change that inserts `rows`.
pub(crate) fn rows_action(
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
    on_conflict: OnConflict,
) -> Result<Action, Error> {
    if let Some((i, row)) = rows.iter().enumerate().find(|(_, r)| r.len() != columns.len()) {
        let (found, expected) = (row.len(), columns.len());
        return Err(Error::Encode {
            table: table.to_owned(),
            column: None,
            message: format!("row {i} (from 0) has {found} values, expected {expected}"),
        });
    }
    let columns = columns.iter().map(|c| (*c).to_owned()).collect();
    Ok(Action::Insert { columns, rows, on_conflict, if_revision: None })
}
