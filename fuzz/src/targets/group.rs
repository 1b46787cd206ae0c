//! The commit-log group: what a commit accepts, and what comes out of the log again.
//!
//! In: newest revision, next birth, first, last, time, next birth behind it, how many sequences there are and
//! whether there is a catalogue, the sequences, then the words of the records.

use shmirror_shm::record::{FLAG_ELIDED, RecordRef, records};
use shmirror_store::fuzzing::{Vault, check_group};
use shmirror_store::seal::Kind;
use shmirror_store::{Group, StoreError};

use super::seal::with_vault;
use crate::bytes::{Bytes, of_words};
use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Has a group checked, seals it, and reads it back.
pub fn run(data: &[u8]) {
    let words = Bytes::new(data).words();
    let Some((head, rest)) = words.split_first_chunk::<7>() else { return };
    let [newest, birth_before, first, last, at, next_birth, count] = *head;
    let sequences: Vec<(u32, i64)> = rest
        .as_chunks::<2>()
        .0
        .iter()
        .take((count & 7) as usize)
        .map(|pair| (pair[0] as u32, pair[1] as i64))
        .collect();
    let words = &rest[2 * sequences.len()..];
    let newest = newest % i64::MAX as u64; // as of any state that was read
    let catalogue = samples::catalogue();
    let group = Group {
        first_revision: first,
        last_revision: last,
        at_us: at as i64,
        records: words,
        catalogue: (count & 16 != 0).then_some(&catalogue),
        next_birth,
        sequences: (count & 8 != 0).then_some(&sequences),
    };
    let checked = within(4096 + 16 * data.len(), "a group's check", || {
        check_group(&group, newest, birth_before)
    });
    match &checked {
        Ok(()) => {
            assert!(newest < first && first <= last && last < i64::MAX as u64);
            assert!(birth_before <= next_birth);
            sound(&group);
            is_understood();
        }
        Err(StoreError::BadGroup { first: f, last: l, .. }) => assert_eq!((*f, *l), (first, last)),
        Err(other) => panic!("{other}"),
    }
    with_vault(0, |vault| {
        let identity = Vault::identity(Kind::Log, 0, first, last);
        let text = [&identity[..], &[at], words].concat();
        let blob = vault.seal(&text).expect("no text is that long");
        let place = (first, last, at as i64);
        let read = vault.group(place, &blob);
        match (checked, read) {
            (Ok(()), read) => assert_eq!(read.expect("what may be committed is read"), words),
            (Err(_), Ok(read)) => assert_eq!(read, words),
            (Err(_), Err(StoreError::BadSeal { .. })) => {}
            (Err(_), Err(other)) => panic!("{other}"),
        }
        for other in [(first ^ 1, last, at as i64), (first, last ^ 1, at as i64)] {
            assert!(vault.group(other, &blob).is_err(), "it is the group of another place");
        }
        assert!(vault.group((first, last, at as i64 ^ 1), &blob).is_err());
    });
}

/// What a group that was accepted is, looked at apart from the code that accepts it.
fn sound(group: &Group<'_>) {
    let (mut revisions, mut schema) = (Vec::new(), false);
    for record in records(group.records) {
        let record = record.expect("it was accepted");
        let header = record.header();
        assert_eq!(header.flags & FLAG_ELIDED, 0);
        assert!(!record.is_row() || (1..group.next_birth).contains(&header.birth));
        revisions.push(header.revision);
        schema |= !record.is_row();
    }
    assert_eq!(schema, group.catalogue.is_some());
    assert!(revisions.is_sorted());
    revisions.dedup();
    let expected: Vec<u64> = (group.first_revision..).take(revisions.len()).collect();
    assert_eq!(revisions, expected, "each revision has a record");
    assert_eq!(revisions.last(), Some(&group.last_revision));
    let tables: Vec<u32> = group.sequences.unwrap_or_default().iter().map(|s| s.0).collect();
    assert!(tables.is_sorted_by(|a, b| a < b));
}

/// A group of four revisions, with and without sequences.
pub fn seeds() -> Vec<Vec<u8>> {
    let records = samples::records(5);
    let at = 1_386_018_900_000_001;
    let schema = RecordRef::parse(&records).map_or(0, |record| record.words().len());
    let whole = [&[4, 3, 5, 8, at, 10, 16], &records[..]].concat();
    let rows = [&[5, 3, 6, 8, at, 10, 0], &records[schema..]].concat();
    let with = [&[4, 3, 5, 8, at, 10, 16 + 8 + 2, 1, 100, 3, 7], &records[..]].concat();
    [whole, rows, with].map(|words| of_words(&words)).to_vec()
}
