//! The results for an eye: a line for each tool, a dot for each pair, a bar at the geometric mean.

use std::fmt::Write;

use super::measure::Bench;
use super::summary;
use super::tools::Tool;

const WIDTH: f64 = 980.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 735.0;
const MEAN: f64 = 788.0;
const RAM: f64 = 804.0;
const TOP: f64 = 84.0;
const ROW: f64 = 34.0;

const INK: &str = "#222";
const GREY: &str = "#888";
const OURS: &str = "#0b6e4f";
const THEIRS: &str = "#b0561b";

/// A picture of its own, for a page or a slide; light background whatever surrounds it.
pub(super) fn svg(bench: &Bench) -> String {
    let all = &summary::releases(bench);
    let mut rows: Vec<(usize, f64)> = (0..bench.tools.len())
        .filter_map(|at| Some((at, summary::mean(bench, all, at)?.0)))
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    let axis = Axis::of(bench);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut text = head(all.len(), bottom + 58.0);
    grid(&mut text, &axis, bottom);
    for (row, (at, mean)) in rows.into_iter().enumerate() {
        let y = TOP + ROW * (row as f64 + 0.5);
        line(&mut text, bench, &axis, at, mean, y);
    }
    text + "</svg>\n"
}

/// Ratios on a scale of octaves: half is as far from one as double.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// Wide enough for every dot, from power of two to power of two.
    fn of(bench: &Bench) -> Self {
        let ratios = || {
            let tools = 0..bench.tools.len();
            tools.flat_map(|at| {
                bench
                    .results
                    .iter()
                    .filter_map(move |measured| measured.ratio(at))
            })
        };
        let least = ratios().fold(0.5, f64::min).log2().floor();
        let most = ratios().fold(2.0, f64::max).log2().ceil();
        Self {
            from: least,
            to: most,
        }
    }

    fn x(&self, ratio: f64) -> f64 {
        LEFT + (ratio.log2() - self.from) / (self.to - self.from) * (RIGHT - LEFT)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|octave| f64::from(octave).exp2())
    }
}

fn head(pairs: usize, height: f64) -> String {
    let upgrades = if pairs == 1 { "upgrade" } else { "upgrades" };
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13" fill="{INK}">
<rect width="100%" height="100%" fill="white"/>
<text x="20" y="28" font-size="17" font-weight="bold">Patch size relative to BSDIFF40</text>
<text x="20" y="48" fill="{GREY}">{pairs} firmware {upgrades}, pairs in which only a version string differs left out; a dot for each, a bar at the geometric mean</text>
<text x="{MEAN}" y="72" text-anchor="end" font-size="11" fill="{GREY}">mean</text>
<text x="{RAM}" y="72" font-size="11" fill="{GREY}">decoder RAM</text>
"#
    )
}

fn grid(text: &mut String, axis: &Axis, bottom: f64) {
    for tick in axis.ticks() {
        let x = axis.x(tick);
        let (stroke, width) = if tick == 1.0 {
            (GREY, 1.5)
        } else {
            ("#e4e4e4", 1.0)
        };
        let label = if tick < 1.0 {
            format!("1/{}", tick.recip())
        } else {
            format!("{tick}")
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            r#"<line x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{bottom}" stroke="{stroke}" stroke-width="{width}"/><text x="{x:.1}" y="{y}" text-anchor="middle" fill="{GREY}">{label}</text>"#,
            y = bottom + 18.0,
        );
    }
    let _ = writeln!(
        text,
        r#"<text x="{LEFT}" y="{y}" fill="{GREY}">smaller patches ←</text>"#,
        y = bottom + 42.0
    );
}

fn line(text: &mut String, bench: &Bench, axis: &Axis, at: usize, mean: f64, y: f64) {
    let tool: &Tool = &bench.tools[at];
    let (colour, weight) = if tool.is_ours() {
        (OURS, "bold")
    } else {
        (THEIRS, "normal")
    };
    let releases = (bench.results.iter()).filter(|measured| !measured.pair.is_version_bump());
    for ratio in releases.filter_map(|measured| measured.ratio(at)) {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            r#"<circle cx="{:.1}" cy="{y:.1}" r="4" fill="{colour}" fill-opacity="0.28"/>"#,
            axis.x(ratio)
        );
    }
    let x = axis.x(mean);
    let _ = writeln!(
        text,
        r#"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{:.1}" stroke="{colour}" stroke-width="3"/>"#,
        y - 11.0,
        y + 11.0
    );
    let base = y + 4.5;
    let _ = writeln!(
        text,
        r#"<text x="20" y="{base:.1}" font-weight="{weight}">{name}</text><text x="{MEAN}" y="{base:.1}" text-anchor="end" font-weight="bold" fill="{colour}">{mean:.3}</text><text x="{RAM}" y="{base:.1}" font-size="11" fill="{GREY}">{ram}</text>"#,
        name = escaped(&tool.name),
        ram = escaped(&tool.ram),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
