//! Two daemons on one store, started at the same moment: one serves, the other says whose it is and has changed
//! nothing.

use std::path::Path;
use std::sync::Barrier;

use rustix::process::Signal;
use serde_json::Value as Json;

use crate::common::{Process, run};
use crate::daemon::{Begun, begin, command};

/// Of each kind.
const ROUNDS: usize = 25;

/// Starts two at once, and gives the one that serves and what the other said.
fn race(data: &Path, sockets: [&Path; 2]) -> (Process, usize, String) {
    let barrier = Barrier::new(2);
    let begun = std::thread::scope(|scope| {
        let start = |n: usize| {
            let (barrier, socket) = (&barrier, sockets[n]);
            move || {
                let command = command(data, socket);
                barrier.wait();
                begin(command, &data.with_extension(format!("stderr{n}")))
            }
        };
        [scope.spawn(start(0)), scope.spawn(start(1))].map(|thread| thread.join().unwrap())
    });
    match begun {
        [Begun::Serves(winner), loser @ Begun::Refused(..)] => (winner, 0, loser.refused(2)),
        [loser @ Begun::Refused(..), Begun::Serves(winner)] => (winner, 1, loser.refused(2)),
        [Begun::Serves(_), Begun::Serves(_)] => panic!("both serve {}", data.display()),
        [Begun::Refused(a, said), Begun::Refused(b, also)] => {
            panic!("none serves: {a} {said}; {b} {also}")
        }
    }
}

fn says_whose(said: &str, data: &Path, winner: &Process) {
    let data = data.to_str().unwrap();
    assert!(said.contains(data), "{said}");
    let whose = format!("is in use by another daemon (pid {})", winner.0.id());
    assert!(said.contains(&whose), "{said}: {whose} expected");
}

fn end(mut winner: Process) {
    winner.signal(Signal::TERM);
    assert_eq!(winner.end(), 0);
}

fn json(socket: &Path, arguments: &[&str]) -> Json {
    let mut all = vec!["--socket", socket.to_str().unwrap()];
    all.extend(arguments);
    serde_json::from_str(&run(&all).ok()).unwrap()
}

/// No store is there yet: one makes it.
#[test]
fn one_of_two_makes_a_store() {
    for round in 0..ROUNDS {
        let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
        let data = directory.path().join("data");
        let sockets = ["a", "b"].map(|name| directory.path().join(name));
        // The same socket for both in every other round.
        let second = usize::from(round % 2 == 0);
        let (winner, n, said) = race(&data, [&sockets[0], &sockets[second]]);
        says_whose(&said, &data, &winner);
        let socket = if n == 0 { &sockets[0] } else { &sockets[second] };
        let status = json(socket, &["status", "--json"]);
        assert_eq!((&status["generation"], &status["revision"]), (&1.into(), &0.into()));
        end(winner);
        let mut names: Vec<_> =
            std::fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["key", "lock", "log", "shmirror.toml", "store.db"]);
    }
}

/// A store is there: its starts are counted in it, and the refused ones are not among them.
#[test]
fn one_of_two_serves_a_store() {
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    let data = directory.path().join("data");
    let sockets = ["a", "b"].map(|name| directory.path().join(name));
    let first = begin(command(&data, &sockets[0]), &directory.path().join("stderr")).serves();
    let sql = "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)";
    run(&["--socket", sockets[0].to_str().unwrap(), "sql", sql]).ok();
    end(first);
    for round in 0..ROUNDS {
        let second = usize::from(round % 2 == 0);
        let (winner, n, said) = race(&data, [&sockets[0], &sockets[second]]);
        says_whose(&said, &data, &winner);
        let socket = if n == 0 { &sockets[0] } else { &sockets[second] };
        let status = json(socket, &["status", "--json"]);
        assert_eq!(status["generation"], round + 2, "each start counts, and no refused one");
        assert_eq!(status["revision"], 1);
        if round + 1 == ROUNDS {
            assert_eq!(json(socket, &["check", "--json"])["ok"], true);
        }
        // Killed every fourth time: what it leaves keeps nobody out.
        if round % 4 == 3 {
            let mut killed = winner;
            killed.signal(Signal::KILL);
            killed.end();
        } else {
            end(winner);
        }
    }
}
