//! A C program is killed with -9 at random, 200 times, in the middle of reads, submits and waits: nobody
//! else waits for long, nobody ever reads a wrong value, and what the dead were told is there.
//!
//! The victims (`tests/c/victim.c`) and a survivor of the same source check what they read; here are a
//! reader, a producer and a subscriber in Rust that live through it all, and the books at the end.

#[path = "../../../engine/cli/tests/life/child.rs"]
#[allow(dead_code, reason = "only the lines of a process are used here")]
mod child;
#[path = "../../../engine/cli/tests/life/random.rs"]
#[allow(dead_code, reason = "a part of it is used here")]
mod random;

mod books;
mod daemon;
mod survivors;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use shmirror::{Mirror, Options};

use crate::common::{self, Instance, PATIENCE, Process};
use crate::program;
use books::Books;
use child::Lines;
use daemon::Footprint;
use random::{Random, seed};
use survivors::Survivors;

const KILLS: u64 = 200;
/// Victims at a time: those who die leave locks to the others.
const AT_ONCE: u64 = 2;
/// A victim lives less than this from its line `ready` on.
const LIFE: Duration = Duration::from_millis(40);
/// Longest that a survivor may take for one step, whoever dies meanwhile. A machine that does other
/// things besides takes some tens of milliseconds.
const BOUND: Duration = Duration::from_secs(1);

const ACCOUNTS: i64 = 16;
const OPENING: i64 = 1000;
const SLOTS: i64 = 8;

/// A program of `victim.c`.
struct C {
    process: Process,
    lines: Lines,
    number: u64,
}

impl C {
    fn start(i: &Instance, number: u64, random: &mut Random, role: &str) -> Self {
        static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
            program::build("ffi/tests/c/victim.c", "victim", &["-std=c99", "-O2"])
        });
        let mut child = Command::new(PROGRAM.as_path())
            .arg(i.socket())
            .args([number.to_string(), random.seed().to_string(), role.to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Lines::of(child.stdout.take().unwrap(), "");
        Self { process: Process(child), lines, number }
    }

    /// Waits until each of its threads has done something.
    fn ready(&self, books: &mut Books) {
        while let Some(line) = self.lines.next() {
            if line == "ready" {
                return;
            }
            books.told(self.number, &line);
        }
        panic!("program {} ended before it was ready", self.number);
    }

    /// Kills it, and takes what it managed to say.
    fn kill(mut self, books: &mut Books) {
        self.process.signal(Signal::KILL);
        while let Some(line) = self.lines.next() {
            books.told(self.number, &line);
        }
        assert_eq!(self.process.end(), -1, "program {} ended by itself", self.number);
    }

    /// Tells it to stop; its lines `worst`.
    fn finish(mut self, books: &mut Books) -> Vec<(String, Duration)> {
        drop(self.process.0.stdin.take());
        let mut worst = Vec::new();
        while let Some(line) = self.lines.next() {
            match line.strip_prefix("worst ").and_then(|rest| rest.split_once(' ')) {
                Some((ns, what)) => {
                    worst.push((format!("C, {what}"), Duration::from_nanos(ns.parse().unwrap())))
                }
                None => books.told(self.number, &line),
            }
        }
        assert_eq!(self.process.end(), 0, "program {} failed", self.number);
        worst
    }
}

/// An instance with the tables of `victim.c`; in memory, where the system has such a file system, for
/// times that do not depend on who else writes to the disk.
fn instance() -> Instance {
    common::ELSEWHERE.get_or_init(|| program::prefix().join("bin/shmirror"));
    let prefix = || tempfile::Builder::new().prefix("sm-").to_owned();
    let directory = prefix().tempdir_in("/dev/shm").or_else(|_| prefix().tempdir()).unwrap();
    let (daemon, greeting) =
        common::serve(&directory.path().join("data"), &directory.path().join("s"));
    let i = Instance { daemon, directory, greeting };
    let zeros = "0.".repeat(24);
    let zeros = &zeros[..47];
    i.sql(&format!(
        "CREATE TABLE account(id INTEGER PRIMARY KEY, n INTEGER NOT NULL, r REAL NOT NULL);
         CREATE TABLE pair(slot INTEGER, side INTEGER, n INTEGER NOT NULL, text TEXT NOT NULL,
             PRIMARY KEY (slot, side)) WITHOUT ROWID;
         CREATE TABLE word(name TEXT PRIMARY KEY, n INTEGER NOT NULL, text TEXT NOT NULL);
         CREATE TABLE beat(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         CREATE TABLE bulk(id INTEGER PRIMARY KEY, raw BLOB);
         CREATE TABLE ledger(number INTEGER NOT NULL, origin INTEGER, target INTEGER, amount INTEGER);
         WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < {ACCOUNTS} - 1)
             INSERT INTO account SELECT i, {OPENING}, {OPENING} FROM r;
         WITH RECURSIVE r(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM r WHERE i < {SLOTS} - 1)
             INSERT INTO pair SELECT i, side, 0, '{zeros}' FROM r, (SELECT 0 AS side UNION SELECT 1);
         INSERT INTO word VALUES ('w0', 0, '{zeros}'), ('w1', 0, '{zeros}'), ('w2', 0, '{zeros}'),
             ('w3', 0, '{zeros}');
         INSERT INTO beat VALUES (0, 0); INSERT INTO bulk VALUES (0, NULL)"
    ));
    i
}

fn options(socket: &Path) -> Options {
    Options::new().socket(socket).program("survivor")
}

/// The daemon's status once nobody is attached any more and nothing waits.
fn left_alone(i: &Instance) -> serde_json::Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status: serde_json::Value =
            serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap();
        let clients = status["clients"].as_array().unwrap();
        let lanes = status["lanes"].as_array().unwrap();
        // The status itself is asked for by a client; the lane stays for the user's next producer.
        if lanes.len() == 1
            && (&lanes[0]["producers"], &lanes[0]["pending"]) == (&json!(0), &json!(false))
            && clients.iter().all(|c| c["program"] == "shmirror")
        {
            return status;
        }
        let left = (&status["clients"], &status["lanes"]);
        assert!(Instant::now() < deadline, "still there after {PATIENCE:?}: {left:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many lanes were given up, as the daemon's log has it; none of them because it was corrupt.
fn lanes_retired(i: &Instance) -> usize {
    let log: String = std::fs::read_dir(i.path("data/log"))
        .unwrap()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(log.contains("requests lane made"), "the log is not where it was expected");
    assert!(!log.contains("corrupt"), "{log}");
    log.matches("requests lane retired").count()
}

/// The daemon found nothing wrong with what it has, and never panicked.
fn sound(i: &Instance) {
    let checked = i.run(&["check", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&checked).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let said = std::fs::read_to_string(i.path("data.stderr")).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_c_program_killed_at_random_hurts_nobody() {
    let mut random = Random::of_seed(seed("C programs killed"));
    let mut i = instance();
    let alone = Footprint::of(&i);
    let mut books = Books::default();
    let survivors = Survivors::start(&options(&i.socket()));
    let c = C::start(&i, 1, &mut random, "survivor");
    c.ready(&mut books);
    let began = Instant::now();

    let mut victims: Vec<C> = Vec::new();
    let mut early = None;
    for kill in 0..KILLS {
        while (victims.len() as u64) < AT_ONCE.min(KILLS - kill) {
            let number = 2 + kill + victims.len() as u64;
            victims.push(C::start(&i, number, &mut random, "victim"));
        }
        let victim = victims.remove(random.below(victims.len() as u64) as usize);
        victim.ready(&mut books);
        std::thread::sleep(Duration::from_micros(random.below(LIFE.as_micros() as u64)));
        victim.kill(&mut books);
        if kill + 1 == KILLS / 4 {
            early = Some(Footprint::of(&i));
        }
    }
    let late = Footprint::of(&i);
    let took = began.elapsed();

    // The same daemon to the end, and the survivors were never in want.
    assert!(i.daemon.0.try_wait().unwrap().is_none(), "the daemon has ended");
    let mut worst = c.finish(&mut books);
    let (rust, told) = survivors.finish(&mut books);
    worst.extend(rust);
    for (who, pause) in &worst {
        println!("longest pause of {who}: {pause:.1?}");
    }
    for (who, pause) in &worst {
        assert!(*pause < BOUND, "{who} waited for {pause:?}");
    }

    let mirror = Mirror::attach(&options(&i.socket())).unwrap();
    let summary = books.balance(&mirror, &told).unwrap_or_else(|wrong| panic!("{wrong}"));
    drop(mirror);
    let retired = lanes_retired(&i);
    println!("{KILLS} kills in {took:.1?}; {summary}; {retired} lanes given up");
    let status = left_alone(&i);
    assert_eq!(status["pid"], i.daemon.0.id());
    let early = early.expect("there are that many kills");
    println!("daemon: {alone}; after {} kills {early}; after all {late}", KILLS / 4);
    late.not_grown_since(&early);
    common::until("the daemon's giving back what its clients had", || {
        Footprint::of(&i).as_before(&alone)
    });
    sound(&i);
    assert_eq!(i.stop(), 0);
}

/// What the test above rests on: wrong values and wrong books are found.
#[test]
fn a_program_that_does_wrong_is_found_out() {
    let mut random = Random::of_seed(seed("C programs that do wrong"));
    let i = instance();
    for (role, expected) in [("lies", "was acknowledged and is lost"), ("twice", "was done twice")]
    {
        let number = 900 + role.len() as u64;
        let mut books = Books::default();
        let program = C::start(&i, number, &mut random, role);
        program.ready(&mut books);
        program.kill(&mut books);
        let mirror = Mirror::attach(&options(&i.socket())).unwrap();
        let wrong = books.balance(&mirror, &[]).err().expect("it does wrong");
        assert!(wrong.contains(expected), "{role}: {wrong}");
    }
    // From here on the sum over the accounts is another one, which everybody who reads sees.
    let program = C::start(&i, 990, &mut random, "breaks");
    let wrong = program.lines.find("its being found out", |line| line.starts_with("wrong:"));
    assert!(wrong.contains("16 accounts, sum"), "{wrong}");
    let reader = Survivors::start(&options(&i.socket()));
    let found = catch_unwind(AssertUnwindSafe(|| reader.finish(&mut Books::default())));
    assert!(found.is_err(), "the reader in Rust did not see it");
}
