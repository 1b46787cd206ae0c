//! A thin, safe layer on one SQLite connection.
//!
//! What flows in: SQL text and values by reference. What flows out: rows by reference, and errors
//! with SQLite's extended code, its message and the place in the text. Statements borrow the
//! connection or are kept by it, so none outlives it. All unsafe code of the daemon's SQLite use is
//! here and in [`super::capture`]'s caller, rusqlite.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use rusqlite::{Connection, ffi};
use shmirror_shm::value::ValueRef;

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

/// TEXT that SQLite holds and that is not UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotUtf8;

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

    fn error(&self, code: c_int) -> SqlError {
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
        Ok((raw.map(|raw| Stmt { raw, db: self, busy: None }), used))
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
        Ok(Stmt { raw: slot.raw, db: self, busy: Some(&slot.busy) })
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

    /// The collation of a column as declared.
    pub fn collation_of(&self, table: &str, column: &str) -> Result<String, SqlError> {
        let text = |s: &str| {
            std::ffi::CString::new(s).map_err(|_| SqlError::misuse("a name with a NUL in it"))
        };
        let (table, column) = (text(table)?, text(column)?);
        let mut collation = std::ptr::null();
        // SAFETY: all texts end with NUL and live through the call; the unwanted outputs may be
        // NULL; the collation's name is copied before SQLite is called again.
        unsafe {
            let code = ffi::sqlite3_table_column_metadata(
                self.handle(),
                c"main".as_ptr(),
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

/// One compiled statement.
pub(crate) struct Stmt<'db> {
    raw: *mut ffi::sqlite3_stmt,
    db: &'db Db,
    /// The mark of a kept statement; another one is finalized with this value.
    busy: Option<&'db Cell<bool>>,
}

impl Drop for Stmt<'_> {
    fn drop(&mut self) {
        // SAFETY: `raw` is a statement of `db`; a kept one is finalized by `Db::forget`, which no
        // `Stmt` can be alive at; another one is finalized here, once.
        unsafe {
            if let Some(busy) = self.busy {
                ffi::sqlite3_reset(self.raw);
                ffi::sqlite3_clear_bindings(self.raw);
                busy.set(false);
            } else {
                ffi::sqlite3_finalize(self.raw);
            }
        }
    }
}

impl Stmt<'_> {
    fn check(&self, code: c_int) -> Result<(), SqlError> {
        if code == ffi::SQLITE_OK { Ok(()) } else { Err(self.db.error(code)) }
    }

    /// Binds copies of `values` to `?1`, `?2`, ….
    pub fn bind(&mut self, values: &[ValueRef<'_>]) -> Result<(), SqlError> {
        for (i, value) in values.iter().enumerate() {
            self.bind_one(i + 1, *value, ffi::SQLITE_TRANSIENT())?;
        }
        Ok(())
    }

    fn bind_one(
        &self,
        index: usize,
        value: ValueRef<'_>,
        keep: ffi::sqlite3_destructor_type,
    ) -> Result<(), SqlError> {
        let i = index as c_int;
        // SAFETY: pointer and length belong together; SQLite refuses an index out of range. With
        // SQLITE_TRANSIENT it copies; with SQLITE_STATIC the caller (`run`) unbinds before the
        // values end.
        let code = unsafe {
            match value {
                ValueRef::Null => ffi::sqlite3_bind_null(self.raw, i),
                ValueRef::Integer(v) => ffi::sqlite3_bind_int64(self.raw, i, v),
                ValueRef::Real(v) => ffi::sqlite3_bind_double(self.raw, i, v),
                ValueRef::Text(t) => ffi::sqlite3_bind_text64(
                    self.raw,
                    i,
                    t.as_ptr().cast(),
                    t.len() as u64,
                    keep,
                    ffi::SQLITE_UTF8 as u8,
                ),
                ValueRef::Blob(b) => {
                    ffi::sqlite3_bind_blob64(self.raw, i, b.as_ptr().cast(), b.len() as u64, keep)
                }
            }
        };
        self.check(code)
    }

    /// Binds `values` without copying them, runs the statement to its end, and lets go of them.
    pub fn run<'v>(&mut self, values: impl Iterator<Item = ValueRef<'v>>) -> Result<(), SqlError> {
        /// Unbinds when `run` is left, also by a panic of the iterator.
        struct Unbind<'a>(*mut ffi::sqlite3_stmt, PhantomData<&'a ()>);
        impl Drop for Unbind<'_> {
            fn drop(&mut self) {
                // SAFETY: the statement is alive while `run` borrows it.
                unsafe {
                    ffi::sqlite3_reset(self.0);
                    ffi::sqlite3_clear_bindings(self.0);
                }
            }
        }
        let guard = Unbind(self.raw, PhantomData);
        for (i, value) in values.enumerate() {
            self.bind_one(i + 1, value, ffi::SQLITE_STATIC())?;
        }
        while self.step()? {}
        drop(guard);
        Ok(())
    }

    /// Takes one step: `true` where there is a row.
    pub fn step(&mut self) -> Result<bool, SqlError> {
        // SAFETY: `raw` is a compiled statement of an open connection.
        match unsafe { ffi::sqlite3_step(self.raw) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => Err(self.db.error(code)),
        }
    }

    /// Number of result columns.
    pub fn columns(&self) -> usize {
        // SAFETY: as in `step`.
        usize::try_from(unsafe { ffi::sqlite3_column_count(self.raw) }).unwrap_or(0)
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        // SAFETY: as in `step`.
        usize::try_from(unsafe { ffi::sqlite3_bind_parameter_count(self.raw) }).unwrap_or(0)
    }

    /// Whether it writes nothing.
    pub fn is_read_only(&self) -> bool {
        // SAFETY: as in `step`.
        unsafe { ffi::sqlite3_stmt_readonly(self.raw) != 0 }
    }

    /// Whether it is an EXPLAIN, which runs nothing.
    pub fn is_explain(&self) -> bool {
        // SAFETY: as in `step`.
        unsafe { ffi::sqlite3_stmt_isexplain(self.raw) != 0 }
    }

    /// Name of a result column.
    pub fn column_name(&self, index: usize) -> String {
        // SAFETY: as in `step`; the name is copied before SQLite is called again. NULL (no memory,
        // no such column) is checked.
        unsafe {
            let name = ffi::sqlite3_column_name(self.raw, index as c_int);
            if name.is_null() {
                return String::new();
            }
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    /// Value of a column of the present row.
    pub fn value(&self, index: usize) -> Result<ValueRef<'_>, NotUtf8> {
        let i = index as c_int;
        // SAFETY: as in `step`. The bytes stay where they are until the next step, reset or
        // conversion; step needs `&mut self`, which the returned borrow excludes, and the type is
        // asked first so that no conversion happens.
        unsafe {
            let bytes = |start: *const u8| {
                let length = usize::try_from(ffi::sqlite3_column_bytes(self.raw, i)).unwrap_or(0);
                if start.is_null() || length == 0 {
                    return &[][..];
                }
                std::slice::from_raw_parts(start, length)
            };
            Ok(match ffi::sqlite3_column_type(self.raw, i) {
                ffi::SQLITE_INTEGER => ValueRef::Integer(ffi::sqlite3_column_int64(self.raw, i)),
                ffi::SQLITE_FLOAT => ValueRef::Real(ffi::sqlite3_column_double(self.raw, i)),
                ffi::SQLITE_TEXT => ValueRef::Text(
                    std::str::from_utf8(bytes(ffi::sqlite3_column_text(self.raw, i)))
                        .map_err(|_| NotUtf8)?,
                ),
                ffi::SQLITE_BLOB => {
                    ValueRef::Blob(bytes(ffi::sqlite3_column_blob(self.raw, i).cast()))
                }
                _ => ValueRef::Null,
            })
        }
    }

    /// A column as text, empty where it is none.
    pub fn text(&self, index: usize) -> String {
        match self.value(index) {
            Ok(ValueRef::Text(t)) => t.to_owned(),
            _ => String::new(),
        }
    }

    /// A column as integer, 0 where it is none.
    pub fn integer(&self, index: usize) -> i64 {
        match self.value(index) {
            Ok(ValueRef::Integer(i)) => i,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db() -> Db {
        let db = Db::new(Connection::open_in_memory().unwrap());
        db.exec("CREATE TABLE t(a,b TEXT COLLATE NOCASE); INSERT INTO t VALUES(1,'x'),(2,NULL)")
            .unwrap();
        db
    }

    #[test]
    fn statements_bind_step_and_end() {
        let mut db = db();
        let kept = db.keep("INSERT INTO t VALUES(?1,?2)").unwrap();
        let text = String::from("z");
        db.kept(kept)
            .unwrap()
            .run([ValueRef::Blob(&[]), ValueRef::Text(&text)].into_iter())
            .unwrap();
        drop(text);
        let mut q = db.prepare("SELECT a,b FROM t WHERE b=?1").unwrap();
        q.bind(&[ValueRef::Text("Z")]).unwrap();
        assert!(q.step().unwrap());
        assert_eq!(q.value(0).unwrap(), ValueRef::Blob(&[]));
        assert!(!q.step().unwrap());
        drop(q);
        db.forget();
        assert!(db.kept(kept).is_err());
        assert_eq!(db.collation_of("t", "b").unwrap(), "NOCASE");
    }

    #[test]
    fn errors_tell_code_message_and_place() {
        let db = db();
        let e = db.prepare("SELECT a FROM nowhere").err().unwrap();
        assert_eq!(e.message, "no such table: nowhere");
        let e = db.prepare("SELECT FROM t").err().unwrap();
        assert_eq!(e.offset, Some(7));
    }

    #[test]
    fn the_recursion_flag_is_set_without_expiring_statements() {
        let mut db = db();
        let read = |db: &Db| {
            let mut q = db.prepare("PRAGMA recursive_triggers").unwrap();
            q.step().unwrap();
            q.integer(0)
        };
        db.exec(
            "CREATE TABLE log(a); CREATE TABLE u(a PRIMARY KEY, b);
             CREATE TRIGGER d AFTER DELETE ON u BEGIN INSERT INTO log VALUES(old.a); END;
             INSERT INTO u VALUES(1,1)",
        )
        .unwrap();
        let off = db.keep("INSERT OR REPLACE INTO u VALUES(1,2)").unwrap();
        db.set_recursive_triggers(true).unwrap();
        assert_eq!(read(&db), 1);
        let on = db.keep("INSERT OR REPLACE INTO u VALUES(1,3)").unwrap();
        db.set_recursive_triggers(false).unwrap();
        assert_eq!(read(&db), 0);
        let logged = |db: &Db| {
            let mut q = db.prepare("SELECT count(*) FROM log").unwrap();
            q.step().unwrap();
            q.integer(0)
        };
        db.kept(off).unwrap().run(std::iter::empty()).unwrap();
        assert_eq!(logged(&db), 0);
        db.kept(on).unwrap().run(std::iter::empty()).unwrap();
        assert_eq!(logged(&db), 1);
        db.kept(off).unwrap().run(std::iter::empty()).unwrap();
        assert_eq!(logged(&db), 1);
    }
}
