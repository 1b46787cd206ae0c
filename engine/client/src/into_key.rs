//! What may stand for a key: one value, or a tuple or slice of them in key order.
//!
//! In: the caller's Rust value. Out: borrowed SQL values, without allocation.

use shmirror_shm::limits::KEY_COLUMNS;
use shmirror_shm::value::{Value, ValueRef};

use crate::from_value::describe;

/// The value of one key column.
pub trait KeyColumn {
    /// It as a SQL value.
    fn key_value(&self) -> ValueRef<'_>;
}

macro_rules! key_columns {
    ($($t:ty => |$v:ident| $e:expr),* $(,)?) => {$(
        impl KeyColumn for $t {
            #[inline]
            fn key_value(&self) -> ValueRef<'_> { let $v = self; $e }
        }
    )*};
}
key_columns! {
    i64 => |v| ValueRef::Integer(*v),
    i32 => |v| ValueRef::Integer((*v).into()),
    i16 => |v| ValueRef::Integer((*v).into()),
    i8 => |v| ValueRef::Integer((*v).into()),
    u32 => |v| ValueRef::Integer((*v).into()),
    u16 => |v| ValueRef::Integer((*v).into()),
    u8 => |v| ValueRef::Integer((*v).into()),
    bool => |v| ValueRef::Integer((*v).into()),
    f64 => |v| ValueRef::Real(*v),
    str => |v| ValueRef::Text(v),
    String => |v| ValueRef::Text(v),
    [u8] => |v| ValueRef::Blob(v),
    Vec<u8> => |v| ValueRef::Blob(v),
    Value => |v| v.as_ref(),
    ValueRef<'_> => |v| *v,
}

impl<const N: usize> KeyColumn for [u8; N] {
    fn key_value(&self) -> ValueRef<'_> {
        ValueRef::Blob(self)
    }
}

impl<T: KeyColumn + ?Sized> KeyColumn for &T {
    #[inline]
    fn key_value(&self) -> ValueRef<'_> {
        (**self).key_value()
    }
}

/// A key of a table: one value for a key of one column; a tuple, slice or `Vec` of values, in the
/// order of the PRIMARY KEY, for a composite one. Tables without a declared key take the rowid.
///
/// Values convert as SQLite converts them in a comparison with the column: `"42"` finds the row
/// whose INTEGER key is 42.
pub trait IntoKey {
    /// The key, where it is one integer: the fast path.
    #[inline]
    fn as_int(&self) -> Option<i64> {
        None
    }

    /// Hands the key's values to `f`.
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R;
}

impl<T: KeyColumn> IntoKey for T {
    #[inline]
    fn as_int(&self) -> Option<i64> {
        match self.key_value() {
            ValueRef::Integer(i) => Some(i),
            _ => None,
        }
    }

    #[inline]
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        f(&[self.key_value()])
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+)),* $(,)?) => {$(
        impl<$($name: KeyColumn),+> IntoKey for ($($name,)+) {
            #[inline]
            fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
                f(&[$(self.$index.key_value()),+])
            }
        }

        impl<$($name: KeyColumn),+> IntoKey for &($($name,)+) {
            #[inline]
            fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
                (**self).with_key(f)
            }
        }
    )*};
}
tuples! {
    (A 0),
    (A 0, B 1),
    (A 0, B 1, C 2),
    (A 0, B 1, C 2, D 3),
    (A 0, B 1, C 2, D 3, E 4),
    (A 0, B 1, C 2, D 3, E 4, F 5),
}

impl IntoKey for [Value] {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        if self.len() <= KEY_COLUMNS {
            let mut values = [ValueRef::Null; KEY_COLUMNS];
            for (to, from) in values.iter_mut().zip(self) {
                *to = from.as_ref();
            }
            return f(&values[..self.len()]);
        }
        // More than any table has: to be told how many they are.
        f(&self.iter().map(Value::as_ref).collect::<Vec<_>>())
    }
}

impl IntoKey for &[Value] {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        (**self).with_key(f)
    }
}

impl<const N: usize> IntoKey for &[Value; N] {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        self.as_slice().with_key(f)
    }
}

impl IntoKey for &[ValueRef<'_>] {
    #[inline]
    fn as_int(&self) -> Option<i64> {
        match self {
            [ValueRef::Integer(i)] => Some(*i),
            _ => None,
        }
    }

    #[inline]
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        f(self)
    }
}

impl IntoKey for Vec<Value> {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        self.as_slice().with_key(f)
    }
}

impl IntoKey for &Vec<Value> {
    fn with_key<R>(&self, f: impl FnOnce(&[ValueRef<'_>]) -> R) -> R {
        self.as_slice().with_key(f)
    }
}

/// The key's values, owned.
pub(crate) fn key_values<K: IntoKey + ?Sized>(key: &K) -> Vec<Value> {
    key.with_key(|values| values.iter().map(|v| ValueRef::to_owned(*v)).collect())
}

/// The key as one reads it in a message: `42`, or `("north", 7)`.
pub(crate) fn show_key(values: &[ValueRef<'_>]) -> String {
    let one = |v: &ValueRef<'_>| match v {
        ValueRef::Integer(i) => i.to_string(),
        ValueRef::Text(t) if t.len() <= 80 => format!("{t:?}"),
        other => describe(*other),
    };
    match values {
        [v] => one(v),
        many => format!("({})", many.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<K: IntoKey>(key: K) -> (Option<i64>, String) {
        (key.as_int(), key.with_key(show_key))
    }

    #[test]
    fn single_values() {
        assert_eq!(shown(42i64), (Some(42), "42".into()));
        assert_eq!(shown(7u8), (Some(7), "7".into()));
        assert_eq!(shown("a"), (None, "\"a\"".into()));
        let (text, value) = (String::from("b"), Value::from("v"));
        assert_eq!(shown(&text), (None, "\"b\"".into()));
        assert_eq!(shown(&b"xyz"[..]), (None, "blob of 3 bytes".into()));
        assert_eq!(shown(Value::Integer(-1)), (Some(-1), "-1".into()));
        assert_eq!(shown(&value), (None, "\"v\"".into()));
    }

    #[test]
    fn composite_keys() {
        assert_eq!(shown(("north", 7)), (None, "(\"north\", 7)".into()));
        assert_eq!(shown((1, 2.5, "x", true)), (None, "(1, real 2.5, \"x\", 1)".into()));
        let six: Vec<Value> = (1..=6i64).map(Value::from).collect();
        assert_eq!(shown(&six), (None, "(1, 2, 3, 4, 5, 6)".into()));
        assert_eq!(shown(&six[..2]), (None, "(1, 2)".into()));
        let borrowed = [ValueRef::Integer(3), ValueRef::Text("n")];
        assert_eq!(shown(&borrowed[..1]), (Some(3), "3".into()));
        assert_eq!(shown(&borrowed[..]), (None, "(3, \"n\")".into()));
        assert_eq!(key_values(&("n", 1)), [Value::from("n"), Value::from(1i64)]);
    }
}
