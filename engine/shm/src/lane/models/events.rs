//! Models of the events lane: lapping, the end, waiting, several lanes.

use loom::thread;
use std::sync::Arc;

use super::words;
use crate::futex::{self, Waited};
use crate::lane::log::{Cursor, Log, Step, Writer};
use crate::lane::ring::Ring;
use crate::lane::watch::Watch;
use crate::models::{Seen, explore, fails, seen, weaken_each};
use crate::pillar::Pillar;
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
        Self::of(16)
    }

    fn of(ring_words: usize) -> Arc<Self> {
        Arc::new(Self {
            oldest: AtomicU64::new(0),
            complete_from: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            ends: words(6),
            retired: AtomicU64::new(0),
            all: AtomicU32::new(0),
            tables: (0..2).map(|_| AtomicU32::new(0)).collect(),
            ring: words(ring_words),
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

    fn spawn(self: &Arc<Self>, read: fn(&Self)) -> thread::JoinHandle<()> {
        let events = self.clone();
        thread::spawn(move || read(&events))
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

const FOREVER: core::time::Duration = core::time::Duration::MAX;
const BEGIN: Cursor = Cursor { position: 0, sequence: 1 };

fn a_reader_is_lapped() {
    let events = Events::new();
    let mut writer = Writer::new();
    for _ in 0..8 {
        events.push(&mut writer);
    }
    events.announce(&mut writer);
    let reader = events.spawn(|events| {
        let mut cursor = BEGIN;
        let mut buffer = Vec::new();
        for _ in 0..2 {
            let before = cursor.sequence;
            match events.watch().log.read(&mut cursor, 2, &mut buffer) {
                Step::Record => check(&buffer, before),
                Step::Lapped { missed } => {
                    assert_eq!(cursor.sequence, before + missed);
                    assert_eq!(cursor.position, (cursor.sequence - 1) * 2);
                }
                other => panic!("torn: {other:?}"),
            }
        }
    });
    for _ in 0..2 {
        events.push(&mut writer);
        events.announce(&mut writer);
    }
    reader.join().expect("no panic");
}

fn the_end_moves() {
    let events = Events::new();
    let mut writer = Writer::new();
    events.announce(&mut writer);
    let reader = events.spawn(|events| {
        let mut last = 0;
        for _ in 0..2 {
            let end = events.watch().log.end().expect("two announcements are soon over");
            assert_eq!(end.position, end.revision * 2, "torn");
            assert_eq!(end.sequence, end.revision + 1, "torn");
            assert!(end.revision >= last, "the end went back");
            last = end.revision;
        }
    });
    for _ in 0..2 {
        events.push(&mut writer);
        events.announce(&mut writer);
    }
    reader.join().expect("no panic");
}

fn the_oldest_moves() {
    let events = Events::of(4);
    let mut writer = Writer::new();
    events.announce(&mut writer);
    let reader = events.spawn(|events| {
        // As from_oldest does it: the position, then from which revision on it is complete.
        if let Some(oldest) = events.watch().log.oldest() {
            assert_eq!(oldest.position, (oldest.sequence - 1) * 2, "torn");
            let complete = events.complete_from.load(Ordering::Acquire);
            let all = complete == 0 && oldest.sequence == 1;
            assert!(complete >= oldest.sequence || all, "too early");
        }
    });
    for _ in 0..4 {
        events.push(&mut writer);
    }
    events.announce(&mut writer);
    reader.join().expect("no panic");
}

fn waits_for(tables: &'static [u32]) {
    let events = Events::new();
    let mut writer = Writer::new();
    events.announce(&mut writer);
    let reader = {
        let events = events.clone();
        thread::spawn(move || {
            let mut cursor = BEGIN;
            assert!(events.watch().wait(&mut cursor, tables, || Some(FOREVER)));
            let mut buffer = Vec::new();
            let step = events.watch().log.read(&mut cursor, 2, &mut buffer);
            assert_eq!(step, Step::Record);
            check(&buffer, 1);
        })
    };
    events.push(&mut writer);
    events.watch().announce(&mut writer, &[1], 1, false);
    reader.join().expect("no panic");
}

fn waits_for_any() {
    waits_for(&[]);
}

fn waits_for_its_table() {
    waits_for(&[1]);
}

fn waits_while_another_changes() {
    let events = Events::new();
    let mut writer = Writer::new();
    events.announce(&mut writer);
    let reader = {
        let events = events.clone();
        thread::spawn(move || {
            let mut cursor = BEGIN;
            assert!(events.watch().wait(&mut cursor, &[1], || Some(FOREVER)));
            // Record 1 is of table 2 (which shares no word with 1), record 2 is ours.
            assert!(cursor.sequence <= 2, "it passed over its own record");
        })
    };
    events.push(&mut writer);
    events.watch().announce(&mut writer, &[2], 1, true);
    events.push(&mut writer);
    events.watch().announce(&mut writer, &[1], 2, false);
    reader.join().expect("no panic");
}

fn waits_in_a_lane_that_is_retired() {
    let events = Events::new();
    let mut writer = Writer::new();
    events.announce(&mut writer);
    let readers = [&[][..], &[1][..]].map(|tables| {
        let events = events.clone();
        thread::spawn(move || {
            let mut cursor = BEGIN;
            assert!(events.watch().wait(&mut cursor, tables, || Some(FOREVER)));
            assert_eq!(events.retired.load(Ordering::Relaxed), 1);
        })
    });
    events.watch().retire(&mut writer, 0);
    readers.into_iter().for_each(|r| r.join().expect("no panic"));
}

/// Who follows two lanes, and is woken by one of them, finds the other as new.
fn two_lanes(all_are_shown_first: bool) {
    let lanes = [Events::new(), Events::new()];
    let mut writers = [Writer::new(), Writer::new()];
    lanes.iter().zip(&mut writers).for_each(|(lane, writer)| lane.announce(writer));
    let reader = {
        let lanes = lanes.clone();
        thread::spawn(move || {
            let [first, second] = &lanes;
            let expected = first.all.load(Ordering::Acquire);
            let end = first.watch().log.end().expect("one announcement is soon over");
            if end.revision == 0 && futex::wait(&first.all, expected, None) == Waited::Woken {
                let end = second.watch().log.end().expect("one announcement is soon over");
                assert_eq!(end.revision, 1, "woken before the other lane was shown");
            }
        })
    };
    for (lane, writer) in lanes.iter().zip(&mut writers) {
        lane.push(writer);
        lane.watch().show(writer, &[1], 1);
        if !all_are_shown_first {
            lane.watch().wake(&[1], false);
        }
    }
    lanes.iter().for_each(|lane| lane.watch().wake(&[1], false));
    reader.join().expect("no panic");
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::LogOldestFirst, 2, a_reader_is_lapped, "torn"),
    seen(Pillar::LogOldest, 2, the_oldest_moves, "torn"),
    seen(Pillar::LogOldestFence, 2, a_reader_is_lapped, "torn"),
    seen(Pillar::LogTurn, 2, the_end_moves, "torn"),
    seen(Pillar::LogTurnFence, 3, the_end_moves, "torn"),
    seen(Pillar::LogEnd, 2, the_end_moves, "torn"),
    seen(Pillar::LogEndFence, 3, the_end_moves, "torn"),
    seen(Pillar::LogEndStill, 3, the_end_moves, "torn"),
    seen(Pillar::LogReadFence, 2, a_reader_is_lapped, "torn"),
    seen(Pillar::LogReadStill, 2, a_reader_is_lapped, "torn"),
    seen(Pillar::LogFindOldest, 3, the_oldest_moves, "torn"),
    seen(Pillar::LogFindFence, 3, the_oldest_moves, "torn"),
    seen(Pillar::LogFindStill, 3, the_oldest_moves, "torn"),
    seen(Pillar::WatchOdd, 3, waits_for_its_table, "deadlock"),
    seen(Pillar::WatchEven, 3, waits_for_its_table, "deadlock"),
    seen(Pillar::WatchAll, 3, waits_for_any, "deadlock"),
    seen(Pillar::WatchOutside, 3, waits_for_its_table, "deadlock"),
    seen(Pillar::WatchExpected, 2, waits_in_a_lane_that_is_retired, "deadlock"),
    seen(Pillar::WatchWakes, 3, waits_for_its_table, "deadlock"),
    seen(Pillar::WatchRetired, 3, waits_in_a_lane_that_is_retired, "deadlock"),
];

#[test]
fn a_lapped_reader_never_takes_a_torn_record() {
    explore(2, a_reader_is_lapped);
}

#[test]
fn the_end_is_three_words_that_belong_together() {
    explore(3, the_end_moves);
}

#[test]
fn the_oldest_record_is_there_and_complete_from_where_it_says() {
    explore(3, the_oldest_moves);
}

#[test]
fn a_reader_that_waits_is_woken() {
    explore(3, waits_for_any);
    explore(3, waits_for_its_table);
}

#[test]
fn a_quiet_tables_reader_passes_over_others_and_not_over_its_own() {
    explore(2, waits_while_another_changes);
}

#[test]
fn readers_of_a_retired_lane_are_woken() {
    explore(2, waits_in_a_lane_that_is_retired);
}

#[test]
fn who_is_woken_by_one_lane_finds_the_others_as_new() {
    explore(2, || two_lanes(true));
    fails(2, || two_lanes(false), "woken before the other lane was shown");
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
