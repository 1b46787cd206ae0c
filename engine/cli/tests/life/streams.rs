//! What a subscriber is told, replayed into tables, is what `dump` shows.

use std::time::Instant;

use serde_json::Value as Json;
use shmirror::{
    Action, Change, Error, Event, OnConflict, Options, Producer, RejectCode, Subscriber, Value,
};

use crate::child::{Child, Lines, Task};
use crate::common::{Instance, PATIENCE};
use crate::random::{Random, seed};
use crate::replay::Replay;
use crate::{calm, sound};

/// Every table and its key.
const TABLES: [(&str, &[&str]); 4] =
    [("tag", &["name"]), ("valve", &["area", "n"]), ("note", &["rowid"]), ("done", &["id"])];
const PROCESSES: u64 = 3;
const STEPS: u64 = 400;

#[test]
fn streams_replayed_equal_the_dump() {
    let mut random = Random::of_seed(seed("streams"));
    let mut i = Instance::start();
    i.sql(
        "CREATE TABLE tag(name TEXT PRIMARY KEY, unit TEXT, value REAL, raw BLOB, n);
         CREATE TABLE valve(area TEXT, n INTEGER, open, note TEXT, PRIMARY KEY(area, n)) \
           WITHOUT ROWID;
         CREATE TABLE note(text TEXT, at, raw BLOB);
         CREATE TABLE done(id INTEGER PRIMARY KEY)",
    );
    // The binary's stream, and the client's.
    let mut watch = i.spawn(&["watch", "--json", "--since", "1"]);
    let lines = Lines::of(watch.0.stdout.take().unwrap(), "");
    let subscriber = Subscriber::builder(&Options::new().socket(i.socket()))
        .from_revision(1)
        .subscribe()
        .unwrap();
    let watched = std::thread::spawn(move || of_lines(&lines));
    let followed = std::thread::spawn(move || of_subscriber(subscriber));

    let mixers: Vec<Child> = (0..PROCESSES)
        .map(|_| Child::spawn("mixer", &i.socket(), &[&random.seed(), &STEPS]))
        .collect();
    for mixer in &mixers {
        for _ in 0..STEPS / 2 {
            mixer.lines.next().expect("it goes on");
        }
    }
    i.sql("ALTER TABLE tag ADD COLUMN extra TEXT DEFAULT 'né'");
    let mut done = 0;
    for mixer in mixers {
        done += STEPS / 2 + mixer.finish().len() as u64;
    }
    assert_eq!(done, PROCESSES * STEPS);
    i.sql("INSERT INTO done VALUES (1)");

    let watched = watched.join().expect("what watch told fits together");
    let followed = followed.join().expect("what the subscriber was told fits together");
    // And from the commit log alone, after all was over.
    let mut late = i.spawn(&["watch", "--json", "--since", "1"]);
    let read_later = of_lines(&Lines::of(late.0.stdout.take().unwrap(), ""));
    for stream in [&watched, &followed, &read_later] {
        stream.equals_dump(&i, &TABLES);
    }
    assert_eq!(watched.changes, followed.changes);
    assert_eq!(watched.changes, read_later.changes);
    println!("{} changes in {} revisions", watched.changes, watched.revision);
    sound(&mut i);
    assert_eq!(i.stop(), 0);
    calm(&i);
}

fn replay() -> Replay {
    Replay::adding("tag", "extra", "né")
}

fn is_last(event: &Json) -> bool {
    event["table"] == "done"
}

fn of_lines(lines: &Lines) -> Replay {
    let mut replay = replay();
    loop {
        let event: Json = serde_json::from_str(&lines.next().expect("watch goes on")).unwrap();
        replay.apply(&event);
        if is_last(&event) {
            return replay;
        }
    }
}

fn of_subscriber(mut subscriber: Subscriber) -> Replay {
    let mut replay = replay();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = subscriber.next_deadline(deadline).unwrap().expect("events until the last");
        if let Event::Change(change) = &event {
            assert_eq!(
                change.row.as_ref().map(|r| r.key()),
                change.row.as_ref().map(|_| change.key.clone())
            );
        }
        let event = event.to_json();
        replay.apply(&event);
        if is_last(&event) {
            return replay;
        }
    }
}

/// A process that writes all kinds of things in all kinds of ways, and says so after each step.
pub fn mix(task: &Task) {
    let mut random = Random::of_seed(task.number(0));
    let producer = task.producer();
    for _ in 0..task.number(1) {
        let done = match random.below(10) {
            0 => sql(&producer, &mut random),
            1 => {
                // Several under way at once.
                let tickets: Vec<_> =
                    (0..5).map(|_| producer.submit(vec![change(&mut random)]).unwrap()).collect();
                tickets.into_iter().map(|t| allowed(t.wait())).last().unwrap()
            }
            2..=4 => {
                let changes = (0..=random.below(4)).map(|_| change(&mut random)).collect();
                producer.submit(changes).unwrap().wait()
            }
            _ => producer.submit(vec![change(&mut random)]).unwrap().wait(),
        };
        // What others did meanwhile may be in the way; nothing else may.
        let _ = allowed(done);
        task.say("done");
    }
}

fn allowed(done: Result<shmirror::Commit, Error>) -> Result<shmirror::Commit, Error> {
    match &done {
        Ok(_) => {}
        Err(Error::Rejected { code, .. }) => assert!(
            matches!(
                code,
                RejectCode::NoSuchRow
                    | RejectCode::PrimaryKey
                    | RejectCode::Unique
                    | RejectCode::UnknownColumn
            ),
            "{done:?}"
        ),
        Err(error) => panic!("{error}"),
    }
    done
}

fn sql(producer: &Producer, random: &mut Random) -> Result<shmirror::Commit, Error> {
    let n = random.below(12);
    producer.execute(&match random.below(8) {
        0 => format!("UPDATE valve SET n = n + 1 WHERE n > {n}"),
        1 => "INSERT INTO note(text, at) SELECT name, n FROM tag ORDER BY name LIMIT 3".to_owned(),
        2 => format!("DELETE FROM note WHERE rowid % 5 = {}", n % 5),
        3 => format!("UPDATE tag SET raw = randomblob({n}), n = NULL WHERE rowid % 4 = {}", n % 4),
        4 => format!("REPLACE INTO valve SELECT 'ü', n, open, 'replaced' FROM valve WHERE n < {n}"),
        5 => format!("INSERT OR IGNORE INTO tag(name, n) VALUES ('t{n}', {n}), ('温度{n}', 1.5)"),
        6 => {
            format!("DELETE FROM valve WHERE n = {n}; INSERT INTO valve(area, n) VALUES ('z', {n})")
        }
        _ => format!("UPDATE note SET rowid = rowid + 1000 WHERE rowid = {n}"),
    })
}

fn change(random: &mut Random) -> Change {
    let area = random.of(&["north", "süd", "", "日本"]);
    let n = random.below(12) as i64;
    let (table, key, columns): (_, Vec<(&str, Value)>, &[&str]) = match random.below(3) {
        0 => {
            let name = format!("{}{n}", random.of(&["t", "温度", "\u{1F702}"]));
            ("tag", vec![("name", name.into())], &["unit", "value", "raw", "n", "extra"])
        }
        1 => ("valve", vec![("area", area.into()), ("n", n.into())], &["open", "note"]),
        _ => ("note", vec![("rowid", (n + 1).into())], &["text", "at", "raw"]),
    };
    let mut given: Vec<(&str, Value)> = Vec::new();
    for column in columns {
        if random.below(3) > 0 && (*column != "extra" || random.below(4) == 0) {
            given.push((column, value(random)));
        }
    }
    let (names, values): (Vec<&str>, Vec<Value>) = key.iter().cloned().unzip();
    let action = match random.below(8) {
        0 => Action::Delete { key: values, if_revision: None },
        1..=3 if !given.is_empty() => {
            let (columns, new): (Vec<&str>, Vec<Value>) = given.into_iter().unzip();
            let columns = columns.into_iter().map(str::to_owned).collect();
            Action::Update { key: values, columns, values: new, if_revision: None }
        }
        how => {
            let (columns, row): (Vec<&str>, Vec<Value>) = given.into_iter().unzip();
            let columns = names.into_iter().chain(columns).map(str::to_owned).collect();
            let rows = vec![values.into_iter().chain(row).collect()];
            let on_conflict = match how {
                7 => OnConflict::Fail,
                6 => OnConflict::Replace,
                5 => OnConflict::Skip,
                _ => OnConflict::Update,
            };
            Action::Insert { columns, rows, on_conflict, if_revision: None }
        }
    };
    Change { table: table.to_owned(), action }
}

/// A value of any class and of many sizes.
fn value(random: &mut Random) -> Value {
    match random.below(10) {
        0 | 1 => Value::Null,
        2 => random.of(&[i64::MIN, -1, 0, 1, i64::MAX]).into(),
        3 => (random.below(1000) as i64).into(),
        4 => random.of(&[0.1, -2.5e300, 5e-324, f64::INFINITY, f64::NEG_INFINITY]).into(),
        5 => random
            .of(&["", "run", "läuft", "\u{1F702} 温度", "12", "line\nline\u{1}\u{2028}"])
            .into(),
        6 => "ß".repeat(random.below(3000) as usize).into(),
        7 => Value::Blob(Vec::new()),
        _ => Value::Blob((0..random.below(400)).map(|b| (b * 7) as u8).collect()),
    }
}
