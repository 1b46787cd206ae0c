//! Typed changes.

use super::*;

fn plant() -> World {
    World::new(
        "CREATE TABLE site(code TEXT PRIMARY KEY, name TEXT NOT NULL, n INT DEFAULT 7);
         CREATE TABLE tag(site TEXT REFERENCES site, no INT, v REAL, PRIMARY KEY(site,no));
         CREATE TABLE log(at INT, text TEXT);",
    )
}

#[test]
fn insert_update_delete() {
    let mut w = plant();
    w.change(vec![
        insert("Site", &["CODE", "name"], vec![vec![v("a"), v("A")]], OnConflict::Fail),
        insert("tag", &["site", "no", "v"], vec![vec![v("a"), v(1), v(2)]], OnConflict::Fail),
        update("tag", vec![v("a"), v(1)], &["v"], vec![v(2.5)]),
        insert("log", &["text"], vec![vec![v("x")], vec![v("y")]], OnConflict::Fail),
    ])
    .unwrap();
    assert_eq!(w.query("SELECT * FROM site"), [[v("a"), v("A"), v(7)]]);
    assert_eq!(w.query("SELECT v FROM tag"), [[v(2.5)]]);
    w.change(vec![
        update("log", vec![v(2)], &["text"], vec![Value::Null]),
        delete("log", vec![v(1)]),
        delete("tag", vec![v("a"), v("1")]),
    ])
    .unwrap();
    assert_eq!(w.query("SELECT rowid,text FROM log"), [[v(2), Value::Null]]);
    // A key can be changed by update, too.
    w.change(vec![update("site", vec![v("a")], &["code"], vec![v("b")])]).unwrap();
}

#[test]
fn on_conflict() {
    let mut w = plant();
    let row = |c: &str, n: &str| vec![v(c), v(n)];
    let put = |rows, on| vec![insert("site", &["code", "name"], rows, on)];
    w.change(put(vec![row("a", "A")], OnConflict::Fail)).unwrap();
    w.sql("UPDATE site SET n=1").unwrap();
    let e = w.change(put(vec![row("b", "B"), row("a", "X")], OnConflict::Fail)).unwrap_err();
    assert_eq!(e.code, RejectCode::PrimaryKey);
    assert_eq!(
        e.message,
        "insert into table \"site\", key ('a'): UNIQUE constraint failed: site.code"
    );
    let a = w.change(put(vec![row("b", "B"), row("a", "X")], OnConflict::Skip)).unwrap();
    assert_eq!(a.count, 1);
    // An upsert of some columns leaves the others, and needs no NOT NULL column of a row there is.
    let up = |columns: &[&str], row| vec![insert("site", columns, vec![row], OnConflict::Update)];
    w.change(up(&["n", "code"], vec![v(5), v("a")])).unwrap();
    assert_eq!(w.query("SELECT * FROM site WHERE code='a'"), [[v("a"), v("A"), v(5)]]);
    let e = w.change(up(&["n", "code"], vec![v(5), v("c")])).unwrap_err();
    assert_eq!(e.code, RejectCode::NotNull);
    w.change(up(&["name", "n", "code"], vec![v("C"), v(3), v("c")])).unwrap();
    assert!(w.change(up(&["code"], vec![v("c")])).is_ok());
    w.change(put(vec![row("a", "R")], OnConflict::Replace)).unwrap();
    assert_eq!(w.query("SELECT * FROM site WHERE code='a'"), [[v("a"), v("R"), v(7)]]);
    // The rowid is a key like others.
    let log = |on| vec![insert("log", &["rowid", "text"], vec![vec![v(5), v("t")]], on)];
    w.change(log(OnConflict::Update)).unwrap();
    assert_eq!(w.change(log(OnConflict::Fail)).unwrap_err().code, RejectCode::PrimaryKey);
    assert_eq!(w.change(log(OnConflict::Skip)).unwrap().count, 0);
    assert_eq!(w.change(log(OnConflict::Replace)).unwrap().count, 0);
}

#[test]
fn compare_and_set() {
    let mut w = plant();
    let put = |wanted| {
        let action = Action::Insert {
            columns: vec!["code".into(), "name".into()],
            rows: vec![vec![v("a"), v(format!("{wanted:?}"))]],
            on_conflict: OnConflict::Update,
            if_revision: wanted,
        };
        vec![Change { table: "site".into(), action }]
    };
    w.change(put(Some(0))).unwrap();
    let now = w.revision;
    let e = w.change(put(Some(0))).unwrap_err();
    assert_eq!(e.code, RejectCode::RevisionMismatch);
    assert_eq!(
        e.message,
        format!("table \"site\", key ('a'): its revision is {now}, no such row expected")
    );
    w.change(put(Some(now))).unwrap();
    let action = |wanted| Action::Delete { key: vec![v("a")], if_revision: Some(wanted) };
    let remove = |wanted| vec![Change { table: "site".into(), action: action(wanted) }];
    let e = w.change(remove(now)).unwrap_err();
    assert_eq!(e.code, RejectCode::RevisionMismatch);
    w.change(remove(now + 1)).unwrap();
    assert_eq!(w.change(remove(now + 1)).unwrap_err().code, RejectCode::NoSuchRow);
}

#[test]
fn a_change_that_a_trigger_ignores_is_no_error() {
    let mut w = plant();
    w.sql(
        "CREATE TRIGGER keep BEFORE UPDATE ON site BEGIN SELECT RAISE(IGNORE); END;
         INSERT INTO site VALUES('a','A',1)",
    )
    .unwrap();
    let a = w.change(vec![update("site", vec![v("a")], &["n"], vec![v(9)])]).unwrap();
    assert!(!a.is_change());
}

#[test]
fn more_plans_than_are_kept() {
    let mut w = World::new("CREATE TABLE t(abcdefghijk INTEGER PRIMARY KEY)");
    let name = |bits: u32| -> String {
        let letter = |(i, c): (usize, char)| {
            if bits >> i & 1 == 1 { c.to_ascii_uppercase() } else { c }
        };
        "abcdefghijk".chars().enumerate().map(letter).collect()
    };
    let one = |bits| insert("t", &[&name(bits)], vec![vec![v(bits)]], OnConflict::Fail);
    assert_eq!(w.change((0..2048).map(one).collect()).unwrap().count, 2048);
    assert_eq!(w.change(vec![one(1)]).unwrap_err().code, RejectCode::PrimaryKey);
}

#[test]
fn if_revision_is_of_the_row_before_the_request() {
    let mut w = World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, a)");
    w.sql("INSERT INTO t VALUES(1,'one')").unwrap();
    let revision = w.revision;
    let with = |mut change: Change, wanted: u64| {
        match &mut change.action {
            Action::Insert { if_revision, .. }
            | Action::Update { if_revision, .. }
            | Action::Delete { if_revision, .. } => *if_revision = Some(wanted),
        }
        change
    };
    let put =
        |id: i64, a: &str| insert("t", &["id", "a"], vec![vec![v(id), v(a)]], OnConflict::Fail);
    let set = |id: i64, a: &str| update("t", vec![v(id)], &["a"], vec![v(a)]);
    // Its own changes do not count, whatever they are.
    w.change(vec![
        with(set(1, "two"), revision),
        with(set(1, "three"), revision),
        with(delete("t", vec![v(1)]), revision),
        with(put(1, "four"), revision),
    ])
    .unwrap();
    let code = |w: &mut World, changes| w.change(changes).unwrap_err().code;
    assert_eq!(
        code(&mut w, vec![delete("t", vec![v(1)]), with(put(1, "x"), 0)]),
        RejectCode::RevisionMismatch
    );
    w.change(vec![with(put(2, "new"), 0), with(set(2, "newer"), 0)]).unwrap();
    // Where nothing made it, it is not there; and somebody else's is not ours.
    assert_eq!(code(&mut w, vec![with(set(3, "x"), 0)]), RejectCode::NoSuchRow);
    assert_eq!(code(&mut w, vec![with(set(3, "x"), 1)]), RejectCode::NoSuchRow);
    assert_eq!(code(&mut w, vec![with(set(2, "x"), 0)]), RejectCode::RevisionMismatch);
}
