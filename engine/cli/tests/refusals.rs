//! Bad input of every kind: one clear sentence that names it, the right exit status, nothing lost.

mod common;

use common::{Instance, run, shmirror};

#[test]
fn names_keys_types_and_constraints() {
    let i = Instance::start();
    i.sql("CREATE TABLE unit(code TEXT PRIMARY KEY)");
    i.sql(
        "CREATE TABLE tag(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, \
           unit TEXT REFERENCES unit(code), low REAL CONSTRAINT positive CHECK (low > 0)); \
           CREATE TABLE hard(id INTEGER PRIMARY KEY, n INTEGER) STRICT",
    );
    i.run(&["put", "tag", "1", "name=a"]).ok();
    let before = i.run(&["dump", "tag"]).ok();
    let cases: [(&[&str], &[&str]); 16] = [
        (&["get", "tga", "1"], &["tga", "tag"]),
        (&["dump", "nothing"], &["nothing"]),
        (&["get", "tag", "1", "nmae"], &["nmae", "name"]),
        (&["get", "tag", "one"], &["'one' found", "integer"]),
        (&["put", "tag", "1", "nmae=x"], &["nmae", "name"]),
        (&["put", "tag", "2"], &["NOT NULL", "tag.name"]),
        (&["put", "tag", "2", "name=a"], &["UNIQUE", "tag.name"]),
        (&["put", "tag", "2", "name=b", "low=-1"], &["CHECK", "positive"]),
        (&["put", "tag", "2", "name=b", "unit=zz"], &["FOREIGN KEY"]),
        (&["put", "hard", "1", "n=many"], &["hard.n"]),
        (&["put", "tag", "1", "id=5"], &["--update"]),
        (&["sql", "SELEC 1"], &["SELEC", "syntax"]),
        (&["sql", "SELECT * FROM nothing"], &["nothing"]),
        (&["sql", "SELECT 1 FROM tag WHERE"], &["incomplete"]),
        (&["sql", "ATTACH 'x.db' AS x"], &["ATTACH"]),
        (&["del", "tag", "77"], &["77"]),
    ];
    for (arguments, expected) in cases {
        let ran = i.run(arguments);
        let status = if expected == ["--update"] { 2 } else { 1 };
        let said = ran.fails(status);
        for word in expected {
            assert!(
                said.to_lowercase().contains(&word.to_lowercase()),
                "{arguments:?}: {word:?} is missing in {said}"
            );
        }
    }
    assert_eq!(i.run(&["dump", "tag"]).ok(), before);
    // SQLite's message comes with the place.
    let said = i.run(&["sql", "CREATE TABLE x(a);\nINSRT INTO x VALUES (1)"]).fails(1);
    assert!(said.contains("INSRT") && said.contains("line 2"), "{said}");
}

#[test]
fn limits_are_named() {
    let i = Instance::start();
    i.sql("CREATE TABLE t(k TEXT PRIMARY KEY, v)");
    let long = "k".repeat(1100);
    assert!(i.run(&["put", "t", &long, "v=1"]).fails(1).contains("1024"));
    assert!(i.run(&["get", "t", &long]).fails(1).contains("1024"));
    let said = i.run(&["sql", "INSERT INTO t VALUES ('a', zeroblob(17000000))"]).fails(1);
    assert!(said.contains("16777216"), "{said}");
}

#[test]
fn no_daemon_is_said_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let socket = socket.to_str().unwrap();
    for command in [
        &["get", "t", "1"][..],
        &["put", "t", "1"],
        &["sql", "SELECT 1"],
        &["sql", "DELETE FROM t"],
        &["status"],
        &["watch"],
        &["load", "t", "/dev/null", "--format", "csv"],
    ] {
        let mut arguments = vec!["--socket", socket];
        arguments.extend(command);
        let said = run(&arguments).fails(2);
        assert!(said.contains("no daemon") && said.contains("shmirror serve"), "{said}");
        assert!(said.contains(socket), "{said}");
    }
    let long = format!("{}/{}", directory.path().display(), "x".repeat(120));
    assert!(run(&["status", "--socket", &long]).fails(2).contains("107"));
    let data = directory.path().join("d");
    let said = run(&["serve", "--data", data.to_str().unwrap(), "--socket", &long]).fails(2);
    assert!(said.contains("107"), "{said}");
}

#[test]
fn usage_is_status_2() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["get"],
        &["put", "t", "1", "--insert", "--update"],
        &["dump", "t", "--format", "xml"],
        &["sql"],
        &["log", "--since", "x"],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.err.contains("--help") || ran.err.contains("Usage"), "{arguments:?}: {ran:?}");
    }
    assert!(run(&["sql", " -- nothing\n ;"]).fails(2).contains("no statement"));
    for arguments in [&["--help"][..], &["load", "--help"], &["--version"]] {
        assert_eq!(run(arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn a_data_directory_is_guarded() {
    let mut i = Instance::start();
    i.sql("CREATE TABLE t(a)");
    let data = i.path("data");
    let socket = i.path("other");
    let serve = |data: &std::path::Path| {
        let mut command = shmirror(&["serve", "--data"]);
        let output = command.arg(data).arg("--socket").arg(&socket).output().unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = serve(&data);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("another daemon") || said.contains("in use"), "{said}");
    assert_eq!(i.run(&["sql", "--csv", "SELECT count(*) FROM t"]).ok(), "count(*)\n0\n");
    assert_eq!(i.daemon.0.try_wait().unwrap(), None, "the first goes on");

    // Not ours.
    let foreign = i.path("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("notes.txt"), "mine").unwrap();
    let (code, said) = serve(&foreign);
    assert_eq!(code, 2, "{said}");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1, "left as it is: {said}");

    i.daemon.signal(rustix::process::Signal::TERM);
    assert_eq!(i.daemon.end(), 0);
    let store = || std::fs::read(data.join("store.db")).unwrap();
    let before = store();
    let key = std::fs::read(data.join("key")).unwrap();

    std::fs::remove_file(data.join("key")).unwrap();
    let (code, said) = serve(&data);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("key"), "{said}");
    assert!(!data.join("key").exists(), "no new key for an old store");
    let mut wrong = key.clone();
    let last = wrong.len() - 2;
    // Another hexadecimal digit.
    wrong[last] = if wrong[last] == b'0' { b'1' } else { b'0' };
    write_private(&data.join("key"), &wrong);
    let (code, said) = serve(&data);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("key"), "{said}");
    write_private(&data.join("key"), &key);
    assert_eq!(store(), before, "the store is as it was");

    let connection = rusqlite::Connection::open(data.join("store.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(connection);
    let newer = store();
    let (code, said) = serve(&data);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("99"), "{said}");
    assert_eq!(store(), newer, "the store is as it was");
}

fn write_private(path: &std::path::Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    // A key file may be read-only; it is made anew.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
