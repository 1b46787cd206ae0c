//! What reads and submissions cost in instructions, beside what they cost when that was last recorded.
//!
//! The work is `examples/counts.rs`, built as a release is, whatever this test is built as; callgrind counts.
//! Unlike a time, a count is the same on a busy machine: a few more instructions on a path show. What was
//! recorded stands in `counts.txt`; `COUNTS=write make test-counts` records it anew.

#[path = "../../engine/cli/tests/common/mod.rs"]
mod common;
#[path = "capi/program.rs"]
mod program;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How far a count may be from the recorded one, as a part of that.
const TOLERANCE: f64 = 0.05;
/// How far above it may be with another compiler than it was recorded with.
const TOLERANCE_ELSEWHERE: f64 = 0.25;

/// Instructions of an operation, in the order of their measurement.
type Counts = Vec<(String, f64)>;

/// What is in `counts.txt`.
#[derive(Debug, PartialEq)]
struct Recorded {
    compiler: String,
    counts: Counts,
}

impl Recorded {
    fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().expect("the compiler's line").to_owned();
        let counts = lines.map(|line| {
            let (count, what) = line.trim().split_once(' ').expect("a count and a name");
            (what.trim().to_owned(), count.parse().expect("a count"))
        });
        Self { compiler, counts: counts.collect() }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# Instructions of an operation, of a release build for x86-64: COUNTS=write make test-counts\n",
        );
        let _ = writeln!(text, "{}", self.compiler);
        for (what, count) in &self.counts {
            let _ = writeln!(text, "{count:>8.1} {what}");
        }
        text
    }

    /// What is wrong with what was found now.
    fn complaints(&self, now: &Self) -> Vec<String> {
        let names = |counts: &Counts| counts.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        let is_same = self.compiler == now.compiler;
        let over = if is_same { TOLERANCE } else { TOLERANCE_ELSEWHERE };
        let mut complaints = Vec::new();
        if names(&self.counts) != names(&now.counts) {
            complaints.push("these are not the operations that were recorded".to_owned());
        }
        for (what, found) in &now.counts {
            let Some((_, expected)) = self.counts.iter().find(|(n, _)| n == what) else { continue };
            let difference = 100.0 * (found / expected - 1.0);
            let told = format!("{what}: {found:.1} instructions, {expected:.1} recorded");
            if *found > expected * (1.0 + over) {
                complaints.push(format!("{told}: {difference:+.1} %"));
            } else if is_same && *found < expected * (1.0 - TOLERANCE) {
                complaints.push(format!("{told}: {difference:+.1} %, better; record that"));
            }
        }
        complaints
    }
}

/// The file with what was recorded.
fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/counts.txt")
}

/// The compiler by name and version.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    program::run(Command::new(rustc).arg("--version")).trim().to_owned()
}

/// Counts the work of the example.
fn count() -> Counts {
    let example = program::example("counts");
    let i = program::instance();
    let directory = tempfile::tempdir().unwrap();
    let printed = program::run(
        Command::new("valgrind")
            .args(["--quiet", "--tool=callgrind", "--toggle-collect=*counted"])
            .arg("--dump-after=*counted")
            .arg(format!("--callgrind-out-file={}", directory.path().join("dump").display()))
            .arg(&example)
            .arg(i.socket())
            .arg(i.daemon.0.id().to_string()),
    );
    let mut dumps = Vec::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        // The one without a number is of the end, when nothing is counted any more.
        let Some(number) = path.extension() else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
        dumps.push((
            number.to_str().unwrap().parse::<u32>().unwrap(),
            total.parse::<f64>().unwrap(),
        ));
    }
    dumps.sort_by_key(|(number, _)| *number);
    let totals: Vec<f64> = dumps.into_iter().map(|(_, total)| total).collect();
    let operations: Vec<&str> = printed.lines().collect();
    assert!(
        !totals.is_empty() && totals.len().is_multiple_of(operations.len()),
        "{} dumps of {operations:?}",
        totals.len()
    );
    let calls = totals.chunks(totals.len() / operations.len());
    let counts = operations.iter().zip(calls).map(|(line, calls)| {
        let (many, what) = line.split_once(' ').expect("how many, and their name");
        let mut calls = calls.to_vec();
        calls.sort_by(f64::total_cmp);
        (what.to_owned(), calls[calls.len() / 2] / many.parse::<f64>().unwrap())
    });
    counts.collect()
}

#[test]
#[cfg_attr(not(target_arch = "x86_64"), ignore = "counts are recorded for x86-64")]
#[cfg_attr(not(valgrind), ignore = "no valgrind")]
fn reads_and_submissions_take_as_many_instructions_as_recorded() {
    let now = Recorded { compiler: compiler(), counts: count() };
    println!("{}", now.text());
    if std::env::var_os("COUNTS").is_some_and(|wish| wish == "write") {
        std::fs::write(file(), now.text()).unwrap();
        return;
    }
    let recorded = Recorded::parse(&std::fs::read_to_string(file()).unwrap());
    let complaints = recorded.complaints(&now);
    assert!(
        complaints.is_empty(),
        "{}\nwith {}; recorded with {}. Where that is meant: COUNTS=write make test-counts",
        complaints.join("\n"),
        now.compiler,
        recorded.compiler
    );
}

#[test]
fn what_is_recorded_bounds_both_sides() {
    let of = |compiler: &str, count: f64| Recorded {
        compiler: compiler.into(),
        counts: vec![("get".into(), 50.0), ("a scan".into(), count)],
    };
    let recorded = of("rustc 1", 200.0);
    assert_eq!(Recorded::parse(&recorded.text()), recorded);
    for (compiler, count, complains) in [
        ("rustc 1", 209.0, false),
        ("rustc 1", 211.0, true),
        ("rustc 1", 191.0, false),
        ("rustc 1", 189.0, true),
        ("rustc 2", 249.0, false),
        ("rustc 2", 251.0, true),
        ("rustc 2", 100.0, false),
    ] {
        let found = recorded.complaints(&of(compiler, count));
        assert_eq!(!found.is_empty(), complains, "{compiler} {count}: {found:?}");
    }
    let others = Recorded { counts: vec![("get".into(), 50.0)], ..of("rustc 1", 0.0) };
    assert_eq!(recorded.complaints(&others).len(), 1, "one is missing");
}
