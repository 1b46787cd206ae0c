//! Why a whole group could not be committed, as its producers are told.

use shmirror_shm::request::RejectCode;

use crate::apply::Reject;

/// The reason that all requests of a group share.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    code: RejectCode,
    message: String,
}

/// A group was refused: its producers know, and nothing of it remains.
#[derive(Debug)]
pub(crate) struct Refused;

impl Refusal {
    /// No memory for what it would publish.
    pub fn memory(error: &impl std::fmt::Display) -> Self {
        let message = format!("nothing was committed, as the rows cannot be published: {error}");
        Self { code: RejectCode::Memory, message }
    }

    /// The store could not make it durable.
    pub fn store(error: &impl std::fmt::Display) -> Self {
        Self { code: RejectCode::Store, message: format!("nothing was committed: {error}") }
    }

    /// An error inside the daemon.
    pub fn internal(error: &impl std::fmt::Display) -> Self {
        Self { code: RejectCode::Internal, message: format!("nothing was committed: {error}") }
    }

    /// For one request.
    pub fn reject(&self) -> Reject {
        Reject::new(self.code, self.message.clone())
    }
}
