//! Errors of the working copy itself, as against refusals of requests.
//!
//! They go into the log, which is plaintext: their texts name tables by id and have nothing of what
//! SQLite says, as that names tables, columns and values. Who debugs finds it in the fields.

use shmirror_shm::image::ImageError;

use super::db::SqlError;
use super::reject::Reject;

/// The working copy cannot do what the daemon asks. No request causes this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// SQLite refused.
    #[error("working copy: {what}: SQLite code {code}")]
    Sqlite {
        /// What was being done.
        what: String,
        /// SQLite's message.
        message: String,
        /// Its extended result code.
        code: i32,
    },
    /// No such table in the catalogue.
    #[error("working copy: a row of table {found}, which the catalogue does not have")]
    UnknownTable {
        /// The id found.
        found: u32,
    },
    /// A shape that the table never had.
    #[error(
        "working copy: a row of table {table} in shape {found}; known are the shapes up to {newest}"
    )]
    UnknownShape {
        /// The table's id.
        table: u32,
        /// The shape found.
        found: u32,
        /// The newest shape.
        newest: u32,
    },
    /// An image with a wrong number of columns.
    #[error(
        "working copy: a row of table {table} in shape {shape} has {found} columns, {expected} expected"
    )]
    ImageColumns {
        /// The table's id.
        table: u32,
        /// The shape.
        shape: u32,
        /// Columns found.
        found: usize,
        /// Columns of that shape.
        expected: usize,
    },
    /// An image that lies about itself.
    #[error("working copy: a row of table {table}: {source}")]
    Image {
        /// The table's id.
        table: u32,
        /// How it lies.
        source: ImageError,
    },
    /// SQLite understands the catalogue's SQL otherwise than the catalogue.
    #[error("working copy: the catalogue reads otherwise in SQLite: {what}")]
    Catalogue {
        /// What differs.
        what: String,
    },
    /// More namespaces than this SQLite can attach.
    #[error(
        "working copy: {found} namespaces besides main, but the SQLite of this build can attach {allowed} \
         databases (SQLITE_MAX_ATTACHED)"
    )]
    Attached {
        /// How many there would be.
        found: usize,
        /// How many it takes.
        allowed: usize,
    },
    /// A call out of turn, or on a working copy that broke.
    #[error("working copy: {0}")]
    State(&'static str),
    /// A row that cannot be read.
    #[error("working copy: a row that cannot be read ({:?})", .0.code)]
    Row(#[from] Reject),
}

impl ApplyError {
    pub(crate) fn sqlite(what: &str, error: &SqlError) -> Self {
        Self::Sqlite { what: what.to_owned(), message: error.message.clone(), code: error.code }
    }
}
