//! AUTOINCREMENT: an id that a row once had is not given again.

use super::*;

const TABLE: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a)";

fn apply(copy: &mut WorkingCopy, sql: &str) -> Result<Applied, Reject> {
    copy.apply(&request(sql), &Known(&HashMap::new()), &Budget::default())
}

/// The next id of table `t`.
fn next_id(copy: &mut WorkingCopy) -> Value {
    copy.begin_group().unwrap();
    let mut applied = apply(copy, "INSERT INTO t(a) VALUES('next') RETURNING id").unwrap();
    copy.rollback_group().unwrap();
    applied.results.remove(0).rows.remove(0).remove(0)
}

/// A working copy made anew from what a store would have.
fn restarted(w: &World, sequences: &[(u32, i64)]) -> WorkingCopy {
    let mut copy = WorkingCopy::new(w.copy.catalogue()).unwrap();
    for (id, rows) in &w.rows {
        let shape = w.copy.catalogue().table_by_id(*id).unwrap().shape;
        rows.values().for_each(|image| copy.load_row(*id, shape, &image.as_ref()).unwrap());
    }
    copy.load_sequences(sequences);
    copy.finish_load().unwrap();
    copy
}

#[test]
fn they_go_out_with_what_changed_them_and_come_back() {
    let mut w = World::new(TABLE);
    let id = w.copy.catalogue().table("t").unwrap().id;
    let applied = w.sql("INSERT INTO t(a) VALUES(1),(2),(3)").unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[(id, 3)][..]));
    assert_eq!(w.sql("DELETE FROM t WHERE id=3").unwrap().sequences, None);
    assert_eq!(w.sql("UPDATE t SET a=9").unwrap().sequences, None);
    // No row is left of it, and no record: but the id is used.
    let applied = w.sql("INSERT INTO t(id,a) VALUES(10,1); DELETE FROM t WHERE id=10").unwrap();
    assert!(!applied.is_change());
    assert_eq!(applied.sequences.as_deref(), Some(&[(id, 10)][..]));
    assert_eq!(w.copy.sequences()[..], [(id, 10)]);

    assert_eq!(next_id(&mut restarted(&w, &[(id, 10)])), v(11));
    // From a store that had none they follow from the rows.
    let mut copy = restarted(&w, &[]);
    assert_eq!(copy.sequences()[..], [(id, 2)]);
    assert_eq!(next_id(&mut copy), v(3));
}

#[test]
fn typed_inserts_and_triggers_count_too() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a); CREATE TABLE plain(a);
         CREATE TRIGGER r AFTER INSERT ON plain BEGIN INSERT INTO t(a) VALUES(new.a); END",
    );
    let id = w.copy.catalogue().table("t").unwrap().id;
    let row = vec![vec![v(1)]];
    let applied = w.change(vec![insert("t", &["a"], row.clone(), OnConflict::Fail)]).unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[(id, 1)][..]));
    let applied = w.change(vec![insert("plain", &["a"], row, OnConflict::Fail)]).unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[(id, 2)][..]));
}

#[test]
fn refused_and_rolled_back_requests_leave_them() {
    let mut w = World::new(TABLE);
    let id = w.copy.catalogue().table("t").unwrap().id;
    w.sql("INSERT INTO t(id,a) VALUES(5,1)").unwrap();
    w.sql("INSERT INTO t(id,a) VALUES(9,1); INSERT INTO t(id) VALUES(5)").unwrap_err();
    assert_eq!(w.copy.sequences()[..], [(id, 5)]);
    w.copy.begin_group().unwrap();
    apply(&mut w.copy, "INSERT INTO t(id,a) VALUES(20,1)").unwrap();
    w.copy.rollback_group().unwrap();
    assert_eq!(w.copy.sequences()[..], [(id, 5)]);
    assert_eq!(next_id(&mut w.copy), v(6));
}

#[test]
fn what_sqlite_rolls_back_itself_keeps_them() {
    let mut w = World::new(&format!(
        "{TABLE}; CREATE TABLE r(a);
         CREATE TRIGGER boom AFTER INSERT ON r BEGIN SELECT RAISE(ROLLBACK,'boom'); END"
    ));
    let id = w.copy.catalogue().table("t").unwrap().id;
    w.copy.begin_group().unwrap();
    apply(&mut w.copy, "INSERT INTO t(id) VALUES(30); DELETE FROM t").unwrap();
    apply(&mut w.copy, "INSERT INTO r VALUES(1)").unwrap_err();
    assert_eq!(w.copy.sequences_now().unwrap()[..], [(id, 30)]);
    w.copy.commit_group().unwrap();
    assert_eq!(next_id(&mut w.copy), v(31));
}

#[test]
fn they_follow_their_table() {
    let mut w = World::new(TABLE);
    let id = w.copy.catalogue().table("t").unwrap().id;
    w.sql("INSERT INTO t(id) VALUES(5)").unwrap();
    assert_eq!(w.sql("ALTER TABLE t RENAME TO u").unwrap().sequences, None);
    assert_eq!(w.copy.sequences()[..], [(id, 5)]);
    w.sql("ALTER TABLE u RENAME TO T").unwrap();
    assert_eq!(next_id(&mut restarted(&w, &[(id, 8)])), v(9));
    let applied = w.sql("DROP TABLE T").unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[][..]));
    // A new table of that name begins anew, under another id.
    let applied = w.sql(&format!("{TABLE}; INSERT INTO t(a) VALUES(1)")).unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[(id + 1, 1)][..]));
    // One that was dropped and made again within one request, too.
    let applied = w.sql(&format!("DROP TABLE t; {TABLE}")).unwrap();
    assert_eq!(applied.sequences.as_deref(), Some(&[][..]));
}

#[test]
fn a_client_may_set_them_but_to_nothing_strange() {
    let mut w = World::new(&format!("{TABLE}; CREATE TABLE plain(id INTEGER PRIMARY KEY)"));
    let id = w.copy.catalogue().table("t").unwrap().id;
    let applied = w.sql("INSERT INTO sqlite_sequence(name,seq) VALUES('t',100)").unwrap();
    assert!(!applied.is_change());
    assert_eq!(applied.sequences.as_deref(), Some(&[(id, 100)][..]));
    w.sql("UPDATE sqlite_sequence SET seq=max(seq,200) WHERE name='t'").unwrap();
    assert_eq!(next_id(&mut restarted(&w, &[(id, 200)])), v(201));
    for bad in [
        "INSERT INTO sqlite_sequence VALUES('t',1)",
        "INSERT INTO sqlite_sequence VALUES('plain',1)",
        "INSERT INTO sqlite_sequence VALUES('nowhere',1)",
        "UPDATE sqlite_sequence SET seq='x'",
        "UPDATE sqlite_sequence SET seq=NULL",
        "UPDATE sqlite_sequence SET seq=-1",
    ] {
        assert_eq!(w.code(bad).0, RejectCode::NotAllowed, "{bad}");
        assert_eq!(w.copy.sequences_now().unwrap()[..], [(id, 200)], "{bad}");
    }
    w.sql("DELETE FROM sqlite_sequence").unwrap();
    assert_eq!(next_id(&mut w.copy), v(1));
}
