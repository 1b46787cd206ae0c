//! Pointers and texts that come in, checked before they are believed.
//!
//! Every function says which argument it is: that is what the message names.

use std::ffi::{CStr, c_char};
use std::time::{Duration, Instant};

use crate::error::Failure;
use crate::status::shmirror_status::{
    SHMIRROR_BAD_ARGUMENT, SHMIRROR_NOT_UTF8, SHMIRROR_NULL_ARGUMENT,
};

/// Most elements that an array may have: more would not fit into memory.
const ARRAY: usize = isize::MAX as usize / 64;

#[cold]
fn null(name: &str) -> Failure {
    Failure::argument(SHMIRROR_NULL_ARGUMENT, format!("argument {name} is NULL"))
}

/// A terminated text.
///
/// # Safety
/// `text` is NULL or points to bytes that end with NUL and stay for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|e| {
        Failure::argument(
            SHMIRROR_NOT_UTF8,
            format!("argument {name}: byte {} is not UTF-8", e.valid_up_to()),
        )
    })
}

/// A text of so many bytes.
///
/// # Safety
/// `data` is NULL, or `size` bytes at it can be read for `'a`.
#[inline(always)]
pub(crate) unsafe fn sized_text<'a>(
    data: *const c_char,
    size: usize,
    name: &str,
) -> Result<&'a str, Failure> {
    // SAFETY: the caller's.
    let bytes = unsafe { array(data.cast::<u8>(), size, name) }?;
    if is_short_ascii(bytes) {
        // SAFETY: ASCII is UTF-8.
        return Ok(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    checked(bytes, name)
}

#[inline(never)]
fn checked<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes).map_err(|e| {
        Failure::argument(
            SHMIRROR_NOT_UTF8,
            format!("argument {name}: byte {} is not UTF-8", e.valid_up_to()),
        )
    })
}

/// Whether these are 1 to 32 bytes of ASCII. Most keys are, and the standard library's check, which is
/// made for long texts, goes through short ones byte by byte: 5 ns of a read by a TEXT key.
#[inline(always)]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = |at: usize| {
        bytes[at..].first_chunk::<8>().map_or(u64::MAX, |word| u64::from_ne_bytes(*word))
    };
    match bytes.len() {
        1..=7 => bytes.iter().fold(0, |all, b| all | b) < 0x80,
        // Words that overlap cover all of it.
        n @ 8..=16 => (word(0) | word(n - 8)) & HIGH == 0,
        n @ 17..=32 => (word(0) | word(8) | word(n - 16) | word(n - 8)) & HIGH == 0,
        _ => false,
    }
}

/// An array. NULL is fine where it has no elements.
///
/// # Safety
/// `data` is NULL, or `count` elements at it can be read for `'a`.
#[inline(always)]
pub(crate) unsafe fn array<'a, T>(
    data: *const T,
    count: usize,
    name: &str,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(name));
    }
    if count > ARRAY {
        return Err(out_of_range(name, count as u64, ARRAY as u64));
    }
    if !data.is_aligned() {
        return Err(Failure::argument(
            SHMIRROR_BAD_ARGUMENT,
            format!("argument {name}: found an address of another alignment than its type has"),
        ));
    }
    // SAFETY: the caller's; it is not NULL, aligned, and not larger than an object can be.
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

/// An array of terminated texts.
///
/// # Safety
/// As [`array`] and, for each element, [`text`].
pub(crate) unsafe fn texts<'a>(
    data: *const *const c_char,
    count: usize,
    name: &str,
) -> Result<Vec<&'a str>, Failure> {
    // SAFETY: the caller's.
    unsafe { array(data, count, name)?.iter().map(|t| text(*t, name)).collect() }
}

/// Writes to where an out parameter points.
///
/// # Safety
/// `out` is NULL or points to a `T` that may be written.
#[inline]
pub(crate) unsafe fn write<T>(out: *mut T, value: T, name: &str) -> Result<(), Failure> {
    if out.is_null() {
        return Err(null(name));
    }
    // SAFETY: the caller's; `write` drops nothing of what is there.
    unsafe { out.write(value) };
    Ok(())
}

/// Writes to an out parameter that may be NULL.
///
/// # Safety
/// As [`write`].
#[inline]
pub(crate) unsafe fn write_if<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: the caller's.
        unsafe { out.write(value) };
    }
}

/// Sees to it, before anything is done, that an out parameter is there.
#[inline]
pub(crate) fn present<T>(out: *const T, name: &str) -> Result<(), Failure> {
    if out.is_null() { Err(null(name)) } else { Ok(()) }
}

/// Sees to it that the place for a new handle is there, and sets it to NULL in case that there is none.
///
/// # Safety
/// As [`write`].
pub(crate) unsafe fn no_handle<T>(out: *mut *mut T, name: &str) -> Result<(), Failure> {
    // SAFETY: the caller's.
    unsafe { write(out, std::ptr::null_mut(), name) }
}

/// A number that is not one of an enumeration's, or not below a count.
#[cold]
pub(crate) fn out_of_range(name: &str, found: u64, most: u64) -> Failure {
    Failure::argument(
        SHMIRROR_BAD_ARGUMENT,
        format!("argument {name}: found {found}, at most {most} allowed"),
    )
}

/// A number that is no enumerator.
#[cold]
pub(crate) fn no_enumerator(name: &str, found: i32) -> Failure {
    Failure::argument(
        SHMIRROR_BAD_ARGUMENT,
        format!("argument {name}: found {found}, expected one of its enumerators"),
    )
}

/// An element by index.
pub(crate) fn element<'a, T>(list: &'a [T], index: usize, name: &str) -> Result<&'a T, Failure> {
    list.get(index).ok_or_else(|| {
        Failure::argument(
            SHMIRROR_BAD_ARGUMENT,
            format!("argument {name}: found {index}, expected less than {}", list.len()),
        )
    })
}

/// A timeout. What no clock reaches is for ever: `Duration::MAX`.
pub(crate) fn timeout(ns: u64) -> Duration {
    if ns == u64::MAX { Duration::MAX } else { Duration::from_nanos(ns) }
}

/// A deadline of CLOCK_MONOTONIC as Rust's clock has it, which is the same one; `None` is never.
pub(crate) fn deadline(ns: u64) -> Option<Instant> {
    let left = ns.checked_sub(crate::library::monotonic_ns());
    let now = Instant::now();
    if ns == u64::MAX { None } else { now.checked_add(Duration::from_nanos(left.unwrap_or(0))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{keep, last_status};

    fn status<T>(result: Result<T, Failure>) -> i32 {
        result.map_or_else(|f| keep(f) as i32, |_| 0)
    }

    #[test]
    fn what_comes_in_is_checked() {
        // SAFETY: NULL, or memory of this function's.
        unsafe {
            assert_eq!(status(text(std::ptr::null(), "name")), 16);
            assert_eq!(text(c"ü".as_ptr(), "name").ok(), Some("ü"));
            assert_eq!(status(text(c"\xff".as_ptr(), "name")), 19);
            assert_eq!(status(sized_text(c"a".as_ptr(), usize::MAX, "name")), 20);
            assert_eq!(sized_text(std::ptr::null(), 0, "name").ok(), Some(""));
            let words = [1u64, 2];
            let odd = words.as_ptr().byte_add(1);
            assert_eq!(status(array(odd, 1, "values")), 20);
            assert_eq!(array(words.as_ptr(), 2, "values").ok(), Some(&words[..]));
            assert_eq!(status(write(std::ptr::null_mut::<u64>(), 1, "out")), 16);
        }
        assert_eq!(last_status(), 16);
    }

    #[test]
    fn a_byte_that_is_no_ascii_is_seen_at_every_place() {
        for size in 0..40 {
            let mut text = vec![0x7F; size];
            assert_eq!(is_short_ascii(&text), (1..=32).contains(&size), "{size}");
            for at in 0..size {
                text[at] = 0x80;
                assert!(!is_short_ascii(&text), "{at} of {size}");
                // SAFETY: memory of this function's.
                let given = unsafe { sized_text(text.as_ptr().cast(), size, "key") };
                assert_eq!(status(given), 19, "{at} of {size}");
                text[at] = 0x7F;
            }
        }
    }

    #[test]
    fn deadlines_are_of_the_same_clock() {
        let now = crate::library::monotonic_ns();
        let left = deadline(now + 5_000_000_000).unwrap() - Instant::now();
        assert!((4.9..=5.0).contains(&left.as_secs_f64()), "{left:?}");
        assert!(deadline(0).unwrap() <= Instant::now());
        assert_eq!((deadline(u64::MAX), timeout(u64::MAX)), (None, Duration::MAX));
    }
}
