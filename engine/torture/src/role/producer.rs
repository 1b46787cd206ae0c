//! A producer: one transaction after another, each said before it is submitted and after its outcome.

use std::time::{Duration, Instant};

use shmirror::{Error, OnConflict, Producer, Value};

use super::{Stop, say};
use crate::checker::{GROUP, GROUPS, Said, first_of};
use crate::instance::PATIENCE;
use crate::random::Random;

/// Writes until it is stopped. A request that takes longer than `limit` is said to hang.
pub fn produce(options: &shmirror::Options, who: i64, seed: u64, limit: Duration, stop: &Stop) {
    let mut random = Random::of(seed, "producer");
    let producer = Producer::attach(options).expect("a daemon").with_timeout(PATIENCE);
    let mut there = [false; GROUPS as usize];
    let mut n = 0;
    while !stop.is_said() {
        n += 1;
        let group = random.below(GROUPS as u64) as i64;
        let deletes = there[group as usize] && random.below(5) == 0;
        say(&Said::Try { who, n, group, deletes });
        let begun = Instant::now();
        let ids = first_of(who, group)..first_of(who, group) + GROUP;
        // Now and then the last row breaks a rule, so that the first ones must not stay.
        let breaks = !deletes && random.below(9) == 0;
        let done = if deletes {
            let delete = |t: shmirror::Transaction, id| t.delete("part", id);
            ids.clone().try_fold(producer.begin(), delete).and_then(|t| t.commit())
        } else {
            let text = "x".repeat(random.below(200) as usize);
            let row = |id| {
                let n = if breaks && id == ids.end - 1 { -1 } else { n };
                vec![Value::from(id), who.into(), n.into(), Value::from(text.as_str())]
            };
            let rows = ids.clone().map(row).collect();
            let columns = ["id", "who", "n", "text"];
            producer.insert_rows("part", &columns, rows, OnConflict::Update).and_then(|t| t.wait())
        };
        let micros = begun.elapsed().as_micros() as u64;
        if begun.elapsed() > limit {
            say(&Said::Hung { what: format!("transaction {n} of {who}"), micros });
        }
        match done {
            Ok(commit) => {
                there[group as usize] = !deletes;
                say(&Said::Ok { who, n, revision: commit.revision, micros });
            }
            Err(Error::Rejected { .. }) => {
                // Those that a fault of the store's brings are as good as the others: nothing was done.
                say(&Said::No { who, n });
            }
            Err(error) => {
                say(&Said::Hung { what: format!("transaction {n} of {who}: {error}"), micros });
                break;
            }
        }
    }
}
