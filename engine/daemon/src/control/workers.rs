//! Short-lived threads for calls that take long: jobs come in, answers go out as mail.
//!
//! At most [`THREADS`] run at a time, of which one is never taken by long jobs, and at most [`WAITING`]
//! of each kind wait; a job beyond is refused.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use shmirror_shm::wire::{Answer, RefuseCode};

use crate::exchange::{ControlMail, Duty, Job, Packed, Post, ReplyTo};

/// Most jobs that run at one time. There are as many log readers.
pub(crate) const THREADS: usize = 4;
/// Longest wait for workers at the end.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most jobs of one kind that wait.
const WAITING: usize = 64;

/// The workers of one daemon; owned by its control thread.
pub(crate) struct Workers {
    running: Vec<JoinHandle<()>>,
    active: usize,
    /// Of those, the ones with long jobs.
    active_long: usize,
    waiting: VecDeque<(ReplyTo, Duty, Job)>,
    post: Post<ControlMail>,
}

impl Workers {
    pub fn new(post: Post<ControlMail>) -> Self {
        Self { running: Vec::new(), active: 0, active_long: 0, waiting: VecDeque::new(), post }
    }

    /// Runs `job` as soon as a thread is free.
    pub fn run(&mut self, to: ReplyTo, duty: Duty, job: Job) -> Result<(), Answer> {
        let waiting = self.waiting.iter().filter(|(_, d, _)| *d == duty).count();
        if waiting >= WAITING {
            return Err(Answer::Refused {
                code: RefuseCode::Limit,
                message: format!("{WAITING} calls wait for a worker already"),
            });
        }
        self.waiting.push_back((to, duty, job));
        self.start_waiting();
        Ok(())
    }

    /// To be called for each [`ControlMail::Worked`].
    pub fn finished(&mut self, duty: Duty) {
        self.active = self.active.saturating_sub(1);
        if duty == Duty::Long {
            self.active_long = self.active_long.saturating_sub(1);
        }
        self.running.retain(|thread| !thread.is_finished());
        self.start_waiting();
    }

    /// Nobody waits for the jobs of this connection any more.
    pub fn forget(&mut self, connection: u64) {
        self.waiting.retain(|(to, ..)| to.connection != connection);
    }

    /// The next job that may run now. One thread is always left to short ones.
    fn next(&mut self) -> Option<(ReplyTo, Duty, Job)> {
        if self.active >= THREADS {
            return None;
        }
        let long_too = self.active_long < THREADS - 1;
        let place = self.waiting.iter().position(|(_, d, _)| long_too || *d == Duty::Short)?;
        self.waiting.remove(place)
    }

    fn start_waiting(&mut self) {
        while let Some((to, duty, job)) = self.next() {
            let post = self.post.clone();
            let spawned = std::thread::Builder::new().name("worker".to_owned()).spawn(move || {
                let packed =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Packed::of(job())));
                let packed = packed
                    .unwrap_or_else(|_| Packed::of((internal("the call's worker failed"), vec![])));
                post.send(ControlMail::Worked(to, duty, packed));
            });
            match spawned {
                Ok(thread) => {
                    self.running.push(thread);
                    self.active += 1;
                    self.active_long += usize::from(duty == Duty::Long);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::mailbox;
    use crossbeam_channel::{Receiver, Sender, unbounded};

    fn to(connection: u64) -> ReplyTo {
        ReplyTo { connection, call: 0 }
    }

    #[test]
    fn long_jobs_leave_a_thread_to_short_ones_and_go_with_who_wanted_them() {
        let (post, mail) = mailbox().unwrap();
        let mut workers = Workers::new(post);
        let (go, gate): (Sender<()>, Receiver<()>) = unbounded();
        let (ran, order) = unbounded();
        let long = |workers: &mut Workers, connection| {
            let (gate, ran) = (gate.clone(), ran.clone());
            let job = move || {
                let _ = gate.recv_timeout(Duration::from_secs(60));
                ran.send(connection).unwrap();
                (internal("done"), vec![])
            };
            workers.run(to(connection), Duty::Long, Box::new(job)).unwrap();
        };
        (0..20).for_each(|i| long(&mut workers, i % 2));
        assert_eq!(workers.active_long, THREADS - 1);
        let short = ran.clone();
        let job = move || {
            short.send(99).unwrap();
            (internal("done"), vec![])
        };
        workers.run(to(9), Duty::Short, Box::new(job)).unwrap();
        assert_eq!(order.recv_timeout(Duration::from_secs(60)), Ok(99));
        workers.forget(0);
        drop((go, long));
        let mut done = Vec::new();
        while workers.active > 0 {
            match mail.take() {
                Some(ControlMail::Worked(to, duty, _)) => {
                    workers.finished(duty);
                    done.push(to.connection);
                }
                _ => std::thread::yield_now(),
            }
        }
        // Ten of the one that stayed; of the other only what ran already.
        assert_eq!(done.iter().filter(|c| **c == 1).count(), 10);
        assert!(done.iter().filter(|c| **c == 0).count() < THREADS);
        assert!(workers.waiting.is_empty());
    }
}
