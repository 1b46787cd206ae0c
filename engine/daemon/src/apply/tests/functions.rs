//! Functions in the place of SQLite's: the same results, in time.

use std::time::Instant;

use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;

use super::*;

/// Small values of all classes, of few different bytes, so that much of it matches.
fn samples() -> Vec<SqlValue> {
    let mut out = vec![
        SqlValue::Null,
        SqlValue::Integer(0),
        SqlValue::Integer(-121),
        SqlValue::Real(1.5),
        SqlValue::Real(1e300),
        SqlValue::Blob(vec![]),
        SqlValue::Blob(b"ab".to_vec()),
        SqlValue::Blob(vec![0, 0, 1]),
        SqlValue::Blob(vec![0x80, b'a']),
        SqlValue::Blob("aé€é".into()),
    ];
    for text in [
        "",
        "a",
        "b",
        "ab",
        "aa",
        "aba",
        "aabab",
        "bbaab",
        "é",
        "aéb",
        "€é€a",
        "😀",
        "x😀a😀",
        "1",
        "2",
        "-1",
        "5",
        ".",
        "a\0b",
        "\0",
        "  a b ",
        " ",
    ] {
        out.push(SqlValue::Text(text.to_owned()));
    }
    out
}

#[test]
fn they_give_what_sqlite_gives() {
    let plain = Connection::open_in_memory().unwrap();
    let (ours, _guard) = guard::open().unwrap();
    let samples = samples();
    let compare = |sql: &str, values: &[&SqlValue]| {
        let of = |c: &Connection| -> SqlValue {
            let mut query = c.prepare_cached(sql).unwrap();
            query.query_row(rusqlite::params_from_iter(values), |row| row.get(0)).unwrap()
        };
        assert_eq!(of(ours.connection()), of(&plain), "{sql} {values:?}");
    };
    for a in &samples {
        for b in &samples {
            // Bytes, as a BLOB that is no text gives text that is none.
            for sql in [
                "SELECT instr(?1,?2)",
                "SELECT CAST(trim(?1,?2) AS BLOB)",
                "SELECT CAST(ltrim(?1,?2) AS BLOB)",
                "SELECT CAST(rtrim(?1,?2) AS BLOB)",
                "SELECT typeof(trim(?1,?2))||typeof(instr(?1,?2))",
            ] {
                compare(sql, &[a, b]);
            }
            for c in &samples {
                compare("SELECT CAST(replace(?1,?2,?3) AS BLOB)", &[a, b, c]);
                compare("SELECT typeof(replace(?1,?2,?3))", &[a, b, c]);
            }
        }
    }
}

#[test]
fn no_single_call_of_a_function_takes_long() {
    let mut w = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a CHECK(instr(a,'x')=0), b AS (replace(a,'b','c')) STORED);
         CREATE INDEX i ON t(trim(a,'-'))",
    );
    w.sql("INSERT INTO t(a) VALUES('-ab-')").unwrap();
    assert_eq!(w.query("SELECT b FROM t WHERE trim(a,'-')='ab'"), [[v("-ac-")]]);
    for sql in [
        "SELECT instr(zeroblob(8000000), zeroblob(4000000)||x'01')",
        "SELECT length(replace(hex(zeroblob(4000000)), hex(zeroblob(2000000))||'1', ''))",
        "SELECT length(trim(hex(zeroblob(200000)), replace(hex(zeroblob(200000)),'0','1')||'0'))",
    ] {
        let since = Instant::now();
        w.query(sql);
        assert!(since.elapsed() < Duration::from_secs(8), "{sql}: {:?}", since.elapsed());
    }
    let (code, message) =
        w.code("SELECT hex(zeroblob(1000000)) LIKE '%'||hex(zeroblob(1000))||'1'");
    assert_eq!(code, RejectCode::Sql, "{message}");
    assert!(message.contains("pattern"), "{message}");
    let (code, _) = w.code("SELECT replace(hex(zeroblob(8000)), '0', hex(zeroblob(8000)))");
    assert_eq!(code, RejectCode::Limit);
}
