//! The steps that the protocols on shared memory stand on, by name.
//!
//! Each is a [`Pillar`] that its code asks, which costs nothing: outside of the models every answer is the
//! one that was given in. In the models (`models/`) one pillar at a time is weakened, and then the model
//! that is to see it must fail. So no fence, order or step can be taken out unnoticed.

use crate::sync::{Ordering, fence};

macro_rules! pillars {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A fence, an order or a step on which a protocol stands.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Pillar {
            $($(#[$doc])* $name,)*
        }

        #[cfg(all(test, loom))]
        impl Pillar {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

pillars! {
    // latch.rs
    /// Write: the first store of `seq` is a release.
    LatchBegin,
    /// Write: the fence between it and the copy to the back.
    LatchBeginFence,
    /// Write: the store of `seq` between the copy to the back and the front's words is a release.
    LatchKept,
    /// Write: the fence between it and the front's words.
    LatchKeptFence,
    /// Write: the last store of `seq` is a release.
    LatchEnd,
    /// Read: the fence between the first look at `seq` and the words.
    LatchEnterFence,
    /// Read: the fence between the words and the second look.
    LatchHoldsFence,
    /// Read: the second look.
    LatchHolds,
    /// Read: the second look's difference wraps, so that zeros are refused.
    LatchWraps,
    /// Read of the version before: the fence before the second look.
    LatchBeforeFence,
    /// Read of the version before: the second look.
    LatchBefore,
    /// Read of the version before: only if nobody had begun to write over it.
    LatchBeforeQuiet,

    // mutex.rs
    /// The lock of a free word is an acquire.
    MutexTake,
    /// The lock of a word after waiting, or of a dead holder's, is an acquire.
    MutexTakeOver,
    /// The unlock is a release.
    MutexGive,
    /// Who sleeps says so in the word.
    MutexSays,
    /// Who slept and locks keeps saying that others may sleep.
    MutexSlept,
    /// Who takes a dead holder's word keeps what it says of sleepers.
    MutexKeeps,
    /// The unlock wakes.
    MutexWakes,

    // lane/queue.rs
    /// Push: the head is stored after the record.
    QueueHeadLast,
    /// Push: the head is stored with a release.
    QueueHead,
    /// Push: the daemon's cursor is loaded with an acquire.
    QueueRoom,
    /// Take: the head is loaded with an acquire.
    QueueTake,
    /// Release: the cursor is stored with a release.
    QueueRelease,
    /// Release: the fence between the cursor and the look at who waits.
    QueueReleaseFence,
    /// Waiting for space: the fence between saying so and the look at the cursor.
    QueueWantFence,
    /// Waking for space: the turn moves, so that who is about to sleep does not.
    QueueTurn,
    /// Waking for space: it moves with a release, so that who sees it was not forgotten with the others.
    QueueForget,
    /// Waiting for space: the turn is loaded with an acquire, before saying so.
    QueueWant,
    /// Push: the fence between the head and the look at whether the daemon sleeps.
    QueueBellFence,
    /// Falling asleep: the fence between saying so and the look at the head.
    QueueSleepFence,
    /// Retiring: it is told before those who wait for space are woken.
    QueueRetireTold,
    /// Retiring: those who wait for space are woken, though there is none.
    QueueRetireWakes,
    /// Retiring: the fence between telling it and the look at who waits for an outcome.
    QueueRetireFence,

    // lane/outcomes.rs
    /// Answer: the ticket is taken away before the body is overwritten.
    OutcomeGone,
    /// Answer: the fence between the two.
    OutcomeGoneFence,
    /// Answer: the ticket is stored with a release.
    OutcomeTicket,
    /// Answer: the fence between the ticket and the look at who waits.
    OutcomeAnswerFence,
    /// Read: the ticket is loaded with an acquire.
    OutcomeRead,
    /// Read: the fence between the body and the second look at the ticket.
    OutcomeReadFence,
    /// Read: the second look.
    OutcomeStill,
    /// Wait: the fence between saying so and the look at the ticket.
    OutcomeWantFence,
    /// Wake: the turn moves.
    OutcomeTurn,
    /// Wake: it moves with a release, so that who sees it was not forgotten with the others.
    OutcomeForget,
    /// Wait: the turn is loaded with an acquire, before saying so.
    OutcomeWant,

    // lane/log.rs
    /// Push: the oldest position moves before anything is overwritten.
    LogOldestFirst,
    /// Push: it is stored with a release.
    LogOldest,
    /// Push: the fence between it and the words.
    LogOldestFence,
    /// Announce: the turn is stored with a release.
    LogTurn,
    /// Announce: the fence behind it.
    LogTurnFence,
    /// End: the turn is loaded with an acquire.
    LogEnd,
    /// End: the fence before the second look at the turn.
    LogEndFence,
    /// End: the second look.
    LogEndStill,
    /// Read: the fence between the words and the second look at the oldest position.
    LogReadFence,
    /// Read: the second look.
    LogReadStill,
    /// The oldest position is loaded with an acquire, before what is found there.
    LogFindOldest,
    /// The fence between the sequence found there and the second look.
    LogFindFence,
    /// The second look.
    LogFindStill,

    // lane/watch.rs
    /// Show: a touched table's turn is odd before the end moves.
    WatchOdd,
    /// Show: it moves on after the end.
    WatchEven,
    /// Show: the turn of all tables moves after the end.
    WatchAll,
    /// Wait: turns that are odd were read within an announcement, and tell nothing.
    WatchOutside,
    /// Wait: the futex word is loaded with an acquire, before the look at whether the lane was retired.
    WatchExpected,
    /// Wake: sleepers of a table are woken.
    WatchWakes,
    /// Retiring: it is told before the turns move.
    WatchRetired,

    // snapshot/
    /// Index: an entry is loaded with an acquire, so that of its slot nothing is seen that stood there
    /// before it was a slot.
    IndexProbe,
    /// Index: the word is swapped with a release, after the new index was built.
    IndexSwap,
    /// Index: the fence between the swap and what comes where the old index was.
    IndexSwapFence,
    /// Index: the word is loaded with an acquire, before the entries.
    IndexWord,
    /// Lookup: the fence between what was read of a slot, its latch's second look too, and the second look
    /// at the word.
    IndexFence,
    /// Lookup: the second look.
    IndexStill,
    /// Publish: the revision is stored with a release.
    PublishRevision,
    /// Publish: deleted rows leave the index after the revision.
    PublishRemoves,
    /// Publish: the fence between `removed` and the entries that go.
    PublishRemovedFence,
    /// As of a revision: it is loaded with an acquire.
    AsOfRevision,
    /// As of a revision: the look at `removed`.
    AsOfRemoved,
    /// Cell: the row's number says whether the slot has another row by now.
    CellBirth,
    /// Cell: a deleted row's version is none.
    CellDeleted,
    /// Retire: the index word goes with a release, so that who finds it gone finds why.
    RetireTold,
    /// Retire: it goes before what is stored where the rows were.
    RetireFence,
    /// Has it moved: the fence between what was read and the look at the index word.
    MovedFence,
    /// Has it moved: the look.
    Moved,
    /// Scan: a chunk is linked with a release.
    ChunkLink,
    /// Scan: the first link is followed with an acquire.
    ChunkFollow,
}

#[cfg(not(loom))]
impl Pillar {
    /// `strong`: the order that this step needs.
    #[inline(always)]
    pub const fn order(self, strong: Ordering) -> Ordering {
        strong
    }

    /// Whether this step is taken: always.
    #[inline(always)]
    pub const fn stands(self) -> bool {
        true
    }
}

#[cfg(loom)]
impl Pillar {
    /// `strong`, or relaxed where a model weakens this step.
    pub fn order(self, strong: Ordering) -> Ordering {
        if self.stands() { strong } else { Ordering::Relaxed }
    }

    /// Whether this step is taken: not where a model weakens it.
    pub fn stands(self) -> bool {
        weakened::get() != Some(self)
    }
}

impl Pillar {
    /// The fence of this step.
    #[inline(always)]
    pub fn fence(self, order: Ordering) {
        if self.stands() {
            fence(order);
        }
    }
}

/// Which pillar is weakened: all threads of a model run on the one thread that explores it.
#[cfg(loom)]
pub(crate) mod weakened {
    use super::Pillar;
    use core::cell::Cell;

    thread_local! {
        static WEAKENED: Cell<Option<Pillar>> = const { Cell::new(None) };
    }

    pub fn get() -> Option<Pillar> {
        WEAKENED.get()
    }

    #[cfg(test)]
    pub fn set(pillar: Pillar) {
        WEAKENED.set(Some(pillar));
    }
}
