//! The row image, and the keys that are made of it.
//!
//! In: columns, bytes of the variable part, what the key's columns are, then the image's words.

use std::cmp::Ordering;

use shmirror_shm::catalogue::{Affinity, Collation};
use shmirror_shm::image::{Image, ImageError, ImageRef, head_words};
use shmirror_shm::key::{Key, KeyPart};
use shmirror_shm::value::{Value, ValueRef};

use crate::bytes::{Bytes, joined, of_words};
use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Reads an image with all its columns, and everything that must hold of one.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let (columns, var_bytes) = (usize::from(input.u16() % 300), usize::from(input.u16()));
    let (first, second) = (part(&mut input), part(&mut input));
    let words = input.words();
    let expected = head_words(columns) + var_bytes.div_ceil(8);
    let image = match ImageRef::new(columns, var_bytes, &words) {
        Ok(image) => image,
        Err(error) => {
            let found = words.len();
            assert!(found < expected);
            assert_eq!(error, ImageError::Short { found, expected });
            return;
        }
    };
    assert_eq!(image.words().len(), expected);
    check(&image);
    order(&image, &first);
    if columns > 0 {
        let at = |part: KeyPart| KeyPart { index: part.index % columns, ..part };
        keys(&image, &[at(first), at(second)]);
    }
}

fn part(input: &mut Bytes<'_>) -> KeyPart {
    use Affinity::*;
    let index = usize::from(input.u8());
    let kind = input.u8();
    KeyPart {
        name: "k".into(),
        index,
        affinity: [Blob, Text, Numeric, Integer, Real][usize::from(kind & 15) % 5],
        collation: [Collation::Binary, Collation::NoCase, Collation::RTrim]
            [usize::from(kind >> 4) % 3],
    }
}

/// Whether two values are one, to the last bit.
pub fn same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a, b) {
        (ValueRef::Real(a), ValueRef::Real(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

/// What must hold of any image: every getter says the same of a column, nothing outside of it is
/// given out, words behind it change nothing, and its values, encoded again, are the same.
pub fn check(image: &ImageRef<'_>) {
    let columns = image.columns();
    let inside = image.words().as_ptr_range();
    let inside = inside.start.cast::<u8>()..inside.end.cast::<u8>();
    for i in 0..columns {
        let value = image.get(i);
        let expected = match value {
            Ok(ValueRef::Integer(v)) => (Some(v), None),
            Ok(ValueRef::Real(v)) => (None, Some(v.to_bits())),
            _ => (None, None),
        };
        assert_eq!((image.integer(i), image.real(i).map(f64::to_bits)), expected);
        let bytes = match value {
            Ok(ValueRef::Text(t)) => t.as_bytes(),
            Ok(ValueRef::Blob(b)) => b,
            Ok(value) => {
                assert_eq!(image.class(i), Ok(value.class()));
                continue;
            }
            Err(ImageError::NoColumn { .. } | ImageError::Short { .. }) => {
                panic!("column {i} of {columns} is there")
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        let range = bytes.as_ptr_range();
        assert!(inside.start <= range.start && range.end <= inside.end, "column {i} is outside");
        assert!(bytes.len() <= image.var_bytes());
    }
    assert_eq!(image.get(columns), Err(ImageError::NoColumn { index: columns, columns }));
    assert_eq!((image.integer(columns), image.real(columns)), (None, None));

    let longer = [image.words(), &[u64::MAX; 3]].concat();
    assert_eq!(ImageRef::new(columns, image.var_bytes(), &longer).as_ref(), Ok(image));
    if let Some(shorter) = image.words().len().checked_sub(1) {
        assert!(ImageRef::new(columns, image.var_bytes(), &longer[..shorter]).is_err());
    }

    // Columns of a hostile image may lie upon each other.
    let most = 1024 + columns * (image.var_bytes() + 128);
    let Ok(values) = within(most, "an image's values", || image.to_values()) else { return };
    is_understood();
    let again = encode(&values);
    let read = again.as_ref().to_values().expect("what was encoded is read");
    assert!(values.iter().zip(&read).all(|(a, b)| same(a.as_ref(), b.as_ref())));
    assert_eq!(encode(&read), again);
}

fn encode(values: &[Value]) -> Image {
    Image::encode(values.iter().map(Value::as_ref))
}

/// A key is found again by its row, and by its values, in order as in equality.
fn keys(image: &ImageRef<'_>, parts: &[KeyPart]) {
    for parts in [&parts[..1], parts] {
        let Ok(key) = Key::of_image(parts, image) else { continue };
        assert!(key.is_of(parts, image));
        let mut ordered = Vec::new();
        Key::append_ordered(parts, image, &mut ordered).expect("it is a key");
        let values: Result<Vec<_>, _> = parts.iter().map(|part| image.get(part.index)).collect();
        let values = values.expect("they are in the key");
        if let (Key::Bytes(bytes), false) = (&key, ordered.is_empty()) {
            assert_eq!(bytes[..], ordered[..]);
        }
        // Values of an image have their affinity already: without one more it is the same key.
        let plain: Vec<_> =
            parts.iter().map(|p| KeyPart { affinity: Affinity::Blob, ..p.clone() }).collect();
        let given = Key::new(&plain, &values).expect("it is a key");
        assert_eq!(given, key);
        assert_eq!(given.hash(7), key.hash(7));
        assert_eq!(given.cmp(&key), Ordering::Equal);
    }
}

/// Of any two values, their keys have the order that SQLite gives them.
fn order(image: &ImageRef<'_>, part: &KeyPart) {
    let usable = |value: &ValueRef<'_>| match value {
        ValueRef::Null => false,
        ValueRef::Real(r) => !r.is_nan(), // SQLite has none
        _ => true,
    };
    let values: Vec<_> =
        (0..image.columns().min(8)).filter_map(|i| image.get(i).ok()).filter(usable).collect();
    let part = KeyPart { affinity: Affinity::Blob, collation: Collation::Binary, ..part.clone() };
    for pair in values.windows(2) {
        let key = |value| Key::new(std::slice::from_ref(&part), &[value]);
        let (Ok(a), Ok(b)) = (key(pair[0]), key(pair[1])) else { continue };
        let expected = compare(pair[0], pair[1]);
        assert_eq!(a.cmp(&b), expected, "{:?} and {:?}", pair[0], pair[1]);
        assert_eq!(a == b, expected == Ordering::Equal, "{:?} and {:?}", pair[0], pair[1]);
    }
}

/// Numbers, then text, then bytes (<https://sqlite.org/datatype3.html#sort_order>).
fn compare(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef::*;
    let rank = |value: &ValueRef<'_>| match value {
        Null => 0,
        Integer(_) | Real(_) => 1,
        Text(_) => 2,
        Blob(_) => 3,
    };
    match (a, b) {
        (Integer(a), Integer(b)) => a.cmp(&b),
        (Real(a), Real(b)) => a.partial_cmp(&b).expect("no NaN"),
        (Integer(a), Real(b)) => compare_exactly(a, b),
        (Real(a), Integer(b)) => compare_exactly(b, a).reverse(),
        (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Blob(a), Blob(b)) => a.cmp(b),
        (a, b) => rank(&a).cmp(&rank(&b)),
    }
}

fn compare_exactly(a: i64, b: f64) -> Ordering {
    if b >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if b < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    let whole = b.floor(); // exact, and in the range of an i64
    a.cmp(&(whole as i64)).then(if b > whole { Ordering::Less } else { Ordering::Equal })
}

/// Images of real rows.
pub fn seeds() -> Vec<Vec<u8>> {
    let seed = |row: Vec<Value>| {
        let image = samples::image(&row);
        let image = image.as_ref();
        let sizes = [image.columns() as u16, image.var_bytes() as u16].map(u16::to_le_bytes);
        joined(&[sizes.as_flattened(), &[0, 0x10, 1, 3], &of_words(image.words())])
    };
    samples::rows().into_iter().map(seed).collect()
}
