//! The durable store of shmirror: one SQLite file in which names, keys and values stand only
//! sealed.
//!
//! What flows in: groups of committed records ([`Group`]). What flows out: at a start every live row
//! ([`Store::load_rows`]), later the records of the commit log ([`LogReader::history`]). The format
//! of the file is described in `FORMAT.md` beside this crate's `Cargo.toml`.
//!
//! ```text
//! open ─► load_rows ─► commit, commit, …          one thread owns the Store
//!                      checkpoint_step, trim_step  the same thread, when it has time
//!                      reader ─► history, settled, backup_to, snapshot   any thread
//! ```

mod backup;
mod checkpoint;
pub mod cipher;
mod create;
mod directory;
mod dirty;
mod error;
mod examine;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod faults;
mod files;
mod format;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod identity;
mod key;
mod keys;
mod live;
mod nonce;
mod plain;
mod reader;
mod recover;
mod retention;
mod rewrap;
mod ring;
mod room;
mod rotate;
mod row;
mod rowset;
pub mod seal;
#[cfg(test)]
mod seal_tests;
mod settled;
mod slots;
mod snapshot;
mod state;
mod store;
mod sure;
mod wal;

pub use backup::BackupReport;
pub use directory::{CONFIG_FILE, KEY_FILE, LOCK_FILE, LOG_DIR, STORE_FILE};
pub use error::{Place, StoreError};
pub use format::{APPLICATION_ID, FORMAT};
pub use group::{GROUP_BYTES, Group};
pub use key::{
    Argon2Cost, CredentialKey, DEFAULT_CREDENTIAL, DEFAULT_VARIABLE, EnvironmentKey, KeyFile,
    NoSource, PRIVATE_FILE, PUBLIC_FILE, Passphrase, PassphraseKey, PassphraseSource, Providers,
    Question, RsaFiles, RsaPair,
};
pub use keys::KeyProvider;
pub use reader::{History, LogReader};
pub use rewrap::{Rewrapped, init, rewrap};
pub use rotate::{RotateStep, Rotation};
pub use row::StoredRow;
pub use slots::{DataKeyStatus, KeyStatus, Particular, SlotStatus};
pub use snapshot::Snapshot;
pub use store::{Recovered, Store, StoreFigures, StoreOptions, Synchronous};
