//! Large answers: words go in, a sealed memfd that nobody can change comes out.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, SealFlags};
use shmirror_shm::points::{self, Point};

/// A memfd that is being written.
pub(crate) struct SealedFile {
    file: BufWriter<File>,
    bytes: u64,
}

impl SealedFile {
    /// An empty one; `name` is for `/proc` only.
    pub fn create(name: &str) -> std::io::Result<Self> {
        if let Some(errno) = points::fails(Point::Memfd) {
            return Err(std::io::Error::from_raw_os_error(errno));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create(name, flags)?;
        rustix::fs::fchmod(&fd, Mode::RUSR)?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, File::from(fd)), bytes: 0 })
    }

    /// Appends `bytes`.
    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Seals it; its descriptor and its size.
    pub fn seal(self) -> std::io::Result<(OwnedFd, u64)> {
        let file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok((file.into(), self.bytes))
    }
}
