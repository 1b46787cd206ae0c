//! Who made a request: the processes that a requests lane was handed to.
//!
//! A record in a lane says which process put it there, in the words of that process: its pid, as it is
//! called in its own PID namespace. The kernel's word stands beside what each process called itself when
//! it attached, so a claim is looked up, never taken over:
//!
//! ```text
//! one attached process called itself so           its pid, as the kernel has it
//! several did                                      the one that the kernel calls so too, else 0
//! nobody did, one is called so by the kernel       that
//! nobody, and one process ever had the lane        that
//! nobody, and several had it                       0: it may be any of them
//! ```
//! Processes of one lane have one uid and the same rights, and could write each other's memory: which of
//! them it was can be told no better.

use std::collections::{HashMap, HashSet};

use crate::access::{Peer, Rules};
use crate::rights::Rights;

/// Most processes that are remembered after they have gone.
const GONE: usize = 1_024;
/// Most different sets of groups that are remembered.
const GROUPS: usize = 64;

struct Producer {
    /// As the kernel has it.
    pid: u32,
    /// As it called itself.
    said: u32,
    /// When it went: everything that it submitted was taken once so many requests were.
    until: Option<u64>,
}

/// Which processes ever had the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ever {
    None,
    One(u32),
    Several,
}

/// The processes that one lane was handed to.
pub(super) struct Producers {
    attached: HashMap<u64, Producer>,
    /// The oldest first.
    gone: Vec<Producer>,
    ever: Ever,
    /// Those that ever had it, by what their rights follow from; `None` where they are too many.
    peers: Option<HashSet<Box<[u32]>>>,
    uid: u32,
}

impl Producers {
    /// Of a lane of this uid; nobody has it yet.
    pub fn new(uid: u32) -> Self {
        let (attached, gone) = (HashMap::new(), Vec::new());
        Self { attached, gone, ever: Ever::None, peers: Some(HashSet::new()), uid }
    }

    /// A connection gets the lane; its owner called itself `said`.
    pub fn attach(&mut self, connection: u64, peer: &Peer, said: u32) {
        self.ever = match self.ever {
            Ever::None => Ever::One(peer.pid),
            Ever::One(pid) if pid == peer.pid => self.ever,
            Ever::One(_) | Ever::Several => Ever::Several,
        };
        if let Some(peers) = &mut self.peers {
            let mut groups = peer.groups.to_vec();
            groups.sort_unstable();
            groups.dedup();
            peers.insert(groups.into());
            if peers.len() > GROUPS {
                self.peers = None;
            }
        }
        self.attached.insert(connection, Producer { pid: peer.pid, said, until: None });
    }

    /// A connection is gone. What it submitted was taken once there were `until` requests.
    pub fn detach(&mut self, connection: u64, until: u64) {
        if let Some(producer) = self.attached.remove(&connection) {
            if self.gone.len() >= GONE {
                self.gone.remove(0);
            }
            self.gone.push(Producer { until: Some(until), ..producer });
        }
    }

    /// So many requests were taken; `all`: and no other was there.
    pub fn taken(&mut self, count: u64, all: bool) {
        if !self.gone.is_empty() {
            self.gone.retain(|p| !all && p.until.is_some_and(|until| count < until));
        }
    }

    /// Whether anybody has gone of whom something may be left in the lane.
    pub fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Connections that have the lane.
    pub fn len(&self) -> usize {
        self.attached.len()
    }

    /// Whether nobody has it.
    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    /// The pid of who put a record into the lane that claims to be of `claim`; 0 where that cannot be
    /// told.
    pub fn pid_of(&self, claim: u32) -> u32 {
        let known = || self.attached.values().chain(&self.gone);
        let mut said = None;
        for producer in known().filter(|p| p.said == claim) {
            match said {
                Some(pid) if pid != producer.pid => {
                    let is_called_so = known().any(|p| p.said == claim && p.pid == claim);
                    return if is_called_so { claim } else { 0 };
                }
                _ => said = Some(producer.pid),
            }
        }
        match (said, self.ever) {
            (Some(pid), _) => pid,
            (None, _) if known().any(|p| p.pid == claim) => claim,
            (None, Ever::One(pid)) => pid,
            (None, Ever::None | Ever::Several) => 0,
        }
    }

    /// Whether by `rules` all who ever had the lane, and may have it still, may do what `rights` say.
    pub fn are_covered(&self, rules: &Rules, rights: &Rights) -> bool {
        let Some(peers) = &self.peers else { return false };
        peers.iter().all(|groups| {
            let peer =
                Peer { pid: 0, uid: self.uid, groups: groups.to_vec().into(), pid_namespace: 0 };
            rules.rights(&peer).covers(rights)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(pid: u32) -> Peer {
        Peer { pid, uid: 7, groups: [7].into(), pid_namespace: 1 }
    }

    #[test]
    fn a_claim_is_looked_up_and_never_taken_over() {
        let mut producers = Producers::new(7);
        assert_eq!(producers.pid_of(500), 0);
        producers.attach(1, &peer(500), 500);
        producers.attach(2, &peer(500), 500);
        // One process alone can be meant, whatever it claims.
        for claim in [500, 1, 0, u32::MAX] {
            assert_eq!(producers.pid_of(claim), 500);
        }
        producers.attach(3, &peer(600), 600);
        assert_eq!((producers.pid_of(500), producers.pid_of(600)), (500, 600));
        // Neither of the two: it is told of nobody.
        for claim in [1, 0, u32::MAX] {
            assert_eq!(producers.pid_of(claim), 0);
        }
    }

    #[test]
    fn in_another_pid_namespace_processes_call_themselves_otherwise() {
        let mut producers = Producers::new(7);
        producers.attach(1, &peer(9_012), 12);
        // The kernel's 12 is another process, which calls itself 3.
        producers.attach(2, &peer(12), 3);
        assert_eq!((producers.pid_of(12), producers.pid_of(3)), (9_012, 12));
        assert_eq!(producers.pid_of(9_012), 9_012);
        // Who calls itself as another does makes both unknown, but where the kernel calls it so.
        producers.attach(3, &peer(9_099), 12);
        assert_eq!(producers.pid_of(12), 0);
        let mut producers = Producers::new(7);
        producers.attach(1, &peer(500), 500);
        producers.attach(2, &peer(600), 500);
        assert_eq!(producers.pid_of(500), 500);
    }

    #[test]
    fn who_has_gone_is_known_until_all_of_its_own_was_taken() {
        let mut producers = Producers::new(7);
        producers.attach(1, &peer(500), 500);
        producers.attach(2, &peer(600), 600);
        producers.taken(10, false);
        producers.detach(1, 20);
        producers.taken(19, false);
        assert_eq!((producers.pid_of(500), producers.len()), (500, 1));
        producers.taken(20, false);
        // It may still have the lane mapped: the other one is not taken for it.
        assert_eq!((producers.pid_of(500), producers.pid_of(600)), (0, 600));
        producers.detach(2, 1_000);
        producers.taken(21, true);
        assert_eq!((producers.pid_of(600), producers.is_empty()), (0, true));
    }

    #[test]
    fn those_that_have_gone_are_bounded() {
        let mut producers = Producers::new(7);
        for pid in 1..=10_000 {
            let groups: Vec<u32> = vec![pid];
            producers.attach(pid.into(), &Peer { groups: groups.into(), ..peer(pid) }, pid);
            producers.detach(pid.into(), u64::MAX);
        }
        assert_eq!((producers.gone.len(), producers.pid_of(10_000)), (GONE, 10_000));
        assert!(producers.peers.is_none());
    }
}
