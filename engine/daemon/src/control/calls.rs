//! Calls of attached clients: each is answered at once, asked of the pipeline by mail, or handed to
//! a worker.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use shmirror_shm::archive;
use shmirror_shm::wire::{Answer, Call, RefuseCode};
use shmirror_store::{LogReader, StoreError};

use super::{Control, refused};
use crate::access::{Denied, Peer};
use crate::backup;
use crate::check;
use crate::exchange::{Duty, Job, Reply, ReplyTo};
use crate::instance::Descriptors;
use crate::logging::COMM;
use crate::memfd::SealedFile;
use crate::pipeline::mail::PipelineMail;
use crate::querying;
use crate::rights::Rights;

/// Most bytes of records in one answer of history.
const HISTORY_BYTES: u64 = 32 << 20;
/// Most tables that a call may name.
const TABLES: usize = shmirror_shm::limits::TABLES;

impl Control {
    /// One call of an attached client.
    pub(super) fn call(&mut self, to: ReplyTo, payload: &[u8]) {
        let Some((peer, rights)) = self.peer(to.connection) else { return };
        let call = match archive::from_bytes::<Call>(payload) {
            Ok(call) => call,
            Err(error) => {
                let answer = refused(RefuseCode::Malformed, format!("the call is {error}"));
                return self.answer(to, (answer, vec![]));
            }
        };
        if let Err(denied) = self.check(&peer, &rights, &call) {
            if self.may_log(to.connection) {
                tracing::warn!(target: COMM, pid = peer.pid, uid = peer.uid, "denied: {denied}");
            }
            let answer = refused(RefuseCode::Denied, denied.to_string());
            return self.answer(to, (answer, vec![]));
        }
        if self.closing() {
            let answer = refused(RefuseCode::Stopping, "the daemon is stopping".to_owned());
            return self.answer(to, (answer, vec![]));
        }
        self.dispatch(to, peer, rights, call);
    }

    /// What a call needs of the peer's rights as a whole. What it may see of tables is looked at where
    /// they are: those that it may not are not there.
    fn check(&self, peer: &Peer, rights: &Rights, call: &Call) -> Result<(), Denied> {
        let needs = |is: bool, action: &str| {
            if is { Ok(()) } else { Err(Denied::new(peer.uid, action)) }
        };
        match call {
            Call::Segment(name) | Call::Events(name) => {
                self.readable(rights, name).map(|_| ()).ok_or(Denied::reading(peer.uid, name))
            }
            Call::History { namespace, .. } if !namespace.is_empty() => self
                .readable(rights, namespace)
                .map(|_| ())
                .ok_or(Denied::reading(peer.uid, namespace)),
            Call::TableCopy(_) | Call::Query(_) | Call::Notify(_) | Call::History { .. } => {
                needs(rights.readable().is_none_or(|ids| !ids.is_empty()), "read")
            }
            Call::Lane | Call::RetireLane(_) | Call::Settled { .. } | Call::Result { .. } => {
                needs(rights.may_write_any(), "write")
            }
            Call::Status => Ok(()),
            Call::Check => needs(rights.administers(), "check the instance"),
            Call::Backup(_) => needs(rights.administers(), "back the instance up"),
            Call::RotateKey(_) => needs(rights.administers(), "rotate the data key"),
        }
    }

    /// What is published in the namespace of this name, for who may read it.
    fn readable(&self, rights: &Rights, name: &str) -> Option<(u16, Arc<Descriptors>)> {
        self.instance.published.named(name).filter(|(id, _)| rights.may_read(*id))
    }

    fn dispatch(&mut self, to: ReplyTo, peer: Peer, rights: Rights, call: Call) {
        let uid = peer.uid;
        match call {
            Call::Segment(name) => {
                if let Some((_, current)) = self.readable(&rights, &name) {
                    self.answer(to, segment(&current));
                }
            }
            Call::Events(name) => {
                if let Some((_, current)) = self.readable(&rights, &name) {
                    self.answer(to, events(&current));
                }
            }
            Call::Lane => {
                let said = self.said(to.connection);
                self.pipeline.send(PipelineMail::Lane { peer, rights, said, to });
            }
            Call::RetireLane(lane) => {
                let said = self.said(to.connection);
                self.pipeline.send(PipelineMail::RetireLane { peer, rights, said, lane, to });
            }
            Call::Settled { lane, ticket } => {
                self.pipeline.send(PipelineMail::Settled { lane, ticket, to });
            }
            Call::Result { lane, ticket } => {
                self.pipeline.send(PipelineMail::Result { uid, rights, lane, ticket, to });
            }
            Call::TableCopy(table) => {
                self.pipeline.send(PipelineMail::TableCopy { table, rights, to })
            }
            Call::Status => self.pipeline.send(PipelineMail::Status { uid, rights, to }),
            Call::Notify(tables) | Call::History { tables, .. } if tables.len() > TABLES => {
                let message = format!("{} tables named, at most {TABLES} allowed", tables.len());
                self.answer(to, (refused(RefuseCode::Limit, message), vec![]));
            }
            Call::Notify(tables) => self.pipeline.send(PipelineMail::Notify { tables, rights, to }),
            Call::History { from, namespace, tables, max_bytes } => {
                let namespaces = match self.readable(&rights, &namespace) {
                    Some((id, _)) => Some(vec![id]),
                    None => rights.readable().map(<[u16]>::to_vec),
                };
                let readers = Arc::clone(&self.readers);
                self.work(
                    to,
                    Duty::Short,
                    Box::new(move || {
                        let mut fds = Vec::new();
                        let answer = readers.with(|reader| {
                            let wanted = (&tables[..], namespaces.as_deref());
                            history(reader, from, wanted, max_bytes.min(HISTORY_BYTES), &mut fds)
                        });
                        (answer, fds)
                    }),
                );
            }
            Call::RotateKey(cipher) => {
                if self.may_log(to.connection) {
                    tracing::info!(target: COMM, pid = peer.pid, uid, "asks for a new data key");
                }
                self.pipeline.send(PipelineMail::RotateKey { cipher, to });
            }
            Call::Query(request) => {
                let (instance, pipeline) = (Arc::clone(&self.instance), self.pipeline.clone());
                let job = move || {
                    let asker = (peer.pid, uid);
                    (querying::run(&instance, &pipeline, asker, &rights, &request), vec![])
                };
                self.work(to, Duty::Long, Box::new(job));
            }
            Call::Check => {
                let (readers, pipeline) = (Arc::clone(&self.readers), self.pipeline.clone());
                self.work(
                    to,
                    Duty::Long,
                    Box::new(move || (check::run(&readers, &pipeline, &rights), vec![])),
                );
            }
            Call::Backup(path) => {
                let (readers, instance) = (Arc::clone(&self.readers), Arc::clone(&self.instance));
                self.work(
                    to,
                    Duty::Long,
                    Box::new(move || {
                        let copy =
                            |reader: &mut _| backup::run(reader, Path::new(&path), &instance);
                        (readers.with(copy), vec![])
                    }),
                );
            }
        }
    }

    /// The pid that the client of a connection calls itself.
    fn said(&self, connection: u64) -> u32 {
        let client = self.connections.get(&connection).and_then(|c| c.client.as_ref());
        client.map_or(0, |client| client.pid)
    }

    /// Hands a job to the workers.
    pub(super) fn work(&mut self, to: ReplyTo, duty: Duty, job: Job) {
        if let Err(answer) = self.workers.run(to, duty, job) {
            self.answer(to, (answer, vec![]));
        }
    }
}

fn with_copy(fd: &OwnedFd, answer: Answer) -> Reply {
    match fd.try_clone() {
        Ok(fd) => (answer, vec![fd]),
        Err(error) => (refused(RefuseCode::Internal, format!("no descriptor: {error}")), vec![]),
    }
}

fn segment(current: &Descriptors) -> Reply {
    let (generation, bytes) = (current.segment.generation(), current.segment_bytes);
    with_copy(&current.segment_fd, Answer::Segment { generation, bytes })
}

fn events(current: &Descriptors) -> Reply {
    let (generation, bytes) = (current.events_generation, current.events_bytes);
    with_copy(&current.events_fd, Answer::Events { generation, bytes })
}

fn history(
    reader: &mut LogReader,
    from: u64,
    (tables, namespaces): (&[u32], Option<&[u16]>),
    max_bytes: u64,
    fds: &mut Vec<OwnedFd>,
) -> Answer {
    let mut records = Vec::new();
    let found = match reader.history(from, tables, namespaces, max_bytes as usize, &mut records) {
        Ok(found) => found,
        Err(error @ StoreError::TooOld { .. }) => {
            return refused(RefuseCode::TooOld, error.to_string());
        }
        Err(error) => return refused(RefuseCode::Internal, error.to_string()),
    };
    let sealed = SealedFile::create("shmirror-history").and_then(|mut file| {
        file.write(zerocopy::IntoBytes::as_bytes(&records[..]))?;
        file.seal()
    });
    match sealed {
        Ok((fd, bytes)) => {
            fds.push(fd);
            Answer::History {
                through: found.through,
                oldest: found.oldest,
                newest: found.newest,
                bytes,
            }
        }
        Err(error) => refused(RefuseCode::Internal, format!("no memory for history: {error}")),
    }
}
