//! Both sides of an events lane over real shared memory, the reader's mapping read-only.

use super::*;
use crate::image::Image;
use crate::record::{Operation, RecordKind, RowRecord, encode_schema};
use crate::value::ValueRef;
use std::sync::atomic::AtomicBool;
use std::thread;

const LONG: Duration = Duration::from_secs(30);

fn lane() -> (EventsWriter, EventsReader) {
    let writer = EventsWriter::create(7, 0).expect("a small lane");
    let reader = reader(&writer);
    (writer, reader)
}

fn reader(writer: &EventsWriter) -> EventsReader {
    let region = writer.region();
    let memory = region.read_only_descriptor().expect("reopening");
    let region = Region::map_read_only(memory, region.len()).expect("mapping");
    EventsReader::open(Arc::new(region)).expect("a lane of this build")
}

/// A record of revision `revision` whose row holds `bytes` bytes of text.
fn record(table: u32, revision: u64, bytes: usize) -> Vec<u64> {
    let key = Image::encode([ValueRef::Integer(revision as i64)].into_iter());
    let text = "x".repeat(bytes);
    let row =
        Image::encode([ValueRef::Integer(revision as i64), ValueRef::Text(&text)].into_iter());
    let mut out = Vec::new();
    RowRecord {
        operation: Operation::Insert,
        table: (table, 1),
        birth: revision,
        revision,
        origin: RecordHeader::default(),
        changed: &[3],
        key: key.as_ref(),
        row: Some(row.as_ref()),
        columns: 2,
    }
    .encode(&mut out);
    out
}

fn push(writer: &mut EventsWriter, record: &[u64]) -> u64 {
    writer.push(RecordRef::parse(record).expect("a record"))
}

/// The records that are there now, as (sequence, revision).
fn all(reader: &mut EventsReader) -> Vec<(u64, u64)> {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    while reader.next(&mut buffer).expect("no gap").is_some() {
        let record = RecordRef::parse(&buffer).expect("a whole record");
        assert_eq!(record.words().len(), buffer.len());
        found.push((record.header().sequence, record.header().revision));
    }
    found
}

#[test]
fn what_was_taken_back_was_never_there() {
    let (mut writer, mut reader) = lane();
    let most = most_words(writer.ring_words);
    assert!(writer.can_take_back(most) && !writer.can_take_back(most + 1));
    // Several times round the ring, also with a group as large as one may be.
    let (mut sequence, sizes) = (1, [1, 5_000, 100, 8_000, 10]);
    for revision in 1..500 {
        let bytes = sizes[revision as usize % sizes.len()];
        let taken_back = record(1, revision, bytes);
        assert!(writer.can_take_back(taken_back.len()));
        for _ in 0..revision % 3 {
            assert_eq!(push(&mut writer, &taken_back), sequence);
            assert_eq!(all(&mut reader), []);
            writer.take_back();
        }
        assert_eq!(push(&mut writer, &record(1, revision, 8_000 - bytes)), sequence);
        writer.announce(&[1], revision);
        assert_eq!(all(&mut reader), [(sequence, revision)]);
        let mut late = self::reader(&writer);
        assert!(late.from_oldest() <= revision);
        assert_eq!(all(&mut late).last(), Some(&(sequence, revision)));
        sequence += 1;
    }
}

#[test]
fn records_are_seen_from_their_announcement_on() {
    let (mut writer, mut reader) = lane();
    assert_eq!(reader.generation(), 7);
    assert_eq!(reader.oldest_revision(), u64::MAX);
    writer.start(40);
    assert_eq!((reader.oldest_revision(), reader.newest_revision()), (41, 40));
    assert_eq!(push(&mut writer, &record(1, 41, 10)), 1);
    assert_eq!(push(&mut writer, &record(1, 41, 0)), 2);
    assert_eq!(all(&mut reader), []);
    writer.announce(&[1], 41);
    assert_eq!((reader.oldest_revision(), reader.newest_revision()), (41, 41));
    let mut late = self::reader(&writer);
    assert_eq!(all(&mut reader), [(1, 41), (2, 41)]);
    assert_eq!(all(&mut late), []);
    assert_eq!(late.from_oldest(), 41);
    assert_eq!(all(&mut late), [(1, 41), (2, 41)]);
    assert_eq!(late.from_newest(), 41);
    push(&mut writer, &record(1, 42, 3));
    writer.announce(&[1], 42);
    assert_eq!(all(&mut late), [(3, 42)]);
    assert_eq!(writer.newest_sequence(), 3);
}

#[test]
fn without_a_start_the_first_record_says_from_where() {
    let (mut writer, reader) = lane();
    push(&mut writer, &record(1, 9, 0));
    writer.announce(&[1], 9);
    assert_eq!(reader.oldest_revision(), 9);
}

#[test]
fn a_lapped_reader_learns_how_many_it_missed_once() {
    let (mut writer, mut reader) = lane();
    let mut sequence = 0;
    for revision in 1..=3_000 {
        sequence = push(&mut writer, &record(1, revision, (revision % 200) as usize));
        writer.announce(&[1], revision);
    }
    assert_eq!(sequence, 3_000);
    let mut buffer = Vec::new();
    let Err(EventsError::Lagged { missed, next_sequence }) = reader.next(&mut buffer) else {
        panic!("it was lapped")
    };
    assert!(buffer.is_empty());
    assert_eq!(next_sequence, missed + 1);
    let rest = all(&mut reader);
    assert_eq!(rest.first(), Some(&(next_sequence, next_sequence)));
    assert_eq!(rest.len() as u64, 3_000 - missed);
    assert_eq!(reader.oldest_revision(), next_sequence);
    let mut late = self::reader(&writer);
    assert_eq!(late.from_oldest(), next_sequence);
    assert_eq!(all(&mut late), rest);
}

#[test]
fn a_transaction_that_is_partly_overwritten_is_not_called_complete() {
    let (mut writer, reader) = lane();
    for _ in 0..2_000 {
        push(&mut writer, &record(1, 5, 100));
    }
    push(&mut writer, &record(1, 6, 100));
    writer.announce(&[1], 6);
    assert_eq!(reader.oldest_revision(), 6);
}

#[test]
fn one_group_larger_than_the_ring() {
    let (mut writer, mut reader) = lane();
    push(&mut writer, &record(1, 1, 0));
    writer.announce(&[1], 1);
    let mut newest = self::reader(&writer);
    for _ in 0..5_000 {
        push(&mut writer, &record(1, 2, 100));
        // The announced records are gone, and the others are not announced: nothing, and no error.
        assert_eq!(newest.next(&mut Vec::new()), Ok(None));
    }
    let mut between = self::reader(&writer);
    writer.announce(&[1], 2);
    for (who, first) in [(&mut reader, 1), (&mut newest, 2), (&mut between, 2)] {
        let Err(EventsError::Lagged { missed, next_sequence }) = who.next(&mut Vec::new()) else {
            panic!("it was lapped")
        };
        assert_eq!(next_sequence, first + missed);
        assert_eq!(all(who).len() as u64, 5_001 - next_sequence + 1);
    }
}

#[test]
fn what_is_too_long_is_elided_and_says_so() {
    let (mut writer, mut reader) = lane();
    push(&mut writer, &record(3, 1, 10_000));
    let mut schema = Vec::new();
    encode_schema(&[1; 9_000], 4, RecordHeader { revision: 2, ..Default::default() }, &mut schema);
    push(&mut writer, &schema);
    push(&mut writer, &record(3, 3, 7_900));
    writer.announce(&[3, 4], 3);
    let mut buffer = Vec::new();
    reader.next(&mut buffer).expect("no gap").expect("a record");
    let row = RecordRef::parse(&buffer).expect("a whole record");
    assert_eq!(row.header().flags & FLAG_ELIDED, FLAG_ELIDED);
    assert!(row.row().expect("no lie").is_none() && row.changed(1));
    assert_eq!(row.key().expect("the key stays").columns(), 1);
    reader.next(&mut buffer).expect("no gap").expect("a record");
    let schema = RecordRef::parse(&buffer).expect("a whole record");
    assert_eq!(schema.header().kind, RecordKind::Schema as u16);
    assert_eq!((schema.header().table, schema.header().flags), (4, FLAG_ELIDED));
    assert!(schema.catalogue().is_err());
    reader.next(&mut buffer).expect("no gap").expect("a record");
    assert!(RecordRef::parse(&buffer).expect("whole").row().expect("no lie").is_some());
}

#[test]
fn a_retired_lane_is_read_to_its_end() {
    let (mut writer, mut reader) = lane();
    push(&mut writer, &record(1, 1, 0));
    writer.announce(&[1], 1);
    writer.retire();
    assert!(reader.wait(None, LONG), "there is something to learn");
    assert_eq!(reader.next(&mut Vec::new()), Ok(Some(())));
    let retired = Err(EventsError::Retired { generation: 7 });
    assert_eq!(reader.next(&mut Vec::new()), retired);
    assert!(reader.wait(Some(&[5]), LONG));
    assert_eq!(reader.next(&mut Vec::new()), retired);
}

#[test]
fn a_waiter_on_a_page_that_it_cannot_write_is_woken() {
    for tables in [None, Some(&[3][..]), Some(&[2, 3][..]), Some(&[3 + 1024][..])] {
        let (mut writer, mut reader) = lane();
        let asleep = Arc::new(AtomicBool::new(false));
        let told = asleep.clone();
        let waiter = thread::spawn(move || {
            told.store(true, Ordering::Release);
            assert!(reader.wait(tables, LONG));
            reader
        });
        let until = Instant::now() + LONG;
        while !asleep.load(Ordering::Acquire) {
            assert!(Instant::now() < until);
            thread::yield_now();
        }
        // One announcement must do, whether it comes before or during the sleep.
        let revision = push(&mut writer, &record(3, 1, 0));
        writer.announce(&[3], revision);
        let mut reader = waiter.join().expect("the waiter passes");
        assert_eq!(all(&mut reader), [(1, 1)], "{tables:?}");
    }
}

#[test]
fn a_step_is_seen_and_wakes_nobody() {
    let (mut writer, mut reader) = lane();
    writer.start(4);
    push(&mut writer, &record(3, 5, 0));
    writer.announce(&[3], 5);
    let word = |writer: &EventsWriter, at| words::half(writer.region(), at).load(Ordering::Acquire);
    let turns = |writer: &EventsWriter| {
        let tables = (0..at::TABLE_WORDS).map(|table| word(writer, at::TABLES + 4 * table));
        (word(writer, at::ALL_TABLES), tables.collect::<Vec<_>>())
    };
    let before = turns(&writer);
    writer.step(9);
    // Who sleeps on a word that stays as it is sleeps on.
    assert_eq!(turns(&writer), before);
    assert_eq!((reader.oldest_revision(), reader.newest_revision()), (5, 9));
    assert_eq!(all(&mut reader), [(1, 5)]);
    // What is shown is there before anybody is woken.
    push(&mut writer, &record(3, 10, 0));
    writer.show(&[3], 10);
    assert_eq!((all(&mut reader), reader.newest_revision()), (vec![(2, 10)], 10));
    writer.wake(&[3]);
}

#[test]
fn a_schema_change_wakes_the_waiters_of_every_table() {
    let (mut writer, mut reader) = lane();
    let waiter = thread::spawn(move || {
        assert!(reader.wait(Some(&[77]), LONG));
    });
    push(&mut writer, &record(3, 1, 0));
    writer.announce(&[0], 1);
    waiter.join().expect("the waiter passes");
}

#[test]
fn a_quiet_tables_waiter_sleeps_on_and_is_never_lapped() {
    for tables in [&[5][..], &[5, 6][..]] {
        let mut writer = EventsWriter::create(7, 4 << 20).expect("a lane");
        let mut reader = self::reader(&writer);
        // Reads what there is and sleeps again until a record of table 5; how many others it saw.
        let waiter = thread::spawn(move || {
            let (mut buffer, mut others) = (Vec::new(), 0);
            loop {
                while reader.next(&mut buffer).expect("never lapped").is_some() {
                    let table = RecordRef::parse(&buffer).expect("a whole record").header().table;
                    if table == 5 {
                        return others;
                    }
                    others += 1;
                }
                assert!(reader.wait(Some(tables), LONG), "nobody woke it");
            }
        });
        // Four times round the ring, each time long enough for a woken sleeper to run.
        let records = 60_000;
        for revision in 1..=records {
            push(&mut writer, &record(1, revision, 100));
            writer.announce(&[1], revision);
            if revision % 50 == 0 {
                thread::sleep(Duration::from_micros(300));
            }
        }
        push(&mut writer, &record(5, records + 1, 0));
        writer.announce(&[5], records + 1);
        let others = waiter.join().expect("the waiter passes");
        assert!(others < records / 2, "it read {others} of {records} that were not its own");
    }
}

#[test]
fn a_wait_ends_at_its_time() {
    let (mut writer, mut reader) = lane();
    let brief = Duration::from_millis(15);
    let start = Instant::now();
    assert!(!reader.wait(None, brief));
    assert!(!reader.wait(Some(&[1]), brief));
    assert!(start.elapsed() >= 2 * brief);
    push(&mut writer, &record(1, 1, 0));
    writer.announce(&[1], 1);
    assert!(reader.wait(None, Duration::ZERO));
}

#[test]
fn readers_at_full_speed_get_each_record_whole_or_a_count() {
    let (mut writer, _) = lane();
    let records = 60_000u64;
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let mut reader = self::reader(&writer);
            thread::spawn(move || {
                let until = Instant::now() + LONG;
                let (mut buffer, mut next, mut missed_all) = (Vec::new(), 1, 0);
                while next <= records {
                    assert!(Instant::now() < until, "stalled at {next}");
                    match reader.next(&mut buffer) {
                        Ok(Some(())) => {
                            let record = RecordRef::parse(&buffer).expect("a whole record");
                            let header = record.header();
                            assert_eq!((header.sequence, header.revision), (next, next));
                            let row = record.row().expect("no lie").expect("a row");
                            let size = (next * 37 % 300) as usize;
                            assert_eq!(row.var_bytes(), size, "record {next} is torn");
                            next += 1;
                        }
                        Ok(None) => drop(reader.wait(None, Duration::from_millis(100))),
                        Err(EventsError::Lagged { missed, next_sequence }) => {
                            assert_eq!(next_sequence, next + missed);
                            next = next_sequence;
                            missed_all += missed;
                        }
                        Err(e) => panic!("{e}"),
                    }
                }
                missed_all
            })
        })
        .collect();
    for revision in 1..=records {
        push(&mut writer, &record(1, revision, (revision * 37 % 300) as usize));
        if revision % 3 == 0 || revision == records {
            writer.announce(&[1], revision);
        }
    }
    for reader in readers {
        let missed = reader.join().expect("a reader passes");
        assert!(missed < records);
    }
}

#[test]
fn memory_that_is_no_events_lane_is_refused() {
    let zeros = Region::create("test", 4096, true).expect("a page");
    assert!(matches!(EventsReader::open(Arc::new(zeros)), Err(ShmError::BadMagic { .. })));
    // Any header and any contents: typed errors, no panic, no end of the mapping.
    let (mut writer, mut reader) = lane();
    push(&mut writer, &record(1, 1, 50));
    writer.announce(&[1], 1);
    for value in [0, 1, 8, 80, 92, 1 << 20, u64::MAX] {
        let first = words::ring(&writer.region, at::EVENTS_RING, writer.ring_words).word(0);
        let good = first.swap(value, Ordering::Relaxed);
        assert!(
            matches!(reader.next(&mut Vec::new()), Err(EventsError::Corrupt { .. })),
            "{value}"
        );
        first.store(good, Ordering::Relaxed);
    }
    assert_eq!(all(&mut reader), [(1, 1)]);
}
