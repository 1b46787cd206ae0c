//! The daemon is killed again and again while others write, read and follow: what was acknowledged is
//! there, nothing is done twice, nothing goes back, every change is told once and in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use shmirror::{Error, RejectCode, Subscriber};

use crate::child::{Child, STEP, Task};
use crate::common::{Instance, PATIENCE};
use crate::random::{Random, seed};
use crate::replay::{Replay, dump};
use crate::{calm, kill, sound, start};

const ROUNDS: usize = 12;
const WORKERS: u64 = 3;
/// Rows that are counted up by compare and set.
const COUNTERS: i64 = 2;
const TABLES: [(&str, &[&str]); 4] =
    [("once", &["id"]), ("counter", &["id"]), ("tally", &["id"]), ("done", &["id"])];

#[test]
fn a_daemon_killed_at_random_loses_and_repeats_nothing() {
    let mut random = Random::of_seed(seed("daemon killed"));
    let mut i = Instance::start();
    i.sql(
        "CREATE TABLE once(id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, text TEXT NOT NULL);
         CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         CREATE TABLE tally(id INTEGER PRIMARY KEY, n INTEGER NOT NULL);
         CREATE TABLE done(id INTEGER PRIMARY KEY);
         INSERT INTO counter VALUES (0, 0), (1, 0);
         INSERT INTO tally VALUES (0, 0), (1, 0), (2, 0)",
    );
    let socket = i.socket();
    let observer = Child::spawn("observer", &socket, &[]);
    let follower = Child::spawn("follower", &socket, &[]);
    let workers: Vec<Child> =
        (0..WORKERS).map(|who| Child::spawn("worker", &socket, &[&who, &random.seed()])).collect();

    let mut told = 0;
    for round in 0..ROUNDS {
        // Everybody gets something done between two kills; then at any moment.
        for worker in &workers {
            for _ in 0..1 + random.below(30) {
                worker.lines.next().expect("it goes on");
                told += 1;
            }
        }
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
        kill(&mut i);
        start(&mut i);
        sound(&mut i);
        println!("round {round}: {told} acknowledged and heard of");
    }
    for worker in &workers {
        worker.lines.next().expect("it goes on");
    }

    // Each says at last how often it was told that it did what.
    let ends: Vec<Json> = workers
        .into_iter()
        .map(|w| serde_json::from_str(w.finish().last().unwrap()).unwrap())
        .collect();
    i.sql("INSERT INTO done VALUES (1)");
    let followed = follower.finish();
    let observed = observer.finish();

    let once = dump(&i, "once", &["id"]);
    let mut inserted = 0;
    for (who, end) in ends.iter().enumerate() {
        let count = end["inserted"].as_u64().unwrap();
        for n in 0..count {
            let id = who as u64 * 1_000_000 + n;
            let row = once.get(&format!("[{id}]")).unwrap_or_else(|| panic!("{id} was lost"));
            assert_eq!(row["text"], format!("row {id}"));
            assert_eq!(row["pid"], end["pid"]);
        }
        inserted += count;
        let tally = &dump(&i, "tally", &["id"])[&format!("[{who}]")];
        assert_eq!(tally["n"], end["counted"], "worker {who}: done twice, or lost");
    }
    assert_eq!(once.len() as u64, inserted, "rows that nobody inserted");
    for id in 0..COUNTERS {
        let acknowledged: u64 = ends.iter().map(|e| e["sets"][id as usize].as_u64().unwrap()).sum();
        let row = &dump(&i, "counter", &["id"])[&format!("[{id}]")];
        assert_eq!(row["n"], acknowledged, "counter {id}");
    }

    // The follower's tables are those of now.
    let followed: Json = serde_json::from_str(followed.last().unwrap()).unwrap();
    for (table, key) in TABLES {
        let of_follower: BTreeMap<String, serde_json::Map<String, Json>> =
            serde_json::from_value(followed["tables"][table].clone()).unwrap();
        assert!(of_follower == dump(&i, table, key), "{table} as followed is not as dumped");
    }
    println!(
        "{} rows inserted, {} changes followed, observer: {}",
        inserted,
        followed["changes"],
        observed.last().unwrap()
    );
    sound(&mut i);
    assert_eq!(i.stop(), 0);
    calm(&i);
}

/// Inserts rows, counts by compare and set and by SQL; one handle through all restarts. Says a line for
/// each thing acknowledged, and at the end how often it did what.
pub fn work(task: &Task) {
    let who = task.number(0);
    let mut random = Random::of_seed(task.number(1));
    let producer = task.producer();
    let mirror = task.mirror();
    let counters = mirror.table("counter").unwrap();
    let pid = std::process::id();
    let (mut inserted, mut counted, mut sets, mut newest) = (0, 0, vec![0; 2], 0);
    while !task.stopped() {
        let commit = match random.below(3) {
            0 => {
                let id = who * 1_000_000 + inserted;
                let row = json!({"id": id, "pid": pid, "text": format!("row {id}")});
                let commit = producer.insert("once", &row).unwrap();
                inserted += 1;
                // Acknowledged means visible.
                mirror.wait_revision(commit.revision, PATIENCE).unwrap();
                let there = mirror.table("once").unwrap().get(id as i64).unwrap();
                assert_eq!(there.expect("visible").revision(), commit.revision);
                commit
            }
            1 => {
                let sql = "UPDATE tally SET n = n + 1 WHERE id = ?1";
                let commit = producer.sql(sql, &[(who as i64).into()]).unwrap().0;
                counted += 1;
                commit
            }
            _ => {
                let id = random.below(COUNTERS as u64) as i64;
                let deadline = Instant::now() + PATIENCE;
                loop {
                    assert!(Instant::now() < deadline, "others are always faster");
                    let row = counters.get(id).unwrap().unwrap();
                    let n: i64 = row.get("n").unwrap();
                    let set = producer.begin().update("counter", id, &json!({"n": n + 1})).unwrap();
                    match set.if_revision(row.revision()).commit() {
                        Ok(commit) => {
                            sets[id as usize] += 1;
                            break commit;
                        }
                        Err(Error::Rejected { code: RejectCode::RevisionMismatch, .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        };
        assert!(commit.revision > newest, "{commit:?} after {newest}");
        newest = commit.revision;
        task.say(commit.revision);
    }
    task.say(json!({"pid": pid, "inserted": inserted, "counted": counted, "sets": sets}));
}

/// Reads in every way, and sees nothing go back.
pub fn observe(task: &Task) {
    let mirror = task.mirror();
    let (once, counter) = (mirror.table("once").unwrap(), mirror.table("counter").unwrap());
    let cell = counter.cell(0, "n").unwrap();
    let (mut revision, mut generation, mut n, mut rows, mut scanned) = (0, 0, 0i64, 0, 0);
    let mut reads = 0u64;
    while !task.stopped() {
        let now = (mirror.revision(), mirror.generation());
        assert!(now.0 >= revision && now.1 >= generation, "{now:?} after {revision}, {generation}");
        (revision, generation) = now;
        let (at, row) = counter.get_many(&[0i64, 1]).unwrap();
        assert!(
            at >= scanned && at >= revision,
            "rows of revision {at} after {scanned}, {revision}"
        );
        let value: i64 = row[0].as_ref().unwrap().get("n").unwrap();
        assert!(value >= n, "{value} after {n}");
        n = cell.i64().unwrap();
        assert!(n >= value, "{n} after {value}");
        let scan = once.scan().unwrap();
        assert!(scan.revision() >= at && scan.len() >= rows, "{scan:?} after {at}, {rows} rows");
        assert!(scan.iter().all(|r| r.revision() <= scan.revision()));
        (scanned, rows) = (scan.revision(), scan.len());
        reads += 1;
    }
    task.say(format!("{reads} rounds of reads, last of generation {generation}"));
}

/// Follows from the first revision to the row of table `done`, and says what tables it came to.
pub fn follow(task: &Task) {
    let mut subscriber = Subscriber::builder(&task.options).from_revision(1).subscribe().unwrap();
    let mut replay = Replay::default();
    let mut patience = None;
    loop {
        if let Some(event) = subscriber.next(STEP).unwrap() {
            let event = event.to_json();
            replay.apply(&event);
            if event["table"] == "done" {
                break;
            }
        }
        if task.stopped() {
            let until = *patience.get_or_insert(Instant::now() + PATIENCE);
            assert!(Instant::now() < until, "the last event did not come");
        }
    }
    task.say(json!({"changes": replay.changes, "tables": replay.tables}));
}
