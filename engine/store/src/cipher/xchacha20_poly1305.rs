//! XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), libsodium's `aead_xchacha20poly1305_ietf`, without
//! associated data.

use chacha20poly1305::aead::{AeadInOut, KeyInit};

use super::{Cipher, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::seal::SealFault;

struct XChaCha(chacha20poly1305::XChaCha20Poly1305);

const _: () = super::wipes_its_key::<chacha20poly1305::XChaCha20Poly1305>();

/// The cipher under `key`.
pub(super) fn new(key: &[u8; KEY_BYTES]) -> Box<dyn Cipher> {
    Box::new(XChaCha(chacha20poly1305::XChaCha20Poly1305::new(key.into())))
}

impl Cipher for XChaCha {
    fn id(&self) -> u8 {
        2
    }

    fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], SealFault> {
        let found = text.len();
        let tag = self.0.encrypt_inout_detached(nonce.into(), b"", text.into());
        tag.map(Into::into).map_err(|_| SealFault::TooLong { found })
    }

    fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        tag: &[u8; TAG_BYTES],
        text: &mut [u8],
    ) -> Result<(), SealFault> {
        let opened = self.0.decrypt_inout_detached(nonce.into(), b"", text.into(), tag.into());
        opened.map_err(|_| SealFault::DoesNotOpen)
    }
}
