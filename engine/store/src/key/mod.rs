//! The key providers there are, and the choice among them: a new store gets the first, a store that is
//! there is opened by the one that its key slots name.

mod ask;
mod credential;
mod environment;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod passphrase;
mod pem;
mod rsa;
mod wrapping;

use std::path::{Path, PathBuf};

pub use ask::{NoSource, Passphrase, PassphraseSource, Question};
pub use credential::{CredentialKey, DEFAULT_CREDENTIAL};
pub use environment::{DEFAULT_VARIABLE, EnvironmentKey};
pub use file::KeyFile;
pub use passphrase::{Argon2Cost, PassphraseKey};
pub use rsa::{PRIVATE_FILE, PUBLIC_FILE, RsaFiles, RsaPair};

use crate::error::StoreError;
use crate::keys::KeyProvider;
use crate::slots::{Particular, Slot};

/// Key providers at hand. None of them does anything before it is needed.
pub struct Providers {
    all: Vec<Box<dyn KeyProvider>>,
}

impl Providers {
    /// `first` wraps the key of a store that is made now.
    pub fn new(first: Box<dyn KeyProvider>) -> Self {
        Self { all: vec![first] }
    }

    /// These, and `other` for stores that name it. Of two with one name, the one added first serves.
    #[must_use]
    pub fn and(mut self, other: Box<dyn KeyProvider>) -> Self {
        self.all.push(other);
        self
    }

    /// The one for a new store.
    pub fn first(&self) -> &dyn KeyProvider {
        self.all[0].as_ref() // `new` puts one in, nothing takes one
    }

    /// The files that the providers may have.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.all.iter().flat_map(|provider| provider.files()).collect()
    }

    /// What a slot says of the key that wrapped it, without that key: names and values.
    pub(crate) fn particulars(slot: &Slot) -> Vec<(&'static str, Particular)> {
        use Particular::{Number, Text};
        let wrapped = slot.wrapped.as_slice();
        let id = || Some(vec![("key_id", Text(wrapping::hex(wrapped.first_chunk::<8>()?)))]);
        let said = match slot.provider.as_str() {
            file::NAME | environment::NAME | credential::NAME => id(),
            passphrase::NAME => passphrase::cost_of(wrapped).map(|cost| {
                vec![
                    ("derivation", Text("Argon2id".into())),
                    ("memory_kib", Number(cost.memory_kib.into())),
                    ("passes", Number(cost.passes.into())),
                    ("lanes", Number(cost.lanes.into())),
                ]
            }),
            rsa::NAME => rsa::named_in(wrapped).map(|(bits, fingerprint)| {
                vec![("bits", Number(bits as u64)), ("public_key_sha256", Text(fingerprint))]
            }),
            _ => None,
        };
        said.unwrap_or_default()
    }

    /// The one that wrapped these slots, all of which are of one provider.
    pub(crate) fn take(
        mut self,
        store: &Path,
        slots: &[Slot],
    ) -> Result<Box<dyn KeyProvider>, StoreError> {
        let mut named: Vec<&str> = slots.iter().map(|slot| slot.provider.as_str()).collect();
        named.dedup();
        if let [name] = named[..]
            && let Some(at) = self.all.iter().position(|p| p.name() == name)
        {
            return Ok(self.all.swap_remove(at));
        }
        let found = if named.is_empty() { "none".into() } else { named.join(", ") };
        let known: Vec<&str> = self.all.iter().map(|p| p.name()).collect();
        let (store, expected) = (store.to_path_buf(), known.join(", "));
        Err(StoreError::KeyProvider { store, found, expected })
    }
}

impl std::fmt::Debug for Providers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|p| p.name())).finish()
    }
}
