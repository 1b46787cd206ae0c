//! Keys: one canonical form of a key's values, for the index and for key order.
//!
//! A key of one integer-valued number is [`Key::Int`]. Every other key is [`Key::Bytes`]: the
//! encodings of its columns one after another, so that comparing bytes compares keys as SQLite's
//! primary key does (numbers before TEXT before BLOB; 1 and 1.0 are one key; collation folded).
//!
//! ```text
//! number  0x10, the double nearest to it as ordered bits (8, big-endian), its distance from that
//!         double + 0x8000 (2, big-endian): so i64 and f64 interleave exactly
//! text    0x20, the folded bytes with 00 → 00 FF, then 00 00
//! blob    0x30, the bytes with 00 → 00 FF, then 00 00
//! ```

use core::cmp::Ordering;

use smallvec::SmallVec;

use crate::catalogue::{Affinity, Collation, ColumnDef};
use crate::image::{ImageError, ImageRef};
use crate::limits;
use crate::number_text::NumberText;
use crate::value::{StorageClass, ValueRef};

pub use crate::number_text::numeric_text;

/// A key in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// One integer-valued number.
    Int(i64),
    /// Anything else.
    Bytes(SmallVec<[u8; 40]>),
}

/// Values that are no key of the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A wrong number of values.
    #[error("key of {found} values, {expected} expected")]
    Count {
        /// Values given.
        found: usize,
        /// Columns of the key.
        expected: usize,
    },
    /// NULL in a key column.
    #[error("key column {column}: NULL is no key")]
    Null {
        /// The column's name.
        column: String,
    },
    /// Longer than [`limits::KEY_BYTES`].
    #[error("key of {found} bytes, at most {} allowed", limits::KEY_BYTES)]
    Long {
        /// Bytes of its encoding.
        found: usize,
    },
    /// An image that lies about itself.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// How one key column takes part in the key: what is needed of its definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPart {
    /// Name, for errors.
    pub name: String,
    /// Index in the image.
    pub index: usize,
    /// Affinity.
    pub affinity: Affinity,
    /// Collation.
    pub collation: Collation,
}

impl KeyPart {
    /// The part that the column at `index` plays.
    pub fn of(index: usize, column: &ColumnDef) -> Self {
        Self {
            name: column.name.clone(),
            index,
            affinity: column.affinity,
            collation: column.collation,
        }
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (a, b) => a.to_ordered().cmp(&b.to_ordered()),
        }
    }
}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Key {
    /// The key of `values`, after the affinity of each column was applied as SQLite applies it to a
    /// comparison.
    ///
    /// # Errors
    /// A wrong number of values, a NULL, or a key over its limit.
    pub fn new(parts: &[KeyPart], values: &[ValueRef<'_>]) -> Result<Self, KeyError> {
        let mut key = Self::default();
        key.set(parts, values)?;
        Ok(key)
    }

    /// Makes this the key of `values`, as [`Key::new`] does, without allocation once it was as long.
    ///
    /// # Errors
    /// As [`Key::new`]; then it is no key in particular.
    pub fn set(&mut self, parts: &[KeyPart], values: &[ValueRef<'_>]) -> Result<(), KeyError> {
        if parts.len() != values.len() {
            return Err(KeyError::Count { found: values.len(), expected: parts.len() });
        }
        if let ([part], [value]) = (parts, values)
            && let Some(i) = single_int(part, *value)
        {
            *self = Self::Int(i);
            return Ok(());
        }
        let out = match self {
            Self::Bytes(bytes) => bytes,
            Self::Int(_) => {
                *self = Self::Bytes(SmallVec::new());
                return self.set(parts, values);
            }
        };
        out.clear();
        for (part, value) in parts.iter().zip(values) {
            push_affine(out, part, *value)?;
        }
        if out.len() > limits::KEY_BYTES {
            return Err(KeyError::Long { found: out.len() });
        }
        Ok(())
    }

    /// Whether this is the key of a whole row image, as [`Key::of_image`] makes it. No allocation.
    pub fn is_of(&self, parts: &[KeyPart], image: &ImageRef<'_>) -> bool {
        let int = int_of_image(parts, image);
        match self {
            Self::Int(i) => int == Some(*i),
            Self::Bytes(bytes) => {
                let mut same = Same { left: bytes, differs: false };
                int.is_none()
                    && parts.iter().all(|part| push_raw(&mut same, part, image) && !same.differs)
                    && same.left.is_empty()
            }
        }
    }

    /// Appends the key of a whole row image to `out`, in the bytes whose order is the keys' order:
    /// those of a [`Key::Int`] too.
    ///
    /// # Errors
    /// A NULL in a key column, or an image that lies.
    pub fn append_ordered(
        parts: &[KeyPart],
        image: &ImageRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), KeyError> {
        push_image(out, parts, image)
    }

    /// The key of a whole row image (its values already have their affinity).
    ///
    /// # Errors
    /// A NULL in a key column, a key over its limit, or an image that lies.
    pub fn of_image(parts: &[KeyPart], image: &ImageRef<'_>) -> Result<Self, KeyError> {
        if let Some(i) = int_of_image(parts, image) {
            return Ok(Self::Int(i));
        }
        let mut out = SmallVec::new();
        push_image(&mut out, parts, image)?;
        if out.len() > limits::KEY_BYTES {
            return Err(KeyError::Long { found: out.len() });
        }
        Ok(Self::Bytes(out))
    }

    fn to_ordered(&self) -> SmallVec<[u8; 40]> {
        match self {
            Self::Int(i) => {
                let mut out = SmallVec::new();
                push_number(&mut out, *i as f64, int_distance(*i));
                out
            }
            Self::Bytes(b) => b.clone(),
        }
    }

    /// The hash of this key under the segment's `seed`.
    #[inline]
    pub fn hash(&self, seed: u64) -> u64 {
        match self {
            Self::Int(i) => mix(*i as u64 ^ seed, 0x9E37_79B9_7F4A_7C15),
            Self::Bytes(b) => hash_bytes(b, seed),
        }
    }
}

/// Folded 128-bit multiplication (as in wyhash, <https://github.com/wangyi-fudan/wyhash>, public
/// domain).
#[inline]
fn mix(a: u64, b: u64) -> u64 {
    let m = u128::from(a) * u128::from(b);
    (m as u64) ^ ((m >> 64) as u64)
}

fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let mut h = seed ^ mix(bytes.len() as u64 ^ 0xA076_1D64_78BD_642F, 0xE703_7ED1_A0B4_28DB);
    let by = 0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(32);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        h = mix(h ^ u64::from_le_bytes(*word), by);
    }
    if !rest.is_empty() {
        // The last few bytes as a word, without a call for so few.
        let word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        h = mix(h ^ word, by);
    }
    mix(h, 0x8EBC_6AF0_9C88_C6E3)
}

/// The integer that the key of a row image is, where it is a [`Key::Int`].
#[inline]
pub fn int_of_image(parts: &[KeyPart], image: &ImageRef<'_>) -> Option<i64> {
    let [part] = parts else { return None };
    match image.class(part.index) {
        Ok(StorageClass::Integer | StorageClass::Real) => integral(image.get(part.index).ok()?),
        _ => None,
    }
}

/// The integer that this number is, where it is one.
#[inline]
fn integral(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(i) => Some(i),
        ValueRef::Real(r) => real_as_int(r),
        _ => None,
    }
}

fn real_as_int(r: f64) -> Option<i64> {
    // 2^63 itself is no i64; every integral double below it is.
    (r.trunc() == r && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&r))
        .then_some(r as i64)
}

fn single_int(part: &KeyPart, value: ValueRef<'_>) -> Option<i64> {
    match (part.affinity, value) {
        (Affinity::Text, _) => None,
        (Affinity::Blob, v) => integral(v),
        (_, ValueRef::Text(t)) => numeric_text(t).and_then(|v| integral(v)),
        (_, v) => integral(v),
    }
}

/// Where the bytes of a key go.
trait Sink {
    fn push(&mut self, byte: u8);
    fn extend(&mut self, bytes: &[u8]);
}

impl Sink for SmallVec<[u8; 40]> {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.push(byte);
    }
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.push(byte);
    }
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Compares what goes in with the bytes that are expected.
struct Same<'a> {
    left: &'a [u8],
    differs: bool,
}

impl Sink for Same<'_> {
    #[inline]
    fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }
    #[inline]
    fn extend(&mut self, bytes: &[u8]) {
        match self.left.strip_prefix(bytes) {
            Some(left) => self.left = left,
            None => self.differs = true,
        }
    }
}

fn push_image<S: Sink>(
    out: &mut S,
    parts: &[KeyPart],
    image: &ImageRef<'_>,
) -> Result<(), KeyError> {
    for part in parts {
        push(out, part, image.get(part.index)?)?;
    }
    Ok(())
}

/// The same of one column, for comparing: whether there is a value. TEXT that is no UTF-8 is no error, as it is
/// no key's either.
fn push_raw<S: Sink>(out: &mut S, part: &KeyPart, image: &ImageRef<'_>) -> bool {
    match image.class(part.index) {
        Ok(StorageClass::Text) => match image.bytes(part.index) {
            Ok(bytes) => push_text(out, part.collation, bytes),
            Err(_) => return false,
        },
        Ok(_) => match image.get(part.index) {
            Ok(value) => return push(out, part, value).is_ok(),
            Err(_) => return false,
        },
        Err(_) => return false,
    }
    true
}

fn push_affine<S: Sink>(out: &mut S, part: &KeyPart, value: ValueRef<'_>) -> Result<(), KeyError> {
    match (part.affinity, value) {
        (Affinity::Text, ValueRef::Integer(i)) => {
            push(out, part, ValueRef::Text(NumberText::of(i).as_str()))
        }
        (Affinity::Text, ValueRef::Real(r)) => {
            push(out, part, ValueRef::Text(NumberText::of_real(r).as_str()))
        }
        (Affinity::Integer | Affinity::Numeric | Affinity::Real, ValueRef::Text(t)) => {
            push(out, part, numeric_text(t).unwrap_or(value))
        }
        _ => push(out, part, value),
    }
}

fn push<S: Sink>(out: &mut S, part: &KeyPart, value: ValueRef<'_>) -> Result<(), KeyError> {
    match value {
        ValueRef::Null => return Err(KeyError::Null { column: part.name.clone() }),
        ValueRef::Integer(i) => push_number(out, i as f64, int_distance(i)),
        ValueRef::Real(r) => push_number(out, r, 0),
        ValueRef::Text(t) => push_text(out, part.collation, t.as_bytes()),
        ValueRef::Blob(b) => {
            out.push(0x30);
            push_bytes(out, b);
        }
    }
    Ok(())
}

fn push_text<S: Sink>(out: &mut S, collation: Collation, text: &[u8]) {
    out.push(0x20);
    match collation {
        Collation::Binary => push_bytes(out, text),
        Collation::NoCase => push_folded(out, text),
        Collation::RTrim => {
            let spaces = text.iter().rev().take_while(|b| **b == b' ').count();
            push_bytes(out, &text[..text.len() - spaces]);
        }
    }
}

/// How far `i` lies from the double nearest to it: at most 512 (half a unit at 2^63).
fn int_distance(i: i64) -> i16 {
    (i128::from(i) - (i as f64) as i128) as i16
}

fn push_number<S: Sink>(out: &mut S, nearest: f64, distance: i16) {
    let bits = (nearest + 0.0).to_bits(); // -0.0 + 0.0 is 0.0
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    out.push(0x10);
    out.extend(&ordered.to_be_bytes());
    out.extend(&((i32::from(distance) + 0x8000) as u16).to_be_bytes());
}

fn push_bytes<S: Sink>(out: &mut S, bytes: &[u8]) {
    if bytes.contains(&0) {
        for piece in bytes.split_inclusive(|b| *b == 0) {
            out.extend(piece);
            if piece.last() == Some(&0) {
                out.push(0xFF);
            }
        }
    } else {
        out.extend(bytes);
    }
    out.extend(&[0, 0]);
}

/// The same, ASCII letters made small.
fn push_folded<S: Sink>(out: &mut S, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            0 => out.extend(&[0, 0xFF]),
            b => out.push(b.to_ascii_lowercase()),
        }
    }
    out.extend(&[0, 0]);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::image::Image;
    use crate::value::Value;
    use proptest::prelude::*;

    fn part(affinity: Affinity, collation: Collation) -> KeyPart {
        KeyPart { name: "k".into(), index: 0, affinity, collation }
    }

    fn key(affinity: Affinity, v: impl Into<Value>) -> Key {
        Key::new(&[part(affinity, Collation::Binary)], &[v.into().as_ref()]).unwrap()
    }

    /// The order that SQLite gives to two values under BINARY collation.
    fn sqlite_order(a: &Value, b: &Value) -> Ordering {
        let rank = |v: &Value| match v {
            Value::Null => 0,
            Value::Integer(_) | Value::Real(_) => 1,
            Value::Text(_) => 2,
            Value::Blob(_) => 3,
        };
        match (a, b) {
            (Value::Integer(x), Value::Integer(y)) => x.cmp(y),
            (Value::Real(x), Value::Real(y)) => x.partial_cmp(y).unwrap(),
            (Value::Integer(x), Value::Real(y)) => int_real(*x, *y),
            (Value::Real(x), Value::Integer(y)) => int_real(*y, *x).reverse(),
            (Value::Text(x), Value::Text(y)) => x.as_bytes().cmp(y.as_bytes()),
            (Value::Blob(x), Value::Blob(y)) => x.cmp(y),
            _ => rank(a).cmp(&rank(b)),
        }
    }

    fn int_real(i: i64, r: f64) -> Ordering {
        if r >= 9_223_372_036_854_775_808.0 {
            return Ordering::Less;
        }
        if r < -9_223_372_036_854_775_808.0 {
            return Ordering::Greater;
        }
        i.cmp(&(r.trunc() as i64)).then_with(|| 0.0f64.partial_cmp(&r.fract()).unwrap())
    }

    fn values() -> impl Strategy<Value = Value> {
        let edge = prop_oneof![
            any::<i64>(),
            -3i64..3,
            Just(i64::MAX),
            Just(i64::MIN),
            (0i64..2000).prop_map(|d| i64::MAX - d),
            (0i64..2000).prop_map(|d| (1 << 53) + d - 1000),
        ];
        let reals = prop_oneof![
            any::<f64>().prop_filter("SQLite has no NaN", |r| !r.is_nan()),
            edge.clone().prop_map(|i| i as f64),
            (-40i32..40).prop_map(|n| f64::from(n) / 4.0),
        ];
        prop_oneof![
            edge.prop_map(Value::Integer),
            reals.prop_map(Value::Real),
            "[a-c\\x00é]{0,4}".prop_map(Value::Text),
            prop::collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..4)
                .prop_map(Value::Blob),
        ]
    }

    proptest! {
        #[test]
        fn keys_order_and_equal_as_sqlite_does(
            a in prop::collection::vec(values(), 2),
            b in prop::collection::vec(values(), 2),
        ) {
            let parts = [part(Affinity::Blob, Collation::Binary), part(Affinity::Blob, Collation::Binary)];
            let of = |v: &[Value]| {
                Key::new(&parts, &v.iter().map(Value::as_ref).collect::<Vec<_>>()).unwrap()
            };
            let expected = sqlite_order(&a[0], &b[0]).then_with(|| sqlite_order(&a[1], &b[1]));
            prop_assert_eq!(of(&a).cmp(&of(&b)), expected, "{:?} {:?}", a, b);
            prop_assert_eq!(of(&a) == of(&b), expected == Ordering::Equal);
            if expected == Ordering::Equal {
                prop_assert_eq!(of(&a).hash(7), of(&b).hash(7));
            }
            let one = |v: &Value| Key::new(&parts[..1], &[v.as_ref()]).unwrap();
            prop_assert_eq!(one(&a[0]).cmp(&one(&b[0])), sqlite_order(&a[0], &b[0]));
        }

        #[test]
        fn a_key_of_values_is_the_key_of_their_image(v in prop::collection::vec(values(), 3)) {
            let image = Image::encode(v.iter().map(Value::as_ref));
            let parts: Vec<_> =
                (0..3).map(|i| KeyPart { index: i, ..part(Affinity::Blob, Collation::NoCase) }).collect();
            let refs: Vec<_> = v.iter().map(Value::as_ref).collect();
            let key = Key::new(&parts, &refs);
            prop_assert_eq!(&key, &Key::of_image(&parts, &image.as_ref()));
            prop_assert!(key.unwrap().is_of(&parts, &image.as_ref()));
        }
    }

    proptest! {
        #[test]
        fn a_key_is_of_no_other_image_and_orders_as_its_bytes_do(
            a in prop::collection::vec(values(), 1..3),
            b in values(),
            at in 0usize..2,
        ) {
            let parts: Vec<_> =
                (0..a.len()).map(|i| KeyPart { index: i, ..part(Affinity::Blob, Collation::RTrim) }).collect();
            let mut other = a.clone();
            other[at % a.len()] = b;
            let image = |v: &[Value]| Image::encode(v.iter().map(Value::as_ref));
            let (one, two) = (image(&a), image(&other));
            let key = |image: &Image| Key::of_image(&parts, &image.as_ref());
            // NULL is no key.
            if let (Ok(first), Ok(second)) = (key(&one), key(&two)) {
                prop_assert_eq!(first.is_of(&parts, &two.as_ref()), first == second);
                let (mut x, mut y) = (Vec::new(), Vec::new());
                Key::append_ordered(&parts, &one.as_ref(), &mut x).unwrap();
                Key::append_ordered(&parts, &two.as_ref(), &mut y).unwrap();
                prop_assert_eq!(x.cmp(&y), first.cmp(&second));
                let mut again = first.clone();
                let refs: Vec<_> = other.iter().map(Value::as_ref).collect();
                again.set(&parts, &refs).unwrap();
                prop_assert_eq!(again, second);
            }
        }
    }

    #[test]
    fn affinity_and_collation_fold_as_in_a_comparison() {
        assert_eq!(key(Affinity::Integer, "42"), Key::Int(42));
        assert_eq!(key(Affinity::Integer, 42.0), Key::Int(42));
        assert_eq!(key(Affinity::Text, 42), key(Affinity::Text, "42"));
        assert_eq!(key(Affinity::Text, 1e100), key(Affinity::Text, "1.0e+100"));
        assert_ne!(key(Affinity::Blob, "42"), key(Affinity::Blob, 42));
        let no_case = [part(Affinity::Text, Collation::NoCase)];
        let trimmed = [part(Affinity::Text, Collation::RTrim)];
        let of = |p: &[KeyPart], s| Key::new(p, &[ValueRef::Text(s)]).unwrap();
        assert_eq!(of(&no_case, "Pump-1"), of(&no_case, "pUMP-1"));
        assert_ne!(of(&no_case, "É"), of(&no_case, "é"));
        assert_eq!(of(&trimmed, "a  "), of(&trimmed, "a"));
    }

    #[test]
    fn null_count_and_length_are_refused() {
        let parts = [part(Affinity::Text, Collation::Binary)];
        assert!(matches!(Key::new(&parts, &[ValueRef::Null]), Err(KeyError::Null { .. })));
        assert!(matches!(Key::new(&parts, &[]), Err(KeyError::Count { found: 0, expected: 1 })));
        let longest = "x".repeat(limits::KEY_BYTES - 3);
        assert!(Key::new(&parts, &[ValueRef::Text(&longest)]).is_ok());
        let longer = longest + "x";
        assert!(matches!(Key::new(&parts, &[ValueRef::Text(&longer)]), Err(KeyError::Long { .. })));
    }
}
