//! One group commit in the making: what its transactions changed so far, and each one's verdict.
//!
//! Flow: row changes of one transaction after another go in; records for log and events, and the
//! last image of each row for the segment, come out. Later transactions of a group see the births
//! and revisions that earlier ones gave.

use std::sync::Arc;

use shmirror_shm::image::Image;
use shmirror_shm::key::Key;
use shmirror_shm::record::{FLAG_LAST, Operation, RecordHeader, encode_schema, push_row};
use shmirror_shm::request::ResultSet;
use shmirror_shm::snapshot::RowChange;

use crate::apply::places::{Places, RowHash};
use crate::apply::{Reject, RowDelta, SchemaDelta, Sequences};
use crate::refusal::Refusal;
use crate::rights::Rights;

/// What became of one request.
pub(crate) struct Verdict {
    pub lane: u64,
    pub ticket: u64,
    pub uid: u32,
    pub pid: u32,
    /// Of the lane that it came through.
    pub rights: Arc<Rights>,
    pub outcome: Result<Accepted, Reject>,
}

/// What a request that was not rejected comes to.
pub(crate) struct Accepted {
    /// Its revision, or the newest where it changed nothing.
    pub revision: u64,
    /// Rows changed.
    pub changes: u64,
    /// What its SELECTs and RETURNINGs yielded.
    pub sets: Vec<ResultSet>,
}

/// Most words of records that stay allocated between two groups.
const KEPT: usize = 2 << 20;

/// Memory of a group that is done.
#[derive(Default)]
pub(super) struct Spare {
    records: Vec<u64>,
    verdicts: Vec<Verdict>,
    published: Vec<bool>,
    places: Places,
    /// How many rows it had.
    rows: usize,
}

/// A group: transactions with consecutive revisions that become durable at once.
pub(super) struct Group {
    /// Newest revision before it.
    pub base: u64,
    /// Newest revision of it.
    pub newest: u64,
    /// The next row number.
    pub next_birth: u64,
    /// When it is committed.
    pub at_us: i64,
    /// Records of all of its transactions, in order.
    pub records: Vec<u64>,
    /// In the order of the requests.
    pub verdicts: Vec<Verdict>,
    /// The verdict of the first transaction that changed something.
    pub first_change: Option<usize>,
    /// The change of schema; it ends its group.
    pub schema: Option<SchemaDelta>,
    /// The sequences of AUTOINCREMENT keys, where a transaction changed one: with a revision or not.
    pub sequences: Option<Sequences>,
    /// Why the group as a whole cannot go on, where it cannot.
    pub poison: Option<Refusal>,
    /// The last state that it gives to each row.
    rows: Vec<RowChange>,
    /// Of each row: the segment has it, so its deletion must be published.
    published: Vec<bool>,
    places: Places,
    touched: Vec<(u16, u32)>,
}

impl Group {
    pub fn new(base: u64, next_birth: u64, at_us: i64, spare: Spare) -> Self {
        let Spare { records, verdicts, published, places, rows } = spare;
        Self {
            base,
            newest: base,
            next_birth,
            at_us,
            records,
            verdicts,
            first_change: None,
            schema: None,
            sequences: None,
            poison: None,
            rows: Vec::with_capacity(rows),
            published,
            places,
            touched: Vec::new(),
        }
    }

    /// Birth and revision of a row that the group changed: `Some(None)` where it deleted it, `None`
    /// where it did not touch it.
    pub fn identity_of(&self, table: u32, key: &Key) -> Option<Option<(u64, u64)>> {
        let row = &self.rows[self.find(self.places.hash(table, key), table, key)?];
        Some(row.image.as_ref().map(|_| (row.birth, row.revision)))
    }

    fn find(&self, hash: RowHash, table: u32, key: &Key) -> Option<usize> {
        let is_it = |at: usize| self.rows[at].table == table && self.rows[at].key == *key;
        self.places.find(hash, is_it)
    }

    /// What the next group can use of it, which is done.
    pub fn into_spare(mut self) -> Spare {
        let rows = self.places.len().min(KEPT / 64);
        self.records.clear();
        self.records.shrink_to(KEPT);
        self.verdicts.clear();
        self.published.clear();
        self.published.shrink_to(KEPT);
        self.places.clear();
        let Self { records, verdicts, published, places, .. } = self;
        Spare { records, verdicts, published, places, rows }
    }

    /// So many changes come next.
    pub fn reserve(&mut self, changes: usize) {
        self.rows.reserve(changes);
        self.published.reserve(changes);
        self.places.reserve(changes);
    }

    /// Adds one row's net change by a transaction of `origin`, after which it has this image. `birth` is what
    /// the segment has for the row; of an insert, which is of a row that it does not have, `None`.
    pub fn change(
        &mut self,
        delta: &RowDelta<'_>,
        image: Option<Image>,
        birth: Option<u64>,
        origin: &RecordHeader,
    ) {
        let hash = self.places.hash(delta.table, delta.key);
        let at = self.find(hash, delta.table, delta.key);
        let present = at.map_or(birth, |at| {
            let row = &self.rows[at];
            row.image.as_ref().map(|_| row.birth)
        });
        let was_published = birth.is_some();
        let birth = match (delta.operation, present) {
            (Operation::Update | Operation::Delete, Some(birth)) => birth,
            _ => {
                self.next_birth += 1;
                self.next_birth - 1
            }
        };
        let table = (delta.namespace, delta.table);
        if self.touched.last() != Some(&table) && !self.touched.contains(&table) {
            self.touched.push(table);
        }
        let header = RecordHeader {
            operation: delta.operation as u8,
            table: delta.table,
            shape: delta.shape,
            birth,
            columns: delta.columns,
            key_columns: delta.key_image.columns() as u16,
            key_var: delta.key_image.var_bytes() as u32,
            row_var: delta.image.map_or(0, |image| image.var_bytes() as u32),
            namespace: delta.namespace,
            ..*origin
        };
        push_row(&header, delta.body, &mut self.records);
        let (table, shape, revision) = (delta.table, delta.shape, origin.revision);
        match at {
            Some(at) => {
                let row = &mut self.rows[at];
                (row.shape, row.birth, row.revision, row.image) = (shape, birth, revision, image);
            }
            None => {
                self.places.push(hash);
                self.published.push(was_published);
                let key = delta.key.clone();
                self.rows.push(RowChange { table, shape, key, birth, revision, image });
            }
        }
    }

    /// Adds the record of a change of schema by a transaction of `origin`, in its namespace: `archive` is
    /// of the catalogue's part there, `table` the one that it is about, or 0.
    pub fn change_schema(&mut self, archive: &[u8], table: u32, origin: RecordHeader) {
        // A new schema concerns everybody who may see it: table 0 stands for it.
        self.touched.push((origin.namespace, 0));
        encode_schema(archive, table, origin, &mut self.records);
    }

    /// Marks the record that begins at word `start` as its transaction's last.
    pub fn mark_last(&mut self, start: usize) {
        // The flags are the top byte of the header's first word.
        if let Some(word) = self.records.get_mut(start) {
            *word |= u64::from(FLAG_LAST) << 56;
        }
    }

    /// What the segment is to get: the last state of each row, tables in `without` left out.
    pub fn take_rows(&mut self, without: &[u32]) -> Vec<RowChange> {
        let mut rows = std::mem::take(&mut self.rows);
        let mut published = self.published.iter();
        rows.retain(|row| {
            let published = published.next().is_some_and(|published| *published);
            (row.image.is_some() || published) && !without.contains(&row.table)
        });
        rows
    }

    /// Namespaces and ids of the tables whose rows changed; table 0 stands for a namespace's schema.
    pub fn touched(&self) -> &[(u16, u32)] {
        &self.touched
    }

    /// Whether nothing of it has to be committed.
    pub fn is_unchanged(&self) -> bool {
        self.newest == self.base
    }
}
