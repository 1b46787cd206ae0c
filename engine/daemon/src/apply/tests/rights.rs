//! What may not be read is not there: the very answers of a world in which it does not exist.

use super::*;
use crate::apply::guard::Mode;

/// Everything in `vault` is secret; `{}` stands for its place.
const SECRET: &str = "
    CREATE TABLE {}secret(id INTEGER PRIMARY KEY AUTOINCREMENT, pay INT NOT NULL, who TEXT UNIQUE);
    CREATE TABLE {}child(id INTEGER PRIMARY KEY, of REFERENCES secret);
    CREATE INDEX {}secret_index ON secret(pay);
    CREATE VIEW {}secret_view AS SELECT pay FROM secret;
    CREATE TRIGGER {}secret_trigger AFTER INSERT ON secret BEGIN UPDATE secret SET pay=pay+1; END;
    INSERT INTO {}secret(pay,who) VALUES(1000,'boss'),(2000,'owner');
    INSERT INTO {}child VALUES(1,1)";

/// What everybody here may see; plant can be written.
const OPEN: &str = "
    CREATE TABLE {main}seen(id INTEGER PRIMARY KEY, a); INSERT INTO {main}seen VALUES(1,1);
    CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, a TEXT UNIQUE); INSERT INTO plant.pid VALUES(1,'x'),(2,'y');
    CREATE TABLE plant.log(id INTEGER PRIMARY KEY, what);
    CREATE INDEX plant.pid_index ON pid(a); CREATE VIEW plant.pid_view AS SELECT * FROM pid;
    CREATE TRIGGER plant.pid_trigger AFTER INSERT ON pid BEGIN INSERT INTO log(what) VALUES(new.a); END";

/// Where the secret is, and who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// In `vault`, numbered before `plant`; main may be read.
    Before,
    /// In `vault`, numbered behind `plant`; main may be read.
    Behind,
    /// In main, of which nothing may be read.
    Main,
}

impl Case {
    fn namespaces(self) -> [&'static str; 2] {
        if self == Self::Behind { ["plant", "vault"] } else { ["vault", "plant"] }
    }

    fn place(self) -> &'static str {
        if self == Self::Main { "main." } else { "vault." }
    }

    fn world(self, is_there: bool) -> World {
        let open = if self == Self::Main { "vault." } else { "" };
        let mut ddl = OPEN.replace("{main}", open);
        if is_there {
            ddl = format!("{};{ddl}", SECRET.replace("{}", self.place()));
        }
        World::with(&self.namespaces(), &ddl)
    }

    /// The world without even the namespace, where there can be one.
    fn bare_world(self) -> Option<World> {
        let ddl = OPEN.replace("{main}", "");
        (self != Self::Main).then(|| World::with(&["plant"], &ddl))
    }

    fn rights(self, w: &World) -> Rights {
        let id = |name: &str| w.copy.catalogue().namespace_id(name).unwrap();
        let readable = if self == Self::Main { id("vault") } else { 0 };
        Rights::of(&[readable], &[id("plant")], false)
    }
}

/// Ways to write the name of `secret` in a namespace.
fn spellings(place: &str) -> Vec<String> {
    let at = place.trim_end_matches('.');
    let upper = at.to_uppercase();
    vec![
        format!("{at}.secret"),
        format!("\"{at}\".\"secret\""),
        format!("[{at}].[secret]"),
        format!("`{at}`.`secret`"),
        format!("'{at}'.'secret'"),
        format!("{upper}.SeCrEt"),
        format!("{at} /* a comment */ . -- one more\n secret"),
        "secret".to_owned(),
        "\"secret\"".to_owned(),
    ]
}

/// Statements about a table; `{t}` is its name, `{p}` its place with a dot, or nothing.
const FORMS: &[&str] = &[
    "SELECT * FROM {t}",
    "SELECT pay FROM {t}",
    "SELECT nope FROM {t}",
    "SELECT count(*) FROM {t}",
    "SELECT 1 FROM {t}",
    "SELECT rowid FROM {t}",
    "SELECT {t}.pay FROM {t}",
    "SELECT s.nope FROM {t} AS s",
    "SELECT a FROM plant.pid, {t}",
    "SELECT a FROM plant.pid JOIN {t} USING(id)",
    "SELECT a FROM plant.pid JOIN {t} USING(nope)",
    "SELECT a FROM plant.pid NATURAL JOIN {t}",
    "SELECT (SELECT max(pay) FROM {t})",
    "SELECT a FROM plant.pid WHERE EXISTS (SELECT 1 FROM {t})",
    "SELECT a FROM plant.pid WHERE id IN (SELECT id FROM {t})",
    "SELECT a FROM plant.pid WHERE id IN {t}",
    "SELECT a FROM plant.pid UNION SELECT pay FROM {t}",
    "SELECT a FROM plant.pid ORDER BY (SELECT nope FROM {t})",
    "WITH x AS (SELECT * FROM {t}) SELECT nope FROM x",
    "WITH x AS (SELECT * FROM {t}) SELECT 1",
    "WITH x AS (SELECT * FROM {t}) SELECT count(*) FROM x",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n, {t}) SELECT i FROM n LIMIT 3",
    "SELECT * FROM {t} INDEXED BY secret_index WHERE pay>1",
    "SELECT * FROM {t} INDEXED BY nope WHERE pay>1",
    "SELECT * FROM {t}(1)",
    "SELECT * FROM {p}secret_view",
    "SELECT count(*) FROM {p}secret_view",
    "SELECT * FROM {p}child",
    "SELECT * FROM {p}secret_index",
    "INSERT INTO {t}(pay) VALUES(1)",
    "INSERT INTO {t}(nope) VALUES(1)",
    "INSERT INTO {t} VALUES(1)",
    "INSERT INTO {t} VALUES(1,2,3,4,5)",
    "INSERT INTO {t} DEFAULT VALUES",
    "INSERT INTO {t}(id,pay) VALUES(1,1) ON CONFLICT(nope) DO NOTHING",
    "INSERT INTO {t}(id,pay) VALUES(1,1) ON CONFLICT(id) DO UPDATE SET nope=1",
    "INSERT INTO {t}(pay) VALUES(1) RETURNING nope",
    "INSERT OR REPLACE INTO {t}(id,pay,who) VALUES(1,1,'x') RETURNING *",
    "REPLACE INTO {t}(id,pay) VALUES(1,1)",
    "INSERT INTO {p}secret_view VALUES(1)",
    "INSERT INTO plant.pid(a) SELECT who FROM {t}",
    "INSERT INTO plant.pid(a) SELECT nope FROM {t}",
    "INSERT INTO plant.pid(a) VALUES((SELECT who FROM {t}))",
    "INSERT INTO plant.pid(a) VALUES('n') RETURNING (SELECT pay FROM {t})",
    "INSERT INTO plant.pid(id) VALUES(1) ON CONFLICT DO UPDATE SET a=(SELECT who FROM {t})",
    "UPDATE {t} SET pay=1",
    "UPDATE {t} SET nope=1",
    "UPDATE {t} SET pay=nope",
    "UPDATE {t} SET pay=1 WHERE nope=1 RETURNING nope",
    "UPDATE plant.pid SET a=(SELECT who FROM {t})",
    "UPDATE plant.pid SET a=s.who FROM {t} AS s WHERE s.id=pid.id",
    "UPDATE plant.pid SET a='z' WHERE id IN (SELECT nope FROM {t})",
    "UPDATE {p}secret_view SET pay=1",
    "DELETE FROM {t}",
    "DELETE FROM {t} WHERE nope=1",
    "DELETE FROM {t} WHERE id=1 RETURNING *",
    "DELETE FROM {p}secret_view",
    "DELETE FROM plant.pid WHERE EXISTS (SELECT nope FROM {t})",
    "DROP TABLE {t}",
    "DROP TABLE IF EXISTS {t}",
    "DROP VIEW {t}",
    "DROP VIEW {p}secret_view",
    "DROP VIEW IF EXISTS {p}secret_view",
    "DROP TABLE {p}secret_view",
    "DROP INDEX {p}secret_index",
    "DROP INDEX IF EXISTS {p}secret_index",
    "DROP INDEX {p}sqlite_autoindex_secret_1",
    "DROP TRIGGER {p}secret_trigger",
    "DROP TRIGGER IF EXISTS {p}secret_trigger",
    "ALTER TABLE {t} RENAME TO x",
    "ALTER TABLE {t} RENAME TO child",
    "ALTER TABLE {t} RENAME COLUMN pay TO x",
    "ALTER TABLE {t} RENAME COLUMN nope TO x",
    "ALTER TABLE {t} DROP COLUMN pay",
    "ALTER TABLE {t} DROP COLUMN nope",
    "ALTER TABLE {t} ADD COLUMN pay",
    "ALTER TABLE {t} ADD COLUMN x",
    "ALTER TABLE {p}secret_view ADD COLUMN x",
    "CREATE TABLE {p}secret(a)",
    "CREATE TABLE {p}fresh(a)",
    "CREATE TABLE IF NOT EXISTS {p}secret(a)",
    "CREATE TABLE IF NOT EXISTS {p}fresh(a)",
    "CREATE TABLE {p}secret_index(a)",
    "CREATE TABLE plant.x AS SELECT * FROM {t}",
    "CREATE TABLE plant.x AS SELECT nope FROM {t}",
    "CREATE TABLE plant.x AS SELECT count(*) FROM {t}",
    "CREATE INDEX {p}fresh ON secret(pay)",
    "CREATE INDEX {p}fresh ON secret(nope)",
    "CREATE INDEX {p}secret_index ON secret(pay)",
    "CREATE INDEX IF NOT EXISTS {p}secret_index ON secret(pay)",
    "CREATE UNIQUE INDEX {p}fresh ON child(of)",
    "CREATE VIEW {p}secret AS SELECT 1",
    "CREATE VIEW {p}fresh AS SELECT 1",
    "CREATE VIEW IF NOT EXISTS {p}secret_view AS SELECT 1",
    "CREATE VIEW plant.x AS SELECT * FROM {t}",
    "CREATE VIEW plant.x AS SELECT * FROM {t}; SELECT * FROM plant.x",
    "CREATE TRIGGER {p}fresh AFTER INSERT ON secret BEGIN SELECT 1; END",
    "CREATE TRIGGER {p}fresh AFTER UPDATE OF nope ON secret BEGIN SELECT 1; END",
    "CREATE TRIGGER {p}secret_trigger AFTER INSERT ON secret BEGIN SELECT 1; END",
    "CREATE TRIGGER IF NOT EXISTS {p}secret_trigger AFTER INSERT ON secret BEGIN SELECT 1; END",
    "CREATE TRIGGER fresh AFTER INSERT ON {t} BEGIN SELECT 1; END",
    "CREATE TRIGGER plant.x AFTER INSERT ON plant.log BEGIN DELETE FROM {t}; END",
    "CREATE TRIGGER plant.x AFTER INSERT ON log BEGIN INSERT INTO log(what) SELECT pay FROM {t}; END;
     INSERT INTO plant.log(what) VALUES(1)",
    "CREATE TRIGGER plant.x AFTER INSERT ON log BEGIN DELETE FROM secret; END;
     INSERT INTO plant.log(what) VALUES(1)",
    "CREATE TABLE plant.x(a REFERENCES secret(id)); INSERT INTO plant.x VALUES(1)",
    "CREATE TABLE plant.secret(a); SELECT * FROM secret",
    "CREATE TABLE plant.secret(a); SELECT pay FROM secret",
    "CREATE TABLE plant.secret(a); SELECT count(*) FROM secret",
    "CREATE TABLE plant.secret(a); INSERT INTO secret VALUES(1)",
    "CREATE TABLE plant.secret(a); DELETE FROM secret",
    "CREATE TABLE plant.secret(a); DROP TABLE secret",
    "CREATE TABLE plant.secret(a); DROP TABLE IF EXISTS secret",
    "CREATE TABLE plant.secret(a); ALTER TABLE secret ADD COLUMN b",
    "CREATE TABLE plant.secret(a); CREATE TRIGGER x AFTER INSERT ON secret BEGIN SELECT 1; END",
    "CREATE TABLE plant.secret(a); DROP TABLE plant.secret; SELECT count(*) FROM secret",
    "CREATE TABLE plant.secret(a); ALTER TABLE plant.secret RENAME TO x; SELECT count(*) FROM secret",
    "CREATE TABLE plant.x(a); ALTER TABLE plant.x RENAME TO secret; SELECT count(*) FROM secret",
    "CREATE VIEW plant.secret AS SELECT 1 AS pay; SELECT pay FROM secret",
    "CREATE VIEW plant.secret AS SELECT 1 AS pay; SELECT count(*) FROM secret",
    "CREATE VIEW plant.secret AS SELECT 1 AS pay; DROP VIEW secret",
    "CREATE TABLE plant.secret_index(a); CREATE INDEX plant.x ON pid(a); DROP INDEX secret_index",
    "CREATE INDEX plant.secret_index ON pid(a); DROP INDEX secret_index",
    "CREATE INDEX plant.secret_index ON pid(a); DROP INDEX IF EXISTS secret_index",
    "CREATE INDEX plant.secret_index ON pid(a); EXPLAIN DROP INDEX secret_index",
    "CREATE INDEX plant.secret_index ON pid(a); REINDEX secret_index",
    "CREATE TRIGGER plant.secret_trigger AFTER DELETE ON pid BEGIN SELECT 1; END; DROP TRIGGER secret_trigger",
    "CREATE TABLE plant.s(id INTEGER PRIMARY KEY AUTOINCREMENT); SELECT seq FROM sqlite_sequence",
    "CREATE TABLE plant.s(id INTEGER PRIMARY KEY AUTOINCREMENT); SELECT count(*) FROM sqlite_sequence",
    "CREATE TABLE plant.s(id INTEGER PRIMARY KEY AUTOINCREMENT); DELETE FROM sqlite_sequence",
    "CREATE TABLE plant.s(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO plant.s VALUES(4);
     SELECT seq FROM plant.sqlite_sequence",
    "WITH secret AS (SELECT 5 AS pay) SELECT pay FROM secret",
    "WITH secret AS (SELECT 5 AS pay) SELECT count(*) FROM secret",
    "SELECT count(*) FROM (SELECT 1) AS secret",
    "SELECT secret FROM plant.pid",
    "SELECT seq FROM sqlite_sequence",
    "SELECT count(*) FROM sqlite_sequence",
    "SELECT seq FROM {p}sqlite_sequence",
    "SELECT count(*) FROM {p}sqlite_sequence",
    "UPDATE {p}sqlite_sequence SET seq=7",
    "SELECT * FROM {p}sqlite_schema",
    "SELECT name FROM {p}sqlite_master",
    "SELECT count(*) FROM {p}sqlite_schema",
    "SELECT count(*) FROM {p}sqlite_master",
    "SELECT tbl_name,type FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_master",
    "SELECT sql FROM sqlite_temp_schema",
    "SELECT sql FROM sqlite_temp_master",
    "SELECT sql FROM temp.sqlite_schema",
    "SELECT count(*) FROM temp.sqlite_master",
    "SELECT count(*) FROM sqlite_temp_schema",
    "SELECT count(*) FROM TEMP.sqlite_temp_master",
    "UPDATE {p}sqlite_schema SET sql=''",
    "SELECT * FROM dbstat",
    "SELECT count(*) FROM dbstat",
    "SELECT name FROM dbstat WHERE schema='vault'",
    "SELECT * FROM main.dbstat('vault')",
    "SELECT * FROM pragma_table_list",
    "SELECT count(*) FROM pragma_table_list",
    "SELECT name FROM pragma_table_info('secret')",
    "SELECT name FROM pragma_table_info('secret','vault')",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT * FROM main.pragma_table_xinfo('secret')",
    "PRAGMA table_info(secret)",
    "PRAGMA vault.table_info(secret)",
    "PRAGMA main.index_list(secret)",
    "PRAGMA table_list",
    "PRAGMA database_list",
    "PRAGMA foreign_key_check",
    "PRAGMA integrity_check",
    "PRAGMA vault.nonsense",
    "REINDEX",
    "REINDEX {t}",
    "REINDEX {p}secret_index",
    "ANALYZE {t}",
    "VACUUM vault",
    "SELECT changes(), total_changes(), last_insert_rowid()",
    "SELECT value FROM json_each('[1,2]')",
    "INSERT INTO plant.pid(a) SELECT value FROM json_each('[7,8]')",
];

/// What came of a request, as its sender sees it.
#[derive(Debug, PartialEq)]
struct Answer(Result<(Vec<ResultSet>, u64), (RejectCode, String)>);

fn ask(w: &mut World, rights: &Rights, sql: &str) -> Answer {
    let (revision, revisions, rows) = (w.revision, w.revisions.clone(), w.rows.clone());
    w.copy.begin_group().unwrap();
    let done = w.copy.apply_as(rights, &asked(sql), &Known(&revisions), &Budget::default());
    w.copy.rollback_group().unwrap();
    (w.revision, w.revisions, w.rows) = (revision, revisions, rows);
    let mut done = done.map(|a| (a.results, a.count)).map_err(|r| (r.code, r.message));
    if let Ok((sets, _)) = &mut done {
        // EXPLAIN shows where a table-valued function lies in memory.
        for value in sets.iter_mut().flat_map(|s| &mut s.rows).flatten() {
            if matches!(value, Value::Text(text) if text.starts_with("vtab:")) {
                *value = Value::Null;
            }
        }
    }
    Answer(done)
}

fn statements(case: Case) -> Vec<String> {
    let mut all = Vec::new();
    for form in FORMS {
        let places = [case.place().to_owned(), String::new()];
        for place in places {
            if !form.contains("{p}") && place.is_empty() {
                continue;
            }
            let placed = form.replace("{p}", &place);
            if !placed.contains("{t}") {
                all.push(placed);
                continue;
            }
            for spelled in spellings(case.place()) {
                all.push(placed.replace("{t}", &spelled));
            }
        }
    }
    let plain: Vec<String> = all.clone();
    all.extend(plain.iter().map(|sql| format!("EXPLAIN {sql}")));
    all.extend(plain.iter().map(|sql| format!("/* c */ EXPLAIN QUERY PLAN {sql}")));
    all.extend(plain.iter().map(|sql| format!("INSERT INTO plant.pid(a) VALUES('q');\n  {sql};")));
    all
}

fn compare(case: Case) {
    let mut hidden = case.world(true);
    let mut worlds = vec![case.world(false)];
    worlds.extend(case.bare_world());
    let rights = case.rights(&hidden);
    let mut wrong = Vec::new();
    for sql in statements(case) {
        let found = ask(&mut hidden, &rights, &sql);
        for (at, world) in worlds.iter_mut().enumerate() {
            let rights = case.rights(world);
            // Without the namespace a bare name can mean what is behind it otherwise; there the
            // empty namespace is what to compare with.
            if at > 0 && !sql.to_lowercase().contains("vault") {
                continue;
            }
            let expected = ask(world, &rights, &sql);
            if found != expected {
                wrong.push(format!("{sql}\n  found {found:?}\n  expected {expected:?}"));
            }
        }
        let text = format!("{found:?}");
        for name in ["boss", "owner", "1000", "1001", "who TEXT"] {
            let quoted = sql.contains(name);
            assert!(quoted || !text.contains(name), "{case:?} {sql}: {text}");
        }
    }
    hidden.check();
    assert!(wrong.is_empty(), "{case:?}: {} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_hidden_namespace_before_others_is_not_there() {
    compare(Case::Before);
}

#[test]
fn a_hidden_namespace_behind_others_is_not_there() {
    compare(Case::Behind);
}

#[test]
fn a_hidden_main_is_not_there() {
    compare(Case::Main);
}

#[test]
fn the_authorizer_alone_keeps_everybody_out_too() {
    let w = Case::Before.world(true);
    let rights = Case::Before.rights(&w);
    w.copy.guard.limit(Reach::of(&rights, w.copy.catalogue()));
    let mut count = 0;
    for form in FORMS.iter().filter(|form| form.contains("{t}") || form.contains("{p}")) {
        let sql = form.replace("{t}", "vault.secret").replace("{p}", "vault.");
        // SQLite asks nothing where nothing is to be done: of a WITH that is not used, or IF [NOT] EXISTS.
        let is_unused = sql.contains(" IF ") || sql.ends_with("secret) SELECT 1");
        if !sql.contains("vault.") || sql.contains(';') || is_unused {
            continue;
        }
        let made = w.copy.guard.watch(Mode::Script, || w.copy.db.prepare(&sql).map(|_| ()));
        assert!(made.0.is_err(), "{sql}");
        count += usize::from(made.1.denied.is_some());
    }
    assert!(count > 50, "{count} were denied");
}

#[test]
fn every_table_valued_function_is_known() {
    let w = Case::Before.world(true);
    let rights = Case::Before.rights(&w);
    w.copy.guard.limit(Reach::of(&rights, w.copy.catalogue()));
    let mut modules = w.copy.db.prepare("SELECT name FROM pragma_module_list").unwrap();
    // SQLite lists these once they were used.
    let mut usable = Vec::new();
    for name in ["json_each", "json_tree", "jsonb_each", "jsonb_tree"] {
        w.copy.db.prepare(&format!("SELECT count(*) FROM {name}('[]')")).unwrap();
    }
    while modules.step().unwrap() {
        let name = modules.text(0);
        let sql = format!("SELECT count(*) FROM {name}");
        let (made, _) = w.copy.guard.watch(Mode::Script, || w.copy.db.prepare(&sql).map(|_| ()));
        if made.is_ok() {
            usable.push(name);
        }
    }
    usable.sort_unstable();
    assert_eq!(usable, ["json_each", "json_tree", "jsonb_each", "jsonb_tree"]);
}

#[test]
fn typed_changes_of_hidden_tables_find_none() {
    for case in [Case::Before, Case::Behind, Case::Main] {
        let (mut hidden, mut empty) = (case.world(true), case.world(false));
        let rights = case.rights(&hidden);
        // The plans of who may do everything are kept, and of no use to others.
        let all = Rights::all();
        for name in
            ["secret", "vault.secret", "main.secret", "VAULT.Secret", "vault.nope", "secret_view"]
        {
            for change in [
                insert(name, &["pay"], vec![vec![v(1)]], OnConflict::Fail),
                insert(name, &["nope"], vec![vec![v(1)]], OnConflict::Update),
                update(name, vec![v(1)], &["pay"], vec![v(1)]),
                update(name, vec![], &[], vec![]),
                delete(name, vec![v(1)]),
            ] {
                let request = Request::Transaction(vec![change]);
                let mut answers = Vec::new();
                for w in [&mut hidden, &mut empty] {
                    w.copy.begin_group().unwrap();
                    let known = Known(&w.revisions);
                    let _ = w.copy.apply_as(
                        &all,
                        &Asked::of(request.clone()).unwrap(),
                        &known,
                        &Budget::default(),
                    );
                    w.copy.rollback_group().unwrap();
                    answers.push(w.apply_as(&rights, &request).unwrap_err());
                }
                assert_eq!(answers[0], answers[1]);
                assert_eq!(answers[0].code, RejectCode::UnknownTable);
                let seen = if case == Case::Main { "\"vault.seen\"" } else { "\"seen\"" };
                let message = &answers[0].message;
                assert!(message.contains(seen) && message.contains("\"plant.pid\""), "{message}");
                assert!(!message.contains("child"), "{message}");
            }
        }
    }
    let mut w = World::with(&["vault"], "CREATE TABLE vault.t(a)");
    let change = Request::Transaction(vec![delete("vault.t", vec![v(1)])]);
    let none = w.apply_as(&Rights::of(&[0], &[], false), &change).unwrap_err();
    assert_eq!(none.message, "there is no table \"vault.t\": there are no tables yet");
}

#[test]
fn a_table_of_main_with_a_dot_is_not_hidden_by_a_hidden_one() {
    let mut w = World::with(&["vault"], "CREATE TABLE vault.t(a); CREATE TABLE \"vault.t\"(b)");
    let ours = Rights::of(&[], &[0], false);
    let change = |column| insert("vault.t", &[column], vec![vec![v(1)]], OnConflict::Fail);
    for _ in 0..2 {
        let a = w.apply_as(&ours, &Request::Transaction(vec![change("b")])).unwrap();
        assert_eq!(a.changes.get(0).unwrap().namespace, 0);
        let a = w.change(vec![change("a")]).unwrap();
        assert_eq!(a.changes.get(0).unwrap().namespace, 1);
        let e = w.apply_as(&ours, &Request::Transaction(vec![change("a")])).unwrap_err();
        assert_eq!(
            e.message,
            "table \"vault.t\" has no column \"a\"; its columns are \"b\", \"rowid\""
        );
    }
}

#[test]
fn what_may_only_be_read_is_denied_by_name() {
    let case = Case::Before;
    let mut w = case.world(true);
    let rights = case.rights(&w);
    for sql in [
        "INSERT INTO seen VALUES(2,2)",
        "INSERT INTO main.seen VALUES(2,2) RETURNING *",
        "UPDATE seen SET a=2",
        "DELETE FROM seen",
        "INSERT INTO plant.pid(a) VALUES('z'); REPLACE INTO seen VALUES(1,1)",
        "DROP TABLE seen",
        "ALTER TABLE seen ADD COLUMN b",
        "ALTER TABLE main.seen RENAME TO b",
        "CREATE TABLE fresh(a)",
        "CREATE TABLE main.fresh AS SELECT * FROM plant.pid",
        "CREATE INDEX fresh ON seen(a)",
        "CREATE VIEW fresh AS SELECT 1",
        "CREATE TRIGGER fresh AFTER INSERT ON seen BEGIN SELECT 1; END",
    ] {
        let e = w.apply_as(&rights, &request(sql)).unwrap_err();
        assert_eq!(e.code, RejectCode::Denied, "{sql}: {e}");
        assert!(e.message.ends_with(": namespace \"main\" may only be read"), "{e}");
    }
    for change in [
        insert("seen", &["nope"], vec![], OnConflict::Fail),
        update("main.seen", vec![v(1)], &["a"], vec![v(1)]),
        delete("SEEN", vec![v(1)]),
    ] {
        let change = Request::Transaction(vec![change]);
        let e = w.apply_as(&rights, &change).unwrap_err();
        assert_eq!(
            (e.code, e.message.as_str()),
            (RejectCode::Denied, "change of table \"seen\": namespace \"main\" may only be read")
        );
    }
    let a = w.apply_as(&rights, &request("SELECT * FROM seen")).unwrap();
    assert_eq!(a.results[0].rows, [[v(1), v(1)]]);
}

#[test]
fn everything_works_in_what_may_be_written() {
    for case in [Case::Before, Case::Behind, Case::Main] {
        let mut w = case.world(true);
        let rights = case.rights(&w);
        for sql in [
            "INSERT INTO plant.pid(a) VALUES('new'); SELECT last_insert_rowid(), changes()",
            "CREATE TABLE plant.n(id INTEGER PRIMARY KEY AUTOINCREMENT, r REFERENCES pid);
             INSERT INTO plant.n(r) VALUES(1); CREATE INDEX plant.ni ON n(r);
             INSERT INTO plant.n(r) SELECT id FROM plant.pid",
            "ALTER TABLE plant.n ADD COLUMN c CHECK(c>0) DEFAULT 1; UPDATE plant.n SET c=2",
            "ALTER TABLE plant.n RENAME COLUMN c TO cc; DROP INDEX plant.ni; ALTER TABLE plant.n DROP COLUMN r",
            "CREATE TABLE plant.m AS WITH x AS (SELECT a FROM plant.pid) SELECT a, count(*) AS n FROM x",
            "CREATE TRIGGER plant.mt AFTER DELETE ON m BEGIN INSERT INTO log(what) VALUES(changes()); END;
             DELETE FROM plant.m",
            "DROP TRIGGER plant.mt; DROP TABLE plant.m; DROP INDEX IF EXISTS plant.none",
            "UPDATE plant.sqlite_sequence SET seq=50; INSERT INTO plant.n(id) VALUES(NULL)",
            "INSERT OR REPLACE INTO plant.pid(id,a) VALUES(1,'r')",
            "EXPLAIN QUERY PLAN SELECT * FROM plant.pid WHERE a='x'",
            "DELETE FROM plant.n; DROP TABLE plant.n; SELECT name FROM plant.sqlite_schema",
        ] {
            w.apply_as(&rights, &request(sql)).unwrap_or_else(|e| panic!("{case:?} {sql}: {e}"));
        }
        w.check_integrity();
    }
}

#[test]
fn a_shadow_follows_every_change_of_the_schema() {
    let mut w = Case::Before.world(true);
    let rights = Case::Before.rights(&w);
    let missing = |w: &mut World, sql: &str| {
        let e = w.apply_as(&rights, &request(sql)).unwrap_err();
        assert!(e.message.contains("no such "), "{sql}: {e}");
    };
    let there = |w: &mut World, sql: &str| {
        w.apply_as(&rights, &request(sql)).unwrap_or_else(|e| panic!("{sql}: {e}"));
    };
    missing(&mut w, "SELECT * FROM plant.later");
    // By somebody else.
    w.sql("CREATE TABLE plant.later(a)").unwrap();
    there(&mut w, "SELECT a FROM plant.later");
    w.sql("ALTER TABLE plant.later RENAME COLUMN a TO b").unwrap();
    missing(&mut w, "SELECT a FROM plant.later");
    // In a request that is refused.
    missing(&mut w, "CREATE TABLE plant.never(a); SELECT a FROM plant.never; SELECT nope");
    missing(&mut w, "SELECT a FROM plant.never");
    missing(&mut w, "DROP TABLE plant.later; SELECT nope");
    there(&mut w, "SELECT b FROM plant.later");
    // In a group that is rolled back.
    w.copy.begin_group().unwrap();
    let known = HashMap::new();
    let sql = asked("CREATE TABLE plant.gone(a); SELECT a FROM plant.gone");
    w.copy.apply_as(&rights, &sql, &Known(&known), &Budget::default()).unwrap();
    w.copy.rollback_group().unwrap();
    missing(&mut w, "SELECT a FROM plant.gone");
    // By a rollback of SQLite's own.
    w.sql("CREATE TRIGGER plant.boom AFTER INSERT ON log BEGIN SELECT RAISE(ROLLBACK,'boom'); END")
        .unwrap();
    let sql =
        "CREATE TABLE plant.gone(a); SELECT a FROM plant.gone; INSERT INTO plant.log VALUES(1,1)";
    assert_eq!(w.apply_as(&rights, &request(sql)).unwrap_err().code, RejectCode::Trigger);
    missing(&mut w, "SELECT a FROM plant.gone");
    // A bare name is of main as soon as main has it.
    missing(&mut w, "SELECT a FROM pid");
    w.sql("CREATE TABLE pid(a)").unwrap();
    there(&mut w, "SELECT a FROM pid");
    w.sql("DROP TABLE pid").unwrap();
    missing(&mut w, "SELECT a FROM pid");
    let both = Rights::of(&[], &[0, 2], false);
    w.apply_as(
        &both,
        &request("CREATE TABLE late(a); CREATE TABLE plant.late(b); SELECT a FROM late"),
    )
    .unwrap();
    let sql = request("CREATE TABLE plant.two(b); CREATE TABLE two(a); SELECT a FROM two");
    w.apply_as(&both, &sql).unwrap();
    // A new namespace.
    assert_eq!(w.copy.add_namespace("lab"), Ok(3));
    let more = Rights::of(&[0], &[2, 3], false);
    w.apply_as(&more, &request("CREATE TABLE lab.x AS SELECT * FROM plant.pid")).unwrap();
    missing(&mut w, "SELECT * FROM lab.x");
}

#[test]
fn a_long_script_makes_one_shadow() {
    let mut w = World::with(&["vault", "plant"], "CREATE TABLE vault.t(a)");
    let rights = Rights::of(&[], &[2], false);
    let script: String = (0..1000).map(|i| format!("CREATE TABLE plant.t{i}(a);")).collect();
    w.apply_as(&rights, &request(&script)).unwrap();
    assert_eq!(w.copy.catalogue().tables.len(), 1001);
    // What the others have is not counted in the refusal.
    let script: String = (0..30).map(|i| format!("CREATE TABLE plant.m{i}(a);")).collect();
    let e = w.apply_as(&rights, &request(&script)).unwrap_err();
    assert_eq!(
        (e.code, e.message.as_str()),
        (RejectCode::Limit, "there is no room for this: an instance has at most 1024 tables")
    );
}

#[test]
fn as_many_namespaces_as_there_can_be_have_a_shadow() {
    let names: Vec<String> = (1..=limits::NAMESPACES).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut w = World::with(&names, "CREATE TABLE t(a); CREATE TABLE n7.t(b)");
    let ids: Vec<u16> = (1..=limits::NAMESPACES as u16).collect();
    let rights = Rights::of(&[], &ids, false);
    w.apply_as(&rights, &request("INSERT INTO n7.t VALUES(1); CREATE TABLE n30.u(a)")).unwrap();
    let e = w.apply_as(&rights, &request("SELECT * FROM t")).unwrap_err();
    assert_eq!(e.message, "statement 1, line 1: no such table: t");
}
