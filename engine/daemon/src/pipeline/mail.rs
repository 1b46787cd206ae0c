//! What the control thread asks of the pipeline. It is answered between two groups, so every
//! answer is of one revision, and nothing of a group is ever half seen.

use std::sync::Arc;

use crossbeam_channel::Sender;
use shmirror_store::LogReader;

use crate::access::{Peer, Rules};
use crate::check;
use crate::error::DaemonError;
use crate::exchange::ReplyTo;
use crate::query::Copies;
use crate::rights::Rights;

/// Mail for the pipeline thread.
pub(crate) enum PipelineMail {
    /// A producer wants the lane of its owner.
    Lane {
        /// Who.
        peer: Peer,
        /// What they may do.
        rights: Rights,
        /// The pid that the producer called itself in its greeting.
        said: u32,
        /// Where the descriptors go.
        to: ReplyTo,
    },
    /// A producer says that the mutex of this lane is stuck.
    RetireLane {
        /// Who.
        peer: Peer,
        /// What they may do.
        rights: Rights,
        /// The pid that the producer called itself in its greeting.
        said: u32,
        /// The lane's id.
        lane: u64,
        /// Where the descriptors of the fresh lane go.
        to: ReplyTo,
    },
    /// What became of a ticket of an earlier daemon, or of a lane that was retired.
    Settled {
        /// The lane's id.
        lane: u64,
        /// The ticket.
        ticket: u64,
        /// Where the answer goes.
        to: ReplyTo,
    },
    /// Result rows or the whole message of a ticket.
    Result {
        /// Who asks.
        uid: u32,
        /// What they may do.
        rights: Rights,
        /// The lane's id.
        lane: u64,
        /// The ticket.
        ticket: u64,
        /// Where the answer goes.
        to: ReplyTo,
    },
    /// A connection wants a bell rung when one of these tables (all, where empty) changes. It is
    /// answered when the bell hangs, so that its owner, looking after that, misses nothing.
    Notify {
        /// Table ids.
        tables: Vec<u32>,
        /// What the connection may see.
        rights: Rights,
        /// Where its end of the bell goes.
        to: ReplyTo,
    },
    /// A copy of a table.
    TableCopy {
        /// Its id.
        table: u32,
        /// What who asks may see.
        rights: Rights,
        /// Where it goes.
        to: ReplyTo,
    },
    /// Copies of tables for a query that the pipeline outruns.
    Copies {
        /// Their ids; all where empty.
        tables: Vec<u32>,
        /// What who asks may see.
        rights: Rights,
        /// Where the query waits.
        to: Sender<Copies>,
    },
    /// The pipeline's part of the status.
    Status {
        /// Who asks.
        uid: u32,
        /// What they may see.
        rights: Rights,
        /// Where it goes.
        to: ReplyTo,
    },
    /// A check begins: fix store, segment and catalogue at one revision, and compare the working
    /// copy.
    Check {
        /// The reader that is to hold the store's state.
        reader: Box<LogReader>,
        /// Where the checking worker waits.
        to: Sender<check::Part>,
    },
    /// A rotation of the data key is to begin.
    RotateKey {
        /// Name of the new key's cipher.
        cipher: Option<String>,
        /// Where the answer goes.
        to: ReplyTo,
    },
    /// These namespaces are to be there, with a segment and an events lane each.
    Namespaces {
        /// Their names; some may be there already.
        names: Vec<String>,
        /// Told when they are published, or why they cannot be.
        done: Sender<Result<(), DaemonError>>,
    },
    /// The rules have changed, and the control thread has closed the connections that lost rights by it:
    /// lanes whose peers may no longer do what the lane may are retired, and what was taken from them
    /// and is not applied yet is refused; namespaces that somebody lost get the next generation of
    /// segment and events lane.
    Rules {
        /// The new ones.
        rules: Arc<Rules>,
        /// Numbers of the namespaces that somebody lost.
        withdrawn: Vec<u16>,
        /// Told when it is done.
        done: Sender<()>,
    },
    /// A connection is gone.
    Detached {
        /// The connection.
        connection: u64,
    },
    /// Drain the lanes, answer, and end.
    Stop,
}
