//! Who may see one namespace: that one alone, in every way of asking. What it may not see answers as what
//! is not there.

use std::time::{Duration, Instant};

use serde_json::json;
use shmirror::{Error, Event, Mirror, OnConflict, Producer, Subscriber, Value};

use crate::people::{Person, Task, User, say};
use crate::{ENGINEER, ENGINEERS, OPERATOR, OPERATORS, RULES, instance, is_root};

/// Looks everywhere. Lines told: a name that is there and hidden, a name that is nowhere, for each pair
/// the same must come.
pub fn look(task: &Task) {
    let mirror = Mirror::attach(&task.options()).unwrap();
    let names: Vec<String> = mirror.namespaces().unwrap().into_iter().map(|n| n.name).collect();
    assert_eq!(names, ["plant"]);
    assert_eq!(mirror.tables().unwrap(), ["plant.pid"]);
    let catalogue = mirror.catalogue().unwrap();
    assert_eq!(catalogue.tables.len(), 1);
    assert_eq!(catalogue.objects.iter().map(|o| &*o.name).collect::<Vec<_>>(), ["pid_v"]);
    assert!(catalogue.namespaces.len() <= 1 && catalogue.next_table_id == 0);
    let row = mirror.table("plant.pid").unwrap().get(1).unwrap().unwrap();
    assert_eq!(row.get::<String>("v").unwrap(), "one");

    let status = mirror.status().unwrap().to_string();
    assert!(status.contains("plant.pid"), "{status}");
    assert_eq!(mirror.query("SELECT count(*) FROM plant.pid", &[]).unwrap().1[0].rows.len(), 1);
    let all = mirror.query("SELECT group_concat(name) FROM plant.sqlite_schema", &[]).unwrap();
    let mut said = vec![status, format!("{all:?}")];
    for text in [
        "SELECT * FROM pragma_table_list",
        "SELECT name FROM sqlite_schema",
        "SELECT * FROM pragma_table_info('secret')",
        "SELECT * FROM pragma_database_list",
    ] {
        said.push(format!("{:?}", mirror.query(text, &[])));
    }
    // From the log's beginning on, and what comes.
    let from_log: Vec<_> = mirror.history(0, &[]).unwrap().collect::<Result<_, _>>().unwrap();
    assert!(!from_log.is_empty());
    said.extend(from_log.iter().map(|e: &Event| e.to_json().to_string()));
    let mut changes = Subscriber::builder(&task.options()).from_revision(0).subscribe().unwrap();
    say("looking");
    let until = task.hear().unwrap();
    let deadline = Instant::now() + crate::common::PATIENCE;
    loop {
        let event = changes.next(Duration::from_secs(5)).unwrap().expect("an event in time");
        let text = event.to_json().to_string();
        said.push(text.clone());
        if text.contains(&until) {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    for text in &said {
        for word in ["secret", "desk", "note", "hush", "trader"] {
            assert!(!text.contains(word), "{word:?} is seen in {text}");
        }
    }

    // What is hidden and what is nowhere: the same words, but for the name.
    let differ = |what: &str, of: &dyn Fn(&str, &str) -> String| {
        let hidden = [("main", "secret"), ("desk", "note")]
            .map(|(n, t)| of(n, t).replace(n, "SPACE").replace(t, "TABLE"));
        let nowhere = [("main", "absent"), ("none", "void")]
            .map(|(n, t)| of(n, t).replace(n, "SPACE").replace(t, "TABLE"));
        for (hidden, nowhere) in hidden.iter().zip(&nowhere) {
            assert_eq!(hidden, nowhere, "{what}");
        }
    };
    let said_of = |error: Error| format!("{error:?} {error}");
    differ("a table", &|n, t| said_of(mirror.table(&format!("{n}.{t}")).unwrap_err()));
    differ("a bare name", &|_, t| said_of(mirror.table(t).unwrap_err()));
    differ("history", &|n, t| said_of(mirror.history(0, &[&format!("{n}.{t}")]).unwrap_err()));
    for sql in [
        "select * from N.T",
        "select * from T",
        "select hush from N.T",
        "select * from pragma_table_info('T','N')",
        "select * from plant.pid where v in (select hush from N.T)",
        "explain select * from \"N\".\"T\"",
    ] {
        differ(sql, &|n, t| match mirror.query(&sql.replace('N', n).replace('T', t), &[]) {
            Ok(found) => format!("{:?}", found.1),
            Err(error) => said_of(error),
        });
    }
    if let Ok(producer) = Producer::attach(&task.options()) {
        let change = |n: &str, t: &str| format!("{n}.{t}");
        differ("an insert", &|n, t| {
            said_of(producer.insert(&change(n, t), &json!({"hush": 1})).unwrap_err())
        });
        differ("an update", &|n, t| {
            said_of(producer.update(&change(n, t), 1, &json!({"hush": 1})).unwrap_err())
        });
        differ("a delete", &|n, t| said_of(producer.delete(&change(n, t), 1).unwrap_err()));
        differ("rows", &|n, t| {
            let rows = vec![vec![Value::from(1i64)]];
            let ticket = producer.insert_rows(&change(n, t), &["id"], rows, OnConflict::Skip);
            said_of(ticket.unwrap().wait().unwrap_err())
        });
        for sql in [
            "insert into N.T values(1)",
            "insert into N.T(hush) values(1)",
            "insert into N.T(nohush) values(1)",
            "update N.T set hush=1",
            "update N.T set nohush=1",
            "update T set nohush=1",
            "delete from N.T where hush=1",
            "delete from T",
            "select nohush from N.T",
            "insert into plant.pid(v) select hush from N.T",
            "drop table N.T",
            "alter table N.T add column more",
            "alter table N.T rename to other",
            "create index N.i on T(hush)",
            "create index plant.i on T(hush)",
            "create trigger N.r after insert on T begin select 1; end",
            "with x as (select * from \"N\".[T]) select * from x",
        ] {
            differ(sql, &|n, t| {
                let sql = sql.replace('N', n).replace('T', t);
                said_of(producer.sql(&sql, &[]).map(|_| ()).unwrap_err())
            });
        }
        // What may be read and what may be written is there.
        producer.insert("plant.pid", &json!({"id": 70, "v": "mine"})).unwrap();
        producer.execute("CREATE TABLE plant.own(id INTEGER PRIMARY KEY)").unwrap();
        producer.execute("DROP TABLE plant.own").unwrap();
    }
    say("done");
}

fn seen_by(uid: u32, groups: &[u32]) {
    let i = instance(RULES);
    i.sql(
        "CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v); CREATE INDEX plant.pid_v ON pid(v);
         INSERT INTO plant.pid VALUES(1,'one')",
    );
    i.sql(
        "CREATE TABLE secret(id INTEGER PRIMARY KEY, hush); INSERT INTO secret VALUES(1,'hush');
         CREATE VIEW secret_view AS SELECT hush FROM secret;
         CREATE TABLE desk.note(id INTEGER PRIMARY KEY, hush); INSERT INTO desk.note VALUES(1,'hush');
         CREATE TRIGGER desk.trader AFTER INSERT ON note BEGIN SELECT 1; END",
    );
    let mut looker = Person::start(&i, Some(User(uid, groups)), "looker");
    assert_eq!(looker.hear(), "looking");
    i.sql("INSERT INTO secret VALUES(2,'hush'); INSERT INTO desk.note VALUES(2,'hush')");
    i.sql("INSERT INTO secret VALUES(3,'hush'); INSERT INTO plant.pid VALUES(9,'the-end')");
    looker.tell("the-end");
    let said = looker.finish();
    assert_eq!(said, ["done"]);
    // Who asked for what is hidden is in the log; what they asked for is not.
    let log = crate::log(&i);
    let told = log.lines().filter(|l| l.contains("hidden from who named it"));
    let told: Vec<_> = told.collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|l| l.contains(&format!("uid={uid}")) && l.contains("pid=")));
    assert!(!log.contains("secret") && !log.contains("hush"), "the log has names");
}

#[test]
fn a_reader_of_one_namespace_sees_nothing_of_the_others() {
    if is_root("what a reader of one namespace sees of the others") {
        seen_by(OPERATOR, &[OPERATOR]);
    }
}

#[test]
fn nor_does_a_writer_whose_right_is_a_supplementary_group() {
    if is_root("what a writer of one namespace sees of the others") {
        seen_by(61_020, &[61_020, ENGINEERS]);
    }
}

#[test]
fn who_may_read_one_and_write_another_is_told_which_may_only_be_read() {
    if !is_root("a write to a namespace that may only be read") {
        return;
    }
    let i = instance(
        "[namespaces.main]\nreaders = ['everyone']\n[namespaces.plant]\nwriters = ['user:61002']\n",
    );
    i.sql("CREATE TABLE shared(id INTEGER PRIMARY KEY, v); CREATE TABLE plant.pid(id INTEGER PRIMARY KEY, v)");
    let engineer = User(ENGINEER, &[ENGINEER, OPERATORS]);
    let run = |arguments: &[&str]| {
        let ran = engineer.run(&i, arguments);
        (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
    };
    assert_eq!(run(&["put", "plant.pid", "1", "v=x"]), (Some(0), String::new()));
    for arguments in [
        &["put", "shared", "1", "v=x"][..],
        &["sql", "INSERT INTO shared VALUES(1,2)"],
        &["sql", "CREATE TABLE mine(id INTEGER PRIMARY KEY)"],
        &["sql", "DROP TABLE shared"],
        &["sql", "INSERT INTO plant.pid VALUES(7,7); DELETE FROM shared"],
    ] {
        let (code, message) = run(arguments);
        assert_ne!(code, Some(0), "{arguments:?}");
        assert!(message.contains("main") && message.contains("read"), "{message}");
    }
    // Nothing of a request that is refused in part remains.
    assert_eq!(i.run(&["sql", "SELECT id FROM plant.pid"]).ok().matches('7').count(), 0);
    for (arguments, what) in [(&["check"][..], "check"), (&["backup", "/tmp/x.db"], "back")] {
        let (code, message) = run(arguments);
        assert!(code != Some(0) && message.contains(what), "{message}");
    }
}

#[test]
fn who_looks_after_an_instance_need_not_see_its_tables() {
    if !is_root("what an administrator without any other right may do") {
        return;
    }
    let i = instance(
        "[access]\nadministrators = ['user:61002']\n[namespaces.main]\nreaders = ['user:61001']\n",
    );
    i.sql("CREATE TABLE secret(id INTEGER PRIMARY KEY, hush); INSERT INTO secret VALUES(1,'hush')");
    let copy = i.path("copy.db");
    let admin = User(ENGINEER, &[ENGINEER]);
    for arguments in [
        &["status", "--json"][..],
        &["check", "--json"],
        &["backup", copy.to_str().unwrap()],
        &["key", "rotate"],
    ] {
        let ran = admin.run(&i, arguments);
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        for text in [ran.stdout, ran.stderr].map(|t| String::from_utf8(t).unwrap()) {
            assert!(!text.contains("secret") && !text.contains("hush"), "{arguments:?}: {text}");
        }
    }
    assert!(copy.exists());
    for arguments in [&["dump", "secret"][..], &["get", "secret", "1"], &["sql", "SELECT 1"]] {
        assert!(!admin.run(&i, arguments).status.success(), "{arguments:?}");
    }
    // Who may read it may not do any of that.
    for arguments in [&["check"][..], &["backup", "/tmp/no.db"], &["key", "rotate"]] {
        let ran = User(OPERATOR, &[OPERATOR]).run(&i, arguments);
        let message = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && message.contains("61001 may not"), "{message}");
    }
}
