//! One value of one row, resolved once, read in a few nanoseconds.

use std::ffi::c_char;
use std::slice;

use shmirror::{Cell, CellError, ValueRef};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle::{self, object};
use crate::output;
use crate::status::shmirror_status;
use crate::table::shmirror_table;
use crate::value::{shmirror_value, with_key};

/// One value: one column of one row. It stays with its row: when that is deleted it says
/// SHMIRROR_DELETED, also when a row with the same key is inserted later; when its table is altered or
/// dropped, SHMIRROR_RESHAPED. shmirror_cell_refresh() looks for key and column anew. A restart of the
/// daemon it follows by itself. Any thread.
pub struct shmirror_cell {
    pub(crate) cell: Cell,
}
object!(shmirror_cell, 9, "shmirror_cell");

/// A handle of the value in this column of the row with this key. Make it once and keep it: finding a
/// row costs microseconds, reading the cell nanoseconds. Close it with shmirror_cell_close().
/// SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_BAD_KEY, SHMIRROR_UNKNOWN_TABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_cell(
    table: *const shmirror_table,
    key: *const shmirror_value,
    key_size: usize,
    column: *const c_char,
    out: *mut *mut shmirror_cell,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, values, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let table = &handle::get(table)?.table;
        let column = argument::text(column, "column")?;
        let cell = with_key(key, key_size, |key: &[ValueRef<'_>]| Ok(table.cell(key, column)?))?;
        argument::write(out, handle::make(shmirror_cell { cell })?, "out")
    })
}

/// Ends a cell. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_close(cell: *mut shmirror_cell) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(cell) })
}

/// The value as an integer: an INTEGER, or a REAL that is one. A few nanoseconds, no system call.
/// SHMIRROR_NULL_VALUE; SHMIRROR_TYPE_MISMATCH: it does not convert without loss; SHMIRROR_DELETED;
/// SHMIRROR_RESHAPED; SHMIRROR_CONTENDED; SHMIRROR_DISCONNECTED: the daemon went away while it replaced
/// the memory; SHMIRROR_FORKED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_i64(
    cell: *const shmirror_cell,
    value: *mut i64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { read(cell, value, "value", Cell::i64) })
}

/// The value as a double: a REAL, or an INTEGER that a double holds exactly. Cost and statuses as for
/// shmirror_cell_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_f64(
    cell: *const shmirror_cell,
    value: *mut f64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { read(cell, value, "value", Cell::f64) })
}

/// The value as a truth: 0 or 1. Cost and statuses as for shmirror_cell_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_bool(
    cell: *const shmirror_cell,
    value: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { read(cell, value, "value", Cell::bool) })
}

/// Whether the value is NULL. Cost and statuses as for shmirror_cell_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_is_null(
    cell: *const shmirror_cell,
    is_null: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { read(cell, is_null, "is_null", Cell::is_null) })
}

/// Copies the value's TEXT and a NUL into the caller's buffer. SHMIRROR_SHORT_BUFFER; else statuses as
/// for shmirror_cell_i64(). It is copied straight out of shared memory: unless SHMIRROR_OK comes back,
/// what is in the buffer is not specified.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_text(
    cell: *const shmirror_cell,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let cell = &handle::get(cell)?.cell;
        if size > 0 {
            argument::present(buffer, "buffer")?;
        }
        // The last byte is for the NUL.
        let room = room(buffer.cast(), size.saturating_sub(1))?;
        let found = cell.text_to(room).map_err(|error| failed(cell, error))?;
        argument::write_if(length, found);
        if found >= size {
            return Err(output::short(found + 1, size));
        }
        buffer.add(found).write(0);
        Ok(())
    })
}

/// Copies the value's bytes, of a BLOB, into the caller's buffer; else as shmirror_cell_text().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_bytes(
    cell: *const shmirror_cell,
    buffer: *mut u8,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let cell = &handle::get(cell)?.cell;
        let found = cell.bytes_to(room(buffer, size)?).map_err(|error| failed(cell, error))?;
        argument::write_if(length, found);
        if found > size { Err(output::short(found, size)) } else { Ok(()) }
    })
}

/// Looks for the key and the column again: after SHMIRROR_DELETED it finds the row that has the key
/// now, after SHMIRROR_RESHAPED the column that has the name now. SHMIRROR_NO_SUCH_ROW,
/// SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_UNKNOWN_TABLE: then the cell stays as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_cell_refresh(cell: *const shmirror_cell) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { Ok(handle::get(cell)?.cell.refresh()?) })
}

/// # Safety
/// `cell` as [`handle::get`] has it, `out` as [`argument::write`].
#[inline(always)]
unsafe fn read<T>(
    cell: *const shmirror_cell,
    out: *mut T,
    name: &str,
    load: impl FnOnce(&Cell) -> Result<T, CellError>,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let cell = &handle::get(cell)?.cell;
        let value = load(cell).map_err(|error| failed(cell, error))?;
        argument::write(out, value, name)
    }
}

#[cold]
#[inline(never)]
fn failed(cell: &Cell, error: CellError) -> Failure {
    let (form, index) = cell.form();
    Failure::Value(error, form, index)
}

/// The caller's buffer; more of it than any value has is left alone.
///
/// # Safety
/// `buffer` is NULL and `size` 0, or `size` bytes at it may be written for `'a`.
unsafe fn room<'a>(buffer: *mut u8, size: usize) -> Result<&'a mut [u8], Failure> {
    if size == 0 {
        return Ok(&mut []);
    }
    argument::present(buffer, "buffer")?;
    // SAFETY: the caller's. To this side it is memory of a foreign program, which may hold anything.
    Ok(unsafe { slice::from_raw_parts_mut(buffer, size.min(shmirror::limits::VALUE_BYTES)) })
}
