//! C and C++ programs: the installed library, compilers, and what is made with them.
#![allow(dead_code, reason = "each module uses a part of it")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use rustix::fs::{FlockOperation, flock};

use crate::common;

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Where `make install` put the library, the headers and the binary, made once for all tests.
pub fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = root().join("target/installed");
        std::fs::create_dir_all(&prefix).unwrap();
        // Other test processes may want the same.
        let lock = File::create(prefix.join(".lock")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let option = format!("PREFIX={}", prefix.display());
        run(make("install").arg(option).arg("DESTDIR="));
        prefix
    })
}

/// `make` of a target, deaf to what this process was told of places.
pub fn make(target: &str) -> Command {
    let mut command = Command::new("make");
    command.arg("--silent").arg(target).current_dir(root());
    let places = [
        ["MAKEFLAGS", "CARGO_TARGET_DIR", "DESTDIR", "PREFIX", "DATADIR", "BINDIR"],
        ["LIBDIR", "INCLUDEDIR", "PKGCONFIGDIR", "MANDIR", "BASHCOMPDIR", "ZSHCOMPDIR"],
    ];
    for name in places.iter().flatten().chain(&["FISHCOMPDIR"]) {
        command.env_remove(name);
    }
    command
}

/// A served instance of the installed binary.
pub fn instance() -> common::Instance {
    configured("")
}

/// One with this configuration.
pub fn configured(config: &str) -> common::Instance {
    common::ELSEWHERE.get_or_init(|| prefix().join("bin/shmirror"));
    common::Instance::configured(config)
}

/// An example of this package, built as a release is.
pub fn example(name: &str) -> PathBuf {
    let root = root();
    run(Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--locked", "-p", "shmirror-ffi"])
        .args(["--example", name])
        .env_remove("CARGO_TARGET_DIR")
        .current_dir(&root));
    root.join("target/release/examples").join(name)
}

/// The folder for what is compiled.
pub fn output() -> &'static Path {
    static OUTPUT: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    });
    &OUTPUT
}

/// Warnings that all C and C++ here is clean of.
pub const STRICT: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// AddressSanitizer and UndefinedBehaviorSanitizer, and failure where they find something.
pub const SANITIZED: &[&str] =
    &["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"];

/// The C compiler.
pub fn cc() -> Command {
    Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// The C++ compiler.
pub fn cxx() -> Command {
    Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
}

/// Compiles a source of the project, named from its root, against the installed library; gives the
/// program's path. `name` is the program's; `flags` come with the standard, as `-std=c99`. A `.cpp` is
/// C++.
pub fn build(source: &str, name: &str, flags: &[&str]) -> PathBuf {
    let prefix = prefix();
    let program = output().join(name);
    let mut compiler = if source.ends_with(".cpp") { cxx() } else { cc() };
    run(compiler
        .args(STRICT)
        .args(flags)
        .arg(format!("-I{}", prefix.join("include").display()))
        .arg(root().join(source))
        .arg("-o")
        .arg(&program)
        .arg(format!("-L{}", prefix.join("lib").display()))
        .arg(format!("-Wl,-rpath,{}", prefix.join("lib").display()))
        .args(["-lshmirror", "-lpthread"]));
    program
}

/// Runs a command that must succeed, and gives its standard output.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("standard output is UTF-8")
}
