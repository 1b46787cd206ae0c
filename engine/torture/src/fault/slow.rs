//! Clients that are slow, or greedy: subscribers that never read or are stopped, and a lane that one producer
//! keeps full. What a put of the others takes is compared with and without them, in turns, so that other work of
//! the machine meets both alike.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use shmirror::{Mirror, Producer};

use shmirror_shm::points::{Arm, Point};

use super::Setting;
use super::hostile::{CONFIG, USER};
use crate::actor::Actor;
use crate::gauge::{percentile, wait_for};
use crate::instance::{Instance, Medium, PATIENCE};
use crate::report::Row;
use crate::role::ordinary::SCHEMA;

/// How much longer a put may take, in hundredths.
const FACTOR: u64 = 150;
/// Rounds that count; with a busy machine there are more.
const ROUNDS: usize = 5;
/// Rounds in each of which unfair shares are to be seen.
const UNFAIR: usize = 3;
/// Longest put, in microseconds, whatever else the machine does.
const SLOWEST: u64 = 20_000_000;
/// Processes that put.
const PUTTERS: u64 = 4;

fn start() -> Instance {
    let i = Instance::start_on(CONFIG, Medium::Usual).expect("a daemon");
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(i.path(""), open).expect("its directory is ours");
    let producer = Producer::attach(&i.options()).expect("a daemon");
    producer.execute(SCHEMA).expect("the tables");
    i
}

/// One of 200 subscribers never reads, and 20 are stopped.
pub fn subscribers(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let i = start();
    let listen = |count, reads| Actor::start(&i, "listen", &[count, reads], None);
    let mut audience: Vec<Actor> = (0..9).map(|_| listen(20, 1)).collect();
    audience.iter().for_each(|a| _ = a.says("ready", 0));
    let mut told = 0;
    let mut puts = Puts::begin(&i);
    puts.compare(setting, &mut row, || {
        let (never, stopped) = (listen(1, 0), listen(20, 1));
        if never.says("ready", 0) && stopped.says("ready", 0) {
            told += 1;
        }
        stopped.process.signal(Signal::STOP);
        vec![never, stopped]
    });
    row.injected = told * 21;
    row.checked.push(("subscribers beside them", 9 * 20));
    audience.iter_mut().for_each(|a| _ = a.end());
    puts.end(&mut row);
    ends(i, &mut row);
    row
}

/// A lane is kept full by one producer; those in another lane get their turn. With the daemon's fair shares
/// taken out it is seen that they do not.
pub fn full_lane(setting: &Setting) -> Row {
    let mut row = Row::of(setting.name);
    let i = start();
    let root = rustix::process::geteuid().is_root();
    if !root {
        // One user has another lane only in another PID namespace.
        println!("  not root: the lane is that of the same user in another PID namespace");
    }
    let mut full = 0;
    let mut fill = || {
        let greedy = match root {
            true => Actor::start(&i, "flood", &[], Some(USER)),
            false => Actor::start(&i, "flood-apart", &[], None),
        };
        full += u64::from(greedy.says("full", 0));
        vec![greedy]
    };
    let mut puts = Puts::begin(&i);
    let limit = puts.compare(setting, &mut row, &mut fill);
    i.board.arm(Point::UnfairShares, Arm::Fail { every: 1, errno: 0 });
    let unfair: Vec<u64> = (0..UNFAIR).map(|_| puts.with(setting, &mut row, &mut fill)).collect();
    i.board.calm();
    println!("  without fair shares: {unfair:?} µs, {limit} are allowed");
    let seen = unfair.iter().all(|p99| *p99 > limit);
    row.checked.push(("times that unfair shares were seen", u64::from(seen) * UNFAIR as u64));
    row.injected = full;
    puts.end(&mut row);
    ends(i, &mut row);
    row
}

/// Processes that put, each one row after another.
struct Puts<'a> {
    i: &'a Instance,
    putters: Vec<Actor>,
    mirror: Mirror,
    counted: u64,
}

impl<'a> Puts<'a> {
    fn begin(i: &'a Instance) -> Self {
        let mirror = Mirror::attach(&i.options()).expect("a daemon");
        let start = |who| Actor::start(i, "put", &[who], None);
        let putters: Vec<Actor> = (0..PUTTERS).map(start).collect();
        putters.iter().for_each(|p| _ = p.says("put", 0));
        Self { i, putters, mirror, counted: 0 }
    }

    /// What 99 of 100 puts take at most, in microseconds, for a while from now.
    fn p99(&mut self, setting: &Setting) -> u64 {
        let time = (setting.time / (2 * ROUNDS as u32)).max(Duration::from_millis(300));
        // What began before counts for neither.
        std::thread::sleep(Duration::from_millis(50));
        let from: Vec<usize> = self.putters.iter().map(Actor::count).collect();
        let all = || -> Vec<u64> {
            let each = self.putters.iter().zip(&from);
            each.flat_map(|(p, from)| p.numbers("put ", *from)).collect()
        };
        let begun = Instant::now();
        while begun.elapsed() < time || (all().len() < 200 && begun.elapsed() < time * 20) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let all = all();
        self.counted += all.len() as u64;
        // Nobody was answered: that is for ever.
        if all.is_empty() { u64::MAX / FACTOR } else { percentile(all, 99) }
    }

    /// The same with what `others` starts.
    fn with(
        &mut self,
        setting: &Setting,
        row: &mut Row,
        others: &mut impl FnMut() -> Vec<Actor>,
    ) -> u64 {
        let mut others = others();
        let p99 = self.p99(setting);
        others.iter_mut().for_each(|o| o.process.signal(Signal::KILL));
        others.iter_mut().for_each(|o| _ = o.end());
        // What they have left in their lane is still work for the daemon.
        if !wait_for(PATIENCE, || is_drained(&self.mirror)) {
            row.hung.push("a lane whose producer is gone is never empty".to_owned());
        }
        p99
    }

    /// With and without what `others` starts, in turns; what a put may take with it.
    fn compare(
        &mut self,
        setting: &Setting,
        row: &mut Row,
        mut others: impl FnMut() -> Vec<Actor>,
    ) -> u64 {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let (begun, patience) = (Instant::now(), (setting.time * 4).max(Duration::from_secs(30)));
        let (mut good, mut limit) = (false, 0);
        loop {
            let enough = without.len() >= ROUNDS && begun.elapsed() >= setting.time;
            if enough && (good || begun.elapsed() > patience) {
                break;
            }
            without.push(self.p99(setting));
            with.push(self.with(setting, row, &mut others));
            // The rounds that other work of the machine left alone count.
            limit = percentile(without.clone(), 25) * FACTOR / 100;
            good = percentile(with.clone(), 25) <= limit;
        }
        println!(
            "  p99 of puts in µs, with them: {with:?}, without: {without:?}; {limit} are allowed"
        );
        if !good {
            row.hung.push(format!("p99 of puts with them: {with:?} µs, without: {without:?} µs"));
        }
        row.checked.push(("rounds", with.len() as u64));
        limit
    }

    fn end(mut self, row: &mut Row) {
        for putter in &mut self.putters {
            let took = putter.numbers("put ", 0);
            if !putter.end() || !took.iter().all(|micros| *micros < SLOWEST) {
                row.hung.push(format!("a put hung: {:?}", putter.tail()));
            }
        }
        if self.i.said().contains("panicked") {
            row.lost.push("the daemon panicked".to_owned());
        }
        row.checked.push(("puts compared", self.counted));
    }
}

/// Whether nothing is left in lanes whose producers have gone.
fn is_drained(mirror: &Mirror) -> bool {
    let Ok(status) = mirror.status() else { return false };
    let lanes = status["lanes"].as_array().into_iter().flatten();
    lanes.filter(|l| l["producers"] == 0).all(|l| l["pending"] == false)
}

/// Store, working copy and segment are the same, and the daemon stops well.
pub(super) fn ends(mut i: Instance, row: &mut Row) {
    match Mirror::attach(&i.options()).and_then(|m| m.check()) {
        Ok(report) if report["ok"] == true => {}
        other => row.lost.push(format!("store, working copy and segment differ: {other:?}")),
    }
    i.daemon.signal(Signal::TERM);
    if !i.daemon.end().is_some_and(|status| status.success()) {
        row.hung.push("the daemon did not stop well".to_owned());
    }
    if i.said().contains("panicked") {
        row.lost.push("the daemon panicked".to_owned());
    }
}
