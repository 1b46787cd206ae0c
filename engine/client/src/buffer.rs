//! Buffers of rows, kept by each thread for its next row.
//!
//! A row that holds its words itself is 360 bytes, and moving those out of [`Table::get`](crate::Table)
//! costs as much as reading them. So a row holds a pointer, and the buffer of a row that is dropped
//! serves the thread's next one: reading allocates nothing once a thread has read as many rows as it
//! keeps at a time.

use std::cell::Cell;

use shmirror_shm::image::ImageRef;
use shmirror_shm::snapshot::RowBuf;

/// Most buffers that a thread keeps.
const KEPT: usize = 16;
/// Buffers that a thread gets ahead of its first row, where it makes a table's handle.
const PREPARED: usize = 4;
/// Buffers of larger rows are not kept.
const KEPT_WORDS: usize = 512;

thread_local! {
    static SPARE: Spare = const { Spare { count: Cell::new(0), boxes: [const { Cell::new(None) }; KEPT] } };
}

/// A thread's spare buffers: the first `count` are there.
struct Spare {
    count: Cell<usize>,
    boxes: [Cell<Option<Box<RowBuf>>>; KEPT],
}

/// A row's buffer; none for a row that was never filled.
#[derive(Default)]
pub(crate) struct Buffer(Option<Box<RowBuf>>);

impl Buffer {
    /// A buffer that was read into.
    #[inline]
    pub(crate) fn of(row: Box<RowBuf>) -> Self {
        Self(Some(row))
    }

    /// The buffer to read into.
    #[inline]
    pub(crate) fn filled(&mut self) -> &mut RowBuf {
        self.0.get_or_insert_with(first)
    }

    /// What was read.
    #[inline]
    pub(crate) fn row(&self) -> Option<&RowBuf> {
        self.0.as_deref()
    }

    /// The row's image, of no columns where there is none.
    #[inline]
    pub(crate) fn image(&self) -> ImageRef<'_> {
        match &self.0 {
            Some(row) => row.image(),
            None => ImageRef::new(0, 0, &[]).expect("no columns take no words"),
        }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.clone_from(self);
        copy
    }

    /// Into the buffer that is there: no allocation once it has grown.
    fn clone_from(&mut self, source: &Self) {
        match source.row() {
            Some(row) => self.filled().set(row.birth(), row.revision(), row.image()),
            None => drop(std::mem::take(self)),
        }
    }
}

impl Drop for Buffer {
    #[inline]
    fn drop(&mut self) {
        if let Some(row) = self.0.take() {
            give(row);
        }
    }
}

/// Sees to it that this thread's next few rows need no allocation.
pub(crate) fn prepare() {
    let first: [Box<RowBuf>; PREPARED] = std::array::from_fn(|_| take());
    first.into_iter().for_each(give);
}

/// A buffer: a spare one of this thread's, or a new one.
#[inline]
pub(crate) fn take() -> Box<RowBuf> {
    let spare = SPARE.try_with(|spare| {
        let last = spare.count.get().checked_sub(1)?;
        spare.count.set(last);
        spare.boxes.get(last)?.take()
    });
    spare.ok().flatten().unwrap_or_default()
}

#[cold]
#[inline(never)]
fn first() -> Box<RowBuf> {
    take()
}

/// Keeps the buffer for this thread's next row.
#[inline]
pub(crate) fn give(row: Box<RowBuf>) {
    if row.capacity() > KEPT_WORDS {
        return;
    }
    // A thread that is ending keeps nothing.
    let _ = SPARE.try_with(|spare| {
        let count = spare.count.get();
        if let Some(place) = spare.boxes.get(count) {
            place.set(Some(row));
            spare.count.set(count + 1);
        }
    });
}
