//! What an event handle holds: an event of the client's, and its names as C has them.
//!
//! In: an event. Out: terminated names, key values, JSON; each made when it is first asked for, in
//! buffers that the next event uses again, and kept where it is until then.

use std::ffi::c_char;

use shmirror::{ChangeEvent, Event, SchemaEvent};

use crate::argument::element;
use crate::error::Failure;
use crate::status::shmirror_status::SHMIRROR_USAGE;
use crate::value::shmirror_value;

/// The event of a handle, and what was asked of it.
#[derive(Default)]
pub(crate) struct Told {
    event: Option<Event>,
    table: Names,
    created: Names,
    changed: Names,
    dropped: Names,
    columns: Names,
    key: Vec<shmirror_value>,
    json: Option<String>,
}

/// Terminated names, one behind the other. Empty until they are asked for.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Names {
    fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
    }

    /// They, made of `names` if they were not yet.
    fn of<'a>(&mut self, names: impl ExactSizeIterator<Item = &'a str>) -> &Self {
        if self.starts.len() != names.len() {
            self.clear();
            for name in names {
                self.starts.push(self.bytes.len());
                // SQLite takes none, but a name that ended at a NUL would be another one.
                self.bytes.extend(name.bytes().map(|b| if b == 0 { b' ' } else { b }));
                self.bytes.push(0);
            }
        }
        self
    }

    fn at(&self, index: usize) -> *const c_char {
        self.bytes[self.starts[index]..].as_ptr().cast()
    }
}

/// Who made a change, and when.
pub(crate) struct Author {
    pub(crate) uid: u32,
    pub(crate) pid: u32,
    pub(crate) at_us: i64,
}

/// Which list of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Created,
    Changed,
    Dropped,
    Columns,
}

impl Told {
    /// Takes the next event; what came out of the last one ends.
    pub(crate) fn fill(&mut self, event: Event) {
        self.event = Some(event);
        let Self { table, created, changed, dropped, columns, key, json, .. } = self;
        for names in [table, created, changed, dropped, columns] {
            names.clear();
        }
        key.clear();
        *json = None;
    }

    /// The event; none where the handle was never filled.
    pub(crate) fn event(&self) -> Option<&Event> {
        self.event.as_ref()
    }

    /// The event, of whatever kind.
    pub(crate) fn some(&self) -> Result<&Event, Failure> {
        self.event().ok_or_else(|| other(None, "an event"))
    }

    /// The event, where it is a change.
    pub(crate) fn change(&self) -> Result<&ChangeEvent, Failure> {
        change(self.event())
    }

    /// Who made it, and when.
    pub(crate) fn author(&self) -> Result<Author, Failure> {
        match self.event() {
            Some(Event::Change(e)) => Ok(Author { uid: e.uid, pid: e.pid, at_us: e.at_us }),
            Some(Event::Schema(e)) => Ok(Author { uid: e.uid, pid: e.pid, at_us: e.at_us }),
            event => Err(other(event, "a change, or a change of the schema")),
        }
    }

    /// How many changes were missed, and the first revision that may be missing.
    pub(crate) fn lagged(&self) -> Result<(u64, u64), Failure> {
        match self.event() {
            Some(Event::Lagged { missed, first_revision }) => Ok((*missed, *first_revision)),
            event => Err(other(event, "that changes were missed")),
        }
    }

    /// The table's name.
    pub(crate) fn table(&mut self) -> Result<*const c_char, Failure> {
        let change = change(self.event.as_ref())?;
        Ok(self.table.of([change.table.as_str()].into_iter()).at(0))
    }

    /// The key's values.
    pub(crate) fn key(&mut self) -> Result<&[shmirror_value], Failure> {
        let change = change(self.event.as_ref())?;
        if self.key.len() != change.key.len() {
            self.key.clear();
            self.key.extend(change.key.iter().map(|v| shmirror_value::from(v.as_ref())));
        }
        Ok(&self.key)
    }

    /// A list of names.
    pub(crate) fn names(&self, list: List) -> Result<&[String], Failure> {
        names(self.event(), list)
    }

    /// The name at `index` of a list.
    pub(crate) fn name(&mut self, list: List, index: usize) -> Result<*const c_char, Failure> {
        let found = names(self.event.as_ref(), list)?;
        element(found, index, "index")?;
        let kept = match list {
            List::Created => &mut self.created,
            List::Changed => &mut self.changed,
            List::Dropped => &mut self.dropped,
            List::Columns => &mut self.columns,
        };
        Ok(kept.of(found.iter().map(String::as_str)).at(index))
    }

    /// The event as JSON.
    pub(crate) fn json(&mut self) -> Result<&str, Failure> {
        let event = self.event.as_ref().ok_or_else(|| other(None, "an event"))?;
        Ok(self.json.get_or_insert_with(|| event.to_json().to_string()))
    }
}

fn change(event: Option<&Event>) -> Result<&ChangeEvent, Failure> {
    match event {
        Some(Event::Change(change)) => Ok(change),
        event => Err(other(event, "a change")),
    }
}

fn schema(event: Option<&Event>) -> Result<&SchemaEvent, Failure> {
    match event {
        Some(Event::Schema(schema)) => Ok(schema),
        event => Err(other(event, "a change of the schema")),
    }
}

fn names(event: Option<&Event>, list: List) -> Result<&[String], Failure> {
    Ok(match list {
        List::Created => &schema(event)?.created,
        List::Changed => &schema(event)?.changed,
        List::Dropped => &schema(event)?.dropped,
        List::Columns => &change(event)?.changed,
    })
}

/// That the event is not what it was asked as.
#[cold]
fn other(event: Option<&Event>, expected: &str) -> Failure {
    let found = match event {
        None => "none: the handle was never filled",
        Some(Event::Change(_)) => "a change",
        Some(Event::Schema(_)) => "a change of the schema",
        Some(Event::Lagged { .. }) => "that changes were missed",
        Some(_) => "of another kind",
    };
    Failure::argument(SHMIRROR_USAGE, format!("event: found {found}, expected {expected}"))
}
