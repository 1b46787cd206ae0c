//! The pipeline thread: the one way from a request to what readers see.
//!
//! ```text
//! collect ─► apply ─► reserve ─► commit ─► publish ─► announce ─► acknowledge
//!  Batch     Applied  Prepared   Committed Published  Announced
//! ```
//! Each stage consumes the token of the stage before it, and only a stage's own module can make its
//! token. So a row that is not durable cannot be published, and an outcome cannot be told before
//! its rows are visible: neither compiles. A group that cannot be reserved or committed is taken
//! back from the working copy and refused as a whole; nothing of it was seen.
//!
//! What is published is a segment and an events lane for each namespace, all at one revision
//! ([`segments`]).

mod acknowledge;
mod announce;
mod apply;
mod background;
mod batch;
mod bells;
mod checking;
mod commit;
mod generation;
mod group;
mod lanes;
pub(crate) mod mail;
mod producers;
mod publish;
mod questions;
mod remake;
mod reserve;
mod rotating;
mod ruling;
pub(crate) mod segments;
mod stash;
mod status;

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use shmirror_shm::catalogue::Catalogue;
use shmirror_shm::futex;
use shmirror_shm::points::{self, Point};
use shmirror_store::Store;

use self::background::Background;
use self::batch::Taken;
use self::bells::Bells;
use self::checking::Checking;
use self::group::{Group, Spare};
use self::lanes::{Lanes, MAIL_TOKEN};
use self::mail::PipelineMail;
use self::rotating::Rotating;
use self::segments::Segments;
use self::stash::Stash;
use crate::apply::WorkingCopy;
use crate::error::DaemonError;
use crate::exchange::{ControlMail, Mailbox, Post};
use crate::instance::Instance;
use crate::readers::Readers;
use crate::refusal::{Refusal, Refused};
use crate::trouble::Trouble;

/// What the pipeline begins with: the state that recovery made.
pub(crate) struct Foundation {
    pub store: Store,
    pub working: WorkingCopy,
    pub segments: Segments,
    /// Of the segments.
    pub generation: u64,
    pub catalogue: Arc<Catalogue>,
    pub newest_revision: u64,
    pub next_birth: u64,
}

/// Everything that the pipeline thread owns.
pub(crate) struct Pipeline {
    instance: Arc<Instance>,
    readers: Arc<Readers>,
    store: Store,
    working: WorkingCopy,
    segments: Segments,
    lanes: Lanes,
    bells: Bells,
    stash: Stash,
    /// Of the group before.
    spare: Spare,
    /// Commits that fail.
    trouble: Trouble,
    /// Groups for which there is no memory.
    shortage: Trouble,
    background: Background,
    checking: Option<Checking>,
    rotating: Rotating,
    mailbox: Mailbox<PipelineMail>,
    control: Post<ControlMail>,
    epoll: Arc<OwnedFd>,
    /// Requests taken from lanes and not yet in a group.
    carry: VecDeque<Taken>,
    /// Mail that waits for its turn.
    letters: VecDeque<PipelineMail>,
    /// Until when requests come before mail.
    mail_rests: Instant,
    catalogue: Arc<Catalogue>,
    newest_revision: u64,
    next_birth: u64,
    last_at_us: i64,
    /// How long commits have taken of late.
    commit_time: Duration,
    last_work: Instant,
    /// Whether spinning can pay: another processor may bring work meanwhile.
    spins: bool,
    stopping: Option<Instant>,
    /// Why the pipeline cannot go on.
    failure: Option<DaemonError>,
}

impl Pipeline {
    /// A pipeline on `foundation`.
    pub fn new(
        instance: Arc<Instance>,
        foundation: Foundation,
        readers: Arc<Readers>,
        mailbox: Mailbox<PipelineMail>,
        control: Post<ControlMail>,
    ) -> Result<Self, DaemonError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(DaemonError::system("make an epoll set"))?;
        let data = epoll::EventData::new_u64(MAIL_TOKEN);
        epoll::add(&epoll, mailbox.as_fd(), data, epoll::EventFlags::IN)
            .map_err(DaemonError::system("watch the pipeline's mail"))?;
        let epoll = Arc::new(epoll);
        let Foundation { store, working, segments, catalogue, newest_revision, next_birth, .. } =
            foundation;
        segments.beat();
        Ok(Self {
            lanes: Lanes::new(instance.config.lanes.requests_bytes, Arc::clone(&epoll)),
            instance,
            readers,
            store,
            working,
            segments,
            bells: Bells::default(),
            stash: Stash::default(),
            spare: Spare::default(),
            trouble: Trouble::default(),
            shortage: Trouble::default(),
            background: Background::default(),
            checking: None,
            rotating: Rotating::default(),
            mailbox,
            control,
            epoll,
            carry: VecDeque::new(),
            letters: VecDeque::new(),
            mail_rests: Instant::now(),
            catalogue,
            newest_revision,
            next_birth,
            last_at_us: 0,
            commit_time: Duration::ZERO,
            last_work: Instant::now(),
            spins: futex::may_look(),
            stopping: None,
            failure: None,
        })
    }

    /// Serves until told to stop.
    pub fn run(mut self) -> Result<(), DaemonError> {
        while let Some(batch) = self.collect() {
            let applied = self.apply(batch);
            points::pass(Point::Apply);
            let Ok(prepared) = self.reserve(applied) else { continue };
            points::pass(Point::Reserve);
            let Ok(committed) = self.commit(prepared) else { continue };
            let published = self.publish(committed);
            points::pass(Point::Published);
            let announced = self.announce(published);
            points::pass(Point::Announced);
            self.acknowledge(announced);
            self.settle_working_copy();
            self.keep_up();
        }
        self.finish()
    }

    /// Takes a group back: the working copy forgets it, and its producers are told. What was decided
    /// before anything of the group had changed stands.
    fn refuse(&mut self, group: Group, refusal: Refusal) -> Refused {
        if let Err(error) = self.working.rollback_group() {
            tracing::error!(%error, "the working copy failed");
        }
        let first = group.first_change.unwrap_or(usize::MAX);
        for (i, mut verdict) in group.verdicts.into_iter().enumerate() {
            if i >= first {
                verdict.outcome = Err(refusal.reject());
            }
            self.answer(verdict);
        }
        self.lanes.drop_done();
        Refused
    }

    /// Everything accepted is answered: the last beat, and the store is closed.
    fn finish(mut self) -> Result<(), DaemonError> {
        self.lanes.close();
        self.segments.beat();
        let revision = self.newest_revision;
        self.readers.close();
        self.store.close()?;
        if let Some(error) = self.failure {
            tracing::error!(revision, %error, "the pipeline cannot go on");
            return Err(error);
        }
        tracing::info!(revision, "the pipeline has stopped; everything accepted is committed");
        Ok(())
    }
}
