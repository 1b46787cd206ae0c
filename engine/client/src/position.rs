//! How much of the changes was delivered, to the record, so that a change of source in the middle of a
//! transaction neither loses nor doubles anything.

use shmirror_shm::record::{FLAG_LAST, RecordHeader};

/// Where the delivered part ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// All before this revision was delivered.
    pub(crate) revision: u64,
    /// Records of this revision that were read from the present source.
    pub(crate) read: u32,
    /// Records of this revision that were delivered from an earlier source.
    skip: u32,
}

impl Position {
    /// Nothing of this revision, all before it.
    pub(crate) fn at(revision: u64) -> Self {
        Self { revision, read: 0, skip: 0 }
    }

    /// The source begins this revision anew.
    pub(crate) fn again(&mut self) {
        self.skip = self.skip.max(self.read);
        self.read = 0;
    }

    /// Whether this record is to be delivered.
    pub(crate) fn admits(&mut self, header: &RecordHeader) -> bool {
        if header.revision < self.revision {
            return false;
        }
        if header.revision > self.revision {
            *self = Self::at(header.revision);
        }
        self.read += 1;
        let fresh = self.read > self.skip;
        if header.flags & FLAG_LAST != 0 {
            *self = Self::at(header.revision + 1);
        }
        fresh
    }

    /// Everything before this revision was read.
    pub(crate) fn advance_to(&mut self, revision: u64) {
        if revision > self.revision {
            *self = Self::at(revision);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(revision: u64, last: bool) -> RecordHeader {
        RecordHeader { revision, flags: if last { FLAG_LAST } else { 0 }, ..Default::default() }
    }

    #[test]
    fn a_transaction_read_again_from_another_source_is_delivered_once() {
        let mut p = Position::at(5);
        assert!(!p.admits(&header(4, true)), "before what is wanted");
        assert!(p.admits(&header(5, false)));
        assert!(p.admits(&header(5, false)));
        p.again();
        assert!(!p.admits(&header(5, false)));
        p.again(); // interrupted while passing over what it knew
        assert!(!p.admits(&header(5, false)));
        assert!(!p.admits(&header(5, false)));
        assert!(p.admits(&header(5, true)));
        p.again();
        assert!(!p.admits(&header(5, true)));
        assert!(p.admits(&header(6, true)));
        p.advance_to(3);
        assert_eq!((p.revision, p.read, p.skip), (7, 0, 0));
    }

    proptest::proptest! {
        /// However often the source changes, and wherever: each record is delivered once, in order.
        #[test]
        fn any_changes_of_source_deliver_each_record_once(
            sizes in proptest::collection::vec(1usize..5, 1..30),
            breaks in proptest::collection::vec(1usize..12, 0..40),
        ) {
            let all: Vec<(u64, usize)> = (1u64..)
                .zip(&sizes)
                .flat_map(|(revision, size)| (0..*size).map(move |i| (revision, i)))
                .collect();
            let mut position = Position::at(1);
            let mut told = Vec::new();
            for limit in breaks.into_iter().chain([usize::MAX]) {
                // A source has everything from the position's revision on, and perhaps from before.
                let from = position.revision.saturating_sub(limit as u64 % 3);
                let records = all.iter().filter(|(revision, _)| *revision >= from).take(limit);
                for (revision, i) in records {
                    let last = *i + 1 == sizes[*revision as usize - 1];
                    if position.admits(&header(*revision, last)) {
                        told.push((*revision, *i));
                    }
                }
                position.again();
            }
            proptest::prop_assert_eq!(told, all);
        }
    }
}
