//! The numbers of the header's enumerators, which a program that was built long ago knows by heart.
//!
//! `golden/statuses.txt` and `golden/enumerators.txt` have all that there ever were; lines are added to
//! them, and none is changed or taken out.

use std::collections::{BTreeMap, BTreeSet};

use crate::program;

/// Enum, name and number of each enumerator of a header.
fn enumerators(header: &str) -> Vec<(String, String, i64)> {
    let mut found = Vec::new();
    let mut open = Vec::new();
    for line in header.lines() {
        let line = line.trim();
        if line.starts_with("typedef enum") {
            open.clear();
        } else if let Some((name, number)) = line.trim_end_matches(',').split_once(" = ")
            && name.starts_with("SHMIRROR_")
        {
            let number = number.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            open.push((name.to_owned(), number));
        } else if let Some(name) = line.strip_prefix("} ") {
            let name = name.trim_end_matches(';');
            found.extend(open.drain(..).map(|(e, number)| (name.to_owned(), e, number)));
        }
    }
    found
}

/// What is wrong with the enumerators that there are now, and which of them are new.
fn compare(golden: &[(String, i64)], now: &[(String, i64)]) -> Result<Vec<String>, String> {
    let found: BTreeMap<&str, i64> = now.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    for (name, number) in golden {
        match found.get(name.as_str()) {
            None => return Err(format!("{name} = {number} went away")),
            Some(other) if other != number => {
                return Err(format!("{name}: found {other}, expected {number}"));
            }
            Some(_) => {}
        }
    }
    let known: BTreeSet<&str> = golden.iter().map(|(name, _)| name.as_str()).collect();
    let new = now.iter().filter(|(name, _)| !known.contains(name.as_str()));
    Ok(new.map(|(name, number)| format!("{number} {name}")).collect())
}

/// Holds the header against a golden list, which is of these enums.
fn check(file: &str, of: impl Fn(&str) -> bool) {
    let path = program::root().join("ffi/tests/golden").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |line: &str| {
        let (number, name) = line.split_once(' ').expect("a number and a name");
        (name.to_owned(), number.parse().expect("a number"))
    };
    let golden: Vec<(String, i64)> = text.lines().map(line).collect();
    let header = std::fs::read_to_string(program::root().join("include/shmirror.h")).unwrap();
    let now: Vec<(String, String, i64)> =
        enumerators(&header).into_iter().filter(|(list, ..)| of(list)).collect();
    let numbers: BTreeSet<(&str, i64)> =
        now.iter().map(|(list, _, n)| (list.as_str(), *n)).collect();
    assert_eq!(numbers.len(), now.len(), "a number stands for two enumerators of one enum");
    let now: Vec<(String, i64)> = now.into_iter().map(|(_, name, number)| (name, number)).collect();
    match compare(&golden, &now) {
        Err(error) => panic!("include/shmirror.h: {error}; programs were built with it"),
        Ok(new) if new.is_empty() => {}
        Ok(new) => println!("append to ffi/tests/golden/{file}:\n{}", new.join("\n")),
    }
}

#[test]
fn statuses_keep_their_numbers() {
    check("statuses.txt", |list| list == "shmirror_status");
}

#[test]
fn enumerators_keep_their_numbers() {
    check("enumerators.txt", |list| list != "shmirror_status");
}

#[test]
fn what_changed_or_went_away_is_found_and_what_is_new_is_told() {
    let header = "typedef enum {\n    /**\n     * Done.\n     */\n    SHMIRROR_A = 0,\n    SHMIRROR_B \
                  = 7,\n} shmirror_list;\n";
    let list = |pairs: &[(&str, i64)]| -> Vec<(String, i64)> {
        pairs.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    };
    let found = enumerators(header);
    assert!(found.iter().all(|(name, ..)| name == "shmirror_list"));
    let now: Vec<(String, i64)> = found.into_iter().map(|(_, name, n)| (name, n)).collect();
    assert_eq!(now, list(&[("SHMIRROR_A", 0), ("SHMIRROR_B", 7)]));
    assert_eq!(compare(&now, &now), Ok(Vec::new()));
    assert_eq!(compare(&now[..1], &now), Ok(vec!["7 SHMIRROR_B".to_owned()]));
    assert_eq!(compare(&now, &now[1..]), Err("SHMIRROR_A = 0 went away".to_owned()));
    let other = list(&[("SHMIRROR_A", 0), ("SHMIRROR_B", 8)]);
    assert_eq!(compare(&now, &other), Err("SHMIRROR_B: found 8, expected 7".to_owned()));
}
