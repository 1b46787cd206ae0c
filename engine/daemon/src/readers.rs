//! The store's read connections, one for each worker: taken for a call, given back after it.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use shmirror_shm::wire::{Answer, RefuseCode};
use shmirror_store::{LogReader, Store, StoreError};

use crate::check::Turn;
use crate::control::workers::THREADS;

/// The pool.
pub(crate) struct Readers {
    pool: Mutex<Vec<LogReader>>,
    checking: AtomicBool,
}

impl Readers {
    /// As many as there are workers.
    pub fn open(store: &Store) -> Result<Self, StoreError> {
        let readers = (0..THREADS).map(|_| store.reader()).collect::<Result<_, _>>()?;
        Ok(Self { pool: Mutex::new(readers), checking: AtomicBool::new(false) })
    }

    /// Takes one; workers are no more than readers, so there is one.
    pub fn take(&self) -> Result<LogReader, Answer> {
        let reader = self.pool.lock().unwrap_or_else(PoisonError::into_inner).pop();
        reader.ok_or_else(|| Answer::Refused {
            code: RefuseCode::Limit,
            message: format!("all {THREADS} readers of the store are in use"),
        })
    }

    /// The right to run a check, unless one runs.
    pub fn begin_check(&self) -> Option<Turn<'_>> {
        Turn::take(&self.checking)
    }

    /// Closes those that nobody uses, so that the store can close as their last user.
    pub fn close(&self) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Gives one back.
    pub fn give(&self, reader: LogReader) {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
    }

    /// Runs `f` with one.
    pub fn with(&self, f: impl FnOnce(&mut LogReader) -> Answer) -> Answer {
        match self.take() {
            Ok(mut reader) => {
                let answer = f(&mut reader);
                self.give(reader);
                answer
            }
            Err(refused) => refused,
        }
    }
}
