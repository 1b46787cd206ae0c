//! A process in a role, perhaps of another user: what it says, line by line, and since when.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::gauge::wait_for;
use crate::instance::{Instance, PATIENCE, Process, role};

/// A process in a role.
pub struct Actor {
    /// The process.
    pub process: Process,
    input: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
    listening: Option<JoinHandle<()>>,
}

impl Actor {
    /// Starts one, as this user, if any.
    pub fn start(i: &Instance, name: &str, numbers: &[u64], user: Option<u32>) -> Self {
        let mut arguments = vec![i.socket().to_string_lossy().into_owned()];
        arguments.extend(numbers.iter().map(u64::to_string));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = role(name, &arguments, None);
        if let Some(user) = user {
            command.uid(user).gid(user).current_dir("/");
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a process");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let of_thread = lines.clone();
        let listening = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                of_thread.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        let input = child.stdin.take();
        Self { process: Process(child), input, lines, listening: Some(listening) }
    }

    /// How many lines it has said.
    pub fn count(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The numbers in its lines `word NUMBER` from the line of this number on.
    pub fn numbers(&self, word: &str, from: usize) -> Vec<u64> {
        self.numbers_between(word, from, None)
    }

    /// The same up to the line of another number.
    pub fn numbers_between(&self, word: &str, from: usize, to: Option<usize>) -> Vec<u64> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let number = |l: &String| l.strip_prefix(word)?.trim().parse().ok();
        let lines = lines.iter().take(to.unwrap_or(usize::MAX)).skip(from);
        lines.filter_map(number).collect()
    }

    /// What went wrong, as it says.
    pub fn complaints(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|l| l.starts_with("error")).take(5).cloned().collect()
    }

    /// Its last lines.
    pub fn tail(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().take(3).cloned().collect()
    }

    /// Waits until it has said `word NUMBER` after the line of this number: whether it did.
    pub fn says(&self, word: &str, from: usize) -> bool {
        wait_for(PATIENCE, || !self.numbers(word, from).is_empty())
    }

    /// Tells it to stop and waits for its end: whether it ended well.
    pub fn end(&mut self) -> bool {
        if let Some(mut input) = self.input.take() {
            // One that was killed takes nothing.
            let _ = writeln!(input, "0");
        }
        let status = self.process.end();
        if let Some(listening) = self.listening.take()
            && status.is_some()
        {
            // It ends with the process's output.
            let _ = listening.join();
        }
        status.is_some_and(|status| status.success())
    }
}
