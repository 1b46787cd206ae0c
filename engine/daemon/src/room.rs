//! Room in the segment: when its reserve is used up, a larger segment takes its place.

use shmirror_shm::snapshot::{RowChange, SegmentError, SegmentWriter};

/// Most times that a reserve is doubled for one thing.
pub(crate) const DOUBLINGS: usize = 16;

/// Whether what is left of the reserve may not do for `changes`: by a generous guess, so that the
/// copy that a second try needs is made only where there may be one.
pub(crate) fn may_be_short(segment: &SegmentWriter, changes: &[RowChange]) -> bool {
    let image = |c: &RowChange| c.image.as_ref().map_or(0, |i| i.as_ref().words().len() * 8);
    let bytes: usize = changes.iter().map(|c| 4 * image(c) + 256).sum();
    let used = segment.used_bytes();
    segment.reserve_bytes() < used + used / 2 + bytes as u64 + (16 << 20)
}

/// Does `work`, after making room with `grow` (which is told how many bytes are needed) as often as
/// the reserve is used up.
pub(crate) fn with_room<S, T, E: From<SegmentError>>(
    state: &mut S,
    mut work: impl FnMut(&mut S) -> Result<T, SegmentError>,
    mut grow: impl FnMut(&mut S, u64) -> Result<(), E>,
) -> Result<T, E> {
    for _ in 0..DOUBLINGS {
        match work(state) {
            Err(SegmentError::Full { needed, .. }) => grow(state, needed)?,
            done => return Ok(done?),
        }
    }
    Ok(work(state)?)
}

/// A segment with everything that `present` has and room for `needed` bytes and as much again. Its
/// catalogue is for the caller to publish.
pub(crate) fn larger(
    present: &SegmentWriter,
    instance: [u8; 16],
    generation: u64,
    needed: u64,
) -> Result<SegmentWriter, SegmentError> {
    let reserve = needed.max(present.reserve_bytes()).saturating_mul(2);
    rebuilt(present, instance, generation, reserve)
}

/// A segment of `reserve` bytes with everything that `present` has, but for the catalogue.
pub(crate) fn rebuilt(
    present: &SegmentWriter,
    instance: [u8; 16],
    generation: u64,
    reserve: u64,
) -> Result<SegmentWriter, SegmentError> {
    let mut next = SegmentWriter::create(instance, generation, reserve)?;
    next.region().lock_pages(present.region().locks_pages());
    present.rebuild_into(&mut next)?;
    Ok(next)
}
