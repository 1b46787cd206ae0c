//! What the commands on keys have in common: which store, where keys are, and who gives passphrases.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use shmirror_daemon::config::{Config, FILE_NAME};
use shmirror_daemon::keys::{ProviderName, Secrets};
use shmirror_daemon::passphrase::Asking;

use crate::failure::Failure;

/// What the exit status says, for `--help`.
pub const STATUS: &str = "\
Exit status:
  0  done      1  refused or failed      2  wrong usage, or it cannot start
  3  a key is missing: file, variable, credential, or nobody to ask for the passphrase
  4  wrong passphrase, of the store or of private.pem
  5  another key than the store's
  6  a key that cannot be used: no key in that form, too short, open to others, an empty passphrase
  7  the store's key provider is not known here";

/// Which store.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Data directory of the store
    #[arg(long, value_name = "DIR", default_value = "shmirror-data")]
    pub data: PathBuf,
    /// Configuration file [default: DIR/shmirror.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl Which {
    /// Its configuration.
    pub fn config(&self) -> Result<Config, Failure> {
        let own = self.data.join(FILE_NAME);
        match &self.config {
            Some(file) => Ok(Config::load(&self.data, file)?),
            None if own.symlink_metadata().is_ok() => Ok(Config::load(&self.data, &own)?),
            None => Ok(Config::default_for(&self.data)),
        }
    }
}

/// A key provider on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Named {
    /// A file with a key
    KeyFile,
    /// A passphrase, through Argon2id
    Passphrase,
    /// An RSA key pair in PEM
    Rsa,
    /// An environment variable
    Environment,
    /// A credential of systemd
    Credential,
}

impl From<Named> for ProviderName {
    fn from(named: Named) -> Self {
        match named {
            Named::KeyFile => Self::KeyFile,
            Named::Passphrase => Self::Passphrase,
            Named::Rsa => Self::Rsa,
            Named::Environment => Self::Environment,
            Named::Credential => Self::Credential,
        }
    }
}

/// Where the RSA keys are.
#[derive(Args, Clone, Debug, Default)]
pub struct PairFiles {
    /// File of the public RSA key, instead of the configured one
    #[arg(long, value_name = "FILE")]
    public: Option<PathBuf>,
    /// File of the private RSA key, instead of the configured one
    #[arg(long, value_name = "FILE")]
    private: Option<PathBuf>,
}

impl PairFiles {
    /// `config` with what was said here. Paths are from the working directory.
    pub fn over(&self, config: &mut Config) -> Result<(), Failure> {
        for (said, place) in
            [(&self.public, &mut config.key.public), (&self.private, &mut config.key.private)]
        {
            if let Some(path) = said {
                *place = absolute(path)?;
            }
        }
        Ok(())
    }
}

/// Where keys are and how new ones are made, instead of what the configuration says.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "The new key, instead of what the configuration says")]
pub struct Particulars {
    /// key-file: the file; made where there is none
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    pair: PairFiles,
    /// rsa: bits of a new pair: 3072, 4096 or 8192
    #[arg(long, value_name = "BITS")]
    rsa_bits: Option<usize>,
    /// rsa: put a new private key under a passphrase
    #[arg(long)]
    protect: bool,
    /// environment: the variable
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// credential: its name in $CREDENTIALS_DIRECTORY
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
}

impl Particulars {
    /// `config` with what was said here, and lines for a configuration file which say the same.
    pub fn over(&self, config: &Config) -> Result<(Config, Vec<String>), Failure> {
        let mut over = config.clone();
        self.pair.over(&mut over)?;
        if let Some(path) = &self.key_file {
            over.store.key_file = absolute(path)?;
        }
        if let Some(bits) = self.rsa_bits {
            if ![3_072, 4_096, 8_192].contains(&bits) {
                let what = format!("--rsa-bits {bits}: 3072, 4096 or 8192 expected");
                return Err(Failure::Usage(what));
            }
            over.key.rsa_bits = bits;
        }
        over.key.protect = self.protect;
        over.key.variable = self.variable.clone().unwrap_or(over.key.variable);
        over.key.credential = self.credential.clone().unwrap_or(over.key.credential);
        if over.key.variable.is_empty() || over.key.variable.contains('=') {
            return Err(Failure::Usage(format!(
                "--variable {:?}: a name expected",
                over.key.variable
            )));
        }
        if over.key.credential.is_empty() || over.key.credential.contains('/') {
            let what = format!("--credential {:?}: a name expected", over.key.credential);
            return Err(Failure::Usage(what));
        }
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut lines = vec![];
        for (section, name, before, now) in [
            ("store", "key_file", text(&config.store.key_file), text(&over.store.key_file)),
            ("key", "public", text(&config.key.public), text(&over.key.public)),
            ("key", "private", text(&config.key.private), text(&over.key.private)),
            ("key", "variable", config.key.variable.clone(), over.key.variable.clone()),
            ("key", "credential", config.key.credential.clone(), over.key.credential.clone()),
        ] {
            if before != now {
                // JSON's strings are TOML's.
                lines.push(format!("[{section}] {name} = {}", serde_json::Value::from(now)));
            }
        }
        Ok((over, lines))
    }
}

/// Passphrases from descriptor `fd`, or else the terminal. To be called before anything is opened.
pub fn asking(fd: Option<i32>) -> Result<Asking, Failure> {
    match fd {
        Some(number) => Asking::descriptor(number).map_err(|e| {
            Failure::Usage(format!("file descriptor {number} cannot be read from: {e}"))
        }),
        None => Ok(Asking::terminal()),
    }
}

/// What opens the store of `config`; the key's variable goes out of the environment.
pub fn secrets(asking: Asking, config: &Config) -> Secrets {
    Secrets::new(Arc::new(asking)).take_variable(&config.key)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(Failure::file(path))
}
