//! The environment: a variable holds the wrapping key, as 64 hexadecimal digits or in base64.
//!
//! `wrapped` is as of a key file, with an id that follows from the key. Whoever starts the daemon can
//! take the variable out of the environment and hand it over; otherwise it is read when it is needed.

use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::key::wrapping::{FORMS, Named, key_of_text};
use crate::keys::KeyProvider;

/// Name in key slots.
pub const NAME: &str = "environment";

/// The variable, unless the configuration names another.
pub const DEFAULT_VARIABLE: &str = "SHMIRROR_KEY";

/// The provider whose key is in an environment variable.
pub struct EnvironmentKey {
    name: String,
    taken: Option<Zeroizing<Vec<u8>>>,
}

impl EnvironmentKey {
    /// The key in the variable `name`; `taken` is its value, where it was taken out already.
    pub fn new(name: impl Into<String>, taken: Option<Zeroizing<Vec<u8>>>) -> Self {
        Self { name: name.into(), taken }
    }

    fn value(&self) -> Option<Zeroizing<Vec<u8>>> {
        let read = || std::env::var_os(&self.name).map(|v| Zeroizing::new(v.into_vec()));
        self.taken.clone().or_else(read)
    }

    fn key(&self) -> Result<Option<Named>, StoreError> {
        let Some(value) = self.value() else { return Ok(None) };
        let bad = || StoreError::KeyUnusable {
            key: self.place(),
            what: format!("{} bytes that are no key, expected {FORMS}", value.len()),
        };
        Ok(Some(Named::of(key_of_text(&value).ok_or_else(bad)?)))
    }

    fn missing(&self) -> StoreError {
        StoreError::NoKey { key: self.place(), expected: FORMS.into() }
    }
}

impl KeyProvider for EnvironmentKey {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        format!("environment variable {}", self.name)
    }

    fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.value().is_some())
    }

    /// It can't be made here, only given.
    fn create(&self) -> Result<(), StoreError> {
        Err(self.missing())
    }

    fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.key()?.ok_or_else(|| self.missing())?.wrap(store, slot, text)
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
