//! What a statement may do: the authorizer, the time budget, and notes of what it will touch.
//!
//! SQLite asks the authorizer while it compiles a statement, the programs of its triggers and of
//! foreign keys included; the answers are noted for the caller.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, OpenFlags};

use super::db::{Db, SqlError};
use super::functions;

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

/// What a statement touches, as SQLite told while compiling it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// It changes the schema.
    pub ddl: bool,
    /// The table that ALTER TABLE names.
    pub altered: Option<String>,
    /// The table that DROP TABLE names.
    dropped: Option<String>,
    /// Tables and views that are read.
    pub read: Vec<String>,
    /// It asks for the schema itself.
    pub reads_schema: bool,
    /// Tables that are written, by triggers and foreign keys too.
    pub written: Vec<String>,
    /// Triggers and views that are part of it.
    pub programs: Vec<String>,
    /// Why it is denied.
    pub denied: Option<String>,
}

#[derive(Debug)]
struct Shared {
    mode: AtomicU8,
    notes: Mutex<Notes>,
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
            notes: Mutex::default(),
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
        *self.0.notes.lock().unwrap_or_else(PoisonError::into_inner) = Notes::default();
        let before = self.0.mode.swap(mode as u8, Ordering::Relaxed);
        let result = compile();
        self.0.mode.store(before, Ordering::Relaxed);
        let notes =
            std::mem::take(&mut *self.0.notes.lock().unwrap_or_else(PoisonError::into_inner));
        (result, notes)
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
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.take(context);
        if mode == Mode::Plan as u8 {
            return Authorization::Allow;
        }
        let refusal = notes.refusal(context, mode == Mode::Query as u8);
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

    fn take(&mut self, context: &AuthContext<'_>) {
        if let Some(program) = context.accessor
            && !self.programs.iter().any(|p| p == program)
        {
            self.programs.push(program.to_owned());
        }
        match context.action {
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. }
                if !self.written.iter().any(|t| t == table_name) =>
            {
                self.written.push(table_name.to_owned());
            }
            AuthAction::Read { table_name, .. } => {
                let starts =
                    |p: &str| table_name.get(..p.len()).is_some_and(|s| s.eq_ignore_ascii_case(p));
                self.reads_schema |= starts("sqlite_") || starts("pragma_");
                if !self.read.iter().any(|t| t == table_name) {
                    self.read.push(table_name.to_owned());
                }
            }
            AuthAction::Pragma { .. } => self.reads_schema = true,
            AuthAction::AlterTable { table_name, .. } => {
                self.ddl = true;
                self.altered = Some(table_name.to_owned());
            }
            AuthAction::DropTable { table_name } => {
                self.ddl = true;
                self.dropped = Some(table_name.to_owned());
            }
            AuthAction::CreateTable { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::DropIndex { .. }
            | AuthAction::DropView { .. }
            | AuthAction::DropTrigger { .. } => self.ddl = true,
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
            AuthAction::Attach { .. } => no("ATTACH is not allowed: an instance is one database"),
            AuthAction::Detach { .. } => no("DETACH is not allowed: an instance is one database"),
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
                if self.dropped.as_deref().is_some_and(|t| t.eq_ignore_ascii_case(table_name)) =>
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

/// Settings that every connection with plaintext in it shares: nothing is ever written to a file.
fn harden(db: &Db) -> Result<(), SqlError> {
    use rusqlite::config::DbConfig;
    use rusqlite::limits::Limit;
    use shmirror_shm::limits;
    let conn = db.connection();
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    conn.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, functions::LIKE_PATTERN_BYTES)?;
    // A little more than a row may have, so that our own check comes first and names the column.
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, number(limits::ROW_BYTES + (1 << 20)))?;
    // Statements of ours name every column of a table three times.
    conn.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, number(limits::SQL_BYTES.max(1 << 20)))?;
    db.exec("PRAGMA temp_store=MEMORY")
}
