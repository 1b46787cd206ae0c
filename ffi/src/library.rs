//! What the library says of itself: versions, statuses in words, the last failure, the clock.

use std::ffi::{CString, c_char};

pub(crate) use shmirror::monotonic_ns;

use crate::call::call;
use crate::error::{self, Failure};
use crate::status::{self, shmirror_status};

/// The version as a terminated text.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

const fn number(text: &str) -> u32 {
    let (bytes, mut i, mut n) = (text.as_bytes(), 0, 0);
    while i < bytes.len() {
        n = n * 10 + (bytes[i] - b'0') as u32;
        i += 1;
    }
    n
}
const MAJOR: u32 = number(env!("CARGO_PKG_VERSION_MAJOR"));
const MINOR: u32 = number(env!("CARGO_PKG_VERSION_MINOR"));
const PATCH: u32 = number(env!("CARGO_PKG_VERSION_PATCH"));

/// The library's version as text: `"0.1.0"`. Any thread; lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

/// The library's version as a number, as SHMIRROR_VERSION_NUMBER is the header's: major * 1000000 +
/// minor * 1000 + patch. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_version_number() -> u32 {
    MAJOR * 1_000_000 + MINOR * 1_000 + PATCH
}

/// The hash of the memory layout that the library was built with. A daemon of another layout refuses it
/// with SHMIRROR_LAYOUT. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_layout_hash() -> u64 {
    shmirror::LAYOUT_HASH
}

/// Whether this library serves a program that was built with the header of version `major`.`minor`; see
/// SHMIRROR_CHECK_VERSION(). SHMIRROR_VERSION: it is of another major version, or older. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_check_version(major: u32, minor: u32) -> shmirror_status {
    call(|| {
        if major == MAJOR && minor <= MINOR {
            return Ok(());
        }
        Err(Failure::argument(
            shmirror_status::SHMIRROR_VERSION,
            format!(
                "the library is {MAJOR}.{MINOR}.{PATCH}, the program was built for {major}.{minor}"
            ),
        ))
    })
}

/// A status in a few words, never NULL: `"rejected: UNIQUE"`; of a number that is no status,
/// `"unknown status"`. Any thread; lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_strerror(status: i32) -> *const c_char {
    status::describe(status).map_or("unknown status\0", |(_, text)| text).as_ptr().cast()
}

/// The name of a status, never NULL: `"SHMIRROR_UNIQUE"`; of a number that is no status,
/// `"SHMIRROR_UNKNOWN_STATUS"`. Any thread; lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_status_name(status: i32) -> *const c_char {
    status::describe(status).map_or("SHMIRROR_UNKNOWN_STATUS\0", |(name, _)| name).as_ptr().cast()
}

/// What is to be told of this thread's last failure: which table, key, column or argument, what was
/// found and what was expected. Never NULL; `""` if there was none. Lives until this thread's next
/// failure. At most 2047 bytes of UTF-8.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_last_message() -> *const c_char {
    error::last_message()
}

/// The status of this thread's last failure, 0 if there was none.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_last_status() -> i32 {
    error::last_status()
}

/// Now, in nanoseconds of CLOCK_MONOTONIC: what deadlines are counted in. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn shmirror_now() -> u64 {
    monotonic_ns()
}

/// Frees a string that the library gave out as `char **`. NULL is fine. Any thread.
///
/// # Safety
/// `string` is NULL, or came from a function of this library that says so and was not freed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_string_free(string: *mut c_char) {
    call(|| {
        if !string.is_null() {
            // SAFETY: the caller's: it came out of `CString::into_raw`.
            drop(unsafe { CString::from_raw(string) });
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    #[test]
    fn versions_are_one() {
        // SAFETY: a terminated text that lives for ever.
        let text = unsafe { CStr::from_ptr(shmirror_version()) }.to_str().unwrap();
        assert_eq!(text, format!("{MAJOR}.{MINOR}.{PATCH}"));
        assert_eq!(shmirror_check_version(MAJOR, MINOR) as i32, 0);
        assert_eq!(shmirror_check_version(MAJOR, MINOR + 1) as i32, 22);
        assert_eq!(shmirror_check_version(MAJOR + 1, 0) as i32, 22);
    }
}
