//! All rows of a table as of one revision, in private memory.
//!
//! In: a table's view, or, where writers are too fast for reading beside them, a copy that the daemon
//! made between two commits. Out: rows, in no order or in key order.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::image::{ImageRef, head_words};
use shmirror_shm::key::Key;
use shmirror_shm::snapshot::{ReadError, ScanBuf};
use shmirror_shm::wire::{Answer, Call, RefuseCode, TableCopyHeader, TableCopyRow};
use zerocopy::{FromBytes, IntoBytes};

use crate::attachment::{Core, MOVING};
use crate::connection::{CALL, only, wrong_answer};
use crate::error::Error;
use crate::memfd::read_words;
use crate::resolve::{Place, Resolved};
use crate::row::{Row, RowRef};
use crate::schema::Schema;

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
    schema: &'static Schema,
    revision: u64,
    rows: Rows,
}

#[expect(clippy::large_enum_variant, reason = "nearly every scan is read")]
enum Rows {
    /// Read from the segment.
    Read(ScanBuf),
    /// Copied by the daemon.
    Copied(Copied),
}

impl Scan {
    /// Reads the table's view.
    pub(crate) fn read(resolved: &Resolved) -> Result<Self, ReadError> {
        let mut buf = ScanBuf::new();
        let revision = resolved.view.scan_into(&mut buf)?;
        Ok(Self { schema: resolved.schema, revision, rows: Rows::Read(buf) })
    }

    /// Has the daemon copy the table.
    pub(crate) fn copied(core: &Core, place: &Place) -> Result<Self, Error> {
        let what = "asking for a copy of the table";
        let deadline = Instant::now() + MOVING;
        loop {
            let resolved = Resolved::find(core, place.name(), None, deadline)?;
            let def = resolved.def();
            match core.ask(&Call::TableCopy(def.id), CALL, what) {
                Ok((Answer::TableCopy { bytes, .. }, fds)) => {
                    let words = read_words(&only(fds, what)?, bytes, "the copy of a table")?;
                    let copied = Copied::parse(words, def.columns.len())?;
                    if (copied.header.table, copied.header.shape) == (def.id, def.shape) {
                        let (schema, revision) = (resolved.schema, copied.header.revision);
                        return Ok(Self { schema, revision, rows: Rows::Copied(copied) });
                    }
                }
                Ok(_) => return Err(wrong_answer(what)),
                // It was dropped since it was resolved.
                Err(Error::Refused { code: RefuseCode::UnknownTable, .. }) => {}
                Err(error) => return Err(error),
            }
            if Instant::now() >= deadline {
                return Err(Error::Contended { what: format!("table {:?}", place.name()) });
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The revision that all rows are of.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Read(buf) => buf.len(),
            Rows::Copied(copied) => copied.starts.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> {
        let row = |(revision, image)| RowRef { schema: self.schema, revision, image };
        let (read, copied) = match &self.rows {
            Rows::Read(buf) => (Some(buf), None),
            Rows::Copied(copied) => (None, Some(copied)),
        };
        let read = read.into_iter().flat_map(|buf| buf.rows().map(|r| (r.revision, r.image)));
        read.chain(copied.into_iter().flat_map(Copied::rows)).map(row)
    }

    /// The rows in key order, as `ORDER BY` the primary key has them.
    pub fn sorted(&self) -> impl DoubleEndedIterator<Item = RowRef<'_>> + ExactSizeIterator {
        let mut rows: Vec<(Option<Key>, RowRef<'_>)> =
            self.iter().map(|r| (Key::of_image(&self.schema.key, &r.image).ok(), r)).collect();
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        rows.into_iter().map(|(_, row)| row)
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
            .field("table", &self.schema.table)
            .field("revision", &self.revision)
            .field("rows", &self.len())
            .finish()
    }
}

/// Words of a copy's head, and of each row's.
const HEADER_WORDS: usize = size_of::<TableCopyHeader>() / 8;
const ROW_WORDS: usize = size_of::<TableCopyRow>() / 8;

/// A table's copy, each row of it checked.
struct Copied {
    header: TableCopyHeader,
    words: Vec<u64>,
    columns: usize,
    /// Where each row's head begins.
    starts: Vec<usize>,
}

impl Copied {
    fn parse(words: Vec<u64>, columns: usize) -> Result<Self, Error> {
        let short = |at: usize| {
            Error::Protocol(format!("the copy of a table: {} words, cut off at {at}", words.len()))
        };
        let Ok((header, _)) = TableCopyHeader::read_from_prefix(words.as_bytes()) else {
            return Err(short(0));
        };
        let mut starts = Vec::new();
        let mut at = HEADER_WORDS;
        for _ in 0..header.rows {
            let (head, image) = words.get(at..).and_then(row_parts).ok_or_else(|| short(at))?;
            let var_bytes = usize::try_from(head.var_bytes).map_err(|_| short(at))?;
            ImageRef::new(columns, var_bytes, image).map_err(|_| short(at))?;
            starts.push(at);
            at += ROW_WORDS + head_words(columns) + var_bytes.div_ceil(8);
        }
        Ok(Self { header, words, columns, starts })
    }

    fn rows(&self) -> impl Iterator<Item = (u64, ImageRef<'_>)> {
        self.starts.iter().filter_map(|&at| {
            let (head, image) = row_parts(&self.words[at..])?;
            let image = ImageRef::new(self.columns, head.var_bytes as usize, image).ok()?;
            Some((head.revision, image))
        })
    }
}

fn row_parts(words: &[u64]) -> Option<(TableCopyRow, &[u64])> {
    let (head, _) = TableCopyRow::read_from_prefix(words.as_bytes()).ok()?;
    Some((head, &words[ROW_WORDS..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::table;
    use shmirror_shm::image::Image;
    use shmirror_shm::value::Value;

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
        let schema = Schema::of(&table("t", &["id", "name"]));
        Ok(Scan { schema, revision: copied.header.revision, rows: Rows::Copied(copied) })
    }

    #[test]
    fn a_copy_is_read_and_sorted_by_key() {
        let scan = scan(copy(&[(3, "c"), (-1, "a longer text"), (2, "")])).unwrap();
        assert_eq!((scan.len(), scan.revision()), (3, 9));
        let ids: Vec<i64> = scan.sorted().map(|r| r.get("id").unwrap()).collect();
        assert_eq!(ids, [-1, 2, 3]);
        let unsorted: Vec<&str> = scan.iter().map(|r| r.get("name").unwrap()).collect();
        assert_eq!(unsorted, ["c", "a longer text", ""]);
        assert!(scan.into_iter().all(|row| row.revision() == 3));
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
