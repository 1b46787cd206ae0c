//! Calls of the system fail, one kind after the other, while producers write, readers read and subscribers
//! follow: the disk is full or broken, syncs fail, the store is locked, there is no memory, there are no
//! descriptors. Each request gets a typed error or succeeds, and when the fault ends all goes on by itself.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::{Error, Mirror, Producer};
use shmirror_shm::points::{Arm, Point};

use super::Setting;
use crate::checker::Said;
use crate::crowd::Crowd;
use crate::instance::{Instance, Medium};
use crate::random::Random;
use crate::report::Row;

/// A small reserve, so that memory is taken again and again, and a log that is trimmed.
const CONFIG: &str = "[segment]\nreserve = \"1MiB\"\n[lanes]\nrequests_bytes = \"1MiB\"\n\
                      events_bytes = \"4MiB\"\n[store]\nlog_keep_bytes = \"32MiB\"\n\
                      [log]\nlevel = \"warn\"\n";

/// Longest that a request or a read may take meanwhile: SQLite waits 5 s for a lock.
const LONGEST: Duration = Duration::from_secs(20);
/// Longest until a write succeeds again after the fault has ended.
const RECOVERY: Duration = Duration::from_secs(5);

const EIO: i32 = 5;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;

/// What fails, with which error, what it is called, and whether a start fails with it.
const KINDS: [(Point, i32, &str, bool); 10] = [
    (Point::StoreWrite, ENOSPC, "writes on a full disk", true),
    (Point::StoreWrite, EIO, "writes", true),
    (Point::StoreSync, EIO, "syncs", true),
    (Point::StoreRead, EIO, "reads", true),
    (Point::StoreLock, EBUSY, "locks", true),
    (Point::StoreOpen, EMFILE, "opens", true),
    (Point::Populate, ENOMEM, "memory", true),
    (Point::Memfd, ENOMEM, "memfds without memory", true),
    (Point::Memfd, EMFILE, "memfds without descriptors", true),
    (Point::Accept, EMFILE, "accepts", false),
];
/// What fails at starts alone.
const AT_STARTS: (Point, i32, &str, bool) =
    (Point::StoreMap, ENOSPC, "the log's index on a full disk", true);

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut i = Instance::start_on(CONFIG, Medium::Failing).expect("a daemon");
    Crowd::prepare(&i);
    let mut crowd = Crowd::default();
    for _ in 0..2 {
        crowd.add_producer(&i, random.next(), LONGEST, false);
    }
    crowd.add_subscriber(&i, true, Duration::ZERO);
    crowd.add_subscriber(&i, true, Duration::ZERO);
    crowd.add_reader(&i, random.next(), LONGEST);
    crowd.wait_until_at_work();
    let phase = setting.time / KINDS.len() as u32;
    let mut counts = [0; KINDS.len()];
    let begun = Instant::now();
    let (mut round, mut starts) = (0, 0);
    while round == 0 || begun.elapsed() < setting.time {
        for (n, &(point, errno, name, _)) in KINDS.iter().enumerate() {
            let before = i.board.happened(point);
            // All calls, or some; of locks some, as each waits for seconds, and of who is to be let in.
            let every = match random.below(3) {
                0 if ![Point::StoreLock, Point::Accept].contains(&point) => 1,
                _ => 2 + random.below(5) as u32,
            };
            i.board.arm(point, Arm::Fail { every, errno });
            let until = Instant::now() + phase.min(Duration::from_secs(2)) / 2;
            let most = Instant::now() + LONGEST;
            while Instant::now() < until
                || (i.board.happened(point) == before && Instant::now() < most)
            {
                provoke(&i, point, &mut random, &mut row);
                std::thread::sleep(Duration::from_millis(5));
            }
            i.board.arm(point, Arm::Off);
            counts[n] += i.board.happened(point) - before;
            recovers(&mut i, name, &mut row);
            if i.daemon.has_ended() {
                row.lost.push(format!("the daemon has ended when {name} failed"));
                return row;
            }
        }
        // A start that meets the fault is refused, and leaves a store that the next one serves.
        let (point, errno, name, _) = loop {
            let kind = random.below(KINDS.len() as u64 + 1) as usize;
            let kind = *KINDS.get(kind).unwrap_or(&AT_STARTS);
            if kind.3 {
                break kind;
            }
        };
        i.daemon.signal(Signal::KILL);
        if i.daemon.end().is_none() {
            row.hung.push("a killed daemon is still there".to_owned());
        }
        i.board.arm(point, Arm::Fail { every: 1, errno });
        match i.restart() {
            Err(_) => starts += 1,
            Ok(()) => row.lost.push(format!("a daemon starts though {name} fail")),
        }
        i.board.calm();
        if let Err(error) = i.restart() {
            row.lost.push(format!("after {name} failed at a start, the next is refused: {error}"));
            return row;
        }
        round += 1;
    }
    row.injected = counts.iter().sum();
    let kinds = KINDS.iter().zip(counts);
    row.checked.extend(kinds.map(|(&(_, _, name, _), count)| (name, count)));
    row.checked.push(("refused starts", starts));
    row.checked.push(("rejected meanwhile", crowd.count(|s| matches!(s, Said::No { .. }))));
    caught_up(&i, &mut row);
    crowd.end(&mut i, &mut row);
    row
}

/// Has the daemon come to what everyday work does not.
fn provoke(i: &Instance, point: Point, random: &mut Random, row: &mut Row) {
    let options = i.options();
    let begun = Instant::now();
    let typed = match point {
        // Long answers are in memfds of their own.
        Point::Memfd => history(&options),
        Point::Populate => {
            let done = Producer::attach(&options).and_then(|producer| {
                let producer = producer.with_timeout(LONGEST);
                producer
                    .execute("CREATE TABLE IF NOT EXISTS bulk(id INTEGER PRIMARY KEY, b BLOB)")?;
                // More than before, so that memory is needed for it.
                producer.execute("INSERT INTO bulk(b) VALUES(zeroblob(700000))").map(|_| ())
            });
            matches!(done, Ok(()) | Err(Error::Rejected { .. }))
                .then_some(())
                .ok_or_else(|| format!("{done:?}"))
        }
        Point::StoreOpen => {
            let path = i.path(&format!("backup-{}", random.next()));
            let done = Mirror::attach(&options).and_then(|m| m.backup(&path));
            let whole = done.is_ok() == path.exists();
            let _ = std::fs::remove_file(&path);
            matches!((&done, whole), (Ok(_) | Err(Error::Refused { .. }), true))
                .then_some(())
                .ok_or_else(|| format!("{done:?}, and the file's being there is {whole}"))
        }
        Point::StoreRead => history(&options),
        Point::StoreWrite | Point::StoreSync => {
            // Whether it can begin or not, it is said.
            let done = Mirror::attach(&options).and_then(|m| m.rotate_key(None));
            matches!(done, Ok(_) | Err(Error::Refused { .. }))
                .then_some(())
                .ok_or_else(|| format!("{done:?}"))
        }
        // Who attaches waits, and is let in.
        Point::Accept => Mirror::attach(&options).map(drop).map_err(|e| e.to_string()),
        _ => Ok(()),
    };
    if let Err(found) = typed {
        row.lost.push(format!("while {point:?} failed: {found}"));
    }
    if begun.elapsed() > LONGEST {
        row.hung.push(format!("while {point:?} failed a call took {:?}", begun.elapsed()));
    }
}

/// Reads some of the log.
fn history(options: &shmirror::Options) -> Result<(), String> {
    let done = Mirror::attach(options).and_then(|m| {
        let changes = m.history(0, &["part"])?;
        changes.take(200).try_for_each(|change| change.map(|_| ()))
    });
    matches!(done, Ok(()) | Err(Error::Refused { .. } | Error::TooOld { .. }))
        .then_some(())
        .ok_or_else(|| format!("{done:?}"))
}

/// A write succeeds within seconds.
fn recovers(i: &mut Instance, name: &str, row: &mut Row) {
    let begun = Instant::now();
    let sql = "INSERT INTO recovery VALUES(1, 0) ON CONFLICT DO UPDATE SET n = n + 1";
    let producer = Producer::attach(&i.options()).map(|p| p.with_timeout(LONGEST));
    loop {
        let done = match &producer {
            Ok(producer) => producer
                .execute("CREATE TABLE IF NOT EXISTS recovery(id INTEGER PRIMARY KEY, n INTEGER)")
                .and_then(|_| producer.execute(sql))
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(_) => return,
            Err(error) if begun.elapsed() > RECOVERY => {
                return row.hung.push(format!("no write succeeds after {name} failed: {error}"));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// What was put off is done: rows are checkpointed up to near the newest revision.
fn caught_up(i: &Instance, row: &mut Row) {
    let begun = Instant::now();
    let Ok(mirror) = Mirror::attach(&i.options()) else {
        return row.lost.push("nobody can attach in the end".to_owned());
    };
    let newest = mirror.revision();
    while begun.elapsed() < Duration::from_secs(60) {
        // The log's tail grows, so that it is checkpointed though nobody makes a pause.
        let sql = "INSERT INTO bulk(b) VALUES(zeroblob(700000)); DELETE FROM bulk";
        let _ = Producer::attach(&i.options()).and_then(|p| p.execute(sql));
        let status = mirror.status().unwrap_or_default();
        if status["store"]["checkpoint_revision"].as_u64().is_some_and(|at| at >= newest) {
            row.checked.push(("times that what was put off was done", 1));
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let status = mirror.status().unwrap_or_default();
    row.hung.push(format!("rows are not checkpointed up to {newest}: {}", status["store"]));
}
