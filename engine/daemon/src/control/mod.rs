//! The control thread: clients attach, call and leave here.
//!
//! Flow: packets of many connections in → [`calls`] answers at once, asks the pipeline by mail, or
//! hands a job to [`workers`] → answers come back by mail → out. Nothing here ever waits for one
//! client or for the pipeline, so a client that is slow, half-speaking or stopped holds up nobody.

pub(crate) mod calls;
pub(crate) mod chatter;
mod closer;
pub(crate) mod connection;
pub(crate) mod socket;
pub(crate) mod workers;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use serde_json::{Value as Json, json};
use shmirror_shm::layout::LAYOUT_HASH;
use shmirror_shm::points::{self, Point};
use shmirror_shm::wire::{self, Answer, Hello, RefuseCode, Seen};
use shmirror_shm::{limits, wire_io};

use self::chatter::Chatter;
use self::closer::Closer;
use self::connection::{Connection, Introduction, Progress};
use self::socket::{BACKLOG, ControlSocket};
use self::workers::Workers;
use crate::access::{Denied, Peer, Roles, Rules};
use crate::error::DaemonError;
use crate::exchange::{ControlMail, Duty, Mailbox, Packed, Post, ReplyTo};
use crate::instance::{Instance, VERSION};
use crate::logging::COMM;
use crate::pipeline::mail::PipelineMail;
use crate::pulse;
use crate::readers::Readers;
use crate::rights::Rights;

/// Longest time between connecting and a complete `Hello`.
const HELLO_TIME: Duration = Duration::from_secs(5);
/// Packets read from one connection before the others have their turn.
const PACKETS_A_TURN: usize = 8;
/// Most connections beyond the limit that are kept until they are told of it.
const TURNED_AWAY: usize = 64;
/// Most clients of one user at one time, if it is not the daemon's own: the others must get in too.
const ONE_USER: usize = limits::CLIENTS / 2;
/// Most connections at one time of peers that may do nothing, until they are told so.
const STRANGERS: usize = 32;
/// Connections accepted before others have their turn.
const ACCEPTS_A_TURN: usize = 64;
/// Time between two looks at whether the socket's file is still there.
const SOCKET_LOOK: Duration = Duration::from_secs(1);
/// Bytes of answers that wait to be read by all clients; no further large one is made ready then.
const HELD: u64 = 512 << 20;
/// Answers to one user that carry descriptors and wait to be read; no further one is made then.
const HELD_ANSWERS: usize = 1_024;
/// How long the daemon tries to send the last answers when it ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Stands for the user of a peer of whom nothing is known.
const NOBODY: u32 = u32::MAX;

const LISTENER: u64 = 0;
const MAIL: u64 = 1;
const FIRST_CONNECTION: u64 = 2;

/// The control thread's state.
pub(crate) struct Control {
    pub(crate) instance: Arc<Instance>,
    pub(crate) pipeline: Post<PipelineMail>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) workers: Workers,
    rules: Rules,
    socket: Option<ControlSocket>,
    /// The listener rests until then: descriptors had run out.
    accept_after: Option<Instant>,
    /// When the socket's file was last looked at, and why it could not be made again then.
    socket_looked: (Instant, String),
    mailbox: Mailbox<ControlMail>,
    chatter: Chatter,
    closer: Closer,
    /// Somebody is not read from until what they sent is closed.
    held_up: bool,
    connections: HashMap<u64, Connection>,
    next_connection: u64,
    epoll: OwnedFd,
    ending: Option<Instant>,
}

impl Control {
    /// Takes over a bound socket.
    pub fn new(
        instance: Arc<Instance>,
        socket: ControlSocket,
        (post, mailbox): (Post<ControlMail>, Mailbox<ControlMail>),
        pipeline: Post<PipelineMail>,
        readers: Arc<Readers>,
        rules: Rules,
    ) -> Result<Self, DaemonError> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(DaemonError::system("make an epoll set"))?;
        let add = |fd: rustix::fd::BorrowedFd<'_>, token| {
            epoll::add(&epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
                .map_err(DaemonError::system("watch a descriptor"))
        };
        use std::os::fd::AsFd;
        add(socket.as_fd(), LISTENER)?;
        add(mailbox.as_fd(), MAIL)?;
        Ok(Self {
            instance,
            pipeline,
            readers,
            workers: Workers::new(post),
            rules,
            socket: Some(socket),
            accept_after: None,
            socket_looked: (Instant::now(), String::new()),
            mailbox,
            chatter: Chatter::default(),
            closer: Closer::new(),
            held_up: false,
            connections: HashMap::new(),
            next_connection: FIRST_CONNECTION,
            epoll,
            ending: None,
        })
    }

    /// Serves until told to end.
    pub fn run(mut self) -> Result<(), DaemonError> {
        loop {
            let mut events = Vec::with_capacity(64);
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&self.timeout()),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(DaemonError::system("wait for clients")(e)),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept(),
                    MAIL => self.mailbox.hush(),
                    id => self.serve(id, event.flags),
                }
            }
            while let Some(mail) = self.mailbox.take() {
                self.receive(mail);
            }
            self.look_after();
            self.instance.pulse.beat(&self.instance.published);
            self.instance.denials.look(Instant::now());
            if self.ending.is_some_and(|deadline| self.all_said() || Instant::now() > deadline) {
                self.workers.end();
                for (_, connection) in self.connections.drain() {
                    self.closer.connection(connection.peer.uid, connection.into_socket());
                }
                self.closer.end();
                return Ok(());
            }
        }
    }

    /// Until the next beat, or sooner where a deadline is near.
    fn timeout(&self) -> Timespec {
        let soon = self.ending.is_some()
            || self.accept_after.is_some()
            || self.held_up
            || self.connections.values().any(Connection::is_choked);
        let time = if soon { Duration::from_millis(20) } else { pulse::BEAT };
        Timespec { tv_sec: 0, tv_nsec: time.as_nanos() as _ }
    }

    fn all_said(&self) -> bool {
        self.connections.values().all(|c| c.unanswered == 0 && !c.has_outgoing())
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        // Who connects as fast as this accepts does not keep it here.
        for _ in 0..ACCEPTS_A_TURN {
            let Some(socket) = &self.socket else { return };
            if self.closer.is_full() {
                return self.accept_later();
            }
            let accepted = match points::fails(Point::Accept) {
                Some(errno) => Err(Errno::from_raw_os_error(errno)),
                None => rustix::net::accept_with(socket, flags),
            };
            let fd = match accepted {
                Ok(fd) => fd,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => {
                    if self.chatter.may(None, Instant::now()) {
                        tracing::warn!(target: COMM, %error, "no connection can be accepted for now");
                    }
                    return self.accept_later();
                }
            };
            let peer = match Peer::of(&fd) {
                Ok(peer) => peer,
                Err(error) => {
                    if self.chatter.may(None, Instant::now()) {
                        tracing::warn!(target: COMM, %error, "a peer without credentials is refused");
                    }
                    self.closer.connection(NOBODY, fd);
                    continue;
                }
            };
            let id = self.next_connection;
            self.next_connection += 1;
            let rights = self.rules.rights(&peer);
            let mut connection = Connection::new(fd, peer, rights, crate::clock::now_us());
            // One too many is told so when it has greeted: an answer before that could be lost.
            let full = self.connections.len() >= limits::CLIENTS;
            let uid = connection.peer.uid;
            let its = self.connections.values().filter(|c| c.peer.uid == uid).count();
            let is_own = connection.rights.is_everything();
            let over = if is_own { 0 } else { its.saturating_sub(ONE_USER - 1) };
            connection.turned_away = match (full, over) {
                (true, _) => Some(format!("{} clients are attached, the limit", limits::CLIENTS)),
                (_, 1..) => Some(format!(
                    "{ONE_USER} clients of uid {uid} are attached, the limit for one user"
                )),
                _ => None,
            };
            // Who may do nothing here cannot take the places of those who may.
            let strangers = self.connections.values().filter(|c| !c.rights.may_attach());
            let one_stranger_more =
                !connection.rights.may_attach() && strangers.count() >= STRANGERS;
            let data = epoll::EventData::new_u64(id);
            if one_stranger_more
                || over > TURNED_AWAY / 2
                || self.connections.len() >= limits::CLIENTS + TURNED_AWAY
                || epoll::add(&self.epoll, &connection, data, epoll::EventFlags::IN).is_err()
            {
                self.closer.connection(uid, connection.into_socket());
                continue;
            }
            self.connections.insert(id, connection);
        }
    }

    /// Has the listener rest for a moment.
    fn accept_later(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = epoll::delete(&self.epoll, socket);
            self.accept_after = Some(Instant::now() + Duration::from_millis(100));
        }
    }

    /// One connection has something to read, or takes something.
    fn serve(&mut self, id: u64, flags: epoll::EventFlags) {
        if flags.intersects(epoll::EventFlags::OUT) {
            self.flush(id);
        }
        for _ in 0..PACKETS_A_TURN {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            let uid = connection.peer.uid;
            if !connection.may_read() || self.closer.has_enough_of(uid) {
                if flags.intersects(epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                    self.detach(id, None);
                }
                return;
            }
            let mut sent = Vec::new();
            let progress = connection.read(&mut sent);
            self.closer.sent(uid, sent);
            match progress {
                Progress::Done(packet) => self.packet(id, packet),
                Progress::Later => return,
                Progress::Gone(why) => return self.detach(id, why),
            }
        }
    }

    fn packet(&mut self, id: u64, packet: wire_io::Packet) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.unanswered += 1;
        let to = ReplyTo { connection: id, call: packet.header.id };
        if connection.client.is_none() {
            connection.ending = true;
            match wire_io::read_hello(&packet) {
                Ok(hello) if hello.layout_hash != LAYOUT_HASH => self.refuse_layout(to, &hello),
                Ok(hello) => {
                    let answer = self.welcome(id, &hello);
                    self.answer(to, (answer, vec![]));
                }
                Err(error) => self.detach(id, Some(error.to_string())),
            }
            return;
        }
        self.call(to, &packet.payload);
    }

    /// The builds differ: said in a form that every build reads, and the connection ends.
    fn refuse_layout(&mut self, to: ReplyTo, hello: &Hello) {
        let Some(connection) = self.connections.get(&to.connection) else { return };
        let (pid, uid) = (connection.peer.pid, connection.peer.uid);
        if self.chatter.may(connection.teller(), Instant::now()) {
            tracing::warn!(
                target: COMM, pid, uid, version = wire_io::text(&hello.version),
                "refused: layout {:016x} of the client, {LAYOUT_HASH:016x} of the daemon",
                hello.layout_hash
            );
        }
        // The socket's buffer is empty: this is the first packet down.
        let _ = wire_io::refuse_layout(connection, to.call);
        self.detach(to.connection, None);
    }

    /// Decides over a `Hello`.
    fn welcome(&mut self, id: u64, hello: &Hello) -> Answer {
        let introduction = Introduction::of(hello);
        let Some(connection) = self.connections.get_mut(&id) else {
            return refused(RefuseCode::Internal, "the connection is gone".to_owned());
        };
        let (pid, uid) = (connection.peer.pid, connection.peer.uid);
        let may_log = self.chatter.may(connection.teller(), Instant::now());
        if let Some(message) = connection.turned_away.take() {
            if may_log {
                tracing::warn!(target: COMM, pid, uid, "refused: {message}");
            }
            return refused(RefuseCode::Limit, message);
        }
        let rights = connection.rights.clone();
        if let Err(denied) = may_attach(uid, &rights, hello.roles) {
            if may_log {
                tracing::warn!(
                    target: COMM, pid, uid, program = introduction.program, "denied: {denied}"
                );
            }
            return refused(RefuseCode::Denied, denied.to_string());
        }
        if may_log {
            tracing::info!(
                target: COMM, pid, uid, program = introduction.program,
                version = introduction.version, roles = %introduction.roles, "attached"
            );
        }
        connection.client = Some(introduction);
        connection.ending = false;
        let mut published = self.instance.published.all();
        published.retain(|(id, _)| rights.may_read(*id));
        Answer::Welcome {
            instance: self.instance.id,
            name: self.instance.config.instance.name.clone(),
            generation: self.instance.generation,
            version: VERSION.to_owned(),
            pid: self.instance.pid,
            // Of who may only look after the instance, that is none of his business.
            revision: published.first().map_or(0, |(_, part)| part.segment.revision()),
            namespaces: published
                .iter()
                .map(|(id, part)| Seen {
                    id: *id,
                    name: part.namespace.clone(),
                    writable: rights.may_write(*id),
                })
                .collect(),
        }
    }

    /// Queues an answer and sends what goes at once.
    pub(crate) fn answer(&mut self, to: ReplyTo, reply: crate::exchange::Reply) {
        self.answer_packed(to, Packed::of(reply));
    }

    fn answer_packed(&mut self, to: ReplyTo, mut packed: Option<Packed>) {
        if packed.as_ref().is_some_and(Packed::carries)
            && let Some(message) =
                self.too_much(to.connection, packed.as_ref().is_some_and(|p| p.bytes > 0))
        {
            packed = Packed::of((refused(RefuseCode::Limit, message), vec![]));
        }
        if let Some(connection) = self.connections.get_mut(&to.connection) {
            connection.unanswered = connection.unanswered.saturating_sub(1);
            connection.answer(to.call, packed);
            self.flush(to.connection);
        }
    }

    /// Whether one more line about the client of a connection may be written.
    pub(crate) fn may_log(&mut self, connection: u64) -> bool {
        let Some(connection) = self.connections.get(&connection) else { return false };
        self.chatter.may(connection.teller(), Instant::now())
    }

    /// Why this client gets no further answer that holds a descriptor, or memory, until some are read.
    fn too_much(&self, connection: u64, memory: bool) -> Option<String> {
        let uid = self.connections.get(&connection)?.peer.uid;
        let (mut all, mut its, mut answers) = (0, 0, 0);
        for connection in self.connections.values() {
            let bytes = connection.held_bytes();
            all += bytes;
            if connection.peer.uid == uid {
                its += bytes;
                answers += connection.held_answers();
            }
        }
        if answers >= HELD_ANSWERS {
            let limit = format!("the limit is {HELD_ANSWERS}");
            return Some(format!("{answers} answers with descriptors wait to be read, {limit}"));
        }
        let over = |held: u64, limit: u64| {
            let message = format!("{held} bytes of answers wait to be read, the limit is {limit}");
            (memory && held > limit).then_some(message)
        };
        // The others must get theirs too.
        over(its, HELD / 2).or_else(|| over(all, HELD))
    }

    /// The peer of a connection and what it may do, while it is there.
    pub(crate) fn peer(&self, connection: u64) -> Option<(Peer, Rights)> {
        self.connections.get(&connection).map(|c| (c.peer.clone(), c.rights.clone()))
    }

    fn flush(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.flush() {
            Progress::Done(()) if connection.ending => self.detach(id, None),
            Progress::Done(()) | Progress::Later => {}
            Progress::Gone(why) => self.detach(id, why),
        }
    }

    fn detach(&mut self, id: u64, why: Option<String>) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let (pid, uid) = (connection.peer.pid, connection.peer.uid);
        let is_told = why.is_some() || connection.client.is_some();
        let may_log = is_told && self.chatter.may(connection.teller(), Instant::now());
        match (why, &connection.client) {
            _ if !may_log => {}
            (Some(why), _) => tracing::warn!(target: COMM, pid, uid, "detached: {why}"),
            (None, Some(client)) => {
                tracing::info!(target: COMM, pid, uid, program = client.program, "detached");
            }
            (None, None) => {}
        }
        // It may be open for some time yet, and is not to be told of.
        let _ = epoll::delete(&self.epoll, &connection);
        self.closer.connection(uid, connection.into_socket());
        self.workers.forget(id);
        self.pipeline.send(PipelineMail::Detached { connection: id });
    }

    fn receive(&mut self, mail: ControlMail) {
        match mail {
            ControlMail::Answer(to, reply) => self.answer(to, reply),
            ControlMail::Work(to, job) => self.work(to, Duty::Short, job),
            ControlMail::Worked(to, duty, packed) => {
                self.workers.finished(duty);
                self.answer_packed(to, packed);
            }
            ControlMail::Status(to, mut status) => {
                let Some((peer, rights)) = self.peer(to.connection) else { return };
                if let Some(object) = status.as_object_mut() {
                    // Of the others, who does not look after the instance sees nothing.
                    let of = (!rights.administers()).then_some(peer.uid);
                    object.insert("clients".to_owned(), self.clients(of));
                }
                self.answer(to, (Answer::Text(status.to_string()), vec![]));
            }
            ControlMail::Rules { rules, done } => self.follow_rules(rules, done),
            ControlMail::Closing => drop(self.socket.take()),
            ControlMail::End => self.ending = Some(Instant::now() + LAST_WORDS),
        }
    }

    /// Whether the daemon takes no new work.
    pub(crate) fn closing(&self) -> bool {
        self.socket.is_none()
    }

    /// Whoever may no longer do all that they could leaves; what the others gained they have from now on.
    fn follow_rules(&mut self, rules: Rules, done: Sender<()>) {
        let withdrawn = self.rules.withdrawn(&rules);
        self.rules = rules;
        let mut losers = Vec::new();
        for (id, connection) in &mut self.connections {
            let rights = self.rules.rights(&connection.peer);
            if rights.covers(&connection.rights) {
                connection.rights = rights;
            } else {
                losers.push(*id);
            }
        }
        for id in losers {
            self.detach(id, Some("the rules have changed and take rights from it".to_owned()));
        }
        if let Some(socket) = &self.socket {
            socket.admit(self.rules.admits_others());
        }
        let rules = Arc::new(self.rules.clone());
        self.pipeline.send(PipelineMail::Rules { rules, withdrawn, done });
    }

    /// Makes the socket's file again where somebody has removed it. Where that cannot be done it is said once,
    /// and tried again at the next look.
    fn look_at_socket(&mut self) {
        let Some(path) =
            self.socket.as_ref().filter(|s| !s.is_there()).map(|s| s.path().to_owned())
        else {
            return;
        };
        // Who had connected before it went waits at the old one.
        for _ in 0..=BACKLOG / ACCEPTS_A_TURN {
            self.accept();
        }
        use std::os::fd::AsFd;
        let made = ControlSocket::bind(&path).and_then(|socket| {
            socket.admit(self.rules.admits_others());
            let data = epoll::EventData::new_u64(LISTENER);
            epoll::add(&self.epoll, socket.as_fd(), data, epoll::EventFlags::IN)
                .map_err(DaemonError::system("watch the control socket"))?;
            Ok(socket)
        });
        match made {
            Ok(socket) => {
                tracing::warn!("somebody removed the control socket's file; it was made again");
                self.accept_after = None;
                self.socket_looked.1.clear();
                // Its descriptor is closed, and with it no longer watched.
                self.socket = Some(socket);
            }
            Err(error) => {
                let why = error.to_string();
                if why != self.socket_looked.1 {
                    tracing::error!(%error, "the control socket's file is gone: nobody can attach");
                    self.socket_looked.1 = why;
                }
            }
        }
    }

    /// Who is attached: all, or those of one uid.
    fn clients(&self, of: Option<u32>) -> Json {
        let client = |c: &Connection| {
            let client = c.client.as_ref().filter(|_| of.is_none_or(|uid| uid == c.peer.uid))?;
            Some(json!({
                "pid": c.peer.pid,
                "uid": c.peer.uid,
                "program": client.program,
                "version": client.version,
                "roles": client.roles.words().collect::<Vec<_>>(),
                "since": crate::clock::rfc3339(c.since_us),
            }))
        };
        let mut ids: Vec<_> = self.connections.keys().copied().collect();
        ids.sort_unstable();
        ids.iter().filter_map(|id| client(&self.connections[id])).collect()
    }

    /// Deadlines, and what epoll is to tell of each connection.
    fn look_after(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.socket_looked.0) >= SOCKET_LOOK {
            self.socket_looked.0 = now;
            self.chatter.look(now);
            self.closer.look();
            self.look_at_socket();
        }
        let late: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, c)| c.client.is_none() && now.duration_since(c.since) > HELLO_TIME)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            self.detach(id, Some("no Hello came in time".to_owned()));
        }
        let mut unread = Vec::new();
        let mut free = Vec::new();
        for (id, connection) in &mut self.connections {
            let choked = connection.is_choked();
            match connection.look() {
                Ok(()) if choked && !connection.is_choked() => free.push(*id),
                Ok(()) => {}
                Err(why) => unread.push((*id, why)),
            }
        }
        free.into_iter().for_each(|id| self.flush(id));
        for (id, why) in unread {
            self.detach(id, Some(why));
        }
        self.held_up = false;
        for (id, connection) in &mut self.connections {
            let held_up = self.closer.has_enough_of(connection.peer.uid);
            self.held_up |= held_up;
            let wanted = (connection.may_read() && !held_up, connection.wants_room());
            if wanted == connection.interest {
                continue;
            }
            let mut flags = epoll::EventFlags::empty();
            flags.set(epoll::EventFlags::IN, wanted.0);
            flags.set(epoll::EventFlags::OUT, wanted.1);
            let data = epoll::EventData::new_u64(*id);
            if epoll::modify(&self.epoll, &*connection, data, flags).is_ok() {
                connection.interest = wanted;
            }
        }
        if self.accept_after.is_some_and(|at| now >= at) {
            self.accept_after = None;
            if let Some(socket) = &self.socket {
                let data = epoll::EventData::new_u64(LISTENER);
                let _ = epoll::add(&self.epoll, socket, data, epoll::EventFlags::IN);
            }
        }
    }
}

/// A refusal.
pub(crate) fn refused(code: RefuseCode, message: String) -> Answer {
    Answer::Refused { code, message }
}

/// Whether `roles` are anything that somebody with `rights` can take on.
fn may_attach(uid: u32, rights: &Rights, roles: u32) -> Result<(), Denied> {
    let writes = roles & wire::ROLE_PRODUCER != 0;
    if rights.may_attach() && (!writes || rights.may_write_any()) {
        return Ok(());
    }
    let denied = if rights.may_attach() { wire::ROLE_PRODUCER } else { roles };
    Err(Denied::new(uid, Roles(denied).to_string()))
}
