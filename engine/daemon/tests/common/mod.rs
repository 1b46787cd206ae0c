//! A daemon in a directory of its own, and a client made of the shared-memory core alone.
#![allow(dead_code, missing_docs, reason = "each test uses its part")]

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use shmirror_daemon::{Config, Daemon};
use shmirror_shm::catalogue::TableDef;
use shmirror_shm::key::Key;
use shmirror_shm::lane::{
    EventsReader, RawOutcome, RequestKind, RequestsProducer, SubmitError, WaitError,
};
use shmirror_shm::record::RecordRef;
use shmirror_shm::request::{Action, Change, OnConflict, Request, SqlRequest};
use shmirror_shm::snapshot::{RowBuf, Segment, TableView};
use shmirror_shm::value::{Value, ValueRef};
use shmirror_shm::wire::{self, Answer, Call};
use shmirror_shm::wire_io::{self, Welcome, WireError};
use shmirror_shm::{Region, archive};

/// Longest that anything in these tests may take.
pub const LONG: Duration = Duration::from_secs(20);

pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn config(&self) -> Config {
        let mut config = Config::default_for(self.data());
        config.instance.socket = Some(self.dir.path().join("socket"));
        config.segment.reserve = Some(64 << 20);
        config.lanes.requests_bytes = 1 << 20;
        config.lanes.events_bytes = 1 << 20;
        config
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(self.config()).unwrap()
    }
}

/// A connected, greeted socket.
pub struct Client {
    pub fd: OwnedFd,
    pub welcome: Welcome,
}

pub fn connect(socket: &Path) -> OwnedFd {
    let fd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .unwrap();
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket).unwrap()).unwrap();
    fd
}

impl Client {
    pub fn attach(socket: &Path) -> Self {
        let fd = connect(socket);
        let roles = wire::ROLE_MIRROR | wire::ROLE_PRODUCER | wire::ROLE_SUBSCRIBER;
        let welcome = wire_io::greet(&fd, roles | wire::ROLE_ADMIN, "test", LONG).unwrap();
        Self { fd, welcome }
    }

    pub fn call(&self, call: &Call) -> Result<(Answer, Vec<OwnedFd>), WireError> {
        wire_io::call_within(&self.fd, call, LONG)
    }

    pub fn segment(&self) -> Arc<Segment> {
        self.segment_of("main")
    }

    pub fn segment_of(&self, namespace: &str) -> Arc<Segment> {
        let (answer, mut fds) = self.call(&Call::Segment(namespace.to_owned())).unwrap();
        let Answer::Segment { bytes, .. } = answer else { panic!("{answer:?}") };
        let region = Region::map_read_only(fds.remove(0), bytes).unwrap();
        Segment::open(Arc::new(region)).unwrap()
    }

    pub fn lane(&self) -> Lane {
        self.lane_by(&Call::Lane)
    }

    pub fn lane_by(&self, call: &Call) -> Lane {
        let (answer, mut fds) = self.call(call).unwrap();
        let Answer::Lane { lane, bytes } = answer else { panic!("{answer:?}") };
        let bell = fds.pop().unwrap();
        let region = Region::map_read_write(fds.pop().unwrap(), bytes).unwrap();
        let producer = RequestsProducer::open(Arc::new(region), bell).unwrap();
        assert_eq!(producer.lane_id(), lane);
        Lane { producer }
    }

    /// Runs SQL that must commit and yield rows; its revision and the rows of its first statement.
    pub fn rows(&self, lane: &Lane, sql: &str) -> (u64, Vec<Vec<Value>>) {
        let ticket = lane.submit(&sql_request(sql));
        let outcome = lane.outcome(ticket).unwrap();
        assert!(outcome.committed, "{sql}: {}", outcome.message);
        let call = Call::Result { lane: lane.producer.lane_id(), ticket };
        let Answer::Rows { mut sets, .. } = self.call(&call).unwrap().0 else { panic!("no rows") };
        (outcome.revision, sets.remove(0).rows)
    }

    pub fn events(&self) -> EventsReader {
        EventsReader::open(self.events_memory("main")).unwrap()
    }

    pub fn events_memory(&self, namespace: &str) -> Arc<Region> {
        let (answer, mut fds) = self.call(&Call::Events(namespace.to_owned())).unwrap();
        let Answer::Events { bytes, .. } = answer else { panic!("{answer:?}") };
        Arc::new(Region::map_read_only(fds.remove(0), bytes).unwrap())
    }

    pub fn json(&self, call: &Call) -> serde_json::Value {
        let (answer, _) = self.call(call).unwrap();
        let Answer::Text(text) = answer else { panic!("{answer:?}") };
        serde_json::from_str(&text).unwrap()
    }
}

pub struct Lane {
    pub producer: RequestsProducer,
}

impl Lane {
    pub fn submit(&self, request: &Request) -> u64 {
        self.try_submit(request).unwrap()
    }

    pub fn try_submit(&self, request: &Request) -> Result<u64, SubmitError> {
        let payload = archive::to_bytes(request).unwrap();
        self.producer.submit(RequestKind::REQUEST, &payload, Instant::now() + LONG)
    }

    pub fn outcome(&self, ticket: u64) -> Result<RawOutcome, WaitError> {
        self.producer.wait(ticket, Instant::now() + LONG, &mut || true)
    }

    pub fn run(&self, request: &Request) -> RawOutcome {
        self.outcome(self.submit(request)).unwrap()
    }

    /// Runs SQL that must commit; its revision.
    pub fn sql(&self, sql: &str) -> u64 {
        let outcome = self.run(&sql_request(sql));
        assert!(outcome.committed, "{sql}: {}", outcome.message);
        outcome.revision
    }

    pub fn insert(&self, table: &str, rows: &[(i64, &str)]) -> RawOutcome {
        self.run(&insert(table, rows))
    }
}

pub fn sql_request(sql: &str) -> Request {
    Request::Sql(SqlRequest { sql: sql.to_owned(), params: vec![], want_rows: true })
}

/// Rows `(id, text)` into a table with the columns `id` and `v`.
pub fn insert(table: &str, rows: &[(i64, &str)]) -> Request {
    let rows = rows.iter().map(|(id, v)| vec![Value::Integer(*id), Value::from(*v)]).collect();
    Request::Transaction(vec![Change {
        table: table.to_owned(),
        action: Action::Insert {
            columns: vec!["id".to_owned(), "v".to_owned()],
            rows,
            on_conflict: OnConflict::Update,
            if_revision: None,
        },
    }])
}

/// A table as the catalogue in shared memory has it now.
pub fn table(segment: &Arc<Segment>, name: &str) -> Option<(TableDef, TableView)> {
    let found = segment.catalogue().unwrap();
    let def = found.catalogue.table(name)?.clone();
    let view = TableView::new(Arc::clone(segment), &def, found.place(def.id)?).unwrap();
    Some((def, view))
}

/// The row with this integer key, as values.
pub fn row(segment: &Arc<Segment>, name: &str, key: i64) -> Option<Vec<Value>> {
    let (_, view) = table(segment, name)?;
    let key = Key::new(view.key_parts(), &[ValueRef::Integer(key)]).unwrap();
    let mut row = RowBuf::new();
    view.get(&key, &mut row).unwrap().then(|| row.image().to_values().unwrap())
}

/// The next event's revision, table, operation and key.
pub fn next_event(events: &mut EventsReader) -> Vec<u64> {
    let deadline = Instant::now() + LONG;
    let mut words = Vec::new();
    loop {
        if events.next(&mut words).unwrap().is_some() {
            RecordRef::parse(&words).unwrap();
            return words;
        }
        assert!(Instant::now() < deadline, "no event came");
        events.wait(None, Duration::from_millis(100));
    }
}

/// Waits until `done`, or fails with `what`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}
