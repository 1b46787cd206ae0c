//! Result rows as an aligned table for people.

use shmirror_shm::value::{Value, ValueRef};

use crate::text;

/// Rows under their column names: numbers to the right, everything else to the left.
pub fn render(columns: &[String], rows: &[Vec<Value>]) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|v| text::one_line(&text::plain(v.as_ref()))).collect())
        .collect();
    let right: Vec<bool> = (0..columns.len())
        .map(|i| {
            let numeric =
                |row: &Vec<Value>| !matches!(row.get(i), Some(Value::Text(_) | Value::Blob(_)));
            let any = |row: &Vec<Value>| {
                row.get(i).is_some_and(|v| !matches!(v.as_ref(), ValueRef::Null))
            };
            rows.iter().all(numeric) && rows.iter().any(any)
        })
        .collect();
    let names: Vec<String> = columns.iter().map(|n| text::one_line(n)).collect();
    render_text(&names, &cells, &right)
}

/// Ready texts under their names; `right` says which columns stand to the right.
pub fn render_text(names: &[String], rows: &[Vec<String>], right: &[bool]) -> String {
    let widths: Vec<usize> = (0..names.len())
        .map(|i| {
            let cells = rows.iter().filter_map(|row| row.get(i)).map(|c| width(c));
            cells.chain([width(&names[i])]).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    push_line(&mut out, names, &widths, right);
    let rules: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
    push_line(&mut out, &rules, &widths, right);
    for row in rows {
        push_line(&mut out, row, &widths, right);
    }
    out
}

fn push_line(out: &mut String, cells: &[String], widths: &[usize], right: &[bool]) {
    let start = out.len();
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.push_str("  ");
        }
        let wanted = widths.get(i).copied().unwrap_or(0);
        let padding = " ".repeat(wanted.saturating_sub(width(cell)));
        if right.get(i).copied().unwrap_or(false) {
            out.push_str(&padding);
            out.push_str(cell);
        } else {
            out.push_str(cell);
            out.push_str(&padding);
        }
    }
    let kept = out[start..].trim_end_matches(' ').len();
    out.truncate(start + kept);
    out.push('\n');
}

/// Columns of a terminal that text takes.
fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}

/// `1` and `row`, or `2` and `rows`.
pub fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", thousands(n)) }
}

/// A number with commas between its thousands.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let columns = ["id".to_owned(), "name".to_owned(), "v".to_owned()];
        let rows = vec![
            vec![Value::Integer(1), "温度\n".into(), Value::Null],
            vec![Value::Integer(100), Value::Null, Value::Real(2.5)],
        ];
        let expected =
            [" id  name       v", "───  ──────  ────", "  1  温度\\n  NULL", "100  NULL     2.5"];
        assert_eq!(render(&columns, &rows).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(count(1, "row"), "1 row");
        assert_eq!(count(2000, "row"), "2,000 rows");
    }
}
