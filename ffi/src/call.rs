//! The funnel: every function of the library goes through [`call`].
//!
//! In: what a function does, as a closure. Out: a status; a panic becomes one too, as it must not cross
//! into C.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Failure, keep, keep_text};
use crate::status::shmirror_status;

/// What a function came to: success, or why not.
pub(crate) type Outcome = Result<(), Failure>;

/// Runs `f` and gives its status; what is to be told of a failure, this thread keeps.
#[inline(always)]
pub(crate) fn call(f: impl FnOnce() -> Outcome) -> shmirror_status {
    // What a panic leaves half done is behind a handle that the caller is told to close; the client's
    // own locks pass over poison.
    //
    // The failure is dealt with inside, so that nothing but a number comes out: a read takes a few
    // nanoseconds, and to hand on a `Result` takes as many.
    let done = catch_unwind(AssertUnwindSafe(|| match f() {
        Ok(()) => shmirror_status::SHMIRROR_OK,
        Err(failure) => keep(failure),
    }));
    done.unwrap_or_else(|panic| panicked(&*panic))
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> shmirror_status {
    let what = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("of an unknown kind");
    keep_text(shmirror_status::SHMIRROR_PANIC, format_args!("panic in the library: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(call(|| panic!("on purpose, {}", 7)), shmirror_status::SHMIRROR_PANIC);
        assert_eq!(call(|| Ok(())), shmirror_status::SHMIRROR_OK);
        let end = || Err(Failure::Plain(shmirror_status::SHMIRROR_END));
        assert_eq!(call(end), shmirror_status::SHMIRROR_END);
    }
}
