//! AES-256-GCM with nonces of 24 bytes, as XAES-256-GCM of C2SP has it
//! (<https://c2sp.org/XAES-256-GCM>): from the key and the nonce's first 12 bytes a key is derived for
//! each seal, under which the other 12 are the nonce of plain AES-256-GCM, without associated data.
//!
//! AES-256-GCM alone takes 12 bytes, too few to be drawn at random for as many seals as a busy store makes
//! (2^32 under one key), and one that comes twice gives the plaintexts away.

use xaes_256_gcm::aead::{AeadInOut, KeyInit};

use super::{Cipher, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::seal::SealFault;

struct Aes(xaes_256_gcm::Xaes256Gcm);

const _: () = super::wipes_its_key::<xaes_256_gcm::Xaes256Gcm>();

/// The cipher under `key`.
pub(super) fn new(key: &[u8; KEY_BYTES]) -> Box<dyn Cipher> {
    Box::new(Aes(xaes_256_gcm::Xaes256Gcm::new(key.into())))
}

impl Cipher for Aes {
    fn id(&self) -> u8 {
        3
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
