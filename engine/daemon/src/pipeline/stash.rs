//! Result rows and long messages of outcomes, laid up for a while until the producer fetches them.
//!
//! Bounded by bytes and age: the oldest goes first. Only the uid that the lane belongs to gets
//! them, and only once.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use shmirror_shm::request::ResultSet;
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, RefuseCode};

/// Most bytes that are kept.
const BYTES: usize = 64 << 20;
/// Longest time that anything is kept.
const AGE: Duration = Duration::from_secs(30);
/// Shorter messages are whole in the outcome itself.
const SHORT_MESSAGE: usize = 160;

/// Lane and ticket.
pub(super) type Ticket = (u64, u64);

struct Entry {
    uid: u32,
    bytes: usize,
    answer: Answer,
}

/// What is laid up.
#[derive(Default)]
pub(crate) struct Stash {
    entries: HashMap<Ticket, Entry>,
    order: VecDeque<(Instant, Ticket)>,
    bytes: usize,
}

impl Stash {
    /// Keeps result rows.
    pub(super) fn put_rows(
        &mut self,
        ticket: Ticket,
        uid: u32,
        revision: u64,
        sets: Vec<ResultSet>,
    ) {
        let bytes = sets.iter().map(set_bytes).sum();
        self.put(ticket, Entry { uid, bytes, answer: Answer::Rows { revision, sets } });
    }

    /// Keeps a message that is too long for the outcome table.
    pub(super) fn put_message(&mut self, ticket: Ticket, uid: u32, message: &str) {
        if message.len() > SHORT_MESSAGE {
            let answer = Answer::Text(message.to_owned());
            self.put(ticket, Entry { uid, bytes: message.len(), answer });
        }
    }

    fn put(&mut self, ticket: Ticket, entry: Entry) {
        self.bytes += entry.bytes;
        self.order.push_back((Instant::now(), ticket));
        if let Some(old) = self.entries.insert(ticket, entry) {
            self.bytes -= old.bytes;
        }
        // The newest stays even where it alone is over the bound: it was asked for.
        while self.bytes > BYTES && self.entries.len() > 1 {
            self.drop_oldest();
        }
    }

    /// Lets go of what is too old.
    pub(super) fn expire(&mut self) {
        while self.order.front().is_some_and(|(since, _)| since.elapsed() > AGE) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, ticket)) = self.order.pop_front()
            && let Some(entry) = self.entries.remove(&ticket)
        {
            self.bytes -= entry.bytes;
        }
    }

    /// Gives out, and forgets, what is laid up for a ticket.
    pub(super) fn take(&mut self, ticket: Ticket, uid: u32) -> Answer {
        let own = self.entries.get(&ticket).is_some_and(|e| e.uid == uid);
        if own && let Some(entry) = self.entries.remove(&ticket) {
            self.bytes -= entry.bytes;
            self.order.retain(|(_, t)| *t != ticket);
            return entry.answer;
        }
        let (lane, number) = ticket;
        Answer::Refused {
            code: RefuseCode::Expired,
            message: format!("nothing is laid up for ticket {number} of lane {lane:016x}"),
        }
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

    #[test]
    fn only_the_owner_and_only_once() {
        let mut stash = Stash::default();
        stash.put_rows((1, 1), 1000, 7, rows(3));
        assert!(matches!(stash.take((1, 1), 1001), Answer::Refused { .. }));
        assert!(matches!(stash.take((1, 1), 1000), Answer::Rows { revision: 7, .. }));
        assert!(matches!(stash.take((1, 1), 1000), Answer::Refused { .. }));
        assert_eq!((stash.bytes, stash.order.len()), (0, 0));
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut stash = Stash::default();
        for ticket in 0..5 {
            stash.put_rows((1, ticket), 1, 1, rows(BYTES / 3));
        }
        assert!(stash.bytes <= BYTES);
        assert!(matches!(stash.take((1, 0), 1), Answer::Refused { .. }));
        assert!(matches!(stash.take((1, 4), 1), Answer::Rows { .. }));
        stash.put_message((1, 9), 1, "short");
        assert!(matches!(stash.take((1, 9), 1), Answer::Refused { .. }));
    }
}
