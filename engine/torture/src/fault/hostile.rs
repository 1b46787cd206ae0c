//! Hostile clients: processes that attack the control socket and the requests lane of their user, as another
//! user than honest ones and as the same.
//!
//! Held: the daemon lives, what it takes and what it logs is bounded, honest clients of other lanes notice
//! nothing that the checker would not excuse, and those of the attackers' own lane go on by themselves once the
//! attack is over.

use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use shmirror::{Mirror, Producer};

use super::Setting;
use crate::actor::Actor;
use crate::checker::Said;
use crate::crowd::Crowd;
use crate::gauge::{Gauge, Watch, log_bytes, log_lines, percentile, wait_for};
use crate::instance::{Instance, PATIENCE};
use crate::random::Random;
use crate::report::Row;
use crate::role::hostile::ATTACKS;
use crate::role::ordinary::SCHEMA;

/// The hostile user, where this can become another one.
pub const USER: u32 = 61_001;
/// Who else may write, and all that is logged.
pub const CONFIG: &str = "[lanes]\nrequests_bytes = \"1MiB\"\nevents_bytes = \"4MiB\"\n[log]\nlevel = \"info\"\n\
                          [namespaces.main]\nwriters = [\"user:61001\"]\n";

/// Most memory that attacks may have the daemon take at any moment: 64 calls of 16 MiB that wait for a worker
/// are within its rights.
const PEAK: u64 = 1 << 30;
/// Most descriptors beside those before: all clients that there can be, and the answers that they do not read.
const PEAK_OPEN: u64 = 4_096;
/// Memory that may stay: outcomes of retired lanes are kept for half a minute, and the allocator keeps some.
const STAYS: u64 = 192 << 20;
/// Descriptors that may stay, besides two for each lane that was made.
const STAY_OPEN: u64 = 16;
/// Bytes of log that the attacks of one user may cause at once, and in each second after.
const LOGGED: (u64, u64) = (1 << 20, 4 << 10);
/// Longest that anybody else may wait in the face of attacks, on a machine with other things to do.
const SLOWEST: Duration = Duration::from_millis(500);

/// Who attacks what.
struct Scene {
    name: &'static str,
    user: Option<u32>,
    /// Attacks on the words of lanes too; with `false` not these, with `None` these alone.
    on_lanes: Option<bool>,
    /// Honest clients, in another lane if the user is another, whose work is checked.
    crowd: bool,
}

/// Runs it.
pub fn run(setting: &Setting) -> Row {
    let scenes = if rustix::process::geteuid().is_root() {
        [
            Scene { name: "another user", user: Some(USER), on_lanes: Some(true), crowd: true },
            Scene { name: "the same user", user: None, on_lanes: Some(false), crowd: true },
        ]
    } else {
        println!(
            "  not root: attacks on lanes are made beside no honest ones but of the same lane"
        );
        [
            Scene { name: "the same user", user: None, on_lanes: Some(false), crowd: true },
            Scene { name: "the same lane", user: None, on_lanes: None, crowd: false },
        ]
    };
    let mut row = Row::of(setting.name);
    let mut total = Totals::default();
    for scene in &scenes {
        play(setting, scene, &mut total, &mut row);
    }
    row.checked.push(("attacks", total.attacks));
    row.checked.push(("times that honest ones of the same user went on", total.recovered));
    row.checked.push(("attaches meanwhile", total.attached));
    row.checked.push(("log lines about them", total.lines));
    sleeps(&mut row);
    row
}

#[derive(Default)]
struct Totals {
    attacks: u64,
    recovered: u64,
    attached: u64,
    lines: u64,
}

fn start() -> Instance {
    let i = Instance::start(CONFIG).expect("a daemon");
    let open = std::fs::Permissions::from_mode(0o711);
    std::fs::set_permissions(i.path(""), open).expect("its directory is ours");
    Crowd::prepare(&i);
    let producer = Producer::attach(&i.options()).expect("a daemon");
    producer.execute(SCHEMA).expect("the tables");
    i
}

fn play(setting: &Setting, scene: &Scene, total: &mut Totals, row: &mut Row) {
    let mut random = Random::of(setting.seed, scene.name);
    let mut i = start();
    let mut crowd = Crowd::default();
    if scene.crowd {
        crowd.add_subscriber(&i, true, Duration::ZERO);
        crowd.add_subscriber(&i, false, Duration::ZERO);
        for _ in 0..2 {
            crowd.add_producer(&i, random.next(), Duration::from_secs(10), false);
        }
        crowd.add_reader(&i, random.next(), Duration::from_secs(10));
    }
    let pause = 5;
    let mut honest = Actor::start(&i, "persist", &[random.next(), pause], scene.user);
    if !honest.says("ok", 0) {
        row.hung.push(format!("{}: it cannot write: {:?}", scene.name, honest.tail()));
    }
    let pid = i.daemon.0.id();
    let (begun, before, logged) = (Instant::now(), Gauge::of(pid), log_bytes(&i));
    let chosen = ATTACKS.iter().enumerate().filter(|(_, attack)| match scene.on_lanes {
        Some(with) => with || !attack.on_lane,
        None => attack.on_lane,
    });
    let chosen: Vec<_> = chosen.collect();
    let slice = setting.time / (2 * chosen.len() as u32);
    let slice = slice.clamp(Duration::from_millis(200), Duration::from_secs(30));
    let usual = latency(&crowd, scene.crowd, slice);
    for (which, attack) in chosen {
        let log = log_bytes(&i);
        let watch = Watch::begin(pid);
        let numbers = [which as u64, random.next(), pid.into(), 10_000];
        // More than one, as some of them would get into each other's way.
        let mut attackers: Vec<_> =
            (0..2).map(|_| Actor::start(&i, "hostile", &numbers, scene.user)).collect();
        if attack.name.contains("attaches") {
            attackers.iter().for_each(|a| _ = a.says("at once", 0));
        }
        let mut p99 = Duration::MAX;
        let slowest = SLOWEST.max(usual * 10);
        // A busy machine gets another try, a slow daemon is slow in that one too.
        for _ in 0..4 {
            p99 = p99.min(latency(&crowd, scene.crowd, slice));
            total.attached += u64::from(attaches(&i, scene, attack.name, row));
            if p99 <= slowest || !troubles(&crowd).is_empty() {
                break;
            }
        }
        if attack.name.contains("attaches") && !attackers.iter().all(|a| a.says("through", 0)) {
            row.hung.push(format!("{}: not all attaches came through", attack.name));
        }
        if p99 > slowest {
            row.hung.push(format!(
                "{}, {}: others wait for {p99:?} (99 of 100), {usual:?} before",
                attack.name, scene.name
            ));
        }
        let mut blows = 0;
        for attacker in &mut attackers {
            let ended = attacker.end();
            let done = attacker.numbers("done", 0);
            if !ended || done.is_empty() {
                let tail = attacker.tail();
                row.hung.push(format!("{}: an attacker did not end: {tail:?}", attack.name));
            }
            blows += done.iter().sum::<u64>();
        }
        row.injected += blows;
        total.attacks += 1;
        let (memory, descriptors) = watch.end();
        // Those who share the lane go on by themselves; whoever comes new gets in.
        let from = honest.count();
        let back = Instant::now();
        if honest.says("ok", from) {
            total.recovered += 1;
        } else {
            row.hung.push(format!(
                "{}: an honest producer of the same user never went on: {:?}",
                attack.name,
                honest.tail()
            ));
        }
        let back = back.elapsed();
        newcomer(&i, scene, attack.name, row);
        let logged = log_bytes(&i).saturating_sub(log);
        println!(
            "  {}, {}: {blows} blows; memory {} MiB at most, {descriptors} descriptors, log +{} KiB; \
             others' p99 {p99:?} ({usual:?} before); same user back after {back:?}",
            attack.name,
            scene.name,
            memory >> 20,
            logged >> 10,
        );
        let troubles = troubles(&crowd);
        if !troubles.is_empty() {
            row.hung.push(format!("{}, {}: {troubles:?}", attack.name, scene.name));
            return;
        }
        if memory > before.memory() + PEAK {
            row.lost.push(format!("{}: the daemon took {memory} bytes", attack.name));
        }
        if descriptors > before.descriptors.unwrap_or(u64::MAX / 2) + PEAK_OPEN {
            row.lost.push(format!("{}: the daemon had {descriptors} descriptors", attack.name));
        }
        if i.daemon.has_ended() {
            let said = i.said();
            let tail: Vec<&str> = said.lines().rev().take(5).collect();
            row.lost.push(format!("{}: the daemon has ended: {tail:?}", attack.name));
            return;
        }
    }
    honest.end();
    settles(&i, before, scene, row);
    let lines = log_lines(&i);
    let of = |what: &str| lines.lines().filter(|l| l.contains(what)).count() as u64;
    let told = of("detached: ") + of("is corrupt") + of("withheld");
    total.lines += told;
    let most = LOGGED.0 + LOGGED.1 * begun.elapsed().as_secs();
    let logged = log_bytes(&i).saturating_sub(logged);
    if logged > most {
        row.lost.push(format!("{}: {logged} bytes of log, {most} at most", scene.name));
    }
    if scene.crowd {
        crowd.end(&mut i, row);
    }
}

/// What the crowd complains of.
fn troubles(crowd: &Crowd) -> Vec<String> {
    let all = RefCell::new(Vec::new());
    crowd.count(|s| {
        if let Said::Hung { what, .. } = s {
            all.borrow_mut().push(what.clone());
        }
        false
    });
    all.into_inner()
}

/// How long 99 of 100 transactions of the crowd take, over about this time.
fn latency(crowd: &Crowd, is_there: bool, time: Duration) -> Duration {
    if !is_there {
        std::thread::sleep(time);
        return Duration::ZERO;
    }
    let acknowledged = |s: &Said| matches!(s, Said::Ok { .. });
    let from = crowd.count(acknowledged);
    std::thread::sleep(time);
    wait_for(PATIENCE, || crowd.count(acknowledged) >= from + 20 || !troubles(crowd).is_empty());
    let (all, number) = (RefCell::new(Vec::new()), RefCell::new(0));
    crowd.count(|s| {
        if let Said::Ok { micros, .. } = s {
            *number.borrow_mut() += 1;
            if *number.borrow() > from {
                all.borrow_mut().push(*micros);
            }
        }
        false
    });
    let all = all.into_inner();
    // Nobody was answered at all.
    if all.is_empty() { PATIENCE } else { Duration::from_micros(percentile(all, 99)) }
}

/// Whether somebody of the daemon's own user can attach and ask while the attack goes on.
fn attaches(i: &Instance, scene: &Scene, attack: &str, row: &mut Row) -> bool {
    let begun = Instant::now();
    let options = i.options().attach_timeout(Duration::from_secs(20));
    match Mirror::attach(&options).and_then(|m| m.status()) {
        Ok(_) => true,
        // Attackers of the daemon's own user can take all places.
        Err(error) if scene.user.is_none() && error.to_string().contains("the limit") => true,
        Err(error) => {
            row.hung.push(format!(
                "{attack}, {}: nobody can attach: {error}, after {:?}",
                scene.name,
                begun.elapsed()
            ));
            false
        }
    }
}

/// A new client of the attackers' user gets in and is served, after the attack.
fn newcomer(i: &Instance, scene: &Scene, attack: &str, row: &mut Row) {
    let mut newcomer = Actor::start(i, "persist", &[1, 1], scene.user);
    if !newcomer.says("ok", 0) {
        let tail = newcomer.tail();
        row.hung.push(format!("{attack}, {}: a newcomer cannot write: {tail:?}", scene.name));
    }
    newcomer.end();
}

/// Memory and descriptors come back to about where they were.
fn settles(i: &Instance, before: Gauge, scene: &Scene, row: &mut Row) {
    let pid = i.daemon.0.id();
    // What the log tells of them is one of the few things that are not bounded for each user alone.
    let lanes = log_lines(i).lines().filter(|l| l.contains("requests lane made")).count() as u64;
    let is_back = || {
        let now = Gauge::of(pid);
        let open = match (now.descriptors, before.descriptors) {
            (Some(now), Some(before)) => now <= before + STAY_OPEN + 2 * lanes,
            _ => true,
        };
        open && now.memory() <= before.memory() + STAYS
    };
    if !wait_for(PATIENCE, is_back) {
        let now = Gauge::of(pid);
        row.lost.push(format!("{}: {before:?} before, {now:?} after, {lanes} lanes", scene.name));
    }
    let now = Gauge::of(pid);
    println!(
        "  {}, in the end: memory {} MiB (own {}), {} before; descriptors {:?}, {:?} before; {lanes} lanes",
        scene.name,
        now.memory() >> 20,
        now.own >> 20,
        before.memory() >> 20,
        now.descriptors,
        before.descriptors,
    );
}

/// With a doorbell left full and blocking, a daemon that sleeps is woken by the honest ones of that lane as ever,
/// after at most one of its own looks at it.
fn sleeps(row: &mut Row) {
    let i = start();
    let which = ATTACKS.iter().position(|a| a.name == "doorbells").expect("it is in the list");
    let pid = i.daemon.0.id();
    let mut attacker = Actor::start(&i, "hostile", &[which as u64, 1, pid.into(), 0], None);
    attacker.says("begun", 0);
    std::thread::sleep(Duration::from_millis(100));
    if !attacker.end() {
        row.hung.push("the doorbell's attacker did not end".to_owned());
    }
    let mut honest = Actor::start(&i, "persist", &[1, 60], None);
    // The first may wait for the daemon's next look.
    let enough = || honest.numbers("ok", 0).len() >= 12;
    if !wait_for(PATIENCE, enough) {
        row.hung.push(format!("a full doorbell is never emptied: {:?}", honest.tail()));
    }
    honest.end();
    let median = percentile(honest.numbers("ok", 2), 50);
    if median > 120_000 {
        row.hung.push(format!("with a doorbell that was left full a put takes {median} µs"));
    }
    row.checked.push(("puts behind a full doorbell", honest.numbers("ok", 2).len() as u64));
}
