//! Clients that do what clients do, and say how long each thing took: `WORD MICROSECONDS` a line.

use std::time::{Duration, Instant};

use shmirror::{Event, Mirror, OnConflict, Options, Producer, Subscriber, Value};

use super::Stop;
use crate::instance::PATIENCE;
use crate::random::Random;

/// Statements that make the tables of these roles.
pub const SCHEMA: &str = "CREATE TABLE other(id INTEGER PRIMARY KEY, n INTEGER);
     CREATE TABLE put(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
     CREATE TABLE mix(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, b BLOB)";

fn ever(stop: &Stop, mut once: impl FnMut()) {
    while !stop.is_said() {
        once();
    }
}

fn timed<T>(word: &str, act: impl FnOnce() -> Result<T, shmirror::Error>) -> Option<T> {
    let begun = Instant::now();
    match act() {
        Ok(done) => {
            println!("{word} {}", begun.elapsed().as_micros());
            Some(done)
        }
        Err(error) => {
            println!("error {word}: {error}");
            None
        }
    }
}

fn row(id: u64, n: i64) -> Vec<Vec<Value>> {
    vec![vec![Value::from(id as i64), Value::from(n)]]
}

/// Writes a row from time to time by one and the same producer, whatever becomes of it: `ok`.
pub fn persist(options: &Options, seed: u64, pause: Duration, stop: &Stop) {
    let mut random = Random::of(seed, "persist");
    let producer = Producer::attach(options).expect("a daemon");
    let producer = producer.with_timeout(Duration::from_secs(2));
    ever(stop, || {
        let rows = row(1_000 + random.below(100), 1);
        let submitted =
            |p: &Producer| p.insert_rows("other", &["id", "n"], rows, OnConflict::Update);
        if timed("ok", || submitted(&producer)?.wait()).is_none() {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(pause);
    });
}

/// Puts one row after another: `put`.
pub fn put(options: &Options, who: u64, stop: &Stop) {
    let producer = Producer::attach(options).expect("a daemon").with_timeout(PATIENCE);
    let mut n = 0;
    ever(stop, || {
        n += 1;
        let rows = row(who * 1_000 + n as u64 % 100, n);
        let submitted = || producer.insert_rows("put", &["id", "n"], rows, OnConflict::Update);
        let _ = timed("put", || submitted()?.wait());
    });
}

/// So many subscribers, each following in a thread of its own; with `reads` 0 none of them ever reads. `ready`.
pub fn listen(options: &Options, count: u64, reads: bool, stop: &Stop) {
    let subscribe = || Subscriber::builder(options).tables(&["put"]).subscribe().expect("a daemon");
    let all: Vec<Subscriber> = (0..count).map(|_| subscribe()).collect();
    println!("ready {count}");
    std::thread::scope(|s| {
        for mut changes in all {
            s.spawn(move || {
                while !stop.is_said() {
                    if reads {
                        // Who lags is told so and goes on from there.
                        let _ = changes.next(Duration::from_millis(200));
                    } else {
                        std::thread::sleep(Duration::from_millis(50));
                    }
                }
            });
        }
    });
}

/// A part of a mixed load: 0 writes, 1 reads, 2 follows, 3 comes and goes.
pub fn mix(options: &Options, part: u64, seed: u64, stop: &Stop) {
    let mut random = Random::of(seed, "mix");
    match part {
        0 => {
            let producer = Producer::attach(options).expect("a daemon").with_timeout(PATIENCE);
            ever(stop, || {
                let id = random.below(400) as i64;
                let blob = vec![7u8; random.below(3_000) as usize];
                let rows = vec![vec![Value::from(id), Value::from(1), Value::Blob(blob)]];
                if random.below(6) == 0 {
                    let sql = "DELETE FROM mix WHERE id = ?1";
                    let _ = timed("write", || producer.execute_with(sql, &[Value::from(id)]));
                } else {
                    let columns = ["id", "n", "b"];
                    let done =
                        || producer.insert_rows("mix", &columns, rows, OnConflict::Update)?.wait();
                    let _ = timed("write", done);
                }
                std::thread::sleep(Duration::from_millis(2));
            });
        }
        1 => {
            let mirror = Mirror::attach(options).expect("a daemon");
            let table = mirror.table("mix").expect("the table");
            ever(stop, || {
                let id = random.below(400) as i64;
                let _ = timed("read", || (0..50).try_for_each(|_| table.get(id).map(|_| ())));
                let _ = timed("scan", || table.scan().map(|_| ()));
                std::thread::sleep(Duration::from_millis(20));
            });
        }
        2 => {
            let mut changes =
                Subscriber::builder(options).tables(&["mix"]).subscribe().expect("a daemon");
            let mut newest = 0;
            ever(stop, || match changes.next(Duration::from_millis(100)) {
                Ok(Some(Event::Change(e))) if e.revision < newest => {
                    println!("error follow: {} after {newest}", e.revision);
                }
                Ok(Some(Event::Change(e))) => {
                    newest = e.revision;
                    let now = std::time::SystemTime::now();
                    let at = std::time::UNIX_EPOCH + Duration::from_micros(e.at_us.unsigned_abs());
                    let late = now.duration_since(at).unwrap_or_default();
                    println!("event {}", late.as_micros());
                }
                Ok(_) => {}
                Err(error) => println!("error follow: {error}"),
            });
        }
        _ => ever(stop, || {
            let _ = timed("visit", || {
                let mirror = Mirror::attach(options)?;
                mirror.status()?;
                mirror.query("SELECT count(*), sum(n) FROM mix", &[])?;
                let producer = Producer::attach(options)?;
                producer.execute("DELETE FROM mix WHERE id = -1")?;
                mirror.table("mix")?.scan().map(|_| ())
            });
            std::thread::sleep(Duration::from_millis(50));
        }),
    }
}
