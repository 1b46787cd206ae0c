//! Rows in key order, as `ORDER BY` the primary key has them, in buffers that serve again.
//!
//! In: rows with their places. Out: the places, in the order of the rows' keys.

use shmirror_shm::image::ImageRef;
use shmirror_shm::key::{Key, KeyPart, int_of_image};

/// Places of rows in an order.
#[derive(Debug, Default)]
pub(crate) struct Order {
    places: Vec<usize>,
    ints: Vec<(i64, usize)>,
    /// Keys that are not all integers: their bytes, one after another, and where each is.
    bytes: Vec<u8>,
    keys: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    /// The first bytes, which mostly decide.
    first: u64,
    start: usize,
    end: usize,
    place: usize,
}

impl Order {
    /// The places in order.
    #[inline]
    pub(crate) fn places(&self) -> &[usize] {
        &self.places
    }

    /// Forgets the places.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
    }

    /// The places as they come.
    pub(crate) fn as_they_come(&mut self, places: impl Iterator<Item = usize>) {
        self.places.clear();
        self.places.extend(places);
    }

    /// The places by the keys of the rows in them.
    pub(crate) fn by_key<'a>(
        &mut self,
        key: &[KeyPart],
        rows: impl Iterator<Item = (usize, ImageRef<'a>)> + Clone,
    ) {
        self.places.clear();
        if self.by_int(key, rows.clone()) {
            self.places.extend(self.ints.iter().map(|(_, place)| *place));
            return;
        }
        self.bytes.clear();
        self.keys.clear();
        for (place, image) in rows {
            let start = self.bytes.len();
            if Key::append_ordered(key, &image, &mut self.bytes).is_err() {
                // Of an image that lies; it comes first.
                self.bytes.truncate(start);
            }
            let (end, mut first) = (self.bytes.len(), [0; 8]);
            let length = (end - start).min(8);
            first[..length].copy_from_slice(&self.bytes[start..start + length]);
            self.keys.push(Span { first: u64::from_be_bytes(first), start, end, place });
        }
        let bytes = &self.bytes;
        // Unstable sorts take no memory; no two rows have the same key.
        self.keys.sort_unstable_by(|a, b| {
            let rest = || bytes[a.start..a.end].cmp(&bytes[b.start..b.end]);
            a.first.cmp(&b.first).then_with(rest)
        });
        self.places.extend(self.keys.iter().map(|span| span.place));
    }

    /// Where all keys are integers.
    fn by_int<'a>(
        &mut self,
        key: &[KeyPart],
        rows: impl Iterator<Item = (usize, ImageRef<'a>)>,
    ) -> bool {
        self.ints.clear();
        for (place, image) in rows {
            let Some(int) = int_of_image(key, &image) else { return false };
            self.ints.push((int, place));
        }
        self.ints.sort_unstable();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shmirror_shm::catalogue::{Affinity, Collation};
    use shmirror_shm::image::Image;
    use shmirror_shm::value::Value;

    fn sorted(keys: &[Vec<Value>]) -> Vec<usize> {
        let part = |index| KeyPart {
            name: "k".into(),
            index,
            affinity: Affinity::Blob,
            collation: Collation::NoCase,
        };
        let parts: Vec<KeyPart> = (0..keys[0].len()).map(part).collect();
        let images: Vec<Image> =
            keys.iter().map(|k| Image::encode(k.iter().map(Value::as_ref))).collect();
        let mut order = Order::default();
        order.by_key(&parts, images.iter().map(Image::as_ref).enumerate());
        order.places().to_vec()
    }

    #[test]
    fn integers_texts_and_both() {
        let one = |values: &[Value]| values.iter().map(|v| vec![v.clone()]).collect::<Vec<_>>();
        assert_eq!(sorted(&one(&[3i64.into(), (-1i64).into(), 2.0.into()])), [1, 2, 0]);
        let texts = ["longer than eight, b", "longer than Eight, a", "", "b"];
        assert_eq!(sorted(&one(&texts.map(Value::from))), [2, 3, 1, 0]);
        let mixed: [Value; 4] = ["x".into(), 7i64.into(), 6.5.into(), Value::Blob(vec![0])];
        assert_eq!(sorted(&one(&mixed)), [2, 1, 0, 3]);
        let pair = |a: &str, b: i64| vec![Value::from(a), Value::from(b)];
        assert_eq!(sorted(&[pair("b", 1), pair("a", 2), pair("a", -2)]), [2, 1, 0]);
    }
}
