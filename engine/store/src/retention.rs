//! Retention: the oldest groups leave the log when they are too old or the log is too long, but
//! never one that the checkpoint has not passed.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{StoreError, sqlite};
use crate::store::{Store, Synchronous};

/// Most groups, and about the most sealed bytes, that one step removes.
const STEP_GROUPS: i64 = 512;
const STEP_BYTES: u64 = 16 << 20;

impl Store {
    /// Removes the oldest groups that the log need not keep; the number of groups removed. 0 means
    /// that there is nothing to do. Needs no sync of the disk.
    ///
    /// # Errors
    /// As [`Store::commit`]; nothing changed then.
    pub fn trim_step(&mut self) -> Result<usize, StoreError> {
        let Some(live) = self.live.as_mut() else { return Err(StoreError::NotRecovered) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let keep_from = now.saturating_sub(self.options.log_keep).as_micros();
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
