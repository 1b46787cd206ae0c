//! Models of the requests lane: queue, room, doorbell, retirement.

use loom::cell::UnsafeCell;
use loom::thread;
use std::sync::Arc;

use super::mutex::die;
use super::outcomes::Outcome;
use super::words;
use crate::futex;
use crate::lane::outcomes::Entry;
use crate::lane::queue::{PushError, Queue, Taken};
use crate::lane::ring::Ring;
use crate::models::{Seen, explore, seen, weaken_each};
use crate::mutex::{acquire, release};
use crate::pillar::Pillar;
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
    retired: AtomicU64,
    ring: Vec<AtomicU64>,
    /// For each ticket: stands for the words of its record, which the daemon reads before it gives the
    /// room back, and somebody writes over after finding room.
    read: [UnsafeCell<()>; 4],
}

// SAFETY: the cells are touched in the order that the queue gives, which is what the models look at.
unsafe impl Send for Lane {}
// SAFETY: as above.
unsafe impl Sync for Lane {}

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
            retired: AtomicU64::new(0),
            ring: words(8),
            read: [(); 4].map(UnsafeCell::new),
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
            retired: &self.retired,
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

    /// As a lone producer submits: waits for room, or is told that the lane was retired.
    fn submit(&self, pid: u32) -> Result<u64, u64> {
        loop {
            match self.queue().push(1, pid, &[pid as u8; 8]) {
                Ok(ticket) => {
                    if ticket > 2 {
                        self.read[ticket as usize - 2].with(|_| ()); // what we wrote over
                    }
                    return Ok(ticket);
                }
                Err(PushError::Full { needed }) => {
                    let turn = self.queue().want_space();
                    if let Some(cursor) = self.queue().retired() {
                        return Err(cursor);
                    }
                    if !self.queue().has_room(needed) {
                        futex::wait(&self.turn, turn, None);
                    }
                }
                Err(e) => panic!("{e:?}"),
            }
        }
    }

    /// Takes one record if there is one; its producer and ticket.
    fn take(&self, taken: &mut Taken) -> Option<(u32, u64)> {
        let request = self.queue().take(taken).expect("honest producers");
        let request = request?;
        assert_eq!(request.payload, [request.pid as u8; 8], "ticket {} is torn", request.ticket);
        Some((request.pid, request.ticket))
    }
}

fn two_producers() {
    let lane = Lane::new();
    let daemon = {
        let lane = lane.clone();
        thread::spawn(move || {
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
            found
        })
    };
    let other = {
        let lane = lane.clone();
        thread::spawn(move || lane.push(2).expect("room for two"))
    };
    let tickets = [lane.push(1).expect("room for two"), other.join().expect("no panic")];
    let found = daemon.join().expect("no panic");
    for (tid, ticket) in [1, 2].into_iter().zip(tickets) {
        assert_eq!(found[ticket as usize - 1], tid, "each got its own ticket");
    }
}

/// A producer is killed with its record half written: the head has not moved, so that nothing of it is
/// ever seen, and the next one writes over it.
fn a_producer_dies_in_its_push() {
    let lane = Lane::new();
    let doomed = {
        let lane = lane.clone();
        thread::spawn(move || {
            lane.lock(1);
            let end = lane.head.load(Ordering::Relaxed) as u32 as usize;
            lane.ring[end..end + 4].iter().for_each(|w| w.store(u64::MAX, Ordering::Relaxed));
            die(&lane.mutex, 1);
        })
    };
    let next = {
        let lane = lane.clone();
        thread::spawn(move || assert_eq!(lane.push(2), Ok(1)))
    };
    let mut taken = Taken::default();
    let found = loop {
        match lane.take(&mut taken) {
            Some(found) => break found,
            None => spin_loop(),
        }
    };
    assert_eq!(found, (2, 1));
    doomed.join().expect("no panic");
    next.join().expect("no panic");
}

fn a_producer_waits_for_space() {
    let lane = Lane::new();
    let producer = {
        let lane = lane.clone();
        thread::spawn(move || (0..3).for_each(|_| _ = lane.submit(7).expect("never retired")))
    };
    let (mut taken, mut next) = (Taken::default(), 1);
    while next <= 3 {
        match lane.take(&mut taken) {
            Some((7, ticket)) => {
                assert_eq!(ticket, next);
                lane.read[ticket as usize].with_mut(|_| ());
                next += 1;
                lane.queue().release(&taken);
            }
            Some(other) => panic!("{other:?}"),
            None => spin_loop(),
        }
    }
    producer.join().expect("no panic");
}

/// Two wait for the room of two records, and get it one after the other.
fn two_producers_wait_for_space() {
    let lane = Lane::new();
    for _ in 0..2 {
        lane.queue().push(1, 7, &[7; 8]).expect("room for two");
    }
    let producers = [1u64, 2].map(|record| {
        let lane = lane.clone();
        thread::spawn(move || {
            loop {
                let turn = lane.queue().want_space();
                if lane.cursor.load(Ordering::Relaxed) >= record * 4 {
                    return;
                }
                futex::wait(&lane.turn, turn, None);
            }
        })
    });
    let mut taken = Taken::default();
    for _ in 0..2 {
        lane.take(&mut taken).expect("two are in it");
        lane.queue().release(&taken);
    }
    producers.into_iter().for_each(|p| p.join().expect("no panic"));
}

/// A lane is retired with one request taken of two, while a third has no room and each waits.
fn a_lane_is_retired() {
    let lane = Lane::new();
    let outcome = Outcome::new();
    for _ in 0..2 {
        lane.queue().push(1, 7, &[7; 8]).expect("room for two");
    }
    let submits = {
        let lane = lane.clone();
        thread::spawn(move || assert_eq!(lane.submit(7), Err(0)))
    };
    let waits = {
        let (lane, outcome) = (lane.clone(), outcome.clone());
        thread::spawn(move || {
            // As a producer waits for ticket 2.
            loop {
                let turn = outcome.slot().want();
                let retired = lane.queue().retired().filter(|cursor| *cursor < 2);
                assert_eq!(outcome.slot().read(2), Entry::Pending);
                if retired.is_some() {
                    return;
                }
                futex::wait(outcome.slot().turn, turn, None);
            }
        })
    };
    lane.queue().retire(&Taken::default(), [outcome.slot()].into_iter());
    submits.join().expect("no panic");
    waits.join().expect("no panic");
}

fn the_daemon_falls_asleep() {
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
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::QueueHeadLast, 3, two_producers, "honest producers"),
    seen(Pillar::QueueHead, 3, two_producers, "honest producers"),
    seen(Pillar::QueueTake, 3, two_producers, "honest producers"),
    seen(Pillar::QueueRoom, 3, a_producer_waits_for_space, "Causality violation"),
    seen(Pillar::QueueRelease, 3, a_producer_waits_for_space, "Causality violation"),
    seen(Pillar::QueueReleaseFence, 3, two_producers_wait_for_space, "deadlock"),
    seen(Pillar::QueueWantFence, 3, two_producers_wait_for_space, "deadlock"),
    seen(Pillar::QueueTurn, 3, two_producers_wait_for_space, "deadlock"),
    seen(Pillar::QueueForget, 3, two_producers_wait_for_space, "deadlock"),
    seen(Pillar::QueueWant, 3, two_producers_wait_for_space, "deadlock"),
    seen(Pillar::QueueBellFence, 3, the_daemon_falls_asleep, "deadlock"),
    seen(Pillar::QueueSleepFence, 3, the_daemon_falls_asleep, "deadlock"),
    seen(Pillar::QueueRetireTold, 3, a_lane_is_retired, "deadlock"),
    seen(Pillar::QueueRetireWakes, 3, a_lane_is_retired, "deadlock"),
    seen(Pillar::QueueRetireFence, 3, a_lane_is_retired, "deadlock"),
];

#[test]
fn two_producers_and_the_daemon() {
    explore(3, two_producers);
}

#[test]
fn a_producer_that_dies_in_its_push_leaves_nothing() {
    explore(2, a_producer_dies_in_its_push);
}

#[test]
fn a_producer_that_waits_for_space_is_woken() {
    explore(3, a_producer_waits_for_space);
}

#[test]
fn two_producers_that_wait_for_space_are_woken() {
    explore(2, two_producers_wait_for_space);
}

#[test]
fn who_waits_in_a_lane_that_is_retired_is_woken() {
    explore(2, a_lane_is_retired);
}

#[test]
fn the_daemon_does_not_sleep_over_a_request() {
    explore(3, the_daemon_falls_asleep);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
