//! Key providers: who wraps the data key that seals everything else.
//!
//! A store's data key is random and never leaves memory unwrapped. A key slot of the store holds it
//! wrapped by a provider. There is one slot, or two of one provider while the data key is rotated.

use std::path::{Path, PathBuf};

use zerocopy::IntoBytes;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Place, StoreError};
use crate::seal::{Algorithm, IDENTITY_WORDS, Identity, KEY_BYTES, KeyRing, Kind, SealFault};

/// Wraps and unwraps data keys under a key of its own.
pub trait KeyProvider: Send {
    /// The name that key slots carry.
    fn name(&self) -> &'static str;

    /// Where its key comes from, for messages.
    fn place(&self) -> String;

    /// The files that it may have, which can stand in the data directory before the store does.
    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }

    /// Whether its key is there.
    ///
    /// # Errors
    /// It can't be told.
    fn exists(&self) -> Result<bool, StoreError>;

    /// Makes the key. Called only for a new store, and only where there is none.
    ///
    /// # Errors
    /// It can't be made; nothing half-made is left.
    fn create(&self) -> Result<(), StoreError>;

    /// Wraps `text`. `store` and `slot` are for messages.
    ///
    /// # Errors
    /// The key can't be had, or random bytes can't.
    fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Unwraps what `wrap` made. `store` and `slot` are for messages.
    ///
    /// # Errors
    /// [`StoreError::KeyMissing`], [`StoreError::KeyWrong`], [`StoreError::PassphraseWrong`],
    /// [`StoreError::BadSeal`] and the like.
    fn unwrap(
        &self,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// The store is open: what only unwrapping needs may be forgotten.
    fn settled(&self) {}
}

/// Words of a key slot's plaintext: identity; key id (low) and cipher (high); the key.
const SLOT_WORDS: usize = IDENTITY_WORDS + 1 + KEY_BYTES / 8;

/// A new random data key, wrapped for key slot `slot`.
pub(crate) fn new_data_key(
    provider: &dyn KeyProvider,
    store: &Path,
    instance: &[u8; 16],
    slot: u64,
    key_id: u32,
    algorithm: Algorithm,
) -> Result<(KeyRing, Vec<u8>), StoreError> {
    let mut text = Zeroizing::new([0u64; SLOT_WORDS]);
    let identity = Identity { kind: Kind::DataKey, table: 0, place: slot, revision: 0 };
    let (head, body) = text.split_at_mut(IDENTITY_WORDS);
    head.copy_from_slice(&identity.words(instance));
    body[0] = u64::from(key_id) | u64::from(algorithm.id) << 32;
    getrandom::fill(body[1..].as_mut_bytes()).map_err(StoreError::Random)?;
    let wrapped = provider.wrap(store, slot, text.as_bytes())?;
    let key = key_of(&text);
    Ok((KeyRing::new(key_id, algorithm.under(&key)), wrapped))
}

/// The data key in key slot `slot`.
pub(crate) fn open_data_key(
    provider: &dyn KeyProvider,
    store: &Path,
    instance: &[u8; 16],
    slot: u64,
    wrapped: &[u8],
) -> Result<KeyRing, StoreError> {
    let bad = |fault| StoreError::BadSeal {
        file: store.to_path_buf(),
        place: Place::KeySlot { id: slot },
        fault,
    };
    let bytes = provider.unwrap(store, slot, wrapped)?;
    let mut text = Zeroizing::new([0u64; SLOT_WORDS]);
    if bytes.len() != SLOT_WORDS * 8 {
        let what = format!("{} bytes of a wrapped key, expected {}", bytes.len(), SLOT_WORDS * 8);
        return Err(bad(SealFault::Body(what)));
    }
    text.as_mut_bytes().copy_from_slice(&bytes);
    let mut head = [0u64; IDENTITY_WORDS];
    head.copy_from_slice(&text[..IDENTITY_WORDS]);
    Identity::check(&head, instance, Kind::DataKey, slot, Some(0)).map_err(bad)?;
    let named = text[IDENTITY_WORDS];
    let (key_id, id) = (named as u32, (named >> 32) as u8);
    let algorithm = Algorithm::of_id(id).ok_or(SealFault::Cipher { found: id }).map_err(bad)?;
    Ok(KeyRing::new(key_id, algorithm.under(&key_of(&text))))
}

fn key_of(text: &[u64; SLOT_WORDS]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    key.copy_from_slice(text[IDENTITY_WORDS + 1..].as_bytes());
    key
}

/// Puts the hexadecimal digits of `text` into `out`; `false` where it is not exactly them.
pub(crate) fn from_hex(text: &str, out: &mut [u8]) -> bool {
    if text.len() != out.len() * 2 {
        return false;
    }
    let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
    for (pair, byte) in text.as_bytes().chunks_exact(2).zip(out.iter_mut()) {
        match (digit(pair[0]), digit(pair[1])) {
            (Some(high), Some(low)) => *byte = high << 4 | low,
            _ => {
                out.zeroize();
                return false;
            }
        }
    }
    true
}

/// Appends `bytes` to `out` in hexadecimal.
pub(crate) fn to_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
}
