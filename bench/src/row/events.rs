//! N2: changes per second that subscribers are told.
//!
//! Two things are measured. *As they are committed*: a producer makes large transactions, so that what limits
//! is whichever is slower, the daemon's commits or the lane. *From the lane*: changes that are in it
//! already, so that what limits is the lane and who reads it. In both, each subscriber counts what it was told and
//! what it was told to have missed; the rest of what was committed is lost.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value as Json, json};
use shmirror::{Event, Producer, Subscriber};
use shmirror_shm::request::{Action, Change, OnConflict};
use shmirror_shm::value::Value;

use super::writers::COLUMNS;
use crate::context::Context;
use crate::instance::{Instance, options};
use crate::measure::{Measured, Numbers, Round, Runner, race};
use crate::report::{Better, Demand, Line, OURS};
use crate::system::{Shape, iceoryx, ours, redis, text};
use crate::worker::{Make, Part, Worker};

/// What processes of this row do.
pub const PARTS: &[(&str, Make)] = &[("follow", follow), ("tell", tell)];

/// The table that is written.
const TABLE: Shape = Shape::numbers(10_000);
/// Rows of a transaction, and messages that go to Redis at once.
const BATCH: u64 = 4096;
const PIPELINE: u64 = 256;
/// Transactions that a producer has under way.
const UNDER_WAY: usize = 8;
/// Bytes of a message, where messages are bytes.
const MESSAGE: usize = 64;

/// What a subscriber was told next.
enum Told {
    /// A change.
    Change,
    /// The change after which there is nothing more.
    Last,
    /// So many are missing.
    Missed(u64),
    Nothing,
}

/// Follows, as told: which `system`, at what `place`.
fn follow(told: &Json) -> Result<Box<dyn Part>> {
    let path = Path::new(text(told, "place")?);
    Ok(match text(told, "system")? {
        "shmirror" => {
            let builder = Subscriber::builder(&options(path)).tables(&[ours::TABLE]);
            let mut subscriber = builder.subscribe()?;
            Box::new(move |order: &Json| {
                // Back to what it was told before; all of it is in the lane.
                if let Some(from) = order["from"].as_u64() {
                    subscriber.resume_from(from)?;
                }
                counted(|| next(&mut subscriber))
            })
        }
        "redis" => {
            let mut channel = redis::Channel::subscribe(path, MESSAGE, false)?;
            Box::new(move |_: &Json| {
                counted(|| Ok(if channel.next()?[0] == 1 { Told::Last } else { Told::Change }))
            })
        }
        "iceoryx2" => {
            let most = told["count"].as_u64().context("no count")?;
            let subscriber =
                iceoryx::Topic::open(text(told, "place")?, most as usize)?.subscriber()?;
            Box::new(move |_: &Json| {
                counted(|| match subscriber.receive()? {
                    Some(payload) if payload[0] == 1 => Ok(Told::Last),
                    Some(_) => Ok(Told::Change),
                    None => {
                        std::thread::yield_now();
                        Ok(Told::Nothing)
                    }
                })
            })
        }
        other => bail!("no system {other}"),
    })
}

fn next(subscriber: &mut Subscriber) -> Result<Told> {
    Ok(match subscriber.next(Duration::from_secs(1))? {
        None => Told::Nothing,
        Some(Event::Change(change)) => {
            let row = change.row.context("an update has a row")?;
            let is_last = row.as_ref().integer_at(1).context("a number")? < 0;
            if is_last { Told::Last } else { Told::Change }
        }
        Some(Event::Lagged { missed, .. }) => Told::Missed(missed),
        Some(other) => bail!("{}", other.to_json()),
    })
}

/// Counts until the last, from the first on.
fn counted(mut next: impl FnMut() -> Result<Told>) -> Result<Json> {
    let (mut begun, mut told, mut missed) = (None, 0_u64, 0_u64);
    loop {
        match next()? {
            Told::Nothing => {}
            Told::Missed(more) => missed += more,
            Told::Change => {
                begun.get_or_insert_with(Instant::now);
                told += 1;
            }
            Told::Last => {
                let took = begun.context("nothing but the last")?.elapsed().as_secs_f64();
                return Ok(json!({"told": told + 1, "missed": missed, "seconds": took}));
            }
        }
    }
}

/// Tells of changes without pause, as told: by which `system`, at what `place`.
fn tell(told: &Json) -> Result<Box<dyn Part>> {
    let path = Path::new(text(told, "place")?);
    Ok(match text(told, "system")? {
        "shmirror" => {
            let producer = Producer::attach(&options(path))?;
            let mut numbers = Numbers(9);
            Box::new(move |order: &Json| commit(&producer, &mut numbers, order))
        }
        "redis" => {
            let mut connection = redis::connect(path)?;
            Box::new(move |order: &Json| {
                let (mut said, mut message) = (0, [0_u8; MESSAGE]);
                let mut publish = |count: u64, message: &[u8]| -> Result<()> {
                    let mut all = ::redis::pipe();
                    for _ in 0..count {
                        all.cmd("PUBLISH").arg(redis::CHANNEL).arg(message).ignore();
                    }
                    Ok(all.query(&mut connection)?)
                };
                while_told(order, || {
                    said += PIPELINE;
                    publish(PIPELINE, &message)
                })?;
                message[0] = 1;
                publish(1, &message)?;
                Ok(json!({"said": said + 1}))
            })
        }
        "iceoryx2" => {
            let most = told["count"].as_u64().context("no count")?;
            let publisher =
                iceoryx::Topic::open(text(told, "place")?, most as usize)?.publisher()?;
            Box::new(move |order: &Json| {
                let mut said = 0;
                while_told(order, || {
                    said += PIPELINE;
                    (0..PIPELINE).try_for_each(|_| publisher.send([0; 8]))
                })?;
                publisher.send([1, 0, 0, 0, 0, 0, 0, 0])?;
                Ok(json!({"said": said + 1}))
            })
        }
        other => bail!("no system {other}"),
    })
}

/// Does this for as many `seconds` as ordered, or as many `times`.
fn while_told(order: &Json, mut f: impl FnMut() -> Result<()>) -> Result<()> {
    if let Some(times) = order["times"].as_u64() {
        return (0..times).try_for_each(|_| f());
    }
    let time = Duration::from_secs_f64(order["seconds"].as_f64().context("no seconds")?);
    let begun = Instant::now();
    while begun.elapsed() < time {
        f()?;
    }
    Ok(())
}

/// Commits large transactions, and then one whose only row says that it is the last.
fn commit(producer: &Producer, numbers: &mut Numbers, order: &Json) -> Result<Json> {
    let submit = |rows: Vec<Vec<Value>>| {
        let action = Action::Insert {
            columns: COLUMNS.map(str::to_owned).to_vec(),
            rows,
            on_conflict: OnConflict::Update,
            if_revision: None,
        };
        producer.submit(vec![Change { table: ours::TABLE.into(), action }])
    };
    let mut row = |key: u64, is_last: bool| {
        let mut row = [0; 8].map(|_: u64| Value::Integer((numbers.next() >> 1) as i64)).to_vec();
        row[0] = Value::Integer(key as i64);
        if is_last {
            row[1] = Value::Integer(-1);
        }
        row
    };
    let (mut said, mut under_way) = (0, VecDeque::new());
    let begun = Instant::now();
    while_told(order, || {
        let from = said % (TABLE.rows - BATCH);
        under_way.push_back(submit((from..from + BATCH).map(|key| row(key, false)).collect())?);
        said += BATCH;
        if under_way.len() >= UNDER_WAY {
            under_way.pop_front().context("there is one")?.wait()?;
        }
        Ok(())
    })?;
    under_way.into_iter().try_for_each(|ticket| ticket.wait().map(drop))?;
    let took = begun.elapsed().as_secs_f64();
    let last = submit(vec![row(0, true)])?.wait()?;
    Ok(json!({"said": said + 1, "revision": last.revision, "committed/s": said as f64 / took}))
}

const REDIS: &str = "Redis pub/sub";
const ICEORYX: &str = "iceoryx2 publish-subscribe";
/// What one subscriber is to be told in a second.
const WANTED: Demand = Demand::AtLeast(1e6);

/// N2: as they are committed, and from the lane, to 1, 4 and 16 subscribers.
pub fn rate(context: &Context) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for count in [1, 4, 16] {
        lines.push(backlog(context, count)?);
    }
    for count in [1, 4, 16] {
        lines.push(live(context, count)?);
    }
    Ok(lines)
}

fn followers(context: &Context, told: &Json, count: usize) -> Result<Vec<Worker>> {
    (0..count).map(|at| Worker::start("follow", told, context.in_turns(at))).collect()
}

/// Hears all followers, who should have been told of `said` changes.
fn hear(followers: &mut [Worker], said: u64) -> Result<Round> {
    let (mut rates, mut missed, mut lost) = (Vec::new(), 0, 0);
    for follower in followers {
        let answer = follower.hear()?;
        let of = |what: &str| answer[what].as_u64().context("no number");
        let told = of("told")?;
        rates.push((told - 1) as f64 / answer["seconds"].as_f64().context("no seconds")?);
        missed += of("missed")?;
        let accounted = told + of("missed")?;
        ensure!(accounted <= said, "{said} said, {answer}");
        lost += said - accounted;
    }
    let mut round = Round::from(rates.iter().sum::<f64>() / rates.len() as f64);
    round.beside.insert("lost".into(), lost as f64);
    round.beside.insert("said to be missed".into(), missed as f64);
    if rates.len() > 1 {
        round.beside.insert("to all".into(), rates.iter().sum());
    }
    Ok(round)
}

fn plural(count: usize) -> String {
    if count == 1 { "one subscriber".into() } else { format!("each of {count} subscribers") }
}

/// Changes that are in the lane already.
fn backlog(context: &Context, count: usize) -> Result<Line> {
    let instance = Instance::start_with(context, "[lanes]\nevents_bytes = \"128MiB\"\n")?;
    ours::fill(&instance.producer()?, &TABLE)?;
    let place = instance.socket();
    let told = json!({"system": "shmirror", "place": place});
    let mut subscribers = followers(context, &told, count)?;
    let mut producer = Worker::start("tell", &told, context.serving())?;
    let from = instance.mirror()?.revision() + 1;
    let times = if context.quick { 25 } else { 50 };
    let said = producer.ask(&json!({"times": times}))?["said"].as_u64().context("no count")?;
    let runner = Runner::new(OURS, || {
        let order = json!({"from": from});
        subscribers.iter_mut().try_for_each(|subscriber| subscriber.tell(&order))?;
        hear(&mut subscribers, said)
    });
    let mut systems = race(context, vec![runner])?;
    systems.push(Measured::cannot(REDIS, "keeps nothing"));
    systems.push(Measured::cannot(ICEORYX, "keeps what its subscribers have room for"));
    Ok(Line {
        id: "N2",
        what: format!("changes of 64 B rows that are in the lane, to {}", plural(count)),
        unit: "events/s",
        better: Better::Higher,
        systems,
        demands: demands(count),
        growth: None,
    })
}

fn demands(count: usize) -> Vec<Demand> {
    let mut demands = vec![Demand::Exactly("lost", 0.0)];
    if count == 1 {
        demands.insert(0, WANTED);
    }
    demands
}

/// Changes as they are committed.
fn live(context: &Context, count: usize) -> Result<Line> {
    let instance = Instance::start(context)?;
    ours::fill(&instance.producer()?, &TABLE)?;
    let server = redis::Server::start(context, false)?;
    let topic = format!("shmirror-bench/topic/{}/{count}", std::process::id());
    let mut systems = vec![
        (OURS, "shmirror", instance.socket().display().to_string()),
        (ICEORYX, "iceoryx2", topic),
    ];
    if let Some(server) = &server {
        systems.push((REDIS, "redis", server.socket().display().to_string()));
    }
    let order = json!({"seconds": context.round().as_secs_f64().max(0.1)});
    let mut runners = Vec::new();
    for (name, system, place) in systems {
        let told = json!({"system": system, "place": place, "count": count});
        let mut subscribers = followers(context, &told, count)?;
        let mut producer = Worker::start("tell", &told, context.serving())?;
        let order = order.clone();
        runners.push(Runner::new(name, move || {
            subscribers.iter_mut().try_for_each(|subscriber| subscriber.tell(&json!({})))?;
            let answer = producer.ask(&order)?;
            let mut round = hear(&mut subscribers, answer["said"].as_u64().context("no count")?)?;
            if let Some(rate) = answer["committed/s"].as_f64() {
                round.beside.insert("committed a second".into(), rate);
            }
            Ok(round)
        }));
    }
    let mut systems = race(context, runners)?;
    if server.is_none() {
        systems.push(Measured::cannot(REDIS, redis::WITHOUT));
    }
    Ok(Line {
        id: "N2",
        what: format!(
            "changes of 64 B rows as they are committed, {BATCH} in a transaction, to {}",
            plural(count)
        ),
        unit: "events/s",
        better: Better::Higher,
        systems,
        demands: demands(count),
        growth: None,
    })
}
