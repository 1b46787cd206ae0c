//! `Request::Sql`: SQL text, statement by statement.

use std::sync::Arc;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::limits;
use shmirror_shm::request::{RejectCode, ResultSet, SqlRequest};
use shmirror_shm::value::{Value, ValueRef};

use super::db::{Db, SqlError};
use super::guard::{Guard, Mode, Notes};
use super::reject::Reject;
use super::replace::{check_replace, replaces};
use super::schema::{Evolution, evolve};
use super::sequences::writes_sequence;
use super::shadow::Seen;
use super::stmt::Stmt;
use super::tables::Table;
use super::words::{Words, has_keyword};
use super::{Budget, WorkingCopy, rows};

/// Runs all statements of `request`; the rows that they yield, where they are wanted.
pub(crate) fn run(
    copy: &mut WorkingCopy,
    request: &SqlRequest,
    budget: &Budget,
) -> Result<Vec<ResultSet>, Reject> {
    let sql = check_text(request)?;
    let mut output = Output::new(request.want_rows, budget.result_bytes);
    let mut at = 0;
    let mut number = 0;
    copy.behind = false;
    while at < sql.len() {
        let place = Place { sql, start: at, number: number + 1 };
        let (used, is_statement) = statement(copy, request, &place, &mut output)?;
        at += used.max(1);
        number += usize::from(is_statement);
        if number > 1 && !request.params.is_empty() {
            return Err(Reject::new(
                RejectCode::Malformed,
                "values for parameters are allowed for a single statement, but the SQL text has \
                 several",
            ));
        }
    }
    catch_up(copy)?;
    Ok(output.sets)
}

/// The text, where it is one that SQLite can read.
pub(crate) fn check_text(request: &SqlRequest) -> Result<&str, Reject> {
    if request.sql.len() > limits::SQL_BYTES {
        return Err(Reject::limit("bytes of SQL text", request.sql.len(), limits::SQL_BYTES));
    }
    if let Some(at) = request.sql.find('\0') {
        return Err(Reject::new(
            RejectCode::Malformed,
            format!("the SQL text has a NUL character at byte {at}"),
        ));
    }
    Ok(&request.sql)
}

/// Runs the statement at `place`: how long it is, and whether it is more than a comment.
fn statement(
    copy: &mut WorkingCopy,
    request: &SqlRequest,
    place: &Place<'_>,
    output: &mut Output,
) -> Result<(usize, bool), Reject> {
    let text = place.rest();
    if Words::new(text).next().is_some_and(|w| w.eq_ignore_ascii_case("VACUUM")) {
        return Err(place.not_allowed("VACUUM is not allowed: it cannot be part of a transaction"));
    }
    if !copy.rights.is_everything() {
        let WorkingCopy { shadows, db, catalogue, rights, .. } = copy;
        let params = &request.params;
        match shadows.see((&*db, &**catalogue, &*rights), params, place, output)? {
            Seen::Done(used) => return Ok((used, true)),
            Seen::Compiles => {}
        }
    }
    copy.recursive(false)?;
    let guard = copy.guard.clone();
    let (mut stmt, used, mut notes) = prepare(&copy.db, &guard, place)?;
    let text = text.get(..used).unwrap_or(text);
    if writes_sequence(&notes) {
        copy.capture.state().name_sequence();
    }
    if copy.behind && stmt.is_some() && !notes.only_creates() {
        drop(stmt);
        catch_up(copy)?;
        (stmt, _, notes) = prepare(&copy.db, &guard, place)?;
    }
    let Some(mut stmt) = stmt.filter(|s| !notes.ddl || s.is_explain()) else {
        if notes.ddl {
            define(copy, request, place, &notes, output)?;
        }
        return Ok((used, notes.ddl));
    };
    let catalogue = copy.catalogue.clone();
    let may_replace = !stmt.is_read_only()
        && (has_keyword(text, "REPLACE") || replaces(&catalogue, &notes.written, &notes.programs));
    if may_replace {
        drop(stmt);
        copy.recursive(true)?;
        let (again, _, notes) = prepare(&copy.db, &guard, place)?;
        check_replace(&catalogue, &notes.programs, has_keyword(text, "REPLACE"))
            .map_err(|r| place.not_allowed(&r.message))?;
        stmt = again.ok_or_else(|| Reject::internal("compiling a statement", "it vanished"))?;
    }
    let done = step_all(&mut stmt, (&guard, &notes), &request.params, output);
    drop(stmt);
    match done {
        Ok(()) => Ok((used, true)),
        Err(Stop::Reject(reject)) => Err(reject),
        Err(Stop::Sqlite(error)) => Err(copy.refuse(&error, &place.name(), &notes.written)),
    }
}

/// Runs a statement that changes the schema, and follows it with catalogue and capture.
fn define(
    copy: &mut WorkingCopy,
    request: &SqlRequest,
    place: &Place<'_>,
    notes: &Notes,
    output: &mut Output,
) -> Result<(), Reject> {
    let before = copy.catalogue.clone();
    let own = |e: SqlError| Reject::internal("following a schema change", e);
    let altered = notes.altered.as_ref().and_then(|touched| touched.table(&before));
    if let Some(def) = altered
        && let Some(table) = copy.capture.state().table(def.id)
    {
        // SQLite refuses to drop a column that a trigger names, and ours names all.
        copy.db.exec(&table.drop_triggers()).map_err(own)?;
    }
    {
        let guard = copy.guard.clone();
        let (stmt, ..) = prepare(&copy.db, &guard, place)?;
        let mut stmt =
            stmt.ok_or_else(|| Reject::internal("compiling a statement", "it vanished"))?;
        let done = step_all(&mut stmt, (&guard, notes), &request.params, output);
        drop(stmt);
        match done {
            Ok(()) => {}
            Err(Stop::Reject(reject)) => return Err(reject),
            Err(Stop::Sqlite(error)) => {
                return Err(copy.refuse(&error, &place.name(), &notes.written));
            }
        }
    }
    let namespace = notes.defined.as_ref().and_then(|d| d.namespace.as_deref());
    copy.defined.extend(namespace.and_then(|name| before.namespace_id(name)));
    if notes.only_creates() {
        copy.shadows.created(&copy.rights, place, notes, &request.params);
        // A script of a thousand CREATE TABLEs is followed once, not after each.
        copy.behind = true;
        return Ok(());
    }
    copy.shadows.clear();
    let (next, mut evolution) = evolve(&copy.db, &before, notes.altered.as_ref())?;
    check_tables(copy, &next)?;
    if let Some(def) = altered
        && next.table_by_id(def.id).is_some()
        && !evolution.altered.contains(&def.id)
    {
        evolution.altered.push(def.id);
    }
    copy.forget_statements()?;
    follow(copy, &before, next, &evolution)
}

/// Follows what CREATE statements have made since the catalogue was read.
fn catch_up(copy: &mut WorkingCopy) -> Result<(), Reject> {
    if !std::mem::take(&mut copy.behind) {
        return Ok(());
    }
    let before = copy.catalogue.clone();
    let (next, evolution) = evolve(&copy.db, &before, None)?;
    check_tables(copy, &next)?;
    copy.forget_statements()?;
    follow(copy, &before, next, &evolution)
}

/// There are no more tables than an instance can have.
fn check_tables(copy: &WorkingCopy, next: &Catalogue) -> Result<(), Reject> {
    match next.tables.len() {
        found if found <= limits::TABLES => Ok(()),
        found if copy.rights.is_everything() => Err(Reject::limit("tables", found, limits::TABLES)),
        _ => Err(Reject::full("tables", limits::TABLES)),
    }
}

fn follow(
    copy: &mut WorkingCopy,
    before: &Catalogue,
    next: Catalogue,
    evolution: &Evolution,
) -> Result<(), Reject> {
    let own = |e: SqlError| Reject::internal("following a schema change", e);
    let capture = copy.capture.clone();
    for id in &evolution.reshaped {
        let (Some(was), Some(is)) = (before.table_by_id(*id), next.table_by_id(*id)) else {
            continue;
        };
        let (was, is) = (Table::of(was, before), Table::of(is, &next));
        let keys: Vec<usize> = was.parts.iter().map(|p| p.index).collect();
        let db = &copy.db;
        capture.state().reshape(&was, &is, |image| rows::read_one(db, &is, image, &keys))?;
    }
    capture.state().set_tables(&next);
    for id in evolution.altered.iter().chain(&evolution.created) {
        let Some(table) = capture.state().table(*id) else { continue };
        copy.db.exec(&table.drop_triggers()).map_err(own)?;
        copy.db.exec(&table.create_triggers()).map_err(own)?;
    }
    for id in &evolution.created {
        // CREATE TABLE … AS SELECT brought rows before there was a trigger to tell of them.
        let Some(table) = capture.state().table(*id) else { continue };
        rows::read_all(&copy.db, &table, &mut |image| capture.state().inserted(&table, image))?;
    }
    if evolution.changed {
        copy.catalogue = Arc::new(next);
    }
    Ok(())
}

/// Compiles the first statement at `place` as a client's.
pub(super) fn prepare<'db>(
    db: &'db Db,
    guard: &Guard,
    place: &Place<'_>,
) -> Result<(Option<Stmt<'db>>, usize, Notes), Reject> {
    let (made, notes) = guard.watch(Mode::Script, || db.prepare_first(place.rest()));
    match made {
        Ok((stmt, used)) => Ok((stmt, used, notes)),
        Err(error) => Err(place.refused(&error, &notes)),
    }
}

/// Why a statement stopped.
pub(super) enum Stop {
    Sqlite(SqlError),
    Reject(Reject),
}

impl Stop {
    /// As the refusal of the statement at `place`.
    pub fn reject(self, place: &Place<'_>) -> Reject {
        match self {
            Self::Sqlite(error) => Reject::of_sqlite(&error, &place.name()),
            Self::Reject(reject) => reject,
        }
    }
}

/// Runs a statement to its end.
pub(super) fn step_all(
    stmt: &mut Stmt<'_>,
    (guard, notes): (&Guard, &Notes),
    params: &[Value],
    output: &mut Output,
) -> Result<(), Stop> {
    check_params(stmt, params).map_err(Stop::Reject)?;
    let values: Vec<ValueRef<'_>> = params.iter().map(Value::as_ref).collect();
    stmt.bind(&values).map_err(Stop::Sqlite)?;
    output.start(stmt);
    // A statement may be compiled again while it is stepped, as a client's still.
    let (done, notes) = guard.watch_on(Mode::Script, notes.of_kind(), || {
        while stmt.step().map_err(Stop::Sqlite)? {
            output.take(stmt).map_err(Stop::Reject)?;
        }
        Ok(())
    });
    match (done, notes.denied) {
        (Err(_), Some((code, why))) => Err(Stop::Reject(Reject::new(code, why))),
        (done, _) => done,
    }
}

/// The statement has as many parameters as there are values.
pub(crate) fn check_params(stmt: &Stmt<'_>, params: &[Value]) -> Result<(), Reject> {
    let (found, expected) = (params.len(), stmt.parameters());
    if found == expected {
        return Ok(());
    }
    Err(Reject::new(
        RejectCode::Malformed,
        format!("the statement has {expected} parameters, {found} values given"),
    ))
}

/// Result rows, up to a number of bytes.
pub(crate) struct Output {
    /// One set for each statement that yields rows.
    pub sets: Vec<ResultSet>,
    wanted: bool,
    bytes: usize,
    allowed: usize,
}

impl Output {
    /// Rows are kept where they are `wanted`.
    pub fn new(wanted: bool, allowed: usize) -> Self {
        Self { sets: Vec::new(), wanted, bytes: 0, allowed }
    }

    /// A statement begins.
    pub fn start(&mut self, stmt: &Stmt<'_>) {
        if self.wanted && stmt.columns() > 0 {
            let columns = (0..stmt.columns()).map(|i| stmt.column_name(i)).collect();
            self.sets.push(ResultSet { columns, rows: Vec::new() });
        }
    }

    /// It has a row.
    pub fn take(&mut self, stmt: &Stmt<'_>) -> Result<(), Reject> {
        let Some(set) = self.sets.last_mut().filter(|_| self.wanted) else { return Ok(()) };
        let mut row = Vec::with_capacity(set.columns.len());
        for (i, name) in set.columns.iter().enumerate() {
            let value = stmt.value(i).map_err(|_| {
                Reject::new(
                    RejectCode::NotUtf8,
                    format!("result column \"{name}\": the TEXT value is not UTF-8"),
                )
            })?;
            self.bytes += size_of::<Value>() + value.var_len();
            row.push(value.to_owned());
        }
        if self.bytes > self.allowed {
            return Err(Reject::limit("bytes of result rows", self.bytes, self.allowed));
        }
        set.rows.push(row);
        Ok(())
    }
}

/// A statement's place in the SQL text.
pub(crate) struct Place<'a> {
    /// The whole text.
    pub sql: &'a str,
    /// First byte of the statement.
    pub start: usize,
    /// Its number, from 1.
    pub number: usize,
}

impl<'a> Place<'a> {
    /// The text from here on.
    pub fn rest(&self) -> &'a str {
        self.sql.get(self.start..).unwrap_or_default()
    }

    /// What to call it in a message.
    pub fn name(&self) -> String {
        let text = self.rest();
        let start = self.start + (text.len() - text.trim_start().len());
        let (line, _) = self.line_and_column(start);
        format!("statement {}, line {line}", self.number)
    }

    fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let before = self.sql.get(..byte).unwrap_or(self.sql);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The refusal of a statement for what it is.
    pub fn not_allowed(&self, why: &str) -> Reject {
        Reject::new(RejectCode::NotAllowed, format!("{}: {why}", self.name()))
    }

    /// The refusal of a statement that SQLite could not compile.
    pub fn refused(&self, error: &SqlError, notes: &Notes) -> Reject {
        if let Some((code, why)) = &notes.denied {
            return Reject::new(*code, format!("{}: {why}", self.name()));
        }
        let context = match error.offset {
            Some(offset) => {
                let (line, column) = self.line_and_column(self.start + offset);
                format!("statement {}, line {line}, column {column}", self.number)
            }
            None => self.name(),
        };
        Reject::of_sqlite(error, &context)
    }
}
