//! The writing side: attaching, SQL, and what a commit came to.
//!
//! In: SQL, and changes that others made of a program's arguments. Out: commits.

use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shmirror::{Change, Commit, Producer};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle::{self, object};
use crate::options::{self, shmirror_options};
use crate::result::shmirror_result;
use crate::status::shmirror_status;
use crate::value::{self, shmirror_value};

/// What a transaction came to: all of it is durable, and every reader sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct shmirror_commit {
    /// Its revision; where it changed nothing, the newest that there was.
    pub revision: u64,
    /// Rows inserted, updated and deleted, those of triggers and cascades included. 0 also where the
    /// daemon died after the commit and only its log could tell of it.
    pub changes: u64,
}

impl From<Commit> for shmirror_commit {
    fn from(Commit { revision, changes }: Commit) -> Self {
        Self { revision, changes }
    }
}

/// Writes to an instance's tables, through a ring in shared memory. When the daemon goes away, it waits
/// for the next one, asks the commit log what became of what was under way, and submits again what was
/// not committed: every request is committed once or not at all. Any thread; all that write to one
/// instance should share one.
pub struct shmirror_producer {
    producer: Producer,
    timeout_ns: Arc<AtomicU64>,
}
object!(shmirror_producer, 10, "shmirror_producer");

impl shmirror_producer {
    /// A producer of the call's own, with the timeout of now. As it holds the lane too, a child that is
    /// forked in the middle of the call does not drop what that was changing.
    pub(crate) fn now(&self) -> Producer {
        let ns = self.timeout_ns.load(Ordering::Relaxed);
        self.producer.clone().with_timeout(argument::timeout(ns))
    }

    /// Where its timeout is.
    pub(crate) fn timeout_ns(&self) -> Arc<AtomicU64> {
        self.timeout_ns.clone()
    }
}

/// Commits one change.
///
/// # Safety
/// `commit` is as [`argument::write_if`] has it.
pub(crate) unsafe fn commit(
    producer: &shmirror_producer,
    change: Change,
    commit: *mut shmirror_commit,
) -> Outcome {
    let found = producer.now().submit(vec![change])?.wait()?;
    // SAFETY: the caller's.
    unsafe { argument::write_if(commit, found.into()) };
    Ok(())
}

/// Attaches to the daemon that the options mean (NULL: the default ones), to write. Close the producer
/// with shmirror_producer_close(). SHMIRROR_NO_DAEMON, SHMIRROR_DENIED, SHMIRROR_LAYOUT,
/// SHMIRROR_INSTANCE_NAME, SHMIRROR_SOCKET_PATH_TOO_LONG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_producer_attach(
    options: *const shmirror_options,
    out: *mut *mut shmirror_producer,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::no_handle(out, "out")?;
        let producer = Producer::attach(&options::given(options)?)?;
        let ns = u64::try_from(producer.timeout().as_nanos()).unwrap_or(u64::MAX);
        let timeout_ns = Arc::new(AtomicU64::new(ns));
        argument::write(out, handle::make(shmirror_producer { producer, timeout_ns })?, "out")
    })
}

/// Ends a producer. Its transactions and tickets stay, and what was submitted goes on. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_producer_close(
    producer: *mut shmirror_producer,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(producer) })
}

/// Whether the daemon that this producer is attached to is there and takes requests: after a restart not
/// before the next request, which attaches to the next daemon. One system call. False in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_producer_is_live(
    producer: *const shmirror_producer,
    live: *mut bool,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer)?.now();
        argument::write(live, producer.is_live(), "live")
    })
}

/// How long each call waits for room in the lane, and then again for the outcome, of this producer and of
/// its transactions; at the beginning 10 s.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_producer_set_timeout(
    producer: *mut shmirror_producer,
    timeout_ns: u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe {
        handle::get(producer.cast_const())?.timeout_ns.store(timeout_ns, Ordering::Relaxed);
        Ok(())
    })
}

/// How long each call waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_producer_timeout(
    producer: *const shmirror_producer,
    timeout_ns: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = handle::get(producer)?.timeout_ns.load(Ordering::Relaxed);
        argument::write(timeout_ns, found, "timeout_ns")
    })
}

/// SQL that defines or changes: any number of statements, one transaction; waits for the outcome.
/// `commit` may be NULL. Of SQL, SHMIRROR_SQL and SHMIRROR_NOT_ALLOWED; of rows, as shmirror_insert();
/// SHMIRROR_TOO_LARGE: a text of more than 1 MiB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_execute(
    producer: *mut shmirror_producer,
    sql: *const c_char,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts and out parameters.
    call(|| unsafe {
        let producer = handle::get(producer.cast_const())?;
        let found = producer.now().execute(argument::text(sql, "sql")?)?;
        argument::write_if(commit, found.into());
        Ok(())
    })
}

/// SQL with `count` values for its parameters ?1, ?2, … (then a single statement; a NaN goes as NULL),
/// and, where `out` is not NULL, the rows that SELECT and RETURNING yield; waits for the outcome.
/// `commit` may be NULL. Close the result with shmirror_result_close(). As shmirror_execute();
/// SHMIRROR_RESULT_LOST: committed, at the revision that the message names, but the daemon died before
/// the rows were fetched.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_sql(
    producer: *mut shmirror_producer,
    sql: *const c_char,
    params: *const shmirror_value,
    count: usize,
    commit: *mut shmirror_commit,
    out: *mut *mut shmirror_result,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles, texts, values and out parameters.
    call(|| unsafe {
        argument::write_if(out, std::ptr::null_mut());
        let producer = handle::get(producer.cast_const())?;
        let sql = argument::text(sql, "sql")?;
        let params = value::owned(params, count, "params")?;
        let found = if out.is_null() {
            producer.now().execute_with(sql, &params)?
        } else {
            let (found, sets) = producer.now().sql(sql, &params)?;
            out.write(handle::make(shmirror_result::new(found.revision, sets))?);
            found
        };
        argument::write_if(commit, found.into());
        Ok::<(), Failure>(())
    })
}
