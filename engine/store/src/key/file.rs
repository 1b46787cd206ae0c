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
use crate::error::{Place, StoreError, io};
use crate::keys::{KeyProvider, from_hex, to_hex};
use crate::seal::{self, Algorithm, BLOB_HEAD, KEY_BYTES, NONCE_BYTES, Parts, SealFault};

/// What wraps data keys, whatever cipher these are for.
const WRAPS: Algorithm = Algorithm::DEFAULT;
const ID_BYTES: usize = 8;
const LONGEST: u64 = 4_096;

/// The provider whose key is in a file.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

struct Contents {
    id: [u8; ID_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

impl KeyFile {
    /// The key file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn read(&self, store: &Path) -> Result<Contents, StoreError> {
        let reading = io(&self.path, "reading the key file");
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let (path, store) = (self.path.clone(), store.to_path_buf());
                return Err(StoreError::KeyMissing { path, store });
            }
            Err(e) => return Err(reading(e)),
        };
        let about = file.metadata().map_err(&reading)?;
        if !about.is_file() {
            return Err(self.bad("it is no regular file".into()));
        }
        let mode = about.mode() & 0o7777;
        if mode != 0o600 && mode != 0o400 {
            return Err(StoreError::KeyMode { path: self.path.clone(), found: mode });
        }
        if about.len() > LONGEST {
            return Err(self.bad(format!("{} bytes, at most {LONGEST} expected", about.len())));
        }
        // One allocation that never grows, so that no copy of the key stays behind.
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
        file.take(LONGEST).read_to_end(&mut text).map_err(&reading)?;
        let text = std::str::from_utf8(&text).map_err(|_| self.bad("it is not UTF-8".into()))?;
        self.parse(text)
    }

    fn parse(&self, text: &str) -> Result<Contents, StoreError> {
        let (mut version, mut id, mut key) = (None, None, None);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |what: &str| self.bad(format!("line {}: {what}", number + 1));
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
            Some(other) => return Err(self.bad(format!("version {other}, expected 1"))),
            None => return Err(self.bad("no version, expected version = 1".into())),
        }
        let id = id.ok_or_else(|| self.bad("no id".into()))?;
        let key = key.ok_or_else(|| self.bad("no key".into()))?;
        Ok(Contents { id, key })
    }

    fn bad(&self, what: String) -> StoreError {
        StoreError::KeyFile { path: self.path.clone(), what }
    }
}

impl KeyProvider for KeyFile {
    fn name(&self) -> &'static str {
        "key-file"
    }

    fn place(&self) -> String {
        format!("key file {}", self.path.display())
    }

    fn exists(&self) -> Result<bool, StoreError> {
        self.path.try_exists().map_err(io(&self.path, "looking for the key file"))
    }

    /// Written under another name, synced, then put in place: a kill leaves no key or a whole one.
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

        let making = io(&self.path, "making the key file");
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        match std::fs::remove_file(&fresh) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(making(e)),
            _ => {}
        }
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            publish_new(&fresh, &self.path)?;
            sync_parent(&self.path)
        })();
        written.map_err(|e| {
            let _ = std::fs::remove_file(&fresh); // the first error is the one to tell
            making(e)
        })
    }

    fn wrap(&self, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let contents = self.read(&self.path)?;
        let mut nonce = [0u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(StoreError::Random)?;
        let mut out = Vec::with_capacity(ID_BYTES + BLOB_HEAD + text.len());
        out.extend_from_slice(&contents.id);
        out.resize(ID_BYTES + BLOB_HEAD, 0);
        out.extend_from_slice(text); // sealed in place, so no plaintext stays behind
        let cipher = WRAPS.under(&contents.key);
        seal::seal_in_place(cipher.as_ref(), 0, &nonce, &mut out[ID_BYTES..])
            .map_err(|fault| self.bad(fault.to_string()))?;
        Ok(out)
    }

    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let contents = self.read(store)?;
        let place = Place::KeySlot { id: slot };
        let bad = |fault| StoreError::BadSeal { file: store.to_path_buf(), place, fault };
        let Some((id, blob)) = wrapped.split_first_chunk::<ID_BYTES>() else {
            return Err(bad(SealFault::Short { found: wrapped.len(), expected: ID_BYTES }));
        };
        if *id != contents.id {
            let (mut found, mut expected) = (String::new(), String::new());
            to_hex(&contents.id, &mut found);
            to_hex(id, &mut expected);
            let (store, key) = (store.to_path_buf(), self.place());
            return Err(StoreError::KeyWrong { store, key, found, expected });
        }
        let parts = Parts::of(blob).map_err(bad)?;
        if parts.cipher != WRAPS.id {
            let (found, expected) = (parts.cipher, WRAPS.id);
            return Err(bad(SealFault::OtherCipher { found, expected }));
        }
        if parts.key_id != 0 {
            return Err(bad(SealFault::Key { found: parts.key_id, known: "0".into() }));
        }
        let mut text = Zeroizing::new(parts.text.to_vec());
        let cipher = WRAPS.under(&contents.key);
        cipher.open(parts.nonce, parts.tag, &mut text).map_err(bad)?;
        Ok(text)
    }
}
