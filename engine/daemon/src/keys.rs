//! The key providers of an instance: from `[key]` in the configuration, and what the command line and
//! the environment add, to the providers that the store chooses from.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use shmirror_store::{
    Argon2Cost, CredentialKey, DEFAULT_CREDENTIAL, DEFAULT_VARIABLE, EnvironmentKey, KeyFile,
    KeyProvider, PRIVATE_FILE, PUBLIC_FILE, PassphraseKey, PassphraseSource, Providers, RsaFiles,
    RsaPair,
};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::passphrase::Asking;

/// A key provider, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProviderName {
    /// A file with a key.
    #[default]
    KeyFile,
    /// A passphrase, through Argon2id.
    Passphrase,
    /// An RSA key pair.
    Rsa,
    /// An environment variable.
    Environment,
    /// A credential of systemd.
    Credential,
}

impl ProviderName {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::KeyFile, Self::Passphrase, Self::Rsa, Self::Environment, Self::Credential];

    /// As configuration, command line and key slots have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeyFile => "key-file",
            Self::Passphrase => "passphrase",
            Self::Rsa => "rsa",
            Self::Environment => "environment",
            Self::Credential => "credential",
        }
    }
}

/// Section `[key]`: the provider of a store that is made now, and the particulars of each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct KeyConfig {
    /// Which provider a store gets that is made now; one that is there says itself which it has.
    pub provider: ProviderName,
    /// Memory that Argon2id takes for a new passphrase, in bytes.
    #[serde(deserialize_with = "crate::config::bytes")]
    pub argon2_memory: u64,
    /// Its passes.
    pub argon2_passes: u32,
    /// Its lanes.
    pub argon2_lanes: u32,
    /// The public RSA key; a relative path is taken from the data directory.
    pub public: PathBuf,
    /// The private RSA key; likewise.
    pub private: PathBuf,
    /// Bits of a new RSA pair.
    pub rsa_bits: usize,
    /// The environment variable.
    #[serde(deserialize_with = "variable")]
    pub variable: String,
    /// The credential's name.
    #[serde(deserialize_with = "credential")]
    pub credential: String,
    /// Whether a new private key is put under a passphrase; the command line says so.
    #[serde(skip)]
    pub protect: bool,
}

impl Default for KeyConfig {
    fn default() -> Self {
        Self {
            provider: ProviderName::default(),
            argon2_memory: u64::from(Argon2Cost::DEFAULT.memory_kib) << 10,
            argon2_passes: Argon2Cost::DEFAULT.passes,
            argon2_lanes: Argon2Cost::DEFAULT.lanes,
            public: PUBLIC_FILE.into(),
            private: PRIVATE_FILE.into(),
            rsa_bits: RsaFiles::BITS,
            variable: DEFAULT_VARIABLE.into(),
            credential: DEFAULT_CREDENTIAL.into(),
            protect: false,
        }
    }
}

fn variable<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(D::Error::custom(format!("{name:?}: the name of a variable expected"))),
        false => Ok(name),
    }
}

fn credential<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    let name = String::deserialize(d)?;
    match name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
        true => Err(D::Error::custom(format!("{name:?}: the name of a credential expected"))),
        false => Ok(name),
    }
}

impl KeyConfig {
    /// Ranges that no type holds to; what is wrong, where something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.argon2_memory.is_multiple_of(1 << 10) {
            return Err(format!("key.argon2_memory = {}: whole KiB expected", self.argon2_memory));
        }
        self.cost().check().map_err(|what| format!("key: {what}"))?;
        match self.rsa_bits {
            3_072 | 4_096 | 8_192 => Ok(()),
            other => Err(format!("key.rsa_bits = {other}: 3072, 4096 or 8192 expected")),
        }
    }

    fn cost(&self) -> Argon2Cost {
        Argon2Cost {
            memory_kib: u32::try_from(self.argon2_memory >> 10).unwrap_or(u32::MAX),
            passes: self.argon2_passes,
            lanes: self.argon2_lanes,
        }
    }

    /// The RSA pair, for the data directory `data`.
    pub fn pair(&self, data: &Path, passphrases: &Arc<dyn PassphraseSource>) -> RsaPair {
        let files = RsaFiles {
            public: data.join(&self.public),
            private: data.join(&self.private),
            bits: self.rsa_bits,
            protect: self.protect,
        };
        RsaPair::new(files, Arc::clone(passphrases))
    }
}

/// What opens a store and stands in no configuration. It shows nothing.
pub struct Secrets {
    passphrases: Arc<dyn PassphraseSource>,
    /// The value of the variable that the configuration names, where it was taken out.
    variable: Option<Zeroizing<Vec<u8>>>,
}

impl Default for Secrets {
    /// Passphrases are asked for at the terminal; the environment is left as it is.
    fn default() -> Self {
        Self::new(Arc::new(Asking::terminal()))
    }
}

impl Secrets {
    /// Passphrases come from `passphrases`; the environment is left as it is.
    pub fn new(passphrases: Arc<dyn PassphraseSource>) -> Self {
        Self { passphrases, variable: None }
    }

    /// Takes the key's variable out of the environment of this process and wipes it there, so that
    /// neither `/proc/PID/environ` nor a child has it. Whoever started the process may have it still.
    /// Nothing is done where other threads run, as they may be reading the environment.
    #[must_use]
    pub fn take_variable(mut self, config: &KeyConfig) -> Self {
        self.variable = take_variable(&config.variable);
        self
    }
}

impl Secrets {
    /// These, with the variable that was taken for `other` where it is the `same` one.
    #[must_use]
    pub fn or_variable_of(mut self, other: &Self, same: bool) -> Self {
        if same && self.variable.is_none() {
            self.variable.clone_from(&other.variable);
        }
        self
    }
}

fn take_variable(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = std::env::var_os(name)?;
    let taken = Zeroizing::new(value.as_bytes().to_vec());
    drop(Zeroizing::new(value.into_encoded_bytes()));
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    let c_name = std::ffi::CString::new(name);
    if let (true, Ok(c_name)) = (alone, c_name) {
        // SAFETY: no other thread runs, so nobody reads or changes the environment meanwhile. What
        // getenv points to is the process's own writable memory, `strlen` bytes and a zero.
        unsafe {
            let there = libc::getenv(c_name.as_ptr());
            if !there.is_null() {
                let bytes = std::slice::from_raw_parts_mut(there.cast::<u8>(), libc::strlen(there));
                zeroize::Zeroize::zeroize(bytes);
            }
            std::env::remove_var(name);
        }
    }
    Some(taken)
}

impl Config {
    /// The key providers at hand: a new store gets the one that `[key]` names.
    pub fn providers(&self, secrets: &Secrets) -> Providers {
        let mut providers = Providers::new(self.provider(self.key.provider, secrets));
        for other in ProviderName::ALL.into_iter().filter(|p| *p != self.key.provider) {
            providers = providers.and(self.provider(other, secrets));
        }
        providers
    }

    /// One of them.
    pub fn provider(&self, name: ProviderName, secrets: &Secrets) -> Box<dyn KeyProvider> {
        let passphrases = || Arc::clone(&secrets.passphrases);
        let key = &self.key;
        match name {
            ProviderName::KeyFile => Box::new(KeyFile::new(self.key_path())),
            ProviderName::Passphrase => Box::new(PassphraseKey::new(passphrases(), key.cost())),
            ProviderName::Rsa => Box::new(key.pair(&self.data, &secrets.passphrases)),
            ProviderName::Environment => {
                Box::new(EnvironmentKey::new(&key.variable, secrets.variable.clone()))
            }
            ProviderName::Credential => Box::new(CredentialKey::new(&key.credential)),
        }
    }
}
