//! Texts that go out: into the caller's buffer, or as a string of the library's that the caller frees.

use std::ffi::{CString, c_char};
use std::ptr;

use crate::argument;
use crate::call::Outcome;
use crate::error::Failure;
use crate::status::shmirror_status::SHMIRROR_SHORT_BUFFER;

/// Copies a text and a NUL into the caller's buffer. `length` is told in any case.
///
/// # Safety
/// `buffer` is NULL and `size` 0, or `size` bytes at it may be written; `length` is NULL or may be
/// written.
pub(crate) unsafe fn terminated(
    text: &str,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe { argument::write_if(length, text.len()) };
    if size <= text.len() {
        return Err(short(text.len() + 1, size));
    }
    argument::present(buffer, "buffer")?;
    // SAFETY: the caller's: there is room for the text and its NUL; a text of ours is not in there.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        buffer.add(text.len()).write(0);
    }
    Ok(())
}

/// A buffer that is too small.
#[cold]
pub(crate) fn short(needed: usize, found: usize) -> Failure {
    Failure::argument(
        SHMIRROR_SHORT_BUFFER,
        format!("a buffer of {found} bytes, expected at least {needed}"),
    )
}

/// A string that the caller frees with `shmirror_string_free`.
///
/// # Safety
/// `out` is NULL or may be written.
pub(crate) unsafe fn string(text: String, out: *mut *mut c_char, name: &str) -> Outcome {
    // SAFETY: the caller's.
    unsafe { argument::write(out, owned(text).into_raw(), name) }
}

/// A terminated copy. A NUL inside, which no name and no JSON has, becomes a space.
pub(crate) fn owned(text: String) -> CString {
    CString::new(text).unwrap_or_else(|e| {
        let bytes = e.into_vec().into_iter().map(|b| if b == 0 { b' ' } else { b });
        CString::new(bytes.collect::<Vec<u8>>()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::keep;

    #[test]
    fn a_text_needs_room_for_its_nul() {
        let mut buffer = [b'x'; 8];
        let mut length = 0;
        let mut into = |size| {
            // SAFETY: buffers of this function's.
            unsafe { terminated("abc", buffer.as_mut_ptr().cast(), size, &mut length) }
        };
        assert_eq!(into(3).map_err(|f| keep(f) as i32), Err(18));
        assert!(into(4).is_ok());
        assert_eq!((&buffer[..5], length), (&b"abc\0x"[..], 3));
        // SAFETY: NULL with size 0.
        let asked = unsafe { terminated("", ptr::null_mut(), 0, &mut length) };
        assert_eq!((asked.map_err(|f| keep(f) as i32), length), (Err(18), 0));
        assert_eq!(owned("a\0b".into()).as_c_str(), c"a b");
    }
}
