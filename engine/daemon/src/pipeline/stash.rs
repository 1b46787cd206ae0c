//! Result rows and long messages of outcomes, laid up for a while until the producer fetches them.
//!
//! Bounded by bytes for each uid, and by age: the oldest goes first. Only the uid that the lane belongs to
//! gets them, with all the rights that the lane has, and only once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shmirror_shm::request::ResultSet;
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, RefuseCode};

use crate::rights::Rights;

/// Most bytes that are kept for one uid.
const BYTES: usize = 64 << 20;
/// What an entry takes besides its answer, about.
const ENTRY_BYTES: usize = 256;
/// Longest time that anything is kept.
const AGE: Duration = Duration::from_secs(30);
/// Shorter messages are whole in the outcome itself.
const SHORT_MESSAGE: usize = 160;

/// Lane and ticket.
pub(super) type Ticket = (u64, u64);

struct Entry {
    bytes: usize,
    answer: Answer,
    /// Of the lane.
    rights: Arc<Rights>,
    /// Which of the order's entries is its own.
    number: u64,
}

/// What is laid up for one uid.
#[derive(Default)]
struct Shelf {
    entries: HashMap<Ticket, Entry>,
    /// The oldest first; those that were fetched or replaced stay until they come to the front.
    order: VecDeque<(Instant, Ticket, u64)>,
    bytes: usize,
    next: u64,
}

/// What is laid up, by uid: nobody's results push out another's.
#[derive(Default)]
pub(crate) struct Stash(HashMap<u32, Shelf>);

impl Stash {
    /// Keeps result rows.
    pub(super) fn put_rows(
        &mut self,
        ticket: Ticket,
        (uid, rights): (u32, Arc<Rights>),
        revision: u64,
        sets: Vec<ResultSet>,
    ) {
        let bytes = sets.iter().map(set_bytes).sum();
        let answer = Answer::Rows { revision, sets };
        self.0.entry(uid).or_default().put(ticket, rights, bytes, answer);
    }

    /// Keeps a message that is too long for the outcome table.
    pub(super) fn put_message(
        &mut self,
        ticket: Ticket,
        (uid, rights): (u32, Arc<Rights>),
        message: &str,
    ) {
        if message.len() > SHORT_MESSAGE {
            let answer = Answer::Text(message.to_owned());
            self.0.entry(uid).or_default().put(ticket, rights, message.len(), answer);
        }
    }

    /// Lets go of what is too old.
    pub(super) fn expire(&mut self) {
        if !self.0.is_empty() {
            self.0.retain(|_, shelf| {
                shelf.expire();
                !shelf.order.is_empty()
            });
        }
    }

    /// Gives out, and forgets, what is laid up for a ticket of `uid`, to who may do what `rights` say.
    pub(super) fn take(&mut self, ticket: Ticket, uid: u32, rights: &Rights) -> Answer {
        if let Some(answer) = self.0.get_mut(&uid).and_then(|shelf| shelf.take(ticket, rights)) {
            return answer;
        }
        let (lane, number) = ticket;
        Answer::Refused {
            code: RefuseCode::Expired,
            message: format!("nothing is laid up for ticket {number} of lane {lane:016x}"),
        }
    }
}

impl Shelf {
    fn put(&mut self, ticket: Ticket, rights: Arc<Rights>, bytes: usize, answer: Answer) {
        let (bytes, number) = (bytes + ENTRY_BYTES, self.next);
        self.next += 1;
        self.bytes += bytes;
        self.order.push_back((Instant::now(), ticket, number));
        if let Some(old) = self.entries.insert(ticket, Entry { bytes, answer, rights, number }) {
            self.bytes -= old.bytes;
        }
        // The newest stays even where it alone is over the bound: it was asked for.
        while (self.bytes > BYTES || self.order.len() > BYTES / ENTRY_BYTES) && self.order.len() > 1
        {
            self.drop_oldest();
        }
    }

    fn expire(&mut self) {
        while self.order.front().is_some_and(|(since, ..)| since.elapsed() > AGE) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, ticket, number)) = self.order.pop_front()
            && self.entries.get(&ticket).is_some_and(|entry| entry.number == number)
        {
            self.remove(ticket);
        }
    }

    fn take(&mut self, ticket: Ticket, rights: &Rights) -> Option<Answer> {
        self.entries.get(&ticket).filter(|entry| rights.covers(&entry.rights))?;
        self.remove(ticket)
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Answer> {
        let entry = self.entries.remove(&ticket)?;
        self.bytes -= entry.bytes;
        Some(entry.answer)
    }
}

fn set_bytes(set: &ResultSet) -> usize {
    let value = |v: &Value| size_of::<Value>() + v.as_ref().var_len();
    let rows: usize = set.rows.iter().map(|r| 24 + r.iter().map(value).sum::<usize>()).sum();
    rows + set.columns.iter().map(|c| 24 + c.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: usize) -> Vec<ResultSet> {
        vec![ResultSet { columns: vec![], rows: vec![vec![Value::Blob(vec![0; bytes])]] }]
    }

    fn by(uid: u32) -> (u32, Arc<Rights>) {
        (uid, Arc::new(Rights::of(&[1], &[1], false)))
    }

    #[test]
    fn who_may_do_less_than_the_lane_does_not_get_what_came_of_it() {
        let mut stash = Stash::default();
        stash.put_rows((1, 1), by(7), 7, rows(3));
        let less = Rights::of(&[1], &[], false);
        let refused = stash.take((1, 1), 7, &less);
        // As if there were none.
        assert_eq!(refused, Stash::default().take((1, 1), 7, &less));
        let more = Rights::of(&[1], &[1, 2], false);
        assert!(matches!(stash.take((1, 1), 7, &more), Answer::Rows { .. }));
    }

    #[test]
    fn only_the_owner_and_only_once() {
        let mut stash = Stash::default();
        stash.put_rows((1, 1), by(1000), 7, rows(3));
        assert!(matches!(stash.take((1, 1), 1001, &Rights::all()), Answer::Refused { .. }));
        assert!(matches!(
            stash.take((1, 1), 1000, &Rights::all()),
            Answer::Rows { revision: 7, .. }
        ));
        assert!(matches!(stash.take((1, 1), 1000, &Rights::all()), Answer::Refused { .. }));
        assert!(stash.0.values().all(|shelf| shelf.bytes == 0));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut stash = Stash::default();
        for ticket in 0..5 {
            stash.put_rows((1, ticket), by(1), 1, rows(BYTES / 3));
        }
        assert!(stash.0[&1].bytes <= BYTES);
        assert!(matches!(stash.take((1, 0), 1, &Rights::all()), Answer::Refused { .. }));
        assert!(matches!(stash.take((1, 4), 1, &Rights::all()), Answer::Rows { .. }));
        stash.put_message((1, 9), by(1), "short");
        assert!(matches!(stash.take((1, 9), 1, &Rights::all()), Answer::Refused { .. }));
    }

    #[test]
    fn many_small_ones_are_bounded_and_found_at_once() {
        let mut stash = Stash::default();
        stash.put_rows((9, 9), by(2), 1, rows(3));
        let empty = || vec![ResultSet { columns: vec![String::new()], rows: vec![] }];
        for ticket in 0..400_000 {
            stash.put_rows((1, ticket), by(1), 1, empty());
        }
        // What they take is counted, not only what is in them.
        assert!(stash.0[&1].entries.len() <= BYTES / ENTRY_BYTES);
        let since = Instant::now();
        for ticket in 300_000..400_000 {
            assert!(matches!(stash.take((1, ticket), 1, &Rights::all()), Answer::Rows { .. }));
            stash.put_rows((1, ticket), by(1), 1, empty());
        }
        assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        assert!(stash.0[&1].order.len() <= BYTES / ENTRY_BYTES + 1);
        // Another uid's is still there.
        assert!(matches!(stash.take((9, 9), 2, &Rights::all()), Answer::Rows { .. }));
    }
}
