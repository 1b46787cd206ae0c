//! The types of a file's columns, from all of its rows: INTEGER where every value is one, REAL where
//! every value is a number, else TEXT. Numbers that would not read back as they stand (leading
//! zeros, a sign in front, too many digits) keep a column TEXT.

use super::{Raw, RawRow};
use crate::name::Name;
use crate::text::quoted_name;

/// What was seen of one column so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    integer: bool,
    /// An integer that a double cannot hold.
    long: bool,
    real: bool,
    text: bool,
}

/// The inference, row by row.
#[derive(Debug, Default)]
pub struct Inference {
    seen: Vec<Seen>,
}

impl Inference {
    /// Takes a row into account.
    pub fn see(&mut self, row: &RawRow) {
        for (column, cell) in row.cells() {
            if column >= self.seen.len() {
                self.seen.resize(column + 1, Seen::default());
            }
            let seen = &mut self.seen[column];
            match cell {
                Raw::Null => {}
                Raw::Integer(i) => seen.see_integer(i),
                Raw::Real(_) => seen.real = true,
                Raw::Bare(t) | Raw::Text(t) => seen.see_text(t),
            }
        }
    }

    /// The declared type of a column.
    pub fn declared(&self, column: usize) -> &'static str {
        match self.seen.get(column) {
            Some(Seen { text: false, real: false, integer: true, .. }) => "INTEGER",
            Some(Seen { text: false, real: true, long: false, .. }) => "REAL",
            _ => "TEXT",
        }
    }

    /// `CREATE TABLE` for these columns; `key` names those of the primary key.
    pub fn create_table(&self, table: &Name, columns: &[String], key: &[String]) -> String {
        let in_key = |name: &str| key.iter().any(|k| k.eq_ignore_ascii_case(name));
        let mut integer_key = false;
        let mut parts: Vec<String> = Vec::with_capacity(columns.len() + 1);
        for (i, name) in columns.iter().enumerate() {
            let (quoted, declared) = (quoted_name(name), self.declared(i));
            parts.push(if !in_key(name) {
                format!("{quoted} {declared}")
            } else if key.len() == 1 && declared == "INTEGER" {
                integer_key = true;
                format!("{quoted} INTEGER PRIMARY KEY")
            } else {
                format!("{quoted} {declared} NOT NULL")
            });
        }
        if !key.is_empty() && !integer_key {
            let names: Vec<String> = key.iter().map(|k| quoted_name(k)).collect();
            parts.push(format!("PRIMARY KEY ({})", names.join(", ")));
        }
        format!("CREATE TABLE {} ({})", table.sql(), parts.join(", "))
    }
}

impl Seen {
    fn see_integer(&mut self, i: i64) {
        self.integer = true;
        self.long |= i.unsigned_abs() > 1 << 53;
    }

    fn see_text(&mut self, text: &str) {
        match number(text) {
            Some(Number::Integer(i)) => self.see_integer(i),
            Some(Number::Real) => self.real = true,
            None => self.text = true,
        }
    }
}

enum Number {
    Integer(i64),
    Real,
}

/// A number as JSON writes them, so that nothing is lost in reading it as one.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bytes = digits.as_bytes();
    let whole = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    if whole == 0 || (whole > 1 && bytes[0] == b'0') {
        return None;
    }
    if whole == bytes.len() {
        return text.parse().ok().map(Number::Integer);
    }
    let mut rest = &bytes[whole..];
    if let Some(fraction) = rest.strip_prefix(b".") {
        let n = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        if n == 0 {
            return None;
        }
        rest = &fraction[n..];
    }
    if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
        let exponent = match exponent {
            [b'+' | b'-', tail @ ..] => tail,
            tail => tail,
        };
        if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
            return None;
        }
        rest = &[];
    }
    (rest.is_empty() && text.parse::<f64>().is_ok_and(f64::is_finite)).then_some(Number::Real)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(values: &[&str]) -> &'static str {
        let mut inference = Inference::default();
        for value in values {
            let mut row = RawRow::default();
            row.push(0, if value.is_empty() { Raw::Null } else { Raw::Bare(value) });
            inference.see(&row);
        }
        inference.declared(0)
    }

    #[test]
    fn types_come_from_every_value() {
        assert_eq!(declared(&["1", "", "-20"]), "INTEGER");
        assert_eq!(declared(&["1", "2.5", "1e-3"]), "REAL");
        assert_eq!(declared(&["1", "x"]), "TEXT");
        assert_eq!(declared(&["", ""]), "TEXT");
        assert_eq!(declared(&["007", "1"]), "TEXT");
        assert_eq!(declared(&["+1"]), "TEXT");
        assert_eq!(declared(&["1."]), "TEXT");
        assert_eq!(declared(&["0", "0.5"]), "REAL");
        assert_eq!(declared(&["9223372036854775807"]), "INTEGER");
        assert_eq!(declared(&["9223372036854775808"]), "TEXT");
        assert_eq!(declared(&["9223372036854775807", "0.5"]), "TEXT");
        assert_eq!(declared(&["1e999"]), "TEXT");
    }

    #[test]
    fn create_table_has_the_key() {
        let mut inference = Inference::default();
        let mut row = RawRow::default();
        row.push(0, Raw::Bare("1"));
        row.push(1, Raw::Bare("b"));
        inference.see(&row);
        let columns = ["id".to_owned(), "na\"me".to_owned()];
        let table = Name::new("plant", "t");
        assert_eq!(
            inference.create_table(&table, &columns, &["ID".into()]),
            r#"CREATE TABLE "plant"."t" ("id" INTEGER PRIMARY KEY, "na""me" TEXT)"#
        );
        assert_eq!(
            inference.create_table(&table, &columns, &["id".into(), "na\"me".into()]),
            r#"CREATE TABLE "plant"."t" ("id" INTEGER NOT NULL, "na""me" TEXT NOT NULL, PRIMARY KEY ("id", "na""me"))"#
        );
        assert_eq!(
            inference.create_table(&table, &columns, &[]),
            r#"CREATE TABLE "plant"."t" ("id" INTEGER, "na""me" TEXT)"#
        );
    }
}
