//! Transactions: changes to any tables that commit or fail as one.
//!
//! In: changes of a program's arguments. Out: a commit, or a ticket for one that is under way.

use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shmirror::{Change, Error, OnConflict, Ticket, Transaction};

use crate::argument;
use crate::call::{Outcome, call};
use crate::change;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::producer::{shmirror_commit, shmirror_producer};
use crate::status::shmirror_status;
use crate::ticket::shmirror_ticket;
use crate::turn::{self, Shared, Turns};
use crate::value::shmirror_value;

/// Changes to any tables, done in their order, that commit or fail as one. Nothing leaves the process
/// before it is submitted; afterwards, whatever the outcome, it is empty and serves for the next one. One
/// thread at a time.
pub struct shmirror_transaction {
    turns: Turns<Held>,
}
object!(shmirror_transaction, 11, "shmirror_transaction");

struct Held {
    transaction: Transaction,
    /// Its producer's, which may be set anew.
    timeout_ns: Arc<AtomicU64>,
}

impl Held {
    /// Submits; where that fails, nothing was submitted and the changes are still here.
    fn send(
        &mut self,
        how: impl FnOnce(&mut Transaction) -> Result<Ticket, Error>,
    ) -> Result<Ticket, Failure> {
        let ns = self.timeout_ns.load(Ordering::Relaxed);
        self.transaction.set_timeout(argument::timeout(ns));
        Ok(how(&mut self.transaction)?)
    }
}

/// Adds a change.
///
/// # Safety
/// As [`handle::get`].
unsafe fn add(
    transaction: *mut shmirror_transaction,
    make: impl FnOnce() -> Result<Change, Failure>,
) -> Outcome {
    // SAFETY: the caller's.
    let mut held = unsafe { handle::get(transaction.cast_const()) }?.turns.turn()?;
    held.transaction.push(make()?);
    Ok(())
}

/// An empty transaction of this producer's. Close it with shmirror_transaction_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_new(
    producer: *mut shmirror_producer,
    out: *mut *mut shmirror_transaction,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let producer = handle::get(producer.cast_const())?;
        let transaction = producer.now().begin();
        let turns = Turns::new(Held { transaction, timeout_ns: producer.timeout_ns() });
        argument::write(out, handle::make(shmirror_transaction { turns })?, "out")
    })
}

/// Ends a transaction; changes that were not submitted are forgotten. NULL is fine. SHMIRROR_BUSY, and it
/// stays: another thread is in one of its calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_close(
    transaction: *mut shmirror_transaction,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { turn::close(transaction, |t| &t.turns) })
}

/// Forgets its changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_clear(
    transaction: *mut shmirror_transaction,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        handle::get(transaction.cast_const())?.turns.turn()?.transaction.clear();
        Ok(())
    })
}

/// How many changes there are; the rows of one shmirror_transaction_insert_rows() are one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_size(
    transaction: *mut shmirror_transaction,
    changes: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let held = handle::get(transaction.cast_const())?.turns.turn()?;
        argument::write(changes, held.transaction.len(), "changes")
    })
}

/// Adds a new row, as shmirror_insert(). That the table and the columns are there is seen by the daemon.
/// A call that fails adds nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_insert(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe {
        add(transaction, || change::insert(table, columns, values, count, OnConflict::Fail))
    })
}

/// Adds a new row or new values, as shmirror_upsert().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_upsert(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe {
        add(transaction, || change::insert(table, columns, values, count, OnConflict::Update))
    })
}

/// Adds new values for columns of the row with this key, as shmirror_update().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_update(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe {
        add(transaction, || change::update(table, (key, key_size), columns, values, count))
    })
}

/// Adds that the row with this key goes, as shmirror_delete().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_delete(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe { add(transaction, || change::delete(table, (key, key_size))) })
}

/// Adds a new row, as shmirror_insert_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_insert_json(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    json: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe { add(transaction, || change::insert_json(table, json, OnConflict::Fail)) })
}

/// Adds a new row or new values, as shmirror_upsert_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_upsert_json(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    json: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe { add(transaction, || change::insert_json(table, json, OnConflict::Update)) })
}

/// Adds new values for columns of the row with this key, as shmirror_update_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_update_json(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    key: *const shmirror_value,
    key_size: usize,
    json: *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe { add(transaction, || change::update_json(table, (key, key_size), json)) })
}

/// Adds `row_count` new rows as one change: `values` has row_count * column_count of them, row after row.
/// `on_conflict` is a shmirror_on_conflict, for each row whose key is there already. A transaction is at
/// most half of the lane (8 MiB unless configured): load a large file in parts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_insert_rows(
    transaction: *mut shmirror_transaction,
    table: *const c_char,
    columns: *const *const c_char,
    column_count: usize,
    values: *const shmirror_value,
    row_count: usize,
    on_conflict: i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and values.
    call(|| unsafe {
        add(transaction, || {
            change::insert_rows(table, columns, column_count, values, row_count, on_conflict)
        })
    })
}

/// Compare and set: the last change is made only if its row is of this revision, 0: only if there is no
/// such row; else the transaction fails with SHMIRROR_REVISION_MISMATCH. It is the row's revision before
/// this transaction that counts. SHMIRROR_USAGE, and the transaction is as it was: there is no change
/// yet, or the last one is of several rows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_if_revision(
    transaction: *mut shmirror_transaction,
    revision: u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let mut held = handle::get(transaction.cast_const())?.turns.turn()?;
        Ok(held.transaction.require_revision(revision)?)
    })
}

/// Submits, as shmirror_transaction_submit(), and waits until every change is durable and every reader
/// sees it, or until nothing of them was done; `commit` may be NULL. Statuses as shmirror_insert() lists
/// them. Where nothing was submitted, shmirror_transaction_size() says that the changes are still there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_commit(
    transaction: *mut shmirror_transaction,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let mut held = handle::get(transaction.cast_const())?.turns.turn()?;
        let found = held.send(Transaction::send)?.wait()?;
        argument::write_if(commit, found.into());
        Ok(())
    })
}

/// Puts it into the lane, waiting for room up to the producer's timeout; the ticket tells the outcome.
/// Close that with shmirror_ticket_close(). The transaction is empty then.
///
/// Any other status than SHMIRROR_OK: nothing was submitted, and the transaction is as it was, so that
/// one can try again. SHMIRROR_FULL (no room in time); SHMIRROR_TOO_LARGE; SHMIRROR_ENCODE (a NaN; the
/// message names table and column); SHMIRROR_NO_DAEMON, SHMIRROR_DISCONNECTED, SHMIRROR_TIMED_OUT (the
/// lane was lost, and there was no daemon with another in time); SHMIRROR_FORKED. Costs about a
/// microsecond and the copying of the changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_submit(
    transaction: *mut shmirror_transaction,
    out: *mut *mut shmirror_ticket,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { submit(transaction, out, Transaction::send) })
}

/// As shmirror_transaction_submit(), if the lane has room now; else SHMIRROR_FULL at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_transaction_try_submit(
    transaction: *mut shmirror_transaction,
    out: *mut *mut shmirror_ticket,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { submit(transaction, out, Transaction::try_send) })
}

/// # Safety
/// As [`handle::get`] and [`argument::write`].
unsafe fn submit(
    transaction: *mut shmirror_transaction,
    out: *mut *mut shmirror_ticket,
    how: impl FnOnce(&mut Transaction) -> Result<Ticket, Error>,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        argument::no_handle(out, "out")?;
        let mut held = handle::get(transaction.cast_const())?.turns.turn()?;
        let ticket = Shared::new(held.send(how)?);
        argument::write(out, handle::make(shmirror_ticket { ticket })?, "out")
    }
}
