//! All rows of a table as of one revision.
//!
//! In: rows of a scan. Out: the same, in no order or in key order.

use std::fmt;

use crate::order::Order;
use crate::row::{Row, RowRef};
use crate::rows::Rows;

/// All rows of a table as of one revision.
///
/// ```no_run
/// # let mirror = shmirror::Mirror::attach(&shmirror::Options::new())?;
/// let scan = mirror.table("tag")?.scan()?;
/// println!("{} rows at revision {}", scan.len(), scan.revision());
/// for row in scan.sorted() {
///     println!("{}", row.to_json());
/// }
/// # Ok::<(), shmirror::Error>(())
/// ```
pub struct Scan {
    rows: Rows,
}

impl Scan {
    /// The rows of a scan, not arranged.
    pub(crate) fn of(rows: Rows) -> Self {
        Self { rows }
    }

    /// The revision that all rows are of.
    pub fn revision(&self) -> u64 {
        self.rows.revision()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.found()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        self.rows.places().map(|(_, row)| row)
    }

    /// The rows in key order, as `ORDER BY` the primary key has them.
    pub fn sorted(&self) -> impl DoubleEndedIterator<Item = RowRef<'_>> + ExactSizeIterator {
        let mut order = Order::default();
        let images = self.rows.places().map(|(place, row)| (place, row.image));
        order.by_key(&self.rows.form().0.key, images);
        let rows: Vec<_> = order.places().iter().filter_map(|at| self.rows.at(*at)).collect();
        rows.into_iter()
    }
}

impl IntoIterator for Scan {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    /// The rows, each owning its bytes, in no particular order.
    fn into_iter(self) -> Self::IntoIter {
        self.iter().map(|r| r.to_row()).collect::<Vec<_>>().into_iter()
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan")
            .field("table", &self.rows.form().table())
            .field("revision", &self.revision())
            .field("rows", &self.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copied::Copied;
    use crate::error::Error;
    use crate::schema::Schema;
    use crate::schema::tests::table;
    use shmirror_shm::image::Image;
    use shmirror_shm::value::Value;
    use shmirror_shm::wire::{TableCopyHeader, TableCopyRow};
    use zerocopy::IntoBytes;

    fn copy(rows: &[(i64, &str)]) -> Vec<u64> {
        let header = TableCopyHeader { revision: 9, rows: rows.len() as u64, table: 1, shape: 2 };
        let mut bytes = header.as_bytes().to_vec();
        for (id, name) in rows {
            let values: [Value; 2] = [(*id).into(), (*name).into()];
            let image = Image::encode(values.iter().map(Value::as_ref));
            let image = image.as_ref();
            let var_bytes = image.var_bytes() as u64;
            bytes.extend(TableCopyRow { revision: 3, birth: 1, var_bytes }.as_bytes());
            bytes.extend(image.words().as_bytes());
        }
        bytes.chunks(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect()
    }

    fn scan(words: Vec<u64>) -> Result<Scan, Error> {
        let copied = Copied::parse(words, 2)?;
        let mut rows = Rows::default();
        rows.take_copy(Schema::of(&table("t", &["id", "name"])), copied);
        Ok(Scan::of(rows))
    }

    #[test]
    fn a_copy_is_read_and_sorted_by_key() {
        let scan = scan(copy(&[(3, "c"), (-1, "a longer text"), (2, "")])).unwrap();
        assert_eq!((scan.len(), scan.revision()), (3, 9));
        let ids: Vec<i64> = scan.sorted().map(|r| r.get("id").unwrap()).collect();
        assert_eq!(ids, [-1, 2, 3]);
        let unsorted: Vec<&str> = scan.iter().map(|r| r.get("name").unwrap()).collect();
        assert_eq!(unsorted, ["c", "a longer text", ""]);
        let mut rows = scan.rows;
        for (sorted, expected) in [(true, [-1, 2, 3]), (false, [3, -1, 2])] {
            rows.arrange(sorted);
            let ids: Vec<i64> = rows.iter().map(|r| r.get("id").unwrap()).collect();
            assert_eq!((ids, rows.len()), (expected.to_vec(), 3));
        }
        assert!(rows.get(3).is_none());
        assert!(Scan::of(rows).into_iter().all(|row| row.revision() == 3));
    }

    #[test]
    fn a_copy_that_lies_is_refused() {
        let whole = copy(&[(1, "x"), (2, "yy")]);
        for cut in 0..whole.len() {
            assert!(scan(whole[..cut].to_vec()).is_err(), "{cut}");
        }
        for word in 0..whole.len() {
            let mut bent = whole.clone();
            bent[word] ^= u64::MAX >> 1;
            // Refused, or read without panic.
            if let Ok(scan) = scan(bent) {
                scan.sorted().for_each(|row| drop(row.to_json()));
            }
        }
    }
}
