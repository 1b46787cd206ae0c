//! One table's storage as its writer sees it: header, slot chunks, free slots, index.
//!
//! Slots belong to the table until it is dropped; a deleted row's slot goes to another row. The
//! header is never reused in a generation, so that its index word, once 0, stays 0.

use super::arena::Arena;
use super::error::SegmentError;
use super::index;
use super::layout::{
    BlockRef, CHUNK_WORDS, FLAG_DELETED, IndexRef, SlotShape, TABLE_WORDS, VERSION_BIRTH,
    VERSION_BLOCK, VERSION_META, VERSION_REVISION,
};
use super::rowbuf::RowBuf;
use super::slot::{Newest, copy_newest};
use crate::catalogue::TableDef;
use crate::image::tag_words;
use crate::key::{Key, KeyPart};
use crate::pillar::Pillar;
use crate::sync::{AtomicU64, LINE_WORDS, Ordering, prefetch};
use crate::table_at;
use crate::value::StorageClass;

/// Most bytes of a chunk that was not asked for by a number of rows.
const CHUNK_BYTES: u64 = 1 << 20;

struct Chunk {
    offset: u64,
    slots: usize,
}

pub(super) struct Storage {
    pub def: TableDef,
    pub parts: Vec<KeyPart>,
    pub slot: SlotShape,
    pub seed: u64,
    /// Offset of the table header.
    pub place: u64,
    index: IndexRef,
    live: usize,
    tombs: usize,
    chunks: Vec<Chunk>,
    /// Slots of the last chunk that were ever handed out.
    begun: usize,
    free: Vec<u64>,
}

/// A bigger index, built aside.
pub(super) struct NewIndex {
    index: IndexRef,
}

/// A row where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub slot: u64,
    pub birth: u64,
    pub revision: u64,
}

impl Storage {
    pub fn create(
        arena: &mut Arena,
        def: &TableDef,
        expected_rows: usize,
        seed: u64,
    ) -> Result<Self, SegmentError> {
        let bad = |what| SegmentError::BadTable { table: def.id, shape: def.shape, what };
        let parts = key_parts(def).ok_or_else(|| bad("a key column that is no column"))?;
        if parts.is_empty() {
            return Err(bad("no key columns"));
        }
        let place = arena.take_zeroed(TABLE_WORDS)?;
        let slot = SlotShape::new(def.columns.len());
        let (def, index) = (def.clone(), IndexRef::default());
        let mut storage = Self {
            def,
            parts,
            slot,
            seed,
            place,
            index,
            live: 0,
            tombs: 0,
            chunks: Vec::new(),
            begun: 0,
            free: Vec::new(),
        };
        if let Err(error) = storage.furnish(arena, expected_rows) {
            arena.give(place, TABLE_WORDS); // nobody was told of it
            return Err(error);
        }
        Ok(storage)
    }

    fn furnish(&mut self, arena: &mut Arena, expected_rows: usize) -> Result<(), SegmentError> {
        let log2 = index::size_for(expected_rows);
        let offset = arena.take_zeroed(1 << log2)?;
        self.index = IndexRef::new(offset, log2, 1);
        if expected_rows > 0
            && let Err(error) = self.append_chunk(arena, expected_rows)
        {
            arena.give(offset, 1 << log2);
            return Err(error);
        }
        let identity = u64::from(self.def.id) << 32 | u64::from(self.def.shape);
        let slot = (self.slot.columns as u64) << 32 | self.slot.front as u64;
        let header = arena.table(self.place);
        header[table_at!(identity)].store(identity, Ordering::Relaxed);
        header[table_at!(slot)].store(slot, Ordering::Relaxed);
        header[table_at!(until)].store(u64::MAX, Ordering::Relaxed);
        header[table_at!(since)].store(u64::MAX, Ordering::Relaxed);
        // Relaxed: readers learn of the header from the catalogue, whose latch orders this.
        header[table_at!(index)].store(self.index.0, Ordering::Relaxed);
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.live
    }

    pub fn hash(&self, key: &Key) -> u64 {
        key.hash(self.seed)
    }

    fn entries<'a>(&self, arena: &'a Arena) -> &'a [AtomicU64] {
        arena.own(self.index.offset(), self.index.entries())
    }

    /// Where the live row of this key is, whose hash is `hash`. A row whose key is one integer is not
    /// copied for that.
    pub fn locate(&self, arena: &Arena, key: &Key, hash: u64) -> Option<Found> {
        let mut met = None;
        index::find(self.entries(arena), hash, |slot| {
            met = self.meet(arena, slot, key);
            met.is_some()
        })?;
        met
    }

    /// Fetches what [`Storage::locate`] will look at for each of these keys, all at once: where the table is larger
    /// than the caches, one would wait for it key by key.
    pub fn foresee<'k>(&self, arena: &Arena, keys: impl Iterator<Item = &'k Key> + Clone) {
        let entries = self.entries(arena);
        for key in keys.clone() {
            prefetch(index::first(entries, self.hash(key)));
        }
        for key in keys {
            let Some(slot) = index::likely(entries, self.hash(key)) else { continue };
            let (front, back) = arena.latch(&self.slot, slot).places();
            front.iter().step_by(LINE_WORDS).chain(front.last()).for_each(prefetch);
            back.iter().step_by(LINE_WORDS).chain(back.last()).for_each(prefetch);
        }
    }

    /// What is in `slot`, where that is the live row of this key.
    fn meet(&self, arena: &Arena, slot: u64, key: &Key) -> Option<Found> {
        if let (Key::Int(wanted), [part]) = (key, &self.parts[..]) {
            let latch = arena.latch(&self.slot, slot);
            let (n, version) = (latch.newest_number(), latch.present());
            let (meta, head) = version.split_at(VERSION_META);
            let tag =
                head[part.index / 16].load(Ordering::Relaxed) >> (4 * (part.index % 16)) & 0xF;
            let made = meta[VERSION_REVISION].load(Ordering::Relaxed);
            if n == 0 || made & FLAG_DELETED != 0 {
                return None;
            }
            if tag == StorageClass::Integer as u64 {
                let cell = head[tag_words(self.slot.columns) + part.index].load(Ordering::Relaxed);
                let birth = meta[VERSION_BIRTH].load(Ordering::Relaxed);
                return (cell as i64 == *wanted).then_some(Found { slot, birth, revision: made });
            }
        }
        let mut row = RowBuf::new();
        let is_it = self.read(arena, slot, &mut row) && self.has_key(&row, key);
        is_it.then_some(Found { slot, birth: row.birth, revision: row.revision })
    }

    /// The live row of this key.
    pub fn find(&self, arena: &Arena, key: &Key, row: &mut RowBuf) -> Option<Found> {
        let entries = self.entries(arena);
        let (_, slot) = index::find(entries, self.hash(key), |slot| {
            self.read(arena, slot, row) && self.has_key(row, key)
        })?;
        Some(Found { slot, birth: row.birth, revision: row.revision })
    }

    /// Copies the live row in `slot`; false where there is none.
    pub fn read(&self, arena: &Arena, slot: u64, row: &mut RowBuf) -> bool {
        // The only writer is not writing now, so that one try is enough.
        matches!(copy_newest(&**arena.region(), &self.slot, slot, row), Ok(Newest::Row))
    }

    fn has_key(&self, row: &RowBuf, key: &Key) -> bool {
        row_has_key(&self.parts, row, key)
    }

    /// Every slot that was ever handed out.
    pub fn slots(&self) -> impl Iterator<Item = u64> + '_ {
        let last = self.chunks.len().wrapping_sub(1);
        self.chunks.iter().enumerate().flat_map(move |(i, chunk)| {
            let count = if i == last { self.begun } else { chunk.slots };
            (0..count as u64).map(move |n| self.slot.place(chunk.offset, n))
        })
    }

    /// A slot for a new row.
    pub fn take_slot(&mut self, arena: &mut Arena) -> Result<u64, SegmentError> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        if self.chunks.last().is_none_or(|c| c.slots == self.begun) {
            let all: usize = self.chunks.iter().map(|c| c.slots).sum();
            let together = self.slot.together;
            let most = (CHUNK_BYTES / self.slot.bytes(together)) as usize * together;
            self.append_chunk(arena, (all / 4).min(most).max(together))?;
        }
        let chunk = self.chunks.last().expect("a chunk was appended if there was none");
        let slot = self.slot.place(chunk.offset, self.begun as u64);
        self.begun += 1;
        Ok(slot)
    }

    /// A slot that has no row (any more).
    pub fn give_slot(&mut self, slot: u64) {
        self.free.push(slot);
    }

    /// Bytes of its header, slots and index; blocks of TEXT and BLOB not counted.
    pub fn bytes(&self) -> u64 {
        let chunk = |c: &Chunk| self.chunk_words(c.slots) as u64 * 8;
        let index = if self.index.is_none() { 0 } else { self.index.entries() as u64 * 8 };
        TABLE_WORDS as u64 * 8 + self.chunks.iter().map(chunk).sum::<u64>() + index
    }

    fn chunk_words(&self, slots: usize) -> usize {
        CHUNK_WORDS + self.slot.bytes(slots) as usize / 8
    }

    fn append_chunk(&mut self, arena: &mut Arena, slots: usize) -> Result<(), SegmentError> {
        let slots = slots.next_multiple_of(self.slot.together);
        let offset = arena.take_zeroed(self.chunk_words(slots))?;
        let words = arena.own(offset, CHUNK_WORDS);
        words[1].store(slots as u64, Ordering::Relaxed);
        // Release: who follows the link sees the chunk's count and empty slots.
        let link = match self.chunks.last() {
            Some(last) => &arena.own(last.offset, CHUNK_WORDS)[0],
            None => &arena.table(self.place)[table_at!(chunk)],
        };
        link.store(offset, Pillar::ChunkLink.order(Ordering::Release));
        self.chunks.push(Chunk { offset, slots });
        self.begun = 0;
        Ok(())
    }

    /// A new index for `inserts` rows more, if the present one has no room for them.
    pub fn prepare_index(
        &self,
        arena: &mut Arena,
        inserts: usize,
    ) -> Result<Option<NewIndex>, SegmentError> {
        if !index::is_over(self.live + self.tombs + inserts, self.index.entries()) {
            return Ok(None);
        }
        // Room for a quarter more than there will be, so that tombstones do not bring us back soon.
        let rows = self.live + inserts;
        let log2 = index::size_for(rows + rows / 4);
        let offset = arena.take_zeroed(1 << log2)?;
        let entries = arena.own(offset, 1 << log2);
        let mut row = RowBuf::new();
        for slot in self.slots() {
            if self.read(arena, slot, &mut row)
                && let Ok(key) = Key::of_image(&self.parts, &row.image())
            {
                index::insert(entries, self.hash(&key), slot);
            }
        }
        Ok(Some(NewIndex { index: IndexRef::new(offset, log2, self.index.turn() + 1) }))
    }

    pub fn abandon_index(&self, arena: &mut Arena, new: NewIndex) {
        arena.give(new.index.offset(), new.index.entries());
    }

    /// The one store that brings the new index in.
    pub fn swap_index(&mut self, arena: &mut Arena, new: NewIndex) {
        let word = &arena.table(self.place)[table_at!(index)];
        word.store(new.index.0, Pillar::IndexSwap.order(Ordering::Release));
        // Before anything else is written where the old one was.
        Pillar::IndexSwapFence.fence(Ordering::Release);
        arena.give(self.index.offset(), self.index.entries());
        self.index = new.index;
        self.tombs = 0;
    }

    /// Enters a new row, for which [`Storage::prepare_index`] made room.
    pub fn enter(&mut self, arena: &Arena, hash: u64, slot: u64) {
        self.tombs -= usize::from(index::insert(self.entries(arena), hash, slot));
        self.live += 1;
    }

    /// Takes a deleted row out of the index; its slot is free.
    pub fn remove(&mut self, arena: &Arena, hash: u64, slot: u64) {
        let entries = self.entries(arena);
        if let Some((at, _)) = index::find(entries, hash, |s| s == slot) {
            self.tombs = self.tombs.wrapping_add_signed(index::remove(entries, at));
            self.live -= 1;
        }
        self.give_slot(slot);
    }

    pub fn store_rows(&self, arena: &Arena) {
        arena.table(self.place)[table_at!(rows)].store(self.live as u64, Ordering::Relaxed);
    }

    /// The block of the newest version of `slot`.
    pub fn newest_block(&self, arena: &Arena, slot: u64) -> BlockRef {
        let latch = arena.latch(&self.slot, slot);
        block_of(latch.present())
    }

    /// Writes the next version of a slot; `head` is `None` for a deleted row. The block of the
    /// version that it takes the place of goes back.
    pub fn write(
        &self,
        arena: &mut Arena,
        slot: u64,
        birth: u64,
        revision: u64,
        image: Option<(&[u64], BlockRef)>,
    ) {
        let latch = arena.latch(&self.slot, slot);
        let (old, present) = (block_of(latch.previous()), block_of(latch.present()));
        let block = image.map_or(BlockRef::NONE, |(_, block)| block);
        latch.write(|words| {
            let (meta, head) = words.split_at(VERSION_META);
            let flags = if image.is_none() { FLAG_DELETED } else { 0 };
            meta[VERSION_BIRTH].store(birth, Ordering::Relaxed);
            meta[VERSION_REVISION].store(revision | flags, Ordering::Relaxed);
            meta[VERSION_BLOCK].store(block.0, Ordering::Relaxed);
            match image {
                Some((from, _)) => crate::words::store_words(head, from),
                None => head.iter().for_each(|w| w.store(0, Ordering::Relaxed)),
            }
        });
        // Two versions that follow each other may share a block.
        if !old.is_none() && old != present && old != block {
            arena.give(old.offset(), old.words());
        }
    }

    /// Gives back the blocks that deleted rows' last versions still hold, by writing over them; how
    /// many words that were.
    pub fn reclaim(&mut self, arena: &mut Arena) -> usize {
        let mut words = 0;
        for &slot in &self.free {
            let latch = arena.latch(&self.slot, slot);
            let (newest, before) = (latch.present(), block_of(latch.previous()));
            if before.is_none() {
                continue;
            }
            words += before.words();
            let birth = newest[VERSION_BIRTH].load(Ordering::Relaxed);
            let revision = newest[VERSION_REVISION].load(Ordering::Relaxed) & !FLAG_DELETED;
            self.write(arena, slot, birth, revision, None);
        }
        words
    }

    /// From which revisions on it holds, and from which it no longer does; to be told before the
    /// catalogue that makes it so is published.
    pub fn store_span(&self, arena: &Arena, listed: bool, revision: u64) {
        let header = arena.table(self.place);
        let (since, until) = (&header[table_at!(since)], &header[table_at!(until)]);
        if !listed {
            until.store(revision, Ordering::Relaxed);
        } else if since.load(Ordering::Relaxed) == u64::MAX {
            since.store(revision, Ordering::Relaxed);
        }
    }

    /// Tells every reader that the table is gone.
    pub fn retire(&self, arena: &Arena) {
        let word = &arena.table(self.place)[table_at!(index)];
        word.store(0, Pillar::RetireTold.order(Ordering::Release));
        // Before anything else is written where its rows were.
        Pillar::RetireFence.fence(Ordering::Release);
    }

    /// Gives everything but the header back.
    pub fn drop(self, arena: &mut Arena) {
        self.retire(arena);
        for slot in self.slots() {
            let latch = arena.latch(&self.slot, slot);
            let (one, other) = (block_of(latch.present()), block_of(latch.previous()));
            if !one.is_none() {
                arena.give(one.offset(), one.words());
            }
            if !other.is_none() && other != one {
                arena.give(other.offset(), other.words());
            }
        }
        for chunk in &self.chunks {
            arena.give(chunk.offset, self.chunk_words(chunk.slots));
        }
        arena.give(self.index.offset(), self.index.entries());
    }
}

/// The parts of a table's key, or `None` where a key column is no column.
pub(super) fn key_parts(def: &TableDef) -> Option<Vec<KeyPart>> {
    def.key_columns
        .iter()
        .map(|&i| def.columns.get(usize::from(i)).map(|c| KeyPart::of(usize::from(i), c)))
        .collect()
}

/// The block that a version refers to.
fn block_of(version: &[AtomicU64]) -> BlockRef {
    BlockRef(version[VERSION_BLOCK].load(Ordering::Relaxed))
}

/// Whether the key of `row` is `key`.
#[inline]
pub(super) fn row_has_key(parts: &[KeyPart], row: &RowBuf, key: &Key) -> bool {
    let image = row.image();
    if let ([part], Key::Int(wanted)) = (parts, key)
        && let Ok(StorageClass::Integer) = image.class(part.index)
    {
        return image.get(part.index) == Ok(crate::value::ValueRef::Integer(*wanted));
    }
    key.is_of(parts, &image)
}
