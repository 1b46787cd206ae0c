//! A reader, a producer and a subscriber in Rust that live through it all, each a thread; they panic at
//! the first wrong value, and tell their longest pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use shmirror::{Event, Mirror, Operation, Options, Producer, Row, RowRef, Subscriber};

use super::books::{Books, Entry};
use super::random::Random;
use super::{ACCOUNTS, OPENING, SLOTS};
use crate::common::PATIENCE;

/// Who, and the longest pause.
type Pause = (String, Duration);

pub struct Survivors {
    stop: Arc<AtomicBool>,
    /// Revision that the subscriber is to come to; 0 while that is not known.
    end: Arc<AtomicU64>,
    options: Options,
    reader: JoinHandle<Pause>,
    producer: JoinHandle<(Pause, i64)>,
    subscriber: JoinHandle<(Pause, Vec<Entry>)>,
}

impl Survivors {
    pub fn start(options: &Options) -> Self {
        let (stop, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mirror = Mirror::attach(options).unwrap();
        let start = mirror.revision();
        let subscriber = Subscriber::builder(options).from_revision(start + 1).subscribe().unwrap();
        let producer = Producer::attach(options).unwrap().with_timeout(PATIENCE);
        Self {
            reader: std::thread::spawn({
                let (mirror, stop) = (mirror.clone(), stop.clone());
                move || read(&mirror, &stop)
            }),
            producer: std::thread::spawn({
                let stop = stop.clone();
                move || produce(&producer, &mirror, &stop)
            }),
            subscriber: std::thread::spawn({
                let end = end.clone();
                move || follow(subscriber, start, &end)
            }),
            options: options.clone(),
            stop,
            end,
        }
    }

    /// Stops them; their pauses, and all entries of the ledger that the subscriber was told.
    pub fn finish(self, books: &mut Books) -> (Vec<Pause>, Vec<Entry>) {
        self.stop.store(true, Ordering::Relaxed);
        // All of them end before any failure is told.
        let produced = self.producer.join();
        let read = self.reader.join();
        let mirror = Mirror::attach(&self.options).unwrap();
        self.end.store(mirror.revision(), Ordering::Relaxed);
        let followed = self.subscriber.join();
        let (produced, count) = produced.expect("the producer was never wrong");
        let read = read.expect("the reader was never wrong");
        let (followed, told) = followed.expect("the subscriber was never wrong");
        for number in 0..count {
            books.acknowledge(number);
        }
        (vec![read, produced, followed], told)
    }
}

/// The time since the last step, the longest of them.
struct Clock {
    last: Instant,
    worst: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { last: Instant::now(), worst: Duration::ZERO }
    }

    fn step(&mut self) {
        let now = Instant::now();
        self.worst = self.worst.max(now - self.last);
        self.last = now;
    }

    fn of(self, who: &str) -> Pause {
        (format!("Rust, {who}"), self.worst)
    }
}

/// `n` of an account that is not torn.
fn account(row: RowRef<'_>) -> i64 {
    let (n, r): (i64, f64) = (row.get_at(1).unwrap(), row.get_at(2).unwrap());
    assert_eq!(r, n as f64, "an account is torn: {row:?}");
    n
}

fn text_of(n: i64) -> String {
    format!("{n}.").chars().cycle().take(47).collect()
}

/// `n` of a row with a text, at column `at` and the one after it.
fn with_text(row: RowRef<'_>, at: usize) -> i64 {
    let n: i64 = row.get_at(at).unwrap();
    assert_eq!(row.get_at::<&str>(at + 1).unwrap(), text_of(n), "a row is torn: {row:?}");
    n
}

fn read(mirror: &Mirror, stop: &AtomicBool) -> Pause {
    let table = |name: &str| mirror.table(name).unwrap();
    let [accounts, pairs, words, beats] = ["account", "pair", "word", "beat"].map(table);
    let beat = beats.cell(0, "n").unwrap();
    let mut random = Random::of_seed(1);
    let (mut row, mut clock) = (Row::default(), Clock::start());
    let (mut seen, mut newest, mut word, mut at) = ([0; ACCOUNTS as usize], 0, 0, 0);
    loop {
        for _ in 0..32 {
            let id = random.below(ACCOUNTS as u64);
            assert!(accounts.read(id as i64, &mut row).unwrap());
            account(row.as_ref());
            let last = &mut seen[id as usize];
            assert!(row.revision() >= *last, "account {id}: {} after {last}", row.revision());
            *last = row.revision();
            let n = beat.i64().unwrap();
            assert!(n >= newest, "beat: {n} after {newest}");
            newest = n;
        }
        assert!(words.read("w1", &mut row).unwrap());
        let n = with_text(row.as_ref(), 1);
        assert!(n >= word, "word: {n} after {word}");
        word = n;

        let scan = accounts.scan().unwrap();
        assert!(scan.revision() >= at, "scan: {} after {at}", scan.revision());
        at = scan.revision();
        let sum: i64 = scan.iter().map(account).sum();
        assert_eq!((scan.len() as i64, sum), (ACCOUNTS, ACCOUNTS * OPENING), "at {at}");
        let slot = random.below(SLOTS as u64) as i64;
        let (at, sides) = pairs.get_many(&[(slot, 0), (slot, 1)]).unwrap();
        let sum: i64 = sides.iter().map(|s| with_text(s.as_ref().unwrap().as_ref(), 2)).sum();
        assert_eq!(sum, 0, "pair {slot} at {at}");
        clock.step();
        if stop.load(Ordering::Relaxed) {
            return clock.of("reading");
        }
    }
}

/// Writes its own sequence; every commit is there as soon as it was acknowledged.
fn produce(producer: &Producer, mirror: &Mirror, stop: &AtomicBool) -> (Pause, i64) {
    let beat = mirror.table("beat").unwrap().cell(0, "n").unwrap();
    let (mut n, mut last, mut clock) = (0, 0, Clock::start());
    loop {
        let name = format!("w{}", n % 4);
        let commit = producer
            .begin()
            .update("beat", 0, &json!({"n": n + 1}))
            .and_then(|t| t.update("word", name, &json!({"n": n, "text": text_of(n)})))
            .and_then(|t| t.insert("ledger", &json!({"number": n, "amount": n})))
            .and_then(|t| t.commit())
            .unwrap();
        n += 1;
        assert!(commit.revision > last, "revision {} after {last}", commit.revision);
        last = commit.revision;
        assert_eq!(beat.i64().unwrap(), n, "what was acknowledged at {last} is not there");
        clock.step();
        if stop.load(Ordering::Relaxed) {
            return (clock.of("a commit"), n);
        }
    }
}

/// Every revision after `last` in order, without a gap; what was inserted into the ledger.
fn follow(mut subscriber: Subscriber, mut last: u64, end: &AtomicU64) -> (Pause, Vec<Entry>) {
    let (mut told, mut clock) = (Vec::new(), Clock::start());
    loop {
        let end = end.load(Ordering::Relaxed);
        if end != 0 && last >= end {
            assert_eq!(last, end, "an event of a revision that is not there");
            return (clock.of("events"), told);
        }
        let next = subscriber.next(Duration::from_millis(200)).unwrap();
        if next.is_some() || end != 0 {
            // While producers write, to be told nothing is a pause.
            clock.step();
        }
        let change = match next {
            None => continue,
            Some(Event::Change(change)) => change,
            Some(event) => panic!("after revision {last}: {event:?}"),
        };
        let at = change.revision;
        assert!(at == last || at == last + 1, "revision {at} after {last}");
        last = at;
        if change.table == "ledger" {
            assert_eq!(change.operation, Operation::Insert);
            let row = change.row.as_ref().expect("an insert has a row");
            let origin: Option<i64> = row.get("origin").unwrap();
            told.push(Entry {
                number: row.get("number").unwrap(),
                accounts: origin.map(|origin| (origin, row.get("target").unwrap())),
                amount: row.get("amount").unwrap(),
            });
        }
    }
}
