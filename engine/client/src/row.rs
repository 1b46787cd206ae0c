//! Rows: private copies of row images, with typed getters.
//!
//! In: words that were copied out of shared memory or a record, and the schema of their table. Out:
//! Rust values, JSON, serde types. Nothing here touches shared memory.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use shmirror_shm::image::{ImageError, ImageRef};
use shmirror_shm::snapshot::RowBuf;
use shmirror_shm::value::{StorageClass, Value, ValueRef};

use crate::buffer::Buffer;
use crate::de;
use crate::error::Error;
use crate::form::Form;
use crate::from_value::FromValue;
use crate::json::value_to_json;
use crate::schema::{self, Schema};

/// A row that owns its bytes, as it was at one revision.
///
/// `Row::default()` is an empty row, to be filled by [`Table::read`](crate::Table::read) again and
/// again without allocation.
pub struct Row {
    pub(crate) schema: &'static Schema,
    pub(crate) buf: Buffer,
}

impl Clone for Row {
    fn clone(&self) -> Self {
        Self { schema: self.schema, buf: self.buf.clone() }
    }

    /// Makes this row a copy of `source`, without allocation once it has grown to the size of the rows.
    fn clone_from(&mut self, source: &Self) {
        self.schema = source.schema;
        self.buf.clone_from(&source.buf);
    }
}

impl Default for Row {
    #[inline]
    fn default() -> Self {
        Self { schema: &schema::EMPTY, buf: Buffer::default() }
    }
}

/// A row that borrows its bytes, from a [`Row`], a [`Scan`](crate::Scan) or [`Rows`](crate::Rows).
#[derive(Clone, Copy)]
pub struct RowRef<'a> {
    pub(crate) schema: &'static Schema,
    pub(crate) revision: u64,
    pub(crate) image: ImageRef<'a>,
}

impl Row {
    /// An owned copy of the image in a record.
    pub(crate) fn of_image(
        schema: &'static Schema,
        revision: u64,
        birth: u64,
        image: ImageRef<'_>,
    ) -> Self {
        let mut buf = Buffer::default();
        buf.filled().set(birth, revision, image);
        Self { schema, buf }
    }

    /// The same row, borrowed.
    #[inline]
    pub fn as_ref(&self) -> RowRef<'_> {
        RowRef { schema: self.schema, revision: self.revision(), image: self.buf.image() }
    }

    /// The form that it was read with; of a row that was never filled, one without columns.
    #[inline]
    pub fn form(&self) -> Form {
        Form(self.schema)
    }

    /// Makes this a copy of `row`. No allocation once it has grown to the size of the rows.
    pub fn copy_from(&mut self, row: RowRef<'_>) {
        self.schema = row.schema;
        self.buf.filled().set(0, row.revision, row.image);
    }

    /// Revision of the transaction that last changed the row.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.buf.row().map_or(0, RowBuf::revision)
    }

    /// The value of the column of this name (ASCII case folded), where it converts without loss.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::Type`].
    #[inline]
    pub fn get<'a, T: FromValue<'a>>(&'a self, column: &str) -> Result<T, Error> {
        self.as_ref().get(column)
    }

    /// The value of the column at this index, as the table declares them.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::Type`].
    #[inline]
    pub fn get_at<'a, T: FromValue<'a>>(&'a self, index: usize) -> Result<T, Error> {
        self.as_ref().get_at(index)
    }

    /// The INTEGER of the column at this index, where it holds one; the shortest way to it.
    #[inline]
    pub fn integer_at(&self, index: usize) -> Option<i64> {
        Some(self.buf.row()?.bits_of(index, StorageClass::Integer)? as i64)
    }

    /// The REAL of the column at this index, where it holds one; the shortest way to it.
    #[inline]
    pub fn real_at(&self, index: usize) -> Option<f64> {
        Some(f64::from_bits(self.buf.row()?.bits_of(index, StorageClass::Real)?))
    }

    /// The value of the column of this name, of whatever class it is.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`].
    #[inline]
    pub fn value(&self, column: &str) -> Result<ValueRef<'_>, Error> {
        self.as_ref().value(column)
    }

    /// Names of the columns that `SELECT *` shows, in their order.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.as_ref().columns()
    }

    /// Values of the key, in key order.
    pub fn key(&self) -> Vec<Value> {
        self.as_ref().key()
    }

    /// The row as a JSON object, in column order; see [`value_to_json`].
    pub fn to_json(&self) -> Json {
        self.as_ref().to_json()
    }

    /// The row as a Rust type: columns become fields of the same name.
    ///
    /// # Errors
    /// [`Error::Decode`].
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.as_ref().deserialize()
    }
}

impl<'a> RowRef<'a> {
    /// The form that it was read with.
    #[inline]
    pub fn form(&self) -> Form {
        Form(self.schema)
    }

    /// Revision of the transaction that last changed the row.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The value of the column of this name (ASCII case folded), where it converts without loss.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::Type`].
    #[inline]
    pub fn get<T: FromValue<'a>>(&self, column: &str) -> Result<T, Error> {
        self.get_at(self.schema.index(column)?)
    }

    /// The value of the column at this index, as the table declares them.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`], [`Error::Type`].
    #[inline]
    pub fn get_at<T: FromValue<'a>>(&self, index: usize) -> Result<T, Error> {
        let value = self.image.get(index).map_err(|e| self.bad_image(e, index))?;
        T::from_value(value).map_err(|m| Error::Type {
            table: self.schema.table.clone(),
            column: self.schema.name(index),
            found: m.found,
            expected: m.expected,
        })
    }

    /// The INTEGER of the column at this index, where it holds one; the shortest way to it.
    #[inline]
    pub fn integer_at(&self, index: usize) -> Option<i64> {
        self.image.integer(index)
    }

    /// The REAL of the column at this index, where it holds one; the shortest way to it.
    #[inline]
    pub fn real_at(&self, index: usize) -> Option<f64> {
        self.image.real(index)
    }

    /// The value of the column of this name, of whatever class it is.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`].
    #[inline]
    pub fn value(&self, column: &str) -> Result<ValueRef<'a>, Error> {
        self.get_at(self.schema.index(column)?)
    }

    /// Names of the columns that `SELECT *` shows, in their order.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.schema.columns.iter().filter(|c| !c.hidden).map(|c| c.name.as_str())
    }

    /// Names and values of the columns that `SELECT *` shows, in their order.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, ValueRef<'a>)> + use<'a> {
        let row = *self;
        let visible = self.schema.columns.iter().enumerate().filter(|(_, c)| !c.hidden);
        visible.map(move |(i, c)| (c.name.as_str(), row.image.get(i).unwrap_or_default()))
    }

    /// Values of the key, in key order.
    pub fn key(&self) -> Vec<Value> {
        self.key_values().map(ValueRef::to_owned).collect()
    }

    /// The same, borrowed.
    pub fn key_values(&self) -> impl ExactSizeIterator<Item = ValueRef<'a>> + use<'a> {
        let image = self.image;
        self.form().key().map(move |index| image.get(index).unwrap_or_default())
    }

    /// The row as a JSON object, in column order; see [`value_to_json`].
    pub fn to_json(&self) -> Json {
        Json::Object(self.values().map(|(n, v)| (n.to_owned(), value_to_json(v))).collect())
    }

    /// The row as a Rust type: columns become fields of the same name.
    ///
    /// # Errors
    /// [`Error::Decode`].
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, Error> {
        de::from_row(self)
    }

    /// A row that owns its bytes.
    pub fn to_row(&self) -> Row {
        Row::of_image(self.schema, self.revision, 0, self.image)
    }

    #[cold]
    fn bad_image(&self, error: ImageError, index: usize) -> Error {
        match error {
            ImageError::NoColumn { .. } => Error::UnknownColumn {
                table: self.schema.table.clone(),
                column: format!("#{index}"),
                known: self.schema.columns.iter().map(|c| c.name.clone()).collect(),
            },
            other => Error::Protocol(format!("table {:?}: {other}", self.schema.table)),
        }
    }
}

impl fmt::Debug for RowRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.values()).finish()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::schema::tests::table;
    use shmirror_shm::image::Image;

    /// A row of a table `t` with these columns and values.
    pub(crate) fn row(columns: &[(&str, Value)]) -> Row {
        let names: Vec<&str> = columns.iter().map(|(n, _)| *n).collect();
        let image = Image::encode(columns.iter().map(|(_, v)| v.as_ref()));
        Row::of_image(Schema::of(&table("t", &names)), 9, 1, image.as_ref())
    }

    fn sample() -> Row {
        row(&[
            ("id", 7i64.into()),
            ("Name", "Überhitzer".into()),
            ("kp", 1.25.into()),
            ("note", Value::Null),
            ("raw", Value::Blob(vec![1, 0xFE])),
        ])
    }

    #[test]
    fn getters_by_name_and_by_index() {
        let row = sample();
        assert_eq!(row.get::<i64>("ID").unwrap(), 7);
        assert_eq!(row.get::<&str>("name").unwrap(), "Überhitzer");
        assert_eq!(row.get_at::<f64>(2).unwrap(), 1.25);
        assert_eq!((row.as_ref().integer_at(0), row.as_ref().real_at(0)), (Some(7), None));
        assert_eq!((row.as_ref().integer_at(2), row.as_ref().real_at(2)), (None, Some(1.25)));
        assert_eq!(row.get::<Option<String>>("note").unwrap(), None);
        assert_eq!(row.get::<Vec<u8>>("raw").unwrap(), [1, 0xFE]);
        assert_eq!((row.revision(), row.key()), (9, vec![Value::Integer(7)]));
        assert_eq!(row.columns().collect::<Vec<_>>(), ["id", "Name", "kp", "note", "raw"]);
    }

    #[test]
    fn a_copy_into_a_row_stays_where_the_row_was() {
        let long = row(&[("id", 1i64.into()), ("text", "x".repeat(9000).into())]);
        let mut copy = long.clone();
        let place = copy.get::<&str>("text").unwrap().as_ptr();
        for source in [&sample(), &long, &Row::default(), &sample()] {
            copy.clone_from(source);
            assert_eq!(copy.to_json(), source.to_json());
            assert_eq!((copy.revision(), copy.key()), (source.revision(), source.key()));
            if std::ptr::eq(source, &long) {
                assert_eq!(copy.get::<&str>("text").unwrap().as_ptr(), place);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let row = sample();
        let e = row.get::<i64>("kp").unwrap_err();
        assert_eq!(
            e.to_string(),
            r#"table "t", column "kp": found real 1.25, expected an integer"#
        );
        assert_eq!(row.get::<String>("note").unwrap_err().code(), "type");
        assert_eq!(row.get::<i64>("kq").unwrap_err().code(), "unknown-column");
        assert_eq!(row.get_at::<i64>(5).unwrap_err().code(), "unknown-column");
        assert_eq!(Row::default().get_at::<i64>(0).unwrap_err().code(), "unknown-column");
    }

    #[test]
    fn json_keeps_the_order_of_columns() {
        assert_eq!(
            sample().to_json().to_string(),
            r#"{"id":7,"Name":"Überhitzer","kp":1.25,"note":null,"raw":"0x01fe"}"#
        );
    }
}
