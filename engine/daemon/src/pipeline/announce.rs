//! Stage 6, announce: the records of a [`Published`] group go into the events lane and subscribers
//! are woken; an [`Announced`] group comes out.

use shmirror_shm::record::records;

use super::Pipeline;
use super::group::Group;
use super::publish::Published;

/// A group that every subscriber can see.
pub(super) struct Announced {
    group: Group,
}

impl Announced {
    /// For the next stage.
    pub fn into_group(self) -> Group {
        self.group
    }
}

impl Pipeline {
    /// Tells of the group.
    pub(super) fn announce(&mut self, published: Published) -> Announced {
        let group = published.into_group();
        if !group.is_unchanged() {
            // The records were made by the apply stage: none of them can be malformed.
            for record in records(&group.records).flatten() {
                self.events.push(record);
            }
            // A new schema concerns everybody: table 0 stands for it.
            let tables = if group.schema.is_some() { vec![0] } else { group.tables() };
            self.events.announce(&tables, group.newest);
            self.bells.ring(&tables);
        }
        Announced { group }
    }
}
