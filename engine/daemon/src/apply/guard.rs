//! What a statement may do: the authorizer, the time budget, and notes of what it will touch.
//!
//! SQLite asks the authorizer while it compiles a statement, the programs of its triggers and of
//! foreign keys included; the answers are noted for the caller.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OpenFlags};

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::request::RejectCode;

use super::db::{Db, SqlError};
use super::error::ApplyError;
use super::functions;
use super::reach::Reach;
use super::tables::quote;

/// Name of the function that the capture triggers call.
pub(crate) const CAPTURE: &str = "shmirror_capture";

/// Why a query may not write.
pub(crate) const READ_ONLY: &str =
    "a query may only read; a statement that writes is sent as a request";

/// Virtual machine instructions between two looks at the clock.
const STEPS: i32 = 4_096;

/// Whose statements are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Mode {
    /// Our own: everything is allowed, nothing is noted.
    Own = 0,
    /// Our own, for a request: everything is allowed and noted.
    Plan = 1,
    /// A client's SQL that may write.
    Script = 2,
    /// A client's SQL that may only read.
    Query = 3,
}

/// A table, a view or a trigger, as SQLite names it to the authorizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touched {
    /// Its namespace. `None` where the statement names none and needs no column of it (`SELECT
    /// count(*) FROM pid`): then SQLite does not say.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Touched {
    /// Takes SQLite's two names.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self { namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    /// Whether it can be this one, ASCII case folded.
    pub fn is(&self, namespace: &str, name: &str) -> bool {
        let of = self.namespace.as_deref();
        self.name.eq_ignore_ascii_case(name) && of.is_none_or(|n| n.eq_ignore_ascii_case(namespace))
    }

    /// The table that it is, found as SQLite finds it: a bare name in the first namespace that has it.
    pub fn table<'c>(&self, catalogue: &'c Catalogue) -> Option<&'c TableDef> {
        match &self.namespace {
            Some(namespace) => catalogue.table_in(namespace, &self.name),
            None => catalogue
                .all_namespaces()
                .find_map(|(_, namespace)| catalogue.table_in(namespace, &self.name)),
        }
    }
}

/// What a statement touches, as SQLite told while compiling it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// It changes the schema.
    pub ddl: bool,
    /// The object that it creates or drops, or whose table it alters.
    pub defined: Option<Touched>,
    /// The table that ALTER TABLE names.
    pub altered: Option<Touched>,
    /// The table that DROP TABLE names.
    dropped: Option<Touched>,
    /// Tables and views that are read.
    pub read: Vec<Touched>,
    /// It asks for the schema itself.
    pub reads_schema: bool,
    /// Tables that are written, by triggers and foreign keys too.
    pub written: Vec<Touched>,
    /// Triggers and views that are part of it.
    pub programs: Vec<Touched>,
    /// Why it is denied.
    pub denied: Option<(RejectCode, String)>,
}

#[derive(Debug, Default)]
struct Noted {
    notes: Notes,
    /// How far the client's statements reach; `None` for everywhere.
    reach: Option<Reach>,
}

#[derive(Debug)]
struct Shared {
    mode: AtomicU8,
    noted: Mutex<Noted>,
    start: Instant,
    /// Nanoseconds after `start`; 0 for no deadline.
    deadline: AtomicU64,
}

/// The authorizer and the clock of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Guard(Arc<Shared>);

impl Guard {
    /// Puts a guard on `connection`; its mode is [`Mode::Own`].
    pub fn install(connection: &mut rusqlite::Connection) -> Result<Self, SqlError> {
        let shared = Arc::new(Shared {
            mode: AtomicU8::new(Mode::Own as u8),
            noted: Mutex::default(),
            start: Instant::now(),
            deadline: AtomicU64::new(0),
        });
        let (of_authorizer, of_clock) = (shared.clone(), shared.clone());
        connection
            .authorizer(Some(move |context: AuthContext<'_>| of_authorizer.judge(&context)))?;
        connection.progress_handler(STEPS, Some(move || of_clock.is_late()))?;
        Ok(Self(shared))
    }

    /// Runs `compile` in `mode`; returns its result and the notes taken.
    pub fn watch<T>(&self, mode: Mode, compile: impl FnOnce() -> T) -> (T, Notes) {
        self.watch_on(mode, Notes::default(), compile)
    }

    /// Runs `run` in `mode`; what is noted begins with `notes`.
    pub fn watch_on<T>(&self, mode: Mode, notes: Notes, run: impl FnOnce() -> T) -> (T, Notes) {
        self.0.noted().notes = notes;
        let before = self.0.mode.swap(mode as u8, Ordering::Relaxed);
        let result = run();
        self.0.mode.store(before, Ordering::Relaxed);
        let notes = std::mem::take(&mut self.0.noted().notes);
        (result, notes)
    }

    /// A client's statements that may write ([`Mode::Script`]) reach no further than this from now on.
    pub fn limit(&self, reach: Option<Reach>) {
        self.0.noted().reach = reach;
    }

    /// Statements are interrupted from `time` after now on.
    pub fn start_clock(&self, time: Duration) {
        let end = self.0.start.elapsed().saturating_add(time).as_nanos();
        self.0.deadline.store(u64::try_from(end).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// Statements are no longer interrupted.
    pub fn stop_clock(&self) {
        self.0.deadline.store(0, Ordering::Relaxed);
    }

    /// Whether the time is over.
    pub fn is_late(&self) -> bool {
        self.0.is_late()
    }
}

impl Shared {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_late(&self) -> bool {
        match self.deadline.load(Ordering::Relaxed) {
            0 => false,
            end => self.start.elapsed().as_nanos() > u128::from(end),
        }
    }

    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let mode = self.mode.load(Ordering::Relaxed);
        if mode == Mode::Own as u8 {
            return Authorization::Allow;
        }
        let mut noted = self.noted();
        let Noted { notes, reach } = &mut *noted;
        notes.take(context);
        if mode == Mode::Plan as u8 {
            return Authorization::Allow;
        }
        let is_query = mode == Mode::Query as u8;
        let refusal = notes.refusal(context, is_query).map(|why| (RejectCode::NotAllowed, why));
        let reach = reach.as_ref().filter(|_| !is_query);
        let refusal = refusal.or_else(|| reach.and_then(|reach| reach.refusal(notes, context)));
        match refusal {
            Some(why) => {
                notes.denied.get_or_insert(why);
                Authorization::Deny
            }
            None => Authorization::Allow,
        }
    }
}

impl Notes {
    /// Whether it only makes schema objects, or drops some that have no rows: several such
    /// statements together leave no doubt about what each did.
    pub fn only_creates(&self) -> bool {
        self.ddl && self.altered.is_none() && self.dropped.is_none()
    }

    /// What the statement itself is, for when it runs: SQLite may compile more then.
    pub fn of_kind(&self) -> Self {
        let (altered, dropped) = (self.altered.clone(), self.dropped.clone());
        Self { ddl: self.ddl, altered, dropped, ..Self::default() }
    }

    /// Whether it alters a table or drops one, for which SQLite itself goes through its temporary
    /// schema, where our triggers are.
    pub fn reworks(&self) -> bool {
        self.altered.is_some() || self.dropped.is_some()
    }

    fn take(&mut self, context: &AuthContext<'_>) {
        let database = context.database_name;
        let note = |list: &mut Vec<Touched>, name: &str| {
            let known = |t: &Touched| t.name == name && t.namespace.as_deref() == database;
            if !list.iter().any(known) {
                list.push(Touched::new(database, name));
            }
        };
        // Programs cannot leave their namespace, so what they touch says where they are.
        if let Some(program) = context.accessor {
            note(&mut self.programs, program);
        }
        match context.action {
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => note(&mut self.written, table_name),
            AuthAction::Read { table_name, .. } => {
                let starts =
                    |p: &str| table_name.get(..p.len()).is_some_and(|s| s.eq_ignore_ascii_case(p));
                self.reads_schema |= starts("sqlite_") || starts("pragma_");
                note(&mut self.read, table_name);
            }
            AuthAction::Pragma { .. } => self.reads_schema = true,
            AuthAction::AlterTable { table_name, database_name } => {
                self.ddl = true;
                self.altered = Some(Touched::new(Some(database_name), table_name));
                self.defined.clone_from(&self.altered);
            }
            AuthAction::DropTable { table_name } => {
                self.ddl = true;
                self.dropped = Some(Touched::new(database, table_name));
                self.defined.clone_from(&self.dropped);
            }
            AuthAction::CreateTable { table_name: name }
            | AuthAction::CreateIndex { index_name: name, .. }
            | AuthAction::CreateView { view_name: name }
            | AuthAction::CreateTrigger { trigger_name: name, .. }
            | AuthAction::DropIndex { index_name: name, .. }
            | AuthAction::DropView { view_name: name }
            | AuthAction::DropTrigger { trigger_name: name, .. } => {
                self.ddl = true;
                // DROP TABLE drops indexes and triggers too.
                self.defined.get_or_insert_with(|| Touched::new(database, name));
            }
            _ => {}
        }
    }

    /// Why a client's statement may not do this.
    fn refusal(&self, context: &AuthContext<'_>, only_reads: bool) -> Option<String> {
        // ALTER TABLE itself uses quick_check.
        const READ_PRAGMAS: [&str; 11] = [
            "table_info",
            "table_xinfo",
            "table_list",
            "index_list",
            "index_info",
            "index_xinfo",
            "foreign_key_list",
            "foreign_key_check",
            "collation_list",
            "function_list",
            "quick_check",
        ];
        let no = |what: &str| Some(what.to_owned());
        match context.action {
            AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. }
                if only_reads =>
            {
                no(READ_ONLY)
            }
            AuthAction::Attach { .. } | AuthAction::Detach { .. } => no(
                "ATTACH and DETACH are not allowed: the databases of an instance are its namespaces",
            ),
            AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => {
                no("BEGIN, COMMIT, ROLLBACK and SAVEPOINT are not allowed: a request is one \
                 transaction already")
            }
            AuthAction::Pragma { pragma_name, .. }
                if !READ_PRAGMAS.iter().any(|p| p.eq_ignore_ascii_case(pragma_name)) =>
            {
                Some(format!(
                    "PRAGMA {pragma_name} is not allowed; allowed are {}",
                    READ_PRAGMAS.join(", ")
                ))
            }
            AuthAction::Analyze { .. } => {
                no("ANALYZE is not allowed: the store keeps no statistics")
            }
            AuthAction::CreateVtable { table_name, .. }
            | AuthAction::DropVtable { table_name, .. } => {
                Some(format!("virtual table \"{table_name}\": virtual tables are not mirrored"))
            }
            // DROP TABLE drops our own triggers on that table too.
            AuthAction::DropTempTrigger { table_name, .. }
                if self
                    .dropped
                    .as_ref()
                    .is_some_and(|t| t.name.eq_ignore_ascii_case(table_name)) =>
            {
                None
            }
            AuthAction::CreateTempTable { table_name: name }
            | AuthAction::DropTempTable { table_name: name }
            | AuthAction::CreateTempView { view_name: name }
            | AuthAction::DropTempView { view_name: name }
            | AuthAction::CreateTempIndex { index_name: name, .. }
            | AuthAction::DropTempIndex { index_name: name, .. }
            | AuthAction::CreateTempTrigger { trigger_name: name, .. }
            | AuthAction::DropTempTrigger { trigger_name: name, .. } => Some(format!(
                "TEMP object \"{name}\": temporary objects are not allowed, as a request has no \
                 session"
            )),
            // The capture function is SQLITE_DIRECTONLY: of all triggers and views only our
            // temporary ones can call it, whatever theirs are called.
            AuthAction::Function { function_name }
                if function_name.eq_ignore_ascii_case(CAPTURE) && context.accessor.is_none() =>
            {
                Some(format!("function {function_name}() is the daemon's own"))
            }
            AuthAction::Function { function_name }
                if function_name.eq_ignore_ascii_case("load_extension") =>
            {
                no("function load_extension() is not allowed")
            }
            _ => None,
        }
    }
}

/// Opens an empty database in memory, for one thread at a time, with a guard on it.
pub(crate) fn open() -> Result<(Db, Guard), SqlError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_in_memory_with_flags(flags)?;
    let guard = Guard::install(&mut connection)?;
    let db = Db::new(connection);
    harden(&db)?;
    functions::install(&db)?;
    Ok((db, guard))
}

/// Attaches an empty database in memory to a connection that [`open`] made, under the name of a
/// namespace. No transaction may be open.
///
/// # Errors
/// [`ApplyError::Attached`] where this SQLite takes no more, or SQLite refuses otherwise.
pub(crate) fn attach(db: &Db, name: &str) -> Result<(), ApplyError> {
    use rusqlite::limits::Limit;
    let conn = db.connection();
    let failed = |e: SqlError| ApplyError::sqlite("attaching a namespace", &e);
    let set =
        |limit| conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, limit).map_err(|e| failed(e.into()));
    let there = (2..).take_while(|i| conn.db_name(*i).is_ok()).count();
    // SQLite takes the limit down to the one that it was built with.
    set(i32::MAX)?;
    let allowed = conn.limit(Limit::SQLITE_LIMIT_ATTACHED).map_err(|e| failed(e.into()));
    let done = allowed.and_then(|allowed| {
        let allowed = usize::try_from(allowed).unwrap_or(0);
        if there >= allowed {
            return Err(ApplyError::Attached { found: there + 1, allowed });
        }
        db.exec(&format!("ATTACH ':memory:' AS {}", quote(name))).map_err(failed)
    });
    set(0)?;
    done
}

/// Settings that every connection with plaintext in it shares: nothing is ever written to a file.
fn harden(db: &Db) -> Result<(), SqlError> {
    use rusqlite::config::DbConfig;
    use rusqlite::limits::Limit;
    use shmirror_shm::limits;
    let conn = db.connection();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    // Nobody attaches but `attach`.
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, functions::LIKE_PATTERN_BYTES)?;
    // A little more than a row may have, so that our own check comes first and names the column.
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, number(limits::ROW_BYTES + (1 << 20)))?;
    // Statements of ours name every column of a table three times.
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, number(limits::SQL_BYTES.max(1 << 20)))?;
    db.exec("PRAGMA temp_store=MEMORY")
}
