//! The C++ wrapper: it compiles clean in the ways that programs are compiled in, and does what it says.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::Instance;
use crate::program::{SANITIZED, STRICT, cxx, instance, output, prefix, root, run};

/// Beyond what all C and C++ here is clean of: a wrapper is compiled with its user's warnings.
const WARNINGS: &[&str] = &["-Wconversion", "-Wshadow"];
const PLAIN: &[&str] = &["-fno-exceptions", "-fno-rtti"];

/// The compiler with warnings and the installed headers.
fn compiler(flags: &[&str]) -> Command {
    let mut command = cxx();
    command.args(STRICT).args(WARNINGS).args(flags);
    command.arg(format!("-I{}", prefix().join("include").display()));
    command
}

fn source(name: &str) -> PathBuf {
    root().join("ffi/tests/cpp").join(name).with_extension("cpp")
}

/// Compiles sources of the tests, two at a time, to objects whose names begin with `prefix`.
fn objects(names: &[&str], prefix: &str, flags: &[&str]) -> Vec<PathBuf> {
    let object = |name: &&str| {
        let object = output().join(format!("{prefix}_{name}.o"));
        run(compiler(flags).arg("-c").arg(source(name)).arg("-o").arg(&object));
        object
    };
    let (one, other) = names.split_at(names.len() / 2);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| one.iter().map(object).collect::<Vec<_>>());
        let mut all: Vec<PathBuf> = other.iter().map(object).collect();
        all.extend(one.join().unwrap());
        all
    })
}

/// Links objects with the installed library.
fn link(objects: &[PathBuf], name: &str, flags: &[&str]) -> PathBuf {
    let program = output().join(name);
    let library = prefix().join("lib");
    run(cxx()
        .args(flags)
        .args(objects)
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", library.display()))
        .arg(format!("-Wl,-rpath,{}", library.display()))
        .args(["-lshmirror", "-lpthread"]));
    program
}

/// Runs a program beside an instance, which it may ask to restart and to stop.
#[track_caller]
fn served(program: &Path, instance: &mut Instance) {
    let mut child = Command::new(program)
        .env("SHMIRROR_SOCKET", instance.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = child.stdin.take().unwrap();
    let mut last = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        last = line.unwrap();
        match last.as_str() {
            "restart" => instance.restart(),
            "stop" => assert_eq!(instance.stop(), 0),
            _ => continue,
        }
        answers.write_all(b"done\n").unwrap();
    }
    let status = child.wait().unwrap();
    assert!(status.success() && last == "passed", "{status}, last said: {last:?}");
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn each_header_compiles_alone_and_clean() {
    let includes = |header: &str| {
        let file = output().join(header.replace('/', "_")).with_extension("cpp");
        std::fs::write(&file, format!("#include <{header}>\n")).unwrap();
        file
    };
    let whole = includes("shmirror.hpp");
    for standard in ["-std=c++17", "-std=c++20"] {
        for flags in [&[][..], PLAIN, &["-O2", "-funsigned-char"]] {
            run(compiler(flags).args([standard, "-fsyntax-only"]).arg(&whole));
        }
    }
    let mut parts = 0;
    for part in std::fs::read_dir(prefix().join("include/shmirror")).unwrap() {
        let name = format!("shmirror/{}", part.unwrap().file_name().into_string().unwrap());
        run(compiler(&["-std=c++17", "-fsyntax-only"]).arg(includes(&name)));
        parts += 1;
    }
    assert!(parts > 10, "{parts} headers");
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn its_prologues_example_runs() {
    let header = std::fs::read_to_string(prefix().join("include/shmirror.hpp")).unwrap();
    let code: Vec<&str> = header
        .lines()
        .map(|line| line.strip_prefix(" *     ").unwrap_or(""))
        .skip_while(|line| !line.starts_with("#include"))
        .take_while(|line| !line.starts_with("c++ "))
        .collect();
    assert!(code.len() > 20, "{code:?}");
    let tour = output().join("tour.cpp");
    std::fs::write(&tour, code.join("\n")).unwrap();
    let object = output().join("tour.o");
    run(compiler(&["-std=c++17"]).arg("-c").arg(&tour).arg("-o").arg(&object));
    let program = link(&[object], "tour", &[]);
    let instance = instance();
    let told = run(Command::new(program).env("SHMIRROR_SOCKET", instance.socket()));
    assert!(told.contains("1490.000000\nspeed: 1490.000000 rpm\n"), "{told}");
    assert!(told.contains(r#""operation":"insert""#), "{told}");
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn all_of_it_under_sanitizers() {
    let names = ["values", "tables", "typed", "writing", "following", "main"];
    let flags: Vec<&str> = [SANITIZED, &["-std=c++17"]].concat();
    let program = link(&objects(&names, "asan", &flags), "wrapper", &flags);
    served(&program, &mut instance());
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn all_of_it_in_the_next_standard_and_optimised() {
    let names = ["values", "tables", "typed", "writing", "following", "main"];
    let flags = ["-std=c++20", "-O1"];
    let program = link(&objects(&names, "next", &flags), "wrapper20", &flags);
    served(&program, &mut instance());
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn without_exceptions_beside_with() {
    let mut parts = objects(&["aborting"], "plain", &[PLAIN, &["-std=c++17"]].concat());
    parts.extend(objects(&["other"], "plain", &["-std=c++17"]));
    let program = link(&parts, "aborting", &[]);
    let mut instance = instance();
    served(&program, &mut instance);
    // What would throw prints why, and ends the program.
    let ended =
        Command::new(program).arg("x").env("SHMIRROR_SOCKET", instance.socket()).output().unwrap();
    assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
    assert_eq!(
        String::from_utf8(ended.stderr).unwrap(),
        "shmirror: SHMIRROR_TYPE_MISMATCH: column \"v\": found integer 1, expected text\n"
    );
}

#[test]
#[cfg_attr(not(cxx), ignore = "no C++ compiler")]
fn reading_allocates_nothing() {
    let flags = ["-std=c++17", "-O2"];
    let program = link(&objects(&["allocation"], "plain", &flags), "allocation_cpp", &flags);
    served(&program, &mut instance());
}
