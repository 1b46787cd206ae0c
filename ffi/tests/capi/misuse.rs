//! The C library, misused: every function, each of its parameters, and nothing crashes.
//!
//! The program is `tests/c/misuse.c`. It prints what it tried; here that is compared with the header, so
//! that a function or a parameter which nobody misuses is a failure.

use std::collections::BTreeSet;
use std::process::Command;

use crate::{declared, program};

/// A parameter of a function of the header: its tokens, but for its name.
#[derive(Debug)]
struct Parameter<'a> {
    kind: Vec<&'a str>,
    name: &'a str,
}

/// The parameters of a prototype that is given as its tokens, with one space between.
fn parameters(prototype: &str) -> Vec<Parameter<'_>> {
    let list = prototype.split_once("( ").expect("a list of parameters").1;
    let list = list.strip_suffix(')').expect("its end").trim_end();
    let mut depth = 0;
    let tokens: Vec<&str> = list.split(' ').filter(|t| !t.is_empty()).collect();
    // The commas of a pointer to a function are its own.
    let parts = tokens.split(|token| {
        depth += i32::from(*token == "(") - i32::from(*token == ")");
        depth == 0 && *token == ","
    });
    parts
        .filter(|part| !matches!(part, [] | ["void"]))
        .map(|part| match part.windows(2).position(|w| w == ["(", "*"]) {
            Some(at) => Parameter { kind: vec!["function", "*"], name: part[at + 2] },
            None => Parameter { kind: part[..part.len() - 1].to_vec(), name: part[part.len() - 1] },
        })
        .collect()
}

/// What must have been tried of a parameter.
fn wanted(parameter: &Parameter<'_>, opaque: &BTreeSet<&str>) -> &'static [&'static str] {
    match parameter.kind[..] {
        ["const", "char", "*"] => &["null", "utf8"],
        ["const", "char", "*", "const", "*"] => &["null", "element", "utf8", "aligned"],
        ["const", "shmirror_value", "*"] => &["null", "aligned", "value"],
        ["const", "shmirror_field", "*"] => &["null", "aligned"],
        [handle, "*"] | ["const", handle, "*"] if opaque.contains(handle) => {
            &["null", "closed", "kind"]
        }
        [.., "*"] => &["null"],
        // Sizes, counts, indexes and enumerators.
        ["size_t" | "int32_t"] => &["range"],
        _ => &[],
    }
}

#[test]
fn parameters_are_told_apart() {
    let opaque = BTreeSet::from(["a"]);
    let prototype = "int32_t f ( const a * it , int32_t ( * visit ) ( void * context , int32_t n ) , \
                     const char * const * names , b * * out , size_t n , uint64_t ns )";
    let found = parameters(prototype);
    let names: Vec<&str> = found.iter().map(|p| p.name).collect();
    assert_eq!(names, ["it", "visit", "names", "out", "n", "ns"]);
    let expected: [&[&str]; 6] = [
        &["null", "closed", "kind"],
        &["null"],
        &["null", "element", "utf8", "aligned"],
        &["null"],
        &["range"],
        &[],
    ];
    for (parameter, expected) in found.iter().zip(expected) {
        assert_eq!(wanted(parameter, &opaque), expected, "{parameter:?}");
    }
    assert!(parameters("const char * g ( void )").is_empty());
}

#[test]
fn nothing_crashes_and_every_parameter_of_every_function_is_misused() {
    let flags: Vec<&str> = [&["-std=c99"], program::SANITIZED].concat();
    let misuse = program::build("ffi/tests/c/misuse.c", "misuse", &flags);
    let instance = program::instance();
    let printed = program::run(
        Command::new(misuse)
            .arg(instance.socket())
            .arg(instance.directory.path())
            .env("SHMIRROR_SOCKET", instance.socket())
            .env("UBSAN_OPTIONS", "print_stacktrace=1"),
    );
    let covered: BTreeSet<&str> =
        printed.lines().filter_map(|l| l.strip_prefix("covered ")).collect();

    let header = declared::of(&program::prefix().join("include/shmirror.h"));
    let opaque: BTreeSet<&str> = header
        .types
        .iter()
        .filter(|(name, text)| **text == format!("typedef struct {name} {name}"))
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(opaque.contains("shmirror_mirror"), "{opaque:?}");
    let mut missing = Vec::new();
    for (function, prototype) in &header.functions {
        let parameters = parameters(prototype);
        if parameters.is_empty() && !covered.contains(format!("{function} - nothing").as_str()) {
            missing.push(format!("{function}()"));
        }
        for parameter in parameters {
            for how in wanted(&parameter, &opaque) {
                let line = format!("{function} {} {how}", parameter.name);
                if !covered.contains(line.as_str()) {
                    missing.push(format!("{line}: {prototype}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "not misused:\n{}", missing.join("\n"));
    // The other way round: what is said to be misused is in the header.
    for line in &covered {
        let function = line.split(' ').next().unwrap();
        assert!(header.functions.contains_key(function), "no such function: {line}");
    }
}
