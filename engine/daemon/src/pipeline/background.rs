//! Work that waits for a pause: rows move from the log's tail to the checkpoint, old groups of the
//! log go, results that nobody fetched go, a rotation of the data key goes on. In small steps, so that a request never waits long.

use std::time::{Duration, Instant};

use shmirror_shm::points::{self, Point};

use super::Pipeline;

/// How long nothing must have come before whatever waits is checkpointed.
const PAUSE: Duration = Duration::from_millis(500);
/// Waiting rows, and bytes of the log's tail, that are checkpointed without such a pause. A few rows
/// that change without end make no many rows, but a long tail.
const ROWS_LOW: usize = 20_000;
const TAIL_LOW: u64 = 16 << 20;
/// Rows of one step.
const STEP: usize = 512;
/// Waiting rows, and bytes of the tail, from which on each group takes a step, and rows of that one.
const ROWS_HIGH: usize = 200_000;
const TAIL_HIGH: u64 = 64 << 20;
const HIGH_STEP: usize = 4_096;
/// Least bytes of the tail that are worth a step, however little of the log is to be kept.
const TAIL_LEAST: u64 = 64 << 10;
/// Time between two looks at the log's age and size, while there is nothing to trim.
const TRIM_EVERY: Duration = Duration::from_secs(2);
/// Time to the next try after one that failed.
const PUT_OFF: Duration = Duration::from_secs(10);

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
        if self.is_put_off() {
            return false;
        }
        let tail = self.store.dirty_bytes();
        // Also with no tail: rows of dropped tables are swept then.
        let paused = self.last_work.elapsed() > PAUSE;
        let long = self.store.dirty_rows() > ROWS_LOW || tail > self.tail_bound(TAIL_LOW);
        ((paused || long) && self.checkpoint(STEP) > 0) || self.trim() || self.rotate(true)
    }

    /// What cannot wait for a pause that may never come, after each group: without it the tail, and
    /// with it the log and the time of a start, would grow as long as somebody writes.
    pub(super) fn keep_up(&mut self) {
        if self.is_put_off() {
            return;
        }
        let long = self.store.dirty_rows() > ROWS_HIGH;
        if long || self.store.dirty_bytes() > self.tail_bound(TAIL_HIGH) {
            self.checkpoint(HIGH_STEP);
        }
        self.trim();
        self.rotate(false);
    }

    /// The log is kept to its bound only as far as it was checkpointed, so the tail is but a part.
    fn tail_bound(&self, most: u64) -> u64 {
        most.min(self.instance.config.store.log_keep_bytes / 4).max(TAIL_LEAST)
    }

    fn is_put_off(&self) -> bool {
        self.background.not_before.is_some_and(|at| Instant::now() < at)
    }

    /// One step of trimming the log, where a look is due. Whether it took anything.
    fn trim(&mut self) -> bool {
        if self.background.trimmed.is_some_and(|at| at.elapsed() <= TRIM_EVERY) {
            return false;
        }
        match self.store.trim_step() {
            Ok(0) => self.background.trimmed = Some(Instant::now()),
            Ok(_) => return true,
            Err(error) => self.put_off("the log cannot be trimmed for now", &error),
        }
        false
    }

    /// Checkpoints up to `rows` rows; how many it were.
    pub(super) fn checkpoint(&mut self, rows: usize) -> usize {
        points::pass(Point::Checkpoint);
        match self.store.checkpoint_step(rows) {
            Ok(done) => done,
            Err(error) => {
                self.put_off("rows cannot be checkpointed for now; the log keeps them", &error);
                0
            }
        }
    }

    pub(super) fn put_off(&mut self, what: &str, error: &shmirror_store::StoreError) {
        tracing::warn!(%error, "{what}");
        self.background.not_before = Some(Instant::now() + PUT_OFF);
    }
}
