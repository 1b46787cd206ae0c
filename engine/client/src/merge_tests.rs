//! The merge of sources that are stepped, broken off and started anew at any moment.

use std::collections::VecDeque;

use proptest::prelude::*;
use shmirror_shm::record::{FLAG_LAST, Operation, RecordHeader};

use super::*;
use crate::event::ChangeEvent;
use crate::position::Position;

/// A record: revision, number of the namespace, place in that.
type Place = (u64, u16, u64);

/// A namespace's records as a follower reads them: those of a log and a lane that were stepped to some
/// revision.
struct Lane {
    number: u16,
    /// Its records, and whether the transaction ends with them.
    all: Vec<(Place, bool)>,
    /// The newest revision that the lane was stepped to.
    stepped: u64,
    position: Position,
    cursor: usize,
    away: bool,
    ready: VecDeque<Event>,
}

impl Lane {
    /// It lost its source; the next one begins with the revision that it wants, or some before.
    fn lose(&mut self, before: u64) {
        self.away = true;
        self.position.again();
        let from = self.position.revision.saturating_sub(before);
        self.cursor = self.all.partition_point(|((revision, ..), _)| *revision < from);
    }
}

impl Source for Lane {
    fn number(&self) -> u16 {
        self.number
    }
    fn bound(&self) -> u64 {
        self.ready.front().map_or(self.position.revision, Event::revision)
    }
    fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }
    fn pop(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
    fn fill(&mut self) -> Result<Filled, Error> {
        if self.away && self.ready.is_empty() {
            return Ok(Filled::Away);
        }
        while self.ready.is_empty() {
            let next = self.all.get(self.cursor).filter(|((r, ..), _)| *r <= self.stepped);
            let Some((place, last)) = next.copied() else {
                self.position.advance_to(self.stepped + 1);
                return Ok(Filled::Idle);
            };
            self.cursor += 1;
            let flags = if last { FLAG_LAST } else { 0 };
            let header = RecordHeader { revision: place.0, flags, ..Default::default() };
            if self.position.admits(&header) {
                self.ready.push_back(event(place));
            }
        }
        Ok(Filled::Ready)
    }
}

fn event((revision, number, place): Place) -> Event {
    Event::Change(ChangeEvent {
        revision,
        sequence: place,
        table: number.to_string(),
        operation: Operation::Delete,
        key: Vec::new(),
        changed: Vec::new(),
        row: None,
        uid: 0,
        pid: 0,
        at_us: 0,
        last_of_transaction: false,
    })
}

fn place(event: &Event) -> Place {
    match event {
        Event::Change(e) => (e.revision, e.table.parse().unwrap(), e.sequence),
        other => panic!("{other:?}"),
    }
}

/// Each transaction: how many records it has in each namespace; none of some, also of all that are
/// followed. The namespaces are numbered 0, 2, 5; of 3 nobody here may see anything.
const NUMBERS: [u16; 3] = [5, 0, 2];

fn lanes(transactions: &[[u64; 3]], ends_elsewhere: &[bool]) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = NUMBERS
        .iter()
        .map(|number| Lane {
            number: *number,
            all: Vec::new(),
            stepped: 0,
            position: Position::at(1),
            cursor: 0,
            away: false,
            ready: VecDeque::new(),
        })
        .collect();
    for ((revision, counts), elsewhere) in (1u64..).zip(transactions).zip(ends_elsewhere) {
        // As the daemon flags it: the record of the highest namespace that has any.
        let highest = (0..3).filter(|i| counts[*i] > 0).max_by_key(|i| NUMBERS[*i]);
        for (i, lane) in lanes.iter_mut().enumerate() {
            for n in 0..counts[i] {
                let last = !elsewhere && Some(i) == highest && n + 1 == counts[i];
                lane.all.push(((revision, lane.number, n), last));
            }
        }
    }
    lanes
}

#[derive(Clone, Debug)]
enum Step {
    /// A lane is stepped so many revisions on.
    Announce(usize, u64),
    /// A source is lost; the next one begins so many revisions early.
    Lose(usize, u64),
    Return(usize),
    /// So many events are taken.
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, 1u64..4).prop_map(|(i, n)| Step::Announce(i, n)),
        1 => (0usize..3, 0u64..3).prop_map(|(i, n)| Step::Lose(i, n)),
        2 => (0usize..3).prop_map(Step::Return),
        4 => (0usize..5).prop_map(Step::Take),
    ]
}

fn take(lanes: &mut [Lane], most: usize, told: &mut Vec<Place>) -> Filled {
    for _ in 0..most {
        match fill(lanes).map_err(|(_, e)| e).unwrap() {
            Filled::Ready => told.push(place(&pop(lanes).unwrap())),
            other => return other,
        }
    }
    Filled::Ready
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    /// However the lanes are stepped, lost and found again: each record is told once, in order.
    #[test]
    fn any_interleaving_tells_each_once_in_order(
        transactions in proptest::collection::vec(
            ([0u64..3, 0u64..3, 0u64..3], any::<bool>()), 1..25),
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let (transactions, elsewhere): (Vec<_>, Vec<_>) = transactions.into_iter().unzip();
        let newest = transactions.len() as u64;
        let mut lanes = lanes(&transactions, &elsewhere);
        let mut told = Vec::new();
        for step in steps {
            match step {
                Step::Announce(i, n) => lanes[i].stepped = (lanes[i].stepped + n).min(newest),
                Step::Lose(i, before) => lanes[i].lose(before),
                Step::Return(i) => lanes[i].away = false,
                Step::Take(most) => _ = take(&mut lanes, most, &mut told),
            }
        }
        for lane in &mut lanes {
            (lane.stepped, lane.away) = (newest, false);
        }
        prop_assert_eq!(take(&mut lanes, usize::MAX, &mut told), Filled::Idle);
        let mut all: Vec<Place> =
            lanes.iter().flat_map(|l| l.all.iter().map(|(place, _)| *place)).collect();
        all.sort();
        prop_assert_eq!(told, all);
        prop_assert_eq!(bound(&lanes), Some(newest + 1));
    }
}

#[test]
fn an_event_is_held_until_the_others_are_stepped_past_it() {
    let mut lanes = lanes(&[[1, 0, 0], [0, 1, 0]], &[false, false]);
    let mut told = Vec::new();
    lanes[0].stepped = 1;
    assert_eq!(take(&mut lanes, 9, &mut told), Filled::Held, "0 and 2 may have revision 1 too");
    lanes[1].stepped = 1;
    assert_eq!(take(&mut lanes, 9, &mut told), Filled::Held);
    lanes[2].stepped = 1;
    assert_eq!(take(&mut lanes, 9, &mut told), Filled::Idle);
    assert_eq!(told, [(1, 5, 0)]);
    // Revision 2 of namespace 0 comes first, whatever the others still have of it.
    lanes[1].stepped = 2;
    assert_eq!(take(&mut lanes, 9, &mut told), Filled::Idle);
    assert_eq!(told[1..], [(2, 0, 0)]);
    lanes[0].stepped = 2;
    lanes[2].lose(0);
    assert_eq!(take(&mut lanes, 9, &mut told), Filled::Away);
}

#[test]
fn an_error_names_its_source_and_without_sources_there_is_nothing() {
    struct Shut(u64);
    impl Source for Shut {
        fn number(&self) -> u16 {
            0
        }
        fn bound(&self) -> u64 {
            self.0
        }
        fn is_ready(&self) -> bool {
            false
        }
        fn pop(&mut self) -> Option<Event> {
            None
        }
        fn fill(&mut self) -> Result<Filled, Error> {
            if self.0 < 5 {
                Ok(Filled::Idle)
            } else {
                Err(Error::Denied { message: "no".to_owned() })
            }
        }
    }
    let (index, error) = fill(&mut [Shut(1), Shut(9)]).unwrap_err();
    assert_eq!((index, error.code()), (1, "denied"));
    assert_eq!(fill::<Shut>(&mut []).unwrap(), Filled::Idle);
}
