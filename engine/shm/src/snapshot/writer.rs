//! The segment's only writer: the daemon's middle thread.
//!
//! ```text
//! prepare   takes all memory that publishing will need: slots, blocks (already filled), bigger
//!           indexes (already built). It may fail; then nothing has changed
//! publish   infallible:
//!           1  bigger indexes are swapped in
//!           2  each row's next version is written; new rows are entered into the index
//!           3  with DDL: the new catalogue, and `until` of every table that it no longer lists
//!           4  header.revision ← revision (release): from here on scans are of the new revision
//!           5  deleted rows leave the index (header of the table: `removed` first), their slots are
//!              free for the next prepare; tables that are no longer listed are retired
//! ```
//! A daemon that dies between any two of these steps leaves a segment whose every row can be read as
//! of header.revision, and by key: before 4 each changed row's version before is whole; a deleted
//! row's entry stays in the index until the revision has moved past the deletion.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use super::arena::Arena;
use super::catalogue::CatalogueSlot;
use super::error::SegmentError;
use super::layout::{MAGIC, MOST_RESERVE};
use super::rowbuf::RowBuf;
use super::storage::Storage;
use crate::catalogue::TableDef;
use crate::header_at;
use crate::key::Key;
use crate::layout::{LAYOUT_HASH, LAYOUT_VERSION};
use crate::sync::Ordering;
use crate::{Region, ShmError};

/// The writer of one generation's segment. One thread at a time.
pub struct SegmentWriter {
    pub(super) arena: Arena,
    pub(super) tables: Vec<Option<Storage>>,
    /// (table, shape) → place in `tables`.
    pub(super) by_shape: HashMap<(u32, u32), usize>,
    /// Table → place of the storage that was made last.
    pub(super) by_id: HashMap<u32, usize>,
    pub(super) catalogue: CatalogueSlot,
    pub(super) revision: u64,
    pub(super) open: bool,
    generation: u64,
    seed: u64,
}

/// For how many rows at once what is needed of them is fetched: enough that one does not wait for each, few enough
/// that all is still there when its turn comes.
pub const FORESEEN: usize = 16;

/// Where a key's row is, as far as others need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The row's number.
    pub birth: u64,
    /// Revision of its newest version.
    pub revision: u64,
}

impl SegmentWriter {
    /// A new, empty segment that can grow to `reserve` bytes.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn create(instance: [u8; 16], generation: u64, reserve: u64) -> Result<Self, ShmError> {
        let reserve = reserve.max(1 << 20);
        if reserve > MOST_RESERVE {
            return Err(ShmError::BadField {
                what: "segment",
                field: "reserve",
                found: reserve,
                expected: MOST_RESERVE,
            });
        }
        let region = Region::create("snapshot", reserve, false)?;
        let arena = Arena::new(Arc::new(region))?;
        let mut random = RandomState::new().build_hasher();
        random.write_u64(generation);
        // Every run of a model is to be the same.
        let seed = if cfg!(loom) { 0 } else { random.finish() };
        let [low, high] = [0, 8].map(|i| {
            u64::from_le_bytes(core::array::from_fn(|b| instance[i + b])) // 8 of 16 bytes
        });
        for (offset, value) in [
            (header_at!(magic), MAGIC),
            (header_at!(layout_version), LAYOUT_VERSION),
            (header_at!(layout_hash), LAYOUT_HASH),
            (header_at!(instance), low),
            (header_at!(instance) + 8, high),
            (header_at!(generation), generation),
            (header_at!(reserve), arena.region().len()),
            (header_at!(seed), seed),
        ] {
            arena.header(offset).store(value, Ordering::Release);
        }
        Ok(Self {
            arena,
            tables: Vec::new(),
            by_shape: HashMap::new(),
            by_id: HashMap::new(),
            catalogue: CatalogueSlot::default(),
            revision: 0,
            open: false,
            generation,
            seed,
        })
    }

    /// The mapping, from which descriptors for clients are made.
    pub fn region(&self) -> &Arc<Region> {
        self.arena.region()
    }

    /// Which life of the segment this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The newest published revision.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.arena.used()
    }

    /// Bytes with memory behind them.
    pub fn populated_bytes(&self) -> u64 {
        self.arena.populated()
    }

    /// Bytes that it can grow to.
    pub fn reserve_bytes(&self) -> u64 {
        self.region().len()
    }

    /// Whether all of it is locked in memory.
    pub fn locked(&self) -> bool {
        self.arena.locked()
    }

    /// Says that the daemon lives: CLOCK_MONOTONIC, in nanoseconds.
    pub fn set_heartbeat(&self, ns: u64) {
        self.arena.header(header_at!(heartbeat)).store(ns, Ordering::Relaxed);
    }

    /// Says when the newest group became durable: CLOCK_MONOTONIC, in nanoseconds. To be called before
    /// the group is published, whose release of the revision then covers it.
    pub fn set_committed(&self, ns: u64) {
        self.arena.header(header_at!(committed)).store(ns, Ordering::Relaxed);
    }

    /// When the newest group became durable, as it was last said.
    pub fn committed(&self) -> u64 {
        self.arena.header(header_at!(committed)).load(Ordering::Relaxed)
    }

    /// Sends all readers to the next generation: every read from now on says
    /// [`ReadError::Moved`](super::error::ReadError::Moved). To be called when the next generation
    /// can be attached to, and before anything is published there. (A daemon that stops does not
    /// call it: its readers go on reading.)
    pub fn retire(&self) {
        self.arena.header(header_at!(retired)).store(1, Ordering::Release);
        self.tables.iter().flatten().for_each(|t| t.retire(&self.arena));
    }

    /// Makes storage for a table of this id and shape, sized for `expected_rows` if that is known
    /// (else 0). Readers do not see it before its catalogue is published.
    ///
    /// # Errors
    /// No memory; storage that there is already; a definition without a key.
    pub fn create_table(
        &mut self,
        def: &TableDef,
        expected_rows: usize,
    ) -> Result<(), SegmentError> {
        let (table, shape) = (def.id, def.shape);
        if self.by_shape.contains_key(&(table, shape)) {
            return Err(SegmentError::BadTable { table, shape, what: "there already" });
        }
        let storage =
            self.with_room(|w| Storage::create(&mut w.arena, def, expected_rows, w.seed))?;
        let at = self.tables.len();
        self.tables.push(Some(storage));
        self.by_shape.insert((table, shape), at);
        self.by_id.insert(table, at);
        Ok(())
    }

    /// Retires this storage and gives its memory back. Nothing happens where there is none.
    /// [`SegmentWriter::publish_catalogue`] does the same for all that its catalogue does not list.
    pub fn drop_table(&mut self, id: u32, shape: u32) {
        let Some(at) = self.by_shape.remove(&(id, shape)) else { return };
        if let Some(storage) = self.tables[at].take() {
            storage.drop(&mut self.arena);
        }
        if self.by_id.get(&id) == Some(&at) {
            self.by_id.remove(&id);
            let other = self.by_shape.iter().filter(|((i, _), _)| *i == id).map(|(_, at)| *at);
            if let Some(at) = other.max() {
                self.by_id.insert(id, at);
            }
        }
    }

    pub(super) fn newest_storage(&self, table: u32) -> Option<&Storage> {
        self.tables.get(*self.by_id.get(&table)?)?.as_ref()
    }

    /// Fetches what [`SegmentWriter::find`] will look at for each of these keys of a table; at best some
    /// [`FORESEEN`] at a time. Nothing but their speed changes.
    pub fn foresee<'k>(&self, table: u32, keys: impl Iterator<Item = &'k Key> + Clone) {
        if let Some(storage) = self.newest_storage(table) {
            storage.foresee(&self.arena, keys);
        }
    }

    /// Number and revision of the live row of `key`, in the storage of `table` that was made last.
    pub fn find(&self, table: u32, key: &Key) -> Option<Located> {
        let storage = self.newest_storage(table)?;
        let found = storage.locate(&self.arena, key, storage.hash(key))?;
        Some(Located { birth: found.birth, revision: found.revision })
    }

    /// Copies the live row of `key`; false where there is none.
    pub fn read(&self, table: u32, key: &Key, out: &mut RowBuf) -> bool {
        self.newest_storage(table).is_some_and(|s| s.find(&self.arena, key, out).is_some())
    }

    /// Live rows of a table.
    pub fn rows(&self, table: u32) -> u64 {
        self.newest_storage(table).map_or(0, |s| s.rows() as u64)
    }

    /// Bytes that a table takes for its slots and its index; TEXT and BLOB are not among them.
    pub fn slot_bytes(&self, table: u32) -> u64 {
        self.newest_storage(table).map_or(0, Storage::bytes)
    }

    /// Calls `f` with each live row of a table, in no particular order.
    pub fn for_each(&self, table: u32, f: impl FnMut(&RowBuf)) {
        if let Some(storage) = self.newest_storage(table) {
            self.visit(storage, f);
        }
    }

    pub(super) fn visit(&self, storage: &Storage, mut f: impl FnMut(&RowBuf)) {
        let mut row = RowBuf::new();
        for slot in storage.slots() {
            if storage.read(&self.arena, slot, &mut row) {
                f(&row);
            }
        }
    }
}
