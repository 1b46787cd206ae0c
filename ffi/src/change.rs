//! Changes of rows, out of what a C program gives.
//!
//! In: tables, keys, columns and values. Out: changes for a transaction, which own all they have.

use std::ffi::c_char;

use shmirror::{Action, Change, OnConflict, Value, ValueRef};

use crate::argument::{self, no_enumerator, out_of_range};
use crate::error::Failure;
use crate::json;
use crate::value::{self, shmirror_value};

/// What to do with a new row whose key is there already. Arguments that hold one are of type int32_t.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_on_conflict {
    /// The transaction fails: SHMIRROR_PRIMARY_KEY or SHMIRROR_UNIQUE.
    SHMIRROR_ON_CONFLICT_FAIL = 0,
    /// The old row goes, the new one comes (INSERT OR REPLACE).
    SHMIRROR_ON_CONFLICT_REPLACE = 1,
    /// The old row stays, the new one is left out.
    SHMIRROR_ON_CONFLICT_SKIP = 2,
    /// The columns that are given take their new values, the others stay as they are.
    SHMIRROR_ON_CONFLICT_UPDATE = 3,
}

use shmirror_on_conflict::*;

fn on_conflict(number: i32) -> Result<OnConflict, Failure> {
    match number {
        n if n == SHMIRROR_ON_CONFLICT_FAIL as i32 => Ok(OnConflict::Fail),
        n if n == SHMIRROR_ON_CONFLICT_REPLACE as i32 => Ok(OnConflict::Replace),
        n if n == SHMIRROR_ON_CONFLICT_SKIP as i32 => Ok(OnConflict::Skip),
        n if n == SHMIRROR_ON_CONFLICT_UPDATE as i32 => Ok(OnConflict::Update),
        other => Err(no_enumerator("on_conflict", other)),
    }
}

/// # Safety
/// As [`argument::text`].
unsafe fn change(table: *const c_char, action: Action) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    Ok(Change { table: unsafe { argument::text(table, "table") }?.to_owned(), action })
}

/// # Safety
/// As [`argument::texts`].
unsafe fn names(columns: *const *const c_char, count: usize) -> Result<Vec<String>, Failure> {
    // SAFETY: the caller's.
    let names = unsafe { argument::texts(columns, count, "columns") }?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// # Safety
/// As [`value::with_key`].
unsafe fn owned_key(key: *const shmirror_value, size: usize) -> Result<Vec<Value>, Failure> {
    let own = |values: &[ValueRef<'_>]| Ok(values.iter().map(|v| ValueRef::to_owned(*v)).collect());
    // SAFETY: the caller's.
    unsafe { value::with_key(key, size, own) }
}

/// One new row.
///
/// # Safety
/// As [`argument::text`], [`argument::texts`] and [`value::owned`].
pub(crate) unsafe fn insert(
    table: *const c_char,
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
    on_conflict: OnConflict,
) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let columns = names(columns, count)?;
        let rows = vec![value::owned(values, count, "values")?];
        change(table, Action::Insert { columns, rows, on_conflict, if_revision: None })
    }
}

/// One new row, of JSON.
///
/// # Safety
/// As [`argument::text`].
pub(crate) unsafe fn insert_json(
    table: *const c_char,
    json: *const c_char,
    on_conflict: OnConflict,
) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let name = argument::text(table, "table")?;
        let (columns, values) = json::fields(name, argument::text(json, "json")?)?;
        let rows = vec![values];
        change(table, Action::Insert { columns, rows, on_conflict, if_revision: None })
    }
}

/// Many new rows, one behind the other.
///
/// # Safety
/// As [`argument::text`], [`argument::texts`] and [`value::owned`], for as many values as the rows have
/// together.
pub(crate) unsafe fn insert_rows(
    table: *const c_char,
    columns: *const *const c_char,
    column_count: usize,
    values: *const shmirror_value,
    row_count: usize,
    how: i32,
) -> Result<Change, Failure> {
    let on_conflict = on_conflict(how)?;
    let Some(all) = column_count.checked_mul(row_count) else {
        let most = (usize::MAX / column_count) as u64;
        return Err(out_of_range("row_count", row_count as u64, most));
    };
    // SAFETY: the caller's.
    unsafe {
        let columns = names(columns, column_count)?;
        let given = argument::array(values, all, "values")?;
        let one = |v: &shmirror_value| value::borrowed(v, "values").map(ValueRef::to_owned);
        let rows: Result<Vec<Vec<Value>>, Failure> = match column_count {
            // A row without columns is one of defaults.
            0 if row_count == 0 => Ok(Vec::new()),
            0 => Err(out_of_range("row_count", row_count as u64, 0)),
            n => given.chunks_exact(n).map(|row| row.iter().map(one).collect()).collect(),
        };
        let rows = rows?;
        change(table, Action::Insert { columns, rows, on_conflict, if_revision: None })
    }
}

/// New values for some columns.
///
/// # Safety
/// As [`argument::text`], [`value::with_key`], [`argument::texts`] and [`value::owned`].
pub(crate) unsafe fn update(
    table: *const c_char,
    (key, key_size): (*const shmirror_value, usize),
    columns: *const *const c_char,
    values: *const shmirror_value,
    count: usize,
) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let key = owned_key(key, key_size)?;
        let columns = names(columns, count)?;
        let values = value::owned(values, count, "values")?;
        change(table, Action::Update { key, columns, values, if_revision: None })
    }
}

/// New values for some columns, of JSON.
///
/// # Safety
/// As [`argument::text`] and [`value::with_key`].
pub(crate) unsafe fn update_json(
    table: *const c_char,
    (key, key_size): (*const shmirror_value, usize),
    json: *const c_char,
) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let name = argument::text(table, "table")?;
        let key = owned_key(key, key_size)?;
        let (columns, values) = json::fields(name, argument::text(json, "json")?)?;
        change(table, Action::Update { key, columns, values, if_revision: None })
    }
}

/// One row goes.
///
/// # Safety
/// As [`argument::text`] and [`value::with_key`].
pub(crate) unsafe fn delete(
    table: *const c_char,
    (key, key_size): (*const shmirror_value, usize),
) -> Result<Change, Failure> {
    // SAFETY: the caller's.
    unsafe {
        let key = owned_key(key, key_size)?;
        change(table, Action::Delete { key, if_revision: None })
    }
}
