//! What must hold, and whether it did.
//!
//! In: what every process was told, read and heard ([`Said`]), and the tables in the end. Out: what was
//! checked, lost and torn.
//!
//! The tables: `part(id, who, n)`. A transaction `n` of producer `who` writes the [`GROUP`] rows of one group of its
//! own, all with `who` and `n`, or deletes them. So every row names the transaction that wrote it, and a
//! transaction seen in part is a group whose rows differ. What a subscriber that misses nothing was told,
//! in order, is the history; everything else is held against it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::report::Row;

/// Rows of one group.
pub const GROUP: i64 = 4;
/// Groups of one producer.
pub const GROUPS: i64 = 8;
/// SQL that makes the tables. A negative `n` is refused.
pub const SCHEMA: &str = "CREATE TABLE part(id INTEGER PRIMARY KEY, who INTEGER NOT NULL,
     n INTEGER NOT NULL CHECK (n >= 0), text TEXT NOT NULL)";

/// First row of a producer's group.
pub fn first_of(who: i64, group: i64) -> i64 {
    (who * GROUPS + group) * GROUP
}

/// One thing that a process said.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Said {
    /// A producer is about to submit transaction `n`, which writes, or deletes, a group.
    Try { who: i64, n: i64, group: i64, deletes: bool },
    /// It was acknowledged.
    Ok { who: i64, n: i64, revision: u64, micros: u64 },
    /// It was rejected.
    No { who: i64, n: i64 },
    /// A reader has all rows as of a revision: their digest and number.
    Scan { reader: u32, revision: u64, digest: u64, rows: u64 },
    /// A reader has a group of rows as of a revision; `None` for one that is not there.
    Group { reader: u32, revision: u64, first: i64, n: Vec<Option<i64>> },
    /// A reader has one row as of now, of this revision.
    Newest { reader: u32, id: i64, n: i64, revision: u64 },
    /// A subscriber was told of a row; `n` is `None` where it was deleted.
    Change { to: u32, revision: u64, id: i64, who: i64, n: Option<i64> },
    /// A subscriber was told that it misses something.
    Lagged { to: u32, first_revision: u64 },
    /// A subscriber has heard everything up to this revision.
    Through { to: u32, revision: u64 },
    /// Somebody waited for so long for what should not take that.
    Hung { what: String, micros: u64 },
}

/// A digest of rows that does not depend on their order: the sum of each row's.
pub fn digest(id: i64, who: i64, n: i64) -> u64 {
    let mut z = (id as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (who as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F)
        ^ (n as u64).wrapping_mul(0x1656_67B1_9E37_79F9);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A row's value: who and n.
type Value = (i64, i64);

/// What was committed, as one who misses nothing was told.
#[derive(Default)]
struct History {
    /// The changes of each revision, in order.
    changes: BTreeMap<u64, Vec<(i64, Option<Value>)>>,
    /// Digest and number of rows after each revision.
    after: BTreeMap<u64, (u64, u64)>,
    /// The rows in the end.
    rows: BTreeMap<i64, Value>,
    /// All values that a row ever had, with their revisions.
    of_row: HashMap<i64, BTreeMap<u64, Option<Value>>>,
    /// All revisions up to this one were told.
    through: u64,
}

impl History {
    /// From what subscriber `to` was told.
    fn of(said: &[Said], to: u32, row: &mut Row) -> Self {
        let mut history = Self::default();
        let mut newest = 0;
        for one in said {
            match *one {
                Said::Change { to: t, revision, id, who, n } if t == to => {
                    if revision < newest {
                        row.lost.push(format!("revision {revision} was told after {newest}"));
                    }
                    newest = newest.max(revision);
                    let value = n.map(|n| (who, n));
                    history.changes.entry(revision).or_default().push((id, value));
                }
                Said::Lagged { to: t, first_revision } if t == to => row.lost.push(format!(
                    "who follows without pause is told that it misses revision {first_revision}"
                )),
                Said::Through { to: t, revision } if t == to => {
                    history.through = history.through.max(revision);
                }
                _ => {}
            }
        }
        let (mut sum, mut rows) = (0u64, BTreeMap::new());
        for (revision, changes) in &history.changes {
            let mut seen = HashSet::new();
            for (id, value) in changes {
                if !seen.insert(id) {
                    row.lost.push(format!("revision {revision} was told twice of row {id}"));
                }
                let before: Option<Value> = match value {
                    Some(value) => rows.insert(*id, *value),
                    None => rows.remove(id),
                };
                let part = |v: Option<Value>| v.map_or(0, |(who, n)| digest(*id, who, n));
                sum = sum.wrapping_sub(part(before)).wrapping_add(part(*value));
                history.of_row.entry(*id).or_default().insert(*revision, *value);
            }
            history.after.insert(*revision, (sum, rows.len() as u64));
        }
        history.rows = rows;
        history
    }

    /// The value of a row as of a revision.
    fn value(&self, id: i64, revision: u64) -> Option<Value> {
        let values = self.of_row.get(&id)?;
        *values.range(..=revision).next_back()?.1
    }
}

/// Holds what was said against the history that subscriber `complete` was told, and that against the
/// tables in the end. Findings go into `row`.
pub fn check(said: &[Said], complete: u32, tables: &BTreeMap<i64, (i64, i64)>, row: &mut Row) {
    let history = History::of(said, complete, row);
    let ended = &history.rows == tables;
    if !ended {
        let differ = tables
            .iter()
            .filter(|(id, value)| history.rows.get(id) != Some(value))
            .map(|(id, _)| id)
            .chain(history.rows.keys().filter(|id| !tables.contains_key(id)))
            .take(5)
            .collect::<Vec<_>>();
        row.lost.push(format!("rows {differ:?} are not as they were told"));
    }
    row.checked.push(("rows in the end", tables.len() as u64));
    producers(said, &history, row);
    readers(said, &history, row);
    subscribers(said, complete, &history, row);
    for one in said {
        if let Said::Hung { what, micros } = one {
            row.hung.push(format!("{what}: {micros} µs"));
        }
    }
}

/// Acknowledged is there, once; rejected and never submitted is not; all of it or nothing.
fn producers(said: &[Said], history: &History, row: &mut Row) {
    let mut tried: HashMap<Value, (i64, bool)> = HashMap::new();
    let mut rejected: HashSet<Value> = HashSet::new();
    let mut acknowledged = 0;
    let mut used: HashSet<u64> = HashSet::new();
    for one in said {
        match *one {
            Said::Try { who, n, group, deletes } => _ = tried.insert((who, n), (group, deletes)),
            Said::No { who, n } => _ = rejected.insert((who, n)),
            _ => {}
        }
    }
    for one in said {
        let Said::Ok { who, n, revision, .. } = *one else { continue };
        acknowledged += 1;
        if !used.insert(revision) {
            row.lost.push(format!("revision {revision} was given twice"));
        }
        let Some(&(group, deletes)) = tried.get(&(who, n)) else { continue };
        let first = first_of(who, group);
        let value = (!deletes).then_some((who, n));
        let expected: Vec<_> = (first..first + GROUP).map(|id| (id, value)).collect();
        match history.changes.get(&revision) {
            None => row.lost.push(format!(
                "transaction {n} of {who} was acknowledged at {revision}, and nobody told of it"
            )),
            Some(found) if *found != expected => row.torn.push(format!(
                "transaction {n} of {who}, revision {revision}: {expected:?} was acknowledged, {found:?} \
                 told"
            )),
            Some(_) => {}
        }
    }
    let mut at: HashMap<Value, u64> = HashMap::new();
    for (revision, changes) in &history.changes {
        let values: HashSet<Option<Value>> = changes.iter().map(|(_, v)| *v).collect();
        if changes.len() as i64 != GROUP || values.len() != 1 {
            row.torn.push(format!("revision {revision} is no whole transaction: {changes:?}"));
        }
        let Some(Some(value)) = values.into_iter().next() else { continue };
        if rejected.contains(&value) {
            row.lost.push(format!("{value:?} was rejected, and is there at {revision}"));
        }
        if !tried.contains_key(&value) {
            row.lost.push(format!("{value:?} was never submitted, and is there at {revision}"));
        }
        if let Some(other) = at.insert(value, *revision) {
            row.lost.push(format!("{value:?} was done twice, at {other} and {revision}"));
        }
    }
    row.checked.push(("acknowledged", acknowledged));
    row.checked.push(("rejected", rejected.len() as u64));
    row.checked.push(("revisions", history.changes.len() as u64));
}

/// Every read is of a committed revision, whole, and none is older than one before.
fn readers(said: &[Said], history: &History, row: &mut Row) {
    let (mut scans, mut rows) = (0, 0);
    let mut newest: HashMap<u32, u64> = HashMap::new();
    let mut newest_of: HashMap<(u32, i64), u64> = HashMap::new();
    let mut grows = |reader: u32, revision: u64, row: &mut Row| {
        let before = newest.entry(reader).or_default();
        if revision < *before {
            row.torn.push(format!("reader {reader} read revision {revision} after {before}"));
        }
        *before = revision.max(*before);
    };
    for one in said {
        match one {
            Said::Scan { reader, revision, digest, rows } => {
                scans += 1;
                grows(*reader, *revision, row);
                // What the history does not reach, nobody can say anything of.
                if *revision > history.through {
                    continue;
                }
                let state = history.after.range(..=revision).next_back();
                let expected = state.map_or((0, 0), |(_, s)| *s);
                if expected != (*digest, *rows) {
                    row.torn.push(format!(
                        "a scan of revision {revision}: {rows} rows, digest {digest:016x}; {} and \
                         {:016x} are of that revision",
                        expected.1, expected.0
                    ));
                }
            }
            Said::Group { reader, revision, first, n } => {
                rows += n.len() as u64;
                grows(*reader, *revision, row);
                if *revision > history.through {
                    continue;
                }
                let expected: Vec<Option<i64>> = (*first..*first + n.len() as i64)
                    .map(|id| history.value(id, *revision).map(|(_, n)| n))
                    .collect();
                if expected != *n {
                    row.torn.push(format!(
                        "rows from {first} on as of {revision}: {n:?}, {expected:?} are of that revision"
                    ));
                }
            }
            Said::Newest { reader, id, n, revision } => {
                rows += 1;
                let before = newest_of.entry((*reader, *id)).or_default();
                if revision < before {
                    row.torn.push(format!("row {id} was of revision {revision} after {before}"));
                }
                *before = *revision;
                if *revision > history.through {
                    continue;
                }
                let values = history.of_row.get(id).and_then(|of| of.get(revision));
                if values.copied().flatten().map(|(_, n)| n) != Some(*n) {
                    row.torn.push(format!(
                        "row {id} with {n} of revision {revision}, which wrote {values:?}"
                    ));
                }
            }
            _ => {}
        }
    }
    row.checked.push(("scans", scans));
    row.checked.push(("rows read", rows));
}

/// Who lags is told of what, and of nothing else.
fn subscribers(said: &[Said], complete: u32, history: &History, row: &mut Row) {
    let mut others: HashMap<u32, Vec<&Said>> = HashMap::new();
    for one in said {
        if let Said::Change { to, .. } | Said::Lagged { to, .. } | Said::Through { to, .. } = one
            && *to != complete
        {
            others.entry(*to).or_default().push(one);
        }
    }
    let mut told = 0;
    for (to, said) in others {
        let mut next = None;
        let mut expected = history.changes.iter().flat_map(|(r, c)| c.iter().map(move |c| (*r, c)));
        let mut lagged = None;
        for one in said {
            match one {
                Said::Lagged { first_revision, .. } => lagged = Some(*first_revision),
                Said::Change { revision, id, n, .. } => {
                    told += 1;
                    // Nothing before its first event is missed; after that, only what it was told of.
                    let started = next.is_some();
                    let found = loop {
                        let Some((r, (i, value))) = expected.next() else { break None };
                        let same = r == *revision && i == id && value.map(|(_, n)| n) == *n;
                        if same {
                            break Some(());
                        }
                        let excused = !started || lagged.is_some_and(|from| r >= from);
                        if !excused {
                            row.lost
                                .push(format!("subscriber {to} was not told of row {i} at {r}"));
                            break Some(());
                        }
                    };
                    if found.is_none() {
                        row.lost
                            .push(format!("subscriber {to} was told of {one:?}, which is not so"));
                        break;
                    }
                    (next, lagged) = (Some(*revision), None);
                }
                _ => {}
            }
        }
    }
    row.checked.push(("other events", told));
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
