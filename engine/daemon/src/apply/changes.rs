//! `Request::Transaction`: typed changes, checked and done in their order.

use shmirror_shm::key::{Key, KeyError};
use shmirror_shm::limits;
use shmirror_shm::request::{Action, Change, OnConflict, RejectCode};
use shmirror_shm::value::{Value, ValueRef};

use super::WorkingCopy;
use super::db::SqlError;
use super::delta::RowRevisions;
use super::guard::Touched;
use super::plan::{Kind, Plan, plan};
use super::reject::{Reject, show_values};

/// Rows between two looks at the clock.
const ROWS: usize = 64;

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
                plan.enter(copy)?;
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
                plan.enter(copy)?;
                check_count(&plan, values)?;
                check_sizes(&plan, values)?;
                check_key(&plan, key, *if_revision, revisions)?;
                by_key(copy, &plan, values, key)?;
            }
            Action::Delete { key, if_revision } => {
                let plan = plan(copy, &change.table, Kind::Delete, &[])?;
                plan.enter(copy)?;
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
        let def = &plan.table.def;
        let which = match &plan.key_at {
            Some(at) => format!("key {}", show_values(at.iter().map(|&i| row[i].as_ref()))),
            None => format!("row {}", number + 1),
        };
        let verb = if plan.kind == Kind::Insert(OnConflict::Update) { "upsert" } else { "insert" };
        copy.refuse(
            error,
            &format!("{verb} into table \"{}\", {which}", def.full_name()),
            &[Touched::new(Some(&def.namespace), &def.name)],
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
    let def = &plan.table.def;
    let shown = || show_values(key.iter().map(Value::as_ref));
    let verb = if plan.kind == Kind::Update { "update of" } else { "delete from" };
    let failed = |copy: &WorkingCopy, error: &SqlError| {
        copy.refuse(
            error,
            &format!("{verb} table \"{}\", key {}", def.full_name(), shown()),
            &[Touched::new(Some(&def.namespace), &def.name)],
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
    let (name, key) = (plan.table.def.full_name(), show_values(key.iter().map(Value::as_ref)));
    Reject::new(RejectCode::NoSuchRow, format!("table \"{name}\" has no row with key {key}"))
}

fn malformed(plan: &Plan, what: &str) -> Reject {
    let name = plan.table.def.full_name();
    Reject::new(RejectCode::Malformed, format!("change of table \"{name}\": {what}"))
}

pub(super) fn check_count(plan: &Plan, values: &[Value]) -> Result<(), Reject> {
    if values.len() == plan.columns.len() {
        return Ok(());
    }
    let (found, expected) = (values.len(), plan.columns.len());
    Err(malformed(plan, &format!("a row of {found} values for {expected} columns")))
}

pub(super) fn check_sizes(plan: &Plan, values: &[Value]) -> Result<(), Reject> {
    for (value, &column) in values.iter().zip(&plan.columns) {
        let found = value.as_ref().var_len();
        if found > limits::VALUE_BYTES {
            let def = &plan.table.def;
            let column = def.columns.get(column).map_or("", |c| c.name.as_str());
            let what =
                format!("table \"{}\", column \"{column}\": bytes of a value", def.full_name());
            return Err(Reject::limit(what, found, limits::VALUE_BYTES));
        }
    }
    Ok(())
}

/// The key that these values are.
pub(super) fn key_of(plan: &Plan, values: &[ValueRef<'_>]) -> Result<Key, Reject> {
    Key::new(&plan.table.parts, values).map_err(|error| {
        let name = plan.table.def.full_name();
        let shown = show_values(values.iter().copied());
        let mut message = format!("table \"{name}\", key {shown}: {error}");
        if matches!(error, KeyError::Count { .. }) {
            let parts: Vec<&str> = plan.table.parts.iter().map(|p| p.name.as_str()).collect();
            message = format!("{message}; the key is ({})", parts.join(", "));
        }
        Reject::new(RejectCode::BadKey, message)
    })
}

pub(super) fn check_key(
    plan: &Plan,
    key: &[Value],
    if_revision: Option<u64>,
    revisions: &dyn RowRevisions,
) -> Result<(), Reject> {
    let values: Vec<ValueRef<'_>> = key.iter().map(Value::as_ref).collect();
    let canonical = key_of(plan, &values)?;
    let Some(wanted) = if_revision else { return Ok(()) };
    match revisions.revision_of(plan.table.def.id, &canonical) {
        // A row that an earlier change of this request made.
        None if wanted == 0 => Ok(()),
        None => Err(no_such_row(plan, key)),
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(mismatch(plan, &values, found, wanted)),
    }
}

pub(super) fn check_insert_revision(
    plan: &Plan,
    row: &[Value],
    wanted: u64,
    revisions: &dyn RowRevisions,
) -> Result<(), Reject> {
    check_count(plan, row)?;
    let Some(at) = &plan.key_at else {
        let parts: Vec<&str> = plan.table.parts.iter().map(|p| p.name.as_str()).collect();
        let name = plan.table.def.full_name();
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
    let (name, key) = (plan.table.def.full_name(), show_values(key.iter().copied()));
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
