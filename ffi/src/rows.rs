//! Many rows of one revision, filled again and again.

use shmirror::Rows;

use crate::argument;
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::row::shmirror_row;
use crate::status::shmirror_status::{
    self, SHMIRROR_BAD_ARGUMENT, SHMIRROR_END, SHMIRROR_NOT_FOUND,
};

/// Rows that are all of one revision: the answer of shmirror_table_scan() or
/// shmirror_table_read_many(), filled again and again without allocation once it has grown. One thread
/// at a time.
#[derive(Default)]
pub struct shmirror_rows {
    pub(crate) rows: Rows,
    /// What shmirror_rows_next() looks at next.
    pub(crate) next: usize,
}
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

/// Ends rows. What was copied out of them stays. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_close(rows: *mut shmirror_rows) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(rows) })
}

/// The revision that all of them are of; 0 where they were never filled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_revision(
    rows: *const shmirror_rows,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(revision, handle::get(rows)?.rows.revision(), "revision") })
}

/// How many rows there are; after shmirror_table_read_many(), how many keys were asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_count(
    rows: *const shmirror_rows,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(rows)?.rows.len(), "count") })
}

/// Copies a row into `row`: the one at `index` of the order, or the one with the key at `index` of the
/// list. SHMIRROR_NOT_FOUND: no row has that key, and `row` stays as it was. SHMIRROR_BAD_ARGUMENT:
/// `index` is not below the count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_at(
    rows: *const shmirror_rows,
    index: usize,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let rows = &handle::get(rows)?.rows;
        let row = handle::get_mut(row)?;
        row.row.copy_from(at(rows, index)?);
        Ok(())
    })
}

/// Copies the next row into `row`, the first one after the rows were filled. Keys that have no row are
/// passed over. SHMIRROR_END: there is none left, and `row` stays as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_next(
    rows: *mut shmirror_rows,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let rows = handle::get_mut(rows)?;
        let row = handle::get_mut(row)?;
        while rows.next < rows.rows.len() {
            rows.next += 1;
            if let Some(found) = rows.rows.get(rows.next - 1) {
                row.row.copy_from(found);
                return Ok(());
            }
        }
        Err(Failure::Plain(SHMIRROR_END))
    })
}

/// Begins with the first row again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_rewind(rows: *mut shmirror_rows) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        handle::get_mut(rows)?.next = 0;
        Ok(())
    })
}

/// The row at a place.
#[inline]
pub(crate) fn at(rows: &Rows, index: usize) -> Result<shmirror::RowRef<'_>, Failure> {
    match rows.get(index) {
        Some(row) => Ok(row),
        None if index < rows.len() => Err(Failure::Plain(SHMIRROR_NOT_FOUND)),
        None => Err(beyond(index, rows.len())),
    }
}

#[cold]
fn beyond(index: usize, count: usize) -> Failure {
    Failure::argument(
        SHMIRROR_BAD_ARGUMENT,
        format!("argument index: found {index}, expected less than {count}"),
    )
}
