//! The wall clock is set on and back by ten years, while a daemon serves and between its starts: revisions go
//! on, the log stays whole, and whoever waits for some time waits for that time.
//!
//! No right to set the system's clock is assumed, and a time namespace has no wall clock of its own; so the
//! daemon's process loads a library first (`clock.c`) through which it sees the wall clock shifted, by as much
//! as the test says at that moment. The daemon is the real binary, with nothing in it for tests. What the kernel
//! does with wall time by itself is not shifted: see there.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use shmirror::{Error, Mirror, Options, Producer, Subscriber};

use crate::common::{Instance, PATIENCE};
use crate::daemon::{checkpointed, instance, sound, start, status};
use crate::spawn;

const TEN_YEARS: i64 = 3652 * 86_400;
/// Longer than two looks of the daemon at how old its log is.
const TWO_LOOKS: Duration = Duration::from_millis(4_500);
/// How long somebody waits in these tests, and how much longer a busy machine may make it.
const WAIT: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_secs(8);

/// A wall clock that processes see.
struct Clock(tempfile::NamedTempFile);

impl Clock {
    fn new() -> Self {
        let clock = Self(tempfile::NamedTempFile::new().unwrap());
        clock.set(0);
        clock
    }

    /// From now on it is ahead of the system's by so many seconds.
    fn set(&self, ahead: i64) {
        // One store of eight bytes in one page: nobody sees a part of it.
        self.0.as_file().write_all_at(&ahead.to_ne_bytes(), 0).unwrap();
    }

    /// Has a process see it.
    fn rules(&self, command: &mut Command) {
        static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
            let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/odd/clock.c");
            let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock.so");
            let unfinished = library.with_extension(format!("{}", std::process::id()));
            let cc = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
            let done = Command::new(cc)
                .args([
                    "-std=gnu99",
                    "-O1",
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-shared",
                    "-fPIC",
                    "-o",
                ])
                .args([&unfinished, &source])
                .output()
                .expect("a C compiler, with which Rust links too");
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            std::fs::rename(&unfinished, &library).unwrap();
            library
        });
        command.env("LD_PRELOAD", &*LIBRARY).env("SHMIRROR_SHIFTED_CLOCK", self.0.path());
    }
}

/// Seconds since 1970 of a moment in the log.
fn seconds(event: &Json) -> i64 {
    event["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

/// What the daemon's clock said at the time of some revisions.
struct Books {
    instance: Instance,
    clock: Clock,
    /// Of each revision from 1 on: how far ahead the clock was.
    ahead: Vec<i64>,
}

impl Books {
    fn put(&mut self, producer: &Producer, ahead: i64) {
        let id = self.ahead.len();
        let commit = producer.insert("t", &json!({"id": id, "v": ahead})).unwrap();
        self.ahead.push(ahead);
        assert_eq!(commit.revision, self.ahead.len() as u64, "each revision once, and in order");
    }

    /// Sets the clock, and for so long nothing but writes and reads.
    fn live(&mut self, ahead: i64, time: Duration) {
        self.clock.set(ahead);
        let options = Options::new().socket(self.instance.socket());
        let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
        let mirror = Mirror::attach(&options).unwrap();
        let since = Instant::now();
        loop {
            self.put(&producer, ahead);
            assert!(mirror.is_live(), "the heartbeat is of another clock");
            assert_eq!(mirror.revision(), self.ahead.len() as u64);
            if since.elapsed() > time {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        checkpointed(&self.instance);
        self.whole();
    }

    /// All of the log is there, with the times of the clock as it was.
    fn whole(&self) {
        let oldest = &status(&self.instance)["store"]["log_oldest_revision"];
        assert_eq!(oldest, 1, "a step of the clock has emptied the log");
        let log = self.instance.run(&["log", "--json"]).ok();
        let events: Vec<Json> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events.len(), self.ahead.len());
        let now = jiff::Timestamp::now().as_second();
        for (n, event) in events.iter().enumerate() {
            assert_eq!(event["revision"].as_u64().unwrap(), n as u64 + 1);
            let said = seconds(event) - self.ahead[n];
            assert!((now - 300..=now + 1).contains(&said), "{event}: {} s ahead", self.ahead[n]);
        }
        // Within a time in which nobody set it, the clock does not go back.
        for (pair, ahead) in events.windows(2).zip(self.ahead.windows(2)) {
            assert!(ahead[0] != ahead[1] || seconds(&pair[0]) <= seconds(&pair[1]), "{pair:?}");
        }
    }

    fn restart(&mut self, ahead: i64) {
        self.clock.set(ahead);
        assert_eq!(self.instance.stop(), 0);
        let clock = &self.clock;
        start(&mut self.instance, |command| clock.rules(command));
        self.whole();
    }
}

#[test]
fn the_log_outlives_steps_of_ten_years() {
    let clock = Clock::new();
    let instance = instance("[store]\nlog_keep = \"7d\"\n", |command| clock.rules(command));
    let mut stream = Subscriber::builder(&Options::new().socket(instance.socket()))
        .from_revision(1)
        .subscribe()
        .unwrap();
    instance.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    let mut books = Books { instance, clock, ahead: vec![0] };
    books.live(0, Duration::ZERO);
    books.live(TEN_YEARS, TWO_LOOKS);
    books.live(0, Duration::ZERO);
    books.live(-TEN_YEARS, Duration::from_millis(300));
    books.live(TEN_YEARS, Duration::ZERO);
    // The stream told everything meanwhile, once and in order.
    for revision in 1..=books.ahead.len() as u64 {
        let event = stream.next(PATIENCE).unwrap().expect("as many as there are").to_json();
        assert_eq!(event["revision"].as_u64().unwrap(), revision, "{event}");
    }

    // Starts with a clock that is not that of the last time.
    for ahead in [-TEN_YEARS, 0, TEN_YEARS] {
        books.restart(ahead);
        books.live(ahead, if ahead > 0 { TWO_LOOKS } else { Duration::ZERO });
    }
    books.restart(0);
    sound(&books.instance);
    assert!(books.instance.path("data/log/service.log").exists());
    assert_eq!(books.instance.stop(), 0);
}

/// The log's age is still what it is trimmed by.
#[test]
fn the_log_is_trimmed_when_time_has_really_passed() {
    let mut i = instance("[store]\nlog_keep = \"1s\"\n", |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");
    i.run(&["put", "t", "1", "v=1"]).ok();
    let trimmed = |i: &Instance| status(i)["store"]["log_oldest_revision"].as_u64().unwrap();
    crate::common::until("the log's trimming", || trimmed(&i) == 3);
    i.run(&["put", "t", "2", "v=2"]).ok();
    assert_eq!(i.stop(), 0);
    start(&mut i, |_| ());
    crate::common::until("the trimming of what was there before", || trimmed(&i) == 4);
    sound(&i);
}

/// Runs `wait` while the clock is set back and forth, and gives how long it took.
fn while_stepping<T>(clock: &Clock, wait: impl FnOnce() -> T) -> (T, Duration) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut ahead = TEN_YEARS;
            while !done.load(Ordering::Relaxed) {
                clock.set(ahead);
                ahead = -ahead;
                std::thread::sleep(Duration::from_millis(100));
            }
            clock.set(0);
        });
        let _done = Done(&done); // also where something fails
        let since = Instant::now();
        let waited = wait();
        (waited, since.elapsed())
    })
}

struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn took(what: &str, time: Duration) {
    let low = WAIT - Duration::from_millis(100);
    assert!(time > low && time < WAIT + LATE, "{what} took {time:?} of {WAIT:?}");
}

#[test]
fn who_waits_waits_by_the_time_that_passes() {
    let clock = Clock::new();
    let config =
        format!("[limits]\ntransaction_time = \"{0}s\"\nquery_time = \"{0}s\"\n", WAIT.as_secs());
    let i = instance(&config, |command| clock.rules(command));
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)");

    // The daemon's limits.
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)";
    for sql in [
        format!("{ENDLESS} INSERT INTO t SELECT 1, max(i) FROM n"),
        format!("{ENDLESS} SELECT max(i) FROM n"),
    ] {
        let (ran, time) = while_stepping(&clock, || i.run(&["sql", &sql]));
        let said = ran.fails(1);
        assert!(said.contains("longer than the 2s that"), "{said}");
        took(&sql, time);
    }

    // A client's waits, in a process that sees the same clock.
    let (mut waiter, lines) = spawn("waiter", &i.socket(), |command| clock.rules(command));
    assert_eq!(lines.next().as_deref(), Some("attached"));
    let (said, _) = while_stepping(&clock, || lines.next().unwrap());
    took("a subscriber's wait", millis(&said));
    i.daemon.signal(Signal::STOP);
    std::io::Write::write_all(waiter.0.stdin.as_mut().unwrap(), b"stopped\n").unwrap();
    let (said, _) = while_stepping(&clock, || (lines.next().unwrap(), lines.next().unwrap()));
    i.daemon.signal(Signal::CONT);
    took("a producer's wait", millis(&said.0));
    took("the wait for a daemon", millis(&said.1));
    assert_eq!(waiter.end(), 0);
    sound(&i);
}

fn millis(said: &str) -> Duration {
    Duration::from_millis(said.parse().unwrap_or_else(|_| panic!("{said:?}")))
}

/// The role: waits, and says how long each wait took.
pub fn wait(options: &Options) {
    let mut stream = Subscriber::builder(options).subscribe().unwrap();
    let producer = Producer::attach(options).unwrap().with_timeout(WAIT);
    println!("@attached");
    let since = Instant::now();
    assert!(stream.next(WAIT).unwrap().is_none());
    println!("@{}", since.elapsed().as_millis());
    // The daemon is stopped now.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let since = Instant::now();
    let insert = producer.insert("t", &json!({"id": 7, "v": 7}));
    assert!(
        matches!(insert, Err(Error::TimedOut { .. } | Error::Disconnected { .. })),
        "{insert:?}"
    );
    println!("@{}", since.elapsed().as_millis());
    let since = Instant::now();
    let nowhere = options.socket_path().unwrap().with_extension("nowhere");
    let attach = Mirror::attach(&Options::new().socket(nowhere).attach_timeout(WAIT));
    assert!(matches!(attach, Err(Error::NoDaemon { .. })));
    println!("@{}", since.elapsed().as_millis());
}
