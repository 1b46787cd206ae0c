//! Lanes between real processes: producers that are killed and stopped at any point, readers that
//! cannot write.
//!
//! Children come from `fork`, so that they inherit mappings and the parent's cached thread identity,
//! which must be refreshed. A child does nothing but use its side of the lane, and leaves by `_exit`.

#![cfg(not(loom))]

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use shmirror_shm::Region;
use shmirror_shm::lane::layout::MUTEX;
use shmirror_shm::lane::{
    EventsReader, EventsWriter, RawOutcome, RequestKind, RequestsConsumer, RequestsProducer,
    SubmitError,
};
use shmirror_shm::mutex;
use shmirror_shm::record::{Operation, RecordHeader, RecordRef, RowRecord};
use shmirror_shm::{image::Image, value::ValueRef};

const LONG: Duration = Duration::from_secs(60);
const KIND: RequestKind = RequestKind::REQUEST;

/// A forked child; killed and collected when dropped.
struct Child(libc::pid_t);

impl Child {
    /// Runs `work` in a child, and ends it with the status that `work` returns.
    fn fork(work: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child uses only what the C library keeps usable after a fork (its allocator
        // among them) and the lane, and ends without running the parent's destructors.
        match unsafe { libc::fork() } {
            -1 => panic!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
                // SAFETY: ends this process.
                unsafe { libc::_exit(status.unwrap_or(99)) }
            }
            pid => Self(pid),
        }
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: our own child, not yet collected.
        assert_eq!(unsafe { libc::kill(self.0, signal) }, 0);
    }

    /// Waits for its end; its exit status, or minus the signal that ended it.
    fn collect(mut self) -> i32 {
        self.reap()
    }

    fn reap(&mut self) -> i32 {
        let mut status = 0;
        // SAFETY: our own child; the status is written to a local.
        let pid = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(pid, self.0);
        self.0 = 0;
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.0 != 0 {
            self.signal(libc::SIGKILL);
            self.reap();
        }
    }
}

/// xorshift64* (Vigna), seeded from the environment or the pid; the seed is printed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let given = std::env::var("SHMIRROR_SEED").ok().and_then(|s| s.parse().ok());
        let seed: u64 = given.unwrap_or_else(|| std::process::id().into());
        eprintln!("SHMIRROR_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % n
    }
}

fn producer(consumer: &RequestsConsumer) -> RequestsProducer {
    let region = consumer.region();
    let memory = region.read_write_descriptor().expect("dup");
    let region = Region::map_read_write(memory, region.len()).expect("mapping");
    let doorbell: OwnedFd = consumer.doorbell().try_clone_to_owned().expect("dup");
    RequestsProducer::open(Arc::new(region), doorbell).expect("a lane of this build")
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[test]
fn producers_are_killed_at_random_and_the_lane_goes_on() {
    const KILLS: u64 = 300;
    let mut random = Random::new();
    let mut consumer = RequestsConsumer::create(1, 1 << 20).expect("a lane");
    let here = producer(&consumer);
    // The parent's thread id is cached from now on; the children must not take it for theirs.
    assert_eq!(here.try_submit(KIND, &[0; 8]), Ok(1));
    let (stop, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|s| {
        let daemon = s.spawn(|| {
            let mut last = 0;
            while !stop.load(Ordering::Acquire) || consumer.pending() {
                let Some(request) = consumer.next().expect("killed is not hostile") else {
                    consumer.release();
                    thread::yield_now();
                    continue;
                };
                last += 1;
                assert_eq!(request.ticket, last);
                let same = request.payload.windows(2).all(|w| w[0] == w[1]);
                assert!(same, "ticket {last} of process {} is torn", request.pid);
                let outcome = RawOutcome { ticket: last, committed: true, ..Default::default() };
                consumer.answer(&outcome);
                taken.store(last, Ordering::Release);
                if last % 8 == 0 {
                    consumer.release();
                }
            }
            last
        });
        let flat_out = |start: usize| {
            let producer = &here;
            Child::fork(move || {
                let payloads: Vec<Vec<u8>> = (0..16).map(|i| vec![i as u8; i * i * 40]).collect();
                for i in start.. {
                    let deadline = Instant::now() + LONG;
                    match producer.submit(KIND, &payloads[i % payloads.len()], deadline) {
                        // Some of them wait for their outcome, so that waiters are killed too.
                        Ok(ticket) if i % 5 == 0 => {
                            let _ = producer.wait(ticket, deadline, &mut || true);
                        }
                        Ok(_) | Err(SubmitError::LockStuck { .. }) => {}
                        Err(_) => return 3,
                    }
                }
                0
            })
        };
        let mut children: Vec<Child> = (0..3).map(&flat_out).collect();
        for kill in 0..KILLS {
            let pause = Duration::from_micros(random.below(1_500));
            let start = Instant::now();
            while start.elapsed() < pause {
                thread::yield_now();
            }
            let before = taken.load(Ordering::Acquire);
            let victim = random.below(children.len() as u64) as usize;
            let child = std::mem::replace(&mut children[victim], flat_out(kill as usize));
            child.signal(libc::SIGKILL);
            assert_eq!(child.collect(), -libc::SIGKILL, "it gave up by itself");
            until("the lane stands still after a kill", || taken.load(Ordering::Acquire) > before);
        }
        drop(children);
        // Nobody is left to hand over the mutex: the last of them may have died with it.
        let ticket = here.submit(KIND, &[9; 100], Instant::now() + LONG).expect("the lane goes on");
        let outcome = here.wait(ticket, Instant::now() + LONG, &mut || true);
        assert!(outcome.expect("an answer").committed);
        stop.store(true, Ordering::Release);
        assert_eq!(daemon.join().expect("the daemon's side passes"), ticket);
        assert!(ticket > KILLS, "hardly anything was submitted: {ticket}");
    });
}

#[test]
fn a_holder_that_dies_is_recovered() {
    let consumer = RequestsConsumer::create(2, 0).expect("a lane");
    let here = producer(&consumer);
    let word = consumer.region().word32(MUTEX).expect("inside");
    assert_eq!(here.try_submit(KIND, b""), Ok(1));
    for round in 0..50 {
        let child = Child::fork(|| {
            let guard = mutex::lock(word, Instant::now() + LONG).expect("free");
            std::mem::forget(guard);
            loop {
                // SAFETY: waits for a signal.
                unsafe { libc::pause() };
            }
        });
        until("the child takes the lock", || word.load(Ordering::Relaxed) != 0);
        if round % 2 == 0 {
            child.signal(libc::SIGKILL);
            child.collect();
            let guard = mutex::lock(word, Instant::now() + LONG).expect("the kernel gives it back");
            assert!(guard.recovered());
        } else {
            // Somebody waits when it dies.
            thread::scope(|s| {
                let waiter = s.spawn(|| here.submit(KIND, b"", Instant::now() + LONG));
                until("a waiter", || word.load(Ordering::Relaxed) >> 31 == 1);
                child.signal(libc::SIGKILL);
                child.collect();
                let ticket = waiter.join().expect("no panic").expect("it gets the lock");
                assert_eq!(ticket, round / 2 + 2);
            });
        }
    }
}

#[test]
fn a_stopped_holder_is_told_and_a_fresh_lane_takes_over() {
    let mut consumer = RequestsConsumer::create(3, 0).expect("a lane");
    let here = producer(&consumer);
    assert_eq!(here.try_submit(KIND, b"taken"), Ok(1));
    let word = consumer.region().word32(MUTEX).expect("inside");
    let child = Child::fork(|| {
        let guard = mutex::lock(word, Instant::now() + LONG).expect("free");
        // SAFETY: stops this process until somebody continues it.
        unsafe { libc::raise(libc::SIGSTOP) };
        drop(guard);
        match here.try_submit(KIND, b"late") {
            Err(SubmitError::Retired { cursor: 1 }) => 0,
            _ => 4,
        }
    });
    let mut status = 0;
    // SAFETY: our own child; the status is written to a local.
    let pid = unsafe { libc::waitpid(child.0, &raw mut status, libc::WUNTRACED) };
    assert!(pid == child.0 && libc::WIFSTOPPED(status));
    let start = Instant::now();
    let stuck = here.try_submit(KIND, b"stuck").expect_err("the holder is stopped");
    let SubmitError::LockStuck { holder } = stuck else { panic!("{stuck}") };
    assert_eq!(holder as libc::pid_t, child.0);
    assert!(start.elapsed() >= Duration::from_millis(50));
    // What the daemon does when it is asked to retire the lane.
    assert_eq!(consumer.next().expect("honest").expect("one").payload, b"taken");
    assert_eq!(consumer.next(), Ok(None));
    assert_eq!(consumer.retire(), 1);
    let mut fresh = RequestsConsumer::create(4, 0).expect("a lane");
    let there = producer(&fresh);
    assert_eq!(there.try_submit(KIND, b"stuck"), Ok(1));
    assert_eq!(fresh.next().expect("honest").expect("one").payload, b"stuck");
    child.signal(libc::SIGCONT);
    assert_eq!(child.collect(), 0, "the stopped one finds the lane retired");
    assert_eq!(consumer.next(), Ok(None));
}

fn record(revision: u64) -> Vec<u64> {
    let key = Image::encode([ValueRef::Integer(revision as i64)].into_iter());
    let mut out = Vec::new();
    RowRecord {
        operation: Operation::Insert,
        table: (3, 1),
        birth: revision,
        revision,
        origin: RecordHeader::default(),
        changed: &[1],
        key: key.as_ref(),
        row: Some(key.as_ref()),
        columns: 1,
    }
    .encode(&mut out);
    out
}

#[test]
fn subscribers_in_other_processes_follow_on_read_only_pages() {
    const REVISIONS: u64 = 2_000;
    let mut writer = EventsWriter::create(1, 1 << 20).expect("a lane");
    writer.start(0);
    let follow = |tables: Option<&[u32]>| {
        let region = writer.region();
        let memory = region.read_only_descriptor().expect("reopening");
        let region = Region::map_read_only(memory, region.len()).expect("mapping");
        let mut reader = EventsReader::open(Arc::new(region)).expect("a lane of this build");
        Child::fork(move || {
            let (mut buffer, mut next, end) = (Vec::new(), 1, Instant::now() + LONG);
            while next <= REVISIONS && Instant::now() < end {
                match reader.next(&mut buffer) {
                    Ok(Some(())) => {
                        let record = RecordRef::parse(&buffer).expect("a whole record");
                        assert_eq!(record.header().revision, next);
                        next += 1;
                    }
                    Ok(None) => drop(reader.wait(tables, LONG)),
                    Err(_) => return 5,
                }
            }
            i32::from(next != REVISIONS + 1)
        })
    };
    let children = [follow(None), follow(Some(&[3])), follow(Some(&[2, 3]))];
    for revision in 1..=REVISIONS {
        writer.push(RecordRef::parse(&record(revision)).expect("a record"));
        writer.announce(&[3], revision);
    }
    for child in children {
        assert_eq!(child.collect(), 0);
    }
}

#[test]
fn another_user_cannot_reopen_what_it_may_only_read() {
    // SAFETY: asks for an id.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("only root can become another user: not tried");
        return;
    }
    let writer = EventsWriter::create(1, 0).expect("a lane");
    let memory = writer.region().read_only_descriptor().expect("reopening");
    let child = Child::fork(|| {
        // SAFETY: gives up this process's rights.
        if unsafe { libc::setgid(65_534) != 0 || libc::setuid(65_534) != 0 } {
            return 6;
        }
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        let write = std::fs::OpenOptions::new().write(true).open(&path).is_ok();
        let both = std::fs::OpenOptions::new().read(true).write(true).open(&path).is_ok();
        // SAFETY: changes the mode of a descriptor, or not.
        let chmod = unsafe { libc::fchmod(memory.as_raw_fd(), 0o666) } == 0;
        i32::from(write) | i32::from(both) << 1 | i32::from(chmod) << 2
    });
    assert_eq!(child.collect(), 0, "bits: opened for writing, for both, mode changed");
}
