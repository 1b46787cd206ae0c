//! Readers that are killed or stopped hurt nobody; readers outlive the daemon and move over to the next
//! one within a second of its being ready.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::{Mirror, Options, Producer};

use crate::child::{Child, Task};
use crate::common::{Instance, PATIENCE};
use crate::random::{Random, seed};
use crate::{calm, in_memory, kill, sound, start};

/// Longest that moving over may take, from `ready` on.
const MOVE: Duration = Duration::from_secs(1);
/// Longest that a put may take, whatever readers do.
const BOUND: Duration = Duration::from_secs(1);

fn instance() -> (Instance, Producer) {
    let i = in_memory();
    i.sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, text TEXT);
         WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < 499)
           INSERT INTO t SELECT i, 0, 'some text' FROM r",
    );
    let options = Options::new().socket(i.socket());
    (i, Producer::attach(&options).unwrap().with_timeout(PATIENCE))
}

/// Reads until it is stopped; says `dead N` when it notices that the daemon is gone, N being the
/// newest value that it reads then, and `live N` when it has moved to the next daemon (which it may
/// have done without noticing that the last one went).
pub fn read(task: &Task) {
    let mirror = task.mirror();
    let table = mirror.table("t").unwrap();
    let cell = table.cell(0, "n").unwrap();
    let (mut live, mut generation, mut last) = (true, mirror.generation(), 0);
    task.say("ready");
    while !task.stopped() {
        let n = table.get(0).unwrap().unwrap().get::<i64>("n").unwrap();
        assert!(n >= last, "{n} after {last}");
        last = n;
        assert!(cell.i64().unwrap() >= n);
        let scan = table.scan().unwrap();
        assert_eq!(scan.len(), 500);
        // All rows are written in one transaction.
        let first = scan.iter().next().unwrap().get::<i64>("n").unwrap();
        assert!(scan.iter().all(|r| r.get::<i64>("n").unwrap() == first));
        assert_eq!(table.get_many(&[1i64, 499, 500]).unwrap().1.iter().flatten().count(), 2);
        if live && !mirror.is_live() {
            live = false;
            task.say(format!("dead {}", cell.i64().unwrap()));
        } else if mirror.generation() > generation && mirror.is_live() {
            (live, generation) = (true, mirror.generation());
            task.say(format!("live {}", table.get(0).unwrap().unwrap().get::<i64>("n").unwrap()));
        }
    }
    task.say(format!("last {}", cell.i64().unwrap()));
}

fn reader(i: &Instance) -> Child {
    let reader = Child::spawn("reader", &i.socket(), &[]);
    reader.lines.find("its first read", |line| line == "ready");
    reader
}

#[test]
fn readers_that_are_killed_or_stopped_hurt_nobody() {
    let mut random = Random::of_seed(seed("readers killed"));
    let (mut i, producer) = instance();
    let stays = reader(&i);
    let mirror = Mirror::attach(&Options::new().socket(i.socket())).unwrap();
    let (mut worst, mut n) = (Duration::ZERO, 0i64);
    let mut put = || {
        n += 1;
        let start = Instant::now();
        let sql = "UPDATE t SET n = ?1";
        assert_eq!(producer.sql(sql, &[n.into()]).unwrap().0.changes, 500);
        worst = worst.max(start.elapsed());
        let row = mirror.table("t").unwrap().get(7).unwrap().unwrap();
        assert_eq!(row.get::<i64>("n").unwrap(), n);
    };
    let mut stopped = Vec::new();
    for _ in 0..4 {
        let readers = [reader(&i), reader(&i)];
        for _ in 0..random.below(10) {
            put();
        }
        for reader in readers {
            if random.below(2) == 0 {
                reader.process.signal(Signal::KILL);
            } else {
                // In the middle of whatever it reads.
                reader.process.signal(Signal::STOP);
                stopped.push(reader);
            }
            for _ in 0..10 {
                put();
            }
        }
    }
    // Who was stopped goes on where it was.
    for reader in stopped {
        reader.process.signal(Signal::CONT);
        reader.finish();
    }
    stays.finish();
    println!("{n} puts of 500 rows, worst {worst:?}");
    assert!(worst < BOUND, "a put took {worst:?}");
    sound(&mut i);
    assert_eq!(i.stop(), 0);
    calm(&i);
}

#[test]
fn readers_outlive_the_daemon_and_move_over_within_a_second() {
    let (mut i, producer) = instance();
    let readers: Vec<Child> = (0..3).map(|_| reader(&i)).collect();
    let sleeper = reader(&i);
    let mut worst = Duration::ZERO;
    for round in 1..=4i64 {
        producer.sql("UPDATE t SET n = ?1", &[round.into()]).unwrap();
        if round == 2 {
            sleeper.process.signal(Signal::STOP);
        }
        if round == 4 {
            assert_eq!(i.stop(), 0);
        } else {
            kill(&mut i);
        }
        for reader in &readers {
            // It reads on: what was published last.
            let line = reader.lines.find("its noticing", |line| line.starts_with("dead"));
            assert_eq!(line, format!("dead {round}"));
        }
        start(&mut i);
        let ready = Instant::now();
        for reader in &readers {
            let line = reader.lines.find("its moving over", |line| line.starts_with("live"));
            assert_eq!(line, format!("live {round}"));
            worst = worst.max(ready.elapsed());
        }
        assert!(worst < MOVE, "moving over took {worst:?} from `ready` on");
        if round == 3 {
            // Two daemons were there and went while it was stopped.
            sleeper.process.signal(Signal::CONT);
            sleeper.lines.find("its moving over", |line| line == "live 3");
        }
    }
    println!("readers moved over within {worst:?} of `ready`");
    // And all of them see what the last daemon is told.
    producer.sql("UPDATE t SET n = 5", &[]).unwrap();
    for reader in readers.into_iter().chain([sleeper]) {
        let said = reader.finish();
        assert_eq!(said.last().unwrap(), "last 5");
    }
    sound(&mut i);
}
