//! One column of one row, found once and then read in a few nanoseconds.
//!
//! A site is a slot and the number of the row that was found in it. Slots belong to their table
//! until it is dropped, so that a load needs no index: the latch says that what it read was one
//! version's, the number says that the version is of this row, and the table's index word says that
//! the slot was the table's.

use super::error::{CellError, ReadError};
use super::index::Space;
use super::layout::{BlockRef, FLAG_DELETED, VERSION_BIRTH, VERSION_BLOCK, VERSION_REVISION};
use super::slot::{COPY_TRIES, latch_at};
use super::view::{TableView, cell_place};
use crate::latch::{Entry, Latch};
use crate::pillar::Pillar;
use crate::sync::{AtomicU64, Ordering};
use crate::value::StorageClass;

/// Where a row stands in its [`TableView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellSite {
    slot: u64,
    birth: u64,
}

/// A value as it stands in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellValue {
    /// Its storage class.
    pub class: StorageClass,
    /// INTEGER: the i64; REAL: the f64's bits; NULL: 0; TEXT, BLOB: its length in bytes (high 32)
    /// and where in the variable part it begins (low 32).
    pub bits: u64,
}

/// A value that was read under the latch, not yet believed.
struct Look<'a> {
    latch: Latch<'a>,
    entry: Entry,
    version: &'a [AtomicU64],
    value: u64,
    tag: u8,
    birth: u64,
    flags: u64,
}

impl CellSite {
    pub(super) fn new(slot: u64, birth: u64) -> Self {
        Self { slot, birth }
    }

    /// Offset of its slot.
    pub(super) fn slot(&self) -> u64 {
        self.slot
    }

    /// The row's number.
    pub fn birth(&self) -> u64 {
        self.birth
    }

    #[inline]
    fn look<'v>(&self, view: &'v TableView, column: usize) -> Result<Look<'v>, CellError> {
        let columns = view.columns();
        if column >= columns {
            return Err(CellError::NoColumn { index: column, columns });
        }
        let latch = latch_at(view.space(), &view.shape, self.slot)?;
        let entry = latch.enter();
        let version = latch.newest(entry);
        let (tag, shift, cell) = cell_place(columns, column);
        Ok(Look {
            latch,
            entry,
            version,
            value: version[cell].load(Ordering::Relaxed),
            tag: (version[tag].load(Ordering::Relaxed) >> shift) as u8 & 0xF,
            birth: version[VERSION_BIRTH].load(Ordering::Relaxed),
            flags: version[VERSION_REVISION].load(Ordering::Relaxed),
        })
    }

    /// What a look that holds means.
    #[inline]
    fn judge(&self, view: &TableView, look: &Look<'_>) -> Result<CellValue, CellError> {
        if view.has_moved() {
            return Err(CellError::Moved);
        }
        let ours = look.birth == self.birth || !Pillar::CellBirth.stands();
        let row = look.flags & FLAG_DELETED == 0 || !Pillar::CellDeleted.stands();
        if !ours || !row {
            return Err(CellError::Deleted);
        }
        match StorageClass::from_tag(look.tag) {
            Some(class) => Ok(CellValue { class, bits: look.value }),
            None => Err(CellError::Corrupt { what: "tag of a cell", offset: self.slot }),
        }
    }

    /// The newest published value of a column. `view` is the one that located the row.
    ///
    /// # Errors
    /// The row was deleted, the table has moved, no such column.
    #[inline]
    pub fn load(&self, view: &TableView, column: usize) -> Result<CellValue, CellError> {
        let look = self.look(view, column)?;
        if look.latch.holds(look.entry) {
            return self.judge(view, &look);
        }
        self.load_again(view, column)
    }

    #[cold]
    #[inline(never)]
    fn load_again(&self, view: &TableView, column: usize) -> Result<CellValue, CellError> {
        for _ in 0..COPY_TRIES {
            let look = self.look(view, column)?;
            if look.latch.holds(look.entry) {
                return self.judge(view, &look);
            }
            crate::sync::spin_loop();
        }
        Err(self.contended(view))
    }

    /// A slot that never holds is one that was given back: then the table has moved.
    fn contended(&self, view: &TableView) -> CellError {
        if view.has_moved() {
            CellError::Moved
        } else {
            ReadError::Contended { tries: COPY_TRIES }.into()
        }
    }

    /// The same; the bytes of TEXT or BLOB replace what is in `out`, which any other class empties.
    /// No allocation once `out` has grown.
    ///
    /// # Errors
    /// As [`CellSite::load`].
    pub fn load_bytes(
        &self,
        view: &TableView,
        column: usize,
        out: &mut Vec<u8>,
    ) -> Result<CellValue, CellError> {
        out.clear();
        let value = self.load_to(view, column, out)?;
        if !matches!(value.class, StorageClass::Text | StorageClass::Blob) {
            out.clear();
        }
        Ok(value)
    }

    /// The same into a slice, where it has room: nothing is copied of TEXT or BLOB that is longer than
    /// `out`, and what is in `out` after an error is not specified.
    ///
    /// # Errors
    /// As [`CellSite::load`].
    pub fn load_slice(
        &self,
        view: &TableView,
        column: usize,
        out: &mut [u8],
    ) -> Result<CellValue, CellError> {
        self.load_to(view, column, out)
    }

    fn load_to<R: Room + ?Sized>(
        &self,
        view: &TableView,
        column: usize,
        out: &mut R,
    ) -> Result<CellValue, CellError> {
        for _ in 0..COPY_TRIES {
            let look = self.look(view, column)?;
            let block = BlockRef(look.version[VERSION_BLOCK].load(Ordering::Relaxed));
            if !look.latch.holds(look.entry) {
                crate::sync::spin_loop();
                continue;
            }
            let value = self.judge(view, &look)?;
            if !matches!(value.class, StorageClass::Text | StorageClass::Blob) {
                return Ok(value);
            }
            let (start, length) =
                ((value.bits & 0xFFFF_FFFF) as usize, (value.bits >> 32) as usize);
            let inside = start + length <= block.bytes();
            let copied = if inside {
                let Some(to) = out.room(length) else { return Ok(value) };
                copy_range(view, block, start, to)
            } else {
                false
            };
            if look.latch.holds(look.entry) {
                return match (view.has_moved(), copied) {
                    (true, _) => Err(CellError::Moved),
                    (false, true) => Ok(value),
                    (false, false) => {
                        Err(CellError::Corrupt { what: "bytes of a cell", offset: self.slot })
                    }
                };
            }
        }
        Err(self.contended(view))
    }
}

/// Where the bytes of a value go.
trait Room {
    /// Room for so many bytes, if there is.
    fn room(&mut self, length: usize) -> Option<&mut [u8]>;
}

impl Room for Vec<u8> {
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        self.resize(length, 0);
        Some(self)
    }
}

impl Room for [u8] {
    fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        self.get_mut(..length)
    }
}

/// Copies bytes of a row's variable part, from `start` on; false where the block is not inside of the
/// segment.
fn copy_range(view: &TableView, block: BlockRef, start: usize, out: &mut [u8]) -> bool {
    let length = out.len();
    let (first, skip) = (start / 8, start % 8);
    let offset = block.offset() + first as u64 * 8;
    let Some(words) = view.space().words(offset, (skip + length).div_ceil(8)) else {
        return false;
    };
    let mut words = words.iter().map(|word| word.load(Ordering::Relaxed).to_le_bytes());
    let (head, rest) = out.split_at_mut(length.min((8 - skip) % 8));
    if !head.is_empty() {
        let word = words.next().unwrap_or_default();
        head.copy_from_slice(&word[skip..skip + head.len()]);
    }
    for (to, word) in rest.chunks_mut(8).zip(words) {
        to.copy_from_slice(&word[..to.len()]);
    }
    true
}
