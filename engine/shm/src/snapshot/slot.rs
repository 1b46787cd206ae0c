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
use super::rowbuf::RowBuf;
use crate::latch::Latch;
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
        .words(offset, shape.slot)
        .and_then(|words| Latch::new(words, shape.version))
        .ok_or(ReadError::Corrupt { what: "slot", offset })
}

/// Copies the newest version of the slot at `offset`.
///
/// # Errors
/// Overwritten at every try; an offset outside of the segment.
#[inline]
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
        let version = latch.version(entry.version());
        match copy_version(space, shape, version, || latch.holds(entry), out) {
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
        let version = latch.version(newest);
        let made = version[VERSION_REVISION].load(Ordering::Relaxed) & REVISION_MASK;
        if made <= revision {
            match copy_version(space, shape, version, || latch.holds(entry), out) {
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
        let version = latch.version(newest - 1);
        match copy_version(space, shape, version, || latch.holds_previous(entry), out) {
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

/// Copies one version and what it refers to; `holds` is the latch's word on it.
#[inline]
fn copy_version<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    version: &[AtomicU64],
    holds: impl Fn() -> bool,
    out: &mut RowBuf,
) -> Copied {
    let (meta, head) = version.split_at(VERSION_META);
    let birth = meta[VERSION_BIRTH].load(Ordering::Relaxed);
    let revision = meta[VERSION_REVISION].load(Ordering::Relaxed);
    let block = BlockRef(meta[VERSION_BLOCK].load(Ordering::Relaxed));
    out.birth = birth;
    out.revision = revision & REVISION_MASK;
    out.columns = shape.columns as u32;
    if block.is_none() {
        out.var_bytes = 0;
        copy_words(head, out.room(shape.head));
    } else {
        copy_words(head, &mut out.at_least(shape.head)[..shape.head]);
        // The reference must be the version's before it is followed.
        if !holds() {
            out.set_empty(shape.head);
            return Copied::Torn;
        }
        if let Err(error) = copy_block(space, shape, block, out) {
            out.set_empty(shape.head);
            return Copied::Corrupt(error);
        }
    }
    if !holds() {
        return Copied::Torn;
    }
    if revision & FLAG_DELETED != 0 { Copied::Deleted } else { Copied::Row }
}

#[inline]
fn copy_block<S: Space + ?Sized>(
    space: &S,
    shape: &SlotShape,
    block: BlockRef,
    out: &mut RowBuf,
) -> Result<(), ReadError> {
    let words = block.words();
    let Some(shared) = space.words(block.offset(), words) else {
        return Err(ReadError::Corrupt { what: "block", offset: block.offset() });
    };
    out.var_bytes = block.bytes() as u32;
    copy_words(shared, &mut out.room(shape.head + words)[shape.head..]);
    Ok(())
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
