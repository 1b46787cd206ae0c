//! `Request::Transaction`: typed changes become prepared statements.
//!
//! A plan is made once for each (table, action, columns) as they are named, and kept until the
//! schema changes.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use shmirror_shm::key::{Key, KeyError};
use shmirror_shm::limits;
use shmirror_shm::request::{Action, Change, OnConflict, RejectCode};
use shmirror_shm::value::{Value, ValueRef};

use super::WorkingCopy;
use super::db::{Kept, SqlError};
use super::delta::RowRevisions;
use super::guard::Mode;
use super::reject::{Reject, show_values};
use super::schema::{ROWID, replaces};
use super::tables::{Table, rowid_alias};

/// Most plans kept at one time.
const PLANS: usize = 1_024;
/// Rows between two looks at the clock.
const ROWS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Insert(OnConflict),
    Update,
    Delete,
}

/// How one kind of change to some columns of one table is done.
#[derive(Debug)]
struct Plan {
    given_table: String,
    given_columns: Vec<String>,
    kind: Kind,
    table: Arc<Table>,
    /// For each column given: its index in the image.
    columns: Vec<usize>,
    /// Where the key's values stand among the columns given, where all are.
    key_at: Option<Vec<usize>>,
    /// Done first: for an upsert the UPDATE, else the statement itself.
    first: Kept,
    /// For an upsert the INSERT; for Update and Delete, whether the row is there.
    second: Option<Kept>,
    /// An upsert of a key alone: `first` asks whether the row is there.
    probes_first: bool,
    /// Compiled with recursive triggers, as it may replace rows.
    recursive: bool,
}

/// The plans of a working copy.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    hasher: RandomState,
    found: HashMap<u64, Vec<Arc<Plan>>>,
    count: usize,
}

impl Plans {
    /// Forgets all; to be called whenever the connection forgets its statements.
    pub fn clear(&mut self) {
        self.found.clear();
        self.count = 0;
    }

    /// Whether so many are kept that it is time to forget them.
    pub fn is_full(&self) -> bool {
        self.count >= PLANS
    }
}

/// Applies `changes` in their order.
pub(crate) fn run(
    copy: &mut WorkingCopy,
    changes: &[Change],
    revisions: &dyn RowRevisions,
) -> Result<(), Reject> {
    for change in changes {
        match &change.action {
            Action::Insert { columns, rows, on_conflict, if_revision } => {
                let plan = plan(copy, &change.table, Kind::Insert(*on_conflict), columns)?;
                copy.recursive(plan.recursive)?;
                if let Some(wanted) = *if_revision {
                    let [row] = &rows[..] else {
                        return Err(malformed(
                            &plan,
                            &format!("if_revision is for one row, {} given", rows.len()),
                        ));
                    };
                    check_insert_revision(&plan, row, wanted, revisions)?;
                }
                for (number, row) in rows.iter().enumerate() {
                    if number % ROWS == ROWS - 1 {
                        copy.check_clock()?;
                    }
                    insert(copy, &plan, row, number)?;
                }
            }
            Action::Update { key, columns, values, if_revision } => {
                let plan = plan(copy, &change.table, Kind::Update, columns)?;
                copy.recursive(plan.recursive)?;
                check_count(&plan, values)?;
                check_sizes(&plan, values)?;
                check_key(&plan, key, *if_revision, revisions)?;
                by_key(copy, &plan, values, key)?;
            }
            Action::Delete { key, if_revision } => {
                let plan = plan(copy, &change.table, Kind::Delete, &[])?;
                copy.recursive(plan.recursive)?;
                check_key(&plan, key, *if_revision, revisions)?;
                by_key(copy, &plan, &[], key)?;
            }
        }
    }
    Ok(())
}

fn insert(copy: &mut WorkingCopy, plan: &Plan, row: &[Value], number: usize) -> Result<(), Reject> {
    check_count(plan, row)?;
    check_sizes(plan, row)?;
    let failed = |copy: &WorkingCopy, error: &SqlError| {
        let name = &plan.table.def.name;
        let which = match &plan.key_at {
            Some(at) => format!("key {}", show_values(at.iter().map(|&i| row[i].as_ref()))),
            None => format!("row {}", number + 1),
        };
        let verb = if plan.kind == Kind::Insert(OnConflict::Update) { "upsert" } else { "insert" };
        copy.refuse(
            error,
            &format!("{verb} into table \"{name}\", {which}"),
            std::slice::from_ref(name),
        )
    };
    let values = || row.iter().map(Value::as_ref);
    if plan.probes_first {
        let refs: Vec<ValueRef<'_>> = values().collect();
        let there = copy.db.kept(plan.first).and_then(|mut s| {
            s.bind(&refs)?;
            s.step()
        });
        if there.map_err(|e| failed(copy, &e))? {
            return Ok(());
        }
        let Some(second) = plan.second else { return Ok(()) };
        return copy
            .db
            .kept(second)
            .and_then(|mut s| s.run(values()))
            .map_err(|e| failed(copy, &e));
    }
    copy.db.kept(plan.first).and_then(|mut s| s.run(values())).map_err(|e| failed(copy, &e))?;
    if let Some(second) = plan.second
        && copy.db.changes() == 0
    {
        copy.db.kept(second).and_then(|mut s| s.run(values())).map_err(|e| failed(copy, &e))?;
    }
    Ok(())
}

fn by_key(
    copy: &mut WorkingCopy,
    plan: &Plan,
    values: &[Value],
    key: &[Value],
) -> Result<(), Reject> {
    let name = &plan.table.def.name;
    let shown = || show_values(key.iter().map(Value::as_ref));
    let verb = if plan.kind == Kind::Update { "update of" } else { "delete from" };
    let failed = |copy: &WorkingCopy, error: &SqlError| {
        copy.refuse(
            error,
            &format!("{verb} table \"{name}\", key {}", shown()),
            std::slice::from_ref(name),
        )
    };
    let all = values.iter().chain(key).map(Value::as_ref);
    copy.db.kept(plan.first).and_then(|mut s| s.run(all)).map_err(|e| failed(copy, &e))?;
    if copy.db.changes() > 0 {
        return Ok(());
    }
    // A trigger may have ignored the change; that is no error.
    let Some(probe) = plan.second else { return Ok(()) };
    let key_values: Vec<ValueRef<'_>> = key.iter().map(Value::as_ref).collect();
    let found = copy
        .db
        .kept(probe)
        .and_then(|mut s| {
            s.bind(&key_values)?;
            s.step()
        })
        .map_err(|e| failed(copy, &e))?;
    if found { Ok(()) } else { Err(no_such_row(plan, key)) }
}

fn no_such_row(plan: &Plan, key: &[Value]) -> Reject {
    let (name, key) = (&plan.table.def.name, show_values(key.iter().map(Value::as_ref)));
    Reject::new(RejectCode::NoSuchRow, format!("table \"{name}\" has no row with key {key}"))
}

fn malformed(plan: &Plan, what: &str) -> Reject {
    let name = &plan.table.def.name;
    Reject::new(RejectCode::Malformed, format!("change of table \"{name}\": {what}"))
}

fn check_count(plan: &Plan, values: &[Value]) -> Result<(), Reject> {
    if values.len() == plan.columns.len() {
        return Ok(());
    }
    let (found, expected) = (values.len(), plan.columns.len());
    Err(malformed(plan, &format!("a row of {found} values for {expected} columns")))
}

fn check_sizes(plan: &Plan, values: &[Value]) -> Result<(), Reject> {
    for (value, &column) in values.iter().zip(&plan.columns) {
        let found = value.as_ref().var_len();
        if found > limits::VALUE_BYTES {
            let def = &plan.table.def;
            let column = def.columns.get(column).map_or("", |c| c.name.as_str());
            let what = format!("table \"{}\", column \"{column}\": bytes of a value", def.name);
            return Err(Reject::limit(what, found, limits::VALUE_BYTES));
        }
    }
    Ok(())
}

/// The key that these values are.
fn key_of(plan: &Plan, values: &[ValueRef<'_>]) -> Result<Key, Reject> {
    Key::new(&plan.table.parts, values).map_err(|error| {
        let name = &plan.table.def.name;
        let shown = show_values(values.iter().copied());
        let mut message = format!("table \"{name}\", key {shown}: {error}");
        if matches!(error, KeyError::Count { .. }) {
            let parts: Vec<&str> = plan.table.parts.iter().map(|p| p.name.as_str()).collect();
            message = format!("{message}; the key is ({})", parts.join(", "));
        }
        Reject::new(RejectCode::BadKey, message)
    })
}

fn check_key(
    plan: &Plan,
    key: &[Value],
    if_revision: Option<u64>,
    revisions: &dyn RowRevisions,
) -> Result<(), Reject> {
    let values: Vec<ValueRef<'_>> = key.iter().map(Value::as_ref).collect();
    let canonical = key_of(plan, &values)?;
    let Some(wanted) = if_revision else { return Ok(()) };
    match revisions.revision_of(plan.table.def.id, &canonical) {
        None => Err(no_such_row(plan, key)),
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(mismatch(plan, &values, found, wanted)),
    }
}

fn check_insert_revision(
    plan: &Plan,
    row: &[Value],
    wanted: u64,
    revisions: &dyn RowRevisions,
) -> Result<(), Reject> {
    check_count(plan, row)?;
    let Some(at) = &plan.key_at else {
        let parts: Vec<&str> = plan.table.parts.iter().map(|p| p.name.as_str()).collect();
        let name = &plan.table.def.name;
        return Err(Reject::new(
            RejectCode::BadKey,
            format!("table \"{name}\": if_revision needs the whole key ({})", parts.join(", ")),
        ));
    };
    let values: Vec<ValueRef<'_>> = at.iter().map(|&i| row[i].as_ref()).collect();
    let key = key_of(plan, &values)?;
    let found = revisions.revision_of(plan.table.def.id, &key).unwrap_or(0);
    if found == wanted { Ok(()) } else { Err(mismatch(plan, &values, found, wanted)) }
}

fn mismatch(plan: &Plan, key: &[ValueRef<'_>], found: u64, wanted: u64) -> Reject {
    let (name, key) = (&plan.table.def.name, show_values(key.iter().copied()));
    let found = match found {
        0 => "there is no such row".to_owned(),
        n => format!("its revision is {n}"),
    };
    let wanted = match wanted {
        0 => "no such row".to_owned(),
        n => format!("revision {n}"),
    };
    Reject::new(
        RejectCode::RevisionMismatch,
        format!("table \"{name}\", key {key}: {found}, {wanted} expected"),
    )
}

fn plan(
    copy: &mut WorkingCopy,
    table: &str,
    kind: Kind,
    columns: &[String],
) -> Result<Arc<Plan>, Reject> {
    let tag = match kind {
        Kind::Insert(on_conflict) => on_conflict as u8,
        Kind::Update => 100,
        Kind::Delete => 101,
    };
    let hash = copy.plans.hasher.hash_one((table, tag, columns));
    let same =
        |p: &&Arc<Plan>| p.kind == kind && p.given_table == table && p.given_columns == columns;
    if let Some(known) = copy.plans.found.get(&hash).and_then(|all| all.iter().find(same)) {
        return Ok(known.clone());
    }
    let made = Arc::new(make(copy, table, kind, columns)?);
    copy.plans.count += 1;
    copy.plans.found.entry(hash).or_default().push(made.clone());
    Ok(made)
}

fn make(copy: &mut WorkingCopy, name: &str, kind: Kind, given: &[String]) -> Result<Plan, Reject> {
    let Some(def) = copy.catalogue.table(name) else {
        return Err(Reject::unknown_table(&copy.catalogue, name));
    };
    let table = copy.capture.state().table(def.id);
    let table = table.ok_or_else(|| Reject::internal("planning a change", "no such table"))?;
    let mut columns = Vec::with_capacity(given.len());
    for column in given {
        let index = column_index(&table, column)
            .ok_or_else(|| Reject::unknown_column(&table.def, column))?;
        if columns.contains(&index) {
            return Err(Reject::new(
                RejectCode::Malformed,
                format!("change of table \"{name}\": column \"{column}\" is given twice"),
            ));
        }
        if !table.is_writable(index) {
            return Err(Reject::new(
                RejectCode::NotAllowed,
                format!("table \"{name}\": column \"{column}\" is generated and takes no value"),
            ));
        }
        columns.push(index);
    }
    let key_at: Option<Vec<usize>> =
        table.parts.iter().map(|p| columns.iter().position(|&c| c == p.index)).collect();
    let [first, second] = statements(&table, kind, &columns, key_at.is_some());
    if kind == Kind::Update && columns.is_empty() {
        return Err(Reject::new(
            RejectCode::Malformed,
            format!("change of table \"{name}\": an update that names no column"),
        ));
    }
    let probes_first = kind == Kind::Insert(OnConflict::Update)
        && key_at.is_some()
        && columns.len() == table.parts.len();
    let mut recursive = kind == Kind::Insert(OnConflict::Replace);
    copy.recursive(recursive)?;
    let mut made = compile(copy, name, &first, &second)?;
    if !recursive && replaces(&copy.catalogue, &made.2, &made.3) {
        recursive = true;
        copy.recursive(true)?;
        made = compile(copy, name, &first, &second)?;
    }
    Ok(Plan {
        given_table: name.to_owned(),
        given_columns: given.to_vec(),
        kind,
        table,
        columns,
        key_at,
        first: made.0,
        second: made.1,
        probes_first,
        recursive,
    })
}

type Compiled = (Kept, Option<Kept>, Vec<String>, Vec<String>);

fn compile(
    copy: &mut WorkingCopy,
    name: &str,
    first: &str,
    second: &str,
) -> Result<Compiled, Reject> {
    let guard = copy.guard.clone();
    let (made, notes) = guard.watch(Mode::Plan, || {
        let first = copy.db.keep(first)?;
        let second = if second.is_empty() { None } else { Some(copy.db.keep(second)?) };
        Ok::<_, SqlError>((first, second))
    });
    let (first, second) =
        made.map_err(|e| copy.refuse(&e, &format!("change of table \"{name}\""), &[]))?;
    Ok((first, second, notes.written, notes.programs))
}

/// A table without a key also takes `rowid`, by any of SQLite's names for it.
fn column_index(table: &Table, name: &str) -> Option<usize> {
    let def = &table.def;
    def.columns.iter().position(|c| !c.hidden && c.name.eq_ignore_ascii_case(name)).or_else(|| {
        let alias = rowid_alias(&def.columns).unwrap_or(ROWID);
        let asked = name.eq_ignore_ascii_case(ROWID) || name.eq_ignore_ascii_case(alias);
        def.columns.iter().position(|c| c.hidden).filter(|_| asked)
    })
}

fn statements(table: &Table, kind: Kind, columns: &[usize], whole_key: bool) -> [String; 2] {
    let name = table.sql_name();
    let column = |i: usize| table.sql_columns[i].as_str();
    let numbered: Vec<(usize, &str)> =
        columns.iter().enumerate().map(|(n, &i)| (n + 1, column(i))).collect();
    let is_key = |i: usize| table.parts.iter().any(|p| p.index == i);
    let on_conflict = match kind {
        Kind::Update => {
            let set: Vec<String> = numbered.iter().map(|(n, c)| format!("{c}=?{n}")).collect();
            let test = table.sql_key_test(columns.len() + 1);
            return [format!("UPDATE {name} SET {} WHERE {test}", set.join(",")), probe(table)];
        }
        Kind::Delete => {
            let test = table.sql_key_test(1);
            return [format!("DELETE FROM {name} WHERE {test}"), probe(table)];
        }
        Kind::Insert(on_conflict) => on_conflict,
    };
    let verb = if on_conflict == OnConflict::Replace { "INSERT OR REPLACE" } else { "INSERT" };
    if columns.is_empty() {
        return [format!("{verb} INTO {name} DEFAULT VALUES"), String::new()];
    }
    let names: Vec<&str> = numbered.iter().map(|(_, c)| *c).collect();
    let marks: Vec<String> = numbered.iter().map(|(n, _)| format!("?{n}")).collect();
    let insert = format!("{verb} INTO {name} ({}) VALUES ({})", names.join(","), marks.join(","));
    let target: Vec<&str> = table.parts.iter().map(|p| column(p.index)).collect();
    let target = target.join(",");
    match on_conflict {
        OnConflict::Fail | OnConflict::Replace => [insert, String::new()],
        OnConflict::Skip => [format!("{insert} ON CONFLICT ({target}) DO NOTHING"), String::new()],
        // The UPDATE comes first: an INSERT would ask for NOT NULL columns that are not given even
        // where the row is there already.
        OnConflict::Update => {
            let others: Vec<(usize, &str)> = numbered
                .iter()
                .zip(columns)
                .filter(|(_, i)| !is_key(**i))
                .map(|(n, _)| *n)
                .collect();
            if !whole_key {
                return [insert, String::new()];
            }
            let test: Vec<String> = table
                .parts
                .iter()
                .filter_map(|p| {
                    let n = columns.iter().position(|&i| i == p.index)? + 1;
                    Some(format!("{}=?{n}", column(p.index)))
                })
                .collect();
            let test = test.join(" AND ");
            if others.is_empty() {
                return [format!("SELECT 1 FROM {name} WHERE {test}"), insert];
            }
            let set: Vec<String> = others.iter().map(|(n, c)| format!("{c}=?{n}")).collect();
            let again: Vec<String> =
                others.iter().map(|(_, c)| format!("{c}=excluded.{c}")).collect();
            [
                format!("UPDATE {name} SET {} WHERE {test}", set.join(",")),
                format!("{insert} ON CONFLICT ({target}) DO UPDATE SET {}", again.join(",")),
            ]
        }
    }
}

fn probe(table: &Table) -> String {
    format!("SELECT 1 FROM {} WHERE {}", table.sql_name(), table.sql_key_test(1))
}
