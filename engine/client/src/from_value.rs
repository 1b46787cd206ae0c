//! From SQL values to Rust types, only where nothing is lost.
//!
//! In: a borrowed value. Out: the Rust value, or what was found and what was expected.

use shmirror_shm::value::{Value, ValueRef};

/// A value that does not convert without loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Storage class and value found.
    pub found: String,
    /// What was asked for.
    pub expected: &'static str,
}

/// A type that a column's value can become.
///
/// | type | takes |
/// |---|---|
/// | `i8` … `i64`, `u8` … `u64`, `usize`, `isize` | INTEGER in range; REAL that is such an integer |
/// | `f64`, `f32` | REAL; INTEGER; each only where the type holds it exactly |
/// | `bool` | 0 and 1 |
/// | `String`, `&str` | TEXT |
/// | `Vec<u8>`, `&[u8]` | BLOB |
/// | `Option<T>` | NULL, else what `T` takes |
/// | [`Value`], [`ValueRef`] | anything |
pub trait FromValue<'a>: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// [`Mismatch`] where something would be lost.
    fn from_value(value: ValueRef<'a>) -> Result<Self, Mismatch>;
}

/// Storage class and value as one reads them in a message: `integer 300`, `text "abc"`, `null`.
pub(crate) fn describe(value: ValueRef<'_>) -> String {
    const SHOWN: usize = 40;
    match value {
        ValueRef::Null => "null".to_owned(),
        ValueRef::Integer(i) => format!("integer {i}"),
        ValueRef::Real(r) => format!("real {r:?}"),
        ValueRef::Text(t) => match t.char_indices().nth(SHOWN) {
            None => format!("text {t:?}"),
            Some((end, _)) => format!("text {:?}… of {} bytes", &t[..end], t.len()),
        },
        ValueRef::Blob(b) => format!("blob of {} bytes", b.len()),
    }
}

#[cold]
fn mismatch(value: ValueRef<'_>, expected: &'static str) -> Mismatch {
    Mismatch { found: describe(value), expected }
}

/// The integer that this value is exactly.
#[inline]
pub(crate) fn exact_int(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(i) => Some(i),
        ValueRef::Real(r) => real_as_int(r),
        _ => None,
    }
}

/// The integer that this double is exactly.
#[inline]
pub(crate) fn real_as_int(r: f64) -> Option<i64> {
    // 2^63 itself is no i64; every integral double below it is.
    (r.trunc() == r && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&r))
        .then_some(r as i64)
}

/// The double that this integer is exactly.
#[inline]
pub(crate) fn int_as_real(i: i64) -> Option<f64> {
    // Through i128, as `i64::MAX as f64` is 2^63, which a cast back would saturate to i64::MAX.
    (i128::from(i) == (i as f64) as i128).then_some(i as f64)
}

/// The double that this value is exactly.
#[inline]
pub(crate) fn exact_real(value: ValueRef<'_>) -> Option<f64> {
    match value {
        ValueRef::Real(r) => Some(r),
        ValueRef::Integer(i) => int_as_real(i),
        _ => None,
    }
}

macro_rules! integers {
    ($($t:ty => $expected:literal),* $(,)?) => {$(
        impl FromValue<'_> for $t {
            #[inline]
            fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
                exact_int(value)
                    .and_then(|i| Self::try_from(i).ok())
                    .ok_or_else(|| mismatch(value, $expected))
            }
        }
    )*};
}
integers! {
    i64 => "an integer",
    i32 => "an integer of 32 bits",
    i16 => "an integer of 16 bits",
    i8 => "an integer of 8 bits",
    isize => "an integer",
    u64 => "an integer from 0",
    u32 => "an integer from 0 of 32 bits",
    u16 => "an integer from 0 of 16 bits",
    u8 => "an integer from 0 of 8 bits",
    usize => "an integer from 0",
}

impl FromValue<'_> for f64 {
    #[inline]
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        exact_real(value).ok_or_else(|| mismatch(value, "a number that a double holds exactly"))
    }
}

impl FromValue<'_> for f32 {
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        exact_real(value)
            .filter(|r| f64::from(*r as f32) == *r)
            .map(|r| r as f32)
            .ok_or_else(|| mismatch(value, "a number that a single-precision float holds exactly"))
    }
}

impl FromValue<'_> for bool {
    #[inline]
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        match exact_int(value) {
            Some(0) => Ok(false),
            Some(1) => Ok(true),
            _ => Err(mismatch(value, "0 or 1")),
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self, Mismatch> {
        match value {
            ValueRef::Text(t) => Ok(t),
            _ => Err(mismatch(value, "text")),
        }
    }
}

impl FromValue<'_> for String {
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        <&str>::from_value(value).map(str::to_owned)
    }
}

impl<'a> FromValue<'a> for &'a [u8] {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self, Mismatch> {
        match value {
            ValueRef::Blob(b) => Ok(b),
            _ => Err(mismatch(value, "a blob")),
        }
    }
}

impl FromValue<'_> for Vec<u8> {
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        <&[u8]>::from_value(value).map(<[u8]>::to_vec)
    }
}

impl<'a> FromValue<'a> for ValueRef<'a> {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self, Mismatch> {
        Ok(value)
    }
}

impl FromValue<'_> for Value {
    fn from_value(value: ValueRef<'_>) -> Result<Self, Mismatch> {
        Ok(value.to_owned())
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Option<T> {
    #[inline]
    fn from_value(value: ValueRef<'a>) -> Result<Self, Mismatch> {
        match value {
            ValueRef::Null => Ok(None),
            v => T::from_value(v).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ValueRef::{Blob, Integer, Null, Real, Text};

    #[test]
    fn integers_come_from_integers_in_range_and_from_whole_reals() {
        assert_eq!(i64::from_value(Integer(i64::MIN)), Ok(i64::MIN));
        assert_eq!(i64::from_value(Real(-3.0)), Ok(-3));
        assert_eq!(i64::from_value(Real(-9_223_372_036_854_775_808.0)), Ok(i64::MIN));
        let infinite = Real(f64::INFINITY);
        for bad in [Real(0.5), Real(9_223_372_036_854_775_808.0), infinite, Null, Text("1")] {
            assert!(i64::from_value(bad).is_err(), "{bad:?}");
        }
        let e = u8::from_value(Integer(300)).unwrap_err();
        let expected = ("integer 300", "an integer from 0 of 8 bits");
        assert_eq!((e.found.as_str(), e.expected), expected);
        assert!(u64::from_value(Integer(-1)).is_err());
    }

    #[test]
    fn doubles_only_where_exact() {
        assert_eq!(f64::from_value(Integer(1 << 53)), Ok(9_007_199_254_740_992.0));
        assert!(f64::from_value(Integer((1 << 53) + 1)).is_err());
        assert!(f64::from_value(Integer(i64::MAX)).is_err());
        assert_eq!(f64::from_value(Integer(i64::MIN)), Ok(-9_223_372_036_854_775_808.0));
        assert_eq!(f32::from_value(Real(0.5)), Ok(0.5));
        assert!(f32::from_value(Real(0.1)).is_err());
        assert_eq!(f32::from_value(Real(f64::INFINITY)), Ok(f32::INFINITY));
    }

    #[test]
    fn booleans_texts_blobs_and_null() {
        assert_eq!(bool::from_value(Integer(1)), Ok(true));
        assert!(bool::from_value(Integer(2)).is_err());
        assert_eq!(<&str>::from_value(Text("ü")), Ok("ü"));
        assert!(String::from_value(Blob(b"x")).is_err());
        assert_eq!(Vec::from_value(Blob(b"x")), Ok(b"x".to_vec()));
        assert_eq!(Option::<i64>::from_value(Null), Ok(None));
        assert_eq!(Option::<i64>::from_value(Integer(4)), Ok(Some(4)));
        assert!(Option::<i64>::from_value(Text("4")).is_err());
    }

    #[test]
    fn long_texts_are_cut_in_messages_at_a_character() {
        let long = "é".repeat(100);
        let shown = describe(Text(&long));
        assert!(shown.len() < 120 && shown.ends_with("of 200 bytes"), "{shown}");
    }
}
