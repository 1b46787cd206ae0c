//! Reading what the daemon hands over in a sealed memfd: copied out once, never mapped.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use zerocopy::IntoBytes;

use crate::error::Error;

/// The whole words of a memfd that is said to have `bytes`.
pub(crate) fn read_words(fd: &OwnedFd, bytes: u64, what: &str) -> Result<Vec<u64>, Error> {
    let failed = |source: Errno| Error::io(format!("reading {what}"), source);
    let found = rustix::fs::fstat(fd).map_err(failed)?.st_size;
    if u64::try_from(found) != Ok(bytes) || !bytes.is_multiple_of(8) {
        return Err(Error::Protocol(format!(
            "{what}: a descriptor of {found} bytes, expected {bytes}, a multiple of 8"
        )));
    }
    let count = usize::try_from(bytes / 8).map_err(|_| failed(Errno::NOMEM))?;
    let mut words: Vec<u64> = Vec::new();
    words.try_reserve_exact(count).map_err(|_| failed(Errno::NOMEM))?;
    words.resize(count, 0);
    let buffer = words.as_mut_slice().as_mut_bytes();
    let mut done = 0;
    while done < buffer.len() {
        match rustix::io::pread(fd, &mut buffer[done..], done as u64) {
            Ok(0) => return Err(Error::Protocol(format!("{what}: ends after {done} bytes"))),
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};

    #[test]
    fn words_come_out_and_lies_about_the_length_are_refused() {
        let fd = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&fd, [1u64, 2, 3].as_bytes()).unwrap();
        assert_eq!(read_words(&fd, 24, "x").unwrap(), [1, 2, 3]);
        for wrong in [16, 32, 23, u64::MAX] {
            assert_eq!(read_words(&fd, wrong, "x").unwrap_err().code(), "protocol", "{wrong}");
        }
    }
}
