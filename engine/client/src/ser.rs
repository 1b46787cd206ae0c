//! From serde types to column names and SQL values.
//!
//! In: a struct or a map. Out: its fields as columns. `Option` becomes NULL or the value, `bool` 0 or
//! 1, a unit variant its name as TEXT, bytes (and sequences of `u8`) a BLOB. What has no place in one
//! column (nested structs, maps and sequences, a u64 over `i64::MAX`, NaN) is an error that names the
//! field.

use std::fmt::{self, Display};

use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeStruct};
use shmirror_shm::value::Value;

use crate::error::Error;
use crate::ser_bytes::Bytes;

/// Columns and their values, in the order of the type's fields.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Fields {
    pub(crate) columns: Vec<String>,
    pub(crate) values: Vec<Value>,
}

/// The columns and values of `row`, which is for `table`.
pub(crate) fn to_fields<T: Serialize + ?Sized>(table: &str, row: &T) -> Result<Fields, Error> {
    row.serialize(RowSerializer).map_err(|e| Error::Encode {
        table: table.to_owned(),
        column: e.field,
        message: e.message,
    })
}

/// What serde hands through while a row is taken apart.
#[derive(Debug)]
pub(crate) struct Fault {
    field: Option<String>,
    message: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { field: None, message: message.into() }
    }

    fn at(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_owned());
        self
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Fault {}
impl ser::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// What cannot be.
pub(crate) type No<T> = Impossible<T, Fault>;

/// Refuses what is no row.
macro_rules! no_row {
    ($($method:ident($($t:ty),*) $what:literal;)*) => {$(
        fn $method(self, $(_: $t),*) -> Result<Self::Ok, Fault> { Err(not_a_row($what)) }
    )*};
}

fn not_a_row(found: &str) -> Fault {
    Fault::new(format!("found {found}, expected a struct or a map of columns"))
}

/// Takes a struct or map apart into columns.
struct RowSerializer;

impl ser::Serializer for RowSerializer {
    type Ok = Fields;
    type Error = Fault;
    type SerializeSeq = No<Fields>;
    type SerializeTuple = No<Fields>;
    type SerializeTupleStruct = No<Fields>;
    type SerializeTupleVariant = No<Fields>;
    type SerializeMap = Collect;
    type SerializeStruct = Collect;
    type SerializeStructVariant = No<Fields>;

    no_row! {
        serialize_bool(bool) "a bool";
        serialize_i8(i8) "an integer";
        serialize_i16(i16) "an integer";
        serialize_i32(i32) "an integer";
        serialize_i64(i64) "an integer";
        serialize_u8(u8) "an integer";
        serialize_u16(u16) "an integer";
        serialize_u32(u32) "an integer";
        serialize_u64(u64) "an integer";
        serialize_f32(f32) "a number";
        serialize_f64(f64) "a number";
        serialize_char(char) "a character";
        serialize_str(&str) "a text";
        serialize_bytes(&[u8]) "bytes";
        serialize_none() "nothing";
        serialize_unit() "nothing";
        serialize_unit_struct(&'static str) "a unit struct";
        serialize_unit_variant(&'static str, u32, &'static str) "a variant without fields";
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Fields, Fault> {
        value.serialize(self)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Fields, Fault> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Fields, Fault> {
        Err(not_a_row("a variant"))
    }
    fn serialize_seq(self, _: Option<usize>) -> Result<No<Fields>, Fault> {
        Err(not_a_row("a sequence"))
    }
    fn serialize_tuple(self, _: usize) -> Result<No<Fields>, Fault> {
        Err(not_a_row("a tuple"))
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No<Fields>, Fault> {
        Err(not_a_row("a tuple struct"))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No<Fields>, Fault> {
        Err(not_a_row("a variant"))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<No<Fields>, Fault> {
        Err(not_a_row("a variant"))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Collect, Fault> {
        Ok(Collect::default())
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Collect, Fault> {
        Ok(Collect::default())
    }
}

/// Collects the fields of one row.
#[derive(Default)]
struct Collect {
    fields: Fields,
    key: Option<String>,
}

impl Collect {
    fn push<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Fault> {
        let value = value.serialize(ValueSerializer).map_err(|e| e.at(&name))?;
        if self.fields.columns.iter().any(|c| c.eq_ignore_ascii_case(&name)) {
            return Err(Fault::new("given twice").at(&name));
        }
        self.fields.columns.push(name);
        self.fields.values.push(value);
        Ok(())
    }
}

impl SerializeStruct for Collect {
    type Ok = Fields;
    type Error = Fault;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.push(name.to_owned(), value)
    }
    fn end(self) -> Result<Fields, Fault> {
        Ok(self.fields)
    }
}

impl SerializeMap for Collect {
    type Ok = Fields;
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        match key.serialize(ValueSerializer)? {
            Value::Text(name) => self.key = Some(name),
            other => {
                let found = other.class().name();
                return Err(Fault::new(format!("a map key of {found}, expected a column's name")));
            }
        }
        Ok(())
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        let name = self.key.take().ok_or_else(|| Fault::new("a map value without its key"))?;
        self.push(name, value)
    }
    fn end(self) -> Result<Fields, Fault> {
        Ok(self.fields)
    }
}

/// Makes one SQL value.
struct ValueSerializer;

pub(crate) fn nested(found: &str) -> Fault {
    Fault::new(format!("found {found}, expected one value (a column holds no nested ones)"))
}

macro_rules! integers {
    ($($method:ident($t:ty))*) => {$(
        fn $method(self, v: $t) -> Result<Value, Fault> { Ok(Value::Integer(v.into())) }
    )*};
}

impl ser::Serializer for ValueSerializer {
    type Ok = Value;
    type Error = Fault;
    type SerializeSeq = Bytes;
    type SerializeTuple = Bytes;
    type SerializeTupleStruct = No<Value>;
    type SerializeTupleVariant = No<Value>;
    type SerializeMap = No<Value>;
    type SerializeStruct = No<Value>;
    type SerializeStructVariant = No<Value>;

    integers! {
        serialize_bool(bool)
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
    }
    fn serialize_u64(self, v: u64) -> Result<Value, Fault> {
        i64::try_from(v).map(Value::Integer).map_err(|_| {
            Fault::new(format!("found integer {v}, expected at most {} (SQL integers)", i64::MAX))
        })
    }
    fn serialize_f32(self, v: f32) -> Result<Value, Fault> {
        self.serialize_f64(v.into())
    }
    fn serialize_f64(self, v: f64) -> Result<Value, Fault> {
        if v.is_nan() {
            return Err(Fault::new("found NaN, expected a number (SQL would make it NULL)"));
        }
        Ok(Value::Real(v))
    }
    fn serialize_char(self, v: char) -> Result<Value, Fault> {
        Ok(Value::Text(v.to_string()))
    }
    fn serialize_str(self, v: &str) -> Result<Value, Fault> {
        Ok(Value::Text(v.to_owned()))
    }
    fn serialize_bytes(self, v: &[u8]) -> Result<Value, Fault> {
        Ok(Value::Blob(v.to_owned()))
    }
    fn serialize_none(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Fault> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<Value, Fault> {
        Ok(Value::Null)
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Fault> {
        Ok(Value::Null)
    }
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, Fault> {
        Ok(Value::Text(variant.to_owned()))
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, Fault> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<Value, Fault> {
        Err(nested(&format!("variant {variant} with a value")))
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Bytes, Fault> {
        Ok(Bytes::new(length))
    }
    fn serialize_tuple(self, length: usize) -> Result<Bytes, Fault> {
        self.serialize_seq(Some(length))
    }
    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<No<Value>, Fault> {
        Err(nested(&format!("tuple struct {name}")))
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<No<Value>, Fault> {
        Err(nested(&format!("variant {variant} with values")))
    }
    fn serialize_map(self, _: Option<usize>) -> Result<No<Value>, Fault> {
        Err(nested("a map"))
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<No<Value>, Fault> {
        Err(nested(&format!("struct {name}")))
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<No<Value>, Fault> {
        Err(nested(&format!("variant {variant} with fields")))
    }
}

#[cfg(test)]
#[path = "ser_tests.rs"]
mod tests;
