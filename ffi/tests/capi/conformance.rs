//! One set of cases through Rust, C and C++: the same rows, the same events, the same failures.
//!
//! The cases, their format and how to make what is expected anew: `tests/conformance/README.md`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::program;

#[path = "../conformance/rust/mod.rs"]
mod runner;

/// What makes the files of what is expected anew.
const WRITE: (&str, &str) = ("CONFORMANCE", "write");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

/// The case as Rust prints it, from a fresh daemon.
fn in_rust(case: &Path) -> String {
    let instance = program::instance();
    let text = std::fs::read_to_string(case).unwrap();
    runner::run(&text, &instance.socket(), instance.directory.path())
}

/// The case as a program prints it, from a fresh daemon.
fn in_program(program: &Path, case: &Path) -> String {
    let instance = program::instance();
    program::run(
        Command::new(program)
            .arg(instance.socket())
            .arg(case)
            .arg(instance.directory.path())
            .env("UBSAN_OPTIONS", "print_stacktrace=1"),
    )
}

fn in_c(case: &Path) -> String {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    let runner = RUNNER.get_or_init(|| {
        let flags: Vec<&str> = [&["-std=c99"], program::SANITIZED].concat();
        program::build("ffi/tests/conformance/c/runner.c", "conformance-c", &flags)
    });
    in_program(runner, case)
}

#[cfg(cxx)]
fn in_cpp(case: &Path) -> String {
    static RUNNER: OnceLock<PathBuf> = OnceLock::new();
    let runner = RUNNER.get_or_init(|| {
        let flags: Vec<&str> = [&["-std=c++17"], program::SANITIZED].concat();
        program::build("ffi/tests/conformance/cpp/runner.cpp", "conformance-cpp", &flags)
    });
    in_program(runner, case)
}

/// Two outputs are one, else the first line that differs, and the line of the case that it is of.
#[track_caller]
fn same(case: &str, who: &str, found: &str, whom: &str, expected: &str) {
    if found == expected {
        return;
    }
    let mut of = "";
    let (mut a, mut b) = (found.lines(), expected.lines());
    loop {
        let (found, expected) = (a.next(), b.next());
        if found != expected {
            panic!(
                "{case}.case, after {of:?}:\n{who} says      {}\n{whom} {}",
                found.unwrap_or("nothing more"),
                expected.unwrap_or("nothing more")
            );
        }
        let Some(line) = found else { panic!("{case}.case: ends of lines differ") };
        if line.starts_with("> ") {
            of = line;
        }
    }
}

fn conforms(case: &str) {
    let path = folder().join("cases").join(format!("{case}.case"));
    let known = folder().join("expected").join(format!("{case}.txt"));
    let rust = in_rust(&path);
    if std::env::var(WRITE.0).is_ok_and(|v| v == WRITE.1) {
        std::fs::write(&known, &rust).unwrap();
    }
    same(case, "Rust", &rust, "expected", &std::fs::read_to_string(&known).unwrap_or_default());
    same(case, "C", &in_c(&path), "Rust says", &rust);
    #[cfg(cxx)]
    same(case, "C++", &in_cpp(&path), "Rust says", &rust);
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        $(#[test] fn $name() { conforms(stringify!($name)); })*

        /// A case that no test runs would be none.
        #[test]
        fn every_case_is_run() {
            let mut found: Vec<String> = std::fs::read_dir(folder().join("cases"))
                .unwrap()
                .map(|f| f.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            let mut run = vec![$(stringify!($name)),*];
            run.sort_unstable();
            assert_eq!(found, run);
        }
    };
}
cases! {
    cells, changes, events, getters, instance, keys, rows, rules, schema, sql, transactions, values,
}
