//! CSV files. In: the file.

use super::table_file::{KINDS, Table, bounded, read, same_row, values};
use crate::input::Format;
use crate::is_understood;
use crate::text;

/// Reads a file; its values, written as `dump` writes them, are read again as the same.
pub fn run(data: &[u8]) {
    bounded(Format::Csv, data);
    let Some(table) = read(Format::Csv, data) else { return };
    let Table { columns, rows, .. } = &table;
    if columns.is_empty() {
        return;
    }
    for kind in KINDS {
        let mut file = String::new();
        let header = columns.iter().map(|name| |out: &mut String| text::csv_text(out, name, false));
        line(&mut file, header);
        let all: Vec<_> = rows.iter().map(|row| values(columns.len(), row, kind)).collect();
        for row in &all {
            let cells = row.iter().map(|value| |out: &mut String| text::csv(out, value.as_ref()));
            line(&mut file, cells);
        }
        let again = read(Format::Csv, file.as_bytes()).expect("a header that was read");
        assert!(!again.bad, "{kind:?}: {file:?}");
        assert_eq!(&again.columns, columns, "{file:?}");
        let read: Vec<_> = again.rows.iter().map(|row| values(columns.len(), row, kind)).collect();
        assert_eq!(read.len(), all.len(), "{kind:?}: {file:?}");
        for (a, b) in all.iter().zip(&read) {
            assert!(same_row(a, b), "{kind:?}: {a:?} came back as {b:?} from {file:?}");
            is_understood();
        }
    }
}

fn line(out: &mut String, cells: impl Iterator<Item = impl FnOnce(&mut String)>) {
    for (i, cell) in cells.enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        cell(out);
    }
    out.push('\n');
}

/// Files with quotes, NULLs, numbers, bytes and bad lines.
pub fn seeds() -> Vec<Vec<u8>> {
    let files: [&str; 5] = [
        "\u{feff}a,b\r\n1,\"x \"\"y\"\"\nz\"\r\n\n,\"\"\n\"ü\",3 4\n",
        ",Volumetric flow rate (m3/h)\n2021-05-10 00:00:04.272,45560.6\n",
        "id,r,raw\n-9223372036854775808,-inf,0x00ff\n007,1e-3,\"0x12\"\n+1, 5 ,0X1a\n",
        "a,b\n1,2\n1,2,3\n\"1\"x,2\n5,6\n",
        "a\n\n1\n\"never\nclosed",
    ];
    files.iter().map(|file| file.as_bytes().to_vec()).collect()
}
