//! One row: a private copy, filled again and again.

use shmirror::Row;

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::status::shmirror_status;

/// A private copy of one row, to be filled again and again: no allocation once it has grown to the size
/// of the rows. One thread at a time.
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
