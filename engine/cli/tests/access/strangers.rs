//! Who has no rule: a denial, no descriptor, a line in the log; and nobody else is kept out by them.

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use shmirror::{Error, Mirror, Producer, Subscriber};
use shmirror_shm::wire::{
    Answer, Call, ROLE_ADMIN, ROLE_MIRROR, ROLE_PRODUCER, ROLE_SUBSCRIBER, RefuseCode,
};
use shmirror_shm::{archive, wire_io};
use zerocopy::IntoBytes;

use crate::common::until;
use crate::people::{Person, Task, User, say};
use crate::{ENGINEER, OPERATORS, RULES, STRANGER, instance, is_root, log};

fn socket(task: &Task) -> rustix::fd::OwnedFd {
    let flags = SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&fd, &SocketAddrUnix::new(&task.socket).unwrap()).unwrap();
    fd
}

fn is_denial(answer: &wire_io::Packet) {
    assert!(answer.fds.is_empty(), "descriptors came");
    match archive::from_bytes::<Answer>(&answer.payload).unwrap() {
        Answer::Refused { code: RefuseCode::Denied, message } => {
            assert!(message.contains(&STRANGER.to_string()), "{message}");
            assert!(!message.contains("plant"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

/// Tries every door.
pub fn knock(task: &Task) {
    // Each role alone, and all of them; each kind of call, sent without waiting for the greeting's answer.
    let calls = [
        Call::Segment("main".into()),
        Call::Segment("plant".into()),
        Call::Events("plant".into()),
        Call::Lane,
        Call::RetireLane(1),
        Call::TableCopy(1),
        Call::Notify(vec![]),
        Call::History { from: 0, namespace: String::new(), tables: vec![], max_bytes: 1 << 20 },
        Call::Status,
        Call::Check,
        Call::Backup("/tmp/stolen".into()),
        Call::RotateKey(None),
    ];
    for roles in [ROLE_MIRROR, ROLE_PRODUCER, ROLE_SUBSCRIBER, ROLE_ADMIN, 0, 15] {
        for call in &calls {
            let fd = socket(task);
            let hello = wire_io::hello(roles, "stranger");
            wire_io::send(&fd, 0, hello.as_bytes(), &[]).unwrap();
            // The daemon may have shut the door already.
            let _ = wire_io::send(&fd, 1, &archive::to_bytes(call).unwrap(), &[]);
            // Shut with a call unread, the socket may lose the answer, and brings nothing else.
            let Ok(answer) = wire_io::recv(&fd) else { continue };
            is_denial(&answer);
            let next = wire_io::recv(&fd);
            assert!(next.is_err(), "a second answer: {next:?}");
        }
        let fd = socket(task);
        wire_io::send(&fd, 0, wire_io::hello(roles, "stranger").as_bytes(), &[]).unwrap();
        is_denial(&wire_io::recv(&fd).unwrap());
        let call = archive::to_bytes(&Call::Segment("plant".into())).unwrap();
        let _ = wire_io::send(&fd, 1, &call, &[]);
        assert!(wire_io::recv(&fd).is_err());
    }
    // As a program would.
    let denied = |error: Error| {
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        error.to_string()
    };
    denied(Mirror::attach(&task.options()).unwrap_err());
    denied(Producer::attach(&task.options()).unwrap_err());
    say(denied(Subscriber::builder(&task.options()).subscribe().unwrap_err()));
    // Now as many connections as they get, silent.
    let held: Vec<_> = (0..200).map(|_| socket(task)).collect();
    say("holding");
    task.hear();
    drop(held);
}

#[test]
fn another_user_gets_a_denial_and_no_descriptor() {
    if !is_root("the denial of a user without a rule") {
        return;
    }
    let i = instance(RULES);
    i.sql("CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    let nobody = Some(User(STRANGER, &[STRANGER]));
    let mut stranger = Person::start(&i, nobody, "stranger");
    let message = stranger.hear();
    assert!(message.contains("61003") && message.contains("may not"), "{message}");
    assert_eq!(stranger.hear(), "holding");
    // While they hold what they can get, those who may come in do.
    let operator = User(ENGINEER, &[ENGINEER, OPERATORS]);
    let ran = operator.run(&i, &["status"]);
    assert!(ran.status.success(), "{ran:?}");
    i.run(&["status"]).ok();
    stranger.tell("go");
    stranger.finish();
    // Who it was, and what they wanted.
    let log = log(&i);
    let lines: Vec<_> = log.lines().filter(|l| l.contains("denied")).collect();
    assert!(!lines.is_empty());
    assert!(lines.iter().all(|l| l.contains("uid=61003") && l.contains("pid=")), "{lines:?}");
    // By the binary, too: its own exit status and message.
    let ran = User(STRANGER, &[STRANGER]).run(&i, &["status"]);
    let message = String::from_utf8(ran.stderr).unwrap();
    assert!(message.contains("61003"), "{message}");
    assert!(!message.contains("plant") && ran.stdout.is_empty(), "{message}");
}

#[test]
fn without_any_rule_the_socket_is_the_daemons_users_alone() {
    if !is_root("that another user cannot connect to a fresh instance, nor root to another's") {
        return;
    }
    let i = instance("");
    let ran = User(STRANGER, &[STRANGER]).run(&i, &["status"]);
    assert!(!ran.status.success() && ran.stdout.is_empty(), "{ran:?}");
    let message = String::from_utf8(ran.stderr).unwrap();
    assert!(message.contains("denied") || message.contains("ermission"), "{message}");
    // A daemon of somebody else's: root has no rule there either.
    use std::os::unix::fs::{PermissionsExt, chown};
    let directory = tempfile::Builder::new().prefix("sm-").tempdir().unwrap();
    chown(directory.path(), Some(ENGINEER), Some(ENGINEER)).unwrap();
    let mode = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(directory.path(), mode).unwrap();
    let (data, path) = (directory.path().join("data"), directory.path().join("s"));
    let mut theirs = User(ENGINEER, &[ENGINEER]).spawn(&[
        "serve",
        "--data",
        data.to_str().unwrap(),
        "--socket",
        path.to_str().unwrap(),
    ]);
    until("their daemon is ready", || path.exists());
    let message = crate::common::run(&["status", "--socket", path.to_str().unwrap()]);
    assert_ne!(message.code, 0, "{message:?}");
    assert!(message.err.contains("uid 0 may not"), "{message:?}");
    theirs.signal(rustix::process::Signal::TERM);
    assert_eq!(theirs.end(), 0);
}
