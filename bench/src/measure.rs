//! Rounds: every system in turn, none twice before each was once, so that what else the machine does meets all.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::context::Context;

/// What a system took in a round, in the unit of its line; and what else was seen, by name.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// The value.
    pub value: f64,
    /// Other values: "p99.9", in the same unit, or "torn", in none.
    pub beside: BTreeMap<String, f64>,
    /// What each operation took, where a round has too few of them for quantiles of its own.
    pub times: Vec<f64>,
}

impl From<f64> for Round {
    fn from(value: f64) -> Self {
        Self { value, ..Self::default() }
    }
}

impl Round {
    /// A round of operations that were timed one by one; its value is the median.
    pub fn of_times(times: Vec<f64>) -> Result<Self> {
        let value = median(&times).context("nothing was timed")?;
        Ok(Self { value, times, ..Self::default() })
    }
}

/// Processor time that a server used behind a round; the mean of the rounds is shown.
pub const LATER: &str = "% of a round's time used later";

/// A system in a race.
pub struct Runner<'a> {
    /// Its name.
    pub name: String,
    /// Runs a round.
    pub run: Box<dyn FnMut() -> Result<Round> + 'a>,
}

impl<'a> Runner<'a> {
    /// A system, and how it runs a round.
    pub fn new<R: Into<Round>>(name: &str, mut run: impl FnMut() -> Result<R> + 'a) -> Self {
        Self { name: name.to_owned(), run: Box::new(move || Ok(run()?.into())) }
    }
}

/// All that was measured of a system.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// A value for each round; none: it can't do this.
    pub rounds: Vec<f64>,
    /// Of other values the median over the rounds; of those named "torn" or "lost" the sum, of [`LATER`] the
    /// mean; quantiles of operations that were timed one by one are of those of all rounds together.
    pub beside: BTreeMap<String, f64>,
    /// Why there is no value, or how it was measured.
    pub note: Option<String>,
}

impl Measured {
    /// A system that can't do this, and why.
    pub fn cannot(name: &str, why: &str) -> Self {
        let note = Some(why.to_owned());
        Self { name: name.to_owned(), rounds: Vec::new(), beside: BTreeMap::new(), note }
    }

    /// The median of the rounds.
    pub fn median(&self) -> Option<f64> {
        median(&self.rounds)
    }
}

/// The middle one.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => None,
        1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The value below which this part of them is; `sorted`, and not empty.
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted[at.min(sorted.len() - 1)]
}

/// The far end of what operations took: quantiles, each only of as many operations as it needs to be more than
/// the longest one; and how many there were.
fn tail(times: impl Iterator<Item = f64>) -> Vec<(String, f64)> {
    let mut sorted: Vec<f64> = times.collect();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        return Vec::new();
    }
    let wanted = [("p99", 0.99, 101), ("p99.9", 0.999, 1001)];
    let enough = wanted.iter().filter(|(_, _, least)| sorted.len() >= *least);
    let mut found: Vec<_> =
        enough.map(|(name, part, _)| ((*name).to_owned(), quantile(&sorted, *part))).collect();
    found.push(("longest".into(), sorted[sorted.len() - 1]));
    found.push(("timed".into(), sorted.len() as f64));
    found
}

/// Has all systems run their rounds, in turns, after one round each that does not count.
pub fn race(context: &Context, runners: Vec<Runner<'_>>) -> Result<Vec<Measured>> {
    race_rounds(context.rounds(), runners)
}

/// The same with so many rounds, where one takes long.
pub fn race_rounds(rounds: usize, mut runners: Vec<Runner<'_>>) -> Result<Vec<Measured>> {
    let mut all: Vec<Vec<Round>> = vec![Vec::new(); runners.len()];
    let count = runners.len();
    for round in 0..=rounds {
        for turn in 0..count {
            // Who was first in one round is last in the next.
            let at = (turn + round) % count;
            let runner = &mut runners[at];
            let done = (runner.run)().with_context(|| runner.name.clone())?;
            if round > 0 {
                all[at].push(done);
            }
        }
    }
    let summed = |name: &str, values: &[f64]| match name {
        "torn" | "lost" => values.iter().sum(),
        // It comes all at once after some rounds.
        LATER => values.iter().sum::<f64>() / values.len() as f64,
        _ => median(values).unwrap_or(f64::NAN),
    };
    let measured = runners.iter().zip(all).map(|(runner, rounds)| {
        let mut others: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, value) in rounds.iter().flat_map(|round| &round.beside) {
            others.entry(name).or_default().push(*value);
        }
        let beside = others.iter().map(|(n, values)| ((*n).to_owned(), summed(n, values)));
        let beside = beside.chain(tail(rounds.iter().flat_map(|round| &round.times).copied()));
        Measured {
            name: runner.name.clone(),
            beside: beside.collect(),
            rounds: rounds.iter().map(|round| round.value).collect(),
            note: None,
        }
    });
    Ok(measured.collect())
}

/// Nanoseconds that `operation` takes for one key after another, around and around, for about `time`. With
/// `expected`, each result is looked at, and all ends when every key had its turn.
///
/// # Errors
/// Those of `operation`; a result that is not the one expected.
pub fn nanoseconds(
    keys: &[u64],
    time: Duration,
    expected: Option<fn(u64) -> u64>,
    mut operation: impl FnMut(u64) -> Result<u64>,
) -> Result<f64> {
    // Looks at the clock after so many that its own time does not matter.
    const BATCH: usize = 256;
    let (mut at, mut done, mut sum) = (0, 0_u64, 0_u64);
    let begun = Instant::now();
    loop {
        for _ in 0..BATCH {
            let key = black_box(keys[at]);
            let found = operation(key)?;
            if let Some(expected) = expected {
                ensure!(found == expected(key), "row {key} has {found}, not {}", expected(key));
            }
            sum = sum.wrapping_add(found);
            at += 1;
            if at == keys.len() {
                at = 0;
            }
        }
        done += BATCH as u64;
        let took = begun.elapsed();
        let is_through = expected.is_some() && done >= keys.len() as u64;
        if took >= time || is_through {
            black_box(sum);
            return Ok(took.as_nanos() as f64 / done as f64);
        }
    }
}

/// Numbers that look random (splitmix64, Steele, Lea and Flood 2014).
pub struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_operations_are_left_out() {
        let found = |count: usize| -> BTreeMap<String, f64> {
            tail((1..=count).rev().map(|time| time as f64)).into_iter().collect()
        };
        assert!(found(0).is_empty());
        assert_eq!(found(100).into_values().collect::<Vec<_>>(), [100.0, 100.0]);
        assert_eq!(found(101)["p99"], 100.0);
        assert!(!found(1000).contains_key("p99.9"));
        assert_eq!(found(1001)["p99.9"], 1000.0);
    }

    #[test]
    fn each_system_has_all_rounds_but_the_first() -> Result<()> {
        let order = std::cell::RefCell::new(Vec::new());
        let runner = |name: &'static str, first: f64| {
            let (order, mut value) = (&order, first);
            Runner::new(name, move || {
                order.borrow_mut().push(name);
                value += 1.0;
                Round::of_times(vec![value - 0.5, value + 0.5])
            })
        };
        let measured = race_rounds(2, vec![runner("a", 0.0), runner("b", 10.0)])?;
        assert_eq!(*order.borrow(), ["a", "b", "b", "a", "a", "b"]);
        assert_eq!(measured[0].rounds, [2.0, 3.0]);
        assert_eq!(measured[1].median(), Some(12.5));
        assert_eq!(measured[0].beside["timed"], 4.0);
        assert_eq!(measured[0].beside["longest"], 3.5);
        Ok(())
    }
}
