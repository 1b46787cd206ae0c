//! A table: rows by key, many rows of one revision, all rows.
//!
//! In: keys of the program's. Out: rows, into handles that serve again and again.

use std::ffi::{CString, c_char, c_void};
use std::sync::Mutex;

use shmirror::{Row, Rows, Table, ValueRef};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle::{self, object};
use crate::mirror::shmirror_mirror;
use crate::output;
use crate::row::shmirror_row;
use crate::rows::shmirror_rows;
use crate::status::shmirror_status::{self, SHMIRROR_NOT_FOUND, SHMIRROR_NULL_ARGUMENT};
use crate::value::{CheckedKey, shmirror_value, with_key};

/// One table, by its name. It follows the table through a restart of the daemon, growth of the memory,
/// ALTER TABLE, DROP (then reading says SHMIRROR_UNKNOWN_TABLE) and a new CREATE of the name. Any
/// thread.
pub struct shmirror_table {
    pub(crate) table: Table,
    name: CString,
    /// Memory of walks that are over, for those to come: as many as there were at one time.
    walks: Mutex<Vec<Walk>>,
}
object!(shmirror_table, 5, "shmirror_table");

/// What a walk over all rows takes.
#[derive(Default)]
struct Walk {
    rows: Rows,
    row: Row,
}

/// A handle of the table of this name (ASCII case folded). Make it once and keep it: finding a table
/// costs microseconds, reading from it nanoseconds. Close it with shmirror_table_close().
/// SHMIRROR_UNKNOWN_TABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_table(
    mirror: *const shmirror_mirror,
    name: *const c_char,
    out: *mut *mut shmirror_table,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let name = argument::text(name, "name")?;
        let table = handle::get(mirror)?.mirror.table(name)?;
        let name = output::owned(name.to_owned());
        let walks = Mutex::new(Vec::new());
        argument::write(out, handle::make(shmirror_table { table, name, walks })?, "out")
    })
}

/// Ends a table handle. Its cells, and what was read, stay. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_close(table: *mut shmirror_table) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(table) })
}

/// The name that the handle was made with. It lives as long as the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_name(
    table: *const shmirror_table,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(name, handle::get(table)?.name.as_ptr(), "name") })
}

/// How many rows there are, as of about now. SHMIRROR_UNKNOWN_TABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_rows(
    table: *const shmirror_table,
    count: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(table)?.table.count()?, "count") })
}

/// Index of the column of this name (ASCII case folded) in the rows that are read from now on, until
/// the table is altered. SHMIRROR_UNKNOWN_COLUMN, SHMIRROR_UNKNOWN_TABLE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_column(
    table: *const shmirror_table,
    name: *const c_char,
    index: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let form = handle::get(table)?.table.form()?;
        argument::write(index, form.index(argument::text(name, "name")?)?, "index")
    })
}

/// Reads the row with this key, as newest published, into `row`. Values convert as SQLite converts them
/// in a comparison with the column. No system call, and no allocation once `row` has grown.
/// SHMIRROR_NOT_FOUND: there is none, and `row` holds nothing in particular. SHMIRROR_BAD_KEY: values
/// that are no key of this table. SHMIRROR_UNKNOWN_TABLE: it was dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_read(
    table: *const shmirror_table,
    key: *const shmirror_value,
    key_size: usize,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and values.
    call(|| unsafe {
        let table = &handle::get(table)?.table;
        let row = &mut handle::get_mut(row)?.row;
        with_key(key, key_size, |key: &[ValueRef<'_>]| Ok(found(table.read(key, row)?)))?
    })
}

/// shmirror_table_read() for a key of one integer; the fastest.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_read_i64(
    table: *const shmirror_table,
    key: i64,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let table = &handle::get(table)?.table;
        found(table.read(key, &mut handle::get_mut(row)?.row)?)
    })
}

/// shmirror_table_read() for a key of one TEXT of `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_read_text(
    table: *const shmirror_table,
    key: *const c_char,
    size: usize,
    row: *mut shmirror_row,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and texts.
    call(|| unsafe {
        let table = &handle::get(table)?.table;
        let key = argument::sized_text(key, size, "key")?;
        found(table.read(key, &mut handle::get_mut(row)?.row)?)
    })
}

/// Reads the rows with these keys, all as of one revision: `count` keys of `key_size` values, one after
/// another. shmirror_rows_at() gives the row of each. No allocation once `rows` has grown. Statuses as
/// for shmirror_table_read(), also SHMIRROR_CONTENDED: rows were written too fast for 2 s; then `rows`
/// has none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_read_many(
    table: *const shmirror_table,
    keys: *const shmirror_value,
    key_size: usize,
    count: usize,
    rows: *mut shmirror_rows,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and values.
    call(|| unsafe {
        let table = &handle::get(table)?.table;
        let rows = handle::get_mut(rows)?;
        let keys = CheckedKey::all(keys, key_size, count)?;
        rows.next = 0;
        Ok(table.read_many(keys, &mut rows.rows)?)
    })
}

/// Reads all rows as of one revision: `sorted` 0: in no particular order, else in the order of the
/// PRIMARY KEY. It always finishes: where the writers are too fast for reading beside them, the daemon
/// copies the table between two commits. No allocation once `rows` has grown, save for such a copy.
/// SHMIRROR_UNKNOWN_TABLE; SHMIRROR_DISCONNECTED: the daemon was needed and is away; then `rows` has
/// none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_scan(
    table: *const shmirror_table,
    sorted: i32,
    rows: *mut shmirror_rows,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        let table = &handle::get(table)?.table;
        let rows = handle::get_mut(rows)?;
        rows.next = 0;
        scan(table, sorted, &mut rows.rows)
    })
}

/// Calls `visit` with each row, all as of one revision, until it returns something else than 0, which
/// ends the walk with SHMIRROR_OK too. `sorted` as for shmirror_table_scan(). `revision` (may be NULL)
/// is told. The row is valid during the call only. `visit` may call any function of the library, but
/// must not close the table, nor leave by an exception or longjmp(). All rows are copied before the first
/// call; the memory stays with the table handle for the next walk.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_each(
    table: *const shmirror_table,
    sorted: i32,
    visit: Option<unsafe extern "C" fn(context: *mut c_void, row: *const shmirror_row) -> i32>,
    context: *mut c_void,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, functions and out parameters.
    call(|| unsafe {
        let table = handle::get(table)?;
        let Some(visit) = visit else {
            return Err(Failure::argument(SHMIRROR_NULL_ARGUMENT, "argument visit is NULL"));
        };
        // Never waited for: a forked child may find the lock held for ever.
        let spare = table.walks.try_lock().ok().and_then(|mut walks| walks.pop());
        let mut walk = spare.unwrap_or_default();
        let done = scan(&table.table, sorted, &mut walk.rows)
            .and_then(|()| walk.run(|row| visit(context, row)));
        let found = walk.rows.revision();
        if let Ok(mut walks) = table.walks.try_lock() {
            walks.push(walk);
        }
        done?;
        argument::write_if(revision, found);
        Ok(())
    })
}

impl Walk {
    /// Visits the rows until `visit` gives something else than 0.
    fn run(&mut self, visit: impl Fn(*const shmirror_row) -> i32) -> Outcome {
        let row = handle::make(shmirror_row { row: std::mem::take(&mut self.row) })?;
        let mut done = Ok(());
        for found in self.rows.iter() {
            // SAFETY: a handle that was just made; should the program close it, that is told here.
            match unsafe { handle::get_mut(row) } {
                Ok(row) => row.row.copy_from(found),
                Err(closed) => {
                    done = Err(closed);
                    break;
                }
            }
            if visit(row) != 0 {
                break;
            }
        }
        // SAFETY: as above; the program has no right to it any more.
        unsafe {
            if let Ok(row) = handle::get_mut(row) {
                std::mem::swap(&mut self.row, &mut row.row);
            }
            done.and_then(|()| handle::close(row))
        }
    }
}

fn scan(table: &Table, sorted: i32, rows: &mut Rows) -> Outcome {
    let done = if sorted == 0 { table.scan_into(rows) } else { table.scan_sorted_into(rows) };
    Ok(done?)
}

/// Whether a row was found, as an outcome.
#[inline(always)]
pub(crate) fn found(found: bool) -> Outcome {
    if found { Ok(()) } else { Err(Failure::Plain(SHMIRROR_NOT_FOUND)) }
}
