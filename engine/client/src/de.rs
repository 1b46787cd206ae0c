//! From rows to serde types: the way back of [`crate::ser`].
//!
//! In: a row. Out: a struct or map whose fields are the columns of the same name (ASCII case folded
//! for structs). NULL is `None`, 0 and 1 are `bool`, TEXT is a unit variant, a BLOB is bytes or a
//! sequence of `u8`. A value that would lose something is an error that names the column.

use std::fmt::{self, Display};

use serde::de::value::{MapAccessDeserializer, SeqDeserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use shmirror_shm::value::ValueRef;

use crate::error::Error;
use crate::from_value::{FromValue, Mismatch, describe};
use crate::row::RowRef;

/// The row as a `T`.
pub(crate) fn from_row<T: DeserializeOwned>(row: &RowRef<'_>) -> Result<T, Error> {
    T::deserialize(RowDeserializer { row: *row }).map_err(|e| Error::Decode {
        table: row.schema.table.clone(),
        column: e.column,
        message: e.message,
    })
}

/// What serde hands through while a row is put together.
#[derive(Debug)]
struct Fault {
    column: Option<String>,
    message: String,
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Fault {}
impl de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self { column: None, message: message.to_string() }
    }
}
impl From<Mismatch> for Fault {
    fn from(m: Mismatch) -> Self {
        de::Error::custom(format_args!("found {}, expected {}", m.found, m.expected))
    }
}

struct RowDeserializer<'r> {
    row: RowRef<'r>,
}

impl<'r> RowDeserializer<'r> {
    fn columns(&self, fields: &'static [&'static str]) -> Columns<'r> {
        Columns { row: self.row, fields, next: 0 }
    }
}

impl<'r> Deserializer<'r> for RowDeserializer<'r> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_map(self.columns(&[]))
    }
    fn deserialize_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_map(self.columns(fields))
    }
    fn deserialize_newtype_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_option<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }
    fn deserialize_enum<V: Visitor<'r>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(MapAccessDeserializer::new(self.columns(&[])))
    }
    fn deserialize_seq<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_seq(Values(self.columns(&[])))
    }
    fn deserialize_tuple<V: Visitor<'r>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }
    fn deserialize_tuple_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }
    forward_to_deserialize_any! {
        <W: Visitor<'r>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct map identifier ignored_any
    }
}

/// The columns that `SELECT *` shows, one after another.
struct Columns<'r> {
    row: RowRef<'r>,
    fields: &'static [&'static str],
    next: usize,
}

impl<'r> Columns<'r> {
    /// Goes on to the next visible column; its index.
    fn advance(&mut self) -> Option<usize> {
        let columns = &self.row.schema.columns;
        let index = (self.next..columns.len()).find(|&i| !columns[i].hidden)?;
        self.next = index + 1;
        Some(index)
    }

    fn value(&self, index: usize) -> Result<ValueDeserializer<'r>, Fault> {
        let value = self.row.image.get(index).map_err(<Fault as de::Error>::custom)?;
        Ok(ValueDeserializer(value))
    }

    fn at(&self, index: usize, fault: Fault) -> Fault {
        Fault { column: fault.column.or_else(|| Some(self.row.schema.name(index))), ..fault }
    }
}

impl<'r> MapAccess<'r> for Columns<'r> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'r>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some(index) = self.advance() else { return Ok(None) };
        let column = self.row.schema.columns[index].name.as_str();
        // The struct's own spelling, so that `Name` finds its field `name`.
        let field = self.fields.iter().find(|f| f.eq_ignore_ascii_case(column));
        seed.deserialize(field.copied().unwrap_or(column).into_deserializer()).map(Some)
    }
    fn next_value_seed<S: DeserializeSeed<'r>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let index = self.next.saturating_sub(1);
        seed.deserialize(self.value(index)?).map_err(|e| self.at(index, e))
    }
}

/// The same without names, for tuples.
struct Values<'r>(Columns<'r>);

impl<'r> de::SeqAccess<'r> for Values<'r> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'r>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let Some(index) = self.0.advance() else { return Ok(None) };
        seed.deserialize(self.0.value(index)?).map(Some).map_err(|e| self.0.at(index, e))
    }
}

/// One value.
struct ValueDeserializer<'r>(ValueRef<'r>);

macro_rules! exact {
    ($($method:ident $visit:ident $t:ty)*) => {$(
        fn $method<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.$visit(<$t>::from_value(self.0)?)
        }
    )*};
}

impl<'r> Deserializer<'r> for ValueDeserializer<'r> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            ValueRef::Null => visitor.visit_unit(),
            ValueRef::Integer(i) => visitor.visit_i64(i),
            ValueRef::Real(r) => visitor.visit_f64(r),
            ValueRef::Text(t) => visitor.visit_borrowed_str(t),
            // Who takes anything (a JSON value, an untagged enum) always takes a sequence.
            ValueRef::Blob(_) => self.deserialize_seq(visitor),
        }
    }

    exact! {
        deserialize_bool visit_bool bool
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_f32 visit_f32 f32
        deserialize_f64 visit_f64 f64
        deserialize_str visit_borrowed_str &str
        deserialize_string visit_borrowed_str &str
        deserialize_bytes visit_borrowed_bytes &[u8]
        deserialize_byte_buf visit_borrowed_bytes &[u8]
    }

    fn deserialize_char<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(<&str>::from_value(self.0)?)
    }
    fn deserialize_option<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            ValueRef::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }
    fn deserialize_newtype_struct<V: Visitor<'r>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'r>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(<&str>::from_value(self.0)?.into_deserializer())
    }
    fn deserialize_seq<V: Visitor<'r>>(self, visitor: V) -> Result<V::Value, Fault> {
        let bytes = <&[u8]>::from_value(self.0)?;
        visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied()))
    }
    fn deserialize_tuple<V: Visitor<'r>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_seq(visitor)
    }
    fn deserialize_map<V: Visitor<'r>>(self, _: V) -> Result<V::Value, Fault> {
        Err(nested(self.0, "a map"))
    }
    fn deserialize_struct<V: Visitor<'r>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(nested(self.0, &format!("struct {name}")))
    }
    fn deserialize_tuple_struct<V: Visitor<'r>>(
        self,
        name: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Fault> {
        Err(nested(self.0, &format!("tuple struct {name}")))
    }
    forward_to_deserialize_any! { <W: Visitor<'r>> i128 u128 unit unit_struct identifier ignored_any }
}

fn nested(found: ValueRef<'_>, expected: &str) -> Fault {
    de::Error::custom(format_args!(
        "found {}, expected {expected} (a column holds no nested values)",
        describe(found)
    ))
}

#[cfg(test)]
#[path = "de_tests.rs"]
mod tests;
