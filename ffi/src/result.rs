//! Rows that SQL returned.

use std::ffi::{CString, c_char};

use shmirror::{ResultSet, Value};

use crate::argument::{self, element};
use crate::call::call;
use crate::error::Failure;
use crate::handle::{self, object};
use crate::output;
use crate::status::shmirror_status;
use crate::value::shmirror_value;

/// Rows that SQL returned: a set for each statement that returns rows. It owns all that comes out of it,
/// and does not change. Any thread.
pub struct shmirror_result {
    revision: u64,
    sets: Vec<Set>,
}
object!(shmirror_result, 16, "shmirror_result");

struct Set {
    columns: Vec<CString>,
    rows: Vec<Vec<Value>>,
}

impl shmirror_result {
    /// What came back, and the revision that it is of.
    pub(crate) fn new(revision: u64, sets: Vec<ResultSet>) -> Self {
        let set = |set: ResultSet| Set {
            columns: set.columns.into_iter().map(output::owned).collect(),
            rows: set.rows,
        };
        Self { revision, sets: sets.into_iter().map(set).collect() }
    }

    fn set(&self, set: usize) -> Result<&Set, Failure> {
        element(&self.sets, set, "set")
    }
}

/// Ends a result, and the pointers that came out of it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_close(result: *mut shmirror_result) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(result) })
}

/// The revision that the rows are of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_revision(
    result: *const shmirror_result,
    revision: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(revision, handle::get(result)?.revision, "revision") })
}

/// How many sets of rows there are: one for each statement that returns rows, of no rows too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_sets(
    result: *const shmirror_result,
    sets: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(sets, handle::get(result)?.sets.len(), "sets") })
}

/// How many columns a set has. SHMIRROR_BAD_ARGUMENT: there are not so many sets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_columns(
    result: *const shmirror_result,
    set: usize,
    columns: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(columns, handle::get(result)?.set(set)?.columns.len(), "columns")
    })
}

/// The name of a column, which lives as long as the result. SHMIRROR_BAD_ARGUMENT: there are not so many
/// sets or columns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_column_name(
    result: *const shmirror_result,
    set: usize,
    column: usize,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let columns = &handle::get(result)?.set(set)?.columns;
        argument::write(name, element(columns, column, "column")?.as_ptr(), "name")
    })
}

/// How many rows a set has. SHMIRROR_BAD_ARGUMENT: there are not so many sets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_rows(
    result: *const shmirror_result,
    set: usize,
    rows: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(rows, handle::get(result)?.set(set)?.rows.len(), "rows") })
}

/// One value; its bytes live as long as the result. SHMIRROR_BAD_ARGUMENT: there are not so many sets,
/// rows or columns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_result_value(
    result: *const shmirror_result,
    set: usize,
    row: usize,
    column: usize,
    value: *mut shmirror_value,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let row = element(&handle::get(result)?.set(set)?.rows, row, "row")?;
        let found = element(row, column, "column")?.as_ref();
        argument::write(value, found.into(), "value")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::borrowed;
    use std::ffi::CStr;
    use std::ptr;

    fn sets() -> Vec<ResultSet> {
        let set = |columns: &[&str], rows| ResultSet {
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            rows,
        };
        vec![
            set(
                &["a", "Größe"],
                vec![vec![1i64.into(), "x".into()], vec![Value::Null, 0.5.into()]],
            ),
            set(&["b"], Vec::new()),
        ]
    }

    #[test]
    fn every_value_comes_out_and_no_more() {
        let result = handle::make(shmirror_result::new(9, sets())).ok().unwrap();
        let (mut revision, mut count, mut name) = (0, 0, ptr::null());
        let mut value = shmirror_value::from(shmirror::ValueRef::Null);
        // SAFETY: a handle of `make`, and out parameters of this function's.
        unsafe {
            assert_eq!(shmirror_result_revision(result, &mut revision) as i32, 0);
            assert_eq!(shmirror_result_sets(result, &mut count) as i32, 0);
            assert_eq!((revision, count), (9, 2));
            for (i, set) in sets().into_iter().enumerate() {
                assert_eq!(shmirror_result_columns(result, i, &mut count) as i32, 0);
                assert_eq!(count, set.columns.len());
                assert_eq!(shmirror_result_rows(result, i, &mut count) as i32, 0);
                assert_eq!(count, set.rows.len());
                for (c, column) in set.columns.iter().enumerate() {
                    assert_eq!(shmirror_result_column_name(result, i, c, &mut name) as i32, 0);
                    assert_eq!(CStr::from_ptr(name).to_str(), Ok(column.as_str()));
                    for (r, row) in set.rows.iter().enumerate() {
                        assert_eq!(shmirror_result_value(result, i, r, c, &mut value) as i32, 0);
                        assert_eq!(borrowed(&value, "v").ok(), Some(row[c].as_ref()));
                    }
                }
            }
            let wrong = [
                shmirror_result_columns(result, 2, &mut count),
                shmirror_result_rows(result, usize::MAX, &mut count),
                shmirror_result_column_name(result, 0, 2, &mut name),
                shmirror_result_value(result, 1, 0, 0, &mut value),
                shmirror_result_value(result, 0, 0, 2, &mut value),
                shmirror_result_value(result, 2, 0, 0, &mut value),
            ];
            assert_eq!(wrong.map(|s| s as i32), [20; 6]);
            assert_eq!(shmirror_result_value(result, 0, 0, 0, ptr::null_mut()) as i32, 16);
            assert_eq!(shmirror_result_close(result) as i32, 0);
            assert_eq!(shmirror_result_sets(result, &mut count) as i32, 17);
        }
    }
}
