//! SQL values as C has them, both ways.
//!
//! In: tagged unions of the program's, whose tag may be anything. Out: borrowed values for the client;
//! and, the other way, unions that borrow from the object that they were asked of.

use std::ffi::c_char;
use std::ptr;

use shmirror::limits::KEY_COLUMNS;
use shmirror::{IntoKey, Value, ValueRef};

use crate::argument::{array, no_enumerator, out_of_range, sized_text};
use crate::error::Failure;
use crate::status::shmirror_status::SHMIRROR_BAD_ARGUMENT;

/// The storage class of a value. Arguments and members that hold one are of type int32_t.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_type {
    /// SQL NULL.
    SHMIRROR_TYPE_NULL = 0,
    /// A signed 64-bit integer.
    SHMIRROR_TYPE_INTEGER = 1,
    /// An IEEE 754 double.
    SHMIRROR_TYPE_REAL = 2,
    /// UTF-8 text.
    SHMIRROR_TYPE_TEXT = 3,
    /// Bytes.
    SHMIRROR_TYPE_BLOB = 4,
}

/// UTF-8 text of `size` bytes. It does not end with NUL, and may have NUL inside.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct shmirror_text {
    /// Its bytes; never NULL in a value that the library gives out.
    pub data: *const c_char,
    /// How many there are.
    pub size: usize,
}

/// `size` bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct shmirror_blob {
    /// They; never NULL in a value that the library gives out.
    pub data: *const u8,
    /// How many there are.
    pub size: usize,
}

/// What a value holds: the member that its type names.
#[repr(C)]
#[derive(Clone, Copy)]
pub union shmirror_payload {
    /// Of SHMIRROR_TYPE_INTEGER.
    pub integer: i64,
    /// Of SHMIRROR_TYPE_REAL.
    pub real: f64,
    /// Of SHMIRROR_TYPE_TEXT.
    pub text: shmirror_text,
    /// Of SHMIRROR_TYPE_BLOB.
    pub blob: shmirror_blob,
}

/// One SQL value. It borrows the bytes of TEXT and BLOB: a value that goes in is copied before the call
/// returns; of one that comes out, the function says how long it lives. Made with shmirror_integer(),
/// shmirror_string() and their like.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shmirror_value {
    /// A shmirror_type.
    pub r#type: i32,
    /// Not used: 0.
    pub reserved: i32,
    /// The value; not looked at for SHMIRROR_TYPE_NULL.
    pub r#as: shmirror_payload,
}

const _: () = assert!(size_of::<shmirror_value>() == 24 && align_of::<shmirror_value>() == 8);

use shmirror_type::*;

impl From<ValueRef<'_>> for shmirror_value {
    #[inline]
    fn from(value: ValueRef<'_>) -> Self {
        let made =
            |t: shmirror_type, payload| Self { r#type: t as i32, reserved: 0, r#as: payload };
        match value {
            ValueRef::Null => made(
                SHMIRROR_TYPE_NULL,
                shmirror_payload { text: shmirror_text { data: ptr::null(), size: 0 } },
            ),
            ValueRef::Integer(integer) => {
                let mut zeroed =
                    shmirror_payload { text: shmirror_text { data: ptr::null(), size: 0 } };
                zeroed.integer = integer;
                made(SHMIRROR_TYPE_INTEGER, zeroed)
            }
            ValueRef::Real(real) => {
                let mut zeroed =
                    shmirror_payload { text: shmirror_text { data: ptr::null(), size: 0 } };
                zeroed.real = real;
                made(SHMIRROR_TYPE_REAL, zeroed)
            }
            ValueRef::Text(t) => {
                let text = shmirror_text { data: t.as_ptr().cast(), size: t.len() };
                made(SHMIRROR_TYPE_TEXT, shmirror_payload { text })
            }
            ValueRef::Blob(b) => {
                let blob = shmirror_blob { data: b.as_ptr(), size: b.len() };
                made(SHMIRROR_TYPE_BLOB, shmirror_payload { blob })
            }
        }
    }
}

/// The value that a program gave.
///
/// # Safety
/// The payload is of the type that the tag says, and its bytes stay for `'a`.
#[inline]
pub(crate) unsafe fn borrowed<'a>(
    value: &shmirror_value,
    name: &str,
) -> Result<ValueRef<'a>, Failure> {
    let (tag, payload) = (value.r#type, value.r#as);
    // SAFETY: the caller's; every bit pattern is one of each member, and its bytes are checked for NULL
    // and UTF-8.
    unsafe {
        Ok(match tag {
            t if t == SHMIRROR_TYPE_NULL as i32 => ValueRef::Null,
            t if t == SHMIRROR_TYPE_INTEGER as i32 => ValueRef::Integer(payload.integer),
            t if t == SHMIRROR_TYPE_REAL as i32 => ValueRef::Real(payload.real),
            t if t == SHMIRROR_TYPE_TEXT as i32 => {
                ValueRef::Text(sized_text(payload.text.data, payload.text.size, name)?)
            }
            t if t == SHMIRROR_TYPE_BLOB as i32 => {
                ValueRef::Blob(array(payload.blob.data, payload.blob.size, name)?)
            }
            other => return Err(no_enumerator(name, other)),
        })
    }
}

/// Values that a program gave, owned.
///
/// # Safety
/// `values` is NULL or `count` values at it can be read, each as [`borrowed`] has it.
pub(crate) unsafe fn owned(
    values: *const shmirror_value,
    count: usize,
    name: &str,
) -> Result<Vec<Value>, Failure> {
    // SAFETY: the caller's.
    let values = unsafe { array(values, count, name) }?;
    // SAFETY: the caller's.
    values.iter().map(|v| unsafe { borrowed(v, name) }.map(ValueRef::to_owned)).collect()
}

/// Hands the values of a key to `f`, without allocation.
///
/// # Safety
/// As [`owned`].
#[inline]
pub(crate) unsafe fn with_key<R>(
    key: *const shmirror_value,
    count: usize,
    f: impl FnOnce(&[ValueRef<'_>]) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // SAFETY: the caller's.
    let given = unsafe { array(key, count, "key") }?;
    // Most keys are of one value, and to fill sixteen takes as long as to read a row.
    match given {
        [only] => {
            // SAFETY: the caller's.
            let value = unsafe { borrowed(only, "key") }?;
            f(&[value])
        }
        // SAFETY: the caller's.
        few if few.len() <= 4 => unsafe { with_room::<4, R>(few, f) },
        // SAFETY: the caller's.
        many if many.len() <= KEY_COLUMNS => unsafe { with_room::<KEY_COLUMNS, R>(many, f) },
        _ => Err(out_of_range("key_size", count as u64, KEY_COLUMNS as u64)),
    }
}

/// # Safety
/// As [`borrowed`], of each.
#[inline]
unsafe fn with_room<const N: usize, R>(
    given: &[shmirror_value],
    f: impl FnOnce(&[ValueRef<'_>]) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let mut values = [ValueRef::Null; N];
    for (to, from) in values.iter_mut().zip(given) {
        // SAFETY: the caller's.
        *to = unsafe { borrowed(from, "key") }?;
    }
    f(&values[..given.len()])
}

/// A key that a program gave, whose values were borrowed once without failure.
#[derive(Clone, Copy)]
pub(crate) struct CheckedKey<'a>(&'a [shmirror_value]);

impl<'a> CheckedKey<'a> {
    /// The keys in a list of values, all of so many.
    ///
    /// # Safety
    /// As [`owned`], for as long as the keys are used.
    pub(crate) unsafe fn all(
        values: *const shmirror_value,
        key_size: usize,
        count: usize,
    ) -> Result<impl Iterator<Item = Self> + Clone, Failure> {
        if !(1..=KEY_COLUMNS).contains(&key_size) {
            return Err(Failure::argument(
                SHMIRROR_BAD_ARGUMENT,
                format!("argument key_size: found {key_size}, expected 1 to {KEY_COLUMNS}"),
            ));
        }
        let all = count.saturating_mul(key_size);
        // SAFETY: the caller's.
        let values: &'a [shmirror_value] = unsafe { array(values, all, "keys") }?;
        for value in values {
            // SAFETY: the caller's.
            unsafe { borrowed(value, "keys") }?;
        }
        Ok(values.chunks_exact(key_size).map(CheckedKey))
    }
}

impl IntoKey for CheckedKey<'_> {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        let mut values = [ValueRef::Null; KEY_COLUMNS];
        for (to, from) in values.iter_mut().zip(self.0) {
            // SAFETY: whoever made it says so. A value that was changed since is borrowed as it is now,
            // or not at all.
            *to = unsafe { borrowed(from, "keys") }.unwrap_or_default();
        }
        f(&values[..self.0.len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::keep;

    #[test]
    fn values_go_out_and_come_in_the_same() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(-0.5),
            ValueRef::Text("ü\0x"),
            ValueRef::Text(""),
            ValueRef::Blob(&[0, 255]),
            ValueRef::Blob(&[]),
        ];
        for value in values {
            // SAFETY: a value of ours.
            let back = unsafe { borrowed(&shmirror_value::from(value), "v") };
            assert_eq!(back.ok(), Some(value));
        }
    }

    #[test]
    fn a_tag_that_is_none_and_text_that_is_none_are_refused() {
        let mut value = shmirror_value::from(ValueRef::Integer(7));
        value.r#type = 5;
        // SAFETY: the payload is not looked at.
        assert_eq!(unsafe { borrowed(&value, "v") }.map_err(|f| keep(f) as i32), Err(20));
        let mut value = shmirror_value::from(ValueRef::Blob(&[0xFF]));
        value.r#type = 3;
        // SAFETY: text and blob are laid out the same.
        assert_eq!(unsafe { borrowed(&value, "v") }.map_err(|f| keep(f) as i32), Err(19));
        let values = [shmirror_value::from(ValueRef::Integer(1)); 17];
        for count in 0..=17 {
            // SAFETY: values of ours.
            let found = unsafe { with_key(values.as_ptr(), count, |v| Ok(v.len())) };
            let expected = if count <= KEY_COLUMNS { Ok(count) } else { Err(20) };
            assert_eq!(found.map_err(|f| keep(f) as i32), expected);
        }
        // SAFETY: NULL is told before it is followed.
        let none = unsafe { with_key(ptr::null(), 1, |_| Ok(())) };
        assert_eq!(none.map_err(|f| keep(f) as i32), Err(16));
    }
}
