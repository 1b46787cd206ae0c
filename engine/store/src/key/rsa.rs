//! An RSA key pair: `public.pem` seals, `private.pem` opens.
//!
//! ```text
//! wrapped   SHA-256 of the public key's SubjectPublicKeyInfo, 32 bytes |
//!           RSA-OAEP (SHA-256, MGF1 with SHA-256, no label) of the plaintext
//! ```
//! Once a store is open the public key is kept, which wraps later data keys; the private one is
//! forgotten.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use zeroize::Zeroizing;

use crate::error::{StoreError, io};
use crate::key::ask::{PassphraseSource, Question};
use crate::key::file::{read_secret, write_new};
use crate::key::pem::{self, NotOpened, PrivatePem};
use crate::key::wrapping::{bad, hex};
use crate::keys::KeyProvider;
use crate::seal::SealFault;

/// Name in key slots.
pub const NAME: &str = "rsa";

/// Names of the files, unless the configuration has others.
pub const PUBLIC_FILE: &str = "public.pem";
/// See [`PUBLIC_FILE`].
pub const PRIVATE_FILE: &str = "private.pem";

const FINGERPRINT_BYTES: usize = 32;

/// Where the files of a pair are, and how a new one is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaFiles {
    /// The public key.
    pub public: PathBuf,
    /// The private key.
    pub private: PathBuf,
    /// Bits of a new pair.
    pub bits: usize,
    /// Whether a new private key is put under a passphrase.
    pub protect: bool,
}

impl RsaFiles {
    /// Bits of a new pair that was asked for no others.
    pub const BITS: usize = pem::LEAST_BITS;
}

#[derive(Default)]
struct Known {
    public: Option<PublicEncryptingKey>,
    private: Option<PrivateDecryptingKey>,
}

/// The provider whose key is an RSA pair.
pub struct RsaPair {
    files: RsaFiles,
    source: Arc<dyn PassphraseSource>,
    known: Mutex<Known>,
}

impl RsaPair {
    /// The pair in these files, which need not exist yet; `source` is asked for the passphrase of a
    /// private key that is under one.
    pub fn new(files: RsaFiles, source: Arc<dyn PassphraseSource>) -> Self {
        Self { files, source, known: Mutex::default() }
    }

    /// The public key as PEM: that of the public file, or else of the private one.
    ///
    /// # Errors
    /// There is neither, or it can't be used.
    pub fn public_text(&self) -> Result<String, StoreError> {
        let key = self.public(&mut self.known())?;
        pem::public_text(&key).map_err(|what| self.unusable(&self.files.public, what))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each of its keys is set whole or not at all.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unusable(&self, path: &Path, what: String) -> StoreError {
        StoreError::KeyUnusable { key: path.display().to_string(), what }
    }

    /// The public key: that which opened the store, else that of the public file, else of the private.
    fn public(&self, known: &mut Known) -> Result<PublicEncryptingKey, StoreError> {
        if let Some(key) = &known.public {
            return Ok(key.clone());
        }
        let path = &self.files.public;
        let key = match std::fs::read(path) {
            Ok(text) => pem::public(&text).map_err(|what| self.unusable(path, what))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => match self.private(known)? {
                Some(key) => key.public_key(),
                None => {
                    let expected = "a public key in PEM".into();
                    return Err(StoreError::NoKey { key: path.display().to_string(), expected });
                }
            },
            Err(e) => return Err(io(path, "reading the public key")(e)),
        };
        Ok(known.public.insert(key).clone())
    }

    fn private(&self, known: &mut Known) -> Result<Option<PrivateDecryptingKey>, StoreError> {
        if let Some(key) = &known.private {
            return Ok(Some(key.clone()));
        }
        let path = &self.files.private;
        let Some(text) = read_secret(path)? else { return Ok(None) };
        let key = match pem::private(&text).map_err(|what| self.unusable(path, what))? {
            PrivatePem::Open(key) => key,
            PrivatePem::Sealed(der) => {
                let question = Question::of_private_key(path);
                let passphrase = self.source.ask(&question)?;
                pem::open(&der, &passphrase).map_err(|why| match why {
                    NotOpened::Passphrase => StoreError::PassphraseWrong { of: question.wanted() },
                    NotOpened::Unusable(what) => self.unusable(path, what),
                })?
            }
        };
        Ok(Some(known.private.insert(key).clone()))
    }
}

fn fingerprint(key: &PublicEncryptingKey) -> Result<[u8; FINGERPRINT_BYTES], String> {
    let mut out = [0; FINGERPRINT_BYTES];
    out.copy_from_slice(digest(&SHA256, &pem::spki(key)?).as_ref());
    Ok(out)
}

/// Bits and fingerprint of the key that a slot was wrapped under.
pub(crate) fn named_in(wrapped: &[u8]) -> Option<(usize, String)> {
    let (fingerprint, sealed) = wrapped.split_first_chunk::<FINGERPRINT_BYTES>()?;
    Some((sealed.len() * 8, hex(fingerprint)))
}

impl KeyProvider for RsaPair {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self) -> String {
        format!("RSA pair {} and {}", self.files.public.display(), self.files.private.display())
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.files.public.clone(), self.files.private.clone()]
    }

    fn exists(&self) -> Result<bool, StoreError> {
        let path = &self.files.public;
        path.try_exists().map_err(io(path, "looking for the public key"))
    }

    /// The private key first: of what a kill leaves, the public one is made again.
    fn create(&self) -> Result<(), StoreError> {
        let mut known = self.known();
        let key = match self.private(&mut known)? {
            Some(key) => key,
            None => {
                let path = &self.files.private;
                let unusable = |what| self.unusable(path, what);
                let passphrase = match self.files.protect {
                    true => Some(self.source.ask(&Question::new_for_private_key(path))?),
                    false => None,
                };
                let key = pem::generate(self.files.bits).map_err(unusable)?;
                let text = pem::private_text(&key, passphrase.as_ref())?;
                write_new(path, 0o600, text.as_bytes())?;
                known.private.insert(key).clone()
            }
        };
        let path = &self.files.public;
        let text = pem::public_text(&key.public_key());
        write_new(path, 0o644, text.map_err(|what| self.unusable(path, what))?.as_bytes())
    }

    fn wrap(&self, _store: &Path, _slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let key = self.public(&mut self.known())?;
        let failed = |what: &str| self.unusable(&self.files.public, what.into());
        let mut out = fingerprint(&key).map_err(|what| failed(&what))?.to_vec();
        let sealed = out.len()..out.len() + key.key_size_bytes();
        out.resize(sealed.end, 0);
        OaepPublicEncryptingKey::new(key)
            .and_then(|key| {
                key.encrypt(&OAEP_SHA256_MGF1SHA256, text, &mut out[sealed], None).map(|_| ())
            })
            .map_err(|_| failed("RSA-OAEP under it failed"))?;
        Ok(out)
    }

    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let Some((sealed_for, sealed)) = wrapped.split_first_chunk::<FINGERPRINT_BYTES>() else {
            let fault = SealFault::Short { found: wrapped.len(), expected: FINGERPRINT_BYTES };
            return Err(bad(store, slot, fault));
        };
        let mut known = self.known();
        let path = &self.files.private;
        let place = format!("private key {}", path.display());
        let Some(private) = self.private(&mut known)? else {
            return Err(StoreError::KeyMissing { key: place, store: store.to_path_buf() });
        };
        let public = private.public_key();
        let found = fingerprint(&public).map_err(|what| self.unusable(path, what))?;
        if found != *sealed_for {
            let (found, expected) = (hex(&found[..8]), hex(&sealed_for[..8]));
            return Err(StoreError::KeyWrong {
                store: store.to_path_buf(),
                key: place,
                found,
                expected,
            });
        }
        let mut text = Zeroizing::new(vec![0; private.key_size_bytes()]);
        let length = OaepPrivateDecryptingKey::new(private)
            .and_then(|key| {
                key.decrypt(&OAEP_SHA256_MGF1SHA256, sealed, &mut text, None).map(|t| t.len())
            })
            .map_err(|_| bad(store, slot, SealFault::DoesNotOpen))?;
        text.truncate(length);
        known.public = Some(public);
        Ok(text)
    }

    fn settled(&self) {
        self.known().private = None;
    }
}
