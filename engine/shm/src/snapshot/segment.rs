//! A segment as its readers have it: the header, believed once it was checked.

use std::sync::Arc;

use super::catalogue::{self, SegmentCatalogue};
use super::error::ReadError;
use super::layout::{HEADER_BYTES, MAGIC, MOST_RESERVE};
use crate::header_at;
use crate::layout::{LAYOUT_HASH, LAYOUT_VERSION};
use crate::pillar::Pillar;
use crate::region::Region;
use crate::sync::Ordering;
use crate::{ShmError, words::copy_words};

/// One generation's segment, mapped for reading (or the daemon's own mapping). Any thread.
#[derive(Debug)]
pub struct Segment {
    region: Arc<Region>,
    instance: [u8; 16],
    generation: u64,
    seed: u64,
}

impl Segment {
    /// Takes a mapping as a segment.
    ///
    /// # Errors
    /// It is none, or of another layout; both sides are named.
    pub fn open(region: Arc<Region>) -> Result<Arc<Self>, ShmError> {
        let what = "snapshot segment";
        if region.len() < HEADER_BYTES {
            return Err(ShmError::TooSmall { what, found: region.len(), expected: HEADER_BYTES });
        }
        let word = |offset: u64| match region.word(offset) {
            Some(word) => word.load(Ordering::Acquire),
            None => 0, // never: the header is inside
        };
        let found = word(header_at!(magic));
        if found != MAGIC {
            return Err(ShmError::BadMagic { what, found, expected: MAGIC });
        }
        let found = word(header_at!(layout_hash));
        if found != LAYOUT_HASH || word(header_at!(layout_version)) != LAYOUT_VERSION {
            return Err(ShmError::LayoutMismatch { found, expected: LAYOUT_HASH });
        }
        let field = |field, found, expected| ShmError::BadField { what, field, found, expected };
        let reserve = word(header_at!(reserve));
        if reserve > region.len() || reserve > MOST_RESERVE {
            return Err(field("reserve", reserve, region.len()));
        }
        let populated = word(header_at!(populated));
        if populated > reserve || populated < HEADER_BYTES {
            return Err(field("populated", populated, reserve));
        }
        let mut instance = [0u64; 2];
        if let Some(words) = region.words(header_at!(instance), 2) {
            copy_words(words, &mut instance);
        }
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&instance[0].to_le_bytes());
        bytes[8..].copy_from_slice(&instance[1].to_le_bytes());
        let generation = word(header_at!(generation));
        let seed = word(header_at!(seed));
        Ok(Arc::new(Self { region, instance: bytes, generation, seed }))
    }

    #[inline]
    fn header(&self, offset: u64, order: Ordering) -> u64 {
        self.region.word(offset).map_or(0, |word| word.load(order))
    }

    /// The newest published revision; 0 once the mapping is vacated.
    #[inline]
    pub fn revision(&self) -> u64 {
        self.header(header_at!(revision), Pillar::AsOfRevision.order(Ordering::Acquire))
    }

    /// CLOCK_MONOTONIC, in nanoseconds, when the daemon last said that it lives.
    pub fn heartbeat(&self) -> u64 {
        self.header(header_at!(heartbeat), Ordering::Relaxed)
    }

    /// CLOCK_MONOTONIC, in nanoseconds, when the newest group became durable: that of
    /// [`Segment::revision`], if asked for after it, or of one that is about to be published. 0 where
    /// none became durable in this daemon's life.
    #[inline]
    pub fn committed(&self) -> u64 {
        self.header(header_at!(committed), Ordering::Relaxed)
    }

    /// Whether a newer generation has taken over, or the mapping is vacated.
    #[inline]
    pub fn is_retired(&self) -> bool {
        self.header(header_at!(retired), Ordering::Acquire) != 0
            || self.header(header_at!(magic), Ordering::Relaxed) != MAGIC
    }

    /// Bytes from the start that have memory behind them.
    pub fn populated(&self) -> u64 {
        self.header(header_at!(populated), Ordering::Relaxed)
    }

    /// Which life of the segment this is.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The instance's id.
    pub fn instance(&self) -> [u8; 16] {
        self.instance
    }

    /// The mapping.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    /// Schema version of the published catalogue, 0 where there is none. A few loads.
    pub fn schema_version(&self) -> u64 {
        catalogue::schema_version(&self.region)
    }

    /// The published catalogue, copied out and checked.
    ///
    /// # Errors
    /// [`ReadError::Moved`] where none is published or the mapping is vacated; a catalogue that is
    /// none.
    pub fn catalogue(&self) -> Result<SegmentCatalogue, ReadError> {
        catalogue::read(&self.region)
    }
}
