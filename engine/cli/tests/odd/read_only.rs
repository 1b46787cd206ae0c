//! Directories and files that cannot be written: at the start a typed error, and everything as it was; while it
//! serves, commits are refused, readers go on, and it recovers by itself.
//!
//! Modes do not bind root, so the daemon gives up that right where the test is root's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use shmirror::{Error, Mirror, Options, Producer, RejectCode, Subscriber};

use crate::common::{Instance, PATIENCE, until};
use crate::daemon::{
    begin, checkpointed, command, contents, count, instance, obey_modes, sound, start,
};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Modes that are given back at the end, so that a failed test can be cleaned up.
struct Modes(Vec<(PathBuf, u32)>);

impl Drop for Modes {
    fn drop(&mut self) {
        for (path, mode) in &self.0 {
            let _ = std::fs::set_permissions(path, PermissionsExt::from_mode(*mode));
        }
    }
}

/// A store with a row, that nobody serves.
fn stopped() -> Instance {
    let mut i = instance("", obey_modes);
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)");
    assert_eq!(i.stop(), 0);
    i
}

#[test]
fn a_start_that_cannot_write_says_where_and_changes_nothing() {
    let mut i = stopped();
    let data = i.path("data");
    // What is closed, with what mode, and what is said of it.
    let cases: &[(&str, u32, i32, &[&str])] = &[
        ("", 0o500, 2, &["store.db", "readonly database"]),
        ("", 0o000, 2, &["data", "Permission denied"]),
        ("store.db", 0o400, 2, &["store.db", "for writing failed: Permission denied"]),
        ("store.db", 0o000, 2, &["store.db", "Permission denied"]),
        ("lock", 0o400, 2, &["lock", "Permission denied"]),
        ("log", 0o500, 2, &["log", "Permission denied"]),
        ("key", 0o000, 2, &["key", "Permission denied"]),
        ("shmirror.toml", 0o000, 2, &["shmirror.toml", "Permission denied"]),
    ];
    // Log files of another day, so that this one's have to be made.
    for entry in std::fs::read_dir(data.join("log")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, mode, code, words) in cases {
        let path = if name.is_empty() { data.clone() } else { data.join(name) };
        let before = contents(&data);
        let normal = path.metadata().unwrap().permissions().mode() & 0o777;
        let modes = Modes(vec![(path.clone(), normal)]);
        chmod(&path, *mode);
        let mut command = command(&data, &i.socket());
        obey_modes(&mut command);
        let said = begin(command, &i.path("data.stderr")).refused(*code);
        drop(modes);
        for word in *words {
            assert!(said.contains(word), "{name} {mode:o}: {word:?} is missing in {said}");
        }
        println!("{said}");
        let after = contents(&data);
        let names =
            |all: &std::collections::BTreeMap<String, _>| all.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "{name} {mode:o}");
        assert!(after == before, "{name} {mode:o}: files were changed");
        assert!(!i.socket().exists(), "{name} {mode:o}");
    }
    start(&mut i, obey_modes);
    assert_eq!(count(&i), 1);
    sound(&i);
}

#[test]
fn a_new_store_where_nothing_can_be_made() {
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let _modes = Modes(vec![(closed.clone(), 0o700)]);
    chmod(&closed, 0o500);
    for data in [closed.clone(), closed.join("data")] {
        let mut command = command(&data, &directory.path().join("s"));
        obey_modes(&mut command);
        let said = begin(command, &directory.path().join("stderr")).refused(2);
        assert!(said.contains("closed") && said.contains("Permission denied"), "{said}");
        assert_eq!(std::fs::read_dir(&closed).unwrap().count(), 0);
    }
}

#[test]
fn a_log_directory_that_is_gone_is_made_and_one_that_is_a_file_is_refused() {
    let mut i = stopped();
    let (data, logs) = (i.path("data"), i.path("data/log"));
    std::fs::remove_dir_all(&logs).unwrap();
    start(&mut i, obey_modes);
    assert!(logs.join("service.log").exists());
    // While it serves: what it has open it goes on writing.
    std::fs::remove_dir_all(&logs).unwrap();
    i.sql("INSERT INTO t VALUES (2)");
    sound(&i);
    assert_eq!(i.stop(), 0);
    std::fs::write(&logs, "mine").unwrap();
    let before = contents(&data);
    let said = begin(command(&data, &i.socket()), &i.path("data.stderr")).refused(2);
    assert!(said.contains("log") && said.contains("File exists"), "{said}");
    assert!(contents(&data) == before, "files were changed");
    std::fs::remove_file(&logs).unwrap();
    start(&mut i, obey_modes);
    assert_eq!(count(&i), 2);
}

/// What is open stays open, whatever its mode and its directory's become.
#[test]
fn modes_that_change_while_it_serves() {
    let mut i = instance("", obey_modes);
    i.sql("CREATE TABLE t(id INTEGER PRIMARY KEY)");
    let data = i.path("data");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.push(data.clone());
    let mode = |path: &PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    let modes = Modes(paths.iter().map(|path| (path.clone(), mode(path))).rev().collect());
    for path in &paths {
        chmod(path, if path.is_dir() { 0o500 } else { 0o400 });
    }
    i.sql("INSERT INTO t VALUES (1)");
    checkpointed(&i);
    sound(&i);
    // A commit that it acknowledged is there, killed now or stopped.
    i.sql("INSERT INTO t VALUES (2)");
    i.daemon.signal(rustix::process::Signal::KILL);
    i.daemon.end();
    drop(modes);
    start(&mut i, obey_modes);
    assert_eq!(count(&i), 2);
    sound(&i);
}

/// `chattr` of files; whether it could be done.
fn immutable(on: bool, files: &[PathBuf]) -> bool {
    let flag = if on { "+i" } else { "-i" };
    let done = Command::new("chattr").arg(flag).args(files).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

struct Immutable(Vec<PathBuf>);

impl Drop for Immutable {
    fn drop(&mut self) {
        immutable(false, &self.0);
    }
}

/// A fault by which no file of a store takes writes any more, as on a file system that became read-only.
trait Fault {
    /// Begins it; whether that can be done here.
    fn begin(&mut self, i: &Instance) -> bool;
    fn end(&mut self);
}

impl Fault for Option<Immutable> {
    fn begin(&mut self, i: &Instance) -> bool {
        let files: Vec<_> = ["store.db", "store.db-wal"].map(|n| i.path("data").join(n)).into();
        let done = immutable(true, &files);
        *self = Some(Immutable(files));
        done
    }

    fn end(&mut self) {
        *self = None;
    }
}

/// The daemon may write no byte of any file.
#[derive(Default)]
struct NoBytes(Option<(Pid, Rlimit)>);

impl Fault for NoBytes {
    fn begin(&mut self, i: &Instance) -> bool {
        let pid = Pid::from_child(&i.daemon.0);
        let normal =
            prlimit(Some(pid), Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        let none = Rlimit { current: Some(0), maximum: normal.maximum };
        prlimit(Some(pid), Resource::Fsize, none).unwrap();
        self.0 = Some((pid, normal));
        true
    }

    fn end(&mut self) {
        let (pid, normal) = self.0.take().expect("it was begun");
        prlimit(Some(pid), Resource::Fsize, normal).unwrap();
    }
}

#[test]
fn a_daemon_that_may_write_no_file_any_more() {
    assert!(takes_no_writes(&mut NoBytes::default()));
}

/// Takes root, and a file system that keeps even who has an immutable file open from writing it.
#[test]
fn files_that_are_made_immutable_while_it_serves() {
    if !takes_no_writes(&mut None::<Immutable>) {
        println!(
            "SKIPPED: no file can be made immutable here; the limit on files does the same elsewhere"
        );
    }
}

/// Whether the fault can be had here; if so, all that must hold in it and after it.
fn takes_no_writes(fault: &mut impl Fault) -> bool {
    let i = instance("", |_| ());
    let options = Options::new().socket(i.socket());
    let producer = Producer::attach(&options).unwrap().with_timeout(PATIENCE);
    producer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)").unwrap();
    let mirror = Mirror::attach(&options).unwrap();
    let mut stream = Subscriber::builder(&options).tables(&["t"]).from_now().subscribe().unwrap();
    let put = |id: i64| producer.insert("t", &json!({"id": id}));
    put(1).unwrap();
    if !fault.begin(&i) {
        return false;
    }
    for id in 2..12 {
        match put(id) {
            Err(Error::Rejected { code: RejectCode::Store, message }) => {
                if id == 2 {
                    println!("refused: {message}");
                }
            }
            Ok(_) if id == 2 => {
                fault.end();
                return false;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(mirror.is_live() && mirror.table("t").unwrap().len() == 1);
    assert_eq!(mirror.query("SELECT id FROM t", &[]).unwrap().1[0].rows.len(), 1);
    let ddl = producer.execute("CREATE TABLE u(a)");
    assert!(matches!(ddl, Err(Error::Rejected { code: RejectCode::Store, .. })), "{ddl:?}");
    fault.end();
    // By itself.
    until("a commit", || put(2).is_ok());
    for id in 3..12 {
        put(id).unwrap();
    }
    producer.execute("CREATE TABLE u(a)").unwrap();
    for id in 1..12 {
        let event = stream.next(PATIENCE).unwrap().expect("each commit").to_json();
        assert_eq!(event["key"], json!([id]), "of what was refused nothing is told");
    }
    checkpointed(&i);
    sound(&i);
    true
}
