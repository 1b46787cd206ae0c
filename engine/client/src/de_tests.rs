//! Rows put together into Rust types, and what is refused.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shmirror_shm::value::Value;

use crate::row::Row;
use crate::row::tests::row;
use crate::ser::to_fields;

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Mode {
    Auto,
    #[serde(rename = "by hand")]
    Manual,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Meters(f64);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pump {
    id: i64,
    name: String,
    on: bool,
    note: Option<String>,
    level: Meters,
    mode: Mode,
    raw: Vec<u8>,
    letter: char,
    small: u8,
}

fn pump() -> Pump {
    Pump {
        id: 7,
        name: "Pumpe Süd".into(),
        on: true,
        note: None,
        level: Meters(1.5),
        mode: Mode::Manual,
        raw: vec![1, 2, 255],
        letter: 'ß',
        small: 200,
    }
}

fn stored<T: Serialize>(value: &T) -> Row {
    let fields = to_fields("t", value).unwrap();
    let columns: Vec<(&str, Value)> =
        fields.columns.iter().map(String::as_str).zip(fields.values).collect();
    row(&columns)
}

#[test]
fn a_struct_comes_back_as_it_went() {
    assert_eq!(stored(&pump()).deserialize::<Pump>().unwrap(), pump());
    let some = Pump { note: Some("x".into()), on: false, mode: Mode::Auto, ..pump() };
    assert_eq!(stored(&some).deserialize::<Pump>().unwrap(), some);
}

#[test]
fn names_match_without_case_and_other_columns_are_left_out() {
    #[derive(Deserialize)]
    struct Part {
        name: String,
        missing: Option<i64>,
    }
    let part: Part = row(&[("ID", 1i64.into()), ("NAME", "n".into())]).deserialize().unwrap();
    assert_eq!((part.name.as_str(), part.missing), ("n", None));
}

#[test]
fn maps_tuples_and_json() {
    let row = row(&[("a", 1i64.into()), ("b", Value::Null), ("c", Value::Blob(vec![9, 8]))]);
    assert_eq!(
        row.deserialize::<serde_json::Value>().unwrap(),
        json!({"a": 1, "b": null, "c": [9, 8]})
    );
    let map: HashMap<String, serde_json::Value> = row.deserialize().unwrap();
    assert_eq!(map["a"], json!(1));
    let tuple: (i64, Option<String>, Vec<u8>) = row.deserialize().unwrap();
    assert_eq!(tuple, (1, None, vec![9, 8]));
}

#[test]
fn conversions_lose_nothing() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct X<T> {
        x: T,
    }
    let x = |v: Value| row(&[("x", v)]);
    assert_eq!(x(3.0.into()).deserialize::<X<i64>>().unwrap().x, 3);
    assert_eq!(x(3i64.into()).deserialize::<X<f64>>().unwrap().x, 3.0);
    assert_eq!(x(0i64.into()).deserialize::<X<bool>>().unwrap(), X { x: false });
    for (fault, expected) in [
        (x(300i64.into()).deserialize::<X<u8>>().unwrap_err(), "integer 300"),
        (x((-1i64).into()).deserialize::<X<u64>>().map(|x| X { x: x.x as u8 }).unwrap_err(), "-1"),
        (x(0.5.into()).deserialize::<X<u8>>().unwrap_err(), "real 0.5"),
        (x("7".into()).deserialize::<X<u8>>().unwrap_err(), "text \"7\""),
        (x(Value::Null).deserialize::<X<u8>>().unwrap_err(), "null"),
    ] {
        let m = fault.to_string();
        assert!(m.contains("column \"x\"") && m.contains(expected), "{m}");
    }
    let e = x(2i64.into()).deserialize::<X<bool>>().unwrap_err();
    assert!(e.to_string().contains("expected 0 or 1"), "{e}");
    let e = x("neither".into()).deserialize::<X<Mode>>().unwrap_err();
    assert!(e.to_string().contains("unknown variant `neither`"), "{e}");
    let e = x(1i64.into()).deserialize::<X<X<i64>>>().unwrap_err();
    assert!(e.to_string().contains("no nested values"), "{e}");
}

#[test]
fn a_missing_field_is_named() {
    let e = row(&[("id", 1i64.into())]).deserialize::<Pump>().unwrap_err();
    assert!(e.to_string().contains("missing field `name`"), "{e}");
}
