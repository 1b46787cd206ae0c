//! A child of a fork is told to attach anew, and does its parent no harm.

#[path = "client_common/mod.rs"]
mod common;

use common::{LONG, Place, until};
use serde_json::json;
use shmirror::{Error, Subscriber};

#[test]
fn a_child_is_told_and_can_attach_anew() {
    let place = Place::served();
    let producer = place.producer();
    producer.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)").unwrap();
    let mirror = place.mirror();
    let table = mirror.table("t").unwrap();
    let mut changes = Subscriber::builder(&place.options()).subscribe().unwrap();
    let ticket = producer.begin().insert("t", &json!({"id": 1})).unwrap().submit().unwrap();

    let forked = |e: Option<Error>| matches!(e, Some(Error::Forked { .. }));
    // SAFETY: the child uses no lock that another thread of this process may hold (every handle is
    // asked for its process before its locks; the C library sees to its allocator), and leaves by
    // _exit without unwinding into the test.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: plain system calls.
        unsafe { libc::alarm(20) };
        let right = !mirror.is_live()
            && !producer.is_live()
            && forked(mirror.table("t").err())
            && forked(mirror.status().err())
            && forked(mirror.catalogue().err())
            && forked(producer.insert("t", &json!({"id": 2})).err())
            && forked(ticket.poll().err())
            && forked(ticket.wait().err())
            && forked(changes.try_next().err())
            && forked(changes.resume_from(1).err())
            && table.get(5).is_ok_and(|row| row.is_none());
        drop((mirror, table, changes, producer));
        let anew = place.producer().insert("t", &json!({"id": 3, "v": "child"})).is_ok();
        // SAFETY: leaves at once.
        unsafe { libc::_exit(if right && anew { 0 } else { 1 }) };
    }
    assert!(child > 0);
    let mut status = 0;
    // SAFETY: waits for our own child.
    until("the child's end", || unsafe {
        libc::waitpid(child, &raw mut status, libc::WNOHANG) == child
    });
    assert_eq!(status, 0, "the child saw something else");

    // The parent's handles work on.
    assert!(ticket.wait().is_ok());
    assert!(mirror.is_live());
    assert_eq!(table.get(3).unwrap().unwrap().get::<&str>("v").unwrap(), "child");
    let mut told = 0;
    until("both inserts", || {
        told += usize::from(changes.next(LONG).unwrap().is_some());
        told == 2
    });
}
