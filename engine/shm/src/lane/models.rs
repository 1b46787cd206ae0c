//! Loom models of the lanes: the product's own code over few words, in every order that the memory
//! model allows within the bound. Futexes have no timeouts here, so a lost wake is a deadlock, which
//! loom reports.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p shmirror-shm --release --lib`

use loom::sync::Arc;
use loom::thread;

use super::log::{Cursor, Log, Step, Writer};
use super::outcomes::{Entry, RawOutcome, Slot};
use super::queue::{PushError, Queue, Taken};
use super::ring::Ring;
use super::watch::Watch;
use crate::futex;
use crate::mutex::{acquire, release};
use crate::sync::{AtomicU32, AtomicU64, Ordering, spin_loop};

/// Explores `model` with at most `preemptions` switches away from a thread that could go on.
fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

/// A requests lane: a ring of eight words holds two records of four.
struct Lane {
    mutex: AtomicU32,
    head: AtomicU64,
    cursor: AtomicU64,
    taken: AtomicU64,
    turn: AtomicU32,
    waiting: AtomicU32,
    asleep: AtomicU32,
    bell: AtomicU32,
    ring: Vec<AtomicU64>,
}

impl Lane {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            mutex: AtomicU32::new(0),
            head: AtomicU64::new(0),
            cursor: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            turn: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            asleep: AtomicU32::new(0),
            bell: AtomicU32::new(0),
            ring: words(8),
        })
    }

    fn queue(&self) -> Queue<'_> {
        Queue {
            id: 1,
            head: &self.head,
            cursor: &self.cursor,
            taken: &self.taken,
            turn: &self.turn,
            waiting: &self.waiting,
            asleep: &self.asleep,
            ring: Ring::new(&self.ring).expect("a power of two"),
        }
    }

    fn lock(&self, tid: u32) -> bool {
        acquire(&self.mutex, tid, |expected| {
            futex::wait(&self.mutex, expected, None);
            true
        })
        .expect("the model never gives up")
    }

    /// As a producer does it: its payload is its own number eight times.
    fn push(&self, tid: u32) -> Result<u64, PushError> {
        self.lock(tid);
        let pushed = self.queue().push(1, tid, &[tid as u8; 8]);
        release(&self.mutex);
        pushed
    }

    /// Takes one record if there is one; its producer and ticket.
    fn take(&self, taken: &mut Taken) -> Option<(u32, u64)> {
        let request = self.queue().take(taken).expect("honest producers")?;
        assert_eq!(request.payload, [request.pid as u8; 8], "ticket {} is torn", request.ticket);
        Some((request.pid, request.ticket))
    }
}

#[test]
fn two_producers_and_the_daemon() {
    explore(3, || {
        let lane = Lane::new();
        let producers: Vec<_> = [1, 2]
            .map(|tid| {
                let lane = lane.clone();
                thread::spawn(move || lane.push(tid).expect("room for two"))
            })
            .into();
        let (mut taken, mut found) = (Taken::default(), Vec::new());
        while found.len() < 2 {
            match lane.take(&mut taken) {
                Some((pid, ticket)) => {
                    assert_eq!(ticket, found.len() as u64 + 1);
                    found.push(pid);
                }
                None => spin_loop(),
            }
        }
        for (tid, producer) in [1, 2].into_iter().zip(producers) {
            let ticket = producer.join().expect("no panic");
            assert_eq!(found[ticket as usize - 1], tid, "each got its own ticket");
        }
    });
}

#[test]
fn a_dead_holder_is_recovered_whether_somebody_sleeps_or_not() {
    explore(3, || {
        let lane = Lane::new();
        let waiters: Vec<_> = [1, 2]
            .map(|tid| {
                let lane = lane.clone();
                thread::spawn(move || {
                    let recovered = lane.lock(tid);
                    release(&lane.mutex);
                    recovered
                })
            })
            .into();
        lane.lock(3);
        // What the kernel does at the death of 3 (handle_futex_death of linux/kernel/futex/core.c).
        let died = lane.mutex.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |found| {
            assert_eq!(found & 0x3FFF_FFFF, 3);
            Some((found & 0x8000_0000) | 0x4000_0000)
        });
        if died.expect("always some") & 0x8000_0000 != 0 {
            futex::wake(&lane.mutex, 1);
        }
        let recovered: Vec<bool> =
            waiters.into_iter().map(|w| w.join().expect("no panic")).collect();
        let recovered = recovered.into_iter().filter(|r| *r).count();
        // The next holder alone learns of it, unless 3 came last.
        let left = lane.mutex.load(Ordering::Relaxed);
        assert_eq!(left & 0x3FFF_FFFF, 0);
        assert_eq!(recovered, usize::from(left & 0x4000_0000 == 0));
    });
}

#[test]
fn a_producer_that_waits_for_space_is_woken() {
    explore(3, || {
        let lane = Lane::new();
        let producer = {
            let lane = lane.clone();
            thread::spawn(move || {
                let mut pushed = 0;
                while pushed < 3 {
                    match lane.queue().push(1, 7, &[7; 8]) {
                        Ok(_) => pushed += 1,
                        Err(PushError::Full { needed }) => {
                            let queue = lane.queue();
                            let turn = queue.want_space();
                            if !queue.has_room(needed) {
                                futex::wait(&lane.turn, turn, None);
                            }
                        }
                        Err(e) => panic!("{e:?}"),
                    }
                }
            })
        };
        let (mut taken, mut next) = (Taken::default(), 1);
        while next <= 3 {
            match lane.take(&mut taken) {
                Some((7, ticket)) => {
                    assert_eq!(ticket, next);
                    next += 1;
                    lane.queue().release(&taken);
                }
                Some(other) => panic!("{other:?}"),
                None => spin_loop(),
            }
        }
        producer.join().expect("no panic");
    });
}

#[test]
fn the_daemon_does_not_sleep_over_a_request() {
    explore(3, || {
        let lane = Lane::new();
        let producer = {
            let lane = lane.clone();
            thread::spawn(move || {
                lane.queue().push(1, 7, &[7; 8]).expect("room");
                if lane.queue().must_ring() {
                    // The doorbell: an eventfd in the product.
                    lane.bell.store(1, Ordering::Release);
                    futex::wake(&lane.bell, 1);
                }
            })
        };
        let mut taken = Taken::default();
        lane.queue().set_asleep(true);
        while !lane.queue().pending(&taken) {
            futex::wait(&lane.bell, 0, None);
        }
        lane.queue().set_asleep(false);
        assert_eq!(lane.take(&mut taken), Some((7, 1)));
        producer.join().expect("no panic");
    });
}

/// An entry of the outcome table, with one word of message.
struct Outcome {
    ticket: AtomicU64,
    waiting: AtomicU32,
    turn: AtomicU32,
    body: Vec<AtomicU64>,
}

impl Outcome {
    fn new() -> Arc<Self> {
        let (waiting, turn) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { ticket: AtomicU64::new(0), waiting, turn, body: words(4) })
    }

    fn slot(&self) -> Slot<'_> {
        Slot { ticket: &self.ticket, waiting: &self.waiting, turn: &self.turn, body: &self.body }
    }

    fn answer(ticket: u64) -> RawOutcome {
        let message = format!("{ticket:08}");
        let (revision, changes) = (ticket + 10, ticket + 20);
        RawOutcome { ticket, committed: true, code: 0, flags: 0, revision, changes, message }
    }
}

#[test]
fn who_waits_for_an_outcome_gets_it() {
    explore(3, || {
        let outcome = Outcome::new();
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let outcome = outcome.clone();
                thread::spawn(move || {
                    loop {
                        let turn = outcome.slot().want();
                        match outcome.slot().read(5) {
                            Entry::Done(found) => return found,
                            Entry::Pending => drop(futex::wait(&outcome.turn, turn, None)),
                            Entry::Expired => panic!("there is no later ticket"),
                        }
                    }
                })
            })
            .collect();
        outcome.slot().answer(&Outcome::answer(5));
        for waiter in waiters {
            assert_eq!(waiter.join().expect("no panic"), Outcome::answer(5));
        }
    });
}

#[test]
fn an_outcome_is_right_or_expired_and_never_another_tickets() {
    explore(3, || {
        let outcome = Outcome::new();
        let daemon = {
            let outcome = outcome.clone();
            thread::spawn(move || {
                outcome.slot().answer(&Outcome::answer(5));
                outcome.slot().answer(&Outcome::answer(5 + 4096));
            })
        };
        match outcome.slot().read(5) {
            Entry::Done(found) => assert_eq!(found, Outcome::answer(5)),
            Entry::Pending | Entry::Expired => {}
        }
        match outcome.slot().read(5 + 4096) {
            Entry::Done(found) => assert_eq!(found, Outcome::answer(5 + 4096)),
            Entry::Pending => {}
            Entry::Expired => panic!("there is no later ticket"),
        }
        daemon.join().expect("no panic");
        assert_eq!(outcome.slot().read(5), Entry::Expired);
    });
}

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
