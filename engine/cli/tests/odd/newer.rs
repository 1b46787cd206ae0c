//! Another version comes along: a store of a format that this build does not know, and a client or a daemon whose
//! shared memory is laid out otherwise. Each is refused by name, and what was there stays as it was.

use std::path::{Path, PathBuf};
use std::process::Command;

use shmirror_shm::layout::LAYOUT_HASH;

use crate::common::{Instance, Process, run, until};
use crate::daemon::{Begun, begin, command, contents, count, instance, log, sound, start};

/// A store with a row that nobody serves: closed, or left by a kill with the row in its write-ahead log.
fn left(killed: bool) -> Instance {
    let mut i = instance("", |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    if killed {
        i.daemon.signal(rustix::process::Signal::KILL);
        i.daemon.end();
        assert!(i.path("data/store.db-wal").metadata().unwrap().len() > 0);
    } else {
        assert_eq!(i.stop(), 0);
    }
    i
}

#[track_caller]
fn refused(i: &Instance, words: &[&str]) {
    let data = i.path("data");
    let before = contents(&data);
    let said = begin(command(&data, &i.socket()), &i.path("data.stderr")).refused(2);
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in {said}");
    }
    let after = contents(&data);
    assert!(after.keys().eq(before.keys()), "{:?}, before {:?}", after.keys(), before.keys());
    assert!(after == before, "files were changed");
}

#[test]
fn a_store_of_a_newer_format() {
    for killed in [false, true] {
        let mut i = left(killed);
        let store = i.path("data/store.db");
        let normal = std::fs::read(&store).unwrap();
        for format in [2u32, 99, u32::MAX] {
            // Where the format says that it stands: in the file's head.
            let mut bytes = normal.clone();
            bytes[60..64].copy_from_slice(&format.to_be_bytes());
            std::fs::write(&store, &bytes).unwrap();
            let found = format!("store format {format}, this build reads up to format 1");
            refused(&i, &[store.to_str().unwrap(), &found, "newer shmirror"]);
            // Commands that need no daemon do not touch it either.
            let before = contents(&i.path("data"));
            let data = i.path("data").to_str().unwrap().to_owned();
            for arguments in
                [&["key", "status", "--data", &data][..], &["key", "wrap", "--data", &data]]
            {
                let ran = run(arguments);
                assert_ne!(ran.code, 0, "{arguments:?}: {ran:?}");
            }
            assert!(contents(&i.path("data")) == before, "format {format}");
        }
        std::fs::write(&store, &normal).unwrap();
        start(&mut i, |_| ());
        assert_eq!(count(&i), 1);
        sound(&i);
    }
}

#[test]
fn sealed_values_of_a_newer_form() {
    let i = left(false);
    let store = i.path("data/store.db");
    let normal = std::fs::read(&store).unwrap();
    // The first two bytes of a seal: the version of its form, and its cipher.
    for (byte, words) in [("02", "seal format 0x2, expected 0x1"), ("01", "cipher")] {
        let seal = if byte == "02" { "x'0201'" } else { "x'0109'" };
        let conn = rusqlite::Connection::open(&store).unwrap();
        let sql = format!(
            "UPDATE meta SET value = CAST({seal} || substr(value, 3) AS BLOB) WHERE name = 'state'"
        );
        assert_eq!(conn.execute(&sql, []).unwrap(), 1);
        drop(conn);
        refused(&i, &[store.to_str().unwrap(), "meta, state", words]);
        std::fs::write(&store, &normal).unwrap();
    }
}

/// A copy of the real binary whose shared memory is laid out otherwise: the number that stands for the layout is
/// another wherever it stands in the code.
fn other_build(directory: &Path) -> PathBuf {
    let mut bytes = std::fs::read(env!("CARGO_BIN_EXE_shmirror")).unwrap();
    let number = LAYOUT_HASH.to_le_bytes();
    let places: Vec<usize> = memchr_all(&bytes, &number);
    assert!(!places.is_empty(), "the layout's number does not stand in one piece in the code");
    let another = OTHER.to_le_bytes();
    for place in places {
        bytes[place..place + 8].copy_from_slice(&another);
    }
    let path = directory.join("shmirror-other");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Its layout.
const OTHER: u64 = LAYOUT_HASH ^ 0x5555_5555_5555_5555;

fn memchr_all(bytes: &[u8], wanted: &[u8]) -> Vec<usize> {
    bytes
        .windows(wanted.len())
        .enumerate()
        .filter(|(_, w)| *w == wanted)
        .map(|(at, _)| at)
        .collect()
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

#[test]
#[cfg_attr(
    not(target_arch = "x86_64"),
    ignore = "the number stands in pieces in this processor's code"
)]
fn a_client_of_another_layout() {
    let i = instance("", |_| ());
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    let other = other_build(i.directory.path());
    for arguments in [&["get", "t", "1"][..], &["put", "t", "2"], &["watch", "t"], &["status"]] {
        let output = Command::new(&other)
            .args(arguments)
            .env("SHMIRROR_SOCKET", i.socket())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        // Both sides by name.
        for word in [hex(OTHER), hex(LAYOUT_HASH), "0.1.0".to_owned()] {
            assert!(said.contains(&word), "{arguments:?}: {word} is missing in {said}");
        }
    }
    let told = format!("layout {} of the client, {} of the daemon", hex(OTHER), hex(LAYOUT_HASH));
    until("the log's lines", || {
        let comm = std::fs::read_to_string(i.path("data/log/communication.log")).unwrap();
        comm.matches(&told).count() >= 4
    });
    assert_eq!(count(&i), 1, "nobody wrote");
    sound(&i);
}

#[test]
#[cfg_attr(
    not(target_arch = "x86_64"),
    ignore = "the number stands in pieces in this processor's code"
)]
fn a_daemon_of_another_layout() {
    let mut i = left(false);
    let other = other_build(i.directory.path());
    let mut command = Command::new(&other);
    command.args(["serve", "--data"]).arg(i.path("data")).arg("--socket").arg(i.socket());
    i.daemon = match begin(command, &i.path("data.stderr")) {
        Begun::Serves(daemon) => daemon,
        // The layout of shared memory is no part of the store.
        Begun::Refused(code, said) => panic!("status {code}: {said}"),
    };
    let said = i.run(&["get", "t", "1"]).fails(2);
    for word in [hex(OTHER), hex(LAYOUT_HASH)] {
        assert!(said.contains(&word), "{word} is missing in {said}");
    }
    // The daemon goes on, for clients of its own layout.
    let own =
        Command::new(&other).args(["get", "t", "1"]).env("SHMIRROR_SOCKET", i.socket()).output();
    let own = own.unwrap();
    assert!(own.status.success(), "{own:?}");
    assert!(!log(&i).contains("panicked"));
    let daemon: &mut Process = &mut i.daemon;
    daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(daemon.end(), 0);
    // And the store is this build's as well.
    start(&mut i, |_| ());
    sound(&i);
}
