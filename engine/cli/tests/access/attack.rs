//! What a reader was handed cannot be written, in any way that Linux knows: not by another user, not by the
//! daemon's own, who here is root.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FallocateFlags, Mode, OFlags, SealFlags};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use shmirror::{Mirror, Options};
use shmirror_shm::wire::{Answer, Call, ROLE_MIRROR, ROLE_SUBSCRIBER};
use shmirror_shm::wire_io;

use crate::people::{Person, Task, User, say};
use crate::{OPERATOR, RULES, instance, is_root};

const PAGE: usize = 4096;

/// The descriptor that a call brings, and the bytes behind it.
fn handed(task: &Task, call: &Call) -> (OwnedFd, u64) {
    use rustix::net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    };
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    connect(&socket, &SocketAddrUnix::new(&task.socket).unwrap()).unwrap();
    let patience = crate::common::PATIENCE;
    wire_io::greet(&socket, ROLE_MIRROR | ROLE_SUBSCRIBER, "attacker", patience).unwrap();
    let (answer, mut fds) = wire_io::call(&socket, call).unwrap();
    let (Answer::Segment { bytes, .. } | Answer::Events { bytes, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(fds.len(), 1);
    (fds.remove(0), bytes)
}

/// Fails where an attack succeeds; says what each attempt came to.
pub fn attack(task: &Task) {
    for call in [Call::Segment("plant".to_owned()), Call::Events("plant".to_owned())] {
        let (fd, bytes) = handed(task, &call);
        refuses_all(&fd, bytes);
        // Opened again by its name in /proc, if that is possible at all: for reading it is no more than
        // it was, and for writing it is of no use.
        let name = format!("/proc/self/fd/{}", fd.as_raw_fd());
        for flags in [OFlags::RDONLY, OFlags::RDWR, OFlags::WRONLY, OFlags::RDWR | OFlags::TRUNC] {
            match rustix::fs::open(&name, flags, Mode::empty()) {
                Ok(again) => {
                    refuses_all(&again, bytes);
                    say(format!("reopened {flags:?}: of no use"));
                }
                Err(error) => say(format!("reopened {flags:?}: {error}")),
            }
        }
    }
    // The daemon's own descriptors and memory.
    let pid = Mirror::attach(&options(task)).unwrap().status().unwrap()["pid"].as_u64().unwrap();
    for door in ["fd", "map_files"] {
        if let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/{door}")) {
            assert!(rustix::process::geteuid().is_root(), "{door} of the daemon can be listed");
            for entry in entries.flatten() {
                if let Ok(fd) = rustix::fs::open(entry.path(), OFlags::RDWR, Mode::empty())
                    && is_sealed(&fd)
                {
                    let bytes = rustix::fs::fstat(&fd).unwrap().st_size as u64;
                    refuses_all(&fd, bytes);
                }
            }
        }
    }
    say("done");
}

fn options(task: &Task) -> Options {
    task.options()
}

/// Whether it is memory that clients may only read.
fn is_sealed(fd: &OwnedFd) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::FUTURE_WRITE))
}

fn refuses_all(fd: &impl AsFd, bytes: u64) {
    let fd = fd.as_fd();
    let length = usize::try_from(bytes).unwrap();
    let before = rustix::fs::fstat(fd).unwrap();
    assert_eq!(before.st_size as u64, bytes);
    let first = |what: &str| {
        let mut page = vec![0u8; 64];
        if rustix::io::pread(fd, &mut page, 0).is_ok() {
            assert!(page.iter().any(|b| *b != 0), "{what}: the first page is empty");
        }
    };
    let refused = |what: &str, is: bool| {
        assert!(is, "{what} was possible");
        first(what);
    };
    refused("write", rustix::io::write(fd, b"scribble").is_err());
    refused("pwrite", rustix::io::pwrite(fd, b"scribble", 0).is_err());
    refused("ftruncate to nothing", rustix::fs::ftruncate(fd, 0).is_err());
    refused("ftruncate to more", rustix::fs::ftruncate(fd, bytes * 2).is_err());
    for (what, flags) in [
        ("punching a hole", FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE),
        ("zeroing", FallocateFlags::ZERO_RANGE),
        ("collapsing", FallocateFlags::COLLAPSE_RANGE),
        ("growing", FallocateFlags::empty()),
    ] {
        let at = if flags.is_empty() { bytes } else { 0 };
        refused(what, rustix::fs::fallocate(fd, flags, at, PAGE as u64).is_err());
    }
    refused("adding a seal", rustix::fs::fcntl_add_seals(fd, SealFlags::WRITE).is_err());
    // SAFETY: new shared mappings of a file, at places that the kernel chooses; only their being refused
    // is looked at, and what is not refused is only ever read.
    unsafe {
        let map = |protection, flags| {
            rustix::mm::mmap(std::ptr::null_mut(), length, protection, flags, fd, 0)
        };
        let write = ProtFlags::READ | ProtFlags::WRITE;
        refused("mapping it writable", map(write, MapFlags::SHARED).is_err());
        refused("mapping it executable", map(write | ProtFlags::EXEC, MapFlags::SHARED).is_err());
        if let Ok(read_only) = map(ProtFlags::READ, MapFlags::SHARED) {
            let more = MprotectFlags::READ | MprotectFlags::WRITE;
            let raised = rustix::mm::mprotect(read_only, length, more);
            refused("making a mapping writable", raised.is_err());
            let removed = rustix::mm::madvise(read_only, PAGE, Advice::LinuxRemove);
            refused("removing a page of a mapping", removed.is_err());
            rustix::mm::munmap(read_only, length).unwrap();
        }
    }
    let after = rustix::fs::fstat(fd).unwrap();
    assert_eq!(after.st_size, before.st_size);
}

fn told_by(user: Option<User<'_>>) {
    let i = instance(RULES);
    i.sql("CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    i.sql("INSERT INTO plant.pid VALUES(1,'one')");
    let said = Person::start(&i, user, "attacker").finish();
    assert_eq!(said.last().map(String::as_str), Some("done"), "{said:?}");
    assert_eq!(i.run(&["get", "plant.pid", "1", "v"]).ok().trim(), "one");
    i.sql("INSERT INTO plant.pid VALUES(2,'two')");
    assert_eq!(i.run(&["check"]).code, 0);
}

#[test]
fn a_reader_of_another_user_cannot_write_what_it_maps() {
    if is_root("the attacks of another user on what it was handed") {
        told_by(Some(User(OPERATOR, &[OPERATOR])));
    }
}

#[test]
fn nor_can_one_of_the_daemons_own() {
    told_by(None);
}
