//! Mail between the daemon's threads: a channel whose receiver can also wait in `epoll`.
//!
//! Flow: [`Post::send`] queues and rings; the receiver hushes the bell and takes. Unbounded on
//! purpose: every sender bounds what it has under way (calls per connection, workers, lanes).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustix::event::{EventfdFlags, eventfd};
use serde_json::Value as Json;
use shmirror_shm::archive;
use shmirror_shm::wire::{Answer, RefuseCode};
use shmirror_shm::wire_io::{Ready, WireError};

use crate::access::Rules;
use crate::error::DaemonError;

/// The sending side; clones send to the same mailbox.
#[derive(Debug)]
pub(crate) struct Post<T> {
    mail: Sender<T>,
    bell: Arc<OwnedFd>,
}

/// The receiving side.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    mail: Receiver<T>,
    bell: Arc<OwnedFd>,
}

/// A new mailbox and its first sender.
pub(crate) fn mailbox<T>() -> Result<(Post<T>, Mailbox<T>), DaemonError> {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(DaemonError::system("make an eventfd"))?;
    let bell = Arc::new(bell);
    let (send, receive) = unbounded();
    Ok((Post { mail: send, bell: bell.clone() }, Mailbox { mail: receive, bell }))
}

impl<T> Clone for Post<T> {
    fn clone(&self) -> Self {
        Self { mail: self.mail.clone(), bell: self.bell.clone() }
    }
}

impl<T> Post<T> {
    /// Queues `item` and wakes the receiver. A receiver that is gone gets nothing.
    pub fn send(&self, item: T) {
        if self.mail.send(item).is_ok() {
            // Fails only where the counter is full, which is a bell that rings already.
            let _ = rustix::io::write(&*self.bell, &1u64.to_ne_bytes());
        }
    }
}

impl<T> Mailbox<T> {
    /// Whether something is there.
    pub fn has_mail(&self) -> bool {
        !self.mail.is_empty()
    }

    /// The next item.
    pub fn take(&self) -> Option<T> {
        self.mail.try_recv().ok()
    }

    /// Silences the bell. To be called after a wait and before taking, so that what comes later
    /// rings again.
    pub fn hush(&self) {
        // Fails only where it is silent.
        let _ = rustix::io::read(&*self.bell, &mut [0u8; 8]);
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// Whose call is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyTo {
    /// Number of the connection.
    pub connection: u64,
    /// Number of the call on it.
    pub call: u32,
}

/// What a call comes to: an answer, and descriptors beside it.
pub(crate) type Reply = (Answer, Vec<OwnedFd>);

/// A reply as it goes out. Packing a large one takes its time, so workers do that with theirs.
#[derive(Debug)]
pub(crate) struct Packed {
    payload: Ready,
    fds: Vec<OwnedFd>,
    /// Bytes of memory that it holds until it is read.
    pub bytes: u64,
}

impl Packed {
    /// Packs a reply, or, where that fails, why. `None`: not even that can be packed.
    pub fn of((answer, fds): Reply) -> Option<Self> {
        let bytes = match &answer {
            Answer::TableCopy { bytes, .. } | Answer::History { bytes, .. } => *bytes,
            _ => 0,
        };
        let pack = |answer: &Answer| {
            let payload = archive::to_bytes(answer).map_err(|e| e.to_string())?;
            Ready::new(payload).map_err(|e| e.to_string())
        };
        match pack(&answer) {
            Ok(payload) => Some(Self { bytes: bytes + payload.memory_bytes(), payload, fds }),
            Err(message) => {
                let refused = Answer::Refused { code: RefuseCode::Internal, message };
                let payload = pack(&refused).ok()?;
                Some(Self { bytes: payload.memory_bytes(), payload, fds: vec![] })
            }
        }
    }

    /// Whether descriptors go with it.
    pub fn carries(&self) -> bool {
        !self.fds.is_empty() || self.payload.memory_bytes() > 0
    }

    /// Sends it as the answer to call `id`.
    pub fn send(&self, socket: impl AsFd, id: u32) -> Result<(), WireError> {
        let fds: Vec<BorrowedFd<'_>> = self.fds.iter().map(AsFd::as_fd).collect();
        self.payload.send(socket, id, &fds)
    }
}

/// Work that takes longer than a thread with other duties may spend on it.
pub(crate) type Job = Box<dyn FnOnce() -> Reply + Send>;

/// How long a job may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Milliseconds.
    Short,
    /// As long as its budget allows.
    Long,
}

/// Mail for the control thread.
pub(crate) enum ControlMail {
    /// The answer to a call.
    Answer(ReplyTo, Reply),
    /// A short job whose result is the answer to a call.
    Work(ReplyTo, Job),
    /// A worker finished a job.
    Worked(ReplyTo, Duty, Option<Packed>),
    /// The pipeline's part of the status; the control thread adds the clients.
    Status(ReplyTo, Json),
    /// The rules have changed: connections that lose rights by them are closed, then the pipeline is
    /// told, which tells `done`.
    Rules {
        /// The new ones.
        rules: Rules,
        /// Told when all of it is done.
        done: Sender<()>,
    },
    /// No more attaches and calls: the daemon is stopping.
    Closing,
    /// Send what is queued and end.
    End,
}
