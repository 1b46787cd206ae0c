//! The daemon's JSON answers (status, check, backup) for people: sections, and a table where there
//! is a list of objects, without what is nested in those. It knows no field by name, so that it shows
//! whatever the daemon tells.

use serde_json::Value;

use crate::table;
use crate::text;

/// JSON with line breaks.
pub fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

/// Sections of names and values.
pub fn readable(value: &Value) -> String {
    let mut out = String::new();
    let Value::Object(members) = value else { return format!("{}\n", plain(value)) };
    let (flat, nested): (Vec<_>, Vec<_>) = members.iter().partition(|(_, v)| is_flat(v));
    push_pairs(&mut out, "", flat.into_iter());
    for (name, value) in nested {
        push_section(&mut out, name, value);
    }
    out
}

fn is_flat(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().all(|i| !i.is_object() && !i.is_array()),
        _ => true,
    }
}

fn push_section(out: &mut String, name: &str, value: &Value) {
    if !out.is_empty() {
        out.push('\n');
    }
    match value {
        Value::Array(items) => {
            out.push_str(&format!("{} ({})\n", label(name), items.len()));
            push_list(out, items);
        }
        Value::Object(members) => {
            out.push_str(&format!("{}\n", label(name)));
            let (flat, nested): (Vec<_>, Vec<_>) = members.iter().partition(|(_, v)| is_flat(v));
            push_pairs(out, "  ", flat.into_iter());
            for (inner, value) in nested {
                push_section(out, &format!("{name} {inner}"), value);
            }
        }
        other => out.push_str(&format!("{}  {}\n", label(name), plain(other))),
    }
}

fn push_pairs<'a>(
    out: &mut String,
    indent: &str,
    pairs: impl Iterator<Item = (&'a String, &'a Value)>,
) {
    let pairs: Vec<(String, &Value)> = pairs.map(|(name, v)| (label(name), v)).collect();
    let widest = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in pairs {
        let gap = " ".repeat(widest - name.chars().count() + 2);
        out.push_str(&format!("{indent}{name}{gap}{}\n", plain(value)));
    }
}

fn push_list(out: &mut String, items: &[Value]) {
    let mut names: Vec<&String> = Vec::new();
    for (name, value) in items.iter().filter_map(Value::as_object).flatten() {
        if !names.contains(&name) && is_flat(value) {
            names.push(name);
        }
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| names.iter().map(|n| item.get(n).map(plain).unwrap_or_default()).collect())
        .collect();
    let right: Vec<bool> = names
        .iter()
        .map(|n| items.iter().all(|item| item.get(n).is_none_or(Value::is_number)))
        .collect();
    let labels: Vec<String> = names.iter().map(|n| label(n)).collect();
    for line in table::render_text(&labels, &rows, &right).lines() {
        out.push_str(&format!("  {line}\n"));
    }
}

fn label(name: &str) -> String {
    name.replace('_', " ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::Number(n) => n.to_string(),
        Value::String(t) => text::one_line(t),
        Value::Array(items) if is_flat(value) => {
            let parts: Vec<String> = items.iter().map(plain).collect();
            if parts.is_empty() { "none".into() } else { parts.join(", ") }
        }
        nested => nested.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_pairs_and_tables() {
        let value: Value = serde_json::from_str(
            r#"{"revision": 7, "live": true, "names": [], "tables": [{"name": "a", "rows": 1, "more": {"y": 1}},
                {"name": "bb", "rows": 20}], "segment": {"used_bytes": 5, "inner": {"x": null}}}"#,
        )
        .unwrap();
        let shown = readable(&value);
        assert!(shown.contains("revision  7\n"), "{shown}");
        assert!(shown.contains("live      yes\n"), "{shown}");
        assert!(shown.contains("names     none\n"), "{shown}");
        assert!(shown.contains("tables (2)\n  name  rows\n"), "{shown}");
        assert!(shown.contains("  bb      20\n"), "{shown}");
        assert!(shown.contains("segment\n  used bytes  5\n"), "{shown}");
        assert!(shown.contains("segment inner\n  x  -\n"), "{shown}");
    }
}
