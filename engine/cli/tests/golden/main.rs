//! Golden stores: data directories as releases left them, each opened by the present binary. A store that a
//! release wrote is read by every later one.
//!
//! In: `VERSION/STORE/`, a data directory and beside it, as text, what must be in it. `make.rs` made them,
//! and README.md says how; they are never made again, and [`the_files_are_as_they_were`] sees to that.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/home.rs"]
mod home;

mod content;
mod contents;
mod make;
mod sums;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::until;
use contents::Contents;
use home::Home;
use serde_json::{Value as Json, json};

const PASSPHRASE: &str = "a throw-away passphrase";

/// Where the collection is.
fn collection() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A copy of a golden store, in the state that it was left in.
fn copy(name: &str) -> Home {
    let mut home = Home::new();
    home.input = format!("{PASSPHRASE}\n");
    std::fs::create_dir(home.data()).unwrap();
    std::fs::set_permissions(home.data(), PermissionsExt::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(collection().join(name).join("data")).unwrap() {
        let from = entry.unwrap().path();
        let to = home.data().join(from.file_name().unwrap());
        std::fs::copy(&from, &to).unwrap();
        // The history keeps no modes.
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o600)).unwrap();
    }
    home
}

fn rows(home: &Home, sql: &str) -> Json {
    serde_json::from_str(&home.run(&["sql", "--json", sql]).ok()).unwrap()
}

fn status(home: &Home) -> Json {
    serde_json::from_str(&home.run(&["status", "--json"]).ok()).unwrap()
}

fn sound(home: &Home) {
    let report: Json = serde_json::from_str(&home.run(&["check", "--json"]).ok()).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
}

/// Opens a copy, finds all that must be in it, writes with `write`, and finds that again after a restart.
/// In the end the table `dropped` goes: what the log has of it is nameless from then on, where the log no longer
/// has its creation.
fn opens(name: &str, write: impl FnOnce(&Home), dropped: &str) {
    let home = copy(name);
    let expected = Contents::read(&collection().join(name));
    let mut served = home.serve();
    let found = Contents::of(&home);
    found.assert_are(&expected, "as it was left");
    let revision = status(&home)["revision"].as_u64().unwrap();
    sound(&home);
    write(&home);
    let written = Contents::of(&home);
    assert!(status(&home)["revision"].as_u64().unwrap() > revision);
    let log = written.log.strip_prefix(&expected.log).expect("what the log held comes first");
    let first: Json = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(first["revision"].as_u64().unwrap(), revision + 1, "{first}");
    served.stop(&home);

    let mut again = home.serve();
    Contents::of(&home).assert_are(&written, "after a restart");
    sound(&home);
    until("the end of a rotation", || {
        let rotation = &status(&home)["store"]["rotation"];
        rotation.is_null() || rotation["under_way"] == false
    });
    home.run(&["sql", &format!("DROP TABLE {dropped}")]).ok();
    sound(&home);
    again.stop(&home);
    let data = home.data();
    let key: Json = serde_json::from_str(
        &home.run(&["key", "status", "--json", "--data", data.to_str().unwrap()]).ok(),
    )
    .unwrap();
    assert_eq!(key["slots"].as_array().unwrap().len(), 1, "{key:#}");
}

/// Every rule of the schema still holds, and every number goes on where it was.
fn use_everything(home: &Home) {
    for (sql, part) in content::REFUSED {
        let said = home.run(&["sql", sql]).fails(1);
        assert!(said.contains(part), "{sql}: {part:?} is missing in {said}");
    }
    // The greatest ids that there ever were are gone from the tables.
    assert_eq!(
        rows(home, "INSERT INTO value (v) VALUES ('new') RETURNING id"),
        json!([{"id": 501}])
    );
    let plant = "INSERT INTO plant.unit (name) VALUES ('new') RETURNING id";
    assert_eq!(rows(home, plant), json!([{"id": 72}]));
    // A row of the first shape of its table, by a command that reads it as one of today.
    home.run(&["put", "sensor", "1", "label=renamed", "--update"]).ok();
    assert_eq!(
        rows(home, "SELECT id, label, low, high, note FROM sensor WHERE id = 1"),
        json!([{"id": 1, "label": "renamed", "low": 0.5, "high": 100, "note": "none"}])
    );
    // The trigger told.
    assert_eq!(
        rows(home, "SELECT * FROM told ORDER BY rowid DESC LIMIT 1"),
        json!([{"what": "sensor 1", "old": "inlet", "new": "renamed"}])
    );
    // A view that can be written, by its trigger.
    home.run(&["sql", "INSERT INTO hot VALUES (9, 'by the view')"]).ok();
    assert_eq!(
        rows(home, "SELECT label FROM sensor WHERE id = 9"),
        json!([{"label": "by the view"}])
    );
    // Index and collation: found by another case, and once.
    assert_eq!(rows(home, "SELECT name FROM unit WHERE code = 'K'"), json!([{"name": "kelvin"}]));
    // Both namespaces in one transaction, and schema changes upon those that were.
    home.run(&[
        "sql",
        "UPDATE plant.\"pid.loop\" SET kp = kp * 2; DELETE FROM line WHERE text = 'b'",
    ])
    .ok();
    home.run(&["sql", "ALTER TABLE sensor ADD COLUMN last TEXT DEFAULT 'later'"]).ok();
    home.run(&["sql", "ALTER TABLE plant.unit RENAME COLUMN name TO title"]).ok();
    home.run(&[
        "sql",
        "CREATE TABLE after(id INTEGER PRIMARY KEY, v); INSERT INTO after VALUES (1, 'x')",
    ])
    .ok();
    home.run(&["del", "reading", "1,0.5"]).ok();
}

fn use_a_table(home: &Home) {
    home.run(&["put", "t", "3", "v=new"]).ok();
    assert_eq!(home.run(&["get", "t", "3", "v"]).ok(), "new\n");
}

#[test]
fn killed_with_a_log_ahead_of_its_checkpoint() {
    opens("0.1/killed", use_everything, "told_twice");
}

#[test]
fn stopped_after_a_rotation_and_with_its_log_trimmed() {
    let log = std::fs::read_to_string(collection().join("0.1/stopped/log.ndjson")).unwrap();
    let first: Json = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert!(first["revision"].as_u64().unwrap() > 1, "it was trimmed: {first}");
    opens("0.1/stopped", use_everything, "told_twice");
}

#[test]
fn left_in_the_middle_of_a_rotation() {
    let keys = make::data_keys(&collection().join("0.1/rotating/data"));
    assert_eq!(keys, [1, 2], "seals of both keys");
    opens("0.1/rotating", use_everything, "told_twice");
}

#[test]
fn under_a_passphrase() {
    opens("0.1/passphrase", use_a_table, "t");
}

#[test]
fn under_an_rsa_pair() {
    opens("0.1/rsa", use_a_table, "t");
}

/// The stores are what releases left, not what the present code would make.
#[test]
fn the_files_are_as_they_were() {
    for version in ["0.1"] {
        let directory = collection().join(version);
        let list = std::fs::read_to_string(directory.join("SHA256SUMS")).unwrap();
        let found = sums::list(&directory);
        for (was, is) in list.lines().zip(found.lines()) {
            assert_eq!(is, was, "{version}: golden files are never made again; see README.md");
        }
        assert_eq!(found, list, "{version}: golden files are never made again; see README.md");
        assert!(list.lines().count() > 20, "{list}");
    }
}
