//! Several sources of events, each in the order of revisions, made one.
//!
//! In: sources, one for each namespace. Out: their events by (revision, number of the namespace), those
//! of one source in its own order.
//!
//! Each source has a **bound**: the revision of the event that it has ready or, where it has none, the
//! lowest that its next event can have. That is known because every lane is stepped to the newest
//! revision with every group, also where nothing of it is in that namespace. A source's next event
//! stands at (bound, number) or behind it, and bounds never fall. So the event at the least (bound,
//! number) of all may be told: whatever any source still brings stands at its own (bound, number) or
//! behind that, hence behind what is told; and within a source nothing is passed over. If the source
//! with the least has nothing ready, nothing may be told: its next event may stand before all that
//! the others have. It is then read on. That either brings an event, or raises its bound past
//! all that was announced, so that another source has the least; or it leaves the bound as it is, as
//! its lane was not yet stepped, or its daemon is gone. Then what the others have ready is **held**.
//! The daemon steps its lanes one shortly after another, and wakes nobody for a step alone: who
//! waits while something is held looks again soon.
//!
//! A source that loses its daemon keeps its bound, and goes on there with the next one (see
//! [`Position`](crate::position::Position)), so neither a restart nor the moment of it matters here. One
//! that is taken away, as its namespace may no longer be seen, holds up nobody.

use crate::error::Error;
use crate::event::Event;

/// Events in the order of revisions.
pub(crate) trait Source {
    /// Number of the namespace, by which events of one revision are ordered.
    fn number(&self) -> u16;
    /// Nothing before this revision comes any more.
    fn bound(&self) -> u64;
    /// Whether an event is ready.
    fn is_ready(&self) -> bool;
    /// The next event that is ready.
    fn pop(&mut self) -> Option<Event>;
    /// Reads until something is ready, or until there is nothing to read. Waits for nothing but the
    /// daemon's answers.
    fn fill(&mut self) -> Result<Filled, Error>;
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// Something is ready.
    Ready,
    /// All there is was read.
    Idle,
    /// Something is ready that may not be told yet.
    Held,
    /// There is no daemon.
    Away,
}

/// The source that is to be told next, or read on.
fn least<S: Source>(sources: &[S]) -> Option<usize> {
    let place = |i: &usize| (sources[*i].bound(), sources[*i].number());
    (0..sources.len()).min_by_key(place)
}

/// Nothing before this revision comes any more from any source.
pub(crate) fn bound<S: Source>(sources: &[S]) -> Option<u64> {
    sources.iter().map(S::bound).min()
}

/// Reads until an event may be told, or until there is nothing to read. An error comes with the index of
/// its source.
pub(crate) fn fill<S: Source>(sources: &mut [S]) -> Result<Filled, (usize, Error)> {
    if let [only] = sources {
        return only.fill().map_err(|e| (0, e));
    }
    loop {
        let Some(first) = least(sources) else { return Ok(Filled::Idle) };
        if sources[first].is_ready() {
            return Ok(Filled::Ready);
        }
        let before = sources[first].bound();
        let filled = sources[first].fill().map_err(|e| (first, e))?;
        if sources[first].is_ready() || sources[first].bound() > before {
            continue;
        }
        for (i, source) in sources.iter_mut().enumerate() {
            if i != first && !source.is_ready() {
                source.fill().map_err(|e| (i, e))?;
            }
        }
        let held = sources.iter().any(S::is_ready);
        return Ok(if held && filled == Filled::Idle { Filled::Held } else { filled });
    }
}

/// The event that may be told, once [`fill`] said that there is one.
pub(crate) fn pop<S: Source>(sources: &mut [S]) -> Option<Event> {
    least(sources).and_then(|first| sources[first].pop())
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
