//! Short-lived threads for calls that take long: jobs come in, answers go out as mail.
//!
//! At most [`THREADS`] run at a time and at most [`WAITING`] wait; a job beyond is refused.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shmirror_shm::wire::{Answer, RefuseCode};

use crate::exchange::{ControlMail, Job, Post, ReplyTo};

/// Most jobs that run at one time. There are as many log readers.
pub(crate) const THREADS: usize = 4;
/// Longest wait for workers at the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most jobs that wait.
const WAITING: usize = 64;

/// The workers of one daemon; owned by its control thread.
pub(crate) struct Workers {
    running: Vec<JoinHandle<()>>,
    active: usize,
    waiting: VecDeque<(ReplyTo, Job)>,
    post: Post<ControlMail>,
}

impl Workers {
    pub fn new(post: Post<ControlMail>) -> Self {
        Self { running: Vec::new(), active: 0, waiting: VecDeque::new(), post }
    }

    /// Runs `job` as soon as a thread is free.
    pub fn run(&mut self, to: ReplyTo, job: Job) -> Result<(), Answer> {
        if self.waiting.len() >= WAITING {
            return Err(Answer::Refused {
                code: RefuseCode::Limit,
                message: format!("{WAITING} calls wait for a worker already"),
            });
        }
        self.waiting.push_back((to, job));
        self.start_waiting();
        Ok(())
    }

    /// To be called for each [`ControlMail::Worked`].
    pub fn finished(&mut self) {
        self.active = self.active.saturating_sub(1);
        self.running.retain(|thread| !thread.is_finished());
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        while self.active < THREADS
            && let Some((to, job)) = self.waiting.pop_front()
        {
            let post = self.post.clone();
            let spawned = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
                let reply = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                let reply =
                    reply.unwrap_or_else(|_| (internal("the call's worker failed"), vec![]));
                post.send(ControlMail::Worked(to, reply));
            });
            match spawned {
                Ok(thread) => {
                    self.running.push(thread);
                    self.active += 1;
                }
                Err(error) => {
                    let answer = internal(&format!("no thread for the call: {error}"));
                    self.post.send(ControlMail::Answer(to, (answer, vec![])));
                }
            }
        }
    }

    /// Drops what waits, and waits for what runs, but not for ever: a worker that goes on longer
    /// holds nothing that others need, and ends by itself.
    pub fn end(&mut self) {
        self.waiting.clear();
        let deadline = Instant::now() + PATIENCE;
        for thread in self.running.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                // A worker's panic was answered; there is nothing more to learn from it.
                let _ = thread.join();
            }
        }
    }
}

fn internal(message: &str) -> Answer {
    Answer::Refused { code: RefuseCode::Internal, message: message.to_owned() }
}
