//! Attacks on a requests lane: records that are none, and all of its words.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shmirror_shm::archive;
use shmirror_shm::lane::{RequestKind, RequestsProducer, SubmitError, layout as at};
use shmirror_shm::region::Region;
use shmirror_shm::request::{Action, Change, OnConflict, Request, SqlRequest};
use shmirror_shm::value::Value;
use shmirror_shm::wire::{Answer, Call, ROLE_PRODUCER};
use shmirror_shm::wire_io;

use super::hostile::Hostile;

/// A lane as the daemon hands it out.
pub struct Lane {
    /// Where its words are.
    pub region: Arc<Region>,
    /// To submit as everybody does.
    pub producer: RequestsProducer,
    memory: OwnedFd,
    doorbell: OwnedFd,
    _connection: OwnedFd,
}

/// The lane of this user, once the daemon gives one out: it does not do so without end.
pub fn lane(h: &mut Hostile<'_>) -> Option<Lane> {
    loop {
        let got = try_lane(h);
        if got.is_some() || !h.goes_on() {
            return got;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn try_lane(h: &Hostile<'_>) -> Option<Lane> {
    let connection = h.greeted(ROLE_PRODUCER)?;
    let called = wire_io::call_within(&connection, &Call::Lane, Duration::from_secs(20));
    let (Answer::Lane { bytes, .. }, fds) = called.ok()? else { return None };
    let [memory, doorbell] = <[OwnedFd; 2]>::try_from(fds).ok()?;
    let region = Arc::new(Region::map_read_write(memory.try_clone().ok()?, bytes).ok()?);
    let producer = RequestsProducer::open(region.clone(), doorbell.try_clone().ok()?).ok()?;
    Some(Lane { region, producer, memory, doorbell, _connection: connection })
}

impl Lane {
    fn set(&self, at: u64, value: u64) {
        if let Some(word) = self.region.word(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    fn get(&self, at: u64) -> u64 {
        self.region.word(at).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn ring_words(&self) -> u64 {
        (self.region.len() - at::REQUESTS_RING) / 8
    }
}

/// One good request, on a table of its own.
pub fn good(n: u64, rows: usize) -> Vec<u8> {
    let row =
        |i: usize| vec![Value::Integer((n % 500) as i64 + i as i64), Value::Integer(n as i64)];
    let action = Action::Insert {
        columns: vec!["id".to_owned(), "n".to_owned()],
        rows: (0..rows).map(row).collect(),
        on_conflict: OnConflict::Update,
        if_revision: None,
    };
    let change = Change { table: "other".to_owned(), action };
    archive::to_bytes(&Request::Transaction(vec![change])).unwrap_or_default()
}

fn sql(text: String) -> Vec<u8> {
    let request = SqlRequest { sql: text, params: vec![], want_rows: true };
    archive::to_bytes(&Request::Sql(request)).unwrap_or_default()
}

/// What is well-formed as a record, and has any kind and contents.
pub fn contents(h: &mut Hostile<'_>) {
    let Some(mut lane) = lane(h) else { return };
    while h.goes_on() {
        let most = lane.producer.most_payload();
        let deep = 1 << h.one_of(17);
        let rows = h.one_of(40) as usize;
        let payload = match h.one_of(12) {
            0 => {
                let length = h.one_of(most as u64) as usize;
                vec![h.random.next() as u8; length]
            }
            1 | 2 => {
                let length = h.one_of(5_000) as usize;
                h.bytes(length)
            }
            3 => sql(format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep))),
            4 => sql(format!("SELECT {}1", "1+".repeat(deep))),
            5 => {
                let action = Action::Insert {
                    columns: vec![],
                    rows: vec![vec![]; deep],
                    on_conflict: OnConflict::Fail,
                    if_revision: None,
                };
                let change = Change { table: String::new(), action };
                archive::to_bytes(&Request::Transaction(vec![change; 3])).unwrap_or_default()
            }
            6 => vec![],
            _ => {
                let request = good(h.random.next(), rows);
                h.mutated(request)
            }
        };
        let payload = &payload[..payload.len().min(most)];
        let kind = if h.one_of(5) == 0 { h.random.next() as u16 } else { 1 };
        match lane.producer.try_submit(RequestKind(kind), payload) {
            Ok(_) => {}
            Err(SubmitError::Full { .. }) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => {
                let Some(next) = self::lane(h) else { return };
                lane = next;
            }
        }
    }
}

/// Records written past the mutex, with anything in their heads.
pub fn forms(h: &mut Hostile<'_>) {
    while h.goes_on() {
        let Some(lane) = lane(h) else { return };
        for _ in 0..4 {
            let head = lane.get(at::HEAD);
            let (count, end) = ((head >> 32) as u32, head as u32);
            let payload = good(h.random.next(), 1);
            let any = |h: &mut Hostile<'_>, right: u64| match h.one_of(6) {
                0 => h.random.next(),
                1 => h.one_of(1 << 20),
                2 => u64::MAX >> h.one_of(64),
                _ => right,
            };
            let length = any(h, payload.len() as u64) as u32;
            let kind = any(h, 1) as u16;
            let ticket = any(h, lane.get(at::TAKEN) + 1);
            let pid = any(h, u64::from(h.victim)) as u32;
            let words = 3 + payload.len() as u64 / 8;
            let put = |i: u64, word: u64| {
                let place = u64::from(end).wrapping_add(i) % lane.ring_words();
                lane.set(at::REQUESTS_RING + place * 8, word);
            };
            put(0, u64::from(length) | u64::from(kind) << 32 | any(h, 0) << 48);
            put(1, ticket);
            put(2, u64::from(pid) | any(h, 0) << 32);
            for (i, chunk) in (3..).zip(payload.chunks_exact(8)) {
                put(i, u64::from_le_bytes(chunk.try_into().unwrap_or_default()));
            }
            let count = count.wrapping_add(any(h, 1) as u32);
            let end = end.wrapping_add(any(h, words) as u32);
            lane.set(at::HEAD, u64::from(count) << 32 | u64::from(end));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Good requests, whose bytes change without pause while the daemon reads them.
pub fn flips(h: &mut Hostile<'_>) {
    while h.goes_on() {
        let Some(lane) = lane(h) else { return };
        let stop = AtomicBool::new(false);
        let mut random = h.random.clone();
        std::thread::scope(|s| {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let near = lane.get(at::HEAD) as u32;
                    let place =
                        u64::from(near.wrapping_sub(random.below(200) as u32)) % lane.ring_words();
                    let at = at::REQUESTS_RING + place * 8;
                    lane.set(at, lane.get(at) ^ 1 << random.below(64));
                }
            });
            while h.goes_on() {
                let request = good(h.random.next(), 20);
                match lane.producer.try_submit(RequestKind::REQUEST, &request) {
                    Ok(_) => {}
                    Err(SubmitError::Full { .. }) => std::thread::sleep(Duration::from_millis(1)),
                    Err(_) => break,
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}

/// All words of the lane, with anything in them.
pub fn words(h: &mut Hostile<'_>) {
    let all = [
        at::MUTEX,
        at::HEAD,
        at::CURSOR,
        at::TAKEN,
        at::SPACE_TURN,
        at::ASLEEP,
        at::RETIRED,
        at::MAGIC,
        at::HASH,
        at::ID,
        at::RING_WORDS,
    ];
    while h.goes_on() {
        let Some(lane) = lane(h) else { return };
        for _ in 0..50 {
            h.goes_on();
            let at = match h.one_of(3) {
                0 => at::OUTCOMES + h.one_of(at::OUTCOME_ENTRIES * at::OUTCOME_BYTES / 8) * 8,
                // The mutex: threads that are not there, the daemon, the dead, with and without waiters.
                1 => at::MUTEX,
                _ => all[h.one_of(all.len() as u64) as usize],
            };
            let value = match h.one_of(7) {
                0 => h.random.next(),
                1 => 0,
                2 => u64::MAX,
                3 => lane.get(at).wrapping_add(1),
                4 => lane.get(at).wrapping_sub(lane.ring_words()),
                5 => u64::from(h.victim),
                _ => u64::from(h.random.next() as u32 >> h.one_of(20)) | 1 << 31,
            };
            // The low half alone: the upper one is a pad, or another word.
            if at == at::MUTEX
                && let Some(word) = lane.region.word32(at)
            {
                word.store(value as u32, Ordering::Relaxed);
            } else {
                lane.set(at, value);
            }
            if h.one_of(10) == 0 {
                // Whoever looks after its own gets on as it can.
                let _ = lane.producer.try_submit(RequestKind::REQUEST, &good(1, 1));
            }
        }
        std::thread::sleep(Duration::from_millis(h.one_of(30)));
    }
}

/// Memory taken out from under the lane, and words that nobody writes again.
pub fn wipes(h: &mut Hostile<'_>) {
    use rustix::fs::{FallocateFlags, fallocate};
    while h.goes_on() {
        let Some(lane) = lane(h) else { return };
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match h.one_of(5) {
            0 => _ = fallocate(&lane.memory, punch, 0, lane.region.len()),
            1 => _ = fallocate(&lane.memory, punch, 0, 4096),
            // As if it had been retired; as if another build had made it; as if it were full for ever.
            2 => lane.set(at::RETIRED, 1 + h.one_of(1_000)),
            3 => lane.set(at::HASH, 1),
            _ => {
                let full = lane.get(at::CURSOR).wrapping_sub(lane.ring_words());
                lane.set(at::CURSOR, full);
            }
        }
        let _ = rustix::fs::ftruncate(&lane.memory, h.one_of(1 << 30));
        std::thread::sleep(Duration::from_millis(10 + h.one_of(50)));
    }
}

/// The doorbell drained, full, and made to block who rings it.
pub fn doorbells(h: &mut Hostile<'_>) {
    while h.goes_on() {
        let Some(lane) = lane(h) else { return };
        rustix::io::ioctl_fionbio(&lane.doorbell, true).ok();
        for _ in 0..200 {
            match h.one_of(4) {
                0 => _ = rustix::io::read(&lane.doorbell, &mut [0u8; 8]),
                1 => _ = rustix::io::write(&lane.doorbell, &1u64.to_ne_bytes()),
                2 => _ = rustix::io::write(&lane.doorbell, &(u64::MAX - 1).to_ne_bytes()),
                _ => {
                    let _ = lane.producer.try_submit(RequestKind::REQUEST, &good(1, 1));
                }
            }
        }
        // What it leaves behind: full, and whoever writes it waits.
        let _ = rustix::io::write(&lane.doorbell, &(u64::MAX - 1).to_ne_bytes());
        let _ = rustix::io::read(&lane.doorbell, &mut [0u8; 8]);
        let _ = rustix::io::write(&lane.doorbell, &(u64::MAX - 1).to_ne_bytes());
        rustix::io::ioctl_fionbio(&lane.doorbell, false).ok();
        std::thread::sleep(Duration::from_millis(5 + h.one_of(50)));
    }
    // One last time, for good.
    if let Some(lane) = try_lane(h) {
        rustix::io::ioctl_fionbio(&lane.doorbell, true).ok();
        let _ = rustix::io::read(&lane.doorbell, &mut [0u8; 8]);
        let _ = rustix::io::write(&lane.doorbell, &(u64::MAX - 1).to_ne_bytes());
        rustix::io::ioctl_fionbio(&lane.doorbell, false).ok();
    }
}

/// Fills its lane with good requests and never waits for what becomes of them; `full N`: how often there was
/// no room.
pub fn flood(socket: &str, stop: &super::Stop) {
    let mut h = Hostile::of(socket, stop);
    let (mut full, mut n) = (0, 0);
    // It is for the daemon's time that it competes: for a processor others need not wait on its account.
    let _ = rustix::process::setpriority_process(None, 19);
    while !stop.is_said() {
        let Some(lane) = lane(&mut h) else { return };
        while !stop.is_said() {
            n += 1;
            match lane.producer.try_submit(RequestKind::REQUEST, &good(n, 1)) {
                Ok(_) => {}
                Err(SubmitError::Full { .. }) => {
                    full += 1;
                    if full == 1 || full % 50 == 0 {
                        println!("full {full}");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => break,
            }
        }
    }
    println!("done {n}");
}

/// The same in a PID namespace of its own, so that one user has two lanes.
pub fn flood_apart(socket: &str) -> std::process::ExitCode {
    use std::os::unix::process::CommandExt;
    let Ok(own) = std::env::current_exe() else { return std::process::ExitCode::FAILURE };
    let options = ["--user", "--map-current-user", "--pid", "--fork", "--kill-child"];
    let mut command = std::process::Command::new("unshare");
    let error = command.args(options).arg(own).args(["role", "flood", socket]).exec();
    eprintln!("unshare: {error}");
    std::process::ExitCode::FAILURE
}
