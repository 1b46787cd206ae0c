//! The latched seqlock: two versions of a few words, of which readers use one while the only writer
//! fills the other (as Linux's `seqcount_latch_t`). A reader never waits for a writer that is
//! preempted or dead, and writes nothing.
//!
//! ```text
//! words    version 0 (W words) | seq | version 1 (W words)
//!          seq stands between the two, so that it and either version lie on the fewest lines
//!
//! seq      0          nothing was ever written
//!          2n         version n is in buffer n&1; version n-1, if n > 1, is whole in the other one
//!          2n+1       version n is in buffer n&1; version n+1 is being written over version n-1
//!
//! write    seq ← 2n+1 (release) ; fence(release) ; words of buffer (n+1)&1 (relaxed) ;
//!          seq ← 2n+2 (release)
//! read     s ← seq (relaxed) ; fence(acquire) ; n ← s>>1 ; words of buffer n&1 (relaxed) ;
//!          fence(acquire) ; valid while seq ≤ 2n+2
//! before   the same over buffer (n-1)&1, valid while seq = 2n: nobody has begun to write over it
//! ```
//!
//! Why what a reader believes is whole:
//! - *Not older than s says.* It read s = 2n or 2n+1. Both stores are release stores after the words
//!   of version n, so with the reader's fence those words, or newer ones, are what it sees. (The
//!   first store of a write is a release too, as since C++20 a relaxed store no longer continues the
//!   release sequence of an earlier release store by the same thread: a reader that saw 2n+1 alone
//!   would be owed nothing. It costs nothing where it matters.)
//! - *Not newer.* Buffer n&1 is next written for version n+2, after seq ← 2n+3 and the writer's
//!   fence. If one word of the copy came from there, then the fences pair and the second look at seq
//!   finds at least 2n+3. The same holds for everything that the writer does after that fence, such
//!   as reusing the memory of a block that version n refers to.
//! - *Not something else.* The mapping may have turned to zeros under the reader
//!   ([`Region::vacate`](crate::region)), or the memory may hold other things by now. The wrapping
//!   difference `seq - 2n ≤ 2` refuses zeros; against reuse the caller looks at a word that is
//!   changed before the memory is freed (the table's index word).
//!
//! What a crash leaves: at worst seq = 2n+1, and version n as readable as before.

use crate::pillar::Pillar;
use crate::points::{self, Point};
use crate::sync::{AtomicU64, Ordering};

/// Words of a latch over versions of `version_words` words.
pub const fn latch_words(version_words: usize) -> usize {
    2 * version_words + 1
}

/// Two versions of some words and the sequence between them.
#[derive(Clone, Copy)]
pub struct Latch<'a> {
    even: &'a [AtomicU64],
    seq: &'a AtomicU64,
    odd: &'a [AtomicU64],
}

/// What a reader found when it came: the newest version's number, and whether the one before it was
/// untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    seq: u64,
}

impl Entry {
    /// Number of the newest whole version; 0 where none was ever written.
    #[inline]
    pub fn version(self) -> u64 {
        self.seq >> 1
    }
}

impl<'a> Latch<'a> {
    /// Takes `words`, of which there must be [`latch_words`]`(version_words)`.
    #[inline]
    pub fn new(words: &'a [AtomicU64], version_words: usize) -> Option<Self> {
        let (even, rest) = words.split_at_checked(version_words)?;
        let (seq, odd) = rest.split_first()?;
        (odd.len() == version_words).then_some(Self { even, seq, odd })
    }

    /// The same without a look at how many there are.
    ///
    /// # Safety
    /// There are [`latch_words`]`(version_words)`.
    #[inline(always)]
    pub(crate) unsafe fn new_unchecked(words: &'a [AtomicU64], version_words: usize) -> Self {
        debug_assert_eq!(words.len(), latch_words(version_words));
        // SAFETY: all three lie within that many words.
        unsafe {
            Self {
                even: words.get_unchecked(..version_words),
                seq: words.get_unchecked(version_words),
                odd: words.get_unchecked(version_words + 1..2 * version_words + 1),
            }
        }
    }

    /// The words of the buffer that version `n` has, as long as it has it.
    #[inline]
    pub fn version(&self, n: u64) -> &'a [AtomicU64] {
        if n & 1 == 1 { self.odd } else { self.even }
    }

    /// A reader's first step.
    #[inline]
    pub fn enter(&self) -> Entry {
        let seq = self.seq.load(Ordering::Relaxed);
        Pillar::LatchEnterFence.fence(Ordering::Acquire);
        Entry { seq }
    }

    /// A reader's last step: whether all that it read of version `entry.version()`, and of what that
    /// version refers to, was this version's.
    #[inline]
    pub fn holds(&self, entry: Entry) -> bool {
        Pillar::LatchHoldsFence.fence(Ordering::Acquire);
        let seq = self.seq.load(Ordering::Relaxed);
        let since = seq.wrapping_sub(entry.version() << 1);
        since <= 2
            || points::is_put_in(Point::SkipSecondCheck)
            || !Pillar::LatchHolds.stands()
            || (!Pillar::LatchWraps.stands() && seq == 0)
    }

    /// The same for the version before it, `entry.version() - 1`.
    #[inline]
    pub fn holds_previous(&self, entry: Entry) -> bool {
        Pillar::LatchBeforeFence.fence(Ordering::Acquire);
        let quiet = entry.seq & 1 == 0 || !Pillar::LatchBeforeQuiet.stands();
        let seq = self.seq.load(Ordering::Relaxed);
        quiet && (seq == entry.seq || !Pillar::LatchBefore.stands())
    }

    /// Whether this version is still the newest whole one, as far as the caller has seen: not older than
    /// what it has acquired. For who remembers what it copied and reads nothing anew.
    #[inline]
    pub fn is_newest(&self, version: u64) -> bool {
        self.seq.load(Ordering::Relaxed) >> 1 == version
    }

    /// The only writer's step: `fill` stores every word of the next version (relaxed). Whatever the
    /// version before the present one referred to may be reused once this has returned.
    #[inline]
    pub fn write(&self, fill: impl FnOnce(&'a [AtomicU64])) {
        let n = self.newest();
        self.seq.store(2 * n + 1, Pillar::LatchBegin.order(Ordering::Release));
        Pillar::LatchBeginFence.fence(Ordering::Release);
        fill(self.version(n + 1));
        self.seq.store(2 * n + 2, Pillar::LatchEnd.order(Ordering::Release));
    }

    /// Number of the newest version, for the only writer.
    #[inline]
    pub fn newest(&self) -> u64 {
        self.seq.load(Ordering::Relaxed) >> 1
    }
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

    fn value(latch: &Latch<'_>, n: u64) -> u64 {
        latch.version(n)[0].load(Ordering::Relaxed)
    }

    #[test]
    fn versions_alternate_and_the_one_before_stays() {
        let words = words(3);
        let latch = Latch::new(&words, 3).unwrap();
        assert_eq!(latch.enter().version(), 0);
        for n in 1..10 {
            write(&latch, n * 10);
            let entry = latch.enter();
            assert_eq!(entry.version(), n);
            assert_eq!(value(&latch, n), n * 10);
            assert!(latch.holds(entry) && latch.holds_previous(entry));
            if n > 1 {
                assert_eq!(value(&latch, n - 1), (n - 1) * 10);
            }
        }
    }

    #[test]
    fn a_copy_holds_for_one_write_and_not_for_two() {
        let words = words(2);
        let latch = Latch::new(&words, 2).unwrap();
        write(&latch, 1);
        let entry = latch.enter();
        write(&latch, 2);
        assert!(latch.holds(entry) && !latch.holds_previous(entry));
        latch.write(|_| assert!(!latch.holds(entry), "its buffer is being written"));
        assert!(!latch.holds(entry) && !latch.is_newest(1) && latch.is_newest(3));
    }

    #[test]
    fn a_writer_that_stopped_in_the_middle_leaves_the_newest_version() {
        let words = words(1);
        let latch = Latch::new(&words, 1).unwrap();
        write(&latch, 1);
        write(&latch, 2);
        words[1].store(5, Ordering::Relaxed); // seq ← 2n+1, then nothing more
        words[2].store(99, Ordering::Relaxed);
        let entry = latch.enter();
        assert_eq!((entry.version(), value(&latch, 2)), (2, 2));
        assert!(latch.holds(entry) && !latch.holds_previous(entry));
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
    }
}
