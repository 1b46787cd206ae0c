//! Who may do what: peer credentials and a role go in, permission or a denial comes out.
//!
//! This is the only place that decides it. The rule of this version: the daemon's own uid and root
//! may do everything, nobody else anything.

use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use shmirror_shm::wire;
use shmirror_shm::wire_io::{self, PeerCredentials, WireError};

/// Who is at the other end, as the kernel tells it (`SO_PEERCRED`), never as the client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Process id, in the daemon's PID namespace (0 where it is outside of it).
    pub pid: u32,
    /// User id.
    pub uid: u32,
    /// PID namespace, by the inode of `/proc/PID/ns/pid`.
    pub pid_namespace: u64,
}

impl Peer {
    /// The peer of a connected socket.
    pub fn of(socket: impl AsFd) -> Result<Self, WireError> {
        let PeerCredentials { pid, uid, .. } = wire_io::peer_credentials(socket)?;
        // Where its /proc entry may not be read, it is taken to be in the daemon's own namespace.
        let namespace_of =
            |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/pid")).map(|meta| meta.ino());
        let pid_namespace =
            namespace_of(&pid.to_string()).or_else(|_| namespace_of("self")).unwrap_or(0);
        Ok(Self { pid, uid, pid_namespace })
    }
}

/// What a peer may not do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("uid {uid} may not {action}: this instance belongs to uid {owner}")]
pub(crate) struct Denied {
    uid: u32,
    owner: u32,
    action: Roles,
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

/// Whether `peer` may take on `roles` with the daemon that runs as `owner`.
pub(crate) fn allowed(owner: u32, peer: &Peer, roles: u32) -> Result<(), Denied> {
    if peer.uid == owner || peer.uid == 0 {
        return Ok(());
    }
    Err(Denied { uid: peer.uid, owner, action: Roles(roles) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_uid_and_root_only() {
        let peer = |uid| Peer { pid: 1, uid, pid_namespace: 0 };
        assert!(allowed(1000, &peer(1000), wire::ROLE_PRODUCER).is_ok());
        assert!(allowed(1000, &peer(0), wire::ROLE_ADMIN).is_ok());
        let denied = allowed(1000, &peer(1001), wire::ROLE_MIRROR | wire::ROLE_PRODUCER);
        let message = denied.unwrap_err().to_string();
        assert!(message.contains("1001") && message.contains("read, write"), "{message}");
        assert!(allowed(0, &peer(1000), wire::ROLE_MIRROR).is_err());
    }
}
