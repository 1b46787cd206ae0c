//! Taking the memory for a publication, filling it aside, and giving it back if nothing came of it.

use super::error::SegmentError;
use super::layout::BlockRef;
use super::rowbuf::RowBuf;
use super::storage::{NewIndex, Storage};
use super::writer::{FORESEEN, SegmentWriter};
use crate::image::{Image, ImageRef};
use crate::key::Key;
use crate::limits;
use crate::words::store_words;

/// What becomes of one row.
#[derive(Clone, Debug)]
pub struct RowChange {
    /// Table id.
    pub table: u32,
    /// Shape of the image.
    pub shape: u32,
    /// Key of the row; of the image, where there is one.
    pub key: Key,
    /// The row's number.
    pub birth: u64,
    /// Revision of the transaction that makes this version.
    pub revision: u64,
    /// The row; `None` where it is deleted.
    pub image: Option<Image>,
}

/// A publication for which all memory is taken. To be published or abandoned before the next is
/// prepared; dropped, it leaks what it took until the generation ends.
#[must_use = "its memory is taken until it is published or abandoned"]
#[derive(Default)]
pub struct Prepared {
    pub(super) rows: Vec<PreparedRow>,
    pub(super) indexes: Vec<(usize, NewIndex)>,
}

impl Prepared {
    /// Number of rows that it changes.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it changes no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

pub(super) struct PreparedRow {
    /// Place of the storage in `SegmentWriter::tables`.
    pub storage: usize,
    pub kind: Kind,
    pub slot: u64,
    pub hash: u64,
    pub birth: u64,
    pub revision: u64,
    pub image: Option<Image>,
    pub block: BlockRef,
    /// The block was taken for this row, and is not the present version's.
    pub fresh_block: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Insert,
    Update,
    Delete,
}

impl SegmentWriter {
    /// Takes everything that publishing `changes` will need. A key comes up at most once for each
    /// (table, shape): who has several changes of one row gives the last of them. The deletion of a
    /// row that is not there is nothing.
    ///
    /// # Errors
    /// No memory, an unknown table, an image that does not fit its table; nothing has changed then.
    pub fn prepare(&mut self, changes: Vec<RowChange>) -> Result<Prepared, SegmentError> {
        debug_assert!(!self.open, "the publication before was neither published nor abandoned");
        #[cfg(debug_assertions)]
        {
            let mut seen = std::collections::HashSet::new();
            let mut once = |c: &RowChange| seen.insert((c.table, c.shape, c.key.clone()));
            debug_assert!(changes.iter().all(&mut once), "a key comes up twice");
        }
        let mut prepared = Prepared::default();
        prepared.rows.reserve(changes.len());
        match self.fill(&mut prepared, changes) {
            Ok(()) => {
                self.open = true;
                Ok(prepared)
            }
            Err(error) => {
                self.abandon(prepared);
                Err(error)
            }
        }
    }

    /// Gives back what was taken for `prepared`.
    pub fn abandon(&mut self, prepared: Prepared) {
        self.open = false;
        for row in prepared.rows.into_iter().rev() {
            if row.fresh_block && !row.block.is_none() {
                self.arena.give(row.block.offset(), row.block.words());
            }
            if let (Kind::Insert, Some(storage)) = (row.kind, &mut self.tables[row.storage]) {
                storage.give_slot(row.slot);
            }
        }
        for (at, new) in prepared.indexes {
            if let Some(storage) = &self.tables[at] {
                storage.abandon_index(&mut self.arena, new);
            }
        }
    }

    fn fill(
        &mut self,
        prepared: &mut Prepared,
        changes: Vec<RowChange>,
    ) -> Result<(), SegmentError> {
        let mut row = RowBuf::new();
        let mut inserts: Vec<usize> = vec![0; self.tables.len()];
        let mut last: Option<((u32, u32), usize)> = None;
        let mut changes = changes.into_iter();
        for turn in 0.. {
            if turn % FORESEEN == 0 {
                self.foresee_some(changes.as_slice());
            }
            let Some(change) = changes.next() else { break };
            let (table, shape) = (change.table, change.shape);
            let at = match last {
                Some((of, at)) if of == (table, shape) => at,
                _ => *self
                    .by_shape
                    .get(&(table, shape))
                    .ok_or(SegmentError::UnknownTable { table, shape })?,
            };
            last = Some(((table, shape), at));
            if let Some(prepared_row) = self.prepare_row(at, change, &mut row)? {
                inserts[at] += usize::from(prepared_row.kind == Kind::Insert);
                prepared.rows.push(prepared_row);
            }
        }
        for (at, inserts) in inserts.into_iter().enumerate().filter(|(_, n)| *n > 0) {
            if let Some(new) = self.with_room(|w| match &w.tables[at] {
                Some(storage) => storage.prepare_index(&mut w.arena, inserts),
                None => Ok(None),
            })? {
                prepared.indexes.push((at, new));
            }
        }
        Ok(())
    }

    /// Fetches what the first few of these changes will look at, as far as they are of one table.
    fn foresee_some(&self, changes: &[RowChange]) {
        let Some(first) = changes.first() else { return };
        let of = (first.table, first.shape);
        let storage = self.by_shape.get(&of).and_then(|&at| self.tables[at].as_ref());
        if let Some(storage) = storage {
            let some = changes[..changes.len().min(FORESEEN)].iter();
            let same = some.take_while(|c| (c.table, c.shape) == of);
            storage.foresee(&self.arena, same.map(|c| &c.key));
        }
    }

    fn prepare_row(
        &mut self,
        at: usize,
        change: RowChange,
        row: &mut RowBuf,
    ) -> Result<Option<PreparedRow>, SegmentError> {
        let (table, shape) = (change.table, change.shape);
        let unknown = SegmentError::UnknownTable { table, shape };
        let Some(storage) = &self.tables[at] else { return Err(unknown) };
        let hash = storage.hash(&change.key);
        let found = storage.locate(&self.arena, &change.key, hash);
        if let Some(image) = &change.image {
            check(storage, &image.as_ref())?;
        }
        let (kind, slot) = match (&change.image, found) {
            (None, None) => return Ok(None),
            (None, Some(found)) => (Kind::Delete, found.slot),
            (Some(_), Some(found)) => (Kind::Update, found.slot),
            (Some(_), None) => {
                let slot = self.with_room(|w| match &mut w.tables[at] {
                    Some(storage) => storage.take_slot(&mut w.arena),
                    None => Err(SegmentError::UnknownTable { table, shape }),
                })?;
                (Kind::Insert, slot)
            }
        };
        let has_block = change.image.as_ref().is_some_and(|image| image.as_ref().var_bytes() > 0);
        let present = (kind == Kind::Update && has_block)
            .then(|| self.tables[at].as_ref().is_some_and(|s| s.read(&self.arena, slot, row)))
            .is_some_and(|read| read)
            .then_some(&*row);
        match self.prepare_block(at, slot, change.image.as_ref(), present) {
            Ok((block, fresh_block)) => Ok(Some(PreparedRow {
                storage: at,
                kind,
                slot,
                hash,
                birth: change.birth,
                revision: change.revision,
                image: change.image,
                block,
                fresh_block,
            })),
            Err(error) => {
                if let (Kind::Insert, Some(storage)) = (kind, &mut self.tables[at]) {
                    storage.give_slot(slot);
                }
                Err(error)
            }
        }
    }

    /// The block for an image's variable part: the present version's, where that is the same.
    fn prepare_block(
        &mut self,
        at: usize,
        slot: u64,
        image: Option<&Image>,
        present: Option<&RowBuf>,
    ) -> Result<(BlockRef, bool), SegmentError> {
        let Some(image) = image.map(Image::as_ref).filter(|i| i.var_bytes() > 0) else {
            return Ok((BlockRef::NONE, false));
        };
        if let (Some(present), Some(storage)) = (present, &self.tables[at]) {
            let present = present.image();
            if present.var_bytes() == image.var_bytes() && present.var_words() == image.var_words()
            {
                return Ok((storage.newest_block(&self.arena, slot), false));
            }
        }
        let words = image.var_words().len();
        let offset = self.with_room(|w| w.arena.take(words))?;
        // Nobody reads there yet: the last who did were told by a latch that it is gone.
        store_words(self.arena.own(offset, words), image.var_words());
        Ok((BlockRef::new(offset, image.var_bytes()), true))
    }

    /// Runs `take`; where the reserve is used up, reclaims what deleted rows hold and tries again.
    pub(super) fn with_room<T>(
        &mut self,
        mut take: impl FnMut(&mut Self) -> Result<T, SegmentError>,
    ) -> Result<T, SegmentError> {
        match take(self) {
            Err(SegmentError::Full { needed, reserve }) => {
                let arena = &mut self.arena;
                let tables = self.tables.iter_mut().flatten();
                if tables.map(|t| t.reclaim(arena)).sum::<usize>() == 0 {
                    return Err(SegmentError::Full { needed, reserve });
                }
                take(self)
            }
            other => other,
        }
    }
}

fn check(storage: &Storage, image: &ImageRef<'_>) -> Result<(), SegmentError> {
    let (table, expected, found) = (storage.def.id, storage.slot.columns, image.columns());
    if found != expected {
        return Err(SegmentError::Columns { table, found, expected });
    }
    let found = image.words().len() * 8;
    if found > limits::ROW_BYTES {
        return Err(SegmentError::TooLarge { table, found, allowed: limits::ROW_BYTES });
    }
    Ok(())
}
