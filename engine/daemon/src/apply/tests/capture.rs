//! What is captured, and what the net change comes to.

use super::*;

fn ops(applied: &Applied) -> Vec<(Operation, Vec<Value>)> {
    let key = |d: RowDelta<'_>| d.key_image.to_values().unwrap();
    applied.changes.iter().map(|d| (d.operation, key(d))).collect()
}

use Operation::{Delete, Insert, Update};

#[test]
fn several_changes_of_a_row_are_one() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)");
    let one = vec![v(1)];
    let a = w.sql("INSERT INTO t VALUES(1,1,1); UPDATE t SET a=2; UPDATE t SET a=3").unwrap();
    assert_eq!(ops(&a), [(Insert, one.clone())]);
    let a = w.sql("UPDATE t SET a=4; UPDATE t SET a=5,b=b").unwrap();
    assert_eq!(ops(&a), [(Update, one.clone())]);
    assert!({
        let changed = a.changes.get(0).unwrap().changed;
        changed.has(1) && !changed.has(2)
    });
    let a = w.sql("UPDATE t SET a=6; UPDATE t SET a=5").unwrap();
    assert!(!a.is_change());
    let a = w.sql("DELETE FROM t; INSERT INTO t VALUES(1,7,1)").unwrap();
    assert_eq!(ops(&a), [(Update, one.clone())]);
    let a = w.sql("DELETE FROM t; INSERT INTO t VALUES(1,7,1)").unwrap();
    assert_eq!((a.count, a.is_change()), (0, false));
    let a = w.sql("INSERT INTO t VALUES(2,0,0); DELETE FROM t WHERE id=2").unwrap();
    assert_eq!(a.count, 0);
    let a = w.sql("UPDATE t SET id=3").unwrap();
    assert_eq!(ops(&a), [(Delete, one), (Insert, vec![v(3)])]);
}

#[test]
fn what_an_update_hook_misses_is_captured() {
    let mut w = World::new(
        "CREATE TABLE w(a TEXT, b INT, c, PRIMARY KEY(a,b)) WITHOUT ROWID;
         CREATE TABLE u(id INTEGER PRIMARY KEY, e TEXT UNIQUE, f TEXT UNIQUE);
         INSERT INTO w VALUES('x',1,1),('x',2,2),('y',1,3);
         INSERT INTO u VALUES(1,'a','b'),(2,'c','d'),(3,'e','f')",
    );
    let a = w.sql("INSERT OR REPLACE INTO u VALUES(9,'a','d')").unwrap();
    assert_eq!(ops(&a), [(Delete, vec![v(2)]), (Delete, vec![v(1)]), (Insert, vec![v(9)])]);
    let a = w.sql("UPDATE OR REPLACE u SET id=3,f='z' WHERE id=9").unwrap();
    assert_eq!(a.count, 2);
    let a = w.sql("REPLACE INTO w VALUES('x',1,9)").unwrap();
    assert_eq!(ops(&a), [(Update, vec![v("x"), v(1)])]);
    assert_eq!(w.sql("DELETE FROM w").unwrap().count, 3);
    assert_eq!(w.sql("DELETE FROM u").unwrap().count, 1);
}

#[test]
fn replace_in_a_constraint_and_in_a_trigger_is_captured() {
    let mut w = World::new(
        "CREATE TABLE c(id INTEGER PRIMARY KEY, e UNIQUE ON CONFLICT REPLACE);
         CREATE TABLE d(id INTEGER PRIMARY KEY, e UNIQUE);
         CREATE TRIGGER copy AFTER INSERT ON c BEGIN INSERT OR REPLACE INTO d VALUES(new.id,new.e); END;
         INSERT INTO c VALUES(1,'a'),(2,'b')",
    );
    // The outer statement's policy rules the trigger's: here both replace.
    assert_eq!(w.sql("INSERT INTO c VALUES(3,'a')").unwrap().count, 4);
    let row = |id: i32, e: &str| vec![v(id), v(e)];
    w.change(vec![insert("c", &["id", "e"], vec![row(4, "b")], OnConflict::Fail)]).unwrap();
    assert_eq!(w.query("SELECT * FROM d ORDER BY id"), [row(3, "a"), row(4, "b")]);
}

#[test]
fn cascades_are_captured() {
    let mut w = World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY);
         CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE TABLE n(id INTEGER PRIMARY KEY, c REFERENCES c ON DELETE SET NULL);
         INSERT INTO p VALUES(1),(2); INSERT INTO c VALUES(10,1),(11,1),(12,2);
         INSERT INTO n VALUES(100,10),(101,12)",
    );
    assert_eq!(w.sql("UPDATE p SET id=5 WHERE id=2").unwrap().count, 3);
    let a = w.sql("DELETE FROM p WHERE id=1").unwrap();
    assert_eq!(a.count, 4);
    assert_eq!(w.sql("REPLACE INTO p VALUES(5)").unwrap().count, 2);
}

#[test]
fn a_users_trigger_cannot_hide_a_change() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a);
         CREATE TRIGGER i AFTER INSERT ON t BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER u AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER d AFTER DELETE ON t BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER b BEFORE INSERT ON t WHEN new.a=0 BEGIN SELECT RAISE(IGNORE); END;",
    );
    assert_eq!(w.sql("INSERT INTO t VALUES(1,1),(2,2),(3,0)").unwrap().count, 2);
    assert_eq!(w.sql("UPDATE t SET a=5").unwrap().count, 2);
    assert_eq!(w.sql("DELETE FROM t").unwrap().count, 2);
}

#[test]
fn a_delete_that_can_be_ignored_is_not_replaced() {
    let mut w = World::new(
        "CREATE TABLE w(k INT PRIMARY KEY, u) WITHOUT ROWID;
         CREATE TRIGGER no BEFORE DELETE ON w WHEN old.u=3 BEGIN SELECT RAISE(IGNORE); END;
         INSERT INTO w VALUES(5,10),(6,3),(9,4)",
    );
    let (code, message) = w.code("UPDATE OR REPLACE w SET k=k+1");
    assert_eq!(code, RejectCode::NotAllowed);
    assert!(message.contains("its trigger \"no\" can ignore"), "{message}");
    let row = vec![v(5), v(5)];
    let replace = insert("w", &["k", "u"], vec![row], OnConflict::Replace);
    assert_eq!(w.change(vec![replace]).unwrap_err().code, RejectCode::NotAllowed);
    assert_eq!(w.sql("DELETE FROM w").unwrap().count, 2);
    // Another table may be replaced in.
    w.sql(
        "CREATE TABLE r(k INT PRIMARY KEY);
         CREATE TRIGGER other AFTER DELETE ON w BEGIN REPLACE INTO r VALUES(old.k); END;
         INSERT INTO w VALUES(5,10); DELETE FROM w",
    )
    .unwrap();
}

#[test]
fn triggers_do_not_enter_themselves() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, touched INT DEFAULT 0);
         CREATE TRIGGER touch AFTER UPDATE ON t BEGIN
           UPDATE t SET touched=touched+1 WHERE id=new.id; END;
         INSERT INTO t(id,a) VALUES(1,1)",
    );
    let a = w.sql("UPDATE t SET a=2").unwrap();
    assert_eq!(a.count, 1);
    assert_eq!(w.query("SELECT touched FROM t"), [[v(1)]]);
    w.change(vec![update("t", vec![v(1)], &["a"], vec![v(3)])]).unwrap();
    assert_eq!(w.query("SELECT touched FROM t"), [[v(2)]]);
    let row = vec![v(1), v(9)];
    w.change(vec![insert("t", &["id", "a"], vec![row.clone()], OnConflict::Replace)]).unwrap();
    w.change(vec![insert("t", &["id", "a"], vec![row], OnConflict::Update)]).unwrap();
    assert_eq!(w.query("SELECT touched FROM t"), [[v(1)]]);
}

#[test]
fn hidden_rowid_generated_columns_and_odd_names() {
    let mut w = World::new(
        "CREATE TABLE \"a \"\"b\"(rowid TEXT, \"select\" INT, g AS (\"select\"*2),
            s TEXT GENERATED ALWAYS AS (rowid||'!') STORED);
         INSERT INTO \"a \"\"b\"(rowid,\"select\") VALUES('x',1),('x',1)",
    );
    let def = w.copy.catalogue().tables[0].clone();
    assert_eq!(def.columns.last().unwrap().name, "rowid");
    assert!(def.columns.last().unwrap().hidden);
    let a = w.sql("UPDATE \"a \"\"b\" SET \"select\"=5 WHERE _rowid_=2").unwrap();
    let image = a.changes.get(0).unwrap().image.unwrap().to_values().unwrap();
    assert_eq!(image, [v("x"), v(5), v(10), v("x!"), v(2)]);
    let row = vec![v("n"), v(50)];
    let c = insert("a \"b", &["rowid", "_rowid_"], vec![row], OnConflict::Update);
    w.change(vec![c.clone()]).unwrap();
    assert!(!w.change(vec![c]).unwrap().is_change());
}

#[test]
fn collations_of_keys_count() {
    let mut w = World::new(
        "CREATE TABLE k(a TEXT COLLATE NOCASE PRIMARY KEY, b);
         CREATE TABLE x(a TEXT, b, PRIMARY KEY(a COLLATE RTRIM)) WITHOUT ROWID;
         INSERT INTO k VALUES('abc',1); INSERT INTO x VALUES('abc',1)",
    );
    let a = w.sql("UPDATE k SET a='ABC'").unwrap();
    assert_eq!(ops(&a), [(Update, vec![v("ABC")])]);
    assert_eq!(ops(&w.sql("REPLACE INTO x VALUES('abc  ',1)").unwrap()).len(), 1);
    assert_eq!(w.sql("INSERT INTO k VALUES('aBc',1)").unwrap_err().code, RejectCode::PrimaryKey);
    w.change(vec![delete("k", vec![v("abC")])]).unwrap();
}

#[test]
fn result_rows_come_back() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    let a =
        w.sql("INSERT INTO t(a) VALUES('x'),('y') RETURNING id, a AS b; SELECT count(*) FROM t");
    let a = a.unwrap();
    assert_eq!(a.results[0].columns, ["id", "b"]);
    assert_eq!(a.results[0].rows, [[v(1), v("x")], [v(2), v("y")]]);
    assert_eq!(a.results[1].rows, [[v(2)]]);
    let sql = "INSERT INTO t(a) VALUES(?1) RETURNING ?2".to_owned();
    let params = vec![v("z"), v(vec![1u8, 2])];
    let a = w.apply(&Request::Sql(SqlRequest { sql, params, want_rows: true })).unwrap();
    assert_eq!(a.results[0].rows, [[v(vec![1u8, 2])]]);
}
