//! The figures that the project promises, measured with a private instance.
//!
//! Each figure is one line: what, the measured value, what is demanded, and whether it is held.

mod growth;
mod reading;

use std::time::Duration;

use serde_json::json;

use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::output::{self, Out};
use crate::private::Private;
use crate::table;

/// A measured value.
pub(crate) struct Figure {
    /// What was measured.
    what: &'static str,
    /// The value, in `unit`.
    value: f64,
    unit: &'static str,
    /// What is demanded of it.
    demand: Demand,
    /// How it was measured.
    how: String,
}

/// What is demanded of a value.
pub(crate) enum Demand {
    AtMost(f64),
    AtLeast(f64),
    Nothing,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        match self.demand {
            Demand::AtMost(limit) if self.value > limit => "over",
            Demand::AtLeast(limit) if self.value < limit => "over",
            Demand::Nothing => "-",
            _ => "ok",
        }
    }

    fn demanded(&self) -> String {
        match self.demand {
            Demand::AtMost(limit) => format!("≤ {} {}", shown(limit), self.unit),
            Demand::AtLeast(limit) => format!("≥ {} {}", shown(limit), self.unit),
            Demand::Nothing => String::new(),
        }
    }
}

fn shown(value: f64) -> String {
    match value {
        v if v >= 1000.0 => table::thousands(v.round() as u64),
        v if v == v.trunc() => format!("{v}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    }
}

/// Takes figures as they come.
pub(crate) struct Figures {
    all: Vec<Figure>,
    json: bool,
}

impl Figures {
    pub fn add(
        &mut self,
        what: &'static str,
        value: f64,
        unit: &'static str,
        demand: Demand,
        how: impl Into<String>,
    ) {
        let figure = Figure { what, value, unit, demand, how: how.into() };
        if !self.json {
            // The whole run takes a while: people see each figure as it is measured.
            output::note(&format!("{what}: {} {unit} ({})", shown(value), figure.how));
        }
        self.all.push(figure);
    }
}

/// Measures everything and prints it.
pub fn run(rows: u64, quick: bool, json: bool) -> Result<(), Failure> {
    let mut figures = Figures { all: Vec::new(), json };
    let mut private = Private::start()?;
    growth::measure(&mut private, rows, &mut figures)?;
    reading::measure(&private, quick, &mut figures)?;
    idle(&private, if quick { 2.0 } else { 5.0 }, &mut figures)?;
    private.down()?;

    let mut out = Out::new();
    if json {
        let list: Vec<serde_json::Value> = figures
            .all
            .iter()
            .map(|f| {
                json!({
                    "figure": f.what, "value": f.value, "unit": f.unit,
                    "demand": f.demanded(), "verdict": f.verdict(), "how": f.how,
                })
            })
            .collect();
        out.line(&format!("{:#}", serde_json::Value::Array(list)))?;
    } else {
        let rows: Vec<Vec<String>> = figures
            .all
            .iter()
            .map(|f| {
                let value = format!("{} {}", shown(f.value), f.unit);
                vec![f.what.into(), value, f.demanded(), f.verdict().into(), f.how.clone()]
            })
            .collect();
        let names = ["figure", "measured", "demanded", "", "how"].map(str::to_owned);
        out.text(&table::render_text(&names, &rows, &[false, true, true, false, false]))?;
    }
    out.flush()?;
    match figures.all.iter().filter(|f| f.verdict() == "over").count() as u64 {
        0 => Ok(()),
        n => Err(Failure::Refused(format!("{} over its demand", table::count(n, "figure")))),
    }
}

/// What the daemon and a subscriber use of a core while nothing happens, and what a synchronous put
/// takes.
fn idle(private: &Private, seconds: f64, figures: &mut Figures) -> Result<(), Failure> {
    let mut prober = private.part(&["prober", "--seconds", &format!("{}", seconds / 2.0)])?;
    let puts = prober.says()?;
    let puts = puts.get("puts").and_then(Histogram::of_json).unwrap_or_default();
    let how = format!("{} puts, each acknowledged, durable", table::thousands(puts.count()));
    for (what, share) in [("synchronous put, p50", 0.5), ("synchronous put, p99", 0.99)] {
        let value = puts.percentile(share) as f64 / 1e3;
        figures.add(what, value, "µs", Demand::Nothing, how.clone());
    }
    drop(prober);

    let mut idler = private.part(&["idler", "--seconds", &format!("{}", seconds * 3.0)])?;
    idler.says()?;
    // What was written before is still being checkpointed for a moment.
    settle(private)?;
    let before = (processor_time(private.pid())?, processor_time(idler.pid())?);
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let after = (processor_time(private.pid())?, processor_time(idler.pid())?);
    let share = |before: f64, after: f64| (after - before) / seconds * 100.0;
    let how = format!("user and system time over {seconds} s");
    figures.add("idle daemon", share(before.0, after.0), "% of a core", Demand::AtMost(1.0), &*how);
    figures.add(
        "idle subscriber",
        share(before.1, after.1),
        "% of a core",
        Demand::AtMost(0.0),
        how,
    );
    idler.end()
}

/// Waits until the checkpoint has caught up, at most 20 s.
fn settle(private: &Private) -> Result<(), Failure> {
    let mirror = private.mirror()?;
    for _ in 0..200 {
        let status = mirror.status()?;
        let dirty = status.pointer("/store/dirty_rows").and_then(serde_json::Value::as_u64);
        if dirty.unwrap_or(0) == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Seconds of processor time that a process has used, from `/proc/PID/stat` (proc(5)).
fn processor_time(pid: u32) -> Result<f64, Failure> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).map_err(Failure::file(&path))?;
    // The command's name may hold spaces; behind its closing bracket stands field 3.
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default();
    let ticks = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<f64>().ok());
    match (ticks(14), ticks(15)) {
        (Some(user), Some(system)) => {
            Ok((user + system) / rustix::param::clock_ticks_per_second() as f64)
        }
        _ => Err(Failure::Refused(format!("{path}: no times in it"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let figure = |value, demand| Figure { what: "", value, unit: "s", demand, how: "".into() };
        assert_eq!(figure(5.0, Demand::AtMost(5.0)).verdict(), "ok");
        assert_eq!(figure(5.1, Demand::AtMost(5.0)).verdict(), "over");
        assert_eq!(figure(4.0, Demand::AtLeast(5.0)).verdict(), "over");
        assert_eq!(figure(4.0, Demand::AtLeast(100_000.0)).demanded(), "≥ 100,000 s");
        assert_eq!(figure(4.0, Demand::Nothing).verdict(), "-");
    }

    #[test]
    fn own_processor_time_is_told() {
        let start = std::time::Instant::now();
        let before = processor_time(std::process::id()).unwrap();
        while processor_time(std::process::id()).unwrap() < before + 0.05 {
            assert!(start.elapsed() < Duration::from_secs(20), "the time does not go on");
        }
    }
}
