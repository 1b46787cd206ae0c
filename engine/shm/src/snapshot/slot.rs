//! Reading one slot: a version of a row, copied out whole or not at all.
//!
//! What flows in: the offset of a slot (which may be garbage). What flows out: a row in private
//! memory that was this version's from first word to last, as the latch says. Whether the slot was
//! the table's at all, the caller's index word says.

use super::error::ReadError;
use super::index::Space;
use super::layout::{
    BlockRef, FLAG_DELETED, REVISION_MASK, SlotShape, VERSION_BIRTH, VERSION_BLOCK, VERSION_META,
    VERSION_REVISION,
};
use super::rowbuf::{ImageForm, RowBuf};
use crate::latch::{Entry, Latch};
use crate::sync::{AtomicU64, Ordering};
use crate::words::copy_words;

/// How often a copy begins anew when its version was overwritten under it. Each time costs the
/// writer two versions of this row; a row that is written that fast is read between them sooner.
pub(crate) const COPY_TRIES: u32 = 1_000;

/// The newest version of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newest {
    /// A row; it is in the buffer.
    Row,
    /// A deleted row, or a slot that never had one.
    Gone,
}

/// A slot as of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    /// A row; it is in the buffer.
    Row {
        /// Number of the newest version that was there.
        newest: u64,
        /// The row is that version, and not the one before it.
        is_newest: bool,
    },
    /// It had no row then.
    Gone {
        /// As above.
        newest: u64,
        /// As above.
        is_newest: bool,
    },
    /// It has moved on twice since: take a newer revision.
    TooOld,
}

/// Where the only key column of a row stands, if its key can be [`Key::Int`](crate::key::Key::Int).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntKey {
    /// Word of a version that has the column's tag, and where in it.
    pub tag: usize,
    pub shift: u32,
    /// Word of a version that has its value.
    pub cell: usize,
}

/// The latch of the slot at `offset`.
///
/// # Errors
/// The slot lies outside of the segment.
#[inline]
pub(crate) fn latch_at<'a, S: Space + ?Sized>(
    space: &'a S,
    shape: &SlotShape,
    offset: u64,
) -> Result<Latch<'a>, ReadError> {
    space
        .words(offset, shape.span())
        .and_then(|words| slot_latch(words, shape))
        .ok_or(ReadError::Corrupt { what: "slot", offset })
}

/// The latch of a slot that begins with `words`, of which there are as many as a slot spans.
#[inline]
pub(super) fn slot_latch<'a>(words: &'a [AtomicU64], shape: &SlotShape) -> Option<Latch<'a>> {
    let back = words.get(shape.to_back()..shape.span())?;
    Latch::apart(words.get(..shape.front)?, back)
}

/// One try to copy what version `entry` of the slot at `offset` is, with the block that it has; false where
/// it was overwritten, or has no row, or anything is wrong.
#[inline(never)]
pub(crate) fn try_copy_block<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    offset: u64,
    entry: Entry,
    out: &mut RowBuf,
) -> bool {
    let Ok(latch) = latch_at(space, shape, offset) else { return false };
    entry.version() != 0
        && matches!(copy_version(space, shape, Which::Newest, latch, entry, out), Copied::Row)
}

/// Copies the newest version of the slot at `offset`.
///
/// # Errors
/// Overwritten at every try; an offset outside of the segment.
pub(crate) fn copy_newest<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    offset: u64,
    out: &mut RowBuf,
) -> Result<Newest, ReadError> {
    let latch = latch_at(space, shape, offset)?;
    for _ in 0..COPY_TRIES {
        let entry = latch.enter();
        if entry.version() == 0 {
            return Ok(Newest::Gone);
        }
        match copy_version(space, shape, Which::Newest, latch, entry, out) {
            Copied::Row => return Ok(Newest::Row),
            Copied::Deleted => return Ok(Newest::Gone),
            Copied::Torn => crate::sync::spin_loop(),
            Copied::Corrupt(error) => return Err(error),
        }
    }
    Err(contended())
}

/// Copies the slot at `offset` as it was at `revision`, which was published before this call.
///
/// The newest version is the one of `revision` if it is not younger, as all of `revision` is
/// published. Otherwise the version before it is, if *it* is not younger: between the two there was
/// none. A slot that was given to another row since says [`AsOf::TooOld`] or, if the deletion between
/// the two rows is not younger, that there was no row.
///
/// [`AsOf::TooOld`] is never an answer to the newest published revision of a writer that stopped, be
/// it in the middle of a publication: that has at most one version of each row that is younger, and
/// if it stopped while writing one, then the version before is not younger.
///
/// # Errors
/// As [`copy_newest`].
#[inline]
pub(crate) fn copy_as_of<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    offset: u64,
    revision: u64,
    out: &mut RowBuf,
) -> Result<AsOf, ReadError> {
    let latch = latch_at(space, shape, offset)?;
    for _ in 0..COPY_TRIES {
        let entry = latch.enter();
        let newest = entry.version();
        if newest == 0 {
            return Ok(AsOf::Gone { newest, is_newest: true });
        }
        // The newest version, if it is old enough.
        let made = latch.newest(entry)[VERSION_REVISION].load(Ordering::Relaxed) & REVISION_MASK;
        if made <= revision {
            match copy_version(space, shape, Which::Newest, latch, entry, out) {
                Copied::Row if out.revision <= revision => {
                    return Ok(AsOf::Row { newest, is_newest: true });
                }
                Copied::Deleted if out.revision <= revision => {
                    return Ok(AsOf::Gone { newest, is_newest: true });
                }
                Copied::Corrupt(error) => return Err(error),
                _ => continue,
            }
        }
        if !latch.holds(entry) {
            continue;
        }
        // Too young, believed. The one before it, if nobody writes over it.
        if newest == 1 {
            return Ok(AsOf::Gone { newest, is_newest: false });
        }
        match copy_version(space, shape, Which::Before, latch, entry, out) {
            Copied::Row if out.revision <= revision => {
                return Ok(AsOf::Row { newest, is_newest: false });
            }
            Copied::Deleted if out.revision <= revision => {
                return Ok(AsOf::Gone { newest, is_newest: false });
            }
            Copied::Corrupt(error) => return Err(error),
            // Overwritten, or being overwritten, or younger as well: two versions since `revision`.
            _ => return Ok(AsOf::TooOld),
        }
    }
    Err(contended())
}

#[cold]
#[inline(never)]
fn contended() -> ReadError {
    ReadError::Contended { tries: COPY_TRIES }
}

enum Copied {
    Row,
    Deleted,
    Torn,
    Corrupt(ReadError),
}

/// Which of a slot's two versions.
#[derive(Clone, Copy)]
enum Which {
    Newest,
    Before,
}

impl Which {
    #[inline]
    fn words<'a>(self, latch: &Latch<'a>, entry: Entry) -> &'a [AtomicU64] {
        match self {
            Self::Newest => latch.newest(entry),
            Self::Before => latch.previous(),
        }
    }

    #[inline]
    fn holds(self, latch: &Latch<'_>, entry: Entry) -> bool {
        match self {
            Self::Newest => latch.holds(entry),
            Self::Before => latch.holds_previous(entry),
        }
    }
}

/// Copies meta and head of a version, as an image without a variable part; the revision with its
/// flags, and the block. Not to be believed yet.
#[inline]
fn copy_head(shape: &SlotShape, version: &[AtomicU64], out: &mut RowBuf) -> (u64, BlockRef) {
    let (meta, head) = version.split_at(VERSION_META);
    let made = meta[VERSION_REVISION].load(Ordering::Relaxed);
    let block = BlockRef(meta[VERSION_BLOCK].load(Ordering::Relaxed));
    out.birth = meta[VERSION_BIRTH].load(Ordering::Relaxed);
    out.revision = made & REVISION_MASK;
    copy_words(head, out.room(ImageForm::new(shape.columns, 0)));
    (made, block)
}

/// Copies one version and what it refers to. `out` is an image afterwards in any case.
#[inline]
fn copy_version<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    which: Which,
    latch: Latch<'_>,
    entry: Entry,
    out: &mut RowBuf,
) -> Copied {
    let (made, block) = copy_head(shape, which.words(&latch, entry), out);
    // The reference must be the version's before it is followed.
    if !which.holds(&latch, entry) {
        return Copied::Torn;
    }
    if !block.is_none() {
        let Some(shared) = space.words(block.offset(), block.words()) else {
            return Copied::Corrupt(ReadError::Corrupt { what: "block", offset: block.offset() });
        };
        let form = ImageForm::new(shape.columns, block.bytes());
        let moves = out.moves(form);
        let (to_head, to_var) = out.room(form).split_at_mut(shape.head);
        if moves {
            // Again, as the longer image has another place.
            copy_words(&which.words(&latch, entry)[VERSION_META..], to_head);
        }
        copy_words(shared, to_var);
        if !which.holds(&latch, entry) {
            return Copied::Torn;
        }
    }
    if made & FLAG_DELETED != 0 { Copied::Deleted } else { Copied::Row }
}

#[cfg(all(test, not(loom)))]
#[path = "slot_tests.rs"]
mod tests;
