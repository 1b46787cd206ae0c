//! Records, as the events lane and the commit log have them.
//!
//! In: words.

use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::record::{
    FLAG_ELIDED, HEADER_WORDS, Operation, RecordHeader, RecordKind, RecordRef, RowRecord,
    encode_schema, records,
};

use super::image;
use crate::bytes::{Bytes, of_words};
use crate::is_understood;
use crate::memory::within;
use crate::samples;

/// Reads records to the end, or to the first bad one.
pub fn run(data: &[u8]) {
    let words = Bytes::new(data).words();
    let mut at = 0;
    let mut all = records(&words);
    while let Some(record) = all.next() {
        match record {
            Ok(record) => {
                assert_eq!(record.words().as_ptr(), words[at..].as_ptr());
                at += record.words().len();
                assert!(at <= words.len());
                check(&record);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert!(all.next().is_none(), "nothing comes behind a bad record");
                return;
            }
        }
    }
    assert_eq!(at, words.len());
    is_understood();
}

/// What must hold of a record that parses.
pub fn check(record: &RecordRef<'_>) {
    let header = record.header();
    assert_eq!(header.length as usize, record.words().len() * 8);
    assert!(record.words().len() >= HEADER_WORDS);
    let longer = [record.words(), &[u64::MAX; 3]].concat();
    let again = RecordRef::parse(&longer).expect("words behind a record change nothing");
    assert_eq!((again.header(), again.words()), (header, record.words()));
    let shorter = &record.words()[..record.words().len() - 1];
    assert!(RecordRef::parse(shorter).is_err(), "a part of a record is none");
    assert!(!record.changed(usize::from(header.columns)) && !record.changed(usize::MAX));
    if record.is_row() { row(record) } else { schema(record) }
}

fn row(record: &RecordRef<'_>) {
    let header = record.header();
    assert!(record.catalogue().is_err());
    let operation = record.operation().expect("a row record that parses has one");
    let key = record.key().expect("its words were counted");
    let row = record.row().expect("its words were counted");
    let elided = header.flags & FLAG_ELIDED != 0;
    assert_eq!(row.is_none(), operation == Operation::Delete || elided);
    assert_eq!(key.columns(), usize::from(header.key_columns));
    image::check(&key);
    if let Some(row) = &row {
        assert_eq!(row.columns(), usize::from(header.columns));
        image::check(row);
    } else if elided && operation != Operation::Delete {
        return; // what was left out cannot be encoded
    }
    let changed_words = usize::from(header.columns).div_ceil(64);
    let changed = &record.words()[HEADER_WORDS..HEADER_WORDS + changed_words];
    let mut out = vec![5]; // encoding appends
    RowRecord {
        operation,
        table: (header.table, header.shape),
        birth: header.birth,
        revision: header.revision,
        origin: *header,
        changed,
        key,
        row,
        columns: header.columns.into(),
    }
    .encode(&mut out);
    let again = RecordRef::parse(&out[1..]).expect("what was encoded is read");
    let expected = RecordHeader {
        length: ((out.len() - 1) * 8) as u32,
        kind: RecordKind::Row as u16,
        flags: 0,
        sequence: 0,
        row_var: row.map_or(0, |row| row.var_bytes() as u32),
        ..*header
    };
    assert_eq!(*again.header(), expected);
    assert_eq!(again.key(), Ok(key));
    assert_eq!(again.row(), Ok(row));
    assert!((0..changed_words * 64).all(|i| again.changed(i) == record.changed(i)));
    // There may be more words in a record than its parts take; never fewer.
    assert!(again.words().len() <= record.words().len());
}

fn schema(record: &RecordRef<'_>) {
    let header = record.header();
    assert!(record.key().is_err() && record.row().is_err());
    let bytes = header.row_var as usize;
    let read = within(4096 + 16 * bytes, "a schema record", || record.catalogue());
    let Ok(catalogue) = read else { return };
    let archive = catalogue.to_bytes().expect("there is memory");
    let mut out = Vec::new();
    encode_schema(&archive, header.table, *header, &mut out);
    let again = RecordRef::parse(&out).expect("what was encoded is read");
    assert_eq!(again.catalogue().as_ref(), Ok::<&Catalogue, _>(&catalogue));
    assert_eq!(again.header().revision, header.revision);
}

/// A group of records, and each of its kinds.
pub fn seeds() -> Vec<Vec<u8>> {
    let all = samples::records(5);
    let mut seeds: Vec<_> =
        records(&all).flatten().map(|record| of_words(record.words())).collect();
    seeds.push(of_words(&all));
    seeds
}
