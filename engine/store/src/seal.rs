//! Sealing and opening: plaintext words with an identity at their head go in, self-describing
//! blobs come out, and back.
//!
//! ```text
//! blob       format u8 (1) | cipher u8 | zero u16 | data key id u32      8 bytes, in the clear
//!            nonce 24 | tag 16 | ciphertext
//! plaintext  identity, 6 words ([`Identity`]) | body, whole words
//! ```
//! The default cipher takes no associated data, so what a blob is (instance, kind, table, place,
//! revision, format) is sealed with it and compared when it is opened: a blob that was moved to
//! another place, or put back from an earlier time, does not pass. The eight bytes in the clear
//! need no seal of their own: each of their bits is checked against the only value it can have.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::IntoBytes;
use zeroize::Zeroize;

use crate::error::{Place, StoreError};
use crate::nonce::NonceSource;
use crate::plain::Plain;

pub use crate::cipher::{Algorithm, Cipher, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
pub use crate::identity::{IDENTITY_WORDS, Identity, Kind};
pub(crate) use crate::ring::KeyRing;

/// Bytes of a blob before its ciphertext.
pub const BLOB_HEAD: usize = 8 + NONCE_BYTES + TAG_BYTES;
/// Version of the blob's form.
pub const BLOB_FORMAT: u8 = 1;

/// What is wrong with a sealed value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealFault {
    /// Too short for a blob.
    #[error("sealed value of {found} bytes, expected at least {expected}")]
    Short {
        /// Bytes there are.
        found: usize,
        /// Bytes there must be.
        expected: usize,
    },
    /// Its plaintext would be no whole number of words.
    #[error("sealed value of {found} bytes, expected a multiple of 8")]
    Uneven {
        /// Bytes there are.
        found: usize,
    },
    /// Another form of blob.
    #[error("seal format {found:#x}, expected {expected:#x}")]
    Format {
        /// First and third bytes found.
        found: u32,
        /// What they should be.
        expected: u32,
    },
    /// A cipher that this build does not have.
    #[error("cipher {found}, expected one of {}", crate::cipher::known())]
    Cipher {
        /// Its number.
        found: u8,
    },
    /// A cipher that is not the one of the data key which the seal names.
    #[error("cipher {found}, expected {expected}, which its data key is for")]
    OtherCipher {
        /// Its number.
        found: u8,
        /// That of the data key's cipher.
        expected: u8,
    },
    /// The plaintext is longer than the cipher takes.
    #[error("plaintext of {found} bytes, longer than the cipher takes")]
    TooLong {
        /// Its bytes.
        found: usize,
    },
    /// A data key that the store does not have.
    #[error("sealed with data key {found}, the store has {known}")]
    Key {
        /// Number of the key.
        found: u32,
        /// Numbers of the keys there are.
        known: String,
    },
    /// The tag is wrong.
    #[error("the seal does not open: it was changed, or another key sealed it")]
    DoesNotOpen,
    /// It opens, but it is the seal of something else.
    #[error("the seal is that of another place: {field} {found}, expected {expected}")]
    Moved {
        /// What differs.
        field: &'static str,
        /// As sealed.
        found: String,
        /// As its place asks for.
        expected: String,
    },
    /// It opens, but what is in it is malformed.
    #[error("opened, but malformed: {0}")]
    Body(String),
}

/// Seals the plaintext that `out` holds from [`BLOB_HEAD`] on, and fills in the head.
///
/// # Errors
/// The cipher's.
pub fn seal_in_place(
    cipher: &dyn Cipher,
    key_id: u32,
    nonce: &[u8; NONCE_BYTES],
    out: &mut [u8],
) -> Result<(), SealFault> {
    let (found, expected) = (out.len(), BLOB_HEAD);
    let Some((head, text)) = out.split_at_mut_checked(BLOB_HEAD) else {
        return Err(SealFault::Short { found, expected });
    };
    let tag = cipher.seal(nonce, text)?;
    head[..4].copy_from_slice(&[BLOB_FORMAT, cipher.id(), 0, 0]);
    head[4..8].copy_from_slice(&key_id.to_le_bytes());
    head[8..32].copy_from_slice(nonce);
    head[32..].copy_from_slice(&tag);
    Ok(())
}

/// The parts of a blob: cipher, key id, nonce, tag, ciphertext.
pub(crate) struct Parts<'a> {
    pub cipher: u8,
    pub key_id: u32,
    pub nonce: &'a [u8; NONCE_BYTES],
    pub tag: &'a [u8; TAG_BYTES],
    pub text: &'a [u8],
}

impl<'a> Parts<'a> {
    pub fn of(blob: &'a [u8]) -> Result<Self, SealFault> {
        let short = SealFault::Short { found: blob.len(), expected: BLOB_HEAD };
        let parts = blob.split_first_chunk::<8>().and_then(|(head, rest)| {
            let (nonce, rest) = rest.split_first_chunk()?;
            let (tag, text) = rest.split_first_chunk()?;
            Some((head, nonce, tag, text))
        });
        let Some((head, nonce, tag, text)) = parts else { return Err(short) };
        if (head[0], head[2], head[3]) != (BLOB_FORMAT, 0, 0) {
            let found = u32::from_le_bytes([head[0], head[2], head[3], 0]);
            return Err(SealFault::Format { found, expected: BLOB_FORMAT.into() });
        }
        let key_id = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        Ok(Self { cipher: head[1], key_id, nonce, tag, text })
    }
}

/// Opens the seals of one store. Cheap to clone; clones share the keys.
#[derive(Clone)]
pub(crate) struct Opener {
    pub instance: [u8; 16],
    pub file: Arc<Path>,
    pub keys: Arc<KeyRing>,
}

/// The body of an opened seal.
pub(crate) struct Opened<'a> {
    pub table: u32,
    pub revision: u64,
    pub body: &'a [u64],
}

impl Opener {
    /// Opens `blob` into `buffer` and checks that it belongs to `place`.
    pub fn open<'b>(
        &self,
        place: Place,
        revision: Option<u64>,
        blob: &[u8],
        buffer: &'b mut Plain,
    ) -> Result<Opened<'b>, StoreError> {
        self.open_raw(place, revision, blob, buffer).map_err(|fault| self.bad(place, fault))
    }

    fn open_raw<'b>(
        &self,
        place: Place,
        revision: Option<u64>,
        blob: &[u8],
        buffer: &'b mut Plain,
    ) -> Result<Opened<'b>, SealFault> {
        let parts = Parts::of(blob)?;
        let key = self.keys.find(&parts)?;
        if !parts.text.len().is_multiple_of(8) {
            return Err(SealFault::Uneven { found: blob.len() });
        }
        let text = buffer.room(parts.text.len() / 8).as_mut_bytes();
        text.copy_from_slice(parts.text);
        key.cipher.open(parts.nonce, parts.tag, text)?;
        let expected = BLOB_HEAD + 8 * IDENTITY_WORDS;
        let short = SealFault::Short { found: blob.len(), expected };
        let (head, body) = buffer.split_first_chunk::<IDENTITY_WORDS>().ok_or(short)?;
        let (kind, at) = match place {
            Place::Row { slot } => (Kind::Row, slot),
            Place::Log { first } => (Kind::Log, first),
            Place::State => (Kind::State, 0),
            Place::Catalogue => (Kind::Catalogue, 0),
            Place::KeySlot { id } => (Kind::DataKey, id),
        };
        let (table, revision) = Identity::check(head, &self.instance, kind, at, revision)?;
        Ok(Opened { table, revision, body })
    }

    /// The error that names `place`.
    pub fn bad(&self, place: Place, fault: SealFault) -> StoreError {
        StoreError::BadSeal { file: PathBuf::from(&*self.file), place, fault }
    }

    /// The error for what opened at `place` but is malformed.
    pub fn malformed(&self, place: Place, what: impl ToString) -> StoreError {
        self.bad(place, SealFault::Body(what.to_string()))
    }
}

/// Seals for one store.
pub(crate) struct Sealer {
    pub opener: Opener,
    nonces: NonceSource,
}

impl Sealer {
    pub fn new(opener: Opener) -> Self {
        Self { opener, nonces: NonceSource::new() }
    }

    /// Puts into `out` the blob of `identity` and the parts of the body.
    ///
    /// The plaintext is put together in `out` and sealed where it lies, so `out` never holds any when
    /// this returns, and never while it grows.
    pub fn seal(
        &mut self,
        identity: &Identity,
        body: &[&[u64]],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        out.clear();
        self.seal_behind(identity, body, out)
    }

    /// As [`Sealer::seal`], behind the sealed values that `out` has.
    pub fn seal_behind(
        &mut self,
        identity: &Identity,
        body: &[&[u64]],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let nonce = self.nonces.next()?;
        let words: usize = body.iter().map(|part| part.len()).sum();
        let begin = out.len();
        out.reserve(BLOB_HEAD + 8 * (IDENTITY_WORDS + words));
        out.resize(begin + BLOB_HEAD, 0);
        out.extend_from_slice(identity.words(&self.opener.instance).as_bytes());
        for part in body {
            out.extend_from_slice(part.as_bytes());
        }
        let key = self.opener.keys.current();
        let sealed = seal_in_place(key.cipher.as_ref(), key.number, &nonce, &mut out[begin..]);
        sealed.map_err(|fault| {
            out[begin..].zeroize();
            out.truncate(begin);
            let place = match identity.kind {
                Kind::Row => Place::Row { slot: identity.place },
                Kind::Log => Place::Log { first: identity.place },
                Kind::State => Place::State,
                Kind::Catalogue => Place::Catalogue,
                Kind::DataKey => Place::KeySlot { id: identity.place },
            };
            self.opener.bad(place, fault)
        })
    }
}
