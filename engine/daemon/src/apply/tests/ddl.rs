//! Schema changes: ids, shapes, and rows that change with them.

use super::*;
use shmirror_shm::catalogue::{Affinity, Collation, KeyKind};

fn ids(w: &World, table: &str) -> Vec<(u32, String)> {
    let def = w.copy.catalogue().table(table).unwrap().clone();
    def.columns.into_iter().map(|c| (c.id, c.name)).collect()
}

fn pairs(list: &[(u32, &str)]) -> Vec<(u32, String)> {
    list.iter().map(|(i, n)| (*i, (*n).to_owned())).collect()
}

#[test]
fn kinds_of_tables() {
    let w = World::new(
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b VARCHAR(9) COLLATE NOCASE NOT NULL DEFAULT 'x');
         CREATE TABLE b(id INTEGER PRIMARY KEY DESC, x);
         CREATE TABLE c(id INT PRIMARY KEY, x);
         CREATE TABLE d(id INTEGER PRIMARY KEY, x) WITHOUT ROWID;
         CREATE TABLE e(x, y);
         CREATE TABLE f(a ANY, b TEXT, c TEXT, PRIMARY KEY(c COLLATE RTRIM, a)) STRICT;",
    );
    let catalogue = w.copy.catalogue().clone();
    let kind = |t: &str| catalogue.table(t).unwrap().key;
    let kinds: Vec<KeyKind> = ["a", "b", "c", "d", "e", "f"].into_iter().map(kind).collect();
    use KeyKind::{Columns, Integer, Rowid};
    assert_eq!(kinds, [Integer, Columns, Columns, Columns, Rowid, Columns]);
    let a = catalogue.table("A").unwrap();
    assert_eq!((a.id, a.shape, a.columns[1].not_null), (1, 1, true));
    assert_eq!(a.columns[1].default_sql.as_deref(), Some("'x'"));
    assert_eq!(a.columns[1].decl_type, "VARCHAR(9)");
    assert_eq!(a.columns[1].collation, Collation::NoCase);
    let e = catalogue.table("e").unwrap();
    assert_eq!((e.columns.len(), &e.key_columns[..]), (3, &[2][..]));
    let f = catalogue.table("f").unwrap();
    assert_eq!(f.key_columns, [2, 0]);
    assert!(f.strict && !f.without_rowid && catalogue.table("d").unwrap().without_rowid);
    assert_eq!((f.columns[0].affinity, f.columns[2].collation), (Affinity::Blob, Collation::RTrim));
    assert_eq!((catalogue.schema_version, catalogue.next_table_id), (1, 7));
}

#[test]
fn the_four_kinds_of_alter_table() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT); CREATE TABLE r(x, y);
         INSERT INTO t VALUES(1,'a','b'),(2,'c','d'); INSERT INTO r VALUES(1,2)",
    );
    let a = w.sql("ALTER TABLE t ADD COLUMN c INT DEFAULT 7").unwrap();
    let schema = a.schema.unwrap();
    assert_eq!((&schema.reshaped[..], schema.created.len(), a.count), (&[1][..], 0, 0));
    assert_eq!(ids(&w, "t"), pairs(&[(1, "id"), (2, "a"), (3, "b"), (4, "c")]));
    w.sql("ALTER TABLE t RENAME COLUMN a TO aa").unwrap();
    assert_eq!(ids(&w, "t"), pairs(&[(1, "id"), (2, "aa"), (3, "b"), (4, "c")]));
    w.sql("ALTER TABLE t DROP COLUMN c").unwrap();
    w.sql("ALTER TABLE t ADD COLUMN c").unwrap();
    assert_eq!(ids(&w, "t"), pairs(&[(1, "id"), (2, "aa"), (3, "b"), (5, "c")]));
    let a = w.sql("ALTER TABLE t RENAME TO \"T 2\"; ALTER TABLE r ADD COLUMN z").unwrap();
    assert_eq!(a.schema.unwrap().reshaped, [1, 2]);
    assert_eq!(ids(&w, "r"), pairs(&[(1, "x"), (2, "y"), (4, "z"), (3, "rowid")]));
    let def = w.copy.catalogue().table("t 2").unwrap().clone();
    assert_eq!((def.id, def.shape, def.past_shapes.len()), (1, 6, 5));
    assert_eq!(def.shape_columns(2).unwrap()[1], (2, "a"));
    w.sql("UPDATE \"T 2\" SET b='z',c=1; DELETE FROM r").unwrap();
    w.sql("UPDATE \"T 2\" SET b='y'").unwrap();
    w.sql("ALTER TABLE \"T 2\" ADD CONSTRAINT pos CHECK (c>0)").unwrap();
    assert_eq!(w.code("UPDATE \"T 2\" SET c=0").0, RejectCode::Check);
    w.sql("ALTER TABLE \"T 2\" DROP CONSTRAINT pos; UPDATE \"T 2\" SET c=0").unwrap();
}

#[test]
fn rows_of_old_shapes_load() {
    let mut w =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1,'a','b')");
    let old = w.rows[&1].values().next().unwrap().clone();
    w.sql("ALTER TABLE t DROP COLUMN a").unwrap();
    w.sql("ALTER TABLE t ADD COLUMN a DEFAULT 'new'").unwrap();
    w.sql("ALTER TABLE t ADD COLUMN g AS (id*10)").unwrap();
    w.sql("ALTER TABLE t RENAME COLUMN b TO bb").unwrap();
    let mut copy = WorkingCopy::new(w.copy.catalogue()).unwrap();
    copy.load_row(1, 1, &old.as_ref()).unwrap();
    copy.finish_load().unwrap();
    w.copy = copy;
    w.check();
    assert_eq!(w.query("SELECT * FROM t"), [[v(1), v("b"), v("new"), v(10)]]);
}

#[test]
fn ddl_and_dml_in_one_request() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1,1),(2,2),(3,3)",
    );
    let a = w
        .sql(
            "UPDATE t SET a=10 WHERE id=1; DELETE FROM t WHERE id=2; INSERT INTO t VALUES(4,4);
             ALTER TABLE t ADD COLUMN b DEFAULT 'x'; UPDATE t SET b='y' WHERE id IN (3,4);
             CREATE TABLE u AS SELECT id,b FROM t; INSERT INTO u VALUES(9,9);
             CREATE INDEX ui ON u(b); CREATE VIEW uv AS SELECT * FROM u",
        )
        .unwrap();
    let schema = a.schema.as_ref().unwrap();
    assert_eq!((&schema.created[..], &schema.reshaped[..]), (&[2][..], &[1][..]));
    assert_eq!(a.count, 4 + 4);
    assert_eq!(w.copy.catalogue().objects.len(), 2);
    let a = w.sql("DROP TABLE u; CREATE TABLE u(other); INSERT INTO u VALUES(1)").unwrap();
    let schema = a.schema.unwrap();
    assert_eq!((&schema.created[..], &schema.dropped[..]), (&[3][..], &[(2, 1)][..]));
    assert_eq!(a.count, 1);
    // Made and dropped at once is no table, but its id is used up.
    let a = w.sql("CREATE TABLE x(a); INSERT INTO x VALUES(1); DROP TABLE x").unwrap();
    assert_eq!((a.count, w.copy.catalogue().next_table_id), (0, 5));
}

#[test]
fn dropping_a_parent_acts_on_its_children() {
    let mut w = World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY);
         CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE SET NULL);
         INSERT INTO p VALUES(1); INSERT INTO c VALUES(1,1),(2,NULL)",
    );
    let a = w.sql("DROP TABLE p").unwrap();
    assert_eq!((a.count, a.schema.unwrap().dropped), (1, vec![(1, 1)]));
}

#[test]
fn a_refused_schema_change_leaves_everything() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES(1,1,1);
         CREATE INDEX i ON t(a); CREATE VIEW vw AS SELECT b FROM t",
    );
    let before = w.copy.catalogue().clone();
    for (text, code) in [
        ("ALTER TABLE t DROP COLUMN a", RejectCode::Sql),
        ("ALTER TABLE t DROP COLUMN b", RejectCode::Sql),
        ("ALTER TABLE t DROP COLUMN id", RejectCode::Sql),
        ("ALTER TABLE t ADD COLUMN c NOT NULL", RejectCode::Sql),
        ("CREATE TABLE t(a)", RejectCode::Sql),
        ("CREATE TABLE n(a); INSERT INTO n VALUES(1); SELECT nope", RejectCode::Sql),
        ("ALTER TABLE t ADD COLUMN c DEFAULT 5; UPDATE t SET id=NULL", RejectCode::Datatype),
        ("DROP TABLE t; SELECT nope", RejectCode::Sql),
        ("DROP TABLE nope", RejectCode::Sql),
    ] {
        let (found, message) = w.code(text);
        assert_eq!(found, code, "{text}: {message}");
        assert_eq!(w.copy.catalogue(), &before, "{text}");
        let a = w.sql("UPDATE t SET b=b+1; INSERT INTO t VALUES(2,2,2); DELETE FROM t WHERE id=2");
        assert_eq!(a.unwrap().count, 1, "{text}");
    }
    assert!(
        w.sql("CREATE TABLE IF NOT EXISTS t(a); DROP TABLE IF EXISTS n").unwrap().schema.is_none()
    );
    assert!(w.sql("EXPLAIN DROP TABLE t").unwrap().schema.is_none());
}

#[test]
fn many_tables() {
    let mut w = World::new("");
    let script: String = (0..1024).map(|i| format!("CREATE TABLE t{i}(a);")).collect();
    w.sql(&script).unwrap();
    assert_eq!(w.copy.catalogue().tables.len(), 1024);
    assert_eq!(w.code("CREATE TABLE one_more(a)").0, RejectCode::Limit);
    w.sql("INSERT INTO t1023 VALUES(1)").unwrap();
    let again = w.reload();
    assert_eq!(again.catalogue(), w.copy.catalogue());
}

#[test]
fn a_catalogue_does_not_grow_without_end() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    let rename = |i: usize| {
        let (from, to) = if i.is_multiple_of(2) { ("a", "b") } else { ("b", "a") };
        format!("ALTER TABLE t RENAME COLUMN {from} TO {to};")
    };
    let all: String = (0..limits::PAST_SHAPES).map(rename).collect();
    w.sql(&all).unwrap();
    let (code, message) = w.code(&rename(limits::PAST_SHAPES));
    assert_eq!(code, RejectCode::Limit);
    assert!(message.contains("\"t\"") && message.contains("1000"), "{message}");
    w.sql("INSERT INTO t VALUES(1,2)").unwrap();

    // A definition is kept with its comments.
    let long = "x".repeat(limits::SQL_BYTES / 2);
    let tables = limits::CATALOGUE_BYTES / long.len() - 1;
    for i in 0..tables {
        w.sql(&format!("CREATE TABLE long{i}(a /*{long}*/)")).unwrap();
    }
    let (code, message) = w.code(&format!("CREATE TABLE more(a /*{long}*/)"));
    assert_eq!(code, RejectCode::Limit, "{message}");
    assert!(w.copy.catalogue().table("more").is_none());
    w.sql("CREATE TABLE small(a)").unwrap();
}
