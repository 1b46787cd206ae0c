//! Making a working copy: tables first, then rows, then everything that watches over rows.

use std::sync::Arc;

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::image::ImageRef;

use super::capture::Capture;
use super::create::create_in;
use super::db::{Db, SqlError};
use super::overlay::Overlay;
use super::rows::Writers;
use super::schema::evolve;
use super::shadow::Shadows;
use super::{ApplyError, Rights, Steps, WorkingCopy, functions, guard, plan};

/// Makes an object of the catalogue; `what` is for the error.
fn create(db: &Db, namespace: &str, sql: &str, what: &str) -> Result<(), ApplyError> {
    let differs = || ApplyError::Catalogue { what: format!("{what}: its text") };
    let sql = create_in(namespace, sql).ok_or_else(differs)?;
    db.exec(&sql).map_err(|e| ApplyError::sqlite(what, &e))
}

impl WorkingCopy {
    /// A working copy with the tables of `catalogue`, empty and loading: next come
    /// [`WorkingCopy::load_row`] for each row and [`WorkingCopy::finish_load`].
    ///
    /// # Errors
    /// SQLite refuses the catalogue's SQL.
    pub fn new(catalogue: &Catalogue) -> Result<Self, ApplyError> {
        let failed = |e: SqlError| ApplyError::sqlite("opening it", &e);
        let (mut db, guard) = guard::open().map_err(failed)?;
        for namespace in &catalogue.namespaces {
            guard::attach(&db, &namespace.name)?;
        }
        // CHECKs and foreign keys held when the rows were written; triggers are not there yet.
        db.exec(
            "PRAGMA foreign_keys=OFF; PRAGMA ignore_check_constraints=ON;
             PRAGMA journal_mode=OFF; BEGIN",
        )
        .map_err(failed)?;
        let capture = Capture::install(&db).map_err(failed)?;
        let counted = functions::install_counters(&db).map_err(failed)?;
        for table in &catalogue.tables {
            let what = format!("creating table {}", table.id);
            create(&db, &table.namespace, &table.sql, &what)?;
        }
        let steps = Steps::keep(&mut db).map_err(failed)?;
        capture.state().set_tables(catalogue);
        Ok(Self {
            db,
            guard,
            capture,
            overlay: Overlay::default(),
            catalogue: Arc::new(catalogue.clone()),
            sequences: super::Sequences::default(),
            plans: plan::Plans::default(),
            writers: Writers::default(),
            steps,
            counted,
            shadows: Shadows::default(),
            rights: Rights::all(),
            group: None,
            loading: true,
            behind: false,
            defined: Vec::new(),
            broken: None,
            lost: false,
        })
    }

    /// Makes sure that there is a namespace of this name, between two groups, also while serving; its
    /// number.
    ///
    /// # Errors
    /// A group is open, the rows are not loaded, this SQLite can attach no more, or it refuses.
    pub fn add_namespace(&mut self, name: &str) -> Result<u16, ApplyError> {
        self.check_usable()?;
        if self.group.is_some() {
            return Err(ApplyError::State("add_namespace while a group is open"));
        }
        if let Some(id) = self.catalogue.namespace_id(name) {
            return Ok(id);
        }
        guard::attach(&self.db, name)?;
        self.shadows.clear();
        let mut catalogue = (*self.catalogue).clone();
        let id = catalogue.add_namespace(name);
        self.catalogue = Arc::new(catalogue);
        Ok(id)
    }

    /// Loads a row, in any order; a row with its key is overwritten. An image of a past shape is
    /// brought to the present one by column ids; columns that it lacks take their DEFAULT.
    ///
    /// # Errors
    /// A table or shape that the catalogue lacks, or an image that lies about itself.
    pub fn load_row(
        &mut self,
        table: u32,
        shape: u32,
        image: &ImageRef<'_>,
    ) -> Result<(), ApplyError> {
        if !self.loading {
            return Err(ApplyError::State("load_row after finish_load"));
        }
        let of = self.capture.state().table(table);
        let table = of.ok_or(ApplyError::UnknownTable { found: table })?;
        self.writers.write(&mut self.db, &table, shape, image)
    }

    /// Ends loading: makes indexes, views and triggers, and turns the rules on.
    ///
    /// # Errors
    /// SQLite refuses the catalogue's SQL (a UNIQUE index that the rows break, for instance), or
    /// understands it otherwise than the catalogue does.
    pub fn finish_load(&mut self) -> Result<(), ApplyError> {
        if !self.loading {
            return Err(ApplyError::State("finish_load called twice"));
        }
        let failed = |e: SqlError| ApplyError::sqlite("ending the load", &e);
        let catalogue = self.catalogue.clone();
        for (number, object) in (1..).zip(&catalogue.objects) {
            let what = format!("creating object {number}, {:?}", object.kind);
            create(&self.db, &object.namespace, &object.sql, &what)?;
        }
        self.db
            .exec(
                "COMMIT; PRAGMA journal_mode=MEMORY; PRAGMA ignore_check_constraints=OFF;
                 PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=OFF",
            )
            .map_err(failed)?;
        self.check_catalogue()?;
        self.finish_sequences()?;
        for def in &catalogue.tables {
            let table = self.capture.state().table(def.id);
            let table = table.ok_or(ApplyError::UnknownTable { found: def.id })?;
            self.db.exec(&table.create_triggers()).map_err(failed)?;
        }
        self.forget_statements()?;
        self.loading = false;
        Ok(())
    }

    /// SQLite reads the schema as the catalogue has it.
    fn check_catalogue(&self) -> Result<(), ApplyError> {
        // Without ids and texts to go by, every table is read anew.
        let namespaces = self.catalogue.namespaces.clone();
        let empty = Catalogue { namespaces, ..Catalogue::default() };
        let (read, _) = evolve(&self.db, &empty, None)?;
        let differs = |what: String| Err(ApplyError::Catalogue { what });
        for (known, found) in self.catalogue.tables.iter().zip(&read.tables) {
            let mut found = found.clone();
            found.id = known.id;
            found.shape = known.shape;
            found.past_shapes.clone_from(&known.past_shapes);
            for (column, as_known) in found.columns.iter_mut().zip(&known.columns) {
                column.id = as_known.id;
            }
            if found != *known {
                return differs(format!("table {}", known.id));
            }
        }
        if read.tables.len() != self.catalogue.tables.len() {
            let (found, expected) = (read.tables.len(), self.catalogue.tables.len());
            return differs(format!("{found} tables, {expected} expected"));
        }
        if read.objects != self.catalogue.objects {
            return differs("indexes, views or triggers".to_owned());
        }
        Ok(())
    }
}
