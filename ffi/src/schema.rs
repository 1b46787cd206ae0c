//! The schema of one table.
//!
//! In: a table's definition, as the catalogue or a table handle has it. Out: its parts, as C has them.

use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;

use shmirror::{Affinity, Collation, ColumnDef, Error, Generated, KeyKind, TableDef};

use crate::argument::{self, element};
use crate::call::call;
use crate::handle::{self, object};
use crate::output;
use crate::status::shmirror_status;
use crate::table::shmirror_table;

/// A column's affinity, by SQLite's rules.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_affinity {
    /// No conversion.
    SHMIRROR_AFFINITY_BLOB = 0,
    /// Numbers become text.
    SHMIRROR_AFFINITY_TEXT = 1,
    /// Text that looks like a number becomes one.
    SHMIRROR_AFFINITY_NUMERIC = 2,
    /// As NUMERIC, integers preferred.
    SHMIRROR_AFFINITY_INTEGER = 3,
    /// As NUMERIC, integers become doubles.
    SHMIRROR_AFFINITY_REAL = 4,
}

/// How TEXT of a key column compares.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_collation {
    /// Byte by byte.
    SHMIRROR_COLLATION_BINARY = 0,
    /// ASCII letters without case.
    SHMIRROR_COLLATION_NOCASE = 1,
    /// Trailing spaces ignored.
    SHMIRROR_COLLATION_RTRIM = 2,
}

/// Whether a column is computed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_generated {
    /// An ordinary column.
    SHMIRROR_GENERATED_NO = 0,
    /// GENERATED … VIRTUAL.
    SHMIRROR_GENERATED_VIRTUAL = 1,
    /// GENERATED … STORED.
    SHMIRROR_GENERATED_STORED = 2,
}

/// What the key of a table is.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum shmirror_key_kind {
    /// One INTEGER PRIMARY KEY column.
    SHMIRROR_KEY_INTEGER = 0,
    /// The columns of the PRIMARY KEY.
    SHMIRROR_KEY_COLUMNS = 1,
    /// The rowid, as no key is declared: the last column, hidden, named `rowid`.
    SHMIRROR_KEY_ROWID = 2,
}

/// One column of a table. Its texts live as long as the schema that it was asked of.
#[repr(C)]
pub struct shmirror_column {
    /// Name, as declared.
    pub name: *const c_char,
    /// Type, as declared; "" where there is none.
    pub declared_type: *const c_char,
    /// DEFAULT, as SQL; NULL where there is none.
    pub default_sql: *const c_char,
    /// A shmirror_affinity.
    pub affinity: i32,
    /// A shmirror_collation.
    pub collation: i32,
    /// A shmirror_generated.
    pub generated: i32,
    /// Its place in the key, from 1; 0: not of the key.
    pub key_position: i32,
    /// 1: NOT NULL is declared.
    pub not_null: i32,
    /// 1: `SELECT *` does not show it. It is the rowid of a table that declares no key.
    pub hidden: i32,
    /// Not used: 0.
    pub reserved: [u64; 4],
}

const _: () = assert!(size_of::<shmirror_column>() == 80);

/// The definition of one table as it was when it was asked for: it does not change, nor follow the
/// table. Any thread.
pub struct shmirror_schema {
    def: Arc<TableDef>,
    name: CString,
    sql: CString,
    columns: Vec<Texts>,
}
object!(shmirror_schema, 4, "shmirror_schema");

/// The texts of a column.
struct Texts {
    name: CString,
    declared_type: CString,
    default_sql: Option<CString>,
}

impl shmirror_schema {
    pub(crate) fn new(def: Arc<TableDef>) -> Self {
        let texts = |c: &ColumnDef| Texts {
            name: output::owned(c.name.clone()),
            declared_type: output::owned(c.decl_type.clone()),
            default_sql: c.default_sql.clone().map(output::owned),
        };
        Self {
            name: output::owned(def.full_name().into_owned()),
            sql: output::owned(def.sql.clone()),
            columns: def.columns.iter().map(texts).collect(),
            def,
        }
    }
}

fn column(def: &ColumnDef, texts: &Texts) -> shmirror_column {
    use {shmirror_affinity as A, shmirror_collation as C, shmirror_generated as G};
    shmirror_column {
        name: texts.name.as_ptr(),
        declared_type: texts.declared_type.as_ptr(),
        default_sql: texts.default_sql.as_ref().map_or(ptr::null(), |sql| sql.as_ptr()),
        affinity: match def.affinity {
            Affinity::Blob => A::SHMIRROR_AFFINITY_BLOB,
            Affinity::Text => A::SHMIRROR_AFFINITY_TEXT,
            Affinity::Numeric => A::SHMIRROR_AFFINITY_NUMERIC,
            Affinity::Integer => A::SHMIRROR_AFFINITY_INTEGER,
            Affinity::Real => A::SHMIRROR_AFFINITY_REAL,
        } as i32,
        collation: match def.collation {
            Collation::Binary => C::SHMIRROR_COLLATION_BINARY,
            Collation::NoCase => C::SHMIRROR_COLLATION_NOCASE,
            Collation::RTrim => C::SHMIRROR_COLLATION_RTRIM,
        } as i32,
        generated: match def.generated {
            Generated::No => G::SHMIRROR_GENERATED_NO,
            Generated::Virtual => G::SHMIRROR_GENERATED_VIRTUAL,
            Generated::Stored => G::SHMIRROR_GENERATED_STORED,
        } as i32,
        key_position: i32::from(def.key_position),
        not_null: i32::from(def.not_null),
        hidden: i32::from(def.hidden),
        reserved: [0; 4],
    }
}

/// The schema of a table as published now; of one that was dropped, the last that it had. Close it with
/// shmirror_schema_close(). Costs some microseconds.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_table_schema(
    table: *const shmirror_table,
    out: *mut *mut shmirror_schema,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let schema = shmirror_schema::new(handle::get(table)?.table.schema());
        argument::write(out, handle::make(schema)?, "out")
    })
}

/// Ends a schema, and the pointers that came out of it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_close(schema: *mut shmirror_schema) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(schema) })
}

/// The table's name as declared, with its namespace before it as in "plant.pid", unless that is `main`.
/// Lives as long as the schema.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_name(
    schema: *const shmirror_schema,
    name: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(name, handle::get(schema)?.name.as_ptr(), "name") })
}

/// The table's CREATE TABLE statement, without the namespace. Lives as long as the schema.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_sql(
    schema: *const shmirror_schema,
    sql: *mut *const c_char,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(sql, handle::get(schema)?.sql.as_ptr(), "sql") })
}

/// What the table's key is: a shmirror_key_kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_key_kind(
    schema: *const shmirror_schema,
    kind: *mut i32,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = match handle::get(schema)?.def.key {
            KeyKind::Integer => shmirror_key_kind::SHMIRROR_KEY_INTEGER,
            KeyKind::Columns => shmirror_key_kind::SHMIRROR_KEY_COLUMNS,
            KeyKind::Rowid => shmirror_key_kind::SHMIRROR_KEY_ROWID,
        };
        argument::write(kind, found as i32, "kind")
    })
}

/// Whether the table is declared WITHOUT ROWID, and whether STRICT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_flags(
    schema: *const shmirror_schema,
    without_rowid: *mut bool,
    strict: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let def = &handle::get(schema)?.def;
        argument::present(without_rowid, "without_rowid")?;
        argument::present(strict, "strict")?;
        argument::write(without_rowid, def.without_rowid, "without_rowid")?;
        argument::write(strict, def.strict, "strict")
    })
}

/// How many columns there are, a hidden one included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_columns(
    schema: *const shmirror_schema,
    count: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { argument::write(count, handle::get(schema)?.columns.len(), "count") })
}

/// The column at `index`, in the order of their declaration, which is that of a row's values too; a
/// hidden one comes last. SHMIRROR_BAD_ARGUMENT: there are not so many.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_column(
    schema: *const shmirror_schema,
    index: usize,
    out: *mut shmirror_column,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let schema = handle::get(schema)?;
        let def = element(&schema.def.columns, index, "index")?;
        let texts = element(&schema.columns, index, "index")?;
        argument::write(out, column(def, texts), "out")
    })
}

/// The index of the column of this name (ASCII case folded). SHMIRROR_UNKNOWN_COLUMN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_find(
    schema: *const shmirror_schema,
    column: *const c_char,
    index: *mut usize,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let def = &handle::get(schema)?.def;
        let name = argument::text(column, "column")?;
        let found = def.column_index(name).ok_or_else(|| Error::UnknownColumn {
            table: def.full_name().into_owned(),
            column: name.to_owned(),
            known: def.columns.iter().map(|c| c.name.clone()).collect(),
        })?;
        argument::write(index, found, "index")
    })
}

/// The table's key: how many columns it has (1 to 16), and their indexes among the columns, in key
/// order. The indexes live as long as the schema.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_schema_key(
    schema: *const shmirror_schema,
    count: *mut usize,
    indexes: *mut *const u16,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let key = &handle::get(schema)?.def.key_columns;
        argument::present(count, "count")?;
        argument::present(indexes, "indexes")?;
        argument::write(count, key.len(), "count")?;
        argument::write(indexes, key.as_ptr(), "indexes")
    })
}
