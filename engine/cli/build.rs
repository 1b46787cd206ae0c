//! Tells the tests which tools there are.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A test that needs a tool which is not there is ignored, and says so. In CI it fails.
    for name in ["CI", "SHMIRROR_PYTHON"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rustc-check-cfg=cfg(python)");
    let there = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if there("CI") || there("SHMIRROR_PYTHON") {
        println!("cargo::rustc-cfg=python");
    }
}
