//! A thin, safe layer on one SQLite connection.
//!
//! What flows in: SQL text. What flows out: statements (see [`super::stmt`]), and errors with SQLite's
//! extended code, its message and the place in the text. Statements borrow the connection or are
//! kept by it, so none outlives it.

use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};

use rusqlite::{Connection, ffi};

use super::stmt::Stmt;

/// What SQLite answered instead of a result.
#[derive(Clone, Debug)]
pub(crate) struct SqlError {
    /// Extended result code.
    pub code: c_int,
    /// SQLite's message.
    pub message: String,
    /// Byte in the statement's text that the error is about.
    pub offset: Option<usize>,
}

impl SqlError {
    /// The primary result code.
    pub fn primary(&self) -> c_int {
        self.code & 0xFF
    }

    fn misuse(message: &str) -> Self {
        Self { code: ffi::SQLITE_MISUSE, message: message.to_owned(), offset: None }
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        let code = match &error {
            rusqlite::Error::SqliteFailure(e, _) => e.extended_code,
            _ => ffi::SQLITE_ERROR,
        };
        Self { code, message: error.to_string(), offset: None }
    }
}

impl std::fmt::Display for SqlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (SQLite code {})", self.message, self.code)
    }
}

/// Names a statement that the connection keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    index: usize,
    epoch: u64,
}

/// A kept statement, and whether a [`Stmt`] has it at this moment.
struct Slot {
    raw: *mut ffi::sqlite3_stmt,
    busy: Cell<bool>,
}

/// One connection and the statements that it keeps.
pub(crate) struct Db {
    kept: Vec<Slot>,
    epoch: u64,
    recursive: Cell<bool>,
    conn: Connection,
}

// SAFETY: the raw pointers in `kept` belong to `conn` and are used only through `&Db`/`&mut Db`. Db
// is not Sync (Connection is not), and SQLite lets a connection and its statements move together
// from thread to thread.
unsafe impl Send for Db {}

impl Drop for Db {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Db {
    /// Takes a connection.
    pub fn new(conn: Connection) -> Self {
        Self { kept: Vec::new(), epoch: 0, recursive: Cell::new(false), conn }
    }

    /// The connection, for hooks, functions and limits.
    pub fn connection(&self) -> &Connection {
        &self.conn
    }

    fn handle(&self) -> *mut ffi::sqlite3 {
        // SAFETY: the handle is used within this module only, while `self` is borrowed.
        unsafe { self.conn.handle() }
    }

    /// What SQLite says of the call that just gave `code`.
    pub(super) fn error(&self, code: c_int) -> SqlError {
        let db = self.handle();
        // SAFETY: `db` is open; the message is copied before SQLite is called again.
        let (code, message, offset) = unsafe {
            let extended = ffi::sqlite3_extended_errcode(db);
            let code = if extended & 0xFF == code & 0xFF { extended } else { code };
            let text = CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
            (code, text, ffi::sqlite3_error_offset(db))
        };
        SqlError { code, message, offset: usize::try_from(offset).ok() }
    }

    /// Compiles the first statement of `sql`. `None` where only white space and comments are left.
    /// The second part is how many bytes it took.
    pub fn prepare_first(&self, sql: &str) -> Result<(Option<Stmt<'_>>, usize), SqlError> {
        let (raw, used) = self.prepare_raw(sql, 0)?;
        Ok((raw.map(|raw| Stmt::new(raw, self, None)), used))
    }

    /// Compiles the one statement that `sql` is.
    pub fn prepare(&self, sql: &str) -> Result<Stmt<'_>, SqlError> {
        self.prepare_first(sql)?.0.ok_or_else(|| SqlError::misuse("the SQL text has no statement"))
    }

    fn prepare_raw(
        &self,
        sql: &str,
        flags: u32,
    ) -> Result<(Option<*mut ffi::sqlite3_stmt>, usize), SqlError> {
        let length = c_int::try_from(sql.len()).map_err(|_| SqlError {
            code: ffi::SQLITE_TOOBIG,
            ..SqlError::misuse("SQL too long")
        })?;
        let mut raw = std::ptr::null_mut();
        let mut tail = std::ptr::null();
        // SAFETY: text and length belong together; SQLite writes the two out-pointers.
        let code = unsafe {
            ffi::sqlite3_prepare_v3(
                self.handle(),
                sql.as_ptr().cast(),
                length,
                flags,
                &raw mut raw,
                &raw mut tail,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(self.error(code));
        }
        // A NUL in the text ends it for SQLite: what is behind it is no statement.
        let used = (tail as usize).saturating_sub(sql.as_ptr() as usize).min(sql.len());
        Ok(((!raw.is_null()).then_some(raw), used))
    }

    /// Compiles a statement that the connection keeps until [`Db::forget`].
    pub fn keep(&mut self, sql: &str) -> Result<Kept, SqlError> {
        let (raw, _) = self.prepare_raw(sql, ffi::SQLITE_PREPARE_PERSISTENT)?;
        let raw = raw.ok_or_else(|| SqlError::misuse("the SQL text has no statement"))?;
        self.kept.push(Slot { raw, busy: Cell::new(false) });
        Ok(Kept { index: self.kept.len() - 1, epoch: self.epoch })
    }

    /// A kept statement. It is reset and its values are let go when it is dropped.
    pub fn kept(&self, which: Kept) -> Result<Stmt<'_>, SqlError> {
        let slot = self.kept.get(which.index).filter(|_| which.epoch == self.epoch);
        let slot = slot.ok_or_else(|| SqlError::misuse("a statement that is no longer kept"))?;
        if slot.busy.replace(true) {
            return Err(SqlError::misuse("a kept statement that is in use"));
        }
        Ok(Stmt::new(slot.raw, self, Some(&slot.busy)))
    }

    /// Lets go of all kept statements; what names them is stale from now on.
    pub fn forget(&mut self) {
        self.epoch += 1;
        for slot in self.kept.drain(..) {
            // SAFETY: `raw` came from prepare, is finalized once, and no `Stmt` borrows `self` now.
            unsafe { ffi::sqlite3_finalize(slot.raw) };
        }
    }

    /// Runs every statement of `sql`, dropping rows.
    pub fn exec(&self, sql: &str) -> Result<(), SqlError> {
        let mut rest = sql;
        loop {
            let (stmt, used) = self.prepare_first(rest)?;
            let Some(mut stmt) = stmt else { return Ok(()) };
            while stmt.step()? {}
            rest = rest.get(used..).unwrap_or_default();
        }
    }

    /// Whether no transaction is open.
    pub fn is_autocommit(&self) -> bool {
        self.conn.is_autocommit()
    }

    /// Rows that the last statement changed itself.
    pub fn changes(&self) -> u64 {
        self.conn.changes()
    }

    /// Sets what `last_insert_rowid()` gives until a row is inserted.
    pub fn set_last_insert_rowid(&self, rowid: i64) {
        // SAFETY: `db` is open.
        unsafe { ffi::sqlite3_set_last_insert_rowid(self.handle(), rowid) }
    }

    /// Whether a foreign key is broken at this moment.
    pub fn has_broken_foreign_keys(&self) -> Result<bool, SqlError> {
        let (mut now, mut high) = (0, 0);
        // SAFETY: `db` is open; SQLite writes the two out-pointers.
        let code = unsafe {
            ffi::sqlite3_db_status(
                self.handle(),
                ffi::SQLITE_DBSTATUS_DEFERRED_FKS,
                &raw mut now,
                &raw mut high,
                0,
            )
        };
        if code == ffi::SQLITE_OK { Ok(now != 0) } else { Err(self.error(code)) }
    }

    /// Whether statements compiled from now on fire DELETE triggers for rows that REPLACE removes
    /// (and may re-enter triggers).
    ///
    /// SQLite sets this flag while it *compiles* the PRAGMA (its documentation of PRAGMA allows
    /// that) and expires all compiled statements only when it is stepped: so it is compiled alone.
    pub fn set_recursive_triggers(&self, on: bool) -> Result<(), SqlError> {
        if self.recursive.get() != on {
            drop(self.prepare(if on {
                "PRAGMA recursive_triggers=ON"
            } else {
                "PRAGMA recursive_triggers=OFF"
            })?);
            self.recursive.set(on);
        }
        Ok(())
    }

    /// Registers a function that is written in terms of SQLite's own interface. `data` is for it to
    /// read, and never followed here.
    pub(super) fn create_function(
        &self,
        name: &CStr,
        arguments: c_int,
        flags: c_int,
        data: *mut c_void,
        function: unsafe extern "C" fn(
            *mut ffi::sqlite3_context,
            c_int,
            *mut *mut ffi::sqlite3_value,
        ),
    ) -> Result<(), SqlError> {
        // SAFETY: the name ends with NUL and is copied; the function lives as long as the program.
        let code = unsafe {
            ffi::sqlite3_create_function_v2(
                self.handle(),
                name.as_ptr(),
                arguments,
                flags,
                data,
                Some(function),
                None,
                None,
                None,
            )
        };
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.error(code)) }
    }

    /// The collation of a column as declared.
    pub fn collation_of(
        &self,
        namespace: &str,
        table: &str,
        column: &str,
    ) -> Result<String, SqlError> {
        let text = |s: &str| {
            std::ffi::CString::new(s).map_err(|_| SqlError::misuse("a name with a NUL in it"))
        };
        let (namespace, table, column) = (text(namespace)?, text(table)?, text(column)?);
        let mut collation = std::ptr::null();
        // SAFETY: all texts end with NUL and live through the call; the unwanted outputs may be
        // NULL; the collation's name is copied before SQLite is called again.
        unsafe {
            let code = ffi::sqlite3_table_column_metadata(
                self.handle(),
                namespace.as_ptr(),
                table.as_ptr(),
                column.as_ptr(),
                std::ptr::null_mut(),
                &raw mut collation,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            if code != ffi::SQLITE_OK {
                return Err(self.error(code));
            }
            if collation.is_null() {
                return Ok("BINARY".to_owned());
            }
            Ok(CStr::from_ptr(collation).to_string_lossy().into_owned())
        }
    }
}
