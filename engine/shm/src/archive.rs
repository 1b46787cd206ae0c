//! rkyv archives of private, aligned copies: the only place that calls rkyv.

use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error as Rancor;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

/// An archive that could not be written, or bytes that are none.
#[derive(Debug, thiserror::Error)]
#[error("not a valid archive of {what}: {source}")]
pub struct ArchiveError {
    what: &'static str,
    source: Rancor,
}

/// The archive of `value`.
///
/// # Errors
/// rkyv's own (out of memory).
pub fn to_bytes<T>(value: &T) -> Result<Vec<u8>, ArchiveError>
where
    T: for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Rancor>>,
{
    rkyv::to_bytes::<Rancor>(value)
        .map(|v| v.into_vec())
        .map_err(|source| ArchiveError { what: core::any::type_name::<T>(), source })
}

/// The value in `bytes`, which are private memory of any alignment; every offset, tag and text is
/// checked first.
///
/// # Errors
/// The bytes are no archive of a `T`.
pub fn from_bytes<T>(bytes: &[u8]) -> Result<T, ArchiveError>
where
    T: Archive,
    T::Archived:
        for<'a> CheckBytes<HighValidator<'a, Rancor>> + Deserialize<T, HighDeserializer<Rancor>>,
{
    let mut aligned = AlignedVec::<16>::with_capacity(bytes.len());
    aligned.extend_from_slice(bytes);
    rkyv::from_bytes::<T, Rancor>(&aligned)
        .map_err(|source| ArchiveError { what: core::any::type_name::<T>(), source })
}
