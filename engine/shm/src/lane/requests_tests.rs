//! Both sides of a requests lane over real shared memory, each with its own mapping.

use super::*;
use crate::lane::{FLAG_MORE_TEXT, LaneCorrupt, RequestsConsumer};
use rustix::fs::OFlags;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::thread;

const LONG: Duration = Duration::from_secs(30);
const KIND: RequestKind = RequestKind::REQUEST;

fn lane(bytes: u64) -> (RequestsConsumer, RequestsProducer) {
    let consumer = RequestsConsumer::create(0xAB, bytes).expect("a small lane");
    let producer = producer(&consumer);
    (consumer, producer)
}

fn producer(consumer: &RequestsConsumer) -> RequestsProducer {
    let region = consumer.region();
    let memory = region.read_write_descriptor().expect("dup");
    let region = Region::map_read_write(memory, region.len()).expect("mapping");
    let doorbell = consumer.doorbell().try_clone_to_owned().expect("dup");
    RequestsProducer::open(Arc::new(region), doorbell).expect("a lane of this build")
}

fn in_time() -> Instant {
    Instant::now() + LONG
}

fn done(ticket: u64) -> RawOutcome {
    RawOutcome { ticket, committed: true, revision: ticket + 100, changes: 1, ..Default::default() }
}

fn rings(doorbell: BorrowedFd<'_>) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(doorbell, PollFlags::IN)], Some(&now)) == Ok(1)
}

#[test]
fn a_request_and_its_outcome() {
    let (mut consumer, producer) = lane(0);
    assert_eq!((producer.lane_id(), consumer.lane_id()), (0xAB, 0xAB));
    assert_eq!(consumer.next(), Ok(None));
    let ticket = producer.try_submit(KIND, b"hello").expect("room");
    assert_eq!(ticket, 1);
    assert_eq!(producer.poll(1), Poll::Pending);
    assert!(consumer.pending());
    let got = consumer.next().expect("honest").expect("a request");
    assert_eq!((got.ticket, got.kind, got.pid), (1, KIND.0, std::process::id()));
    assert_eq!(got.payload, b"hello");
    consumer.release();
    let rejected = RawOutcome { ticket, code: 8, message: "no ".repeat(100), ..Default::default() };
    consumer.answer(&rejected);
    let found = producer.wait(ticket, in_time(), &mut || true).expect("answered");
    assert_eq!((found.committed, found.code, found.flags), (false, 8, FLAG_MORE_TEXT));
    assert_eq!(found.message, "no ".repeat(72));
    for ticket in 2..=4097 {
        consumer.answer(&done(ticket));
    }
    assert_eq!(producer.poll(2), Poll::Done(done(2)));
    assert_eq!(producer.poll(1), Poll::Expired);
    assert_eq!(producer.wait(1, in_time(), &mut || true), Err(WaitError::Expired));
}

#[test]
fn many_producers_and_every_payload_whole() {
    let (mut consumer, producer) = lane(0);
    let producer = Arc::new(producer);
    let (threads, each) = (4u64, 2_000u64);
    let work: Vec<_> = (0..threads)
        .map(|t| {
            let producer = producer.clone();
            thread::spawn(move || {
                let mut tickets = Vec::new();
                for i in 0..each {
                    let payload = vec![(t * 31 + i) as u8; (i * 7 % 900) as usize];
                    tickets.push(producer.submit(KIND, &payload, in_time()).expect("room in time"));
                }
                let last = tickets[tickets.len() - 1];
                let outcome = producer.wait(last, in_time(), &mut || true).expect("an answer");
                assert_eq!(outcome, done(last));
                tickets
            })
        })
        .collect();
    let until = in_time();
    let mut taken = 0;
    while taken < threads * each {
        assert!(Instant::now() < until, "stalled after {taken}");
        let Some(request) = consumer.next().expect("honest producers") else {
            thread::yield_now();
            continue;
        };
        taken += 1;
        assert_eq!(request.ticket, taken);
        assert!(request.payload.windows(2).all(|w| w[0] == w[1]), "ticket {taken} is torn");
        if taken.is_multiple_of(16) || !consumer.pending() {
            consumer.release();
        }
        consumer.answer(&done(request.ticket));
    }
    consumer.release();
    let mut tickets: Vec<u64> =
        work.into_iter().flat_map(|t| t.join().expect("a producer passes")).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, (1..=threads * each).collect::<Vec<_>>());
}

#[test]
fn the_doorbell_rings_for_a_sleeper_alone() {
    let (mut consumer, producer) = lane(0);
    producer.try_submit(KIND, b"").expect("room");
    assert!(!rings(consumer.doorbell()));
    consumer.next().expect("honest").expect("one");
    consumer.release();
    consumer.set_asleep(true);
    assert!(!consumer.pending(), "so it sleeps");
    producer.try_submit(KIND, b"").expect("room");
    assert!(rings(consumer.doorbell()));
    assert!(consumer.pending());
    consumer.set_asleep(false);
    consumer.drain_doorbell();
    assert!(!rings(consumer.doorbell()));
    // A peer can take the non-blocking flag away from all holders of the descriptor.
    let doorbell = consumer.doorbell();
    rustix::fs::fcntl_setfl(doorbell, OFlags::RDWR).expect("the flag goes");
    consumer.drain_doorbell();
}

#[test]
fn a_doorbell_that_is_full_and_blocks_keeps_nobody() {
    let (consumer, producer) = lane(0);
    consumer.set_asleep(true);
    rustix::io::write(consumer.doorbell(), &(u64::MAX - 1).to_ne_bytes())
        .expect("room for a number");
    rustix::io::ioctl_fionbio(consumer.doorbell(), false).expect("flags that all share");
    let (told, done) = std::sync::mpsc::channel();
    thread::spawn(move || told.send(producer.try_submit(KIND, b"hello")));
    assert_eq!(done.recv_timeout(LONG), Ok(Ok(1)));
    // The daemon empties it, though it would block.
    consumer.drain_doorbell();
    consumer.drain_doorbell();
    assert!(!rings(consumer.doorbell()));
}

#[test]
fn who_waits_rings_in_place_of_a_killed_producer() {
    let (mut consumer, producer) = lane(0);
    producer.try_submit(KIND, b"killed between push and ring").expect("room");
    consumer.set_asleep(true);
    let soon = Instant::now() + Duration::from_millis(1);
    assert_eq!(producer.wait(1, soon, &mut || true), Err(WaitError::TimedOut));
    let until = in_time();
    while !rings(consumer.doorbell()) {
        assert!(Instant::now() < until, "nobody rang");
        let _ = producer.wait(1, Instant::now() + Duration::from_millis(30), &mut || true);
    }
    consumer.next().expect("honest").expect("one");
}

#[test]
fn a_full_lane_refuses_or_waits() {
    let (mut consumer, producer) = lane(0);
    let payload = vec![1; 9_000];
    let mut n = 0;
    let full = loop {
        match producer.try_submit(KIND, &payload) {
            Ok(_) => n += 1,
            Err(e) => break e,
        }
    };
    assert_eq!(full, SubmitError::Full { found: 9_000, lane: 65_536 });
    assert_eq!(n, 7);
    let start = Instant::now();
    let brief = Duration::from_millis(50);
    assert_eq!(producer.submit(KIND, &payload, start + brief), Err(full));
    assert!(start.elapsed() >= brief);
    let producer = Arc::new(producer);
    let waiter = {
        let producer = producer.clone();
        thread::spawn(move || producer.submit(KIND, &[2; 9_000], in_time()))
    };
    let waiting = words::half(&producer.region, at::SPACE_WAITING);
    let until = in_time();
    while waiting.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < until, "nobody waits");
        thread::yield_now();
    }
    consumer.next().expect("honest").expect("one");
    consumer.release();
    assert_eq!(waiter.join().expect("the waiter passes"), Ok(8));
    let allowed = producer.most_payload() as u64;
    assert_eq!(
        producer.try_submit(KIND, &vec![0; 40_000]),
        Err(SubmitError::TooLarge { found: 40_000, allowed })
    );
    assert_eq!(allowed, 32_768 - 24);
}

#[test]
fn a_retired_lane_says_what_was_taken() {
    let (mut consumer, producer) = lane(0);
    let producer = Arc::new(producer);
    for _ in 0..3 {
        producer.try_submit(KIND, &[0; 100]).expect("room");
    }
    let wait = |ticket| {
        let producer = producer.clone();
        thread::spawn(move || producer.wait(ticket, in_time(), &mut || true))
    };
    let (taken, left) = (wait(2), wait(3));
    while producer.try_submit(KIND, &[0; 30_000]).is_ok() {}
    let full = {
        let producer = producer.clone();
        thread::spawn(move || producer.submit(KIND, &[0; 30_000], in_time()))
    };
    consumer.next().expect("honest").expect("one");
    consumer.next().expect("honest").expect("two");
    assert_eq!(consumer.retire(), 2);
    assert_eq!((consumer.next(), consumer.pending()), (Ok(None), false));
    assert_eq!(producer.retired(), Some(2));
    assert_eq!(left.join().expect("no panic"), Err(WaitError::Retired { cursor: 2 }));
    let retired = Err(SubmitError::Retired { cursor: 2 });
    // Its place may have come just before the retirement; then its ticket is after the cursor.
    let full = full.join().expect("no panic");
    assert!(full == retired || full.is_ok_and(|t| t > 2));
    assert_eq!(producer.try_submit(KIND, b""), retired);
    consumer.answer(&done(2));
    assert_eq!(taken.join().expect("no panic"), Ok(done(2)));
}

#[test]
fn a_lane_that_was_never_used_can_be_retired() {
    let (mut consumer, producer) = lane(0);
    assert_eq!(producer.retired(), None);
    assert_eq!(consumer.retire(), 0);
    assert_eq!(producer.retired(), Some(0));
}

#[test]
fn a_wait_ends_with_the_daemon() {
    let (consumer, producer) = lane(0);
    let ticket = producer.try_submit(KIND, b"").expect("room");
    let mut asked = 0;
    let mut alive = || {
        asked += 1;
        asked < 3
    };
    assert_eq!(producer.wait(ticket, in_time(), &mut alive), Err(WaitError::Dead));
    consumer.answer(&done(ticket));
    assert_eq!(producer.wait(ticket, in_time(), &mut || false), Ok(done(ticket)));
}

#[test]
fn a_mutex_that_is_kept_is_told() {
    let (_consumer, producer) = lane(0);
    let word = words::half(&producer.region, at::MUTEX);
    let guard = mutex::lock(word, in_time()).expect("free");
    let tid = mutex::holder(word);
    thread::scope(|s| {
        s.spawn(|| {
            let start = Instant::now();
            let stuck = Err(SubmitError::LockStuck { holder: tid });
            assert_eq!(producer.try_submit(KIND, b""), stuck);
            assert!(start.elapsed() >= STUCK);
            assert_eq!(producer.submit(KIND, b"", in_time()), stuck);
            let brief = Instant::now() + Duration::from_millis(10);
            assert_eq!(producer.submit(KIND, b"", brief), Err(SubmitError::TimedOut));
        });
    });
    drop(guard);
    assert_eq!(producer.try_submit(KIND, b""), Ok(1));
}

#[test]
fn memory_that_is_no_lane_is_refused() {
    let open = |region: Region| {
        let doorbell = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC);
        RequestsProducer::open(Arc::new(region), doorbell.expect("an eventfd"))
    };
    let zeros = Region::create("test", 4096, true).expect("a page");
    assert!(matches!(open(zeros), Err(ShmError::BadMagic { found: 0, .. })));
    let with = |offset, value: u64| {
        let (consumer, producer) = lane(0);
        words::whole(consumer.region(), offset).store(value, Ordering::Relaxed);
        drop(consumer);
        open(Arc::into_inner(producer.region).expect("the only holder")).err()
    };
    assert!(matches!(with(at::HASH, 1), Some(ShmError::LayoutMismatch { found: 1, .. })));
    for bad in [0, 1, 4096, 8191, 8193, u64::MAX, 1 << 63, at::MOST_RING_WORDS * 2] {
        assert!(matches!(with(at::RING_WORDS, bad), Some(ShmError::BadField { .. })), "{bad}");
    }
    assert!(matches!(with(at::RING_WORDS, 16_384), Some(ShmError::TooSmall { .. })));
    let (consumer, _producer) = lane(0);
    let region = consumer.region();
    let memory = region.read_only_descriptor().expect("reopening");
    let region = Region::map_read_only(memory, region.len()).expect("mapping");
    assert!(matches!(open(region), Err(ShmError::System { .. })));
    assert!(matches!(
        open(Region::create("test", 0, true).expect("a page")),
        Err(ShmError::BadMagic { .. })
    ));
}

/// A hostile producer that owns the whole mapping and changes any of it at any moment.
#[test]
fn whatever_is_scribbled_the_daemon_goes_on() {
    let seed = std::env::var("SHMIRROR_SEED").ok().and_then(|s| s.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| std::process::id().into());
    eprintln!("SHMIRROR_SEED={seed}");
    let (mut consumer, producer) = lane(0);
    let stop = AtomicBool::new(false);
    let (taken, corrupt) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        s.spawn(|| {
            let mut state: u64 = seed | 1;
            let mut random = || {
                // xorshift64* (Vigna).
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                state.wrapping_mul(0x2545_F491_4F6C_DD1D)
            };
            while !stop.load(Ordering::Relaxed) {
                let fixed =
                    [at::HEAD, at::CURSOR, at::TAKEN, at::SPACE_TURN, at::ASLEEP, at::RETIRED];
                let ring = producer.region.len() - at::REQUESTS_RING;
                let offset = match random() % 4 {
                    0 => fixed[random() as usize % fixed.len()],
                    1 => at::OUTCOMES + random() % (4096 * 32) * 8,
                    _ => at::REQUESTS_RING + random() % (ring / 8) * 8,
                };
                let value = match random() % 3 {
                    0 => random(),
                    1 => random() % 64,
                    _ => ((random() % 8) << 32) | (random() % 8192),
                };
                words::whole(&producer.region, offset).store(value, Ordering::Relaxed);
                // And does as it should now and then, so that not all of it is nonsense.
                let _ = producer.queue().push(1, 1, &[7; 100]);
                let _ = producer.poll(random() % 10_000);
                let _ = producer.queue().overslept();
            }
        });
        let until = Instant::now() + Duration::from_millis(700);
        let mut lanes = 0u64;
        while Instant::now() < until {
            match consumer.next() {
                Ok(Some(request)) => {
                    assert!(request.payload.len() <= producer.most_payload());
                    consumer.answer(&done(request.ticket));
                    consumer.release();
                    taken.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None) => {}
                Err(LaneCorrupt { lane, .. }) => {
                    assert_eq!(lane, 0xAB);
                    corrupt.fetch_add(1, Ordering::Relaxed);
                    lanes += 1;
                    // As the daemon would: go on with a lane in a defined state.
                    let here =
                        (consumer.taken.tickets << 32) | (consumer.taken.position & 0xFFFF_FFFF);
                    words::whole(consumer.region(), at::HEAD).store(here, Ordering::Relaxed);
                    consumer.set_asleep(lanes.is_multiple_of(2));
                }
            }
            let _ = consumer.pending();
        }
        stop.store(true, Ordering::Relaxed);
    });
    consumer.retire();
    let counts = (taken.into_inner(), corrupt.into_inner());
    assert!(counts.1 > 0, "no scribble was noticed: {counts:?}");
}
