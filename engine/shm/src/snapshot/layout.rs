//! The snapshot segment, drawn once. Sizes and offsets, no logic; all words are little-endian u64.
//!
//! ```text
//! page 0    [`SegmentHeader`]
//! behind    what the daemon's allocator hands out: table headers, indexes, slot chunks, blocks
//!
//! table     [`TableHeader`], 128 bytes, never reused in a generation; its place is in the catalogue
//! index     2^k entries, in pairs: hash tag (16 bits, odd) | offset of a slot / 8 (48 bits); 0 is empty,
//!           an entry with an even tag and no offset is a tombstone
//! chunk     next chunk (offset, 0 at the end) | number of slots | groups of slots ([`SlotShape::together`])
//! group     their fronts, side by side | their backs, with a word between
//! front     of a latch ([`crate::latch`]): seq | newest version
//! back      version before it
//! version   birth | revision, flags in the top byte | block of the variable part | head of the image
//! block     the variable part of one row image, whole words; it belongs to one version, or to two
//!           that follow each other where an update left TEXT and BLOB as they were
//! catalogue block: bytes of the archive | tables | (table id, place) for each | archive
//! ```
//! Who writes: the daemon alone. A reader believes no offset or length: it is checked against the
//! mapping before it is followed, and the latch (or the index word) is looked at again before what
//! was found there is believed.

use core::mem::{offset_of, size_of};

use crate::image::head_words;
use crate::latch::{front_words, latch_words};

/// First word of a segment: "shmirror".
pub const MAGIC: u64 = u64::from_le_bytes(*b"shmirror");

/// Where the allocator's part begins.
pub const HEADER_BYTES: u64 = 4096;

/// Page 0. Never made as a value: it draws offsets.
#[repr(C)]
pub struct SegmentHeader {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`crate::layout::LAYOUT_VERSION`].
    pub layout_version: u64,
    /// [`crate::layout::LAYOUT_HASH`].
    pub layout_hash: u64,
    /// Instance id.
    pub instance: [u64; 2],
    /// Which life of the segment this is.
    pub generation: u64,
    /// Bytes that the segment can grow to: the size of its mapping.
    pub reserve: u64,
    /// Seed of the key hashes, random.
    pub seed: u64,
    /// Newest published revision. On a line of its own: it is what every scan looks at.
    pub revision: u64,
    reserved_1: [u64; 7],
    /// CLOCK_MONOTONIC, in nanoseconds, when the daemon last said that it lives.
    pub heartbeat: u64,
    /// CLOCK_MONOTONIC, in nanoseconds, when the newest group became durable; 0 where none did in this
    /// daemon's life. Not beside the revision, which whoever waits for it would then fetch twice.
    pub committed: u64,
    reserved_2: [u64; 6],
    /// Not 0 once a newer generation has taken over.
    pub retired: u64,
    /// Bytes from the start that have memory behind them.
    pub populated: u64,
    reserved_3: [u64; 6],
    /// A latch over [`CatalogueVersion`]s.
    pub catalogue: [u64; latch_words(CATALOGUE_WORDS)],
}

/// Words of one version under the catalogue's latch.
pub const CATALOGUE_WORDS: usize = size_of::<CatalogueVersion>() / 8;

/// One version under the catalogue's latch.
#[repr(C)]
pub struct CatalogueVersion {
    /// Its block ([`BlockRef`]).
    pub block: u64,
    /// FNV-1a of the block's words.
    pub check: u64,
    /// Schema version of the catalogue in it.
    pub schema_version: u64,
    /// The revision that it holds from.
    pub revision: u64,
}

/// What a table's readers start from.
#[repr(C)]
pub struct TableHeader {
    /// Where the index is ([`IndexRef`]); 0 once the table is dropped or reshaped, or its generation
    /// over. The one word that tells a reader whether what it found was the table's.
    pub index: u64,
    /// Offset of the first slot chunk, 0 where there is none.
    pub chunk: u64,
    /// Table id (high 32) and shape (low 32).
    pub identity: u64,
    /// Columns of the image (high 32) and words of a slot (low 32).
    pub slot: u64,
    /// The revision from which this storage no longer holds; `u64::MAX` while it does.
    pub until: u64,
    /// The revision from which it holds: that of the first catalogue that listed it; `u64::MAX`
    /// before.
    pub since: u64,
    reserved_1: [u64; 2],
    /// Live rows. On the second line, as every insert stores it.
    pub rows: u64,
    /// Newest revision whose deleted rows have been taken out of the index.
    pub removed: u64,
    reserved_2: [u64; 6],
}

/// Words of a table header.
pub const TABLE_WORDS: usize = size_of::<TableHeader>() / 8;

/// Words before the first slot of a chunk: next, count.
pub const CHUNK_WORDS: usize = 2;

/// Words before the head in a version: birth, revision, block.
pub const VERSION_META: usize = 3;
/// Place of the row's number in a version.
pub const VERSION_BIRTH: usize = 0;
/// Place of revision and flags in a version.
pub const VERSION_REVISION: usize = 1;
/// Place of the [`BlockRef`] in a version.
pub const VERSION_BLOCK: usize = 2;

/// Flag in a version's revision word: the row is deleted; head and block are empty.
pub const FLAG_DELETED: u64 = 1 << 56;
/// The revision in a version's revision word.
pub const REVISION_MASK: u64 = FLAG_DELETED - 1;

const _: () = assert!(size_of::<SegmentHeader>() <= HEADER_BYTES as usize);
const _: () = assert!(offset_of!(SegmentHeader, magic) == 0);
const _: () = assert!(offset_of!(SegmentHeader, layout_version) == 8);
const _: () = assert!(offset_of!(SegmentHeader, layout_hash) == 16);
const _: () = assert!(offset_of!(SegmentHeader, instance) == 24);
const _: () = assert!(offset_of!(SegmentHeader, generation) == 40);
const _: () = assert!(offset_of!(SegmentHeader, reserve) == 48);
const _: () = assert!(offset_of!(SegmentHeader, seed) == 56);
const _: () = assert!(offset_of!(SegmentHeader, revision) == 64);
const _: () = assert!(offset_of!(SegmentHeader, heartbeat) == 128);
const _: () = assert!(offset_of!(SegmentHeader, committed) == 136);
const _: () = assert!(offset_of!(SegmentHeader, retired) == 192);
const _: () = assert!(offset_of!(SegmentHeader, populated) == 200);
const _: () = assert!(offset_of!(SegmentHeader, catalogue) == 256);
const _: () = assert!(size_of::<CatalogueVersion>() == 32);
const _: () = assert!(offset_of!(TableHeader, index) == 0);
const _: () = assert!(offset_of!(TableHeader, chunk) == 8);
const _: () = assert!(offset_of!(TableHeader, identity) == 16);
const _: () = assert!(offset_of!(TableHeader, slot) == 24);
const _: () = assert!(offset_of!(TableHeader, until) == 32);
const _: () = assert!(offset_of!(TableHeader, since) == 40);
const _: () = assert!(offset_of!(TableHeader, rows) == 64);
const _: () = assert!(offset_of!(TableHeader, removed) == 72);
const _: () = assert!(size_of::<TableHeader>() == 128);

/// Offset of a field of [`SegmentHeader`].
#[macro_export]
#[doc(hidden)]
macro_rules! header_at {
    ($field:ident) => {
        core::mem::offset_of!($crate::snapshot::layout::SegmentHeader, $field) as u64
    };
}

/// Place, in words, of a field of [`TableHeader`].
#[macro_export]
#[doc(hidden)]
macro_rules! table_at {
    ($field:ident) => {
        core::mem::offset_of!($crate::snapshot::layout::TableHeader, $field) / 8
    };
}

/// What enters the layout hash.
pub const FORMS: [u64; 31] = [
    MAGIC,
    HEADER_BYTES,
    header_at!(instance),
    header_at!(generation),
    header_at!(reserve),
    header_at!(seed),
    header_at!(revision),
    header_at!(heartbeat),
    header_at!(committed),
    header_at!(retired),
    header_at!(populated),
    header_at!(catalogue),
    CATALOGUE_WORDS as u64,
    TABLE_WORDS as u64,
    table_at!(identity) as u64,
    table_at!(slot) as u64,
    table_at!(until) as u64,
    table_at!(since) as u64,
    table_at!(rows) as u64,
    table_at!(removed) as u64,
    CHUNK_WORDS as u64,
    VERSION_META as u64,
    GROUP_BYTES as u64,
    LEAST_TOGETHER as u64,
    FLAG_DELETED,
    BLOCK_OFFSET_BITS as u64,
    INDEX_OFFSET_BITS as u64,
    INDEX_TOGETHER,
    TAG_SHIFT as u64,
    TAG_MARK,
    TOMBSTONE,
];

/// Sizes of a slot, which follow from the number of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotShape {
    /// Columns of the image.
    pub columns: usize,
    /// Words of the image's head.
    pub head: usize,
    /// Words of one version.
    pub version: usize,
    /// Words of a slot's front, with the sequence before it.
    pub front: usize,
    /// Slots of a group, a power of two: their fronts stand side by side, with their backs behind them, so that
    /// what is read most is dense, and the back of each slot as far from it as that of any other.
    pub together: usize,
}

/// Bytes of fronts that a group has, about.
const GROUP_BYTES: usize = if cfg!(loom) { 0 } else { 4096 };
/// Least slots of a group, which is the least that a table with rows has.
const LEAST_TOGETHER: usize = if cfg!(loom) { 1 } else { 8 };

impl SlotShape {
    /// The sizes for `columns` columns.
    pub const fn new(columns: usize) -> Self {
        let head = head_words(columns);
        let version = VERSION_META + head;
        let front = front_words(version);
        let mut together = LEAST_TOGETHER;
        while 2 * together * front * 8 <= GROUP_BYTES {
            together *= 2;
        }
        Self { columns, head, version, front, together }
    }

    /// Words from a slot's front to its back.
    #[inline]
    pub const fn to_back(&self) -> usize {
        self.together * self.front
    }

    /// Words from the begin of a slot's front to the end of its back.
    #[inline]
    pub const fn span(&self) -> usize {
        self.to_back() + self.version
    }

    /// Bytes of `slots` slots, which are whole groups.
    #[inline]
    pub const fn bytes(&self, slots: usize) -> u64 {
        debug_assert!(slots.is_multiple_of(self.together));
        (2 * slots * self.front) as u64 * 8
    }

    /// Offset of slot `n` of a chunk at `chunk`.
    #[inline]
    pub const fn place(&self, chunk: u64, n: u64) -> u64 {
        let within = n & (self.together as u64 - 1);
        let fronts = 2 * (n - within) + within;
        chunk + CHUNK_WORDS as u64 * 8 + fronts * self.front as u64 * 8
    }
}

const BLOCK_OFFSET_BITS: u32 = 38;

/// Most bytes of a segment: what a [`BlockRef`] can address.
pub const MOST_RESERVE: u64 = 8 << BLOCK_OFFSET_BITS;

/// Where a block is and how many bytes of it are used: offset / 8 (low 38 bits), bytes (high 26).
/// 0 is no block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockRef(pub u64);

impl BlockRef {
    /// No block.
    pub const NONE: Self = Self(0);

    /// The reference to `bytes` bytes at `offset`, a multiple of 8 below [`MOST_RESERVE`].
    #[inline]
    pub const fn new(offset: u64, bytes: usize) -> Self {
        debug_assert!(offset.is_multiple_of(8) && offset < MOST_RESERVE);
        debug_assert!(bytes < 1 << (64 - BLOCK_OFFSET_BITS));
        Self((offset / 8) | ((bytes as u64) << BLOCK_OFFSET_BITS))
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Its offset.
    #[inline]
    pub const fn offset(self) -> u64 {
        (self.0 & ((1 << BLOCK_OFFSET_BITS) - 1)) * 8
    }

    /// Bytes of it that are used.
    #[inline]
    pub const fn bytes(self) -> usize {
        (self.0 >> BLOCK_OFFSET_BITS) as usize
    }

    /// Words of it.
    #[inline]
    pub const fn words(self) -> usize {
        self.bytes().div_ceil(8)
    }
}

const _: () = assert!(crate::limits::ROW_BYTES < 1 << (64 - BLOCK_OFFSET_BITS));

const INDEX_OFFSET_BITS: u32 = 40;
const INDEX_SIZE_BITS: u32 = 6;
/// Entries that a probe looks at together.
const INDEX_TOGETHER: u64 = 2;

/// Where an index is: offset / 8 (low 40 bits), by how much a hash is shifted right to be a place in it (6
/// bits: 64 - log2 of its entries, of which there are two at least), and a turn (18 bits) that is counted
/// up with each index of the table, so that an index of the same size at the same
/// place is told from the one that was there before. 0 is no index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexRef(pub u64);

impl IndexRef {
    /// The reference to an index of `1 << log2` entries at `offset`; `log2` from 1 on.
    pub const fn new(offset: u64, log2: u32, turn: u64) -> Self {
        debug_assert!(offset.is_multiple_of(8) && offset / 8 < 1 << INDEX_OFFSET_BITS);
        debug_assert!(log2 > 0 && log2 < 1 << INDEX_SIZE_BITS);
        let turn = turn << (INDEX_OFFSET_BITS + INDEX_SIZE_BITS);
        Self((offset / 8) | ((64 - log2 as u64) << INDEX_OFFSET_BITS) | turn)
    }

    /// Whether there is none: the table is gone.
    #[inline]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Its offset.
    #[inline]
    pub const fn offset(self) -> u64 {
        (self.0 & ((1 << INDEX_OFFSET_BITS) - 1)) * 8
    }

    /// Bits by which a hash is shifted right to be a place in it.
    #[inline]
    pub const fn shift(self) -> u32 {
        (self.0 >> INDEX_OFFSET_BITS) as u32 & 0x3F
    }

    /// Number of its entries.
    #[inline]
    pub const fn entries(self) -> usize {
        1 << ((64 - self.shift()) % 64)
    }

    /// Its turn.
    pub const fn turn(self) -> u64 {
        self.0 >> (INDEX_OFFSET_BITS + INDEX_SIZE_BITS)
    }
}

/// Where the hash tag begins in an index entry.
pub const TAG_SHIFT: u32 = 48;
/// The offset / 8 in an index entry.
pub const ENTRY_OFFSET: u64 = (1 << TAG_SHIFT) - 1;
/// Set in the tag of every row.
pub const TAG_MARK: u64 = 1 << TAG_SHIFT;
/// An entry whose row is gone.
pub const TOMBSTONE: u64 = TAG_MARK << 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn references_keep_their_parts_at_the_edges() {
        let block = BlockRef::new(MOST_RESERVE - 8, crate::limits::ROW_BYTES);
        assert_eq!((block.offset(), block.bytes()), (MOST_RESERVE - 8, crate::limits::ROW_BYTES));
        assert_eq!(BlockRef::new(8, 9).words(), 2);
        let last = (8 << INDEX_OFFSET_BITS) - 8;
        let index = IndexRef::new(last, 41, 0x3_FFFF);
        assert_eq!((index.offset(), index.entries(), index.turn()), (last, 1 << 41, 0x3_FFFF));
        assert_eq!(IndexRef::new(8, 3, 0x4_0000).turn(), 0, "the turn wraps");
        assert!(BlockRef::NONE.is_none() && IndexRef(0).is_none());
    }

    #[test]
    fn a_row_of_eight_integers_is_104_bytes_in_front() {
        let shape = SlotShape::new(8);
        assert_eq!((shape.head, shape.version, shape.front * 8), (9, 12, 104));
        assert_eq!(shape.together, 32, "3.3 KB, and twice as many would be more than a page");
        assert_eq!((shape.place(64, 0), shape.place(64, 31)), (80, 80 + 31 * 104));
        assert_eq!(shape.place(64, 32), 80 + shape.bytes(32));
        let last = shape.place(64, 31) + shape.span() as u64 * 8;
        assert!(last <= shape.place(64, 32), "a back lies within its group");
        assert_eq!(SlotShape::new(1000).together, 8);
    }
}
