//! Growth: what becomes of a measurement when the table has ten times as many rows. Lines that say which part they
//! have in it go in, one curve for each thing that was measured comes out, with a point of each size and system.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::report::{Better, Line, OURS, is_peer, short};

/// A line's part in a curve.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// What grows with the table, the same for all lines of a curve.
    pub of: &'static str,
    /// The rows of the table.
    pub rows: u64,
}

/// One thing that was measured with tables of several sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// The row of the benchmark: R1.
    pub row: String,
    /// What was measured.
    pub of: String,
    /// The unit of all values.
    pub unit: String,
    /// What is better, `lower` or `higher`.
    pub better: Better,
    /// Rows of the tables, from the smallest on.
    pub rows: Vec<u64>,
    /// The systems, ours first, then from the best to the worst.
    pub systems: Vec<Along>,
}

/// A system's points of a curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Along {
    /// Its name.
    pub system: String,
    /// Medians, one for each size; none where it was not measured.
    pub medians: Vec<Option<f64>>,
}

/// The curves of these lines, in the order in which they come. One size alone is none.
pub fn curves(lines: &[Line]) -> Vec<Curve> {
    let mut found: Vec<Curve> = Vec::new();
    for line in lines {
        let Some(growth) = line.growth else { continue };
        if found.iter().any(|curve| curve.row == line.id && curve.of == growth.of) {
            continue;
        }
        let is_same = |other: &&Line| {
            other.id == line.id && other.growth.is_some_and(|other| other.of == growth.of)
        };
        let mut sizes: Vec<(u64, &Line)> = lines
            .iter()
            .filter(is_same)
            .filter_map(|line| Some((line.growth?.rows, line)))
            .collect();
        sizes.sort_by_key(|(rows, _)| *rows);
        if sizes.len() > 1 {
            found.push(curve(line, growth.of, &sizes));
        }
    }
    found
}

fn curve(like: &Line, of: &str, sizes: &[(u64, &Line)]) -> Curve {
    let mut names: Vec<&str> = Vec::new();
    for system in sizes.iter().flat_map(|(_, line)| &line.systems) {
        if system.median().is_some() && !names.contains(&system.name.as_str()) {
            names.push(&system.name);
        }
    }
    let along = |name: &&str| {
        let of_line = |line: &Line| line.systems.iter().find(|s| s.name == **name)?.median();
        let medians = sizes.iter().map(|(_, line)| of_line(line)).collect();
        Along { system: (*name).to_owned(), medians }
    };
    let mut systems: Vec<Along> = names.iter().map(along).collect();
    systems.sort_by(|a, b| {
        let ours = |system: &Along| system.system != OURS;
        ours(a).cmp(&ours(b)).then_with(|| rank(a, like.better).total_cmp(&rank(b, like.better)))
    });
    Curve {
        row: like.id.to_owned(),
        of: of.to_owned(),
        unit: like.unit.to_owned(),
        better: like.better,
        rows: sizes.iter().map(|(rows, _)| *rows).collect(),
        systems,
    }
}

/// Less for a better one, by its largest table.
fn rank(system: &Along, better: Better) -> f64 {
    let last = system.medians.iter().rev().flatten().next().copied().unwrap_or(f64::NAN);
    match better {
        Better::Lower => last,
        Better::Higher => -last,
    }
}

/// Peers of a curve that the table has, the best ones.
const PEERS: usize = 2;

/// The curves as a table: ours and the best peers.
pub fn table(curves: &[Curve]) -> String {
    let mut table = String::new();
    let mut sizes: Vec<u64> = curves.iter().flat_map(|curve| curve.rows.clone()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    if curves.is_empty() {
        return table;
    }
    let _ = write!(table, "\n{:<3} {:<58}", "row", "growth with the rows of the table");
    for rows in &sizes {
        let _ = write!(table, " {:>10}", short(*rows as f64));
    }
    table.push('\n');
    for curve in curves {
        let peers = curve.systems.iter().filter(|along| is_peer(&along.system)).take(PEERS);
        let ours = curve.systems.iter().filter(|along| along.system == OURS);
        for along in ours.chain(peers) {
            let what = match along.system.as_str() {
                OURS => format!("{}, {}", curve.of, curve.unit),
                name => format!("    {name}"),
            };
            let _ = write!(
                table,
                "{:<3} {what:<58}",
                if what.starts_with(' ') { "" } else { &curve.row }
            );
            for rows in &sizes {
                let at = curve.rows.iter().position(|found| found == rows);
                let median = at.and_then(|at| along.medians[at]);
                let _ = write!(table, " {:>10}", median.map_or("—".into(), short));
            }
            table.push('\n');
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measured;

    fn line(of: &'static str, rows: u64, better: Better, systems: &[(&str, Option<f64>)]) -> Line {
        let measured = |(name, value): &(&str, Option<f64>)| match value {
            Some(value) => Measured {
                name: (*name).to_owned(),
                rounds: vec![*value; 3],
                beside: Default::default(),
                note: None,
            },
            None => Measured::cannot(name, "it can't"),
        };
        Line {
            id: "R1",
            what: format!("{of} of {rows}"),
            unit: "ns",
            better,
            systems: systems.iter().map(measured).collect(),
            demands: Vec::new(),
            growth: Some(Growth { of, rows }),
        }
    }

    fn some() -> Vec<Line> {
        let lower = Better::Lower;
        vec![
            line("reads", 10_000, lower, &[("B", Some(40.0)), (OURS, Some(20.0)), ("A", None)]),
            line("scans", 1_000, Better::Higher, &[(OURS, Some(4.0))]),
            line(
                "reads",
                1_000,
                lower,
                &[(OURS, Some(10.0)), ("A", Some(30.0)), ("B", Some(30.0))],
            ),
            line(
                "reads",
                100_000,
                lower,
                &[(OURS, Some(50.0)), ("bare latch", Some(5.0)), ("B", Some(60.0))],
            ),
        ]
    }

    #[test]
    fn a_curve_has_a_point_of_each_size_and_system() {
        let found = curves(&some());
        assert_eq!(found.len(), 1, "one size is no curve");
        assert_eq!(
            (found[0].of.as_str(), &found[0].rows[..]),
            ("reads", &[1_000, 10_000, 100_000][..])
        );
        let all: Vec<_> =
            found[0].systems.iter().map(|a| (a.system.as_str(), a.medians.clone())).collect();
        let expected = [
            (OURS, vec![Some(10.0), Some(20.0), Some(50.0)]),
            ("bare latch", vec![None, None, Some(5.0)]),
            ("A", vec![Some(30.0), None, None]),
            ("B", vec![Some(30.0), Some(40.0), Some(60.0)]),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn where_more_is_better_the_largest_is_first() {
        let higher = Better::Higher;
        let systems = [("slow", Some(1.0)), (OURS, Some(2.0)), ("fast", Some(3.0))];
        let lines = [line("scans", 10, higher, &systems), line("scans", 100, higher, &systems)];
        let names: Vec<_> = curves(&lines)[0].systems.iter().map(|a| a.system.clone()).collect();
        assert_eq!(names, [OURS, "fast", "slow"]);
    }

    #[test]
    fn the_table_shows_ours_and_peers_by_size() {
        let table = table(&curves(&some()));
        let rows: Vec<Vec<&str>> =
            table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[0][rows[0].len() - 3..], ["1,000", "10,000", "100,000"]);
        assert_eq!(rows[1], ["R1", "reads,", "ns", "10", "20", "50"]);
        assert_eq!(rows[2], ["A", "30", "—", "—"]);
        assert_eq!(rows[3], ["B", "30", "40", "60"]);
        assert_eq!(rows.len(), 4, "what is bare is no peer");
        assert_eq!(super::table(&[]), "");
    }
}
