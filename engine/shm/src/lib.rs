//! The shared-memory core of shmirror.
//!
//! What flows in: descriptors of shared memory. What flows out: rows, records and outcomes in
//! private memory. All unsafe code on shared memory is in this crate.

pub mod archive;
pub mod catalogue;
pub mod image;
pub mod key;
pub mod limits;
pub mod record;
pub mod request;
pub mod sync;
pub mod value;
pub mod wire;

pub use archive::ArchiveError;
