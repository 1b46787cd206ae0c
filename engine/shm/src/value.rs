//! SQL values: owned for requests, borrowed for rows that were copied out of shared memory.

use rkyv::{Archive, Deserialize, Serialize};

/// The storage class of one value, as SQLite defines it. The numbers are part of the row image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StorageClass {
    /// SQL NULL.
    Null = 0,
    /// A signed 64-bit integer.
    Integer = 1,
    /// An IEEE 754 double.
    Real = 2,
    /// UTF-8 text.
    Text = 3,
    /// Bytes.
    Blob = 4,
}

impl StorageClass {
    /// The class with this number, or `None` where no class has it.
    #[inline]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            0 => Self::Null,
            1 => Self::Integer,
            2 => Self::Real,
            3 => Self::Text,
            4 => Self::Blob,
            _ => return None,
        })
    }

    /// The name that SQLite's `typeof()` gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Text => "text",
            Self::Blob => "blob",
        }
    }
}

/// One SQL value that owns its bytes.
#[derive(Clone, Debug, PartialEq, Default, Archive, Serialize, Deserialize)]
pub enum Value {
    /// SQL NULL.
    #[default]
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// An IEEE 754 double.
    Real(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// One SQL value that borrows its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub enum ValueRef<'a> {
    /// SQL NULL.
    #[default]
    Null,
    /// A signed 64-bit integer.
    Integer(i64),
    /// An IEEE 754 double.
    Real(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Blob(&'a [u8]),
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(i) => ValueRef::Integer(*i),
            Self::Real(r) => ValueRef::Real(*r),
            Self::Text(t) => ValueRef::Text(t),
            Self::Blob(b) => ValueRef::Blob(b),
        }
    }

    /// The storage class of this value.
    pub fn class(&self) -> StorageClass {
        self.as_ref().class()
    }
}

impl ValueRef<'_> {
    /// The same value, owning its bytes.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Integer(i) => Value::Integer(i),
            Self::Real(r) => Value::Real(r),
            Self::Text(t) => Value::Text(t.to_owned()),
            Self::Blob(b) => Value::Blob(b.to_owned()),
        }
    }

    /// The storage class of this value.
    pub fn class(&self) -> StorageClass {
        match self {
            Self::Null => StorageClass::Null,
            Self::Integer(_) => StorageClass::Integer,
            Self::Real(_) => StorageClass::Real,
            Self::Text(_) => StorageClass::Text,
            Self::Blob(_) => StorageClass::Blob,
        }
    }

    /// Bytes of the variable part that this value takes (0 for fixed-size classes).
    pub fn var_len(&self) -> usize {
        match self {
            Self::Text(t) => t.len(),
            Self::Blob(b) => b.len(),
            _ => 0,
        }
    }
}

macro_rules! value_from {
    ($($t:ty => |$v:ident| $e:expr),* $(,)?) => {
        $(impl From<$t> for Value { fn from($v: $t) -> Self { $e } })*
    };
}
value_from! {
    i64 => |v| Value::Integer(v),
    i32 => |v| Value::Integer(v.into()),
    i16 => |v| Value::Integer(v.into()),
    i8 => |v| Value::Integer(v.into()),
    u32 => |v| Value::Integer(v.into()),
    u16 => |v| Value::Integer(v.into()),
    u8 => |v| Value::Integer(v.into()),
    bool => |v| Value::Integer(v.into()),
    f64 => |v| Value::Real(v),
    f32 => |v| Value::Real(v.into()),
    &str => |v| Value::Text(v.to_owned()),
    String => |v| Value::Text(v),
    &[u8] => |v| Value::Blob(v.to_owned()),
    Vec<u8> => |v| Value::Blob(v),
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Self {
        v.map_or(Value::Null, Into::into)
    }
}
