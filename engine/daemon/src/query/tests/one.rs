//! Queries of what is in `main` alone.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shmirror_shm::value::Value;

use super::super::names::mentioned;
use super::*;

const PLANT: &str = "
  CREATE TABLE site(code TEXT COLLATE NOCASE PRIMARY KEY, name TEXT, n INT) WITHOUT ROWID;
  CREATE TABLE tag(id INTEGER PRIMARY KEY, site TEXT REFERENCES site, v REAL, g AS (v*2));
  CREATE TABLE pair(a, b TEXT, c, PRIMARY KEY(b, a));
  CREATE TABLE log(at INT, text TEXT COLLATE RTRIM);
  CREATE TABLE \"o \"\"d\"(\"select\" BLOB PRIMARY KEY, rowid);
  CREATE VIEW v1 AS SELECT site.name, sum(v) AS s FROM tag JOIN site ON site.code=tag.site GROUP BY 1;
  CREATE VIEW v2 AS SELECT * FROM v1 WHERE s>5;
  CREATE INDEX by_site ON tag(site);
  INSERT INTO site VALUES('A','Alpha',1),('b','Beta',NULL),('C','Gamma','x');
  INSERT INTO tag(id,site,v) SELECT value, char(65+value%3), value*0.5 FROM json_each('[5,3,9,1,2,12]');
  INSERT INTO pair VALUES(1,'x',NULL),(1.5,'x',x'00'),('1','x','t'),(2,'5',1),(2,'5.0',2);
  INSERT INTO log VALUES(1,'one '),(2,'two'),(NULL,NULL);
  INSERT INTO \"o \"\"d\" VALUES(5,'five'),('5','text'),(x'35','blob');
";

#[test]
fn the_same_rows_as_sqlite() {
    let mut mirror = Mirror::new(PLANT);
    for sql in [
        "SELECT * FROM site",
        "SELECT * FROM tag",
        "SELECT rowid,* FROM log",
        "SELECT * FROM tag WHERE id=3",
        "SELECT * FROM tag WHERE id='3'",
        "SELECT * FROM tag WHERE rowid=9.0",
        "SELECT * FROM tag WHERE id=3.5 OR id IS NULL",
        "SELECT * FROM tag WHERE id IN (1,2,77) ORDER BY id DESC",
        "SELECT name FROM site WHERE code='c'",
        "SELECT name FROM site WHERE code='c' COLLATE BINARY",
        "SELECT name FROM site WHERE code=NULL",
        "SELECT * FROM pair WHERE a=1 AND b='x'",
        "SELECT * FROM pair WHERE a='1' AND b='x'",
        "SELECT * FROM pair WHERE b=5",
        "SELECT * FROM pair WHERE b=5 AND a=2",
        "SELECT p.* FROM tag JOIN pair p ON p.b=tag.id AND p.a=2",
        "SELECT rowid FROM log WHERE text='one'",
        "SELECT * FROM log WHERE _rowid_=3",
        "SELECT count(*), sum(v), max(g), group_concat(site) FROM tag",
        "SELECT s.name, t.id FROM tag t JOIN site s ON s.code=t.site ORDER BY t.id",
        "SELECT * FROM v2 ORDER BY 1",
        "SELECT \"select\", typeof(\"select\"), rowid FROM \"o \"\"d\" WHERE \"select\"=5",
        "SELECT rowid FROM \"o \"\"d\" WHERE \"select\"='5'",
        "SELECT rowid FROM [o \"d] WHERE \"select\"=x'35'",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5) SELECT i FROM n",
        "SELECT name FROM sqlite_schema WHERE type='table'",
        "SELECT type,name,sql,(SELECT count(*) FROM tag) FROM sqlite_master WHERE name NOT LIKE '%auto%'",
        "PRAGMA table_info(tag)",
        "SELECT name,pk FROM pragma_table_xinfo('pair')",
        "SELECT 1; SELECT 2 AS x, 'y' -- end",
        "",
    ] {
        let expected = mirror.sql(sql).results;
        let (revision, found) = mirror.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(found, expected, "{sql}");
        assert_eq!(revision, mirror.revision);
    }
}

#[test]
fn parameters_are_bound() {
    let mirror = Mirror::new(PLANT);
    let mut sql = request("SELECT ?2, name FROM site WHERE code=?1");
    sql.params = vec![Value::from("a"), Value::from(7)];
    let run = |sql| run_query(&[mirror.segment()], &sql, &Budget::default(), &none);
    assert_eq!(run(sql.clone()).unwrap().1[0].rows, [[Value::from(7), Value::from("Alpha")]]);
    sql.params.pop();
    assert_eq!(run(sql).unwrap_err().code, RejectCode::Malformed);
}

#[test]
fn what_writes_or_does_not_compile_is_refused() {
    let mirror = Mirror::new(PLANT);
    for (sql, code, message) in [
        ("DELETE FROM site", RejectCode::NotAllowed, "a query may only read"),
        ("CREATE TABLE x(a)", RejectCode::NotAllowed, "a query may only read"),
        ("DROP TABLE site", RejectCode::NotAllowed, "a query may only read"),
        ("SELECT 1; INSERT INTO log VALUES(1,1)", RejectCode::NotAllowed, "statement 2, line 1: "),
        ("VACUUM INTO '/tmp/shmirror-never'", RejectCode::NotAllowed, "a query may only read"),
        (
            "ATTACH '/tmp/shmirror-never' AS x",
            RejectCode::NotAllowed,
            "ATTACH and DETACH are not allowed",
        ),
        ("BEGIN", RejectCode::NotAllowed, "BEGIN, COMMIT"),
        ("PRAGMA journal_mode", RejectCode::NotAllowed, "PRAGMA journal_mode is not allowed"),
        ("CREATE TEMP TABLE t(a)", RejectCode::NotAllowed, "a query may only read"),
        ("SELECT nope\n FROM site", RejectCode::Sql, "line 1, column 8: no such column: nope"),
        ("SELECT * FROM nope", RejectCode::Sql, "no such table: nope"),
        ("SELECT CAST(x'ff' AS TEXT)", RejectCode::NotUtf8, "is not UTF-8"),
    ] {
        let reject = mirror.query(sql).unwrap_err();
        assert_eq!(reject.code, code, "{sql}: {reject}");
        assert!(reject.message.contains(message), "{reject}");
    }
}

#[test]
fn time_and_rows_are_limited() {
    let mirror = Mirror::new(PLANT);
    let budget = Budget { time: Duration::from_millis(30), ..Budget::default() };
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n";
    let reject = run_query(&[mirror.segment()], &request(endless), &budget, &none).unwrap_err();
    assert_eq!(reject.code, RejectCode::TimeLimit);
    assert_eq!(reject.message, "the query took longer than the 30ms that it may take");
    let budget = Budget { result_bytes: 100, ..Budget::default() };
    let reject = run_query(&[mirror.segment()], &request("SELECT * FROM tag"), &budget, &none);
    assert_eq!(reject.unwrap_err().code, RejectCode::Limit);
}

/// A join without a key visits each table over and over: it is moved to real tables.
#[test]
fn joins_that_no_key_helps_end() {
    let mut mirror = Mirror::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x INT); CREATE TABLE b(id INTEGER PRIMARY KEY, x INT)",
    );
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)";
    mirror.sql(&format!("INSERT INTO a {}", format_args!("{rows} SELECT i,i FROM n")));
    mirror.sql(&format!("INSERT INTO b {}", format_args!("{rows} SELECT i,20001-i FROM n")));
    let sql = "SELECT count(*), sum(a.id*b.id) FROM a JOIN b ON a.x=b.x";
    assert_eq!(mirror.query(sql).unwrap().1, mirror.sql(sql).results);
}

#[test]
fn a_reshaped_table_is_read_in_its_new_shape() {
    let mut mirror = Mirror::new(PLANT);
    mirror.sql("ALTER TABLE tag ADD COLUMN more DEFAULT 'm'");
    mirror
        .sql("DELETE FROM tag WHERE id>3; INSERT INTO tag(id,more) VALUES(4,'n'); DROP TABLE log");
    let sql = "SELECT * FROM tag";
    assert_eq!(mirror.query(sql).unwrap().1, mirror.sql(sql).results);
    assert_eq!(mirror.query("SELECT * FROM log").unwrap_err().code, RejectCode::Sql);
}

/// Two tables always have the same sum at every revision; a writer without pause changes both.
#[test]
fn a_query_is_of_one_revision_under_any_writer() {
    const QUERIES: usize = 60;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)";
    let mut mirror = Mirror::new(&format!(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x INT); CREATE TABLE b(id TEXT PRIMARY KEY, x INT);
         INSERT INTO a {rows} SELECT i,0 FROM n; INSERT INTO b {rows} SELECT 'k'||i,0 FROM n"
    ));
    mirror
        .sql("CREATE VIEW both AS SELECT (SELECT sum(x) FROM a) AS a, (SELECT sum(x) FROM b) AS b");
    let segment = mirror.segment();
    let mirror = Mutex::new(mirror);
    let done = AtomicBool::new(false);
    let copied = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut i = 0u64;
            while !done.load(Ordering::Relaxed) {
                i += 1;
                let (row, gone) = (i * 7 % 300 + 1, i * 11 % 300 + 1);
                let sql = match i % 4 {
                    0 => format!("DELETE FROM a WHERE id={gone}; DELETE FROM b WHERE id='k{gone}'"),
                    1 => format!(
                        "INSERT INTO a VALUES({gone},0) ON CONFLICT DO NOTHING;
                         INSERT INTO b VALUES('k{gone}',0) ON CONFLICT DO NOTHING"
                    ),
                    _ => format!(
                        "UPDATE a SET x=x+{i} WHERE id={row}; UPDATE b SET x=x+{i} WHERE id='k{row}'"
                    ),
                };
                mirror.lock().unwrap().sql(&sql);
            }
        });
        let _stop = AtEnd(&done);
        let copies = |tables: &[u32]| {
            copied.store(true, Ordering::Relaxed);
            Ok(mirror.lock().unwrap().copies(tables))
        };
        let mut last = 0;
        for n in 0..QUERIES {
            let sql = match n % 3 {
                0 => "SELECT a, b FROM both".to_owned(),
                1 => format!(
                    "SELECT (SELECT x FROM a WHERE id={n}),(SELECT x FROM b WHERE id='k{n}')"
                ),
                _ => "SELECT sum(a.x),sum(b.x) FROM a LEFT JOIN b ON b.id='k'||a.id".to_owned(),
            };
            let (revision, sets) = run_query(
                std::slice::from_ref(&segment),
                &request(&sql),
                &Budget::default(),
                &copies,
            )
            .unwrap();
            assert_eq!(sets[0].rows[0][0], sets[0].rows[0][1], "{sql}");
            assert!(revision >= last);
            last = revision;
        }
    });
    println!("a copy was needed: {}", copied.load(Ordering::Relaxed));
}

#[test]
fn a_segment_that_is_gone_is_replaced_by_copies() {
    let mirror = Mirror::new(PLANT);
    let gone = SegmentWriter::create([7; 16], 1, 64 << 20).unwrap();
    let gone = Segment::open(gone.region().clone()).unwrap();
    let asked = Mutex::new(Vec::new());
    let copies = |tables: &[u32]| {
        asked.lock().unwrap().push(tables.to_vec());
        Ok(mirror.copies(&[1, 2, 3, 4, 5]))
    };
    let sql = request("SELECT count(*) FROM tag");
    let (revision, sets) =
        run_query(std::slice::from_ref(&gone), &sql, &Budget::default(), &copies).unwrap();
    assert_eq!((revision, sets[0].rows[0][0].clone()), (1, Value::from(6)));
    assert_eq!(asked.into_inner().unwrap(), [Vec::<u32>::new()]);
    let refuse = |_: &[u32]| Err(Reject::new(RejectCode::Stopping, "stopping"));
    let reject =
        run_query(std::slice::from_ref(&gone), &sql, &Budget::default(), &refuse).unwrap_err();
    assert_eq!(reject.code, RejectCode::Stopping);
}

#[test]
fn copies_give_the_same() {
    let mut mirror = Mirror::new(PLANT);
    let catalogue = mirror.copy.catalogue().clone();
    for sql in
        ["SELECT * FROM v2", "SELECT * FROM pair WHERE a=1 AND b='x'", "SELECT * FROM \"o \"\"d\""]
    {
        let tables = mentioned(&catalogue, sql);
        let source: Arc<dyn TableSource> = Arc::new(mirror.copies(&tables));
        let expected = mirror.sql(sql).results;
        for sets in [
            copied::run(&source, &request(sql), &Budget::default()).unwrap(),
            direct::run(&source, &request(sql), &Budget::default()).unwrap(),
        ] {
            assert_eq!(sets, expected, "{sql}");
        }
    }
    assert_eq!(mentioned(&catalogue, "SELECT 1 FROM V1"), [1, 2]);
}
