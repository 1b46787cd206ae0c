//! Queries over several namespaces.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shmirror_shm::value::Value;

use super::super::names::mentioned;
use super::*;

const PLANT: u16 = 1;
const LAB: u16 = 2;

const TABLES: &str = "
  CREATE TABLE site(code TEXT COLLATE NOCASE PRIMARY KEY, name TEXT) WITHOUT ROWID;
  CREATE TABLE pid(id INTEGER PRIMARY KEY, name TEXT);
  CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v REAL, g AS (v*2));
  CREATE TABLE plant.loop(a, b TEXT, pid INT REFERENCES pid, PRIMARY KEY(b, a));
  CREATE TABLE lab.loop(at INT, text TEXT COLLATE RTRIM);
  CREATE TABLE lab.\"o \"\"d's\"(\"select\" BLOB PRIMARY KEY, rowid);
  CREATE INDEX plant.by_v ON pid(v);
  CREATE INDEX by_name ON pid(name);
  CREATE VIEW named AS SELECT name FROM pid ORDER BY id;
  CREATE VIEW plant.hot AS SELECT id, v FROM pid WHERE v>1;
  CREATE VIEW plant.hotter AS SELECT * FROM hot WHERE v>2;
  CREATE VIEW plant.many AS SELECT count(*) AS n FROM pid;
  CREATE VIEW lab.\"v \"\"w\" AS SELECT count(*) AS n, max(\"select\") AS m FROM \"o \"\"d's\";
  CREATE TRIGGER plant.grow AFTER INSERT ON loop BEGIN UPDATE pid SET v=v+1 WHERE id=NEW.pid; END;
  INSERT INTO site VALUES('A','Alpha'),('b','Beta');
  INSERT INTO pid VALUES(1,'one'),(2,'two'),(3,'three');
  INSERT INTO plant.pid(id,v) VALUES(1,0.5),(2,1.5),(4,2.5),(5,NULL);
  INSERT INTO plant.loop VALUES(1,'x',1),(1.5,'x',2),('1','y',4);
  INSERT INTO lab.loop VALUES(1,'one '),(2,'two'),(NULL,NULL);
  INSERT INTO lab.\"o \"\"d's\" VALUES(5,'five'),('5','text'),(x'35','blob');
";

fn mirror() -> Mirror {
    Mirror::with(&["plant", "lab"], TABLES)
}

#[test]
fn joins_views_indexes_and_names_are_as_in_sqlite() {
    let mut mirror = mirror();
    for sql in [
        "SELECT * FROM pid",
        "SELECT * FROM main.pid",
        "SELECT * FROM plant.pid",
        "SELECT * FROM PLANT.PID WHERE id=2",
        "SELECT * FROM \"plant\".[pid] WHERE id IN (1,4,9)",
        "SELECT m.name, p.v FROM pid m JOIN plant.pid p USING(id) ORDER BY id",
        "SELECT m.id FROM main.pid m LEFT JOIN plant.pid p ON p.id=m.id WHERE p.id IS NULL",
        "SELECT plant.pid.v, main.pid.name FROM plant.pid JOIN main.pid ON plant.pid.id=main.pid.id",
        // Of two other namespaces the one with the smaller number is meant.
        "SELECT * FROM loop",
        "SELECT text FROM lab.loop, loop WHERE loop.a=lab.loop.at",
        "SELECT l.pid, lab.loop.text FROM loop l JOIN lab.loop ON lab.loop.at=l.pid ORDER BY 1",
        "SELECT * FROM loop WHERE a=1 AND b='x'",
        "SELECT * FROM named",
        "SELECT * FROM hot",
        "SELECT * FROM plant.hotter",
        "SELECT named.name, hot.v FROM named, hot WHERE hot.id=2 ORDER BY 1",
        "SELECT * FROM lab.\"v \"\"w\"",
        "SELECT rowid FROM \"o \"\"d's\" WHERE \"select\"=5",
        "SELECT rowid FROM lab.'o \"d''s' WHERE \"select\"=x'35'",
        "SELECT count(*) FROM site, pid, plant.pid, loop, lab.loop, hotter",
        "WITH hot(x) AS (SELECT 7) SELECT x, v FROM hot, plant.hot ORDER BY 2",
        // By real tables.
        "SELECT type, name, tbl_name, sql FROM plant.sqlite_schema",
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type<>'trigger'",
        "SELECT name, (SELECT v FROM plant.pid WHERE id=1) FROM lab.sqlite_master",
        "PRAGMA plant.table_info(pid)",
        "PRAGMA table_info(loop)",
        "SELECT name, pk FROM pragma_table_xinfo('pid','plant')",
        "SELECT name FROM pragma_index_list('pid','plant')",
        "SELECT name FROM pragma_index_info('by_v')",
        "SELECT schema, name, type FROM pragma_table_list ORDER BY 1,2",
        // SQLite names no column here, and of a bare name no namespace.
        "SELECT n, (SELECT count(*) FROM sqlite_schema) FROM plant.many",
        "SELECT count(*), (SELECT count(*) FROM sqlite_schema) FROM pid",
        "SELECT count(*), (SELECT count(*) FROM sqlite_schema) FROM loop",
        "SELECT count(*), (SELECT count(*) FROM sqlite_schema) FROM lab.loop",
        "SELECT 1 FROM plant.pid; SELECT 2 FROM lab.loop; SELECT name FROM pid",
    ] {
        let expected = mirror.sql(sql).results;
        let (revision, found) = mirror.query(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(found, expected, "{sql}");
        assert_eq!(revision, mirror.revision);
    }
}

#[test]
fn what_may_not_be_read_is_nowhere_to_be_seen() {
    let mirror = mirror();
    let list =
        "SELECT schema||'.'||name FROM pragma_table_list WHERE name NOT LIKE 'sqlite_%' ORDER BY 1";
    let seen = |ids: &[u16], sql: &str| -> Vec<String> {
        let sets = mirror.query_of(ids, sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        sets[0]
            .rows
            .iter()
            .map(|row| match &row[0] {
                Value::Text(text) => text.to_string(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(seen(&[0], list), ["main.named", "main.pid", "main.site"]);
    let plant = ["plant.hot", "plant.hotter", "plant.loop", "plant.many", "plant.pid"];
    assert_eq!(seen(&[PLANT], list), plant);
    assert_eq!(seen(&[LAB], list), ["lab.loop", "lab.o \"d's", "lab.v \"w"]);
    let schemas = "SELECT DISTINCT schema FROM pragma_table_list ORDER BY 1";
    assert_eq!(seen(&[0], schemas), ["main", "temp"]);
    assert_eq!(seen(&[PLANT], schemas), ["main", "plant", "temp"]);
    // Without main a name is that of the first namespace that is left.
    let by_name = "SELECT group_concat(name) FROM pragma_table_info('loop')";
    assert_eq!(seen(&[0, PLANT, LAB], by_name), ["a,b,pid"]);
    assert_eq!(seen(&[0, LAB], by_name), ["at,text"]);
    let rows = |ids: &[u16], sql: &str| mirror.query_of(ids, sql).unwrap()[0].rows.len();
    assert_eq!(rows(&[PLANT], "SELECT * FROM pid WHERE g>0"), 3);
    assert_eq!(rows(&[LAB], "SELECT * FROM loop WHERE text='one'"), 1);
    assert_eq!(rows(&[PLANT], "SELECT * FROM sqlite_schema"), 0);
    assert_eq!(rows(&[LAB], "SELECT * FROM main.sqlite_schema"), 0);
}

#[test]
fn a_hidden_name_is_refused_as_one_that_is_nowhere() {
    let mirror = mirror();
    for (sql, ids) in [
        ("SELECT * FROM plant.pid", [0, LAB]),
        ("SELECT * FROM plant.hot", [0, LAB]),
        ("SELECT * FROM hot", [0, LAB]),
        ("SELECT v FROM hotter, site", [0, LAB]),
        ("SELECT * FROM plant.sqlite_schema", [0, LAB]),
        ("PRAGMA plant.table_info(pid)", [0, LAB]),
        ("SELECT plant.pid.v FROM pid", [0, LAB]),
        ("DELETE FROM plant.pid", [0, LAB]),
        ("UPDATE plant.pid SET v=1", [0, LAB]),
        ("CREATE TABLE plant.fresh(a)", [0, LAB]),
        ("DROP TABLE plant.pid", [0, LAB]),
        ("CREATE INDEX plant.i ON pid(v)", [0, LAB]),
        ("ALTER TABLE plant.pid ADD COLUMN z", [0, LAB]),
        ("DETACH plant", [0, LAB]),
        ("SELECT * FROM main.pid", [PLANT, LAB]),
        ("SELECT * FROM site", [PLANT, LAB]),
        ("SELECT 1 FROM plant.pid JOIN site", [PLANT, LAB]),
    ] {
        let hidden = mirror.query_of(&ids, sql).expect_err(sql);
        let swap = |text: &str| {
            let names =
                [("plant", "never"), ("hotter", "nobody"), ("hot", "warm"), ("site", "nope")];
            names.iter().fold(text.to_owned(), |text, (of, to)| text.replace(of, to))
        };
        // Namespaces with the same tables, but for those that are hidden.
        let nowhere = match ids {
            [0, LAB] => mirror.query_of(&ids, &swap(sql)).expect_err(sql),
            _ => mirror
                .query_of(&ids, &sql.replace("site", "nope").replace("main.pid", "main.nope"))
                .expect_err(sql),
        };
        let message = match ids {
            [0, LAB] => swap(&hidden.message),
            _ => hidden.message.replace("site", "nope").replace("main.pid", "main.nope"),
        };
        assert_eq!((hidden.code, message), (nowhere.code, nowhere.message), "{sql}");
    }
    let reject = mirror.query_of(&[0], "SELECT * FROM plant.pid").unwrap_err();
    assert!(reject.message.contains("no such table: plant.pid"), "{reject}");
}

#[test]
fn nothing_is_written_and_nothing_attached() {
    let mirror = mirror();
    for (sql, code, message) in [
        ("DELETE FROM plant.pid", RejectCode::NotAllowed, "a query may only read"),
        ("UPDATE plant.pid SET v=0", RejectCode::NotAllowed, "a query may only read"),
        ("INSERT INTO lab.loop VALUES(1,1)", RejectCode::NotAllowed, "a query may only read"),
        ("CREATE TABLE plant.fresh(a)", RejectCode::NotAllowed, "a query may only read"),
        ("DROP TABLE plant.pid", RejectCode::NotAllowed, "a query may only read"),
        ("ATTACH ':memory:' AS x", RejectCode::NotAllowed, "ATTACH and DETACH are not allowed"),
        ("DETACH plant", RejectCode::NotAllowed, "ATTACH and DETACH are not allowed"),
        ("PRAGMA database_list", RejectCode::NotAllowed, "PRAGMA database_list is not allowed"),
        ("SELECT * FROM plant.nope", RejectCode::Sql, "no such table: plant.nope"),
    ] {
        let reject = mirror.query(sql).unwrap_err();
        assert_eq!(reject.code, code, "{sql}: {reject}");
        assert!(reject.message.contains(message), "{sql}: {reject}");
    }
}

/// What a text can mean, and so what a query on it attaches.
#[test]
fn only_what_is_meant_is_made_ready() {
    let mirror = mirror();
    let catalogue = mirror.copy.catalogue();
    let names = |sql: &str| -> (Vec<&str>, Vec<String>) {
        let found = names::names_in(catalogue, sql);
        let spaces = found.namespaces.iter().map(|&i| catalogue.namespaces[i].name.as_str());
        let tables = found.tables.iter().map(|&i| catalogue.tables[i].full_name().into_owned());
        (spaces.collect(), tables.collect())
    };
    let found = |spaces: &[&'static str], tables: &[&str]| {
        (spaces.to_vec(), tables.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
    };
    // The name occurs in plant as well, but it is main's that is meant.
    assert_eq!(names("SELECT * FROM pid"), found(&[], &["pid"]));
    assert_eq!(names("SELECT * FROM named"), found(&[], &["pid"]));
    assert_eq!(names("SELECT * FROM plant.pid"), found(&["plant"], &["pid", "plant.pid"]));
    assert_eq!(names("SELECT * FROM HOTTER"), found(&["plant"], &["plant.pid"]));
    assert_eq!(names("SELECT * FROM loop"), found(&["plant"], &["plant.loop"]));
    let both = found(&["plant", "lab"], &["plant.loop", "lab.loop"]);
    assert_eq!(names("SELECT * FROM loop, Lab.loop"), both);
    for sql in
        ["SELECT 1 FROM 'o \"d''s'", "SELECT 1 FROM \"o \"\"d's\"", "SELECT 1 FROM [o \"d's]"]
    {
        assert_eq!(names(sql), found(&["lab"], &["lab.o \"d's"]), "{sql}");
    }
    assert_eq!(names("PRAGMA plant.table_info(x)"), found(&["plant"], &[]));
    assert_eq!(mentioned(catalogue, "SELECT * FROM hot").len(), 1);
}

#[test]
fn copies_give_the_same() {
    let mut mirror = mirror();
    let catalogue = mirror.copy.catalogue().clone();
    for sql in [
        "SELECT * FROM plant.hotter",
        "SELECT * FROM loop WHERE a=1 AND b='x'",
        "SELECT m.name, p.v FROM pid m JOIN plant.pid p USING(id) ORDER BY id",
        "SELECT * FROM lab.\"v \"\"w\"",
        "SELECT rowid, * FROM lab.loop",
    ] {
        let source: Arc<dyn TableSource> = Arc::new(mirror.copies(&mentioned(&catalogue, sql)));
        let expected = mirror.sql(sql).results;
        for sets in [
            copied::run(&source, &request(sql), &Budget::default()).unwrap(),
            direct::run(&source, &request(sql), &Budget::default()).unwrap(),
        ] {
            assert_eq!(sets, expected, "{sql}");
        }
    }
}

/// The caller's copies have the catalogue of what may be seen.
#[test]
fn copies_of_a_part_show_that_part_alone() {
    let mirror = mirror();
    let gone = SegmentWriter::create([7; 16], 1, 64 << 20).unwrap();
    let gone = Segment::open(gone.region().clone()).unwrap();
    let copies = |tables: &[u32]| {
        let mut copies = mirror.copies(tables);
        copies.catalogue = Arc::new(copies.catalogue.part(PLANT));
        copies.tables.retain(|id, _| copies.catalogue.table_by_id(*id).is_some());
        Ok(copies)
    };
    let run = |sql: &str| {
        let segments = [mirror.segments(&[PLANT]).remove(0), gone.clone()];
        run_query(&segments, &request(sql), &Budget::default(), &copies)
    };
    assert_eq!(run("SELECT sum(g) FROM pid").unwrap().1[0].rows, [[Value::from(15.0)]]);
    let reject = run("SELECT * FROM site").unwrap_err();
    assert!(reject.message.contains("no such table: site"), "{reject}");
}

/// A join that no key helps goes to real tables, with rows of both namespaces.
#[test]
fn joins_that_no_key_helps_end() {
    let mut mirror = Mirror::with(
        &["plant"],
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x INT);
         CREATE TABLE plant.a(id INTEGER PRIMARY KEY, x INT);
         CREATE INDEX plant.a_x ON a(x)",
    );
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000)";
    mirror.sql(&format!("INSERT INTO main.a {rows} SELECT i,i FROM n"));
    mirror.sql(&format!("INSERT INTO plant.a {rows} SELECT i,5001-i FROM n"));
    let sql = "SELECT count(*), sum(m.id*p.id) FROM a m JOIN plant.a p ON m.x=p.x";
    assert_eq!(mirror.query(sql).unwrap().1, mirror.sql(sql).results);
}

/// A group that has reached one of two segments is seen in both or in none.
#[test]
fn a_publication_that_is_half_done_is_waited_for() {
    let mut mirror = Mirror::with(
        &["plant"],
        "CREATE TABLE a(id INTEGER PRIMARY KEY, x INT); INSERT INTO a VALUES(1,1);
         CREATE TABLE plant.b(id INTEGER PRIMARY KEY, x INT); INSERT INTO plant.b VALUES(1,1)",
    );
    let sql = request("SELECT (SELECT x FROM a WHERE id=1), (SELECT x FROM plant.b WHERE id=1)");
    let segments = mirror.all();
    let before = mirror.revision;
    let (_, mut publication) = mirror.commit("UPDATE a SET x=2; UPDATE plant.b SET x=2");
    assert!(mirror.publish_next(&mut publication));
    assert_eq!(segments.iter().map(|s| s.revision()).collect::<Vec<_>>(), [before, before + 1]);
    // Nobody ends it: there is no answer but that the time is over.
    let short = Budget { time: Duration::from_millis(30), ..Budget::default() };
    let late = |_: &[u32]| Err(Reject::new(RejectCode::TimeLimit, "no copy in time"));
    assert_eq!(run_query(&segments, &sql, &short, &late).unwrap_err().code, RejectCode::TimeLimit);
    std::thread::scope(|scope| {
        let query = scope.spawn(|| run_query(&segments, &sql, &Budget::default(), &none));
        while mirror.publish_next(&mut publication) {}
        let (revision, sets) = query.join().unwrap().unwrap();
        assert_eq!((revision, &sets[0].rows[0][..]), (before + 1, &[2.into(), 2.into()][..]));
    });
}

/// Sums over both namespaces always balance, whatever a writer without pause does to both.
#[test]
fn a_query_over_two_namespaces_is_of_one_revision_under_any_writer() {
    const QUERIES: usize = 90;
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300)";
    let mirror = Mirror::with(
        &["plant"],
        &format!(
            "CREATE TABLE a(id INTEGER PRIMARY KEY, x INT);
             CREATE TABLE plant.a(id TEXT PRIMARY KEY, x INT);
             CREATE VIEW s AS SELECT sum(x) AS x FROM a; CREATE VIEW plant.s AS SELECT sum(x) AS x FROM a;
             INSERT INTO a {rows} SELECT i,0 FROM n; INSERT INTO plant.a {rows} SELECT 'k'||i,0 FROM n"
        ),
    );
    let segments = mirror.all();
    let mirror = Mutex::new(mirror);
    let done = AtomicBool::new(false);
    let copied = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let write = || {
            let mut i = 0u64;
            while !done.load(Ordering::Relaxed) {
                i += 1;
                let (row, gone) = (i * 7 % 300 + 1, i * 11 % 300 + 1);
                let sql = match i % 4 {
                    0 => format!(
                        "DELETE FROM a WHERE id={gone}; DELETE FROM plant.a WHERE id='k{gone}'"
                    ),
                    1 => format!(
                        "INSERT INTO a VALUES({gone},0) ON CONFLICT DO NOTHING;
                         INSERT INTO plant.a VALUES('k{gone}',0) ON CONFLICT DO NOTHING"
                    ),
                    _ => format!(
                        "UPDATE a SET x=x+{i} WHERE id={row};
                         UPDATE plant.a SET x=x+{i} WHERE id='k{row}'"
                    ),
                };
                mirror.lock().unwrap().slowly(&sql);
            }
        };
        scope.spawn(write);
        let _stop = AtEnd(&done);
        let copies = |tables: &[u32]| {
            copied.store(true, Ordering::Relaxed);
            Ok(mirror.lock().unwrap().copies(tables))
        };
        let mut last = 0;
        for n in 0..QUERIES {
            let sql = match n % 3 {
                0 => "SELECT m.x, p.x FROM s m, plant.s p".to_owned(),
                1 => format!(
                    "SELECT (SELECT x FROM a WHERE id={n}),(SELECT x FROM plant.a WHERE id='k{n}')"
                ),
                _ => "SELECT sum(a.x), sum(b.x) FROM a LEFT JOIN plant.a b ON b.id='k'||a.id"
                    .to_owned(),
            };
            let run = run_query(&segments, &request(&sql), &Budget::default(), &copies);
            let (revision, sets) = run.unwrap_or_else(|e| panic!("{sql}: {e}"));
            assert_eq!(sets[0].rows[0][0], sets[0].rows[0][1], "{sql}");
            assert!(revision >= last);
            last = revision;
        }
    });
    println!("a copy was needed: {}", copied.load(Ordering::Relaxed));
}

/// Views and tables of both namespaces are those of one revision: who sees the one half of a schema
/// change sees the other.
#[test]
fn schemas_of_two_namespaces_are_of_one_revision() {
    const QUERIES: usize = 60;
    let mirror = Mirror::with(
        &["plant"],
        "CREATE TABLE one(id INTEGER PRIMARY KEY); INSERT INTO one VALUES(1);
         CREATE TABLE plant.b(id INTEGER PRIMARY KEY, x INT); INSERT INTO plant.b VALUES(1,0);
         CREATE VIEW v AS SELECT 0 AS n; CREATE VIEW plant.v AS SELECT 0 AS n, x FROM b",
    );
    let segments = mirror.all();
    let mirror = Mutex::new(mirror);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let write = || {
            let mut i = 0u64;
            while !done.load(Ordering::Relaxed) {
                i += 1;
                let sql = format!(
                    "DROP VIEW main.v; DROP VIEW plant.v; CREATE VIEW v AS SELECT {i} AS n;
                     CREATE VIEW plant.v AS SELECT {i} AS n, x FROM b; UPDATE plant.b SET x={i}"
                );
                mirror.lock().unwrap().slowly(&sql);
            }
        };
        scope.spawn(write);
        let _stop = AtEnd(&done);
        let copies = |tables: &[u32]| Ok(mirror.lock().unwrap().copies(tables));
        for _ in 0..QUERIES {
            let sql = "SELECT m.n, p.n, p.x FROM v m, plant.v p";
            let run = run_query(&segments, &request(sql), &Budget::default(), &copies);
            let (_, sets) = run.unwrap_or_else(|e| panic!("{sql}: {e}"));
            let row = &sets[0].rows[0];
            assert!(row[0] == row[1] && row[1] == row[2], "{row:?}");
        }
    });
}
