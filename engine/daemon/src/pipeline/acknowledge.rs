//! Stage 7, acknowledge: the verdicts of an [`Announced`] group, or of one that failed, go back into
//! the lanes that the requests came from.

use shmirror_shm::lane::{FLAG_HAS_ROWS, RawOutcome};
use shmirror_shm::points::{self, Point};

use super::Pipeline;
use super::announce::Announced;
use super::group::{Accepted, Verdict};
use crate::apply::Reject;
use crate::denials::denial;

impl Pipeline {
    /// Tells each producer of an announced group what became of its request.
    pub(super) fn acknowledge(&mut self, announced: Announced) {
        let mut group = announced.into_group();
        for verdict in group.verdicts.drain(..) {
            self.answer(verdict);
            points::pass(Point::Acknowledge);
        }
        self.spare = group.into_spare();
        self.lanes.drop_done();
    }

    /// Answers one request. Result rows and long messages are laid up first, so that who sees the
    /// outcome can fetch them.
    pub(super) fn answer(&mut self, verdict: Verdict) {
        let Verdict { lane, ticket, uid, pid, rights, outcome } = verdict;
        let outcome = match outcome {
            Ok(Accepted { revision, changes, sets }) => {
                let flags = if sets.is_empty() { 0 } else { FLAG_HAS_ROWS };
                if !sets.is_empty() {
                    self.stash.put_rows((lane, ticket), (uid, rights), revision, sets);
                }
                let message = String::new();
                RawOutcome { ticket, committed: true, code: 0, flags, revision, changes, message }
            }
            Err(Reject { code, message }) => {
                tracing::debug!(lane, ticket, ?code, "request rejected");
                if let Some(what) = denial(&rights, code, &message) {
                    self.instance.denials.tell(pid, uid, what);
                }
                self.stash.put_message((lane, ticket), (uid, rights), &message);
                RawOutcome {
                    ticket,
                    committed: false,
                    code: code as u16,
                    flags: 0,
                    revision: 0,
                    changes: 0,
                    message,
                }
            }
        };
        self.lanes.answer(lane, &outcome);
    }
}
