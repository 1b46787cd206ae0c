//! Many rows of one revision, filled again and again.

use crate::argument;
use crate::call::call;
use crate::handle::{self, object};
use crate::status::shmirror_status;

/// Rows that are all of one revision: the answer of shmirror_table_scan() and
/// shmirror_table_read_many(), filled again and again without allocation once it has grown. One thread
/// at a time.
#[derive(Default)]
pub struct shmirror_rows {}
object!(shmirror_rows, 7, "shmirror_rows");

/// No rows yet. Close them with shmirror_rows_close().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_new(out: *mut *mut shmirror_rows) -> shmirror_status {
    // SAFETY: as the prologue says of out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        argument::write(out, handle::make(shmirror_rows::default())?, "out")
    })
}

/// Ends rows. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_close(rows: *mut shmirror_rows) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(rows) })
}
