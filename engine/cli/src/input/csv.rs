//! CSV as RFC 4180 has it, with three additions: a quoted field is told from a bare one (so that
//! `""` is empty text and nothing at all is NULL), every record knows its line, and a column
//! without a name gets one.

use super::{BadLine, Lines, Raw, RawRow};

/// A CSV file, its header read.
pub struct CsvReader {
    lines: Lines,
    separator: u8,
    columns: Vec<String>,
    buffer: Vec<u8>,
    unquoted: String,
    /// The first record, which was looked at to name the columns.
    ahead: Option<Result<(bool, RawRow), BadLine>>,
}

impl CsvReader {
    /// Reads the header.
    ///
    /// # Errors
    /// An empty file, or a header with one name twice.
    pub fn new(lines: Lines, separator: u8) -> Result<Self, BadLine> {
        let mut this = Self {
            lines,
            separator,
            columns: Vec::new(),
            buffer: Vec::new(),
            unquoted: String::new(),
            ahead: None,
        };
        let mut header = RawRow::default();
        if !this.record(&mut header)? {
            return Err(BadLine::fatal(1, "the file is empty, expected a header line"));
        }
        let names: Vec<String> = header
            .cells()
            .map(|(_, cell)| match cell {
                Raw::Bare(t) | Raw::Text(t) => t.trim().to_owned(),
                _ => String::new(),
            })
            .collect();
        this.columns.clone_from(&names);
        let mut first = RawRow::default();
        this.ahead = Some(this.checked(&mut first).map(|more| (more, first)));
        this.columns = this.named(names)?;
        Ok(this)
    }

    /// A name for each column. A nameless first column of dates is `timestamp`; any other is
    /// `column` and its number.
    fn named(&self, names: Vec<String>) -> Result<Vec<String>, BadLine> {
        let dated = match &self.ahead {
            Some(Ok((true, row))) => match row.cells().next() {
                Some((_, Raw::Bare(t) | Raw::Text(t))) => looks_like_a_date(t),
                _ => false,
            },
            _ => false,
        };
        let taken = |name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let mut out: Vec<String> = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let name = match name.as_str() {
                "" if i == 0 && dated && !taken("timestamp") => "timestamp".to_owned(),
                "" => format!("column{}", i + 1),
                given => given.to_owned(),
            };
            if out.iter().any(|n| n.eq_ignore_ascii_case(&name)) {
                return Err(BadLine::fatal(
                    1,
                    format!("the header has the column {name:?} twice, expected different names"),
                ));
            }
            out.push(name);
        }
        Ok(out)
    }

    /// Column names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The lines beneath.
    pub fn beneath(&self) -> &Lines {
        &self.lines
    }

    /// The next record; false at the end.
    pub fn next(&mut self, row: &mut RawRow) -> Result<bool, BadLine> {
        match self.ahead.take() {
            Some(Ok((more, first))) => {
                *row = first;
                Ok(more)
            }
            Some(Err(bad)) => Err(bad),
            None => self.checked(row),
        }
    }

    fn checked(&mut self, row: &mut RawRow) -> Result<bool, BadLine> {
        loop {
            if !self.record(row)? {
                return Ok(false);
            }
            if row.len() == self.columns.len() {
                return Ok(true);
            }
            // A blank line is no record, save in a file of one column, where it is a NULL.
            let blank = row.len() == 1 && row.cells().all(|(_, cell)| cell == Raw::Null);
            if !blank {
                return Err(BadLine::new(
                    row.line,
                    format!(
                        "{} fields found, expected {} as in the header",
                        row.len(),
                        self.columns.len()
                    ),
                ));
            }
        }
    }

    /// One record as it comes.
    fn record(&mut self, row: &mut RawRow) -> Result<bool, BadLine> {
        self.buffer.clear();
        if !self.lines.next(&mut self.buffer)? {
            return Ok(false);
        }
        row.clear(self.lines.line);
        if row.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3);
        }
        let (mut at, mut column) = (0, 0);
        loop {
            if self.buffer.get(at) == Some(&b'"') {
                at = self.quoted(at + 1, row.line)?;
                row.push(column, Raw::Text(&self.unquoted));
            } else {
                let rest = &self.buffer[at..];
                let line = strip_end(rest);
                let length = line.iter().position(|&b| b == self.separator).unwrap_or(line.len());
                let field = utf8(&line[..length], row.line)?;
                row.push(column, if field.is_empty() { Raw::Null } else { Raw::Bare(field) });
                at += length;
            }
            column += 1;
            match self.buffer.get(at) {
                Some(&b) if b == self.separator => at += 1,
                _ if strip_end(&self.buffer[at..]).is_empty() => return Ok(true),
                _ => {
                    return Err(BadLine::new(
                        row.line,
                        format!(
                            "text behind the closing quote of field {column}, expected {:?}",
                            char::from(self.separator)
                        ),
                    ));
                }
            }
        }
    }

    /// A quoted field from behind its opening quote into `unquoted`; where it ends in the buffer.
    fn quoted(&mut self, start: usize, line: u64) -> Result<usize, BadLine> {
        let (mut at, mut piece) = (start, start);
        self.unquoted.clear();
        loop {
            match self.buffer.get(at) {
                Some(b'"') => {
                    self.unquoted.push_str(utf8(&self.buffer[piece..at], line)?);
                    if self.buffer.get(at + 1) != Some(&b'"') {
                        return Ok(at + 1);
                    }
                    piece = at + 1;
                    at += 2;
                }
                Some(_) => at += 1,
                None => {
                    if !self.lines.next(&mut self.buffer)? {
                        return Err(BadLine::fatal(line, "a quoted field that is never closed"));
                    }
                }
            }
        }
    }
}

fn strip_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn utf8(bytes: &[u8], line: u64) -> Result<&str, BadLine> {
    std::str::from_utf8(bytes).map_err(|e| {
        let byte = bytes.get(e.valid_up_to()).copied().unwrap_or_default();
        BadLine::new(line, format!("byte 0x{byte:02x} found, expected UTF-8 text"))
    })
}

fn looks_like_a_date(text: &str) -> bool {
    let b = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        b.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    digits(0..4) && digits(5..7) && digits(8..10) && b[4] == b'-' && b[7] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<String>, Vec<(u64, Vec<String>)>, Vec<BadLine>);

    fn all(text: &'static str) -> Read {
        let mut reader = match CsvReader::new(Lines::of(text.as_bytes()), b',') {
            Ok(reader) => reader,
            Err(bad) => return (vec![], vec![], vec![bad]),
        };
        let (mut rows, mut bad, mut row) = (vec![], vec![], RawRow::default());
        loop {
            match reader.next(&mut row) {
                Ok(true) => {
                    let cells = row.cells().map(|(_, c)| format!("{c:?}")).collect();
                    rows.push((row.line, cells));
                }
                Ok(false) => break,
                Err(e) => {
                    let fatal = e.fatal;
                    bad.push(e);
                    if fatal {
                        break;
                    }
                }
            }
        }
        (reader.columns().to_vec(), rows, bad)
    }

    #[test]
    fn quotes_lines_and_nulls() {
        let (columns, rows, bad) =
            all("\u{feff}a,b\r\n1,\"x \"\"y\"\"\nz\"\r\n\n,\"\"\n\"ü\",3 4\n");
        assert_eq!(columns, ["a", "b"]);
        assert!(bad.is_empty(), "{bad:?}");
        let cells: Vec<_> = rows.iter().map(|(line, c)| (*line, c.join(" "))).collect();
        assert_eq!(
            cells,
            [
                (2, "Bare(\"1\") Text(\"x \\\"y\\\"\\nz\")".to_owned()),
                (5, "Null Text(\"\")".to_owned()),
                (6, "Text(\"ü\") Bare(\"3 4\")".to_owned()),
            ]
        );
    }

    #[test]
    fn a_nameless_column_gets_a_name() {
        let first = all(",Volumetric flow rate (m3/h)\n2021-05-10 00:00:04.272,45560.6\n");
        assert_eq!(first.0, ["timestamp", "Volumetric flow rate (m3/h)"]);
        assert_eq!(first.1.len(), 1);
        assert_eq!(all(",b,\n1,2,3\n").0, ["column1", "b", "column3"]);
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_is_read() {
        let (_, rows, bad) = all("a,b\n1,2\n1,2,3\n\"1\"x,2\n5,6\n");
        assert_eq!(rows.iter().map(|r| r.0).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(bad[0].what, "3 fields found, expected 2 as in the header");
        let (_, _, bad) = all("a\n\"never\nclosed\n");
        assert_eq!((bad[0].line, bad[0].fatal), (2, true));
        assert!(all("").2[0].fatal);
        assert!(all("a,A\n").2[0].what.contains("twice"));
    }

    #[test]
    fn one_column_keeps_its_nulls() {
        let (_, rows, _) = all("a\n\n1\n");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].1, ["Null"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let mut reader = CsvReader::new(Lines::of(b"a\n\xff\xfe\nok\n"), b',').unwrap();
        let mut row = RawRow::default();
        let bad = reader.next(&mut row).unwrap_err();
        assert_eq!((bad.line, bad.what.as_str()), (2, "byte 0xff found, expected UTF-8 text"));
        assert!(reader.next(&mut row).unwrap());
        assert_eq!(row.line, 3);
    }
}
