//! Lines that read rows and cells.

use std::fmt::Write as _;

use shmirror::{Cell, CellError, Error, FromValue, Row, RowRef, Value, ValueRef};

use super::words::{shown, shown_value, text, value};
use super::{Run, key, name, status};

impl Run {
    pub(super) fn table(&mut self, word: &str) -> Option<String> {
        let name = text(word);
        if !self.tables.contains_key(&name) {
            let table = self.mirror.table(&name);
            let table = self.failed(table)?;
            self.tables.insert(name.clone(), table);
        }
        Some(name)
    }

    pub(super) fn shown_row(&self, row: RowRef<'_>) -> String {
        format!("row {}{}", self.since(row.revision()), shown_columns(row))
    }

    pub(super) fn read(&mut self, command: &str, words: &[&str]) {
        let Some(table) = self.table(words[0]) else { return };
        match command {
            "many" => return self.many(&table, &words[1..]),
            "scan" | "each" => return self.scan(&table, words[1] == "sorted"),
            "count" => {
                let count = self.tables[&table].count();
                if let Some(count) = self.failed(count) {
                    self.say(&format!("count {count}"));
                }
                return;
            }
            _ => {}
        }
        let (key, after) = key(&words[1..]);
        let mut row = std::mem::take(&mut self.row);
        // Short ways where there are such.
        let found = match &*key {
            [Value::Integer(i)] => self.tables[&table].read(*i, &mut row),
            [Value::Text(t)] => self.tables[&table].read(t, &mut row),
            _ => self.tables[&table].read(&key, &mut row),
        };
        match found {
            Err(error) => self.say(&status(&error)),
            Ok(false) => self.say("SHMIRROR_NOT_FOUND"),
            Ok(true) => {
                let said = match command {
                    "read" => self.shown_row(row.as_ref()),
                    "json" => row.to_json().to_string(),
                    "get" => typed(&row, &text(after[0]), after[1])
                        .map_or_else(|e| status(&e), |v| shown_value(v.as_ref())),
                    "fields" => fields(&row, after),
                    _ => {
                        let key = row.key();
                        let shown = |v: &Value| format!(" {}", shown_value(v.as_ref()));
                        format!("key{}", key.iter().map(shown).collect::<String>())
                    }
                };
                self.say(&said);
            }
        }
        self.row = row;
    }

    pub(super) fn many(&mut self, table: &str, words: &[&str]) {
        let keys: Vec<Vec<Value>> =
            words.split(|w| *w == "/").map(|key| key.iter().map(|w| value(w)).collect()).collect();
        let found = self.tables[table].get_many(&keys);
        let Some((revision, rows)) = self.failed(found) else { return };
        self.say(&format!("revision {} rows {}", self.since(revision), rows.len()));
        for row in rows {
            let line = row.map_or("none".to_owned(), |r| self.shown_row(r.as_ref()));
            self.say(&line);
        }
    }

    pub(super) fn scan(&mut self, table: &str, sorted: bool) {
        let scan = self.tables[table].scan();
        let Some(scan) = self.failed(scan) else { return };
        let mut lines: Vec<String> = if sorted {
            scan.sorted().map(|r| self.shown_row(r)).collect()
        } else {
            scan.iter().map(|r| self.shown_row(r)).collect()
        };
        if !sorted {
            lines.sort();
        }
        self.say(&format!("revision {} rows {}", self.since(scan.revision()), scan.len()));
        lines.iter().for_each(|line| self.say(line));
    }

    pub(super) fn cell(&mut self, command: &str, words: &[&str]) {
        let said = match command {
            "cell" => {
                let Some(table) = self.table(words[1]) else { return };
                let (key, after) = key(&words[2..]);
                self.tables[&table].cell(key, &text(after[0])).map(|cell| {
                    self.cells.insert(text(words[0]), cell);
                    "ok".to_owned()
                })
            }
            "refresh" => self.cells[words[0]].refresh().map(|()| "ok".to_owned()),
            _ => cell_value(&self.cells[words[0]], words[1])
                .map(|v| shown_value(v.as_ref()))
                .map_err(Error::from),
        };
        let said = said.unwrap_or_else(|e| status(&e));
        self.say(&said);
    }
}

/// All columns, the hidden ones too.
fn shown_columns(row: RowRef<'_>) -> String {
    let form = row.form();
    let one =
        |i| format!(" {}={}", shown(form.name(i).unwrap()), shown_value(row.get_at(i).unwrap()));
    (0..form.columns()).map(one).collect()
}

/// The column's value where it converts to this type without loss.
fn typed(row: &Row, column: &str, kind: &str) -> Result<Value, Error> {
    fn get<'a, T: FromValue<'a>>(row: &'a Row, column: &str) -> Result<T, Error> {
        // NULL is a failure of its own in C.
        if row.value(column)? == ValueRef::Null {
            return Err(CellError::Null { expected: "a value" }.into());
        }
        row.get(column)
    }
    Ok(match kind {
        "value" => row.value(column)?.to_owned(),
        "i64" => get::<i64>(row, column)?.into(),
        "f64" => get::<f64>(row, column)?.into(),
        "bool" => get::<bool>(row, column)?.into(),
        "i32" => get::<i32>(row, column)?.into(),
        "u32" => get::<u32>(row, column)?.into(),
        "u64" => Value::Integer(get::<u64>(row, column)? as i64),
        "f32" => get::<f32>(row, column)?.into(),
        "text" => get::<&str>(row, column)?.into(),
        _ => get::<&[u8]>(row, column)?.into(),
    })
}

fn fields(row: &Row, words: &[&str]) -> String {
    let mut line = "fields".to_owned();
    for word in words {
        let (column, kind) = word.split_once('=').unwrap();
        let (kind, nullable) = (kind.trim_end_matches('?'), kind.ends_with('?'));
        let value = match (typed(row, &text(column), kind), kind) {
            (Err(Error::Cell { source: CellError::Null { .. }, .. }), _) if nullable => Value::Null,
            (Err(error), _) => return status(&error),
            // Arrays in C: of exactly 4 bytes, and of 64 with a NUL, which ends the text.
            (Ok(Value::Blob(b)), "bytes") if b.len() > 4 => return name("short-buffer"),
            (Ok(Value::Blob(b)), "bytes") if b.len() < 4 => return name("type"),
            (Ok(Value::Text(t)), "text") if t.len() > 63 => return name("short-buffer"),
            (Ok(Value::Text(t)), "text") if t.contains('\0') => return name("type"),
            (Ok(value), _) => value,
        };
        write!(line, " {}={}", shown(&text(column)), shown_value(value.as_ref())).unwrap();
    }
    line
}

fn cell_value(cell: &Cell, kind: &str) -> Result<Value, CellError> {
    Ok(match kind {
        "i64" => cell.i64()?.into(),
        "f64" => cell.f64()?.into(),
        "bool" => cell.bool()?.into(),
        "null" => cell.is_null()?.into(),
        "text" => {
            let mut out = String::new();
            cell.text(&mut out)?;
            out.into()
        }
        _ => {
            let mut out = Vec::new();
            cell.bytes(&mut out)?;
            out.into()
        }
    })
}
