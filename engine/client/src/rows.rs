//! Many rows of one revision, in private memory that serves again and again.
//!
//! In: a table's view, or, where writers are too fast for reading beside them, a copy that the daemon
//! made between two commits. Out: borrowed rows, by their place in an order or in a list of keys.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{ReadError, ScanBuf};
use shmirror_shm::wire::{Answer, Call, RefuseCode};

use crate::attachment::{Core, MOVING};
use crate::connection::{CALL, only, wrong_answer};
use crate::copied::Copied;
use crate::error::Error;
use crate::form::Form;
use crate::into_key::IntoKey;
use crate::memfd::read_words;
use crate::order::Order;
use crate::resolve::{Failure, Place, Resolved};
use crate::row::RowRef;
use crate::schema::{self, Schema};

/// Rows of a table that are all of one revision, to be filled again and again by
/// [`Table::read_many`](crate::Table::read_many) and [`Table::scan_into`](crate::Table::scan_into)
/// without allocation once it has grown.
///
/// ```no_run
/// # let mirror = shmirror::Mirror::attach(&shmirror::Options::new())?;
/// let (tags, mut rows) = (mirror.table("tag")?, shmirror::Rows::default());
/// tags.read_many(&["p1", "p2"], &mut rows)?;
/// if let (Some(p1), Some(p2)) = (rows.get(0), rows.get(1)) {
///     println!("{}", p1.get::<f64>("value")? - p2.get::<f64>("value")?);
/// }
/// tags.scan_sorted_into(&mut rows)?;
/// for row in rows.iter() {
///     println!("{}", row.to_json());
/// }
/// # Ok::<(), shmirror::Error>(())
/// ```
pub struct Rows {
    schema: &'static Schema,
    revision: u64,
    read: ScanBuf,
    /// Where the rows are, if they are not in `read`.
    copied: Option<Copied>,
    /// Of the rows of a scan.
    order: Order,
    /// The keys that were asked for, and how many of them; more are kept for their memory.
    keys: Vec<Key>,
    asked: Option<usize>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            schema: &schema::EMPTY,
            revision: 0,
            read: ScanBuf::new(),
            copied: None,
            order: Order::default(),
            keys: Vec::new(),
            asked: None,
        }
    }
}

impl Rows {
    /// The revision that all rows are of; 0 where it was never filled.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many rows there are; of a list of keys, how many keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.asked.unwrap_or_else(|| self.order.places().len())
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The form that all rows have.
    pub fn form(&self) -> Form {
        Form(self.schema)
    }

    /// The row at this place of the order; of a list of keys, the row with the key at this place, where
    /// there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<RowRef<'_>> {
        if self.asked.is_some() {
            return self.at(index);
        }
        self.at(*self.order.places().get(index)?)
    }

    /// The rows that there are, in their order.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Forgets the rows, not their memory.
    pub(crate) fn clear(&mut self) {
        self.order.clear();
        self.copied = None;
        self.asked = None;
        (self.schema, self.revision) = (&schema::EMPTY, 0);
    }

    /// Reads the table's view, for rows at their places.
    pub(crate) fn read_table(&mut self, resolved: &Resolved) -> Result<(), ReadError> {
        self.clear();
        let revision = resolved.view.scan_into(&mut self.read)?;
        (self.schema, self.revision) = (resolved.schema, revision);
        Ok(())
    }

    /// Has the daemon copy the table, for rows at their places.
    pub(crate) fn copy_table(&mut self, core: &Core, place: &Place) -> Result<(), Error> {
        self.clear();
        let what = "asking for a copy of the table";
        let deadline = Instant::now() + MOVING;
        loop {
            let resolved = Resolved::find(core, place.name(), None, deadline)?;
            let def = resolved.def();
            match core.ask(&Call::TableCopy(def.id), CALL, what) {
                Ok((Answer::TableCopy { bytes, .. }, fds)) => {
                    let words = read_words(&only(fds, what)?, bytes, "the copy of a table")?;
                    let copied = Copied::parse(words, def.columns.len())?;
                    if (copied.header.table, copied.header.shape) == (def.id, def.shape) {
                        self.take_copy(resolved.schema, copied);
                        return Ok(());
                    }
                }
                Ok(_) => return Err(wrong_answer(what)),
                // It was dropped since it was resolved.
                Err(Error::Refused { code: RefuseCode::UnknownTable, .. }) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(Error::Contended { what: format!("table {:?}", place.name().asked()) });
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn take_copy(&mut self, schema: &'static Schema, copied: Copied) {
        (self.schema, self.revision) = (schema, copied.header.revision);
        self.copied = Some(copied);
    }

    /// Reads the rows of these keys.
    pub(crate) fn read_keys<K: IntoKey>(
        &mut self,
        resolved: &Resolved,
        keys: impl Iterator<Item = K>,
    ) -> Result<(), Failure> {
        self.clear();
        let mut count = 0;
        for key in keys {
            if self.keys.len() == count {
                self.keys.push(Key::default());
            }
            key.with_key(|values| resolved.set_key(&mut self.keys[count], values))?;
            count += 1;
        }
        let revision = resolved.view.get_many_into(&self.keys[..count], &mut self.read)?;
        (self.schema, self.revision, self.asked) = (resolved.schema, revision, Some(count));
        Ok(())
    }

    /// Puts the rows of a scan into an order: that of their places, or that of their keys.
    pub(crate) fn arrange(&mut self, sorted: bool) {
        let mut order = std::mem::take(&mut self.order);
        if sorted {
            order.by_key(&self.schema.key, self.places().map(|(place, row)| (place, row.image)));
        } else {
            match &self.copied {
                None => order.as_they_come((0..self.read.places()).filter(|at| self.read.has(*at))),
                Some(_) => order.as_they_come(self.places().map(|(place, _)| place)),
            }
        }
        self.order = order;
    }

    /// The places that have a row, and the rows.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, RowRef<'_>)> + Clone {
        let count = self.copied.as_ref().map_or(self.read.places(), Copied::len);
        (0..count).filter_map(|place| Some((place, self.at(place)?)))
    }

    /// How many rows a scan has, arranged or not.
    pub(crate) fn found(&self) -> usize {
        self.copied.as_ref().map_or(self.read.len(), Copied::len)
    }

    /// The row at a place.
    #[inline]
    pub(crate) fn at(&self, place: usize) -> Option<RowRef<'_>> {
        let (revision, image) = match &self.copied {
            None => self.read.row(place).map(|row| (row.revision, row.image))?,
            Some(copied) => copied.row(place)?,
        };
        Some(RowRef { schema: self.schema, revision, image })
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("table", &self.schema.table)
            .field("revision", &self.revision)
            .field("rows", &self.len())
            .finish()
    }
}
