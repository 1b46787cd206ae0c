//! What can be wrong with shared memory: one error enum for regions, segments and lanes.

use rustix::io::Errno;

/// A region that could not be made, mapped or trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShmError {
    /// A system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The system's reason.
        source: Errno,
    },
    /// The machine has no memory to back the pages.
    #[error("no memory for {wanted} bytes of shared memory at offset {offset}: {source}")]
    NoMemory {
        /// Bytes wanted.
        wanted: u64,
        /// Where they would have begun.
        offset: u64,
        /// The system's reason.
        source: Errno,
    },
    /// Shared memory that is shorter than it must be.
    #[error("{what} has {found} bytes, at least {expected} expected")]
    TooSmall {
        /// What is too short.
        what: &'static str,
        /// Bytes there are.
        found: u64,
        /// Bytes there must be.
        expected: u64,
    },
    /// An offset and length that lie outside of the region, or are not aligned.
    #[error("{what}: {length} bytes at offset {offset} are not inside of {size} bytes")]
    Bounds {
        /// What would lie there.
        what: &'static str,
        /// Where it would begin.
        offset: u64,
        /// How long it would be.
        length: u64,
        /// Bytes of the region.
        size: u64,
    },
    /// A descriptor without the seals that keep its owner from pulling it away under us.
    #[error("descriptor has seals {found:#x}, at least {expected:#x} expected")]
    NotSealed {
        /// Seals there are (`F_GET_SEALS`).
        found: u32,
        /// Seals there must be.
        expected: u32,
    },
    /// Memory of another kind.
    #[error("{what} begins with {found:#018x}, expected {expected:#018x}")]
    BadMagic {
        /// What was expected there.
        what: &'static str,
        /// First word found.
        found: u64,
        /// First word expected.
        expected: u64,
    },
    /// The other side was built with another layout.
    #[error(
        "layout {found:#018x} of the other side is not this build's {expected:#018x}: \
         daemon and client must be of one version"
    )]
    LayoutMismatch {
        /// The other side's layout hash.
        found: u64,
        /// This build's.
        expected: u64,
    },
    /// A header field that cannot be.
    #[error("{what}: {field} is {found}, expected {expected}")]
    BadField {
        /// Whose header.
        what: &'static str,
        /// Which field.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it must be, or its bound.
        expected: u64,
    },
}

impl ShmError {
    /// For `map_err` on a system call.
    #[cfg(not(loom))]
    pub(crate) fn system(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |source| Self::System { what, source }
    }
}
