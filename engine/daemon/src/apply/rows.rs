//! Rows into and out of tables by their image, past SQL rules: loading, doing again, reading.
//!
//! Loading and doing again run with foreign keys off and capture paused; the rows were checked when
//! they were first written.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use shmirror_shm::image::{Image, ImageError, ImageRef};
use shmirror_shm::value::ValueRef;

use super::db::{Db, Kept, SqlError};
use super::delta::Changes;
use super::error::ApplyError;
use super::reject::Reject;
use super::tables::Table;

/// A statement that writes rows of one shape into one table.
#[derive(Clone, Debug)]
struct Writer {
    kept: Kept,
    /// Columns of the image, in the order of the parameters.
    places: Vec<usize>,
    columns: usize,
}

/// The writers in use, by table and shape.
#[derive(Debug, Default)]
pub(crate) struct Writers(HashMap<(u32, u32), Writer>);

impl Writers {
    /// Forgets all; to be called whenever the connection forgets its statements.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Puts a row into `table`. A row with its key is overwritten.
    pub fn write(
        &mut self,
        db: &mut Db,
        table: &Table,
        shape: u32,
        image: &ImageRef<'_>,
    ) -> Result<(), ApplyError> {
        let id = table.def.id;
        let writer = match self.0.get(&(id, shape)) {
            Some(writer) => writer,
            None => {
                let writer = Writer::new(db, table, shape)?;
                self.0.entry((id, shape)).or_insert(writer)
            }
        };
        if image.columns() != writer.columns {
            return Err(ApplyError::ImageColumns {
                table: id,
                shape,
                found: image.columns(),
                expected: writer.columns,
            });
        }
        let bad: Cell<Option<ImageError>> = Cell::new(None);
        let values = writer.places.iter().map(|&i| {
            image.get(i).unwrap_or_else(|error| {
                bad.set(Some(error));
                ValueRef::Null
            })
        });
        let done = db.kept(writer.kept).and_then(|mut s| s.run(values));
        if let Some(error) = bad.take() {
            return Err(ApplyError::Image { table: id, source: error });
        }
        done.map_err(|e| ApplyError::sqlite(&format!("loading table {id}"), &e))
    }

    /// Does `deltas` again.
    pub fn redo(
        &mut self,
        db: &mut Db,
        deltas: &Changes,
        table_of: impl Fn(u32) -> Option<Arc<Table>>,
    ) -> Result<(), ApplyError> {
        for delta in deltas.iter() {
            let Some(table) = table_of(delta.table) else { continue };
            match &delta.image {
                Some(image) => self.write(db, &table, delta.shape, image)?,
                None => {
                    let sql =
                        format!("DELETE FROM {} WHERE {}", table.sql_name(), table.sql_key_test(1));
                    let key = delta.key_image;
                    let values = (0..key.columns()).map(|i| key.get(i).unwrap_or_default());
                    db.prepare(&sql)
                        .and_then(|mut s| s.run(values))
                        .map_err(|e| ApplyError::sqlite("doing a group again", &e))?;
                }
            }
        }
        Ok(())
    }
}

impl Writer {
    fn new(db: &mut Db, table: &Table, shape: u32) -> Result<Self, ApplyError> {
        let id = table.def.id;
        let held = table.def.shape_columns(shape).ok_or_else(|| ApplyError::UnknownShape {
            table: id,
            found: shape,
            newest: table.def.shape,
        })?;
        let mut names = Vec::new();
        let mut places = Vec::new();
        for (i, column) in table.def.columns.iter().enumerate() {
            // A column that the old shape lacks takes its DEFAULT, as ALTER TABLE gave it to the row.
            if let Some(place) = held.iter().position(|(id, _)| *id == column.id)
                && table.is_writable(i)
            {
                names.push(table.sql_columns[i].as_str());
                places.push(place);
            }
        }
        let marks: Vec<String> = (1..=places.len()).map(|i| format!("?{i}")).collect();
        let sql = format!(
            "INSERT OR REPLACE INTO {} ({}) VALUES ({})",
            table.sql_name(),
            names.join(","),
            marks.join(",")
        );
        let kept =
            db.keep(&sql).map_err(|e| ApplyError::sqlite(&format!("loading table {id}"), &e))?;
        Ok(Self { kept, places, columns: held.len() })
    }
}

/// Reads every row of `table` in SQLite's order.
pub(crate) fn read_all(
    db: &Db,
    table: &Table,
    f: &mut dyn FnMut(Image) -> Result<(), Reject>,
) -> Result<(), Reject> {
    let sql = format!("SELECT {} FROM {}", table.sql_list(""), table.sql_name());
    let failed = |e: SqlError| {
        Reject::of_sqlite(&e, &format!("reading table \"{}\"", table.def.full_name()))
    };
    let mut query = db.prepare(&sql).map_err(failed)?;
    while query.step().map_err(failed)? {
        f(image_of(table, &query)?)?;
    }
    Ok(())
}

/// Reads the row that has the key of `like`, whose key columns lie where `keys` say.
pub(crate) fn read_one(
    db: &Db,
    table: &Table,
    like: &Image,
    keys: &[usize],
) -> Result<Option<Image>, Reject> {
    let sql = format!(
        "SELECT {} FROM {} WHERE {}",
        table.sql_list(""),
        table.sql_name(),
        table.sql_key_test(1)
    );
    let failed = |e: SqlError| {
        Reject::of_sqlite(&e, &format!("reading table \"{}\"", table.def.full_name()))
    };
    let mut query = db.prepare(&sql).map_err(failed)?;
    let like = like.as_ref();
    let values: Vec<ValueRef<'_>> = keys.iter().map(|&i| like.get(i).unwrap_or_default()).collect();
    query.bind(&values).map_err(failed)?;
    if query.step().map_err(failed)? { image_of(table, &query).map(Some) } else { Ok(None) }
}

/// The image of the present row of a query for all columns.
pub(super) fn image_of(table: &Table, row: &super::stmt::Stmt<'_>) -> Result<Image, Reject> {
    let values: Vec<ValueRef<'_>> = table
        .def
        .columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            row.value(i).map_err(|_| super::capture::not_utf8(&table.def.full_name(), &column.name))
        })
        .collect::<Result<_, _>>()?;
    Ok(Image::encode(values.into_iter()))
}
