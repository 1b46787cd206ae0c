//! Looking after an instance: its state, checks, backups, keys. Nothing of its tables is needed for that.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value as Json;
use shmirror_shm::wire::{Answer, Call, ROLE_ADMIN};

use crate::connection::{CALL, Connection, Place, wrong_answer};
use crate::error::Error;
use crate::options::Options;

/// Longest that a check or a backup may take.
const LONG: Duration = Duration::from_secs(24 * 3600);

/// Looks after an instance, for whoever its rules name in `[access] administrators`, and for the user that
/// it runs as. It maps nothing: rights to read tables are neither needed nor given.
///
/// Any number of threads may use it, one call at a time. When the daemon was restarted the next call
/// attaches anew.
#[derive(Debug)]
pub struct Administrator {
    place: Place,
    connection: Mutex<Arc<Connection>>,
}

impl Administrator {
    /// Attaches to the daemon.
    ///
    /// # Errors
    /// [`Error::NoDaemon`], [`Error::Denied`], [`Error::Layout`], [`Error::SocketPathTooLong`].
    pub fn attach(options: &Options) -> Result<Self, Error> {
        let place = Place::of(options)?;
        let connection = Connection::open(&place, ROLE_ADMIN, options.attach_time())?;
        Ok(Self { place, connection: Mutex::new(Arc::new(connection)) })
    }

    /// State of the instance, as the daemon sees it, as far as this process may see it.
    ///
    /// # Errors
    /// [`Error::Disconnected`], [`Error::Denied`].
    pub fn status(&self) -> Result<Json, Error> {
        self.ask(&Call::Status, CALL, "status")
    }

    /// Has the daemon open every seal and compare store, working copy and segment; says what differs.
    ///
    /// # Errors
    /// As [`Administrator::status`].
    pub fn check(&self) -> Result<Json, Error> {
        self.ask(&Call::Check, LONG, "check")
    }

    /// Has the daemon copy its store, consistently, to a new file. A relative path is of this process.
    ///
    /// # Errors
    /// [`Error::Refused`]: the file is there already, or cannot be written.
    pub fn backup(&self, path: &Path) -> Result<Json, Error> {
        self.ask(&backup(path)?, LONG, "backup")
    }

    /// Has the daemon begin a rotation: it makes a new data key, for the cipher of this name or for the
    /// present one, and seals everything anew with it while it goes on serving. Returns when the new
    /// key is in use; how far the rest is, [`Administrator::status`] says in `store.rotation`.
    ///
    /// # Errors
    /// [`Error::Refused`]: one is under way, the cipher is unknown, or the key provider cannot wrap.
    pub fn rotate_key(&self, cipher: Option<&str>) -> Result<Json, Error> {
        self.ask(&Call::RotateKey(cipher.map(str::to_owned)), LONG, "rotate")
    }

    fn ask(&self, call: &Call, timeout: Duration, what: &str) -> Result<Json, Error> {
        let connection = {
            let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
            if !connection.is_up() {
                *connection = Arc::new(Connection::try_open(&self.place, ROLE_ADMIN)?);
            }
            connection.clone()
        };
        json_of(connection.call(call, timeout, what)?.0, what)
    }
}

/// The call for a copy of the store at `path`.
pub(crate) fn backup(path: &Path) -> Result<Call, Error> {
    let path = std::path::absolute(path)
        .map_err(|e| Error::io(format!("backup to {}", path.display()), e))?;
    match path.to_str() {
        Some(text) => Ok(Call::Backup(text.to_owned())),
        None => Err(Error::Usage(format!("backup to {}: the path is not UTF-8", path.display()))),
    }
}

/// What an answer in JSON says.
pub(crate) fn json_of(answer: Answer, what: &str) -> Result<Json, Error> {
    match answer {
        Answer::Text(text) => serde_json::from_str(&text)
            .map_err(|e| Error::Protocol(format!("the answer to {what:?} is no JSON: {e}"))),
        _ => Err(wrong_answer(what)),
    }
}
