//! The two clocks: wall time for what is told to people, monotonic time for the heartbeat.

pub(crate) use shmirror_shm::clock::monotonic_ns;

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01 UTC.
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
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
    fn wall_time_has_six_digits_and_a_z() {
        assert_eq!(super::rfc3339(1_700_000_000_000_007), "2023-11-14T22:13:20.000007Z");
    }
}
