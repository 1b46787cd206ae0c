//! JSON of values and times: one form everywhere (rows, events, the command line).
//!
//! NULL is `null`, INTEGER and REAL are numbers (an infinite REAL the strings `"inf"` and `"-inf"`,
//! as JSON has no such number), TEXT is a string, a BLOB is a string of lower-case hex after `0x`.

use serde_json::Value as Json;
use shmirror_shm::value::ValueRef;

/// A value as JSON.
pub fn value_to_json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null => Json::Null,
        ValueRef::Integer(i) => i.into(),
        ValueRef::Real(r) => match serde_json::Number::from_f64(r) {
            Some(number) => Json::Number(number),
            None if r.is_nan() => Json::Null,
            None => if r > 0.0 { "inf" } else { "-inf" }.into(),
        },
        ValueRef::Text(t) => t.into(),
        ValueRef::Blob(b) => hex(b).into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(2 + 2 * bytes.len());
    out.push_str("0x");
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// Microseconds since 1970-01-01 UTC as RFC 3339 with six decimals: `2024-05-01T12:00:00.000000Z`.
pub fn timestamp(at_us: i64) -> String {
    let (seconds, micros) = (at_us.div_euclid(1_000_000), at_us.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`,
/// <https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * day_of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * m + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(951_782_399_999_999), "2000-02-28T23:59:59.999999Z");
        assert_eq!(timestamp(951_782_400_000_000), "2000-02-29T00:00:00.000000Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(timestamp(1_714_564_800_000_123), "2024-05-01T12:00:00.000123Z");
    }

    #[test]
    fn values() {
        let json = |v| value_to_json(v).to_string();
        assert_eq!(json(ValueRef::Integer(i64::MAX)), "9223372036854775807");
        assert_eq!(json(ValueRef::Real(1.0)), "1.0");
        assert_eq!(json(ValueRef::Real(f64::NEG_INFINITY)), "\"-inf\"");
        assert_eq!(json(ValueRef::Blob(&[0, 0xAB, 0xFF])), "\"0x00abff\"");
        assert_eq!(json(ValueRef::Text("a\"ü")), "\"a\\\"ü\"");
        assert_eq!(json(ValueRef::Null), "null");
    }
}
