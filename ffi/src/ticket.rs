//! Tickets: what became of a request that was submitted.

use std::time::{Duration, Instant};

use shmirror::{Commit, Ticket};

use crate::argument;
use crate::call::{Outcome, call};
use crate::error::Failure;
use crate::handle::{self, object};
use crate::producer::shmirror_commit;
use crate::status::shmirror_status;
use crate::turn::Shared;

/// For ever, and still within what the clock can say.
const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The claim on the outcome of a request that was submitted. Outcomes are held for the last 4096
/// requests of a lane; a producer that goes on submitting collects its own before they go. Any thread.
pub struct shmirror_ticket {
    pub(crate) ticket: Shared<Ticket>,
}
object!(shmirror_ticket, 12, "shmirror_ticket");

/// Ends a ticket. It takes nothing back: the request goes on, and nobody hears of it. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_ticket_close(ticket: *mut shmirror_ticket) -> shmirror_status {
    // SAFETY: as the prologue says of handles.
    call(|| unsafe { handle::close(ticket) })
}

/// Its number in the lane that it is in now; another one after that lane was lost.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_ticket_number(
    ticket: *const shmirror_ticket,
    number: *mut u64,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        argument::write(number, handle::get(ticket)?.ticket.here()?.number(), "number")
    })
}

/// The outcome, if it is there already: SHMIRROR_PENDING while the request is under way. SHMIRROR_OK:
/// committed; `commit` may be NULL. A rejection: nothing was done, as shmirror_insert() lists them. May
/// be asked again, and says the same. SHMIRROR_OUTCOME_EXPIRED: asked too late.
/// SHMIRROR_OTHER_INSTANCE: the daemon that it was for was followed by one of another instance. No system
/// call, unless the daemon is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_ticket_poll(
    ticket: *const shmirror_ticket,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe {
        let found = handle::get(ticket)?.ticket.here()?.poll()?;
        tell(found, commit)
    })
}

/// Waits for the outcome, as shmirror_ticket_poll() tells it, for so long. SHMIRROR_TIMED_OUT,
/// SHMIRROR_DISCONNECTED (the daemon is away): not known yet, and it may yet be committed; ask again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_ticket_wait(
    ticket: *const shmirror_ticket,
    timeout_ns: u64,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    let deadline_ns = crate::library::monotonic_ns().saturating_add(timeout_ns);
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { wait(ticket, deadline_ns, commit) })
}

/// As shmirror_ticket_wait(), until a time of shmirror_now()'s clock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmirror_ticket_wait_until(
    ticket: *const shmirror_ticket,
    deadline_ns: u64,
    commit: *mut shmirror_commit,
) -> shmirror_status {
    // SAFETY: as the prologue says of handles and out parameters.
    call(|| unsafe { wait(ticket, deadline_ns, commit) })
}

/// # Safety
/// As [`handle::get`] and [`argument::write_if`].
unsafe fn wait(
    ticket: *const shmirror_ticket,
    deadline_ns: u64,
    commit: *mut shmirror_commit,
) -> Outcome {
    // SAFETY: the caller's.
    let ticket = unsafe { handle::get(ticket) }?.ticket.here()?;
    let deadline = argument::deadline(deadline_ns).unwrap_or_else(|| Instant::now() + FAR);
    // SAFETY: the caller's.
    unsafe { tell(Some(ticket.wait_deadline(deadline)?), commit) }
}

/// # Safety
/// As [`argument::write_if`].
unsafe fn tell(found: Option<Commit>, commit: *mut shmirror_commit) -> Outcome {
    let Some(found) = found else {
        return Err(Failure::Plain(shmirror_status::SHMIRROR_PENDING));
    };
    // SAFETY: the caller's.
    unsafe { argument::write_if(commit, found.into()) };
    Ok(())
}
