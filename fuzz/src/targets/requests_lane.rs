//! A requests lane whose producers may write anything, and the daemon's side of it.
//!
//! In: steps. While nobody scribbles, the lane gives out what was put in; whatever anybody scribbles, it
//! gives out bounded requests in order, or says that it is corrupt, again and again.

use std::collections::VecDeque;
use std::sync::Arc;

use shmirror_shm::lane::{
    FLAG_MORE_TEXT, Poll, REQUEST_HEADER_WORDS, RawOutcome, RawRequest, RequestHeader, RequestKind,
    RequestsConsumer, RequestsProducer, SubmitError, layout as at,
};
use shmirror_shm::region::Region;
use shmirror_shm::sync::Ordering;
use zerocopy::IntoBytes;

use crate::bytes::{Bytes, joined};
use crate::is_understood;
use crate::memory::within;

const LANE: u64 = 0x1A2E;
const RING_BYTES: u64 = 64 << 10;
const RING_WORDS: usize = RING_BYTES as usize / 8;
/// Steps of one input: enough to go round the ring several times.
const STEPS: usize = 300;

struct Lane {
    consumer: RequestsConsumer,
    producer: RequestsProducer,
    shared: Arc<Region>,
    /// What was put in and not taken: number, kind, payload.
    there: VecDeque<(u64, u16, Vec<u8>)>,
    /// Tickets given, words put in, words taken, and those given back.
    tickets: u64,
    end: u64,
    position: u64,
    released: u64,
    scribbled: bool,
    retired: Option<u64>,
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
    // As the daemon does with a lane that it is done with.
    let last = lane.consumer.taken();
    assert_eq!(lane.consumer.retire(), last);
    assert!(matches!(lane.consumer.next(), Ok(None)) && !lane.consumer.pending());
    assert_eq!(lane.producer.retired(), Some(last));
    lane.consumer.vacate_ring().expect("it is clients' to write");
    lane.consumer.vacate_outcomes().expect("it is clients' to write");
}

impl Lane {
    fn new() -> Self {
        let consumer = RequestsConsumer::create(LANE, RING_BYTES).expect("memory for a lane");
        let memory = consumer.region().read_write_descriptor().expect("a descriptor");
        let shared = Region::map_read_write(memory, consumer.region().len()).expect("its memory");
        let shared = Arc::new(shared);
        let doorbell = consumer.doorbell().try_clone_to_owned().expect("a descriptor");
        let producer = RequestsProducer::open(Arc::clone(&shared), doorbell).expect("a lane");
        Self {
            consumer,
            producer,
            shared,
            there: VecDeque::new(),
            tickets: 0,
            end: 0,
            position: 0,
            released: 0,
            scribbled: false,
            retired: None,
        }
    }

    fn step(&mut self, input: &mut Bytes<'_>) {
        match input.u8() % 9 {
            0 | 1 => self.submit(input),
            2 => self.take(),
            3 => {
                self.consumer.release();
                self.released = self.position;
            }
            4 => self.answer(input),
            5 => self.scribble(input),
            6 => self.forge(input),
            7 => {
                let _ = self.producer.poll(input.u64());
                self.consumer.set_asleep(input.u8() & 1 == 1);
                self.consumer.drain_doorbell();
            }
            _ => {
                if input.u8() == 0 {
                    self.retired = Some(self.consumer.retire());
                    self.released = self.position;
                }
            }
        }
        if !self.scribbled {
            let waits = !self.there.is_empty() && self.retired.is_none();
            assert_eq!(self.consumer.pending(), waits);
            assert_eq!(self.producer.retired(), self.retired);
        }
    }

    fn submit(&mut self, input: &mut Bytes<'_>) {
        let (length, fill) = (usize::from(input.u16()), input.u8());
        // A mutex that somebody scribbled over costs 50 ms to find out.
        if self.shared.word32(at::MUTEX).expect("a lane").load(Ordering::Relaxed) != 0 {
            return;
        }
        let mut payload = vec![fill; length];
        if let Some(last) = payload.last_mut() {
            *last = self.tickets as u8;
        }
        let most = self.producer.most_payload();
        let needed = (REQUEST_HEADER_WORDS + length.div_ceil(8)) as u64;
        let used = self.end.saturating_sub(self.released);
        let room = RING_WORDS as u64 - used.min(RING_WORDS as u64);
        let submitted = self.producer.try_submit(RequestKind(u16::from(fill)), &payload);
        if self.scribbled {
            return;
        }
        match submitted {
            Ok(ticket) => {
                assert!(length <= most && needed <= room && self.retired.is_none());
                self.tickets += 1;
                self.end += needed;
                assert_eq!(ticket, self.tickets);
                self.there.push_back((ticket, u16::from(fill), payload));
            }
            Err(SubmitError::TooLarge { found, allowed }) => {
                assert_eq!((found, allowed), (length as u64, most as u64));
                assert!(length > most);
            }
            Err(SubmitError::Full { .. }) => assert!(needed > room),
            Err(SubmitError::Retired { cursor }) => assert_eq!(Some(cursor), self.retired),
            Err(other) => panic!("{other}"),
        }
    }

    fn take(&mut self) {
        let before = self.consumer.taken();
        let most = self.producer.most_payload();
        let taken = within(most + 4096, "a request", || self.consumer.next());
        match taken {
            Ok(Some(RawRequest { ticket, kind, payload, .. })) => {
                assert!(self.retired.is_none());
                assert!(payload.len() <= most);
                assert_eq!((ticket, self.consumer.taken()), (before + 1, before + 1));
                self.position += (REQUEST_HEADER_WORDS + payload.len().div_ceil(8)) as u64;
                if !self.scribbled {
                    let expected = self.there.pop_front().expect("it was put in");
                    assert_eq!((ticket, kind, payload), expected);
                    is_understood();
                }
            }
            Ok(None) => {
                assert_eq!(self.consumer.taken(), before);
                assert!(self.scribbled || self.retired.is_some() || self.there.is_empty());
            }
            Err(corrupt) => {
                assert!(self.scribbled, "{corrupt}");
                assert_eq!((corrupt.lane, corrupt.ticket), (LANE, before));
                assert_eq!(self.consumer.taken(), before);
                assert_eq!(self.consumer.next(), Err(corrupt), "it stays where it is");
                assert!(self.consumer.pending(), "who is told once is told again");
            }
        }
    }

    fn answer(&mut self, input: &mut Bytes<'_>) {
        let ticket = input.u64().max(1);
        let length = usize::from(input.u16() % 400);
        let flags = u16::from(input.u8());
        let message: String = "ü".repeat(length / 2) + if length % 2 == 1 { "x" } else { "" };
        let committed = flags & 4 != 0;
        let outcome = RawOutcome {
            ticket,
            committed,
            code: flags,
            flags: flags & 1,
            revision: ticket ^ 7,
            changes: u64::from(flags),
            message,
        };
        self.consumer.answer(&outcome);
        // Whatever was there before: the daemon wrote all of it.
        let Poll::Done(read) = self.producer.poll(ticket) else { panic!("it was answered") };
        assert!(outcome.message.starts_with(&read.message));
        let cut = read.message.len() < outcome.message.len();
        assert_eq!(cut, outcome.message.len() > at::OUTCOME_MESSAGE_BYTES);
        let flags = outcome.flags | if cut { FLAG_MORE_TEXT } else { 0 };
        assert_eq!(read, RawOutcome { flags, message: read.message.clone(), ..outcome });
        if let Some(later) = ticket.checked_add(at::OUTCOME_ENTRIES) {
            assert_eq!(self.producer.poll(later), Poll::Pending);
        }
        if let Some(earlier @ 1..) = ticket.checked_sub(at::OUTCOME_ENTRIES) {
            assert_eq!(self.producer.poll(earlier), Poll::Expired);
        }
    }

    fn scribble(&mut self, input: &mut Bytes<'_>) {
        const WORDS: [u64; 10] = [
            at::MAGIC,
            at::ID,
            at::RING_WORDS,
            at::HEAD,
            at::CURSOR,
            at::TAKEN,
            at::SPACE_TURN,
            at::ASLEEP,
            at::OUTCOMES,
            at::REQUESTS_RING,
        ];
        let (which, index) = (input.u8(), u64::from(input.u16()));
        let offset = match WORDS[usize::from(which & 15) % WORDS.len()] {
            at::OUTCOMES => at::OUTCOMES + index * 8 % (at::REQUESTS_RING - at::OUTCOMES),
            at::REQUESTS_RING => at::REQUESTS_RING + index * 8 % RING_BYTES,
            offset => offset,
        };
        let word = self.shared.word(offset).expect("it lies in the lane");
        let value = match which >> 6 {
            0 => input.u64(),
            1 => word.load(Ordering::Relaxed) ^ (1 << (input.u8() & 63)),
            _ => word.load(Ordering::Relaxed).wrapping_add_signed(i64::from(input.u8() as i8)),
        };
        word.store(value, Ordering::Relaxed);
        self.scribbled = true;
    }

    /// A record where the daemon takes the next one, and a head behind it.
    fn forge(&mut self, input: &mut Bytes<'_>) {
        let (length, kind) = (input.u32() & 0x1_FFFF, input.u16());
        let (ticket, count, words) = (input.u8() as i8, input.u8(), input.u16());
        let header = RequestHeader {
            length,
            kind,
            ticket: (self.consumer.taken() + 1).wrapping_add_signed(i64::from(ticket)),
            pid: 1,
            ..Default::default()
        };
        let mut head = [0; REQUEST_HEADER_WORDS];
        head.as_mut_bytes().copy_from_slice(header.as_bytes());
        for (i, word) in head.into_iter().enumerate() {
            let index = (self.position + i as u64) % RING_WORDS as u64;
            let place = self.shared.word(at::REQUESTS_RING + index * 8).expect("in the ring");
            place.store(word, Ordering::Relaxed);
        }
        let count = (self.consumer.taken() as u32).wrapping_add(count.into());
        let end = (self.position as u32).wrapping_add(words.into());
        let head = u64::from(count) << 32 | u64::from(end);
        self.shared.word(at::HEAD).expect("a lane").store(head, Ordering::Release);
        self.scribbled = true;
    }
}

/// Life by the rules, round the ring; then scribbles of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let submit = |length: u16, fill: u8| [&[0u8][..], &length.to_le_bytes(), &[fill]].concat();
    let round = [submit(30_000, 1), vec![2, 3], submit(20_000, 2), submit(9, 3), vec![2, 3, 2]];
    let life = round.concat().repeat(3);
    let answers = [&[4u8][..], &1u64.to_le_bytes(), &[220, 0, 4, 2, 7, 1]].concat();
    let forge = |length: u32, ticket: u8, count: u8, words: u16| {
        let (length, words) = (length.to_le_bytes(), words.to_le_bytes());
        joined(&[&[6], &length, &[1, 0, ticket, count], &words])
    };
    let forged = [
        forge(100, 0, 1, 16),
        vec![2],
        forge(70_000, 0, 1, 9_000),
        vec![2],
        forge(40_000, 0, 1, 5_100),
        vec![2],
    ];
    let forged = forged.concat();
    let short = [forge(100, 0, 1, 5), vec![2], forge(10, 1, 2, 8), vec![2]].concat();
    let head = [&[5u8, 3, 0, 0][..], &(1u64 << 32 | 9).to_le_bytes(), &[2]].concat();
    vec![
        life.clone(),
        joined(&[&submit(100, 1), &[2], &answers]),
        joined(&[&submit(50, 1), &forged]),
        joined(&[&submit(50, 1), &[2], &short]),
        joined(&[&submit(50, 1), &submit(60, 2), &head, &[5, 64 + 9, 1, 0, 3, 2, 2]]),
        joined(&[&life, &[8, 0], &submit(5, 5), &[2]]),
    ]
}
