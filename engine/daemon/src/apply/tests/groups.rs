//! Groups: what stays and what goes.

use super::*;

fn count(copy: &WorkingCopy, table: &str) -> u64 {
    let id = copy.catalogue().table(table).unwrap().id;
    copy.for_each_row(id, |_, _| {}).unwrap()
}

fn nothing() -> HashMap<(u32, Key), u64> {
    HashMap::new()
}

fn apply(copy: &mut WorkingCopy, sql: &str) -> Result<Applied, Reject> {
    copy.apply(&request(sql), &Known(&nothing()), &Budget::default())
}

#[test]
fn a_group_rolls_back_as_a_whole() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1,1)");
    let before = w.copy.catalogue().clone();
    w.copy.begin_group().unwrap();
    apply(&mut w.copy, "INSERT INTO t VALUES(2,2)").unwrap();
    apply(&mut w.copy, "INSERT INTO t VALUES(1,2)").unwrap_err();
    apply(&mut w.copy, "ALTER TABLE t ADD COLUMN b DEFAULT 4; CREATE TABLE u(a)").unwrap();
    w.copy.rollback_group().unwrap();
    assert_eq!(w.copy.catalogue(), &before);
    assert_eq!(count(&w.copy, "t"), 1);
    w.sql("INSERT INTO t VALUES(2,2); UPDATE t SET a=9").unwrap();
    w.sql("CREATE TABLE u(a); INSERT INTO u VALUES(1)").unwrap();
}

#[test]
fn a_schema_change_ends_its_group() {
    let mut copy = empty();
    copy.begin_group().unwrap();
    apply(&mut copy, "CREATE TABLE t(a)").unwrap();
    let reject = apply(&mut copy, "SELECT 1").unwrap_err();
    assert_eq!(reject.code, RejectCode::Internal);
    copy.commit_group().unwrap();
    assert_eq!(copy.catalogue().schema_version, 1);
    assert!(WorkingCopy::may_change_schema(&asked("/* x */ create table t(a)")));
    assert!(!WorkingCopy::may_change_schema(&asked("SELECT 'create', \"drop\" -- alter")));
}

#[test]
fn what_sqlite_rolls_back_itself_is_done_again() {
    let ddl = "CREATE TABLE p(id INTEGER PRIMARY KEY, u TEXT UNIQUE);
        CREATE TABLE c(k TEXT, n INT, p REFERENCES p ON DELETE RESTRICT, PRIMARY KEY(k,n)) WITHOUT ROWID;
        CREATE TABLE r(a,b AS (a||'x') STORED);
        CREATE TABLE log(what);
        CREATE TRIGGER l AFTER DELETE ON c BEGIN INSERT INTO log VALUES('c '||old.k); END;
        CREATE TRIGGER boom AFTER INSERT ON r WHEN new.a='boom' BEGIN SELECT RAISE(ROLLBACK,'boom'); END;
        INSERT INTO p VALUES(1,'a'),(2,'b'); INSERT INTO c VALUES('x',1,1),('y',2,2);
        INSERT INTO r VALUES('one'),('two')";
    let mut w = World::new(ddl);
    w.copy.begin_group().unwrap();
    let done = |w: &mut World, sql: &str| {
        let applied = apply(&mut w.copy, sql).unwrap();
        w.replay(&applied);
        w.check();
    };
    done(&mut w, "UPDATE p SET u=id||'s' WHERE id=1");
    // Swaps two unique values: no order of single writes avoids a conflict.
    done(
        &mut w,
        "UPDATE p SET u='tmp' WHERE id=1; UPDATE p SET u='1s' WHERE id=2; UPDATE p SET u='b' WHERE id=1",
    );
    done(
        &mut w,
        "DELETE FROM c WHERE k='x'; DELETE FROM p WHERE id=1; INSERT INTO p VALUES(3,'b')",
    );
    done(
        &mut w,
        "UPDATE r SET a='three' WHERE a='two'; DELETE FROM r WHERE a='one'; INSERT INTO r VALUES('four')",
    );
    for boom in [
        "INSERT INTO r VALUES('boom')",
        "INSERT OR ROLLBACK INTO p VALUES(2,'z')",
        "DELETE FROM c; CREATE TABLE made(a); INSERT INTO r VALUES('boom')",
    ] {
        let reject = apply(&mut w.copy, boom).unwrap_err();
        assert!(matches!(reject.code, RejectCode::Trigger | RejectCode::PrimaryKey), "{reject}");
        assert_eq!(w.copy.broken(), None);
        w.check();
    }
    // Rules are on again.
    let reject = apply(&mut w.copy, "DELETE FROM p WHERE id=2").unwrap_err();
    assert_eq!(reject.code, RejectCode::ForeignKey);
    done(&mut w, "DELETE FROM c");
    w.copy.commit_group().unwrap();
    w.check();
    assert_eq!(w.query("SELECT * FROM log"), [[v("c x")], [v("c y")]]);
}

#[test]
fn a_copy_of_the_catalogue_and_the_rows_is_the_same() {
    let mut w = World::new(
        "CREATE TABLE p(id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT COLLATE NOCASE UNIQUE, g AS (id+1));
         CREATE TABLE IF NOT EXISTS main.c(k TEXT, n INT CHECK(n<100), p REFERENCES p, PRIMARY KEY(k DESC,n)) WITHOUT ROWID;
         CREATE TABLE s(a ANY, b INT NOT NULL DEFAULT (1+1)) STRICT;
         CREATE UNIQUE INDEX i ON s(b) WHERE a>0; CREATE VIEW vw AS SELECT * FROM p;
         CREATE TRIGGER tr INSTEAD OF INSERT ON vw BEGIN INSERT INTO p(u) VALUES(new.u); END;
         INSERT INTO vw(u) VALUES('x'),('y'); INSERT INTO c VALUES('k',1,1);
         INSERT INTO s VALUES('1',5),(1,6),(x'00',7)",
    );
    w.sql("ALTER TABLE s RENAME TO s2").unwrap();
    w.sql("ALTER TABLE s2 ADD COLUMN z TEXT DEFAULT 'q'").unwrap();
    let again = w.reload();
    assert_eq!(again.catalogue(), w.copy.catalogue());
    w.copy = again;
    w.check();
    w.sql("INSERT INTO vw(u) VALUES('z'); UPDATE s2 SET z='r'; DELETE FROM c").unwrap();
    assert_eq!(w.code("INSERT INTO p(u) VALUES('Z')").0, RejectCode::Unique);
    assert_eq!(w.code("INSERT INTO c VALUES('n',1,99)").0, RejectCode::ForeignKey);
}

#[test]
fn bad_rows_do_not_load() {
    let w =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE); INSERT INTO t VALUES(1,1)");
    let mut copy = WorkingCopy::new(w.copy.catalogue()).unwrap();
    let image = Image::encode([ValueRef::Integer(1), ValueRef::Null].into_iter());
    let image = image.as_ref();
    assert_eq!(copy.load_row(9, 1, &image), Err(ApplyError::UnknownTable { found: 9 }));
    assert!(matches!(copy.load_row(1, 7, &image), Err(ApplyError::UnknownShape { .. })));
    let short = Image::encode([ValueRef::Integer(1)].into_iter());
    assert!(matches!(
        copy.load_row(1, 1, &short.as_ref()),
        Err(ApplyError::ImageColumns { found: 1, expected: 2, .. })
    ));
    assert!(copy.begin_group().is_err());
    copy.load_row(1, 1, &image).unwrap();
    copy.finish_load().unwrap();
    let mut other = (**w.copy.catalogue()).clone();
    other.tables[0].columns[1].name = "b".to_owned();
    let mut copy = WorkingCopy::new(&other).unwrap();
    assert!(matches!(copy.finish_load(), Err(ApplyError::Catalogue { .. })));
}

#[test]
fn its_own_errors_name_nothing_that_the_store_seals() {
    let mut w = World::new("CREATE TABLE secret(id INTEGER PRIMARY KEY, hidden TEXT)");
    w.sql("INSERT INTO secret VALUES(1,'private'),(2,'private')").unwrap();
    w.sql("CREATE INDEX covert ON secret(hidden)").unwrap();
    let image = w.rows[&1].values().next().unwrap().clone();
    let mut errors = Vec::new();
    let changed = |change: fn(&mut Catalogue)| {
        let mut catalogue = (**w.copy.catalogue()).clone();
        change(&mut catalogue);
        catalogue
    };
    // The rows break what the schema says.
    let mut copy = WorkingCopy::new(&changed(|c| {
        c.objects[0].sql = "CREATE UNIQUE INDEX covert ON secret(hidden)".into();
    }))
    .unwrap();
    w.rows[&1].values().for_each(|image| copy.load_row(1, 1, &image.as_ref()).unwrap());
    errors.push(copy.finish_load().unwrap_err());
    errors.push(WorkingCopy::new(&changed(|c| c.tables[0].sql.push_str(" hidden"))).unwrap_err());
    let mut copy =
        WorkingCopy::new(&changed(|c| c.tables[0].columns[1].name = "hidden2".into())).unwrap();
    errors.push(copy.load_row(1, 1, &image.as_ref()).unwrap_err());
    errors.push(copy.finish_load().unwrap_err());
    let mut copy = WorkingCopy::new(w.copy.catalogue()).unwrap();
    errors.push(copy.load_row(1, 9, &image.as_ref()).unwrap_err());
    errors.push(Reject::unknown_table(w.copy.catalogue().tables.iter(), "secret").into());
    for error in errors {
        let text = error.to_string();
        for name in ["secret", "hidden", "covert", "private"] {
            assert!(!text.contains(name), "{text}");
        }
        assert!(text.starts_with("working copy: "), "{text}");
    }
}
