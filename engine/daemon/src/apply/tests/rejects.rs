//! A refusal for each reason, by code and message, and nothing of the request remains.

use super::*;
use RejectCode as R;

fn world() -> World {
    World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY, n INT NOT NULL, u TEXT UNIQUE,
           c INT CONSTRAINT positive CHECK(c>0), g AS (n+1));
         CREATE TABLE q(k TEXT PRIMARY KEY, p INT REFERENCES p(id));
         CREATE TABLE d(k TEXT PRIMARY KEY, p INT REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED);
         CREATE TABLE s(id INTEGER PRIMARY KEY, i INT, t TEXT) STRICT;
         CREATE TRIGGER no BEFORE DELETE ON p BEGIN SELECT RAISE(ABORT,'p is for ever'); END;
         INSERT INTO p(id,n,u) VALUES(1,1,'a')",
    )
}

#[track_caller]
fn sql(text: &str, code: RejectCode, message: &str) {
    let mut w = world();
    let (c, m) = w.code(&format!("INSERT INTO q VALUES('before',1);\n {text}"));
    assert_eq!((c, m.as_str()), (code, message));
    assert_eq!(w.query("SELECT count(*) FROM q"), [[v(0)]]);
}

#[track_caller]
fn typed(change: Change, code: RejectCode, message: &str) {
    let mut w = world();
    let first = insert("q", &["k"], vec![vec![v("before")]], OnConflict::Fail);
    let reject = w.change(vec![first, change]).unwrap_err();
    assert_eq!((reject.code, reject.message.as_str()), (code, message));
    assert_eq!(w.query("SELECT count(*) FROM q"), [[v(0)]]);
}

fn put(table: &str, columns: &[&str], row: Vec<Value>) -> Change {
    insert(table, columns, vec![row], OnConflict::Fail)
}

#[test]
fn constraints_are_named() {
    sql(
        "INSERT INTO p VALUES(2,NULL,'b',1)",
        R::NotNull,
        "statement 2, line 2: NOT NULL constraint failed: p.n",
    );
    sql(
        "INSERT INTO p VALUES(2,1,'a',1)",
        R::Unique,
        "statement 2, line 2: UNIQUE constraint failed: p.u",
    );
    sql(
        "INSERT INTO p VALUES(1,1,'z',1)",
        R::PrimaryKey,
        "statement 2, line 2: UNIQUE constraint failed: p.id",
    );
    sql(
        "INSERT INTO p VALUES(2,1,'b',0)",
        R::Check,
        "statement 2, line 2: CHECK constraint failed: positive",
    );
    sql(
        "INSERT INTO q VALUES('x',9)",
        R::ForeignKey,
        "statement 2, line 2: FOREIGN KEY constraint failed q(p) → p(id)",
    );
    sql(
        "INSERT INTO d VALUES('x',9)",
        R::ForeignKey,
        "at the end of the request: FOREIGN KEY constraint failed (one of) q(p) → p(id), d(p) → p(id)",
    );
    sql("DELETE FROM p", R::Trigger, "statement 2, line 2: a trigger refused it: p is for ever");
    sql(
        "INSERT INTO s VALUES(1,'x','y')",
        R::Datatype,
        "statement 2, line 2: cannot store TEXT value in INT column s.i",
    );
    typed(
        put("p", &["id", "n"], vec![v("x"), v(1)]),
        R::Datatype,
        "insert into table \"p\", key ('x'): datatype mismatch",
    );
    typed(
        put("p", &["n", "u"], vec![v(1), v("a")]),
        R::Unique,
        "insert into table \"p\", row 1: UNIQUE constraint failed: p.u",
    );
    typed(
        put("q", &["k", "p"], vec![v("x"), v(9)]),
        R::ForeignKey,
        "insert into table \"q\", key ('x'): FOREIGN KEY constraint failed q(p) → p(id)",
    );
}

#[test]
fn keys_rows_and_names() {
    typed(
        put("nope", &[], vec![]),
        R::UnknownTable,
        "there is no table \"nope\"; tables are \"p\", \"q\", \"d\", \"s\"",
    );
    typed(
        put("q", &["k", "zz"], vec![v(1), v(1)]),
        R::UnknownColumn,
        "table \"q\" has no column \"zz\"; its columns are \"k\", \"p\"",
    );
    typed(delete("q", vec![v("no")]), R::NoSuchRow, "table \"q\" has no row with key ('no')");
    typed(
        delete("q", vec![v("a"), v("b")]),
        R::BadKey,
        "table \"q\", key ('a', 'b'): key of 2 values, 1 expected; the key is (k)",
    );
    typed(
        delete("q", vec![Value::Null]),
        R::BadKey,
        "table \"q\", key (NULL): key column k: NULL is no key",
    );
    typed(
        put("q", &["p"], vec![Value::Null]),
        R::BadKey,
        "table \"q\": a row has NULL in its key column \"k\"; each row needs a value there",
    );
    let long = "k".repeat(2000);
    let mut w = world();
    let (code, message) = w.code(&format!("INSERT INTO q(k) VALUES('{long}')"));
    assert_eq!(code, R::BadKey);
    assert!(message.ends_with("key of 2003 bytes, at most 1024 allowed"), "{message}");
    typed(
        put("p", &["g"], vec![v(1)]),
        R::NotAllowed,
        "table \"p\": column \"g\" is generated and takes no value",
    );
    typed(
        put("q", &["k", "K"], vec![v(1), v(1)]),
        R::Malformed,
        "change of table \"q\": column \"K\" is given twice",
    );
    typed(
        put("q", &["k", "p"], vec![v(1)]),
        R::Malformed,
        "change of table \"q\": a row of 1 values for 2 columns",
    );
    typed(
        update("q", vec![v("before")], &[], vec![]),
        R::Malformed,
        "change of table \"q\": an update that names no column",
    );
}

#[test]
fn sql_errors_tell_the_place() {
    sql("SELECT 1,\n  nope FROM p", R::Sql, "statement 2, line 3, column 3: no such column: nope");
    sql("SELEC 1", R::Sql, "statement 2, line 2, column 2: near \"SELEC\": syntax error");
    sql("SELECT * FROM nope", R::Sql, "statement 2, line 2: no such table: nope");
    sql("SELECT ?1", R::Malformed, "the statement has 1 parameters, 0 values given");
    sql(
        "SELECT CAST(x'ff' AS TEXT) AS t",
        R::NotUtf8,
        "result column \"t\": the TEXT value is not UTF-8",
    );
    sql(
        "INSERT INTO q(k) VALUES(CAST(x'ff' AS TEXT))",
        R::NotUtf8,
        "table \"q\", column \"k\": the TEXT value is not UTF-8",
    );
    let mut w = world();
    assert_eq!(w.code("SELECT 1;\0").0, R::Malformed);
    let params = vec![v(1)];
    let sql = "SELECT ?1; SELECT 2".to_owned();
    let several = w.apply(&Request::Sql(SqlRequest { sql, params, want_rows: false }));
    assert_eq!(several.unwrap_err().code, R::Malformed);
}

#[test]
fn what_is_not_allowed() {
    for text in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT a",
        "RELEASE request",
        "ROLLBACK TO request",
        "ATTACH ':memory:' AS x",
        "DETACH main",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA journal_mode",
        "PRAGMA writable_schema=1",
        "VACUUM",
        "VACUUM INTO '/tmp/shmirror-never'",
        "ANALYZE",
        "CREATE TEMP TABLE x(a)",
        "CREATE TEMP TRIGGER x AFTER INSERT ON p BEGIN SELECT 1; END",
        "CREATE TEMP VIEW x AS SELECT 1",
        "CREATE VIRTUAL TABLE x USING fts5(a)",
        "DROP TRIGGER temp.shmirror_1_insert",
        "SELECT load_extension('x')",
        "SELECT shmirror_capture(1,3,1,1,1,1,1)",
    ] {
        let mut w = world();
        let (code, message) = w.code(text);
        assert_eq!(code, R::NotAllowed, "{text}: {message}");
        assert!(message.starts_with("statement 1, line 1: "), "{message}");
        w.sql("INSERT INTO p(id,n) VALUES(77,1)").unwrap();
    }
    let (code, message) = world().code("CREATE TABLE x(rowid,_rowid_,oid)");
    assert_eq!(code, R::NotAllowed);
    assert!(message.contains("declare a PRIMARY KEY"), "{message}");
    for text in [
        "UPDATE sqlite_schema SET sql=''",
        "DELETE FROM sqlite_master",
        "DROP TABLE sqlite_schema",
        "DELETE FROM sqlite_temp_master",
        "CREATE TRIGGER x AFTER INSERT ON sqlite_schema BEGIN SELECT 1; END",
    ] {
        assert_eq!(world().code(text).0, R::Sql, "{text}");
    }
    world().sql("PRAGMA table_info(p)").unwrap();
}

#[test]
fn the_capture_function_is_out_of_reach_of_triggers_and_views() {
    let mut w = world();
    let call = "shmirror_capture(2,1,'fake',NULL)";
    let made = w.sql(&format!(
        "CREATE TRIGGER shmirror_1_insert AFTER INSERT ON p BEGIN SELECT {call}; END;
         INSERT INTO p(id,n) VALUES(2,1)"
    ));
    assert!(made.unwrap_err().message.contains("unsafe use of"));
    let made = w.sql(&format!(
        "CREATE VIEW shmirror_1_insert AS SELECT {call} AS x;
        SELECT * FROM shmirror_1_insert"
    ));
    assert!(made.unwrap_err().message.contains("unsafe use of"));
    assert!(
        w.sql(&format!("CREATE TABLE x(a DEFAULT ({call})); INSERT INTO x DEFAULT VALUES"))
            .is_err()
    );
}

#[test]
fn limits_are_named() {
    let mut w = world();
    let limit = |w: &mut World, text: &str| {
        let (code, message) = w.code(text);
        assert_eq!(code, R::Limit, "{message}");
        message
    };
    assert_eq!(
        limit(&mut w, "INSERT INTO q(k,p) VALUES('x',1); UPDATE q SET p=zeroblob(16777217)"),
        "table \"q\", column \"p\": bytes of a value: 16777217 found, at most 16777216 allowed"
    );
    assert!(w.sql("CREATE TABLE b(a,b); INSERT INTO b VALUES(zeroblob(16777216),1)").is_ok());
    assert!(
        limit(&mut w, "INSERT INTO b VALUES(zeroblob(16777216),zeroblob(16777216))")
            .starts_with("table \"b\": bytes of a row: 33554464 found, at most 33554432 allowed")
    );
    assert!(limit(&mut w, "SELECT zeroblob(40000000)").contains("a value may have 16777216 bytes"));
    let big = put("b", &["a"], vec![v(vec![0u8; (16 << 20) + 1])]);
    assert_eq!(w.change(vec![big]).unwrap_err().code, R::Limit);
    let columns = |n| (0..n).map(|i| format!("c{i}")).collect::<Vec<_>>().join(",");
    assert!(w.sql(&format!("CREATE TABLE wide({})", columns(256))).is_ok());
    assert_eq!(w.sql("INSERT INTO wide(c255) VALUES(1); UPDATE wide SET c0=2").unwrap().count, 1);
    assert_eq!(
        limit(&mut w, &format!("CREATE TABLE wider({})", columns(257))),
        "table \"wider\": columns: 257 found, at most 256 allowed"
    );
    let key = columns(17);
    limit(&mut w, &format!("CREATE TABLE keys({key},PRIMARY KEY({key}))"));
    let name = "n".repeat(256);
    limit(&mut w, &format!("CREATE TABLE {name}(a)"));
    limit(&mut w, &format!("CREATE TABLE n({name})"));
    limit(&mut w, &format!("SELECT '{}'", "x".repeat(1 << 20)));
    let budget = Budget { result_bytes: 1000, ..Budget::default() };
    w.copy.begin_group().unwrap();
    let many = request("SELECT randomblob(100) FROM wide, pragma_function_list");
    let reject = w.copy.apply(&many, &Known(&w.revisions), &budget).unwrap_err();
    w.copy.commit_group().unwrap();
    assert_eq!(reject.code, R::Limit);
    // 257 MiB of changed rows.
    assert!(
        limit(
            &mut w,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20)
             INSERT INTO b SELECT zeroblob(16000000),i FROM n"
        )
        .starts_with("bytes that one request changes: ")
    );
}

#[test]
fn the_number_of_tables_is_limited() {
    let mut w = world();
    let there = w.copy.catalogue().tables.len();
    let make = |from: usize, to: usize| {
        (from..to).map(|i| format!("CREATE TABLE more{i}(a)")).collect::<Vec<_>>().join(";")
    };
    let most = shmirror_shm::limits::TABLES;
    assert_eq!(
        w.code(&make(there, most + 1)),
        (R::Limit, "tables: 1025 found, at most 1024 allowed".to_owned())
    );
    assert_eq!(w.copy.catalogue().tables.len(), there, "all of it or nothing");
    w.sql(&make(there, most)).unwrap();
    assert_eq!(w.copy.catalogue().tables.len(), most);
    assert_eq!(w.code("CREATE TABLE one_more(a)").0, R::Limit);
}

#[test]
fn time_is_limited() {
    let mut w = world();
    let budget = Budget { time: Duration::from_millis(30), ..Budget::default() };
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n)";
    w.copy.begin_group().unwrap();
    for text in [
        format!("INSERT INTO q(k) VALUES('before'); {endless} SELECT count(*) FROM n"),
        format!("{endless} INSERT INTO q SELECT i,NULL FROM n"),
        format!("CREATE TABLE x AS {endless} SELECT i FROM n"),
    ] {
        let e = w.copy.apply(&request(&text), &Known(&w.revisions), &budget).unwrap_err();
        assert_eq!(e.code, R::TimeLimit);
        assert_eq!(e.message, "the request took longer than the 30ms that a transaction may take");
    }
    w.copy.commit_group().unwrap();
    w.check();
    w.sql("INSERT INTO q(k) VALUES('after')").unwrap();
}
