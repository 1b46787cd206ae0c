//! Every key provider: a store is made, opened, opened again; what is missing, wrong or unusable is
//! refused by its own error with every file left as it was.
#![allow(missing_docs, reason = "tests")]

mod common;

use std::collections::VecDeque;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::*;
use shmirror_store::{
    Argon2Cost, CredentialKey, EnvironmentKey, KeyFile, KeyProvider, KeyStatus, Particular,
    Passphrase, PassphraseKey, PassphraseSource, Providers, Question, RsaFiles, RsaPair, Store,
    StoreError, StoreOptions,
};
use zeroize::Zeroizing;

/// The cheapest that is taken, as these tests run without optimizations.
const COST: Argon2Cost = Argon2Cost { memory_kib: 64 << 10, passes: 1, lanes: 4 };
const PASSPHRASE: &str = "test passphrase";

/// Gives these passphrases, one after the other, and notes what was asked.
#[derive(Default)]
struct Says {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<(String, bool)>>,
}

impl Says {
    fn these(answers: &[&str]) -> Arc<Self> {
        let answers = Mutex::new(answers.iter().map(|a| (*a).to_owned()).collect());
        Arc::new(Self { answers, ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl PassphraseSource for Says {
    fn ask(&self, question: &Question<'_>) -> Result<Passphrase, StoreError> {
        self.asked.lock().unwrap().push((question.wanted(), question.new));
        let answer = self.answers.lock().unwrap().pop_front().expect("one question too many");
        Passphrase::new(Zeroizing::new(answer.into_bytes()), question)
    }
}

fn with(provider: impl KeyProvider + 'static) -> StoreOptions {
    StoreOptions { keys: Some(Providers::new(Box::new(provider))), ..StoreOptions::default() }
}

fn passphrase(says: &Arc<Says>) -> StoreOptions {
    with(PassphraseKey::new(Arc::clone(says) as Arc<dyn PassphraseSource>, COST))
}

fn environment(value: Option<&str>) -> StoreOptions {
    let value = value.map(|v| Zeroizing::new(v.as_bytes().to_vec()));
    with(EnvironmentKey::new("SHMIRROR_TEST_KEY_THAT_NOBODY_SETS", value))
}

fn pair(dir: &Path, says: &Arc<Says>) -> RsaPair {
    let files = RsaFiles {
        public: dir.join("public.pem"),
        private: dir.join("private.pem"),
        bits: RsaFiles::BITS,
        protect: false,
    };
    RsaPair::new(files, Arc::clone(says) as Arc<dyn PassphraseSource>)
}

fn rsa(dir: &Path, says: &Arc<Says>) -> StoreOptions {
    with(pair(dir, says))
}

fn fixture(name: &str) -> Vec<u8> {
    let home = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    std::fs::read(home.join(name)).unwrap()
}

/// Puts a file into `dir`, with the mode that a secret must have.
fn put(dir: &Path, name: &str, contents: &[u8]) {
    let path = dir.join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, contents).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
}

/// A directory with an RSA pair of the fixtures in it.
fn pair_dir(private: &str, public: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "private.pem", &fixture(private));
    put(dir.path(), "public.pem", &fixture(public));
    dir
}

/// Makes a store with one row.
fn make(dir: &Path, options: StoreOptions) {
    let (mut store, recovered, _) = open_with(dir, options).unwrap();
    assert!(recovered.new);
    let mut model = Model::default();
    model.commit(&mut store, &[vec![Change::Schema(vec![1])]]);
    model.put(&mut store, 1, "kept");
    store.close().unwrap();
}

/// Opens it, and finds the row.
fn opens(dir: &Path, options: StoreOptions) {
    let (store, _, rows) = open_with(dir, options).unwrap();
    assert_eq!(rows.len(), 1);
    store.close().unwrap();
}

/// Asserts that it is refused with nothing changed.
#[track_caller]
fn refused(dir: &Path, options: StoreOptions) -> StoreError {
    let before = contents(dir);
    let Err(error) = open_with(dir, options) else { panic!("{} was opened", dir.display()) };
    assert_same(&before, &contents(dir));
    error
}

fn slot_of(dir: &Path) -> (String, Vec<u8>) {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    conn.query_row("SELECT provider, wrapped FROM key_slot", [], |r| Ok((r.get(0)?, r.get(1)?)))
        .unwrap()
}

fn set_slot(dir: &Path, wrapped: &[u8]) {
    let conn = rusqlite::Connection::open(dir.join("store.db")).unwrap();
    conn.execute("UPDATE key_slot SET wrapped = ?1", [wrapped]).unwrap();
}

#[test]
fn a_passphrase_opens_what_it_made_and_another_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let says = Says::these(&[PASSPHRASE]);
    make(dir.path(), passphrase(&says));
    let asked = says.asked.lock().unwrap().clone();
    let store = dir.path().join("store.db");
    assert_eq!(asked, [(format!("store {}", store.display()), true)]);

    let says = Says::these(&[PASSPHRASE]);
    opens(dir.path(), passphrase(&says));
    assert_eq!(says.asked(), 1);
    for wrong in ["test passphrasE", "test passphrase ", "x"] {
        let error = refused(dir.path(), passphrase(&Says::these(&[wrong])));
        assert!(matches!(error, StoreError::PassphraseWrong { .. }), "{error}");
        let said = format!("{error} {error:?}");
        assert!(said.contains("store.db") && !said.contains(&format!("{wrong}\"")), "{said}");
    }
    let error = refused(dir.path(), passphrase(&Says::these(&[""])));
    assert!(matches!(error, StoreError::PassphraseRefused { .. }), "{error}");
    let error = refused(dir.path(), passphrase(&Says::these(&[&"x".repeat(1_025)])));
    assert!(matches!(error, StoreError::PassphraseRefused { .. }), "{error}");

    let status = KeyStatus::of(dir.path()).unwrap();
    let slot = &status.slots[0];
    assert_eq!((slot.provider.as_str(), status.rotating()), ("passphrase", false));
    let said: Vec<_> = slot.particulars.iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(said, ["derivation=Argon2id", "memory_kib=65536", "passes=1", "lanes=4"]);
}

#[test]
fn nothing_is_made_for_an_empty_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let error = refused(dir.path(), passphrase(&Says::these(&[""])));
    assert!(matches!(error, StoreError::PassphraseRefused { .. }), "{error}");
}

#[test]
fn a_forged_slot_cannot_take_all_memory_or_time() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), passphrase(&Says::these(&[PASSPHRASE])));
    let (_, wrapped) = slot_of(dir.path());
    let begun = std::time::Instant::now();
    for (at, value) in [
        (4, (4u32 << 20).to_le_bytes()),
        (4, u32::MAX.to_le_bytes()),
        (4, 8u32.to_le_bytes()),
        (8, 1_000u32.to_le_bytes()),
        (8, [0; 4]),
        (0, [1, 1, 200, 0]),
        (0, [1, 1, 0, 0]),
        (0, [2, 1, 4, 0]),
        (0, [1, 2, 4, 0]),
        (12, [1, 0, 0, 0]),
    ] {
        let mut forged = wrapped.clone();
        forged[at..at + 4].copy_from_slice(&value);
        set_slot(dir.path(), &forged);
        // Nobody is even asked.
        let error = refused(dir.path(), passphrase(&Says::these(&[])));
        assert!(matches!(error, StoreError::BadSeal { .. }), "{at} {value:?}: {error}");
    }
    for length in [0, 1, 31] {
        set_slot(dir.path(), &wrapped[..length]);
        let error = refused(dir.path(), passphrase(&Says::these(&[])));
        assert!(error.to_string().contains("key_slot, id 1"), "{error}");
    }
    for length in [32, 60, wrapped.len() - 1] {
        set_slot(dir.path(), &wrapped[..length]);
        let error = refused(dir.path(), passphrase(&Says::these(&[PASSPHRASE])));
        let named =
            matches!(error, StoreError::BadSeal { .. } | StoreError::PassphraseWrong { .. });
        assert!(named, "{error}");
    }
    println!("{:?}", begun.elapsed());
    set_slot(dir.path(), &wrapped);
    opens(dir.path(), passphrase(&Says::these(&[PASSPHRASE])));
}

#[test]
fn argon2id_is_that_of_rfc_9106() {
    // What the slot says is enough for anyone: derived here by the crate's own interface.
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), passphrase(&Says::these(&[PASSPHRASE])));
    let (_, wrapped) = slot_of(dir.path());
    let params = argon2::Params::new(64 << 10, 1, 4, Some(32)).unwrap();
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut key = [0u8; 32];
    argon2.hash_password_into(PASSPHRASE.as_bytes(), &wrapped[16..32], &mut key).unwrap();
    let blob = &wrapped[32..];
    let cipher = shmirror_store::cipher::Algorithm::of_id(blob[1]).unwrap().under(&key);
    let mut text = blob[48..].to_vec();
    let (nonce, tag) = (blob[8..32].try_into().unwrap(), blob[32..48].try_into().unwrap());
    cipher.open(nonce, tag, &mut text).unwrap();
    assert_eq!(text.len(), 88);
}

#[test]
fn a_key_in_the_environment() {
    let dir = tempfile::tempdir().unwrap();
    let key = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
    let base64 = "ABEiM0RVZneImaq7zN3u///u3cy7qpmId2ZVRDMiEQA=";
    match refused(dir.path(), environment(None)) {
        StoreError::NoKey { key, .. } => assert!(key.contains("SHMIRROR_TEST_KEY"), "{key}"),
        other => panic!("{other}"),
    }
    for bad in ["", "0011", &key[1..], &format!("{}g", &key[1..]), &"=".repeat(44), "ÄÖÜ"] {
        let error = refused(dir.path(), environment(Some(bad)));
        assert!(matches!(error, StoreError::KeyUnusable { .. }), "{bad}: {error}");
        assert!(bad.len() < 8 || !format!("{error} {error:?}").contains(&bad[2..]), "{error}");
    }
    make(dir.path(), environment(Some(key)));
    for same in [key.to_lowercase(), format!(" {key}\n"), base64.into(), base64[..43].into()] {
        opens(dir.path(), environment(Some(&same)));
    }
    match refused(dir.path(), environment(None)) {
        StoreError::KeyMissing { key, .. } => assert!(key.contains("variable"), "{key}"),
        other => panic!("{other}"),
    }
    match refused(dir.path(), environment(Some(&"ab".repeat(32)))) {
        StoreError::KeyWrong { found, expected, .. } => assert_ne!(found, expected),
        other => panic!("{other}"),
    }
    assert_eq!(KeyStatus::of(dir.path()).unwrap().slots[0].provider, "environment");
}

#[test]
fn a_credential_in_each_of_its_forms() {
    let (dir, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let at = |name: &str| with(CredentialKey::in_directory(name, Some(credentials.path().into())));
    let put = |name: &str, bytes: &[u8]| put(credentials.path(), name, bytes);
    let raw: Vec<u8> = (0..32).map(|i| i * 7 + 3).collect();
    let hex: String = raw.iter().map(|b| format!("{b:02x}")).collect();
    assert!(matches!(refused(dir.path(), at("raw")), StoreError::NoKey { .. }));
    put("raw", &raw);
    put("hex", format!("{hex}\n").as_bytes());
    put("file", format!("version = 1\nid = 0011223344556677\nkey = {hex}\n").as_bytes());
    put("empty", b"");
    put("long", &[b'0'; 20_000]);
    put("noise", &[0xFF; 33]);
    put("newer", format!("version = 2\nid = 0011223344556677\nkey = {hex}\n").as_bytes());
    put("other", &[9; 32]);
    make(dir.path(), at("raw"));
    for same in ["raw", "hex", "file"] {
        opens(dir.path(), at(same));
    }
    for bad in ["empty", "long", "noise", "newer", "."] {
        let error = refused(dir.path(), at(bad));
        assert!(matches!(error, StoreError::KeyUnusable { .. }), "{bad}: {error}");
        assert!(error.to_string().contains(bad), "{error}");
    }
    assert!(matches!(refused(dir.path(), at("other")), StoreError::KeyWrong { .. }));
    assert!(matches!(refused(dir.path(), at("none")), StoreError::KeyMissing { .. }));
    let error = refused(dir.path(), with(CredentialKey::in_directory("raw", None)));
    assert!(matches!(error, StoreError::KeyMissing { .. }), "{error}");
    assert!(error.to_string().contains("CREDENTIALS_DIRECTORY"), "{error}");
}

#[test]
fn a_new_rsa_pair_is_made_with_the_store_and_needs_only_its_public_half_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), rsa(dir.path(), &Says::these(&[])));
    let mode = |name: &str| contents(dir.path())[name].0 & 0o7777;
    assert_eq!((mode("private.pem"), mode("public.pem")), (0o600, 0o644));
    let text = std::fs::read_to_string(dir.path().join("public.pem")).unwrap();
    let status = KeyStatus::of(dir.path()).unwrap();
    let slot = &status.slots[0];
    let bits = ("bits", Particular::Number(3072));
    assert_eq!((slot.provider.as_str(), &slot.particulars[0]), ("rsa", &bits));

    let (store, ..) = open_with(dir.path(), rsa(dir.path(), &Says::these(&[]))).unwrap();
    // The store is open: a later data key is wrapped for the key that opened it, whatever the files
    // hold by now.
    std::fs::remove_file(dir.path().join("private.pem")).unwrap();
    put(dir.path(), "public.pem", &fixture("other-public.pem"));
    let wrapped = store.key_provider().wrap(Path::new("s"), 2, &[7; 88]).unwrap();
    assert_eq!(wrapped[..32], slot_of_open(dir.path())[..32]);
    let error = store.key_provider().unwrap(Path::new("s"), 2, &wrapped).unwrap_err();
    assert!(
        matches!(error, StoreError::KeyMissing { .. }),
        "the private key is forgotten: {error}"
    );
    drop(store);
    let error = refused(dir.path(), rsa(dir.path(), &Says::these(&[])));
    assert!(matches!(error, StoreError::KeyMissing { .. }), "{error}");
    assert!(error.to_string().contains("private.pem"), "{error}");
    put(dir.path(), "public.pem", text.as_bytes());
    assert_eq!(pair(dir.path(), &Says::these(&[])).public_text().unwrap(), text);
}

fn slot_of_open(dir: &Path) -> Vec<u8> {
    slot_of(crash_copy(dir).path()).1
}

#[test]
fn pairs_as_openssl_writes_them() {
    for (private, public, answers) in [
        ("test-private.pem", "test-public.pem", 0),
        ("test-private-pkcs1.pem", "test-public-pkcs1.pem", 0),
        ("test-private-pbkdf2.pem", "test-public.pem", 1),
        ("test-private-scrypt.pem", "test-public-pkcs1.pem", 1),
        ("other-private-aes256.pem", "other-public.pem", 1),
    ] {
        let dir = pair_dir(private, public);
        let says = Says::these(&[PASSPHRASE; 1][..answers]);
        make(dir.path(), rsa(dir.path(), &says));
        assert_eq!(says.asked(), answers, "{private}");
        opens(dir.path(), rsa(dir.path(), &Says::these(&[PASSPHRASE; 1][..answers])));
        if answers > 0 {
            for wrong in ["test", "Test passphrase"] {
                let error = refused(dir.path(), rsa(dir.path(), &Says::these(&[wrong])));
                assert!(matches!(error, StoreError::PassphraseWrong { .. }), "{private}: {error}");
                assert!(error.to_string().contains("private.pem"), "{error}");
            }
        }
    }
    // A pair without its public half has it made; the forms of one key are one key.
    let dir = pair_dir("test-private-pkcs1.pem", "test-public.pem");
    std::fs::remove_file(dir.path().join("public.pem")).unwrap();
    make(dir.path(), rsa(dir.path(), &Says::these(&[])));
    let public = std::fs::read(dir.path().join("public.pem")).unwrap();
    assert_eq!(public, fixture("test-public.pem"));
    put(dir.path(), "private.pem", &fixture("test-private-scrypt.pem"));
    opens(dir.path(), rsa(dir.path(), &Says::these(&[PASSPHRASE])));
}

#[test]
fn a_private_key_is_made_under_a_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let files = RsaFiles {
        public: dir.path().join("public.pem"),
        private: dir.path().join("private.pem"),
        bits: RsaFiles::BITS,
        protect: true,
    };
    let says = Says::these(&[PASSPHRASE]);
    make(dir.path(), with(RsaPair::new(files, says.clone() as Arc<dyn PassphraseSource>)));
    assert_eq!(says.asked(), 1);
    assert!(says.asked.lock().unwrap()[0].1, "a new passphrase");
    let text = std::fs::read_to_string(dir.path().join("private.pem")).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    opens(dir.path(), rsa(dir.path(), &Says::these(&[PASSPHRASE])));
    let error = refused(dir.path(), rsa(dir.path(), &Says::these(&["another"])));
    assert!(matches!(error, StoreError::PassphraseWrong { .. }), "{error}");
}

#[test]
fn wrong_and_unusable_rsa_keys() {
    let dir = pair_dir("test-private.pem", "test-public.pem");
    make(dir.path(), rsa(dir.path(), &Says::these(&[])));
    put(dir.path(), "private.pem", &fixture("other-private-aes256.pem"));
    match refused(dir.path(), rsa(dir.path(), &Says::these(&[PASSPHRASE]))) {
        StoreError::KeyWrong { key, found, expected, .. } => {
            assert!(key.contains("private.pem") && found != expected, "{key}");
        }
        other => panic!("{other}"),
    }
    let good = String::from_utf8(fixture("test-private.pem")).unwrap();
    let cut: String = good.lines().take(10).map(|l| format!("{l}\n")).collect();
    let middle = good.len() / 2;
    for (text, expected) in [
        (fixture("short-private.pem"), "2048 bits, 3072 or more expected"),
        (fixture("ec-private.pem"), "no RSA private key"),
        (fixture("test-public.pem"), "\"PUBLIC KEY\" found"),
        (fixture("test-private-old.pem"), "openssl pkcs8 -topk8"),
        (b"".to_vec(), "PEM"),
        (b"no key at all\n".to_vec(), "PEM"),
        (vec![0xFF; 300], "PEM"),
        (cut.into_bytes(), "PEM"),
        (format!("{}!{}", &good[..middle], &good[middle + 1..]).into_bytes(), "PEM"),
        (good.repeat(2).into_bytes(), "PEM"),
        (good.replace("PRIVATE", "ENCRYPTED PRIVATE").into_bytes(), "no ENCRYPTED PRIVATE KEY"),
        (good.replace("PRIVATE", "RSA PRIVATE").into_bytes(), "no RSA private key"),
    ] {
        put(dir.path(), "private.pem", &text);
        let error = refused(dir.path(), rsa(dir.path(), &Says::these(&[PASSPHRASE])));
        assert!(matches!(error, StoreError::KeyUnusable { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("private.pem") && said.contains(expected), "{expected}: {said}");
        let secret = good.lines().nth(5).unwrap();
        assert!(!format!("{error} {error:?}").contains(secret), "{said}");
    }
    put(dir.path(), "private.pem", good.as_bytes());
    std::fs::set_permissions(dir.path().join("private.pem"), PermissionsExt::from_mode(0o644))
        .unwrap();
    let error = refused(dir.path(), rsa(dir.path(), &Says::these(&[])));
    assert!(matches!(error, StoreError::KeyMode { found: 0o644, .. }), "{error}");
    put(dir.path(), "private.pem", good.replace('\n', "\r\n").as_bytes());
    opens(dir.path(), rsa(dir.path(), &Says::these(&[])));
    put(dir.path(), "private.pem", format!("Bag Attributes\n  name: x\n{good}\n\n").as_bytes());
    opens(dir.path(), rsa(dir.path(), &Says::these(&[])));

    // Nothing is made where the public key is short, no key, or that of another pair.
    for (public, expected) in [
        ("short-public.pem", "2048 bits"),
        ("test-private.pem", "\"PRIVATE KEY\" found"),
        ("other-public.pem", "sealed with key"),
    ] {
        let dir = pair_dir("test-private.pem", public);
        let error = refused(dir.path(), rsa(dir.path(), &Says::these(&[])));
        assert!(error.to_string().contains(expected), "{public}: {error}");
    }
}

#[test]
fn keys_that_are_there_before_the_store_are_nobody_elses_files() {
    // As a start leaves them that was killed between making the key and making the store.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("of-the-plant.key");
    KeyFile::new(&path).create().unwrap();
    std::fs::write(dir.path().join("of-the-plant.key.new"), "").unwrap();
    make(dir.path(), with(KeyFile::new(&path)));
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(&path, other.path().join("of-the-plant.key")).unwrap();
    let error = refused(other.path(), StoreOptions::default());
    assert!(matches!(error, StoreError::NotOurs { .. }), "{error}");
}

#[test]
fn the_slots_say_which_provider_opens() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), passphrase(&Says::these(&[PASSPHRASE])));
    let both = Providers::new(Box::new(KeyFile::new(dir.path().join("key"))))
        .and(Box::new(PassphraseKey::new(Says::these(&[PASSPHRASE]), COST)));
    opens(dir.path(), StoreOptions { keys: Some(both), ..StoreOptions::default() });
    match refused(dir.path(), StoreOptions::default()) {
        StoreError::KeyProvider { found, expected, .. } => {
            assert_eq!((found.as_str(), expected.as_str()), ("passphrase", "key-file"));
        }
        other => panic!("{other}"),
    }
    assert!(!dir.path().join("key").exists());
}

#[test]
fn a_slot_of_each_provider_opens_in_its_place_alone() {
    let raw = "ab".repeat(32);
    let stores = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for store in &stores {
        make(store.path(), environment(Some(&raw)));
    }
    set_slot(stores[1].path(), &slot_of(stores[0].path()).1);
    let error = refused(stores[1].path(), environment(Some(&raw)));
    assert!(error.to_string().contains("instance"), "{error}");

    let pairs = [0, 1].map(|_| pair_dir("test-private.pem", "test-public.pem"));
    for pair in &pairs {
        make(pair.path(), rsa(pair.path(), &Says::these(&[])));
    }
    let foreign = slot_of(pairs[0].path()).1;
    let own = slot_of(pairs[1].path()).1;
    set_slot(pairs[1].path(), &foreign);
    let error = refused(pairs[1].path(), rsa(pairs[1].path(), &Says::these(&[])));
    assert!(error.to_string().contains("instance"), "{error}");
    for length in [0, 31, 32, 100, own.len() - 1] {
        set_slot(pairs[1].path(), &own[..length]);
        let error = refused(pairs[1].path(), rsa(pairs[1].path(), &Says::these(&[])));
        assert!(error.to_string().contains("key_slot, id 1"), "{error}");
    }
    let mut flipped = own.clone();
    for at in [32, 200, own.len() - 1] {
        flipped[at] ^= 1;
        set_slot(pairs[1].path(), &flipped);
        let error = refused(pairs[1].path(), rsa(pairs[1].path(), &Says::these(&[])));
        assert!(error.to_string().contains("key_slot, id 1"), "{error}");
    }
    set_slot(pairs[1].path(), &own);
    drop(Store::open(pairs[1].path(), rsa(pairs[1].path(), &Says::these(&[]))).unwrap());
}
