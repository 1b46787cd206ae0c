//! From a table's name to the place where its rows are, again whenever that has moved.
//!
//! In: a name. Out: a view of the table in the present segment. A table moves when it is dropped,
//! reshaped or renamed, when its segment grows beyond its reserve, and when the daemon restarts.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::key::{Key, KeyError};
use shmirror_shm::snapshot::{ReadError, TableView};
use shmirror_shm::value::ValueRef;

use crate::attachment::{Core, MOVING};
use crate::error::Error;
use crate::into_key::show_key;
use crate::name::Name;
use crate::schema::Schema;
use crate::swap::Swap;

/// Pause between two looks at a table that is on the move.
const PAUSE: Duration = Duration::from_micros(100);

/// Bytes of a key that need no memory of their own.
const INLINE_KEY: usize = 40;

thread_local! {
    /// A key whose memory serves the thread's next long key.
    static SPARE: Cell<Key> = const { Cell::new(Key::Int(0)) };
}

/// Most bytes that a value takes in a key.
#[inline]
fn longest(value: &ValueRef<'_>) -> usize {
    match value {
        // In a TEXT column a number becomes a text: the longest is `-2.2250738585072014e-308`.
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => 27,
        ValueRef::Text(t) => 3 + 2 * t.len(),
        ValueRef::Blob(b) => 3 + 2 * b.len(),
    }
}

/// A table where it is now.
pub(crate) struct Resolved {
    pub(crate) view: TableView,
    catalogue: Arc<Catalogue>,
    /// Index of the table in the catalogue.
    index: usize,
    place: u64,
    pub(crate) schema: &'static Schema,
}

impl Resolved {
    /// The table of this name, where it is now; not where `stale` is.
    pub(crate) fn find(
        core: &Core,
        name: &Name,
        stale: Option<&Self>,
        deadline: Instant,
    ) -> Result<Self, Error> {
        loop {
            let attachment = core.readable(deadline)?;
            match attachment.catalogue() {
                Ok(known) => {
                    let catalogue = known.catalogue;
                    let is_it = |t: &TableDef| t.is(core.namespace(), name.bare());
                    let Some(index) = catalogue.tables.iter().position(is_it) else {
                        return Err(unknown_table(name, &catalogue));
                    };
                    let def = &catalogue.tables[index];
                    let Some(place) = known.places.iter().find(|(id, _)| *id == def.id) else {
                        let name = name.asked();
                        return Err(Error::Protocol(format!("table {name:?} has no place")));
                    };
                    let place = place.1;
                    let moved = stale.is_none_or(|s| {
                        s.place != place || !Arc::ptr_eq(s.view.segment(), &attachment.segment)
                    });
                    if moved {
                        match TableView::new(attachment.segment.clone(), def, place) {
                            Ok(view) => {
                                return Ok(Self {
                                    view,
                                    index,
                                    place,
                                    schema: Schema::of(def),
                                    catalogue,
                                });
                            }
                            Err(ReadError::Moved | ReadError::Contended { .. }) => {}
                            Err(error) => return Err(corrupt(name, error)),
                        }
                    }
                }
                Err(ReadError::Moved | ReadError::Contended { .. }) => {}
                Err(error) => return Err(corrupt(name, error)),
            }
            if Instant::now() >= deadline {
                return Err(Error::Contended { what: format!("table {:?}", name.asked()) });
            }
            thread::sleep(PAUSE);
        }
    }

    /// Its definition.
    pub(crate) fn def(&self) -> &TableDef {
        &self.catalogue.tables[self.index]
    }

    /// Makes `key` the key of these values.
    pub(crate) fn set_key(&self, key: &mut Key, values: &[ValueRef<'_>]) -> Result<(), Error> {
        key.set(self.view.key_parts(), values).map_err(|e| self.bad_key(values, &e))
    }

    /// Hands the key of these values to `f`. No allocation once this thread had a key as long.
    #[inline]
    pub(crate) fn with_key<R>(
        &self,
        values: &[ValueRef<'_>],
        f: impl FnOnce(&Key) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        if values.iter().map(longest).sum::<usize>() <= INLINE_KEY {
            let mut key = Key::default();
            self.set_key(&mut key, values)?;
            return f(&key);
        }
        let mut key = SPARE.try_with(Cell::take).unwrap_or_default();
        let done = self.set_key(&mut key, values).map_err(Failure::from).and_then(|()| f(&key));
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|spare| spare.set(key));
        done
    }

    #[cold]
    fn bad_key(&self, values: &[ValueRef<'_>], error: &KeyError) -> Error {
        let names: Vec<_> = self.def().key_defs().map(|c| c.name.as_str()).collect();
        Error::Key {
            table: self.schema.table.clone(),
            key: show_key(values),
            message: format!("{error} (the key is {})", names.join(", ")),
        }
    }
}

/// A table's name and where it was found last; what table and scan handles share.
pub(crate) struct Place {
    name: Name,
    newest: Swap<Resolved>,
    /// One thread at a time resolves anew.
    resolving: Mutex<()>,
}

impl Place {
    /// Resolves a name for the first time.
    pub(crate) fn new(core: &Core, name: Name) -> Result<Self, Error> {
        core.same_process()?;
        let first = Resolved::find(core, &name, None, Instant::now() + MOVING)?;
        Ok(Self { name, newest: Swap::new(first), resolving: Mutex::new(()) })
    }

    /// The name that was asked for.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Where it was found last.
    #[inline]
    pub(crate) fn newest(&self) -> &Resolved {
        self.newest.load()
    }

    /// Where it is now that it is no longer at `stale`.
    pub(crate) fn follow(
        &self,
        core: &Core,
        stale: &Resolved,
        deadline: Instant,
    ) -> Result<&Resolved, Error> {
        core.same_process()?;
        let _one = self.resolving.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = self.newest.load();
        if !std::ptr::eq(newest, stale) {
            return Ok(newest);
        }
        Resolved::find(core, &self.name, Some(stale), deadline).map(|r| self.newest.store(r))
    }

    /// Reads with `read` until it succeeds where the table is.
    pub(crate) fn read<R>(
        &self,
        core: &Core,
        mut read: impl FnMut(&Resolved) -> Result<R, Failure>,
    ) -> Result<R, Error> {
        let mut resolved = self.newest.load();
        let mut deadline = None;
        loop {
            let error = match read(resolved) {
                Ok(found) => return Ok(found),
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Read(error)) => error,
            };
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + MOVING);
            match error {
                ReadError::Moved => resolved = self.follow(core, resolved, deadline)?,
                ReadError::Contended { .. } if Instant::now() < deadline => thread::yield_now(),
                ReadError::Contended { .. } => {
                    return Err(Error::Contended {
                        what: format!("table {:?}", self.name.asked()),
                    });
                }
                error => return Err(corrupt(&self.name, error)),
            }
        }
    }
}

/// Why one attempt at reading failed.
pub(crate) enum Failure {
    /// In the segment: perhaps to be tried again.
    Read(ReadError),
    /// For good.
    Other(Error),
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn unknown_table(name: &Name, catalogue: &Catalogue) -> Error {
    Error::UnknownTable {
        table: name.asked().to_owned(),
        known: catalogue.tables.iter().map(|t| t.full_name().into_owned()).collect(),
    }
}

fn corrupt(name: &Name, error: ReadError) -> Error {
    Error::Protocol(format!("table {:?}: {error}", name.asked()))
}
