//! Who may do what: peer credentials and rules go in, [`Rights`] or a denial come out.
//!
//! This is the only place that decides it. The daemon's own user may do everything: it can read the key
//! and the configuration anyway. For everybody else, root too, the rules of the configuration hold, and
//! without one nothing is allowed.

use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use nix::unistd::{Group, User};
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::limits;
use shmirror_shm::wire;
use shmirror_shm::wire_io::{self, PeerCredentials, WireError};

use crate::config::{AccessConfig, Config, NamespaceConfig, Principal, Who};
use crate::error::DaemonError;
use crate::rights::Rights;

/// Who is at the other end, as the kernel tells it (`SO_PEERCRED`, `SO_PEERGROUPS`), never as the
/// client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Process id, in the daemon's PID namespace (0 where it is outside of it).
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// Its group, and its supplementary ones.
    pub groups: Arc<[u32]>,
    /// PID namespace, by the inode of `/proc/PID/ns/pid`.
    pub pid_namespace: u64,
}

impl Peer {
    /// The peer of a connected socket.
    pub fn of(socket: impl AsFd) -> Result<Self, WireError> {
        let socket = socket.as_fd();
        let PeerCredentials { pid, uid, gid } = wire_io::peer_credentials(socket)?;
        let mut groups = wire_io::peer_groups(socket)?;
        groups.push(gid);
        // Where its /proc entry may not be read, it is taken to be in the daemon's own namespace.
        let namespace_of =
            |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/pid")).map(|meta| meta.ino());
        let pid_namespace =
            namespace_of(&pid.to_string()).or_else(|_| namespace_of("self")).unwrap_or(0);
        Ok(Self { pid, uid, groups: groups.into(), pid_namespace })
    }
}

/// What a peer may not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("uid {uid} may not {action}: no rule of this instance allows it")]
pub(crate) struct Denied {
    uid: u32,
    action: String,
}

impl Denied {
    /// `uid` may not do what `action` says.
    pub fn new(uid: u32, action: impl Into<String>) -> Self {
        Self { uid, action: action.into() }
    }

    /// The same words whether there is such a namespace or not.
    pub fn reading(uid: u32, namespace: &str) -> Self {
        // As the client wrote it: of any length, and with anything in it.
        let named: String = namespace.chars().take(limits::NAMESPACE_BYTES).collect();
        Self::new(uid, format!("read namespace {named:?}, if there is one"))
    }
}

/// A bit set of `ROLE_*`, written as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Roles(pub u32);

impl Roles {
    const WORDS: [(u32, &'static str); 4] = [
        (wire::ROLE_MIRROR, "read"),
        (wire::ROLE_PRODUCER, "write"),
        (wire::ROLE_SUBSCRIBER, "subscribe"),
        (wire::ROLE_ADMIN, "ask"),
    ];

    /// The words of the roles in the set.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        Self::WORDS.into_iter().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, word)| word)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.words();
        f.write_str(words.next().unwrap_or("attach"))?;
        words.try_for_each(|word| write!(f, ", {word}"))
    }
}

/// Users and groups, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Named {
    everyone: bool,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
}

impl Named {
    /// Looks the names up, as the system has them now.
    fn resolve(principals: &[Principal]) -> Result<Self, String> {
        let mut named = Self::default();
        for principal in principals {
            let unknown = |what: &str, name: &str| {
                format!("{principal}: the system knows no {what} {name:?}")
            };
            let failed =
                |error: nix::Error| format!("{principal}: it cannot be looked up: {error}");
            match principal {
                Principal::Everyone => named.everyone = true,
                Principal::User(Who::Id(uid)) => _ = named.uids.insert(*uid),
                Principal::Group(Who::Id(gid)) => _ = named.gids.insert(*gid),
                Principal::User(Who::Name(name)) => {
                    let user = User::from_name(name).map_err(failed)?;
                    named.uids.insert(user.ok_or_else(|| unknown("user", name))?.uid.as_raw());
                }
                Principal::Group(Who::Name(name)) => {
                    let group = Group::from_name(name).map_err(failed)?;
                    named.gids.insert(group.ok_or_else(|| unknown("group", name))?.gid.as_raw());
                }
            }
        }
        Ok(named)
    }

    fn has(&self, peer: &Peer) -> bool {
        self.everyone
            || self.uids.contains(&peer.uid)
            || peer.groups.iter().any(|gid| self.gids.contains(gid))
    }

    fn is_nobody(&self) -> bool {
        !self.everyone && self.uids.is_empty() && self.gids.is_empty()
    }

    /// Whether everybody in `other` is here too, by the same name.
    fn covers(&self, other: &Self) -> bool {
        self.everyone
            || !other.everyone
                && other.uids.is_subset(&self.uids)
                && other.gids.is_subset(&self.gids)
    }

    fn and(&self, other: &Self) -> Self {
        Self {
            everyone: self.everyone || other.everyone,
            uids: &self.uids | &other.uids,
            gids: &self.gids | &other.gids,
        }
    }
}

/// The rule of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    namespace: u16,
    /// Those who write among them.
    readers: Named,
    writers: Named,
}

/// The rules of an instance, users and groups by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    owner: u32,
    administrators: Named,
    rules: Vec<Rule>,
}

impl Rules {
    /// The rules of `config` for a daemon that runs as `owner`. The catalogue has a number for each of
    /// the namespaces.
    pub fn resolve(
        config: &Config,
        owner: u32,
        catalogue: &Catalogue,
    ) -> Result<Self, DaemonError> {
        let bad = |section: String| {
            move |message: String| DaemonError::Config {
                file: config.file.clone(),
                message: format!("{section}: {message}"),
            }
        };
        let AccessConfig { administrators } = &config.access;
        let administrators =
            Named::resolve(administrators).map_err(bad("access.administrators".to_owned()))?;
        let mut rules = Vec::with_capacity(config.namespaces.len());
        for (name, NamespaceConfig { readers, writers }) in &config.namespaces {
            let Some(namespace) = catalogue.namespace_id(name) else { continue };
            let part = |what, principals| {
                Named::resolve(principals).map_err(bad(format!("namespaces.{name}.{what}")))
            };
            let (readers, writers) = (part("readers", readers)?, part("writers", writers)?);
            rules.push(Rule { namespace, readers: readers.and(&writers), writers });
        }
        Ok(Self { owner, administrators, rules })
    }

    /// What `peer` may do.
    pub fn rights(&self, peer: &Peer) -> Rights {
        if peer.uid == self.owner {
            return Rights::all();
        }
        let of = |pick: fn(&Rule) -> &Named| -> Vec<u16> {
            self.rules.iter().filter(|r| pick(r).has(peer)).map(|r| r.namespace).collect()
        };
        let administers = self.administrators.has(peer);
        Rights::of(&of(|r| &r.readers), &of(|r| &r.writers), administers)
    }

    /// Whether anybody but the daemon's own user may attach.
    pub fn admits_others(&self) -> bool {
        !self.administrators.is_nobody() || self.rules.iter().any(|r| !r.readers.is_nobody())
    }

    /// Numbers of the namespaces that somebody could read by these rules and perhaps cannot by `next`.
    pub fn withdrawn(&self, next: &Self) -> Vec<u16> {
        let nobody = Named::default();
        let still = |namespace| {
            next.rules.iter().find(|r| r.namespace == namespace).map_or(&nobody, |r| &r.readers)
        };
        let lost = |r: &&Rule| !still(r.namespace).covers(&r.readers);
        self.rules.iter().filter(lost).map(|r| r.namespace).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, groups: &[u32]) -> Peer {
        Peer { pid: 1, uid, groups: groups.into(), pid_namespace: 0 }
    }

    fn rules(text: &str) -> Rules {
        let config = Config::parse("/d", std::path::Path::new("/d/c"), text).unwrap();
        let mut catalogue = Catalogue::default();
        config.namespaces.keys().for_each(|name| _ = catalogue.add_namespace(name));
        Rules::resolve(&config, 1000, &catalogue).unwrap()
    }

    #[test]
    fn without_a_rule_the_daemons_user_alone() {
        let rules = rules("");
        assert!(rules.rights(&peer(1000, &[])).is_everything());
        for uid in [0, 1001] {
            assert!(!rules.rights(&peer(uid, &[0, 1000])).may_attach(), "{uid}");
        }
        assert!(!rules.admits_others());
    }

    #[test]
    fn users_and_groups_supplementary_ones_too() {
        let text = "[namespaces.plant]\nreaders = ['group:50', 'user:7']\nwriters = ['group:60']\n\
                    [namespaces.main]\nreaders = ['everyone']\n[access]\nadministrators = ['user:0']\n";
        let rules = rules(text);
        let plant = 1;
        let reader = rules.rights(&peer(8, &[3, 50]));
        assert!(reader.may_read(plant) && reader.may_read(0) && !reader.may_write_any());
        assert!(rules.rights(&peer(7, &[7])).may_read(plant));
        let writer = rules.rights(&peer(9, &[60]));
        assert!(writer.may_read(plant) && writer.may_write(plant) && !writer.may_write(0));
        let other = rules.rights(&peer(9, &[9]));
        assert!(other.may_read(0) && !other.may_read(plant) && !other.administers());
        assert!(rules.rights(&peer(0, &[0])).administers() && rules.admits_others());
    }

    #[test]
    fn what_a_change_of_rules_takes_away() {
        let before = rules("[namespaces.plant]\nreaders = ['user:7']\nwriters = ['user:8']");
        let same = rules("[namespaces.plant]\nreaders = ['user:7', 'user:8', 'user:9']");
        assert!(before.withdrawn(&same).is_empty());
        for text in ["", "[namespaces.plant]\nreaders = ['user:7']", "[namespaces.plant]"] {
            assert_eq!(before.withdrawn(&rules(text)), [1], "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_told() {
        let text = "[namespaces.plant]\nreaders = ['group:nobody-is-in-this-one']";
        let config = Config::parse("/d", std::path::Path::new("/d/c"), text).unwrap();
        let mut catalogue = Catalogue::default();
        catalogue.add_namespace("plant");
        let error = Rules::resolve(&config, 1000, &catalogue).unwrap_err().to_string();
        assert!(error.contains("namespaces.plant.readers"), "{error}");
        assert!(error.contains("nobody-is-in-this-one"), "{error}");
    }
}
