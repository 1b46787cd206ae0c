//! From the library's source to the text of its header.

use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config};

const FFI: &str = env!("CARGO_MANIFEST_DIR");

/// Where the header is.
pub fn path() -> PathBuf {
    Path::new(FFI).join("../include/shmirror.h")
}

/// The header's text, as the source has it now.
pub fn header() -> String {
    let mut config =
        Config::from_file(Path::new(FFI).join("cbindgen.toml")).expect("cbindgen.toml");
    let part =
        |name| std::fs::read_to_string(Path::new(FFI).join("header").join(name)).expect(name);
    // The guard is ours: cbindgen's ends before the trailer.
    let guard = "\n\n#ifndef SHMIRROR_H\n#define SHMIRROR_H";
    config.header = Some(part("prologue.h").trim_end().to_owned() + guard);
    config.after_includes = Some(String::from("\n") + &versions() + part("constants.h").trim_end());
    config.trailer = Some(part("trailer.h").trim_end().to_owned() + "\n\n#endif /* SHMIRROR_H */");
    let mut text = Vec::new();
    Builder::new()
        .with_config(config)
        .with_crate(FFI)
        .generate()
        .expect("the library's source")
        .write(&mut text);
    String::from_utf8(text).expect("the source is UTF-8")
}

/// The version macros.
fn versions() -> String {
    let parts = [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    parts.map(|(name, number)| format!("#define SHMIRROR_VERSION_{name} {number}\n")).concat()
}
