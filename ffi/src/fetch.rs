//! Rows into C structs.
//!
//! In: a row, by whatever way, and a binding. Out: the struct's members, all of them or none.

use std::ffi::{c_char, c_void};

use shmirror::{IntoKey, RowRef, ValueRef};

use crate::argument;
use crate::binding::{Bound, shmirror_binding};
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle;
use crate::row::shmirror_row;
use crate::rows::{self, shmirror_rows};
use crate::status::shmirror_status::{self, SHMIRROR_SHORT_BUFFER};
use crate::table::{found, shmirror_table};
use crate::value::{shmirror_value, with_key};

/// Reads the row with this key, as newest published, straight into the struct at `out`, which has
/// `out_size` bytes (sizeof). Either all members are written or none. No system call, no allocation once
/// the binding has seen a row of this size. SHMIRROR_NOT_FOUND; SHMIRROR_NULL_VALUE: NULL in a column
/// that has no member for it; SHMIRROR_TYPE_MISMATCH: a value does not convert without loss;
/// SHMIRROR_SHORT_BUFFER: TEXT or a BLOB is longer than its member, or `out_size` is less than the
/// binding needs; SHMIRROR_UNKNOWN_COLUMN; else statuses as for shmirror_table_read().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_fetch(
    table: *const shmirror_table,
    key: *const shmirror_value,
    key_size: usize,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, values and buffers.
    call(|| unsafe {
        with_key(key, key_size, |key: &[ValueRef<'_>]| fetch(table, key, binding, out, out_size))
    })
}

/// shmirror_table_fetch() for a key of one integer; the fastest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_fetch_i64(
    table: *const shmirror_table,
    key: i64,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe { fetch(table, key, binding, out, out_size) })
}

/// shmirror_table_fetch() for a key of one TEXT of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_fetch_text(
    table: *const shmirror_table,
    key: *const c_char,
    size: usize,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and buffers.
    call(|| unsafe {
        fetch(table, argument::sized_text(key, size, "key")?, binding, out, out_size)
    })
}

/// Writes a row's columns into the struct at `out`. Statuses as for shmirror_table_fetch().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_fetch(
    row: *const shmirror_row,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let row = handle::get(row)?.row.as_ref();
        fill(&mut handle::get_mut(binding)?.bound, row, out, out_size)
    })
}

/// Writes the columns of the row at `index` (as for shmirror_rows_at()) into the struct at `out`.
/// Statuses as for shmirror_table_fetch(), and SHMIRROR_BAD_ARGUMENT: `index` is not below the count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_rows_fetch(
    rows: *const shmirror_rows,
    index: usize,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let row = rows::at(&handle::get(rows)?.rows, index)?;
        fill(&mut handle::get_mut(binding)?.bound, row, out, out_size)
    })
}

/// Reads a row and fills a struct with it.
///
/// # Safety
/// The handles as [`handle::get`] and [`handle::get_mut`] have them; `out` as [`fill`].
#[inline]
unsafe fn fetch<K: IntoKey>(
    table: *const shmirror_table,
    key: K,
    binding: *mut shmirror_binding,
    out: *mut c_void,
    out_size: usize,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let table = &handle::get(table)?.table;
        let shmirror_binding { bound, row } = handle::get_mut(binding)?;
        found(table.read(key, row)?)?;
        fill(bound, row.as_ref(), out, out_size)
    }
}

/// Fills a struct with a row.
///
/// # Safety
/// `out` is NULL or `out_size` bytes at it may be written.
#[inline]
unsafe fn fill(bound: &mut Bound, row: RowRef<'_>, out: *mut c_void, out_size: usize) -> Outcome {
    argument::present(out, "out")?;
    if out_size < bound.size {
        return Err(short(bound.size, out_size));
    }
    if bound.form != row.form() {
        find(bound, row)?;
    }
    for (member, staged) in bound.members.iter().zip(&mut bound.staged) {
        member.stage(row, staged)?;
    }
    for (member, staged) in bound.members.iter().zip(&bound.staged) {
        // SAFETY: the caller's; the members end before `bound.size`, and what is staged is of this
        // row, which is borrowed.
        unsafe { member.write(staged, row, out.cast()) };
    }
    Ok(())
}

/// Looks for the columns in rows of another form.
#[cold]
#[inline(never)]
fn find(bound: &mut Bound, row: RowRef<'_>) -> Outcome {
    // Until all are found the members are of no form.
    bound.form = shmirror::Row::default().form();
    for member in &mut bound.members {
        member.find(row.form())?;
    }
    bound.form = row.form();
    Ok(())
}

#[cold]
fn short(needed: usize, found: usize) -> Failure {
    Failure::argument(
        SHMIRROR_SHORT_BUFFER,
        format!("argument out: a struct of {found} bytes, the binding needs {needed}"),
    )
}
