//! Openings for the fuzz targets: key slots, and the texts that keys stand in.

use std::path::Path;

use crate::error::StoreError;
use crate::key::wrapping::{Named, WrappingKey, key_of_text};
use crate::key::{Providers, file, pem};
use crate::seal::SealFault;
use crate::slots::{Particular, Slot};

/// Reads a public key in PEM, and writes it.
///
/// # Errors
/// What it is instead.
pub fn public_pem(text: &[u8]) -> Result<String, String> {
    pem::public_text(&pem::public(text)?)
}

/// Reads a private key in PEM: whether it is open, and not under a passphrase.
///
/// # Errors
/// What it is instead.
pub fn private_pem(text: &[u8]) -> Result<bool, String> {
    pem::private(text).map(|key| matches!(key, pem::PrivatePem::Open(_)))
}

/// Id and key in the text of a key file.
///
/// # Errors
/// What is wrong with it.
pub fn key_file(text: &str) -> Result<([u8; 8], [u8; 32]), String> {
    file::parse(text).map(|named| (named.id, *named.key))
}

/// The key in the text of a variable or a credential.
pub fn key_text(text: &[u8]) -> Option<[u8; 32]> {
    key_of_text(text).map(|key| *key)
}

/// What the slot of a provider says of the key that wrapped it.
pub fn particulars(provider: &str, wrapped: &[u8]) -> Vec<(&'static str, Particular)> {
    let slot = Slot { id: 1, provider: provider.to_owned(), wrapped: wrapped.to_vec() };
    Providers::particulars(&slot)
}

/// Wraps a text under a key of 32 bytes.
///
/// # Errors
/// No random bytes.
pub fn wrap(key: &[u8; 32], text: &[u8]) -> Result<Vec<u8>, StoreError> {
    Named::of(WrappingKey::new(*key)).wrap(Path::new("fuzzing.db"), 1, text)
}

/// Unwraps what is said to be wrapped under it.
///
/// # Errors
/// [`StoreError::KeyWrong`], [`StoreError::BadSeal`].
pub fn unwrap(key: &[u8; 32], wrapped: &[u8]) -> Result<Vec<u8>, StoreError> {
    let named = Named::of(WrappingKey::new(*key));
    let text = named.unwrap("key".into(), Path::new("fuzzing.db"), 1, wrapped)?;
    Ok(text.to_vec())
}

/// The fault that a store's error names, where it is one of a seal.
pub fn fault(error: &StoreError) -> Option<&SealFault> {
    match error {
        StoreError::BadSeal { fault, .. } => Some(fault),
        _ => None,
    }
}
