//! The catalogue: all tables, indexes, views and triggers of an instance, as of one schema version.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use shmirror::{Catalogue, ObjectKind, SchemaObject};

use crate::argument::{self, element};
use crate::call::call;
use crate::handle::{self, object};
use crate::mirror::shmirror_mirror;
use crate::output;
use crate::schema::shmirror_schema;
use crate::status::shmirror_status;

/// What a schema object is that is no table.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_object_kind {
    /// CREATE INDEX.
    SHMIRROR_OBJECT_INDEX = 0,
    /// CREATE VIEW.
    SHMIRROR_OBJECT_VIEW = 1,
    /// CREATE TRIGGER.
    SHMIRROR_OBJECT_TRIGGER = 2,
}

/// An index, a view or a trigger. Its texts live as long as the catalogue that it was asked of.
#[repr(C)]
pub struct shmirror_object {
    /// Its name, with its namespace before it as in "plant.by_state", unless that is `main`.
    pub name: *const c_char,
    /// Name of the table or view that it belongs to, likewise; a view's own.
    pub table: *const c_char,
    /// Its CREATE statement.
    pub sql: *const c_char,
    /// A shmirror_object_kind.
    pub kind: i32,
    /// Not used: 0.
    pub reserved0: i32,
    /// Not used: 0.
    pub reserved: [u64; 4],
}

const _: () = assert!(size_of::<shmirror_object>() == 64);

/// All tables, indexes, views and triggers that this process may read, as they were when it was asked
/// for: it does not change. Any thread.
pub struct shmirror_catalogue {
    catalogue: Arc<Catalogue>,
    tables: Vec<CString>,
    objects: Vec<Texts>,
}
object!(shmirror_catalogue, 3, "shmirror_catalogue");

/// The texts of a schema object.
struct Texts {
    name: CString,
    table: CString,
    sql: CString,
}

impl shmirror_catalogue {
    fn new(catalogue: Arc<Catalogue>) -> Self {
        // As TableDef::full_name has that of a table; `main` is number 0.
        let full_name = |namespace: &str, name: &str| match catalogue.namespace_id(namespace) {
            Some(0) => name.to_owned(),
            _ => format!("{namespace}.{name}"),
        };
        let texts = |o: &SchemaObject| Texts {
            name: output::owned(full_name(&o.namespace, &o.name)),
            table: output::owned(full_name(&o.namespace, &o.table)),
            sql: output::owned(o.sql.clone()),
        };
        Self {
            tables: catalogue
                .tables
                .iter()
                .map(|t| output::owned(t.full_name().into_owned()))
                .collect(),
            objects: catalogue.objects.iter().map(texts).collect(),
            catalogue,
        }
    }
}

/// The catalogue as published now. Close it with shmirror_catalogue_close(). No word to the daemon; costs
/// some microseconds. SHMIRROR_DISCONNECTED and SHMIRROR_NO_DAEMON, where the tables are moving and the
/// daemon is away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_mirror_catalogue(
    mirror: *const shmirror_mirror,
    out: *mut *mut shmirror_catalogue,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let catalogue = shmirror_catalogue::new(handle::get(mirror)?.mirror.catalogue()?);
        argument::write(out, handle::make(catalogue)?, "out")
    })
}

/// Ends a catalogue, and the pointers that came out of it; schemas stay. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_close(
    catalogue: *mut shmirror_catalogue,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(catalogue) })
}

/// The schema version: +1 with each transaction that changed the schema.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_version(
    catalogue: *const shmirror_catalogue,
    version: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(version, handle::get(catalogue)?.catalogue.schema_version, "version")
    })
}

/// How many tables there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_tables(
    catalogue: *const shmirror_catalogue,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(catalogue)?.tables.len(), "count") })
}

/// The name of the table at `index`, with its namespace before it as in "plant.pid", unless that is
/// `main`; in the order of their creation. Lives as long as the catalogue. SHMIRROR_BAD_ARGUMENT: there
/// are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_table_name(
    catalogue: *const shmirror_catalogue,
    index: usize,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = element(&handle::get(catalogue)?.tables, index, "index")?;
        argument::write(name, found.as_ptr(), "name")
    })
}

/// The schema of the table at `index`. Close it with shmirror_schema_close(), before or after the
/// catalogue. SHMIRROR_BAD_ARGUMENT: there are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_schema(
    catalogue: *const shmirror_catalogue,
    index: usize,
    out: *mut *mut shmirror_schema,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let def = element(&handle::get(catalogue)?.catalogue.tables, index, "index")?;
        let schema = shmirror_schema::new(Arc::new(def.clone()));
        argument::write(out, handle::make(schema)?, "out")
    })
}

/// How many indexes, views and triggers there are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_objects(
    catalogue: *const shmirror_catalogue,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(catalogue)?.objects.len(), "count") })
}

/// The index, view or trigger at `index`, in the order of their creation. SHMIRROR_BAD_ARGUMENT: there
/// are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_catalogue_object(
    catalogue: *const shmirror_catalogue,
    index: usize,
    out: *mut shmirror_object,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let catalogue = handle::get(catalogue)?;
        let def = element(&catalogue.catalogue.objects, index, "index")?;
        let texts = element(&catalogue.objects, index, "index")?;
        let found = shmirror_object {
            name: texts.name.as_ptr(),
            table: texts.table.as_ptr(),
            sql: texts.sql.as_ptr(),
            kind: match def.kind {
                ObjectKind::Index => shmirror_object_kind::SHMIRROR_OBJECT_INDEX,
                ObjectKind::View => shmirror_object_kind::SHMIRROR_OBJECT_VIEW,
                ObjectKind::Trigger => shmirror_object_kind::SHMIRROR_OBJECT_TRIGGER,
            } as i32,
            reserved0: 0,
            reserved: [0; 4],
        };
        argument::write(out, found, "out")
    })
}
