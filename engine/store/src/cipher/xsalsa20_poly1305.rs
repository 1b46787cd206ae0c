//! XSalsa20-Poly1305: NaCl's `crypto_secretbox`.

use xsalsa20poly1305::aead::{AeadInPlace, KeyInit};

use super::{Cipher, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::seal::SealFault;

struct XSalsa(xsalsa20poly1305::XSalsa20Poly1305);

/// The cipher under `key`.
pub(super) fn new(key: &[u8; KEY_BYTES]) -> Box<dyn Cipher> {
    Box::new(XSalsa(xsalsa20poly1305::XSalsa20Poly1305::new(key.into())))
}

impl Cipher for XSalsa {
    fn id(&self) -> u8 {
        1
    }

    fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], SealFault> {
        let found = text.len();
        let tag = self.0.encrypt_in_place_detached(nonce.into(), b"", text);
        tag.map(Into::into).map_err(|_| SealFault::TooLong { found })
    }

    fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        tag: &[u8; TAG_BYTES],
        text: &mut [u8],
    ) -> Result<(), SealFault> {
        let opened = self.0.decrypt_in_place_detached(nonce.into(), b"", text, tag.into());
        opened.map_err(|_| SealFault::DoesNotOpen)
    }
}
