//! Gives the shared library its soname, and keeps it loaded.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libshmirror.so.{major}");
    // A mirror has a thread of its own, which a dlclose would take the code from under.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
