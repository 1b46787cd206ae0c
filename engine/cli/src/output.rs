//! Standard output, buffered, and standard error for notes. A reader that goes away (`| head`)
//! ends the command quietly.

use std::io::{self, BufWriter, Stdout, Write};

use crate::failure::Failure;

/// Standard output of a command.
pub struct Out(BufWriter<Stdout>);

impl Out {
    /// Takes standard output.
    pub fn new() -> Self {
        Self(BufWriter::with_capacity(64 << 10, io::stdout()))
    }

    /// One line, and its end.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes())?;
        self.0.write_all(b"\n")?;
        Ok(())
    }

    /// Text as it is.
    pub fn text(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.0.write_all(text.as_bytes())?)
    }

    /// Everything so far goes to the reader now.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.0.flush()?)
    }
}

/// A remark for people: standard error, never part of the output.
pub fn note(text: &str) {
    // Nobody is left to be told where standard error is closed.
    let _ = writeln!(io::stderr(), "shmirror: {text}");
}
