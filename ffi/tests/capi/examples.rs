//! The programs of examples/c and examples/cpp: built as their readers build them, through pkg-config,
//! and run beside a real daemon.

mod browser;
mod subscriber;

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::json;
use shmirror::{Mirror, Options, Producer};

use self::browser::TABLES;
use self::subscriber::{Follower, log};
use crate::common::{Instance, Process};
use crate::program;

/// Languages whose examples are built on this machine.
const LANGUAGES: &[&str] = if cfg!(cxx) { &["c", "cpp"] } else { &["c"] };

/// Another language than that one, if there is another.
fn other(language: &str) -> &'static str {
    LANGUAGES.iter().copied().find(|l| *l != language).unwrap_or("c")
}

/// `make examples` into this folder.
fn make(build: &Path) -> Command {
    let mut make = program::make("examples");
    make.arg(format!("PREFIX={}", program::prefix().display()))
        .arg(format!("BUILD={}", build.display()))
        .env_remove("PKG_CONFIG_PATH");
    make
}

/// The program of this name. All are built once, without a warning.
fn example(language: &str, name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = BUILT.get_or_init(|| {
        let build = program::output().join("examples");
        let strict = format!("-g -O2 -Wconversion {}", program::STRICT.join(" "));
        let output = make(&build).arg(format!("CFLAGS={strict}")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{said}");
        build
    });
    build.join(language).join(name)
}

/// A program of the tests, from ffi/tests/c.
fn tool(name: &str) -> PathBuf {
    program::build(&format!("ffi/tests/c/{name}.c"), name, &["-std=c99"])
}

fn with_arguments(program: impl AsRef<OsStr>, arguments: &[&str], on: &Instance) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("SHMIRROR_SOCKET", on.socket()).env_remove("SHMIRROR_INSTANCE");
    command.stdin(Stdio::null());
    command
}

/// An example's command.
fn command(language: &str, name: &str, arguments: &[&str], on: &Instance) -> Command {
    with_arguments(example(language, name), arguments, on)
}

/// Standard output of what must succeed.
#[track_caller]
fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The number that stands before this word.
#[track_caller]
fn number_before(text: &str, word: &str) -> u64 {
    let before = &text[..text.find(word).unwrap_or_else(|| panic!("no {word:?} in {text:?}"))];
    let digits = before.trim_end().rsplit(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap_or_else(|e| panic!("before {word:?} in {text:?}: {e}"))
}

const LIVE: &str = "CREATE TABLE IF NOT EXISTS live
    (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL)";

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn hot_readers_see_no_torn_row_beside_the_producer_of_another_language() {
    for language in LANGUAGES {
        let instance = program::instance();
        let producer = command(other(language), "producer", &["3", "50"], &instance)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reads = text(command(language, "hot_reader", &["2"], &instance).output().unwrap());
        assert!(reads.contains(" 0 torn, 0 older"), "{reads}");
        assert!(number_before(&reads, " reads") > 100_000, "{reads}");
        let written = text(producer.wait_with_output().unwrap());
        assert!(written.starts_with("run 1, numbers from 1\n"), "{written}");
        assert!(number_before(&written, " transactions one by one") > 20, "{written}");
        assert!(number_before(&written, " transactions in flight") > 1000, "{written}");
        assert!(written.contains("\n0 rejected, "), "{written}");
        let sums =
            instance.run(&["sql", "SELECT count(*), max(a), max(b) FROM live", "--json"]).ok();
        let newest = written.rsplit("newest number ").next().unwrap().split(',').next().unwrap();
        assert!(sums.contains(newest) && sums.contains("50"), "{sums} {written}");
    }
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn the_programs_share_the_table_with_those_in_rust() {
    for language in LANGUAGES {
        let instance = program::instance();
        let options = Options::new().socket(instance.socket());
        let producer = Producer::attach(&options).unwrap();
        producer.execute(LIVE).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1_i64.. {
                    let row = json!({ "id": n % 50, "a": n, "b": n });
                    producer.upsert("live", &row).unwrap();
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let reads = command(language, "hot_reader", &["1"], &instance).output().unwrap();
            done.store(true, Ordering::Relaxed);
            assert!(text(reads).contains(" 0 torn, 0 older"));
        });
        // And the other way round: it goes on above what is there, for a reader in Rust.
        let mirror = Mirror::attach(&options).unwrap();
        let table = mirror.table("live").unwrap();
        let both = |id| {
            let row = table.get(id).unwrap().unwrap();
            (row.get::<i64>("a").unwrap(), row.get::<i64>("b").unwrap())
        };
        let mut newest: Vec<i64> = (0..50).map(|id| both(id).0).collect();
        let first = *newest.iter().max().unwrap() + 1;
        let mut writer = Process(
            command(language, "producer", &["1", "50"], &instance)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        while writer.0.try_wait().unwrap().is_none() {
            for (id, newest) in newest.iter_mut().enumerate() {
                let (a, b) = both(id as i64);
                assert!(a == b && a >= *newest, "{a} {b} {newest}");
                *newest = a;
            }
        }
        assert!(newest.iter().all(|n| *n >= first), "{first} {newest:?}");
        assert!(writer.output().contains(&format!("numbers from {first}\n")));
    }
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn numbers_of_runs_are_claimed_once() {
    let instance = program::instance();
    let runs: Vec<_> = LANGUAGES
        .iter()
        .cycle()
        .take(8)
        .map(|l| command(l, "producer", &["0"], &instance).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let mut numbers: Vec<u64> = runs
        .into_iter()
        .map(|run| number_before(&text(run.wait_with_output().unwrap()), ", numbers from"))
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn the_loop_of_hot_reader_makes_no_system_call() {
    let count = tool("count_syscalls");
    for language in LANGUAGES {
        let instance = program::instance();
        let writer = command(other(language), "producer", &["5", "50"], &instance)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let _writer = Process(writer);
        let hot_reader = example(language, "hot_reader");
        let counted = |seconds| {
            let arguments = [hot_reader.to_str().unwrap(), seconds];
            let output = with_arguments(&count, &arguments, &instance).output().unwrap();
            let reads = number_before(&String::from_utf8_lossy(&output.stdout), " reads");
            (reads, number_before(&String::from_utf8_lossy(&output.stderr), " system calls"))
        };
        // The first waits for the rows, and so more often than the others.
        let (_, waiting) = counted("0");
        let (few, short) = counted("0.1");
        let (many, long) = counted("2");
        assert!(waiting > 20, "the count works: {waiting}");
        assert!(many > 4 * few && many > 100_000, "{few} {many}");
        assert!(short.abs_diff(long) < 50, "{few} reads: {short}; {many} reads: {long}");
    }
}

#[test]
fn reads_of_every_kind_make_no_system_call() {
    let program = tool("no_syscall");
    let instance = program::instance();
    for (table, key) in [("reading", "id"), ("by_name", "name"), ("by_both", "name, id")] {
        let integer = if key == "id" { "INTEGER" } else { "INT" };
        instance.sql(&format!(
            "CREATE TABLE {table} (id {integer} NOT NULL, real REAL, truth INTEGER, absent,
               name TEXT NOT NULL, bytes BLOB, n INTEGER, PRIMARY KEY ({key}));
             WITH RECURSIVE i(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n < 99)
             INSERT INTO {table} SELECT n, n / 2.0, n % 2, NULL, 'row ' || n, x'00010203', n FROM i"
        ));
    }
    let done = AtomicBool::new(false);
    let producer = Producer::attach(&Options::new().socket(instance.socket())).unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let all = "UPDATE reading SET n = n + 1; UPDATE by_name SET n = n + 1;
                           UPDATE by_both SET n = n + 1";
                producer.execute(all).unwrap();
            }
        });
        let run = |argument| with_arguments(&program, &[argument], &instance).output().unwrap();
        let ended = (run("2000"), run("trap"));
        done.store(true, Ordering::Relaxed);
        ended
    });
    let (reading, trap) = ended;
    assert!(reading.status.success(), "{reading:?}: a signal, or the line of no_syscall.c");
    assert_eq!(trap.status.signal(), Some(31), "SIGSYS: {trap:?}");
}

#[test]
#[cfg_attr(not(all(pkg_config, valgrind)), ignore = "no pkg-config or no valgrind")]
fn the_examples_are_clean_under_valgrind() {
    let checked = |language: &str, name: &str, arguments: &[&str], on: &Instance| {
        let program = example(language, name);
        let checks = ["--quiet", "--error-exitcode=99", "--leak-check=full"];
        let mut all = checks.to_vec();
        all.extend(["--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]);
        all.push(program.to_str().unwrap());
        all.extend(arguments);
        with_arguments("valgrind", &all, on)
    };
    let clean = |output: Output| {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("=="), "{}\n{said}", output.status);
        text(output)
    };
    for language in LANGUAGES {
        let mut instance = program::instance();
        instance.sql(TABLES);
        let follow = checked(language, "subscriber", &["live"], &instance);
        let follower = Follower::start(follow, &instance, "f");
        let producer = checked(language, "producer", &["2", "10"], &instance)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let reads = checked(language, "hot_reader", &["1"], &instance).output().unwrap();
        instance.restart();
        assert!(clean(reads).contains(" 0 torn, 0 older"));
        assert!(clean(producer.wait_with_output().unwrap()).contains("\n0 rejected"));
        let lines = log(&instance, 1).iter().filter(|l| l.contains("  live  ")).count();
        let errors = follower.errors.clone();
        follower.end(lines, Signal::TERM);
        let said = std::fs::read_to_string(errors).unwrap();
        assert!(!said.contains("=="), "{said}");
        for words in [&[][..], &["tag"], &["journal"], &["setpoint", "1", "P", "0xff"]] {
            clean(checked(language, "browser", words, &instance).output().unwrap());
        }
    }
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn make_examples_says_what_is_missing() {
    let build = program::output().join("incomplete");
    let said = |output: Output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let output = make(&build).arg("PKG_CONFIG=no-such-pkg-config").output().unwrap();
    assert!(
        !output.status.success() && said(output).contains("there is no no-such-pkg-config here")
    );
    let elsewhere = format!("PREFIX={}", build.display());
    let output = make(&build).arg(elsewhere).output().unwrap();
    assert!(!output.status.success() && said(output).contains("no shmirror.pc"));
    let output = make(&build).arg("CXX=no-such-compiler").output().unwrap();
    assert!(output.status.success());
    assert!(said(output).contains("no C++ compiler (no-such-compiler): only the C examples"));
    assert!(build.join("c/browser").exists() && !build.join("cpp").exists());
}
