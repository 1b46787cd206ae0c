-- A plant's configuration and history, as a plain SQLite database to import.
-- Everything is computed here, so the result is the same each time.
PRAGMA foreign_keys = OFF;
BEGIN;

CREATE TABLE unit (
  code TEXT PRIMARY KEY COLLATE NOCASE,
  title TEXT NOT NULL,
  parent TEXT REFERENCES unit(code)              -- a self-reference
) WITHOUT ROWID;

CREATE TABLE tag (
  tag_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  unit TEXT NOT NULL REFERENCES unit(code) ON UPDATE CASCADE,
  low REAL NOT NULL,
  high REAL NOT NULL,
  deadband REAL NOT NULL DEFAULT 0.5 CHECK (deadband >= 0),
  span REAL GENERATED ALWAYS AS (high - low) VIRTUAL,
  label TEXT GENERATED ALWAYS AS (unit || '/' || name) STORED,
  photo BLOB,
  CHECK (low < high)
);

CREATE TABLE setpoint (
  unit TEXT NOT NULL REFERENCES unit(code) ON UPDATE CASCADE,
  loop INTEGER NOT NULL,
  shift TEXT NOT NULL CHECK (shift IN ('day', 'night')),
  kp REAL NOT NULL,
  ki REAL NOT NULL,
  kd REAL,
  note TEXT,
  PRIMARY KEY (unit, loop, shift)
);

CREATE TABLE sample (
  tag_id INTEGER NOT NULL REFERENCES tag(tag_id) ON DELETE CASCADE,
  at INTEGER NOT NULL,
  value REAL,
  quality INTEGER NOT NULL DEFAULT 192,
  PRIMARY KEY (tag_id, at)
) WITHOUT ROWID, STRICT;

CREATE TABLE journal (                            -- no key is declared
  at INTEGER,
  who TEXT,
  what TEXT
);

CREATE TABLE counter (name TEXT PRIMARY KEY, n INTEGER NOT NULL);

CREATE INDEX tag_by_unit ON tag(unit);
CREATE INDEX sample_by_time ON sample(at);

INSERT INTO unit VALUES ('P', 'Plant', NULL), ('P.1', 'Compressor house', 'P'), ('P.2', 'Boiler', 'P'),
  ('P.2.a', 'Kessel Süd – Überhitzer', 'P.2'), ('P.3', '冷却塔', 'P');

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
INSERT INTO tag(tag_id, name, unit, low, high, deadband, photo)
SELECT i, printf('%s%03d', CASE i % 4 WHEN 0 THEN 'TI' WHEN 1 THEN 'PI' WHEN 2 THEN 'FI' ELSE 'LI' END, i),
       CASE i % 5 WHEN 0 THEN 'P' WHEN 1 THEN 'P.1' WHEN 2 THEN 'P.2' WHEN 3 THEN 'P.2.a' ELSE 'P.3' END,
       i * 0.25, 100 + i, (i % 7) * 0.25, CASE i % 30 WHEN 0 THEN x'00ff10' WHEN 10 THEN x'89504e470d0a1a0a' WHEN 20 THEN zeroblob(i) END
FROM n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
INSERT INTO setpoint
SELECT u.code, n.i, s.shift, 1.0 / n.i, n.i / 8.0, CASE WHEN n.i % 3 THEN n.i / 16.0 END,
       CASE WHEN n.i % 5 = 0 THEN '' WHEN n.i % 5 = 1 THEN 'tuned, see "log" ' || n.i END
FROM n, unit u, (SELECT 'day' AS shift UNION ALL SELECT 'night') s;

WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 499)
INSERT INTO sample(tag_id, at, value, quality)
SELECT t.tag_id, 1700000000 + n.i * 60,
       CASE WHEN (t.tag_id * 31 + n.i) % 97 = 0 THEN NULL
            ELSE t.low + ((t.tag_id * 7919 + n.i * 104729) % 1000) / 1000.0 * (t.high - t.low) END,
       CASE WHEN (t.tag_id * 31 + n.i) % 97 = 0 THEN 0 ELSE 192 END
FROM tag t, n;

WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
INSERT INTO journal SELECT 1700000000 + i, CASE i % 3 WHEN 0 THEN NULL ELSE 'op' || (i % 4) END, 'entry ' || i FROM n;

INSERT INTO counter VALUES ('setpoint changes', 0);

CREATE TRIGGER setpoint_changed AFTER UPDATE ON setpoint BEGIN
  UPDATE counter SET n = n + 1 WHERE name = 'setpoint changes';
  INSERT INTO journal VALUES (NULL, NULL, 'setpoint ' || NEW.unit || ' ' || NEW.loop || ' ' || NEW.shift);
END;

CREATE VIEW out_of_band AS
  SELECT s.tag_id, t.name, s.at, s.value FROM sample s JOIN tag t USING (tag_id)
  WHERE s.value < t.low + t.deadband OR s.value > t.high - t.deadband;

COMMIT;
