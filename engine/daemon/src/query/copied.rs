//! A query on real tables in memory, filled with what it reads, with all their indexes.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::config::DbConfig;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::request::{RejectCode, ResultSet, SqlRequest};

use super::direct::Scanned;
use super::source::TableSource;
use super::{Engine, PREPARING, Stop, create, run_statements};
use crate::apply::db::{Db, SqlError};
use crate::apply::guard::{self, Guard, Notes};
use crate::apply::reject::Reject;
use crate::apply::rows::Writers;
use crate::apply::sequences::reads_sequence;
use crate::apply::tables::Table;
use crate::apply::{ApplyError, Budget};

struct Copied {
    db: Db,
    guard: Guard,
    writers: Writers,
    source: Arc<dyn TableSource>,
    filled: HashSet<u32>,
}

/// Runs `request` on copies of the tables that it reads.
pub(crate) fn run(
    source: &Arc<dyn TableSource>,
    request: &SqlRequest,
    budget: &Budget,
) -> Result<Vec<ResultSet>, Stop> {
    let (db, guard) = open(source.catalogue())?;
    let source = source.clone();
    let (writers, filled) = (Writers::default(), HashSet::new());
    run_statements(&mut Copied { db, guard, writers, source, filled }, request, budget)
}

/// The whole schema, without rows.
fn open(catalogue: &Catalogue) -> Result<(Db, Guard), Reject> {
    let own = |e: SqlError| Reject::internal(PREPARING, e);
    let (db, guard) = guard::open().map_err(own)?;
    for space in &catalogue.namespaces {
        guard::attach(&db, &space.name).map_err(|e| Reject::internal(PREPARING, e))?;
    }
    // The rows kept all rules when they were written.
    let off = DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    db.connection().set_db_config(off, false).map_err(|e| own(e.into()))?;
    db.exec(
        "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON; PRAGMA journal_mode=OFF; BEGIN",
    )
    .map_err(own)?;
    for table in &catalogue.tables {
        create(&db, &table.namespace, &table.sql)?;
    }
    for object in &catalogue.objects {
        create(&db, &object.namespace, &object.sql)?;
    }
    Ok((db, guard))
}

impl Engine for Copied {
    fn db(&self) -> &Db {
        &self.db
    }

    fn guard(&self) -> &Guard {
        &self.guard
    }

    fn ready(&mut self, notes: &Notes) -> Result<(), Stop> {
        let own = |e: ApplyError| Reject::internal("copying a table for a query", e);
        if reads_sequence(notes) {
            let why = "sqlite_sequence is not mirrored; a request, as against a query, can read it";
            return Err(Reject::new(RejectCode::NotAllowed, why).into());
        }
        let catalogue = self.source.catalogue().clone();
        for def in notes.read.iter().filter_map(|touched| touched.table(&catalogue)) {
            if !self.filled.insert(def.id) {
                continue;
            }
            let table = Table::new(Arc::new(def.clone()));
            // In order, so that each row is appended.
            let rows = Scanned::new(def, self.source.scan(def)?);
            for row in (0..rows.len()).filter_map(|at| rows.row(at)) {
                self.writers.write(&mut self.db, &table, def.shape, &row.image).map_err(|e| {
                    if self.guard.is_late() {
                        Reject::new(RejectCode::TimeLimit, "the query took too long")
                    } else {
                        own(e)
                    }
                })?;
            }
        }
        Ok(())
    }

    fn trouble(&self) -> Option<Stop> {
        None
    }
}
