//! Retention: the oldest groups leave the log when they are too old or the log is too long, but
//! never one that the checkpoint has not passed.
//!
//! A group has the wall time of its commit, and a wall clock can be set: on by ten years by mistake, or by
//! fifty where a machine without a battery has found its time server. So age is what two clocks agree on: a
//! group is too old when it is so by the wall clock and by the [`Age`] of the log, which goes on as time passes
//! and no faster. What a wrong clock can do is keep groups for longer, up to the bytes that the log may have.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension};

use crate::error::{StoreError, sqlite};
use crate::store::{Store, Synchronous};

/// Most groups, and about the most sealed bytes, that one step removes.
const STEP_GROUPS: i64 = 512;
const STEP_BYTES: u64 = 16 << 20;

/// The time that a log has come to: when its newest group was committed, as it was opened, and on from there by
/// the monotonic clock. Time in which nobody had it open does not count.
pub(crate) struct Age {
    opened_at: Duration,
    since: Instant,
}

impl Age {
    /// Of the log in `conn`.
    pub fn of(conn: &Connection, path: &std::path::Path) -> Result<Self, StoreError> {
        let sql = "SELECT at FROM commit_log ORDER BY first_revision DESC LIMIT 1";
        let newest = conn.query_row(sql, [], |r| r.get::<_, i64>(0)).optional();
        let newest = newest.map_err(sqlite(path, "reading commit_log"))?;
        let opened_at = newest.map_or_else(wall, |at| Duration::from_micros(at.max(0) as u64));
        Ok(Self { opened_at, since: Instant::now() })
    }

    /// What both clocks say that it is at least.
    fn now(&self) -> Duration {
        wall().min(self.opened_at.saturating_add(self.since.elapsed()))
    }
}

/// The wall clock, since 1970-01-01 UTC.
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Store {
    /// Removes the oldest groups that the log need not keep; the number of groups removed. 0 means
    /// that there is nothing to do. Needs no sync of the disk.
    ///
    /// # Errors
    /// As [`Store::commit`]; nothing changed then.
    pub fn trim_step(&mut self) -> Result<usize, StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let keep_from = self.age.now().saturating_sub(self.options.log_keep).as_micros();
        let keep_from = i64::try_from(keep_from).unwrap_or(i64::MAX);
        let mut state = self.state.clone();
        let (path, sealer, blob) = (&self.path, &mut self.sealer, &mut self.blob);
        let reading = sqlite(path, "trimming commit_log");
        let leaving = {
            let sql = "SELECT first_revision, last_revision, at, length(sealed) FROM commit_log \
                       WHERE last_revision <= ?1 ORDER BY first_revision LIMIT ?2";
            let mut select = live.conn().prepare_cached(sql).map_err(&reading)?;
            let mut rows =
                select.query((state.checkpoint as i64, STEP_GROUPS)).map_err(&reading)?;
            let (mut leaving, mut bytes) = (Vec::new(), 0u64);
            while let Some(row) = rows.next().map_err(&reading)? {
                let (first, last, at, length): (i64, i64, i64, i64) =
                    row.try_into().map_err(&reading)?;
                let too_long = state.log_bytes > self.options.log_keep_bytes;
                if bytes >= STEP_BYTES || (at >= keep_from && !too_long) {
                    break;
                }
                bytes += length as u64;
                state.log_bytes = state.log_bytes.saturating_sub(length as u64);
                state.log_first = last as u64 + 1;
                leaving.push(first);
            }
            leaving
        };
        if leaving.is_empty() {
            return Ok(0);
        }
        live.transaction(path, "trimming commit_log", Synchronous::Normal, |conn| {
            let sql = "DELETE FROM commit_log WHERE first_revision = ?1";
            let mut delete = conn.prepare_cached(sql).map_err(&reading)?;
            for first in &leaving {
                delete.execute([first]).map_err(&reading)?;
            }
            state.write(conn, sealer, blob)
        })?;
        self.state = state;
        Ok(leaving.len())
    }

    /// Oldest revision that the log holds; newest + 1 where it is empty.
    pub fn oldest(&self) -> u64 {
        self.state.log_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten years.
    const FAR: Duration = Duration::from_secs(3652 * 86_400);

    #[test]
    fn a_log_ages_by_the_slower_clock() {
        let age = |opened_at| Age { opened_at, since: Instant::now() };
        // Its newest group is of ten years ago, or the clock is ten years ahead: nobody can tell.
        let before = wall() - FAR;
        let old = age(before);
        std::thread::sleep(Duration::from_millis(2));
        let now = old.now();
        assert!(
            now >= before + Duration::from_millis(2)
                && now <= wall() - FAR + Duration::from_secs(1)
        );
        // Its newest group was committed by a clock that was ahead.
        let ahead = age(wall() + FAR).now();
        assert!(ahead <= wall() && ahead + Duration::from_secs(1) > wall());
    }
}
