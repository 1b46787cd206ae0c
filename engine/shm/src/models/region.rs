//! Shared memory in the models: a few words of loom's, in place of a mapping.

use rustix::io::Errno;

use crate::error::ShmError;
use crate::sync::AtomicU64;

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Words behind the first: what the models' segments need.
const WORDS: usize = 200;

/// Words of shared memory, of which fewer are there than it says.
#[derive(Debug)]
pub struct Region {
    words: Vec<AtomicU64>,
    bytes: u64,
}

impl Region {
    /// New memory, all of it 0.
    ///
    /// # Errors
    /// None.
    pub fn create(_name: &str, bytes: u64, _clients_write: bool) -> Result<Self, ShmError> {
        Ok(Self { words: (0..WORDS).map(|_| AtomicU64::new(0)).collect(), bytes })
    }

    /// Bytes that it is said to have.
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// The word at `offset`.
    pub fn word(&self, offset: u64) -> Option<&AtomicU64> {
        self.words(offset, 1)?.first()
    }

    /// `count` words from `offset` on: `None` if that is not a multiple of 8, or they are not all
    /// there.
    pub fn words(&self, offset: u64, count: usize) -> Option<&[AtomicU64]> {
        let start = usize::try_from(offset / 8).ok().filter(|_| offset.is_multiple_of(8))?;
        self.words.get(start..start.checked_add(count)?)
    }

    /// All words that are there.
    pub(crate) fn all(&self) -> &[AtomicU64] {
        &self.words
    }

    /// What `take` says when it has no more.
    pub fn exhausted(wanted: u64, offset: u64) -> ShmError {
        ShmError::NoMemory { wanted, offset, source: Errno::NOMEM }
    }
}
