//! Queries of clients: from the call to the answer, on a worker.

use crossbeam_channel::bounded;
use shmirror_shm::request::{RejectCode, SqlRequest};
use shmirror_shm::wire::{Answer, RefuseCode};

use crate::apply::{Budget, Reject};
use crate::denials::denial;
use crate::exchange::Post;
use crate::instance::Instance;
use crate::pipeline::mail::PipelineMail;
use crate::query::run_query;
use crate::rights::Rights;

/// Runs `request` on what is published in the namespaces that `rights` may read: of the others nothing
/// reaches the query.
pub(crate) fn run(
    instance: &Instance,
    pipeline: &Post<PipelineMail>,
    (pid, uid): (u32, u32),
    rights: &Rights,
    request: &SqlRequest,
) -> Answer {
    let time = instance.config.limits.query_time;
    let budget = Budget { time, ..Budget::default() };
    let copies = |tables: &[u32]| {
        let (to, copies) = bounded(1);
        pipeline.send(PipelineMail::Copies { tables: tables.to_vec(), rights: rights.clone(), to });
        let late = |_| Reject::new(RejectCode::TimeLimit, "no copy of the tables came in time");
        copies.recv_timeout(time).map_err(late)
    };
    let published = instance.published.all();
    let readable = published.into_iter().filter(|(id, _)| rights.may_read(*id));
    let segments: Vec<_> = readable.map(|(_, seen)| seen.segment.clone()).collect();
    if segments.is_empty() {
        let message = "there is no namespace that you may read".to_owned();
        return Answer::Refused { code: RefuseCode::Denied, message };
    }
    match run_query(&segments, request, &budget, &copies) {
        Ok((revision, sets)) => Answer::Rows { revision, sets },
        Err(Reject { code, message }) => {
            if let Some(what) = denial(rights, code, &message) {
                instance.denials.tell(pid, uid, what);
            }
            Answer::Refused { code: refusal_of(code), message }
        }
    }
}

fn refusal_of(code: RejectCode) -> RefuseCode {
    match code {
        RejectCode::TimeLimit => RefuseCode::TimeLimit,
        RejectCode::Limit | RejectCode::Memory => RefuseCode::Limit,
        RejectCode::Malformed => RefuseCode::Malformed,
        RejectCode::Internal => RefuseCode::Internal,
        RejectCode::Stopping => RefuseCode::Stopping,
        // SQLite, or our rules for SQL text, refused it.
        _ => RefuseCode::Sql,
    }
}
