//! Failures on their way out: a status for the caller, and a message that waits in this thread.
//!
//! In: a [`Failure`]. Out: a number, and, on demand, a terminated text in a buffer of the thread's. No
//! path through here allocates, and what is wrong with a value, NULL mostly, is put into words only if
//! somebody asks: a loop may meet it at every turn.

use std::cell::{Cell, UnsafeCell};
use std::ffi::c_char;
use std::fmt::{self, Write};

use shmirror::{CellError, Error, Form};

use crate::status::{self, shmirror_status};

/// Longest message, its NUL included; a longer one is cut.
const MESSAGE: usize = 2048;

/// Why a call did not succeed.
pub(crate) enum Failure {
    /// An outcome that is no failure, or a failure that its status says all about.
    Plain(shmirror_status),
    /// A value's, of the column at this index.
    Value(CellError, Form, usize),
    /// The client's.
    Client(Box<Error>),
    /// This library's: what is wrong with an argument.
    Argument(shmirror_status, String),
}

impl From<Error> for Failure {
    #[cold]
    fn from(error: Error) -> Self {
        Self::Client(Box::new(error))
    }
}

impl Failure {
    /// What is wrong with an argument.
    #[cold]
    pub(crate) fn argument(status: shmirror_status, message: impl Into<String>) -> Self {
        Self::Argument(status, message.into())
    }
}

/// The last failure of a thread. Without a destructor, so that a thread which is ending still has it.
struct Last {
    status: Cell<i32>,
    /// Not yet in words.
    value: Cell<Option<(CellError, Form, usize)>>,
    text: UnsafeCell<[u8; MESSAGE]>,
}

thread_local! {
    static LAST: Last = const {
        Last { status: Cell::new(0), value: Cell::new(None), text: UnsafeCell::new([0; MESSAGE]) }
    };
}

/// Keeps the failure for this thread to ask about, and gives its status.
#[cold]
pub(crate) fn keep(failure: Failure) -> shmirror_status {
    match failure {
        // The outcomes that are no failure leave the last failure as it is.
        Failure::Plain(status) if (status as i32) < 16 => status,
        Failure::Plain(status) => {
            let text = status::describe(status as i32).map_or("", |(_, text)| text);
            keep_text(status, format_args!("{}", text.trim_end_matches('\0')))
        }
        Failure::Value(error, form, index) => {
            let status = status::of_cell(error);
            LAST.with(|last| {
                last.status.set(status as i32);
                last.value.set(Some((error, form, index)));
            });
            status
        }
        Failure::Client(error) => keep_text(status::of_error(&error), format_args!("{error}")),
        Failure::Argument(status, message) => keep_text(status, format_args!("{message}")),
    }
}

/// Keeps a message for this thread to ask about.
pub(crate) fn keep_text(status: shmirror_status, message: fmt::Arguments<'_>) -> shmirror_status {
    LAST.with(|last| {
        last.status.set(status as i32);
        last.value.set(None);
        last.write(message);
    });
    status
}

/// Status of this thread's last failure, 0 if there was none.
pub(crate) fn last_status() -> i32 {
    LAST.with(|last| last.status.get())
}

/// This thread's last message, terminated, until its next failure.
pub(crate) fn last_message() -> *const c_char {
    LAST.with(|last| {
        if let Some((error, form, index)) = last.value.take() {
            let (table, column) = (form.table(), form.name(index).unwrap_or_default());
            last.write(format_args!("table {table:?}, column {column:?}: {error}"));
        }
        last.text.get().cast_const().cast()
    })
}

impl Last {
    fn write(&self, message: fmt::Arguments<'_>) {
        // SAFETY: the buffer is this thread's, and nothing in here calls out while it is borrowed: the
        // messages are formatted by the client crate and the standard library, which know nothing of it.
        let text = unsafe { &mut *self.text.get() };
        let mut out = Bounded { text, length: 0 };
        // Cut off where it is full, which is no failure.
        let _ = out.write_fmt(message);
        let end = out.length;
        out.text[end] = 0;
    }
}

/// Writes text until the buffer is full, the place of a NUL kept free, whole characters only.
struct Bounded<'a> {
    text: &'a mut [u8; MESSAGE],
    length: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = MESSAGE - 1 - self.length;
        let cut = (0..=room.min(s.len())).rev().find(|&i| s.is_char_boundary(i)).unwrap_or(0);
        for &byte in &s.as_bytes()[..cut] {
            // A NUL would end the message for its reader.
            self.text[self.length] = if byte == 0 { b' ' } else { byte };
            self.length += 1;
        }
        if cut < s.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn message() -> String {
        // SAFETY: a terminated text of this thread's, copied before the next failure.
        unsafe { CStr::from_ptr(last_message()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn outcomes_leave_the_last_failure_as_it_is() {
        let status = keep(Failure::argument(shmirror_status::SHMIRROR_BAD_ARGUMENT, "index 7"));
        assert_eq!((status as i32, last_status()), (20, 20));
        assert_eq!(keep(Failure::Plain(shmirror_status::SHMIRROR_NOT_FOUND)) as i32, 1);
        assert_eq!((last_status(), message().as_str()), (20, "index 7"));
        let form = shmirror::Row::default().form();
        keep(Failure::Value(CellError::Null { expected: "an integer" }, form, 0));
        let words = r#"table "", column "": found null, expected an integer"#;
        assert_eq!(message(), words);
        assert_eq!(message(), words, "asked again");
        assert_eq!(std::thread::spawn(|| (last_status(), message())).join().unwrap().0, 0);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character_and_a_nul_in_it_is_none() {
        let status = shmirror_status::SHMIRROR_USAGE;
        keep(Failure::argument(status, "é".repeat(MESSAGE)));
        assert_eq!(message(), "é".repeat((MESSAGE - 1) / 2));
        keep(Failure::argument(status, "a\0b"));
        assert_eq!(message(), "a b");
    }
}
