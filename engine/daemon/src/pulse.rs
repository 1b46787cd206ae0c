//! The daemon's sign of life in the segment's header.
//!
//! The pipeline vouches for itself for a while at a time: briefly while it waits, longer before work
//! that may take long. The control thread beats as long as that holds. So readers see a daemon as
//! alive through a transaction of ten seconds, and as dead when its pipeline is stuck, or the
//! process is stopped or gone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;
use crate::instance::Published;

/// Time between two beats; readers take a daemon for dead after several.
pub(crate) const BEAT: Duration = Duration::from_millis(250);

/// Until when the pipeline vouches for itself, on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// Called by the pipeline: it is alive, and will be heard of again within `time`.
    pub fn vouch(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(clock::monotonic_ns().saturating_add(time), Ordering::Relaxed);
    }

    /// Called by the control thread, every [`BEAT`].
    pub fn beat(&self, published: &Published) {
        let now = clock::monotonic_ns();
        if now < self.0.load(Ordering::Relaxed) {
            published.all().iter().for_each(|(_, part)| part.beat(now));
        }
    }
}
