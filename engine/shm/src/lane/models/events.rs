//! Models of the events lane: lapping, the end, waiting.

use loom::sync::Arc;
use loom::thread;

use super::{explore, words};
use crate::lane::log::{Cursor, Log, Step, Writer};
use crate::lane::ring::Ring;
use crate::lane::watch::Watch;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// An events lane: a ring of 16 words holds eight records of two. A record's first word has its
/// sequence above its length, so that a torn one shows.
struct Events {
    oldest: AtomicU64,
    complete_from: AtomicU64,
    turn: AtomicU64,
    ends: Vec<AtomicU64>,
    retired: AtomicU64,
    all: AtomicU32,
    tables: Vec<AtomicU32>,
    ring: Vec<AtomicU64>,
}

impl Events {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            oldest: AtomicU64::new(0),
            complete_from: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ends: words(6),
            retired: AtomicU64::new(0),
            all: AtomicU32::new(0),
            tables: (0..2).map(|_| AtomicU32::new(0)).collect(),
            ring: words(16),
        })
    }

    fn watch(&self) -> Watch<'_> {
        let log = Log {
            oldest: &self.oldest,
            complete_from: &self.complete_from,
            turn: &self.turn,
            ends: &self.ends,
            ring: Ring::new(&self.ring).expect("a power of two"),
        };
        Watch { log, retired: &self.retired, all: &self.all, tables: &self.tables }
    }

    fn push(&self, writer: &mut Writer) {
        let record = [(writer.sequence << 32) | 16, writer.sequence];
        self.watch().log.push(writer, &record, |ring, dropped| {
            ring.word(dropped + 1).load(Ordering::Relaxed) + 1
        });
    }

    fn announce(&self, writer: &mut Writer) {
        let revision = writer.sequence - 1;
        self.watch().log.announce(writer, revision);
    }
}

fn check(buffer: &[u64], sequence: u64) {
    assert_eq!(buffer, [(sequence << 32) | 16, sequence], "torn");
}

#[test]
fn a_lapped_reader_never_takes_a_torn_record() {
    explore(2, || {
        let events = Events::new();
        let mut writer = Writer::new();
        for _ in 0..8 {
            events.push(&mut writer);
        }
        events.announce(&mut writer);
        let daemon = {
            let events = events.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    events.push(&mut writer);
                    events.announce(&mut writer);
                }
            })
        };
        let mut cursor = Cursor { position: 0, sequence: 1 };
        let mut buffer = Vec::new();
        for _ in 0..3 {
            let before = cursor.sequence;
            match events.watch().log.read(&mut cursor, 2, &mut buffer) {
                Step::Record => check(&buffer, before),
                Step::Lapped { missed } => {
                    assert_eq!(cursor.sequence, before + missed);
                    assert_eq!(cursor.position, (cursor.sequence - 1) * 2);
                }
                other => panic!("{other:?}"),
            }
        }
        daemon.join().expect("no panic");
    });
}

#[test]
fn the_end_is_three_words_that_belong_together() {
    explore(3, || {
        let events = Events::new();
        let mut writer = Writer::new();
        events.announce(&mut writer);
        let daemon = {
            let events = events.clone();
            thread::spawn(move || {
                for _ in 0..2 {
                    events.push(&mut writer);
                    events.announce(&mut writer);
                }
            })
        };
        let mut last = 0;
        for _ in 0..2 {
            let end = events.watch().log.end().expect("two announcements are soon over");
            assert_eq!(end.position, end.revision * 2);
            assert_eq!(end.sequence, end.revision + 1);
            assert!(end.revision >= last, "the end went back");
            last = end.revision;
        }
        daemon.join().expect("no panic");
    });
}

#[test]
fn what_is_announced_as_complete_is_there() {
    explore(3, || {
        let events = Events::new();
        let mut writer = Writer::new();
        for _ in 0..8 {
            events.push(&mut writer);
        }
        events.announce(&mut writer);
        let daemon = {
            let events = events.clone();
            thread::spawn(move || {
                events.push(&mut writer);
                events.push(&mut writer);
                events.announce(&mut writer);
            })
        };
        // As from_oldest does it: the position, then from which revision on it is complete.
        let oldest = events.watch().log.oldest().expect("two pushes are soon over");
        let complete = events.complete_from.load(Ordering::Acquire);
        assert!(complete >= oldest.sequence || complete == 0 && oldest.sequence == 1);
        daemon.join().expect("no panic");
    });
}

#[test]
fn a_reader_that_waits_is_woken() {
    for tables in [&[][..], &[1][..]] {
        explore(3, move || {
            let events = Events::new();
            let mut writer = Writer::new();
            events.announce(&mut writer);
            let reader = {
                let events = events.clone();
                thread::spawn(move || {
                    let mut cursor = Cursor { position: 0, sequence: 1 };
                    let forever = || Some(core::time::Duration::MAX);
                    assert!(events.watch().wait(&mut cursor, tables, forever));
                    let mut buffer = Vec::new();
                    let step = events.watch().log.read(&mut cursor, 2, &mut buffer);
                    assert_eq!(step, Step::Record);
                    check(&buffer, 1);
                })
            };
            events.push(&mut writer);
            events.watch().announce(&mut writer, &[1], 1, false);
            reader.join().expect("no panic");
        });
    }
}

#[test]
fn a_quiet_tables_reader_passes_over_others_and_not_over_its_own() {
    explore(2, || {
        let events = Events::new();
        let mut writer = Writer::new();
        events.announce(&mut writer);
        let reader = {
            let events = events.clone();
            thread::spawn(move || {
                let mut cursor = Cursor { position: 0, sequence: 1 };
                let forever = || Some(core::time::Duration::MAX);
                assert!(events.watch().wait(&mut cursor, &[1], forever));
                // Record 1 is of table 2 (which shares no word with 1), record 2 is ours.
                assert!(cursor.sequence <= 2, "it passed over its own record");
            })
        };
        events.push(&mut writer);
        events.watch().announce(&mut writer, &[2], 1, true);
        events.push(&mut writer);
        events.watch().announce(&mut writer, &[1], 2, false);
        reader.join().expect("no panic");
    });
}
