//! The working copy: all tables in an in-memory SQLite database, where SQL rules are enforced.
//!
//! What flows in: the catalogue and rows at start, then requests, in groups. What flows out: for
//! each request its net changes as row images, or why it is refused. Nothing here is durable: the
//! pipeline commits what comes out, then calls [`WorkingCopy::commit_group`], or
//! [`WorkingCopy::rollback_group`] where the store refused.
//!
//! ```text
//! begin_group ─► apply ─► apply ─► … ─► commit_group      BEGIN … COMMIT
//!                  │                    rollback_group    BEGIN … ROLLBACK
//!                  └ SAVEPOINT … RELEASE, or ROLLBACK TO where the request is refused
//! ```
//! Typed changes of plain tables are done without SQLite (`direct`), and stand in an `overlay` until
//! something needs SQLite: so BEGIN comes with the first request of a group that does.
//!
//! Changes are captured by temporary AFTER triggers that call a function of ours with the old and
//! new values of each row. Some errors (an interrupt, no memory, a trigger's RAISE(ROLLBACK)) make
//! SQLite roll back the *whole* transaction: then the requests of the group before the failed one
//! are done again from their changes.
//!
//! ```text
//! changes, plan   typed changes as statements           capture, tables   what the triggers tell
//! direct, overlay typed changes without statements      places              rows by table and key
//! script          SQL text, statement by statement      delta             the net change, as told
//! guard, replace  what a statement may do               schema, create    catalogue after DDL
//! reach, shadow   what is there for who asks
//! reject, foreign why not, in words                     load, rows        rows past the rules
//! sequences       AUTOINCREMENT                         functions         what SQLite does too slowly
//! db, stmt        the layer on SQLite; unsafe is here   words             bare words of SQL
//! ```

mod capture;
mod changes;
pub(crate) mod create;
pub(crate) mod db;
mod delta;
mod direct;
mod error;
mod foreign;
mod functions;
pub(crate) mod guard;
mod load;
mod overlay;
pub(crate) mod places;
mod plan;
mod reach;
pub(crate) mod reject;
mod replace;
pub(crate) mod rows;
mod schema;
pub(crate) mod script;
pub(crate) mod sequences;
mod shadow;
mod stmt;
pub(crate) mod tables;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::config::DbConfig;
use shmirror_shm::catalogue::{Catalogue, SchemaObject, TableDef};
use shmirror_shm::image::ImageRef;
use shmirror_shm::key::Key;
use shmirror_shm::limits;
use shmirror_shm::packed::{PackError, Packed};
use shmirror_shm::request::{RejectCode, Request, ResultSet, SqlRequest};

use capture::Capture;
use db::{Db, Kept, SqlError};
use guard::{Guard, Touched};
use overlay::{Overlay, Paused};
use reach::Reach;
use shadow::Shadows;
use words::Words;

use crate::rights::Rights;

pub use delta::{Applied, Changed, Changes, RowDelta, RowRevisions, SchemaDelta};
pub use error::ApplyError;
pub use reject::Reject;
pub use sequences::Sequences;

/// What one request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Time; a request that takes longer is interrupted and refused.
    pub time: Duration,
    /// Bytes of result rows.
    pub result_bytes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), result_bytes: 64 << 20 }
    }
}

/// A request, as it is applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// Changes that commit or fail as one. They may be none: that is found out when they are applied.
    Changes(Packed),
    /// SQL.
    Sql(SqlRequest),
}

impl Asked {
    /// What `request` asks for.
    ///
    /// # Errors
    /// Its changes are too large.
    pub fn of(request: Request) -> Result<Self, Reject> {
        Ok(match request {
            Request::Transaction(changes) => {
                Self::Changes(Packed::of(&changes).map_err(malformed)?)
            }
            Request::Sql(request) => Self::Sql(request),
        })
    }
}

fn malformed(error: PackError) -> Reject {
    Reject::new(RejectCode::Malformed, error.to_string())
}

/// The requests since `begin_group`.
#[derive(Debug)]
struct Group {
    before: Arc<Catalogue>,
    sequences_before: Sequences,
    done: Vec<Arc<Changes>>,
    has_schema: bool,
    /// BEGIN has run.
    is_open: bool,
}

/// The statements around each request.
#[derive(Clone, Copy, Debug)]
struct Steps {
    begin: Kept,
    savepoint: Kept,
    undo: Kept,
    release: Kept,
    commit: Kept,
    rollback: Kept,
}

/// The working copy. One thread at a time; it may move between threads.
pub struct WorkingCopy {
    db: Db,
    guard: Guard,
    capture: Capture,
    overlay: Overlay,
    catalogue: Arc<Catalogue>,
    sequences: Sequences,
    plans: plan::Plans,
    writers: rows::Writers,
    steps: Steps,
    /// What `changes()` counts from.
    counted: Arc<AtomicU64>,
    shadows: Shadows,
    /// Of whom the present request is.
    rights: Rights,
    group: Option<Group>,
    loading: bool,
    /// Within a request: CREATE statements ran that the catalogue does not show yet.
    behind: bool,
    /// Numbers of the namespaces in which the present request changed the schema.
    defined: Vec<u16>,
    /// Set when the copy no longer is what was committed.
    broken: Option<&'static str>,
    /// It is not what was committed even when the group is rolled back.
    lost: bool,
}

impl std::fmt::Debug for WorkingCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkingCopy")
            .field("schema_version", &self.catalogue.schema_version)
            .field("tables", &self.catalogue.tables.len())
            .field("group", &self.group.as_ref().map(|g| g.done.len()))
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl WorkingCopy {
    /// The catalogue as it is now, changes of the open group included.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Why this working copy can no longer be used, where it cannot: it is to be made anew.
    pub fn broken(&self) -> Option<&'static str> {
        self.broken
    }

    /// Whether `request` may change the schema, by its words alone: such a request ends its group.
    pub fn may_change_schema(request: &Asked) -> bool {
        let Asked::Sql(request) = request else { return false };
        Words::new(&request.sql).any(|word| {
            ["CREATE", "DROP", "ALTER"].iter().any(|ddl| word.eq_ignore_ascii_case(ddl))
        })
    }

    /// Opens a group of requests.
    ///
    /// # Errors
    /// A group is open, the rows are not loaded, or SQLite refuses.
    pub fn begin_group(&mut self) -> Result<(), ApplyError> {
        self.check_usable()?;
        if self.group.is_some() {
            return Err(ApplyError::State("begin_group while a group is open"));
        }
        if self.overlay.is_full() {
            self.tell_sqlite(false)?;
        }
        self.group = Some(Group {
            before: self.catalogue.clone(),
            sequences_before: self.sequences.clone(),
            done: Vec::new(),
            has_schema: false,
            is_open: false,
        });
        Ok(())
    }

    /// Tells SQLite of the rows of the overlay. `opens`: there is a group, whose transaction begins with
    /// this unless it is open.
    fn tell_sqlite(&mut self, opens: bool) -> Result<(), ApplyError> {
        let is_open = self.group.as_ref().is_some_and(|group| group.is_open);
        if is_open && self.overlay.is_empty() {
            return Ok(());
        }
        let Self { db, overlay, capture, steps, group, .. } = self;
        let paused = Paused::new(capture);
        let tables = |id| capture.state().table(id);
        let around = [steps.begin, steps.commit, steps.rollback];
        let told = if is_open {
            overlay.write_all(db, &tables)
        } else {
            overlay.write_early(db, &tables, around).and_then(|late| {
                if !opens {
                    return Ok(());
                }
                db.kept(steps.begin)?.run(std::iter::empty())?;
                if let Some(group) = group {
                    group.is_open = true;
                }
                overlay.write_late(db, &tables, &late)
            })
        };
        drop(paused);
        told.map_err(|error| {
            self.lost = true;
            self.broken = Some("SQLite did not take the rows that it had to be told of");
            ApplyError::sqlite("telling it of rows", &error)
        })
    }

    /// Applies one request of who may do everything.
    ///
    /// # Errors
    /// It is refused, and nothing of it remains.
    pub fn apply(
        &mut self,
        request: &Request,
        revisions: &dyn RowRevisions,
        budget: &Budget,
    ) -> Result<Applied, Reject> {
        let asked = Asked::of(request.clone())?;
        self.apply_as(&Rights::all(), &asked, revisions, budget)
    }

    /// Applies one request as a whole, of who may do what `rights` say.
    ///
    /// # Errors
    /// It is refused, and nothing of it remains.
    pub fn apply_as(
        &mut self,
        rights: &Rights,
        request: &Asked,
        revisions: &dyn RowRevisions,
        budget: &Budget,
    ) -> Result<Applied, Reject> {
        let usable = self.check_usable();
        usable.map_err(|e| Reject::internal("applying a request", e))?;
        match &self.group {
            None => return Err(Reject::internal("applying a request", "no group is open")),
            Some(group) if group.has_schema => {
                let why = "a schema change ends its group";
                return Err(Reject::internal("applying a request", why));
            }
            Some(_) => {}
        }
        let before = self.catalogue.clone();
        let sequences = self.sequences.clone();
        self.capture.state().clear();
        if self.rights != *rights {
            self.rights = rights.clone();
        }
        self.defined.clear();
        self.behind = false;
        let changes = match request {
            Asked::Changes(packed) => {
                if let Some(applied) = self.apply_directly(packed, revisions) {
                    return Ok(applied);
                }
                packed.unpack().map_err(malformed)?
            }
            Asked::Sql(_) => Vec::new(),
        };
        self.tell_sqlite(true).map_err(|e| Reject::internal("applying a request", e))?;
        // No request learns of another's.
        self.db.set_last_insert_rowid(0);
        self.counted.store(self.db.connection().total_changes(), Ordering::Relaxed);
        self.step(|s| s.savepoint, "beginning a request")
            .map_err(|e| Reject::internal("applying a request", e))?;
        self.guard.start_clock(budget.time);
        let done = match request {
            Asked::Changes(_) => changes::run(self, &changes, revisions).map(|()| Vec::new()),
            Asked::Sql(sql) => {
                self.guard.limit(Reach::of(rights, &before));
                let done = script::run(self, sql, budget);
                self.guard.limit(None);
                done
            }
        };
        let late = self.guard.is_late();
        self.guard.stop_clock();
        let done = done.and_then(|results| self.settle(&before, results)).and_then(|applied| {
            self.step(|s| s.release, "ending a request")
                .map_err(|e| Reject::internal("ending a request", e))?;
            Ok(applied)
        });
        match done {
            Ok(applied) => {
                if let Some(group) = &mut self.group {
                    group.done.push(applied.changes.clone());
                    group.has_schema |= applied.schema.is_some();
                }
                Ok(applied)
            }
            Err(reject) => {
                self.sequences = sequences;
                self.undo_request(&before);
                if late && matches!(reject.code, RejectCode::TimeLimit | RejectCode::Internal) {
                    let message = format!(
                        "the request took longer than the {:?} that a transaction may take",
                        budget.time
                    );
                    return Err(Reject::new(RejectCode::TimeLimit, message));
                }
                Err(reject)
            }
        }
    }

    /// Applies typed changes without SQLite. `None`: nothing of them is done.
    fn apply_directly(
        &mut self,
        changes: &Packed,
        revisions: &dyn RowRevisions,
    ) -> Option<Applied> {
        self.overlay.begin_request();
        let done = direct::run(self, changes, revisions).ok();
        let tables = |id| self.capture.state().table(id);
        let taken = done.and_then(|()| self.overlay.take_changes(tables).ok());
        let Some(changes) = taken else {
            self.overlay.undo_request();
            return None;
        };
        let count = changes.len() as u64;
        let changes = Arc::new(changes);
        if let Some(group) = &mut self.group {
            group.done.push(changes.clone());
        }
        Some(Applied { changes, count, ..Applied::default() })
    }

    /// Ends the group: its changes stay. To be called once they are durable.
    ///
    /// # Errors
    /// No group is open, or SQLite refuses; then the working copy is broken.
    pub fn commit_group(&mut self) -> Result<(), ApplyError> {
        self.check_usable()?;
        let Some(group) = self.group.take() else {
            return Err(ApplyError::State("commit_group without a group"));
        };
        self.overlay.end_group();
        if !group.is_open {
            return Ok(());
        }
        let done = self.step(|s| s.commit, "committing a group");
        if done.is_err() {
            self.broken = Some("a group could not be committed");
        }
        done
    }

    /// Ends the group: nothing of its changes remains.
    ///
    /// # Errors
    /// No group is open, or SQLite refuses; then the working copy is broken.
    pub fn rollback_group(&mut self) -> Result<(), ApplyError> {
        let Some(group) = self.group.take() else {
            return Err(ApplyError::State("rollback_group without a group"));
        };
        let done = if self.db.is_autocommit() {
            Ok(())
        } else {
            self.step(|s| s.rollback, "rolling back a group")
        };
        if group.is_open {
            self.overlay.clear();
        } else {
            self.overlay.undo_group();
        }
        self.set_catalogue(group.before);
        self.sequences = group.sequences_before;
        // Back at the group's beginning, whatever broke within the group is undone.
        self.broken = match self.lost {
            true => Some("SQLite lacks rows"),
            false => done.is_err().then_some("a group could not be rolled back"),
        };
        done
    }

    /// Calls `f` with key and image of each row of a table, as they are now.
    ///
    /// # Errors
    /// No such table, or SQLite refuses.
    pub fn for_each_row(
        &self,
        table: u32,
        mut f: impl FnMut(&Key, &ImageRef<'_>),
    ) -> Result<u64, ApplyError> {
        let of = self.capture.state().table(table);
        let table = of.ok_or(ApplyError::UnknownTable { found: table })?;
        let id = table.def.id;
        let mut count = 0;
        rows::read_all(&self.db, &table, &mut |image| {
            let key = capture::key_of(&table, &image)?;
            let newer = self.overlay.find(self.overlay.hash(id, &key), id, &key);
            let newer = newer.map(|place| self.overlay.image(place));
            f(&key, &newer.unwrap_or(image.as_ref()));
            count += 1;
            Ok(())
        })?;
        self.overlay.for_each_new(id, |key, image| {
            f(key, &image);
            count += 1;
        });
        Ok(count)
    }

    fn check_usable(&self) -> Result<(), ApplyError> {
        match self.broken {
            Some(why) => Err(ApplyError::State(why)),
            None if self.loading => Err(ApplyError::State("the rows are not loaded")),
            None => Ok(()),
        }
    }

    fn step(&self, pick: impl Fn(&Steps) -> Kept, what: &str) -> Result<(), ApplyError> {
        self.db
            .kept(pick(&self.steps))
            .and_then(|mut s| s.run(std::iter::empty()))
            .map_err(|e| ApplyError::sqlite(what, &e))
    }

    /// What the request changed, after the checks that come at its end.
    fn settle(
        &mut self,
        before: &Arc<Catalogue>,
        results: Vec<ResultSet>,
    ) -> Result<Applied, Reject> {
        let own = |e: SqlError| Reject::internal("ending a request", e);
        if self.db.has_broken_foreign_keys().map_err(own)? {
            let ids = self.capture.state().touched_tables();
            let name = |id: &u32| {
                let def = self.catalogue.table_by_id(*id)?;
                Some(Touched::new(Some(&def.namespace), &def.name))
            };
            let names: Vec<Touched> = ids.iter().filter_map(name).collect();
            let keys = foreign::explain(&self.db, &self.catalogue, &names);
            let message = format!("at the end of the request: {}{keys}", reject::FOREIGN_KEY);
            return Err(Reject::new(RejectCode::ForeignKey, message));
        }
        if !Arc::ptr_eq(before, &self.catalogue) {
            self.check_catalogue_size()?;
        }
        let sequences = self.settle_sequences(!Arc::ptr_eq(before, &self.catalogue))?;
        let changes = self.capture.state().drain()?;
        let schema = (!Arc::ptr_eq(before, &self.catalogue)).then(|| {
            let mut next = (*self.catalogue).clone();
            next.schema_version = before.schema_version + 1;
            self.catalogue = Arc::new(next);
            schema_delta(before, &self.catalogue, &self.defined)
        });
        let count = changes.len() as u64;
        Ok(Applied { changes: Arc::new(changes), schema, sequences, count, results })
    }

    fn check_catalogue_size(&self) -> Result<(), Reject> {
        let found = self.catalogue.to_bytes();
        let found = found.map_err(|e| Reject::internal("writing the catalogue", e))?.len();
        if found > limits::CATALOGUE_BYTES {
            if !self.rights.is_everything() {
                return Err(Reject::full("bytes of definitions", limits::CATALOGUE_BYTES));
            }
            let what = "bytes of all definitions of tables, indexes, views and triggers";
            return Err(Reject::limit(what, found, limits::CATALOGUE_BYTES));
        }
        Ok(())
    }

    /// Takes back what the failed request did.
    fn undo_request(&mut self, before: &Arc<Catalogue>) {
        self.capture.state().clear();
        if !self.defined.is_empty() {
            self.shadows.clear();
        }
        let undone = if self.db.is_autocommit() {
            self.redo_group(before)
        } else {
            let undone = self
                .step(|s| s.undo, "taking back a request")
                .and_then(|()| self.step(|s| s.release, "taking back a request"));
            self.set_catalogue(before.clone());
            undone
        };
        if undone.is_err() {
            self.broken = Some("a refused request could not be taken back");
        }
    }

    /// SQLite rolled everything back: the group's earlier requests are done again.
    fn redo_group(&mut self, before: &Arc<Catalogue>) -> Result<(), ApplyError> {
        self.set_catalogue(before.clone());
        self.step(|s| s.begin, "doing a group again")?;
        let Some(group) = &self.group else { return Ok(()) };
        let set_rules = |db: &Db, on: bool| {
            // Unlike PRAGMA foreign_keys, this works within a transaction.
            db.connection()
                .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, on)
                .and_then(|_| {
                    db.connection().set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, on)
                })
                .map_err(|e| ApplyError::sqlite("doing a group again", &e.into()))
        };
        set_rules(&self.db, false)?;
        self.capture.state().pause(true);
        let table_of = |id| self.capture.state().table(id);
        let mut done = Ok(());
        for deltas in &group.done {
            done = self.writers.redo(&mut self.db, deltas, table_of);
            if done.is_err() {
                break;
            }
        }
        self.capture.state().pause(false);
        set_rules(&self.db, true)?;
        done?;
        self.redo_sequences()
    }

    fn set_catalogue(&mut self, catalogue: Arc<Catalogue>) {
        if !Arc::ptr_eq(&self.catalogue, &catalogue) {
            self.capture.state().set_tables(&catalogue);
            self.catalogue = catalogue;
            self.shadows.clear();
            if self.forget_statements().is_err() {
                self.broken = Some("its statements could not be compiled again");
            }
        }
    }

    /// Lets go of all compiled statements but those around requests.
    fn forget_statements(&mut self) -> Result<(), Reject> {
        self.db.forget();
        self.plans.clear();
        self.writers.clear();
        self.overlay.forget_statements();
        self.steps = Steps::keep(&mut self.db)
            .map_err(|e| Reject::internal("compiling statements again", e))?;
        Ok(())
    }

    /// Compiles and runs what follows with, or without, DELETE triggers for replaced rows.
    ///
    /// SQLite's default, without, keeps triggers from entering themselves again, which a trigger
    /// that updates its own row relies on; but then nothing would tell of rows that REPLACE removes.
    fn recursive(&self, on: bool) -> Result<(), Reject> {
        self.db
            .set_recursive_triggers(on)
            .map_err(|e| Reject::internal("setting recursive triggers", e))
    }

    fn check_clock(&self) -> Result<(), Reject> {
        if self.guard.is_late() {
            return Err(Reject::new(RejectCode::TimeLimit, "the request took too long"));
        }
        Ok(())
    }

    /// The refusal that SQLite's `error` about `context` comes to; `written` names the tables that
    /// the failed statement writes.
    fn refuse(&self, error: &SqlError, context: &str, written: &[Touched]) -> Reject {
        if let Some(fault) = self.capture.state().take_fault() {
            return fault;
        }
        let mut reject = Reject::of_sqlite(error, context);
        if reject.code == RejectCode::ForeignKey && !self.db.is_autocommit() {
            reject.message.push_str(&foreign::explain(&self.db, &self.catalogue, written));
        }
        reject
    }
}

impl Steps {
    fn keep(db: &mut Db) -> Result<Self, SqlError> {
        Ok(Self {
            begin: db.keep("BEGIN")?,
            savepoint: db.keep("SAVEPOINT request")?,
            undo: db.keep("ROLLBACK TO request")?,
            release: db.keep("RELEASE request")?,
            commit: db.keep("COMMIT")?,
            rollback: db.keep("ROLLBACK")?,
        })
    }
}

/// `defined`: where the request changed the schema, be it only to change it back.
fn schema_delta(before: &Catalogue, after: &Arc<Catalogue>, defined: &[u16]) -> SchemaDelta {
    let is_other = |name: &str| {
        let is_table = |t: &&TableDef| t.namespace == name;
        let is_object = |o: &&SchemaObject| o.namespace == name;
        !before.tables.iter().filter(is_table).eq(after.tables.iter().filter(is_table))
            || !before.objects.iter().filter(is_object).eq(after.objects.iter().filter(is_object))
    };
    let mut parts: Vec<u16> =
        after.all_namespaces().filter(|(_, name)| is_other(name)).map(|(id, _)| id).collect();
    if parts.is_empty() {
        // What is left of it is a number that no table gets again; it has to be kept somewhere.
        parts.extend(defined.iter().min());
    }
    let mut delta = SchemaDelta {
        catalogue: after.clone(),
        parts,
        created: Vec::new(),
        reshaped: Vec::new(),
        dropped: Vec::new(),
    };
    for table in &after.tables {
        match before.table_by_id(table.id) {
            None => delta.created.push(table.id),
            Some(was) if was.shape != table.shape => delta.reshaped.push(table.id),
            Some(_) => {}
        }
    }
    delta.dropped = before
        .tables
        .iter()
        .filter(|t| after.table_by_id(t.id).is_none())
        .map(|t| (t.id, t.shape))
        .collect();
    delta
}
