//! The life of an instance: the real daemon and real producers, readers and subscribers, each a
//! process of its own, killed and stopped at random moments; and what must hold through all of it.
//!
//! Random tests print `SHMIRROR_SEED=…`; set that variable to run the same again.

#[path = "../common/mod.rs"]
mod common;

mod child;
mod daemon_killed;
mod full_disk;
mod model;
mod producers_killed;
mod random;
mod readers;
mod replay;
mod steps;
mod stopping;
mod streams;

use common::Instance;
use rustix::process::Signal;

/// Not a test: what a process of a test does, which is this binary again. See [`child::Child`].
#[test]
fn child() {
    let Some(task) = child::Task::of_environment() else { return };
    match task.role.as_str() {
        "mixer" => streams::mix(&task),
        "worker" => daemon_killed::work(&task),
        "observer" => daemon_killed::observe(&task),
        "follower" => daemon_killed::follow(&task),
        "steady" => producers_killed::steady(&task),
        "victim" => producers_killed::victim(&task),
        "auditor" => producers_killed::audit(&task),
        "reader" => readers::read(&task),
        "flood" => stopping::flood(&task),
        other => panic!("no role {other}"),
    }
    // The harness has nothing to add.
    std::process::exit(0);
}

/// An instance whose store is in memory, where the system has such a file system: for times that must
/// not depend on who else writes to the disk.
fn in_memory() -> Instance {
    let prefix = || tempfile::Builder::new().prefix("sm-").to_owned();
    let directory = prefix().tempdir_in("/dev/shm").or_else(|_| prefix().tempdir()).unwrap();
    let (daemon, greeting) =
        common::serve(&directory.path().join("data"), &directory.path().join("s"));
    Instance { daemon, directory, greeting }
}

/// Kills the daemon as `kill -9` does.
fn kill(i: &mut Instance) {
    i.daemon.signal(Signal::KILL);
    i.daemon.end();
    calm(i);
}

/// Starts the daemon of an instance again; returns when it said `ready`.
fn start(i: &mut Instance) {
    (i.daemon, i.greeting) = common::serve(&i.path("data"), &i.socket());
}

/// No daemon of this instance has panicked.
fn calm(i: &Instance) {
    let said = std::fs::read_to_string(i.path("data.stderr")).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

/// The daemon lives, has not panicked, and finds store, working copy and segment the same.
fn sound(i: &mut Instance) {
    assert!(i.daemon.0.try_wait().unwrap().is_none(), "the daemon has ended");
    let checked = i.run(&["check", "--json"]);
    assert_eq!(checked.code, 0, "{checked:?}");
    let report: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    calm(i);
}
