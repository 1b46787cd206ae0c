//! Requests and queries that were denied, as the log has them.
//!
//! To who may not see everything, what is hidden and what is not there are the same. The log tells of
//! both, with who asked, and without names, which are nobody's to read in a file.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use shmirror_shm::request::RejectCode;

use crate::control::chatter::Chatter;
use crate::logging::COMM;
use crate::rights::Rights;

/// The lines about them: no more of one user than others have.
#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<Chatter>);

impl Denials {
    /// Tells of one.
    pub fn tell(&self, pid: u32, uid: u32, what: &str) {
        let mut chatter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chatter.may(Some(uid), Instant::now()) {
            tracing::warn!(target: COMM, pid, uid, "denied: {what}");
        }
    }

    /// To be called now and then: tells how many were not told.
    pub fn look(&self, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).look(now);
    }
}

/// What was denied, where that is why it was refused.
pub(crate) fn denial(rights: &Rights, code: RejectCode, message: &str) -> Option<&'static str> {
    let unknown = code == RejectCode::UnknownTable || message.contains("no such table");
    match code {
        RejectCode::Denied => Some("a change of what may only be read"),
        _ if unknown && !rights.is_everything() => {
            Some("a table that is hidden from who named it, or is not there")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_is_told_and_what_is_merely_wrong_is_not() {
        let (some, all) = (Rights::of(&[1], &[1], false), Rights::all());
        let hidden = "statement 1, line 1: no such table: desk.note";
        assert!(denial(&some, RejectCode::Denied, "").is_some());
        assert!(denial(&some, RejectCode::UnknownTable, "").is_some());
        assert!(denial(&some, RejectCode::Sql, hidden).is_some_and(|what| !what.contains("note")));
        assert_eq!(denial(&all, RejectCode::Sql, hidden), None);
        assert_eq!(denial(&some, RejectCode::Unique, "UNIQUE constraint failed"), None);
    }
}
