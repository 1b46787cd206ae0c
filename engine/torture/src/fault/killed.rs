//! The daemon is killed with `-9`, at random moments and at named points of every stage, while producers,
//! readers and subscribers go on.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::{Mirror, Producer};
use shmirror_shm::points::{Arm, Point};

use super::Setting;
use crate::crowd::Crowd;
use crate::instance::{Instance, PATIENCE};
use crate::random::Random;
use crate::report::Row;

/// A small reserve, so that the segment outgrows it, and a short log, so that it is checkpointed and
/// trimmed.
pub const CONFIG: &str = "[segment]\nreserve = \"1MiB\"\n[lanes]\nrequests_bytes = \"1MiB\"\n\
                          events_bytes = \"4MiB\"\n[log]\nlevel = \"warn\"\n";

/// Where it is killed; each stage has one, and two that publish and answer have one in their middle.
const POINTS: [Point; 13] = [
    Point::Apply,
    Point::Reserve,
    Point::Commit,
    Point::Committed,
    Point::Publish,
    Point::Published,
    Point::Announce,
    Point::Announced,
    Point::Acknowledge,
    Point::Checkpoint,
    Point::Rotation,
    Point::Backup,
    Point::Growth,
];

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut i = Instance::start(CONFIG).expect("a daemon");
    Crowd::prepare(&i);
    let mut crowd = Crowd::default();
    for _ in 0..3 {
        crowd.add_producer(&i, random.next(), PATIENCE, false);
    }
    crowd.add_subscriber(&i, true, Duration::ZERO);
    crowd.add_subscriber(&i, false, Duration::ZERO);
    for _ in 0..2 {
        crowd.add_reader(&i, random.next(), PATIENCE);
    }
    crowd.wait_until_at_work();
    let (begun, mut at_points, mut number) = (Instant::now(), 0, 0);
    // Each point at least once, however short the run; a long one goes round again and again.
    while begun.elapsed() < setting.time || number < 2 * POINTS.len() {
        let point = POINTS[number / 2 % POINTS.len()];
        number += 1;
        if number % 2 == 0 {
            std::thread::sleep(Duration::from_micros(random.below(40_000)));
        } else {
            i.board.arm(point, Arm::Kill(1 + random.below(12) as u32));
            provoke(&i, point, &mut random);
            at_points += u64::from(wait_for_end(&mut i));
        }
        i.board.calm();
        i.daemon.signal(Signal::KILL);
        if i.daemon.end().is_none() {
            row.hung.push("a killed daemon is still there".to_owned());
        }
        row.injected += 1;
        let down = Instant::now();
        if let Err(error) = i.restart() {
            row.lost.push(format!("after {point:?} the daemon does not start: {error}"));
            return row;
        }
        if down.elapsed() > Duration::from_secs(20) {
            row.hung.push(format!("the start after {point:?} took {:?}", down.elapsed()));
        }
    }
    row.checked.push(("of them at points", at_points));
    crowd.end(&mut i, &mut row);
    row
}

/// Has the daemon come to points that everyday work does not pass.
fn provoke(i: &Instance, point: Point, random: &mut Random) {
    let options = i.options();
    match point {
        Point::Backup => {
            i.board.arm(point, Arm::Kill(1));
            let path = i.path(&format!("backup-{}.db", random.next()));
            // It is to be killed meanwhile.
            let _ = Mirror::attach(&options).and_then(|m| m.backup(&path));
        }
        Point::Rotation => {
            i.board.arm(point, Arm::Kill(1 + random.below(3) as u32));
            let _ = Mirror::attach(&options).and_then(|m| m.rotate_key(None));
        }
        Point::Growth => {
            i.board.arm(point, Arm::Kill(1));
            let sql = "CREATE TABLE IF NOT EXISTS bulk(id INTEGER PRIMARY KEY, b BLOB)";
            let grow = |p: &Producer| {
                p.execute(sql)?;
                p.execute("INSERT INTO bulk(b) VALUES(zeroblob(700000))").map(|_| ())
            };
            if let Ok(producer) = Producer::attach(&options) {
                let producer = producer.with_timeout(Duration::from_millis(500));
                let until = Instant::now() + Duration::from_secs(2);
                while Instant::now() < until && grow(&producer).is_ok() {}
            }
        }
        _ => {}
    }
}

/// Whether it has ended by itself.
fn wait_for_end(i: &mut Instance) -> bool {
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        if i.daemon.has_ended() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}
