//! SIGTERM in a flood of requests that nobody has waited for yet: each of them comes to a good end.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde_json::json;
use shmirror::{Mirror, Options, Ticket};

use crate::child::{Child, Task};
use crate::common::Instance;
use crate::random::{Random, seed};
use crate::{calm, sound, start};

const ROUNDS: u64 = 3;
const PROCESSES: u64 = 2;
/// Ids of one process begin at so many times its number.
const BASE: u64 = 100_000_000;
/// Tickets that one process leaves open.
const OPEN: usize = 1000;

#[test]
fn a_flood_survives_sigterm() {
    let mut random = Random::of_seed(seed("stopping"));
    let mut i = Instance::start();
    i.sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, text TEXT NOT NULL);
         CREATE TABLE other(id INTEGER PRIMARY KEY)",
    );
    let floods: Vec<Child> =
        (0..PROCESSES).map(|who| Child::spawn("flood", &i.socket(), &[&who])).collect();
    for round in 0..ROUNDS {
        for flood in &floods {
            flood.lines.so_far().for_each(drop);
            flood.lines.next().expect("it goes on");
        }
        std::thread::sleep(Duration::from_micros(random.below(50_000)));
        assert_eq!(i.stop(), 0, "round {round}");
        assert!(!i.socket().exists(), "round {round}: the socket is still there");
        calm(&i);
        start(&mut i);
    }
    // Each says how many it submitted: all of them were committed.
    let ends: Vec<u64> =
        floods.into_iter().map(|f| f.finish().last().unwrap().parse().unwrap()).collect();
    let total: u64 = ends.iter().sum();
    let mirror = Mirror::attach(&Options::new().socket(i.socket())).unwrap();
    for table in ["t", "other"] {
        let scan = mirror.table(table).unwrap().scan().unwrap();
        let there: HashSet<u64> = scan.iter().map(|r| r.get("id").unwrap()).collect();
        for (who, submitted) in (0..).zip(&ends) {
            let lost = (0..*submitted).map(|n| who * BASE + n).find(|id| !there.contains(id));
            assert_eq!(lost, None, "lost from {table}");
        }
        assert_eq!(there.len() as u64, total, "rows in {table} that nobody submitted");
    }
    println!("{total} requests through {ROUNDS} stops");
    sound(&mut i);
}

/// Submits without waiting, many open at a time, each one a transaction of two tables. All must be
/// committed in the end: one that is done twice would be refused the second time.
pub fn flood(task: &Task) {
    let who = task.number(0);
    let producer = task.producer();
    let mut open: VecDeque<Ticket> = VecDeque::new();
    let (mut submitted, mut newest) = (0, 0);
    let mut take = |ticket: Ticket| {
        let commit = ticket.wait().unwrap();
        assert!(commit.revision > newest, "{commit:?} after {newest}: not in order of submission");
        newest = commit.revision;
    };
    while !task.stopped() {
        let id = who * BASE + submitted;
        let both = producer.begin().insert("t", &json!({"id": id, "text": "of a flood"})).unwrap();
        let both = both.insert("other", &json!({"id": id})).unwrap();
        open.push_back(both.submit().unwrap());
        submitted += 1;
        if open.len() >= OPEN {
            take(open.pop_front().unwrap());
        }
        if submitted % 100 == 0 {
            task.say(submitted);
        }
    }
    open.into_iter().for_each(take);
    task.say(submitted);
}
