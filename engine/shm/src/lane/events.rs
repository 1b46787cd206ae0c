//! The events lane: the daemon announces what it committed, readers follow.
//!
//! What flows in: records of committed transactions, in revision order. What flows out: the same
//! records, each once and in order, with gapless sequence numbers; or how many were missed.
//!
//! A reader waits on one futex word for all tables, or on its table's. Each quarter of the ring the
//! sleepers of all tables are woken, so that those of a quiet one pass over what does not concern them
//! before it is overwritten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zerocopy::IntoBytes;

use super::layout as at;
use super::log::{Cursor, End, Log, Step, Writer, most_words};
use super::ring::Ring;
use super::watch::Watch;
use super::words;
use crate::error::ShmError;
use crate::image::head_words;
use crate::record::{FLAG_ELIDED, HEADER_WORDS, RecordHeader, RecordRef};
use crate::region::Region;
use crate::sync::{Ordering, spin_loop};

/// Word of a record's header that holds its revision.
const REVISION_WORD: u64 = 2;
const _: () = assert!(core::mem::offset_of!(RecordHeader, revision) == 16);
const _: () = assert!(core::mem::offset_of!(RecordHeader, sequence) == 8);
const _: () = assert!(core::mem::offset_of!(RecordHeader, length) == 0);

/// Why there is no next record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// Records were overwritten before they were read; the reader is at the oldest that is left.
    #[error("{missed} events were overwritten before they were read")]
    Lagged {
        /// How many.
        missed: u64,
        /// Sequence of the record that comes next.
        next_sequence: u64,
    },
    /// All of the lane was read, and another has followed it.
    #[error("events lane of generation {generation} retired")]
    Retired {
        /// Generation of the lane.
        generation: u64,
    },
    /// Memory that no daemon of ours wrote.
    #[error("events lane is corrupt at word {position}, event {sequence}")]
    Corrupt {
        /// Where.
        position: u64,
        /// Which event was expected there.
        sequence: u64,
    },
}

/// The daemon's side.
#[derive(Debug)]
pub struct EventsWriter {
    region: Region,
    ring_words: usize,
    writer: Writer,
    revision: u64,
    /// Quarter turns of the ring announced so far.
    quarters: u64,
    scratch: Vec<u64>,
    /// Where the announced records end, and the sequence of the next one.
    announced: Cursor,
}

impl EventsWriter {
    /// A new lane with a ring of `bytes` (rounded up to a power of two, at least 64 KiB), all of its
    /// memory taken.
    ///
    /// # Errors
    /// No memory, or no descriptors.
    pub fn create(generation: u64, bytes: u64) -> Result<Self, ShmError> {
        let (region, ring_words) =
            words::create("events", bytes, at::EVENTS_MAGIC, generation, at::EVENTS_RING, false)?;
        let writer = Writer::new();
        let announced = Cursor { position: writer.head, sequence: writer.sequence };
        let (revision, quarters, scratch) = (0, 0, Vec::new());
        let mut lane = Self { region, ring_words, writer, revision, quarters, scratch, announced };
        lane.complete_from(u64::MAX);
        lane.publish_end();
        Ok(lane)
    }

    /// The lane's memory, for handing out.
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Tells readers which revision was the newest before the lane began, so that they know the lane
    /// to be complete from the next one on. Before the first push.
    pub fn start(&mut self, newest_revision: u64) {
        self.revision = newest_revision;
        self.complete_from(newest_revision.saturating_add(1));
        self.publish_end();
    }

    /// Sequence of the newest record.
    pub fn newest_sequence(&self) -> u64 {
        self.writer.sequence - 1
    }

    /// Appends a record and returns its sequence. Where it takes more than an eighth of the ring, its
    /// row image or catalogue is left out ([`FLAG_ELIDED`]). Readers see it from
    /// [`EventsWriter::announce`] on.
    pub fn push(&mut self, record: RecordRef<'_>) -> u64 {
        let sequence = self.writer.sequence;
        let unknown = words::whole(&self.region, at::COMPLETE_FROM).load(Ordering::Relaxed);
        if unknown == u64::MAX {
            self.complete_from(record.header().revision);
        }
        let most = most_words(self.ring_words);
        let log = log(&self.region, self.ring_words);
        let dropped = |ring: &Ring<'_>, dropped| {
            ring.word(dropped + REVISION_WORD).load(Ordering::Relaxed).saturating_add(1)
        };
        if record.words().len() <= most {
            log.push(&mut self.writer, record.words(), dropped);
        } else {
            fit(&record, most, &mut self.scratch);
            log.push(&mut self.writer, &self.scratch, dropped);
        }
        sequence
    }

    /// Whether so many words may be pushed since the last announcement and still be taken back: so few
    /// that no record is dropped which is not announced.
    pub fn can_take_back(&self, words: usize) -> bool {
        words <= most_words(self.ring_words)
    }

    /// Forgets what was pushed since the last announcement, of which [`EventsWriter::can_take_back`] has
    /// said that it can be. No reader has seen any of it.
    pub fn take_back(&mut self) {
        debug_assert!(self.writer.oldest <= self.announced.position);
        self.writer.head = self.announced.position;
        self.writer.sequence = self.announced.sequence;
    }

    /// Lets readers see what was pushed, and wakes those who wait: for any table, and for `tables`.
    /// Table 0 stands for the schema as a whole and wakes everybody.
    pub fn announce(&mut self, tables: &[u32], newest_revision: u64) {
        self.show(tables, newest_revision);
        self.wake(tables);
    }

    /// The first half of [`EventsWriter::announce`]: nobody is woken yet. Who has several lanes to
    /// announce shows all of them first, so that who is woken by one finds the others as new.
    pub fn show(&mut self, tables: &[u32], newest_revision: u64) {
        self.revision = newest_revision;
        watch(&self.region, self.ring_words).show(&mut self.writer, tables, newest_revision);
        self.announced = Cursor { position: self.writer.head, sequence: self.writer.sequence };
    }

    /// The second half, with the same tables.
    pub fn wake(&mut self, tables: &[u32]) {
        let quarter = self.writer.head / (self.ring_words as u64 / 4);
        let lapping = quarter > self.quarters;
        self.quarters = quarter;
        watch(&self.region, self.ring_words).wake(tables, lapping);
    }

    /// Tells readers of a newer revision that has no record here. Nobody is woken.
    pub fn step(&mut self, newest_revision: u64) {
        self.revision = newest_revision;
        self.publish_end();
    }

    /// Tells readers that another lane has followed this one, and wakes them all.
    pub fn retire(&mut self) {
        watch(&self.region, self.ring_words).retire(&mut self.writer, self.revision);
    }

    fn publish_end(&mut self) {
        log(&self.region, self.ring_words).announce(&mut self.writer, self.revision);
        self.announced = Cursor { position: self.writer.head, sequence: self.writer.sequence };
    }

    fn complete_from(&self, revision: u64) {
        words::whole(&self.region, at::COMPLETE_FROM).store(revision, Ordering::Release);
    }
}

/// What of a record that is too long has room in `most` words.
fn fit(record: &RecordRef<'_>, most: usize, out: &mut Vec<u64>) {
    let mut header = *record.header();
    let mut words = record.words();
    header.flags |= FLAG_ELIDED;
    header.row_var = 0;
    let key = head_words(header.key_columns.into()) + (header.key_var as usize).div_ceil(8);
    let rest = usize::from(header.columns).div_ceil(64) + key;
    let keep = if record.is_row() { HEADER_WORDS + rest } else { HEADER_WORDS };
    if keep <= most {
        words = &words[..keep];
    } else {
        // Keys are bounded far below an eighth of the smallest ring; but should one come, the
        // record still says which revision and row it is of.
        words = &words[..HEADER_WORDS];
        (header.columns, header.key_columns, header.key_var) = (0, 0, 0);
    }
    header.length = (words.len() * 8) as u32;
    out.clear();
    out.extend_from_slice(words);
    out[..HEADER_WORDS].as_mut_bytes().copy_from_slice(header.as_bytes());
}

/// A reader's side, over a read-only mapping. It writes nothing shared.
#[derive(Debug)]
pub struct EventsReader {
    region: Arc<Region>,
    generation: u64,
    ring_words: usize,
    cursor: Cursor,
}

impl EventsReader {
    /// A lane that the daemon handed out; the reader stands at its end.
    ///
    /// # Errors
    /// Memory that is no events lane of this build's layout.
    pub fn open(region: Arc<Region>) -> Result<Self, ShmError> {
        let (generation, ring_words) =
            words::open(&region, "events lane", at::EVENTS_MAGIC, at::EVENTS_RING)?;
        let cursor = Cursor { position: 0, sequence: 1 };
        let mut reader = Self { region, generation, ring_words, cursor };
        reader.from_newest();
        Ok(reader)
    }

    /// Generation of the lane.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Moves to the end, between two groups: only what is announced from now on is read. Returns the
    /// newest revision at that place.
    pub fn from_newest(&mut self) -> u64 {
        let end = self.end();
        self.cursor = Cursor { position: end.position, sequence: end.sequence };
        end.revision
    }

    /// Moves to the oldest record that is left. Returns the first revision of which, and from which
    /// on, every record will be read; records of an earlier one may come first.
    pub fn from_oldest(&mut self) -> u64 {
        match self.log().oldest() {
            Some(oldest) => self.cursor = oldest,
            None => drop(self.from_newest()),
        }
        // Read after the position, and moved before it: never too early a revision.
        self.oldest_revision()
    }

    /// The first revision from which on the lane has every record; `u64::MAX` before there was any.
    pub fn oldest_revision(&self) -> u64 {
        words::whole(&self.region, at::COMPLETE_FROM).load(Ordering::Acquire)
    }

    /// The newest revision announced.
    pub fn newest_revision(&self) -> u64 {
        self.end().revision
    }

    /// Sequence of the record that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.cursor.sequence
    }

    /// Copies the next record into `buffer`, which then holds it and nothing else; `None` if there is
    /// none yet.
    ///
    /// # Errors
    /// Any [`EventsError`]. After [`EventsError::Lagged`] the next call goes on behind the gap.
    pub fn next(&mut self, buffer: &mut Vec<u64>) -> Result<Option<()>, EventsError> {
        // Before the look, so that what was announced before the retirement is still read.
        let retired = self.is_retired();
        let mut cursor = self.cursor;
        let step = self.log().read(&mut cursor, HEADER_WORDS, buffer);
        self.cursor = cursor;
        match step {
            Step::Record => Ok(Some(())),
            Step::Nothing if retired => Err(EventsError::Retired { generation: self.generation }),
            Step::Nothing => Ok(None),
            Step::Lapped { missed } => {
                Err(EventsError::Lagged { missed, next_sequence: cursor.sequence })
            }
            Step::Corrupt => {
                let Cursor { position, sequence } = cursor;
                Err(EventsError::Corrupt { position, sequence })
            }
        }
    }

    /// Whether another lane has followed this one.
    pub fn is_retired(&self) -> bool {
        words::whole(&self.region, at::EVENTS_RETIRED).load(Ordering::Acquire) != 0
    }

    /// Sleeps until there may be something to read; false if there was nothing for `timeout`. With
    /// `tables`, records that touch none of them are passed over while it sleeps; a single one also
    /// lets it sleep on while others change.
    pub fn wait(&mut self, tables: Option<&[u32]>, timeout: Duration) -> bool {
        let tables = tables.unwrap_or_default();
        let deadline = Instant::now().checked_add(timeout);
        let left = || match deadline {
            Some(deadline) => {
                Some(deadline.saturating_duration_since(Instant::now())).filter(|d| !d.is_zero())
            }
            None => Some(Duration::MAX),
        };
        let mut cursor = self.cursor;
        let there = watch(&self.region, self.ring_words).wait(&mut cursor, tables, left);
        self.cursor = cursor;
        there
    }

    /// Where the announced records end. The writer announces far more slowly than this tries, and
    /// where it is stopped, the first try succeeds.
    fn end(&self) -> End {
        loop {
            if let Some(end) = self.log().end() {
                return end;
            }
            spin_loop();
        }
    }

    fn log(&self) -> Log<'_> {
        log(&self.region, self.ring_words)
    }
}

fn log(region: &Region, ring_words: usize) -> Log<'_> {
    Log {
        oldest: words::whole(region, at::OLDEST),
        complete_from: words::whole(region, at::COMPLETE_FROM),
        turn: words::whole(region, at::TURN),
        ends: words::run(region, at::ENDS, 2 * at::END_WORDS),
        ring: words::ring(region, at::EVENTS_RING, ring_words),
    }
}

fn watch(region: &Region, ring_words: usize) -> Watch<'_> {
    Watch {
        log: log(region, ring_words),
        retired: words::whole(region, at::EVENTS_RETIRED),
        all: words::half(region, at::ALL_TABLES),
        tables: words::halves(region, at::TABLES, at::TABLE_WORDS as usize),
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
