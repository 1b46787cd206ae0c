//! Models of the requests lane: mutex, queue, doorbell, outcomes.

use loom::sync::Arc;
use loom::thread;

use super::{explore, words};
use crate::futex;
use crate::lane::outcomes::{Entry, RawOutcome, Slot};
use crate::lane::queue::{PushError, Queue, Taken};
use crate::lane::ring::Ring;
use crate::mutex::{acquire, release};
use crate::sync::{AtomicU32, AtomicU64, Ordering, spin_loop};

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
