//! From the command line to an attached client.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use shmirror::{Administrator, Mirror, Options, Producer};

use crate::args::Place;
use crate::failure::Failure;

/// The daemon ends a transaction by its own limit long before.
const PATIENCE: Duration = Duration::from_secs(600);

impl Place {
    /// Options of the client crate for this place; the environment is its matter.
    pub fn options(&self) -> Options {
        let options = Options::new().program("shmirror");
        match (&self.socket, &self.instance) {
            (Some(path), _) => options.socket(path),
            (None, Some(name)) => options.instance(name),
            (None, None) => options,
        }
    }

    /// A reader.
    pub fn mirror(&self) -> Result<Mirror, Failure> {
        Ok(Mirror::attach(&self.options())?)
    }

    /// Who looks after the instance.
    pub fn administrator(&self) -> Result<Administrator, Failure> {
        Ok(Administrator::attach(&self.options())?)
    }

    /// A writer that waits for each outcome for as long as the daemon may take by far.
    pub fn producer(&self) -> Result<Producer, Failure> {
        Ok(Producer::attach(&self.options())?.with_timeout(PATIENCE))
    }

    /// Instance and socket for a daemon: the command line's, else the environment's.
    pub fn of_daemon(&self) -> (Option<String>, Option<PathBuf>) {
        let set = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty());
        if self.instance.is_some() || self.socket.is_some() {
            return (self.instance.clone(), self.socket.clone());
        }
        let instance = set("SHMIRROR_INSTANCE").map(|v| v.to_string_lossy().into_owned());
        (instance, set("SHMIRROR_SOCKET").map(PathBuf::from))
    }
}
