//! XSalsa20-Poly1305: NaCl's `crypto_secretbox`, by libsodium.
//!
//! Its key stream comes several blocks at a time where the processor has wide registers, and a call of
//! `crypto_secretbox_detached` makes the first block by itself. So short texts, as rows are, have all of their
//! stream made at once here, by the same function, and whole vectors of it.

use std::sync::OnceLock;

use libsodium_sys as sodium;
use zeroize::Zeroizing;

use super::{Cipher, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::seal::SealFault;

/// The stream's first bytes are the key of Poly1305.
const TAG_KEY: usize = sodium::crypto_onetimeauth_poly1305_KEYBYTES as usize;
/// Bytes of stream that one vector of blocks has.
const VECTOR: usize = if cfg!(target_arch = "x86_64") { 256 } else { 64 };
/// Most bytes of stream that are made at once.
const AT_ONCE: usize = 1_024;
/// The longest text that has its stream made at once.
const SHORT: usize = AT_ONCE - TAG_KEY;

const _: () = assert!(
    KEY_BYTES == sodium::crypto_secretbox_KEYBYTES as usize
        && NONCE_BYTES == sodium::crypto_secretbox_NONCEBYTES as usize
        && TAG_BYTES == sodium::crypto_secretbox_MACBYTES as usize
        && TAG_KEY <= VECTOR
        && AT_ONCE.is_multiple_of(VECTOR)
);

struct XSalsa(Zeroizing<[u8; KEY_BYTES]>);

const _: () = super::wipes_its_key::<Zeroizing<[u8; KEY_BYTES]>>();

/// The cipher under `key`.
pub(super) fn new(key: &[u8; KEY_BYTES]) -> Box<dyn Cipher> {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        // Without it everything works as well, by code for any processor.
        // SAFETY: it has no conditions, and may be called any number of times from any thread.
        if unsafe { sodium::sodium_init() } < 0 {
            tracing::warn!("libsodium could not look at the processor: sealing is slow");
        }
    });
    let mut cipher = Box::new(XSalsa(Zeroizing::new([0; KEY_BYTES])));
    cipher.0.copy_from_slice(key);
    cipher
}

impl XSalsa {
    /// Makes the stream of a text of `length` bytes, at most [`SHORT`], for `work`. It lies in one place, and is
    /// wiped there.
    fn with_stream<T>(
        &self,
        nonce: &[u8; NONCE_BYTES],
        length: usize,
        work: impl FnOnce(&[u8; AT_ONCE]) -> T,
    ) -> T {
        let mut stream = [0; AT_ONCE];
        let used = &mut stream[..(TAG_KEY + length).next_multiple_of(VECTOR)];
        let (at, bytes) = (used.as_mut_ptr(), used.len());
        // SAFETY: `used` has so many bytes, and nonce and key are arrays of their lengths (asserted above).
        unsafe {
            sodium::crypto_stream_xsalsa20(at, bytes as u64, nonce.as_ptr(), self.0.as_ptr());
        }
        let done = work(&stream);
        // SAFETY: it is overwritten within its bounds.
        unsafe { sodium::sodium_memzero(stream.as_mut_ptr().cast(), bytes) };
        done
    }
}

/// Encrypts or decrypts a short text.
fn apply(stream: &[u8; AT_ONCE], text: &mut [u8]) {
    for (byte, stream) in text.iter_mut().zip(&stream[TAG_KEY..]) {
        *byte ^= stream;
    }
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
        let mut tag = [0; TAG_BYTES];
        let length = text.len() as u64;
        if text.len() <= SHORT {
            self.with_stream(nonce, text.len(), |stream| {
                apply(stream, text);
                let (tag, text) = (tag.as_mut_ptr(), text.as_ptr());
                // SAFETY: the tag has the bytes of one, the text those that are given, the stream those of a
                // key and more.
                unsafe { sodium::crypto_onetimeauth_poly1305(tag, text, length, stream.as_ptr()) };
            });
        } else {
            let (text, tag) = (text.as_mut_ptr(), tag.as_mut_ptr());
            let (nonce, key) = (nonce.as_ptr(), self.0.as_ptr());
            // SAFETY: tag, nonce and key are arrays of the lengths that libsodium names (asserted above); the
            // text has the bytes that are given, and it may be sealed where it lies.
            unsafe { sodium::crypto_secretbox_detached(text, tag, text, length, nonce, key) };
        }
        Ok(tag)
    }

    fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        tag: &[u8; TAG_BYTES],
        text: &mut [u8],
    ) -> Result<(), SealFault> {
        let length = text.len() as u64;
        let wrong = if text.len() <= SHORT {
            self.with_stream(nonce, text.len(), |stream| {
                let (tag, from, key) = (tag.as_ptr(), text.as_ptr(), stream.as_ptr());
                // SAFETY: as for sealing.
                let wrong =
                    unsafe { sodium::crypto_onetimeauth_poly1305_verify(tag, from, length, key) };
                if wrong == 0 {
                    apply(stream, text);
                }
                wrong
            })
        } else {
            let (text, tag) = (text.as_mut_ptr(), tag.as_ptr());
            let (nonce, key) = (nonce.as_ptr(), self.0.as_ptr());
            // SAFETY: as for sealing. It writes nothing before it has found the tag right.
            unsafe { sodium::crypto_secretbox_open_detached(text, text, tag, length, nonce, key) }
        };
        if wrong == 0 { Ok(()) } else { Err(SealFault::DoesNotOpen) }
    }
}
