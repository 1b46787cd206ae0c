//! One row in private memory: what a read copies into.

use crate::image::ImageRef;

/// Words that a [`RowBuf`] holds without the heap: rows of up to 320 bytes of image.
pub const INLINE_WORDS: usize = 40;

/// What an image is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ImageForm {
    pub columns: u32,
    /// Bytes of the variable part.
    pub var_bytes: u32,
    /// Words of all of it.
    words: u32,
}

impl ImageForm {
    /// Of an image without a variable part.
    pub fn of_head(columns: usize, words: usize) -> Self {
        Self { columns: columns as u32, var_bytes: 0, words: words as u32 }
    }
}

/// A copied row: its number, its revision and its image. Made once and used for many reads, it
/// stops allocating.
#[derive(Clone, Debug)]
pub struct RowBuf {
    pub(crate) birth: u64,
    pub(crate) revision: u64,
    pub(crate) form: ImageForm,
    /// The image, head first, where it has at most [`INLINE_WORDS`] words.
    inline: [u64; INLINE_WORDS],
    /// The image where it has more; at least as long as it.
    heap: Vec<u64>,
}

impl Default for RowBuf {
    fn default() -> Self {
        let (inline, heap) = ([0; INLINE_WORDS], Vec::new());
        Self { birth: 0, revision: 0, form: ImageForm::default(), inline, heap }
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
        self.form.columns as usize
    }

    /// The row's image.
    #[inline]
    pub fn image(&self) -> ImageRef<'_> {
        let (columns, var_bytes) = (self.form.columns as usize, self.form.var_bytes as usize);
        let count = self.form.words as usize;
        // Whoever sets columns and bytes makes room for their words.
        let words = match self.inline.get(..count) {
            Some(words) => words,
            None => &self.heap[..count],
        };
        ImageRef::of_enough(columns, var_bytes, words)
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
        self.form.columns = image.columns() as u32;
        self.form.var_bytes = image.var_bytes() as u32;
        self.room(image.words().len()).copy_from_slice(image.words());
    }

    /// The place for an image of this form, which is a head alone; with what is behind it, as a copy may be
    /// longer.
    #[inline(always)]
    pub(crate) fn head(&mut self, form: ImageForm) -> &mut [u64; INLINE_WORDS] {
        self.form = form;
        &mut self.inline
    }

    /// The place for an image of `count` words; what they hold is unspecified. The heap's part never
    /// gets shorter, so that rows of many lengths do not make it shrink and grow.
    #[inline]
    pub(crate) fn room(&mut self, count: usize) -> &mut [u64] {
        self.form.words = count as u32;
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
