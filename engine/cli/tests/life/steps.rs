//! Random steps for the comparison with a model: typed changes and SQL, over tables with every kind of
//! key, a unique column, a CHECK, a cascade and triggers. Many of them must fail.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use shmirror::{Action, Change, OnConflict, Value};

/// The schema that steps begin with. What triggers leave behind does not depend on the order in which
/// a statement goes through rows.
pub const SCHEMA: &str = "
  CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT UNIQUE,
                      n INTEGER NOT NULL DEFAULT 0 CHECK (n < 100));
  CREATE TABLE child(k TEXT NOT NULL COLLATE NOCASE PRIMARY KEY,
                     p INTEGER REFERENCES parent(id) ON DELETE CASCADE ON UPDATE CASCADE, v);
  CREATE TABLE comp(a TEXT NOT NULL, b INTEGER NOT NULL, v, PRIMARY KEY(a, b)) WITHOUT ROWID;
  CREATE TABLE free(v, w BLOB);
  CREATE TABLE audit(what TEXT, key TEXT, times INTEGER NOT NULL, PRIMARY KEY(what, key)) WITHOUT ROWID;
  CREATE TRIGGER child_gone AFTER DELETE ON child BEGIN
    INSERT INTO audit VALUES ('child', lower(old.k), 1)
      ON CONFLICT(what, key) DO UPDATE SET times = times + 1; END;
  CREATE TRIGGER third AFTER INSERT ON comp WHEN new.b = 3 BEGIN
    UPDATE parent SET n = n + 1 WHERE id = 3; END;
  CREATE TRIGGER unlucky BEFORE UPDATE OF n ON parent WHEN new.n = 13 BEGIN
    SELECT RAISE(ABORT, 'unlucky'); END;
";

/// Columns of the tables that changes are for: those of the key first.
pub const TABLES: [(&str, &[&str], &[&str]); 4] = [
    ("parent", &["id"], &["name", "n"]),
    ("child", &["k"], &["p", "v"]),
    ("comp", &["a", "b"], &["v", "extra0"]),
    ("free", &["rowid"], &["v", "w"]),
];

/// One thing to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Changes that commit or fail as one.
    Changes(Vec<Change>),
    /// A change that is to be made if the row is of its revision now (`true`), or of another.
    IfRevision(Change, bool),
    /// Statements that commit or fail as one.
    Sql(String),
}

/// A step; typed changes and SQL about equally often, DDL now and then.
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => change().prop_map(|c| Step::Changes(vec![c])),
        2 => vec(change(), 2..5).prop_map(Step::Changes),
        2 => (change(), any::<bool>()).prop_map(|(c, right)| Step::IfRevision(c, right)),
        4 => dml().prop_map(Step::Sql),
        1 => vec(dml(), 2..4).prop_map(|all| Step::Sql(all.join("; "))),
        1 => ddl().prop_map(Step::Sql),
    ]
}

fn text() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "A", "b", "", "é", "温度", "12", "it''s"])
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => (-1i64..16).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => select(vec![0.5, 3.0, -1e300, f64::INFINITY]).prop_map(Value::from),
        3 => text().prop_map(Value::from),
        1 => vec(any::<u8>(), 0..40).prop_map(Value::from),
        1 => (10i64..120).prop_map(Value::from),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    (0..TABLES.len(), text(), 0i64..8, vec(proptest::option::weighted(0.7, value()), 2), 0..8)
        .prop_map(|(table, word, n, values, how)| {
            let (table, key_names, others) = TABLES[table];
            let key: Vec<Value> = match table {
                "child" => vec![word.into()],
                "comp" => vec![word.into(), n.into()],
                _ => vec![n.into()],
            };
            // The column that only ALTER TABLE brings is tried seldom.
            let given: Vec<(String, Value)> = others
                .iter()
                .zip(values)
                .filter_map(|(c, v)| Some(((*c).to_owned(), v?)))
                .filter(|(c, _)| c != "extra0" || n == 0)
                .collect();
            let (columns, values): (Vec<String>, Vec<Value>) = given.into_iter().unzip();
            let action = match how {
                0 => Action::Delete { key, if_revision: None },
                1 | 2 if !columns.is_empty() => {
                    Action::Update { key, columns, values, if_revision: None }
                }
                _ => {
                    let on_conflict = match how {
                        3 => OnConflict::Replace,
                        4 => OnConflict::Skip,
                        5 | 6 => OnConflict::Update,
                        _ => OnConflict::Fail,
                    };
                    let names = key_names.iter().map(|c| (*c).to_owned());
                    let columns = names.chain(columns).collect();
                    let rows = vec![key.into_iter().chain(values).collect()];
                    Action::Insert { columns, rows, on_conflict, if_revision: None }
                }
            };
            Change { table: table.to_owned(), action }
        })
}

/// SQL that changes rows. Where it goes through the rows of `child`, whose rowid is nobody's business,
/// the order does not matter.
fn dml() -> impl Strategy<Value = String> {
    (0..20, 0i64..9, 0i64..9, text()).prop_map(|(which, m, n, t)| match which {
        0 => format!("UPDATE parent SET n = n + {n}"),
        1 => format!("UPDATE parent SET id = id + {m} WHERE id > {n}"),
        2 => format!("DELETE FROM parent WHERE id = {n}"),
        3 => format!("REPLACE INTO parent(id, name, n) VALUES ({n}, '{t}', {m})"),
        4 => format!("REPLACE INTO parent(name) SELECT name FROM parent WHERE n < {n} ORDER BY id"),
        5 => format!("INSERT OR IGNORE INTO parent(id, name) VALUES ({n}, '{t}'), ({m}, NULL)"),
        6 => format!("REPLACE INTO child(k, p, v) VALUES ('{t}', {n}, {m}), ('{t}x', {m}, NULL)"),
        7 => format!("UPDATE child SET p = {n} WHERE k = '{t}'"),
        8 => format!("DELETE FROM child WHERE v = {n} OR p = {m}"),
        9 => format!(
            "INSERT INTO child(k, v) VALUES ('{t}', {n}) ON CONFLICT(k) DO UPDATE SET v = excluded.v + 1"
        ),
        10 => format!("UPDATE OR REPLACE comp SET b = {n} WHERE b = {m}"),
        11 => "UPDATE comp SET b = b + 1".to_owned(),
        12 => format!("INSERT INTO comp(a, b, v) SELECT k, {n}, v FROM child ORDER BY k"),
        13 => format!("DELETE FROM comp WHERE b > {n}"),
        14 => "INSERT INTO free(v, w) SELECT name, zeroblob(n) FROM parent ORDER BY id".to_owned(),
        15 => format!("DELETE FROM free WHERE rowid % 3 = {}", n % 3),
        16 => "DELETE FROM free; INSERT INTO parent(id, n) VALUES (77, 500)".to_owned(),
        17 => format!("INSERT INTO x(v) SELECT id FROM parent WHERE id > {n} ORDER BY id"),
        18 => format!("INSERT INTO parent(id, name, n) VALUES ({n}, '{t}', {m})"),
        _ => format!("UPDATE free SET rowid = rowid + {m}, v = '{t}' WHERE rowid = {n}"),
    })
}

fn ddl() -> impl Strategy<Value = String> {
    let all = vec![
        "ALTER TABLE comp ADD COLUMN extra0 DEFAULT 'né'",
        "ALTER TABLE comp ADD COLUMN extra1 INTEGER NOT NULL DEFAULT 7",
        "ALTER TABLE comp DROP COLUMN extra0",
        "ALTER TABLE child RENAME COLUMN v TO renamed",
        "ALTER TABLE child RENAME COLUMN renamed TO v",
        "CREATE TABLE x(id INTEGER PRIMARY KEY, v)",
        "CREATE TABLE x(id INTEGER PRIMARY KEY, v); INSERT INTO x(v) VALUES (1), (2)",
        "DROP TABLE x",
        "ALTER TABLE x RENAME TO y",
        "DROP TABLE y",
        "CREATE TABLE copied AS SELECT * FROM comp",
        "DROP TABLE copied",
        "CREATE UNIQUE INDEX once ON child(v)",
        "DROP INDEX once",
        "DROP TRIGGER unlucky",
        "CREATE TABLE x(id INTEGER PRIMARY KEY, v); INSERT INTO parent(id, n) VALUES (1, 500)",
    ];
    select(all).prop_map(str::to_owned)
}
