//! M1: the mutex of the requests lane, alone, between two processes, and after its holder was killed.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value as Json, json};
use shmirror::monotonic_ns;
use shmirror_shm::mutex;

use crate::context::Context;
use crate::measure::{Measured, Round, Runner, median, race};
use crate::report::{Better, Demand, Line, OURS};
use crate::system::shared::Shared;
use crate::system::{pthread, raw, text};
use crate::worker::{Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("lock", lock)];

const PTHREAD: &str = "pthread, robust";
const RAW_SYNC: &str = "raw_sync on shared_memory";
/// What is guarded: counted with the lock held, by a load and a store.
const GUARDED: usize = 0;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mutex that processes have in common.
trait Lock: 'static {
    /// Does this with the lock held; whether the last holder died.
    fn with<T>(&self, f: impl FnOnce() -> T) -> Result<(bool, T)>;
}

/// Ours, on the futex word of a page.
struct Ours(&'static Shared, Instant);

impl Lock for Ours {
    fn with<T>(&self, f: impl FnOnce() -> T) -> Result<(bool, T)> {
        let guard = mutex::lock(self.0.futex(), self.1)?;
        Ok((guard.recovered(), f()))
    }
}

impl Lock for pthread::Mutex {
    fn with<T>(&self, f: impl FnOnce() -> T) -> Result<(bool, T)> {
        let died = self.lock()?;
        let done = f();
        self.unlock()?;
        Ok((died, done))
    }
}

struct Raw(Box<dyn raw_sync::locks::LockImpl>);

impl Lock for Raw {
    fn with<T>(&self, f: impl FnOnce() -> T) -> Result<(bool, T)> {
        let _guard = self.0.lock().map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok((false, f()))
    }
}

/// Locks and unlocks, as told: which `system`'s mutex, in which page (`place`).
fn lock(told: &Json) -> Result<Box<dyn Part>> {
    let page = Shared::open(text(told, "place")?)?;
    Ok(match text(told, "system")? {
        // The deadline is never reached.
        "shmirror" => locking(page, Ours(page, Instant::now() + Duration::from_secs(86_400))),
        "pthread" => locking(page, pthread::Mutex::open(page)),
        "raw_sync" => locking(page, Raw(raw::open(page)?)),
        other => bail!("no system {other}"),
    })
}

fn locking(page: &'static Shared, lock: impl Lock) -> Box<dyn Part> {
    let count = || {
        let word = page.word(GUARDED);
        word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    };
    Box::new(move |order: &Json| match order["do"].as_str() {
        // For so long, as fast as it goes.
        Some("count") => {
            let time = Duration::from_secs_f64(order["seconds"].as_f64().context("no seconds")?);
            let (begun, mut done) = (Instant::now(), 0_u64);
            while begun.elapsed() < time {
                for _ in 0..256 {
                    lock.with(count)?;
                }
                done += 256;
            }
            Ok(json!({"done": done, "seconds": begun.elapsed().as_secs_f64()}))
        }
        // Holds it until killed; says so while it does.
        Some("hold") => {
            lock.with(|| {
                println!("{}", json!({"held": true}));
                std::thread::sleep(PATIENCE);
            })?;
            bail!("nobody killed the holder")
        }
        // Waits for it, and says when it had it. That it is about to is said before.
        Some("wait") => {
            println!("{}", json!({"waits": true}));
            let (died, at) = lock.with(monotonic_ns)?;
            Ok(json!({"died": died, "at": at}))
        }
        _ => bail!("what? {order}"),
    })
}

/// A page with a mutex of each system.
struct Pages {
    ours: Shared,
    pthread: Shared,
    raw: Shared,
}

impl Pages {
    fn new() -> Result<Self> {
        let this =
            Self { ours: Shared::create()?, pthread: Shared::create()?, raw: Shared::create()? };
        pthread::init(&this.pthread)?;
        raw::init(&this.raw)?;
        Ok(this)
    }

    fn all(&self) -> [(&'static str, &'static str, &Shared); 3] {
        [
            (OURS, "shmirror", &self.ours),
            (PTHREAD, "pthread", &self.pthread),
            (RAW_SYNC, "raw_sync", &self.raw),
        ]
    }
}

fn worker(system: &str, page: &Shared, core: Option<usize>) -> Result<Worker> {
    Worker::start("lock", &json!({"system": system, "place": page.name()}), core)
}

/// M1: alone, two at once, and recovery.
pub fn all(context: &Context) -> Result<Vec<Line>> {
    let pages = Pages::new()?;
    Ok(vec![
        counting(context, &pages, &[context.measuring()])?,
        counting(context, &pages, &[context.measuring(), context.serving()])?,
        recovery(context, &pages)?,
    ])
}

/// Locks and unlocks by a process on each of these cores.
fn counting(context: &Context, pages: &Pages, cores: &[Option<usize>]) -> Result<Line> {
    let order = json!({"do": "count", "seconds": context.round().as_secs_f64()});
    let mut runners = Vec::new();
    for (name, system, page) in pages.all() {
        let all = cores.iter().map(|core| worker(system, page, *core));
        let mut workers = all.collect::<Result<Vec<_>>>()?;
        let order = order.clone();
        runners.push(Runner::new(name, move || {
            let before = page.word(GUARDED).load(Ordering::Acquire);
            workers.iter_mut().try_for_each(|worker| worker.tell(&order))?;
            let (mut rate, mut done, mut least) = (0.0, 0, f64::INFINITY);
            for worker in &mut workers {
                let answer = worker.hear()?;
                let count = answer["done"].as_u64().context("no count")?;
                let each = count as f64 / answer["seconds"].as_f64().context("no seconds")?;
                (rate, done, least) = (rate + each, done + count, each.min(least));
            }
            let counted = page.word(GUARDED).load(Ordering::Acquire) - before;
            ensure!(counted == done, "{done} times locked, {counted} times counted");
            let mut round = Round::from(1e9 / rate);
            if workers.len() > 1 {
                round.beside.insert("% of the slower one".into(), 100.0 * least / rate);
            }
            Ok(round)
        }));
    }
    let what = match cores.len() {
        1 => "lock and unlock, alone".to_owned(),
        count => format!("lock and unlock, {count} processes back to back, in turns or not"),
    };
    Ok(Line {
        id: "M1",
        what,
        unit: "ns",
        better: Better::Lower,
        systems: race(context, runners)?,
        demands: vec![Demand::Near(PTHREAD, 1.0)],
        growth: None,
    })
}

/// From the kill of the holder until who waits has the lock, knowing that it is recovered.
fn recovery(context: &Context, pages: &Pages) -> Result<Line> {
    const KILLS: usize = 3;
    let mut runners = Vec::new();
    for (name, system, page) in
        pages.all().into_iter().filter(|(_, system, _)| *system != "raw_sync")
    {
        let mut waiter = worker(system, page, context.measuring())?;
        runners.push(Runner::new(name, move || {
            let mut times = Vec::new();
            for _ in 0..KILLS {
                let mut holder = worker(system, page, context.serving())?;
                holder.ask(&json!({"do": "hold"}))?;
                waiter.ask(&json!({"do": "wait"}))?;
                // It sleeps by then.
                std::thread::sleep(Duration::from_millis(5));
                let killed = monotonic_ns();
                holder.kill()?;
                let answer = waiter.hear()?;
                ensure!(answer["died"] == true, "{answer}");
                let at = answer["at"].as_u64().context("no time")?;
                ensure!(at > killed, "it had the lock before the holder was killed");
                times.push((at - killed) as f64 / 1e3);
            }
            median(&times).context("several")
        }));
    }
    let mut systems = race(context, runners)?;
    systems.push(Measured::cannot(RAW_SYNC, raw::NOT_ROBUST));
    Ok(Line {
        id: "M1",
        what: "kill -9 of the holder until who waits has the lock".into(),
        unit: "µs",
        better: Better::Lower,
        systems,
        demands: vec![Demand::AtMost(1000.0)],
        growth: None,
    })
}
