//! A mixed load for as long as is asked: what the daemon takes levels off, and nothing gets slower.
//!
//! The last third of the time is compared with the middle one. Where that is not good yet, and the time was
//! short, it goes on for up to four times as long: what grows without end grows then too.

use std::time::{Duration, Instant};

use shmirror::{Mirror, Producer};

use super::Setting;
use super::slow::ends;
use crate::actor::Actor;
use crate::gauge::{Gauge, file_bytes, log_bytes, percentile};
use crate::instance::Instance;
use crate::random::Random;
use crate::report::Row;
use crate::role::ordinary::SCHEMA;

/// A log that is trimmed after seconds.
const CONFIG: &str = "[store]\nlog_keep_bytes = \"1MiB\"\nlog_keep = \"2s\"\n[segment]\nreserve = \"64MiB\"\n\
                      [lanes]\nrequests_bytes = \"1MiB\"\nevents_bytes = \"1MiB\"\n[log]\nlevel = \"warn\"\n";

/// What is looked at: its name, what it may grow by from the middle third to the last, in hundredths, and
/// besides.
const LEVELS: [(&str, u64, u64); 7] = [
    ("own memory", 110, 6 << 20),
    ("shared memory", 110, 4 << 20),
    ("descriptors", 110, 6),
    ("segment populated", 110, 4 << 20),
    ("store file", 125, 2 << 20),
    ("WAL file", 125, 2 << 20),
    ("text logs", 110, 64 << 10),
];
/// What may be slower, in hundredths and microseconds besides: medians of other work of the machine too.
const DRIFT: (u64, u64) = (150, 3_000);
const WORDS: [&str; 5] = ["write ", "read ", "scan ", "event ", "visit "];

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let i = Instance::start(CONFIG).expect("a daemon");
    let producer = Producer::attach(&i.options()).expect("a daemon");
    producer.execute(SCHEMA).expect("the tables");
    drop(producer);
    let mirror = Mirror::attach(&i.options()).expect("a daemon");
    let start = |part: u64, seed| Actor::start(&i, "mix", &[part, seed], None);
    let mut people: Vec<Actor> = [0, 0, 1, 2, 3].map(|part| start(part, random.next())).into();
    let pid = i.daemon.0.id();
    let begun = Instant::now();
    let pause = (setting.time / 120).clamp(Duration::from_millis(50), Duration::from_secs(10));
    // Of each moment: when, the levels, and how many lines everybody had said.
    let mut samples: Vec<(Duration, [u64; LEVELS.len()], Vec<usize>)> = Vec::new();
    let mut findings = Vec::new();
    loop {
        std::thread::sleep(pause);
        let status = match mirror.status() {
            Ok(status) => status,
            Err(error) => {
                row.hung.push(format!("no status: {error}"));
                break;
            }
        };
        let gauge = Gauge::of(pid);
        let levels = [
            gauge.own,
            gauge.shared,
            // Who cannot see them has a constant.
            gauge.descriptors.unwrap_or(1),
            status["segment"]["populated"].as_u64().unwrap_or_default(),
            file_bytes(&i.path("data/store.db")),
            file_bytes(&i.path("data/store.db-wal")),
            log_bytes(&i),
        ];
        samples.push((begun.elapsed(), levels, people.iter().map(Actor::count).collect()));
        let so_far = begun.elapsed();
        if so_far < setting.time || samples.len() < 30 {
            continue;
        }
        findings = compare(&samples, |word, from, to| {
            let each = people.iter().enumerate();
            each.flat_map(|(who, p)| p.numbers_between(word, from[who], Some(to[who]))).collect()
        });
        if findings.is_empty() || so_far > setting.time * 4 {
            break;
        }
        std::thread::sleep(setting.time / 10);
    }
    row.injected = samples.len() as u64;
    row.hung.extend(findings);
    if let Some((time, levels, _)) = samples.last() {
        let levels: Vec<String> =
            LEVELS.iter().zip(levels).map(|((name, ..), n)| format!("{name} {n}")).collect();
        println!("  after {time:?}: {}", levels.join(", "));
    }
    let trimmed = mirror.status().ok().and_then(|s| s["store"]["log_oldest_revision"].as_u64());
    row.checked.push(("revisions that the log has let go", trimmed.unwrap_or_default() - 1));
    for (word, what) in WORDS.iter().zip(["writes", "reads", "scans", "events", "visits"]) {
        let count = people.iter().map(|p| p.numbers(word, 0).len() as u64).sum();
        row.checked.push((what, count));
    }
    for person in &mut people {
        if !person.end() {
            row.hung.push(format!("a client did not end: {:?}", person.tail()));
        }
        for error in person.complaints() {
            row.lost.push(error);
        }
    }
    drop(mirror);
    ends(i, &mut row);
    row
}

type Sample = (Duration, [u64; LEVELS.len()], Vec<usize>);

/// What has not levelled off. `said`: the times that were said with a word, between two moments of which one
/// knows how many lines everybody had said.
fn compare(samples: &[Sample], said: impl Fn(&str, &[usize], &[usize]) -> Vec<u64>) -> Vec<String> {
    let third = samples.len() / 3;
    let (middle, last) = (&samples[third..2 * third], &samples[2 * third..]);
    let mut findings = Vec::new();
    for (at, (name, factor, more)) in LEVELS.iter().enumerate() {
        // A WAL goes up and down: what it comes to at most counts.
        let most = |of: &[Sample]| of.iter().map(|s| s.1[at]).max().unwrap_or_default();
        let (before, after) = (most(middle), most(last));
        if after > before * factor / 100 + more {
            findings.push(format!("{name} goes on growing: {before}, then {after}"));
        }
    }
    let (Some(begin), Some(between), Some(end)) = (middle.first(), last.first(), last.last())
    else {
        return findings;
    };
    for word in WORDS {
        let (before, after) = (said(word, &begin.2, &between.2), said(word, &between.2, &end.2));
        if before.is_empty() || after.is_empty() {
            findings.push(format!("nobody said {word:?} in a third of the time"));
            continue;
        }
        let (before, after) = (percentile(before, 50), percentile(after, 50));
        if after > before * DRIFT.0 / 100 + DRIFT.1 {
            findings.push(format!("{word} takes longer: {before} µs, then {after} µs"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of an hour, each level as `level` says of its number and the minute.
    fn hour(level: impl Fn(usize, u64) -> u64) -> Vec<Sample> {
        let at = |minute: u64| {
            let levels = std::array::from_fn(|which| level(which, minute));
            (Duration::from_secs(60 * minute), levels, vec![minute as usize])
        };
        (0..60).map(at).collect()
    }

    #[test]
    fn what_grows_is_seen_and_what_goes_up_and_down_is_not() {
        let steady = |_: &str, _: &[usize], _: &[usize]| vec![2_000; 9];
        let waves = hour(|_, minute| (100 << 20) + ((minute % 7) << 20));
        assert_eq!(compare(&waves, steady), [""; 0]);
        for (which, level) in LEVELS.iter().enumerate() {
            // A sixth more in each third, beyond what is allowed besides.
            let grows = |w, minute| if w == which { (1 << 30) + minute * (1 << 25) } else { 7 };
            let found = compare(&hour(grows), steady);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].starts_with(level.0), "{found:?}");
        }
    }

    #[test]
    fn what_gets_slower_or_stops_is_seen() {
        let samples = hour(|_, _| 7);
        let slower = |word: &str, from: &[usize], _: &[usize]| {
            let slow = word == "scan " && from[0] >= 40;
            vec![if slow { 40_000 } else { 20_000 }; 9]
        };
        let found = compare(&samples, slower);
        assert!(found.len() == 1 && found[0].starts_with("scan"), "{found:?}");
        let stops = |word: &str, from: &[usize], _: &[usize]| {
            let stopped = word == "event " && from[0] >= 40;
            if stopped { vec![] } else { vec![1] }
        };
        let found = compare(&samples, stops);
        assert!(found.len() == 1 && found[0].contains("event"), "{found:?}");
    }
}
