//! One row: a private copy, filled again and again. What it is made of; its values are in `row_get`.

use std::ffi::c_char;

use shmirror::{CellError, Row, RowRef, ValueRef};

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::output;
use crate::row_json;
use crate::status::shmirror_status::{self, SHMIRROR_UNKNOWN_COLUMN};
use crate::value::shmirror_value;

/// A private copy of one row, to be filled again and again: no allocation once it has grown to the size
/// of the rows. It keeps the form that it was read with, whatever becomes of its table. Columns are
/// counted from 0 in the order of the table's declaration, hidden ones included. One thread at a time.
pub struct shmirror_row {
    pub(crate) row: Row,
}
object!(shmirror_row, 6, "shmirror_row");

/// An empty row. Close it with shmirror_row_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_new(out: *mut *mut shmirror_row) -> shmirror_status {
    // SAFETY: as the prologue says of out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        argument::write(out, handle::make(shmirror_row { row: Row::default() })?, "out")
    })
}

/// Ends a row, and the pointers that came out of it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_close(row: *mut shmirror_row) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(row) })
}

/// Revision of the transaction that last changed the row; 0 for a row that was never filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_revision(
    row: *const shmirror_row,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(revision, handle::get(row)?.row.revision(), "revision") })
}

/// How many columns the row has, hidden ones included; 0 for a row that was never filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_columns(
    row: *const shmirror_row,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(row)?.row.form().columns(), "count") })
}

/// Name of the column at `index`. It lives as long as the process. SHMIRROR_UNKNOWN_COLUMN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_column_name(
    row: *const shmirror_row,
    index: usize,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let row = handle::get(row)?.row.as_ref();
        let found = row.form().terminated_name(index).ok_or_else(|| no_column(row, index))?;
        argument::write(name, found.as_ptr(), "name")
    })
}

/// Index of the column of this name (ASCII case folded). SHMIRROR_UNKNOWN_COLUMN. It compares names:
/// look an index up once, and again where the table was altered, or use a binding, which does that by
/// itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_find(
    row: *const shmirror_row,
    column: *const c_char,
    index: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let row = handle::get(row)?.row.as_ref();
        let column = argument::text(column, "column")?;
        if row.form().columns() == 0 {
            return Err(never_filled());
        }
        argument::write(index, row.form().index(column)?, "index")
    })
}

/// Values of the row's key, in PRIMARY KEY order, of a table without one the rowid. `count` (may be
/// NULL) is told in any case. SHMIRROR_SHORT_BUFFER: there are more than `capacity`, of which 16 is
/// always enough. TEXT and BLOB live until the row is filled again or closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_key(
    row: *const shmirror_row,
    values: *mut shmirror_value,
    capacity: usize,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, buffers and out parameters.
    call(|| unsafe {
        let key = handle::get(row)?.row.as_ref().key_values();
        argument::write_if(count, key.len());
        if capacity < key.len() {
            return Err(output::short(key.len(), capacity));
        }
        if key.len() > 0 {
            argument::present(values, "values")?;
        }
        for (i, value) in key.enumerate() {
            values.add(i).write(value.into());
        }
        Ok(())
    })
}

/// The row as a JSON object: the columns that `SELECT *` shows, in their order. INTEGER and REAL are
/// numbers (infinite ones the strings "inf" and "-inf"), TEXT is a string, a BLOB a string of
/// lower-case hex after 0x. SHMIRROR_SHORT_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_json(
    row: *const shmirror_row,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe { row_json::terminated(handle::get(row)?.row.as_ref(), buffer, size, length) })
}

/// The value at `index`, whatever it is.
#[inline]
pub(crate) fn value<'a>(row: RowRef<'a>, index: usize) -> Result<ValueRef<'a>, Failure> {
    row.get_at(index).map_err(|error| match row.form().columns() {
        0 => never_filled(),
        _ => error.into(),
    })
}

/// NULL, where something was expected.
#[cold]
pub(crate) fn null(row: RowRef<'_>, index: usize, expected: &'static str) -> Failure {
    Failure::Value(CellError::Null { expected }, row.form(), index)
}

#[cold]
fn no_column(row: RowRef<'_>, index: usize) -> Failure {
    value(row, index).err().unwrap_or_else(never_filled)
}

#[cold]
fn never_filled() -> Failure {
    Failure::argument(SHMIRROR_UNKNOWN_COLUMN, "a row that was never filled has no columns")
}
