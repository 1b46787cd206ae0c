//! Announcing and waiting: who sleeps until there are events, and who wakes them.
//!
//! ```text
//! announce  turns of touched tables odd ; end (release) ; turns of touched tables even, and others ;
//!           turn of all + 1 ; wake
//! wait      t ← turns of our tables ; end behind the cursor ? up ;
//!           again: n ← turn ; end behind the cursor ? t even and still our turns ? pass over it : up ;
//!                  futex wait while turn = n
//! ```
//! A table's turn changes before the end, so that a reader that sees an end, and the turn unchanged,
//! knows that nothing up to there is its own. That holds if the turn was read outside of an
//! announcement, which an even one tells. It changes again after the end, so that who read it between
//! the two and saw the old end does not sleep through the new one. Readers cannot say that they wait, as
//! they write nothing: every announcement wakes.

use core::time::Duration;

use smallvec::SmallVec;

use super::log::{Cursor, Log, Writer};
use crate::futex;
use crate::pillar::Pillar;
use crate::sync::{AtomicU32, AtomicU64, Ordering, spin_loop};

/// A lane's ring and the words that readers sleep on.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub log: Log<'a>,
    pub retired: &'a AtomicU64,
    pub all: &'a AtomicU32,
    pub tables: &'a [AtomicU32],
}

impl Watch<'_> {
    /// [`Watch::show`], then [`Watch::wake`].
    #[cfg(all(test, loom))]
    pub fn announce(&self, writer: &mut Writer, tables: &[u32], revision: u64, lapping: bool) {
        self.show(writer, tables, revision);
        self.wake(tables, lapping);
    }

    /// Lets readers see what was pushed, which is of `tables`; table 0 stands for all.
    pub fn show(&self, writer: &mut Writer, tables: &[u32], revision: u64) {
        let touched = self.touched(tables);
        for table in &touched {
            if Pillar::WatchOdd.stands() {
                change(self.table(*table), |turn| turn | 1);
            }
        }
        self.log.announce(writer, revision);
        // Twice for two tables of one word: it stays even, and changes.
        for table in &touched {
            if Pillar::WatchEven.stands() {
                change(self.table(*table), |turn| (turn | 1).wrapping_add(1));
            }
        }
        if Pillar::WatchAll.stands() {
            change(self.all, |turn| turn.wrapping_add(1));
        }
    }

    /// After [`Watch::show`]: wakes those who wait for any table, or for one of `tables`; table 0 stands
    /// for all. `lapping` also wakes the others, so that they pass over it.
    pub fn wake(&self, tables: &[u32], lapping: bool) {
        futex::wake(self.all, futex::ALL);
        let woken = self.touched(if lapping { &[0] } else { tables });
        for table in woken.into_iter().filter(|_| Pillar::WatchWakes.stands()) {
            futex::wake(self.table(table), futex::ALL);
        }
    }

    /// Tells readers that another lane has followed this one, and wakes them all.
    pub fn retire(&self, writer: &mut Writer, revision: u64) {
        if Pillar::WatchRetired.stands() {
            self.retired.store(1, Ordering::Relaxed);
        }
        self.show(writer, &[0], revision);
        self.retired.store(1, Ordering::Relaxed);
        self.wake(&[0], false);
    }

    fn touched(&self, tables: &[u32]) -> SmallVec<[u32; 32]> {
        let every = 0..self.tables.len() as u32;
        if tables.contains(&0) { every.collect() } else { tables.into() }
    }

    /// Sleeps until there is something behind the cursor, or the lane is retired; false if `left`,
    /// asked before each sleep for how long it may be, says that the time is up. With `tables`,
    /// what comes meanwhile and touches none of them is passed over.
    pub fn wait(
        &self,
        cursor: &mut Cursor,
        tables: &[u32],
        mut left: impl FnMut() -> Option<Duration>,
    ) -> bool {
        // Before the end: of what comes behind that end, nothing is ours while these stay.
        let turns = self.turns(tables);
        let outside = !tables.is_empty() && turns.iter().all(|turn| turn.is_multiple_of(2));
        let outside = outside || !Pillar::WatchOutside.stands();
        if cursor.position < self.end().position {
            return true;
        }
        let word = match tables {
            [table] => self.table(*table),
            _ => self.all,
        };
        loop {
            let expected = word.load(Pillar::WatchExpected.order(Ordering::Acquire));
            if self.retired.load(Ordering::Relaxed) != 0 {
                return true;
            }
            let end = self.end();
            if cursor.position < end.position {
                // The end first: the turns of all that it covers are seen now.
                if !outside || self.turns(tables) != turns {
                    return true;
                }
                *cursor = end;
            }
            let Some(left) = left() else { return false };
            futex::wait(word, expected, Some(left));
        }
    }

    /// Relaxed: the fence of [`Log::end`] stands between them and the look that says that the end which
    /// was found is still the newest.
    fn turns(&self, tables: &[u32]) -> SmallVec<[u32; 8]> {
        tables.iter().map(|t| self.table(*t).load(Ordering::Relaxed)).collect()
    }

    /// Where the announced records end. The writer announces far more slowly than this tries, and
    /// where it is stopped, the first try succeeds.
    fn end(&self) -> Cursor {
        loop {
            if let Some(end) = self.log.end() {
                return Cursor { position: end.position, sequence: end.sequence };
            }
            spin_loop();
        }
    }

    fn table(&self, table: u32) -> &AtomicU32 {
        &self.tables[table as usize % self.tables.len()]
    }
}

/// Only one thread ever writes the word. Relaxed: what is stored before an end is seen with it, and what
/// comes after it stands behind the fence of [`Log::announce`].
fn change(word: &AtomicU32, next: impl FnOnce(u32) -> u32) {
    word.store(next(word.load(Ordering::Relaxed)), Ordering::Relaxed);
}
