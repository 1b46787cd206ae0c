//! A client forks, again and again, while its threads are in the middle of calls. Each child uses everything that
//! it inherited and is told that it is its parent's, or reads on; attaches anew; and dies in some way. The
//! parent's threads, its events and the numbers of its requests go on as if nothing had been.
//!
//! Single calls in a child have tests beside the client and the C library; here are many at once, several
//! namespaces, a restart of the daemon under a child, and the books.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Value as Json, json};
use shmirror::{CellError, Error, Mirror, Options, Producer, Subscriber};

use crate::common::{PATIENCE, until};
use crate::daemon::{instance, sound};
use crate::spawn;

const FORKS: i64 = 24;
/// Ids of rows that children put.
const OF_CHILDREN: i64 = 1_000_000;
/// A child that hangs is ended by the system after so many seconds.
const ALARM: u32 = 40;

#[test]
fn children_of_a_busy_client() {
    let mut i = instance("[namespaces.plant]\n", |_| ());
    i.sql(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE plant.t(id INTEGER PRIMARY KEY, v);
         INSERT INTO t VALUES (0, 7); INSERT INTO plant.t VALUES (0, 8)",
    );
    let (mut forker, lines) = spawn("forker", &i.socket(), |_| ());
    assert_eq!(lines.next().as_deref(), Some("restart"));
    i.restart();
    let said = lines.next();
    let acknowledged: i64 = said.as_deref().expect("the parent's books").parse().unwrap();
    assert_eq!(forker.end(), 0);
    let rows: Vec<Json> = serde_json::from_str(&i.run(&["dump", "t"]).ok()).unwrap();
    let of_children = rows.iter().filter(|row| row["id"].as_i64() >= Some(OF_CHILDREN)).count();
    assert_eq!(of_children as i64, FORKS + 1, "one of each child");
    assert_eq!((rows.len() - of_children) as i64, acknowledged + 1, "and what the parent was told");
    println!("{acknowledged} commits of the parent during {FORKS} forks");
    sound(&i);
}

/// What a client has.
struct Client {
    options: Options,
    producer: Producer,
    mirror: Mirror,
    table: shmirror::Table,
    plant: shmirror::Table,
    cell: shmirror::Cell,
    stream: Subscriber,
}

impl Client {
    fn attach(options: &Options) -> Self {
        let mirror = Mirror::attach(options).unwrap();
        let (table, plant) = (mirror.table("t").unwrap(), mirror.table("plant.t").unwrap());
        Self {
            options: options.clone(),
            producer: Producer::attach(options).unwrap().with_timeout(PATIENCE),
            cell: table.cell(0, "v").unwrap(),
            stream: Subscriber::builder(options)
                .tables(&["t"])
                .from_revision(1)
                .subscribe()
                .unwrap(),
            mirror,
            table,
            plant,
        }
    }
}

/// Ends a child with the number of what it saw otherwise, from 1; 0 where all was as it should be. Nothing that
/// may hold a lock of the parent's threads is used: no output, no panic.
fn exit(seen: &[bool]) -> ! {
    let wrong = seen.iter().position(|right| !right).map_or(0, |at| at as i32 + 1);
    // SAFETY: leaves at once.
    unsafe { libc::_exit(wrong) }
}

fn forked<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Forked { .. }))
}

/// A child's use of what it inherited, and what it may expect.
fn inherited(client: &mut Client) -> Vec<bool> {
    let reads = |value: Result<Option<shmirror::Row>, Error>, expected: i64| {
        value.is_ok_and(|row| {
            row.is_some_and(|row| row.get::<i64>("v").is_ok_and(|v| v == expected))
        })
    };
    let mut seen = vec![
        forked(client.producer.insert("t", &json!({"id": -1}))),
        forked(client.producer.execute("DELETE FROM t")),
        forked(client.producer.begin().delete("t", 0).and_then(|all| all.commit())),
        forked(client.mirror.query("SELECT 1", &[])),
        forked(client.mirror.history(1, &[])),
        forked(client.mirror.status()),
        forked(client.mirror.table("plant.nothing")),
        forked(client.stream.next(Duration::from_secs(1))),
        forked(client.stream.try_next()),
        forked(client.stream.resume_from(1)),
        !client.mirror.is_live() && !client.producer.is_live(),
        // What is mapped is read on.
        reads(client.table.get(0), 7),
        reads(client.plant.get(0), 8),
        matches!(client.cell.i64(), Ok(7) | Err(CellError::Forked)),
        client.table.get_many(&[0, 0]).is_ok_and(|(_, rows)| rows.iter().all(Option::is_some)),
    ];
    // Under writers a scan may need the daemon, which is not the child's.
    seen.push(match client.table.scan() {
        Ok(scan) => !scan.is_empty(),
        Err(error) => matches!(error, Error::Forked { .. }),
    });
    seen
}

/// The same things, attached by the child itself.
fn anew(options: &Options, id: i64) -> Vec<bool> {
    let Ok(producer) = Producer::attach(options) else { return vec![false] };
    let producer = producer.with_timeout(PATIENCE);
    let Ok(commit) = producer.insert("t", &json!({"id": id, "v": "child"})) else {
        return vec![true, false];
    };
    let (Ok(mirror), Ok(mut stream)) = (
        Mirror::attach(options),
        Subscriber::builder(options).tables(&["t"]).from_revision(commit.revision).subscribe(),
    ) else {
        return vec![true, true, false];
    };
    let told = stream.next(PATIENCE).ok().flatten().map(|event| event.to_json());
    vec![
        true,
        true,
        true,
        mirror.is_live(),
        mirror.table("t").is_ok_and(|table| table.get(id).is_ok_and(|row| row.is_some())),
        mirror.table("plant.t").is_ok(),
        told.is_some_and(|event| event["key"] == json!([id])),
    ]
}

/// A child, in the child.
fn child(mut client: Client, number: i64) -> ! {
    // SAFETY: a plain system call.
    unsafe { libc::alarm(ALARM) };
    let mut seen = inherited(&mut client);
    seen.extend(anew(&client.options, OF_CHILDREN + number));
    if seen.iter().all(|right| *right) {
        match number % 3 {
            // SAFETY: a plain system call. It ends with all of it in use.
            0 => unsafe { _ = libc::kill(libc::getpid(), libc::SIGKILL) },
            // It puts all of it away, as a program does that returns.
            1 => drop(client),
            _ => std::mem::forget(client),
        }
    }
    exit(&seen)
}

/// Whether the child ended as it should.
fn ended(pid: i32, number: i64) {
    let mut status = 0;
    // SAFETY: waits for our own child, into a number of ours.
    until("a child's end", || unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) } == pid);
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        assert!(
            signal == libc::SIGKILL && number % 3 == 0,
            "child {number} ended by signal {signal}"
        );
    } else {
        assert_eq!(libc::WEXITSTATUS(status), 0, "child {number} saw something else");
    }
}

/// The role: the client that forks.
pub fn forks(options: &Options) {
    let client = Client::attach(options);
    let (stop, next, written) = (AtomicBool::new(false), AtomicI64::new(1), AtomicI64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    client.producer.insert("t", &json!({"id": id, "v": id})).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let least = written.load(Ordering::Relaxed);
                assert!(client.table.scan().unwrap().len() as i64 > least);
                assert_eq!(client.cell.i64().unwrap(), 7);
                client.mirror.query("SELECT count(*) FROM plant.t", &[]).unwrap();
            }
        });
        for number in 0..FORKS {
            let least = written.load(Ordering::Relaxed);
            until("the writers", || written.load(Ordering::Relaxed) > least + 3);
            // SAFETY: the child uses no lock that another thread of this process may hold (the handles that it
            // inherits ask for their process first; the C library sees to its allocator), and leaves by
            // _exit or by a signal.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                // SAFETY: a copy of what is on the parent's stack, of which the child alone is the owner in
                // its own memory; nothing there is used after it.
                child(unsafe { std::ptr::read(&raw const client) }, number);
            }
            assert!(pid > 0, "{}", std::io::Error::last_os_error());
            ended(pid, number);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let mut client = client;
    let mut told = BTreeSet::new();
    hear(&mut client.stream, &mut told, next.load(Ordering::Relaxed) - 1 + FORKS + 1);

    // One that lives through a restart of the daemon: what it has mapped stays what it was.
    let generation = client.mirror.generation();
    // SAFETY: as above.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: as above.
        survive(unsafe { std::ptr::read(&raw const client) }, generation);
    }
    println!("@restart");
    ended(pid, FORKS + 1);
    until("the parent's moving over", || client.mirror.generation() > generation);
    let id = next.fetch_add(1, Ordering::Relaxed);
    client.producer.insert("t", &json!({"id": id, "v": id})).unwrap();
    hear(&mut client.stream, &mut told, 2);
    let own = told.iter().filter(|id| (1..OF_CHILDREN).contains(*id)).count() as i64;
    assert_eq!(own, written.load(Ordering::Relaxed) + 1);
    println!("@{own}");
}

/// In the child: reads what it inherited until another daemon is there, and for a while after.
fn survive(mut client: Client, generation: u64) -> ! {
    // SAFETY: a plain system call.
    unsafe { libc::alarm(ALARM) };
    let deadline = Instant::now() + PATIENCE;
    let is_next = || Mirror::attach(&client.options).is_ok_and(|m| m.generation() > generation);
    while !is_next() && Instant::now() < deadline {
        if !client.table.get(0).is_ok_and(|row| row.is_some()) {
            exit(&[true, false]);
        }
    }
    let mut seen = vec![is_next()];
    seen.extend(inherited(&mut client));
    seen.extend(anew(&client.options, OF_CHILDREN + FORKS));
    exit(&seen)
}

/// Takes so many events, for each of which the descriptor rings; each row once.
fn hear(stream: &mut Subscriber, told: &mut BTreeSet<i64>, count: i64) {
    let mut heard = 0;
    while heard < count {
        while let Some(event) = stream.try_next().unwrap() {
            let event = event.to_json();
            if event["operation"] == "schema" {
                continue;
            }
            assert_eq!(event["operation"], "insert", "{event}");
            assert!(told.insert(event["key"][0].as_i64().unwrap()), "twice: {event}");
            heard += 1;
        }
        if heard < count {
            let fd = stream.fd();
            let wait = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
            let rung = poll(&mut [PollFd::new(&fd.as_fd(), PollFlags::IN)], Some(&wait)).unwrap();
            assert_eq!(rung, 1, "{heard} of {count} events, and no more are rung for");
        }
    }
    assert_eq!(heard, count);
}
