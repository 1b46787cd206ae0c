//! Answers to the control thread's mail, between two groups.

use std::collections::HashMap;
use std::sync::Arc;

use shmirror_shm::catalogue::{Catalogue, TableDef};
use shmirror_shm::wire::{Answer, RefuseCode};

use super::Pipeline;
use super::lanes::Asker;
use super::mail::PipelineMail;
use crate::exchange::{ControlMail, Reply, ReplyTo};
use crate::memfd::SealedFile;
use crate::query::Copies;
use crate::rights::Rights;

impl Pipeline {
    /// One piece of mail.
    pub(super) fn attend(&mut self, mail: PipelineMail) {
        match mail {
            PipelineMail::Lane { peer, rights, said, to } => {
                let (peer, rights) = (&peer, &rights);
                let asker = Asker { peer, rights, said, connection: to.connection };
                let reply = self.lanes.attach(asker);
                self.reply(to, reply);
            }
            PipelineMail::RetireLane { peer, rights, said, lane, to } => {
                let (peer, rights) = (&peer, &rights);
                let asker = Asker { peer, rights, said, connection: to.connection };
                let reply = self.lanes.retire(asker, lane);
                self.reply(to, reply);
            }
            PipelineMail::Settled { lane, ticket, to } => self.settled(lane, ticket, to),
            PipelineMail::Result { uid, rights, lane, ticket, to } => {
                let answer = self.stash.take((lane, ticket), uid, &rights);
                if matches!(answer, Answer::Rows { .. }) {
                    // To be packed by a worker: there may be many.
                    self.control.send(ControlMail::Work(to, Box::new(|| (answer, vec![]))));
                } else {
                    self.reply(to, (answer, vec![]));
                }
            }
            PipelineMail::Notify { tables, rights, to } => {
                let reply = match self.bells.add(to.connection, tables, rights) {
                    Ok(end) => (Answer::Done, vec![end]),
                    Err(error) => {
                        let message = format!("no pipe for a bell: {error}");
                        (Answer::Refused { code: RefuseCode::Internal, message }, vec![])
                    }
                };
                self.reply(to, reply);
            }
            // What takes long is not begun any more when the daemon stops: who waits learns it from
            // the end of its channel.
            PipelineMail::Copies { .. } | PipelineMail::Check { .. } if self.stopping.is_some() => {
            }
            PipelineMail::TableCopy { to, .. } if self.stopping.is_some() => {
                let message = "the daemon is stopping".to_owned();
                self.reply(to, (Answer::Refused { code: RefuseCode::Stopping, message }, vec![]));
            }
            PipelineMail::TableCopy { table, rights, to } => {
                let reply = self.copy_table(table, &rights);
                self.reply(to, reply);
            }
            PipelineMail::Copies { tables, rights, to } => {
                // A query that has given up takes nothing more.
                let _ = to.send(self.copies(&tables, &rights));
            }
            PipelineMail::Status { uid, rights, to } => {
                let status = self.status(uid, &rights);
                self.control.send(ControlMail::Status(to, status));
            }
            PipelineMail::RotateKey { to, .. } if self.stopping.is_some() => {
                let message = "the daemon is stopping".to_owned();
                self.reply(to, (Answer::Refused { code: RefuseCode::Stopping, message }, vec![]));
            }
            PipelineMail::RotateKey { cipher, to } => {
                let answer = self.begin_rotation(cipher.as_deref());
                self.reply(to, (answer, vec![]));
            }
            PipelineMail::Check { reader, to } => self.begin_check(*reader, to),
            PipelineMail::Detached { connection } => {
                self.bells.remove(connection);
                self.lanes.detached(connection);
            }
            PipelineMail::Namespaces { names, done } => {
                // Who does not wait for it any more learns nothing.
                let _ = done.send(self.add_namespaces(&names));
            }
            PipelineMail::Rules { rules, withdrawn, done } => {
                if self.enforce(&rules, &withdrawn) {
                    let _ = done.send(());
                }
            }
            // Taken out when it came.
            PipelineMail::Stop => {}
        }
    }

    fn reply(&self, to: ReplyTo, reply: Reply) {
        self.control.send(ControlMail::Answer(to, reply));
    }

    /// The log knows what was committed. A ticket in a lane that is still drained is not settled:
    /// to say that it was not committed would make its producer send it twice.
    fn settled(&self, lane: u64, ticket: u64, to: ReplyTo) {
        if self.lanes.is_live(lane) {
            let message = format!("lane {lane:016x} is live: ticket {ticket} is answered there");
            let code = RefuseCode::Malformed;
            return self.reply(to, (Answer::Refused { code, message }, vec![]));
        }
        let readers = Arc::clone(&self.readers);
        let job = move || {
            let answer = readers.with(|reader| match reader.settled(lane, ticket) {
                Ok(found) => Answer::Settled(found),
                Err(error) => {
                    Answer::Refused { code: RefuseCode::Internal, message: error.to_string() }
                }
            });
            (answer, vec![])
        };
        self.control.send(ControlMail::Work(to, Box::new(job)));
    }

    /// Copies of tables that `rights` let see, as of the newest revision; one that is gone is left out.
    fn copies(&self, tables: &[u32], rights: &Rights) -> Copies {
        let catalogue = Arc::new(visible(&self.catalogue, rights));
        let mut found = HashMap::new();
        for def in &catalogue.tables {
            let mut bytes = Vec::new();
            if (tables.is_empty() || tables.contains(&def.id))
                && self.segments.copy_table(def.id, &mut bytes).is_ok()
            {
                found.insert(def.id, bytes);
            }
        }
        Copies { revision: self.newest_revision, catalogue, tables: found }
    }

    /// A copy of a table as of the newest revision, which no commit can move on meanwhile. One that
    /// `rights` do not let see is not there.
    fn copy_table(&self, table: u32, rights: &Rights) -> Reply {
        let is_seen = |def: &&TableDef| sees(&self.catalogue, rights, &def.namespace);
        let Some(def) = self.catalogue.table_by_id(table).filter(is_seen) else {
            let message = format!("there is no table with id {table}");
            return (Answer::Refused { code: RefuseCode::UnknownTable, message }, vec![]);
        };
        let mut bytes = Vec::new();
        let copied = self.segments.copy_table(def.id, &mut bytes).map_err(|e| e.to_string());
        let revision = self.newest_revision;
        let copied = copied.and_then(|rows| {
            let mut file = SealedFile::create("shmirror-table").map_err(|e| e.to_string())?;
            let sealed = file.write(&bytes).and_then(|()| file.seal());
            sealed.map(|(fd, bytes)| (fd, rows, bytes)).map_err(|e| e.to_string())
        });
        match copied {
            Ok((fd, rows, bytes)) => (Answer::TableCopy { revision, rows, bytes }, vec![fd]),
            Err(error) => {
                let message = format!("no memory for a copy of table {table}: {error}");
                (Answer::Refused { code: RefuseCode::Internal, message }, vec![])
            }
        }
    }
}

/// Whether `rights` let see what is in the namespace of this name.
pub(super) fn sees(catalogue: &Catalogue, rights: &Rights, namespace: &str) -> bool {
    catalogue.namespace_id(namespace).is_some_and(|id| rights.may_read(id))
}

/// Of the catalogue, the parts that `rights` let see.
fn visible(catalogue: &Catalogue, rights: &Rights) -> Catalogue {
    let sees = |namespace: &str| sees(catalogue, rights, namespace);
    Catalogue {
        schema_version: catalogue.schema_version,
        next_table_id: 0,
        next_namespace_id: 0,
        namespaces: catalogue.namespaces.iter().filter(|n| sees(&n.name)).cloned().collect(),
        tables: catalogue.tables.iter().filter(|t| sees(&t.namespace)).cloned().collect(),
        objects: catalogue.objects.iter().filter(|o| sees(&o.namespace)).cloned().collect(),
    }
}
