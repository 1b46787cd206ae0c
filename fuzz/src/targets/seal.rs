//! Sealed values: blobs of any bytes, blobs whose plaintext is anything, blobs that were changed or moved.
//!
//! In: what it is, the cipher, then bytes; or place, revision, and the plaintext's words.

use std::cell::RefCell;

use shmirror_shm::image::head_words;
use shmirror_store::cipher::ALGORITHMS;
use shmirror_store::fuzzing::Vault;
use shmirror_store::seal::{BLOB_HEAD, IDENTITY_WORDS, Kind};
use shmirror_store::{Place, StoreError};

use super::image;
use crate::bytes::{Bytes, joined, of_words};
use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Runs `f` with this thread's vault of one of the ciphers.
pub fn with_vault<T>(cipher: usize, f: impl FnOnce(&mut Vault) -> T) -> T {
    thread_local! {
        static VAULTS: RefCell<Vec<Vault>> = RefCell::new(
            ALGORITHMS
                .iter()
                .map(|algorithm| Vault::new(*algorithm).expect("SQLite in memory"))
                .collect(),
        );
    }
    VAULTS.with_borrow_mut(|vaults| {
        let count = vaults.len();
        f(&mut vaults[cipher % count])
    })
}

/// Opens what is said to be sealed.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let (what, cipher) = (input.u8() % 5, usize::from(input.u8()));
    with_vault(cipher, |vault| match what {
        0 => anything(vault, input.rest()),
        1 => row(vault, &mut input),
        2 => state(vault, &mut input),
        3 => changed(vault, &mut input),
        _ => moved(vault, &mut input),
    });
}

fn seal(vault: &Vault, text: &[u64]) -> Vec<u8> {
    vault.seal(text).expect("no text is that long")
}

fn bad<T>(opened: Result<T, StoreError>) {
    match opened {
        Err(error @ StoreError::BadSeal { .. }) => assert!(!error.to_string().is_empty()),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opens"),
    }
}

/// Bytes that no key of the vault sealed; or that one did, as the corpus may have learnt.
fn anything(vault: &mut Vault, blob: &[u8]) {
    let most = 8192 + 4 * blob.len();
    let opened = within(most, "a seal", || {
        vault.open(Place::Row { slot: 1 }, None, blob).map(|(_, _, body)| body.len())
    });
    match opened {
        Ok(words) => {
            assert_eq!(BLOB_HEAD + 8 * (IDENTITY_WORDS + words), blob.len());
            is_understood();
        }
        error => bad(error),
    }
}

/// A row of table `row` whose plaintext is anything.
fn row(vault: &mut Vault, input: &mut Bytes<'_>) {
    let (slot, revision, table) = (input.u64(), input.u64(), input.u32());
    let body = input.words();
    let text = [&Vault::identity(Kind::Row, table, slot, revision)[..], &body].concat();
    let blob = seal(vault, &text);
    let mut found = None;
    let most = 8192 + 4 * blob.len();
    let opened = within(most, "a sealed row", || {
        vault.row(slot, revision, &blob, |row| {
            assert_eq!((row.table, row.birth, row.revision), (table, slot, revision));
            assert_eq!(u64::from(row.shape), body[0] & 0xFFFF_FFFF);
            let size = (row.image.columns(), row.image.var_bytes());
            found = Some((size, row.image.words().to_vec()));
        })
    });
    match found {
        Some(((columns, var_bytes), words)) => {
            opened.expect("it was told of");
            assert_eq!(body[2..], words, "a row is all of its plaintext");
            assert_eq!(words.len(), head_words(columns) + var_bytes.div_ceil(8));
            let row = shmirror_shm::image::ImageRef::new(columns, var_bytes, &words);
            image::check(&row.expect("it was one already"));
            is_understood();
        }
        None => bad(opened),
    }
}

/// The store's state.
fn state(vault: &mut Vault, input: &mut Bytes<'_>) {
    let (revision, body) = (input.u64(), input.words());
    let text = [&Vault::identity(Kind::State, 0, 0, revision)[..], &body].concat();
    let blob = seal(vault, &text);
    match within(16384 + 8 * blob.len(), "a sealed state", || vault.state(&blob)) {
        Ok(same) => {
            assert!(same, "a state that was written is read");
            is_understood();
        }
        error => bad(error),
    }
}

/// A seal that was changed does not open.
fn changed(vault: &mut Vault, input: &mut Bytes<'_>) {
    let (how, at, with) = (input.u8() % 3, usize::from(input.u16()), input.u8());
    let body = input.words();
    let text = [&Vault::identity(Kind::Row, 3, 1, 2)[..], &body].concat();
    let blob = seal(vault, &text);
    let place = Place::Row { slot: 1 };
    let (table, revision, opened) = vault.open(place, Some(2), &blob).expect("it was sealed so");
    assert_eq!((table, revision, opened), (3, 2, &body[..]));
    let mut other = blob.clone();
    match how {
        0 => {
            let count = other.len();
            other[at % count] ^= with;
        }
        1 => other.truncate(at % blob.len()),
        _ => other.extend(std::iter::repeat_n(with, at % 64)),
    }
    if other != blob {
        bad(vault.open(place, Some(2), &other).map(drop));
    }
    is_understood();
}

/// A seal that was moved to another place, or is that of another time, does not open.
fn moved(vault: &mut Vault, input: &mut Bytes<'_>) {
    let (slot, revision, table) = (input.u64(), input.u64(), input.u32());
    let (other_slot, other_revision) = (slot ^ input.u64(), revision ^ input.u64());
    let head = input.take(8 * IDENTITY_WORDS).to_vec();
    let mut identity = Vault::identity(Kind::Row, table, slot, revision);
    let blob = seal(vault, &identity);
    let place = Place::Row { slot };
    assert!(vault.open(place, Some(revision), &blob).is_ok());
    if other_slot != slot {
        bad(vault.open(Place::Row { slot: other_slot }, None, &blob).map(drop));
    }
    if other_revision != revision {
        bad(vault.open(place, Some(other_revision), &blob).map(drop));
    }
    for place in [Place::Log { first: slot }, Place::KeySlot { id: slot }] {
        bad(vault.open(place, None, &blob).map(drop));
    }
    // An identity that differs in anything but the table, which its place does not say.
    let before = identity;
    for (word, change) in identity.iter_mut().zip(Bytes::new(&head).words()) {
        *word ^= change;
    }
    identity[2] = before[2] & !0xFFFF_FFFF | identity[2] & 0xFFFF_FFFF;
    if identity != before {
        let blob = seal(vault, &identity);
        bad(vault.open(place, Some(revision), &blob).map(drop));
    }
    is_understood();
}

/// A row, a state, and a few bytes for each of the rest.
pub fn seeds() -> Vec<Vec<u8>> {
    let row = samples::image(&samples::rows()[3]);
    let row = row.as_ref();
    let about = 2 | (row.columns() as u64) << 32;
    let body = [&[about, row.var_bytes() as u64], row.words()].concat();
    let words = of_words(&body);
    let place = of_words(&[9, 12]);
    let state = of_words(&[8, 8, 10, 5, 5, 4096, 3, 5, 2, 77, 1, 2, 1, 3, 100]);
    let blob = with_vault(0, |vault| {
        seal(vault, &[&Vault::identity(Kind::Row, 3, 1, 2)[..], &body].concat())
    });
    vec![
        joined(&[&[0, 0], &blob]),
        joined(&[&[1, 0], &place, &[2, 0, 0, 0], &words]),
        joined(&[&[1, 2], &place, &[2, 0, 0, 0], &words]),
        joined(&[&[2, 1], &state]),
        joined(&[&[3, 1, 0, 60, 0, 1], &words]),
        joined(&[&[3, 2, 1, 9, 0, 1], &words]),
        joined(&[&[4, 0], &place, &[2, 0, 0, 0], &of_words(&[1, 1, 0, 0, 0, 0, 0, 1])]),
    ]
}
