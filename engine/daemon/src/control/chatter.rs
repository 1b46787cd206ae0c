//! How many lines of the logs anybody can cause.
//!
//! Who attaches and leaves, is denied or talks nonsense is told of, and could do so in a loop until the disk
//! is full. So each user has an allowance of lines; what is beyond is counted, and the number told.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::logging::COMM;

/// Lines about one user at once.
const AT_ONCE: u32 = 1_000;
/// Time after which there may be one more.
const ONE_MORE: Duration = Duration::from_millis(500);
/// Shortest time between two lines that tell how many were withheld.
const TELL: Duration = Duration::from_secs(10);
/// Most users that have an allowance of their own.
const USERS: usize = 1_024;

/// What is left of an allowance, as of a moment, and what was withheld since that was last told.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    lines: u32,
    since: Instant,
    withheld: u64,
    told: Instant,
}

impl Allowance {
    fn refill(&mut self, now: Instant) {
        let more = now.duration_since(self.since).as_millis() / ONE_MORE.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX).min(AT_ONCE);
        self.lines = self.lines.saturating_add(more).min(AT_ONCE);
        self.since = if self.lines == AT_ONCE { now } else { self.since + ONE_MORE * more };
    }
}

/// The allowances of all users. `None` stands for all who may do nothing here: they share one.
#[derive(Debug, Default)]
pub(crate) struct Chatter(HashMap<Option<u32>, Allowance>);

impl Chatter {
    /// Whether another line may be written about `user`; it is taken for written then.
    pub fn may(&mut self, user: Option<u32>, now: Instant) -> bool {
        let is_new = !self.0.contains_key(&user);
        let user = if is_new && self.0.len() >= USERS { None } else { user };
        let whole = Allowance { lines: AT_ONCE, since: now, withheld: 0, told: now };
        let allowance = self.0.entry(user).or_insert(whole);
        allowance.refill(now);
        if let Some(left) = allowance.lines.checked_sub(1) {
            allowance.lines = left;
            return true;
        }
        allowance.withheld += 1;
        false
    }

    /// Tells how many lines were withheld, and forgets who has all of its allowance again.
    pub fn look(&mut self, now: Instant) {
        self.0.retain(|user, allowance| {
            allowance.refill(now);
            if allowance.withheld > 0 && now.duration_since(allowance.told) >= TELL {
                let uid = user.map_or("none of those admitted".to_owned(), |uid| uid.to_string());
                tracing::warn!(
                    target: COMM, uid, withheld = allowance.withheld,
                    "lines were withheld: there were too many about this user"
                );
                (allowance.withheld, allowance.told) = (0, now);
            }
            allowance.withheld > 0 || allowance.lines < AT_ONCE
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_fills_the_log_and_nobody_takes_the_lines_of_others() {
        let mut chatter = Chatter::default();
        let start = Instant::now();
        let mut said = |user, now| (0..50_000).filter(|_| chatter.may(user, now)).count() as u32;
        assert_eq!(said(Some(7), start), AT_ONCE);
        assert_eq!(said(Some(7), start), 0);
        assert_eq!(said(Some(8), start), AT_ONCE);
        assert_eq!(said(None, start), AT_ONCE);
        assert_eq!(said(Some(7), start + ONE_MORE * 10), 10);
        assert_eq!(said(Some(7), start + ONE_MORE * AT_ONCE * 9), AT_ONCE);
        assert_eq!(chatter.0[&Some(8)].withheld, 49_000);
        // Users without end have no allowances without end.
        for uid in 0..10_000 {
            chatter.may(Some(uid), start);
        }
        assert!(chatter.0.len() <= USERS + 1);
        let later = start + ONE_MORE * AT_ONCE * 20;
        chatter.look(later);
        chatter.look(later);
        assert!(chatter.0.is_empty(), "{:?}", chatter.0);
    }
}
