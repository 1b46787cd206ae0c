//! A row as JSON, written where the caller wants it, as the client's `to_json` has it. No allocation.

use std::ffi::c_char;
use std::io::{self, Write};
use std::slice;

use shmirror::{RowRef, ValueRef};

use crate::argument;
use crate::call::Outcome;
use crate::error::Failure;
use crate::output;
use crate::status::shmirror_status::SHMIRROR_INTERNAL;

/// Writes the row and a NUL into the caller's buffer. `length` is told in any case.
///
/// # Safety
/// As [`output::terminated`].
pub(crate) unsafe fn terminated(
    row: RowRef<'_>,
    buffer: *mut c_char,
    size: usize,
    length: *mut usize,
) -> Outcome {
    let mut counted = Counted(0);
    write(row, &mut counted).map_err(cannot)?;
    let needed = counted.0;
    // SAFETY: the caller's.
    unsafe { argument::write_if(length, needed) };
    if size <= needed {
        return Err(output::short(needed + 1, size));
    }
    argument::present(buffer, "buffer")?;
    // SAFETY: the caller's: there are so many bytes, and a row of ours is not in there.
    let mut room = unsafe { slice::from_raw_parts_mut(buffer.cast::<u8>(), needed + 1) };
    write(row, &mut room).and_then(|()| room.write_all(&[0])).map_err(cannot)
}

/// Nothing fails here: a text has every character, and there is room.
#[cold]
fn cannot(error: io::Error) -> Failure {
    Failure::argument(SHMIRROR_INTERNAL, format!("writing JSON: {error}"))
}

/// Counts the bytes that are written.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(row: RowRef<'_>, out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"{")?;
    for (i, (name, value)) in row.values().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        write_value(value, out)?;
    }
    out.write_all(b"}")
}

fn write_value(value: ValueRef<'_>, out: &mut impl Write) -> io::Result<()> {
    match value {
        ValueRef::Null => out.write_all(b"null"),
        ValueRef::Integer(i) => write!(out, "{i}"),
        ValueRef::Real(r) if r.is_infinite() => {
            out.write_all(if r > 0.0 { b"\"inf\"" } else { b"\"-inf\"" })
        }
        // NaN, which no table holds, becomes null.
        ValueRef::Real(r) => Ok(serde_json::to_writer(out, &r)?),
        ValueRef::Text(t) => Ok(serde_json::to_writer(out, t)?),
        ValueRef::Blob(b) => {
            out.write_all(b"\"0x")?;
            for byte in b {
                write!(out, "{byte:02x}")?;
            }
            out.write_all(b"\"")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_the_client_writes_them() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Real(1.0),
            ValueRef::Real(1e300),
            ValueRef::Real(0.1),
            ValueRef::Real(f64::NEG_INFINITY),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Text("a\"\\\n\u{1}ü"),
            ValueRef::Blob(&[0, 0xAB, 0xFF]),
        ];
        for value in values {
            let mut out = Vec::new();
            write_value(value, &mut out).unwrap();
            let expected = shmirror::value_to_json(value).to_string();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
