//! How a typed change is done: SQL, compiled once for each (table, action, columns) as they are
//! named, and kept until the schema changes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use shmirror_shm::catalogue::{MAIN, TableDef};
use shmirror_shm::packed::Names;
use shmirror_shm::request::{OnConflict, RejectCode};

use super::WorkingCopy;
use super::db::{Kept, SqlError};
use super::direct::Direct;
use super::guard::{Mode, Notes};
use super::reach::may_only_be_read;
use super::reject::Reject;
use super::replace::{check_replace, replaces};
use super::schema::ROWID;
use super::sequences::writes_sequence;
use super::tables::{Table, rowid_alias};

/// Most plans kept at one time.
const PLANS: usize = 1_024;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Insert(OnConflict),
    Update,
    Delete,
}

/// How one kind of change to some columns of one table is done.
#[derive(Debug)]
pub(super) struct Plan {
    given_table: String,
    given_columns: Vec<String>,
    pub kind: Kind,
    pub table: Arc<Table>,
    /// For each column given: its index in the image.
    pub columns: Vec<usize>,
    /// Where the key's values stand among the columns given, where all are.
    pub key_at: Option<Vec<usize>>,
    /// Done first: for an upsert the UPDATE, else the statement itself.
    pub first: Kept,
    /// For an upsert the INSERT; for Update and Delete, whether the row is there.
    pub second: Option<Kept>,
    /// An upsert of a key alone: `first` asks whether the row is there.
    pub probes_first: bool,
    /// Compiled with recursive triggers, as it may replace rows.
    pub recursive: bool,
    /// How it is done without SQLite, where it can be.
    pub direct: Option<Direct>,
    /// A trigger of it writes `sqlite_sequence`.
    sequence: bool,
}

impl Plan {
    /// To be called before its statements run.
    pub fn enter(&self, copy: &WorkingCopy) -> Result<(), Reject> {
        if self.sequence {
            copy.capture.state().name_sequence();
        }
        copy.recursive(self.recursive)
    }
}

/// The plans of a working copy.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    hasher: RandomState,
    found: HashMap<u64, Vec<Arc<Plan>>>,
    count: usize,
    /// The one that was asked for last by packed names, and these.
    last: Option<(Kind, Vec<u64>, Arc<Plan>)>,
}

impl Plans {
    /// Forgets all; to be called whenever the connection forgets its statements.
    pub fn clear(&mut self) {
        self.found.clear();
        self.count = 0;
        self.last = None;
    }
}

/// The plan for changes of `kind` to the columns of the table that `names` name, `columns` of them. Names
/// that are none: no plan.
pub(super) fn plan_packed(
    copy: &mut WorkingCopy,
    kind: Kind,
    columns: usize,
    names: Names<'_>,
) -> Option<Arc<Plan>> {
    if let Some((of, words, plan)) = &copy.plans.last
        && *of == kind
        && words[..] == *names.words()
        && plan.columns.len() == columns
    {
        return copy.rights.may_write(plan.table.namespace).then(|| plan.clone());
    }
    let mut names_left = names.iter();
    let table = names_left.next()?.ok()?;
    let given: Vec<String> = names_left
        .by_ref()
        .take(columns)
        .map(|name| Some(name.ok()?.to_owned()))
        .collect::<Option<_>>()?;
    let found = plan(copy, table, kind, &given).ok()?;
    if given.len() != columns || names_left.next().is_some() {
        return None;
    }
    // What a name with a dot means depends on who asks.
    if !table.contains('.') {
        copy.plans.last = Some((kind, names.words().to_vec(), found.clone()));
    }
    Some(found)
}

/// The plan for changes of `kind` to these columns of this table.
pub(super) fn plan(
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
    let given = table;
    let table = &*asked_for(copy, given);
    let hash = copy.plans.hasher.hash_one((table, tag, columns));
    let same =
        |p: &&Arc<Plan>| p.kind == kind && p.given_table == table && p.given_columns == columns;
    if let Some(known) = copy.plans.found.get(&hash).and_then(|all| all.iter().find(same)) {
        check_rights(copy, &known.table, given)?;
        return Ok(known.clone());
    }
    if copy.plans.count >= PLANS {
        copy.forget_statements()?;
    }
    let made = Arc::new(make(copy, [table, given], kind, columns)?);
    copy.plans.count += 1;
    copy.plans.found.entry(hash).or_default().push(made.clone());
    Ok(made)
}

/// The name by which the table is to be looked up that who asks can mean by `name`: a namespace that
/// is hidden from it does not stand in the way of a table of main with a dot in its name.
fn asked_for<'n>(copy: &WorkingCopy, name: &'n str) -> Cow<'n, str> {
    let hidden = name.split_once('.').and_then(|(space, _)| copy.catalogue.namespace_id(space));
    match hidden {
        Some(id) if id != 0 && !copy.rights.may_read(id) => Cow::Owned(format!("{MAIN}.{name}")),
        _ => Cow::Borrowed(name),
    }
}

/// Who asks may write the table; `name` is what it called it.
fn check_rights(copy: &WorkingCopy, table: &Table, name: &str) -> Result<(), Reject> {
    if copy.rights.may_write(table.namespace) {
        return Ok(());
    }
    if !copy.rights.may_read(table.namespace) {
        return Err(unknown(copy, name));
    }
    let (shown, namespace) = (table.def.full_name(), &table.def.namespace);
    let why = format!("change of table \"{shown}\": {}", may_only_be_read(namespace));
    Err(Reject::new(RejectCode::Denied, why))
}

/// There is no such table, among those that who asks may know of.
fn unknown(copy: &WorkingCopy, name: &str) -> Reject {
    let is_seen = |t: &&TableDef| {
        copy.catalogue.namespace_id(&t.namespace).is_some_and(|id| copy.rights.may_read(id))
    };
    Reject::unknown_table(copy.catalogue.tables.iter().filter(is_seen), name)
}

/// The plan for the table that is to be looked up as `looked_up` and was called `name`.
fn make(
    copy: &mut WorkingCopy,
    [looked_up, name]: [&str; 2],
    kind: Kind,
    given: &[String],
) -> Result<Plan, Reject> {
    let Some(def) = copy.catalogue.table(looked_up) else {
        return Err(unknown(copy, name));
    };
    let table = copy.capture.state().table(def.id);
    let table = table.ok_or_else(|| Reject::internal("planning a change", "no such table"))?;
    check_rights(copy, &table, name)?;
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
    if !recursive && replaces(&copy.catalogue, &made.notes.written, &made.notes.programs) {
        recursive = true;
        copy.recursive(true)?;
        made = compile(copy, name, &first, &second)?;
    }
    if recursive {
        let by_statement = kind == Kind::Insert(OnConflict::Replace);
        check_replace(&copy.catalogue, &made.notes.programs, by_statement)?;
    }
    let sequence = writes_sequence(&made.notes);
    let direct = Direct::of(&copy.db, &copy.catalogue, &table, kind, &columns)
        .map_err(|e| Reject::internal("planning a change", e))?;
    Ok(Plan {
        direct,
        given_table: looked_up.to_owned(),
        given_columns: given.to_vec(),
        kind,
        table,
        columns,
        key_at,
        first: made.first,
        second: made.second,
        probes_first,
        recursive,
        sequence,
    })
}

struct Compiled {
    first: Kept,
    second: Option<Kept>,
    notes: Notes,
}

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
    Ok(Compiled { first, second, notes })
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
