//! `shmirror sql`: statements in, rows or the revision out.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use shmirror_shm::request::ResultSet;

use crate::args::Place;
use crate::failure::Failure;
use crate::output::Out;
use crate::{table, text};

/// What `--help` says of it.
pub const HELP: &str = "\
Runs SQL as SQLite understands it: CREATE, ALTER, DROP, INSERT, UPDATE, DELETE, SELECT. Several \
statements, with ; between, are one transaction: all of it commits, or nothing does.

One statement that only reads (SELECT, VALUES, EXPLAIN, WITH … SELECT) is answered beside the \
pipeline and needs no right to write. Anything else prints the revision that it committed as, and \
how many rows changed (those of triggers and cascades included). Rows of SELECT and RETURNING are \
printed as a table, or as JSON or CSV.";

const EXAMPLES: &str = "\
Examples:
  shmirror sql 'CREATE TABLE pump(id INTEGER PRIMARY KEY, state TEXT, flow REAL)'
  shmirror sql \"INSERT INTO pump VALUES (1, 'run', 12.5), (2, 'stop', 0)\"
  shmirror sql 'SELECT state, count(*) AS n FROM pump GROUP BY state'
  shmirror sql --json 'SELECT * FROM pump'        an array of objects
  shmirror sql -f schema.sql                      statements of a file
  echo 'SELECT 1' | shmirror sql -                statements of standard input";

/// Arguments of `sql`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// The statements; - reads them from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file", allow_hyphen_values = true)]
    statement: Option<String>,
    /// Read the statements from a file
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Rows as JSON: an array of objects a result
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Rows as CSV: a header line, NULL as nothing, BLOBs as 0x…
    #[arg(long)]
    csv: bool,
}

/// Runs the statements and prints what comes of them.
pub fn run(place: &Place, arguments: Arguments) -> Result<(), Failure> {
    let sql = statements(&arguments)?;
    let mut words = Words { rest: &sql };
    if words.all(|word| matches!(word, Word::Semicolon)) {
        return Err(Failure::Usage("no statement in the SQL given".into()));
    }
    let mut out = Out::new();
    if only_reads(&sql) {
        let (revision, sets) = place.mirror()?.query(&sql, &[])?;
        print_sets(&mut out, &sets, &arguments)?;
        if !arguments.json && !arguments.csv {
            let rows = sets.iter().map(|s| s.rows.len() as u64).sum();
            out.line(&format!("({} at revision {revision})", table::count(rows, "row")))?;
        }
    } else {
        let (commit, sets) = place.producer()?.sql(&sql, &[])?;
        print_sets(&mut out, &sets, &arguments)?;
        if arguments.json && sets.is_empty() {
            out.line(&format!(
                "{{\"revision\":{},\"changes\":{}}}",
                commit.revision, commit.changes
            ))?;
        } else if !arguments.json && !arguments.csv {
            out.line(&format!(
                "revision {}, {} changed",
                commit.revision,
                table::count(commit.changes, "row")
            ))?;
        }
    }
    out.flush()
}

fn statements(arguments: &Arguments) -> Result<String, Failure> {
    if let Some(path) = &arguments.file {
        return std::fs::read_to_string(path).map_err(Failure::file(path));
    }
    match arguments.statement.as_deref() {
        Some("-") => {
            let mut sql = String::new();
            std::io::stdin().read_to_string(&mut sql).map_err(Failure::file("standard input"))?;
            Ok(sql)
        }
        given => Ok(given.unwrap_or_default().to_owned()),
    }
}

fn print_sets(out: &mut Out, sets: &[ResultSet], arguments: &Arguments) -> Result<(), Failure> {
    for (i, set) in sets.iter().enumerate() {
        if arguments.json {
            out.text(&json_rows(set))?;
        } else if arguments.csv {
            if i > 0 {
                out.line("")?;
            }
            out.text(&csv_rows(set))?;
        } else {
            out.text(&table::render(&set.columns, &set.rows))?;
        }
    }
    Ok(())
}

fn json_rows(set: &ResultSet) -> String {
    let names = distinct(&set.columns);
    let mut out = String::from("[");
    for (i, row) in set.rows.iter().enumerate() {
        out.push_str(if i > 0 { ",\n " } else { "" });
        let values = row.iter().map(|v| v.as_ref());
        text::json_object(&mut out, names.iter().map(String::as_str).zip(values));
    }
    out.push_str("]\n");
    out
}

/// Column names with a number behind those that stand there already, as an object has each once.
fn distinct(columns: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.clone();
        let mut number = 1;
        while names.contains(&name) {
            name = format!("{column}:{number}");
            number += 1;
        }
        names.push(name);
    }
    names
}

fn csv_rows(set: &ResultSet) -> String {
    let mut out = String::new();
    for (i, name) in set.columns.iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        text::csv_text(&mut out, name, false);
    }
    out.push('\n');
    for row in &set.rows {
        for (i, value) in row.iter().enumerate() {
            out.push_str(if i > 0 { "," } else { "" });
            text::csv(&mut out, value.as_ref());
        }
        out.push('\n');
    }
    out
}

/// Whether this is one statement that begins as a reading one does and has no writing word in it.
/// Where that is wrong (a column named `replace`), the statement goes the longer way and is
/// answered all the same.
fn only_reads(sql: &str) -> bool {
    let mut words = Words { rest: sql };
    let Some(Word::Name(first)) = words.next() else { return false };
    if !["select", "with", "values", "explain"].contains(&first.to_ascii_lowercase().as_str()) {
        return false;
    }
    let mut ended = false;
    for word in words {
        match word {
            _ if ended => return false,
            Word::Semicolon => ended = true,
            Word::Name(name) => {
                let name = name.to_ascii_lowercase();
                if first.eq_ignore_ascii_case("with")
                    && ["insert", "update", "delete", "replace"].contains(&name.as_str())
                {
                    return false;
                }
            }
            Word::Other => {}
        }
    }
    true
}

enum Word<'a> {
    Name(&'a str),
    Semicolon,
    Other,
}

/// SQL text as bare words, semicolons and the rest; comments left out, quoted things as one.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            self.rest = self.rest.trim_start();
            let first = self.rest.chars().next()?;
            let skip = |rest: &'a str, end: &str| match rest.find(end) {
                Some(at) => &rest[at + end.len()..],
                None => "",
            };
            if self.rest.starts_with("--") {
                self.rest = skip(self.rest, "\n");
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = skip(comment, "*/");
            } else if matches!(first, '\'' | '"' | '`' | '[') {
                let close = if first == '[' { ']' } else { first };
                // A doubled quote opens the next piece at once, which comes to the same.
                self.rest = skip(&self.rest[1..], close.encode_utf8(&mut [0; 4]));
                return Some(Word::Other);
            } else if first == ';' {
                self.rest = &self.rest[1..];
                return Some(Word::Semicolon);
            } else {
                let name = |c: char| c.is_alphanumeric() || c == '_';
                if !name(first) {
                    self.rest = &self.rest[first.len_utf8()..];
                    return Some(Word::Other);
                }
                let end = self.rest.find(|c: char| !name(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                return Some(Word::Name(word));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_told_from_writing() {
        for sql in [
            "SELECT 1",
            " -- note\n /* x; y */ select ';' AS \"a;b\" ; -- end",
            "WITH a AS (SELECT 1) SELECT * FROM a;",
            "values (1), (2)",
            "explain query plan select 1",
            "select replace('a', 'b', 'c')",
        ] {
            assert!(only_reads(sql), "{sql}");
        }
        for sql in [
            "",
            "INSERT INTO t VALUES (1)",
            "SELECT 1; DELETE FROM t",
            "SELECT 1; SELECT 2",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "CREATE TABLE selects(a)",
            "-- select\nDROP TABLE t",
        ] {
            assert!(!only_reads(sql), "{sql}");
        }
    }

    #[test]
    fn rows_as_json_and_csv() {
        let set = ResultSet {
            columns: vec!["a".into(), "a".into(), "b,c".into()],
            rows: vec![vec![1i64.into(), "".into(), shmirror_shm::value::Value::Null]],
        };
        assert_eq!(json_rows(&set), "[{\"a\":1,\"a:1\":\"\",\"b,c\":null}]\n");
        assert_eq!(csv_rows(&set), "a,a,\"b,c\"\n1,\"\",\n");
        assert_eq!(json_rows(&ResultSet::default()), "[]\n");
    }
}
