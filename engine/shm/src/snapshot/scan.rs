//! A whole table as of one revision.
//!
//! ```text
//! R ← header.revision (acquire) ; for each slot of each chunk: its version as of R
//! where a row has moved on twice since R: finish the pass, take a newer R, and go over the table
//! again, copying only slots whose newest version is not the one that was copied
//! ```
//! Every row that R has stands in a slot of a chunk that was linked before R was published, so the
//! pass meets it; rows inserted meanwhile are too young and left out. What was copied as the newest
//! version of its slot and still is that when a later pass looks, is the version as of the later R
//! too: all of R is published before R is.

use core::ops::Range;

use super::error::ReadError;
use super::index::Space;
use super::layout::{
    BlockRef, CHUNK_WORDS, SlotShape, VERSION_BIRTH, VERSION_BLOCK, VERSION_META, VERSION_REVISION,
};
use super::rowbuf::RowBuf;
use super::slot::{AsOf, copy_as_of, latch_at};
use super::view::TableView;
use crate::image::{ImageRef, head_words};
use crate::latch::{enter, holds_in_front};
use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::sync::{AtomicU64, Ordering};
use crate::table_at;
use crate::words::append_words;

/// Passes over a table, or over a list of keys, before the writer is called too fast.
const TRIES: u32 = 16;

/// Rows of one revision in private memory. Made once and used for many scans, it stops allocating.
#[derive(Clone, Debug, Default)]
pub struct ScanBuf {
    /// What became of each slot of a scan, or of each key of a list.
    seen: Vec<Seen>,
    /// Images, one behind the other; between them may be some that were copied anew.
    words: Vec<u64>,
    columns: usize,
    revision: u64,
    rows: usize,
    row: RowBuf,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Number of the slot's newest version when it was looked at.
    newest: u64,
    birth: u64,
    revision: u64,
    start: usize,
    var_bytes: u32,
    /// There is a row.
    present: bool,
    /// What was seen is that newest version, not the one before it.
    is_newest: bool,
}

/// One row in a [`ScanBuf`].
#[derive(Clone, Copy, Debug)]
pub struct ScanRow<'a> {
    /// The row's number.
    pub birth: u64,
    /// Revision of the transaction that made this version.
    pub revision: u64,
    /// Its image.
    pub image: ImageRef<'a>,
}

impl ScanBuf {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// The revision that its rows are of.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Its rows: of a scan in no particular order, of a list in the order of the keys that have one.
    pub fn rows(&self) -> impl Iterator<Item = ScanRow<'_>> + '_ {
        self.seen.iter().filter(|s| s.present).map(|s| self.view(s))
    }

    /// Slots of the scan, or keys of the list: what [`ScanBuf::row`] has places for.
    pub fn places(&self) -> usize {
        self.seen.len()
    }

    /// The row of the key at `index` of the list that was asked for, or of a scan in that place of the
    /// table; `None` where there is none.
    #[inline]
    pub fn row(&self, index: usize) -> Option<ScanRow<'_>> {
        self.seen.get(index).filter(|s| s.present).map(|s| self.view(s))
    }

    #[inline]
    fn view(&self, seen: &Seen) -> ScanRow<'_> {
        let var_bytes = seen.var_bytes as usize;
        let count = head_words(self.columns) + var_bytes.div_ceil(8);
        // Each row was put in with the words of its columns and bytes.
        let words = &self.words[seen.start..seen.start + count];
        let image = ImageRef::of_enough(self.columns, var_bytes, words);
        ScanRow { birth: seen.birth, revision: seen.revision, image }
    }

    /// Whether there is a row in this place.
    #[inline]
    pub fn has(&self, index: usize) -> bool {
        self.seen.get(index).is_some_and(|seen| seen.present)
    }

    pub(super) fn begin(&mut self, columns: usize) {
        self.seen.clear();
        self.words.clear();
        self.columns = columns;
        self.rows = 0;
    }

    pub(super) fn set_revision(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// The buffer that a row is copied to first.
    pub(super) fn scratch(&mut self) -> &mut RowBuf {
        &mut self.row
    }

    /// The `at`-th slot or key is known: what is in the scratch buffer, or that there is no row.
    pub(super) fn put(&mut self, at: usize, found: AsOf) {
        if self.seen.len() <= at {
            self.seen.resize(at + 1, Seen::default());
        }
        let (present, newest, is_newest) = match found {
            AsOf::Row { newest, is_newest } => (true, newest, is_newest),
            AsOf::Gone { newest, is_newest } => (false, newest, is_newest),
            AsOf::TooOld => (false, 0, false),
        };
        let before = self.seen[at];
        let (row, head) = (&self.row, head_words(self.columns));
        let mut seen = Seen { present, newest, is_newest, ..before };
        if present {
            let room = head + (before.var_bytes as usize).div_ceil(8);
            let image = row.image().words();
            let reuse = before.present && room == image.len();
            (seen.birth, seen.revision, seen.var_bytes) =
                (row.birth, row.revision, row.form.var_bytes() as u32);
            if reuse {
                self.words[seen.start..seen.start + room].copy_from_slice(image);
            } else {
                seen.start = self.words.len();
                self.words.extend_from_slice(image);
            }
        }
        self.rows = self.rows + usize::from(present) - usize::from(before.present);
        self.seen[at] = seen;
    }
}

impl TableView {
    /// Copies the whole table as of one revision, which is returned; it is not older than the newest
    /// one published when the call began.
    ///
    /// # Errors
    /// [`ReadError::Moved`]: look the table up again. [`ReadError::Contended`]: rows were written
    /// faster than they could be copied; the daemon copies the table between two commits.
    pub fn scan_into(&self, out: &mut ScanBuf) -> Result<u64, ReadError> {
        out.begin(self.shape.columns);
        let revision = self.at_one_revision(|revision| self.pass(revision, out))?;
        out.set_revision(revision);
        Ok(revision)
    }

    /// As [`TableView::scan_into`], with a call for each row.
    ///
    /// # Errors
    /// As there; then `f` was not called.
    pub fn scan(&self, f: &mut dyn FnMut(ScanRow<'_>)) -> Result<u64, ReadError> {
        let mut out = ScanBuf::new();
        let revision = self.scan_into(&mut out)?;
        out.rows().for_each(f);
        Ok(revision)
    }

    /// Copies the whole table as of `revision`, which is published already: so that several tables are
    /// read as of the same one. False where it is no longer to be had, as rows have moved on twice
    /// since: take a newer one.
    ///
    /// # Errors
    /// [`ReadError::Moved`]: look the table up again.
    pub fn scan_as_of(&self, revision: u64, out: &mut ScanBuf) -> Result<bool, ReadError> {
        out.begin(self.shape.columns);
        out.set_revision(revision);
        self.once(revision, |revision| self.pass(revision, out))
    }

    /// Runs passes, each as of the newest revision, until one meets nothing that is too old for it.
    pub(super) fn at_one_revision(
        &self,
        mut pass: impl FnMut(u64) -> Result<bool, ReadError>,
    ) -> Result<u64, ReadError> {
        for _ in 0..TRIES {
            let revision = self.segment().revision();
            if self.once(revision, &mut pass)? {
                return Ok(revision);
            }
            crate::sync::spin_loop();
        }
        Err(ReadError::Contended { tries: TRIES })
    }

    /// Runs one pass as of `revision`, where this storage holds.
    pub(super) fn once(
        &self,
        revision: u64,
        pass: impl FnOnce(u64) -> Result<bool, ReadError>,
    ) -> Result<bool, ReadError> {
        // A reshaped table's next storage was published with the revision `until`, and the catalogue
        // names it; what this one has of revisions before `since` is not all that they had.
        if self.header(table_at!(until)).load(Ordering::Relaxed) <= revision {
            return Err(ReadError::Moved);
        }
        if self.header(table_at!(since)).load(Ordering::Relaxed) > revision {
            return if self.has_moved() { Err(ReadError::Moved) } else { Ok(false) };
        }
        let done = pass(revision);
        if self.has_moved() {
            return Err(ReadError::Moved);
        }
        done
    }

    /// One pass; false where some row has moved on twice since `revision`.
    fn pass(&self, revision: u64, out: &mut ScanBuf) -> Result<bool, ReadError> {
        let most = (self.region.len() / self.shape.bytes(self.shape.together)) as usize
            * self.shape.together;
        let (mut at, mut done) = (0usize, true);
        let follow = Pillar::ChunkFollow.order(Ordering::Acquire);
        let mut offset = self.header(table_at!(chunk)).load(follow);
        while offset != 0 {
            let corrupt = ReadError::Corrupt { what: "slot chunk", offset };
            let head = self.space().words(offset, CHUNK_WORDS).ok_or(corrupt)?;
            // Relaxed: the fence below stands between it and what is in the next chunk.
            let next = head[0].load(Ordering::Relaxed);
            let slots = head[1].load(Ordering::Relaxed) as usize;
            // Chunks are given back only with their table: look before believing them.
            if self.has_moved() {
                return Err(ReadError::Moved);
            }
            if slots == 0 || slots > most - at || !slots.is_multiple_of(self.shape.together) {
                return Err(corrupt);
            }
            let first = self.shape.place(offset, 0);
            let words = self.space().words(first, self.shape.bytes(slots) as usize / 8);
            let words = words.ok_or(corrupt)?;
            let mut n = 0;
            loop {
                if out.seen.len() == at + n {
                    n += append(words, &self.shape, n..slots, revision, out);
                }
                if n == slots {
                    break;
                }
                done &= self.visit(self.shape.place(offset, n as u64), at + n, revision, out)?;
                n += 1;
            }
            at += slots;
            offset = next;
        }
        Ok(done)
    }

    #[inline(never)]
    fn visit(
        &self,
        slot: u64,
        at: usize,
        revision: u64,
        out: &mut ScanBuf,
    ) -> Result<bool, ReadError> {
        if let Some(seen) = out.seen.get(at)
            && seen.is_newest
            && latch_at(self.space(), &self.shape, slot)?.is_newest(seen.newest)
        {
            return Ok(true);
        }
        let found = copy_as_of(self.space(), &self.shape, slot, revision, out.scratch())?;
        out.put(at, found);
        Ok(found != AsOf::TooOld)
    }
}

/// Appends what stands in front of the slots `which`, of those that begin at `words`, none of which was looked at
/// before, as long as it is a row of `revision` with nothing in a block, or nothing yet, which most are, and was not
/// overwritten meanwhile: how many.
#[inline(never)]
fn append(
    words: &[AtomicU64],
    shape: &SlotShape,
    which: Range<usize>,
    revision: u64,
    out: &mut ScanBuf,
) -> usize {
    let (before, mut rows) = (out.seen.len(), 0);
    let mut within = which.start & (shape.together - 1);
    let mut at = (which.start - within) * 2 * shape.front + within * shape.front;
    for _ in which {
        let Some(front) = words.get(at..at + shape.front) else { break };
        let (slot, head) = front.split_at(1 + VERSION_META);
        let [seq, slot @ ..] = slot else { break };
        let entry = enter(seq);
        let newest = entry.version();
        let birth = slot[VERSION_BIRTH].load(Ordering::Relaxed);
        // With the flag of a deleted row it is beyond all revisions.
        let made = slot[VERSION_REVISION].load(Ordering::Relaxed);
        let block = BlockRef(slot[VERSION_BLOCK].load(Ordering::Relaxed));
        let (present, start) = (newest != 0, out.words.len());
        if present {
            if made > revision || !block.is_none() {
                break;
            }
            points::pass(Point::Copied);
            append_words(head, &mut out.words);
            if !holds_in_front(seq, entry) {
                out.words.truncate(start);
                break;
            }
        }
        rows += usize::from(present);
        let (var_bytes, is_newest) = (0, true);
        out.seen.push(Seen { newest, birth, revision: made, start, var_bytes, present, is_newest });
        within += 1;
        at += shape.front;
        if within == shape.together {
            (within, at) = (0, at + shape.to_back());
        }
    }
    out.rows += rows;
    out.seen.len() - before
}
