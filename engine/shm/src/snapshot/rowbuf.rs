//! One row in private memory: what a read copies into.

use smallvec::SmallVec;

use crate::image::ImageRef;

/// Words that a [`RowBuf`] holds without the heap: rows of up to 320 bytes of image.
pub const INLINE_WORDS: usize = 40;

/// A copied row: its number, its revision and its image. Made once and used for many reads, it
/// stops allocating.
#[derive(Clone, Debug, Default)]
pub struct RowBuf {
    pub(crate) birth: u64,
    pub(crate) revision: u64,
    pub(crate) columns: u32,
    pub(crate) var_bytes: u32,
    /// Head of the image, then its variable part; at least as long as `columns` and `var_bytes` call
    /// for.
    pub(crate) words: SmallVec<[u64; INLINE_WORDS]>,
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
        ImageRef::new(self.columns as usize, self.var_bytes as usize, &self.words)
            .expect("whoever sets columns and bytes makes room for their words")
    }

    /// Words of an image that it has room for without another allocation.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.words.capacity()
    }

    /// Takes a copy of `image` as the row of this number and revision.
    pub fn set(&mut self, birth: u64, revision: u64, image: ImageRef<'_>) {
        self.birth = birth;
        self.revision = revision;
        self.columns = image.columns() as u32;
        self.var_bytes = image.var_bytes() as u32;
        self.words.clear();
        self.words.extend_from_slice(image.words());
    }

    /// Its first `count` words, what they hold being unspecified. It never gets shorter, so that rows
    /// of many lengths do not make it shrink and grow.
    #[inline]
    pub(crate) fn room(&mut self, count: usize) -> &mut [u64] {
        if self.words.len() < count {
            self.resize(count);
        }
        &mut self.words[..count]
    }

    #[cold]
    #[inline(never)]
    fn resize(&mut self, count: usize) {
        self.words.resize(count, 0);
    }
}
