//! What the store does to files itself, beside SQLite: so that with the feature `faults` it can be made to
//! fail, and is written down as SQLite's calls are. Without it these are the system's calls and no more.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Has the disk that the environment asks for, if any, under SQLite from here on.
pub(crate) fn prepare() {
    #[cfg(feature = "faults")]
    crate::faults::install();
}

/// Writes `bytes` at `at` of `file`, which is `path`.
pub(crate) fn write(file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
    #[cfg(feature = "faults")]
    crate::faults::write(path, at, bytes)?;
    let _ = path;
    file.write_all_at(bytes, at)
}

/// Cuts `file`, which is `path`, to `length`.
pub(crate) fn cut(file: &File, path: &Path, length: u64) -> io::Result<()> {
    #[cfg(feature = "faults")]
    crate::faults::cut(path, length);
    let _ = path;
    file.set_len(length)
}

/// Syncs `file`, which is `path`.
pub(crate) fn sync(file: &File, path: &Path) -> io::Result<()> {
    let sync = || file.sync_all();
    #[cfg(feature = "faults")]
    return crate::faults::sync(path, sync);
    #[cfg(not(feature = "faults"))]
    {
        let _ = path;
        sync()
    }
}

/// Syncs a directory.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let sync = || File::open(path)?.sync_all();
    #[cfg(feature = "faults")]
    return crate::faults::sync_directory(path, sync);
    #[cfg(not(feature = "faults"))]
    sync()
}

/// A file with these contents was made at `path`.
pub(crate) fn made(path: &Path, contents: &[u8]) {
    #[cfg(feature = "faults")]
    crate::faults::made(path, contents);
    let _ = (path, contents);
}

/// A directory was made at `path`.
pub(crate) fn made_directory(path: &Path) {
    #[cfg(feature = "faults")]
    crate::faults::made_directory(path);
    let _ = path;
}

/// The file `from` is `to` now.
pub(crate) fn renamed(from: &Path, to: &Path) {
    #[cfg(feature = "faults")]
    crate::faults::renamed(from, to);
    let _ = (from, to);
}
