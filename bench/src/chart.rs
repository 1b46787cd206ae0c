//! The chart that the README shows, made from kept results: one panel for each main line, one bar for each
//! system, on log scales; and below, what becomes of it in larger tables.

mod curves;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::growth::Curve;
use crate::report::{OURS, is_peer, short};

/// The lines that are shown: the first one of each row whose words have these in them.
const SHOWN: &[(&str, &str)] = &[
    ("R1", "10,000"),
    ("R2", ""),
    ("R5", "10,000"),
    ("W1", "256 rows"),
    ("W2", "back to back"),
    ("N1", ""),
];

/// Results, as they stand in the file.
#[derive(Deserialize)]
pub struct Results {
    machine: Machine,
    lines: Vec<Line>,
    #[serde(default)]
    growth: Vec<Curve>,
}

#[derive(Deserialize)]
struct Machine {
    processor: String,
    cores: u64,
    system: String,
    how: String,
    version: String,
}

#[derive(Deserialize)]
struct Line {
    row: String,
    what: String,
    unit: String,
    better: String,
    systems: Vec<System>,
}

#[derive(Deserialize)]
struct System {
    system: String,
    median: Option<f64>,
    ratio_to_ours: Option<f64>,
    note: Option<String>,
}

/// Draws the results in a file, into one beside it of the same name.
pub fn draw_file(results: &Path) -> Result<()> {
    let place = || results.display().to_string();
    let text = std::fs::read_to_string(results).with_context(place)?;
    let parsed: Results = serde_json::from_str(&text).with_context(place)?;
    let chart = results.with_extension("svg");
    match draw(&parsed) {
        Some(drawn) => {
            std::fs::write(&chart, drawn).with_context(|| chart.display().to_string())?
        }
        None => {
            eprintln!("none of the lines that the chart shows were measured: there is no chart")
        }
    }
    Ok(())
}

const WIDTH: f64 = 840.0;
const MARGIN: f64 = 24.0;
/// Where bars begin, and where the longest ones end.
const BARS: (f64, f64) = (232.0, 650.0);
const BAR: f64 = 15.0;
const STEP: f64 = 23.0;

/// The results as SVG; none, if no line that is shown is in them.
pub fn draw(results: &Results) -> Option<String> {
    let mut body = String::new();
    let mut y = 84.0;
    let shown = SHOWN.iter().filter_map(|(row, words)| {
        results.lines.iter().find(|line| line.row == *row && line.what.contains(words))
    });
    for line in shown {
        y = panel(&mut body, line, y);
    }
    y = curves::draw(&mut body, &results.growth, y);
    if body.is_empty() {
        return None;
    }
    let machine = &results.machine;
    let foot = format!(
        "shmirror {}; {}, {} cores, {}",
        machine.version, machine.processor, machine.cores, machine.system
    );
    text(&mut body, "quiet", (MARGIN, y), &foot);
    let height = y + MARGIN;
    let mut whole = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<title>shmirror beside its peers</title>\n{STYLE}\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>\n"
    );
    text(&mut whole, "title", (MARGIN, 38.0), "shmirror beside its peers");
    let how = format!(
        "medians of {}; scales are logarithmic; ×: how many times better shmirror is",
        machine.how
    );
    text(&mut whole, "quiet", (MARGIN, 58.0), &how);
    Some(whole + &body + "</svg>\n")
}

const STYLE: &str = "<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328;
  stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
.page { fill: #ffffff; stroke: #d1d9e0 }
.title { font-size: 20px; font-weight: 600 }
.head, .first { font-weight: 600 }
.quiet, .tick { font-size: 12px; fill: #59636e }
.name { text-anchor: end }
.first { text-anchor: end }
.tick { font-size: 11px; text-anchor: middle }
.scale { font-size: 11px; text-anchor: end; fill: #59636e }
.named { font-size: 11px }
.named.first { text-anchor: start }
.value { font-size: 11px; font-weight: 600; text-anchor: middle }
.grid { stroke: #d1d9e0 }
.lead { stroke: #d1d9e0; fill: none }
.ours { fill: #0969da }
.own { fill: #80b4ed }
.peer { fill: #9aa4af }
.bare { fill: #d5dbe1 }
.line { fill: none; stroke-width: 1.5px }
.line.ours { fill: none; stroke: #0969da; stroke-width: 2.5px }
.line.own { fill: none; stroke: #80b4ed }
.line.peer { fill: none; stroke: #9aa4af }
.line.bare { fill: none; stroke: #d5dbe1 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; stroke: #0d1117 }
.page { fill: #0d1117; stroke: #3d444d }
.quiet, .tick, .scale { fill: #9198a1 }
.grid, .lead { stroke: #3d444d }
.ours { fill: #4493f8 }
.own { fill: #27568f }
.peer { fill: #7d8590 }
.bare { fill: #454c54 }
.line.ours { stroke: #4493f8 }
.line.own { stroke: #27568f }
.line.peer { stroke: #7d8590 }
.line.bare { stroke: #454c54 }
}
</style>
";

/// One line at `top`; where the next one begins.
fn panel(into: &mut String, line: &Line, top: f64) -> f64 {
    let better = match line.better.as_str() {
        "lower" => "less is better",
        _ => "more is better",
    };
    text(into, "head", (MARGIN, top), &format!("{} · {}", line.row, line.what));
    text(into, "quiet", (MARGIN, top + 17.0), &format!("{}, {better}", line.unit));
    let mut systems: Vec<&System> = line.systems.iter().collect();
    // Ours, then from the best to the worst, then those that can't.
    systems.sort_by(|a, b| {
        let rank = |s: &System| {
            let ratio = if s.system == OURS { Some(f64::NEG_INFINITY) } else { s.ratio_to_ours };
            ratio.unwrap_or(f64::INFINITY)
        };
        rank(a).total_cmp(&rank(b))
    });
    let scale = Scale::of(systems.iter().filter_map(|system| system.median));
    let begin = top + 28.0;
    let end = begin + STEP * systems.len() as f64;
    for (at, value) in scale.decades() {
        let _ = writeln!(
            into,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{begin}\" y2=\"{end}\"/>"
        );
        text(into, "tick", (at, end + 13.0), &tick(value));
    }
    for (place, system) in systems.iter().enumerate() {
        let y = begin + STEP * place as f64 + (STEP - BAR) / 2.0;
        bar(into, line, system, &scale, y);
    }
    end + 46.0
}

fn bar(into: &mut String, line: &Line, system: &System, scale: &Scale, y: f64) {
    let base = y + BAR - 3.0;
    let is_ours = system.system == OURS;
    let name = if is_ours { "first" } else { "name" };
    text(into, name, (BARS.0 - 10.0, base), &system.system);
    let Some(median) = system.median else {
        let why = system.note.as_deref().unwrap_or("not measured");
        text(into, "quiet", (BARS.0 + 6.0, base), why);
        return;
    };
    let class = class_of(&system.system);
    let wide = scale.place(median) - BARS.0;
    let _ = writeln!(
        into,
        "<rect class=\"{class}\" x=\"{}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{BAR}\" rx=\"2\"/>",
        BARS.0
    );
    let mut value = format!("{} {}", short(median), line.unit);
    if let (false, Some(ratio)) = (is_ours, system.ratio_to_ours) {
        let _ = write!(value, " · {} ×", short(ratio));
    }
    text(into, if is_ours { "head" } else { "" }, (BARS.0 + wide + 6.0, base), &value);
}

fn text(into: &mut String, class: &str, (x, y): (f64, f64), words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(into, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{words}</text>");
}

/// What kind of system it is.
fn class_of(name: &str) -> &'static str {
    match name {
        OURS => "ours",
        name if name.starts_with(OURS) => "own",
        name if !is_peer(name) => "bare",
        _ => "peer",
    }
}

fn tick(value: f64) -> String {
    if value < 1.0 { format!("{value}") } else { short(value) }
}

/// A log scale from one power of ten to another.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| *value > 0.0) {
            least = least.min(value.log10());
            most = most.max(value.log10());
        }
        // So that the shortest bar can be seen.
        let least = (least - 0.15).floor();
        Self { least, most: most.ceil().max(least + 1.0) }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(f64::MIN_POSITIVE).log10() - self.least) / (self.most - self.least);
        BARS.0 + (BARS.1 - BARS.0) * part.clamp(0.0, 1.0)
    }

    fn decades(&self) -> impl Iterator<Item = (f64, f64)> {
        (self.least as i32..=self.most as i32).map(|power| {
            let value = 10_f64.powi(power);
            (self.place(value), value)
        })
    }
}
