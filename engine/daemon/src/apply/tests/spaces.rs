//! Namespaces: each is a database of its own in one connection, and everything works in each of them.

use super::*;

/// What main and plant both have, under the same names.
fn ddl(at: &str) -> String {
    format!(
        "CREATE TABLE {at}p(id INTEGER PRIMARY KEY AUTOINCREMENT, u TEXT COLLATE NOCASE UNIQUE, g AS (id+1));
         CREATE TABLE {at}c(k TEXT, n INT CHECK(n<100), p REFERENCES p ON DELETE CASCADE, PRIMARY KEY(k DESC,n)) WITHOUT ROWID;
         CREATE TABLE {at}\"s.t\"(a ANY, b INT NOT NULL DEFAULT (1+1)) STRICT;
         CREATE TABLE {at}log(what);
         CREATE UNIQUE INDEX {at}i ON \"s.t\"(b) WHERE a>0;
         CREATE INDEX {at}j ON c(p);
         CREATE VIEW {at}vw AS SELECT * FROM p;
         CREATE TRIGGER {at}tr INSTEAD OF INSERT ON {at}vw BEGIN INSERT INTO p(u) VALUES(new.u); END;
         CREATE TRIGGER {at}l AFTER DELETE ON c BEGIN INSERT INTO log VALUES('c '||old.k); END;"
    )
}

fn both() -> World {
    World::with(&["plant"], &format!("{}{}", ddl(""), ddl("plant.")))
}

fn spaces(applied: &Applied) -> Vec<u16> {
    applied.changes.iter().map(|d| d.namespace).collect()
}

#[test]
fn two_tables_of_one_name() {
    let mut w = both();
    let catalogue = w.copy.catalogue().clone();
    assert_eq!((catalogue.tables.len(), catalogue.objects.len()), (8, 10));
    let names: Vec<_> = catalogue.tables.iter().map(|t| t.full_name().into_owned()).collect();
    assert_eq!(names[..4], ["p", "c", "s.t", "log"]);
    assert_eq!(names[4..], ["plant.p", "plant.c", "plant.s.t", "plant.log"]);
    let (ours, theirs) = (catalogue.table("p").unwrap(), catalogue.table("plant.p").unwrap());
    assert_eq!((&ours.sql, &ours.columns), (&theirs.sql, &theirs.columns));
    assert_ne!(ours.id, theirs.id);
    assert!(!theirs.sql.contains("plant"));

    w.sql("INSERT INTO p(u) VALUES('a')").unwrap();
    w.sql("INSERT INTO plant.p(u) VALUES('a'),('b')").unwrap();
    assert_eq!(w.query("SELECT count(*) FROM main.p"), [[v(1)]]);
    assert_eq!(w.query("SELECT count(*) FROM plant.p"), [[v(2)]]);
    // The namespaces of a transaction come in their order, and the rows of each in theirs.
    let a = w
        .sql(
            "INSERT INTO plant.p(u) VALUES('c'),('d'); INSERT INTO p(u) VALUES('e');
             UPDATE plant.p SET u='f' WHERE u='a'; DELETE FROM main.p WHERE u='a'",
        )
        .unwrap();
    assert_eq!(spaces(&a), [0, 0, 1, 1, 1]);
    let keys: Vec<Value> =
        a.changes.iter().map(|d| d.key_image.to_values().unwrap().remove(0)).collect();
    assert_eq!(keys, [v(2), v(1), v(3), v(4), v(1)]);
    let a = w
        .change(vec![
            insert("plant.p", &["u"], vec![vec![v("x")]], OnConflict::Fail),
            insert("p", &["u"], vec![vec![v("x")]], OnConflict::Fail),
            update("PLANT.P", vec![v(1)], &["u"], vec![v("y")]),
            delete("main.p", vec![v(2)]),
            insert("plant.s.t", &["a"], vec![vec![v(1)]], OnConflict::Update),
            insert("s.t", &["a"], vec![vec![v(1)]], OnConflict::Replace),
        ])
        .unwrap();
    assert_eq!(spaces(&a), [0, 0, 0, 1, 1, 1]);
    assert_eq!(a.schema, None);
    // One namespace's refusal takes the other's part back.
    assert!(w.sql("INSERT INTO p(u) VALUES('z'); INSERT INTO plant.p(u) VALUES('Y')").is_err());
    assert_eq!(w.query("SELECT count(*) FROM p WHERE u='z'"), [[v(0)]]);
    w.check_integrity();
}

#[test]
fn rules_views_triggers_and_keys_are_those_of_the_namespace() {
    let mut w = both();
    w.sql("INSERT INTO plant.vw(u) VALUES('x'),('y'); INSERT INTO vw(u) VALUES('x')").unwrap();
    assert_eq!(w.query("SELECT u FROM plant.vw"), [[v("x")], [v("y")]]);
    w.sql("INSERT INTO plant.c VALUES('k',1,2)").unwrap();
    let (code, message) = w.code("INSERT INTO c VALUES('k',1,2)");
    assert_eq!(code, RejectCode::ForeignKey);
    assert!(message.ends_with("FOREIGN KEY constraint failed c(p) → p"), "{message}");
    let (code, message) = w.code("INSERT INTO plant.c VALUES('k',2,9)");
    assert_eq!(code, RejectCode::ForeignKey);
    assert!(message.ends_with("failed plant.c(p) → plant.p"), "{message}");
    let bad = insert("plant.c", &["k", "n", "p"], vec![vec![v("q"), v(1), v(9)]], OnConflict::Fail);
    assert_eq!(
        w.change(vec![bad]).unwrap_err().message,
        "insert into table \"plant.c\", key ('q', 1): FOREIGN KEY constraint failed plant.c(p) → \
         plant.p"
    );
    assert_eq!(w.code("INSERT INTO plant.c VALUES('k',100,2)").0, RejectCode::Check);
    let a = w.sql("DELETE FROM plant.p WHERE id=2").unwrap();
    assert_eq!(spaces(&a), [1, 1, 1]);
    assert_eq!(w.query("SELECT * FROM plant.log"), [[v("c k")]]);
    assert_eq!(w.query("SELECT * FROM main.log"), Vec::<Vec<Value>>::new());
    let e = w.change(vec![insert("plant.q", &[], vec![], OnConflict::Fail)]).unwrap_err();
    assert_eq!(
        e.message,
        "there is no table \"plant.q\"; tables are \"p\", \"c\", \"s.t\", \"log\", \"plant.p\", \
         \"plant.c\", \"plant.s.t\", \"plant.log\""
    );
    let e = w.change(vec![update("plant.log", vec![v(1)], &["zz"], vec![v(1)])]).unwrap_err();
    assert_eq!(
        e.message,
        "table \"plant.log\" has no column \"zz\"; its columns are \"what\", \"rowid\""
    );
    // A program does not leave its namespace.
    for text in [
        "CREATE VIEW plant.x AS SELECT * FROM main.p",
        "CREATE VIEW x AS SELECT * FROM plant.p",
        "CREATE TRIGGER plant.x AFTER INSERT ON p BEGIN SELECT u FROM main.p; END",
        "CREATE TRIGGER x AFTER INSERT ON plant.p BEGIN SELECT 1; END",
    ] {
        let (code, message) = w.code(text);
        assert_eq!(code, RejectCode::Sql, "{message}");
        assert!(message.contains("cannot reference objects in database"), "{message}");
    }
}

#[test]
fn replace_is_captured_and_refused_in_each() {
    let mut w = both();
    w.sql("INSERT INTO plant.p(id,u) VALUES(1,'a'),(2,'b'); INSERT INTO p(id,u) VALUES(1,'a')")
        .unwrap();
    let a = w.sql("INSERT OR REPLACE INTO plant.p(id,u) VALUES(1,'b')").unwrap();
    assert_eq!((a.count, spaces(&a)), (2, vec![1, 1]));
    let row = vec![vec![v(1), v("c")]];
    w.change(vec![insert("plant.p", &["id", "u"], row.clone(), OnConflict::Replace)]).unwrap();
    // A trigger that is in the way in one namespace is none in the other.
    w.sql("CREATE TRIGGER plant.keep BEFORE DELETE ON p BEGIN SELECT RAISE(IGNORE); END").unwrap();
    let (code, message) = w.code("REPLACE INTO plant.p(id,u) VALUES(1,'d')");
    assert_eq!(code, RejectCode::NotAllowed);
    assert!(message.contains("in table \"plant.p\""), "{message}");
    let change = insert("plant.p", &["id", "u"], row.clone(), OnConflict::Replace);
    assert_eq!(w.change(vec![change]).unwrap_err().code, RejectCode::NotAllowed);
    w.sql("REPLACE INTO p(id,u) VALUES(1,'d')").unwrap();
    w.change(vec![insert("p", &["id", "u"], row, OnConflict::Replace)]).unwrap();
    // The definition says REPLACE, in one of two tables of a name.
    w.sql(
        "CREATE TABLE r(a PRIMARY KEY, b UNIQUE);
         CREATE TABLE plant.r(a PRIMARY KEY, b UNIQUE ON CONFLICT REPLACE);
         INSERT INTO r VALUES(1,1); INSERT INTO plant.r VALUES(1,1)",
    )
    .unwrap();
    assert_eq!(w.sql("INSERT INTO plant.r VALUES(2,1)").unwrap().count, 2);
    assert_eq!(w.code("INSERT INTO r VALUES(2,1)").0, RejectCode::Unique);
}

#[test]
fn schema_changes_say_which_parts() {
    let mut w = World::with(&["plant", "lab"], "CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    let parts = |a: Applied| a.schema.unwrap().parts;
    let a = w.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY, a, b)").unwrap();
    assert_eq!(parts(a), [1]);
    w.sql("INSERT INTO t VALUES(1,1),(2,2); INSERT INTO plant.t VALUES(1,1,1),(5,5,5)").unwrap();
    let a = w
        .sql("ALTER TABLE plant.t RENAME TO u; CREATE TABLE lab.t AS SELECT * FROM plant.u")
        .unwrap();
    let schema = a.schema.as_ref().unwrap();
    assert_eq!(
        (&schema.parts[..], &schema.reshaped[..], &schema.created[..]),
        (&[1, 2][..], &[2][..], &[3][..])
    );
    assert_eq!(spaces(&a), [2, 2]);
    assert_eq!(w.copy.catalogue().table("plant.u").unwrap().id, 2);
    assert_eq!(w.copy.catalogue().table("t").unwrap().shape, 1);
    // The triggers of each are where they belong.
    let a = w
        .sql("INSERT INTO t VALUES(3,3); UPDATE plant.u SET a=9; DELETE FROM lab.t WHERE id=5")
        .unwrap();
    assert_eq!(spaces(&a), [0, 1, 1, 2]);
    w.sql("ALTER TABLE plant.u RENAME TO t").unwrap();
    for text in [
        "ALTER TABLE plant.t RENAME COLUMN a TO aa",
        "ALTER TABLE plant.t DROP COLUMN b",
        "ALTER TABLE plant.t ADD COLUMN c DEFAULT 7",
        "CREATE INDEX plant.i ON t(c)",
        "CREATE VIEW plant.w AS SELECT c FROM t",
        "DROP VIEW plant.w",
        "DROP INDEX plant.i",
    ] {
        assert_eq!(parts(w.sql(text).unwrap()), [1], "{text}");
        let a = w.sql("UPDATE t SET a=a+1; UPDATE plant.t SET id=id+10").unwrap();
        assert_eq!(spaces(&a), [0, 0, 0, 1, 1, 1, 1], "{text}");
    }
    assert_eq!(parts(w.sql("ALTER TABLE t ADD COLUMN z").unwrap()), [0]);
    let a = w.sql("DROP TABLE plant.t").unwrap();
    let schema = a.schema.unwrap();
    assert_eq!((&schema.parts[..], &schema.dropped[..]), (&[1][..], &[(2, 6)][..]));
    assert_eq!(w.query("SELECT count(*) FROM t"), [[v(3)]]);
    // Of what is undone a used number remains, and that is of the namespace.
    assert_eq!(parts(w.sql("CREATE TABLE lab.x(a); DROP TABLE lab.x").unwrap()), [2]);
    w.sql("CREATE TABLE plant.t(other)").unwrap();
    assert_eq!(w.copy.catalogue().table("plant.t").unwrap().id, 5);
    w.check_integrity();
}

#[test]
fn a_column_renamed_in_one_namespace_stays_in_the_other() {
    let mut w = both();
    w.sql("DROP TRIGGER plant.tr; ALTER TABLE plant.p RENAME TO p2").unwrap();
    w.sql("ALTER TABLE plant.p2 RENAME COLUMN u TO uu").unwrap();
    w.sql("INSERT INTO plant.p2(uu) VALUES('x'); INSERT INTO vw(u) VALUES('x')").unwrap();
    assert_eq!(w.query("SELECT u FROM vw"), [[v("x")]]);
    w.sql("INSERT INTO plant.c VALUES('k',1,1); DELETE FROM plant.p2").unwrap();
    assert_eq!(w.query("SELECT * FROM plant.log"), [[v("c k")]]);
}

#[test]
fn sequences_of_each() {
    let mut w = both();
    let id = |w: &World, name: &str| w.copy.catalogue().table(name).unwrap().id;
    let (ours, theirs) = (id(&w, "p"), id(&w, "plant.p"));
    let a = w.sql("INSERT INTO plant.p(id,u) VALUES(7,'x'); DELETE FROM plant.p").unwrap();
    assert_eq!(a.sequences.as_deref(), Some(&[(theirs, 7)][..]));
    let a = w.sql("INSERT INTO p(u) VALUES('x')").unwrap();
    assert_eq!(a.sequences.as_deref(), Some(&[(ours, 1), (theirs, 7)][..]));
    let a = w.sql("UPDATE plant.sqlite_sequence SET seq=20").unwrap();
    assert_eq!(a.sequences.as_deref(), Some(&[(ours, 1), (theirs, 20)][..]));
    assert_eq!(
        w.code("INSERT INTO plant.sqlite_sequence VALUES('log',1)").0,
        RejectCode::NotAllowed
    );
    w.copy = w.reload();
    assert_eq!(w.copy.sequences()[..], [(ours, 1), (theirs, 20)]);
    assert_eq!(w.query("INSERT INTO plant.p(u) VALUES('n') RETURNING id"), [[v(21)]]);
    assert_eq!(w.query("INSERT INTO p(u) VALUES('n') RETURNING id"), [[v(2)]]);
    // Only one namespace has such a table.
    let mut w =
        World::with(&["plant"], "CREATE TABLE plant.t(id INTEGER PRIMARY KEY AUTOINCREMENT)");
    w.sql("INSERT INTO plant.t VALUES(3)").unwrap();
    w.sql("DROP TABLE plant.t; CREATE TABLE u(id INTEGER PRIMARY KEY AUTOINCREMENT)").unwrap();
    w.sql("DELETE FROM plant.sqlite_sequence").unwrap();
    assert_eq!(w.copy.sequences().len(), 0);
}

#[test]
fn a_catalogue_of_all_kinds_loads_as_it_was() {
    let mut w = both();
    w.sql(
        "INSERT INTO plant.vw(u) VALUES('x'),('y'); INSERT INTO plant.c VALUES('k',1,1);
         INSERT INTO plant.\"s.t\" VALUES('1',5),(1,6),(x'00',7); INSERT INTO vw(u) VALUES('x')",
    )
    .unwrap();
    w.sql("ALTER TABLE plant.\"s.t\" RENAME TO \"s 2\"").unwrap();
    w.sql("ALTER TABLE plant.\"s 2\" ADD COLUMN z TEXT DEFAULT 'q'").unwrap();
    w.sql("CREATE TABLE plant.made AS SELECT id,u FROM plant.p").unwrap();
    let again = w.reload();
    assert_eq!(again.catalogue(), w.copy.catalogue());
    w.copy = again;
    w.check();
    w.sql(
        "INSERT INTO plant.vw(u) VALUES('z'); UPDATE plant.\"s 2\" SET z='r'; DELETE FROM plant.c",
    )
    .unwrap();
    assert_eq!(w.code("INSERT INTO plant.p(u) VALUES('Z')").0, RejectCode::Unique);
    assert_eq!(w.code("INSERT INTO plant.c VALUES('n',1,99)").0, RejectCode::ForeignKey);
    assert_eq!(w.code("INSERT INTO plant.\"s 2\"(a,b) VALUES(2,6)").0, RejectCode::Unique);
    assert_eq!(w.query("SELECT * FROM plant.log"), [[v("c k")]]);
    w.check_integrity();
    let mut strange = (**w.copy.catalogue()).clone();
    strange.tables[5].sql = "CREATE  TABLE p(a)".into();
    assert!(matches!(WorkingCopy::new(&strange), Err(ApplyError::Catalogue { .. })));
}

#[test]
fn a_namespace_is_added_while_serving() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(1,1)");
    let change = |table: &str, id: i64| insert(table, &["id"], vec![vec![v(id)]], OnConflict::Fail);
    w.change(vec![change("t", 2)]).unwrap();
    assert_eq!(
        w.code("CREATE TABLE plant.t(a)").1,
        "statement 1, line 1, column 14: unknown database plant"
    );
    w.copy.begin_group().unwrap();
    assert!(matches!(w.copy.add_namespace("plant"), Err(ApplyError::State(_))));
    w.copy.rollback_group().unwrap();
    assert_eq!(w.copy.add_namespace("plant"), Ok(1));
    assert_eq!((w.copy.add_namespace("Plant"), w.copy.add_namespace("MAIN")), (Ok(1), Ok(0)));
    w.change(vec![change("t", 3)]).unwrap();
    w.sql("CREATE TABLE plant.t(id INTEGER PRIMARY KEY); INSERT INTO plant.t VALUES(1)").unwrap();
    w.change(vec![change("plant.t", 2), change("t", 4)]).unwrap();
    assert_eq!(w.copy.add_namespace("lab"), Ok(2));
    w.sql("CREATE TABLE lab.t AS SELECT * FROM plant.t").unwrap();
    // What a group of a new namespace did is rolled back like any other.
    w.copy.begin_group().unwrap();
    w.copy
        .apply(
            &request("DROP TABLE lab.t; DROP TABLE plant.t"),
            &Known(&w.revisions),
            &Budget::default(),
        )
        .unwrap();
    w.copy.rollback_group().unwrap();
    w.check();
    let again = w.reload();
    assert_eq!(again.catalogue(), w.copy.catalogue());

    // As many as there may be, and no more than SQLite takes.
    let most = limits::NAMESPACES;
    for n in 3..=most {
        assert_eq!(w.copy.add_namespace(&format!("n{n}")), Ok(n as u16));
    }
    w.sql(&format!(
        "CREATE TABLE n{most}.t(a); INSERT INTO n{most}.t VALUES(1); DELETE FROM plant.t"
    ))
    .unwrap();
    assert_eq!(
        w.copy.add_namespace("more").unwrap_err().to_string(),
        "working copy: 31 namespaces besides main, but the SQLite of this build can attach 30 databases \
         (SQLITE_MAX_ATTACHED)"
    );
    assert_eq!(w.copy.catalogue().namespaces.len(), most);
    w.copy = w.reload();
    w.check();
}

#[test]
fn nobody_attaches_or_detaches() {
    let mut w = World::with(&["plant"], "CREATE TABLE plant.t(a)");
    for text in ["ATTACH ':memory:' AS x", "ATTACH 'file' AS x", "DETACH plant", "DETACH main"] {
        let (code, message) = w.code(text);
        assert_eq!(code, RejectCode::NotAllowed);
        assert!(message.contains("ATTACH and DETACH are not allowed"), "{message}");
    }
    w.sql("INSERT INTO plant.t VALUES(1)").unwrap();
    // The limit of the connection stands behind the authorizer.
    let e = w.copy.db.exec("ATTACH ':memory:' AS x").unwrap_err();
    assert_eq!(e.message, "too many attached databases - max 0");
}

#[test]
fn what_sqlite_rolls_back_itself_is_done_again_in_each() {
    let mut w = both();
    w.sql("CREATE TRIGGER plant.boom AFTER INSERT ON log BEGIN SELECT RAISE(ROLLBACK,'boom'); END")
        .unwrap();
    w.copy.begin_group().unwrap();
    let run = |w: &mut World, sql: &str| {
        let applied = w.copy.apply(&request(sql), &Known(&HashMap::new()), &Budget::default());
        if let Ok(applied) = &applied {
            w.replay(applied);
        }
        w.check();
        applied
    };
    run(
        &mut w,
        "INSERT INTO plant.p(id,u) VALUES(1,'a'),(2,'b'); INSERT INTO p(id,u) VALUES(1,'z')",
    )
    .unwrap();
    run(&mut w, "INSERT INTO plant.c VALUES('k',1,1); INSERT INTO c VALUES('k',1,1)").unwrap();
    run(&mut w, "UPDATE plant.p SET u='t' WHERE id=1; UPDATE plant.p SET u='a' WHERE id=2; INSERT INTO plant.p(id) VALUES(9); DELETE FROM plant.p WHERE id=9; DELETE FROM c").unwrap();
    for boom in [
        "INSERT INTO plant.log VALUES(1)",
        "DELETE FROM p; CREATE TABLE plant.made(a); INSERT INTO plant.log VALUES(1)",
        "DELETE FROM p; INSERT OR ROLLBACK INTO plant.p(id) VALUES(1)",
    ] {
        run(&mut w, boom).unwrap_err();
        assert_eq!(w.copy.broken(), None);
        assert_eq!(w.copy.sequences_now().unwrap(), *w.copy.sequences());
    }
    w.copy.commit_group().unwrap();
    w.check();
    assert_eq!(w.query("SELECT u FROM plant.p ORDER BY id"), [[v("t")], [v("a")]]);
    assert_eq!(w.query("INSERT INTO plant.p(u) VALUES('n') RETURNING id"), [[v(10)]]);
}

#[test]
fn counters_begin_anew_with_each_request() {
    let mut w = World::with(
        &["plant"],
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE plant.t(a)",
    );
    let ask = "SELECT last_insert_rowid(), changes(), total_changes()";
    let none = [[v(0), v(0), v(0)]];
    assert_eq!(w.query(ask), none);
    w.sql("INSERT INTO t VALUES(70,1),(71,2); UPDATE t SET a=3").unwrap();
    assert_eq!(w.query(ask), none);
    assert_eq!(w.query(&format!("INSERT INTO t VALUES(80,1); {ask}")), [[v(80), v(1), v(1)]]);
    assert_eq!(
        w.query(&format!("UPDATE t SET a=4; UPDATE t SET a=5 WHERE id>70; {ask}")),
        [[v(0), v(2), v(5)]]
    );
    assert_eq!(
        w.query(&format!("UPDATE t SET a=4; DELETE FROM t WHERE id=0; {ask}")),
        [[v(0), v(0), v(3)]]
    );
    w.sql("INSERT INTO t VALUES(90,1); INSERT INTO t VALUES(90,1)").unwrap_err();
    assert_eq!(w.query(ask), none);
    // Views and triggers may use them, as they may SQLite's own.
    w.sql("CREATE TRIGGER r AFTER UPDATE ON t BEGIN UPDATE t SET a=changes() WHERE id=70; END")
        .unwrap();
    w.sql("CREATE VIEW vw AS SELECT changes() AS n").unwrap();
    assert_eq!(w.query("SELECT n FROM vw"), [[v(0)]]);
}
