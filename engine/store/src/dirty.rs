//! What the checkpoint has still to do: the rows that the log's tail touches, and of its groups, how many
//! records are still the newest of their row.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// Most births in the index. Without an entry a superseded image may be written and then overwritten:
/// more work, the same result.
const INDEXED: usize = 1 << 24;
/// Most groups of which it is known what is left of them. Others are opened.
const GROUPS: usize = 1 << 18;

/// Which revision is the newest of each row that the log's tail touches.
#[derive(Default)]
pub(crate) struct DirtyRows {
    newest: HashMap<u64, u64, BuildHasherDefault<BirthHasher>>,
    tail: Tail,
    /// Sealed bytes of the log's tail.
    pub bytes: u64,
}

impl DirtyRows {
    pub fn rows(&self) -> usize {
        self.newest.len()
    }

    /// Notes a group that was committed: its revisions, its sealed bytes, and which of them wrote which row.
    pub fn commit(&mut self, first: u64, last: u64, sealed_bytes: u64, rows: &[(u64, u64)]) {
        self.bytes += sealed_bytes;
        let mut newest = rows.len();
        for &(birth, revision) in rows {
            let Some(before) = self.note(birth, revision) else { continue };
            if before >= first {
                newest -= 1;
            } else {
                self.tail.superseded(before);
            }
        }
        self.tail.push(TailGroup { first, last, sealed_bytes, records: rows.len(), newest });
    }

    /// Notes that `revision` wrote the row; the one before, where it was noted.
    fn note(&mut self, birth: u64, revision: u64) -> Option<u64> {
        if self.newest.len() < INDEXED {
            self.newest.insert(birth, revision)
        } else {
            self.newest.get_mut(&birth).map(|newest| std::mem::replace(newest, revision))
        }
    }

    /// Notes `revision`, unless the row was noted before; whether it was not. For walking backwards:
    /// the cap does not hold here, as recovery needs every row that the tail mentions.
    pub fn note_first(&mut self, birth: u64, revision: u64) -> bool {
        match self.newest.entry(birth) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(revision);
                true
            }
        }
    }

    /// Whether the tail mentions the row. Complete after [`DirtyRows::note_first`] alone.
    pub fn mentions(&self, birth: u64) -> bool {
        self.newest.contains_key(&birth)
    }

    /// Whether no later record of the row was noted.
    pub fn is_newest(&self, birth: u64, revision: u64) -> bool {
        self.newest.get(&birth).is_none_or(|&newest| newest <= revision)
    }

    /// The record is in table `row`.
    pub fn forget(&mut self, birth: u64, revision: u64) {
        if self.newest.get(&birth) == Some(&revision) {
            self.newest.remove(&birth);
        }
    }

    /// The group that begins at `first`, where it is known that no record of it is the newest of its row.
    pub fn superseded_group(&self, first: u64) -> Option<&TailGroup> {
        self.tail.superseded_group(first)
    }

    /// Groups up to this revision, with so many sealed bytes, are checkpointed.
    pub fn checkpointed(&mut self, revision: u64, sealed_bytes: u64) {
        self.bytes = self.bytes.saturating_sub(sealed_bytes);
        self.tail.forget(revision);
    }
}

/// A group that is not checkpointed yet.
pub(crate) struct TailGroup {
    first: u64,
    pub last: u64,
    pub sealed_bytes: u64,
    /// Its row records.
    pub records: usize,
    /// Those of them, at most, that no later record supersedes.
    newest: usize,
}

/// Groups of the log's tail that were committed since the start, oldest first.
#[derive(Default)]
struct Tail {
    groups: VecDeque<TailGroup>,
    /// Place of the group that was found last: rows are often written in the same order again.
    found: usize,
}

impl Tail {
    fn push(&mut self, group: TailGroup) {
        if self.groups.len() < GROUPS {
            self.groups.push_back(group);
        }
    }

    /// A record of `revision` is not the newest of its row any more.
    fn superseded(&mut self, revision: u64) {
        let has = |group: &TailGroup| (group.first..=group.last).contains(&revision);
        if !self.groups.get(self.found).is_some_and(has) {
            self.found = self.groups.partition_point(|group| group.last < revision);
        }
        if let Some(group) = self.groups.get_mut(self.found)
            && has(group)
        {
            group.newest = group.newest.saturating_sub(1);
        }
    }

    /// The group that begins at `first`, if nothing of it is the newest any more. Those before it are checkpointed.
    fn superseded_group(&self, first: u64) -> Option<&TailGroup> {
        let at = self.groups.partition_point(|group| group.first < first);
        self.groups.get(at).filter(|group| group.first == first && group.newest == 0)
    }

    /// Groups up to this revision are checkpointed.
    fn forget(&mut self, checkpoint: u64) {
        while self.groups.front().is_some_and(|group| group.last <= checkpoint) {
            self.groups.pop_front();
            self.found = self.found.saturating_sub(1);
        }
        if self.groups.is_empty() {
            self.groups.shrink_to(1 << 10);
        }
    }
}

/// Births are consecutive numbers: one multiplication spreads them.
#[derive(Default)]
pub(crate) struct BirthHasher(u64);

impl Hasher for BirthHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0 ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group: its first and last revision, and its rows as they are noted.
    type Known = (u64, u64, Vec<(u64, u64)>);

    #[test]
    fn a_group_is_superseded_when_none_of_its_records_is_the_newest() {
        let mut random = 0x9E37_79B9_7F4A_7C15u64;
        let mut below = |bound: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % bound
        };
        let mut superseded = 0;
        for births in [1, 3, 20, 300] {
            let mut dirty = DirtyRows::default();
            let (mut tail, mut revision) = (Vec::<Known>::new(), 0);
            for step in 0..600 {
                if below(4) > 0 {
                    let first = revision + 1;
                    let mut rows = vec![];
                    for _ in 0..=below(4) {
                        revision += 1;
                        rows.extend((0..below(5)).map(|_| (1 + below(births), revision)));
                    }
                    dirty.commit(first, revision, 10, &rows);
                    tail.push((first, revision, rows));
                } else if !tail.is_empty() {
                    let (_, last, rows) = tail.remove(0);
                    rows.iter().for_each(|&(birth, revision)| dirty.forget(birth, revision));
                    dirty.checkpointed(last, 10);
                }
                assert_eq!(dirty.bytes, 10 * tail.len() as u64);
                assert_eq!(dirty.tail.groups.len(), tail.len());
                for (i, (first, last, rows)) in tail.iter().enumerate() {
                    let later = |birth| {
                        tail[i + 1..]
                            .iter()
                            .any(|(_, _, rows)| rows.iter().any(|&(other, _)| other == birth))
                    };
                    let expected = rows.iter().all(|&(birth, _)| later(birth));
                    let found = dirty.superseded_group(*first);
                    assert_eq!(found.is_some(), expected, "step {step}, group {first} to {last}");
                    let told = found.map(|group| (group.last, group.records, group.sealed_bytes));
                    assert!(told.is_none_or(|told| told == (*last, rows.len(), 10)));
                    superseded += usize::from(expected);
                }
            }
        }
        assert!(superseded > 1_000, "{superseded}");
    }

    #[test]
    fn what_was_there_at_the_start_and_what_is_too_much_is_never_superseded() {
        let mut dirty = DirtyRows::default();
        dirty.note_first(7, 5);
        dirty.commit(6, 6, 10, &[(7, 6)]);
        assert!(dirty.superseded_group(5).is_none());
        let most = GROUPS as u64;
        for revision in 7..=most + 20 {
            dirty.commit(revision, revision, 10, &[(7, revision)]);
        }
        assert_eq!(dirty.tail.groups.len(), GROUPS);
        assert!(dirty.superseded_group(6).is_some());
        for unknown in most + 10..=most + 20 {
            assert!(dirty.superseded_group(unknown).is_none(), "{unknown}");
        }
        dirty.checkpointed(most, 0);
        dirty.commit(most + 21, most + 21, 10, &[(7, most + 21)]);
        dirty.commit(most + 22, most + 22, 10, &[(7, most + 22)]);
        assert!(dirty.superseded_group(most + 21).is_some());
        assert!(dirty.superseded_group(most + 22).is_none());
    }
}
