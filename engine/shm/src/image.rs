//! The row image: how a row's values stand in the segment, in events and in the commit log.
//!
//! ```text
//! tags   ceil(C/16) words   4 bits a column, the storage class, column 0 in the lowest bits
//! cells  C words            INTEGER: the i64; REAL: the f64's bits; NULL: 0;
//!                           TEXT, BLOB: offset into the variable part (low 32), length (high 32)
//! var    bytes              of the TEXT and BLOB values in column order, zero-padded to 8
//! ```
//! Words are little-endian u64. `tags` and `cells` together are the *head*: its size follows from
//! the number of columns alone, so a column is found without decoding the others. In a slot the head
//! lies inline and the variable part in a block; in a record one follows the other.
//!
//! An [`ImageRef`] stands on private words that were copied out of shared memory, and still believes
//! none of them: every getter checks tag, offset, length and UTF-8.

use std::sync::Arc;

use crate::value::{StorageClass, Value, ValueRef};

#[cfg(not(target_endian = "little"))]
compile_error!("the formats are little-endian and are used in place");

/// Words of tags for `columns` columns.
#[inline]
pub const fn tag_words(columns: usize) -> usize {
    columns.div_ceil(16)
}

/// Words of the head (tags and cells) for `columns` columns.
#[inline]
pub const fn head_words(columns: usize) -> usize {
    tag_words(columns) + columns
}

/// An image that lies about itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Fewer words than the head and the variable part need.
    #[error("row image of {found} words, {expected} expected")]
    Short {
        /// Words there are.
        found: usize,
        /// Words there should be.
        expected: usize,
    },
    /// No such column in this image.
    #[error("column {index} of an image of {columns} columns")]
    NoColumn {
        /// Index asked for.
        index: usize,
        /// Columns of the image.
        columns: usize,
    },
    /// A tag that is no storage class.
    #[error("column {index}: storage class {tag}, expected 0 to 4")]
    Tag {
        /// Column.
        index: usize,
        /// The tag found.
        tag: u8,
    },
    /// A value that reaches past the variable part.
    #[error("column {index}: bytes {offset}+{length} of a variable part of {var_bytes}")]
    Bounds {
        /// Column.
        index: usize,
        /// Offset found.
        offset: usize,
        /// Length found.
        length: usize,
        /// Size of the variable part.
        var_bytes: usize,
    },
    /// TEXT that is not UTF-8.
    #[error("column {index}: TEXT that is not UTF-8")]
    Utf8 {
        /// Column.
        index: usize,
    },
}

/// A row image that owns its words: head, then variable part padded to a whole word. Clones share them, and
/// so may images that stand in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Image {
    words: Arc<[u64]>,
    at: u32,
    columns: u32,
    var_bytes: u32,
}

impl PartialEq for Image {
    fn eq(&self, other: &Self) -> bool {
        self.as_ref() == other.as_ref()
    }
}
impl Eq for Image {}

impl Image {
    /// The image of `values`, one for each column.
    ///
    /// The variable part is at most `u32::MAX` bytes; callers hold to [`crate::limits::ROW_BYTES`].
    pub fn encode<'v>(values: impl ExactSizeIterator<Item = ValueRef<'v>> + Clone) -> Self {
        let (columns, var_bytes, length) = measure(&values);
        let mut words: Arc<[u64]> = core::iter::repeat_n(0u64, length).collect();
        // Nobody else has it yet, so this does not copy.
        fill(Arc::make_mut(&mut words), values);
        Self { words, at: 0, columns: columns as u32, var_bytes: var_bytes as u32 }
    }

    /// Appends the words of the image of `values` to `out`; the bytes of its variable part.
    pub fn append<'v>(
        values: impl ExactSizeIterator<Item = ValueRef<'v>> + Clone,
        out: &mut Vec<u64>,
    ) -> usize {
        let (_, var_bytes, length) = measure(&values);
        let start = out.len();
        out.resize(start + length, 0);
        fill(&mut out[start..], values);
        var_bytes
    }

    /// The image that begins at `at` in `words`, which it shares.
    ///
    /// # Errors
    /// [`ImageError::Short`] where there are too few words.
    pub fn within(
        words: &Arc<[u64]>,
        at: usize,
        columns: usize,
        var_bytes: usize,
    ) -> Result<Self, ImageError> {
        let expected = head_words(columns) + var_bytes.div_ceil(8);
        let found = words.len().saturating_sub(at);
        match (u32::try_from(at), u32::try_from(columns), u32::try_from(var_bytes)) {
            (Ok(at), Ok(columns), Ok(var_bytes)) if found >= expected => {
                Ok(Self { words: Arc::clone(words), at, columns, var_bytes })
            }
            _ => Err(ImageError::Short { found, expected }),
        }
    }

    /// The same image, borrowed.
    pub fn as_ref(&self) -> ImageRef<'_> {
        let (at, columns) = (self.at as usize, self.columns as usize);
        let var_bytes = self.var_bytes as usize;
        let words = &self.words[at..at + head_words(columns) + var_bytes.div_ceil(8)];
        ImageRef { columns, var_bytes, words }
    }
}

/// Columns, bytes of the variable part and words of the image of `values`.
fn measure<'v>(
    values: &(impl ExactSizeIterator<Item = ValueRef<'v>> + Clone),
) -> (usize, usize, usize) {
    let columns = values.len();
    let var_bytes: usize = values.clone().map(|v| v.var_len()).sum();
    (columns, var_bytes, head_words(columns) + var_bytes.div_ceil(8))
}

/// Makes `words`, which are as many as it needs and all zero, the image of `values`.
fn fill<'v>(words: &mut [u64], values: impl ExactSizeIterator<Item = ValueRef<'v>>) {
    let columns = values.len();
    let (head_part, var_part) = words.split_at_mut(head_words(columns));
    let (tags, cells) = head_part.split_at_mut(tag_words(columns));
    let var = zerocopy::IntoBytes::as_mut_bytes(var_part);
    let mut at = 0usize;
    for (i, (value, cell)) in values.zip(cells).enumerate() {
        tags[i / 16] |= (value.class() as u64) << (4 * (i % 16));
        let bytes: &[u8] = match value {
            ValueRef::Null => continue,
            ValueRef::Integer(v) => {
                *cell = v as u64;
                continue;
            }
            ValueRef::Real(v) => {
                *cell = v.to_bits();
                continue;
            }
            ValueRef::Text(t) => t.as_bytes(),
            ValueRef::Blob(b) => b,
        };
        *cell = (at as u64) | ((bytes.len() as u64) << 32);
        var[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    }
}

/// A row image in borrowed private words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageRef<'a> {
    columns: usize,
    var_bytes: usize,
    words: &'a [u64],
}

impl<'a> ImageRef<'a> {
    /// Takes `words` (head, then variable part) as an image of `columns` columns.
    ///
    /// # Errors
    /// [`ImageError::Short`] where there are too few words.
    pub fn new(columns: usize, var_bytes: usize, words: &'a [u64]) -> Result<Self, ImageError> {
        let expected = head_words(columns) + var_bytes.div_ceil(8);
        if words.len() < expected {
            return Err(ImageError::Short { found: words.len(), expected });
        }
        Ok(Self { columns, var_bytes, words: &words[..expected] })
    }

    /// The same of words of which there are enough, which the getters look at anyway.
    #[inline(always)]
    pub(crate) fn of_enough(columns: usize, var_bytes: usize, words: &'a [u64]) -> Self {
        debug_assert!(
            Self::new(columns, var_bytes, words).is_ok_and(|i| i.words.len() == words.len())
        );
        Self { columns, var_bytes, words }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes of the variable part.
    pub fn var_bytes(&self) -> usize {
        self.var_bytes
    }

    /// Head and variable part.
    pub fn words(&self) -> &'a [u64] {
        self.words
    }

    /// The head alone.
    pub fn head(&self) -> &'a [u64] {
        &self.words[..head_words(self.columns)]
    }

    /// The variable part alone, padded to whole words.
    pub fn var_words(&self) -> &'a [u64] {
        &self.words[head_words(self.columns)..]
    }

    /// The storage class of a column.
    ///
    /// # Errors
    /// No such column, or a tag that is no class.
    #[inline]
    pub fn class(&self, index: usize) -> Result<StorageClass, ImageError> {
        if index >= self.columns {
            return Err(ImageError::NoColumn { index, columns: self.columns });
        }
        let tag = ((self.words[index / 16] >> (4 * (index % 16))) & 0xF) as u8;
        StorageClass::from_tag(tag).ok_or(ImageError::Tag { index, tag })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// No such column, or an image that lies about itself.
    #[inline]
    pub fn get(&self, index: usize) -> Result<ValueRef<'a>, ImageError> {
        let class = self.class(index)?;
        let cell = self.words[tag_words(self.columns) + index];
        Ok(match class {
            StorageClass::Null => ValueRef::Null,
            StorageClass::Integer => ValueRef::Integer(cell as i64),
            StorageClass::Real => ValueRef::Real(f64::from_bits(cell)),
            StorageClass::Blob => ValueRef::Blob(self.var(index, cell)?),
            StorageClass::Text => ValueRef::Text(
                core::str::from_utf8(self.var(index, cell)?)
                    .map_err(|_| ImageError::Utf8 { index })?,
            ),
        })
    }

    /// The integer of a column, where it holds one; the shortest way to it.
    #[inline]
    pub fn integer(&self, index: usize) -> Option<i64> {
        self.bits_of(index, StorageClass::Integer).map(|bits| bits as i64)
    }

    /// The double of a column, where it holds one; the shortest way to it.
    #[inline]
    pub fn real(&self, index: usize) -> Option<f64> {
        self.bits_of(index, StorageClass::Real).map(f64::from_bits)
    }

    /// The bits of a column's cell, where it holds a value of this class.
    #[inline]
    pub fn bits_of(&self, index: usize, class: StorageClass) -> Option<u64> {
        if index >= self.columns {
            return None;
        }
        let tag = self.words.get(index / 16)? >> (4 * (index % 16)) & 0xF;
        let cell = self.words.get(tag_words(self.columns) + index)?;
        (tag == class as u64).then_some(*cell)
    }

    /// The bytes of a TEXT or BLOB column, without a look at whether TEXT is UTF-8.
    ///
    /// # Errors
    /// As [`ImageRef::get`]; [`ImageError::Tag`] where the column holds a number or NULL.
    #[inline]
    pub fn bytes(&self, index: usize) -> Result<&'a [u8], ImageError> {
        match self.class(index)? {
            StorageClass::Text | StorageClass::Blob => {
                self.var(index, self.words[tag_words(self.columns) + index])
            }
            other => Err(ImageError::Tag { index, tag: other as u8 }),
        }
    }

    fn var(&self, index: usize, cell: u64) -> Result<&'a [u8], ImageError> {
        let (offset, length) = ((cell & 0xFFFF_FFFF) as usize, (cell >> 32) as usize);
        let words = &self.words[head_words(self.columns)..];
        let bytes = &zerocopy::IntoBytes::as_bytes(words)[..self.var_bytes];
        bytes.get(offset..offset + length).ok_or(ImageError::Bounds {
            index,
            offset,
            length,
            var_bytes: self.var_bytes,
        })
    }

    /// All values, owned.
    ///
    /// # Errors
    /// As [`ImageRef::get`].
    pub fn to_values(&self) -> Result<Vec<Value>, ImageError> {
        (0..self.columns).map(|i| self.get(i).map(ValueRef::to_owned)).collect()
    }

    /// The same image, owning its words.
    pub fn to_image(&self) -> Image {
        let (columns, var_bytes) = (self.columns as u32, self.var_bytes as u32);
        Image { words: self.words.into(), at: 0, columns, var_bytes }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_filter("SQLite has no NaN", |r| !r.is_nan()).prop_map(Value::Real),
            ".{0,20}".prop_map(Value::Text),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
        ]
    }

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec(any_value(), 0..40)) {
            let image = Image::encode(values.iter().map(Value::as_ref));
            prop_assert_eq!(image.as_ref().to_values().unwrap(), values);
        }

        #[test]
        fn any_words_are_read_without_panic(
            columns in 0usize..40,
            var_bytes in 0usize..80,
            words in prop::collection::vec(any::<u64>(), 0..60),
        ) {
            if let Ok(image) = ImageRef::new(columns, var_bytes, &words) {
                for i in 0..columns + 1 {
                    let value = image.get(i);
                    prop_assert_eq!(
                        (image.integer(i), image.real(i).map(f64::to_bits)),
                        match value {
                            Ok(ValueRef::Integer(v)) => (Some(v), None),
                            Ok(ValueRef::Real(v)) => (None, Some(v.to_bits())),
                            _ => (None, None),
                        }
                    );
                }
            }
        }
    }

    #[test]
    fn lies_are_named() {
        let mut image = Image::encode([ValueRef::Text("ab"), ValueRef::Integer(1)].into_iter());
        Arc::make_mut(&mut image.words)[1] = 1 | 2 << 32;
        assert!(matches!(
            image.as_ref().get(0),
            Err(ImageError::Bounds { index: 0, offset: 1, length: 2, var_bytes: 2 })
        ));
        Arc::make_mut(&mut image.words)[0] = 0x1F;
        assert_eq!(image.as_ref().get(0), Err(ImageError::Tag { index: 0, tag: 15 }));
        assert_eq!(image.as_ref().get(2), Err(ImageError::NoColumn { index: 2, columns: 2 }));
    }
}
