//! The header: the committed one is the one that the source makes, and every compiler takes it.

#[path = "../../header/generate.rs"]
mod generate;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{self, STRICT};

#[test]
fn the_committed_header_is_current() {
    let path = generate::path();
    let committed = std::fs::read_to_string(&path).expect("include/shmirror.h");
    let made = generate::header();
    if let Some((line, (found, expected))) =
        committed.lines().zip(made.lines()).enumerate().find(|(_, (a, b))| a != b)
    {
        let line = line + 1;
        panic!("include/shmirror.h:{line}: found {found:?}, expected {expected:?}: `make header`");
    }
    assert_eq!(committed, made, "include/shmirror.h has another length: `make header`");
}

fn source(name: &str, text: &str) -> PathBuf {
    let path = program::output().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The compiler, with its warnings as errors, on a source that includes the repository's header.
fn strict(mut compiler: Command, standard: &str, source: &Path) -> Command {
    compiler
        .arg(format!("-std={standard}"))
        .args(STRICT)
        .args(["-Wconversion", "-Wshadow", "-Wundef"])
        .arg("-I")
        .arg(program::root().join("include"))
        .arg(source);
    compiler
}

const TWICE: &str = "#include <shmirror.h>\n#include <shmirror.h>\n";

#[test]
fn it_stands_alone_in_c() {
    let source = source("alone.c", TWICE);
    for standard in ["c99", "c11"] {
        let mut compiler = strict(program::cc(), standard, &source);
        let of_c = ["-Wstrict-prototypes", "-Wmissing-prototypes", "-Wc++-compat"];
        program::run(compiler.args(of_c).arg("-fsyntax-only"));
    }
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn it_stands_alone_in_cpp() {
    let source = source("alone.cpp", TWICE);
    for standard in ["c++11", "c++17"] {
        let mut compiler = strict(program::cxx(), standard, &source);
        program::run(compiler.arg("-fsyntax-only"));
    }
}

/// What a header defines must not be defined twice where two files of a program include it.
#[test]
fn two_files_of_a_program_include_it() {
    let other = "int other(void);\nint other(void)\n{\n    return (int)shmirror_boolean(7).as.integer \
        + (shmirror_version_number() == SHMIRROR_VERSION_NUMBER);\n}\n";
    let main = "int other(void);\nint main(void)\n{\n    return other() == 2 && \
        shmirror_boolean(0).as.integer == 0 ? 0 : 1;\n}\n";
    let other = source("two_other.c", &(TWICE.to_owned() + other));
    let main = source("two_main.c", &(TWICE.to_owned() + main));
    let program = program::output().join("two");
    let library = program::prefix().join("lib");
    let mut compiler = strict(program::cc(), "c99", &main);
    compiler.arg(other).arg("-o").arg(&program).arg("-L").arg(&library).arg("-lshmirror");
    program::run(&mut compiler);
    program::run(Command::new(program).env("LD_LIBRARY_PATH", library));
}
