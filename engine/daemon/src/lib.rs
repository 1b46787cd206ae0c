//! The shmirror daemon: keeps tables in an encrypted store, mirrors them into shared memory, and
//! takes writes from producers.
//!
//! ```text
//!              control thread                          pipeline thread
//! clients ──► attach, calls ──── mail ───────────────► collect → apply → reserve → commit
//!    ▲             ▲  └─ workers: history, query, …              → publish → announce → acknowledge
//!    │             └────────── mail ◄──────────────────────┘        │          │           │
//!    └───────────── shared memory: segment ◄────────────────────────┘          │           │
//!                                  events lane ◄───────────────────────────────┘           │
//!                                  requests lanes (requests up, outcomes down) ◄───────────┘
//! ```
//! [`serve()`] runs one as a service: signals, logs, readiness. [`Daemon`] is the same without these,
//! to be embedded in one's own program.

pub mod apply;
pub mod config;
pub mod error;
pub mod keys;
pub mod passphrase;
pub mod query;
pub mod rights;

mod access;
mod backup;
mod check;
mod clock;
mod control;
mod daemon;
mod denials;
mod exchange;
mod instance;
mod logging;
mod memfd;
mod pipeline;
mod pulse;
mod querying;
mod readers;
mod recovery;
mod refusal;
mod room;
mod serve;
mod trouble;

pub use config::Config;
pub use daemon::Daemon;
pub use error::DaemonError;
pub use keys::Secrets;
pub use serve::{ServeOptions, serve};
