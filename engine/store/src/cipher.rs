//! Ciphers: what seals are made with. A store says which one its data key is for; each is one file
//! in `cipher/` and one line in [`ALGORITHMS`].
//!
//! All take a key of 32 bytes, a random nonce of 24 (so that nonces need no bookkeeping: any two of
//! 2^48 are the same with a probability of 2^-96), and give a tag of 16.

mod aes_256_gcm;
mod xchacha20_poly1305;
mod xsalsa20_poly1305;

use crate::seal::SealFault;

/// Bytes of a data key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 24;
/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;

/// An authenticated cipher under one key. Implementations wipe the key when they are dropped.
pub trait Cipher: Send + Sync {
    /// Number that blobs carry.
    fn id(&self) -> u8;
    /// Encrypts `text` in place and returns its tag.
    ///
    /// # Errors
    /// [`SealFault::TooLong`] where the text is longer than the cipher takes.
    fn seal(
        &self,
        nonce: &[u8; NONCE_BYTES],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], SealFault>;
    /// Decrypts `text` in place, after its tag was found right.
    ///
    /// # Errors
    /// [`SealFault::DoesNotOpen`]; `text` is then unchanged.
    fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        tag: &[u8; TAG_BYTES],
        text: &mut [u8],
    ) -> Result<(), SealFault>;
}

/// A cipher as a store names it.
#[derive(Clone, Copy)]
pub struct Algorithm {
    /// Number that blobs carry.
    pub id: u8,
    /// Name, as configuration and status have it.
    pub name: &'static str,
    make: fn(&[u8; KEY_BYTES]) -> Box<dyn Cipher>,
}

/// All there are. Numbers are part of the format: they are never changed nor used again.
pub const ALGORITHMS: &[Algorithm] = &[
    Algorithm { id: 1, name: "XSalsa20-Poly1305", make: xsalsa20_poly1305::new },
    Algorithm { id: 2, name: "XChaCha20-Poly1305", make: xchacha20_poly1305::new },
    Algorithm { id: 3, name: "AES-256-GCM", make: aes_256_gcm::new },
];

impl Algorithm {
    /// What a store uses that was not told otherwise.
    pub const DEFAULT: Self = ALGORITHMS[0];

    /// The one with this number.
    pub fn of_id(id: u8) -> Option<Self> {
        ALGORITHMS.iter().find(|a| a.id == id).copied()
    }

    /// The one of this name, ASCII case folded.
    pub fn of_name(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|a| a.name.eq_ignore_ascii_case(name)).copied()
    }

    /// It under `key`.
    pub fn under(self, key: &[u8; KEY_BYTES]) -> Box<dyn Cipher> {
        (self.make)(key)
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Algorithm {}

impl std::fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Compiles only where the crate was built so that it wipes keys.
const fn wipes_its_key<T: zeroize::ZeroizeOnDrop>() {}

/// The ciphers there are, for messages.
pub(crate) fn known() -> String {
    let each = ALGORITHMS.iter().map(|a| format!("{} ({})", a.id, a.name));
    each.collect::<Vec<_>>().join(", ")
}
