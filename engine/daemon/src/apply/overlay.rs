//! Rows that were changed without SQLite ([`super::direct`]) and that it has not been told of yet.
//!
//! ```text
//! truth          what the overlay has of a row, else what SQLite has
//! begin_group    an overlay that has grown too big is written to SQLite
//! direct change  row ← image ; what it was before goes to the undo log
//! SQL            first everything is written to SQLite: what is of groups before in a transaction of
//!                its own, then BEGIN, then what is of this group. The overlay is empty then
//! rollback       before BEGIN: the undo log. Behind it: ROLLBACK, and all rows are forgotten
//! ```
//! Rows stand in the order in which they were first touched, so that new ones get their rowids in the
//! order of their inserts. No row is ever deleted here.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::ffi;
use shmirror_shm::image::ImageRef;
use shmirror_shm::key::Key;
use shmirror_shm::sync::{LINE_WORDS, prefetch};
use shmirror_shm::value::ValueRef;

use super::capture::{Capture, push_key_image};
use super::db::{Db, Kept, SqlError};
use super::delta::{Changes, Making};
use super::places::{Places, RowHash};
use super::reject::Reject;
use super::tables::Table;

/// Most rows before it is written to SQLite: who then sends SQL waits for that.
const ROWS: usize = 16 << 10;
/// Most bytes of their images.
const BYTES: usize = 16 << 20;
/// Most entries that an emptied list keeps room for.
const KEPT: usize = 1 << 16;

/// A row as it is.
#[derive(Clone, Debug)]
struct Row {
    table: u32,
    /// Where it stands among those that the present request touched, if it does.
    touched: u32,
    key: Key,
    image: Held,
    /// SQLite has no row with this key.
    is_new: bool,
}

/// An image that is written over in place.
#[derive(Clone, Debug, Default)]
struct Held {
    words: Vec<u64>,
    columns: u32,
    var_bytes: u32,
}

impl Held {
    fn of(image: ImageRef<'_>) -> Self {
        let mut held = Self::default();
        held.set(image);
        held
    }

    fn set(&mut self, image: ImageRef<'_>) {
        let words = image.words();
        if self.words.len() == words.len() {
            self.words.copy_from_slice(words);
        } else {
            self.words = words.to_vec();
        }
        (self.columns, self.var_bytes) = (image.columns() as u32, image.var_bytes() as u32);
    }

    fn view(&self) -> ImageRef<'_> {
        // It was an image before.
        ImageRef::new(self.columns as usize, self.var_bytes as usize, &self.words)
            .unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        self.words.len() * 8
    }
}

/// What a change did.
#[derive(Debug)]
struct Undo {
    place: u32,
    /// The row was not here before; it stands last.
    entered: bool,
    /// The image that it had, here or in SQLite, stands in the undo log's words from here on.
    was: Option<Was>,
}

#[derive(Clone, Copy, Debug)]
struct Was {
    at: usize,
    columns: u32,
    var_bytes: u32,
}

impl Was {
    fn view(self, words: &[u64]) -> ImageRef<'_> {
        let columns = self.columns as usize;
        ImageRef::new(columns, self.var_bytes as usize, &words[self.at..]).unwrap_or_default()
    }
}

/// A row that the present request touched, and its first change in the undo log.
#[derive(Debug)]
struct Touch {
    place: u32,
    undo: usize,
}

/// The statements that tell SQLite of a table's rows, and ask it for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statements {
    /// All columns of the row with a key.
    pub select: Kept,
    /// Columns that can be written and are not of the key; then the key.
    update: Kept,
    /// All columns that can be written.
    insert: Kept,
}

/// One of them, with the places of its values in the image.
struct Way {
    kept: Kept,
    places: Vec<usize>,
}

/// The overlay of a working copy.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    rows: Vec<Row>,
    places: Places,
    undo: Vec<Undo>,
    /// Images that rows had.
    undo_words: Vec<u64>,
    /// Where the present request begins in `undo`.
    request: usize,
    /// What it touched, in the order in which it did first.
    touched: Vec<Touch>,
    making: Making,
    bytes: usize,
    statements: HashMap<u32, Statements>,
}

impl Overlay {
    /// Whether SQLite knows of everything.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether it is time to tell SQLite.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES
    }

    /// The hash of a row.
    pub fn hash(&self, table: u32, key: &Key) -> RowHash {
        self.places.hash(table, key)
    }

    /// Fetches what finding these rows and changing them will look at: first where they are, then they, then their
    /// images. Nothing but their speed changes.
    pub fn foresee(&self, hashes: &[RowHash]) {
        if self.rows.is_empty() {
            return;
        }
        hashes.iter().for_each(|&hash| self.places.foresee(hash));
        let rows = || hashes.iter().filter_map(|&h| self.rows.get(self.places.likely(h)?));
        rows().for_each(prefetch);
        for row in rows() {
            row.image.words.iter().step_by(LINE_WORDS).for_each(prefetch);
        }
    }

    /// The place of a row, where it is here.
    pub fn find(&self, hash: RowHash, table: u32, key: &Key) -> Option<usize> {
        let is_it =
            |at: usize| self.rows.get(at).is_some_and(|row| row.table == table && row.key == *key);
        self.places.find(hash, is_it)
    }

    /// The image of the row at `place`.
    pub fn image(&self, place: usize) -> ImageRef<'_> {
        self.rows[place].image.view()
    }

    /// The row at `place` has another image now.
    pub fn change(&mut self, place: usize, image: ImageRef<'_>) {
        let row = &mut self.rows[place];
        let was = lay_by(&mut self.undo_words, row.image.view());
        self.bytes -= row.image.bytes();
        row.image.set(image);
        self.bytes += row.image.bytes();
        let is_touched = self.touched.get(row.touched as usize);
        if is_touched.is_none_or(|touch| touch.place as usize != place) {
            row.touched = self.touched.len() as u32;
            self.touched.push(Touch { place: place as u32, undo: self.undo.len() });
        }
        self.undo.push(Undo { place: place as u32, entered: false, was: Some(was) });
    }

    /// A row that is not here, with this hash, has this image now. `was` is what SQLite has.
    pub fn enter(
        &mut self,
        hash: RowHash,
        (table, key): (u32, Key),
        image: ImageRef<'_>,
        was: Option<ImageRef<'_>>,
    ) {
        let place = self.rows.len() as u32;
        let image = Held::of(image);
        self.bytes += image.bytes();
        self.places.push(hash);
        let touched = self.touched.len() as u32;
        self.touched.push(Touch { place, undo: self.undo.len() });
        let is_new = was.is_none();
        let was = was.map(|was| lay_by(&mut self.undo_words, was));
        self.rows.push(Row { table, touched, key, image, is_new });
        self.undo.push(Undo { place, entered: true, was });
    }

    /// The net changes of the present request, which ends with this.
    pub fn take_changes(
        &mut self,
        tables: impl Fn(u32) -> Option<Arc<Table>>,
    ) -> Result<Changes, Reject> {
        let Self { rows, undo, undo_words, touched, making, .. } = self;
        making.clear();
        making.reserve(touched.len());
        let mut last: Option<Arc<Table>> = None;
        for touch in touched.drain(..) {
            let row = &rows[touch.place as usize];
            if last.as_ref().is_none_or(|t| t.def.id != row.table) {
                last = tables(row.table);
            }
            let Some(table) = &last else { continue };
            let old = undo[touch.undo].was.map(|was| was.view(undo_words));
            let new = Some(row.image.view());
            making.push(table, row.key.clone(), old, new, |image, out| {
                push_key_image(table, image, out)
            })?;
        }
        Ok(making.finish())
    }

    /// A request begins.
    pub fn begin_request(&mut self) {
        self.request = self.undo.len();
        self.touched.clear();
    }

    /// Takes back what the present request did.
    pub fn undo_request(&mut self) {
        let request = self.request;
        self.undo_to(request, |_| {});
        self.touched.clear();
    }

    /// Takes back what the present group did.
    pub fn undo_group(&mut self) {
        self.undo_to(0, |_| {});
    }

    /// What the present group did stays.
    pub fn end_group(&mut self) {
        self.undo.clear();
        self.undo.shrink_to(KEPT);
        self.undo_words.clear();
        self.undo_words.shrink_to(16 * KEPT);
        self.touched.shrink_to(KEPT);
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.rows.shrink_to(KEPT);
        self.places.clear();
        self.bytes = 0;
        self.end_group();
        self.request = 0;
    }

    /// Forgets compiled statements; to be called whenever the connection does.
    pub fn forget_statements(&mut self) {
        self.statements.clear();
    }

    /// Takes back, down to a length of the undo log; `f` gets what each row was that changed, the last
    /// change first.
    fn undo_to(&mut self, length: usize, mut f: impl FnMut(Row)) {
        while self.undo.len() > length {
            let Some(Undo { place, entered, was }) = self.undo.pop() else { break };
            if entered {
                let Some(row) = self.rows.pop() else { continue };
                self.bytes -= row.image.bytes();
                self.places.pop();
                f(row);
            } else if let Some(was) = was {
                let row = &mut self.rows[place as usize];
                let before = Held::of(was.view(&self.undo_words));
                self.bytes = self.bytes + before.bytes() - row.image.bytes();
                let image = std::mem::replace(&mut row.image, before);
                let (table, touched, key) = (row.table, row.touched, row.key.clone());
                f(Row { table, touched, key, image, is_new: false });
            }
            if let Some(was) = was {
                self.undo_words.truncate(was.at);
            }
        }
    }

    /// Calls `f` with key and image of each row of `table` that SQLite does not have.
    pub fn for_each_new(&self, table: u32, mut f: impl FnMut(&Key, ImageRef<'_>)) {
        let is_its = |row: &&Row| row.table == table && row.is_new;
        self.rows.iter().filter(is_its).for_each(|row| f(&row.key, row.image.view()));
    }

    /// Compiles, once, the statements for a table.
    pub fn statements(&mut self, db: &mut Db, table: &Table) -> Result<Statements, SqlError> {
        if let Some(known) = self.statements.get(&table.def.id) {
            return Ok(*known);
        }
        let name = table.sql_name();
        let columns: Vec<&str> = writable(table).map(|i| table.sql_columns[i].as_str()).collect();
        let marks: Vec<String> = (1..=columns.len()).map(|n| format!("?{n}")).collect();
        let mut set: Vec<String> =
            others(table).zip(1..).map(|(i, n)| format!("{}=?{n}", table.sql_columns[i])).collect();
        let (test, behind) = (table.sql_key_test(1), table.sql_key_test(set.len() + 1));
        if set.is_empty() {
            // All of it is key: it is never run.
            set.push(format!("{0}={0}", columns.first().copied().unwrap_or("NULL")));
        }
        let (set, columns, marks) = (set.join(","), columns.join(","), marks.join(","));
        let made = Statements {
            select: db.keep(&format!("SELECT {} FROM {name} WHERE {test}", table.sql_list("")))?,
            update: db.keep(&format!("UPDATE {name} SET {set} WHERE {behind}"))?,
            insert: db.keep(&format!("INSERT INTO {name} ({columns}) VALUES ({marks})"))?,
        };
        self.statements.insert(table.def.id, made);
        Ok(made)
    }

    /// Writes to SQLite, in a transaction between `begin` and `commit`, what is of groups before the
    /// present one; it is forgotten then. What is returned is of this group, to be written by
    /// [`Overlay::write_late`].
    pub fn write_early(
        &mut self,
        db: &mut Db,
        tables: &impl Fn(u32) -> Option<Arc<Table>>,
        [begin, commit, rollback]: [Kept; 3],
    ) -> Result<Late, SqlError> {
        let mut late = Vec::new();
        self.undo_to(0, |row| late.push(row));
        if !self.rows.is_empty() {
            db.kept(begin)?.run(std::iter::empty())?;
            let rows = std::mem::take(&mut self.rows);
            let done = self.write(db, tables, &rows);
            let done = done.and_then(|()| db.kept(commit)?.run(std::iter::empty()));
            if let Err(error) = done {
                if !db.is_autocommit() {
                    // The error that is told is the first one.
                    let _ = db.kept(rollback).and_then(|mut s| s.run(std::iter::empty()));
                }
                return Err(error);
            }
        }
        self.clear();
        late.reverse();
        Ok(Late(late))
    }

    /// Writes to SQLite what [`Overlay::write_early`] left.
    pub fn write_late(
        &mut self,
        db: &mut Db,
        tables: &impl Fn(u32) -> Option<Arc<Table>>,
        late: &Late,
    ) -> Result<(), SqlError> {
        self.write(db, tables, &late.0)
    }

    /// Writes all rows to SQLite, in the transaction that is open, and forgets them.
    pub fn write_all(
        &mut self,
        db: &mut Db,
        tables: &impl Fn(u32) -> Option<Arc<Table>>,
    ) -> Result<(), SqlError> {
        let rows = std::mem::take(&mut self.rows);
        self.write(db, tables, &rows)?;
        self.clear();
        Ok(())
    }

    fn write(
        &mut self,
        db: &mut Db,
        tables: &impl Fn(u32) -> Option<Arc<Table>>,
        rows: &[Row],
    ) -> Result<(), SqlError> {
        let mut last: Option<(u32, [Way; 2])> = None;
        for row in rows {
            if last.as_ref().is_none_or(|(table, _)| *table != row.table) {
                let table =
                    tables(row.table).ok_or_else(|| lies("a row of a table that is gone"))?;
                let Statements { update, insert, .. } = self.statements(db, &table)?;
                let keys = table.parts.iter().map(|part| part.index);
                let update = Way { kept: update, places: others(&table).chain(keys).collect() };
                let insert = Way { kept: insert, places: writable(&table).collect() };
                last = Some((row.table, [update, insert]));
            }
            let Some((_, ways)) = &last else { continue };
            let Way { kept, places } = &ways[usize::from(row.is_new)];
            let image = row.image.view();
            let mut bad = false;
            let values = places.iter().map(|&i| match image.get(i) {
                Ok(value) => value,
                Err(_) => {
                    bad = true;
                    ValueRef::Null
                }
            });
            db.kept(*kept)?.run(values)?;
            if bad || db.changes() != 1 {
                return Err(lies("a row that SQLite knows otherwise"));
            }
        }
        Ok(())
    }
}

/// Appends an image to the undo log's words.
fn lay_by(words: &mut Vec<u64>, image: ImageRef<'_>) -> Was {
    let at = words.len();
    words.extend_from_slice(image.words());
    Was { at, columns: image.columns() as u32, var_bytes: image.var_bytes() as u32 }
}

/// Rows of the present group that SQLite is to be told of.
pub(crate) struct Late(Vec<Row>);

/// The columns of the image that can be written.
fn writable(table: &Table) -> impl Iterator<Item = usize> + '_ {
    (0..table.def.columns.len()).filter(|&i| table.is_writable(i))
}

/// Those of them that are not of the key.
fn others(table: &Table) -> impl Iterator<Item = usize> + '_ {
    writable(table).filter(|i| table.parts.iter().all(|part| part.index != *i))
}

fn lies(what: &str) -> SqlError {
    SqlError { code: ffi::SQLITE_CORRUPT, message: what.to_owned(), offset: None }
}

/// While it lives, changes are ours and not captured.
pub(super) struct Paused<'a>(&'a Capture);

impl<'a> Paused<'a> {
    pub fn new(capture: &'a Capture) -> Self {
        capture.state().pause(true);
        Self(capture)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.state().pause(false);
    }
}
