//! JSON files. In: which of the two forms, then the file.

use super::table_file::{KINDS, Table, bounded, infinite, read, same_row, values};
use crate::bytes::{Bytes, joined};
use crate::input::Format;
use crate::input::convert::Kind;
use crate::is_understood;
use crate::text;

/// Reads a file; its values, written as `dump` writes them, are read again as the same.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let format = [Format::Json, Format::Ndjson][usize::from(input.u8() & 1)];
    let file = input.rest();
    bounded(format, file);
    let Some(Table { columns, rows, .. }) = read(format, file) else {
        panic!("JSON has no header")
    };
    for kind in KINDS {
        let all: Vec<_> = rows.iter().map(|row| values(columns.len(), row, kind)).collect();
        // In text, an infinity of a column that is not for doubles is a word.
        let words = kind != Kind::Real && all.iter().flatten().any(infinite);
        for format in [Format::Json, Format::Ndjson] {
            let mut file = String::new();
            for (i, row) in all.iter().enumerate() {
                match format {
                    Format::Json => file.push_str(if i == 0 { "[" } else { ",\n " }),
                    _ => file.push_str(if i == 0 { "" } else { "\n" }),
                }
                let row = row.iter().map(|value| value.as_ref());
                text::json_object(&mut file, columns.iter().map(String::as_str).zip(row));
            }
            if format == Format::Json {
                file.push_str(if all.is_empty() { "[]\n" } else { "]\n" });
            }
            let again = read(format, file.as_bytes()).expect("JSON has no header");
            assert!(!again.bad, "{kind:?}: {file:?}");
            assert_eq!(again.rows.len(), all.len(), "{kind:?}: {file:?}");
            if !all.is_empty() {
                assert_eq!(again.columns, columns, "{file:?}");
            }
            for (a, row) in all.iter().zip(&again.rows) {
                let b = values(columns.len(), row, kind);
                assert!(words || same_row(a, &b), "{kind:?}: {a:?} came back as {b:?}: {file:?}");
                is_understood();
            }
        }
    }
}

/// Arrays and lines with every kind of value, and bad ones.
pub fn seeds() -> Vec<Vec<u8>> {
    let files: [(u8, &str); 7] = [
        (
            0,
            "[\n {\"z\": 1, \"a\": \"x\\\"}]\"},\n\n {\"a\": null,\n  \"b\": [1, {\"c\": 2}]}\n,{\"z\":2.0}]\n",
        ),
        (0, "[{\"a\":0.09090909090909091},{\"a\":1.7976931348623157e308},{\"a\":-5e-324}]"),
        (0, "[{\"t\":\"\\ud83c\\udf02\\n\",\"b\":\"0x00ff\",\"r\":\"-inf\",\"n\":\"1e999\"}]"),
        (0, "[]"),
        (1, "{\"a]\\\"}\":\"x\\\"}]{[\\\\\",\"b\":\"\\u0000\\u007f\\n\"}\n{\"b\":\"'\"}\n"),
        (1, "{\"a\":1}\n\n{\"a\":\n{\"a\":18446744073709551615}\n{\"a\":2,\"a\":3}\n{\"a\":true}"),
        (1, "{\"id\":-9223372036854775808,\"x\":{\"y\":[]}}\n{\"x\":\"12\",\"id\":7.5}\n"),
    ];
    files.iter().map(|(form, file)| joined(&[&[*form], file.as_bytes()])).collect()
}
