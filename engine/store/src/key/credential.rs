//! A credential of systemd: a file in `$CREDENTIALS_DIRECTORY` holds the wrapping key, as 32 bytes, 64
//! hexadecimal digits, base64, or as a key file.
//!
//! `wrapped` is as of a key file, with an id that follows from the key, whatever form it has.

use std::fs::File;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{StoreError, io};
use crate::key::file;
use crate::key::wrapping::{FORMS, Named, key_of_text};
use crate::keys::KeyProvider;
use crate::seal::KEY_BYTES;

/// Name in key slots.
pub const NAME: &str = "credential";

/// The credential, unless the configuration names another.
pub const DEFAULT_CREDENTIAL: &str = "shmirror.key";

/// Where systemd says that credentials are.
pub const DIRECTORY_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// The provider whose key the service manager hands over.
#[derive(Clone, Debug)]
pub struct CredentialKey {
    name: String,
    directory: Option<PathBuf>,
}

impl CredentialKey {
    /// The credential `name` in `$CREDENTIALS_DIRECTORY`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::in_directory(name, std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from))
    }

    /// The credential `name` in `directory`; `None`: the service manager gave none.
    pub fn in_directory(name: impl Into<String>, directory: Option<PathBuf>) -> Self {
        Self { name: name.into(), directory }
    }

    fn path(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(&self.name))
    }

    fn key(&self) -> Result<Option<Named>, StoreError> {
        let Some(path) = self.path() else { return Ok(None) };
        let reading = io(&path, "reading the credential");
        let text = match File::open(&path) {
            Ok(opened) => file::read_whole(opened).map_err(reading)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(reading(e)),
        };
        let unusable = |what| StoreError::KeyUnusable { key: self.place(), what };
        let Some(text) = text else { return Err(unusable("no small regular file".into())) };
        if let Ok(bytes) = <&[u8; KEY_BYTES]>::try_from(text.as_slice()) {
            return Ok(Some(Named::of(Zeroizing::new(*bytes))));
        }
        if let Some(key) = key_of_text(&text) {
            return Ok(Some(Named::of(key)));
        }
        let no_key = || {
            let found = text.len();
            unusable(format!(
                "{found} bytes that are no key, expected 32 bytes, {FORMS}, or a key file"
            ))
        };
        let text = std::str::from_utf8(&text).map_err(|_| no_key())?;
        let contents = file::parse(text).map_err(|what| match text.contains("version") {
            true => unusable(what),
            false => no_key(),
        })?;
        Ok(Some(Named::of(contents.key)))
    }
}

impl KeyProvider for CredentialKey {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        match self.path() {
            Some(path) => format!("credential {}", path.display()),
            None => format!("credential {} (no ${DIRECTORY_VARIABLE} is set)", self.name),
        }
    }

    fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.path().is_some_and(|path| path.exists()))
    }

    /// It can't be made here, only given.
    fn create(&self) -> Result<(), StoreError> {
        let expected = format!("32 bytes, {FORMS}, or a key file");
        Err(StoreError::NoKey { key: self.place(), expected })
    }

    fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        match self.key()? {
            Some(key) => key.wrap(store, slot, text),
            None => self.create().map(|()| vec![]),
        }
    }

    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let missing = || StoreError::KeyMissing { key: self.place(), store: store.to_path_buf() };
        self.key()?.ok_or_else(missing)?.unwrap(self.place(), store, slot, wrapped)
    }
}
