//! Tests of seals and keys: NaCl's vector, every bit of a blob, blobs in places not their own.

use std::path::Path;
use std::sync::Arc;

use crate::cipher::ALGORITHMS;
use crate::error::{Place, StoreError};
use crate::keys::from_hex;
use crate::plain::Plain;
use crate::seal::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [0; N];
    assert!(from_hex(text, &mut bytes), "{text}");
    bytes
}

/// `tests/secretbox.c` of NaCl 20110221.
#[test]
fn xsalsa20_poly1305_is_nacl_secretbox() {
    let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
    let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
    let text: [u8; 131] = hex(concat!(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d4",
        "5e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a",
        "024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
    ));
    let boxed: [u8; 147] = hex(concat!(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c5",
        "31a1186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8a",
        "b932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622",
        "a43d14a6599b1f654cb45a74e355a5",
    ));
    let cipher = Algorithm::of_id(1).unwrap().under(&key);
    let mut sealed = text;
    let tag = cipher.seal(&nonce, &mut sealed).unwrap();
    assert_eq!(tag, boxed[..16]);
    assert_eq!(sealed, boxed[16..]);
    cipher.open(&nonce, &tag, &mut sealed).unwrap();
    assert_eq!(sealed, text);
}

/// The first vector of <https://c2sp.org/XAES-256-GCM>.
#[test]
fn aes_256_gcm_is_xaes_256_gcm() {
    let cipher = Algorithm::of_name("aes-256-gcm").unwrap().under(&[1; 32]);
    let mut text = *b"XAES-256-GCM";
    let tag = cipher.seal(b"ABCDEFGHIJKLMNOPQRSTUVWX", &mut text).unwrap();
    assert_eq!(text, hex("ce546ef63c9cc60765923609"));
    assert_eq!(tag, hex("b33a9a1974e96e52daf2fcf7075e2271"));
}

#[test]
fn ciphers_have_numbers_and_names_of_their_own_and_open_only_what_they_sealed() {
    for (i, algorithm) in ALGORITHMS.iter().enumerate() {
        assert_eq!(usize::from(algorithm.id), i + 1, "numbers are never changed");
        assert_eq!(Algorithm::of_name(algorithm.name), Some(*algorithm));
        let cipher = algorithm.under(&[7; 32]);
        assert_eq!(cipher.id(), algorithm.id);
        let mut text = *b"sixteen bytes ..";
        let tag = cipher.seal(&[9; 24], &mut text).unwrap();
        let sealed = text;
        for other in ALGORITHMS {
            let mut text = sealed;
            let opened = other.under(&[7; 32]).open(&[9; 24], &tag, &mut text);
            assert_eq!(opened.is_ok(), other.id == algorithm.id);
            assert_eq!(text == sealed, opened.is_err(), "unchanged where it does not open");
        }
    }
    assert!(Algorithm::of_id(0).is_none() && Algorithm::of_id(4).is_none());
}

fn opener(instance: u8, key: u8) -> Opener {
    let cipher = Algorithm::of_id(1).unwrap().under(&[key; 32]);
    let file: Arc<Path> = Arc::from(Path::new("store.db"));
    Opener { instance: [instance; 16], file, keys: Arc::new(KeyRing::new(7, cipher)) }
}

fn fault<T>(result: Result<T, StoreError>) -> SealFault {
    match result {
        Err(StoreError::BadSeal { fault, .. }) => fault,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[test]
fn a_seal_opens_only_as_what_it_is() {
    let mut sealer = Sealer::new(opener(1, 1));
    let row = Identity { kind: Kind::Row, table: 3, place: 40, revision: 99 };
    let mut blob = Vec::new();
    sealer.seal(&row, &[&[5, 6], &[7]], &mut blob).unwrap();
    assert_eq!(blob.len(), BLOB_HEAD + 8 * (IDENTITY_WORDS + 3));

    let mut buffer = Plain::default();
    buffer.room(50).fill(1);
    let right = Place::Row { slot: 40 };
    let opened = opener(1, 1).open(right, Some(99), &blob, &mut buffer).unwrap();
    assert_eq!((opened.table, opened.revision, opened.body), (3, 99, &[5, 6, 7][..]));

    let moved = |field, result| match fault(result) {
        SealFault::Moved { field: found, .. } => assert_eq!(found, field),
        other => panic!("{other}"),
    };
    let mut buffer = Plain::default();
    let mut open = |instance, place, revision| {
        opener(instance, 1).open(place, Some(revision), &blob, &mut buffer).map(|_| ())
    };
    moved("instance", open(2, right, 99));
    moved("place", open(1, Place::Row { slot: 41 }, 99));
    moved("revision", open(1, right, 98));
    moved("kind", open(1, Place::Log { first: 40 }, 99));
    assert_eq!(
        fault(opener(1, 2).open(right, Some(99), &blob, &mut buffer)),
        SealFault::DoesNotOpen
    );
}

#[test]
fn every_single_bit_of_a_seal_counts() {
    let mut sealer = Sealer::new(opener(1, 1));
    let row = Identity { kind: Kind::Row, table: 3, place: 40, revision: 99 };
    let (mut blob, mut buffer) = (Vec::new(), Plain::default());
    sealer.seal(&row, &[&[5, 6, 7, 8]], &mut blob).unwrap();
    let place = Place::Row { slot: 40 };
    let opener = opener(1, 1);
    for bit in 0..blob.len() * 8 {
        blob[bit / 8] ^= 1 << (bit % 8);
        let opened = opener.open(place, Some(99), &blob, &mut buffer);
        assert!(opened.is_err(), "bit {bit} was flipped and the seal opened");
        blob[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..blob.len() {
        assert!(opener.open(place, Some(99), &blob[..length], &mut buffer).is_err(), "{length}");
    }
    blob.extend_from_slice(&[0; 8]);
    assert!(opener.open(place, Some(99), &blob, &mut buffer).is_err());
}

#[test]
fn no_two_seals_share_a_nonce() {
    let mut sealer = Sealer::new(opener(1, 1));
    let row = Identity { kind: Kind::Row, table: 3, place: 40, revision: 99 };
    let (mut blob, mut seen) = (Vec::new(), std::collections::HashSet::new());
    for _ in 0..150_000 {
        sealer.seal(&row, &[&[1]], &mut blob).unwrap();
        assert!(seen.insert(blob[8..32].to_vec()));
    }
}
