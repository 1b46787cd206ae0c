//! Cells: one value of one row, resolved once, read in a few nanoseconds.
//!
//! In: table, key and column. Out: the value as newest published, or that the row or the column is no
//! longer the one that was resolved.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use shmirror_shm::snapshot::{CellError as Miss, CellSite, CellValue, PinnedCell, ReadError};
use shmirror_shm::value::{StorageClass, Value};

use crate::attachment::MOVING;
use crate::error::{CellError, Error};
use crate::form::Form;
use crate::from_value::{int_as_real, real_as_int};
use crate::into_key::{IntoKey, key_values, show_key};
use crate::kept::Kept;
use crate::name::Name;
use crate::resolve::{Failure, Resolved};
use crate::swap::Swap;

/// A handle of one value: one column of one row. May be used from any thread.
///
/// It stays with its row: when that is deleted it says [`CellError::Deleted`], also when a row with
/// the same key is inserted later; when its table is altered or dropped it says
/// [`CellError::Reshaped`]. [`Cell::refresh`] looks for key and column anew. A restart of the daemon,
/// or a growth of the segment, it follows by itself.
///
/// ```no_run
/// # let mirror = shmirror::Mirror::attach(&shmirror::Options::new())?;
/// let speed = mirror.table("tag")?.cell("speed", "value")?;
/// loop {
///     let value = speed.f64()?; // a few nanoseconds, no system call
///     if value > 100.0 {
///         break;
///     }
/// }
/// # Ok::<(), shmirror::Error>(())
/// ```
pub struct Cell {
    kept: Arc<Kept>,
    table: Name,
    column: String,
    key: Vec<Value>,
    newest: Swap<Bound>,
    /// One thread at a time resolves anew.
    resolving: Mutex<()>,
}

/// A cell where it is now.
struct Bound {
    /// The same cell, ready for a hot loop; first, as that is all that most reads need.
    pinned: Option<PinnedCell>,
    resolved: Resolved,
    site: CellSite,
    index: usize,
}

impl Bound {
    /// The cell of a row in a table that was just resolved.
    fn find(resolved: Resolved, key: &[Value], column: &str) -> Result<Option<Self>, Failure> {
        let index = resolved.schema.index(column).map_err(Failure::Other)?;
        let site = key
            .with_key(|values| resolved.with_key(values, |key| Ok(resolved.view.locate(key)?)))?;
        Ok(site.map(|site| {
            let pinned = PinnedCell::new(&resolved.view, &site, index);
            Self { pinned, resolved, site, index }
        }))
    }
}

impl Cell {
    pub(crate) fn new<K: IntoKey>(
        kept: Arc<Kept>,
        table: &Name,
        key: &K,
        column: &str,
    ) -> Result<Self, Error> {
        let key = key_values(key);
        let bound = Self::resolve(&kept, table, &key, column)?;
        Ok(Self {
            kept,
            table: table.clone(),
            column: column.to_owned(),
            key,
            newest: Swap::new(bound),
            resolving: Mutex::new(()),
        })
    }

    fn resolve(kept: &Kept, table: &Name, key: &[Value], column: &str) -> Result<Bound, Error> {
        let core = kept.core();
        core.same_process()?;
        let deadline = Instant::now() + MOVING;
        loop {
            let resolved = Resolved::find(core, table, None, deadline)?;
            match Bound::find(resolved, key, column) {
                Ok(Some(bound)) => return Ok(bound),
                Ok(None) => {
                    let key = key.with_key(show_key);
                    return Err(Error::NoSuchRow { table: table.asked().to_owned(), key });
                }
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Read(ReadError::Moved | ReadError::Contended { .. }))
                    if Instant::now() < deadline => {}
                Err(Failure::Read(error)) => {
                    let what = format!("table {:?}: {error}", table.asked());
                    return Err(Error::Contended { what });
                }
            }
        }
    }

    /// Name of its table.
    pub fn table(&self) -> &str {
        self.table.asked()
    }

    /// Name of its column.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Values of its row's key.
    pub fn key(&self) -> &[Value] {
        &self.key
    }

    /// The form of its table's rows and the index of its column in it, as it was found last.
    pub fn form(&self) -> (Form, usize) {
        let bound = self.newest.load();
        (Form(bound.resolved.schema), bound.index)
    }

    /// Looks for the key and the column again: after [`CellError::Deleted`] it finds the row that has
    /// the key now, after [`CellError::Reshaped`] the column that has the name now.
    ///
    /// # Errors
    /// [`Error::NoSuchRow`], [`Error::UnknownColumn`], [`Error::UnknownTable`]; then the cell stays as
    /// it was.
    pub fn refresh(&self) -> Result<(), Error> {
        self.kept.core().same_process()?;
        let _one = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
        self.newest.store(Self::resolve(&self.kept, &self.table, &self.key, &self.column)?);
        Ok(())
    }

    /// The value, whatever it is.
    ///
    /// # Errors
    /// [`Error::Cell`], which names table and column.
    pub fn load(&self) -> Result<Value, Error> {
        let mut bytes = Vec::new();
        let value = self.read_bytes(&mut bytes).map_err(|e| self.error(e))?;
        Ok(match value.class {
            StorageClass::Null => Value::Null,
            StorageClass::Integer => Value::Integer(value.bits as i64),
            StorageClass::Real => Value::Real(f64::from_bits(value.bits)),
            StorageClass::Blob => Value::Blob(bytes),
            StorageClass::Text => Value::Text(
                String::from_utf8(bytes).map_err(|e| Error::Protocol(format!("TEXT: {e}")))?,
            ),
        })
    }

    /// The value as an integer.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for TEXT, BLOB, and a REAL that is no integer of 64 bits.
    #[inline]
    pub fn i64(&self) -> Result<i64, CellError> {
        match self.bits(StorageClass::Integer) {
            Some(bits) => Ok(bits as i64),
            None => self.any_i64(),
        }
    }

    #[cold]
    #[inline(never)]
    fn any_i64(&self) -> Result<i64, CellError> {
        let value = self.read()?;
        if value.class == StorageClass::Integer {
            return Ok(value.bits as i64);
        }
        real_of(value).and_then(real_as_int).ok_or_else(|| mismatch(value, "an integer"))
    }

    /// The value as a double.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for TEXT, BLOB, and an INTEGER that no double is.
    #[inline]
    pub fn f64(&self) -> Result<f64, CellError> {
        match self.bits(StorageClass::Real) {
            Some(bits) => Ok(f64::from_bits(bits)),
            None => self.any_f64(),
        }
    }

    #[cold]
    #[inline(never)]
    fn any_f64(&self) -> Result<f64, CellError> {
        let value = self.read()?;
        if value.class == StorageClass::Real {
            return Ok(f64::from_bits(value.bits));
        }
        (value.class == StorageClass::Integer)
            .then(|| int_as_real(value.bits as i64))
            .flatten()
            .ok_or_else(|| mismatch(value, "a number that a double holds exactly"))
    }

    /// The value as a truth: 0 or 1.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for any other value.
    #[inline]
    pub fn bool(&self) -> Result<bool, CellError> {
        let value = self.read()?;
        match (value.class, real_of(value)) {
            (StorageClass::Integer, _) if value.bits <= 1 => Ok(value.bits == 1),
            (_, Some(real)) if real == 0.0 || real == 1.0 => Ok(real == 1.0),
            _ => Err(mismatch(value, "0 or 1")),
        }
    }

    /// Whether the value is NULL.
    ///
    /// # Errors
    /// [`CellError`].
    #[inline]
    pub fn is_null(&self) -> Result<bool, CellError> {
        Ok(self.read()?.class == StorageClass::Null)
    }

    /// The value's TEXT, in place of what is in `out`.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for anything but TEXT. Then `out` is empty.
    pub fn text(&self, out: &mut String) -> Result<(), CellError> {
        let mut bytes = std::mem::take(out).into_bytes();
        let value = self.read_bytes(&mut bytes)?;
        let text = (value.class == StorageClass::Text).then_some(bytes).map(String::from_utf8);
        match text {
            Some(Ok(text)) => *out = text,
            _ => return Err(mismatch(value, "text")),
        }
        Ok(())
    }

    /// The value's bytes, of a BLOB, in place of what is in `out`.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for anything but a BLOB.
    pub fn bytes(&self, out: &mut Vec<u8>) -> Result<(), CellError> {
        let value = self.read_bytes(out)?;
        if value.class == StorageClass::Blob { Ok(()) } else { Err(mismatch(value, "a blob")) }
    }

    /// Copies the value's TEXT to the front of `out`, and gives its length in bytes. Nothing is copied
    /// of a text that is longer than `out`. After an error, what is in `out` is not specified. No
    /// allocation.
    ///
    /// # Errors
    /// [`CellError`]; `Type` for anything but TEXT.
    pub fn text_to(&self, out: &mut [u8]) -> Result<usize, CellError> {
        let value = self.read_slice(out)?;
        let length = (value.bits >> 32) as usize;
        let whole = |out: &[u8]| out.get(..length).is_none_or(|t| std::str::from_utf8(t).is_ok());
        if value.class == StorageClass::Text && whole(out) {
            Ok(length)
        } else {
            Err(mismatch(value, "text"))
        }
    }

    /// Copies the value's bytes, of a BLOB, to the front of `out`, and gives how many there are; else
    /// as [`Cell::text_to`].
    ///
    /// # Errors
    /// [`CellError`]; `Type` for anything but a BLOB.
    pub fn bytes_to(&self, out: &mut [u8]) -> Result<usize, CellError> {
        let value = self.read_slice(out)?;
        if value.class == StorageClass::Blob {
            Ok((value.bits >> 32) as usize)
        } else {
            Err(mismatch(value, "a blob"))
        }
    }

    /// The value's bits, where it is a number of this class and nothing is out of the ordinary.
    #[inline(always)]
    fn bits(&self, class: StorageClass) -> Option<u64> {
        self.newest.load().pinned.as_ref()?.load_bits(class)
    }

    #[inline]
    fn read(&self) -> Result<CellValue, CellError> {
        let bound = self.newest.load();
        match bound.pinned.as_ref().and_then(PinnedCell::load) {
            Some(value) => Ok(value),
            None => self.read_surely(bound),
        }
    }

    #[cold]
    #[inline(never)]
    fn read_surely(&self, bound: &Bound) -> Result<CellValue, CellError> {
        match bound.site.load(&bound.resolved.view, bound.index) {
            Ok(value) => Ok(value),
            Err(Miss::Deleted) => Err(CellError::Deleted),
            Err(miss) => self.read_moved(bound, miss, |b| b.site.load(&b.resolved.view, b.index)),
        }
    }

    fn read_bytes(&self, out: &mut Vec<u8>) -> Result<CellValue, CellError> {
        let bound = self.newest.load();
        match bound.site.load_bytes(&bound.resolved.view, bound.index, out) {
            Ok(value) => Ok(value),
            Err(miss) => {
                self.read_moved(bound, miss, |b| b.site.load_bytes(&b.resolved.view, b.index, out))
            }
        }
    }

    fn read_slice(&self, out: &mut [u8]) -> Result<CellValue, CellError> {
        let bound = self.newest.load();
        match bound.site.load_slice(&bound.resolved.view, bound.index, out) {
            Ok(value) => Ok(value),
            Err(miss) => {
                self.read_moved(bound, miss, |b| b.site.load_slice(&b.resolved.view, b.index, out))
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn read_moved<'s>(
        &'s self,
        mut bound: &'s Bound,
        mut miss: Miss,
        mut load: impl FnMut(&Bound) -> Result<CellValue, Miss>,
    ) -> Result<CellValue, CellError> {
        let deadline = Instant::now() + MOVING;
        loop {
            match miss {
                Miss::Deleted => return Err(CellError::Deleted),
                Miss::Contended { .. } if Instant::now() < deadline => {}
                Miss::Moved if Instant::now() < deadline => bound = self.follow(bound, deadline)?,
                Miss::NoColumn { .. } => return Err(CellError::Reshaped),
                _ => return Err(CellError::Contended),
            }
            match load(bound) {
                Ok(value) => return Ok(value),
                Err(again) => miss = again,
            }
        }
    }

    /// The same cell where it is now that it is no longer at `stale`.
    fn follow<'s>(&'s self, stale: &'s Bound, deadline: Instant) -> Result<&'s Bound, CellError> {
        let core = self.kept.core();
        core.same_process().map_err(|_| CellError::Forked)?;
        let _one = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.newest.load();
        if !std::ptr::eq(newest, stale) {
            return Ok(newest);
        }
        let old = &stale.resolved;
        let found = match Resolved::find(core, &self.table, Some(old), deadline) {
            Ok(found) => found,
            Err(Error::UnknownTable { .. }) => return Err(CellError::Reshaped),
            Err(Error::Contended { .. }) => return Err(CellError::Contended),
            Err(Error::Denied { .. }) => return Err(CellError::Denied),
            Err(_) => return Err(CellError::Disconnected),
        };
        let same_table = found.view.identity() == old.view.identity()
            && found.view.segment().instance() == old.view.segment().instance();
        if !same_table {
            return Err(CellError::Reshaped);
        }
        match Bound::find(found, &self.key, &self.column) {
            Ok(Some(bound)) if bound.site.birth() == stale.site.birth() => {
                Ok(self.newest.store(bound))
            }
            Ok(_) => Err(CellError::Deleted),
            // It moved again meanwhile: the caller tries once more.
            Err(Failure::Read(_)) => Ok(stale),
            Err(Failure::Other(_)) => Err(CellError::Reshaped),
        }
    }

    fn error(&self, source: CellError) -> Error {
        Error::Cell { what: format!("cell {:?} of table {:?}", self.column, self.table()), source }
    }
}

#[inline]
fn real_of(value: CellValue) -> Option<f64> {
    (value.class == StorageClass::Real).then(|| f64::from_bits(value.bits))
}

#[cold]
fn mismatch(value: CellValue, expected: &'static str) -> CellError {
    match value.class {
        StorageClass::Null => CellError::Null { expected },
        found => CellError::Type { found, expected },
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell")
            .field("table", &self.table())
            .field("key", &self.key)
            .field("column", &self.column)
            .finish_non_exhaustive()
    }
}
