//! Producers and readers are killed with `-9`, also with the lane's mutex held and in the middle of a
//! record; a producer is stopped while it holds the mutex; a subscriber is stopped for good. The others go
//! on: nobody waits for a dead or a stopped one.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror_shm::points::{Arm, Board, Point};

use super::Setting;
use super::killed::CONFIG;
use crate::checker::Said;
use crate::crowd::{Crowd, PRODUCERS};
use crate::instance::{Instance, Medium, PATIENCE};
use crate::random::Random;
use crate::report::Row;

/// Longest that anybody else may wait for one who was killed or stopped, beyond twice what the same
/// producers waited at most in pauses of the same run, in which nothing was done to anybody.
const WAIT: Duration = Duration::from_millis(100);
/// Such a pause.
const PAUSE: Duration = Duration::from_millis(400);

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let mut random = Random::of(setting.seed, setting.name);
    let mut i = Instance::start_on(CONFIG, Medium::Memory).expect("a daemon");
    let board = Board::open(&i.path("client-points")).expect("the clients' points");
    Crowd::prepare(&i);
    let mut crowd = Crowd::default();
    crowd.add_subscriber(&i, true, Duration::ZERO);
    // One who is stopped before it has read anything, for good.
    let stopped = crowd.add_subscriber(&i, false, Duration::ZERO);
    crowd.subscribers[&stopped].process.signal(Signal::STOP);
    crowd.add_subscriber(&i, false, Duration::ZERO);
    // Two who are never touched: it is they who must not wait.
    let untouched: Vec<i64> =
        (0..2).map(|_| crowd.add_producer(&i, random.next(), PATIENCE, false)).collect();
    crowd.add_reader(&i, random.next(), PATIENCE);
    let (mut at, mut quiet, mut troubled) = (0, 0, 0);
    let (begun, mut held, mut paused, mut readers) = (Instant::now(), 0, 0, 0);
    let mut number = 0;
    while (begun.elapsed() < setting.time || number < 24) && i64::from(number) < PRODUCERS - 4 {
        if number % 4 == 0 {
            let (longest, there) = crowd.longest_wait(&untouched, at);
            troubled = troubled.max(longest);
            std::thread::sleep(PAUSE);
            let (longest, after) = crowd.longest_wait(&untouched, there);
            // The first pause is the start of everybody.
            quiet = if number == 0 { quiet } else { quiet.max(longest) };
            at = after;
        }
        number += 1;
        let victim = crowd.add_producer(&i, random.next(), WAIT * 100, true);
        let tried = |s: &Said| matches!(s, Said::Ok { who, .. } if *who == victim);
        // It has its lane and uses it.
        let until = Instant::now() + Duration::from_secs(20);
        while crowd.count(tried) == 0 && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        let nth = 1 + random.below(20) as u32;
        match number % 4 {
            0 => board.arm(Point::Locked, Arm::Kill(nth)),
            1 => board.arm(Point::Written, Arm::Kill(nth)),
            2 => board.arm(Point::Locked, Arm::Stop(nth)),
            _ => std::thread::sleep(Duration::from_micros(random.below(20_000))),
        }
        let person = crowd.producers.get_mut(&victim).expect("just added");
        let until = Instant::now() + Duration::from_secs(5);
        let happened = board.happened(Point::Locked) + board.happened(Point::Written);
        if number % 4 == 3 {
            person.process.signal(Signal::KILL);
        }
        // Killed at its point; or stopped there, and so it stays for a while.
        while !person.process.has_ended() && Instant::now() < until {
            let now = board.happened(Point::Locked) + board.happened(Point::Written);
            if number % 4 == 2 && now > happened {
                std::thread::sleep(WAIT * 4);
                paused += 1;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        board.calm();
        held += u64::from(number % 4 != 3);
        Crowd::kill(person);
        row.injected += 1;
        if number % 3 == 0 {
            let reader = crowd.add_reader(&i, random.next(), WAIT * 100);
            std::thread::sleep(Duration::from_millis(5 + random.below(20)));
            Crowd::kill(crowd.readers.get_mut(&reader).expect("just added"));
            readers += 1;
            row.injected += 1;
        }
    }
    troubled = troubled.max(crowd.longest_wait(&untouched, at).0);
    let most = WAIT.as_micros() as u64 + 2 * quiet;
    if troubled > most {
        row.hung.push(format!(
            "who had nothing to do with it waited up to {troubled} µs; {quiet} µs where nothing happened"
        ));
    }
    row.checked.push(("µs waited at most", troubled));
    row.checked.push(("where nothing happened", quiet));
    row.checked.push(("of them with the mutex held", held));
    row.checked.push(("of these stopped", paused));
    row.checked.push(("readers killed", readers));
    Crowd::kill(crowd.subscribers.get_mut(&stopped).expect("there"));
    crowd.subscribers.remove(&stopped);
    crowd.end(&mut i, &mut row);
    row
}
