//! What the processes of a fault do: this binary again, in a role.
//!
//! In: the role's arguments; a number on standard input, or its end, says "stop". Out: lines of JSON, each a
//! [`Said`], on standard output.

pub mod hostile;
pub mod ordinary;
mod producer;
mod reader;
pub mod scribble;
pub mod store;
mod subscriber;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use shmirror::Options;

use crate::checker::Said;
use crate::instance::PATIENCE;

/// Says something to the test, at once: what was said is known whenever the process is killed.
pub fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    // A test that is gone listens no more.
    let _ = std::io::stdout().lock().write_all(&line).and_then(|()| std::io::stdout().flush());
}

/// Whether the test has said "stop", and the number that it said.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(AtomicBool, AtomicU64)>);

impl Stop {
    fn listen() -> Self {
        let stop = Self::default();
        let of_thread = stop.clone();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = std::io::stdin().read_line(&mut line);
            of_thread.0.1.store(line.trim().parse().unwrap_or(0), Ordering::SeqCst);
            of_thread.0.0.store(true, Ordering::SeqCst);
        });
        stop
    }

    /// Whether it was said.
    pub fn is_said(&self) -> bool {
        self.0.0.load(Ordering::SeqCst)
    }

    /// The number, once it was said.
    pub fn told(&self) -> Option<u64> {
        self.is_said().then(|| self.0.1.load(Ordering::SeqCst))
    }
}

/// Plays the role of this name.
pub fn play(name: &str, arguments: &[String]) -> ExitCode {
    if name == "daemon" {
        return serve(arguments);
    }
    if name == "store" {
        return store::play(arguments);
    }
    let [socket, numbers @ ..] = arguments else { return ExitCode::FAILURE };
    let numbers: Vec<u64> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
    let number = |i: usize| numbers.get(i).copied().unwrap_or_default();
    let options = Options::new().socket(socket).program("torture").attach_timeout(PATIENCE);
    let millis = Duration::from_millis;
    let stop = Stop::listen();
    match name {
        "producer" => {
            producer::produce(&options, number(0) as i64, number(1), millis(number(2)), &stop);
        }
        "reader" => {
            let what = (number(3) as i64, number(4) != 0);
            reader::read(&options, number(0) as u32, number(1), what, millis(number(2)), &stop);
        }
        "subscriber" => {
            let slow = Duration::from_micros(number(2));
            subscriber::follow(&options, number(0) as u32, number(1) != 0, slow, &stop);
        }
        "hostile" => hostile::attack(socket, &numbers, &stop),
        "flood" => scribble::flood(socket, &stop),
        "flood-apart" => return scribble::flood_apart(socket),
        "persist" => ordinary::persist(&options, number(0), millis(number(1)), &stop),
        "put" => ordinary::put(&options, number(0), &stop),
        "listen" => ordinary::listen(&options, number(0), number(1) != 0, &stop),
        "mix" => ordinary::mix(&options, number(0), number(1), &stop),
        other => {
            eprintln!("no role {other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// A daemon: the data directory and the socket.
fn serve(arguments: &[String]) -> ExitCode {
    let [data, socket] = arguments else { return ExitCode::FAILURE };
    let options = shmirror_daemon::ServeOptions {
        data: PathBuf::from(data),
        socket: Some(PathBuf::from(socket)),
        ..Default::default()
    };
    match shmirror_daemon::serve(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
