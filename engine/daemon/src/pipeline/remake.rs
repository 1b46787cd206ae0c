//! A working copy that failed is made anew from the segments, which have every committed row.

use super::Pipeline;
use crate::apply::{ApplyError, WorkingCopy};
use crate::error::DaemonError;

impl Pipeline {
    /// Replaces the working copy by one of the published state.
    pub(super) fn remake_working_copy(&mut self) -> Result<(), DaemonError> {
        tracing::warn!(revision = self.newest_revision, "making the working copy anew");
        let mut working = WorkingCopy::new(&self.catalogue)?;
        for def in &self.catalogue.tables {
            let mut loaded: Result<(), ApplyError> = Ok(());
            self.segments.for_each(def.id, |row| {
                if loaded.is_ok() {
                    loaded = working.load_row(def.id, def.shape, &row.image());
                }
            });
            loaded?;
        }
        working.load_sequences(self.store.sequences());
        working.finish_load()?;
        self.working = working;
        Ok(())
    }
}
