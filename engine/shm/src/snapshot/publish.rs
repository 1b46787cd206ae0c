//! The steps of a publication, in the order that `writer.rs` draws. Nothing here can fail.

use super::catalogue::PreparedCatalogue;
use super::prepare::{Kind, Prepared, PreparedRow};
use super::writer::SegmentWriter;
use crate::header_at;
use crate::pillar::Pillar;
use crate::sync::Ordering;
use crate::table_at;

impl SegmentWriter {
    /// Makes `prepared` visible, and then `revision` the newest one. The revisions of its rows are
    /// not over `revision`, and all over the one before, unless nobody reads the segment yet.
    pub fn publish(&mut self, prepared: Prepared, revision: u64) {
        self.publish_all(prepared, None, revision);
    }

    /// Makes a catalogue visible from `revision` on; storage that it does not list is dropped.
    pub fn publish_catalogue(&mut self, catalogue: PreparedCatalogue, revision: u64) {
        self.publish_all(Prepared::default(), Some(catalogue), revision);
    }

    /// A DDL transaction: rows and catalogue in one step of the revision, so that a reader sees
    /// either all of it or nothing.
    pub fn publish_all(
        &mut self,
        prepared: Prepared,
        catalogue: Option<PreparedCatalogue>,
        revision: u64,
    ) {
        debug_assert!(revision >= self.revision, "{revision} after {}", self.revision);
        self.open = false;
        for (at, new) in prepared.indexes {
            if let Some(storage) = &mut self.tables[at] {
                storage.swap_index(&mut self.arena, new);
            }
        }
        let mut deleted = Vec::new();
        for row in prepared.rows {
            self.publish_row(&row);
            if row.kind == Kind::Delete {
                deleted.push((row.storage, row.hash, row.slot));
            }
        }
        let listed = catalogue.map(|catalogue| {
            for storage in self.tables.iter().flatten() {
                let listed = catalogue.lists(storage.def.id, storage.def.shape);
                storage.store_span(&self.arena, listed, revision);
            }
            self.store_catalogue(catalogue, revision)
        });
        self.revision = revision;
        if !Pillar::PublishRemoves.stands() {
            self.remove(&deleted, revision);
            deleted.clear();
        }
        let word = self.arena.header(header_at!(revision));
        word.store(revision, Pillar::PublishRevision.order(Ordering::Release));
        self.remove(&deleted, revision);
        for storage in self.tables.iter().flatten() {
            storage.store_rows(&self.arena);
        }
        if let Some(listed) = listed {
            let gone: Vec<_> =
                self.by_shape.keys().filter(|k| !listed.contains(k)).copied().collect();
            gone.into_iter().for_each(|(id, shape)| self.drop_table(id, shape));
        }
    }

    fn publish_row(&mut self, row: &PreparedRow) {
        let Some(storage) = &mut self.tables[row.storage] else { return };
        let image = row.image.as_ref().map(|i| i.as_ref());
        let image = image.as_ref().map(|i| (i.head(), row.block));
        storage.write(&mut self.arena, row.slot, row.birth, row.revision, image);
        if row.kind == Kind::Insert {
            storage.enter(&self.arena, row.hash, row.slot);
        }
    }

    /// Takes deleted rows out of their indexes. Whoever reads as of an older revision and no longer
    /// finds one of them sees `removed`: it takes the revision that is published by now.
    fn remove(&mut self, deleted: &[(usize, u64, u64)], revision: u64) {
        for &(at, _, _) in deleted {
            if let Some(storage) = &self.tables[at] {
                let removed = &self.arena.table(storage.place)[table_at!(removed)];
                removed.store(revision, Ordering::Relaxed);
            }
        }
        Pillar::PublishRemovedFence.fence(Ordering::Release);
        for &(at, hash, slot) in deleted {
            if let Some(storage) = &mut self.tables[at] {
                storage.remove(&self.arena, hash, slot);
            }
        }
    }
}
