//! How long outcomes take of late, so that who waits for one can look for it when it is due.
//!
//! Waking a thread takes a good part of the time that a commit takes. So who waits sleeps until shortly
//! before the usual time is over, and then looks, for [`MARGIN`] before it and as long after it, at most.
//!
//! ```text
//! asked ──── sleeps ────┬──── looks ────┬──── looks ────┬──── sleeps until woken
//!                       usual - margin  usual           usual + margin
//! ```
//! Waking up takes time as well. An outcome that is there already when the look begins is taken to have come at
//! the time at which it was to begin, and so looks begin sooner until they are in time.
//!
//! Looks in vain cost others a processor. After one there is none for the next wait, after another for the
//! next three, and so on up to [`MOST_PENANCE`]; one that was of use forgives all.

use core::time::Duration;
use std::time::Instant;

use crate::futex;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Longest look on either side of the usual time; half of the usual time where that is less.
const MARGIN: Duration = Duration::from_micros(100);
/// Where outcomes take longer, what waking takes does not matter.
const LONG: Duration = Duration::from_millis(2);
/// Most waits without looking, after looks in vain.
const MOST_PENANCE: u32 = 63;

/// What is known of the time that outcomes take. Threads share it; that they overwrite each other's
/// words makes an estimate no worse.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Nanoseconds; 0: not known.
    usual: AtomicU64,
    /// Waits without looking after the last look in vain.
    penance: AtomicU32,
    /// How many of them are left.
    left: AtomicU32,
}

/// When to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub from: Instant,
    pub until: Instant,
}

impl Pace {
    /// When to look for an outcome that is waited for since `begun`; `None`: not at all.
    pub fn plan(&self, begun: Instant) -> Option<Plan> {
        let usual = Duration::from_nanos(self.usual.load(Ordering::Relaxed));
        if usual.is_zero() || usual > LONG || !futex::may_look() {
            return None;
        }
        let left = self.left.load(Ordering::Relaxed);
        if left > 0 {
            self.left.store(left - 1, Ordering::Relaxed);
            return None;
        }
        let margin = MARGIN.min(usual / 2);
        Some(Plan { from: begun + usual - margin, until: begun + usual + margin })
    }

    /// An outcome was there after so long.
    pub fn took(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let usual = self.usual.load(Ordering::Relaxed);
        // One that took very long says little of the next.
        let next = if usual == 0 { time } else { (7 * usual + time.min(8 * usual)) / 8 };
        self.usual.store(next.max(1), Ordering::Relaxed);
    }

    /// The outcome of a wait that was begun then was there when the look that was planned began. Who was woken,
    /// or slept longer than meant, sees it late, so that no more is known than that it came before the look.
    /// Taken for the time that it took, it would have the next look begin too late as well.
    pub fn came_before(&self, begun: Instant, plan: &Plan) {
        self.looked(true);
        self.took(begun.elapsed().min(plan.from.saturating_duration_since(begun)));
    }

    /// Looking was of use, or in vain.
    pub fn looked(&self, of_use: bool) {
        let penance = match self.penance.load(Ordering::Relaxed) {
            _ if of_use => 0,
            penance => (2 * penance + 1).min(MOST_PENANCE),
        };
        self.penance.store(penance, Ordering::Relaxed);
        self.left.store(penance, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn it_looks_around_the_usual_time_and_never_for_long() {
        if !futex::may_look() {
            return;
        }
        let (pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.plan(begun), None, "nothing is known");
        pace.took(us(300));
        assert_eq!(pace.plan(begun), Some(Plan { from: begun + us(200), until: begun + us(400) }));
        (0..100).for_each(|_| pace.took(us(60)));
        let plan = pace.plan(begun).unwrap();
        assert!(plan.from - begun >= us(29) && plan.until - begun <= us(100), "{plan:?}");
        // One that took for ever is soon forgotten, and many are believed.
        pace.took(Duration::from_secs(10));
        assert!(pace.plan(begun).unwrap().until - begun < us(250));
        (0..100).for_each(|_| pace.took(Duration::from_secs(10)));
        assert_eq!(pace.plan(begun), None);
    }

    #[test]
    fn who_always_comes_too_late_looks_sooner() {
        if !futex::may_look() {
            return;
        }
        let pace = Pace::default();
        // What takes so long is seen so much later by who sleeps.
        let (real, late) = (us(225), us(100));
        pace.took(real + late);
        let mut in_time = 0;
        for _ in 0..100 {
            let begun = Instant::now().checked_sub(real + late).unwrap();
            let plan = pace.plan(begun).unwrap();
            if plan.from + late < begun + real {
                in_time += 1;
                pace.looked(true);
                pace.took(real);
            } else {
                pace.came_before(begun, &plan);
            }
        }
        assert!(in_time > 50, "{in_time} of 100");
    }

    #[test]
    fn looks_in_vain_become_rare() {
        if !futex::may_look() {
            return;
        }
        let (pace, begun) = (Pace::default(), Instant::now());
        pace.took(us(300));
        let mut looks = 0;
        for _ in 0..1_000 {
            if pace.plan(begun).is_some() {
                looks += 1;
                pace.looked(false);
            }
        }
        assert!((10..=30).contains(&looks), "{looks}");
        while pace.plan(begun).is_none() {}
        pace.looked(true);
        assert!(pace.plan(begun).is_some() && pace.plan(begun).is_some());
    }
}
