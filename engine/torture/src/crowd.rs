//! The processes around a daemon: producers, readers, subscribers, and all that they say.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::{Mirror, Producer};

use crate::checker::{Said, check};
use crate::instance::{Instance, PATIENCE, Process, role};
use crate::report::Row;

/// A process in a role.
pub struct Person {
    /// The process.
    pub process: Process,
    input: Option<ChildStdin>,
    listening: Option<JoinHandle<()>>,
}

/// All processes of a fault, and what they have said so far.
#[derive(Default)]
pub struct Crowd {
    said: Arc<Mutex<Vec<Said>>>,
    /// Those that write, by their numbers.
    pub producers: BTreeMap<i64, Person>,
    /// Those that read.
    pub readers: BTreeMap<u32, Person>,
    /// Those that follow; number 0 misses nothing.
    pub subscribers: BTreeMap<u32, Person>,
    next_producer: i64,
}

/// Producers that there can be in one run, those after killed ones included.
pub const PRODUCERS: i64 = 200;

impl Crowd {
    /// Makes the tables.
    pub fn prepare(i: &Instance) {
        let producer = Producer::attach(&i.options()).expect("a daemon");
        producer.execute(crate::checker::SCHEMA).expect("the tables");
    }

    fn spawn(&self, i: &Instance, name: &str, numbers: &[u64], with_points: bool) -> Person {
        let mut arguments = vec![i.socket().to_string_lossy().into_owned()];
        arguments.extend(numbers.iter().map(u64::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let points = i.path("client-points");
        let mut child = role(name, &arguments, with_points.then_some(points.as_path()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let said = self.said.clone();
        let listening = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // A process that was killed may leave half a line.
                let Ok(one) = serde_json::from_str(&line) else { continue };
                said.lock().unwrap_or_else(PoisonError::into_inner).push(one);
            }
        });
        let input = child.stdin.take();
        Person { process: Process(child), input, listening: Some(listening) }
    }

    /// One more producer; its number. `points`: its own can be armed, by the file `client-points`.
    pub fn add_producer(&mut self, i: &Instance, seed: u64, limit: Duration, points: bool) -> i64 {
        let who = self.next_producer;
        assert!(who < PRODUCERS, "too many producers");
        self.next_producer += 1;
        let numbers = [who as u64, seed, limit.as_millis() as u64];
        self.producers.insert(who, self.spawn(i, "producer", &numbers, points));
        who
    }

    /// One more reader.
    pub fn add_reader(&mut self, i: &Instance, seed: u64, limit: Duration) -> u32 {
        self.reader(i, seed, limit, false)
    }

    /// One more reader, which reads single rows alone.
    pub fn add_reader_of_rows(&mut self, i: &Instance, seed: u64, limit: Duration) -> u32 {
        self.reader(i, seed, limit, true)
    }

    fn reader(&mut self, i: &Instance, seed: u64, limit: Duration, rows_only: bool) -> u32 {
        let reader = self.readers.keys().next_back().map_or(0, |last| last + 1);
        let numbers = [reader.into(), seed, limit.as_millis() as u64, 8, rows_only.into()];
        self.readers.insert(reader, self.spawn(i, "reader", &numbers, true));
        reader
    }

    /// One more subscriber; the first one misses nothing, of the others `slow` sleep after each event.
    pub fn add_subscriber(&mut self, i: &Instance, resumes: bool, slow: Duration) -> u32 {
        let to = self.subscribers.keys().next_back().map_or(0, |last| last + 1);
        let numbers = [to.into(), resumes.into(), slow.as_micros() as u64];
        self.subscribers.insert(to, self.spawn(i, "subscriber", &numbers, false));
        to
    }

    /// Kills one as `kill -9` does; what it said until then stays said.
    pub fn kill(person: &mut Person) {
        person.process.signal(Signal::KILL);
        person.finish();
    }

    /// The longest wait of these producers for an outcome among what was said from `from` on, in
    /// microseconds; and where to go on from.
    pub fn longest_wait(&self, of: &[i64], from: usize) -> (u64, usize) {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = |s: &Said| match s {
            Said::Ok { who, micros, .. } if of.contains(who) => *micros,
            _ => 0,
        };
        (said[from..].iter().map(waited).max().unwrap_or(0), said.len())
    }

    /// How much has been said so far.
    pub fn count(&self, is: impl Fn(&Said) -> bool) -> u64 {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|s| is(s)).count() as u64
    }

    /// Waits until everybody is attached and has said something: who is still on the way may be told that
    /// there is no daemon, if it is killed now.
    pub fn wait_until_at_work(&self) {
        let until = Instant::now() + PATIENCE;
        let is_at_work = || {
            let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let wrote = |p| said.iter().any(|s| matches!(s, Said::Ok { who, .. } if *who == p));
            let heard = |n| said.iter().any(|s| matches!(s, Said::Change { to, .. } if *to == n));
            let read =
                |n| said.iter().any(|s| matches!(s, Said::Scan { reader, .. } if *reader == n));
            self.producers.keys().all(|p| wrote(*p))
                && self.subscribers.keys().all(|n| heard(*n))
                && self.readers.keys().all(|n| read(*n))
        };
        while !is_at_work() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops everybody, has what was said checked, then daemon and store.
    pub fn end(mut self, i: &mut Instance, row: &mut Row) {
        for person in self.producers.values_mut().chain(self.readers.values_mut()) {
            person.stop(0);
        }
        let everybody = self.producers.values_mut().chain(self.readers.values_mut());
        everybody.for_each(|person| person.ends_well("a producer or reader", row));
        let options = i.options();
        let mirror = match Mirror::attach(&options) {
            Ok(mirror) => mirror,
            Err(error) => return row.hung.push(format!("nobody can attach in the end: {error}")),
        };
        // A last change, so that who follows knows when all was heard.
        let last = Producer::attach(&options).and_then(|p| {
            p.execute("INSERT INTO part VALUES(-1,-1,0,'') ON CONFLICT DO UPDATE SET who=-1, n=n+1")
        });
        let revision = match last {
            Ok(commit) => commit.revision,
            Err(error) => {
                return row.lost.push(format!("nothing can be written in the end: {error}"));
            }
        };
        self.subscribers.values_mut().for_each(|person| person.stop(revision));
        self.subscribers.values_mut().for_each(|person| person.ends_well("a subscriber", row));
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        // The last change is no transaction of a producer's.
        let is_last = |s: &Said| matches!(s, Said::Change { id: -1, .. });
        let said: Vec<Said> = said.into_iter().filter(|s| !is_last(s)).collect();
        match tables(&mirror) {
            Ok(tables) => check(&said, 0, &tables, row),
            Err(error) => row.lost.push(format!("the table cannot be read in the end: {error}")),
        }
        settled(i, &mirror, row);
    }
}

/// The rows as they are now.
fn tables(mirror: &Mirror) -> Result<BTreeMap<i64, (i64, i64)>, shmirror::Error> {
    let scan = mirror.table("part")?.scan()?;
    let row = |r: shmirror::RowRef<'_>| Ok((r.get("id")?, (r.get("who")?, r.get("n")?)));
    let rows: Result<BTreeMap<i64, (i64, i64)>, shmirror::Error> = scan.iter().map(row).collect();
    rows.map(|mut rows| {
        rows.remove(&-1);
        rows
    })
}

/// Store, working copy and segment are the same, the daemon did not panic, and it stops well.
fn settled(i: &mut Instance, mirror: &Mirror, row: &mut Row) {
    match mirror.check() {
        Ok(report) if report["ok"] == true => {}
        Ok(report) => row.lost.push(format!("store, working copy and segment differ: {report}")),
        Err(error) => row.lost.push(format!("the check failed: {error}")),
    }
    row.checked.push(("checks of the store", 1));
    i.daemon.signal(Signal::TERM);
    match i.daemon.end() {
        Some(status) if status.success() => {}
        Some(status) => row.lost.push(format!("the daemon ended with {status}")),
        None => row.hung.push("the daemon did not stop".to_owned()),
    }
    let said = i.said();
    if let Some(line) = said.lines().find(|l| l.contains("panicked")) {
        row.lost.push(format!("the daemon panicked: {line}"));
    }
}

impl Person {
    fn stop(&mut self, number: u64) {
        if let Some(mut input) = self.input.take() {
            // One that was killed takes nothing.
            let _ = writeln!(input, "{number}");
        }
    }

    fn finish(&mut self) {
        let _ = self.process.end();
        if let Some(listening) = self.listening.take() {
            // It ends with the process's output.
            let _ = listening.join();
        }
    }

    /// Waits for its end.
    fn ends_well(&mut self, what: &str, row: &mut Row) {
        if self.process.end().is_none() {
            row.hung.push(format!("{what} did not end within {PATIENCE:?}"));
            self.process.signal(Signal::KILL);
        }
        self.finish();
    }
}
