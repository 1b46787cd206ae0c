//! What can go wrong in the store: one enum, and the sorting of SQLite's and the system's errors
//! into it.

use std::path::{Path, PathBuf};

use crate::seal::SealFault;

/// Why the store refused or failed. Each message names the file or the place, what was found and
/// what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory or the file is somebody else's.
    #[error("{} is not shmirror's: found {found}, expected {expected}", path.display())]
    NotOurs {
        /// Directory or file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What would have been right.
        expected: String,
    },
    /// A later version of shmirror wrote the store.
    #[error(
        "{}: store format {found}, this build reads up to format {supported}; \
         start it with the newer shmirror",
        path.display()
    )]
    NewerFormat {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Newest format that this build reads.
        supported: u32,
    },
    /// Another process holds the directory's lock.
    #[error("{} is in use by another daemon ({})", dir.display(), pid_text(*pid))]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The holder's pid, as it wrote it into `lock`.
        pid: Option<u32>,
    },
    /// There is a store, but no key to open it.
    #[error("{key} is missing; {} was sealed with it and opens with no other", store.display())]
    KeyMissing {
        /// The key's place.
        key: String,
        /// The store.
        store: PathBuf,
    },
    /// There is no key to wrap a data key with, and it can't be made here.
    #[error("{key} is missing; expected {expected}")]
    NoKey {
        /// The key's place.
        key: String,
        /// What should be there.
        expected: String,
    },
    /// A key is there, but can't be used.
    #[error("{key}: {what}")]
    KeyUnusable {
        /// The key's place.
        key: String,
        /// What was found and expected; nothing of the key itself.
        what: String,
    },
    /// The passphrase is not the one.
    #[error("wrong passphrase for {of}")]
    PassphraseWrong {
        /// The store, or the private key.
        of: String,
    },
    /// Nobody gave a passphrase.
    #[error("no passphrase for {of}: {what}")]
    NoPassphrase {
        /// The store, or the private key.
        of: String,
        /// Why not.
        what: String,
    },
    /// A passphrase that is not taken, whatever it should open.
    #[error("passphrase for {of}: {what}")]
    PassphraseRefused {
        /// The store, or the private key.
        of: String,
        /// What is wrong with it.
        what: String,
    },
    /// Others may read the key file.
    #[error("key file {} has mode {found:04o}, expected 0600 or 0400", path.display())]
    KeyMode {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// The key file is malformed.
    #[error("key file {}: {what}", path.display())]
    KeyFile {
        /// The key file.
        path: PathBuf,
        /// What was found and expected, and the line.
        what: String,
    },
    /// The key is another one than the store was sealed with.
    #[error(
        "{}: sealed with key {expected}, but {key} holds key {found}",
        store.display()
    )]
    KeyWrong {
        /// The store.
        store: PathBuf,
        /// The key's place.
        key: String,
        /// Id of the key found.
        found: String,
        /// Id of the key that the store was sealed with.
        expected: String,
    },
    /// No key slot is of the provider at hand.
    #[error(
        "{}: its key slots are of provider {found}; this shmirror was given {expected}",
        store.display()
    )]
    KeyProvider {
        /// The store.
        store: PathBuf,
        /// Providers of the store's slots.
        found: String,
        /// The provider at hand.
        expected: String,
    },
    /// A sealed value does not open, or is not the one that belongs there.
    #[error("{}: {place}: {fault}", file.display())]
    BadSeal {
        /// The store.
        file: PathBuf,
        /// Table and place of the sealed value.
        place: Place,
        /// What is wrong with it.
        fault: SealFault,
    },
    /// The file is damaged outside the sealed values.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What was found and expected.
        what: String,
    },
    /// The commit log misses revisions.
    #[error(
        "{}: the commit log has a hole: revision {expected} expected, {found} found",
        file.display()
    )]
    Hole {
        /// The store.
        file: PathBuf,
        /// The revision that should come next.
        expected: u64,
        /// The revision that comes next.
        found: u64,
    },
    /// The log no longer holds what was asked for.
    #[error("revision {from} is no longer in the commit log; the oldest there is {oldest}")]
    TooOld {
        /// Revision asked for.
        from: u64,
        /// Oldest revision in the log.
        oldest: u64,
    },
    /// The group to commit breaks a rule; nothing of it was written.
    #[error("group of revisions {first}..={last}: {what}")]
    BadGroup {
        /// Its first revision.
        first: u64,
        /// Its last revision.
        last: u64,
        /// The rule, what was found and what was expected.
        what: String,
    },
    /// [`Store::load_rows`](crate::Store::load_rows) has not run to its end yet.
    #[error("the store was opened but its rows were not loaded yet: load_rows comes first")]
    NotRecovered,
    /// A file that would be overwritten.
    #[error("{} exists already and is not overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No space left; the transaction was rolled back and may be tried again.
    #[error("{}: no space left while {doing}", file.display())]
    DiskFull {
        /// The file that was written.
        file: PathBuf,
        /// What was under way.
        doing: &'static str,
    },
    /// Reading or writing failed; the transaction was rolled back.
    #[error("{}: {doing} failed: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What was under way.
        doing: &'static str,
        /// The system's or SQLite's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process holds SQLite's locks on the store.
    #[error("{}: locked by another process while {doing}", file.display())]
    Busy {
        /// The store.
        file: PathBuf,
        /// What was under way.
        doing: &'static str,
    },
    /// Any other error of SQLite.
    #[error("{}: {doing}: {source}", file.display())]
    Sqlite {
        /// The store.
        file: PathBuf,
        /// What was under way.
        doing: &'static str,
        /// SQLite's error.
        source: Box<rusqlite::Error>,
    },
    /// A rotation is under way already.
    #[error(
        "{}: a rotation from data key {} to {} is under way, {} % done",
        file.display(), rotation.from, rotation.to, rotation.percent
    )]
    Rotating {
        /// The store.
        file: PathBuf,
        /// How far it is.
        rotation: Box<crate::rotate::Rotation>,
    },
    /// The catalogue could not be archived.
    #[error("catalogue: {0}")]
    Archive(String),
    /// The kernel gave no random bytes.
    #[error("no random bytes from the kernel: {0}")]
    Random(getrandom::Error),
}

/// Where in the store a sealed value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Table `row`.
    Row {
        /// `slot`, the row's birth.
        slot: u64,
    },
    /// Table `commit_log`.
    Log {
        /// `first_revision`.
        first: u64,
    },
    /// Table `meta`, value `state`.
    State,
    /// Table `meta`, value `catalogue`.
    Catalogue,
    /// Table `key_slot`.
    KeySlot {
        /// `id`.
        id: u64,
    },
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row { slot } => write!(f, "row, slot {slot}"),
            Self::Log { first } => write!(f, "commit_log, first_revision {first}"),
            Self::State => write!(f, "meta, state"),
            Self::Catalogue => write!(f, "meta, catalogue"),
            Self::KeySlot { id } => write!(f, "key_slot, id {id}"),
        }
    }
}

fn pid_text(pid: Option<u32>) -> String {
    pid.map_or_else(|| "its pid is not in the file lock".into(), |p| format!("pid {p}"))
}

/// Sorts an error of SQLite.
pub(crate) fn sqlite<'a>(
    file: &'a Path,
    doing: &'static str,
) -> impl Fn(rusqlite::Error) -> StoreError + use<'a> {
    use rusqlite::ErrorCode as Code;
    move |source| {
        let file = file.to_path_buf();
        match source.sqlite_error_code() {
            Some(Code::DiskFull) => StoreError::DiskFull { file, doing },
            Some(Code::SystemIoFailure | Code::CannotOpen | Code::ReadOnly) => {
                StoreError::Io { file, doing, source: Box::new(source) }
            }
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => StoreError::Busy { file, doing },
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
                StoreError::Damaged { file, what: format!("{source}, while {doing}") }
            }
            // A column that is not of its table's type: pages that lost their contents.
            None if matches!(
                source,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ) =>
            {
                StoreError::Damaged { file, what: format!("{source}, while {doing}") }
            }
            _ => StoreError::Sqlite { file, doing, source: Box::new(source) },
        }
    }
}

/// Sorts an error of the system.
pub(crate) fn io<'a>(
    file: &'a Path,
    doing: &'static str,
) -> impl Fn(std::io::Error) -> StoreError + use<'a> {
    move |source| {
        let file = file.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                StoreError::DiskFull { file, doing }
            }
            _ => StoreError::Io { file, doing, source: Box::new(source) },
        }
    }
}
