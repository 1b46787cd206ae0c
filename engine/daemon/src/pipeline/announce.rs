//! Stage 6, announce: the records of a [`Published`] group go into the events lanes of their namespaces
//! and subscribers are woken; an [`Announced`] group comes out.

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
            let touched = group.touched();
            self.segments.announce(&group.records, touched, group.newest);
            self.bells.ring(touched);
        }
        Announced { group }
    }
}
