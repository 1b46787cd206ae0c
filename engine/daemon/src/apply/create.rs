//! `CREATE` statements as SQLite's schema keeps them, for another place than `main`.

use std::borrow::Cow;

use shmirror_shm::catalogue::MAIN;

use super::tables::quote;

/// How the texts begin: SQLite writes this part anew and keeps the rest, from the object's name on,
/// without the name of its schema (build.c: `sqlite3EndTable`, `createTableStmt`,
/// `sqlite3CreateIndex`; trigger.c: `sqlite3FinishTrigger`).
const HEADS: [&str; 5] =
    ["CREATE TABLE ", "CREATE VIEW ", "CREATE INDEX ", "CREATE UNIQUE INDEX ", "CREATE TRIGGER "];

/// The statement `sql` that makes its object in `namespace`. `None` where it does not begin as one of
/// SQLite's schema does.
pub(crate) fn create_in<'s>(namespace: &str, sql: &'s str) -> Option<Cow<'s, str>> {
    let head = HEADS.into_iter().find(|head| sql.starts_with(head))?;
    if namespace.eq_ignore_ascii_case(MAIN) {
        return Some(Cow::Borrowed(sql));
    }
    Some(Cow::Owned(format!("{head}{}.{}", quote(namespace), &sql[head.len()..])))
}

#[cfg(test)]
mod tests {
    use shmirror_shm::value::ValueRef;

    use super::*;
    use crate::apply::guard;

    /// Makes `sql` in `plant`, and again from what SQLite keeps of it: the same text.
    #[track_caller]
    fn round(before: &str, kind: &str, name: &str, sql: &str) {
        let made = |statement: &str| {
            let (db, _guard) = guard::open().unwrap();
            guard::attach(&db, "plant").unwrap();
            db.exec(before).unwrap();
            db.exec(statement).unwrap();
            let sql = "SELECT sql FROM plant.sqlite_schema WHERE type=?1 AND name=?2";
            let mut query = db.prepare(sql).unwrap();
            query.bind(&[ValueRef::Text(kind), ValueRef::Text(name)]).unwrap();
            assert!(query.step().unwrap(), "{statement}");
            query.text(0)
        };
        let text = made(sql);
        assert!(!text.contains("plant.\"") && !text.contains("\"plant\""), "{text}");
        assert_eq!(made(&create_in("plant", &text).unwrap()), text);
    }

    #[test]
    fn every_kind_comes_back_as_it_was() {
        for (name, written) in [
            ("t", "t"),
            ("t x", "\"t x\""),
            ("a\"b", "\"a\"\"b\""),
            ("in.dot", "[in.dot]"),
            ("back`", "`back```"),
            ("a'b", "'a''b'"),
            ("CREATE TABLE x", "\"CREATE TABLE x\""),
        ] {
            for create in [
                format!("CREATE TABLE plant.{written}(a,b)"),
                format!("create  table IF NOT EXISTS /* c */ plant . {written} (a,b)"),
                format!("CREATE TABLE plant.{written} AS SELECT 1 AS a, 2 AS b"),
                format!("CREATE TABLE plant.{written}(a PRIMARY KEY, b) WITHOUT ROWID, STRICT")
                    .replace("a PRIMARY KEY, b", "a INT PRIMARY KEY, b TEXT"),
            ] {
                round("", "table", name, &create);
            }
            let table = "CREATE TABLE plant.of(a,b);";
            for create in [
                format!("CREATE INDEX plant.{written} ON of(a)"),
                format!("CREATE UNIQUE  INDEX IF NOT EXISTS plant.{written} ON of(a,b) WHERE a>0"),
            ] {
                round(table, "index", name, &create);
            }
            for create in [
                format!("CREATE VIEW plant.{written} AS SELECT * FROM of"),
                format!("CREATE VIEW IF NOT EXISTS plant.{written}(x,y) AS SELECT a,b FROM of"),
            ] {
                round(table, "view", name, &create);
            }
            for create in [
                format!(
                    "CREATE TRIGGER plant.{written} AFTER INSERT ON of BEGIN DELETE FROM of; END"
                ),
                format!(
                    "CREATE TRIGGER IF NOT EXISTS plant.{written} UPDATE OF a ON plant.of \
                     WHEN new.a>0 BEGIN SELECT 1; SELECT RAISE(IGNORE); END"
                )
                .replace("ON plant.of", "ON of"),
            ] {
                round(table, "trigger", name, &create);
            }
        }
    }

    #[test]
    fn a_renamed_object_comes_back_too() {
        let (db, _guard) = guard::open().unwrap();
        guard::attach(&db, "plant").unwrap();
        db.exec(
            "CREATE TABLE plant.t(a); CREATE INDEX plant.i ON t(a);
             CREATE TRIGGER plant.r AFTER INSERT ON plant.t BEGIN SELECT a FROM t; END;
             ALTER TABLE plant.t RENAME TO \"u v\"",
        )
        .unwrap();
        let mut query = db.prepare("SELECT sql FROM plant.sqlite_schema ORDER BY rowid").unwrap();
        let (other, _guard) = guard::open().unwrap();
        guard::attach(&other, "plant").unwrap();
        let mut count = 0;
        while query.step().unwrap() {
            other.exec(&create_in("plant", &query.text(0)).unwrap()).unwrap();
            count += 1;
        }
        assert_eq!(count, 3);
        other.exec("INSERT INTO plant.\"u v\" VALUES(1)").unwrap();
    }

    #[test]
    fn what_sqlite_would_not_keep_is_none() {
        assert_eq!(create_in(MAIN, "CREATE TABLE t(a)").as_deref(), Some("CREATE TABLE t(a)"));
        for text in
            ["", "DROP TABLE t", "CREATE TABLE", "create table t(a)", "CREATE VIRTUAL TABLE t"]
        {
            assert_eq!(create_in("plant", text), None, "{text}");
        }
    }
}
