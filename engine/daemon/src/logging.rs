//! The daemon's two logs, and readable lines on standard error. Used by `serve` only: an embedded
//! daemon emits `tracing` events and leaves what becomes of them to its host.
//!
//! `service.log` tells of the instance, `communication.log` (target [`COMM`]) of attaches, detaches,
//! denials and lanes. The files are plaintext at rest, so nothing that the store seals is ever
//! logged: no row values, no names of tables or columns, no SQL, no key material; ids and
//! revisions only.

use std::io::{IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;

use crate::error::DaemonError;

/// Target of what belongs into the communication log.
pub(crate) const COMM: &str = "shmirror::comm";

/// The logs of this process; dropping it writes what is still buffered.
#[must_use = "dropping it ends the log files"]
pub(crate) struct Logs {
    service: Arc<Later>,
    comm: Arc<Later>,
}

/// A log file that is opened once the data directory is known to be ours.
#[derive(Default)]
struct Later(OnceLock<(NonBlocking, Mutex<Option<WorkerGuard>>)>);

impl Later {
    fn writer(&self) -> Box<dyn Write> {
        match self.0.get() {
            Some((writer, _)) => Box::new(writer.clone()),
            None => Box::new(std::io::sink()),
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        for later in [&self.service, &self.comm] {
            if let Some((_, guard)) = later.0.get() {
                drop(guard.lock().unwrap_or_else(PoisonError::into_inner).take());
            }
        }
    }
}

/// Sets up standard error for the whole process, and the log files, which are opened by
/// [`write_files`]. Where the process has a subscriber already, that one stays.
pub(crate) fn start(level: &str) -> Logs {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let logs = Logs { service: Arc::default(), comm: Arc::default() };
    let is_comm = |target: &str| target == COMM;
    let (service, comm) = (Arc::clone(&logs.service), Arc::clone(&logs.comm));
    let subscriber = tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .with_filter(filter_fn(move |m| {
                    // Who comes and goes is in the communication log; here only what is wrong.
                    let most =
                        if is_comm(m.target()) { level.min(LevelFilter::WARN) } else { level };
                    *m.level() <= most
                })),
        )
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .with_writer(move || service.writer())
                .with_filter(filter_fn(move |m| !is_comm(m.target()) && *m.level() <= level)),
        )
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_target(false)
                .with_writer(move || comm.writer())
                .with_filter(filter_fn(move |m| is_comm(m.target()) && *m.level() <= level)),
        );
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!("the process has a tracing subscriber already; it stays");
    }
    logs
}

/// Opens the log files in `dir`, of which `keep_files` days are kept.
pub(crate) fn write_files(logs: &Logs, dir: &Path, keep_files: usize) -> Result<(), DaemonError> {
    let failed =
        |what: &'static str| move |source| DaemonError::File { what, path: dir.to_owned(), source };
    // Absolute, as `NAME.log` is made to lead there.
    let dir = &std::path::absolute(dir).map_err(failed("find"))?;
    let mut made = std::fs::DirBuilder::new();
    made.recursive(true).mode(0o700).create(dir).map_err(failed("make"))?;
    for (later, name) in [(&logs.service, "service"), (&logs.comm, "communication")] {
        let (writer, guard) = tracing_appender::non_blocking(daily(dir, name, keep_files)?);
        // Called once; a second call would leave the first file in use.
        let _ = later.0.set((writer, Mutex::new(Some(guard))));
    }
    Ok(())
}

/// A file a day, `NAME.DATE.log`; `NAME.log` leads to the newest.
fn daily(dir: &Path, name: &str, keep: usize) -> Result<RollingFileAppender, DaemonError> {
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix(name)
        .filename_suffix("log")
        .latest_symlink(format!("{name}.log"))
        .max_log_files(keep.max(1))
        .build(dir)
        .map_err(|e| DaemonError::File {
            what: "write log files in",
            path: dir.to_owned(),
            source: std::io::Error::other(e),
        })
}
