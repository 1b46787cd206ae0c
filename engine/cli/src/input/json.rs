//! JSON rows: one array of objects, or one object a line. Objects are cut out of the text first, so
//! that each knows its line and only one is in memory at a time.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::{BadLine, Lines, Raw, RawRow};

/// A JSON file.
pub struct JsonReader {
    lines: Lines,
    array: bool,
    started: bool,
    ended: bool,
    columns: Vec<String>,
    places: HashMap<String, usize>,
    buffer: Vec<u8>,
    at: usize,
}

/// An object with its members in the order of the text.
struct Members(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of column names and values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl JsonReader {
    /// A file of one array.
    pub fn array(lines: Lines) -> Self {
        Self {
            lines,
            array: true,
            started: false,
            ended: false,
            columns: Vec::new(),
            places: HashMap::new(),
            buffer: Vec::new(),
            at: 0,
        }
    }

    /// A file of one object a line.
    pub fn lines(lines: Lines) -> Self {
        Self { array: false, ..Self::array(lines) }
    }

    /// Names of all members seen so far, in the order of their first appearance.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The lines beneath.
    pub fn beneath(&self) -> &Lines {
        &self.lines
    }

    /// The next object; false at the end.
    pub fn next(&mut self, row: &mut RawRow) -> Result<bool, BadLine> {
        if self.ended {
            return Ok(false);
        }
        let next = if self.array { self.element() } else { self.one_line() };
        match next {
            Ok(Some((line, start, end))) => self.object(row, line, start, end).map(|()| true),
            Ok(None) => {
                self.ended = true;
                Ok(false)
            }
            Err(bad) => {
                self.ended |= bad.fatal;
                Err(bad)
            }
        }
    }

    fn one_line(&mut self) -> Result<Option<(u64, usize, usize)>, BadLine> {
        loop {
            self.buffer.clear();
            if !self.lines.next(&mut self.buffer)? {
                return Ok(None);
            }
            if !self.buffer.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some((self.lines.line, 0, self.buffer.trim_ascii_end().len())));
            }
        }
    }

    /// The next byte that is no white space, and the line it is on.
    fn next_byte(&mut self) -> Result<Option<u8>, BadLine> {
        loop {
            match self.buffer.get(self.at) {
                Some(b) if b.is_ascii_whitespace() => self.at += 1,
                Some(&b) => return Ok(Some(b)),
                None => {
                    self.buffer.clear();
                    self.at = 0;
                    if !self.lines.next(&mut self.buffer)? {
                        return Ok(None);
                    }
                    if self.lines.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
                        self.at = 3;
                    }
                }
            }
        }
    }

    fn unexpected(&self, found: Option<u8>, expected: &str) -> BadLine {
        let found = match found {
            Some(b) => format!("{:?}", char::from(b)),
            None => "the end of the file".into(),
        };
        BadLine::fatal(self.lines.line.max(1), format!("{found} found, expected {expected}"))
    }

    /// Cuts the next element out of the array: its first line and where it is in the buffer.
    fn element(&mut self) -> Result<Option<(u64, usize, usize)>, BadLine> {
        let first = if self.started {
            match self.next_byte()? {
                Some(b',') => {
                    self.at += 1;
                    self.next_byte()?
                }
                Some(b']') => return self.close(),
                other => return Err(self.unexpected(other, "',' or ']'")),
            }
        } else {
            match self.next_byte()? {
                Some(b'[') => {
                    self.at += 1;
                    self.started = true;
                }
                other => return Err(self.unexpected(other, "'[': one array of objects")),
            }
            match self.next_byte()? {
                Some(b']') => return self.close(),
                other => other,
            }
        };
        if first != Some(b'{') {
            return Err(self.unexpected(first, "'{': an object of column names and values"));
        }
        let (line, start) = (self.lines.line, self.at);
        let (mut depth, mut text, mut escaped) = (0u32, false, false);
        loop {
            let Some(&b) = self.buffer.get(self.at) else {
                if !self.lines.next(&mut self.buffer)? {
                    return Err(BadLine::fatal(line, "an object that is never closed"));
                }
                continue;
            };
            self.at += 1;
            match b {
                _ if escaped => escaped = false,
                b'\\' if text => escaped = true,
                b'"' => text = !text,
                _ if text => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        return Ok(Some((line, start, self.at)));
                    }
                }
                _ => {}
            }
        }
    }

    fn close(&mut self) -> Result<Option<(u64, usize, usize)>, BadLine> {
        self.at += 1;
        match self.next_byte()? {
            None => Ok(None),
            other => Err(self.unexpected(other, "the end of the file behind the array")),
        }
    }

    fn object(
        &mut self,
        row: &mut RawRow,
        line: u64,
        start: usize,
        end: usize,
    ) -> Result<(), BadLine> {
        row.clear(line);
        let members: Members = serde_json::from_slice(&self.buffer[start..end]).map_err(|e| {
            let what = e.to_string();
            let what = what.split(" at line ").next().unwrap_or_default().to_owned();
            BadLine::new(line + (e.line() as u64).saturating_sub(1), format!("JSON: {what}"))
        })?;
        let mut given = vec![false; self.columns.len()];
        for (name, value) in &members.0 {
            let column = match self.places.get(name.as_str()) {
                Some(&column) => column,
                None => {
                    let column = self.columns.len();
                    self.columns.push(name.clone());
                    self.places.insert(name.clone(), column);
                    given.push(false);
                    column
                }
            };
            if std::mem::replace(&mut given[column], true) {
                return Err(BadLine::new(line, format!("the object has {name:?} twice")));
            }
            push(row, column, value).map_err(|what| BadLine::new(line, what))?;
        }
        Ok(())
    }
}

fn push(row: &mut RawRow, column: usize, value: &serde_json::Value) -> Result<(), String> {
    use serde_json::Value as J;
    match value {
        J::Null => row.push(column, Raw::Null),
        J::Bool(b) => row.push(column, Raw::Integer(i64::from(*b))),
        J::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => row.push(column, Raw::Integer(i)),
            (None, Some(u), _) => {
                return Err(format!(
                    "{u} found, expected at most {} (a signed 64-bit integer)",
                    i64::MAX
                ));
            }
            (None, None, Some(r)) => row.push(column, Raw::Real(r)),
            _ => return Err(format!("{n} found, expected a 64-bit number")),
        },
        J::String(t) => row.push(column, Raw::Text(t)),
        // What has parts of its own stays JSON text, as SQLite's JSON functions want it.
        nested => row.push(column, Raw::Text(&nested.to_string())),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<String>, Vec<(u64, String)>, Vec<BadLine>);

    fn read(mut reader: JsonReader) -> Read {
        let (mut rows, mut bad, mut row) = (vec![], vec![], RawRow::default());
        loop {
            match reader.next(&mut row) {
                Ok(true) => {
                    let cells: Vec<_> = row
                        .cells()
                        .map(|(i, c)| format!("{}={c:?}", reader.columns()[i]))
                        .collect();
                    rows.push((row.line, cells.join(" ")));
                }
                Ok(false) => break,
                Err(e) => bad.push(e),
            }
            assert!(bad.len() < 10);
        }
        (reader.columns().to_vec(), rows, bad)
    }

    #[test]
    fn array_with_lines_and_order() {
        let text = b"[\n {\"z\": 1, \"a\": \"x\\\"}]\"},\n\n {\"a\": null,\n  \"b\": [1, {\"c\": 2}]}\n,{\"z\":2.0}]\n";
        let (columns, rows, bad) = read(JsonReader::array(Lines::of(text)));
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(columns, ["z", "a", "b"]);
        assert_eq!(
            rows,
            [
                (2, "z=Integer(1) a=Text(\"x\\\"}]\")".to_owned()),
                (4, "a=Null b=Text(\"[1,{\\\"c\\\":2}]\")".to_owned()),
                (6, "z=Real(2.0)".to_owned()),
            ]
        );
    }

    #[test]
    fn doubles_keep_their_last_bit() {
        let text = b"[{\"a\":0.09090909090909091},{\"a\":1.7976931348623157e308},{\"a\":5e-324}]";
        let (_, rows, _) = read(JsonReader::array(Lines::of(text)));
        let expected = [1.0 / 11.0, f64::MAX, 5e-324].map(|r| format!("a=Real({r:?})"));
        assert_eq!(rows.into_iter().map(|r| r.1).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn bad_json_is_named_by_line() {
        let (_, _, bad) = read(JsonReader::array(Lines::of(b"[\n{\"a\": 1},\n 7]")));
        assert_eq!((bad[0].line, bad[0].fatal), (3, true));
        assert!(bad[0].what.contains("'7' found"), "{}", bad[0].what);
        let (_, _, bad) = read(JsonReader::array(Lines::of(b"[{\"a\":\n1x}]")));
        assert_eq!(bad[0].line, 2);
        let (_, _, bad) = read(JsonReader::array(Lines::of(b"{\"a\":1}")));
        assert!(bad[0].what.contains("expected '['"), "{}", bad[0].what);
        assert!(read(JsonReader::array(Lines::of(b"[{}"))).2[0].what.contains("end of the file"));
        assert!(read(JsonReader::array(Lines::of(b"[]\n"))).2.is_empty());
        assert!(!read(JsonReader::array(Lines::of(b"[] x"))).2.is_empty());
    }

    #[test]
    fn lines_go_on_behind_a_bad_one() {
        let text =
            b"{\"a\":1}\n\n{\"a\":\n{\"a\":18446744073709551615}\n{\"a\":2,\"a\":3}\n{\"a\":true}";
        let (_, rows, bad) = read(JsonReader::lines(Lines::of(text)));
        assert_eq!(rows, [(1, "a=Integer(1)".to_owned()), (6, "a=Integer(1)".to_owned())]);
        assert_eq!(bad.iter().map(|b| b.line).collect::<Vec<_>>(), [3, 4, 5]);
    }
}
