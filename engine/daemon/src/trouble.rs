//! One failure that goes on: the log tells of the first, and then now and then how many there were.

use std::time::{Duration, Instant};

/// Shortest time between two lines.
const APART: Duration = Duration::from_secs(1);

/// Failures of one kind.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    told: Option<Instant>,
    untold: u64,
}

impl Trouble {
    /// There was one at `now`: how many were not told since the last that was, if this one is to be.
    pub fn occurs(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.duration_since(told) < APART) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_how_many_there_were() {
        let (mut trouble, start) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.occurs(start), Some(0));
        for millis in [1, 500, 999] {
            assert_eq!(trouble.occurs(start + Duration::from_millis(millis)), None);
        }
        assert_eq!(trouble.occurs(start + Duration::from_millis(1_001)), Some(3));
        assert_eq!(trouble.occurs(start + Duration::from_millis(2_002)), Some(0));
    }
}
