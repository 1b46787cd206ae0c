//! Wrapping under a key of 32 bytes: an id of the key, in the clear, then a sealed value with data key
//! number 0. What the key file, the environment and a credential have in common.

use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use base64ct::{Base64, Base64Unpadded, Encoding as _};
use zeroize::Zeroizing;

use crate::error::{Place, StoreError};
use crate::keys::{from_hex, to_hex};
use crate::seal::{self, Algorithm, BLOB_HEAD, KEY_BYTES, NONCE_BYTES, Parts, SealFault};

/// What wraps data keys, whatever cipher these are for.
const WRAPS: Algorithm = Algorithm::DEFAULT;

/// Bytes of a wrapping key's id.
pub(super) const ID_BYTES: usize = 8;

/// A key that wraps.
pub(super) type WrappingKey = Zeroizing<[u8; KEY_BYTES]>;

/// `head`, then `text` sealed under `key`.
pub(super) fn seal_under(
    key: &WrappingKey,
    head: &[u8],
    store: &Path,
    slot: u64,
    text: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0u8; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(StoreError::Random)?;
    let mut out = Vec::with_capacity(head.len() + BLOB_HEAD + text.len());
    out.extend_from_slice(head);
    out.resize(head.len() + BLOB_HEAD, 0);
    out.extend_from_slice(text); // sealed in place, so no plaintext stays behind
    let cipher = WRAPS.under(key);
    seal::seal_in_place(cipher.as_ref(), 0, &nonce, &mut out[head.len()..])
        .map_err(|fault| bad(store, slot, fault))?;
    Ok(out)
}

/// What [`seal_under`] put behind its head.
pub(super) fn open_under(key: &WrappingKey, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealFault> {
    let parts = Parts::of(blob)?;
    if parts.cipher != WRAPS.id {
        return Err(SealFault::OtherCipher { found: parts.cipher, expected: WRAPS.id });
    }
    if parts.key_id != 0 {
        return Err(SealFault::Key { found: parts.key_id, known: "0".into() });
    }
    let mut text = Zeroizing::new(parts.text.to_vec());
    WRAPS.under(key).open(parts.nonce, parts.tag, &mut text)?;
    Ok(text)
}

/// The error of a key slot.
pub(super) fn bad(store: &Path, slot: u64, fault: SealFault) -> StoreError {
    StoreError::BadSeal { file: store.to_path_buf(), place: Place::KeySlot { id: slot }, fault }
}

/// A wrapping key with its id, from wherever it came.
pub(super) struct Named {
    pub id: [u8; ID_BYTES],
    pub key: WrappingKey,
}

impl Named {
    /// `key` with an id that follows from it.
    pub fn of(key: WrappingKey) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"shmirror wrapping key id\0");
        context.update(key.as_slice());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&context.finish().as_ref()[..ID_BYTES]);
        Self { id, key }
    }

    /// Wraps `text`.
    pub fn wrap(&self, store: &Path, slot: u64, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        seal_under(&self.key, &self.id, store, slot, text)
    }

    /// Unwraps what `wrap` made; `place` is where the key is from.
    pub fn unwrap(
        &self,
        place: String,
        store: &Path,
        slot: u64,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let Some((id, blob)) = wrapped.split_first_chunk::<ID_BYTES>() else {
            let fault = SealFault::Short { found: wrapped.len(), expected: ID_BYTES };
            return Err(bad(store, slot, fault));
        };
        if *id != self.id {
            let (found, expected) = (hex(&self.id), hex(id));
            return Err(StoreError::KeyWrong {
                store: store.to_path_buf(),
                key: place,
                found,
                expected,
            });
        }
        open_under(&self.key, blob).map_err(|fault| bad(store, slot, fault))
    }
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    to_hex(bytes, &mut text);
    text
}

/// The forms that a key of 32 bytes may have outside a key file.
pub(super) const FORMS: &str = "64 hexadecimal digits, or base64 of 32 bytes";

/// The key in `text`: [`FORMS`], blanks around it passed over.
pub(super) fn key_of_text(text: &[u8]) -> Option<WrappingKey> {
    let text = text.trim_ascii();
    let mut key = Zeroizing::new([0u8; KEY_BYTES]);
    let digits = std::str::from_utf8(text).ok()?;
    if from_hex(digits, key.as_mut_slice()) {
        return Some(key);
    }
    // Constant in time, as a key's digits should not be told from how long they take to read.
    let read = match text.len() {
        44 => Base64::decode(text, key.as_mut_slice()).map(<[u8]>::len),
        43 => Base64Unpadded::decode(text, key.as_mut_slice()).map(<[u8]>::len),
        _ => return None,
    };
    (read == Ok(KEY_BYTES)).then_some(key)
}
