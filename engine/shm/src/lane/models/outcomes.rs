//! Models of the outcome table: one entry, with one word of message.

use loom::thread;
use std::sync::Arc;

use super::words;
use crate::futex;
use crate::lane::outcomes::{Entry, RawOutcome, Slot};
use crate::models::{Seen, explore, seen, weaken_each};
use crate::pillar::Pillar;
use crate::sync::{AtomicU32, AtomicU64};

pub(super) struct Outcome {
    ticket: AtomicU64,
    waiting: AtomicU32,
    turn: AtomicU32,
    body: Vec<AtomicU64>,
}

impl Outcome {
    pub fn new() -> Arc<Self> {
        let (waiting, turn) = (AtomicU32::new(0), AtomicU32::new(0));
        Arc::new(Self { ticket: AtomicU64::new(0), waiting, turn, body: words(4) })
    }

    pub fn slot(&self) -> Slot<'_> {
        Slot { ticket: &self.ticket, waiting: &self.waiting, turn: &self.turn, body: &self.body }
    }

    fn answer(ticket: u64) -> RawOutcome {
        let message = format!("{ticket:08}");
        let (revision, changes) = (ticket + 10, ticket + 20);
        RawOutcome { ticket, committed: true, code: 0, flags: 0, revision, changes, message }
    }

    /// As a producer waits for it; `None` if it came too late.
    fn wait(&self, ticket: u64) -> Option<RawOutcome> {
        loop {
            let turn = self.slot().want();
            match self.slot().read(ticket) {
                Entry::Done(found) => return Some(found),
                Entry::Pending => _ = futex::wait(&self.turn, turn, None),
                Entry::Expired => return None,
            }
        }
    }
}

fn two_wait() {
    let outcome = Outcome::new();
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let outcome = outcome.clone();
            thread::spawn(move || outcome.wait(5))
        })
        .collect();
    outcome.slot().answer(&Outcome::answer(5));
    for waiter in waiters {
        assert_eq!(waiter.join().expect("no panic"), Some(Outcome::answer(5)));
    }
}

/// The entry's next ticket is waited for while the one before is answered.
fn one_waits_for_each_of_two() {
    let outcome = Outcome::new();
    let waiters: Vec<_> = [5, 5 + 4096]
        .into_iter()
        .map(|ticket| {
            let outcome = outcome.clone();
            thread::spawn(move || outcome.wait(ticket))
        })
        .collect();
    outcome.slot().answer(&Outcome::answer(5));
    outcome.slot().answer(&Outcome::answer(5 + 4096));
    let found: Vec<_> = waiters.into_iter().map(|w| w.join().expect("no panic")).collect();
    assert!(found[0].is_none() || found[0] == Some(Outcome::answer(5)));
    assert_eq!(found[1], Some(Outcome::answer(5 + 4096)));
}

fn two_tickets() {
    let outcome = Outcome::new();
    let producer = {
        let outcome = outcome.clone();
        thread::spawn(move || {
            match outcome.slot().read(5) {
                Entry::Done(found) => assert_eq!(found, Outcome::answer(5)),
                Entry::Pending | Entry::Expired => {}
            }
            match outcome.slot().read(5 + 4096) {
                Entry::Done(found) => assert_eq!(found, Outcome::answer(5 + 4096)),
                Entry::Pending => {}
                Entry::Expired => panic!("there is no later ticket"),
            }
        })
    };
    outcome.slot().answer(&Outcome::answer(5));
    outcome.slot().answer(&Outcome::answer(5 + 4096));
    producer.join().expect("no panic");
    assert_eq!(outcome.slot().read(5), Entry::Expired);
}

pub const SEEN: &[Seen] = &[
    seen(Pillar::OutcomeGone, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeGoneFence, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeTicket, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeRead, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeReadFence, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeStill, 3, two_tickets, "assertion"),
    seen(Pillar::OutcomeAnswerFence, 3, two_wait, "deadlock"),
    seen(Pillar::OutcomeWantFence, 3, two_wait, "deadlock"),
    seen(Pillar::OutcomeTurn, 3, two_wait, "deadlock"),
    seen(Pillar::OutcomeForget, 2, one_waits_for_each_of_two, "deadlock"),
    seen(Pillar::OutcomeWant, 2, one_waits_for_each_of_two, "deadlock"),
];

#[test]
fn who_waits_for_an_outcome_gets_it() {
    explore(3, two_wait);
}

#[test]
fn who_waits_for_an_entrys_next_ticket_is_not_forgotten() {
    explore(2, one_waits_for_each_of_two);
}

#[test]
fn an_outcome_is_right_or_expired_and_never_another_tickets() {
    explore(3, two_tickets);
}

#[test]
fn each_weakening_is_seen() {
    weaken_each(SEEN);
}
