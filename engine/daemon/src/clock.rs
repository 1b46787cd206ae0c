//! The two clocks: wall time for what is told to people, monotonic time for the heartbeat.

pub(crate) use shmirror_shm::clock::monotonic_ns;

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// Steps of the wall clock backwards that are not followed: it stands still until it has caught up, so that
/// times in the log go the way of its revisions.
const HELD_BACK_US: i64 = 10_000_000;

/// Now, for what comes after something of `last_us`: not before that, unless the clock was set back further
/// than it may be held. Then it was wrong, and to stay with it would make all times wrong for as long.
pub(crate) fn now_after(last_us: i64) -> i64 {
    following(last_us, now_us())
}

fn following(last_us: i64, now_us: i64) -> i64 {
    let back = last_us.saturating_sub(now_us);
    if (0..=HELD_BACK_US).contains(&back) { last_us } else { now_us }
}

/// A wall time as RFC 3339 with microseconds, UTC.
pub(crate) fn rfc3339(us: i64) -> String {
    match jiff::Timestamp::from_microsecond(us) {
        Ok(t) => format!("{t:.6}"),
        Err(_) => format!("{us} µs"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_steps_back_are_held_and_others_followed() {
        let now = 1_700_000_000_000_000;
        let step = super::HELD_BACK_US;
        for (last, found) in [
            (0, now),
            (now - 1, now),
            (now + 1, now + 1),
            (now + step, now + step),
            (now + step + 1, now),
        ] {
            assert_eq!(super::following(last, now), found, "after {last}");
        }
    }

    #[test]
    fn wall_time_has_six_digits_and_a_z() {
        assert_eq!(super::rfc3339(1_700_000_000_000_007), "2023-11-14T22:13:20.000007Z");
    }
}
