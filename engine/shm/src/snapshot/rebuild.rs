//! Growth beyond the reserve: all that one generation holds, published again in the next.

use super::error::SegmentError;
use super::prepare::RowChange;
use super::rowbuf::RowBuf;
use super::writer::SegmentWriter;
use crate::key::Key;

/// Rows that are published at a time.
const BATCH: usize = 4096;

impl SegmentWriter {
    /// Publishes every table and row, with its number and revision, in `next`, which is empty and
    /// which nobody reads yet. Then the caller publishes the catalogue there, lets clients attach to
    /// it, and retires this one.
    ///
    /// # Errors
    /// `next` has no room; it is to be thrown away then.
    pub fn rebuild_into(&self, next: &mut Self) -> Result<(), SegmentError> {
        for storage in self.tables.iter().flatten() {
            let (table, shape) = (storage.def.id, storage.def.shape);
            next.create_table(&storage.def, storage.rows())?;
            let mut batch = Vec::with_capacity(BATCH.min(storage.rows()));
            let mut row = RowBuf::new();
            for slot in storage.slots() {
                if !storage.read(&self.arena, slot, &mut row) {
                    continue;
                }
                let Ok(key) = Key::of_image(&storage.parts, &row.image()) else { continue };
                batch.push(RowChange {
                    table,
                    shape,
                    key,
                    birth: row.birth(),
                    revision: row.revision(),
                    image: Some(row.image().to_image()),
                });
                if batch.len() == BATCH {
                    next.add(core::mem::take(&mut batch), self.revision)?;
                }
            }
            next.add(batch, self.revision)?;
        }
        Ok(())
    }

    fn add(&mut self, batch: Vec<RowChange>, revision: u64) -> Result<(), SegmentError> {
        let prepared = self.prepare(batch)?;
        self.publish(prepared, revision);
        Ok(())
    }
}
