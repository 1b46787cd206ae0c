//! N1: from the commit of one process until another knows.
//!
//! ```text
//! who says ──► daemon, server, word ──► who hears: its clock, less the moment that it was told
//! ```
//! For ours that moment is when the store had committed ([`Mirror::committed_at`]): from there on it is
//! the daemon's part to show it. For others it is before the call that publishes, made right after a file
//! was synced: a processor that has just slept is slower, and who commits comes from the disk. Before each,
//! who says waits a while, so that everybody sleeps again who sleeps.

use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value as Json, json};
use shmirror::{Cell, Event, Mirror, Producer, Subscriber, monotonic_ns};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use crate::context::{Context, directory};
use crate::instance::{Instance, options};
use crate::measure::{Measured, Round, Runner, race};
use crate::report::{Better, Demand, Line, OURS};
use crate::system::shared::Shared;
use crate::system::{Shape, futex, iceoryx, ours, redis, text};
use crate::worker::{Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("hear", hear), ("say", say)];

/// How long who says something waits before: longer than anybody goes on looking who wants to sleep.
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of a Redis message: twenty digits of a moment, one that says whether it is the last.
const MESSAGE: usize = 21;

/// What is heard: when it was said, and whether it is the last of a round.
type Heard = (u64, bool);

/// Hears, as told: by which `system`, at what `place`.
fn hear(told: &Json) -> Result<Box<dyn Part>> {
    let name = text(told, "place")?;
    let path = Path::new(name);
    Ok(match text(told, "system")? {
        "cell" => hearing(cell(path)?),
        "events-spin" => hearing(events(path, true)?),
        "events-sleep" => hearing(events(path, false)?),
        "word-spin" => {
            let mut words = futex::Sleeper::new(name)?;
            hearing(move || Ok(unpacked(words.spin())))
        }
        "word-sleep" => {
            let mut words = futex::Sleeper::new(name)?;
            hearing(move || Ok(unpacked(words.sleep()?)))
        }
        "redis-spin" => hearing(messages(redis::Channel::subscribe(path, MESSAGE, true)?)),
        "redis-sleep" => hearing(messages(redis::Channel::subscribe(path, MESSAGE, false)?)),
        "iceoryx2-spin" => {
            let topic = iceoryx::Topic::open(name, 1)?;
            let subscriber = topic.subscriber()?;
            hearing(move || {
                loop {
                    if let Some(sample) = subscriber.receive()? {
                        return Ok(unpacked(sample[0]));
                    }
                }
            })
        }
        "iceoryx2-sleep" => {
            let (listener, page) = name.split_once(' ').context("a service and a page")?;
            let listener = iceoryx::Listener::open(listener)?;
            let mut words = futex::Sleeper::new(page)?;
            hearing(move || {
                // A notification may be of what was seen already, with the one before.
                loop {
                    listener.wait()?;
                    if let Some(found) = words.look() {
                        return Ok(unpacked(found));
                    }
                }
            })
        }
        other => bail!("no system {other}"),
    })
}

/// A moment and whether it is the last, in a word.
fn packed(last: bool) -> u64 {
    monotonic_ns() << 1 | u64::from(last)
}

fn unpacked(word: u64) -> Heard {
    (word >> 1, word & 1 == 1)
}

/// Hears until the last of a round, and says how long it took.
fn hearing(mut next: impl FnMut() -> Result<Heard> + 'static) -> Box<dyn Part> {
    Box::new(move |_: &Json| {
        let mut times = Vec::new();
        loop {
            let (said, last) = next()?;
            let now = monotonic_ns();
            ensure!(said <= now && said > 0, "said at {said}, heard at {now}");
            times.push((now - said) as f64 / 1e3);
            if last {
                return Ok(json!({"times": times}));
            }
        }
    })
}

/// Looks at a value until it is another.
fn cell(socket: &Path) -> Result<impl FnMut() -> Result<Heard> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let cell: Cell = mirror.table(ours::TABLE)?.cell(0, "a")?;
    let mut seen = cell.i64()?;
    Ok(move || {
        loop {
            let found = cell.i64()?;
            if found != seen {
                seen = found;
                return Ok((mirror.committed_at().context("committed")?, found & 1 == 1));
            }
        }
    })
}

/// Looks for an event without pause, or sleeps until there is one.
fn events(socket: &Path, spins: bool) -> Result<impl FnMut() -> Result<Heard> + use<>> {
    let mirror = Mirror::attach(&options(socket))?;
    let mut subscriber =
        Subscriber::builder(&options(socket)).tables(&[ours::TABLE]).subscribe()?;
    Ok(move || {
        loop {
            let event = match spins {
                true => subscriber.try_next()?,
                false => subscriber.next(Duration::from_secs(1))?,
            };
            match event {
                None => {}
                Some(Event::Change(change)) => {
                    let row = change.row.context("an update has a row")?;
                    let said = mirror.committed_at().context("committed")?;
                    return Ok((said, row.as_ref().integer_at(1).context("a number")? & 1 == 1));
                }
                Some(other) => bail!("{}", other.to_json()),
            }
        }
    })
}

fn messages(mut channel: redis::Channel) -> impl FnMut() -> Result<Heard> {
    move || {
        let message = std::str::from_utf8(channel.next()?)?;
        let (said, last) = message.split_at(MESSAGE - 1);
        Ok((said.parse()?, last == "1"))
    }
}

/// Says something so many times, as told: by which `system`, at what `place`.
fn say(told: &Json) -> Result<Box<dyn Part>> {
    let name = text(told, "place")?;
    let path = Path::new(name);
    Ok(match text(told, "system")? {
        "shmirror" => saying(commits(path)?),
        system @ ("word-spin" | "word-sleep") => {
            let (waker, sleeps) = (futex::Waker::new(name)?, system == "word-sleep");
            saying(synced(move |last| waker.say(packed(last), sleeps))?)
        }
        "redis" => {
            let mut connection = redis::connect(path)?;
            saying(synced(move |last| {
                let message = format!("{:020}{}", monotonic_ns(), u8::from(last));
                let mut publish = ::redis::cmd("PUBLISH");
                publish.arg(redis::CHANNEL).arg(message);
                let receivers: i64 = publish.query(&mut connection)?;
                ensure!(receivers == 1, "{receivers} receivers");
                Ok(())
            })?)
        }
        "iceoryx2-spin" => {
            let topic = iceoryx::Topic::open(name, 1)?;
            let publisher = topic.publisher()?;
            saying(synced(move |last| publisher.send([packed(last), 0, 0, 0, 0, 0, 0, 0]))?)
        }
        "iceoryx2-sleep" => {
            let (notifier, page) = name.split_once(' ').context("a service and a page")?;
            let (notifier, waker) = (iceoryx::Notifier::open(notifier)?, futex::Waker::new(page)?);
            saying(synced(move |last| {
                waker.say(packed(last), false)?;
                notifier.notify()
            })?)
        }
        other => bail!("no system {other}"),
    })
}

fn saying(mut say: impl FnMut(bool) -> Result<()> + 'static) -> Box<dyn Part> {
    Box::new(move |order: &Json| {
        let count = order["count"].as_u64().context("no count")?;
        for at in 1..=count {
            std::thread::sleep(PAUSE);
            say(at == count)?;
        }
        Ok(json!({}))
    })
}

/// Writes a page to disk before each: as who has just committed, it is awake then, and its processor too.
fn synced(
    mut say: impl FnMut(bool) -> Result<()> + 'static,
) -> Result<impl FnMut(bool) -> Result<()> + 'static> {
    let file = tempfile::tempfile_in(directory()?)?;
    Ok(move |last| {
        file.write_all_at(&[0; 4096], 0)?;
        file.sync_data()?;
        say(last)
    })
}

/// Commits a row whose value is odd if it is the last.
fn commits(socket: &Path) -> Result<impl FnMut(bool) -> Result<()> + use<>> {
    let producer = Producer::attach(&options(socket))?;
    let mut value = 0;
    Ok(move |last| {
        value += 2;
        let action = Action::Insert {
            columns: vec!["id".into(), "a".into()],
            rows: vec![vec![Value::Integer(0), Value::Integer(value | i64::from(last))]],
            on_conflict: OnConflict::Update,
            if_revision: None,
        };
        let change = Change { table: ours::TABLE.into(), action };
        producer.submit(vec![change])?.wait()?;
        Ok(())
    })
}

const REDIS: &str = "Redis pub/sub";
const FUTEX: &str = "bare futex wake";

/// N1: to who looks at a value, to a subscriber that looks for events, to one that sleeps.
pub fn latency(context: &Context) -> Result<Vec<Line>> {
    let instance = Instance::start(context)?;
    ours::fill(&instance.producer()?, &Shape::numbers(1))?;
    let server = redis::Server::start(context, false)?;
    let socket = instance.socket().display().to_string();
    let at_redis = server.as_ref().map(|server| server.socket().display().to_string());
    let (looked_at, slept_on, rung) = (Shared::create()?, Shared::create()?, Shared::create()?);
    let own = std::process::id();
    let topic = format!("shmirror-bench/topic/{own}");
    let bell = format!("shmirror-bench/bell/{own} {}", rung.name());
    let redis = |how: &'static str| at_redis.clone().map(|place| (REDIS, how, "redis", place));
    let us = |how: &'static str| Some((OURS, how, "shmirror", socket.clone()));
    let word = |name: &'static str, how: &'static str, page: &Shared| {
        Some((name, how, how, page.name().to_owned()))
    };
    let lines = [
        (
            "visible to a process that looks at one value",
            vec![us("cell"), word("bare word", "word-spin", &looked_at), redis("redis-spin")],
            vec![Demand::AtMost(2.0), Demand::Beats(REDIS, 5.0)],
        ),
        (
            "told to a subscriber that looks for events",
            vec![
                us("events-spin"),
                Some(("iceoryx2 publish-subscribe", "iceoryx2-spin", "iceoryx2-spin", topic)),
                redis("redis-spin"),
            ],
            vec![Demand::AtMost(2.0), Demand::Beats(REDIS, 5.0)],
        ),
        (
            "told to a subscriber that sleeps",
            vec![
                us("events-sleep"),
                word(FUTEX, "word-sleep", &slept_on),
                Some(("iceoryx2 event", "iceoryx2-sleep", "iceoryx2-sleep", bell)),
                redis("redis-sleep"),
            ],
            vec![Demand::Near(FUTEX, 1.2), Demand::Beats(REDIS, 5.0)],
        ),
    ];
    let count = if context.quick { 40 } else { 200 };
    let mut done = Vec::new();
    for (what, systems, demands) in lines {
        let mut runners = Vec::new();
        for (name, hears, says, place) in systems.into_iter().flatten() {
            let told = |system: &str| json!({"system": system, "place": place});
            let mut ear = Worker::start("hear", &told(hears), context.measuring())?;
            let mut mouth = Worker::start("say", &told(says), context.serving())?;
            runners.push(Runner::new(name, move || {
                ear.tell(&json!({}))?;
                mouth.ask(&json!({"count": count}))?;
                // Who looks at a value while it has a processor sees the newest: fewer than were said, maybe.
                Round::of_times(serde_json::from_value(ear.hear()?["times"].take())?)
            }));
        }
        let mut systems = race(context, runners)?;
        if server.is_none() {
            systems.push(Measured::cannot(REDIS, redis::WITHOUT));
        }
        let what = format!("a commit, {what}, p50");
        done.push(Line {
            id: "N1",
            what,
            unit: "µs",
            better: Better::Lower,
            systems,
            demands,
            growth: None,
        });
    }
    Ok(done)
}
