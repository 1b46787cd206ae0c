//! Makes golden stores, once for each version that changes what a store is. Not a test: it runs only where
//! it is told a directory that is not there yet, see README.md.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;
use shmirror_store::cipher::Algorithm;
use shmirror_store::{RotateStep, Store, StoreError, StoreOptions};

use crate::common::until;
use crate::content::{ALTERED, CHANGES, CONFIG, ROWS, SCHEMA, SMALL, filled};
use crate::contents::Contents;
use crate::home::{Home, Served, fixture, put};
use crate::{PASSPHRASE, status, sums};

/// Where it makes them.
const INTO: &str = "SHMIRROR_GOLDEN_INTO";

#[test]
#[ignore = "makes the golden stores of a release, once"]
fn make() {
    let into = std::env::var_os(INTO).map(PathBuf::from);
    let into = into.unwrap_or_else(|| panic!("{INTO} is a directory to make, as tests/golden/0.1"));
    std::fs::create_dir(&into).expect("a directory that is not there yet");
    killed(&into);
    stopped(&into);
    rotating(&into);
    passphrase(&into);
    rsa(&into);
    std::fs::write(into.join(sums::FILE), sums::list(&into)).unwrap();
}

fn home(config: &str) -> Home {
    let mut home = Home::new();
    home.input = format!("{PASSPHRASE}\n");
    std::fs::DirBuilder::new().mode(0o700).create(home.data()).unwrap();
    configure(&home, config);
    home
}

fn configure(home: &Home, config: &str) {
    std::fs::write(home.data().join("shmirror.toml"), config).unwrap();
}

fn requests(home: &Home, requests: &[&str]) {
    for sql in requests {
        home.run(&["sql", &filled(sql)]).ok();
    }
}

fn kill(mut served: Served) {
    served.process.signal(Signal::KILL);
    served.process.end();
}

fn checkpointed(home: &Home) {
    until("the checkpoint", || status(home)["store"]["dirty_rows"] == 0);
}

/// Takes the directory as it is, and what a daemon on a copy of it says that it has.
fn keep(home: &Home, into: &Path, name: &str) {
    let data = into.join(name).join("data");
    std::fs::create_dir_all(&data).unwrap();
    let mut copy = Home::new();
    copy.input.clone_from(&home.input);
    std::fs::DirBuilder::new().mode(0o700).create(copy.data()).unwrap();
    for entry in std::fs::read_dir(home.data()).unwrap() {
        let path = entry.unwrap().path();
        // What SQLite makes anew, and logs, are no part of a store.
        if path.is_file() && !path.ends_with("store.db-shm") {
            std::fs::copy(&path, data.join(path.file_name().unwrap())).unwrap();
            std::fs::copy(&path, copy.data().join(path.file_name().unwrap())).unwrap();
        }
    }
    let mut served = copy.serve();
    Contents::of(&copy).write(&into.join(name));
    served.stop(&copy);
}

fn killed(into: &Path) {
    let home = home(CONFIG);
    let mut served = home.serve();
    requests(&home, SCHEMA);
    requests(&home, ROWS);
    requests(&home, ALTERED);
    checkpointed(&home);
    served.stop(&home);
    // The kill comes before a pause in which the last changes were checkpointed: that takes luck.
    loop {
        let served = home.serve();
        requests(&home, CHANGES);
        kill(served);
        if has_tail(&home) {
            break;
        }
    }
    keep(&home, into, "killed");
}

fn stopped(into: &Path) {
    let trimming = CONFIG.replace("36500d\"", "36500d\"\nlog_keep_bytes = \"24KiB\"");
    let home =
        home(&format!("{trimming}\n").replace("[store]", "[store]\ncipher = \"aes-256-gcm\""));
    let mut served = home.serve();
    for part in [SCHEMA, ROWS, ALTERED] {
        requests(&home, part);
    }
    until("a trimmed log", || status(&home)["store"]["log_oldest_revision"] != 1);
    served.stop(&home);
    configure(&home, CONFIG);
    let mut served = home.serve();
    requests(&home, CHANGES);
    home.run(&["key", "rotate", "--cipher", "xchacha20-poly1305"]).ok();
    served.stop(&home);
    keep(&home, into, "stopped");
}

fn rotating(into: &Path) {
    let home = home(CONFIG);
    let mut served = home.serve();
    for part in [SCHEMA, ROWS, ALTERED, CHANGES] {
        requests(&home, part);
    }
    checkpointed(&home);
    served.stop(&home);
    let (mut store, _) = Store::open(&home.data(), StoreOptions::default()).unwrap();
    store.load_rows(|_| Ok::<(), StoreError>(())).unwrap();
    store.rotate(Some(Algorithm::of_name("aes-256-gcm").unwrap())).unwrap();
    // A daemon would do all of it in one step; killed, it would leave this.
    let step = store.rotate_step(Duration::from_micros(1)).unwrap();
    assert!(matches!(step, RotateStep::Further), "{step:?}");
    drop(store);
    assert_eq!(data_keys(&home.data()), [1, 2]);
    keep(&home, into, "rotating");
}

fn passphrase(into: &Path) {
    // As cheap as it may be: what it costs is not what this is about.
    let key = "[key]\nprovider = \"passphrase\"\nargon2_memory = \"64MiB\"\nargon2_passes = 1\n";
    let home = home(&format!("{CONFIG}\n{key}"));
    small(&home, into, "passphrase");
}

fn rsa(into: &Path) {
    let home = home(&format!("{CONFIG}\n[key]\nprovider = \"rsa\"\n"));
    put(&home.data().join("public.pem"), &fixture("test-public.pem"));
    put(&home.data().join("private.pem"), &fixture("test-private.pem"));
    small(&home, into, "rsa");
}

fn small(home: &Home, into: &Path, name: &str) {
    let mut served = home.serve();
    requests(home, SMALL);
    served.stop(home);
    keep(home, into, name);
}

/// A copy of the directory's database, looked at with SQLite alone.
fn look<T>(data: &Path, sql: &str, take: impl Fn(&Connection, &str) -> T) -> T {
    let copy = tempfile::tempdir().unwrap();
    for name in ["store.db", "store.db-wal"] {
        if data.join(name).exists() {
            std::fs::copy(data.join(name), copy.path().join(name)).unwrap();
        }
    }
    take(&Connection::open(copy.path().join("store.db")).unwrap(), sql)
}

/// Whether there are rows that are in the log alone, and a write-ahead log to find some of it in.
fn has_tail(home: &Home) -> bool {
    let sql =
        "SELECT (SELECT max(revision) FROM row) < (SELECT max(first_revision) FROM commit_log)";
    let ahead: bool = look(&home.data(), sql, |c, sql| c.query_row(sql, [], |r| r.get(0)).unwrap());
    ahead && home.data().join("store.db-wal").metadata().is_ok_and(|about| about.len() > 0)
}

/// The data keys that the seals of rows and groups name.
pub fn data_keys(data: &Path) -> Vec<u32> {
    let sql = "SELECT hex(substr(sealed, 5, 4)) FROM row UNION \
               SELECT hex(substr(sealed, 5, 4)) FROM commit_log ORDER BY 1";
    look(data, sql, |conn, sql| {
        let mut select = conn.prepare(sql).unwrap();
        let numbers = select.query_map([], |r| r.get::<_, String>(0)).unwrap();
        let number = |text: String| u32::from_str_radix(&text, 16).unwrap().swap_bytes();
        numbers.map(|n| number(n.unwrap())).collect()
    })
}
