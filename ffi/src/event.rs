//! Events: what a subscriber or the commit log tells.

//!
//! In: a handle that a subscriber or a history has filled. Out: the parts of its event, by kind.

use std::ffi::c_char;
use std::sync::MutexGuard;

use shmirror::{Event, Operation};

use crate::argument::{self, no_enumerator};
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::output;
use crate::row::shmirror_row;
use crate::status::shmirror_status;
use crate::told::{List, Told};
use crate::turn::{self, Turns};
use crate::value::shmirror_value;

/// What an event is of. Arguments and members that hold one are of type int32_t; further kinds may
/// come.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_kind {
    /// Nothing: a handle that was never filled.
    SHMIRROR_EVENT_NONE = 0,
    /// A row was inserted, updated or deleted.
    SHMIRROR_EVENT_CHANGE = 1,
    /// Tables were created, changed or dropped.
    SHMIRROR_EVENT_SCHEMA = 2,
    /// The subscriber was too slow, or away too long: changes are missing between the event before and
    /// the one after. shmirror_subscriber_resume_from() gets them from the commit log.
    SHMIRROR_EVENT_LAGGED = 3,
}

/// What happened to a row.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_operation {
    /// It is new.
    SHMIRROR_OPERATION_INSERT = 1,
    /// Some of its columns are new.
    SHMIRROR_OPERATION_UPDATE = 2,
    /// It is gone.
    SHMIRROR_OPERATION_DELETE = 3,
}

/// The lists of names of an event.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_names {
    /// Of SHMIRROR_EVENT_SCHEMA: tables that are new.
    SHMIRROR_NAMES_CREATED = 0,
    /// Of SHMIRROR_EVENT_SCHEMA: tables whose columns or name changed, by their new name.
    SHMIRROR_NAMES_CHANGED = 1,
    /// Of SHMIRROR_EVENT_SCHEMA: tables that are gone.
    SHMIRROR_NAMES_DROPPED = 2,
    /// Of SHMIRROR_EVENT_CHANGE: columns whose values are new: all of them for an insert, none for a
    /// delete.
    SHMIRROR_NAMES_COLUMNS = 3,
}

impl List {
    fn of(which: i32) -> Result<Self, Failure> {
        [
            (shmirror_names::SHMIRROR_NAMES_CREATED, Self::Created),
            (shmirror_names::SHMIRROR_NAMES_CHANGED, Self::Changed),
            (shmirror_names::SHMIRROR_NAMES_DROPPED, Self::Dropped),
            (shmirror_names::SHMIRROR_NAMES_COLUMNS, Self::Columns),
        ]
        .into_iter()
        .find_map(|(number, list)| (number as i32 == which).then_some(list))
        .ok_or_else(|| no_enumerator("which", which))
    }
}

/// One event, filled again and again by shmirror_subscriber_next(), shmirror_history_next() and their
/// like. One thread at a time: another gets SHMIRROR_BUSY. What is asked of an event of another kind is
/// SHMIRROR_USAGE, and the message says which kind it is.
pub struct shmirror_event {
    told: Turns<Told>,
}
object!(shmirror_event, 15, "shmirror_event");

impl shmirror_event {
    /// This thread's turn with the event. To be had before an event is taken from where it comes
    /// from, as one that cannot be handed over would be lost: `turn()?.fill(event)`.
    pub(crate) fn turn(&self) -> Result<MutexGuard<'_, Told>, Failure> {
        self.told.turn_anywhere()
    }
}

/// An event that was never filled: of kind SHMIRROR_EVENT_NONE. Close it with shmirror_event_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_new(out: *mut *mut shmirror_event) -> shmirror_status {
    // SAFETY: as the prologue says of out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        argument::write(
            out,
            handle::make(shmirror_event { told: Turns::new(Told::default()) })?,
            "out",
        )
    })
}

/// Ends an event, and the pointers that came out of it. NULL is fine. SHMIRROR_BUSY, and it stays:
/// another thread is in one of its calls.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_close(event: *mut shmirror_event) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { turn::close(event, |e| &e.told) })
}

/// What the event is of: a shmirror_kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_kind(
    event: *const shmirror_event,
    kind: *mut i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = match handle::get(event)?.turn()?.event() {
            Some(Event::Change(_)) => shmirror_kind::SHMIRROR_EVENT_CHANGE,
            Some(Event::Schema(_)) => shmirror_kind::SHMIRROR_EVENT_SCHEMA,
            Some(Event::Lagged { .. }) => shmirror_kind::SHMIRROR_EVENT_LAGGED,
            _ => shmirror_kind::SHMIRROR_EVENT_NONE,
        };
        argument::write(kind, found as i32, "kind")
    })
}

/// The revision of the transaction; of SHMIRROR_EVENT_LAGGED the first of which something may be
/// missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_revision(
    event: *const shmirror_event,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = handle::get(event)?.turn()?.some()?.revision();
        argument::write(revision, found, "revision")
    })
}

/// Of a change: its number in the stream of changes; 0 where it came from the commit log.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_sequence(
    event: *const shmirror_event,
    sequence: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = handle::get(event)?.turn()?.change()?.sequence;
        argument::write(sequence, found, "sequence")
    })
}

/// Of a change: the table's name at its revision; `#` and a number for one that was dropped since and
/// is unknown. Lives until the event is filled again or closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_table(
    event: *const shmirror_event,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(name, handle::get(event)?.turn()?.table()?, "name") })
}

/// Of a change: what happened to the row: a shmirror_operation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_operation(
    event: *const shmirror_event,
    operation: *mut i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = match handle::get(event)?.turn()?.change()?.operation {
            Operation::Insert => shmirror_operation::SHMIRROR_OPERATION_INSERT,
            Operation::Update => shmirror_operation::SHMIRROR_OPERATION_UPDATE,
            Operation::Delete => shmirror_operation::SHMIRROR_OPERATION_DELETE,
        };
        argument::write(operation, found as i32, "operation")
    })
}

/// Of a change: the values of the row's key, in PRIMARY KEY order; the rowid where no key is declared.
/// They live until the event is filled again or closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_key(
    event: *const shmirror_event,
    values: *mut *const shmirror_value,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::present(values, "values")?;
        argument::present(count, "count")?;
        let mut told = handle::get(event)?.turn()?;
        let key = told.key()?;
        argument::write(values, key.as_ptr(), "values")?;
        argument::write(count, key.len(), "count")
    })
}

/// Of a change: copies the row as it is after it. SHMIRROR_NOT_FOUND: a delete, and `row` is as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_row(
    event: *const shmirror_event,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let told = handle::get(event)?.turn()?;
        let to = handle::get_mut(row)?;
        let Some(found) = &told.change()?.row else {
            return Err(Failure::Plain(shmirror_status::SHMIRROR_NOT_FOUND));
        };
        to.row.clone_from(found);
        Ok(())
    })
}

/// Of a change and of a change of the schema: the user id of who made it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_uid(
    event: *const shmirror_event,
    uid: *mut u32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(uid, handle::get(event)?.turn()?.author()?.uid, "uid") })
}

/// Of a change and of a change of the schema: the process id of who made it, as it said itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_pid(
    event: *const shmirror_event,
    pid: *mut u32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(pid, handle::get(event)?.turn()?.author()?.pid, "pid") })
}

/// Of a change and of a change of the schema: when it was committed, in microseconds since 1970-01-01
/// UTC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_at_us(
    event: *const shmirror_event,
    at_us: *mut i64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(at_us, handle::get(event)?.turn()?.author()?.at_us, "at_us") })
}

/// Of a change: whether it is the last one of its transaction, whatever tables are followed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_is_last(
    event: *const shmirror_event,
    is_last: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = handle::get(event)?.turn()?.change()?.last_of_transaction;
        argument::write(is_last, found, "is_last")
    })
}

/// How many names there are in a list; `which` is a shmirror_names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_names_count(
    event: *const shmirror_event,
    which: i32,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let told = handle::get(event)?.turn()?;
        argument::write(count, told.names(List::of(which)?)?.len(), "count")
    })
}

/// The name at `index` of a list; `which` is a shmirror_names. Lives until the event is filled again or
/// closed. SHMIRROR_BAD_ARGUMENT: there are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_name(
    event: *const shmirror_event,
    which: i32,
    index: usize,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let mut told = handle::get(event)?.turn()?;
        argument::write(name, told.name(List::of(which)?, index)?, "name")
    })
}

/// Of SHMIRROR_EVENT_LAGGED: how many changes were overwritten before they were read (where the commit
/// log no longer holds them: how many revisions), and the first revision of which something may be
/// missing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_lagged(
    event: *const shmirror_event,
    missed: *mut u64,
    first_revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::present(missed, "missed")?;
        argument::present(first_revision, "first_revision")?;
        let (found, first) = handle::get(event)?.turn()?.lagged()?;
        argument::write(missed, found, "missed")?;
        argument::write(first_revision, first, "first_revision")
    })
}

/// The event as a JSON object, as `shmirror watch` prints it: into the caller's buffer, with a NUL.
/// SHMIRROR_SHORT_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_event_json(
    event: *const shmirror_event,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        output::terminated(handle::get(event)?.turn()?.json()?, buffer, size, length)
    })
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
