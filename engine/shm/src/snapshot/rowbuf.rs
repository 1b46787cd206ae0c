//! One row in private memory: what a read copies into.

use crate::image::{ImageRef, head_words, tag_words};
use crate::value::StorageClass;

/// Words that a [`RowBuf`] holds without the heap: rows of up to 320 bytes of image.
pub const INLINE_WORDS: usize = 40;

/// What an image is made of; in one word, as each read sets it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(8))]
pub(crate) struct ImageForm {
    columns: u32,
    /// Bytes of the variable part.
    var_bytes: u32,
}

impl ImageForm {
    /// Of an image with so many columns, and so many bytes of a variable part.
    #[inline]
    pub fn new(columns: usize, var_bytes: usize) -> Self {
        Self { columns: columns as u32, var_bytes: var_bytes as u32 }
    }

    /// Number of columns.
    #[inline]
    pub fn columns(self) -> usize {
        self.columns as usize
    }

    /// Bytes of the variable part.
    #[inline]
    pub fn var_bytes(self) -> usize {
        self.var_bytes as usize
    }

    /// Words of the whole image.
    #[inline]
    fn words(self) -> usize {
        head_words(self.columns()) + self.var_bytes().div_ceil(8)
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
        self.form.columns()
    }

    /// The row's image.
    #[inline]
    pub fn image(&self) -> ImageRef<'_> {
        let count = self.form.words();
        // Whoever sets the form makes room for its words.
        let words = match self.inline.get(..count) {
            Some(words) => words,
            None => &self.heap[..count],
        };
        ImageRef::of_enough(self.form.columns(), self.form.var_bytes(), words)
    }

    /// The bits of the cell of the column at `index`, where there is such a column and it holds a value of this
    /// class: the shortest way to a number.
    #[inline]
    pub fn bits_of(&self, index: usize, class: StorageClass) -> Option<u64> {
        if index >= self.columns() || self.form.words() > INLINE_WORDS {
            return self.bits_of_long(index, class);
        }
        let tag = self.inline.get(index / 16)? >> (4 * (index % 16)) & 0xF;
        let cell = self.inline.get(tag_words(self.columns()) + index)?;
        (tag == class as u64).then_some(*cell)
    }

    #[inline(never)]
    fn bits_of_long(&self, index: usize, class: StorageClass) -> Option<u64> {
        self.image().bits_of(index, class)
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
        let form = ImageForm::new(image.columns(), image.var_bytes());
        self.room(form).copy_from_slice(image.words());
    }

    /// The place for an image of this form, which is a head alone; with what is behind it, as a copy may be
    /// longer.
    #[inline(always)]
    pub(crate) fn head(&mut self, form: ImageForm) -> &mut [u64; INLINE_WORDS] {
        self.form = form;
        &mut self.inline
    }

    /// Whether an image of this form has another place than the one that is there, which a longer one of the heap
    /// has not.
    #[inline]
    pub(crate) fn moves(&self, form: ImageForm) -> bool {
        (self.form.words() <= INLINE_WORDS) != (form.words() <= INLINE_WORDS)
    }

    /// The place for an image of this form; what its words hold is unspecified. The heap's part never gets
    /// shorter, so that rows of many lengths do not make it shrink and grow.
    #[inline]
    pub(crate) fn room(&mut self, form: ImageForm) -> &mut [u64] {
        self.form = form;
        let count = form.words();
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
