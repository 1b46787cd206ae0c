//! What was measured, as a table for people and as JSON.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::context::{Context, field};
use crate::growth::{self, Growth};
use crate::measure::Measured;

/// The name of this system in all lines.
pub const OURS: &str = "shmirror";

/// Whether a system is one that ours is compared with: neither another way to use ours, nor bare work that no
/// system can do without.
pub fn is_peer(name: &str) -> bool {
    !name.starts_with(OURS) && !name.starts_with("bare ")
}

/// What is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Times and sizes.
    Lower,
    /// Rates.
    Higher,
}

/// What a line must reach.
#[derive(Clone, Debug)]
pub enum Demand {
    /// Ours is better than this system by at least this factor.
    Beats(&'static str, f64),
    /// Ours is worse than this system by at most this factor.
    Near(&'static str, f64),
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is at least this.
    AtLeast(f64),
    /// Something else of ours, by name, is exactly this.
    Exactly(&'static str, f64),
}

/// A line of the table: one thing that was measured on every system.
#[derive(Clone, Debug)]
pub struct Line {
    /// The row: R1.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// The unit of all values.
    pub unit: &'static str,
    /// What is better.
    pub better: Better,
    /// What was measured of each, ours first.
    pub systems: Vec<Measured>,
    /// What must be reached.
    pub demands: Vec<Demand>,
    /// Its part in what is shown of growing tables.
    pub growth: Option<Growth>,
}

impl Line {
    fn median(&self, name: &str) -> Option<f64> {
        self.systems.iter().find(|s| s.name == name)?.median()
    }

    /// How many times better ours is than this system.
    fn ratio(&self, name: &str) -> Option<f64> {
        let (ours, other) = (self.median(OURS)?, self.median(name)?);
        Some(match self.better {
            Better::Lower => other / ours,
            Better::Higher => ours / other,
        })
    }

    /// The best of the others, and how many times better ours is.
    fn best_peer(&self) -> Option<(&Measured, f64)> {
        let peers = self.systems.iter().filter(|system| is_peer(&system.name));
        peers
            .filter_map(|peer| Some((peer, self.ratio(&peer.name)?)))
            .min_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// One line of the table at the end.
    fn summary(&self) -> String {
        let value = |value: f64| format!("{} {}", short(value), self.unit);
        let ours = self.median(OURS).map_or("—".into(), value);
        let (peer, ratio) = match self.best_peer() {
            Some((peer, ratio)) => {
                let median = peer.median().map_or("—".into(), value);
                (format!("{} {median}", peer.name), format!("{} ×", short(ratio)))
            }
            None => ("—".into(), String::new()),
        };
        let met: Vec<_> = self.demands.iter().map(|demand| self.verdict(demand).1).collect();
        let met = match met.as_slice() {
            [] => "",
            met if met.contains(&Some(false)) => "NOT REACHED",
            met if met.contains(&None) => "not measured",
            _ => "reached",
        };
        format!("{:<3} {ours:>17}  {peer:<44} {ratio:>7}  {met:<12} {}", self.id, self.what)
    }

    /// A demand in words, and whether it is met; `None`: it could not be measured here.
    fn verdict(&self, demand: &Demand) -> (String, Option<bool>) {
        let unit = self.unit;
        match demand {
            Demand::Beats(name, factor) => {
                let words = format!("≥ {} × {name}", short(*factor));
                (words, self.ratio(name).map(|ratio| ratio >= *factor))
            }
            Demand::Near(name, factor) => {
                let words = format!("≤ {} × {name}", short(*factor));
                (words, self.ratio(name).map(|ratio| ratio * factor >= 1.0))
            }
            Demand::AtMost(most) => {
                (format!("≤ {} {unit}", short(*most)), self.median(OURS).map(|ours| ours <= *most))
            }
            Demand::AtLeast(least) => (
                format!("≥ {} {unit}", short(*least)),
                self.median(OURS).map(|ours| ours >= *least),
            ),
            Demand::Exactly(what, value) => {
                let ours = self.systems.iter().find(|s| s.name == OURS);
                let found = ours.and_then(|s| s.beside.get(*what)).copied();
                (format!("{what} = {}", short(*value)), found.map(|found| found == *value))
            }
        }
    }
}

/// A number of three or so digits that count.
pub fn short(value: f64) -> String {
    match value {
        v if v.abs() >= 1000.0 => {
            let digits = format!("{:.0}", v.abs());
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap_or_default())
                .collect();
            format!("{}{}", if v < 0.0 { "-" } else { "" }, groups.join(","))
        }
        v if v == v.trunc() => format!("{v}"),
        v if v.abs() >= 100.0 => format!("{v:.0}"),
        v if v.abs() >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}  {}, {}", self.id, self.what, self.unit)?;
        let wide = self.systems.iter().map(|s| s.name.chars().count()).max().unwrap_or(0).max(8);
        writeln!(
            f,
            "    {:wide$} {:>11} {:>11} {:>9} {:>9}",
            "", "min", "median", "spread", "ours is"
        )?;
        for system in &self.systems {
            let note = system.note.as_deref().map(|n| format!("  {n}")).unwrap_or_default();
            let Some(median) = system.median() else {
                writeln!(
                    f,
                    "    {:wide$} {:>11} {:>11} {:>9} {:>9}{note}",
                    system.name, "—", "—", "—", "—"
                )?;
                continue;
            };
            let (least, most) = extremes(&system.rounds);
            let spread = format!("{:.0} %", 100.0 * (most - least) / median);
            let ratio = match self.ratio(&system.name) {
                Some(ratio) if system.name != OURS => format!("{} ×", short(ratio)),
                _ => String::new(),
            };
            let mut beside: Vec<String> = system
                .beside
                .iter()
                .map(|(name, value)| format!("{name} {}", short(*value)))
                .collect();
            beside.extend(system.note.clone());
            let beside =
                if beside.is_empty() { String::new() } else { format!("  {}", beside.join(", ")) };
            writeln!(
                f,
                "    {:wide$} {:>11} {:>11} {spread:>9} {ratio:>9}{beside}",
                system.name,
                short(least),
                short(median),
            )?;
        }
        for demand in &self.demands {
            let (words, met) = self.verdict(demand);
            let met = match met {
                Some(true) => "reached",
                Some(false) => "NOT REACHED",
                None => "not measured here",
            };
            writeln!(f, "    {words}: {met}")?;
        }
        Ok(())
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| (least.min(*v), most.max(*v)))
}

/// The lines of a run, and the machine it was on.
pub struct Report {
    machine: Json,
    lines: Vec<Line>,
    took: Vec<(&'static str, Duration)>,
}

impl Report {
    /// None yet; says what machine this is.
    pub fn begin(context: &Context) -> Self {
        let system = rustix::system::uname();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
        let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
        let release = system.release().to_string_lossy().into_owned();
        println!("{processor}, {cores} cores, {memory} of memory, Linux {release}");
        let how = format!(
            "{} rounds of about {} ms each, all systems in turns",
            context.rounds(),
            context.round().as_millis()
        );
        println!("{how}");
        let machine = json!({
            "processor": processor,
            "cores": cores,
            "memory": memory,
            "system": format!("Linux {release}"),
            "how": how,
            "version": env!("CARGO_PKG_VERSION"),
        });
        Self { machine, lines: Vec::new(), took: Vec::new() }
    }

    /// Adds a line.
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// A row took so long, with all that it set up.
    pub fn took(&mut self, row: &'static str, time: Duration) {
        self.took.push((row, time));
    }

    /// A line each, what grows with the table, how long it took, and how many demands were not reached.
    pub fn summary(&self) -> String {
        let mut table = format!(
            "\n{:<3} {:>17}  {:<44} {:>7}  {:<12} what\n",
            "row", "ours", "best peer", "ours is", "demands"
        );
        for line in &self.lines {
            table += &(line.summary().trim_end().to_owned() + "\n");
        }
        table += &growth::table(&growth::curves(&self.lines));
        table += &format!("\ntook {}\n", self.times());
        let (mut count, mut unknown, mut missed) = (0, 0, Vec::new());
        for line in &self.lines {
            for demand in &line.demands {
                count += 1;
                match line.verdict(demand) {
                    (_, Some(true)) => {}
                    (words, Some(false)) => {
                        missed.push(format!("{}  {}: {words}", line.id, line.what));
                    }
                    (_, None) => unknown += 1,
                }
            }
        }
        table += &format!("\n{} of {count} demands not reached", missed.len());
        if unknown > 0 {
            table += &format!(", {unknown} not measured here");
        }
        for demand in missed {
            table += &format!("\n    {demand}");
        }
        table + "\n"
    }

    fn times(&self) -> String {
        let seconds = |time: &Duration| format!("{:.0} s", time.as_secs_f64());
        let all = self.took.iter().map(|(_, time)| *time).sum();
        let each = self.took.iter().map(|(row, time)| format!("{row} {}", seconds(time)));
        format!("{}: {}", seconds(&all), each.collect::<Vec<_>>().join(", "))
    }

    /// Everything, as JSON, into a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let lines: Vec<Json> = self.lines.iter().map(as_json).collect();
        let seconds =
            |(row, time): &(&str, Duration)| json!({"row": row, "seconds": time.as_secs_f64()});
        let whole = json!({
            "machine": self.machine,
            "lines": lines,
            "growth": growth::curves(&self.lines),
            "took": self.took.iter().map(seconds).collect::<Vec<_>>(),
        });
        let text = serde_json::to_string_pretty(&whole)?;
        let place = || path.display().to_string();
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).with_context(place)?;
        }
        std::fs::write(path, text + "\n").with_context(place)
    }
}

fn as_json(line: &Line) -> Json {
    let systems: Vec<Json> = line
        .systems
        .iter()
        .map(|system| {
            let (least, most) = extremes(&system.rounds);
            json!({
                "system": system.name,
                "rounds": system.rounds,
                "min": system.median().map(|_| least),
                "median": system.median(),
                "max": system.median().map(|_| most),
                "ratio_to_ours": line.ratio(&system.name),
                "beside": system.beside,
                "note": system.note,
            })
        })
        .collect();
    let demands: Vec<Json> = line
        .demands
        .iter()
        .map(|demand| {
            let (words, met) = line.verdict(demand);
            json!({"demand": words, "reached": met})
        })
        .collect();
    json!({
        "row": line.id,
        "what": line.what,
        "unit": line.unit,
        "better": line.better,
        "systems": systems,
        "demands": demands,
    })
}
