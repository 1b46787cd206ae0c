//! Typed changes without SQLite come to what SQLite makes of them.

use super::property::Dice;
use super::*;

const SCHEMA: &str = "
  CREATE TABLE a(id INTEGER PRIMARY KEY, i INTEGER, r REAL, t TEXT, b BLOB, n NUMERIC, x);
  CREATE INDEX ai ON a(t, r DESC);
  CREATE TABLE k(k TEXT PRIMARY KEY, v NOT NULL DEFAULT 7, d DOUBLE);
  CREATE TABLE c(v REAL, p, q INT, w TEXT, PRIMARY KEY(q,p)) WITHOUT ROWID;
  CREATE TABLE s(id INT PRIMARY KEY, i INT, r REAL, t TEXT, b BLOB, x ANY) STRICT;
  CREATE TABLE z(id INTEGER PRIMARY KEY);
  CREATE TABLE e(x COLLATE NOCASE PRIMARY KEY, v);
  CREATE TABLE u(id INTEGER PRIMARY KEY, u UNIQUE);
  CREATE TABLE h(id INTEGER PRIMARY KEY, v CHECK (v<>3));
  CREATE TABLE p(id INTEGER PRIMARY KEY, v);
  CREATE TABLE f(id INTEGER PRIMARY KEY, p REFERENCES p(id));
  CREATE TABLE g(id INTEGER PRIMARY KEY, v, w AS (v||'!'));
  CREATE TABLE m(id INTEGER PRIMARY KEY, v);
  CREATE UNIQUE INDEX mv ON m(v);
  CREATE TABLE l(id INTEGER PRIMARY KEY, v);
  CREATE INDEX lv ON l(abs(v));
  CREATE TABLE o(id INTEGER PRIMARY KEY AUTOINCREMENT, v);
";

/// Tables with their columns, the key's first.
const TABLES: [(&str, usize, &[&str]); 13] = [
    ("a", 1, &["id", "i", "r", "t", "b", "n", "x"]),
    ("a", 1, &["id", "i", "r", "t", "b", "n", "x"]),
    ("k", 1, &["k", "v", "d"]),
    ("c", 2, &["q", "p", "v", "w"]),
    ("s", 1, &["id", "i", "r", "t", "b", "x"]),
    ("z", 1, &["id"]),
    ("e", 1, &["x", "v"]),
    ("u", 1, &["id", "u"]),
    ("h", 1, &["id", "v"]),
    ("f", 1, &["id", "p"]),
    ("p", 1, &["id", "v"]),
    ("l", 1, &["id", "v"]),
    ("m", 1, &["id", "v"]),
];

/// Which tables can be changed without SQLite.
const PLAIN: [&str; 5] = ["a", "k", "c", "s", "z"];

fn any(dice: &mut Dice) -> Value {
    match dice.roll(24) {
        0 => Value::Null,
        1 => v([i64::MIN, i64::MAX, -1, 0][dice.roll(4) as usize]),
        2 => v([0.0, -0.0, 5.0, 1e300, f64::INFINITY, f64::NAN, -1e-320, 9.3e18]
            [dice.roll(8) as usize]),
        3 | 4 => v(dice.roll(9) as f64 + 0.5),
        5..=8 => v(dice.of(&["a", "A", "5", "5.5", "", " 5", "a\0b", "é", "5e1", "0x10"])),
        9 | 10 => v([&b"\x00\xff"[..], b"a", b""][dice.roll(3) as usize]),
        _ => v(dice.roll(6) as i64),
    }
}

/// Mostly what the column takes as it is; if `tame`, but for one in a few hundred.
fn value(dice: &mut Dice, table: &str, column: &str, is_key: bool, tame: bool) -> Value {
    if dice.roll(if tame { 400 } else { 20 }) == 0 {
        return any(dice);
    }
    match (table, column) {
        (_, "id" | "q" | "i" | "u" | "p") if table != "c" || column != "p" => {
            v(dice.roll(9) as i64)
        }
        (_, "r" | "d") | ("c", "v") => v(dice.roll(9) as f64 / 2.0 + 0.25),
        (_, "t" | "k" | "w") => v(dice.of(&["a", "b", "B", "ab", "", "7", "a\0b"])),
        (_, "b") => v(&[1u8, 2, 3][..dice.roll(4) as usize]),
        _ if is_key => v(dice.of(&["x", "y"])),
        ("s" | "k", _) => v(dice.of(&["p", "q"])),
        _ => any(dice),
    }
}

fn change(dice: &mut Dice, tame: bool, revisions: &HashMap<(u32, Key), u64>) -> Change {
    let tables = if tame { 6 } else { TABLES.len() as u64 };
    let (table, keys, columns) = TABLES[dice.roll(tables) as usize];
    let mut row = |columns: &[&str]| -> Vec<Value> {
        let is_key = |i: usize| i < keys;
        columns.iter().enumerate().map(|(i, c)| value(dice, table, c, is_key(i), tame)).collect()
    };
    let (first, second, third) = (row(columns), row(columns), row(columns));
    let if_revision = match dice.roll(12) {
        0 => Some(0),
        1 => revisions.values().next().copied(),
        _ => None,
    };
    let action = match dice.roll(10) {
        0 if !tame => Action::Delete { key: first[..keys].to_vec(), if_revision },
        1..=3 => {
            // Now and then with a key column among them, or with none at all.
            let from =
                keys + dice.roll(columns.len() as u64) as usize - usize::from(dice.roll(15) == 0);
            let from = from.min(columns.len());
            let columns: Vec<String> = columns[from..].iter().map(|c| (*c).to_owned()).collect();
            let values = second[from..].to_vec();
            Action::Update { key: first[..keys].to_vec(), columns, values, if_revision }
        }
        _ => {
            use OnConflict::{Fail, Replace, Skip, Update};
            let on_conflict = [Update, Update, Update, Fail, Skip, Replace][dice.roll(6) as usize];
            let mut count = columns.len();
            if dice.roll(if tame { 12 } else { 4 }) == 0 {
                count = 1 + dice.roll(count as u64) as usize;
            }
            let mut order: Vec<usize> = (0..count).collect();
            if dice.roll(3) == 0 {
                order.rotate_left(1);
            }
            let pick = |row: &[Value]| order.iter().map(|&i| row[i].clone()).collect::<Vec<_>>();
            let mut rows = vec![pick(&first)];
            if if_revision.is_none() {
                rows.extend([pick(&second), pick(&third)].into_iter().take(dice.roll(3) as usize));
            }
            let columns = order.iter().map(|&i| columns[i].to_owned()).collect();
            Action::Insert { columns, rows, on_conflict, if_revision }
        }
    };
    Change { table: table.to_owned(), action }
}

fn statement(dice: &mut Dice) -> String {
    let table = TABLES[dice.roll(TABLES.len() as u64) as usize].0;
    match dice.roll(8) {
        0 => "UPDATE a SET i=i+1 WHERE id>3".to_owned(),
        1 => "DELETE FROM k WHERE d>2".to_owned(),
        2 => "INSERT INTO k(k,d) VALUES('new',1) ON CONFLICT DO UPDATE SET d=d+1".to_owned(),
        3 => "INSERT INTO a(t) VALUES('next')".to_owned(),
        4 => "DELETE FROM a WHERE id=(SELECT max(id) FROM a); DELETE FROM a WHERE id=2".to_owned(),
        5 => "INSERT OR ROLLBACK INTO z VALUES(1); INSERT OR ROLLBACK INTO z VALUES(1)".to_owned(),
        6 => "DELETE FROM z; INSERT INTO c SELECT id,id,id,id FROM s WHERE typeof(id)='integer'"
            .to_owned(),
        // The order of the rows too, of which those of k have rowids of their own.
        _ => format!("SELECT * FROM {table} NOT INDEXED"),
    }
}

/// A trigger that does nothing has SQLite do everything.
fn with_triggers() -> World {
    let triggers: String = TABLES[1..]
        .iter()
        .map(|(t, ..)| {
            format!("CREATE TRIGGER no_{t} AFTER INSERT ON {t} WHEN 0 BEGIN SELECT 1; END;")
        })
        .collect();
    World::new(&format!("{SCHEMA}{triggers}"))
}

#[test]
fn what_is_done_directly_is_what_sqlite_does() {
    let seed =
        std::env::var("SHMIRROR_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
                as u64
        });
    println!("SHMIRROR_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (mut direct, mut general) = (World::new(SCHEMA), with_triggers());
    let (mut done, mut refused, mut without) = (0, 0, 0);
    for _ in 0..1_500 {
        let start = (direct.rows.clone(), direct.revisions.clone(), direct.revision);
        direct.copy.begin_group().unwrap();
        general.copy.begin_group().unwrap();
        for _ in 0..=dice.roll(4) {
            let request = match dice.roll(8) {
                0 => request(&statement(&mut dice)),
                _ => {
                    let (count, tame) = (1 + dice.roll(3), dice.roll(3) > 0);
                    let one = |_| change(&mut dice, tame, &direct.revisions);
                    Request::Transaction((0..count).map(one).collect())
                }
            };
            let apply = |world: &mut World| {
                let known = Known(&world.revisions);
                let applied = world.copy.apply(&request, &known, &Budget::default());
                if let Ok(applied) = &applied {
                    world.replay(applied);
                }
                world.check();
                applied
            };
            match (apply(&mut direct), apply(&mut general)) {
                (Ok(one), Ok(other)) => {
                    assert_eq!(one.changes, other.changes, "{request:?}");
                    assert_eq!(one.count, other.count);
                    assert_eq!(one.results, other.results, "{request:?}");
                    done += 1;
                    let is_plain = |d: RowDelta<'_>| {
                        let def = direct.copy.catalogue().table_by_id(d.table).unwrap();
                        PLAIN.contains(&def.name.as_str())
                    };
                    if !direct.copy.overlay.is_empty() && !one.changes.is_empty() {
                        assert!(one.changes.iter().all(is_plain), "{request:?}");
                        without += 1;
                    }
                }
                (Err(one), Err(other)) => {
                    assert_eq!(
                        (one.code, &one.message),
                        (other.code, &other.message),
                        "{request:?}"
                    );
                    assert_ne!(one.code, RejectCode::Internal, "{one}");
                    refused += 1;
                }
                (one, other) => panic!("{request:?}: {one:?} is not {other:?}"),
            }
            assert!(general.copy.overlay.is_empty());
        }
        if dice.roll(6) == 0 {
            for world in [&mut direct, &mut general] {
                world.copy.rollback_group().unwrap();
                (world.rows, world.revisions, world.revision) = start.clone();
            }
        } else {
            direct.copy.commit_group().unwrap();
            general.copy.commit_group().unwrap();
        }
        assert_eq!(direct.copy.broken(), None);
        direct.check();
        assert_eq!(direct.rows, general.rows);
    }
    for world in [&mut direct, &mut general] {
        world.sql("SELECT 1").unwrap();
        world.check();
        world.check_integrity();
    }
    println!("{done} done, {without} of them without SQLite, {refused} refused");
    assert!(done > 500 && refused > 300 && without > 300, "{done} {refused} {without}");
}

/// Rows with these keys, each with this value.
fn put(keys: std::ops::Range<i64>, value: i64) -> Vec<Change> {
    let rows = keys.map(|id| vec![v(id), v(value)]).collect();
    vec![insert("t", &["id", "a"], rows, OnConflict::Update)]
}

#[test]
fn a_full_overlay_goes_to_sqlite() {
    let mut world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    world.change(put(0..40_000, 1)).unwrap();
    assert!(world.copy.overlay.is_full());
    world.change(put(39_999..40_001, 2)).unwrap();
    assert!(!world.copy.overlay.is_full() && !world.copy.overlay.is_empty());
    assert_eq!(
        world.query("SELECT a, count(*) FROM t GROUP BY a"),
        [[v(1), v(39_999)], [v(2), v(2)]]
    );
    assert!(world.copy.overlay.is_empty());
}

#[test]
fn a_request_in_doubt_is_done_by_sqlite_from_its_beginning() {
    let mut world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    world.change(put(0..10, 1)).unwrap();
    // The last one is no integer.
    let mut changes = put(0..10, 2);
    changes.push(insert("t", &["id", "a"], vec![vec![v("10"), v(2)]], OnConflict::Update));
    let applied = world.change(changes).unwrap();
    assert_eq!(applied.count, 11);
    assert!(world.copy.overlay.is_empty());
    let mut changes = put(0..10, 3);
    changes.push(update("t", vec![v(99)], &["a"], vec![v(3)]));
    let reject = world.change(changes).unwrap_err();
    assert_eq!(reject.code, RejectCode::NoSuchRow);
    assert_eq!(world.query("SELECT count(*) FROM t WHERE a=2"), [[v(11)]]);
}

#[test]
fn what_makes_a_table_less_plain_is_seen_at_once() {
    let mut world = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE log(a)");
    for (sql, undo) in [
        (
            "CREATE TRIGGER r AFTER UPDATE ON t BEGIN INSERT INTO log VALUES(new.a); END",
            "DROP TRIGGER r",
        ),
        ("CREATE UNIQUE INDEX i ON t(a,id)", "DROP INDEX i"),
        ("CREATE INDEX i ON t(abs(a))", "DROP INDEX i"),
        ("CREATE INDEX i ON t(a) WHERE a>1", "DROP INDEX i"),
        ("CREATE TABLE child(t REFERENCES T)", "DROP TABLE child"),
    ] {
        world.change(put(0..3, 1)).unwrap();
        world.change(put(0..3, 2)).unwrap();
        assert!(!world.copy.overlay.is_empty(), "before {sql}");
        world.sql(sql).unwrap();
        world.change(put(0..3, 3)).unwrap();
        assert!(world.copy.overlay.is_empty(), "after {sql}");
        world.sql(undo).unwrap();
    }
    assert_eq!(world.query("SELECT a FROM log"), [[v(3)], [v(3)], [v(3)]]);
}
