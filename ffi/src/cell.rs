//! One value of one row, resolved once, read in a few nanoseconds.

use std::ffi::c_char;

use shmirror::{Cell, ValueRef};

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
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

/// A handle of the value in this column of the row with this key. Make it once and keep it. Close it
/// with shmirror_cell_close(). SHMIRROR_NO_SUCH_ROW, SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_BAD_KEY,
/// SHMIRROR_UNKNOWN_TABLE.
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
