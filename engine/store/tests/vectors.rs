//! The ciphers against vectors of others: Wycheproof, C2SP, and libsodium over many lengths.
//!
//! Ours take no associated data. Vectors with some go to the crates underneath, by the same calls.
#![allow(missing_docs, reason = "tests")]

use aes_gcm::aead::array::ArraySize;
use aes_gcm::aead::{AeadInOut, KeyInit};
use shake::digest::{ExtendableOutput, Update, XofReader};
use shmirror_store::cipher::{ALGORITHMS, Algorithm};
use wycheproof::TestResult;
use wycheproof::aead::{Test, TestGroup, TestName, TestSet};

/// Calls `check` with each vector of this size of key, for nonces and tags of these sizes (in bytes).
fn wycheproof(name: TestName, nonce: usize, mut check: impl FnMut(&Test)) {
    let set = TestSet::load(name).unwrap();
    let fits = |g: &&TestGroup| (g.key_size, g.nonce_size, g.tag_size) == (256, nonce * 8, 128);
    set.test_groups.iter().filter(fits).flat_map(|g| &g.tests).for_each(|test| {
        assert!(matches!(test.result, TestResult::Valid | TestResult::Invalid), "{test:?}");
        check(test);
    });
}

/// A crate's AEAD with a vector: it opens if and only if it should, and seals to the same.
fn check_crate<C: AeadInOut + KeyInit>(test: &Test) {
    let cipher = C::new_from_slice(&test.key).unwrap();
    let (nonce, tag) = (array(&test.nonce), array(&test.tag));
    let mut text = test.ct.to_vec();
    let opened = cipher.decrypt_inout_detached(&nonce, &test.aad, (&mut text[..]).into(), &tag);
    assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{test:?}");
    if opened.is_ok() {
        assert_eq!(text[..], test.pt[..], "{test:?}");
        let sealed =
            cipher.encrypt_inout_detached(&nonce, &test.aad, (&mut text[..]).into()).unwrap();
        assert_eq!((&sealed[..], &text[..]), (&test.tag[..], &test.ct[..]), "{test:?}");
    }
}

fn array<N: ArraySize>(bytes: &[u8]) -> aes_gcm::aead::array::Array<u8, N> {
    bytes.try_into().expect("the group has its size")
}

/// The same with one of ours.
fn check_ours(algorithm: Algorithm, test: &Test) {
    let cipher = algorithm.under(test.key[..].try_into().unwrap());
    let (nonce, tag) = (test.nonce[..].try_into().unwrap(), test.tag[..].try_into().unwrap());
    let mut text = test.ct.to_vec();
    let opened = cipher.open(&nonce, &tag, &mut text);
    assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{test:?}");
    if opened.is_err() {
        assert_eq!(text[..], test.ct[..], "unchanged where it does not open: {test:?}");
    } else {
        assert_eq!(text[..], test.pt[..], "{test:?}");
        assert_eq!(cipher.seal(&nonce, &mut text).unwrap(), tag, "{test:?}");
        assert_eq!(text[..], test.ct[..], "{test:?}");
    }
}

#[test]
fn xchacha20_poly1305_of_wycheproof() {
    let ours = Algorithm::of_name("XChaCha20-Poly1305").unwrap();
    let (mut all, mut by_ours) = (0, 0);
    wycheproof(TestName::XChaCha20Poly1305, 24, |test| {
        all += 1;
        check_crate::<chacha20poly1305::XChaCha20Poly1305>(test);
        if test.aad.is_empty() {
            by_ours += 1;
            check_ours(ours, test);
        }
    });
    println!("{all} vectors, {by_ours} of them without associated data");
    assert!(all > 200 && by_ours > 40);
}

#[test]
fn chacha20_poly1305_of_wycheproof() {
    let mut all = 0;
    wycheproof(TestName::ChaCha20Poly1305, 12, |test| {
        all += 1;
        check_crate::<chacha20poly1305::ChaCha20Poly1305>(test);
    });
    println!("{all} vectors");
    assert!(all > 200);
}

#[test]
fn aes_256_gcm_of_wycheproof() {
    let mut all = 0;
    wycheproof(TestName::AesGcm, 12, |test| {
        all += 1;
        check_crate::<aes_gcm::Aes256Gcm>(test);
    });
    println!("{all} vectors");
    assert!(all > 50);
}

/// <https://c2sp.org/XAES-256-GCM>: the two vectors, and the accumulated one of 10,000 rounds.
#[test]
fn xaes_256_gcm_of_c2sp() {
    use xaes_256_gcm::Xaes256Gcm;
    let ours = Algorithm::of_name("AES-256-GCM").unwrap();
    let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
    for (key, aad, expected) in [
        ([1; 32], &b""[..], "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (
            [3; 32],
            b"c2sp.org/XAES-256-GCM",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ] {
        let cipher = Xaes256Gcm::new(&key.into());
        let mut text = *b"XAES-256-GCM";
        let tag =
            cipher.encrypt_inout_detached(&nonce.into(), aad, (&mut text[..]).into()).unwrap();
        assert_eq!(hex(&[&text[..], &tag].concat()), expected);
        if aad.is_empty() {
            let mut again = *b"XAES-256-GCM";
            assert_eq!(ours.under(&key).seal(&nonce, &mut again).unwrap()[..], tag[..]);
            assert_eq!(again, text);
        }
    }

    let (mut stream, mut digest) = (Stream::default(), shake::Shake128::default());
    let mut by_ours = 0;
    for _ in 0..10_000 {
        let (key, nonce) = (stream.array::<32>(), stream.array::<24>());
        let [length] = stream.array();
        let plain = stream.bytes(length.into());
        let [length] = stream.array();
        let aad = stream.bytes(length.into());
        let cipher = Xaes256Gcm::new(&key.into());
        let mut text = plain.clone();
        let tag =
            cipher.encrypt_inout_detached(&nonce.into(), &aad, (&mut text[..]).into()).unwrap();
        digest.update(&text);
        digest.update(&tag);
        if aad.is_empty() {
            by_ours += 1;
            let mut again = plain.clone();
            assert_eq!(ours.under(&key).seal(&nonce, &mut again).unwrap()[..], tag[..]);
            assert_eq!(again, text);
        }
        cipher.decrypt_inout_detached(&nonce.into(), &aad, (&mut text[..]).into(), &tag).unwrap();
        assert_eq!(text, plain);
    }
    assert!(by_ours > 10, "{by_ours} rounds without associated data");
    let expected = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
    assert_eq!(finished(digest), expected);
}

/// `vectors/accumulated.py` made the digests.
#[test]
fn each_cipher_is_libsodiums_at_many_lengths() {
    let expected = [
        "338aff83407235de8d8a744f840de2b09af4279a7c268c91a4c2c78c804be40b",
        "78c2b2c153e04c6c6a0a0b68e2a1fcbaf53b3a5900e2de1852eb968583413e19",
        "71f278c407cb850e67a72eb7401ce252e5265159c6f873c68bd69a1a53b7feb7",
    ];
    for (algorithm, expected) in ALGORITHMS.iter().zip(expected) {
        let (mut stream, mut digest) = (Stream::default(), shake::Shake128::default());
        for length in (0..1_025).chain([4_095, 4_096, 4_097, 65_536, 1_000_003]) {
            let (key, nonce) = (stream.array(), stream.array());
            let plain = stream.bytes(length);
            let cipher = algorithm.under(&key);
            let mut text = plain.clone();
            let tag = cipher.seal(&nonce, &mut text).unwrap();
            digest.update(&tag);
            digest.update(&text);
            cipher.open(&nonce, &tag, &mut text).unwrap();
            assert_eq!(text, plain, "{algorithm:?}, {length} bytes");
        }
        assert_eq!(finished(digest), expected, "{algorithm:?}");
    }
}

/// In both directions, around every length at which the stream is made in another way.
#[test]
fn xsalsa20_poly1305_agrees_with_that_of_rust() {
    use xsalsa20poly1305::XSalsa20Poly1305;
    use xsalsa20poly1305::aead::{AeadInPlace, KeyInit};
    let mut stream = Stream::default();
    for length in (0..1_101).chain([2_047, 2_048, 2_049, 100_001]) {
        let (key, nonce) = (stream.array::<32>(), stream.array::<24>());
        let plain = stream.bytes(length);
        let (ours, theirs) = (Algorithm::DEFAULT.under(&key), XSalsa20Poly1305::new((&key).into()));
        let (mut by_us, mut by_them) = (plain.clone(), plain.clone());
        let tag = ours.seal(&nonce, &mut by_us).unwrap();
        let their_tag =
            theirs.encrypt_in_place_detached((&nonce).into(), b"", &mut by_them).unwrap();
        assert_eq!((&tag[..], &by_us), (&their_tag[..], &by_them), "{length} bytes");

        let mut wrong = tag;
        wrong[length % 16] ^= 1 << (length / 16 % 8);
        assert!(ours.open(&nonce, &wrong, &mut by_us).is_err(), "{length} bytes");
        assert_eq!(by_us, by_them, "unchanged where it does not open: {length} bytes");
        if length > 0 {
            by_us[length / 2] ^= 0x80;
            assert!(ours.open(&nonce, &tag, &mut by_us).is_err(), "{length} bytes");
            by_us[length / 2] ^= 0x80;
        }
        theirs.decrypt_in_place_detached((&nonce).into(), b"", &mut by_us, (&tag).into()).unwrap();
        ours.open(&nonce, &tag, &mut by_them).unwrap();
        assert_eq!((&by_us, &by_them), (&plain, &plain), "{length} bytes");
    }
}

/// The output of SHAKE128 of nothing.
struct Stream(<shake::Shake128 as ExtendableOutput>::Reader);

impl Default for Stream {
    fn default() -> Self {
        Self(shake::Shake128::default().finalize_xof())
    }
}

impl Stream {
    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.0.read(&mut bytes);
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read(&mut bytes);
        bytes
    }
}

fn finished(digest: shake::Shake128) -> String {
    let mut bytes = [0; 32];
    digest.finalize_xof().read(&mut bytes);
    hex(&bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
