//! A table: rows by key, many rows of one revision, all rows.
//!
//! In: keys of the program's. Out: rows, into handles that serve again and again.

use std::ffi::c_char;

use shmirror::Table;

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::mirror::shmirror_mirror;
use crate::status::shmirror_status;

/// One table, by its name. It follows the table through a restart of the daemon, growth of the memory,
/// ALTER TABLE, DROP (then reading says SHMIRROR_UNKNOWN_TABLE) and a new CREATE of the name. Any
/// thread.
pub struct shmirror_table {
    pub(crate) table: Table,
}
object!(shmirror_table, 5, "shmirror_table");

/// A handle of the table of this name (ASCII case folded). Make it once and keep it: finding a table
/// costs microseconds, reading from it nanoseconds. Close it with shmirror_table_close().
/// SHMIRROR_UNKNOWN_TABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_table(
    mirror: *const shmirror_mirror,
    name: *const c_char,
    out: *mut *mut shmirror_table,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let table = handle::get(mirror)?.mirror.table(argument::text(name, "name")?)?;
        argument::write(out, handle::make(shmirror_table { table })?, "out")
    })
}

/// Ends a table handle. Its cells and what was read stay. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_close(table: *mut shmirror_table) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(table) })
}
