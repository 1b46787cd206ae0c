//! The shared-memory core of shmirror.
//!
//! What flows in: descriptors of shared memory. What flows out: rows, records and outcomes in
//! private memory. All unsafe code on shared memory is in this crate.

pub mod archive;
pub mod catalogue;
pub mod clock;
pub mod error;
pub mod futex;
pub mod image;
pub mod key;
pub mod lane;
pub mod latch;
pub mod layout;
pub mod limits;
#[cfg(not(loom))]
mod memory;
#[cfg(all(test, loom))]
mod models;
pub mod mutex;
mod number_text;
pub mod packed;
mod pillar;
pub mod points;
pub mod record;
#[cfg(not(loom))]
pub mod region;
#[cfg(loom)]
#[path = "models/region.rs"]
pub mod region;
pub mod request;
#[cfg(not(loom))]
mod robust;
#[cfg(not(loom))]
pub mod signals;
pub mod snapshot;
pub mod socket_path;
pub mod sync;
pub mod value;
pub mod wire;
#[cfg(not(loom))]
pub mod wire_io;
pub mod words;

pub use archive::ArchiveError;
pub use error::ShmError;
pub use region::Region;
#[cfg(not(loom))]
pub use robust::process_id;
