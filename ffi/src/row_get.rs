//! A row's values: typed, only where nothing is lost.

use std::ffi::c_char;

use shmirror::{Error, FromValue, RowRef, StorageClass};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle;
use crate::output;
use crate::row::{null, shmirror_row, value};
use crate::status::shmirror_status;
use crate::value::{shmirror_blob, shmirror_text, shmirror_type, shmirror_value};

const REAL: &str = "a number that a double holds exactly";

/// Storage class of the value at `index`, a shmirror_type. SHMIRROR_UNKNOWN_COLUMN: there is no such
/// index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_type(
    row: *const shmirror_row,
    index: usize,
    r#type: *mut i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = match value(handle::get(row)?.row.as_ref(), index)?.class() {
            StorageClass::Null => shmirror_type::SHMIRROR_TYPE_NULL,
            StorageClass::Integer => shmirror_type::SHMIRROR_TYPE_INTEGER,
            StorageClass::Real => shmirror_type::SHMIRROR_TYPE_REAL,
            StorageClass::Text => shmirror_type::SHMIRROR_TYPE_TEXT,
            StorageClass::Blob => shmirror_type::SHMIRROR_TYPE_BLOB,
        };
        argument::write(r#type, found as i32, "type")
    })
}

/// The value at `index` as an integer: an INTEGER, or a REAL that is one. SHMIRROR_NULL_VALUE;
/// SHMIRROR_TYPE_MISMATCH: it does not convert without loss; SHMIRROR_UNKNOWN_COLUMN: there is no such
/// index. A few nanoseconds, as all of these getters.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_i64(
    row: *const shmirror_row,
    index: usize,
    value: *mut i64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |row, i| row.integer_at(i), "an integer") })
}

/// The value at `index` as a double: a REAL, or an INTEGER that a double holds exactly. Statuses as for
/// shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_f64(
    row: *const shmirror_row,
    index: usize,
    value: *mut f64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |row, i| row.real_at(i), REAL) })
}

/// The value at `index` as a truth: 0 or 1. Statuses as for shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_bool(
    row: *const shmirror_row,
    index: usize,
    value: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |_, _| None, "0 or 1") })
}

/// The value at `index` as an integer of 32 bits. Statuses as for shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_i32(
    row: *const shmirror_row,
    index: usize,
    value: *mut i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |_, _| None, "an integer of 32 bits") })
}

/// The value at `index` as an integer from 0 of 32 bits. Statuses as for shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_u32(
    row: *const shmirror_row,
    index: usize,
    value: *mut u32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |_, _| None, "an integer from 0 of 32 bits") })
}

/// The value at `index` as an integer from 0; SQL has none above INT64_MAX. Statuses as for
/// shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_u64(
    row: *const shmirror_row,
    index: usize,
    value: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |_, _| None, "an integer from 0") })
}

/// The value at `index` as a single-precision float that holds it exactly. Statuses as for
/// shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_f32(
    row: *const shmirror_row,
    index: usize,
    value: *mut f32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { get(row, index, value, |_, _| None, "a number that a float holds exactly") })
}

/// The TEXT at `index`, in place: it lives until the row is filled again or closed, and does not end
/// with NUL. Statuses as for shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_text(
    row: *const shmirror_row,
    index: usize,
    text: *mut shmirror_text,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found: &str = typed(handle::get(row)?.row.as_ref(), index, "text")?;
        let found = shmirror_text { data: found.as_ptr().cast(), size: found.len() };
        argument::write(text, found, "text")
    })
}

/// The BLOB at `index`, in place: it lives until the row is filled again or closed. Statuses as for
/// shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_blob(
    row: *const shmirror_row,
    index: usize,
    blob: *mut shmirror_blob,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found: &[u8] = typed(handle::get(row)?.row.as_ref(), index, "a blob")?;
        let found = shmirror_blob { data: found.as_ptr(), size: found.len() };
        argument::write(blob, found, "blob")
    })
}

/// The value at `index`, whatever it is. TEXT and BLOB live until the row is filled again or closed.
/// SHMIRROR_UNKNOWN_COLUMN: there is no such index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_value(
    row: *const shmirror_row,
    index: usize,
    out: *mut shmirror_value,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(out, value(handle::get(row)?.row.as_ref(), index)?.into(), "out")
    })
}

/// Copies the TEXT at `index` and a NUL into the caller's buffer. SHMIRROR_SHORT_BUFFER; else statuses
/// as for shmirror_row_i64().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_row_copy_text(
    row: *const shmirror_row,
    index: usize,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and buffers.
    call(|| unsafe {
        let text: &str = typed(handle::get(row)?.row.as_ref(), index, "text")?;
        output::terminated(text, buffer, size, length)
    })
}

/// # Safety
/// `row` as [`handle::get`] has it, `out` as [`argument::write`].
#[inline(always)]
unsafe fn get<T: for<'a> FromValue<'a>>(
    row: *const shmirror_row,
    index: usize,
    out: *mut T,
    shortcut: impl FnOnce(&RowRef<'_>, usize) -> Option<T>,
    expected: &'static str,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let row = handle::get(row)?.row.as_ref();
        match shortcut(&row, index) {
            Some(value) => argument::write(out, value, "value"),
            None => slowly(row, index, out, expected),
        }
    }
}

/// # Safety
/// `out` as [`argument::write`] has it.
#[inline(never)]
unsafe fn slowly<'a, T: FromValue<'a>>(
    row: RowRef<'a>,
    index: usize,
    out: *mut T,
    expected: &'static str,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe { argument::write(out, typed(row, index, expected)?, "value") }
}

/// The value at `index` as a `T`.
#[inline(always)]
pub(crate) fn typed<'a, T: FromValue<'a>>(
    row: RowRef<'a>,
    index: usize,
    expected: &'static str,
) -> Result<T, Failure> {
    match value(row, index)? {
        shmirror::ValueRef::Null => Err(null(row, index, expected)),
        found => T::from_value(found).map_err(|m| mismatch(row, index, m)),
    }
}

/// A value that does not convert without loss.
#[cold]
pub(crate) fn mismatch(row: RowRef<'_>, index: usize, mismatch: shmirror::Mismatch) -> Failure {
    let form = row.form();
    Failure::from(Error::Type {
        table: form.table().to_owned(),
        column: form.name(index).unwrap_or_default().to_owned(),
        found: mismatch.found,
        expected: mismatch.expected,
    })
}
