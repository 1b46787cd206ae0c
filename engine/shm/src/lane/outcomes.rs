//! One entry of the outcome table: the daemon answers a ticket, its producer reads or waits.
//!
//! ```text
//! answer  ticket ← 0 ; fence(release) ; body (relaxed) ; ticket ← t (release) ;
//!         fence(SeqCst) ; waiting ? waiting ← 0, turn + 1, wake all
//! read    t ← ticket (acquire) ; body (relaxed) ; fence(acquire) ; ticket still t ?
//! wait    n ← turn ; waiting ← 1 ; fence(SeqCst) ; read ; futex wait while turn = n
//! ```
//! Entry `ticket % 4096` is used by one ticket after another, in order. A reader that finds a later
//! ticket there than its own has come too late, and is told so; one that finds an earlier ticket, or
//! none (0: never written, or just being written), waits.

use super::layout::{OUTCOME_BODY_WORDS, OUTCOME_MESSAGE_BYTES};
use crate::futex;
use crate::pillar::Pillar;
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use crate::words::{copy_bytes, copy_words, store_bytes};

/// There are result rows to fetch.
pub const FLAG_HAS_ROWS: u16 = 1;
/// The message was cut; the whole is to be fetched.
pub const FLAG_MORE_TEXT: u16 = 2;

/// What became of a ticket, as it stands in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawOutcome {
    /// The ticket.
    pub ticket: u64,
    /// Committed and visible; else rejected.
    pub committed: bool,
    /// Number of the [`RejectCode`](crate::request::RejectCode); 0 if committed.
    pub code: u16,
    /// [`FLAG_HAS_ROWS`], [`FLAG_MORE_TEXT`].
    pub flags: u16,
    /// Revision of the commit.
    pub revision: u64,
    /// Rows inserted, updated and deleted.
    pub changes: u64,
    /// Why it was rejected; up to 216 bytes of it.
    pub message: String,
}

/// What an entry says about a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Not answered yet.
    Pending,
    /// Answered.
    Done(RawOutcome),
    /// Answered some time ago; the entry is a later ticket's.
    Expired,
}

/// The words of one entry.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'a> {
    pub ticket: &'a AtomicU64,
    pub waiting: &'a AtomicU32,
    pub turn: &'a AtomicU32,
    /// Status, revision, changes, message; a model has fewer words for the message.
    pub body: &'a [AtomicU64],
}

impl Slot<'_> {
    /// Writes the outcome and wakes who waits for it (daemon).
    pub fn answer(&self, outcome: &RawOutcome) {
        let room = OUTCOME_MESSAGE_BYTES.min(self.body.len().saturating_sub(3) * 8);
        let mut cut = outcome.message.len().min(room);
        while !outcome.message.is_char_boundary(cut) {
            cut -= 1;
        }
        let mut flags = outcome.flags;
        if cut < outcome.message.len() {
            flags |= FLAG_MORE_TEXT;
        }
        if Pillar::OutcomeGone.stands() {
            self.ticket.store(0, Ordering::Relaxed);
        }
        // A reader that sees any of the new body also sees that the ticket is no longer the old one.
        Pillar::OutcomeGoneFence.fence(Ordering::Release);
        let status = u64::from(outcome.committed)
            | u64::from(outcome.code) << 16
            | u64::from(flags) << 32
            | (cut as u64) << 48;
        for (word, value) in self.body.iter().zip([status, outcome.revision, outcome.changes]) {
            word.store(value, Ordering::Relaxed);
        }
        if let Some(words) = self.body.get(3..) {
            store_bytes(words, &outcome.message.as_bytes()[..cut]);
        }
        self.ticket.store(outcome.ticket, Pillar::OutcomeTicket.order(Ordering::Release));
        Pillar::OutcomeAnswerFence.fence(Ordering::SeqCst);
        self.wake();
    }

    /// Wakes who waits.
    pub fn wake(&self) {
        if self.waiting.load(Ordering::Relaxed) != 0 {
            self.waiting.store(0, Ordering::Relaxed);
            if Pillar::OutcomeTurn.stands() {
                self.turn.fetch_add(1, Pillar::OutcomeForget.order(Ordering::Release));
            }
            futex::wake(self.turn, futex::ALL);
        }
    }

    /// What the entry says about `ticket`.
    pub fn read(&self, ticket: u64) -> Entry {
        let found = self.ticket.load(Pillar::OutcomeRead.order(Ordering::Acquire));
        if found == 0 || found < ticket {
            return Entry::Pending;
        }
        if found > ticket {
            return Entry::Expired;
        }
        let mut head = [0; 3];
        copy_words(self.body, &mut head);
        let [status, revision, changes] = head;
        let mut message = Vec::new();
        if let Some(words) = self.body.get(3..) {
            let length = ((status >> 48) as usize).min(OUTCOME_MESSAGE_BYTES);
            copy_bytes(words, length, &mut message);
        }
        Pillar::OutcomeReadFence.fence(Ordering::Acquire);
        if self.ticket.load(Ordering::Relaxed) != ticket && Pillar::OutcomeStill.stands() {
            // Our outcome was there a moment ago, and is being overwritten by a later ticket's.
            return Entry::Expired;
        }
        Entry::Done(RawOutcome {
            ticket,
            committed: status & 1 == 1,
            code: (status >> 16) as u16,
            flags: (status >> 32) as u16,
            revision,
            changes,
            message: String::from_utf8_lossy(&message).into_owned(),
        })
    }

    /// Says that somebody waits; the value that the futex `turn` has until there is an answer. Then
    /// [`Slot::read`] is to be asked once more.
    pub fn want(&self) -> u32 {
        let turn = self.turn.load(Pillar::OutcomeWant.order(Ordering::Acquire));
        self.waiting.store(1, Ordering::Relaxed);
        Pillar::OutcomeWantFence.fence(Ordering::SeqCst);
        turn
    }
}

const _: () = assert!(OUTCOME_BODY_WORDS == 3 + OUTCOME_MESSAGE_BYTES / 8);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    struct Words {
        ticket: AtomicU64,
        waiting: AtomicU32,
        turn: AtomicU32,
        body: Vec<AtomicU64>,
    }

    impl Words {
        fn new() -> Self {
            Self {
                ticket: AtomicU64::new(0),
                waiting: AtomicU32::new(0),
                turn: AtomicU32::new(0),
                body: (0..OUTCOME_BODY_WORDS).map(|_| AtomicU64::new(0)).collect(),
            }
        }

        fn slot(&self) -> Slot<'_> {
            Slot {
                ticket: &self.ticket,
                waiting: &self.waiting,
                turn: &self.turn,
                body: &self.body,
            }
        }
    }

    #[test]
    fn outcomes_come_back_and_expire() {
        let words = Words::new();
        let slot = words.slot();
        assert_eq!(slot.read(5), Entry::Pending);
        let committed = RawOutcome {
            ticket: 5,
            committed: true,
            revision: 9,
            changes: 3,
            ..Default::default()
        };
        slot.answer(&committed);
        assert_eq!(slot.read(5), Entry::Done(committed));
        assert_eq!(slot.read(5 + 4096), Entry::Pending);
        let rejected = RawOutcome {
            ticket: 5 + 4096,
            code: 22,
            flags: FLAG_HAS_ROWS,
            message: "ümlaut".into(),
            ..Default::default()
        };
        slot.answer(&rejected);
        assert_eq!(slot.read(5 + 4096), Entry::Done(rejected));
        assert_eq!(slot.read(5), Entry::Expired);
    }

    #[test]
    fn a_long_message_is_cut_between_characters_and_says_so() {
        let words = Words::new();
        for length in [215, 216, 217, 1000] {
            let message = "x".repeat(length % 2) + &"é".repeat(length / 2);
            let outcome = RawOutcome { ticket: 1, message: message.clone(), ..Default::default() };
            words.slot().answer(&outcome);
            let Entry::Done(found) = words.slot().read(1) else { panic!("it was answered") };
            assert_eq!(found.flags & FLAG_MORE_TEXT != 0, length > 216, "{length}");
            assert!(message.starts_with(&found.message), "{length}");
            assert!(found.message.len() >= length.min(215), "{length}");
        }
    }

    #[test]
    fn any_words_are_read_without_panic() {
        let words = Words::new();
        for fill in [u64::MAX, 0x8080_8080_8080_8080, 1 << 63 | 1] {
            for word in &words.body {
                word.store(fill, Ordering::Relaxed);
            }
            words.ticket.store(7, Ordering::Relaxed);
            assert!(matches!(words.slot().read(7), Entry::Done(_)));
        }
    }
}
