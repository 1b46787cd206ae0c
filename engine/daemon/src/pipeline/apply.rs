//! Stage 2, apply: each request of the [`Batch`] runs in the working copy, where SQLite holds it to
//! all rules; out comes [`Applied`], a group of changes with revisions, and the verdicts.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use shmirror_shm::key::Key;
use shmirror_shm::points::{self, Point};
use shmirror_shm::record::{Operation, RecordHeader};
use shmirror_shm::snapshot::FORESEEN;

use super::Pipeline;
use super::batch::{Batch, Taken, WORK, put_behind};
use super::group::{Accepted, Group, Verdict};
use super::segments::Segments;
use crate::apply::{self, Budget, RowRevisions, SchemaDelta};
use crate::clock;
use crate::refusal::Refusal;

/// Bytes of records after which a group takes no further request.
const RECORD_BYTES: usize = 32 << 20;
/// Time after which a group takes no further request: the first of it are waiting for the commit, and who
/// comes meanwhile from elsewhere waits for all of it.
const GROUP_TIME: Duration = Duration::from_millis(25);

/// Time after which a group takes no further request if several lanes have a part in it, or another one is in
/// use, as a part of the time that a commit takes: what one lane has, and be it full, adds less than half
/// to what others wait for. Committing, publishing and answering it takes about twice as long again.
const SHARED_PART: u32 = 8;
/// Its bounds: something is to be done in each group, and a slow disk is no leave to take all the time.
const SHARED_TIME: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(5));
/// Time after which a request is slow: it ends its group, and other lanes come first then.
const SLOW: Duration = Duration::from_millis(50);

/// A group that SQLite's rules accepted; the working copy holds it uncommitted.
pub(super) struct Applied {
    group: Group,
}

impl Applied {
    /// For the next stage.
    pub fn into_group(self) -> Group {
        self.group
    }
}

/// Revisions as a transaction within a group sees them.
struct Seen<'a> {
    group: &'a Group,
    segments: &'a Segments,
}

impl RowRevisions for Seen<'_> {
    fn revision_of(&self, table: u32, key: &Key) -> Option<u64> {
        match self.group.identity_of(table, key) {
            Some(within) => within.map(|(_, revision)| revision),
            None => self.segments.find(table, key).map(|located| located.revision),
        }
    }
}

impl Pipeline {
    /// Applies what of the batch fits into one group; the rest is carried to the next.
    pub(super) fn apply(&mut self, batch: Batch) -> Applied {
        self.last_at_us = clock::now_after(self.last_at_us);
        let spare = std::mem::take(&mut self.spare);
        let mut group = Group::new(self.newest_revision, self.next_birth, self.last_at_us, spare);
        if let Err(error) = self.working.begin_group() {
            group.poison = Some(Refusal::internal(&error));
        }
        let started = Instant::now();
        let mut requests = batch.into_requests();
        let (mut last, mut slow) = (started, None);
        let first = requests.front().map(|taken| taken.lane);
        let shared = requests.iter().any(|taken| Some(taken.lane) != first);
        // Whoever has anything here gets something done.
        let mut lanes: HashSet<u64> = match shared {
            true => requests.iter().map(|taken| taken.lane).collect(),
            false => HashSet::new(),
        };
        let fair = !points::is_put_in(Point::UnfairShares);
        let shared_time = (self.commit_time / SHARED_PART).clamp(SHARED_TIME.0, SHARED_TIME.1);
        while let Some(taken) = requests.pop_front() {
            let lane = taken.lane;
            self.apply_one(taken, &mut group);
            let now = Instant::now();
            if now - last > SLOW {
                slow = Some(lane);
            }
            last = now;
            // A schema change, or a failure of the working copy itself, ends the group.
            lanes.remove(&lane);
            let time = now - started;
            let has_its_share = fair
                && time > shared_time
                && lanes.is_empty()
                && (shared || self.lanes.others_are_in_use(lane, now));
            if has_its_share {
                lanes = self.admit_late(&mut requests);
            }
            let full = group.records.len() * 8 > RECORD_BYTES
                || time > GROUP_TIME
                || has_its_share && lanes.is_empty();
            if full || slow.is_some() || group.schema.is_some() || group.poison.is_some() {
                break;
            }
        }
        while let Some(taken) = requests.pop_back() {
            self.carry.push_front(taken);
        }
        if let Some(lane) = slow {
            put_behind(lane, &mut self.carry);
        }
        Applied { group }
    }

    fn apply_one(&mut self, taken: Taken, group: &mut Group) {
        let Taken { lane, ticket, uid, pid, rights, request, .. } = taken;
        let origin = RecordHeader {
            revision: group.newest + 1,
            at_us: group.at_us,
            uid,
            pid,
            lane,
            ticket,
            ..RecordHeader::default()
        };
        let outcome = request.and_then(|request| {
            let time = self.instance.config.limits.transaction_time;
            self.instance.pulse.vouch(time.saturating_add(WORK));
            let budget = Budget { time, ..Budget::default() };
            let seen = Seen { group, segments: &self.segments };
            let applied = self.working.apply_as(&rights, &request, &seen, &budget)?;
            Ok(self.take_changes(applied, &origin, group))
        });
        if group.newest == origin.revision || group.sequences.is_some() {
            group.first_change.get_or_insert(group.verdicts.len());
        }
        group.verdicts.push(Verdict { lane, ticket, uid, pid, rights, outcome });
        if let Some(why) = self.working.broken() {
            tracing::error!(why, "the working copy failed; the group is taken back");
            group.poison = Some(Refusal::internal(&why));
        }
    }

    /// Moves the changes of one transaction into the group and gives it its revision, if it changed
    /// anything.
    fn take_changes(
        &self,
        applied: apply::Applied,
        origin: &RecordHeader,
        group: &mut Group,
    ) -> Accepted {
        let mut last = None;
        if applied.sequences.is_some() {
            group.sequences = applied.sequences;
        }
        if let Some(schema) = applied.schema {
            for &namespace in &schema.parts {
                last = Some(group.records.len());
                let origin = RecordHeader { namespace, ..*origin };
                match schema.catalogue.part(namespace).to_bytes() {
                    Ok(archive) => {
                        let table = self.subject(&schema, namespace);
                        group.change_schema(&archive, table, origin);
                    }
                    Err(error) => group.poison = Some(Refusal::internal(&error)),
                }
            }
            group.schema = Some(schema);
        }
        group.reserve(applied.changes.len());
        for (index, delta) in applied.changes.iter().enumerate() {
            if index % FORESEEN == 0
                && let Some((namespace, table, keys)) = applied.changes.keys(index, FORESEEN)
                && let Some(part) = self.segments.part(namespace)
            {
                part.segment.foresee(table, keys);
            }
            // What is new has no number yet: there is nothing to look up.
            let is_new = delta.operation == Operation::Insert;
            let find = || self.segments.part(delta.namespace)?.segment.find(delta.table, delta.key);
            let found = if is_new { None } else { find() };
            last = Some(group.records.len());
            let birth = found.map(|located| located.birth);
            group.change(&delta, applied.changes.image(index), birth, origin);
        }
        if let Some(start) = last {
            group.mark_last(start);
            group.newest = origin.revision;
        }
        Accepted { revision: group.newest, changes: applied.count, sets: applied.results }
    }

    /// The table of a namespace that a change of schema is about; 0 where there are several, or none.
    fn subject(&self, schema: &SchemaDelta, namespace: u16) -> u32 {
        let (before, after) = (&self.catalogue, &schema.catalogue);
        let is_its = |table: &&u32| {
            let def = after.table_by_id(**table).or_else(|| before.table_by_id(**table));
            def.and_then(|def| after.namespace_id(&def.namespace)) == Some(namespace)
        };
        let dropped = schema.dropped.iter().map(|(table, _)| table);
        let all = schema.created.iter().chain(&schema.reshaped).chain(dropped);
        let mut about = all.filter(is_its);
        match (about.next(), about.next()) {
            (Some(one), None) => *one,
            _ => 0,
        }
    }
}
