//! Gives the shared library its soname, and keeps it loaded; tells the tests which tools there are.

use std::env;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libshmirror.so.{major}");
    // A mirror has a thread of its own, which a dlclose would take the code from under.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");

    // A test that needs a tool which is not there is ignored, and says so. In CI it fails.
    for name in ["CC", "CI", "CXX", "PATH"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    let ci = env::var_os("CI").is_some();
    let cxx = env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    for (cfg, tool) in
        [("cxx", cxx.as_str()), ("pkg_config", "pkg-config"), ("valgrind", "valgrind")]
    {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if ci || runs(tool) {
            println!("cargo::rustc-cfg={cfg}");
        }
    }
    println!("cargo::rustc-check-cfg=cfg(static_libc)");
    if ci || has_static_libc() {
        println!("cargo::rustc-cfg=static_libc");
    }
}

fn runs(tool: &str) -> bool {
    let version =
        Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// A compiler that knows where the file is names its whole path, else the bare name.
fn has_static_libc() -> bool {
    let cc = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let found = Command::new(cc).arg("-print-file-name=libc.a").output();
    found.is_ok_and(|found| found.stdout.starts_with(b"/"))
}
