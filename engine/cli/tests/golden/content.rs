//! What is put into golden stores: every kind of key, all classes of values, rows of past shapes, views,
//! indexes, triggers, generated columns, sequences, and two namespaces with tables of one name.

/// The configuration that each of them has. Its log is kept for ever: a golden store is old.
pub const CONFIG: &str = "[store]\nlog_keep = \"36500d\"\n\n[namespaces.plant]\n";

/// The first schema, each a request.
pub const SCHEMA: &[&str] = &[
    "CREATE TABLE unit (code TEXT PRIMARY KEY COLLATE NOCASE, name TEXT NOT NULL);
     CREATE TABLE sensor (id INTEGER PRIMARY KEY, unit TEXT REFERENCES unit(code) ON DELETE SET NULL,
         label TEXT UNIQUE, low REAL DEFAULT 0.5, gone TEXT, CONSTRAINT sane CHECK (low <= 100));
     CREATE TABLE reading (at REAL, sensor INTEGER REFERENCES sensor(id), v, PRIMARY KEY (sensor, at))
         WITHOUT ROWID;
     CREATE TABLE value (id INTEGER PRIMARY KEY AUTOINCREMENT, class TEXT, v);
     CREATE TABLE strict (id TEXT PRIMARY KEY, n INTEGER, r REAL, t TEXT, b BLOB, a ANY)
         STRICT, WITHOUT ROWID;
     CREATE TABLE mixed (k BLOB PRIMARY KEY, v) WITHOUT ROWID;
     CREATE TABLE trimmed (name TEXT COLLATE RTRIM PRIMARY KEY, v) WITHOUT ROWID;
     CREATE TABLE line (text TEXT, note);
     CREATE TABLE computed (id INTEGER PRIMARY KEY, a REAL, twice AS (a * 2),
         kept TEXT GENERATED ALWAYS AS (a || '!') STORED);
     CREATE TABLE told (what, old, new);
     CREATE TABLE told_twice (what);
     CREATE TABLE dropped (id INTEGER PRIMARY KEY, v);
     CREATE TABLE \"a name with \"\"quotes\"\" and 温度\" (id INTEGER PRIMARY KEY, \"b c\");
     CREATE UNIQUE INDEX by_unit ON sensor (unit, label);
     CREATE INDEX partial ON value (v) WHERE class = 'text';
     CREATE INDEX expressed ON line (lower(text), note DESC);
     CREATE VIEW hot AS SELECT id, label FROM sensor WHERE low > 0;
     CREATE VIEW with_units AS SELECT s.label, u.name FROM sensor s LEFT JOIN unit u ON u.code = s.unit;
     CREATE TRIGGER tell AFTER UPDATE OF label ON sensor BEGIN
         INSERT INTO told VALUES ('sensor ' || new.id, old.label, new.label); END;
     CREATE TRIGGER never BEFORE DELETE ON unit WHEN old.code = 'degC' BEGIN
         SELECT RAISE(ABORT, 'the last unit stays'); END;
     CREATE TRIGGER by_view INSTEAD OF INSERT ON hot BEGIN
         INSERT INTO sensor (id, label) VALUES (new.id, new.label); END",
    "CREATE TABLE plant.unit (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
     CREATE TABLE plant.\"pid.loop\" (loop TEXT PRIMARY KEY COLLATE NOCASE, kp REAL NOT NULL, CHECK (kp > 0))
         WITHOUT ROWID;
     CREATE INDEX plant.by_name ON unit (name);
     CREATE VIEW plant.named AS SELECT id, name FROM unit WHERE name LIKE 'p%';
     CREATE TRIGGER plant.unit_told AFTER DELETE ON unit BEGIN
         UPDATE \"pid.loop\" SET kp = kp + 1 WHERE loop = old.name; END",
];

/// The first rows.
pub const ROWS: &[&str] = &[
    "INSERT INTO unit VALUES ('degC', 'degree Celsius'), ('K', 'kelvin'), ('bar', 'bar'), ('x', 'unused')",
    "INSERT INTO sensor (id, unit, label, gone) VALUES (1, 'degC', 'inlet', 'a'), (2, 'k', 'outlet', NULL),
         (3, NULL, 'spare', 'c'), (-9223372036854775808, 'bar', 'least', 'd'),
         (9223372036854775807, 'bar', 'greatest', 'e')",
    "INSERT INTO reading VALUES (0.5, 1, 20.25), (1, 1, 20), (1.5, 1, NULL), (-0.0, 2, 'broken'),
         (1e300, 2, x'deadbeef')",
    "INSERT INTO reading WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         SELECT i, 3, i * 0.25 FROM n",
    "INSERT INTO value (class, v) SELECT typeof(v), v FROM (VALUES_HERE)",
    "INSERT INTO value VALUES (500, 'null', NULL); DELETE FROM value WHERE id = 500",
    "INSERT INTO strict VALUES ('a', 1, 1.0, 't', x'', 'any'), ('b', NULL, 2, '', x'00', 2),
         ('c', -1, -0.0, 'é', NULL, x'ff')",
    "INSERT INTO mixed VALUES (1, 1), (1.5, 2), ('1', 3), (x'31', 4), (-3, 5), ('', 6), (x'', 7),
         (9223372036854775807, 8), (9223372036854775806, 9), (9.2e18, 10), (9e999, 11),
         (9007199254740993, 12), (9007199254740992.0, 13)",
    "INSERT INTO trimmed VALUES ('a  ', 1), ('a b', 2), ('', 3), ('a' || char(9), 4)",
    "INSERT INTO line VALUES ('b', 'x'), ('a', NULL), ('b', 'x'), ('c', 1)",
    "INSERT INTO computed (a) VALUES (1.5), (NULL), (-2)",
    "INSERT INTO told_twice VALUES ('nothing'); INSERT INTO dropped VALUES (1, 'of a table that is dropped')",
    "INSERT INTO \"a name with \"\"quotes\"\" and 温度\" VALUES (1, 'one')",
    "INSERT INTO plant.unit VALUES (1, 'pump'), (2, 'boiler'), (3, 'press'), (70, 'gone'); DELETE FROM plant.unit WHERE id = 70;
     INSERT INTO plant.\"pid.loop\" VALUES ('boiler', 1.25), ('Pump', 4), ('gone', 1)",
];

/// Values of all classes, for `VALUES_HERE`.
const VALUES: &[&str] = &[
    "NULL",
    "0",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "0.0",
    "-0.0",
    "1.0",
    "0.1",
    "5e-324",
    "1.7976931348623157e308",
    "1e16",
    "9e999",
    "-9e999",
    "''",
    "'text'",
    "'Übergröße 温度 🜂'",
    "char(1) || '\"\\ /' || char(9, 10, 13, 127, 8232)",
    "printf('%.*c', 5000, 'x')",
    "x''",
    "x'00ff'",
    "zeroblob(3000)",
];

/// After which most rows are of a past shape.
pub const ALTERED: &[&str] = &[
    "ALTER TABLE sensor ADD COLUMN high INT NOT NULL DEFAULT '100'; ALTER TABLE sensor DROP COLUMN gone;
     ALTER TABLE sensor ADD COLUMN note DEFAULT 'none'; ALTER TABLE value ADD COLUMN kind AS (typeof(v));
     ALTER TABLE line ADD COLUMN third REAL DEFAULT 3; ALTER TABLE reading RENAME COLUMN v TO measured;
     ALTER TABLE strict ADD COLUMN more TEXT DEFAULT 'more'; DROP TABLE dropped",
    "ALTER TABLE plant.unit ADD COLUMN room INT DEFAULT 7; CREATE TABLE plant.dropped (a);
     DROP TABLE plant.dropped",
    "INSERT INTO sensor VALUES (4, 'degC', 'later', 1, 200, 'of the second shape')",
    "ALTER TABLE sensor RENAME COLUMN note TO noted; ALTER TABLE sensor RENAME COLUMN noted TO note;
     ALTER TABLE line RENAME TO lines; ALTER TABLE lines RENAME TO line",
];

/// Changes of every kind, each a transaction.
pub const CHANGES: &[&str] = &[
    "UPDATE sensor SET label = 'middle' WHERE id = 3",
    "UPDATE unit SET code = 'BAR' WHERE code = 'bar'; DELETE FROM unit WHERE code = 'x'",
    "DELETE FROM reading WHERE sensor = 3 AND at > 90; UPDATE reading SET at = at + 1000 WHERE sensor = 2",
    "INSERT OR REPLACE INTO value (id, v) VALUES (1, 'replaced'), (2, 2.5)",
    "UPDATE mixed SET v = v + 100; UPDATE plant.\"pid.loop\" SET kp = kp / 2",
    "DELETE FROM plant.unit WHERE id = 1; INSERT INTO line VALUES ('d', 'of both namespaces', NULL)",
    "INSERT INTO plant.unit (name) VALUES ('seventy-first'); DELETE FROM plant.unit WHERE id = 71;
     UPDATE sqlite_sequence SET seq = 500 WHERE name = 'value'",
    "UPDATE trimmed SET v = NULL WHERE name = 'a'; UPDATE computed SET a = 4 WHERE id = 2",
];

/// What the schema refuses, and what of it is told.
pub const REFUSED: &[(&str, &str)] = &[
    ("INSERT INTO sensor (unit) VALUES ('furlong')", "FOREIGN KEY"),
    ("INSERT INTO sensor (low) VALUES (101)", "sane"),
    ("INSERT INTO sensor (label) VALUES ('inlet')", "sensor.label"),
    ("INSERT INTO unit VALUES ('DEGC', 'again')", "unit.code"),
    ("DELETE FROM unit WHERE code = 'degC'", "the last unit stays"),
    ("INSERT INTO strict (id, n) VALUES ('z', 'many')", "strict.n"),
    ("INSERT INTO plant.\"pid.loop\" VALUES ('BOILER', 1)", "loop"),
    ("UPDATE plant.\"pid.loop\" SET kp = 0", "CHECK"),
    ("INSERT INTO dropped VALUES (1, 2)", "dropped"),
];

/// A table alone, for stores that are about their key.
pub const SMALL: &[&str] = &[
    "CREATE TABLE t (id INTEGER PRIMARY KEY, v)",
    "INSERT INTO t VALUES (1, 'one'), (2, x'02')",
    "UPDATE t SET v = 1.5 WHERE id = 1",
];

/// A request with the values in it.
pub fn filled(sql: &str) -> String {
    let values: Vec<String> = VALUES.iter().map(|value| format!("SELECT {value} AS v")).collect();
    sql.replace("VALUES_HERE", &values.join(" UNION ALL "))
}
