//! Why a command failed, the exit status that follows, and the one sentence that says it.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use shmirror_daemon::DaemonError;
use shmirror_store::StoreError;

use crate::output;

/// Everything that ends a command early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The client crate's answer.
    #[error(transparent)]
    Client(#[from] shmirror::Error),
    /// The daemon could not start.
    #[error(transparent)]
    Daemon(#[from] shmirror_daemon::DaemonError),
    /// The store, or what opens it, in a command that works on them without a daemon.
    #[error(transparent)]
    Store(#[from] shmirror_store::StoreError),
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there, or is refused here.
    #[error("{0}")]
    Refused(String),
    /// As [`Failure::Refused`], with what to do about it.
    #[error("{0}")]
    Advised(String, String),
    /// A bad line of an input file.
    #[error("{file}:{line}: {what}")]
    Line {
        /// The file as given.
        file: String,
        /// Line, from 1.
        line: u64,
        /// What was found and what was expected.
        what: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An SQLite file that cannot be read.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(io::Error),
    /// Whoever read standard output has gone; nothing is said.
    #[error("standard output was closed")]
    Pipe,
    /// It is all said already; only the status is left.
    #[error("failed")]
    Said,
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        if e.kind() == io::ErrorKind::BrokenPipe { Self::Pipe } else { Self::Output(e) }
    }
}

impl Failure {
    /// A file's failure, by its path.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Exit status: 1 the request was refused or failed, 2 usage, or no daemon, or it cannot start; from
    /// 3 on, why a store did not open with its key.
    pub fn status(&self) -> u8 {
        match self {
            Self::Daemon(DaemonError::Store(e)) => key_status(e).unwrap_or(2),
            Self::Store(e) => key_status(e).unwrap_or(1),
            Self::Usage(_) | Self::Daemon(_) => 2,
            Self::Client(e) if unreachable_daemon(e) => 2,
            Self::Pipe => 0,
            _ => 1,
        }
    }

    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Advised(_, hint) => Some(hint.clone()),
            Self::Client(e) if is_denied(e) => Some(rules(&e.to_string())),
            _ => None,
        }
    }

    /// Says it on standard error and gives the status to end with.
    pub fn report(&self) -> ExitCode {
        if !matches!(self, Self::Pipe | Self::Said) {
            output::note(&self.to_string());
            if let Some(hint) = self.hint() {
                output::note(&format!("hint: {hint}"));
            }
        }
        ExitCode::from(self.status())
    }
}

/// Who can help where something is denied, and how: with the namespace that the message names.
fn rules(message: &str) -> String {
    let named = message.split_once("namespace \"").and_then(|(_, rest)| rest.split_once('"'));
    let (name, else_where) = match named {
        Some((name, _)) => (name, ""),
        None => ("NAME", ", administrators in [access]"),
    };
    format!(
        "whoever runs the daemon allows it in its shmirror.toml: readers and writers in \
         [namespaces.{name}]{else_where}; then SIGHUP"
    )
}

/// Whether the rules of access are why.
fn is_denied(e: &shmirror::Error) -> bool {
    use shmirror::Error as E;
    use shmirror_shm::request::RejectCode;
    use shmirror_shm::wire::RefuseCode;
    matches!(
        e,
        E::Denied { .. }
            | E::Rejected { code: RejectCode::Denied, .. }
            | E::Refused { code: RefuseCode::Denied, .. }
    )
}

/// The exit status of what is wrong with a key; `options::STATUS` tells them to people.
fn key_status(e: &StoreError) -> Option<u8> {
    use StoreError as E;
    Some(match e {
        E::KeyMissing { .. } | E::NoKey { .. } | E::NoPassphrase { .. } => 3,
        E::PassphraseWrong { .. } => 4,
        E::KeyWrong { .. } => 5,
        E::KeyUnusable { .. }
        | E::KeyFile { .. }
        | E::KeyMode { .. }
        | E::PassphraseRefused { .. } => 6,
        E::KeyProvider { .. } => 7,
        _ => return None,
    })
}

/// Whether no daemon could be talked to at all.
fn unreachable_daemon(e: &shmirror::Error) -> bool {
    use shmirror::Error as E;
    matches!(
        e,
        E::NoDaemon { .. }
            | E::SocketPathTooLong { .. }
            | E::InstanceName { .. }
            | E::Layout { .. }
            | E::OtherInstance { .. }
            | E::Disconnected { .. }
    )
}

#[cfg(test)]
mod tests {
    use shmirror_shm::request::RejectCode;
    use shmirror_shm::wire::RefuseCode;

    use super::*;

    #[test]
    fn what_the_rules_deny_says_who_can_help() {
        let message = "namespace \"plant\" may only be read".to_owned();
        for error in [
            shmirror::Error::Denied { message: message.clone() },
            shmirror::Error::Rejected { code: RejectCode::Denied, message: message.clone() },
            shmirror::Error::Refused { code: RefuseCode::Denied, message: message.clone() },
        ] {
            let failure = Failure::from(error);
            assert!(failure.to_string().contains(&message), "{failure}");
            assert!(failure.hint().is_some_and(|h| h.contains("[namespaces.plant]")), "{failure}");
            assert_eq!(failure.status(), 1);
        }
        let message = "uid 7 may not check the instance: no rule allows it".to_owned();
        let hint = Failure::from(shmirror::Error::Denied { message: message.clone() }).hint();
        assert!(hint.is_some_and(|h| h.contains("[namespaces.NAME]") && h.contains("[access]")));
        let code = RejectCode::Check;
        let other = Failure::from(shmirror::Error::Rejected { code, message });
        assert_eq!(other.hint(), None);
    }
}
