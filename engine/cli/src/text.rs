//! Values as text: JSON, CSV, and plain for people. One place, so that `get`, `dump`, `sql`,
//! `watch` and `log` write the same value the same way, and `load` reads it back.

use std::fmt::Write;

use shmirror_shm::value::ValueRef;

/// A double in the fewest digits that read back as the same double; always with a point, an
/// exponent or a word, so that it stays a double.
pub fn real(r: f64) -> String {
    if r.is_infinite() {
        return if r > 0.0 { "inf".into() } else { "-inf".into() };
    }
    format!("{r:?}")
}

/// Bytes as `0x` and lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + 2 * bytes.len());
    out.push_str("0x");
    for b in bytes {
        // Writing to a String cannot fail.
        let _ = write!(out, "{b:02x}");
    }
    out
}

/// The bytes of `0x…`, or `None` where the text is no such thing.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            Some((high * 16 + low) as u8)
        })
        .collect()
}

/// For people and for bare output: NULL as `NULL`, TEXT as it is.
pub fn plain(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".into(),
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Real(r) => real(r),
        ValueRef::Text(t) => t.to_owned(),
        ValueRef::Blob(b) => hex(b),
    }
}

/// For one line of a terminal: control characters as escapes, so that no value moves the cursor.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    out
}

/// As an SQL literal, on one line: TEXT in quotes, so that NULL and `'NULL'` differ.
pub fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(t) => format!("'{}'", one_line(&t.replace('\'', "''"))),
        other => plain(other),
    }
}

/// An SQL name in quotes.
pub fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Appends JSON: BLOBs as `"0x…"`, infinities as `"inf"` and `"-inf"`.
pub fn json(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push_str("null"),
        ValueRef::Integer(i) => {
            let _ = write!(out, "{i}");
        }
        ValueRef::Real(r) if r.is_finite() => out.push_str(&real(r)),
        ValueRef::Real(r) => json_text(out, &real(r)),
        ValueRef::Text(t) => json_text(out, t),
        ValueRef::Blob(b) => json_text(out, &hex(b)),
    }
}

/// Appends a JSON string.
pub fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a JSON object of these columns, in this order.
pub fn json_object<'n, 'v>(
    out: &mut String,
    columns: impl Iterator<Item = (&'n str, ValueRef<'v>)>,
) {
    out.push('{');
    for (i, (name, value)) in columns.enumerate() {
        if i > 0 {
            out.push(',');
        }
        json_text(out, name);
        out.push(':');
        json(out, value);
    }
    out.push('}');
}

/// Appends one CSV field. NULL is an empty field. TEXT is quoted where it is empty, or where it
/// could be taken for a number or a BLOB, so that `load` tells them apart.
pub fn csv(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => {}
        ValueRef::Text(t) => {
            let ambiguous = t.is_empty()
                || t.starts_with("0x")
                || t.starts_with("0X")
                || shmirror_shm::key::numeric_text(t).is_some()
                || matches!(t, "inf" | "-inf");
            csv_text(out, t, ambiguous);
        }
        other => out.push_str(&plain(other)),
    }
}

/// Appends text as one CSV field (RFC 4180), quoted where it must be.
pub fn csv_text(out: &mut String, text: &str, quote: bool) {
    if quote || text.contains([',', '"', '\n', '\r', '\u{feff}']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(value: ValueRef<'_>) -> String {
        let mut out = String::new();
        json(&mut out, value);
        out
    }

    #[test]
    fn json_is_what_a_json_reader_reads_back() {
        for text in ["", "a\"b\\c", "line\nline\u{1}\u{7f}", "äß 温度 🜂", "</script>"] {
            let read: String = serde_json::from_str(&json_of(ValueRef::Text(text))).unwrap();
            assert_eq!(read, text);
        }
        for r in [0.1, -0.0, 1.0, 1e300, 5e-324, f64::MAX] {
            let read: f64 = serde_json::from_str(&json_of(ValueRef::Real(r))).unwrap();
            assert_eq!(read.to_bits(), r.to_bits(), "{r}");
        }
        assert_eq!(json_of(ValueRef::Real(2.0)), "2.0");
        assert_eq!(json_of(ValueRef::Real(f64::NEG_INFINITY)), "\"-inf\"");
        assert_eq!(json_of(ValueRef::Blob(&[0, 255])), "\"0x00ff\"");
        assert_eq!(json_of(ValueRef::Integer(i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn csv_tells_null_from_empty_and_text_from_numbers() {
        let field = |value| {
            let mut out = String::new();
            csv(&mut out, value);
            out
        };
        assert_eq!(field(ValueRef::Null), "");
        assert_eq!(field(ValueRef::Text("")), "\"\"");
        assert_eq!(field(ValueRef::Text("12")), "\"12\"");
        assert_eq!(field(ValueRef::Integer(12)), "12");
        assert_eq!(field(ValueRef::Text("0x12")), "\"0x12\"");
        assert_eq!(field(ValueRef::Text("0X12")), "\"0X12\"");
        assert_eq!(field(ValueRef::Blob(&[0x12])), "0x12");
        assert_eq!(field(ValueRef::Text("a,\"b\"\n")), "\"a,\"\"b\"\"\n\"");
        assert_eq!(field(ValueRef::Text("2013-12-02 21:15:00")), "2013-12-02 21:15:00");
    }

    #[test]
    fn hex_reads_back() {
        assert_eq!(unhex(&hex(&[1, 0xab, 0])), Some(vec![1, 0xab, 0]));
        assert_eq!(unhex("0x"), Some(vec![]));
        assert_eq!(unhex("0x1"), None);
        assert_eq!(unhex("0xäz"), None);
        assert_eq!(unhex("12"), None);
    }
}
