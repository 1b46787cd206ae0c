//! `shmirror key rotate` against a real daemon: while others write and read, through kills and a full
//! disk; and nothing of keys or plaintext in files or core dumps.

mod common;
#[path = "life/random.rs"]
#[allow(dead_code, reason = "used elsewhere")]
mod random;

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Instance, PATIENCE, Process, serve, until};
use random::{Random, seed};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::{Value as Json, json};
use shmirror::{Mirror, Options, Producer};

const CANARY: &str = "CanaryWordQz7";

fn status(i: &Instance) -> Json {
    serde_json::from_str(&i.run(&["status", "--json"]).ok()).unwrap()
}

fn rotation(i: &Instance) -> Json {
    status(i)["store"]["rotation"].clone()
}

/// Puts `rows` rows into table t, from id `from` on, in one go.
fn fill(i: &Instance, from: u64, rows: u64) {
    i.sql(&format!(
        "WITH RECURSIVE n(i) AS (VALUES({from}) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to}) \
         INSERT INTO t SELECT i, '{CANARY}' || hex(zeroblob(60)) FROM n",
        to = from + rows
    ));
}

fn instance() -> Instance {
    let i = Instance::start();
    i.sql(&format!("CREATE TABLE t(id INTEGER PRIMARY KEY, name{CANARY} TEXT)"));
    i
}

/// Tells the others to stop when it is dropped.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until rows are in the checkpoint, so that a rotation has rows to seal.
fn checkpointed(i: &Instance) {
    until("the checkpoint", || status(i)["store"]["dirty_rows"] == 0);
}

/// Numbers of the data keys that the heads of all seals name, and of slots, from the file itself.
fn names(data: &Path) -> (Vec<u32>, u64) {
    let conn = rusqlite::Connection::open(data.join("store.db")).unwrap();
    let sql = "SELECT hex(substr(sealed, 5, 4)) FROM row UNION \
               SELECT hex(substr(sealed, 5, 4)) FROM commit_log UNION \
               SELECT hex(substr(value, 5, 4)) FROM meta WHERE name <> 'instance'";
    let mut select = conn.prepare(sql).unwrap();
    let numbers = select.query_map([], |r| r.get::<_, String>(0)).unwrap();
    let number = |text: String| u32::from_str_radix(&text, 16).unwrap().swap_bytes();
    let mut numbers: Vec<u32> = numbers.map(|n| number(n.unwrap())).collect();
    numbers.sort_unstable();
    let slots =
        conn.query_row("SELECT count(*) FROM key_slot", [], |r| r.get::<_, i64>(0)).unwrap();
    (numbers, slots as u64)
}

fn sound(i: &Instance) {
    let report: Json = serde_json::from_str(&i.run(&["check", "--json"]).ok()).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
}

/// No file below `directory` has the canary.
fn silent(directory: &Path) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            silent(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn producers_and_readers_notice_nothing() {
    let i = instance();
    fill(&i, 0, 3_000);
    checkpointed(&i);
    let options = Options::new().socket(i.socket());
    let done = AtomicBool::new(false);
    let (acknowledged, worst) = std::thread::scope(|scope| {
        let produce = |who: i64| {
            let (options, done) = (&options, &done);
            move || {
                let producer = Producer::attach(options).unwrap().with_timeout(PATIENCE);
                let (mut count, mut worst) = (0, Duration::ZERO);
                while !done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let id = who * 1_000_000 + count;
                    let row = json!({"id": id, format!("name{CANARY}"): CANARY});
                    producer.insert("t", &row).unwrap();
                    worst = worst.max(begun.elapsed());
                    count += 1;
                }
                (count, worst)
            }
        };
        let producers: Vec<_> = (1..=4).map(|who| scope.spawn(produce(who))).collect();
        let reader = scope.spawn(|| {
            let mirror = Mirror::attach(&options).unwrap();
            let (table, mut rows, mut reads) = (mirror.table("t").unwrap(), 3_000, 0);
            while !done.load(Ordering::Relaxed) {
                let now = table.scan().unwrap().into_iter().count();
                assert!(now >= rows, "{now} rows after {rows}");
                // The log, through readers of the store that were opened before.
                assert!(mirror.history(1, &[]).unwrap().take(5).all(|e| e.is_ok()));
                (rows, reads) = (now, reads + 1);
            }
            assert!(reads > 0);
        });
        let _stop = Stop(&done); // also where something fails
        for cipher in ["AES-256-GCM", "xchacha20-poly1305"] {
            let ended: Json =
                serde_json::from_str(&i.run(&["key", "rotate", "--cipher", cipher, "--json"]).ok())
                    .unwrap();
            assert_eq!(ended["under_way"], false, "{ended:#}");
            assert!(ended["rows_sealed_anew"].as_u64().unwrap() >= 3_000, "{ended:#}");
        }
        let said = i.run(&["key", "rotate"]).ok();
        assert!(said.starts_with("data key 4, ") && said.contains("the old key is gone"), "{said}");
        done.store(true, Ordering::Relaxed);
        let told = producers.into_iter().map(|p| p.join().unwrap());
        let told = told.fold((0, Duration::ZERO), |a, b| (a.0 + b.0, a.1.max(b.1)));
        reader.join().unwrap();
        told
    });
    println!("{acknowledged} commits of four producers during three rotations, slowest {worst:?}");
    let rows = i.sql("SELECT count(*) FROM t");
    assert!(rows.contains(&(3_000 + acknowledged).to_string()), "{rows} of {acknowledged}");
    sound(&i);
    assert_eq!(names(&i.path("data")), (vec![4], 1));
    let log = std::fs::read_to_string(i.path("data.stderr")).unwrap();
    assert_eq!(log.matches("a rotation of the data key begins").count(), 3, "{log}");
    assert_eq!(log.matches("the rotation of the data key has ended").count(), 3, "{log}");
    silent(&i.path("data"));
}

#[test]
fn one_at_a_time_and_none_without_the_key() {
    let i = instance();
    fill(&i, 0, 20_000);
    checkpointed(&i);
    let refused = i.run(&["key", "rotate", "--cipher", "rot13"]).fails(1);
    assert!(refused.contains("\"rot13\", expected one of XSalsa20-Poly1305, "), "{refused}");
    let (key, aside) = (i.path("data/key"), i.path("aside"));
    std::fs::rename(&key, &aside).unwrap();
    let refused = i.run(&["key", "rotate"]).fails(1);
    assert!(refused.contains("did not begin") && refused.contains("missing"), "{refused}");
    std::fs::rename(&aside, &key).unwrap();
    assert_eq!(rotation(&i), Json::Null);
    assert_eq!(names(&i.path("data")).1, 1);

    let begun: Json =
        serde_json::from_str(&i.run(&["key", "rotate", "--no-wait", "--json"]).ok()).unwrap();
    assert_eq!((&begun["under_way"], &begun["to_data_key"]), (&json!(true), &json!(2)));
    let refused = i.run(&["key", "rotate"]).fails(1);
    assert!(refused.contains("from data key 1 to 2 is under way"), "{refused}");
    let shown = i.run(&["key", "status", "--data", i.path("data").to_str().unwrap()]).ok();
    assert!(shown.contains("under way"), "{shown}");
    // A copy of the middle opens, goes on, and nothing is readable in it either.
    let copy = i.path("copy");
    i.run(&["backup", copy.to_str().unwrap()]).ok();
    silent(&i.path("data"));
    silent(i.directory.path());
    let (other, _) = serve(&copy, &i.path("other"));
    let asks = |arguments: &[&str]| {
        let output = i.command(arguments).env("SHMIRROR_SOCKET", i.path("other")).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(asks(&["sql", "SELECT count(*) FROM t"]).contains("20000"));
    until("the copy's rotation", || asks(&["status"]).contains("key id               2"));
    drop(other);
    until("the rotation", || rotation(&i)["under_way"] == false);
    assert_eq!(names(&i.path("data")), (vec![2], 1));
}

#[test]
fn thirty_kills_and_it_ends_all_the_same() {
    const KILLS: u32 = 30;
    let mut random = Random::of_seed(seed("rotation killed"));
    let mut i = instance();
    fill(&i, 0, 10_000);
    i.sql("DELETE FROM t WHERE id % 7 = 3");
    checkpointed(&i);
    let before = i.run(&["dump", "t"]).ok();
    // How long one takes here, so that the kills fall into it whatever the machine and the cipher.
    let begun = Instant::now();
    i.run(&["key", "rotate"]).ok();
    let whole = begun.elapsed();
    let (mut kills, mut ended, mut resumed) = (0, 0, 0);
    let mut keys = 2;
    while kills < KILLS {
        let asked = i.run(&["key", "rotate", "--no-wait"]);
        match asked.code {
            0 => keys += 1,
            _ => assert!(asked.err.contains("is under way"), "{asked:?}"),
        }
        std::thread::sleep(Duration::from_micros(random.below(whole.as_micros() as u64)));
        i.daemon.signal(Signal::KILL);
        i.daemon.end();
        kills += 1;
        let (numbers, slots) = names(&i.path("data"));
        assert!(numbers.iter().all(|n| *n == keys || *n + 1 == keys), "{numbers:?} of {keys}");
        match slots {
            1 => {
                assert_eq!(numbers, [keys]);
                ended += 1;
            }
            2 => resumed += 1,
            _ => panic!("{slots} slots"),
        }
        (i.daemon, i.greeting) = serve(&i.path("data"), &i.socket());
    }
    println!("{kills} kills: {resumed} in the middle of one ({whole:?}), {ended} after its end");
    assert!(resumed >= KILLS / 4, "{resumed} of {KILLS} show nothing");
    until("the rotation", || {
        let status = status(&i);
        let rotation = &status["store"]["rotation"];
        status["store"]["key_id"] == keys && rotation["under_way"] != true
    });
    sound(&i);
    assert_eq!(names(&i.path("data")), (vec![keys], 1));
    assert_eq!(i.run(&["dump", "t"]).ok(), before);
    let log = i.run(&["log", "t"]).ok();
    assert!(log.contains(CANARY), "the log is there, and opens");
    i.restart();
    assert_eq!(rotation(&i), Json::Null);
    assert_eq!(i.run(&["dump", "t"]).ok(), before);
}

#[test]
fn a_full_disk_puts_it_off() {
    let i = instance();
    fill(&i, 0, 30_000);
    checkpointed(&i);
    let pid = Pid::from_raw(i.daemon.0.id() as i32);
    let limit = |bytes| {
        let maximum = None;
        prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum }).unwrap()
    };
    i.run(&["key", "rotate", "--no-wait"]).ok();
    limit(Some(4_096));
    until("that it says what is wrong", || rotation(&i)["trouble"].is_string());
    println!("{}", rotation(&i)["trouble"]);
    assert_eq!(rotation(&i)["under_way"], true);
    assert!(i.sql("SELECT count(*) FROM t").contains("30000"));
    limit(None);
    until("that it goes on", || rotation(&i)["under_way"] == false);
    assert!(rotation(&i)["trouble"].is_null());
    sound(&i);
    assert_eq!(names(&i.path("data")), (vec![2], 1));
}

#[test]
fn a_daemon_that_crashes_leaves_no_core() {
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let unlimited = |mut command: Command| {
        command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
        // SAFETY: setrlimit is async-signal-safe, and nothing is allocated.
        unsafe {
            command.pre_exec(|| {
                let none = Rlimit { current: None, maximum: None };
                rustix::process::setrlimit(Resource::Core, none).map_err(Into::into)
            })
        };
        Process(command.spawn().unwrap())
    };
    let dumped = |mut process: Process| {
        kill_process(Pid::from_raw(process.0.id() as i32).unwrap(), Signal::ABORT).unwrap();
        let status = process.0.wait().unwrap();
        assert_eq!(status.signal(), Some(6), "{status:?}");
        status.core_dumped()
    };
    // What the kernel does with a process that may be dumped, so that the test can tell.
    let mut sleeper = Command::new("sleep");
    sleeper.arg("60");
    let control = dumped(unlimited(sleeper));

    let (data, socket) = (directory.path().join("data"), directory.path().join("s"));
    let mut command = common::shmirror(&["serve", "--data"]);
    command.arg(&data).arg("--socket").arg(&socket);
    let daemon = unlimited(command);
    let options = Options::new().socket(&socket).attach_timeout(PATIENCE);
    until("the daemon", || Mirror::attach(&options).is_ok());
    let producer = Producer::attach(&options).unwrap();
    producer.execute(&format!("CREATE TABLE {CANARY}({CANARY} TEXT PRIMARY KEY)")).unwrap();
    producer.execute(&format!("INSERT INTO {CANARY} VALUES ('{CANARY}')")).unwrap();
    Mirror::attach(&options).unwrap().rotate_key(None).unwrap();

    // Its shared memory would not be in one even if it could be dumped. (Without root the kernel
    // shows nobody the memory of a process that can't be dumped.)
    let pid = daemon.0.id();
    if let Ok(maps) = std::fs::read_to_string(format!("/proc/{pid}/smaps")) {
        let (mut regions, mut ours) = (0, false);
        for line in maps.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags:") {
                if ours {
                    assert!(flags.split_whitespace().any(|f| f == "dd"), "{flags}");
                    regions += 1;
                }
            } else if line.split_whitespace().count() >= 5 && line.contains('-') {
                ours = line.contains("memfd:shmirror");
            }
        }
        assert!(regions >= 3, "{regions} regions: segment, events, requests");
    } else {
        println!("not root: the regions' flags were not looked at");
    }
    assert!(!dumped(daemon), "the kernel wrote a core of the daemon");
    if control {
        let cores = std::fs::read_dir(directory.path()).unwrap();
        let cores = cores.filter(|e| e.as_ref().unwrap().file_type().unwrap().is_file()).count();
        println!("files beside the data: {cores}, the control's core where cores go to the cwd");
    } else {
        println!("this system makes no core dumps: that there is none shows nothing");
    }
    silent(&data);
}
