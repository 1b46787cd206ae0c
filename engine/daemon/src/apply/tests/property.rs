//! Random SQL: whatever it does, the captured changes replayed equal the tables.

use super::*;

/// xorshift64*, so that a seed is all there is to a run.
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    pub fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len() as u64) as usize]
    }

    fn value(&mut self) -> String {
        match self.roll(8) {
            0 => "NULL".to_owned(),
            1 => format!("{}.5", self.roll(6)),
            2 => format!("'{}'", self.of(&["a", "A", "b", "b ", "", "é", "1"])),
            3 => "x'00ff'".to_owned(),
            _ => format!("{}", self.roll(9)),
        }
    }

    fn condition(&mut self, column: &str) -> String {
        match self.roll(4) {
            0 => "1".to_owned(),
            1 => format!("{column}>{}", self.roll(6)),
            _ => format!("{column}={}", self.value()),
        }
    }
}

const SCHEMA: &str = "
  CREATE TABLE i(id INTEGER PRIMARY KEY, a, u UNIQUE, g AS (a||'!'));
  CREATE TABLE w(k TEXT COLLATE NOCASE, n, a, u, PRIMARY KEY(k,n), UNIQUE(a,u)) WITHOUT ROWID;
  CREATE TABLE x(k TEXT COLLATE RTRIM, n, a, u, PRIMARY KEY(n,k), UNIQUE(a,u)) WITHOUT ROWID;
  CREATE TABLE k(k PRIMARY KEY, a, u UNIQUE ON CONFLICT REPLACE, s GENERATED ALWAYS AS (a+1) STORED);
  CREATE TABLE r(a, u UNIQUE, b REAL);
  CREATE TABLE s(k INT PRIMARY KEY, a TEXT, u ANY UNIQUE) STRICT;
  CREATE TABLE c(id INTEGER PRIMARY KEY, i REFERENCES i ON DELETE CASCADE ON UPDATE CASCADE,
                 k REFERENCES k ON DELETE SET NULL ON UPDATE CASCADE);
  CREATE TABLE log(id INTEGER PRIMARY KEY AUTOINCREMENT, t, v);
  CREATE UNIQUE INDEX ru ON r(lower(a)) WHERE b>2;
  CREATE VIEW vi AS SELECT id,a FROM i;
  CREATE TRIGGER vi1 INSTEAD OF UPDATE ON vi BEGIN UPDATE i SET a=new.a WHERE id=new.id; END;
  CREATE TRIGGER t1 AFTER INSERT ON i BEGIN INSERT INTO log(t,v) VALUES('i',new.id);
      UPDATE i SET a=a||'+' WHERE id=new.id AND typeof(a)='text'; END;
  CREATE TRIGGER t2 AFTER UPDATE OF a ON i BEGIN UPDATE i SET u=old.a WHERE id=new.id+1; END;
  CREATE TRIGGER t3 BEFORE DELETE ON w WHEN old.n=3 BEGIN SELECT RAISE(IGNORE); END;
  CREATE TRIGGER t4 AFTER DELETE ON w BEGIN INSERT OR REPLACE INTO r(a,u) VALUES(old.a,old.u);
      SELECT RAISE(IGNORE) WHERE old.n=2; INSERT INTO log(t,v) VALUES('w',old.n); END;
  CREATE TRIGGER t7 AFTER DELETE ON x BEGIN SELECT RAISE(IGNORE) WHERE old.n=2;
      INSERT OR REPLACE INTO r(a,u) VALUES(old.a,old.u); END;
  CREATE TRIGGER t8 BEFORE INSERT ON x WHEN new.n=4 BEGIN SELECT RAISE(IGNORE); END;
  CREATE TRIGGER t5 AFTER UPDATE ON k BEGIN DELETE FROM r WHERE a=new.a; END;
  CREATE TRIGGER t6 BEFORE INSERT ON s WHEN new.k=5 BEGIN DELETE FROM s WHERE u=new.u; END;
";

fn definition(dice: &mut Dice) -> String {
    let table = dice.of(&["i", "r", "s", "made"]);
    let name = dice.of(&["x", "y"]);
    match dice.roll(7) {
        0 => format!("ALTER TABLE {table} ADD COLUMN {name} TEXT DEFAULT {}", dice.roll(9)),
        1 => format!("ALTER TABLE {table} DROP COLUMN {name}"),
        2 => format!("ALTER TABLE {table} RENAME COLUMN x TO y"),
        3 => "CREATE TABLE made AS SELECT a,u FROM i".to_owned(),
        4 => "CREATE TABLE made(x, y UNIQUE, a AS (x||y)); INSERT INTO made VALUES(1,2)".to_owned(),
        5 => "DROP TABLE made".to_owned(),
        _ => "ALTER TABLE made RENAME TO made2; ALTER TABLE made2 RENAME TO made".to_owned(),
    }
}

fn statement(dice: &mut Dice) -> String {
    if dice.roll(25) == 0 {
        return definition(dice);
    }
    let (table, key, columns): (&str, &str, &[&str]) = match dice.roll(7) {
        0 => ("i", "id", &["id", "a", "u"]),
        1 => ("w", "n", &["k", "n", "a", "u"]),
        6 => ("x", "n", &["k", "n", "a", "u"]),
        2 => ("k", "k", &["k", "a", "u"]),
        3 => ("r", "rowid", &["rowid", "a", "u", "b"]),
        4 => ("s", "k", &["k", "a", "u"]),
        _ => ("c", "id", &["id", "i", "k"]),
    };
    let policy = dice.of(&["", "", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ROLLBACK"]);
    match dice.roll(10) {
        0..=4 => {
            let rows: Vec<String> = (0..=dice.roll(3))
                .map(|_| {
                    let row: Vec<String> = columns.iter().map(|_| dice.value()).collect();
                    format!("({})", row.join(","))
                })
                .collect();
            let set = columns[columns.len() - 1];
            let (policy, tail) = match dice.roll(4) {
                0 => ("", format!("ON CONFLICT DO UPDATE SET {set}=excluded.{set}")),
                1 => ("", "ON CONFLICT DO NOTHING".to_owned()),
                _ => (policy, String::new()),
            };
            format!(
                "INSERT {policy} INTO {table}({}) VALUES {} {tail}",
                columns.join(","),
                rows.join(",")
            )
        }
        5..=7 => {
            let set = dice.of(columns);
            let value = match dice.roll(3) {
                0 => format!("{set}+1"),
                _ => dice.value(),
            };
            format!("UPDATE {policy} {table} SET {set}={value} WHERE {}", dice.condition(key))
        }
        8 => format!("DELETE FROM {table} WHERE {}", dice.condition(key)),
        _ => dice
            .of(&[
                "DELETE FROM w",
                "UPDATE vi SET a='v' WHERE id<3",
                "INSERT OR REPLACE INTO r(a,u) SELECT a,u FROM i",
                "REPLACE INTO k(k,a,u) SELECT k,n,a FROM w",
                "UPDATE i SET id=id+10 WHERE id>2",
                "UPDATE OR REPLACE x SET n=n+1",
                "INSERT OR REPLACE INTO x(k,n,a,u) SELECT a,id,u,1 FROM i",
            ])
            .to_owned(),
    }
}

#[test]
fn captured_changes_replayed_equal_the_tables() {
    let seed =
        std::env::var("SHMIRROR_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| {
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos()
                as u64
        });
    println!("SHMIRROR_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut world = World::new(SCHEMA);
    let (mut done, mut refused, mut schemas) = (0, 0, 0);
    for round in 0..400 {
        world.copy.begin_group().unwrap();
        let start = (world.rows.clone(), world.revisions.clone());
        let mut ended = false;
        for _ in 0..=dice.roll(3) {
            let text: Vec<String> = (0..=dice.roll(2)).map(|_| statement(&mut dice)).collect();
            let text = text.join(";\n");
            let applied =
                world.copy.apply(&request(&text), &Known(&world.revisions), &Budget::default());
            match applied {
                Ok(applied) => {
                    done += 1;
                    world.replay(&applied);
                    schemas += u32::from(applied.schema.is_some());
                    ended = applied.schema.is_some();
                }
                Err(reject) => {
                    assert_ne!(reject.code, RejectCode::Internal, "{reject}\n{text}");
                    refused += 1;
                }
            }
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.check()));
            assert!(checked.is_ok(), "round {round}, after:\n{text}");
            if ended {
                break;
            }
        }
        if dice.roll(8) == 0 {
            world.copy.rollback_group().unwrap();
            (world.rows, world.revisions) = start;
        } else {
            world.copy.commit_group().unwrap();
        }
        world.check();
        world.check_integrity();
        if round % 100 == 99 {
            world.copy = world.reload();
            world.check();
        }
    }
    assert!(done > 100 && refused > 50 && schemas > 3, "{done} {refused} {schemas}");
}
