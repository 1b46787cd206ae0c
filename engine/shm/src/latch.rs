//! The latched seqlock: the newest version of a few words in front, the one before it in the back. The only
//! writer keeps the front in the back before it writes over it, so that one of the two is whole at every moment
//! (as in Linux's `seqcount_latch_t`, whose two copies take turns; here the newest has one place, which a reader
//! knows before it has looked at the sequence). A reader never waits for a writer that is preempted or dead, and
//! writes nothing.
//!
//! ```text
//! words    seq | front (W words)   and elsewhere, or behind it   back (W words)
//!
//! seq      0          nothing was ever written
//!          4n         version n is in front; version n-1, if n > 1, is whole in the back
//!          4n+1       version n is in front, and is being copied to the back
//!          4n+2       version n is in the back; version n+1 is being written in front
//!
//! write    seq ← 4n+1 (release) ; fence(release) ; words of the front to the back (relaxed) ;
//!          seq ← 4n+2 (release) ; fence(release) ; words of the front (relaxed) ;
//!          seq ← 4n+4 (release)                     (the first line is left out where n = 0)
//! read     s ← seq (relaxed) ; fence(acquire) ; n ← s>>2 ; words of the front, or where s = 4n+2 of the
//!          back (relaxed) ; fence(acquire) ; valid while seq ≤ 4n+1, or of the back while seq ≤ 4n+4
//! before   the same of the back where s = 4n, valid while seq = 4n: nobody has begun to write over it
//! ```
//!
//! Why what a reader believes is whole:
//! - *Not older than s says.* It read s = 4n, 4n+1 or 4n+2. All are release stores after the words of version n
//!   were where the reader looks for them, so with the reader's fence those words, or newer ones, are what it
//!   sees. (That of 4n+1 is a release too, as since C++20 a relaxed store no longer continues the release
//!   sequence of an earlier release store by the same thread: a reader that saw 4n+1 alone would be owed
//!   nothing.)
//! - *Not newer.* The front is next written after seq ← 4n+2 and the writer's fence, the back, with version n in
//!   it, after seq ← 4n+5 and the writer's fence. If one word of the copy came from there, then the fences pair
//!   and the second look at seq finds at least that. The same holds for everything that the writer does
//!   after these fences, such as reusing the memory of a block that version n-1 refers to behind that of 4n+1.
//! - *Not something else.* The mapping may have turned to zeros under the reader
//!   ([`Region::vacate`](crate::region)), or the memory may hold other things by now. The wrapping
//!   difference to 4n refuses zeros; against reuse the caller looks at a word that is changed before the memory
//!   is freed (the table's index word).
//!
//! What a crash leaves: version n, in front or in the back, as seq says, as readable as before.

use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::sync::{AtomicU64, Ordering};
use crate::words::copy_shared;

/// Words of a latch over versions of `version_words` words, where the back lies behind the front.
pub const fn latch_words(version_words: usize) -> usize {
    front_words(version_words) + version_words
}

/// Words of the sequence and the front.
pub const fn front_words(version_words: usize) -> usize {
    1 + version_words
}

/// By how much `seq` grows from version to version.
const STEP: u32 = 2;
/// How far `seq` goes while a version is whole in front.
const IN_FRONT: u64 = 1;
/// Set while the front is being written, and the newest version stands in the back.
const IN_BACK: u64 = 2;

/// Two versions of some words and their sequence.
#[derive(Clone, Copy)]
pub struct Latch<'a> {
    seq: &'a AtomicU64,
    front: &'a [AtomicU64],
    back: &'a [AtomicU64],
}

/// What a reader found when it came: the newest version's number, and where that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    seq: u64,
}

impl Entry {
    /// Number of the newest whole version; 0 where none was ever written.
    #[inline]
    pub fn version(self) -> u64 {
        self.seq >> STEP
    }

    /// Whether the newest whole version is in front, where it nearly always is.
    #[inline]
    pub fn is_in_front(self) -> bool {
        self.seq & IN_BACK == 0
    }
}

impl<'a> Latch<'a> {
    /// Takes `words`, of which there must be [`latch_words`]`(version_words)`: sequence, front, back.
    #[inline]
    pub fn new(words: &'a [AtomicU64], version_words: usize) -> Option<Self> {
        let (front, back) = words.split_at_checked(front_words(version_words))?;
        Self::apart(front, back)
    }

    /// The same of a front with its sequence before it, and a back that stands elsewhere; `None` where one is
    /// longer than the other.
    #[inline]
    pub fn apart(front: &'a [AtomicU64], back: &'a [AtomicU64]) -> Option<Self> {
        let (seq, front) = front.split_first()?;
        (front.len() == back.len()).then_some(Self { seq, front, back })
    }

    /// A reader's first step.
    #[inline]
    pub fn enter(&self) -> Entry {
        enter(self.seq)
    }

    /// The words that have version `entry.version()`, as long as the entry holds.
    #[inline]
    pub fn newest(&self, entry: Entry) -> &'a [AtomicU64] {
        if entry.is_in_front() { self.front } else { self.back }
    }

    /// The words that have the version before it, as long as they hold.
    #[inline]
    pub fn previous(&self) -> &'a [AtomicU64] {
        self.back
    }

    /// A reader's last step: whether all that it read of version `entry.version()`, and of what that
    /// version refers to, was this version's.
    #[inline]
    pub fn holds(&self, entry: Entry) -> bool {
        let until = if entry.is_in_front() { IN_FRONT } else { 1 << STEP };
        holds_until(self.seq, entry, until)
    }

    /// The same for the version before it, `entry.version() - 1`.
    #[inline]
    pub fn holds_previous(&self, entry: Entry) -> bool {
        Pillar::LatchBeforeFence.fence(Ordering::Acquire);
        let quiet = entry.seq == entry.version() << STEP || !Pillar::LatchBeforeQuiet.stands();
        let seq = self.seq.load(Ordering::Relaxed);
        quiet && (seq == entry.seq || !Pillar::LatchBefore.stands())
    }

    /// Whether this version is still the newest whole one, as far as the caller has seen: not older than
    /// what it has acquired. For who remembers what it copied and reads nothing anew.
    #[inline]
    pub fn is_newest(&self, version: u64) -> bool {
        self.seq.load(Ordering::Relaxed) >> STEP == version
    }

    /// The only writer's step: `fill` stores every word of the next version (relaxed). Whatever the
    /// version before the present one referred to may be reused once this has returned.
    #[inline]
    pub fn write(&self, fill: impl FnOnce(&'a [AtomicU64])) {
        let n = self.newest_number();
        let begin = n << STEP;
        if n > 0 {
            self.seq.store(begin + 1, Pillar::LatchBegin.order(Ordering::Release));
            Pillar::LatchBeginFence.fence(Ordering::Release);
            copy_shared(self.front, self.back);
        }
        self.seq.store(begin + IN_BACK, Pillar::LatchKept.order(Ordering::Release));
        Pillar::LatchKeptFence.fence(Ordering::Release);
        fill(self.front);
        self.seq.store(begin + (1 << STEP), Pillar::LatchEnd.order(Ordering::Release));
    }

    /// Number of the newest version, for the only writer.
    #[inline]
    pub fn newest_number(&self) -> u64 {
        self.seq.load(Ordering::Relaxed) >> STEP
    }

    /// Front and back, wherever the newest version is.
    #[inline]
    pub(crate) fn places(&self) -> (&'a [AtomicU64], &'a [AtomicU64]) {
        (self.front, self.back)
    }

    /// The newest version, for the only writer while it does not write.
    #[inline]
    pub fn present(&self) -> &'a [AtomicU64] {
        self.front
    }
}

/// [`Latch::enter`] of the sequence alone.
#[inline(always)]
pub(crate) fn enter(seq: &AtomicU64) -> Entry {
    let seq = seq.load(Ordering::Relaxed);
    Pillar::LatchEnterFence.fence(Ordering::Acquire);
    Entry { seq }
}

/// [`Latch::holds`] of the sequence alone, for who read the front, wherever the newest version was when he came.
#[inline(always)]
pub(crate) fn holds_in_front(seq: &AtomicU64, entry: Entry) -> bool {
    holds_until(seq, entry, IN_FRONT)
}

#[inline(always)]
fn holds_until(seq: &AtomicU64, entry: Entry, until: u64) -> bool {
    Pillar::LatchHoldsFence.fence(Ordering::Acquire);
    let seq = seq.load(Ordering::Relaxed);
    let since = seq.wrapping_sub(entry.version() << STEP);
    since <= until
        || points::is_put_in(Point::SkipSecondCheck)
        || !Pillar::LatchHolds.stands()
        || (!Pillar::LatchWraps.stands() && seq == 0)
}

#[cfg(all(test, loom))]
#[path = "latch_loom.rs"]
pub(crate) mod loom_models;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(version_words: usize) -> Vec<AtomicU64> {
        (0..latch_words(version_words)).map(|_| AtomicU64::new(0)).collect()
    }

    fn write(latch: &Latch<'_>, value: u64) {
        latch.write(|v| v.iter().for_each(|w| w.store(value, Ordering::Relaxed)));
    }

    fn values(words: &[AtomicU64]) -> Vec<u64> {
        words.iter().map(|w| w.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn the_newest_is_in_front_and_the_one_before_in_the_back() {
        let words = words(3);
        let latch = Latch::new(&words, 3).unwrap();
        assert_eq!(latch.enter().version(), 0);
        for n in 1..10 {
            write(&latch, n * 10);
            let entry = latch.enter();
            assert_eq!((entry.version(), entry.is_in_front()), (n, true));
            assert_eq!(values(latch.newest(entry)), [n * 10; 3]);
            assert!(latch.holds(entry) && latch.holds_previous(entry));
            assert_eq!(values(latch.previous()), [(n - 1) * 10; 3]);
        }
    }

    #[test]
    fn a_copy_of_the_front_holds_until_that_is_written() {
        let words = words(2);
        let latch = Latch::new(&words, 2).unwrap();
        write(&latch, 1);
        let entry = latch.enter();
        words[0].store(4 + 1, Ordering::Relaxed);
        assert!(latch.holds(entry) && !latch.holds_previous(entry), "it is only copied");
        words[0].store(4, Ordering::Relaxed);
        latch.write(|_| assert!(!latch.holds(entry), "it is being written"));
        assert!(!latch.holds(entry) && !latch.is_newest(1) && latch.is_newest(2));
    }

    #[test]
    fn a_copy_of_the_back_holds_for_one_write_and_not_for_two() {
        let words = words(2);
        let latch = Latch::new(&words, 2).unwrap();
        write(&latch, 1);
        let mut met = None;
        latch.write(|front| {
            let entry = latch.enter();
            assert_eq!((entry.version(), values(latch.newest(entry))), (1, vec![1, 1]));
            front.iter().for_each(|w| w.store(2, Ordering::Relaxed));
            assert!(latch.holds(entry) && !latch.holds_previous(entry));
            met = Some(entry);
        });
        let entry = met.unwrap();
        assert!(latch.holds(entry) && values(latch.newest(entry)) == [1, 1]);
        words[0].store(2 * 4 + 1, Ordering::Relaxed);
        assert!(!latch.holds(entry), "the back is being written");
    }

    #[test]
    fn a_writer_that_stopped_in_the_middle_leaves_the_newest_version() {
        let words = words(1);
        let latch = Latch::new(&words, 1).unwrap();
        write(&latch, 1);
        write(&latch, 2);
        let newest = || {
            let entry = latch.enter();
            assert!(latch.holds(entry) && !latch.holds_previous(entry));
            (entry.version(), values(latch.newest(entry)))
        };
        words[0].store(2 * 4 + 1, Ordering::Relaxed); // seq ← 4n+1, then some words, then nothing more
        words[2].store(99, Ordering::Relaxed);
        assert_eq!(newest(), (2, vec![2]));
        words[2].store(2, Ordering::Relaxed);
        words[0].store(2 * 4 + 2, Ordering::Relaxed); // the same one step on
        words[1].store(99, Ordering::Relaxed);
        assert_eq!(newest(), (2, vec![2]));
    }

    #[test]
    fn memory_that_turned_to_zeros_is_refused() {
        let words = words(1);
        let latch = Latch::new(&words, 1).unwrap();
        write(&latch, 1);
        let entry = latch.enter();
        words.iter().for_each(|w| w.store(0, Ordering::Relaxed));
        assert!(!latch.holds(entry) && !latch.holds_previous(entry));
    }

    #[test]
    fn a_wrong_number_of_words_is_no_latch() {
        assert!(Latch::new(&words(2), 3).is_none());
        assert!(Latch::apart(&words(2)[..3], &words(2)[..3]).is_none());
        assert!(Latch::apart(&[], &[]).is_none());
    }
}
