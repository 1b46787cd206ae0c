//! A reader: scans, groups of rows and single rows, one after another, each said.

use std::time::{Duration, Instant};

use shmirror::{Error, Mirror};

use super::{Stop, say};
use crate::checker::{GROUP, GROUPS, Said, digest, first_of};
use crate::random::Random;

/// Reads the groups of producers 0 to `producers`, or single rows of them alone, until it is stopped. A read that takes longer than `limit`
/// is said to hang.
pub fn read(
    options: &shmirror::Options,
    reader: u32,
    seed: u64,
    (producers, rows_only): (i64, bool),
    limit: Duration,
    stop: &Stop,
) {
    let mut random = Random::of(seed, "reader");
    let mirror = Mirror::attach(options).expect("a daemon");
    let table = mirror.table("part").expect("the table");
    while !stop.is_said() {
        let first =
            first_of(random.below(producers as u64) as i64, random.below(GROUPS as u64) as i64);
        let begun = Instant::now();
        let kind = if rows_only { 3 } else { random.below(4) };
        let done: Result<(), Error> = (|| {
            match kind {
                0 => {
                    let scan = table.scan()?;
                    let (mut sum, mut rows) = (0u64, 0);
                    for row in scan.iter() {
                        let (id, who, n): (i64, i64, i64) =
                            (row.get("id")?, row.get("who")?, row.get("n")?);
                        sum = sum.wrapping_add(digest(id, who, n));
                        rows += 1;
                    }
                    say(&Said::Scan { reader, revision: scan.revision(), digest: sum, rows });
                }
                1 | 2 => {
                    let keys: Vec<i64> = (first..first + GROUP).collect();
                    let (revision, rows) = table.get_many(&keys)?;
                    let n = rows.iter().map(|r| r.as_ref().map(|r| r.get("n")).transpose());
                    let n = n.collect::<Result<_, _>>()?;
                    say(&Said::Group { reader, revision, first, n });
                }
                _ => {
                    let id = first + random.below(GROUP as u64) as i64;
                    if let Some(row) = table.get(id)? {
                        let (n, revision) = (row.get("n")?, row.revision());
                        say(&Said::Newest { reader, id, n, revision });
                    }
                }
            }
            Ok(())
        })();
        let micros = begun.elapsed().as_micros() as u64;
        if let Err(error) = done {
            say(&Said::Hung { what: format!("reader {reader}: {error}"), micros });
        } else if begun.elapsed() > limit {
            say(&Said::Hung { what: format!("reader {reader}, kind {kind}"), micros });
        }
        // Lines are read and held in memory by the test.
        std::thread::sleep(Duration::from_micros(200));
    }
}
