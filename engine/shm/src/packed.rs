//! Typed changes as they go into the requests lane: flat, each row a row [image](crate::image), so that what
//! a producer packs is what the daemon takes over.
//!
//! ```text
//! word 0    number of changes
//! change    action: u8, on conflict: u8, has a revision: u8, 0: u8, number of columns: u32
//!           number of rows: u32, bytes of the names: u32
//!           if_revision: u64, 0 where it has none
//!           names, the table's first, then each column's: length: u32, bytes; zero-padded to a word
//!           row of the key's values, of an update and a delete
//!           rows
//! row       number of values: u32, bytes of its variable part: u32; image
//! ```
//! Words are little-endian u64. Of an update there is one row of new values, of a delete none.

use zerocopy::{FromBytes, IntoBytes};

use crate::image::{Image, ImageRef, head_words};
use crate::limits;
use crate::request::{Action, Change, OnConflict};
use crate::value::Value;

/// Words of a change's head.
const HEAD_WORDS: usize = 3;

/// Changes that are too large, or bytes that are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// More bytes than a request may have.
    #[error("{found} bytes of changes, at most {} allowed", limits::REQUEST_BYTES)]
    TooLarge {
        /// Bytes that there are.
        found: usize,
    },
    /// Bytes that lie about themselves.
    #[error("changes of {bytes} bytes: at byte {at}, {what}")]
    Malformed {
        /// Bytes of the whole.
        bytes: usize,
        /// Where what is wrong begins.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
}

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackedKind {
    /// New rows.
    Insert(OnConflict),
    /// New values for the row with a key.
    Update,
    /// The row with a key goes.
    Delete,
}

impl PackedKind {
    fn of(action: &Action) -> Self {
        match action {
            Action::Insert { on_conflict, .. } => Self::Insert(*on_conflict),
            Action::Update { .. } => Self::Update,
            Action::Delete { .. } => Self::Delete,
        }
    }

    /// Action and conflict clause.
    fn numbers(self) -> [u8; 2] {
        match self {
            Self::Insert(OnConflict::Fail) => [1, 1],
            Self::Insert(OnConflict::Replace) => [1, 2],
            Self::Insert(OnConflict::Skip) => [1, 3],
            Self::Insert(OnConflict::Update) => [1, 4],
            Self::Update => [2, 0],
            Self::Delete => [3, 0],
        }
    }

    fn from_numbers(numbers: [u8; 2]) -> Option<Self> {
        Some(match numbers {
            [1, 1] => Self::Insert(OnConflict::Fail),
            [1, 2] => Self::Insert(OnConflict::Replace),
            [1, 3] => Self::Insert(OnConflict::Skip),
            [1, 4] => Self::Insert(OnConflict::Update),
            [2, 0] => Self::Update,
            [3, 0] => Self::Delete,
            _ => return None,
        })
    }
}

/// What is packed of a change behind its table's name.
#[derive(Default)]
struct Parts<'a> {
    columns: &'a [String],
    key: Option<&'a [Value]>,
    /// Of an update.
    values: Option<&'a [Value]>,
    rows: &'a [Vec<Value>],
    if_revision: Option<u64>,
}

impl<'a> Parts<'a> {
    fn of(action: &'a Action) -> Self {
        match action {
            Action::Insert { columns, rows, if_revision, .. } => {
                Self { columns, rows, if_revision: *if_revision, ..Self::default() }
            }
            Action::Update { key, columns, values, if_revision } => {
                let (key, values) = (Some(&key[..]), Some(&values[..]));
                Self { columns, key, values, if_revision: *if_revision, ..Self::default() }
            }
            Action::Delete { key, if_revision } => {
                Self { key: Some(key), if_revision: *if_revision, ..Self::default() }
            }
        }
    }
}

/// The words that `changes` take.
///
/// # Errors
/// [`PackError::TooLarge`].
pub fn pack(changes: &[Change]) -> Result<Vec<u64>, PackError> {
    let row_words = |row: &[Value]| {
        let var: usize = row.iter().map(|v| v.as_ref().var_len()).sum();
        1 + head_words(row.len()) + var.div_ceil(8)
    };
    let name_bytes = |name: &String| 4 + name.len();
    let mut length = 1usize;
    for change in changes {
        let Parts { columns, key, values, rows, .. } = Parts::of(&change.action);
        let names = name_bytes(&change.table) + columns.iter().map(name_bytes).sum::<usize>();
        length += HEAD_WORDS + names.div_ceil(8) + key.map_or(0, row_words);
        length += values.map_or(0, row_words);
        length += rows.iter().map(|row| row_words(row)).sum::<usize>();
    }
    if length * 8 > limits::REQUEST_BYTES {
        return Err(PackError::TooLarge { found: length * 8 });
    }
    let mut out = Vec::with_capacity(length);
    out.push(changes.len() as u64);
    for change in changes {
        let Parts { columns, key, values, rows, if_revision } = Parts::of(&change.action);
        let [action, on_conflict] = PackedKind::of(&change.action).numbers();
        let flags = [action, on_conflict, u8::from(if_revision.is_some()), 0];
        let names = std::iter::once(&change.table).chain(columns);
        let bytes: usize = names.clone().map(name_bytes).sum();
        let count = rows.len() + usize::from(values.is_some());
        out.push(u64::from(u32::from_le_bytes(flags)) | (columns.len() as u64) << 32);
        out.push(count as u64 | (bytes as u64) << 32);
        out.push(if_revision.unwrap_or(0));
        let start = out.len();
        out.resize(start + bytes.div_ceil(8), 0);
        let mut to = out[start..].as_mut_bytes();
        for name in names {
            let (head, rest) = to.split_at_mut(4);
            head.copy_from_slice(&(name.len() as u32).to_le_bytes());
            let (text, rest) = rest.split_at_mut(name.len());
            text.copy_from_slice(name.as_bytes());
            to = rest;
        }
        key.iter().for_each(|key| push_row(key, &mut out));
        values.iter().for_each(|values| push_row(values, &mut out));
        rows.iter().for_each(|row| push_row(row, &mut out));
    }
    Ok(out)
}

fn push_row(values: &[Value], out: &mut Vec<u64>) {
    let at = out.len();
    out.push(0);
    let var_bytes = Image::append(values.iter().map(Value::as_ref), out);
    out[at] = values.len() as u64 | (var_bytes as u64) << 32;
}

/// Packed changes in private memory. Nothing in them is believed before it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed(Memory);

#[derive(Clone, Debug, PartialEq)]
enum Memory {
    /// Whole words, at a word's address.
    Bytes(Vec<u8>),
    Words(Vec<u64>),
}

impl Packed {
    /// These changes.
    ///
    /// # Errors
    /// [`PackError::TooLarge`].
    pub fn of(changes: &[Change]) -> Result<Self, PackError> {
        pack(changes).map(|words| Self(Memory::Words(words)))
    }

    /// What came out of a lane. What is no whole number of words is an error once it is read.
    pub fn new(mut payload: Vec<u8>) -> Self {
        // A short end is one that no reader takes.
        payload.truncate(payload.len() / 8 * 8);
        if <[u64]>::ref_from_bytes(&payload).is_ok() {
            return Self(Memory::Bytes(payload));
        }
        let mut words = vec![0u64; payload.len() / 8];
        words.as_mut_bytes().copy_from_slice(&payload);
        Self(Memory::Words(words))
    }

    fn words(&self) -> &[u64] {
        match &self.0 {
            Memory::Bytes(bytes) => <[u64]>::ref_from_bytes(bytes).unwrap_or(&[]),
            Memory::Words(words) => words,
        }
    }

    /// The number of changes, and what reads them.
    ///
    /// # Errors
    /// [`PackError::Malformed`].
    pub fn read(&self) -> Result<(u64, Reader<'_>), PackError> {
        let words = self.words();
        let mut reader = Reader { rest: words, bytes: words.len() * 8 };
        let count = reader.take(1)?[0];
        Ok((count, reader))
    }

    /// The changes.
    ///
    /// # Errors
    /// [`PackError::Malformed`].
    pub fn unpack(&self) -> Result<Vec<Change>, PackError> {
        let (count, mut reader) = self.read()?;
        let mut changes = Vec::new();
        for _ in 0..count {
            let head = reader.change()?;
            let mut names = head.names.iter();
            let mut name = || {
                let name = names.next().ok_or_else(|| reader.lie("a name is missing"))?;
                name.map(str::to_owned).map_err(|what| reader.lie(what))
            };
            let table = name()?;
            let columns = (0..head.columns).map(|_| name()).collect::<Result<Vec<_>, _>>()?;
            let if_revision = head.if_revision;
            let action = match head.kind {
                PackedKind::Insert(on_conflict) => {
                    let rows = (0..head.rows).map(|_| reader.values()).collect::<Result<_, _>>()?;
                    Action::Insert { columns, rows, on_conflict, if_revision }
                }
                PackedKind::Update => {
                    let (key, values) = (reader.values()?, reader.values()?);
                    Action::Update { key, columns, values, if_revision }
                }
                PackedKind::Delete => Action::Delete { key: reader.values()?, if_revision },
            };
            changes.push(Change { table, action });
        }
        match reader.rest {
            [] => Ok(changes),
            _ => Err(reader.lie("there is more than there should be")),
        }
    }
}

/// Reads changes in their order: the head of one, then its rows (of an update or a delete the key first).
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u64],
    bytes: usize,
}

/// The head of a change.
#[derive(Clone, Copy, Debug)]
pub struct ChangeHead<'a> {
    /// What it does.
    pub kind: PackedKind,
    /// How many columns are named.
    pub columns: usize,
    /// How many rows follow, the key's not counted.
    pub rows: usize,
    /// The row's revision before the request must be this.
    pub if_revision: Option<u64>,
    /// Names of table and columns.
    pub names: Names<'a>,
}

/// Names of a table and of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    words: &'a [u64],
    bytes: usize,
}

impl<'a> Names<'a> {
    /// Their words: equal ones are of equal names.
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// The table's, then each column's; or what is wrong.
    pub fn iter(&self) -> impl Iterator<Item = Result<&'a str, &'static str>> + use<'a> {
        let mut rest = &self.words.as_bytes()[..self.bytes];
        std::iter::from_fn(move || {
            let (length, text) = rest.split_first_chunk::<4>()?;
            let length = u32::from_le_bytes(*length) as usize;
            let Some((name, behind)) = text.split_at_checked(length) else {
                rest = &[];
                return Some(Err("a name is longer than all names"));
            };
            rest = behind;
            Some(std::str::from_utf8(name).map_err(|_| "a name is not UTF-8"))
        })
    }
}

impl<'a> Reader<'a> {
    /// The head of the next change.
    ///
    /// # Errors
    /// [`PackError::Malformed`].
    pub fn change(&mut self) -> Result<ChangeHead<'a>, PackError> {
        let start = self.clone();
        let head = self.take(HEAD_WORDS)?;
        let [action, on_conflict, has_revision, zero, ..] = head[0].to_le_bytes();
        let kind = PackedKind::from_numbers([action, on_conflict])
            .ok_or_else(|| start.lie("an unknown action"))?;
        if has_revision > 1 || zero != 0 {
            return Err(start.lie("flags that are none"));
        }
        let (columns, rows) = ((head[0] >> 32) as usize, head[1] as u32 as usize);
        let bytes = (head[1] >> 32) as usize;
        let as_many = match kind {
            PackedKind::Insert(_) => true,
            PackedKind::Update => rows == 1,
            PackedKind::Delete => rows == 0 && columns == 0,
        };
        if !as_many {
            return Err(start.lie("another number of rows or columns than the action has"));
        }
        let words = self.take(bytes.div_ceil(8))?;
        let if_revision = (has_revision == 1).then_some(head[2]);
        Ok(ChangeHead { kind, columns, rows, if_revision, names: Names { words, bytes } })
    }

    /// The next row.
    ///
    /// # Errors
    /// [`PackError::Malformed`].
    #[inline]
    pub fn row(&mut self) -> Result<ImageRef<'a>, PackError> {
        let Some((head, rest)) = self.rest.split_first() else {
            return Err(self.lie("a row is missing"));
        };
        let (columns, var_bytes) = (*head as u32 as usize, (*head >> 32) as usize);
        let needed = head_words(columns) + var_bytes.div_ceil(8);
        let Some((image, rest)) = rest.split_at_checked(needed) else {
            return Err(self.lie("a row is longer than what is left"));
        };
        self.rest = rest;
        Ok(ImageRef::of_enough(columns, var_bytes, image))
    }

    fn values(&mut self) -> Result<Vec<Value>, PackError> {
        let start = self.clone();
        let row = self.row()?;
        row.to_values().map_err(|_| start.lie("a value is none"))
    }

    /// Whether nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u64], PackError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.lie("it is too short"));
        };
        self.rest = rest;
        Ok(taken)
    }

    fn lie(&self, what: &'static str) -> PackError {
        let at = self.bytes - self.rest.len() * 8;
        PackError::Malformed { bytes: self.bytes, at, what }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (-1e9..1e9).prop_map(Value::Real),
            ".{0,12}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        ];
        prop::collection::vec(value, 0..20)
    }

    fn action() -> impl Strategy<Value = Action> {
        let names = || prop::collection::vec(".{0,9}", 0..5);
        let on_conflict = prop_oneof![
            Just(OnConflict::Fail),
            Just(OnConflict::Replace),
            Just(OnConflict::Skip),
            Just(OnConflict::Update),
        ];
        let revision = || prop::option::of(any::<u64>());
        prop_oneof![
            (names(), prop::collection::vec(values(), 0..5), on_conflict, revision()).prop_map(
                |(columns, rows, on_conflict, if_revision)| Action::Insert {
                    columns,
                    rows,
                    on_conflict,
                    if_revision
                }
            ),
            (values(), names(), values(), revision()).prop_map(
                |(key, columns, values, if_revision)| Action::Update {
                    key,
                    columns,
                    values,
                    if_revision
                }
            ),
            (values(), revision())
                .prop_map(|(key, if_revision)| Action::Delete { key, if_revision }),
        ]
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = (".{0,9}", action()).prop_map(|(table, action)| Change { table, action });
        prop::collection::vec(change, 0..5)
    }

    proptest! {
        #[test]
        fn changes_come_back(changes in changes(), shift in 0usize..8) {
            let words = pack(&changes).unwrap();
            prop_assert_eq!(words.len(), words.capacity());
            prop_assert_eq!(Packed::of(&changes).unwrap().unpack(), Ok(changes.clone()));
            // At any address.
            let mut bytes = vec![0; shift];
            bytes.extend_from_slice(words.as_bytes());
            bytes.drain(..shift);
            prop_assert_eq!(Packed::new(bytes).unpack(), Ok(changes));
        }

        #[test]
        fn damaged_changes_never_panic(
            changes in changes(),
            at in any::<usize>(),
            bits in any::<u64>(),
            cut in any::<usize>(),
        ) {
            let mut words = pack(&changes).unwrap();
            let length = words.len();
            words[at % length] ^= bits;
            let mut bytes = words.as_bytes().to_vec();
            bytes.truncate(bytes.len() - cut % bytes.len());
            let packed = Packed::new(bytes);
            if let Ok(changes) = packed.unpack() {
                prop_assert!(changes.len() <= length);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let change = Change {
            table: "t".to_owned(),
            action: Action::Delete { key: vec![Value::Integer(1)], if_revision: None },
        };
        let good = pack(&[change]).unwrap();
        let what = |f: &dyn Fn(&mut Vec<u64>)| {
            let mut words = good.clone();
            f(&mut words);
            match Packed::new(words.as_bytes().to_vec()).unpack() {
                Err(PackError::Malformed { what, at, .. }) => (at, what),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(what(&|w| w.clear()), (0, "it is too short"));
        assert_eq!(what(&|w| w[0] = 2), (good.len() * 8, "it is too short"));
        assert_eq!(what(&|w| w.push(0)).1, "there is more than there should be");
        assert_eq!(what(&|w| w[1] = 9), (8, "an unknown action"));
        assert_eq!(what(&|w| w[1] |= 2 << 16), (8, "flags that are none"));
        assert_eq!(what(&|w| w[2] |= 1).1, "another number of rows or columns than the action has");
        assert_eq!(what(&|w| w[4] = 9).1, "a name is longer than all names");
        assert_eq!(what(&|w| w[2] &= 0xFFFF_FFFF).1, "a name is missing");
        assert_eq!(what(&|w| w[4] |= 0xFF << 32).1, "a name is not UTF-8");
        assert_eq!(what(&|w| w[5] |= 1 << 31).1, "a row is longer than what is left");
        assert_eq!(what(&|w| w[6] = 9).1, "a value is none");
        assert_eq!(what(&|w| w.truncate(5)).1, "a row is missing");
    }

    #[test]
    fn too_many_bytes_are_refused_before_they_are_copied() {
        let row = vec![Value::Blob(vec![0; limits::REQUEST_BYTES])];
        let action =
            Action::Update { key: row, columns: vec![], values: vec![], if_revision: None };
        let change = Change { table: String::new(), action };
        assert!(matches!(pack(&[change]), Err(PackError::TooLarge { .. })));
    }
}
