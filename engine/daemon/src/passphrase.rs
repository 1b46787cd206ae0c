//! Passphrases for the key providers: asked for on the terminal, without echo, or read from a file
//! descriptor, a line each. Never from the command line, which everybody can read.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use shmirror_store::{Passphrase, PassphraseSource, Question, StoreError};
use zeroize::Zeroizing;

/// How often it is looked whether the question was called off.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Where passphrases come from.
pub struct Asking {
    from: From,
    /// Set by a signal: whoever asks gives up.
    called_off: Arc<AtomicBool>,
}

enum From {
    Terminal,
    Descriptor(File),
}

impl Asking {
    /// The terminal of this process.
    pub fn terminal() -> Self {
        Self { from: From::Terminal, called_off: Arc::default() }
    }

    /// Descriptor `number` of this process, a line for each passphrase. To be called before anything
    /// else is opened, as the number would then name that.
    ///
    /// # Errors
    /// It is not open.
    pub fn descriptor(number: RawFd) -> std::io::Result<Self> {
        if number < 0 {
            return Err(Errno::BADF.into());
        }
        // SAFETY: borrowed for this one call, which fails where no such descriptor is open.
        let given = unsafe { BorrowedFd::borrow_raw(number) };
        let own: OwnedFd = rustix::io::fcntl_dupfd_cloexec(given, 3)?;
        Ok(Self { from: From::Descriptor(own.into()), called_off: Arc::default() })
    }

    /// Gives up as soon as `flag` is set.
    #[must_use]
    pub fn until(mut self, flag: Arc<AtomicBool>) -> Self {
        self.called_off = flag;
        self
    }

    /// Waits until `fd` has something.
    fn wait(&self, fd: BorrowedFd<'_>) -> Result<(), String> {
        loop {
            if self.called_off.load(Ordering::Relaxed) {
                return Err("it was called off by a signal".into());
            }
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&GLANCE)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    /// The next byte; `None` at the end.
    fn byte(&self, mut file: &File) -> Result<Option<u8>, String> {
        self.wait(file.as_fd())?;
        let mut byte = Zeroizing::new([0u8]);
        match file.read(byte.as_mut_slice()) {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some(byte[0])),
            Err(e) => Err(e.to_string()),
        }
    }

    /// A line of a descriptor, without its end. Byte by byte: what follows is the next passphrase.
    fn line(&self, file: &File) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut line = room();
        let mut any = false;
        while let Some(byte) = self.byte(file)? {
            any = true;
            match byte {
                b'\n' => break,
                _ if line.len() > Passphrase::LONGEST => break, // refused as too long
                _ => line.push(byte),
            }
        }
        if !any {
            return Err("the file descriptor is at its end".into());
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// What is typed at the terminal up to Enter.
    fn typed(&self, terminal: &File, prompt: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut show = terminal;
        let failed = |e: std::io::Error| e.to_string();
        let silence = Silence::begin(terminal)?;
        show.write_all(prompt.as_bytes()).map_err(failed)?;
        let mut line = room();
        let done = loop {
            match self.byte(terminal) {
                Err(what) => break Err(what),
                Ok(None) => break Err("the terminal was closed".into()),
                Ok(Some(b'\n' | b'\r')) => break Ok(()),
                // Ctrl-C, and Ctrl-D at the beginning: without signals, as it is no line that is read.
                Ok(Some(3)) => break Err("it was called off".into()),
                Ok(Some(4)) if line.is_empty() => break Err("it was called off".into()),
                Ok(Some(8 | 127)) => erase(&mut line),
                Ok(Some(21)) => line.clear(), // Ctrl-U
                Ok(Some(_)) if line.len() > Passphrase::LONGEST => {} // refused as too long
                Ok(Some(byte)) => line.push(byte),
            }
        };
        drop(silence);
        show.write_all(b"\n").map_err(failed)?;
        done.map(|()| line)
    }
}

/// Room for the longest, so that it never grows and leaves no copy.
fn room() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(Passphrase::LONGEST + 2))
}

/// Takes the last character off, all of its bytes.
fn erase(line: &mut Vec<u8>) {
    while let Some(byte) = line.pop() {
        if byte & 0xC0 != 0x80 {
            break;
        }
    }
}

impl PassphraseSource for Asking {
    fn ask(&self, question: &Question<'_>) -> Result<Passphrase, StoreError> {
        let of = question.wanted();
        let none = |what| StoreError::NoPassphrase { of: of.clone(), what };
        let line = match &self.from {
            From::Descriptor(file) => self.line(file).map_err(none)?,
            From::Terminal => {
                let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
                let terminal = opened.map_err(|e| {
                    none(format!("no terminal to ask on ({e}); --passphrase-fd reads a descriptor"))
                })?;
                let kind = if question.new { "New passphrase" } else { "Passphrase" };
                let line = self.typed(&terminal, &format!("{kind} for {of}: ")).map_err(none)?;
                if question.new && !line.is_empty() {
                    let again = self.typed(&terminal, "The same again: ").map_err(none)?;
                    if *again != *line {
                        let what = "the second was not as the first".into();
                        return Err(StoreError::PassphraseRefused { of, what });
                    }
                }
                line
            }
        };
        Passphrase::new(line, question)
    }
}

/// A terminal that shows nothing of what is typed, as long as this lives.
struct Silence<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silence<'t> {
    fn begin(terminal: &'t File) -> Result<Self, String> {
        let before = tcgetattr(terminal).map_err(|e| e.to_string())?;
        let mut silent = before.clone();
        // Byte by byte and without signals: whatever ends the question, the terminal is set right.
        silent.local_modes -=
            LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent).map_err(|e| e.to_string())?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting right.
        let _ = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_pipe(text: &str) -> Asking {
        let (read, write) = rustix::pipe::pipe().unwrap();
        File::from(write).write_all(text.as_bytes()).unwrap();
        Asking { from: From::Descriptor(read.into()), called_off: Arc::default() }
    }

    fn ask(asking: &Asking) -> Result<Vec<u8>, String> {
        let question = Question::of_store(std::path::Path::new("s"));
        asking.ask(&question).map(|p| p.bytes().to_vec()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_line_of_a_descriptor_each() {
        let asking = of_pipe("one\ntwo words \r\n\nlast");
        assert_eq!(ask(&asking).unwrap(), b"one");
        assert_eq!(ask(&asking).unwrap(), b"two words ");
        assert!(ask(&asking).unwrap_err().contains("empty"));
        assert_eq!(ask(&asking).unwrap(), b"last");
        assert!(ask(&asking).unwrap_err().contains("at its end"));
        assert!(ask(&of_pipe(&"x".repeat(1_025))).unwrap_err().contains("longer"));
        assert_eq!(ask(&of_pipe(&"x".repeat(1_024))).unwrap().len(), 1_024);
    }

    #[test]
    fn a_descriptor_that_is_not_open_is_refused() {
        assert!(Asking::descriptor(-1).is_err());
        assert!(Asking::descriptor(9_999).is_err());
    }

    #[test]
    fn a_question_can_be_called_off() {
        let (read, _write) = rustix::pipe::pipe().unwrap();
        let flag = Arc::new(AtomicBool::new(true));
        let asking = Asking { from: From::Descriptor(read.into()), called_off: Arc::default() };
        assert!(ask(&asking.until(flag)).unwrap_err().contains("called off"));
    }

    #[test]
    fn whole_characters_are_erased() {
        let mut line = "aé".as_bytes().to_vec();
        erase(&mut line);
        assert_eq!(line, b"a");
        erase(&mut line);
        erase(&mut line);
        assert!(line.is_empty());
    }
}
