//! The table browsers, against `shmirror dump`.

use serde_json::{Value as Json, json};

use super::{LANGUAGES, command, number_before, other, text};
use crate::program;

/// What `browser` and `dump` are compared on: keys of every kind, values of every class.
pub const TABLES: &str = "
    CREATE TABLE unit (code TEXT PRIMARY KEY COLLATE NOCASE, title TEXT NOT NULL, parent) WITHOUT ROWID;
    CREATE TABLE tag (tag_id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'none', low REAL,
      span REAL GENERATED ALWAYS AS (low * 2) VIRTUAL, photo BLOB);
    CREATE TABLE setpoint (unit TEXT NOT NULL, loop INTEGER NOT NULL, shift BLOB NOT NULL, note ANY,
      PRIMARY KEY (loop, unit, shift)) STRICT;
    CREATE TABLE journal (at INTEGER, who TEXT, what);
    CREATE TABLE empty (name PRIMARY KEY);
    INSERT INTO unit VALUES ('P', 'Plant', NULL), ('p.2', 'Kessel Süd – Überhitzer', 'P'),
      ('42', '冷却塔', ''), ('it''s', 'two' || char(10) || 'lines, \"quoted\"', 'NULL'), ('', '  ', 7);
    INSERT INTO tag (tag_id, low, photo) VALUES (-5, 0.1, x''), (0, 1e300, x'00ff10'), (7, -2.0, NULL),
      (9223372036854775807, 9e999, zeroblob(200)), (8, NULL, 'text in a blob column');
    INSERT INTO setpoint VALUES ('P', 2, x'00', 1), ('P', 1, x'ff', 1.0), ('p', 1, x'ff', '1'),
      ('', 1, x'ff', x'31'), ('P.2, a', -1, x'', NULL);
    INSERT INTO journal VALUES (1, NULL, 'first'), (NULL, NULL, NULL), (3, 'op', 3.5)";

/// A value as SQL writes it, as `dump` has it in JSON.
fn literal(text: &str) -> Json {
    let inside = |prefix: usize| &text[prefix..text.len() - 1];
    match text.as_bytes() {
        b"NULL" => Json::Null,
        b"inf" | b"-inf" => json!(text),
        [b'x', b'\'', ..] => json!(format!("0x{}", inside(2))),
        [b'\'', ..] => json!(inside(1).replace("''", "'").replace("\\x0a", "\n")),
        _ if text.contains(['.', 'e']) => json!(text.parse::<f64>().unwrap()),
        _ => json!(text.parse::<i64>().unwrap_or_else(|e| panic!("{text:?}: {e}"))),
    }
}

/// The rows of an aligned table: cells stand where the rule under the header says.
fn aligned(text: &str) -> Vec<serde_json::Map<String, Json>> {
    let lines: Vec<&str> = text.lines().collect();
    let (last, lines) = lines.split_last().unwrap();
    let count = number_before(last, " row") as usize;
    let [header, rule, rows @ ..] = lines else {
        assert_eq!((lines.len(), count), (0, 0), "{text}");
        return Vec::new();
    };
    assert_eq!(rows.len(), count, "{text}");
    let cells = |line: &str| -> Vec<String> {
        let mut rest = line.chars();
        let cell = |part: &str| -> String { rest.by_ref().take(part.len() + 2).collect() };
        rule.split("  ").map(cell).map(|c| c.trim_end().to_owned()).collect()
    };
    let names = cells(header);
    let value = |(name, cell): (&String, String)| {
        // Of the values here only one is so long that it is cut: 200 bytes of 0.
        let whole = match cell.strip_suffix('…') {
            Some(begin) => {
                assert_eq!(begin.trim_end_matches('0'), "x'");
                format!("x'{}'", "00".repeat(200))
            }
            None => cell,
        };
        (name.clone(), literal(&whole))
    };
    let row = |line: &&str| -> serde_json::Map<_, _> {
        names.iter().zip(cells(line)).map(value).collect()
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    assert!(rows.iter().all(|row| row.len() == names.len()), "a name is there twice: {names:?}");
    rows
}

#[test]
#[cfg_attr(not(pkg_config), ignore = "no pkg-config")]
fn browsers_show_what_dump_shows() {
    let instance = program::instance();
    instance.sql(TABLES);
    for language in LANGUAGES {
        let browse =
            |words: &[&str]| command(language, "browser", words, &instance).output().unwrap();
        for table in ["unit", "tag", "setpoint", "journal", "empty"] {
            let dump = instance.run(&["dump", table, "--rowid"]).ok();
            let expected: Vec<serde_json::Map<_, _>> = serde_json::from_str(&dump).unwrap();
            let shown = text(browse(&[table]));
            assert_eq!(aligned(&shown), expected, "{language} {table}:\n{shown}");

            let key: &[&str] = match table {
                "unit" => &["code"],
                "tag" => &["tag_id"],
                "setpoint" => &["loop", "unit", "shift"],
                _ => &["rowid"],
            };
            for row in expected {
                let word = |v: &Json| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
                let words: Vec<String> = key.iter().map(|column| word(&row[*column])).collect();
                let words: Vec<&str> =
                    [table].into_iter().chain(words.iter().map(String::as_str)).collect();
                let shown = text(browse(&words));
                let lines = shown.lines().filter(|line| !line.starts_with("(revision "));
                let found: serde_json::Map<_, _> = lines
                    .map(|line| line.split_once(' ').unwrap())
                    .map(|(name, value)| (name.to_owned(), literal(value.trim_start())))
                    .collect();
                assert_eq!(found, row, "{language} {words:?}:\n{shown}");
            }
        }

        let list = text(browse(&[]));
        for line in [
            "setpoint  (5 rows, key loop, unit, shift)",
            "  loop   INTEGER  key 1  NOT NULL",
            "  span    REAL  computed",
            "  name    TEXT  NOT NULL  DEFAULT 'none'",
            "journal  (3 rows, no key: by rowid)",
            "  what  (any type)",
        ] {
            assert!(list.lines().any(|l| l == line), "{line:?} is missing in\n{list}");
        }
        let failed = |words: &[&str], code: i32, why: &str| {
            let output = browse(words);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(code) && said.contains(why), "{said}");
        };
        failed(&["no_table"], 1, "SHMIRROR_UNKNOWN_TABLE");
        failed(&["unit", "none"], 1, "SHMIRROR_NOT_FOUND");
        failed(&["setpoint", "1"], 1, "SHMIRROR_BAD_KEY");
        failed(&["tag", "seven"], 1, "SHMIRROR_NOT_FOUND");
        failed(&["--help"], 2, "usage: ");
    }
    // And both say the same of everything.
    for words in [&[][..], &["unit"], &["tag"], &["setpoint"], &["journal"], &["tag", "8"]] {
        let shown = |l: &str| text(command(l, "browser", words, &instance).output().unwrap());
        assert_eq!(shown("c"), shown(other("c")));
    }
}
