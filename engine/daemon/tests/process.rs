//! `serve` as a process of its own: readiness, signals, kill -9, backups served as they are.
#![allow(missing_docs)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Client, LONG, Place, insert, row, table};
use rustix::process::{Pid, Signal, kill_process};
use shmirror_shm::value::Value;
use shmirror_shm::wire::Call;

/// Set for the child alone, which is this very test binary.
const DATA: &str = "SHMIRROR_TEST_DATA";
const SOCKET: &str = "SHMIRROR_TEST_SOCKET";

/// Not a test: what the child runs.
#[test]
fn child() {
    let Some(data) = std::env::var_os(DATA) else { return };
    let socket = std::env::var_os(SOCKET).map(PathBuf::from);
    let options = shmirror_daemon::ServeOptions { data: data.into(), socket, ..Default::default() };
    match shmirror_daemon::serve(options) {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(2)
        }
    }
}

struct Served {
    child: Child,
    socket: PathBuf,
}

impl Served {
    fn spawn(data: &Path, socket: &Path) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(DATA, data)
            .env(SOCKET, socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Starts it and waits for its line that begins with `ready`.
    fn start(data: &Path, socket: &Path) -> Self {
        let mut child = Self::spawn(data, socket);
        let out = BufReader::new(child.stdout.take().unwrap());
        let ready = out.lines().map_while(Result::ok).any(|line| line.starts_with("ready"));
        assert!(ready, "it ended without being ready: {:?}", child.wait_with_output());
        Self { child, socket: socket.to_owned() }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn signal(mut self, signal: Signal) -> std::process::ExitStatus {
        kill_process(self.pid(), signal).unwrap();
        let deadline = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_first_start_makes_what_it_needs_and_a_signal_ends_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let socket = place.dir.path().join("s");
        let served = Served::start(&place.data(), &socket);
        let client = Client::attach(&served.socket);
        let lane = client.lane();
        lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
        let tickets: Vec<u64> = (0..500).map(|i| lane.submit(&insert("t", &[(i, "x")]))).collect();
        assert!(served.signal(signal).success());
        for ticket in tickets {
            assert!(lane.outcome(ticket).unwrap().committed);
        }
        assert!(!socket.exists());
        let data = place.data();
        let text = std::fs::read_to_string(data.join("shmirror.toml")).unwrap();
        assert_eq!(text, shmirror_daemon::Config::template());
        for log in ["service.log", "communication.log"] {
            let text = std::fs::read_to_string(data.join("log").join(log)).unwrap();
            assert!(text.contains("INFO"), "{log}: {text}");
        }
        let key = std::os::unix::fs::MetadataExt::mode(&data.join("key").metadata().unwrap());
        assert_eq!(key & 0o777, 0o600);
    }
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let mut acknowledged = 0;
    let mut revision = 0;
    for round in 0..4i64 {
        let served = Served::start(&place.data(), &socket);
        let client = Client::attach(&socket);
        let segment = client.segment();
        assert!(client.welcome.revision >= revision);
        if round == 0 {
            client.lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
        } else {
            let rows = table(&segment, "t").unwrap().1.rows() as i64;
            assert!(rows >= acknowledged, "{rows} rows of {acknowledged}");
        }
        let lane = client.lane();
        let tickets: Vec<_> =
            (0..300).map(|i| lane.submit(&insert("t", &[(round * 1_000 + i, "kept")]))).collect();
        // Some are answered when it dies, some are not.
        let mut answered = Vec::new();
        for (i, ticket) in tickets.iter().take(100 + 40 * round as usize).enumerate() {
            let outcome = lane.outcome(*ticket).unwrap();
            assert!(outcome.committed);
            answered.push(round * 1_000 + i as i64);
            revision = outcome.revision;
        }
        acknowledged += answered.len() as i64;
        assert!(!served.signal(Signal::KILL).success());
        // Readers keep what was published last.
        for id in &answered {
            assert_eq!(row(&segment, "t", *id).unwrap()[1], Value::from("kept"));
        }
        // Its socket file is left behind; the next one replaces it.
        assert!(socket.exists());
    }
    let served = Served::start(&place.data(), &socket);
    let client = Client::attach(&socket);
    let report = client.json(&Call::Check);
    assert_eq!(report["ok"], true, "{report:#}");
    assert!(served.signal(Signal::TERM).success());
}

#[test]
fn an_autoincrement_id_is_never_given_twice() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let id_of = |client: &Client, sql: &str| {
        let (revision, rows) = client.rows(&client.lane(), sql);
        (revision, rows[0][0].clone())
    };
    const NEXT: &str = "INSERT INTO t(v) VALUES('new') RETURNING id";
    let served = Served::start(&place.data(), &socket);
    let client = Client::attach(&socket);
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)");
    lane.insert("t", &[(1, "a"), (2, "b"), (3, "c")]);
    lane.sql("DELETE FROM t WHERE id = 3");
    assert!(!served.signal(Signal::KILL).success());

    let served = Served::start(&place.data(), &socket);
    let client = Client::attach(&socket);
    let (revision, id) = id_of(&client, NEXT);
    assert_eq!(id, Value::Integer(4));
    // A transaction that leaves nothing behind has no revision, and its id is used all the same.
    let lane = client.lane();
    let sql = "INSERT INTO t(id) VALUES(70); DELETE FROM t WHERE id = 70";
    assert_eq!(lane.sql(sql), revision);
    let copy = place.dir.path().join("copy.db");
    client.json(&Call::Backup(copy.to_str().unwrap().to_owned()));
    assert!(!served.signal(Signal::KILL).success());

    for data in [place.data(), copy] {
        let served = Served::start(&data, &socket);
        let client = Client::attach(&socket);
        assert_eq!(client.json(&Call::Check)["ok"], true);
        assert_eq!(id_of(&client, NEXT), (revision + 1, Value::Integer(71)));
        assert!(served.signal(Signal::TERM).success());
    }
}

#[test]
fn what_cannot_be_served_is_refused_and_left_alone() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let refused = |data: &Path| {
        let output = Served::spawn(data, &socket).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let foreign = place.dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letters.txt"), "dear").unwrap();
    let message = refused(&foreign);
    assert!(message.contains("letters.txt"), "{message}");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1);

    let data = place.data();
    let served = Served::start(&data, &socket);
    let message = refused(&data);
    assert!(message.contains("in use"), "{message}");
    assert!(served.signal(Signal::TERM).success());

    std::fs::write(data.join("shmirror.toml"), "[stroe]\n").unwrap();
    let message = refused(&data);
    assert!(message.contains("stroe") && message.contains("shmirror.toml"), "{message}");
    std::fs::write(data.join("shmirror.toml"), "").unwrap();
    let before = std::fs::read(data.join("store.db")).unwrap();
    std::fs::rename(data.join("key"), data.join("../away")).unwrap();
    let message = refused(&data);
    assert!(message.contains("key"), "{message}");
    assert_eq!(std::fs::read(data.join("store.db")).unwrap(), before);
    assert!(!data.join("key").exists());
}

#[test]
fn logs_tell_nothing_that_the_store_seals() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let data = place.data();
    assert!(Served::start(&data, &socket).signal(Signal::TERM).success());
    std::fs::write(data.join("shmirror.toml"), "[log]\nlevel = \"trace\"\n").unwrap();
    let mut served = Served::start(&data, &socket);
    let mut stderr = served.child.stderr.take().unwrap();
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stderr, &mut text).map(|_| text)
    });
    let client = Client::attach(&socket);
    let lane = client.lane();
    lane.sql(
        "CREATE TABLE canary_t(canary_k TEXT PRIMARY KEY, canary_v CHECK(canary_v <> 'canary_no'))",
    );
    lane.sql("CREATE TRIGGER canary_r AFTER DELETE ON canary_t BEGIN SELECT RAISE(ROLLBACK, 'canary_boom'); END");
    lane.sql("INSERT INTO canary_t VALUES('canary_1', 'canary_value')");
    for bad in [
        "INSERT INTO canary_t VALUES('canary_1', 'canary_value')",
        "INSERT INTO canary_t VALUES('canary_2', 'canary_no')",
        "INSERT INTO canary_t VALUES(NULL, 1)",
        "DELETE FROM canary_t",
        "SELECT canary_x FROM canary_t; canary syntax",
        "SELECT * FROM canary_nowhere",
        "ALTER TABLE canary_t DROP COLUMN canary_k",
    ] {
        let outcome = lane.run(&common::sql_request(bad));
        assert!(!outcome.committed, "{bad}");
    }
    assert!(!lane.run(&insert("canary_nowhere", &[(1, "canary_value")])).committed);
    let query = |sql: &str| {
        let sql = sql.to_owned();
        let request = shmirror_shm::request::SqlRequest { sql, params: vec![], want_rows: true };
        client.call(&Call::Query(request))
    };
    query("SELECT * FROM canary_t").unwrap();
    query("SELECT canary_x FROM canary_t").unwrap_err();
    client.json(&Call::Check);
    client.json(&Call::Status);
    let copy = place.dir.path().join("canary_copy.db").to_str().unwrap().to_owned();
    client.json(&Call::Backup(copy.clone()));
    client.call(&Call::Backup(copy)).unwrap_err();
    drop(client);
    kill_process(served.pid(), Signal::TERM).unwrap();
    assert!(served.child.wait().unwrap().success());
    let mut texts = vec![stderr.join().unwrap().unwrap()];
    for log in ["service.log", "communication.log"] {
        texts.push(std::fs::read_to_string(data.join("log").join(log)).unwrap());
    }
    assert!(texts[1].contains("request rejected"), "{}", texts[1]);
    for text in texts {
        assert!(!text.to_ascii_lowercase().contains("canary"), "{text}");
    }
}

#[test]
fn a_backup_is_served_as_it_is() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let served = Served::start(&place.data(), &socket);
    let client = Client::attach(&socket);
    let lane = client.lane();
    lane.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    lane.insert("t", &[(1, "kept")]);
    let file = place.dir.path().join("copy.db");
    client.json(&Call::Backup(file.to_str().unwrap().to_owned()));
    assert!(served.signal(Signal::TERM).success());

    let served = Served::start(&file, &socket);
    let client = Client::attach(&socket);
    assert_eq!(row(&client.segment(), "t", 1).unwrap()[1], Value::from("kept"));
    client.lane().insert("t", &[(2, "more")]);
    assert!(served.signal(Signal::TERM).success());
    // The second start goes on with the directory that the first one made.
    let served = Served::start(&file, &socket);
    assert!(row(&Client::attach(&socket).segment(), "t", 2).is_some());
    assert!(served.signal(Signal::TERM).success());
    let key = place.dir.path().join("copy.db.key");
    std::fs::remove_dir_all(place.dir.path().join("copy.db.data")).unwrap();
    std::fs::remove_file(key).unwrap();
    let output = Served::spawn(&file, &socket).wait_with_output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("copy.db.key"), "{message}");
}

#[test]
fn at_rest_it_takes_no_time() {
    let place = Place::new();
    let socket = place.dir.path().join("s");
    let served = Served::start(&place.data(), &socket);
    let client = Client::attach(&socket);
    client.lane().sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    // Let the checkpoint of what was written pass first.
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.pid().as_raw_nonzero()));
        let stat = stat.unwrap();
        let fields: Vec<u64> =
            stat.rsplit(") ").next().unwrap().split(' ').map(|f| f.parse().unwrap_or(0)).collect();
        fields[11] + fields[12]
    };
    let deadline = Instant::now() + LONG;
    loop {
        let (before, since) = (ticks(), Instant::now());
        std::thread::sleep(Duration::from_secs(2));
        // A hundredth of a core, in ticks of 10 ms.
        if (ticks() - before) as f64 <= since.elapsed().as_secs_f64() {
            break;
        }
        assert!(Instant::now() < deadline, "it never came to rest");
    }
    assert!(served.signal(Signal::TERM).success());
}
