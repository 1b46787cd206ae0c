//! A query on virtual tables: what it needs of each table is read when it needs it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use shmirror_shm::catalogue::{KeyKind, TableDef};
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::request::{ResultSet, SqlRequest};
use shmirror_shm::snapshot::scan::ScanRow;
use shmirror_shm::value::ValueRef;

use super::names::names_in;
use super::source::{RowSet, TableSource};
use super::{Engine, PREPARING, Stop, create, run_statements, vtab};
use crate::apply::Budget;
use crate::apply::db::Db;
use crate::apply::guard::{self, Guard, Notes};
use crate::apply::reject::Reject;
use crate::apply::tables::quote;

/// Rows that scans begun anew may visit before real tables with indexes are the better way.
const VISITS: u64 = 200_000;

/// The state that the virtual tables of one query share.
pub(crate) struct Shared {
    pub source: Arc<dyn TableSource>,
    scans: Mutex<HashMap<u32, Arc<Scanned>>>,
    trouble: Mutex<Option<Stop>>,
    visits: AtomicU64,
}

/// A table in the order in which SQLite would have it.
pub(crate) struct Scanned {
    rows: Box<dyn RowSet>,
    order: Vec<u32>,
}

impl Scanned {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// The `at`-th row.
    pub fn row(&self, at: usize) -> Option<ScanRow<'_>> {
        self.rows.row(*self.order.get(at)? as usize)
    }

    /// Puts `rows` into order: by rowid where that is the key, by the key where the table is stored
    /// by it, else as they were inserted.
    pub fn new(table: &TableDef, rows: Box<dyn RowSet>) -> Self {
        let mut places = Vec::with_capacity(rows.len());
        let mut place = 0;
        while places.len() < rows.len() {
            if rows.row(place).is_some() {
                places.push(place as u32); // slots of a table are far below 2^32
            }
            place += 1;
        }
        let row = |place: &u32| rows.row(*place as usize);
        match table.key {
            KeyKind::Columns if table.without_rowid => {
                let parts = key_parts(table);
                places.sort_by_cached_key(|p| {
                    row(p).and_then(|r| Key::of_image(&parts, &r.image).ok())
                });
            }
            KeyKind::Columns => places.sort_by_cached_key(|p| row(p).map(|r| r.birth)),
            KeyKind::Integer | KeyKind::Rowid => {
                let at = table.key_columns.first().map_or(0, |&i| usize::from(i));
                let rowid = |p: &u32| match row(p).map(|r| r.image.get(at)) {
                    Some(Ok(ValueRef::Integer(i))) => i,
                    _ => i64::MAX,
                };
                if !places.is_sorted_by_key(rowid) {
                    places.sort_by_cached_key(rowid);
                }
            }
        }
        Self { rows, order: places }
    }
}

/// What takes part in a table's key.
pub(crate) fn key_parts(table: &TableDef) -> Vec<KeyPart> {
    table
        .key_columns
        .iter()
        .filter_map(|&i| Some(KeyPart::of(i.into(), table.columns.get(usize::from(i))?)))
        .collect()
}

impl Shared {
    /// All rows of a table, copied at the first call.
    pub fn scan(&self, table: &TableDef) -> Result<Arc<Scanned>, Stop> {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scanned) = scans.get(&table.id) {
            return Ok(scanned.clone());
        }
        let scanned = Arc::new(Scanned::new(table, self.source.scan(table)?));
        scans.insert(table.id, scanned.clone());
        Ok(scanned)
    }

    /// A scan that begins anew visits so many rows.
    pub fn visit(&self, rows: usize) -> Result<(), Stop> {
        let all = self.visits.fetch_add(rows as u64, Ordering::Relaxed) + rows as u64;
        if all > VISITS { Err(Stop::NeedsCopy) } else { Ok(()) }
    }

    /// Keeps `stop` for whoever runs the query; the text is for SQLite.
    pub fn fail(&self, stop: Stop) -> rusqlite::Error {
        let text = match &stop {
            Stop::Reject(reject) => reject.message.clone(),
            Stop::Stale => "the rows have moved on".to_owned(),
            Stop::NeedsCopy => "real tables are needed".to_owned(),
        };
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stop);
        rusqlite::Error::ModuleError(text)
    }
}

struct Direct {
    db: Db,
    guard: Guard,
    shared: Arc<Shared>,
}

impl Engine for Direct {
    fn db(&self) -> &Db {
        &self.db
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn ready(&mut self, notes: &Notes) -> Result<(), Stop> {
        if notes.reads_schema { Err(Stop::NeedsCopy) } else { Ok(()) }
    }

    fn trouble(&self) -> Option<Stop> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Runs `request` on virtual tables.
pub(crate) fn run(
    source: &Arc<dyn TableSource>,
    request: &SqlRequest,
    budget: &Budget,
) -> Result<Vec<ResultSet>, Stop> {
    let own = |e| Stop::Reject(Reject::internal(PREPARING, e));
    let (db, guard) = guard::open().map_err(own)?;
    let shared = Arc::new(Shared {
        source: source.clone(),
        scans: Mutex::default(),
        trouble: Mutex::default(),
        visits: AtomicU64::new(0),
    });
    vtab::install(&db, shared.clone()).map_err(own)?;
    let catalogue = source.catalogue();
    let names = names_in(catalogue, &request.sql);
    for space in names.namespaces.iter().filter_map(|&i| catalogue.namespaces.get(i)) {
        guard::attach(&db, &space.name).map_err(|e| Reject::internal(PREPARING, e))?;
    }
    for table in names.tables.iter().filter_map(|&i| catalogue.tables.get(i)) {
        let sql = format!(
            "CREATE VIRTUAL TABLE {}.{} USING {}({})",
            quote(&table.namespace),
            quote(&table.name),
            vtab::MODULE,
            table.id
        );
        db.exec(&sql).map_err(own)?;
    }
    for view in names.views.iter().filter_map(|&i| catalogue.objects.get(i)) {
        create(&db, &view.namespace, &view.sql)?;
    }
    run_statements(&mut Direct { db, guard, shared }, request, budget)
}
