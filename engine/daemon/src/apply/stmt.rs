//! One compiled statement: values in by reference, rows out by reference.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;

use rusqlite::ffi;
use shmirror_shm::value::ValueRef;

use super::db::{Db, SqlError};

/// TEXT that SQLite holds and that is not UTF-8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotUtf8;

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

impl<'db> Stmt<'db> {
    /// Takes a compiled statement of `db`; `busy` is the mark of one that `db` keeps.
    pub(super) fn new(
        raw: *mut ffi::sqlite3_stmt,
        db: &'db Db,
        busy: Option<&'db Cell<bool>>,
    ) -> Self {
        Self { raw, db, busy }
    }

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
