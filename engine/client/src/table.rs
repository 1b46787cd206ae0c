//! A table: rows by key, many rows at one revision, all rows.

use std::fmt;
use std::sync::Arc;

use shmirror_shm::catalogue::TableDef;
use shmirror_shm::snapshot::ReadError;
use shmirror_shm::value::ValueRef;

use crate::attachment::Core;
use crate::buffer::{self, Buffer};
use crate::cell::Cell;
use crate::error::Error;
use crate::form::Form;
use crate::into_key::IntoKey;
use crate::kept::Kept;
use crate::name::Name;
use crate::resolve::{Place, Resolved};
use crate::row::Row;
use crate::rows::Rows;
use crate::scan::Scan;

/// A handle of one table, by its name. May be used from any thread.
///
/// It follows the table: through a daemon restart, a growth of the segment, an ALTER TABLE, a DROP
/// (then reading says [`Error::UnknownTable`]) and a new CREATE of the same name. Where the daemon's
/// rules are changed and its namespace is withdrawn from this process, reading says [`Error::Denied`].
///
/// ```no_run
/// # use shmirror::{Mirror, Options, Row};
/// # let mirror = Mirror::attach(&Options::new())?;
/// let tags = mirror.table("tag")?;
/// if let Some(row) = tags.get("p1")? {
///     let value: f64 = row.get("value")?;
///     println!("{value} {}", row.get::<Option<&str>>("unit")?.unwrap_or(""));
/// }
/// // In a loop, into one's own buffer:
/// let mut row = Row::default();
/// while tags.read("p1", &mut row)? {
///     // …
/// #   break;
/// }
/// // A composite key is a tuple, in the order of the PRIMARY KEY:
/// let limit = mirror.table("limits")?.get(("p1", 2))?;
/// # Ok::<(), shmirror::Error>(())
/// ```
pub struct Table {
    kept: Arc<Kept>,
    place: Place,
}

impl Table {
    pub(crate) fn new(kept: Arc<Kept>, name: Name) -> Result<Self, Error> {
        let place = Place::new(kept.core(), name)?;
        buffer::prepare();
        Ok(Self { kept, place })
    }

    fn core(&self) -> &Core {
        self.kept.core()
    }

    /// The name that the handle was made with.
    pub fn name(&self) -> &str {
        self.place.name().asked()
    }

    /// The table's definition as published now; of a table that was dropped, the last one.
    pub fn schema(&self) -> Arc<TableDef> {
        // A forked child must not wait for the catalogue's lock.
        let here = self.core().same_process().is_ok();
        let known = here.then(|| self.core().current().catalogue().ok()).flatten();
        let (namespace, name) = (self.core().namespace(), self.place.name().bare());
        let now = known.as_ref().and_then(|k| k.catalogue.table_in(namespace, name));
        Arc::new(now.unwrap_or_else(|| self.place.newest().def()).clone())
    }

    /// The form of the table's rows as published now.
    ///
    /// # Errors
    /// [`Error::UnknownTable`]: it was dropped.
    pub fn form(&self) -> Result<Form, Error> {
        self.now(|resolved| Form(resolved.schema))
    }

    /// How many rows there are.
    ///
    /// # Errors
    /// [`Error::UnknownTable`]: it was dropped.
    pub fn count(&self) -> Result<u64, Error> {
        self.now(|resolved| resolved.view.rows())
    }

    /// How many rows there are; 0 for a table that was dropped.
    pub fn len(&self) -> usize {
        self.count().map_or(0, |n| usize::try_from(n).unwrap_or(usize::MAX))
    }

    /// Asks where the table is now.
    fn now<R>(&self, ask: impl Fn(&Resolved) -> R) -> Result<R, Error> {
        self.place.read(self.core(), |resolved| {
            let answer = ask(resolved);
            if resolved.view.has_moved() { Err(ReadError::Moved.into()) } else { Ok(answer) }
        })
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row with this key, as newest published. No system call, and for rows of up to 320 bytes no
    /// allocation: a thread's first rows get buffers, which serve its later ones.
    ///
    /// # Errors
    /// [`Error::Key`]: values that are no key of this table. [`Error::UnknownTable`]: it was dropped.
    #[inline(always)]
    pub fn get<K: IntoKey>(&self, key: K) -> Result<Option<Row>, Error> {
        let resolved = self.place.newest();
        if let Some(int) = key.as_int() {
            let mut buf = buffer::take();
            match resolved.view.get_straight(int, &mut buf) {
                Some(true) => {
                    return Ok(Some(Row { schema: resolved.schema, buf: Buffer::of(buf) }));
                }
                Some(false) => {
                    buffer::give(buf);
                    return Ok(None);
                }
                None => buffer::give(buf),
            }
        }
        self.get_any(&key)
    }

    #[inline(never)]
    fn get_any<K: IntoKey>(&self, key: &K) -> Result<Option<Row>, Error> {
        let mut row = Row::default();
        Ok(self.read_any(key, &mut row)?.then_some(row))
    }

    /// Reads the row with this key into `row`, and says whether there is one. No system call; no
    /// allocation once `row` has grown to the size of the rows. Where there is no row, what `row` holds
    /// is not specified.
    ///
    /// # Errors
    /// As [`Table::get`].
    #[inline(always)]
    pub fn read<K: IntoKey>(&self, key: K, row: &mut Row) -> Result<bool, Error> {
        let resolved = self.place.newest();
        if let Some(int) = key.as_int()
            && let Some(found) = resolved.view.get_straight(int, row.buf.filled())
        {
            row.schema = resolved.schema;
            return Ok(found);
        }
        self.read_any(&key, row)
    }

    #[inline(never)]
    fn read_any<K: IntoKey>(&self, key: &K, row: &mut Row) -> Result<bool, Error> {
        self.place.read(self.core(), |resolved| {
            row.schema = resolved.schema;
            let buf = row.buf.filled();
            key.with_key(|values| {
                resolved.with_key(values, |key| Ok(resolved.view.get(key, buf)?))
            })
        })
    }

    /// The rows with these keys, all as of one revision, which comes first in the answer.
    ///
    /// # Errors
    /// As [`Table::get`]; [`Error::Contended`].
    pub fn get_many<K: IntoKey>(&self, keys: &[K]) -> Result<(u64, Vec<Option<Row>>), Error> {
        let mut rows = Rows::default();
        let by_reference = keys.iter().map(ByReference);
        self.place.read(self.core(), |r| rows.read_keys(r, by_reference.clone()))?;
        let found = (0..keys.len()).map(|i| rows.get(i).map(|row| row.to_row())).collect();
        Ok((rows.revision(), found))
    }

    /// Reads the rows with these keys into `rows`, all as of one revision; [`Rows::get`] gives the row
    /// of each. No allocation once `rows` has grown.
    ///
    /// # Errors
    /// As [`Table::get_many`]; then `rows` has none.
    pub fn read_many<K: IntoKey, I>(&self, keys: I, rows: &mut Rows) -> Result<(), Error>
    where
        I: IntoIterator<Item = K>,
        I::IntoIter: Clone,
    {
        let keys = keys.into_iter();
        let done = self.place.read(self.core(), |r| rows.read_keys(r, keys.clone()));
        done.inspect_err(|_| rows.clear())
    }

    /// All rows as of one revision. It always finishes: where the writers are too fast for reading
    /// beside them, the daemon copies the table between two commits.
    ///
    /// # Errors
    /// [`Error::UnknownTable`]; [`Error::Disconnected`], if the daemon was needed and is away.
    pub fn scan(&self) -> Result<Scan, Error> {
        let mut rows = Rows::default();
        self.fill(&mut rows)?;
        Ok(Scan::of(rows))
    }

    /// Reads all rows into `rows`, in no particular order; else as [`Table::scan`]. No allocation once
    /// `rows` has grown, save where the daemon copies the table.
    ///
    /// # Errors
    /// As [`Table::scan`]; then `rows` has none.
    pub fn scan_into(&self, rows: &mut Rows) -> Result<(), Error> {
        self.fill(rows)?;
        rows.arrange(false);
        Ok(())
    }

    /// The same, in key order, as `ORDER BY` the primary key has them.
    ///
    /// # Errors
    /// As [`Table::scan_into`].
    pub fn scan_sorted_into(&self, rows: &mut Rows) -> Result<(), Error> {
        self.fill(rows)?;
        rows.arrange(true);
        Ok(())
    }

    fn fill(&self, rows: &mut Rows) -> Result<(), Error> {
        let done = self.place.read(self.core(), |resolved| match rows.read_table(resolved) {
            // Not to be tried again here: the daemon is asked at once.
            Err(ReadError::Contended { .. }) => Ok(false),
            other => Ok(other.map(|()| true)?),
        });
        let done = match done {
            Ok(false) => rows.copy_table(self.core(), &self.place),
            other => other.map(|_| ()),
        };
        done.inspect_err(|_| rows.clear())
    }

    /// A handle of one value, for reading it again and again in a few nanoseconds.
    ///
    /// # Errors
    /// [`Error::NoSuchRow`], [`Error::UnknownColumn`], [`Error::Key`], [`Error::UnknownTable`].
    pub fn cell<K: IntoKey>(&self, key: K, column: &str) -> Result<Cell, Error> {
        Cell::new(self.kept.clone(), self.place.name(), &key, column)
    }
}

/// A key that is borrowed for as long as it is tried.
struct ByReference<'a, K>(&'a K);

impl<K: IntoKey> IntoKey for ByReference<'_, K> {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        self.0.with_key(f)
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("name", &self.name()).finish_non_exhaustive()
    }
}
