//! Stage 5, publish: what a [`Committed`] group changed becomes visible, in each segment all of it with
//! one step of the revision; a [`Published`] group comes out. Nothing here can fail: the memory was
//! taken before the commit.

use super::Pipeline;
use super::commit::Committed;
use super::group::Group;

/// A group that every reader can see.
pub(super) struct Published {
    group: Group,
}

impl Published {
    /// For the next stage.
    pub fn into_group(self) -> Group {
        self.group
    }
}

impl Pipeline {
    /// Shows the group to readers.
    pub(super) fn publish(&mut self, committed: Committed) -> Published {
        let (group, reserved) = committed.into_parts();
        if group.is_unchanged() {
            self.segments.give_back(reserved);
            return Published { group };
        }
        let catalogue = group.schema.as_ref().map(|schema| &*schema.catalogue);
        self.segments.publish(reserved, catalogue, group.newest);
        if let Some(schema) = &group.schema {
            self.catalogue = schema.catalogue.clone();
        }
        Published { group }
    }
}
