//! Numbers and their texts, as SQLite has them in comparisons and in columns. No allocation.
//!
//! In: a number, or a text that may be one. Out: the other.

use core::fmt::{self, Display, Write};
use core::str;

use crate::value::ValueRef;

/// The number that `text` is, by SQLite's rule for NUMERIC affinity: the whole text, leading and
/// trailing white space ignored, is an integer or real literal.
pub fn numeric_text(text: &str) -> Option<ValueRef<'static>> {
    let t = text.trim_matches(|c: char| c.is_ascii_whitespace());
    if !t.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'))
        || !t.bytes().any(|b| b.is_ascii_digit())
    {
        return None;
    }
    if let Ok(i) = t.parse::<i64>() {
        return Some(ValueRef::Integer(i));
    }
    t.parse::<f64>().ok().map(ValueRef::Real)
}

/// A number's text on the stack: the longest is `-1.2345678901234567e-300`.
pub(crate) struct NumberText {
    bytes: [u8; 40],
    length: usize,
}

impl NumberText {
    pub(crate) fn of(number: impl Display) -> Self {
        let mut text = Self { bytes: [0; 40], length: 0 };
        write!(text, "{number}").expect("there is room for every number");
        text
    }

    /// A double as SQLite 3.52 and later write it into a TEXT column: 15 significant digits where they
    /// give the same double back, else 17; always with a point; exponent form outside 1e-4 … 1e17.
    pub(crate) fn of_real(r: f64) -> Self {
        if r.is_infinite() {
            return Self::of(if r > 0.0 { "Inf" } else { "-Inf" });
        }
        if r == 0.0 {
            return Self::of("0.0");
        }
        let short = Self::of(format_args!("{r:.14e}"));
        let exact = if short.as_str().parse::<f64>() == Ok(r) {
            short
        } else {
            Self::of(format_args!("{r:.16e}"))
        };
        let (mantissa, exponent) = exact.as_str().split_once('e').unwrap_or((exact.as_str(), "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if r < 0.0 { "-" } else { "" };
        let mantissa = mantissa.trim_start_matches('-');
        let (first, rest) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = Self::of(format_args!("{first}{rest}"));
        let digits = all.as_str().trim_end_matches('0');
        let or_zero = |fraction| match fraction {
            "" => "0",
            some => some,
        };
        if !(-4..17).contains(&exponent) {
            let mark = if exponent < 0 { '-' } else { '+' };
            let (size, fraction) = (exponent.unsigned_abs(), or_zero(&digits[1..]));
            return Self::of(format_args!("{sign}{}.{fraction}e{mark}{size:02}", &digits[..1]));
        }
        if exponent < 0 {
            let zeros = exponent.unsigned_abs() as usize - 1;
            return Self::of(format_args!("{sign}0.{:0<zeros$}{digits}", ""));
        }
        let whole = exponent as usize + 1;
        let (before, after) = digits.split_at(digits.len().min(whole));
        Self::of(format_args!("{sign}{before:0<whole$}.{}", or_zero(after)))
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.length]).expect("only whole texts were put in")
    }
}

impl Write for NumberText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.length + s.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(s.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reals_are_written_as_sqlite_does() {
        for (real, text) in [
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e16, "10000000000000000.0"),
            (-1.5e17, "-1.5e+17"),
            (1e100, "1.0e+100"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (f64::NEG_INFINITY, "-Inf"),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!(NumberText::of_real(real).as_str(), text);
        }
    }

    #[test]
    fn integers_and_what_is_no_number() {
        assert_eq!(NumberText::of(i64::MIN).as_str(), "-9223372036854775808");
        assert_eq!(numeric_text(" 42 "), Some(ValueRef::Integer(42)));
        assert_eq!(numeric_text("4.5e1"), Some(ValueRef::Real(45.0)));
        assert_eq!((numeric_text("4x"), numeric_text("")), (None, None));
    }
}
