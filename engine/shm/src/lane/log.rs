//! The events lane's ring: one writer, any number of readers that write nothing.
//!
//! ```text
//! push      oldest ← past what will be overwritten (release) ; fence(release) ; words (relaxed)
//! announce  end of turn n+1: words of ends[(n+1)&1] (relaxed) ; turn ← n+1 (release)
//! read      turn, ends ; cursor at the end ? nothing ; words (relaxed) ; fence(acquire) ;
//!           oldest ≤ cursor ? the record is whole : lapped
//! ```
//! A record that a reader copied while it was overwritten is torn, but then the reader's copy has a
//! word of the new record, and by the two fences it also sees the `oldest` that was moved before.
//!
//! Records are seen from their announcement on, so a reader at the end stands between two groups. The
//! end is three words that belong together (position, next sequence, newest revision), kept twice and
//! written in turns, so that a reader never waits for a writer that was stopped in the middle.
//!
//! The ring only looks at the first two words of a record: its length in bytes (lower half of the
//! first) and its sequence (the second), as [`RecordHeader`](crate::record::RecordHeader) has them.

use super::layout::{END_WORDS, EVENTS_SHARE};
use super::ring::Ring;
use crate::pillar::Pillar;
use crate::sync::{AtomicU64, Ordering};
use crate::words::{copy_words, store_words};

/// Tries to find a position that does not move away meanwhile.
const TRIES: usize = 100;

/// The words of an events lane.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub oldest: &'a AtomicU64,
    pub complete_from: &'a AtomicU64,
    pub turn: &'a AtomicU64,
    /// Two times [`END_WORDS`].
    pub ends: &'a [AtomicU64],
    pub ring: Ring<'a>,
}

/// Where the announced records end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Position behind the last one.
    pub position: u64,
    /// Sequence of the next one.
    pub sequence: u64,
    /// Newest revision.
    pub revision: u64,
}

/// The writer's place: its own, never read back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writer {
    /// Where the next record goes.
    pub head: u64,
    /// The oldest valid record.
    pub oldest: u64,
    /// Sequence of the next record.
    pub sequence: u64,
    /// Announcements so far.
    pub turn: u64,
}

impl Writer {
    pub fn new() -> Self {
        Self { head: 0, oldest: 0, sequence: 1, turn: 0 }
    }
}

/// A reader's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Where the next record begins.
    pub position: u64,
    /// Its sequence.
    pub sequence: u64,
}

/// What reading the next record came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The record is in the buffer.
    Record,
    /// There is none yet.
    Nothing,
    /// So many records were overwritten; the cursor is at the oldest that is left.
    Lapped { missed: u64 },
    /// Words that no writer of ours writes.
    Corrupt,
}

/// Most words of a record in a ring of so many.
pub(crate) fn most_words(ring_words: usize) -> usize {
    ring_words / EVENTS_SHARE as usize
}

impl Log<'_> {
    /// Appends a record of at most [`most_words`], and gives it its sequence; `dropped` is told the first
    /// words of each record that is overwritten, and says from which revision on the rest is complete.
    pub fn push(
        &self,
        writer: &mut Writer,
        record: &[u64],
        mut dropped: impl FnMut(&Ring<'_>, u64) -> u64,
    ) {
        let end = writer.head + record.len() as u64;
        let mut oldest = writer.oldest;
        let mut complete_from = None;
        while end - oldest > self.ring.len() as u64 {
            complete_from = Some(dropped(&self.ring, oldest));
            oldest += u64::from(self.ring.word(oldest).load(Ordering::Relaxed) as u32) / 8;
        }
        if let Some(revision) = complete_from {
            self.complete_from.store(revision, Ordering::Relaxed);
            if !Pillar::LogOldestFirst.stands() {
                self.ring.store_words(writer.head, record);
            }
            // Release: who finds a record at `oldest` also finds it written, and `complete_from`.
            self.oldest.store(oldest, Pillar::LogOldest.order(Ordering::Release));
            Pillar::LogOldestFence.fence(Ordering::Release);
        }
        self.ring.store_words(writer.head, record);
        self.ring.word(writer.head + 1).store(writer.sequence, Ordering::Relaxed);
        writer.oldest = oldest;
        writer.head = end;
        writer.sequence += 1;
    }

    /// Lets readers see what was pushed.
    pub fn announce(&self, writer: &mut Writer, revision: u64) {
        writer.turn += 1;
        store_words(self.end_words(writer.turn), &[writer.head, writer.sequence, revision]);
        self.turn.store(writer.turn, Pillar::LogTurn.order(Ordering::Release));
        // Whatever the next turn writes into the other words is seen after this turn.
        Pillar::LogTurnFence.fence(Ordering::Release);
    }

    /// Where the announced records end. `None` if the writer was faster each time.
    pub fn end(&self) -> Option<End> {
        for _ in 0..TRIES {
            let turn = self.turn.load(Pillar::LogEnd.order(Ordering::Acquire));
            let mut words = [0; END_WORDS];
            copy_words(self.end_words(turn), &mut words);
            Pillar::LogEndFence.fence(Ordering::Acquire);
            if self.turn.load(Ordering::Relaxed) == turn || !Pillar::LogEndStill.stands() {
                let [position, sequence, revision] = words;
                return Some(End { position, sequence, revision });
            }
        }
        None
    }

    fn end_words(&self, turn: u64) -> &[AtomicU64] {
        let (even, odd) = self.ends.split_at(self.ends.len() / 2);
        if turn & 1 == 0 { even } else { odd }
    }

    /// Copies the record at the cursor into `buffer`, and moves the cursor on. A record shorter than
    /// `least` words is none.
    pub fn read(&self, cursor: &mut Cursor, least: usize, buffer: &mut Vec<u64>) -> Step {
        buffer.clear();
        let Some(end) = self.end() else { return Step::Nothing };
        if cursor.position >= end.position {
            return Step::Nothing;
        }
        if self.oldest.load(Ordering::Relaxed) > cursor.position {
            return self.lapped(cursor, end);
        }
        let bytes = self.ring.word(cursor.position).load(Ordering::Relaxed) as u32 as usize;
        let words = bytes / 8;
        let sane = bytes.is_multiple_of(8)
            && (least..=most_words(self.ring.len())).contains(&words)
            && (cursor.position.checked_add(words as u64)).is_some_and(|to| to <= end.position);
        if sane {
            buffer.resize(words, 0);
            self.ring.copy_words(cursor.position, buffer);
        }
        Pillar::LogReadFence.fence(Ordering::Acquire);
        let oldest = self.oldest.load(Ordering::Relaxed);
        if oldest > cursor.position && Pillar::LogReadStill.stands() {
            buffer.clear();
            return self.lapped(cursor, end);
        }
        let whole = sane && buffer[0] as u32 as usize == bytes && buffer[1] == cursor.sequence;
        if !whole {
            buffer.clear();
            return Step::Corrupt;
        }
        cursor.position += words as u64;
        // Whoever may write there may write any number.
        cursor.sequence = cursor.sequence.wrapping_add(1);
        Step::Record
    }

    /// Moves the cursor to the oldest record that is left, or to the end.
    fn lapped(&self, cursor: &mut Cursor, end: End) -> Step {
        let next =
            self.oldest().unwrap_or(Cursor { position: end.position, sequence: end.sequence });
        if next.sequence <= cursor.sequence {
            return Step::Corrupt;
        }
        let missed = next.sequence - cursor.sequence;
        *cursor = next;
        Step::Lapped { missed }
    }

    /// The oldest record that is left. `None` if there is no record, or the writer was faster each
    /// time.
    pub fn oldest(&self) -> Option<Cursor> {
        for _ in 0..TRIES {
            let position = self.oldest.load(Pillar::LogFindOldest.order(Ordering::Acquire));
            if position == 0 && self.end()?.position == 0 {
                return None;
            }
            let sequence = self.ring.word(position.wrapping_add(1)).load(Ordering::Relaxed);
            Pillar::LogFindFence.fence(Ordering::Acquire);
            let still = self.oldest.load(Ordering::Relaxed) == position;
            if still || !Pillar::LogFindStill.stands() {
                return Some(Cursor { position, sequence });
            }
        }
        None
    }
}
