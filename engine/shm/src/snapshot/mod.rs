//! The snapshot segment: every published row, in one shared mapping that readers only read.
//!
//! What flows in: [`RowChange`]s of committed transactions, from the daemon's one writer thread.
//! What flows out: copies of rows, to any number of readers in any number of processes.
//!
//! ```text
//! layout     offsets and packed words, drawn once        slot     one version, copied whole
//! alloc      the writer's private books of free memory   index    key → slot
//! arena      mapping + books + populated pages           view     keyed reads of the newest version
//! storage    one table as its writer sees it             scan     a whole table as of one revision
//! writer     tables, look-ups, life of a generation      many     many keys as of one revision
//! prepare    all memory taken, filled aside              cell     one column, a few nanoseconds
//! publish    the order of the stores                     copy     a table between two commits
//! catalogue  what tables there are, under a latch        segment  the header, checked
//! ```

pub mod error;
pub mod index;
pub mod layout;

#[cfg(not(loom))]
mod alloc;
#[cfg(not(loom))]
mod arena;
#[cfg(not(loom))]
pub mod catalogue;
#[cfg(not(loom))]
pub mod cell;
#[cfg(not(loom))]
pub mod copy;
#[cfg(not(loom))]
mod fast;
#[cfg(not(loom))]
pub mod many;
#[cfg(not(loom))]
pub mod pinned;
#[cfg(not(loom))]
pub mod prepare;
#[cfg(not(loom))]
mod publish;
#[cfg(not(loom))]
mod rebuild;
#[cfg(not(loom))]
pub mod rowbuf;
#[cfg(not(loom))]
pub mod scan;
#[cfg(not(loom))]
pub mod segment;
#[cfg(not(loom))]
mod slot;
#[cfg(not(loom))]
mod storage;
#[cfg(not(loom))]
pub mod view;
#[cfg(not(loom))]
pub mod writer;

pub use error::{CellError, ReadError, SegmentError};

#[cfg(not(loom))]
pub use catalogue::{PreparedCatalogue, SegmentCatalogue};
#[cfg(not(loom))]
pub use cell::{CellSite, CellValue};
#[cfg(not(loom))]
pub use copy::{TableCopy, TableCopyError};
#[cfg(not(loom))]
pub use pinned::PinnedCell;
#[cfg(not(loom))]
pub use prepare::{Prepared, RowChange};
#[cfg(not(loom))]
pub use rowbuf::RowBuf;
#[cfg(not(loom))]
pub use scan::{ScanBuf, ScanRow};
#[cfg(not(loom))]
pub use segment::Segment;
#[cfg(not(loom))]
pub use view::TableView;
#[cfg(not(loom))]
pub use writer::{Located, SegmentWriter};
