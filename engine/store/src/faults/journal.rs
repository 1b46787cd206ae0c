//! The journal of a watched disk: what was done to the store's files, in its order. A test reads it after
//! the process was killed, and knows from it what a loss of power could have left.
//!
//! ```text
//! record   bytes of the whole u32 | kind u8 | bytes of the path u16 | number u64 | path | the rest
//! ```
//! A record is appended by one write, before what it tells of is done; so the last one may tell of something
//! that was not done, which to a disk without power is the same.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

const HEAD: usize = 4 + 1 + 2 + 8;

/// What was done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// It was opened, and made where it was not there; it has so many bytes.
    Open {
        /// The file.
        path: &'a Path,
        /// Its bytes.
        length: u64,
    },
    /// It was written to.
    Write {
        /// The file.
        path: &'a Path,
        /// The first byte.
        at: u64,
        /// What was written.
        bytes: &'a [u8],
    },
    /// It was cut, or grew, to this length.
    Length {
        /// The file.
        path: &'a Path,
        /// Its bytes.
        length: u64,
    },
    /// It was synced: what stands in the journal before this position is on the disk.
    Sync {
        /// The file.
        path: &'a Path,
        /// The position.
        before: u64,
    },
    /// A sync failed: what stands before this position is on the disk or not, and no later sync cares.
    SyncFailed {
        /// The file.
        path: &'a Path,
        /// The position.
        before: u64,
    },
    /// It was removed.
    Remove {
        /// The file.
        path: &'a Path,
    },
    /// It has another name.
    Rename {
        /// The old one.
        from: &'a Path,
        /// The new one.
        to: &'a Path,
    },
    /// A directory was made.
    MakeDirectory {
        /// The directory.
        path: &'a Path,
    },
    /// A directory was synced: the names that were given in it before this position are on the disk.
    SyncDirectory {
        /// The directory.
        path: &'a Path,
        /// The position.
        before: u64,
    },
    /// A word of the test's.
    Note {
        /// The word.
        text: &'a str,
    },
}

impl<'a> Op<'a> {
    fn parts(&self) -> (u8, &'a Path, u64, &'a [u8]) {
        match *self {
            Self::Open { path, length } => (1, path, length, &[]),
            Self::Write { path, at, bytes } => (2, path, at, bytes),
            Self::Length { path, length } => (3, path, length, &[]),
            Self::Sync { path, before } => (4, path, before, &[]),
            Self::SyncFailed { path, before } => (5, path, before, &[]),
            Self::Remove { path } => (6, path, 0, &[]),
            Self::Rename { from, to } => (7, from, 0, to.as_os_str().as_bytes()),
            Self::MakeDirectory { path } => (8, path, 0, &[]),
            Self::SyncDirectory { path, before } => (9, path, before, &[]),
            Self::Note { text } => (10, Path::new(""), 0, text.as_bytes()),
        }
    }

    /// The record.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, path, number, rest) = self.parts();
        let path = path.as_os_str().as_bytes();
        let bytes = HEAD + path.len() + rest.len();
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&(bytes as u32).to_le_bytes());
        out.push(kind);
        out.extend_from_slice(&(path.len() as u16).to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(path);
        out.extend_from_slice(rest);
        out
    }

    /// The record at the head of `bytes`, and its length; `None` where there is no whole one.
    pub fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (length, head) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        let body = head.get(..length.checked_sub(4)?)?;
        let (&kind, body) = body.split_first()?;
        let (path, body) = body.split_first_chunk::<2>()?;
        let (number, body) = body.split_first_chunk::<8>()?;
        let number = u64::from_le_bytes(*number);
        let (path, rest) = body.split_at_checked(u16::from_le_bytes(*path).into())?;
        let of = |bytes: &'a [u8]| Path::new(std::ffi::OsStr::from_bytes(bytes));
        let path = of(path);
        let op = match kind {
            1 => Self::Open { path, length: number },
            2 => Self::Write { path, at: number, bytes: rest },
            3 => Self::Length { path, length: number },
            4 => Self::Sync { path, before: number },
            5 => Self::SyncFailed { path, before: number },
            6 => Self::Remove { path },
            7 => Self::Rename { from: path, to: of(rest) },
            8 => Self::MakeDirectory { path },
            9 => Self::SyncDirectory { path, before: number },
            10 => Self::Note { text: std::str::from_utf8(rest).ok()? },
            _ => return None,
        };
        Some((op, length))
    }
}

/// The journal, for writing.
#[derive(Debug)]
pub(crate) struct Journal(Mutex<(File, u64)>);

impl Journal {
    /// Opens it, behind what is in it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self(Mutex::new((file, length))))
    }

    /// Appends a record.
    pub fn append(&self, op: &Op<'_>) {
        let bytes = op.encode();
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without its journal the test would blame the store for what the disk has done.
        inner.0.write_all(&bytes).expect("the disk's journal can be written");
        inner.1 += bytes.len() as u64;
    }

    /// Where the next record comes.
    pub fn position(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written_and_half_ones_are_not() {
        let path = Path::new("/a/b");
        let ops = [
            Op::Open { path, length: 3 },
            Op::Write { path, at: 1 << 40, bytes: &[1, 2, 3] },
            Op::Length { path, length: 9 },
            Op::Sync { path, before: 7 },
            Op::SyncFailed { path, before: 8 },
            Op::Remove { path },
            Op::Rename { from: path, to: Path::new("/c") },
            Op::MakeDirectory { path },
            Op::SyncDirectory { path, before: 5 },
            Op::Note { text: "so" },
        ];
        let bytes: Vec<u8> = ops.iter().flat_map(Op::encode).collect();
        let mut at = 0;
        for op in &ops {
            let (found, length) = Op::read(&bytes[at..]).unwrap();
            assert_eq!(found, *op);
            for short in 0..length {
                assert_eq!(Op::read(&bytes[at..at + short]), None);
            }
            at += length;
        }
        assert_eq!(at, bytes.len());
    }
}
