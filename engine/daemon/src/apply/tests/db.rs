//! The layer on SQLite.

use rusqlite::Connection;
use shmirror_shm::value::ValueRef;

use crate::apply::db::Db;

fn db() -> Db {
    let db = Db::new(Connection::open_in_memory().unwrap());
    db.exec("CREATE TABLE t(a,b TEXT COLLATE NOCASE); INSERT INTO t VALUES(1,'x'),(2,NULL)")
        .unwrap();
    db
}

#[test]
fn statements_bind_step_and_end() {
    let mut db = db();
    let kept = db.keep("INSERT INTO t VALUES(?1,?2)").unwrap();
    let text = String::from("z");
    db.kept(kept).unwrap().run([ValueRef::Blob(&[]), ValueRef::Text(&text)].into_iter()).unwrap();
    drop(text);
    let mut q = db.prepare("SELECT a,b FROM t WHERE b=?1").unwrap();
    q.bind(&[ValueRef::Text("Z")]).unwrap();
    assert!(q.step().unwrap());
    assert_eq!(q.value(0).unwrap(), ValueRef::Blob(&[]));
    assert!(!q.step().unwrap());
    drop(q);
    db.forget();
    assert!(db.kept(kept).is_err());
    assert_eq!(db.collation_of("main", "t", "b").unwrap(), "NOCASE");
}

#[test]
fn errors_tell_code_message_and_place() {
    let db = db();
    let e = db.prepare("SELECT a FROM nowhere").err().unwrap();
    assert_eq!(e.message, "no such table: nowhere");
    let e = db.prepare("SELECT FROM t").err().unwrap();
    assert_eq!(e.offset, Some(7));
}

#[test]
fn the_recursion_flag_is_set_without_expiring_statements() {
    let mut db = db();
    let read = |db: &Db| {
        let mut q = db.prepare("PRAGMA recursive_triggers").unwrap();
        q.step().unwrap();
        q.integer(0)
    };
    db.exec(
        "CREATE TABLE log(a); CREATE TABLE u(a PRIMARY KEY, b);
         CREATE TRIGGER d AFTER DELETE ON u BEGIN INSERT INTO log VALUES(old.a); END;
         INSERT INTO u VALUES(1,1)",
    )
    .unwrap();
    let off = db.keep("INSERT OR REPLACE INTO u VALUES(1,2)").unwrap();
    db.set_recursive_triggers(true).unwrap();
    assert_eq!(read(&db), 1);
    let on = db.keep("INSERT OR REPLACE INTO u VALUES(1,3)").unwrap();
    db.set_recursive_triggers(false).unwrap();
    assert_eq!(read(&db), 0);
    let logged = |db: &Db| {
        let mut q = db.prepare("SELECT count(*) FROM log").unwrap();
        q.step().unwrap();
        q.integer(0)
    };
    db.kept(off).unwrap().run(std::iter::empty()).unwrap();
    assert_eq!(logged(&db), 0);
    db.kept(on).unwrap().run(std::iter::empty()).unwrap();
    assert_eq!(logged(&db), 1);
    db.kept(off).unwrap().run(std::iter::empty()).unwrap();
    assert_eq!(logged(&db), 1);
}
