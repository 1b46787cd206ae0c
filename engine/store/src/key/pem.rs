//! RSA keys in PEM files: from the forms that OpenSSL writes to keys, and from a new pair to files.
//!
//! ```text
//! public   PUBLIC KEY (X.509 SubjectPublicKeyInfo), RSA PUBLIC KEY (PKCS#1)
//! private  PRIVATE KEY (PKCS#8), RSA PRIVATE KEY (PKCS#1), ENCRYPTED PRIVATE KEY (PKCS#8, PBES2)
//! ```

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey, PublicEncryptingKey};
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use pkcs8::der::pem::{self, LineEnding};
use pkcs8::der::{Decode, Encode};
use pkcs8::pkcs5::{self, pbes2};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfo};
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfo};
use zeroize::Zeroizing;

use crate::error::StoreError;
use crate::key::ask::Passphrase;

/// Bits of the smallest key that is taken.
pub const LEAST_BITS: usize = 3_072;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// Work that a file may ask for before it is decrypted.
const MOST_ITERATIONS: u32 = 10_000_000;
const MOST_SCRYPT_BYTES: u64 = 1 << 30;
/// Work that is asked for in files which are written here: OWASP's for PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;

/// What a private key's file may be.
pub enum PrivatePem {
    /// A key.
    Open(PrivateDecryptingKey),
    /// A key under a passphrase: the DER of its `EncryptedPrivateKeyInfo`.
    Sealed(Zeroizing<Vec<u8>>),
}

/// Why a key under a passphrase did not open.
pub enum NotOpened {
    /// The passphrase is wrong, or the file is damaged: PBES2 can't tell.
    Passphrase,
    /// The file can't be used at all.
    Unusable(String),
}

/// Label and DER of the one block in `text`.
fn decode(text: &[u8]) -> Result<(&str, Zeroizing<Vec<u8>>), String> {
    let text = text.trim_ascii_end();
    let expected = "expected one block of PEM, -----BEGIN … to END …-----";
    let bad = |e: pem::Error| match e {
        pem::Error::HeaderDisallowed => {
            "a key of OpenSSL's old form under a passphrase (Proc-Type: 4,ENCRYPTED); \
             `openssl pkcs8 -topk8` makes of it what can be read here"
                .to_owned()
        }
        other => format!("{other}; {expected}"),
    };
    // Longer than what is decoded, so that it never grows.
    let mut der = Zeroizing::new(vec![0; text.len()]);
    let (label, length) = pem::decode(text, &mut der).map(|(l, d)| (l, d.len())).map_err(bad)?;
    der.truncate(length);
    Ok((label, der))
}

fn rsa() -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) }
}

fn long_enough(bits: usize) -> Result<(), String> {
    match bits {
        LEAST_BITS.. => Ok(()),
        _ => Err(format!("an RSA key of {bits} bits, {LEAST_BITS} or more expected")),
    }
}

/// The public key in `text`.
pub fn public(text: &[u8]) -> Result<PublicEncryptingKey, String> {
    let (label, der) = decode(text)?;
    let wrapped;
    let spki = match label {
        "PUBLIC KEY" => der.as_slice(),
        "RSA PUBLIC KEY" => {
            let key = BitStringRef::from_bytes(&der).map_err(|e| e.to_string())?;
            let info = SubjectPublicKeyInfo { algorithm: rsa(), subject_public_key: key };
            wrapped = info.to_der().map_err(|e| e.to_string())?;
            wrapped.as_slice()
        }
        other => return Err(format!("{other:?} found, a PUBLIC KEY expected")),
    };
    let key = PublicEncryptingKey::from_der(spki)
        .map_err(|e| format!("no RSA public key that can be used: {e}"))?;
    long_enough(key.key_size_bits())?;
    Ok(key)
}

/// The private key in `text`.
pub fn private(text: &[u8]) -> Result<PrivatePem, String> {
    let (label, der) = decode(text)?;
    match label {
        "PRIVATE KEY" => key_of(&der).map(PrivatePem::Open),
        "RSA PRIVATE KEY" => {
            let key = OctetStringRef::new(&der).map_err(|e| e.to_string())?;
            let info: PrivateKeyInfo<AnyRef<'_>, &OctetStringRef, BitStringRef<'_>> =
                PrivateKeyInfo::new(rsa(), key);
            let mut whole = Zeroizing::new(vec![0; der.len() + 64]);
            let length = info.encode_to_slice(&mut whole).map_err(|e| e.to_string())?.len();
            key_of(&whole[..length]).map(PrivatePem::Open)
        }
        "ENCRYPTED PRIVATE KEY" => Ok(PrivatePem::Sealed(der)),
        other => Err(format!("{other:?} found, a PRIVATE KEY expected")),
    }
}

fn key_of(pkcs8: &[u8]) -> Result<PrivateDecryptingKey, String> {
    let key = PrivateDecryptingKey::from_pkcs8(pkcs8)
        .map_err(|e| format!("no RSA private key that can be used: {e}"))?;
    long_enough(key.key_size_bits())?;
    Ok(key)
}

/// Opens a key under a passphrase.
pub fn open(der: &[u8], passphrase: &Passphrase) -> Result<PrivateDecryptingKey, NotOpened> {
    let unusable = |what: String| NotOpened::Unusable(what);
    let info = EncryptedPrivateKeyInfoRef::from_der(der)
        .map_err(|e| unusable(format!("no ENCRYPTED PRIVATE KEY that can be read: {e}")))?;
    let pkcs5::EncryptionScheme::Pbes2(scheme) = &info.encryption_algorithm else {
        return Err(unusable("encrypted by PBES1, PBES2 expected".into()));
    };
    bounded(&scheme.kdf).map_err(NotOpened::Unusable)?;
    let mut text = Zeroizing::new(info.encrypted_data.as_bytes().to_vec());
    let length = match scheme.decrypt_in_place(passphrase.bytes(), &mut text) {
        Ok(text) => text.len(),
        Err(pkcs5::Error::DecryptFailed) => return Err(NotOpened::Passphrase),
        Err(other) => return Err(unusable(other.to_string())),
    };
    // A wrong passphrase passes the padding's check once in 256 times.
    let key =
        PrivateDecryptingKey::from_pkcs8(&text[..length]).map_err(|_| NotOpened::Passphrase)?;
    long_enough(key.key_size_bits()).map_err(NotOpened::Unusable)?;
    Ok(key)
}

/// A file must not make a start take all memory, or for ever.
fn bounded(kdf: &pbes2::Kdf) -> Result<(), String> {
    match kdf {
        pbes2::Kdf::Pbkdf2(params) if params.iteration_count > MOST_ITERATIONS => Err(format!(
            "PBKDF2 with {} iterations, at most {MOST_ITERATIONS} expected",
            params.iteration_count
        )),
        pbes2::Kdf::Scrypt(params) => {
            let blocks = params.cost_parameter.saturating_add(u64::from(params.parallelization));
            match blocks.saturating_mul(128 * u64::from(params.block_size)) {
                0..=MOST_SCRYPT_BYTES => Ok(()),
                bytes => {
                    Err(format!("scrypt with {bytes} bytes, at most {MOST_SCRYPT_BYTES} expected"))
                }
            }
        }
        _ => Ok(()),
    }
}

/// A new pair.
pub fn generate(bits: usize) -> Result<PrivateDecryptingKey, String> {
    let size = match bits {
        3_072 => KeySize::Rsa3072,
        4_096 => KeySize::Rsa4096,
        8_192 => KeySize::Rsa8192,
        _ => return Err(format!("an RSA key of {bits} bits, 3072, 4096 or 8192 expected")),
    };
    PrivateDecryptingKey::generate(size).map_err(|_| "an RSA key could not be made".into())
}

/// `key` as PEM, under a passphrase where one is given.
pub fn private_text(
    key: &PrivateDecryptingKey,
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<String>, StoreError> {
    let failed = |e: &dyn std::fmt::Display| StoreError::KeyUnusable {
        key: "RSA private key".into(),
        what: format!("it could not be written: {e}"),
    };
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(|e| failed(&e))?;
    let Some(passphrase) = passphrase else {
        return armour("PRIVATE KEY", der.as_ref()).map_err(|e| failed(&e));
    };
    let (mut salt, mut iv) = ([0u8; 16], [0u8; 16]);
    getrandom::fill(&mut salt).map_err(StoreError::Random)?;
    getrandom::fill(&mut iv).map_err(StoreError::Random)?;
    let scheme = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(ITERATIONS, &salt, iv)
        .map_err(|e| failed(&e))?;
    let length = der.as_ref().len();
    let mut text = Zeroizing::new(vec![0; length + 16]); // and the padding
    text[..length].copy_from_slice(der.as_ref());
    let sealed =
        scheme.encrypt_in_place(passphrase.bytes(), &mut text, length).map_err(|e| failed(&e))?;
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: scheme.clone().into(),
        encrypted_data: OctetStringRef::new(sealed).map_err(|e| failed(&e))?,
    };
    armour("ENCRYPTED PRIVATE KEY", &info.to_der().map_err(|e| failed(&e))?).map_err(|e| failed(&e))
}

fn armour(label: &str, der: &[u8]) -> Result<Zeroizing<String>, pem::Error> {
    // Written into memory that never grows, as it may hold a key.
    let length = pem::encapsulated_len(label, LineEnding::LF, der.len())?;
    let mut text = Zeroizing::new(vec![0; length]);
    let text = pem::encode(label, LineEnding::LF, der, &mut text)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// `key` as PEM.
pub fn public_text(key: &PublicEncryptingKey) -> Result<String, String> {
    let text = armour("PUBLIC KEY", &spki(key)?).map_err(|e| e.to_string())?;
    Ok(text.as_str().to_owned())
}

/// The DER of the X.509 `SubjectPublicKeyInfo`.
pub fn spki(key: &PublicEncryptingKey) -> Result<Vec<u8>, String> {
    let der: PublicKeyX509Der<'_> =
        key.as_der().map_err(|_| "a public key that can't be written".to_owned())?;
    Ok(der.as_ref().to_vec())
}
