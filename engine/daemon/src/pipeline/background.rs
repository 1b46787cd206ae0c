//! Work that waits for a pause: rows move from the log's tail to the checkpoint, old groups of the
//! log go, results that nobody fetched go. In small steps, so that a request never waits long.

use std::time::{Duration, Instant};

use super::Pipeline;

/// How long nothing must have come before rows are checkpointed.
const PAUSE: Duration = Duration::from_millis(500);
/// Waiting rows that are checkpointed without such a pause.
const DIRTY_LOW: usize = 20_000;
/// Rows of one step.
const STEP: usize = 512;
/// Time between two looks at the log's age and size, while there is nothing to trim.
const TRIM_EVERY: Duration = Duration::from_secs(10);

/// When what was done last.
#[derive(Default)]
pub(super) struct Background {
    trimmed: Option<Instant>,
    /// After a failure there is no next try before this.
    not_before: Option<Instant>,
}

impl Pipeline {
    /// One step of whatever is due. Whether there was one: then the lanes are looked at again, and
    /// the next step follows.
    pub(super) fn background(&mut self) -> bool {
        if self.background.not_before.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let waiting = self.store.dirty_rows();
        let paused = self.last_work.elapsed() > PAUSE;
        if waiting > DIRTY_LOW || (waiting > 0 && paused) {
            return self.checkpoint(STEP) > 0;
        }
        if paused && self.background.trimmed.is_none_or(|at| at.elapsed() > TRIM_EVERY) {
            match self.store.trim_step() {
                Ok(0) => self.background.trimmed = Some(Instant::now()),
                Ok(_) => return true,
                Err(error) => self.put_off("the commit log cannot be trimmed for now", &error),
            }
        }
        false
    }

    /// Checkpoints up to `rows` rows; how many it were.
    pub(super) fn checkpoint(&mut self, rows: usize) -> usize {
        match self.store.checkpoint_step(rows) {
            Ok(done) => done,
            Err(error) => {
                self.put_off("rows cannot be checkpointed for now; the log keeps them", &error);
                0
            }
        }
    }

    fn put_off(&mut self, what: &str, error: &shmirror_store::StoreError) {
        tracing::warn!(%error, "{what}");
        self.background.not_before = Some(Instant::now() + TRIM_EVERY);
    }
}
