//! One row in private memory: what a read copies into.

use crate::image::{ImageRef, head_words};

/// Words that a [`RowBuf`] holds without the heap: rows of up to 320 bytes of image.
pub const INLINE_WORDS: usize = 40;

/// A copied row: its number, its revision and its image. Made once and used for many reads, it
/// stops allocating.
#[derive(Clone, Debug)]
pub struct RowBuf {
    pub(crate) birth: u64,
    pub(crate) revision: u64,
    pub(crate) columns: u32,
    pub(crate) var_bytes: u32,
    /// The image, head first, where it has at most [`INLINE_WORDS`] words.
    inline: [u64; INLINE_WORDS],
    /// The image where it has more; at least as long as it.
    heap: Vec<u64>,
}

impl Default for RowBuf {
    fn default() -> Self {
        let (inline, heap) = ([0; INLINE_WORDS], Vec::new());
        Self { birth: 0, revision: 0, columns: 0, var_bytes: 0, inline, heap }
    }
}

impl RowBuf {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The row's number, given at its insert.
    #[inline]
    pub fn birth(&self) -> u64 {
        self.birth
    }

    /// Revision of the transaction that made this version of the row.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Number of columns.
    #[inline]
    pub fn columns(&self) -> usize {
        self.columns as usize
    }

    /// The row's image.
    #[inline]
    pub fn image(&self) -> ImageRef<'_> {
        let (columns, var_bytes) = (self.columns as usize, self.var_bytes as usize);
        let count = head_words(columns) + var_bytes.div_ceil(8);
        let words = if count <= INLINE_WORDS { &self.inline[..count] } else { &self.heap };
        ImageRef::new(columns, var_bytes, words)
            .expect("whoever sets columns and bytes makes room for their words")
    }

    /// Words of an image that it has room for without another allocation.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.heap.capacity().max(INLINE_WORDS)
    }

    /// Takes a copy of `image` as the row of this number and revision.
    pub fn set(&mut self, birth: u64, revision: u64, image: ImageRef<'_>) {
        self.birth = birth;
        self.revision = revision;
        self.columns = image.columns() as u32;
        self.var_bytes = image.var_bytes() as u32;
        self.room(image.words().len()).copy_from_slice(image.words());
    }

    /// The place for an image of `count` words; what they hold is unspecified. The heap's part never
    /// gets shorter, so that rows of many lengths do not make it shrink and grow.
    #[inline]
    pub(crate) fn room(&mut self, count: usize) -> &mut [u64] {
        if count <= INLINE_WORDS {
            return &mut self.inline[..count];
        }
        if self.heap.len() < count {
            self.grow(count);
        }
        &mut self.heap[..count]
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, count: usize) {
        self.heap.resize(count, 0);
    }
}
