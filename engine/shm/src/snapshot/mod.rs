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
#[cfg_attr(loom, path = "models/arena.rs")]
mod arena;
pub mod catalogue;
pub mod cell;
pub mod copy;
mod fast;
pub mod many;
pub mod pinned;
pub mod prepare;
mod publish;
mod rebuild;
pub mod rowbuf;
pub mod scan;
pub mod segment;
mod slot;
mod storage;
pub mod view;
pub mod writer;

pub use error::{CellError, ReadError, SegmentError};

pub use catalogue::{PreparedCatalogue, SegmentCatalogue};
pub use cell::{CellSite, CellValue};
pub use copy::{TableCopy, TableCopyError};
pub use pinned::PinnedCell;
pub use prepare::{Prepared, RowChange};
pub use rowbuf::RowBuf;
pub use scan::{ScanBuf, ScanRow};
pub use segment::Segment;
pub use view::TableView;
pub use writer::{FORESEEN, Located, SegmentWriter};

#[cfg(all(test, loom))]
pub(crate) mod models;
