//! Stores under each key provider, by the real binary: made, served, stopped, served again; what is
//! missing, wrong or unusable has its own message and exit status, and changes no file. Nothing of a
//! key or a passphrase is seen where it should not be.

mod common;
#[path = "common/home.rs"]
mod home;

use std::os::unix::fs::PermissionsExt;

use common::until;
use home::{Home, KEY, PASSPHRASE, files, fixture, put};
use rustix::process::Signal;

fn provider(home: &Home) -> String {
    let shown = home.run(&["key", "status", "--data", "data", "--json"]).ok();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["rotation"], "none");
    let slots = shown["slots"].as_array().unwrap();
    assert_eq!(slots.len(), 1, "{shown}");
    slots[0]["provider"].as_str().unwrap().to_owned()
}

#[test]
fn key_file() {
    let home = Home::new();
    let shown = home.run(&["key", "init", "--data", "data"]).ok();
    assert!(shown.contains("keep a copy"), "{shown}");
    home.serves_twice();
    let key = std::fs::read(home.data().join("key")).unwrap();
    std::fs::remove_file(home.data().join("key")).unwrap();
    home.refuses(3, &["key file", "is missing"]);
    let other = String::from_utf8(key.clone()).unwrap().replace("id = ", "id = 0");
    put(&home.data().join("key"), other.as_bytes());
    home.refuses(6, &["id: expected 16"]);
    let other = "version = 1\nid = 0011223344556677\nkey = ".to_owned() + KEY + "\n";
    put(&home.data().join("key"), other.as_bytes());
    home.refuses(5, &["key file", "0011223344556677"]);
    put(&home.data().join("key"), &key);
    std::fs::set_permissions(home.data().join("key"), PermissionsExt::from_mode(0o644)).unwrap();
    home.refuses(6, &["mode 0644"]);
    let said = home.run(&["key", "init", "--data", "data"]).fails(1);
    assert!(said.contains("exists already"), "{said}");
}

#[test]
fn passphrase() {
    let mut home = Home::new();
    home.input = format!("{PASSPHRASE}\n");
    let init = ["key", "init", "--data", "data", "--provider", "passphrase"];
    home.run(&[&init[..], &["--passphrase-fd", "0"]].concat()).ok();
    home.serves_twice();
    assert_eq!(provider(&home), "passphrase");
    for wrong in ["canarypassphrase 7 qz", "CanaryPassphrase 7 Q", " CanaryPassphrase 7 Qz"] {
        home.input = format!("{wrong}\n");
        home.refuses(4, &["wrong passphrase for store", "store.db"]);
    }
    home.input = "\n".into();
    home.refuses(6, &["it is empty"]);
    home.input = String::new();
    home.refuses(3, &["no passphrase", "at its end"]);
    let said = home.run(&["serve", "--data", "data"]).fails(3);
    assert!(said.contains("no terminal") && said.contains("--passphrase-fd"), "{said}");
    let said = home.run(&["serve", "--data", "data", "--passphrase-fd", "77"]).fails(2);
    assert!(said.contains("descriptor"), "{said}");
    // There is no way to say it on the command line.
    assert_eq!(home.run(&["serve", "--data", "data", "--passphrase", "x"]).code, 2);
    // Nothing is made where none is given.
    let ran = home.run(&["key", "init", "--data", "none", "--provider", "passphrase"]);
    ran.fails(3);
    assert_eq!(std::fs::read_dir(home.path("none")).unwrap().count(), 0);
}

#[test]
fn rsa_pair() {
    let mut home = Home::new();
    home.run(&["key", "init", "--data", "data", "--provider", "rsa"]).ok();
    home.serves_twice();
    assert_eq!(provider(&home), "rsa");
    let public = std::fs::read_to_string(home.data().join("public.pem")).unwrap();
    assert_eq!(home.run(&["key", "export-public", "--data", "data"]).ok(), public);
    home.run(&["key", "export-public", "--data", "data", "--output", "copy.pem"]).ok();
    assert_eq!(std::fs::read_to_string(home.path("copy.pem")).unwrap(), public);
    home.run(&["key", "export-public", "--data", "data", "--output", "copy.pem"]).fails(1);

    let own = std::fs::read(home.data().join("private.pem")).unwrap();
    // Once it is open, a daemon needs no private key.
    let mut served = home.serve();
    std::fs::remove_file(home.data().join("private.pem")).unwrap();
    home.run(&["put", "t", "2", "v=later"]).ok();
    home.run(&["key", "rotate"]).ok();
    served.stop(&home);
    home.refuses(3, &["private.pem", "is missing"]);
    put(&home.data().join("private.pem"), &fixture("test-private.pem"));
    home.refuses(5, &["private.pem", "sealed with key"]);
    put(&home.data().join("private.pem"), b"-----BEGIN PRIVATE KEY-----\nAAAA\n");
    home.refuses(6, &["private.pem", "PEM"]);
    put(&home.data().join("private.pem"), &fixture("short-private.pem"));
    home.refuses(6, &["2048 bits, 3072 or more expected"]);
    put(&home.data().join("private.pem"), &fixture("other-private-aes256.pem"));
    home.input = "not the test passphrase\n".into();
    home.refuses(4, &["wrong passphrase for private key", "private.pem"]);
    home.input = "test passphrase\n".into();
    home.refuses(5, &["private.pem", "sealed with key"]);
    put(&home.data().join("private.pem"), &own);
    let mut served = home.serve();
    assert_eq!(home.run(&["get", "t", "2", "v"]).ok(), "later\n");
    served.stop(&home);
}

#[test]
fn a_pair_of_openssl_under_a_passphrase() {
    let mut home = Home::new();
    put(&home.path("private.pem"), &fixture("test-private-pbkdf2.pem"));
    std::fs::write(home.path("public.pem"), fixture("test-public.pem")).unwrap();
    let begin = ["key", "init", "--data", "data", "--provider", "rsa", "--passphrase-fd", "0"];
    let files = ["--private", "private.pem", "--public", "public.pem"];
    home.input = "wrong passphrase\n".into();
    let said = home.run(&[&begin[..], &files[..]].concat()).fails(4);
    assert!(said.contains("wrong passphrase for private key"), "{said}");
    assert!(!home.data().join("store.db").exists());
    home.input = "test passphrase\n".into();
    let shown = home.run(&[&begin[..], &files[..]].concat()).ok();
    // Where the files are the configuration has to say; the command tells how.
    let line = format!("[key] private = \"{}\"", home.path("private.pem").display());
    assert!(shown.contains(&line), "{shown}");
    let text = format!(
        "[key]\nprivate = \"{}\"\npublic = \"{}\"\n",
        home.path("private.pem").display(),
        home.path("public.pem").display()
    );
    std::fs::write(home.data().join("shmirror.toml"), text).unwrap();
    home.serves_twice();
}

#[test]
fn environment() {
    let mut home = Home::new();
    let init = ["key", "init", "--data", "data", "--provider", "environment"];
    let said = home.run(&init).fails(3);
    assert!(said.contains("SHMIRROR_KEY is missing"), "{said}");
    home.variables = vec![("SHMIRROR_KEY".into(), KEY.into())];
    home.run(&init).ok();
    home.serves_twice();
    assert_eq!(provider(&home), "environment");
    for (value, status, word) in [
        (&KEY[2..], 6, "62 bytes"),
        ("", 6, "0 bytes"),
        (&KEY.replace("00", "11"), 5, "sealed with"),
    ] {
        home.variables[0].1 = value.into();
        home.refuses(status, &["environment variable SHMIRROR_KEY", word]);
    }
    home.variables.clear();
    home.refuses(3, &["environment variable SHMIRROR_KEY is missing"]);
}

#[test]
fn credential() {
    let mut home = Home::new();
    let init = ["key", "init", "--data", "data", "--provider", "credential"];
    let said = home.run(&init).fails(3);
    assert!(said.contains("CREDENTIALS_DIRECTORY"), "{said}");
    std::fs::create_dir(home.path("credentials")).unwrap();
    let credentials = home.path("credentials").to_str().unwrap().to_owned();
    home.variables = vec![("CREDENTIALS_DIRECTORY".into(), credentials)];
    let credential = home.path("credentials/shmirror.key");
    put(&credential, &[7; 32]);
    home.run(&init).ok();
    home.serves_twice();
    assert_eq!(provider(&home), "credential");
    put(&credential, &[8; 32]);
    home.refuses(5, &["credential", "shmirror.key"]);
    put(&credential, &[8; 31]);
    home.refuses(6, &["31 bytes that are no key"]);
    std::fs::remove_file(&credential).unwrap();
    home.refuses(3, &["shmirror.key is missing"]);
}

#[test]
fn wrap_goes_from_one_provider_to_another() {
    let mut home = Home::new();
    let mut served = home.serve();
    home.run(&[
        "sql",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES(1, 'kept')",
    ])
    .ok();
    let wrap = |home: &Home, more: &[&str]| {
        home.run(&[&["key", "wrap", "--data", "data", "--to"], more].concat())
    };
    home.input = format!("{PASSPHRASE}\n");
    // Not while it is served: and the daemon goes on.
    let ran = wrap(&home, &["passphrase", "--new-passphrase-fd", "0"]);
    let said = ran.fails(1);
    assert!(said.contains("in use") && said.contains("hint: stop the daemon"), "{said}");
    assert_eq!(home.run(&["get", "t", "1", "v"]).ok(), "kept\n");
    let shown = home.run(&["key", "status", "--data", "data", "--json"]).ok();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["served_by_pid"], served.process.0.id());
    home.input.clear();
    served.stop(&home);

    home.input = format!("{PASSPHRASE}\n");
    let shown = wrap(&home, &["passphrase", "--new-passphrase-fd", "0"]).ok();
    assert!(shown.contains("key is left as it is"), "{shown}");
    assert!(home.data().join("key").exists());
    let kept = |home: &Home| {
        let mut served = home.serve();
        assert_eq!(home.run(&["get", "t", "1", "v"]).ok(), "kept\n");
        served.stop(home);
    };
    assert_eq!(provider(&home), "passphrase");
    kept(&home);
    // Another passphrase: both from one descriptor, a line each.
    home.input = format!("{PASSPHRASE}\nanother passphrase\n");
    let fds = ["--passphrase-fd", "0", "--new-passphrase-fd", "0"];
    wrap(&home, &[&["passphrase"], &fds[..]].concat()).ok();
    home.input = format!("{PASSPHRASE}\n");
    home.refuses(4, &["wrong passphrase"]);
    home.input = "another passphrase\n".into();
    kept(&home);
    // Refused, and left as it was.
    let before = files(&home.data());
    home.input = "wrong\nnew passphrase\n".into();
    wrap(&home, &[&["passphrase"], &fds[..]].concat()).fails(4);
    home.input = "another passphrase\n\n".into();
    wrap(&home, &[&["passphrase"], &fds[..]].concat()).fails(6);
    home.input = "another passphrase\n".into();
    wrap(&home, &["environment", "--passphrase-fd", "0"]).fails(3);
    assert!(files(&home.data()) == before);
    // To the environment, to another variable, to a pair under a passphrase, and back to the file.
    home.variables =
        vec![("FIRST_KEY".into(), KEY.into()), ("SHMIRROR_KEY".into(), KEY[1..].to_owned() + "7")];
    wrap(&home, &["environment", "--variable", "FIRST_KEY", "--passphrase-fd", "0"]).ok();
    std::fs::write(home.data().join("shmirror.toml"), "[key]\nvariable = \"FIRST_KEY\"\n").unwrap();
    kept(&home);
    wrap(&home, &["environment", "--variable", "SHMIRROR_KEY"]).ok();
    std::fs::remove_file(home.data().join("shmirror.toml")).unwrap();
    kept(&home);
    home.input = "of the private key\n".into();
    wrap(&home, &["rsa", "--protect", "--new-passphrase-fd", "0"]).ok();
    home.variables.clear();
    kept(&home);
    wrap(&home, &["key-file", "--passphrase-fd", "0"]).ok();
    assert_eq!(provider(&home), "key-file");
    home.input.clear();
    kept(&home);
}

#[test]
fn a_backup_opens_with_what_opens_the_store() {
    let mut home = Home::new();
    home.input = format!("{PASSPHRASE}\n");
    let mut served = home.serve_new("passphrase");
    home.run(&["sql", "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES(5)"]).ok();
    let shown = home.run(&["backup", "copy.db"]).ok();
    assert!(shown.contains("passphrase") && !home.path("copy.db.key").exists(), "{shown}");
    assert!(home.run(&["status"]).ok().contains("passphrase"));
    served.stop(&home);
    let arguments = ["serve", "--data", "copy.db", "--passphrase-fd", "0"];
    home.input = "no\n".into();
    home.run(&arguments).fails(4);
    home.input = format!("{PASSPHRASE}\n");
    let mut served = home.begin(&arguments);
    until("the copy is served", || home.run(&["sql", "--csv", "SELECT * FROM t"]).out == "id\n5\n");
    served.signal(Signal::TERM);
    assert_eq!(served.end(), 0);
}

#[test]
fn usage_of_key_commands() {
    let home = Home::new();
    for arguments in [
        &["key"][..],
        &["key", "init", "--provider", "padlock"],
        &["key", "wrap", "--data", "data"],
        &["key", "init", "--rsa-bits", "2048"],
        &["key", "init", "--cipher", "rot13"],
        &["key", "init", "--passphrase-fd", "77"],
        &["key", "init", "--variable", "A=B"],
        &["key", "init", "--credential", "../x"],
    ] {
        assert_eq!(home.run(arguments).code, 2, "{arguments:?}");
    }
    home.run(&["key", "status", "--data", "none"]).fails(1);
    home.run(&["key", "wrap", "--data", "none", "--to", "rsa"]).fails(1);
    home.run(&["key", "export-public", "--data", "none"]).fails(3);
    assert!(!home.path("none").exists());
    assert!(home.run(&["key", "--help"]).ok().contains("wrong passphrase"));
}
