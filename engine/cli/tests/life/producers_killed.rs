//! Producers are killed at random moments, many at a time: nobody else waits, nobody ever sees half of
//! a transaction, and what the dead were told is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use shmirror::{Error, Producer, RejectCode, Table, Value};

use crate::child::{Child, Task};
use crate::common::PATIENCE;
use crate::random::{Random, seed};
use crate::replay::dump;
use crate::{calm, in_memory, sound};

const ROUNDS: u64 = 16;
const VICTIMS: u64 = 3;
/// Rows in each of the two tables, and what all of them hold together.
const ROWS: i64 = 8;
const TOTAL: i64 = 2 * ROWS * 1000;
/// Longest that a put may take while others die.
const BOUND: Duration = Duration::from_secs(1);

#[test]
fn killed_producers_hurt_nobody_and_leave_no_halves() {
    let mut random = Random::of_seed(seed("producers killed"));
    let mut i = in_memory();
    let rows: Vec<String> = (0..ROWS).map(|id| format!("({id}, 1000)")).collect();
    let rows = rows.join(",");
    i.sql(&format!(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         CREATE TABLE b(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         CREATE TABLE kept(id INTEGER PRIMARY KEY);
         CREATE TABLE bulk(id INTEGER PRIMARY KEY, raw BLOB);
         CREATE TABLE steady(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         INSERT INTO a VALUES {rows}; INSERT INTO b VALUES {rows}"
    ));
    let socket = i.socket();
    let auditor = Child::spawn("auditor", &socket, &[]);
    let steady: Vec<Child> =
        (0..2).map(|who| Child::spawn("steady", &socket, &[&who, &random.seed()])).collect();

    let mut kept: BTreeSet<u64> = BTreeSet::new();
    let mut stopped: Vec<Child> = Vec::new();
    let mut kills = 0;
    let mut end = |victim: Child| {
        victim.process.signal(Signal::KILL);
        kills += 1;
        // What it managed to say is what it was told.
        while let Some(line) = victim.lines.next() {
            kept.extend(line.strip_prefix("kept ").map(|id| id.parse::<u64>().unwrap()));
        }
    };
    for round in 0..ROUNDS {
        let victims: Vec<Child> = (0..VICTIMS)
            .map(|v| {
                let base = (1 + round * VICTIMS + v) * 1_000_000;
                Child::spawn("victim", &socket, &[&base, &random.seed()])
            })
            .collect();
        for victim in &victims {
            victim.lines.find("its first step", |line| line == "ready");
        }
        stopped.drain(..).for_each(&mut end);
        for victim in victims {
            std::thread::sleep(Duration::from_micros(random.below(50_000)));
            if random.below(4) == 0 {
                // Stopped, perhaps in the middle of something, while the others go on; killed later.
                victim.process.signal(Signal::STOP);
                stopped.push(victim);
            } else {
                end(victim);
            }
        }
    }
    stopped.into_iter().for_each(&mut end);
    assert_eq!(kills, ROUNDS * VICTIMS);

    for child in steady {
        let said = child.finish();
        let worst = said.last().unwrap();
        println!("{kills} kills; steady producer: {worst}");
        let ms: f64 = worst.split(' ').nth(3).unwrap().parse().unwrap();
        assert!(ms < BOUND.as_secs_f64() * 1e3, "somebody waited: {worst}");
    }
    println!("auditor: {}", auditor.finish().last().unwrap());
    let there = dump(&i, "kept", &["id"]);
    assert!(!kept.is_empty());
    for id in &kept {
        assert!(there.contains_key(&format!("[{id}]")), "{id} was acknowledged and is lost");
    }
    println!("{} rows acknowledged to the dead are there", kept.len());
    sound(&mut i);
    assert_eq!(i.stop(), 0);
    calm(&i);
}

/// Moves something from a row of one table to a row of the other, as one transaction.
fn transfer(producer: &Producer, random: &mut Random, tables: &[Table; 2]) {
    let (from, to) = (random.below(ROWS as u64) as i64, random.below(ROWS as u64) as i64);
    let amount = random.below(20) as i64 - 10;
    if random.below(2) == 0 {
        let sql = format!(
            "UPDATE a SET n = n - {amount} WHERE id = {from}; UPDATE b SET n = n + {amount} WHERE id = {to}"
        );
        producer.execute(&sql).unwrap();
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "others are always faster");
        let a = tables[0].get(from).unwrap().unwrap();
        let b = tables[1].get(to).unwrap().unwrap();
        let (left, right): (i64, i64) = (a.get("n").unwrap(), b.get("n").unwrap());
        let change = producer.begin().update("a", from, &json!({"n": left - amount})).unwrap();
        let change = change.if_revision(a.revision());
        let change = change.update("b", to, &json!({"n": right + amount})).unwrap();
        match change.if_revision(b.revision()).commit() {
            Ok(_) => return,
            Err(Error::Rejected { code: RejectCode::RevisionMismatch, .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Does everything that a producer can do, until it is killed.
pub fn victim(task: &Task) {
    let (mut id, mut random) = (task.number(0), Random::of_seed(task.number(1)));
    let producer = task.producer();
    let mirror = task.mirror();
    let tables = ["a", "b"].map(|t| mirror.table(t).unwrap());
    task.say("ready");
    // A test that goes away takes this with it.
    while !task.stopped() {
        match random.below(5) {
            0 => {
                producer.insert("kept", &json!({"id": id})).unwrap();
                task.say(format!("kept {id}"));
                id += 1;
            }
            1 => {
                // Long enough to be killed within.
                let raw = vec![id as u8; random.below(100_000) as usize];
                let row = vec![Value::from(random.below(20) as i64), raw.into()];
                let on_conflict = shmirror::OnConflict::Replace;
                drop(producer.insert_rows("bulk", &["id", "raw"], vec![row], on_conflict).unwrap());
            }
            2 => {
                for _ in 0..random.below(30) {
                    let row = json!({"id": id});
                    drop(producer.begin().insert("kept", &row).unwrap().submit().unwrap());
                    id += 1;
                }
            }
            _ => transfer(&producer, &mut random, &tables),
        }
    }
}

/// Puts and transfers without pause; says at the end how long the longest put took.
pub fn steady(task: &Task) {
    let (who, mut random) = (task.number(0), Random::of_seed(task.number(1)));
    let producer = task.producer();
    let mirror = task.mirror();
    let tables = ["a", "b"].map(|t| mirror.table(t).unwrap());
    let (mut puts, mut worst) = (0, Duration::ZERO);
    while !task.stopped() {
        let start = Instant::now();
        producer.upsert("steady", &json!({"id": who, "n": puts})).unwrap();
        worst = worst.max(start.elapsed());
        puts += 1;
        transfer(&producer, &mut random, &tables);
    }
    let there = mirror.table("steady").unwrap().get(who as i64).unwrap().unwrap();
    assert_eq!(there.get::<i64>("n").unwrap(), puts - 1);
    task.say(format!("{puts} puts, worst {:.1} ms", worst.as_secs_f64() * 1e3));
}

/// Adds up both tables at one revision, over and over: nothing is ever half done.
pub fn audit(task: &Task) {
    let mirror = task.mirror();
    let tables = ["a", "b"].map(|t| mirror.table(t).unwrap());
    let keys: Vec<i64> = (0..ROWS).collect();
    let (mut of_scans, mut of_queries, mut apart) = (0u64, 0u64, 0u64);
    while !task.stopped() {
        // Two reads of two tables are of one revision where both say the same.
        let (at, rows) = tables[0].get_many(&keys).unwrap();
        let scan = tables[1].scan().unwrap();
        if at == scan.revision() {
            let left: i64 = rows.iter().map(|r| r.as_ref().unwrap().get::<i64>("n").unwrap()).sum();
            let right: i64 = scan.iter().map(|r| r.get::<i64>("n").unwrap()).sum();
            assert_eq!((scan.len(), left + right), (ROWS as usize, TOTAL), "at revision {at}");
            of_scans += 1;
        } else {
            apart += 1;
        }
        if (of_scans + apart) % 64 == 0 {
            let sql = "SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM b)";
            let (at, sets) = mirror.query(sql, &[]).unwrap();
            assert_eq!(sets[0].rows, [[Value::Integer(TOTAL)]], "at revision {at}");
            of_queries += 1;
        }
    }
    assert!(of_scans > 0 && of_queries > 0);
    task.say(format!(
        "{of_scans} audits by scan, {of_queries} by query, {apart} were of two revisions"
    ));
}
