//! Change capture: what the capture triggers tell, combined to one net change for each row.
//!
//! What flows in: each row's values before and after a change, from the function that the triggers
//! call. What flows out: [`Changes`]. The first "before" and the last "after" of a row count;
//! whatever lay between is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef as SqlValue;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::{Image, ImageRef};
use shmirror_shm::key::{Key, KeyError};
use shmirror_shm::limits;
use shmirror_shm::record::HEADER_WORDS;
use shmirror_shm::request::RejectCode;
use shmirror_shm::value::{StorageClass, ValueRef};

use super::db::{Db, SqlError};
use super::delta::{Changes, Making};
use super::guard::CAPTURE;
use super::places::Places;
use super::reject::{Reject, show_values};
use super::tables::Table;

/// A row that the present request touched.
#[derive(Debug)]
struct Touched {
    table: u32,
    key: Key,
    old: Option<Image>,
    new: Option<Image>,
}

/// The capture's state, shared by the working copy and the function that triggers call.
#[derive(Debug, Default)]
pub(crate) struct State {
    tables: HashMap<u32, Arc<Table>>,
    rows: Vec<Touched>,
    places: Places,
    making: Making,
    bytes: usize,
    fault: Option<Reject>,
    paused: bool,
    /// An AUTOINCREMENT table got a row.
    sequence_moved: bool,
    /// A statement named `sqlite_sequence` to write it.
    sequence_named: bool,
}

/// Capture of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Capture(Arc<Mutex<State>>);

impl Capture {
    /// Registers the function on `db`.
    pub fn install(db: &Db) -> Result<Self, SqlError> {
        let state = Arc::new(Mutex::new(State::default()));
        let of_function = state.clone();
        db.connection().create_scalar_function(
            CAPTURE,
            -1,
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY,
            move |arguments| {
                let mut state = of_function.lock().unwrap_or_else(PoisonError::into_inner);
                if arguments.is_empty() {
                    return Ok(Some(!state.paused));
                }
                match state.take(arguments) {
                    Ok(()) => Ok(None),
                    Err(reject) => {
                        let text = reject.message.clone();
                        state.fault.get_or_insert(reject);
                        Err(rusqlite::Error::UserFunctionError(text.into()))
                    }
                }
            },
        )?;
        Ok(Self(state))
    }

    /// The state. The lock is not to be held while SQLite changes rows.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Captures for the tables of `catalogue` from now on; unchanged tables are kept as they are.
    pub fn set_tables(&mut self, catalogue: &Catalogue) {
        let mut before = std::mem::take(&mut self.tables);
        for def in &catalogue.tables {
            let table = match before.remove(&def.id) {
                Some(table) if *table.def == *def => table,
                _ => Arc::new(Table::of(def, catalogue)),
            };
            self.tables.insert(def.id, table);
        }
    }

    /// The table with this id.
    pub fn table(&self, id: u32) -> Option<Arc<Table>> {
        self.tables.get(&id).cloned()
    }

    /// Forgets what was captured.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.places.clear();
        self.rows.shrink_to(1 << 16);
        self.bytes = 0;
        self.fault = None;
        (self.sequence_moved, self.sequence_named) = (false, false);
    }

    /// A statement writes `sqlite_sequence`.
    pub fn name_sequence(&mut self) {
        self.sequence_named = true;
    }

    /// Whether a sequence may have changed by a row, and by a statement that named it. Asked once.
    pub fn take_sequenced(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.sequence_moved), std::mem::take(&mut self.sequence_named))
    }

    /// While paused, changes are ours and not captured.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Why a capture failed, where one did.
    pub fn take_fault(&mut self) -> Option<Reject> {
        self.fault.take()
    }

    /// Ids of the tables that have touched rows.
    pub fn touched_tables(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.rows.iter().map(|r| r.table).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn take(&mut self, arguments: &Context<'_>) -> Result<(), Reject> {
        if self.paused {
            return Ok(());
        }
        let number = |i: usize| match arguments.get_raw(i) {
            SqlValue::Integer(n) => n,
            _ => -1,
        };
        let bad =
            || Reject::internal("capturing a change", "a capture trigger's call is malformed");
        if arguments.len() < 2 {
            return Err(bad());
        }
        let id = u32::try_from(number(0)).map_err(|_| bad())?;
        let table = self.tables.get(&id).cloned().ok_or_else(bad)?;
        let columns = table.def.columns.len();
        match (number(1), arguments.len()) {
            (1, n) if n == 2 + columns => {
                self.sequence_moved |= table.autoincrement;
                let new = image_of(&table, arguments, 2)?;
                let key = key_of(&table, &new)?;
                self.record(&table, key, None, Some(new))
            }
            (2, n) if n == 2 + 2 * columns => {
                let old = image_of(&table, arguments, 2)?;
                let new = image_of(&table, arguments, 2 + columns)?;
                if old == new {
                    return Ok(());
                }
                let (was, is) = (key_of(&table, &old)?, key_of(&table, &new)?);
                if was == is {
                    return self.record(&table, is, Some(old), Some(new));
                }
                self.record(&table, was, Some(old), None)?;
                self.record(&table, is, None, Some(new))
            }
            (3, n) if n == 2 + columns => {
                let old = image_of(&table, arguments, 2)?;
                let key = key_of(&table, &old)?;
                self.record(&table, key, Some(old), None)
            }
            _ => Err(bad()),
        }
    }

    /// A row is new that no trigger told of.
    pub fn inserted(&mut self, table: &Table, image: Image) -> Result<(), Reject> {
        check_size(table, &image)?;
        let key = key_of(table, &image)?;
        self.record(table, key, None, Some(image))
    }

    /// A row was this and is that; `None` where there is none.
    pub fn record(
        &mut self,
        table: &Table,
        key: Key,
        old: Option<Image>,
        new: Option<Image>,
    ) -> Result<(), Reject> {
        let id = table.def.id;
        let hash = self.places.hash(id, &key);
        let size = |image: &Option<Image>| image.as_ref().map_or(0, image_bytes);
        let is_it = |i: usize| self.rows.get(i).is_some_and(|r| r.table == id && r.key == key);
        if let Some(i) = self.places.find(hash, is_it) {
            let row = &mut self.rows[i];
            self.bytes = (self.bytes + size(&new)).saturating_sub(size(&row.new));
            row.new = new;
        } else {
            if self.rows.len() >= limits::TRANSACTION_ROWS {
                let allowed = limits::TRANSACTION_ROWS;
                return Err(Reject::limit("rows that one request changes", allowed + 1, allowed));
            }
            self.bytes += size(&new) + HEADER_WORDS * 8;
            self.places.push(hash);
            self.rows.push(Touched { table: id, key, old, new });
        }
        if self.bytes > limits::TRANSACTION_BYTES {
            return Err(Reject::limit(
                "bytes that one request changes",
                self.bytes,
                limits::TRANSACTION_BYTES,
            ));
        }
        Ok(())
    }

    /// The table has another shape now: rows that were touched before are brought to it.
    /// `reread` gives the present row with the key of an image of the old shape.
    pub fn reshape(
        &mut self,
        before: &Table,
        after: &Table,
        mut reread: impl FnMut(&Image) -> Result<Option<Image>, Reject>,
    ) -> Result<(), Reject> {
        let places: Vec<Option<usize>> = after
            .def
            .columns
            .iter()
            .map(|c| before.def.columns.iter().position(|b| b.id == c.id))
            .collect();
        for row in self.rows.iter_mut().filter(|r| r.table == before.def.id) {
            if let Some(old) = &row.old {
                let old = old.as_ref();
                let values: Vec<ValueRef<'_>> = places
                    .iter()
                    .map(|p| p.map_or(Ok(ValueRef::Null), |i| old.get(i)))
                    .collect::<Result<_, _>>()
                    .map_err(|e| Reject::internal("bringing a row to its new shape", e))?;
                row.old = Some(Image::encode(values.into_iter()));
            }
            if let Some(new) = &row.new {
                row.new = reread(new)?;
            }
        }
        Ok(())
    }

    /// The net changes of the request, by rising number of their namespace, which are forgotten here.
    pub fn drain(&mut self) -> Result<Changes, Reject> {
        let mut rows = std::mem::take(&mut self.rows);
        let mut making = std::mem::take(&mut self.making);
        making.clear();
        making.reserve(rows.len());
        let mut last: Option<Arc<Table>> = None;
        for Touched { table, key, old, new } in rows.drain(..) {
            if last.as_ref().is_none_or(|t| t.def.id != table) {
                last = self.tables.get(&table).cloned();
            }
            // Rows of a table that is gone went with it.
            let Some(table) = &last else { continue };
            let [old, new] = [&old, &new].map(|image| image.as_ref().map(Image::as_ref));
            making.push(table, key, old, new, |image, out| push_key_image(table, image, out))?;
        }
        self.rows = rows;
        let changes = making.finish();
        self.making = making;
        self.clear();
        Ok(changes)
    }
}

/// Appends the values of the key columns as an image; the bytes of its variable part.
pub(super) fn push_key_image(
    table: &Table,
    image: &ImageRef<'_>,
    out: &mut Vec<u64>,
) -> Result<usize, Reject> {
    let lies = |e| Reject::internal("reading a key", e);
    if let [part] = &table.parts[..] {
        if let Some(integer) = image.integer(part.index) {
            out.extend([StorageClass::Integer as u64, integer as u64]);
            return Ok(0);
        }
        let value = image.get(part.index).map_err(lies)?;
        return Ok(Image::append(std::iter::once(value), out));
    }
    let values: Vec<ValueRef<'_>> =
        table.parts.iter().map(|p| image.get(p.index)).collect::<Result<_, _>>().map_err(lies)?;
    Ok(Image::append(values.into_iter(), out))
}

/// The key of a row of `table`.
pub(crate) fn key_of(table: &Table, image: &Image) -> Result<Key, Reject> {
    let image = image.as_ref();
    Key::of_image(&table.parts, &image).map_err(|error| {
        let name = table.def.full_name();
        match &error {
            KeyError::Null { column } => Reject::new(
                RejectCode::BadKey,
                format!(
                    "table \"{name}\": a row has NULL in its key column \"{column}\"; each row needs \
                     a value there"
                ),
            ),
            KeyError::Long { .. } => {
                let key = show_values(table.parts.iter().filter_map(|p| image.get(p.index).ok()));
                Reject::new(RejectCode::BadKey, format!("table \"{name}\", key {key}: {error}"))
            }
            _ => Reject::internal("reading a key", &error),
        }
    })
}

/// Bytes of an image.
pub(super) fn image_bytes(image: &Image) -> usize {
    image.as_ref().words().len() * 8
}

/// Values of a function call, by reference.
#[derive(Clone)]
struct Arguments<'a> {
    context: &'a Context<'a>,
    next: usize,
    end: usize,
}

impl<'a> Iterator for Arguments<'a> {
    type Item = ValueRef<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        // TEXT that is not UTF-8 was refused before this is asked.
        Some(borrow(self.context.get_raw(self.next - 1)).unwrap_or_default())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for Arguments<'_> {}

fn borrow(value: SqlValue<'_>) -> Option<ValueRef<'_>> {
    Some(match value {
        SqlValue::Null => ValueRef::Null,
        SqlValue::Integer(i) => ValueRef::Integer(i),
        SqlValue::Real(r) => ValueRef::Real(r),
        SqlValue::Text(t) => ValueRef::Text(std::str::from_utf8(t).ok()?),
        SqlValue::Blob(b) => ValueRef::Blob(b),
    })
}

fn image_of(table: &Table, arguments: &Context<'_>, first: usize) -> Result<Image, Reject> {
    let columns = &table.def.columns;
    let mut long = false;
    for (i, column) in columns.iter().enumerate() {
        match arguments.get_raw(first + i) {
            SqlValue::Text(t) => {
                long |= t.len() > limits::VALUE_BYTES;
                if std::str::from_utf8(t).is_err() {
                    return Err(not_utf8(&table.def.full_name(), &column.name));
                }
            }
            SqlValue::Blob(b) => long |= b.len() > limits::VALUE_BYTES,
            _ => {}
        }
    }
    let values = Arguments { context: arguments, next: first, end: first + columns.len() };
    let image = Image::encode(values);
    if long || image_bytes(&image) > limits::ROW_BYTES {
        check_size(table, &image)?;
    }
    Ok(image)
}

/// TEXT that is not UTF-8.
pub(crate) fn not_utf8(table: &str, column: &str) -> Reject {
    Reject::new(
        RejectCode::NotUtf8,
        format!("table \"{table}\", column \"{column}\": the TEXT value is not UTF-8"),
    )
}

fn check_size(table: &Table, image: &Image) -> Result<(), Reject> {
    let name = table.def.full_name();
    let view = image.as_ref();
    for (i, column) in table.def.columns.iter().enumerate() {
        let found = view.get(i).map_or(0, |v| v.var_len());
        if found > limits::VALUE_BYTES {
            let what = format!("table \"{name}\", column \"{}\": bytes of a value", column.name);
            return Err(Reject::limit(what, found, limits::VALUE_BYTES));
        }
    }
    let found = image_bytes(image);
    if found > limits::ROW_BYTES {
        let what = format!("table \"{name}\": bytes of a row");
        return Err(Reject::limit(what, found, limits::ROW_BYTES));
    }
    Ok(())
}
