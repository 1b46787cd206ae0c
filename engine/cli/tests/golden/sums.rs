//! A list of what is below a directory, in the form of `sha256sum`.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Name of the list.
pub const FILE: &str = "SHA256SUMS";

/// Every file below `directory` but the list itself, by name.
pub fn list(directory: &Path) -> String {
    let mut text = String::new();
    for path in below(directory) {
        let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
        if name == FILE {
            continue;
        }
        for byte in Sha256::digest(std::fs::read(&path).unwrap()) {
            text.push_str(&format!("{byte:02x}"));
        }
        text.push_str(&format!("  {name}\n"));
    }
    text
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(below(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}
