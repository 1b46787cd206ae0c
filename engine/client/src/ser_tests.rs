//! Rust types taken apart into columns, and what is refused.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use shmirror_shm::value::Value;

use super::to_fields;

#[derive(Serialize)]
enum Mode {
    Auto,
    #[serde(rename = "by hand")]
    Manual,
}

#[derive(Serialize)]
struct Meters(f64);

#[derive(Serialize)]
struct Bytes<'a>(#[serde(serialize_with = "as_bytes")] &'a [u8]);

fn as_bytes<S: serde::Serializer>(b: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_bytes(b)
}

#[derive(Serialize)]
struct Place {
    x: i64,
}

#[derive(Serialize)]
struct Pump<'a> {
    id: u64,
    name: &'a str,
    on: bool,
    note: Option<String>,
    level: Meters,
    mode: Mode,
    raw: Vec<u8>,
    id8: [u8; 2],
    bytes: Bytes<'a>,
    letter: char,
    #[serde(flatten)]
    place: Place,
}

fn pump() -> Pump<'static> {
    Pump {
        id: 7,
        name: "Pumpe Süd",
        on: true,
        note: None,
        level: Meters(1.5),
        mode: Mode::Manual,
        raw: vec![1, 2, 255],
        id8: [3, 4],
        bytes: Bytes(b"ab"),
        letter: 'ß',
        place: Place { x: -1 },
    }
}

#[test]
fn a_struct_becomes_columns_in_the_order_of_its_fields() {
    let fields = to_fields("t", &pump()).unwrap();
    let expected: [(&str, Value); 11] = [
        ("id", 7i64.into()),
        ("name", "Pumpe Süd".into()),
        ("on", 1i64.into()),
        ("note", Value::Null),
        ("level", 1.5.into()),
        ("mode", "by hand".into()),
        ("raw", Value::Blob(vec![1, 2, 255])),
        ("id8", Value::Blob(vec![3, 4])),
        ("bytes", Value::Blob(b"ab".to_vec())),
        ("letter", "ß".into()),
        ("x", (-1i64).into()),
    ];
    let (names, values): (Vec<_>, Vec<_>) =
        expected.into_iter().map(|(n, v)| (n.to_owned(), v)).unzip();
    assert_eq!((fields.columns, fields.values), (names, values));
    assert_eq!(
        to_fields("t", &BTreeMap::from([("m", Mode::Auto)])).unwrap().values,
        [Value::from("Auto")]
    );
}

#[test]
fn maps_and_json_objects_are_rows_too() {
    let fields = to_fields("t", &json!({"b": 1, "a": "x", "n": null, "r": 0.5})).unwrap();
    assert_eq!(fields.columns, ["b", "a", "n", "r"]);
    assert_eq!(fields.values[3], Value::Real(0.5));
    let map = BTreeMap::from([("k", Some(2i8)), ("l", None)]);
    assert_eq!(to_fields("t", &map).unwrap().values, [Value::Integer(2), Value::Null]);
}

fn message<T: Serialize>(row: T) -> String {
    to_fields("t", &row).unwrap_err().to_string()
}

#[test]
fn what_fits_no_column_is_refused_by_its_field() {
    for (row, field, what) in [
        (json!({"id": 1, "big": u64::MAX}), "big", "18446744073709551615"),
        (json!({"deep": {"a": 1}}), "deep", "nested"),
        (json!({"list": ["a"]}), "list", "sequence"),
        (json!({"list": [1, 2]}), "list", "sequence"),
        (json!({"a": 1, "A": 2}), "A", "twice"),
    ] {
        let m = message(&row);
        assert!(m.contains(&format!("column {field:?}")) && m.contains(what), "{m}");
    }
    let m = message(BTreeMap::from([("x", f64::NAN)]));
    assert!(m.contains("NaN") && m.contains("\"x\""), "{m}");
    let m = message(BTreeMap::from([("p", Place { x: 1 })]));
    assert!(m.contains("struct Place"), "{m}");
}

#[test]
fn what_is_no_row_is_refused() {
    assert!(message(5).contains("found an integer, expected a struct"));
    assert!(message([1, 2]).contains("a tuple"));
    assert!(message(vec!["a"]).contains("a sequence"));
    assert!(message(Mode::Auto).contains("variant"));
    assert!(message(BTreeMap::from([(1, 2)])).contains("column's name"));
}
