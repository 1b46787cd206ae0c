//! Backup: a consistent copy of the store, and of its key, into new files.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;
use shmirror_shm::wire::{Answer, RefuseCode};
use shmirror_store::LogReader;

use crate::instance::Instance;
use crate::keys::ProviderName;

/// The key file that goes with a backup, or with any other file that stands for a store.
pub(crate) fn key_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// Writes the copy to `path`, and beside it the key where that is a key file; the answer names both. A key
/// of another provider is not ours to copy.
pub(crate) fn run(reader: &mut LogReader, path: &Path, instance: &Instance) -> Answer {
    let (provider, place) = (instance.key.0, &instance.key.1);
    let key = (provider == ProviderName::KeyFile.name()).then(|| instance.config.key_path());
    let refused = |message| Answer::Refused { code: RefuseCode::File, message };
    if !path.is_absolute() {
        return refused(format!("backup file {}: an absolute path is expected", path.display()));
    }
    let key_copy = key_beside(path);
    for file in [Some(path), key.as_ref().map(|_| key_copy.as_path())].into_iter().flatten() {
        if file.symlink_metadata().is_ok() {
            return refused(format!("{} exists already, and is left as it is", file.display()));
        }
    }
    let report = match reader.backup_to(path) {
        Ok(report) => report,
        Err(error) => return refused(error.to_string()),
    };
    let start = format!("shmirror serve --data {}", path.display());
    let Some(key) = key else {
        let text = json!({
            "file": path.to_string_lossy(),
            "revision": report.revision,
            "bytes": report.bytes,
            "key_provider": provider,
            "note": format!("it opens with what opens the store today, which is not copied: {place}"),
            "start": start,
        });
        return Answer::Text(text.to_string());
    };
    if let Err(error) = copy_secret(&key, &key_copy) {
        // A copy of the store without its key would look like a backup and be none.
        let _ = std::fs::remove_file(path);
        return refused(format!("cannot copy the key to {}: {error}", key_copy.display()));
    }
    let text = json!({
        "file": path.to_string_lossy(),
        "revision": report.revision,
        "bytes": report.bytes,
        "key_file": key_copy.to_string_lossy(),
        "note": "whoever has both files can read everything: keep the key file apart from the copy",
        "start": start,
    });
    Answer::Text(text.to_string())
}

/// Copies a key file into a new file of mode 0600. What was there before, or came in between, stays
/// as it is; of a copy that fails nothing is left.
pub(crate) fn copy_secret(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(to)?;
    // Copied by the kernel: the key does not pass through our memory.
    let copied = std::fs::File::open(from)
        .and_then(|mut from| std::io::copy(&mut from, &mut file))
        .and_then(|_| file.sync_all());
    copied.inspect_err(|_| {
        let _ = std::fs::remove_file(to); // the first error is the one to tell
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_copy_of_the_key_leaves_others_files_and_nothing_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("theirs"), "theirs").unwrap();
        std::fs::write(at("key"), "key").unwrap();
        assert!(copy_secret(&at("key"), &at("theirs")).is_err());
        assert_eq!(std::fs::read(at("theirs")).unwrap(), b"theirs");
        assert!(copy_secret(&at("missing"), &at("copy")).is_err());
        assert!(!at("copy").exists());
        copy_secret(&at("key"), &at("copy")).unwrap();
        assert_eq!(std::fs::read(at("copy")).unwrap(), b"key");
    }
}
