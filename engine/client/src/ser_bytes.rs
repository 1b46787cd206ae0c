//! Sequences of `u8`, which become a BLOB; the part of [`crate::ser`] that takes them.

use serde::ser::{self, Serialize, SerializeSeq};
use shmirror_shm::value::Value;

use crate::ser::{Fault, No, nested};

/// Collects a sequence of `u8`, as `Vec<u8>` and `[u8; N]` serialize themselves.
pub(crate) struct Bytes(Vec<u8>);

impl Bytes {
    /// For a sequence that says how long it will be.
    pub(crate) fn new(length: Option<usize>) -> Self {
        Self(Vec::with_capacity(length.unwrap_or(0).min(1 << 16)))
    }
}

impl SerializeSeq for Bytes {
    type Ok = Value;
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.0.push(value.serialize(ByteSerializer)?);
        Ok(())
    }
    fn end(self) -> Result<Value, Fault> {
        Ok(Value::Blob(self.0))
    }
}

impl ser::SerializeTuple for Bytes {
    type Ok = Value;
    type Error = Fault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        SerializeSeq::serialize_element(self, value)
    }
    fn end(self) -> Result<Value, Fault> {
        SerializeSeq::end(self)
    }
}

/// Takes one `u8` and nothing else.
struct ByteSerializer;

macro_rules! no_byte {
    ($($method:ident($($t:ty),*);)*) => {$(
        fn $method(self, $(_: $t),*) -> Result<u8, Fault> { Err(not_bytes()) }
    )*};
}
macro_rules! no_compound {
    ($($method:ident($($t:ty),*);)*) => {$(
        fn $method(self, $(_: $t),*) -> Result<No<u8>, Fault> { Err(not_bytes()) }
    )*};
}

fn not_bytes() -> Fault {
    nested("a sequence of other things than bytes")
}

impl ser::Serializer for ByteSerializer {
    type Ok = u8;
    type Error = Fault;
    type SerializeSeq = No<u8>;
    type SerializeTuple = No<u8>;
    type SerializeTupleStruct = No<u8>;
    type SerializeTupleVariant = No<u8>;
    type SerializeMap = No<u8>;
    type SerializeStruct = No<u8>;
    type SerializeStructVariant = No<u8>;

    fn serialize_u8(self, v: u8) -> Result<u8, Fault> {
        Ok(v)
    }
    no_byte! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
    }
    no_compound! {
        serialize_seq(Option<usize>);
        serialize_tuple(usize);
        serialize_tuple_struct(&'static str, usize);
        serialize_tuple_variant(&'static str, u32, &'static str, usize);
        serialize_map(Option<usize>);
        serialize_struct(&'static str, usize);
        serialize_struct_variant(&'static str, u32, &'static str, usize);
    }
    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<u8, Fault> {
        Err(not_bytes())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<u8, Fault> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<u8, Fault> {
        Err(not_bytes())
    }
}
