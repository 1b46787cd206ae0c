//! The key file: a text file of mode 0600 that holds the key that wraps the data key.
//!
//! ```text
//! # comment
//! version = 1
//! id = 16 hexadecimal digits
//! key = 64 hexadecimal digits
//! ```
//! A key slot that it wrapped is the 8 bytes of the id, then a blob (see [`crate::seal`]) with data
//! key id 0. The key is read when it is used and wiped after, not kept.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::directory::{publish_new, sync_parent};
use crate::error::{StoreError, io};
use crate::files;
use crate::key::wrapping::{ID_BYTES, Named};
use crate::keys::{KeyProvider, from_hex, to_hex};
use crate::seal::KEY_BYTES;

/// Name in key slots.
pub const NAME: &str = "key-file";

const LONGEST: u64 = 16_384;

/// The provider whose key is in a file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The key file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self) -> Result<Option<Named>, StoreError> {
        let bad = |what| StoreError::KeyFile { path: self.path.clone(), what };
        let Some(text) = read_secret(&self.path)? else { return Ok(None) };
        let text = std::str::from_utf8(&text).map_err(|_| bad("it is not UTF-8".into()))?;
        parse(text).map(Some).map_err(bad)
    }
}

/// The contents of the file at `path`, which holds a secret; `None` where there is none.
///
/// # Errors
/// [`StoreError::KeyMode`] where others may read it, [`StoreError::KeyFile`] where it is no file of a
/// key's size, or the system's.
pub(super) fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
    let reading = io(path, "reading the key file");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(reading(e)),
    };
    let about = file.metadata().map_err(&reading)?;
    let bad = |what| StoreError::KeyFile { path: path.to_path_buf(), what };
    if !about.is_file() {
        return Err(bad("it is no regular file".into()));
    }
    let mode = about.mode() & 0o7777;
    if mode != 0o600 && mode != 0o400 {
        return Err(StoreError::KeyMode { path: path.to_path_buf(), found: mode });
    }
    let text = read_whole(file).map_err(reading)?;
    text.map(Some).ok_or_else(|| bad(format!("{} bytes, at most {LONGEST} expected", about.len())))
}

/// The contents of a small regular file, in one allocation that never grows, so that no copy of a key
/// stays behind; `None` where it is none.
pub(super) fn read_whole(file: File) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let about = file.metadata()?;
    if !about.is_file() || about.len() > LONGEST {
        return Ok(None);
    }
    let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes `contents` to the new file `path` of this mode: under another name, synced, then put in
/// place, so that a kill leaves nothing or all of it.
pub(super) fn write_new(path: &Path, mode: u32, contents: &[u8]) -> Result<(), StoreError> {
    let making = io(path, "making the key file");
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(making(e)),
        _ => {}
    }
    let written = (|| {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(mode).open(&fresh)?;
        file.write_all(contents)?;
        files::made(&fresh, contents);
        files::sync(&file, &fresh)?;
        publish_new(&fresh, path)?;
        sync_parent(path)
    })();
    written.map_err(|e| {
        let _ = std::fs::remove_file(&fresh); // the first error is the one to tell
        making(e)
    })
}

/// The key in the text of a key file.
pub(super) fn parse(text: &str) -> Result<Named, String> {
    let (mut version, mut id, mut key) = (None, None, None);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let bad = |what: &str| format!("line {}: {what}", number + 1);
        let Some((name, value)) = line.split_once('=') else {
            return Err(bad("expected NAME = VALUE"));
        };
        let value = value.trim();
        let twice = match name.trim() {
            "version" => version.replace(value.to_owned()).is_some(),
            "id" => {
                let mut bytes = [0; ID_BYTES];
                if !from_hex(value, &mut bytes) {
                    return Err(bad("id: expected 16 hexadecimal digits"));
                }
                id.replace(bytes).is_some()
            }
            "key" => {
                let mut bytes = Zeroizing::new([0; KEY_BYTES]);
                if !from_hex(value, bytes.as_mut_slice()) {
                    return Err(bad("key: expected 64 hexadecimal digits"));
                }
                key.replace(bytes).is_some()
            }
            _ => return Err(bad("unknown name, expected version, id or key")),
        };
        if twice {
            return Err(bad("the second of its name"));
        }
    }
    match version.as_deref() {
        Some("1") => {}
        Some(other) => return Err(format!("version {other}, expected 1")),
        None => return Err("no version, expected version = 1".into()),
    }
    let id = id.ok_or("no id")?;
    let key = key.ok_or("no key")?;
    Ok(Named { id, key })
}

impl KeyProvider for KeyFile {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        format!("key file {}", self.path.display())
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.path.clone()]
    }

    fn exists(&self) -> Result<bool, StoreError> {
        self.path.try_exists().map_err(io(&self.path, "looking for the key file"))
    }

    fn create(&self) -> Result<(), StoreError> {
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        let mut id = [0u8; ID_BYTES];
        getrandom::fill(key.as_mut_slice()).map_err(StoreError::Random)?;
        getrandom::fill(&mut id).map_err(StoreError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(512));
        text.push_str(
            "# Key of a shmirror store. Whoever has it can open the store; without it nobody can.\n\
             # Keep a copy apart from the store and from its backups.\nversion = 1\nid = ",
        );
        to_hex(&id, &mut text);
        text.push_str("\nkey = ");
        to_hex(key.as_slice(), &mut text);
        text.push('\n');
        write_new(&self.path, 0o600, text.as_bytes())
    }

    fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let expected = "a key file".into();
        let missing = || StoreError::NoKey { key: self.place(), expected };
        self.read()?.ok_or_else(missing)?.wrap(store, slot, text)
    }

    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let missing = || StoreError::KeyMissing { key: self.place(), store: store.to_path_buf() };
        self.read()?.ok_or_else(missing)?.unwrap(self.place(), store, slot, wrapped)
    }
}
