//! Lines of a case in, canonical text out: the same as `lines.h` does for C and C++.

use std::fmt::Write as _;

use shmirror::{Value, ValueRef};

/// Texts and BLOBs with more bytes than this are printed by size and fingerprint.
const LONG_VALUE: usize = 100;

/// A word, its escapes undone.
pub fn unescape(word: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().expect("something after a backslash") {
            b's' => out.push(b' '),
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'\\' => out.push(b'\\'),
            b'x' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.extend(hex(std::str::from_utf8(&digits).unwrap()));
            }
            other => panic!("no such escape: {:?}", other as char),
        }
    }
    out
}

/// A word as text.
pub fn text(word: &str) -> String {
    String::from_utf8(unescape(word)).expect("UTF-8")
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Whether a word is a value: a letter and a colon come first.
pub fn is_value(word: &str) -> bool {
    word.as_bytes().get(1) == Some(&b':')
}

/// The value that a word stands for.
pub fn value(word: &str) -> Value {
    let (kind, body) = word.split_once(':').expect("a value");
    let repeated = |unit: fn(&str) -> Vec<u8>| {
        let (count, body) = body.split_once(':').expect("T:COUNT:TEXT or B:COUNT:HEX");
        unit(body).repeat(count.parse().expect("a count"))
    };
    match kind {
        "n" => Value::Null,
        "i" => Value::Integer(body.parse().expect("an integer")),
        "r" => Value::Real(body.parse().expect("a real")),
        "t" => Value::Text(text(body)),
        "b" => Value::Blob(hex(body)),
        "T" => Value::Text(String::from_utf8(repeated(unescape)).expect("UTF-8")),
        "B" => Value::Blob(repeated(hex)),
        other => panic!("no such kind of value: {other}"),
    }
}

/// FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// A word, with everything escaped that is a blank, a control character or a backslash.
pub fn shown(text: &str) -> String {
    message(text).replace(' ', "\\s")
}

/// A message, or SQL: its blanks stay.
pub fn message(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 || c == '\x7f' => write!(out, "\\x{:02x}", c as u32).unwrap(),
            c => out.push(c),
        }
    }
    out
}

/// A value with its class: reals by their bits, what is long by size and fingerprint.
pub fn shown_value(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "n:".to_owned(),
        ValueRef::Integer(i) => format!("i:{i}"),
        ValueRef::Real(r) => format!("r:{:016x}", r.to_bits()),
        ValueRef::Text(t) if t.len() > LONG_VALUE => {
            format!("T:{}:{:016x}", t.len(), fingerprint(t.as_bytes()))
        }
        ValueRef::Text(t) => format!("t:{}", shown(t)),
        ValueRef::Blob(b) if b.len() > LONG_VALUE => {
            format!("B:{}:{:016x}", b.len(), fingerprint(b))
        }
        ValueRef::Blob(b) => b.iter().fold("b:".to_owned(), |s, byte| s + &format!("{byte:02x}")),
    }
}

/// JSON with the numbers and times taken out that differ from run to run.
pub fn shown_json(json: &str) -> String {
    let mut out = String::new();
    let mut left = json;
    while let Some(first) = left.chars().next() {
        let differing = ["\"pid\":", "\"uid\":", "\"at\":", "\"sequence\":"];
        if let Some(name) = differing.iter().find(|name| left.starts_with(**name)) {
            out += name;
            out.push('*');
            left = &left[left.find([',', '}']).unwrap_or(left.len())..];
        } else {
            out.push(first);
            left = &left[first.len_utf8()..];
        }
    }
    out
}
