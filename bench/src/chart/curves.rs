//! The chart's second part: what becomes of a measurement in larger tables, a small panel for each curve, on log
//! scales in both directions.

use std::fmt::Write as _;

use super::{MARGIN, WIDTH, class_of, text, tick};
use crate::growth::{Along, Curve};
use crate::report::{Better, OURS, short};

/// The curves that are shown: the first one of each row whose words begin with these.
const SHOWN: &[(&str, &str)] =
    &[("R1", ""), ("R5", ""), ("W1", ""), ("A1", "attach"), ("A1", "start"), ("A1", "memory")];

const GAP: f64 = 20.0;
const PANEL: (f64, f64) = ((WIDTH - 2.0 * MARGIN - GAP) / 2.0, 232.0);
/// Where lines are in a panel: from the left to the right, from the top to the bottom.
const PLOT: (f64, f64, f64, f64) = (44.0, 240.0, 36.0, 186.0);
/// From the sides of a plot to its first and last points.
const INSET: f64 = 22.0;
/// From one name to the next.
const NAMES: f64 = 13.0;

/// All curves that are shown, from `top` on; where the next thing begins.
pub fn draw(into: &mut String, curves: &[Curve], top: f64) -> f64 {
    let shown = SHOWN.iter().filter_map(|(row, words)| {
        curves.iter().find(|curve| curve.row == *row && curve.of.starts_with(words))
    });
    let mut count = 0;
    for (at, curve) in shown.enumerate() {
        if at == 0 {
            text(into, "title", (MARGIN, top + 6.0), "Growth with the rows of the table");
        }
        let (column, row) = ((at % 2) as f64, (at / 2) as f64);
        let x = MARGIN + column * (PANEL.0 + GAP);
        panel(into, curve, (x, top + 36.0 + row * PANEL.1));
        count = at + 1;
    }
    match count {
        0 => top,
        count => top + 36.0 + count.div_ceil(2) as f64 * PANEL.1,
    }
}

fn panel(into: &mut String, curve: &Curve, (x, y): (f64, f64)) {
    let better = match curve.better {
        Better::Lower => "less is better",
        Better::Higher => "more is better",
    };
    text(into, "head", (x, y), &format!("{} · {}", curve.row, curve.of));
    text(into, "quiet", (x, y + 16.0), &format!("{}, {better}", curve.unit));
    let (left, right) = (x + PLOT.0, x + PLOT.1);
    let (above, below) = (y + PLOT.2, y + PLOT.3);
    let across =
        Scale::of(curve.rows.iter().map(|rows| *rows as f64), (left + INSET, right - INSET / 2.0));
    let values = curve.systems.iter().flat_map(|along| &along.medians).flatten().copied();
    let up = Scale::of(values, (below, above));
    for value in up.ticks() {
        let y = up.place(value);
        let _ = writeln!(
            into,
            "<line class=\"grid\" x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
        text(into, "scale", (left - 8.0, y + 4.0), &tick(value));
    }
    for rows in &curve.rows {
        text(into, "tick", (across.place(*rows as f64), below + 18.0), &short(*rows as f64));
    }
    let line = |along: &Along| -> Vec<(f64, f64)> {
        let points = curve.rows.iter().zip(&along.medians);
        points.filter_map(|(x, y)| Some((across.place(*x as f64), up.place((*y)?)))).collect()
    };
    // Ours is drawn last, above the others.
    let mut lines: Vec<(&Along, Vec<(f64, f64)>)> =
        curve.systems.iter().rev().map(|along| (along, line(along))).collect();
    lines.retain(|(_, points)| !points.is_empty());
    let ends: Vec<f64> =
        lines.iter().filter_map(|(_, points)| points.last()).map(|p| p.1).collect();
    for ((along, points), at) in lines.iter().zip(apart(&ends, (above - 4.0, below + 8.0))) {
        let class = class_of(&along.system);
        let list: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(into, "<polyline class=\"line {class}\" points=\"{}\"/>", list.join(" "));
        for (x, y) in points {
            let _ =
                writeln!(into, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        let name = if along.system == OURS { "named first" } else { "named" };
        if let Some((x, y)) = points.last() {
            let _ = writeln!(
                into,
                "<path class=\"lead\" d=\"M{:.1} {y:.1}L{:.1} {at:.1}\"/>",
                x + 4.0,
                right + 14.0
            );
        }
        text(into, name, (right + 18.0, at + 4.0), &brief(&along.system, curve));
    }
    for (along, points) in lines.iter().filter(|(along, _)| along.system == OURS) {
        for ((x, y), value) in points.iter().zip(along.medians.iter().flatten()) {
            text(into, "value", (*x, y - 7.0), &short(*value));
        }
    }
}

/// A system's name as far as its comma, where no other one of the curve has the same.
fn brief(name: &str, curve: &Curve) -> String {
    let begin = |name: &str| name.split(',').next().unwrap_or_default().to_owned();
    let same = curve.systems.iter().filter(|along| begin(&along.system) == begin(name)).count();
    if same > 1 { name.to_owned() } else { begin(name) }
}

/// Places for names that want to be at these, in the same order, none too close to another, within bounds as far
/// as there is room.
fn apart(wanted: &[f64], (least, most): (f64, f64)) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut places = wanted.to_vec();
    let mut above = least;
    for at in &order {
        places[*at] = places[*at].max(above);
        above = places[*at] + NAMES;
    }
    let mut below = most;
    for at in order.iter().rev() {
        places[*at] = places[*at].min(below);
        below = places[*at] - NAMES;
    }
    places
}

/// A log scale between two steps of 1, 2, 5, 10, drawn from one place to another.
struct Scale {
    least: f64,
    most: f64,
    places: (f64, f64),
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            (least, most) = (1.0, 1.0);
        }
        let (least, most) = (steps(least).0, steps(most).1);
        // So that what does not change is in the middle.
        let (least, most) =
            if most / least < 9.0 { (least / 2.0, most * 2.0) } else { (least, most) };
        Self { least, most, places }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value / self.least).log10() / (self.most / self.least).log10();
        self.places.0 + (self.places.1 - self.places.0) * part.clamp(0.0, 1.0)
    }

    /// Powers of ten; where there are not two, all steps between as well.
    fn ticks(&self) -> Vec<f64> {
        let powers = self.least.log10().floor() as i32..=self.most.log10().ceil() as i32;
        let is_in = |value: &f64| *value >= self.least * 0.999 && *value <= self.most * 1.001;
        let of = |steps: &'static [f64]| -> Vec<f64> {
            let all = powers.clone().flat_map(|p| steps.iter().map(move |s| s * 10_f64.powi(p)));
            all.filter(is_in).collect()
        };
        let tens = of(&[1.0]);
        if tens.len() > 1 { tens } else { of(&[1.0, 2.0, 5.0]) }
    }
}

/// The steps of 1, 2, 5 and 10 at or below and at or above a value.
fn steps(value: f64) -> (f64, f64) {
    let power = 10_f64.powf(value.log10().floor());
    let all = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let below = all.iter().rev().find(|step| **step <= value * 1.0001).copied();
    let above = all.iter().find(|step| **step >= value * 0.9999).copied();
    (below.unwrap_or(power), above.unwrap_or(power * 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Curve {
        let along = |system: &str, medians: &[Option<f64>]| Along {
            system: system.to_owned(),
            medians: medians.to_vec(),
        };
        Curve {
            row: "R1".into(),
            of: "reads <of> a row".into(),
            unit: "ns".into(),
            better: Better::Lower,
            rows: vec![1_000, 10_000, 100_000],
            systems: vec![
                along(OURS, &[Some(10.0), Some(20.0), Some(100.0)]),
                along("bare latch, no lookup", &[Some(2.0), Some(3.0), Some(4.0)]),
                along("SQLite, prepared", &[Some(1000.0), None, None]),
                along("SQLite, open transaction", &[Some(400.0), Some(500.0), Some(600.0)]),
            ],
        }
    }

    #[test]
    fn a_panel_has_a_line_of_each_system_and_a_point_of_each_value() {
        let mut drawn = String::new();
        let end = draw(&mut drawn, &[some()], 100.0);
        assert_eq!(end, 100.0 + 36.0 + PANEL.1);
        assert_eq!(drawn.matches("<polyline").count(), 4);
        assert_eq!(drawn.matches("<circle").count(), 10);
        assert_eq!(drawn.matches("<circle class=\"ours\"").count(), 3);
        for name in [">shmirror<", ">bare latch<", ">SQLite, prepared<", "reads &lt;of&gt; a row"] {
            assert!(drawn.contains(name), "{name} is missing");
        }
    }

    #[test]
    fn without_curves_nothing_is_drawn() {
        let mut drawn = String::new();
        let other = Curve { row: "M1".into(), ..some() };
        assert_eq!(draw(&mut drawn, &[other], 100.0), 100.0);
        assert_eq!(drawn, "");
    }

    #[test]
    fn names_are_moved_apart_within_their_bounds() {
        assert_eq!(apart(&[50.0, 10.0, 48.0], (0.0, 100.0)), [61.0, 10.0, 48.0]);
        assert_eq!(apart(&[99.0, 98.0], (0.0, 100.0)), [100.0, 87.0]);
        assert_eq!(apart(&[], (0.0, 100.0)), [0.0; 0]);
    }

    #[test]
    fn a_scale_goes_from_step_to_step() {
        let scale = Scale::of([3.0, 700.0].into_iter(), (100.0, 0.0));
        assert_eq!((scale.least, scale.most), (2.0, 1000.0));
        assert_eq!((scale.place(2.0), scale.place(1000.0)), (100.0, 0.0));
        assert_eq!(scale.ticks(), [10.0, 100.0, 1000.0]);
        let narrow = Scale::of([0.12, 0.15].into_iter(), (100.0, 0.0));
        assert!((narrow.place(0.1) - 68.0).abs() < 5.0, "{}", narrow.place(0.1));
        let ticks: Vec<String> = narrow.ticks().iter().map(|tick| format!("{tick:.2}")).collect();
        assert_eq!(ticks, ["0.05", "0.10", "0.20"]);
        assert!(Scale::of([].into_iter(), (0.0, 1.0)).place(1.0).is_finite());
    }
}
