//! The subscribers, against the commit log: through a restart of the daemon, and after lagging.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value as Json;

use super::{LANGUAGES, LIVE, command, number_before, other, text};
use crate::common::{Instance, Process, until};
use crate::program;

/// What a subscriber prints, taken in as it comes.
pub struct Follower {
    pub process: Process,
    out: std::thread::JoinHandle<String>,
    lines: Arc<AtomicUsize>,
    pub errors: PathBuf,
}

impl Follower {
    /// Starts the command and waits until it follows.
    pub fn start(mut command: Command, on: &Instance, name: &str) -> Self {
        let errors = on.path(&format!("{name}.stderr"));
        command.stdout(Stdio::piped()).stderr(std::fs::File::create(&errors).unwrap());
        let mut process = Process(command.spawn().unwrap());
        let mut pipe = process.0.stdout.take().unwrap();
        let lines = Arc::<AtomicUsize>::default();
        let count = lines.clone();
        let out = std::thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                text.extend_from_slice(&buffer[..n]);
                let more = buffer[..n].iter().filter(|b| **b == b'\n').count();
                count.fetch_add(more, Ordering::Relaxed);
            }
            String::from_utf8(text).unwrap()
        });
        let this = Self { process, out, lines, errors };
        until("the subscriber follows", || this.errors().contains("following"));
        this
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap()
    }

    /// Waits for so many lines, ends the program by a signal, and gives all that it printed.
    pub fn end(mut self, lines: usize, signal: Signal) -> Vec<String> {
        until("the subscriber was told", || self.lines.load(Ordering::Relaxed) >= lines);
        self.process.signal(signal);
        assert_eq!(self.process.end(), 0, "{}", self.errors());
        self.out.join().unwrap().lines().map(str::to_owned).collect()
    }
}

/// The changes of `live` and `run` that the commit log has from this revision on, as subscribers print
/// them.
pub fn log(on: &Instance, since: u64) -> Vec<String> {
    let all = on.run(&["log", "--json", "--since", &since.to_string()]).ok();
    let literal = |v: &Json| v.as_str().map_or_else(|| v.to_string(), |t| format!("'{t}'"));
    let line = |e: Json| {
        let key: Vec<String> = e["key"].as_array().unwrap().iter().map(literal).collect();
        let column = |c: &Json| {
            format!("  {}={}", c.as_str().unwrap(), literal(&e["row"][c.as_str().unwrap()]))
        };
        let columns: String = e["columns"].as_array().unwrap().iter().map(column).collect();
        format!(
            "revision {}  {}  {}  key {}{columns}  uid {} pid {}",
            e["revision"],
            e["table"].as_str().unwrap(),
            e["operation"].as_str().unwrap(),
            key.join(", "),
            e["uid"],
            e["pid"]
        )
    };
    all.lines()
        .map(|l| serde_json::from_str::<Json>(l).unwrap())
        .filter(|e| e["table"] == "live" || e["table"] == "run")
        .map(line)
        .collect()
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn subscribers_are_told_of_every_change_through_a_restart() {
    for language in LANGUAGES {
        let mut instance = program::instance();
        let follow = |arguments: &[&str]| command(language, "subscriber", arguments, &instance);
        let (first, second) = (follow(&["run", "live"]), follow(&["--from", "3", "live", "run"]));
        let from_now = Follower::start(first, &instance, "now");
        let producer = command(other(language), "producer", &["3", "20"], &instance)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        until("half of it is written", || log(&instance, 1).len() > 200);
        instance.restart();
        let written = text(producer.wait_with_output().unwrap());
        assert!(written.contains("\n0 rejected, "), "{written}");
        instance.sql("DELETE FROM live WHERE id = 7; ALTER TABLE run ADD COLUMN note");

        let expected = log(&instance, 1);
        let told = from_now.end(expected.len() + 2, Signal::TERM);
        let changes = |of: &[String]| -> Vec<String> {
            of.iter()
                .filter(|l| l.starts_with("revision ") && !l.contains("  schema"))
                .cloned()
                .collect()
        };
        assert_eq!(changes(&told), expected);
        let schema: Vec<&String> = told.iter().filter(|l| l.contains("  schema")).collect();
        assert!(
            schema[0].contains("created live") || schema[0].contains("created run"),
            "{schema:?}"
        );
        assert!(schema.last().unwrap().ends_with("changed run"), "{schema:?}");
        let counts = told.iter().find(|l| l.contains(" inserts, ")).unwrap();
        let of = |what: &str| expected.iter().filter(|l| l.contains(what)).count() as u64;
        assert_eq!(number_before(counts, " inserts"), of("  insert  "));
        assert_eq!(number_before(counts, " updates"), of("  update  "));
        assert_eq!((number_before(counts, " deletes"), of("  delete  ")), (1, 1));

        // Another one that begins later, with the past.
        let past = log(&instance, 3);
        let since = Follower::start(second, &instance, "since");
        assert_eq!(changes(&since.end(past.len(), Signal::INT)), past);
    }
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn a_subscriber_that_was_stopped_resumes_and_misses_nothing() {
    for language in LANGUAGES {
        let mut instance = program::instance();
        let configuration = instance.path("data/shmirror.toml");
        let with = std::fs::read_to_string(&configuration)
            .unwrap()
            .replace("# events_bytes = \"16MiB\"", "events_bytes = \"512KiB\"");
        assert!(with.contains("\nevents_bytes"), "{with}");
        std::fs::write(&configuration, with).unwrap();
        instance.restart();
        instance.sql(LIVE);
        let follower =
            Follower::start(command(language, "subscriber", &["live"], &instance), &instance, "f");
        follower.process.signal(Signal::STOP);
        instance.sql(
            "WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < 20000)
             INSERT INTO live SELECT n, n, n FROM i",
        );
        instance.sql("UPDATE live SET a = a + 1, b = b + 1");
        follower.process.signal(Signal::CONT);
        let expected = log(&instance, 1);
        let errors = follower.errors.clone();
        let told = follower.end(expected.len(), Signal::TERM);
        let changes: Vec<_> = told.iter().filter(|l| l.starts_with("revision ")).cloned().collect();
        assert_eq!(changes, expected);
        assert!(std::fs::read_to_string(errors).unwrap().contains("resuming from revision"));
        let counts = told.iter().find(|l| l.contains(" inserts, ")).unwrap();
        assert_eq!(number_before(counts, " times"), 1, "{counts}");
    }
}
