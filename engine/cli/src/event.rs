//! One event as one line, for `watch` and `log`: JSON, or words for people.

use std::fmt::Write;

use shmirror::{ChangeEvent, Event, SchemaEvent};

use crate::failure::Failure;
use crate::input::key;
use crate::text;

/// The line, without its end.
pub fn line(event: &Event, json: bool) -> Result<String, Failure> {
    if json {
        return Ok(event.to_json().to_string());
    }
    match event {
        Event::Change(change) => words(change),
        Event::Schema(schema) => Ok(schema_words(schema)),
        Event::Lagged { missed, first_revision } => Ok(format!(
            "lagged    {missed} events missed, the first of them may be of revision \
             {first_revision}; `shmirror log --since {first_revision}` has them"
        )),
        // An event of a kind that a later client crate has is better named than left out.
        other => Ok(format!("{other:?}")),
    }
}

fn words(change: &ChangeEvent) -> Result<String, Failure> {
    let mut out = format!(
        "revision {}  {}  {}  key {}",
        change.revision,
        text::one_line(&change.table),
        change.operation.name(),
        key::show(&change.key)
    );
    for name in &change.changed {
        let _ = write!(out, "  {}", text::one_line(name));
        if let Some(row) = &change.row {
            let _ = write!(out, "={}", text::literal(row.value(name)?));
        }
    }
    let _ = write!(out, "  {}", who_and_when(change.uid, change.pid, change.at_us));
    Ok(out)
}

fn schema_words(schema: &SchemaEvent) -> String {
    let mut out = format!("revision {}  schema", schema.revision);
    for (what, names) in
        [("created", &schema.created), ("changed", &schema.changed), ("dropped", &schema.dropped)]
    {
        if !names.is_empty() {
            let _ = write!(out, "  {what} {}", text::one_line(&names.join(", ")));
        }
    }
    let _ = write!(out, "  {}", who_and_when(schema.uid, schema.pid, schema.at_us));
    out
}

fn who_and_when(uid: u32, pid: u32, at_us: i64) -> String {
    format!("uid {uid} pid {pid}  {}", time(at_us))
}

/// RFC 3339, UTC, to the microsecond.
pub fn time(at_us: i64) -> String {
    match jiff::Timestamp::from_microsecond(at_us) {
        Ok(at) => format!("{at:.6}"),
        Err(_) => format!("{at_us} µs"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(super::time(1_386_018_900_000_001), "2013-12-02T21:15:00.000001Z");
        assert_eq!(super::time(0), "1970-01-01T00:00:00.000000Z");
        assert!(super::time(i64::MAX).ends_with("µs"));
    }
}
