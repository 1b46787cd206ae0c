//! The books: what programs were told, against what is in the store.
//!
//! A transaction writes its number into `ledger`, a table without a key, so that one done twice is there
//! twice. Each writing thread of a program numbers its own, in order: what is there of it must be a
//! beginning of what it wrote, without a hole, no shorter than what was acknowledged, and longer by no
//! more than it had under way.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use shmirror::Mirror;

use super::{ACCOUNTS, OPENING};

/// Numbers of a program, and of one of its threads; as in `victim.c`.
const PROGRAM: i64 = 1_000_000;
const STREAM: i64 = 200_000;
/// The thread that has several transactions under way at once, and how many.
const TICKETS: i64 = 4;
const WINDOW: usize = 16;

/// A row of `ledger`. Without accounts, it is of another kind than a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub number: i64,
    pub accounts: Option<(i64, i64)>,
    pub amount: i64,
}

#[derive(Default)]
pub struct Books {
    acknowledged: BTreeSet<i64>,
}

/// What was found to be in order.
pub struct Summary {
    entries: usize,
    acknowledged: usize,
    revision: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, acknowledged, revision } = self;
        write!(
            f,
            "{acknowledged} transactions acknowledged, {entries} there, once each, {revision} revisions"
        )
    }
}

impl Books {
    /// A program's line.
    pub fn told(&mut self, program: u64, line: &str) {
        let Some(number) = line.strip_prefix("ack ") else { panic!("program {program}: {line}") };
        self.acknowledge(number.parse().unwrap());
    }

    pub fn acknowledge(&mut self, number: i64) {
        assert!(self.acknowledged.insert(number), "{number} was acknowledged twice");
    }

    /// Compares with the store, and with what a subscriber was told.
    pub fn balance(&self, mirror: &Mirror, told: &[Entry]) -> Result<Summary, String> {
        let scan = mirror.table("ledger").unwrap().scan().unwrap();
        let entries: Vec<Entry> = scan
            .iter()
            .map(|row| Entry {
                number: row.get("number").unwrap(),
                accounts: row
                    .get::<Option<i64>>("origin")
                    .unwrap()
                    .map(|origin| (origin, row.get("target").unwrap())),
                amount: row.get("amount").unwrap(),
            })
            .collect();
        let accounts = mirror.table("account").unwrap().scan().unwrap();
        let balances: BTreeMap<i64, i64> =
            accounts.iter().map(|r| (r.get("id").unwrap(), r.get("n").unwrap())).collect();
        self.compare(&entries, &balances)?;
        let sorted = |entries: &[Entry]| {
            let mut sorted = entries.to_vec();
            sorted.sort();
            sorted
        };
        if sorted(told) != sorted(&entries) {
            return Err(format!(
                "a subscriber was told {} entries, {} are there",
                told.len(),
                entries.len()
            ));
        }
        Ok(Summary {
            entries: entries.len(),
            acknowledged: self.acknowledged.len(),
            revision: mirror.revision(),
        })
    }

    fn compare(&self, entries: &[Entry], balances: &BTreeMap<i64, i64>) -> Result<(), String> {
        let mut expected: BTreeMap<i64, i64> = (0..ACCOUNTS).map(|id| (id, OPENING)).collect();
        let mut streams: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
        for entry in entries {
            let stream = entry.number / STREAM;
            if !streams.entry(stream).or_default().insert(entry.number % STREAM) {
                return Err(format!("transaction {} was done twice", entry.number));
            }
            if let Some((origin, target)) = entry.accounts {
                *expected.entry(origin).or_default() -= entry.amount;
                *expected.entry(target).or_default() += entry.amount;
            }
        }
        if *balances != expected {
            return Err(format!("accounts are {balances:?}, the ledger says {expected:?}"));
        }
        for number in &self.acknowledged {
            let there = streams.get(&(number / STREAM));
            if !there.is_some_and(|numbers| numbers.contains(&(number % STREAM))) {
                return Err(format!("transaction {number} was acknowledged and is lost"));
            }
        }
        for (stream, numbers) in streams {
            let first = stream * STREAM;
            let last = *numbers.last().expect("it has an entry");
            if last as usize != numbers.len() - 1 {
                return Err(format!(
                    "of transactions {first} to {} some are missing",
                    first + last
                ));
            }
            let told = self.acknowledged.range(first..first + STREAM).count();
            let under_way = if first % PROGRAM / STREAM == TICKETS { WINDOW } else { 1 };
            if numbers.len() > told + under_way {
                return Err(format!(
                    "{} transactions from {first} on are there, {told} were acknowledged",
                    numbers.len()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(number: i64) -> Entry {
        Entry { number, accounts: Some((0, 1)), amount: 1 }
    }

    fn balances(transfers: i64) -> BTreeMap<i64, i64> {
        let mut balances: BTreeMap<i64, i64> = (0..ACCOUNTS).map(|id| (id, OPENING)).collect();
        *balances.get_mut(&0).unwrap() -= transfers;
        *balances.get_mut(&1).unwrap() += transfers;
        balances
    }

    #[track_caller]
    fn wrong(books: &Books, entries: &[Entry], balances: &BTreeMap<i64, i64>, expected: &str) {
        let wrong = books.compare(entries, balances).unwrap_err();
        assert!(wrong.contains(expected), "{wrong}");
    }

    #[test]
    fn books_that_do_not_balance_are_told() {
        let first = 7 * PROGRAM + 2 * STREAM;
        let mut books = Books::default();
        books.acknowledge(first);
        books.acknowledge(first + 1);
        let [a, b, c, d] = [0, 1, 2, 3].map(|n| transfer(first + n));
        books.compare(&[a, b], &balances(2)).unwrap();
        // The third was under way.
        books.compare(&[a, b, c], &balances(3)).unwrap();
        wrong(&books, &[a, b, c, d], &balances(4), "4 transactions from");
        wrong(&books, &[a], &balances(1), "was acknowledged and is lost");
        wrong(&books, &[a, b, b], &balances(3), "was done twice");
        wrong(&books, &[a, b, d], &balances(3), "some are missing");
        wrong(&books, &[a, b], &balances(1), "the ledger says");
        let tickets: Vec<Entry> =
            (0..17).map(|n| transfer(7 * PROGRAM + TICKETS * STREAM + n)).collect();
        let all = |n: usize| [&[a, b], &tickets[..n]].concat();
        books.compare(&all(16), &balances(18)).unwrap();
        wrong(&books, &all(17), &balances(19), "17 transactions from");
    }
}
