//! The pipeline's part of a rotation of the data key: it begins on a call, goes on in steps between two
//! groups, and after a restart by itself. A commit waits for one step at most, and while commits come
//! the steps take no more than half of the time.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use shmirror_shm::points::{self, Point};
use shmirror_shm::wire::{Answer, RefuseCode};
use shmirror_store::cipher::{ALGORITHMS, Algorithm};
use shmirror_store::{RotateStep, Rotation, StoreError};

use super::Pipeline;

/// Time of one step.
const STEP: Duration = Duration::from_millis(4);
/// Time between two tries to empty the write-ahead log after a rotation, and their number: in the end
/// SQLite writes over it all the same.
const EMPTY_EVERY: Duration = Duration::from_secs(2);
const EMPTY_TRIES: u32 = 300;

/// What there is to tell of rotations since the start.
#[derive(Default)]
pub(super) struct Rotating {
    /// When the one under way began, or was gone on with.
    since: Option<Instant>,
    /// While commits come, no step before this.
    rests: Option<Instant>,
    /// Why it cannot go on for now.
    trouble: Option<String>,
    /// The last that ended, and how long it took.
    ended: Option<(Rotation, Duration)>,
    /// Tries left to empty the write-ahead log, and when the next is due.
    empty: Option<(u32, Instant)>,
}

impl Pipeline {
    /// A client wants a rotation.
    pub(super) fn begin_rotation(&mut self, cipher: Option<&str>) -> Answer {
        let refused = |code, message: String| Answer::Refused { code, message };
        let algorithm = match cipher {
            None => None,
            Some(name) => match Algorithm::of_name(name) {
                Some(algorithm) => Some(algorithm),
                None => {
                    let known: Vec<_> = ALGORITHMS.iter().map(|a| a.name).collect();
                    let message = format!("cipher {name:?}, expected one of {}", known.join(", "));
                    return refused(RefuseCode::Malformed, message);
                }
            },
        };
        match self.store.rotate(algorithm) {
            Ok(rotation) => {
                let Rotation { from, to, cipher, .. } = rotation;
                tracing::info!(from, to, cipher, "a rotation of the data key begins");
                self.rotating.since = Some(Instant::now());
                self.rotating.trouble = None;
                Answer::Text(self.rotation_status().to_string())
            }
            Err(error @ StoreError::Rotating { .. }) => {
                refused(RefuseCode::Limit, error.to_string())
            }
            Err(error) => {
                tracing::warn!(%error, "a rotation of the data key could not begin");
                let message = format!("the rotation did not begin: {error}");
                refused(RefuseCode::File, message)
            }
        }
    }

    /// One step, where a rotation is under way and a step is due. Whether it got further.
    pub(super) fn rotate(&mut self, idle: bool) -> bool {
        let Some(rotation) = self.store.rotation() else {
            return idle && self.empty_write_ahead_log();
        };
        if self.rotating.since.is_none() {
            let Rotation { from, to, cipher, .. } = rotation;
            tracing::info!(from, to, cipher, "a rotation of the data key is gone on with");
            self.rotating.since = Some(Instant::now());
        }
        let begun = Instant::now();
        if !idle && self.rotating.rests.is_some_and(|until| begun < until) {
            return false;
        }
        points::pass(Point::Rotation);
        let step = self.store.rotate_step(STEP);
        self.rotating.rests = Some(Instant::now() + begun.elapsed());
        match step {
            Ok(RotateStep::Further) => {
                self.rotating.trouble = None;
                true
            }
            Ok(RotateStep::None | RotateStep::Waits) => false,
            Ok(RotateStep::Ended(rotation)) => {
                let took = self.rotating.since.take().map_or(Duration::ZERO, |at| at.elapsed());
                let Rotation { from, to, resealed: (rows, groups), .. } = rotation;
                tracing::info!(
                    from,
                    to,
                    rows,
                    groups,
                    "the rotation of the data key has ended after {:.1} s; the old key is gone",
                    took.as_secs_f64()
                );
                self.rotating.trouble = None;
                self.rotating.ended = Some((rotation, took));
                self.rotating.empty = Some((EMPTY_TRIES, Instant::now()));
                true
            }
            Err(error) => {
                self.rotating.trouble = Some(error.to_string());
                self.put_off("the rotation of the data key cannot go on for now", &error);
                false
            }
        }
    }

    /// The write-ahead log still has the page with the old key slot. Never a reason to look again.
    fn empty_write_ahead_log(&mut self) -> bool {
        let Some((tries, due)) = self.rotating.empty else { return false };
        if Instant::now() < due {
            return false;
        }
        self.rotating.empty = match self.store.forget_old_slot() {
            Ok(true) => None,
            Ok(false) | Err(_) => tries.checked_sub(1).map(|n| (n, Instant::now() + EMPTY_EVERY)),
        };
        false
    }

    /// The rotation under way, or else the last that ended since the start; null where there is none.
    pub(super) fn rotation_status(&self) -> Json {
        let rotating = &self.rotating;
        let (rotation, took, under_way) = match (self.store.rotation(), &rotating.ended) {
            (Some(rotation), _) => {
                (rotation, rotating.since.map_or(Duration::ZERO, |at| at.elapsed()), true)
            }
            (None, Some((rotation, took))) => (*rotation, *took, false),
            (None, None) => return Json::Null,
        };
        json!({
            "under_way": under_way,
            "percent": rotation.percent,
            "from_data_key": rotation.from,
            "to_data_key": rotation.to,
            "cipher": rotation.cipher,
            "rows_looked_at": rotation.rows.0,
            "rows": rotation.rows.1,
            "log_bytes_looked_at": rotation.log_bytes.0,
            "log_bytes": rotation.log_bytes.1,
            "rows_sealed_anew": rotation.resealed.0,
            "groups_sealed_anew": rotation.resealed.1,
            "seconds": (took.as_secs_f64() * 1000.0).round() / 1000.0,
            "trouble": rotating.trouble,
        })
    }
}
