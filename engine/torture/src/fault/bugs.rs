//! The checker is held to account: with a bug put into the engine on purpose it must go red. A row is good if
//! it saw each bug.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror_shm::points::{Arm, Board, Point};

use super::Setting;
use super::killed::CONFIG;
use crate::crowd::Crowd;
use crate::instance::{Instance, PATIENCE};
use crate::random::Random;
use crate::report::Row;

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    for (bug, name) in [
        (Point::PublishBeforeCommit, "published before committed"),
        (Point::DropEvent, "events dropped"),
        (Point::SkipSecondCheck, "second check skipped"),
    ] {
        row.injected += 1;
        let found = with_bug(setting, bug);
        let seen = found.lost.len() + found.torn.len();
        row.checked.push((name, seen as u64));
        if seen == 0 {
            row.lost.push(format!("the checker does not see the bug \"{name}\""));
        }
    }
    row
}

/// What the checker says of a run with this bug.
fn with_bug(setting: &Setting, bug: Point) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut i = Instance::start(CONFIG).expect("a daemon");
    let board = Board::open(&i.path("client-points")).expect("the clients' points");
    Crowd::prepare(&i);
    let mut crowd = Crowd::default();
    crowd.add_subscriber(&i, true, Duration::ZERO);
    for _ in 0..2 {
        crowd.add_producer(&i, random.next(), PATIENCE, false);
    }
    for _ in 0..2 {
        match bug {
            Point::SkipSecondCheck => crowd.add_reader_of_rows(&i, random.next(), PATIENCE),
            _ => crowd.add_reader(&i, random.next(), PATIENCE),
        };
    }
    std::thread::sleep(Duration::from_millis(200));
    let once = Arm::Fail { every: 1, errno: 0 };
    match bug {
        // Seen where a reader was quicker than a daemon that was killed in between.
        Point::PublishBeforeCommit => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(3) {
                i.board.arm(bug, once);
                i.board.arm(Point::Commit, Arm::Wait { every: 1, micros: 3_000 });
                std::thread::sleep(Duration::from_millis(30 + random.below(40)));
                i.daemon.signal(Signal::KILL);
                let _ = i.daemon.end();
                i.board.calm();
                if i.restart().is_err() {
                    break;
                }
            }
        }
        Point::DropEvent => {
            i.board.arm(bug, Arm::Fail { every: 17, errno: 0 });
            std::thread::sleep(Duration::from_millis(500));
            i.board.calm();
        }
        _ => {
            board.arm(bug, once);
            // A copy is torn where the writer laps it, writing the row twice: it must be slow for that.
            board.arm(Point::Copied, Arm::Wait { every: 2, micros: 150_000 });
            std::thread::sleep(Duration::from_secs(4));
            board.calm();
        }
    }
    i.board.calm();
    crowd.end(&mut i, &mut row);
    row
}
