//! An events lane: the daemon's records, a reader that may be lapped, and words that no daemon wrote.
//!
//! In: steps. While nobody scribbles, the reader gets each record once and in order, or is told exactly
//! how many it missed; whatever anybody scribbles, it gets bounded records, or an error.

use std::sync::Arc;
use std::time::Duration;

use shmirror_shm::image::Image;
use shmirror_shm::lane::{EventsError, EventsReader, EventsWriter, layout as at};
use shmirror_shm::record::{
    FLAG_ELIDED, HEADER_WORDS, Operation, RecordHeader, RecordRef, RowRecord,
};
use shmirror_shm::region::Region;
use shmirror_shm::sync::Ordering;
use shmirror_shm::value::ValueRef;

use super::record;
use crate::bytes::{Bytes, joined};
use crate::is_understood;
use crate::memory::within;

const RING_BYTES: u64 = 64 << 10;
const RING_WORDS: u64 = RING_BYTES / 8;
const MOST_WORDS: usize = (RING_WORDS / at::EVENTS_SHARE) as usize;
const STEPS: usize = 300;

/// A record as it went into the lane.
struct Put {
    position: u64,
    revision: u64,
    words: Vec<u64>,
    elided: bool,
}

struct Lane {
    writer: EventsWriter,
    reader: EventsReader,
    memory: Arc<Region>,
    put: Vec<Put>,
    /// Words put in.
    head: u64,
    /// How many of `put` are announced.
    announced: usize,
    revision: u64,
    /// The revision announced last.
    newest: u64,
    /// Index in `put` of what the reader gets next.
    next: usize,
    scribbled: bool,
    retired: bool,
}

/// Takes steps in a new lane.
pub fn run(data: &[u8]) {
    let mut input = Bytes::new(data);
    let mut lane = Lane::new();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        lane.step(&mut input);
    }
}

impl Lane {
    fn new() -> Self {
        let mut writer = EventsWriter::create(3, RING_BYTES).expect("memory for a lane");
        writer.start(0);
        let fd = writer.region().read_only_descriptor().expect("a descriptor");
        let memory = Region::map_read_only(fd, writer.region().len()).expect("its memory");
        let memory = Arc::new(memory);
        let reader = EventsReader::open(Arc::clone(&memory)).expect("a lane");
        assert_eq!((reader.generation(), reader.next_sequence()), (3, 1));
        Self {
            writer,
            reader,
            memory,
            put: Vec::new(),
            head: 0,
            announced: 0,
            revision: 0,
            newest: 0,
            next: 0,
            scribbled: false,
            retired: false,
        }
    }

    fn step(&mut self, input: &mut Bytes<'_>) {
        match input.u8() % 8 {
            // The daemon alone can write there, and reads back what it wrote: scribbles are for its readers.
            0 | 1 if self.scribbled => {}
            0 | 1 => self.push(input),
            2 => {
                let table = u32::from(input.u8());
                self.writer.announce(&[table], self.revision);
                (self.announced, self.newest) = (self.put.len(), self.revision);
            }
            3 => self.read(),
            4 => self.seek(input),
            5 => self.scribble(input),
            6 => {
                // Alone in the process nobody comes: it looks, and does not sleep.
                let tables = [u32::from(input.u8())];
                let there = self.reader.wait(Some(&tables), Duration::ZERO);
                assert!(there || self.scribbled || self.next >= self.announced);
            }
            _ => match input.u8() {
                0 => {
                    self.writer.retire();
                    self.announced = self.put.len();
                    self.retired = true;
                }
                _ => {
                    // A revision of which there is nothing here. What waits is shown with it.
                    self.revision += 1;
                    self.writer.step(self.revision);
                    (self.announced, self.newest) = (self.put.len(), self.revision);
                }
            },
        }
        if !self.scribbled {
            assert_eq!(self.reader.newest_revision(), self.newest);
            assert_eq!(self.writer.newest_sequence(), self.put.len() as u64);
            assert_eq!(self.reader.is_retired(), self.retired);
            assert_eq!(self.reader.next_sequence(), self.next as u64 + 1);
        }
    }

    fn push(&mut self, input: &mut Bytes<'_>) {
        let (length, kind, table) = (usize::from(input.u16()), input.u8(), u32::from(input.u8()));
        self.revision += u64::from(kind & 1) + u64::from(self.revision == 0);
        let blob = vec![kind; length];
        let key = Image::encode([ValueRef::Integer(length as i64)].into_iter());
        let row = [ValueRef::Integer(length as i64), ValueRef::Blob(&blob)];
        let row = Image::encode(row.into_iter());
        let operation =
            [Operation::Insert, Operation::Update, Operation::Delete][usize::from(kind >> 1) % 3];
        let mut words = Vec::new();
        RowRecord {
            operation,
            table: (table, 1),
            birth: 1,
            revision: self.revision,
            origin: RecordHeader { uid: 7, ..Default::default() },
            changed: &[3],
            key: key.as_ref(),
            row: (operation != Operation::Delete).then_some(row.as_ref()),
            columns: 2,
        }
        .encode(&mut words);
        let sequence = self.writer.push(RecordRef::parse(&words).expect("it was just encoded"));
        let elided = words.len() > MOST_WORDS;
        let kept = match elided {
            true => HEADER_WORDS + 1 + key.as_ref().words().len(),
            false => words.len(),
        };
        self.put.push(Put { position: self.head, revision: self.revision, words, elided });
        self.head += kept as u64;
        if !self.scribbled {
            assert_eq!(sequence, self.put.len() as u64);
        }
    }

    /// Index of the oldest record that the ring still has.
    fn oldest(&self) -> usize {
        self.put.iter().position(|put| self.head - put.position <= RING_WORDS).unwrap_or(0)
    }

    fn read(&mut self) {
        let before = self.reader.next_sequence();
        let mut buffer = Vec::new();
        let read = within(8 * MOST_WORDS + 4096, "an event", || self.reader.next(&mut buffer));
        match &read {
            Ok(Some(())) => {
                assert!((HEADER_WORDS..=MOST_WORDS).contains(&buffer.len()));
                assert_eq!(buffer[0] as u32 as usize, buffer.len() * 8);
                assert_eq!(buffer[1], before);
                assert_eq!(self.reader.next_sequence(), before.wrapping_add(1));
                if let Ok(parsed) = RecordRef::parse(&buffer) {
                    record::check(&parsed);
                }
            }
            Err(EventsError::Lagged { missed, next_sequence }) => {
                assert!(*missed > 0);
                assert_eq!(before.checked_add(*missed), Some(*next_sequence));
                assert_eq!(self.reader.next_sequence(), *next_sequence);
            }
            Ok(None) | Err(EventsError::Retired { .. } | EventsError::Corrupt { .. }) => {
                assert_eq!(self.reader.next_sequence(), before);
            }
        }
        if self.scribbled {
            return;
        }
        let oldest = self.oldest();
        match read {
            Ok(Some(())) => {
                assert!(self.next < self.announced && self.next >= oldest);
                let put = &self.put[self.next];
                let found = RecordRef::parse(&buffer).expect("the daemon wrote it");
                let given = RecordRef::parse(&put.words).expect("it was encoded");
                let elided = if put.elided { FLAG_ELIDED } else { 0 };
                let expected = RecordHeader {
                    sequence: before,
                    length: found.header().length,
                    flags: given.header().flags | elided,
                    row_var: if put.elided { 0 } else { given.header().row_var },
                    ..*given.header()
                };
                assert_eq!(*found.header(), expected);
                assert_eq!(found.key(), given.key());
                assert_eq!(found.header().revision, put.revision);
                if !put.elided {
                    assert_eq!(found.words()[2..], given.words()[2..]);
                }
                self.next += 1;
                is_understood();
            }
            Ok(None) => assert!(self.next >= self.announced && !self.retired),
            Err(EventsError::Retired { generation }) => {
                assert!(self.next >= self.announced && self.retired && generation == 3);
            }
            Err(EventsError::Lagged { next_sequence, .. }) => {
                assert!(self.next < oldest && self.next < self.announced);
                self.next = oldest;
                assert_eq!(next_sequence, self.next as u64 + 1);
                is_understood();
            }
            Err(corrupt) => panic!("{corrupt}"),
        }
    }

    fn seek(&mut self, input: &mut Bytes<'_>) {
        match input.u8() % 3 {
            0 => {
                let newest = self.reader.from_newest();
                assert!(self.scribbled || newest == self.newest);
                self.next = self.announced;
            }
            1 => {
                let complete = self.reader.from_oldest();
                if self.scribbled {
                    return;
                }
                self.next = self.oldest();
                // Every record of that revision, and of later ones, is still to come.
                let gone = &self.put[..self.next];
                assert!(gone.iter().all(|put| put.revision < complete), "{complete}");
            }
            _ => {
                if let Ok(reader) = EventsReader::open(Arc::clone(&self.memory)) {
                    self.reader = reader;
                    self.next = self.announced;
                } else {
                    assert!(self.scribbled);
                }
            }
        }
    }

    fn scribble(&mut self, input: &mut Bytes<'_>) {
        const WORDS: [u64; 8] = [
            at::MAGIC,
            at::RING_WORDS,
            at::OLDEST,
            at::COMPLETE_FROM,
            at::TURN,
            at::ENDS,
            at::EVENTS_RETIRED,
            at::EVENTS_RING,
        ];
        let (which, index) = (input.u8(), u64::from(input.u16()));
        let offset = match WORDS[usize::from(which & 7)] {
            at::ENDS => at::ENDS + index * 8 % (2 * at::END_WORDS as u64 * 8),
            at::EVENTS_RING => at::EVENTS_RING + index * 8 % RING_BYTES,
            offset => offset,
        };
        let word = self.writer.region().word(offset).expect("it lies in the lane");
        let value = match which >> 6 {
            0 => input.u64(),
            1 => word.load(Ordering::Relaxed) ^ (1 << (input.u8() & 63)),
            _ => word.load(Ordering::Relaxed).wrapping_add_signed(i64::from(input.u8() as i8)),
        };
        word.store(value, Ordering::Relaxed);
        self.scribbled = true;
    }
}

/// Life by the rules, a reader that is lapped, and scribbles of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let push = |length: u16, kind: u8| [&[0u8][..], &length.to_le_bytes(), &[kind, 5]].concat();
    let turn = [push(100, 1), push(0, 5), vec![2, 5, 3, 3, 3]].concat();
    let lapped = [push(7_000, 1).repeat(12), vec![2, 5, 3, 3, 3, 4, 1, 3]].concat();
    let scribble = |which: u8, value: u64| {
        [&[5u8, which, 0, 0][..], &value.to_le_bytes(), &[3, 3, 4, 1, 3]].concat()
    };
    let mut seeds = vec![
        turn.repeat(4),
        joined(&[&turn, &lapped, &turn]),
        joined(&[&push(60_000, 3), &[2, 0, 3], &turn, &[7, 0, 3, 3]]),
        joined(&[&turn, &[7, 1, 4, 2, 6, 5, 3]]),
    ];
    for which in 0..8 {
        seeds.push(joined(&[&lapped, &scribble(which, 40)]));
        seeds.push(joined(&[&lapped, &scribble(which, u64::MAX - 5), &scribble(which, u64::MAX)]));
        seeds.push(joined(&[&turn, &[5, 64 | which, 1, 0, 3, 3, 3, 4, 0, 3]]));
    }
    seeds
}
