//! The catalogue in the segment: where each table's header is, and the archive that describes it.
//!
//! It stands under a latch like a row: the version before stays readable until the next is written,
//! and a reader takes the one that holds at the published revision.

use std::collections::HashSet;

use super::arena::Arena;
use super::error::{ReadError, SegmentError};
use super::index::Space;
use super::layout::{BlockRef, CATALOGUE_WORDS, CatalogueVersion};
use super::writer::SegmentWriter;
use crate::catalogue::Catalogue;
use crate::header_at;
use crate::latch::{Latch, latch_words};
use crate::layout::{FNV_START, fold};
use crate::pillar::Pillar;
use crate::region::Region;
use crate::sync::{AtomicU64, Ordering};
use crate::words::{copy_words, store_words};

/// Most bytes of a catalogue's block.
const MOST_BYTES: usize = 32 << 20;
const TRIES: u32 = 64;

const BLOCK: usize = core::mem::offset_of!(CatalogueVersion, block) / 8;
const CHECK: usize = core::mem::offset_of!(CatalogueVersion, check) / 8;
const SCHEMA: usize = core::mem::offset_of!(CatalogueVersion, schema_version) / 8;
const REVISION: usize = core::mem::offset_of!(CatalogueVersion, revision) / 8;

/// The catalogue as readers find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentCatalogue {
    /// Tables and schema objects.
    pub catalogue: Catalogue,
    /// For each table its id and the offset of its header.
    pub places: Vec<(u32, u64)>,
}

impl SegmentCatalogue {
    /// The offset of the header of table `id`.
    pub fn place(&self, id: u32) -> Option<u64> {
        self.places.iter().find(|(table, _)| *table == id).map(|(_, place)| *place)
    }
}

/// A catalogue for which all memory is taken and filled.
#[must_use = "its memory is taken until it is published or abandoned"]
pub struct PreparedCatalogue {
    block: BlockRef,
    check: u64,
    schema_version: u64,
    listed: HashSet<(u32, u32)>,
}

impl PreparedCatalogue {
    /// Whether it has this table in this shape.
    pub(super) fn lists(&self, table: u32, shape: u32) -> bool {
        self.listed.contains(&(table, shape))
    }
}

/// The blocks of the two versions under the latch.
#[derive(Default)]
pub(super) struct CatalogueSlot {
    present: BlockRef,
    before: BlockRef,
}

impl SegmentWriter {
    /// Takes the memory for a catalogue, all of whose tables have storage.
    ///
    /// # Errors
    /// No memory; a table without storage.
    pub fn prepare_catalogue(
        &mut self,
        catalogue: &Catalogue,
    ) -> Result<PreparedCatalogue, SegmentError> {
        let archive = catalogue.to_bytes()?;
        let mut words = vec![archive.len() as u64, catalogue.tables.len() as u64];
        let mut listed = HashSet::new();
        for def in &catalogue.tables {
            let (table, shape) = (def.id, def.shape);
            let storage =
                self.by_shape.get(&(table, shape)).and_then(|&at| self.tables[at].as_ref());
            let storage = storage.ok_or(SegmentError::UnknownTable { table, shape })?;
            words.extend([u64::from(table), storage.place]);
            listed.insert((table, shape));
        }
        let start = words.len();
        words.resize(start + archive.len().div_ceil(8), 0);
        zerocopy::IntoBytes::as_mut_bytes(&mut words[start..])[..archive.len()]
            .copy_from_slice(&archive);
        let bytes = words.len() * 8;
        if bytes > MOST_BYTES {
            return Err(SegmentError::TooLarge { table: 0, found: bytes, allowed: MOST_BYTES });
        }
        let offset = self.with_room(|w| w.arena.take(words.len()))?;
        store_words(self.arena.own(offset, words.len()), &words);
        Ok(PreparedCatalogue {
            block: BlockRef::new(offset, bytes),
            check: fold(FNV_START, &words),
            schema_version: catalogue.schema_version,
            listed,
        })
    }

    /// Gives back what was taken for `prepared`.
    pub fn abandon_catalogue(&mut self, prepared: PreparedCatalogue) {
        self.arena.give(prepared.block.offset(), prepared.block.words());
    }

    /// Writes the next version under the latch; the tables (id, shape) that it lists.
    pub(super) fn store_catalogue(
        &mut self,
        prepared: PreparedCatalogue,
        revision: u64,
    ) -> HashSet<(u32, u32)> {
        latch(self.arena.region()).write(|words| {
            words[BLOCK].store(prepared.block.0, Ordering::Relaxed);
            words[CHECK].store(prepared.check, Ordering::Relaxed);
            words[SCHEMA].store(prepared.schema_version, Ordering::Relaxed);
            words[REVISION].store(revision, Ordering::Relaxed);
        });
        self.catalogue.turn(&mut self.arena, prepared.block);
        prepared.listed
    }
}

impl CatalogueSlot {
    fn turn(&mut self, arena: &mut Arena, block: BlockRef) {
        let gone = core::mem::replace(&mut self.before, self.present);
        self.present = block;
        if !gone.is_none() {
            arena.give(gone.offset(), gone.words());
        }
    }
}

fn latch(region: &Region) -> Latch<'_> {
    region
        .words(header_at!(catalogue), latch_words(CATALOGUE_WORDS))
        .and_then(|words| Latch::new(words, CATALOGUE_WORDS))
        .expect("a segment is at least as long as its header")
}

/// One version of the catalogue as a reader sees it.
struct Seen {
    words: [u64; CATALOGUE_WORDS],
}

/// Reads the version of the catalogue that holds at the published revision; `then` reads what it
/// refers to. `None` where none was published yet.
fn as_of_now<T>(
    region: &Region,
    then: impl Fn(&Seen) -> Result<T, ReadError>,
) -> Result<Option<T>, ReadError> {
    let latch = latch(region);
    let revision = region
        .word(header_at!(revision))
        .ok_or(ReadError::Corrupt { what: "header", offset: 0 })?;
    for _ in 0..TRIES {
        let now = revision.load(Pillar::AsOfRevision.order(Ordering::Acquire));
        let entry = latch.enter();
        let n = entry.version();
        if n == 0 {
            return Ok(None);
        }
        let seen = Seen::copy(latch.newest(entry));
        if !latch.holds(entry) {
            continue;
        }
        if seen.words[REVISION] <= now {
            let found = then(&seen);
            if latch.holds(entry) {
                return found.map(Some);
            }
            continue;
        }
        // It is for a revision that is being published: the one before holds until then.
        if n == 1 {
            return Ok(None);
        }
        let seen = Seen::copy(latch.previous());
        if !latch.holds_previous(entry) || seen.words[REVISION] > now {
            continue;
        }
        let found = then(&seen);
        if latch.holds_previous(entry) {
            return found.map(Some);
        }
    }
    Err(ReadError::Contended { tries: TRIES })
}

impl Seen {
    fn copy(version: &[AtomicU64]) -> Self {
        let mut words = [0; CATALOGUE_WORDS];
        copy_words(version, &mut words);
        Self { words }
    }
}

/// Schema version of the published catalogue; 0 where there is none, or too many were published
/// meanwhile.
pub(super) fn schema_version(region: &Region) -> u64 {
    as_of_now(region, |seen| Ok(seen.words[SCHEMA])).ok().flatten().unwrap_or(0)
}

/// The published catalogue, copied out and checked.
pub(super) fn read(region: &Region) -> Result<SegmentCatalogue, ReadError> {
    let read = as_of_now(region, |seen| {
        let block = BlockRef(seen.words[BLOCK]);
        let corrupt = ReadError::Corrupt { what: "catalogue", offset: block.offset() };
        if block.bytes() > MOST_BYTES {
            return Err(corrupt);
        }
        let shared = Space::words(region, block.offset(), block.words()).ok_or(corrupt)?;
        let mut words = vec![0; shared.len()];
        copy_words(shared, &mut words);
        Ok((words, seen.words[CHECK], corrupt))
    })?;
    // None was published, or the mapping is vacated.
    let (words, check, corrupt) = read.ok_or(ReadError::Moved)?;
    if fold(FNV_START, &words) != check {
        return Err(corrupt);
    }
    parse(&words).ok_or(corrupt)
}

fn parse(words: &[u64]) -> Option<SegmentCatalogue> {
    let (&[bytes, tables], rest) = words.split_first_chunk::<2>()?;
    let tables = usize::try_from(tables).ok()?;
    let places = rest.get(..tables.checked_mul(2)?)?;
    let archive = zerocopy::IntoBytes::as_bytes(&rest[places.len()..]);
    let catalogue = Catalogue::from_bytes(archive.get(..usize::try_from(bytes).ok()?)?).ok()?;
    let places = places.as_chunks::<2>().0.iter();
    let places = places.map(|&[id, place]| Some((u32::try_from(id).ok()?, place)));
    Some(SegmentCatalogue { catalogue, places: places.collect::<Option<_>>()? })
}
