//! The power goes while a daemon serves: it is killed at random moments and at points, what it had not synced
//! is lost as a disk may lose it, and the next daemon serves what is left. All that was acknowledged is there,
//! and nothing that was rejected, also where syncs fail now and then.

pub mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::Mirror;
use shmirror_shm::points::{Arm, Point};

use super::Setting;
use crate::crowd::Crowd;
use crate::disk::Disk;
use crate::instance::{Instance, Medium, PATIENCE};
use crate::random::Random;
use crate::report::Row;

/// A log that is checkpointed and trimmed while it is written.
const CONFIG: &str = "[segment]\nreserve = \"16MiB\"\n[lanes]\nrequests_bytes = \"1MiB\"\n\
                      events_bytes = \"4MiB\"\n[store]\nlog_keep_bytes = \"8MiB\"\n\
                      [log]\nlevel = \"warn\"\n";

const EIO: i32 = 5;

/// Where it is killed, besides at random moments.
const POINTS: [(Point, u64); 6] = [
    (Point::StoreWrite, 600),
    (Point::StoreSync, 30),
    (Point::Commit, 20),
    (Point::Committed, 20),
    (Point::Checkpoint, 2),
    (Point::Rotation, 6),
];

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut i = Instance::start_on(CONFIG, Medium::Watched).expect("a daemon");
    Crowd::prepare(&i);
    let mut crowd = Crowd::default();
    for _ in 0..2 {
        crowd.add_producer(&i, random.next(), PATIENCE, false);
    }
    crowd.add_subscriber(&i, true, Duration::ZERO);
    crowd.add_subscriber(&i, true, Duration::ZERO);
    crowd.add_reader(&i, random.next(), PATIENCE);
    crowd.wait_until_at_work();
    let mut cuts = Cuts::default();
    let (begun, mut number) = (Instant::now(), 0);
    while begun.elapsed() < setting.time || number < 16 {
        number += 1;
        // What is lost of the disk, and when; or the process alone is killed, now and then.
        let syncs_fail = number % 4 == 1;
        if syncs_fail {
            // Never two in a row: a disk on which nothing can be made sure of promises nothing.
            let every = 3 + random.below(8) as u32;
            i.board.arm(Point::StoreSync, Arm::Fail { every, errno: EIO });
        }
        if random.below(3) == 0 {
            let _ = Mirror::attach(&i.options()).and_then(|m| m.rotate_key(None));
        }
        let backup = (number % 4 == 2).then(|| {
            let path = i.path(&format!("backup-{number}"));
            // Who looks for a daemon that is killed meanwhile must not look for long: it is started again only
            // when this has ended.
            let mirror = Mirror::attach(&i.options().attach_timeout(Duration::from_secs(1)));
            let to = path.clone();
            let copy = move || mirror.and_then(|mirror| mirror.backup(&to)).is_ok();
            (path, std::thread::spawn(copy))
        });
        let failed = i.board.happened(Point::StoreSync);
        if number % 4 == 0 {
            let (point, most) = POINTS[random.below(POINTS.len() as u64) as usize];
            i.board.arm(point, Arm::Kill(1 + random.below(most) as u32));
            wait_until(Duration::from_secs(1), || i.daemon.has_ended());
        } else if number % 8 == 1 {
            wait_until(PATIENCE, || i.board.happened(Point::StoreSync) > failed);
        } else if let (2, Some((_, copying))) = (number % 8, &backup) {
            wait_until(PATIENCE, || copying.is_finished());
        } else {
            std::thread::sleep(Duration::from_micros(random.below(250_000)));
        }
        if number % 4 != 0 && i.daemon.has_ended() {
            let said = i.said();
            let tail: Vec<&str> = said.lines().rev().take(8).collect();
            row.hung.push(format!("before cut {number} the daemon ended by itself: {tail:#?}"));
        }
        i.daemon.signal(Signal::KILL);
        if i.daemon.end().is_none() {
            row.hung.push("a killed daemon is still there".to_owned());
        }
        cuts.failed_syncs = i.board.happened(Point::StoreSync);
        i.board.calm();
        if let Some((path, copied)) = backup
            && copied.join().is_ok_and(|copied| copied)
        {
            cuts.backups.push(path);
        }
        cuts.cut(&i, number % 5 == 0, &mut random, &mut row);
        let down = Instant::now();
        if let Err(error) = i.restart() {
            row.lost.push(format!("the daemon does not start after cut {number}: {error}"));
            return row;
        }
        if down.elapsed() > Duration::from_secs(20) {
            row.hung.push(format!("the start after cut {number} took {:?}", down.elapsed()));
        }
    }
    row.injected = cuts.cuts;
    row.checked.extend([
        ("sectors, lengths and names lost", cuts.lost),
        ("processes killed and no power lost", cuts.kept),
        ("failed syncs", cuts.failed_syncs),
        ("backups opened", cuts.opened),
    ]);
    crowd.end(&mut i, &mut row);
    row
}

/// Waits for something, and no longer than this.
fn wait_until(longest: Duration, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + longest;
    while !is_so() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The disk, and what happened to it.
#[derive(Default)]
struct Cuts {
    disk: Disk,
    cuts: u64,
    kept: u64,
    lost: u64,
    failed_syncs: u64,
    /// Those that were reported.
    backups: Vec<PathBuf>,
    opened: u64,
}

impl Cuts {
    /// Puts what is left of the instance's disk in its place; with `kept`, the kernel lived on.
    fn cut(&mut self, i: &Instance, kept: bool, random: &mut Random, row: &mut Row) {
        let path = i.path("journal");
        let journal = std::fs::read(&path).expect("a journal");
        while self.disk.follow(&journal, u64::MAX).is_some() {}
        if kept {
            self.kept += 1;
            self.disk.ended();
            let file = std::fs::File::options().write(true).open(&path).expect("a journal");
            file.set_len(self.disk.read()).expect("a journal without a half record");
            return;
        }
        let left = self.disk.left(random);
        self.cuts += 1;
        self.lost += left.lost;
        for path in self.disk.paths() {
            let _ = std::fs::remove_file(path);
        }
        store::write_back(&left, Path::to_path_buf);
        if random.below(2) == 0 {
            let _ = std::fs::remove_file(i.path("data/store.db-shm"));
        }
        self.disk = Disk::of(&left.files);
        std::fs::write(path, "").expect("an empty journal");
        self.look_at_backups(i, &left.files, row);
    }

    /// Those that were reported are there; what is there under its name is whole.
    fn look_at_backups(&mut self, i: &Instance, files: &BTreeMap<PathBuf, Vec<u8>>, row: &mut Row) {
        let reported = std::mem::take(&mut self.backups);
        for path in reported.iter().filter(|path| !files.contains_key(*path)) {
            row.lost.push(format!("the backup {} is gone", path.display()));
        }
        let is_whole = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("backup-") && !name.ends_with(".partial")
        };
        for path in files.keys().filter(is_whole) {
            let copy = store::memory_directory();
            let opened = std::fs::copy(path, copy.path().join("store.db"))
                .and_then(|_| std::fs::copy(i.path("data/key"), copy.path().join("key")))
                .map_err(|e| e.to_string())
                .and_then(|_| store::open(copy.path(), copy.path()).map_err(|e| e.to_string()));
            match opened {
                Ok(_) => self.opened += 1,
                Err(error) => row.lost.push(format!("backup {}: {error}", path.display())),
            }
        }
        // Each is looked at once.
        for path in files.keys().filter(is_whole) {
            let _ = std::fs::remove_file(path);
            self.disk.forget(path);
        }
    }
}
