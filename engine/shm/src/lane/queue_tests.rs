//! The queue over private words: every length, round the end, and producers that lie.

use super::*;
use proptest::prelude::*;

struct Words {
    head: AtomicU64,
    cursor: AtomicU64,
    taken: AtomicU64,
    turn: AtomicU32,
    waiting: AtomicU32,
    asleep: AtomicU32,
    retired: AtomicU64,
    ring: Vec<AtomicU64>,
}

impl Words {
    /// A queue that has been running since long.
    fn at(ring_words: usize, taken: Taken) -> Self {
        Self {
            head: AtomicU64::new(whole(taken.tickets as u32, taken.position as u32)),
            cursor: AtomicU64::new(taken.position),
            taken: AtomicU64::new(taken.tickets),
            turn: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            asleep: AtomicU32::new(0),
            retired: AtomicU64::new(0),
            ring: (0..ring_words).map(|_| AtomicU64::new(u64::MAX)).collect(),
        }
    }

    fn queue(&self) -> Queue<'_> {
        Queue {
            id: 9,
            head: &self.head,
            cursor: &self.cursor,
            taken: &self.taken,
            turn: &self.turn,
            waiting: &self.waiting,
            asleep: &self.asleep,
            retired: &self.retired,
            ring: Ring::new(&self.ring).expect("a power of two"),
        }
    }
}

/// Places at which some counter is about to wrap.
fn places() -> Vec<Taken> {
    let edges = [0, 5, u64::from(u32::MAX) - 40, (7 << 32) - 3, u64::MAX - 50];
    let place = |position| edges.map(|tickets| Taken { position, tickets });
    edges.iter().flat_map(|p| place(*p)).collect()
}

#[test]
fn requests_come_out_as_they_went_in_and_tickets_have_no_gap() {
    for start in places() {
        let words = Words::at(64, start);
        let queue = words.queue();
        let (mut taken, mut next) = (start, start.tickets);
        for round in 0..100usize {
            let payload: Vec<u8> = (0..round * 3 % 200).map(|i| (i ^ round) as u8).collect();
            let ticket = queue.push(round as u16, 77, &payload).expect("an empty ring has room");
            next = next.wrapping_add(1);
            assert_eq!(ticket, next, "{start:?}");
            assert!(queue.pending(&taken));
            let got = queue.take(&mut taken).expect("an honest producer").expect("a record");
            let kind = round as u16;
            assert_eq!(got, RawRequest { ticket, kind, pid: 77, payload });
            assert!(!queue.pending(&taken));
            assert_eq!(queue.take(&mut taken), Ok(None));
            queue.release(&taken);
        }
    }
}

#[test]
fn a_full_ring_says_so_and_goes_on_when_space_is_released() {
    for start in places() {
        let words = Words::at(64, start);
        let queue = words.queue();
        let mut taken = start;
        let mut pushed = 0;
        let needed = loop {
            match queue.push(1, 1, &[3; 40]) {
                Ok(_) => pushed += 1,
                Err(PushError::Full { needed }) => break needed,
                Err(e) => panic!("{e:?}"),
            }
        };
        assert_eq!((pushed, needed), (8, 8), "64 words hold 8 records of 8");
        assert!(!queue.has_room(needed));
        let turn = queue.want_space();
        queue.take(&mut taken).expect("honest").expect("a record");
        assert!(queue.push(1, 1, &[3; 40]).is_err(), "space is given back by release alone");
        queue.release(&taken);
        assert_ne!(words.turn.load(Ordering::Relaxed), turn, "whoever waits is woken");
        assert!(queue.has_room(needed));
        queue.push(1, 1, &[3; 40]).expect("room");
    }
}

#[test]
fn a_record_takes_at_most_half_of_the_ring() {
    let words = Words::at(64, Taken::default());
    let allowed = most_payload(64);
    assert_eq!(allowed, (32 - 3) * 8);
    assert_eq!(
        words.queue().push(1, 1, &vec![0; allowed + 1]),
        Err(PushError::TooLarge { allowed })
    );
    assert_eq!(words.queue().push(1, 1, &vec![0; allowed]), Ok(1));
}

#[test]
fn a_producer_killed_before_the_head_moves_leaves_nothing() {
    let words = Words::at(64, Taken::default());
    let queue = words.queue();
    let mut taken = Taken::default();
    queue.push(1, 1, b"first").expect("room");
    let head = words.head.load(Ordering::Relaxed);
    queue.push(1, 1, b"never was").expect("room");
    words.head.store(head, Ordering::Relaxed);
    assert_eq!(queue.push(1, 1, b"second"), Ok(2), "the dead one's ticket is given again");
    assert_eq!(queue.take(&mut taken).expect("honest").expect("one").payload, b"first");
    assert_eq!(queue.take(&mut taken).expect("honest").expect("two").payload, b"second");
    assert_eq!(queue.take(&mut taken), Ok(None));
}

#[test]
fn lies_are_named() {
    let lie = |f: fn(&Words)| {
        let words = Words::at(64, Taken::default());
        words.queue().push(1, 1, &[5; 20]).expect("room");
        f(&words);
        let mut taken = Taken::default();
        let found = words.queue().take(&mut taken).expect_err("a lie");
        assert_eq!(taken, Taken::default(), "the place stays");
        assert_eq!((found.lane, found.ticket), (9, 0));
        found.what
    };
    let head = |n, p| move |w: &Words| w.head.store(whole(n, p), Ordering::Relaxed);
    assert_eq!(lie(|w| w.head.store(whole(1, 65), Ordering::Relaxed)), "words in the ring");
    assert_eq!(lie(|w| w.head.store(whole(1, u32::MAX), Ordering::Relaxed)), "words in the ring");
    assert_eq!(lie(|w| w.head.store(whole(0, 6), Ordering::Relaxed)), "number of records");
    assert_eq!(lie(|w| w.head.store(whole(3, 6), Ordering::Relaxed)), "number of records");
    assert_eq!(lie(|w| w.head.store(whole(1, 0), Ordering::Relaxed)), "number of records");
    assert_eq!(lie(|w| w.head.store(whole(1, 2), Ordering::Relaxed)), "number of records");
    assert_eq!(lie(|w| w.head.store(whole(1, 5), Ordering::Relaxed)), "words of the record");
    assert_eq!(lie(|w| w.ring[0].store(25, Ordering::Relaxed)), "words of the record");
    assert_eq!(lie(|w| w.ring[0].store(233, Ordering::Relaxed)), "bytes of payload");
    assert_eq!(lie(|w| w.ring[0].store(u64::MAX, Ordering::Relaxed)), "bytes of payload");
    assert_eq!(lie(|w| w.ring[1].store(2, Ordering::Relaxed)), "ticket");
    let words = Words::at(64, Taken::default());
    head(5, 65)(&words);
    assert_eq!(words.queue().push(1, 1, b""), Err(PushError::Corrupt));
}

proptest! {
    /// Whatever a producer leaves behind, taking ends, and in a request or a typed error.
    #[test]
    fn any_words_are_taken_without_panic_or_end(
        head in any::<u64>(),
        near in 0u32..80,
        count in 0u32..30,
        fill in proptest::collection::vec(prop_oneof![any::<u64>(), 0u64..40], 64),
        exact in any::<bool>(),
    ) {
        let words = Words::at(64, Taken::default());
        for (word, value) in words.ring.iter().zip(&fill) {
            word.store(*value, Ordering::Relaxed);
        }
        let head = if exact { whole(count, near) } else { head };
        words.head.store(head, Ordering::Relaxed);
        let mut taken = Taken::default();
        let mut n = 0;
        while let Ok(Some(request)) = words.queue().take(&mut taken) {
            prop_assert!(request.payload.len() <= most_payload(64));
            n += 1;
            prop_assert!(n <= 64 / 3, "no more records than fit");
        }
        let _ = words.queue().push(1, 1, &[1; 30]);
        let _ = (words.queue().overslept(), words.queue().has_room(3));
    }
}
