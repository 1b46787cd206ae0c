//! The form of a table's rows: names of the columns, and which of them are the key.
//!
//! In: what a row, table or cell handle stands on. Out: a small handle that compares at the cost of
//! comparing two addresses, so that a program looks columns up once for each form, not for each row.

use std::ffi::CStr;
use std::fmt;

use crate::error::Error;
use crate::schema::Schema;

/// The form of a table's rows: the table's name, and its columns in the order that
/// [`Row::get_at`](crate::Row::get_at) counts them in, hidden ones included.
///
/// A row keeps the form that it was read with. After an ALTER TABLE the rows have another one; where
/// two are equal, a column has the same index in both.
///
/// ```no_run
/// # let mirror = shmirror::Mirror::attach(&shmirror::Options::new())?;
/// let tags = mirror.table("tag")?;
/// let mut form = tags.form()?;
/// let mut value = form.index("value")?;
/// let mut row = shmirror::Row::default();
/// while tags.read("p1", &mut row)? {
///     if row.form() != form {
///         form = row.form();
///         value = form.index("value")?;
///     }
///     println!("{}", row.get_at::<f64>(value)?);
/// #   break;
/// }
/// # Ok::<(), shmirror::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Form(pub(crate) &'static Schema);

impl Form {
    /// The table's name; empty for a row that was never filled.
    pub fn table(self) -> &'static str {
        &self.0.table
    }

    /// How many columns there are, hidden ones included.
    #[inline]
    pub fn columns(self) -> usize {
        self.0.columns.len()
    }

    /// The name of the column at this index.
    pub fn name(self, index: usize) -> Option<&'static str> {
        self.0.columns.get(index).map(|c| c.name.as_str())
    }

    /// The same, ending with NUL, for C.
    pub fn terminated_name(self, index: usize) -> Option<&'static CStr> {
        self.0.columns.get(index).map(|c| c.terminated.as_c_str())
    }

    /// Whether `SELECT *` leaves out the column at this index.
    pub fn is_hidden(self, index: usize) -> bool {
        self.0.columns.get(index).is_some_and(|c| c.hidden)
    }

    /// The index of the column of this name, ASCII case folded.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`].
    pub fn index(self, name: &str) -> Result<usize, Error> {
        self.0.index(name)
    }

    /// Indexes of the columns of the key, in key order.
    pub fn key(self) -> impl ExactSizeIterator<Item = usize> + use<> {
        self.0.key.iter().map(|part| part.index)
    }
}

impl PartialEq for Form {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        // There is one schema for each form.
        std::ptr::eq(self.0, other.0)
    }
}
impl Eq for Form {}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.columns.iter().map(|c| c.name.as_str()).collect();
        f.debug_struct("Form").field("table", &self.table()).field("columns", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::table;

    #[test]
    fn forms_are_equal_where_the_columns_are() {
        let form = |columns: &[&str]| Form(Schema::of(&table("t", columns)));
        let (a, b) = (form(&["id", "Name"]), form(&["id", "Name"]));
        assert_eq!(a, b);
        assert_ne!(a, form(&["id", "name"]));
        assert_eq!((a.table(), a.columns(), a.name(1), a.name(2)), ("t", 2, Some("Name"), None));
        assert_eq!(a.terminated_name(1), Some(c"Name"));
        assert_eq!((a.index("nAME").unwrap(), a.key().collect::<Vec<_>>()), (1, vec![0]));
        assert_eq!(a.index("x").unwrap_err().code(), "unknown-column");
    }
}
