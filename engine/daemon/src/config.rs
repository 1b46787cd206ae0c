//! Configuration of one instance: from `shmirror.toml` (or a caller's code) to [`Config`].
//!
//! Unknown keys and bad values are refused by name and line; nothing is guessed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use shmirror_shm::catalogue::MAIN;
use shmirror_shm::limits;
use shmirror_shm::socket_path::{DEFAULT_INSTANCE, default_socket_path};
use shmirror_store::cipher::{ALGORITHMS, Algorithm};

use crate::error::DaemonError;
use crate::keys::KeyConfig;

/// Name of the configuration file in a data directory.
pub const FILE_NAME: &str = "shmirror.toml";

/// How durable an acknowledged commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// On the disk before it is acknowledged.
    Full,
    /// Survives a crash of the daemon; the last commits may be lost with the machine's power.
    Normal,
}

impl Synchronous {
    /// The word that the configuration file has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Normal => "normal",
        }
    }

    /// What an acknowledged commit is sure to survive, in a sentence.
    pub fn promise(self) -> &'static str {
        match self {
            Self::Full => {
                "an acknowledged commit is on the disk: it survives a crash of the daemon, of the \
                 system, and loss of power"
            }
            Self::Normal => {
                "an acknowledged commit survives a crash of the daemon; the last ones may be lost \
                 with a crash of the system or loss of power"
            }
        }
    }
}

/// Everything that an instance can be told. [`Config::default_for`] gives the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The data directory.
    pub data: PathBuf,
    /// The file that it was read from, or would be.
    pub file: PathBuf,
    /// Section `[instance]`.
    pub instance: InstanceConfig,
    /// Section `[store]`.
    pub store: StoreConfig,
    /// Section `[key]`.
    pub key: KeyConfig,
    /// Section `[segment]`.
    pub segment: SegmentConfig,
    /// Section `[lanes]`.
    pub lanes: LanesConfig,
    /// Section `[limits]`.
    pub limits: LimitsConfig,
    /// Section `[log]` (`serve` only).
    pub log: LogConfig,
    /// Section `[access]`.
    pub access: AccessConfig,
    /// Sections `[namespaces.NAME]`, by name.
    pub namespaces: BTreeMap<String, NamespaceConfig>,
}

/// Who looks after the instance, besides the user that it runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct AccessConfig {
    /// Who may see all of the status, check, back up and rotate keys. That alone lets nobody read or
    /// write a table.
    pub administrators: Vec<Principal>,
}

/// Who may see a namespace. The user that the daemon runs as always may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct NamespaceConfig {
    /// Who may read it.
    pub readers: Vec<Principal>,
    /// Who may read and write it.
    pub writers: Vec<Principal>,
}

/// A user or group in a rule: `user:hmi`, `user:1001`, `group:operators`, `group:50` or `everyone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(Who),
    /// All whose group, or one of whose supplementary groups, it is.
    Group(Who),
    /// All users.
    Everyone,
}

/// A user or group, as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By its number.
    Id(u32),
    /// By its name.
    Name(String),
}

impl std::fmt::Display for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, who) = match self {
            Self::Everyone => return f.write_str("everyone"),
            Self::User(who) => ("user", who),
            Self::Group(who) => ("group", who),
        };
        match who {
            Who::Id(id) => write!(f, "{kind}:{id}"),
            Who::Name(name) => write!(f, "{kind}:{name}"),
        }
    }
}

impl std::str::FromStr for Principal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "everyone" {
            return Ok(Self::Everyone);
        }
        let bad = || {
            format!(
                "{text:?}: \"user:NAME\", \"group:NAME\" (or their numbers) or \"everyone\" expected"
            )
        };
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let who = match name.parse() {
            // What setuid and chown take for "leave it as it is".
            Ok(u32::MAX) => return Err(bad()),
            Ok(id) => Who::Id(id),
            Err(_) if name.is_empty() || name.contains([':', '\0', '\n']) => return Err(bad()),
            Err(_) => Who::Name(name.to_owned()),
        };
        match kind {
            "user" => Ok(Self::User(who)),
            "group" => Ok(Self::Group(who)),
            _ => Err(bad()),
        }
    }
}

impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

/// What the instance is called and where it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct InstanceConfig {
    /// The instance's name.
    pub name: String,
    /// The control socket; by default it follows from the name.
    pub socket: Option<PathBuf>,
}

/// How commits are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StoreConfig {
    /// Durability of commits.
    pub synchronous: Synchronous,
    /// Age up to which the commit log is kept.
    #[serde(deserialize_with = "span")]
    pub log_keep: Duration,
    /// Bytes up to which the commit log is kept.
    #[serde(deserialize_with = "bytes")]
    pub log_keep_bytes: u64,
    /// The cipher of a store that is made now; one that is there has its own.
    #[serde(deserialize_with = "cipher")]
    pub cipher: Algorithm,
    /// The key file; a relative path is taken from the data directory.
    pub key_file: PathBuf,
    /// The store refuses to grow beyond so many pages, as on a full disk. For tests.
    #[doc(hidden)]
    #[serde(skip)]
    pub max_pages: Option<u32>,
}

/// The snapshot segment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SegmentConfig {
    /// Bytes of address space; by default the machine's memory.
    #[serde(deserialize_with = "reserve")]
    pub reserve: Option<u64>,
    /// Lock decrypted memory, where the limit allows it.
    pub lock_memory: bool,
}

/// The lanes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LanesConfig {
    /// Bytes of each requests lane.
    #[serde(deserialize_with = "bytes")]
    pub requests_bytes: u64,
    /// Bytes of the events lane.
    #[serde(deserialize_with = "bytes")]
    pub events_bytes: u64,
}

/// Times that work may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitsConfig {
    /// Longest time of one transaction.
    #[serde(deserialize_with = "span")]
    pub transaction_time: Duration,
    /// Longest time of one query.
    #[serde(deserialize_with = "span")]
    pub query_time: Duration,
}

/// The logs of `serve`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogConfig {
    /// error, warn, info, debug or trace.
    pub level: String,
    /// Days of log files that are kept.
    pub keep_files: usize,
}

impl Default for InstanceConfig {
    fn default() -> Self {
        Self { name: DEFAULT_INSTANCE.to_owned(), socket: None }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            log_keep: Duration::from_secs(7 * 86_400),
            log_keep_bytes: 1 << 30,
            cipher: Algorithm::DEFAULT,
            key_file: PathBuf::from("key"),
            max_pages: None,
        }
    }
}

impl Default for SegmentConfig {
    fn default() -> Self {
        Self { reserve: None, lock_memory: true }
    }
}

impl Default for LanesConfig {
    fn default() -> Self {
        Self { requests_bytes: 16 << 20, events_bytes: 16 << 20 }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self { transaction_time: Duration::from_secs(10), query_time: Duration::from_secs(30) }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), keep_files: 14 }
    }
}

/// The configuration file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FileForm {
    instance: InstanceConfig,
    store: StoreConfig,
    key: KeyConfig,
    segment: SegmentConfig,
    lanes: LanesConfig,
    limits: LimitsConfig,
    log: LogConfig,
    access: AccessConfig,
    namespaces: BTreeMap<String, NamespaceConfig>,
}

impl Config {
    /// The defaults, for a data directory.
    pub fn default_for(data: impl Into<PathBuf>) -> Self {
        Self::of(data.into(), FileForm::default())
    }

    /// The configuration in `file`, for the data directory `data`.
    ///
    /// # Errors
    /// The file cannot be read, has an unknown key, or a value out of its range.
    pub fn load(data: impl Into<PathBuf>, file: &Path) -> Result<Self, DaemonError> {
        let text = std::fs::read_to_string(file).map_err(|source| DaemonError::File {
            what: "read",
            path: file.to_owned(),
            source,
        })?;
        Ok(Self { file: file.to_owned(), ..Self::parse(data, file, &text)? })
    }

    /// The configuration in `text`; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(data: impl Into<PathBuf>, file: &Path, text: &str) -> Result<Self, DaemonError> {
        let bad = |message: String| DaemonError::Config { file: file.to_owned(), message };
        let form = toml::from_str(text).map_err(|e| bad(e.to_string().trim_end().to_owned()))?;
        let config = Self::of(data.into(), form);
        config.check().map_err(bad)?;
        Ok(config)
    }

    fn of(data: PathBuf, form: FileForm) -> Self {
        let FileForm { instance, store, key, segment, lanes, limits, log, access, .. } = form;
        let mut namespaces = form.namespaces;
        namespaces.entry(MAIN.to_owned()).or_default();
        let file = data.join(FILE_NAME);
        Self { data, file, instance, store, key, segment, lanes, limits, log, access, namespaces }
    }

    /// The text of the commented file that `serve` writes at its first start.
    pub fn template() -> &'static str {
        include_str!("config.toml")
    }

    /// Where the key file is.
    pub fn key_path(&self) -> PathBuf {
        self.data.join(&self.store.key_file)
    }

    /// Where the control socket is.
    pub fn socket_path(&self) -> PathBuf {
        let socket = self.instance.socket.clone();
        socket.unwrap_or_else(|| default_socket_path(&self.instance.name))
    }

    /// Ranges that no type holds to; what is wrong, where something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let name = &self.instance.name;
        let named = (1..=64).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !named {
            return Err(format!(
                "instance name {name:?}: 1 to 64 letters, digits, '-', '_' or '.' expected, the \
                 first not '.'"
            ));
        }
        let range = |what: &str, found: u64, least: u64, most: u64| {
            if (least..=most).contains(&found) {
                return Ok(());
            }
            Err(format!("{what} = {found}: {least} to {most} bytes expected"))
        };
        range("lanes.requests_bytes", self.lanes.requests_bytes, 64 << 10, 256 << 20)?;
        range("lanes.events_bytes", self.lanes.events_bytes, 64 << 10, 16 << 30)?;
        if let Some(reserve) = self.segment.reserve {
            range("segment.reserve", reserve, 1 << 20, 1 << 40)?;
        }
        self.key.check()?;
        self.check_namespaces()?;
        if self.limits.transaction_time.is_zero() || self.limits.query_time.is_zero() {
            return Err("limits: a time of 0 lets nothing run".to_owned());
        }
        let level = &self.log.level;
        if !["error", "warn", "info", "debug", "trace"].contains(&level.as_str()) {
            return Err(format!(
                "log.level = {level:?}: error, warn, info, debug or trace expected"
            ));
        }
        Ok(())
    }
}

impl Config {
    /// Names that SQL takes bare, and that differ in more than case.
    fn check_namespaces(&self) -> Result<(), String> {
        let names: Vec<&str> = self.namespaces.keys().map(String::as_str).collect();
        for (i, name) in names.iter().enumerate() {
            let plain = (1..=limits::NAMESPACE_BYTES).contains(&name.len())
                && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !plain {
                return Err(format!(
                    "namespaces.{name}: 1 to {} letters, digits or '_' expected, the first no digit",
                    limits::NAMESPACE_BYTES
                ));
            }
            let lower = name.to_ascii_lowercase();
            if lower == "temp" || lower.starts_with("sqlite_") || lower == MAIN && *name != MAIN {
                return Err(format!("namespaces.{name}: the name is SQLite's own"));
            }
            if let Some(other) = names[..i].iter().find(|n| n.eq_ignore_ascii_case(name)) {
                return Err(format!(
                    "namespaces.{other} and namespaces.{name} differ in case alone"
                ));
            }
        }
        let found = names.iter().filter(|n| **n != MAIN).count();
        if found > limits::NAMESPACES {
            return Err(format!(
                "{found} namespaces besides {MAIN}, at most {} allowed",
                limits::NAMESPACES
            ));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

pub(crate) fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    match NumberOrText::deserialize(d)? {
        NumberOrText::Number(n) => Ok(n),
        NumberOrText::Text(t) => parse_bytes(&t).map_err(D::Error::custom),
    }
}

fn cipher<'de, D: Deserializer<'de>>(d: D) -> Result<Algorithm, D::Error> {
    let name = String::deserialize(d)?;
    Algorithm::of_name(&name).ok_or_else(|| {
        let known: Vec<_> = ALGORITHMS.iter().map(|a| a.name).collect();
        D::Error::custom(format!("cipher {name:?}: one of {} expected", known.join(", ")))
    })
}

fn span<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
    parse_span(&String::deserialize(d)?).map_err(D::Error::custom)
}

fn reserve<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    match NumberOrText::deserialize(d)? {
        NumberOrText::Text(t) if t == "auto" => Ok(None),
        NumberOrText::Number(n) => Ok(Some(n)),
        NumberOrText::Text(t) => parse_bytes(&t).map(Some).map_err(D::Error::custom),
    }
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim()))
}

fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("{text:?}: a size such as \"512KiB\", \"16MiB\" or \"1GiB\" expected");
    let (n, unit) = split_unit(text).ok_or_else(bad)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return Err(bad()),
    };
    n.checked_mul(1 << shift).ok_or_else(bad)
}

fn parse_span(text: &str) -> Result<Duration, String> {
    let bad = || format!("{text:?}: a time such as \"500ms\", \"10s\", \"12h\" or \"7d\" expected");
    let (n, unit) = split_unit(text).ok_or_else(bad)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    n.checked_mul(millis).map(Duration::from_millis).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, DaemonError> {
        Config::parse("/data", Path::new("shmirror.toml"), text)
    }

    #[test]
    fn template_is_all_defaults_and_each_of_its_lines_is_accepted() {
        assert_eq!(parse(Config::template()).unwrap(), Config::default_for("/data"));
        let uncommented: String = Config::template()
            .lines()
            .map(|l| match l.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{l}\n"),
            })
            .collect();
        let mut expected = Config::default_for("/data");
        expected.instance.socket = Some("/run/shmirror/default.sock".into());
        assert_eq!(parse(&uncommented).unwrap(), expected);
    }

    #[test]
    fn unknown_key_is_refused_by_name_and_line() {
        let message = parse("[store]\nsynchronus = \"full\"\n").unwrap_err().to_string();
        assert!(message.contains("synchronus") && message.contains("line 2"), "{message}");
        assert!(message.contains("shmirror.toml"), "{message}");
    }

    #[test]
    fn bad_values_are_refused() {
        for text in [
            "[store]\nsynchronous = \"off\"",
            "[lanes]\nrequests_bytes = \"16 pounds\"",
            "[lanes]\nrequests_bytes = 1",
            "[limits]\nquery_time = \"0s\"",
            "[log]\nlevel = \"loud\"",
            "[instance]\nname = \"../x\"",
            "[store]\ncipher = \"rot13\"",
            "[key]\nprovider = \"padlock\"",
            "[key]\nargon2_memory = \"1MiB\"",
            "[key]\nargon2_memory = \"2GiB\"",
            "[key]\nargon2_passes = 0",
            "[key]\nrsa_bits = 2048",
            "[key]\nvariable = \"A=B\"",
            "[key]\ncredential = \"../key\"",
            "[key]\npassphrase = \"secret\"",
            "[segment]\nreserve = \"99999999999TiB\"",
            "[namespaces.\"a b\"]",
            "[namespaces.temp]",
            "[namespaces.Main]",
            "[namespaces.sqlite_x]",
            "[namespaces.plant]\n[namespaces.PLANT]",
            "[namespaces.plant]\nreaders = [\"hmi\"]",
            "[namespaces.plant]\nreaders = [\"user:\"]",
            "[namespaces.plant]\nreaders = [\"host:hmi\"]",
            "[namespaces.plant]\nowners = []",
            "[access]\nadministrators = \"user:0\"",
        ] {
            assert!(matches!(parse(text), Err(DaemonError::Config { .. })), "{text}");
        }
    }

    #[test]
    fn units() {
        assert_eq!(parse_bytes("3KiB").unwrap(), 3072);
        assert_eq!(parse_bytes("77").unwrap(), 77);
        assert_eq!(parse_span("2d").unwrap(), Duration::from_secs(172_800));
        assert!(parse_span("2").is_err());
    }
}
