//! Key slots, and the texts that keys stand in.
//!
//! In: what it is, then the text, or the provider and what it wrapped.

use shmirror_store::fuzzing::key as keys;
use shmirror_store::{Particular, StoreError};

use crate::bytes::{Bytes, joined};
use crate::is_understood;
use crate::memory::within;

/// What `changed` wraps with. The fuzzer learns what is wrapped so, as it sees what is compared.
const KEY: [u8; 32] = *b"a wrapping key that wraps a lot.";
/// A key with which nothing was ever wrapped.
const UNUSED: [u8; 32] = *b"a wrapping key, known to nobody.";
const PROVIDERS: [&str; 6] =
    ["key-file", "passphrase", "rsa", "environment", "credential", "padlock"];

/// Reads what a key provider reads.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let what = input.u8() % 7;
    let most = 16384 + 16 * data.len();
    match what {
        0 => {
            let text = input.rest();
            if let Ok(written) = within(most, "a public key", || keys::public_pem(text)) {
                let again = keys::public_pem(written.as_bytes());
                assert_eq!(again.as_ref(), Ok(&written), "a key that was written is read");
                is_understood();
            }
        }
        1 => {
            let text = input.rest();
            match within(most, "a private key", || keys::private_pem(text)) {
                Ok(_) => is_understood(),
                Err(what) => assert!(!what.is_empty()),
            }
        }
        2 => {
            let Ok(text) = std::str::from_utf8(input.rest()) else { return };
            let Ok((id, key)) = within(most, "a key file", || keys::key_file(text)) else { return };
            let (id_text, key_text) = (hex(&id), hex(&key));
            let written = format!("# a key\nversion = 1\nid = {id_text}\n\nkey={key_text}");
            assert_eq!(keys::key_file(&written), Ok((id, key)));
            assert_eq!(keys::key_text(key_text.as_bytes()), Some(key));
            is_understood();
        }
        3 => {
            let text = input.rest();
            if let Some(key) = within(most, "a key", || keys::key_text(text)) {
                assert_eq!(keys::key_text(hex(&key).as_bytes()), Some(key));
                assert!(text.len() >= 43);
                is_understood();
            }
        }
        4 => {
            let provider = PROVIDERS[usize::from(input.u8()) % PROVIDERS.len()];
            let wrapped = input.rest();
            let said = within(most, "a slot", || keys::particulars(provider, wrapped));
            for (name, value) in said {
                assert!(provider != "padlock" && !name.is_empty());
                assert!(!matches!(value, Particular::Text(text) if text.is_empty()));
                is_understood();
            }
        }
        5 => {
            let wrapped = input.rest();
            match within(most, "a wrapped key", || keys::unwrap(&UNUSED, wrapped)) {
                Err(StoreError::KeyWrong { .. } | StoreError::BadSeal { .. }) => {}
                Err(other) => panic!("{other}"),
                Ok(_) => panic!("it opens, though nobody has the key"),
            }
        }
        _ => changed(&mut input),
    }
}

/// What was wrapped is unwrapped, and, changed, is not.
fn changed(input: &mut Bytes<'_>) {
    let (how, at, with) = (input.u8() % 3, usize::from(input.u16()), input.u8());
    let text = input.rest();
    let wrapped = keys::wrap(&KEY, text).expect("there are random bytes");
    assert_eq!(keys::unwrap(&KEY, &wrapped).expect("it was wrapped so"), text);
    let mut other = wrapped.clone();
    match how {
        0 => {
            let count = other.len();
            other[at % count] ^= with;
        }
        1 => other.truncate(at % wrapped.len()),
        _ => other.extend(std::iter::repeat_n(with, at % 64)),
    }
    if other != wrapped {
        let error = keys::unwrap(&KEY, &other).expect_err("it was changed");
        let wrong = matches!(error, StoreError::KeyWrong { .. });
        assert!(wrong || keys::fault(&error).is_some(), "{error}");
    }
    is_understood();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Key files, a slot of each provider, and the keys that the store's tests have.
pub fn seeds() -> Vec<Vec<u8>> {
    macro_rules! pem {
        ($kind:literal, $name:literal) => {
            joined(&[&[$kind], include_bytes!(concat!("../../../engine/store/tests/keys/", $name))])
        };
    }
    let key = hex(&KEY);
    let file = format!("# Key of a store.\nversion = 1\nid = {}\nkey = {key}\n", &key[..16]);
    let slot = [&b"\x01\x01\x04\x00"[..], &[0, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0], &[9; 16]];
    vec![
        pem!(0, "test-public.pem"),
        pem!(0, "test-public-pkcs1.pem"),
        pem!(1, "test-private.pem"),
        pem!(1, "test-private-pkcs1.pem"),
        pem!(1, "test-private-pbkdf2.pem"),
        joined(&[&[2], file.as_bytes()]),
        joined(&[&[3], key.as_bytes()]),
        joined(&[&[3], b"YSB3cmFwcGluZyBrZXksIGtub3duIHRvIG5vYm9keS4="]),
        joined(&[&[4, 1], &slot.concat(), &[1; 80]]),
        joined(&[&[4, 0], &[7; 60]]),
        joined(&[&[4, 2], &[7; 32 + 384]]),
        joined(&[&[5], &[7; 8], &[1, 1, 0, 0], &[0; 60]]),
        joined(&[&[6, 0, 20, 0, 1], b"a data key"]),
    ]
}
