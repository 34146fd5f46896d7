//! A picture of what comes from where: offsets of the new image to the right, of the old image upwards.
//!
//! Copies are lines, so that an unchanged part is a line at 45 degrees, something inserted shifts it and something moved
//! leaves it; their colour says how much of them was predicted. Below, aligned with it: where the new image repeats itself,
//! where it has bytes without a source, and where the patch's bytes are spent. Written by hand, since it needs nothing but
//! lines and text, and colours that follow the reader's light or dark theme.

use std::fmt::Write as _;

use gateway_delta::account::{Account, Stretch};
use wire_patch::Triple;

/// Colours of copies and the least share of predicted bytes, in thousandths, for each.
const QUALITIES: [(&str, u32); 5] = [
    ("all predicted", 1_000),
    ("99 % or more", 990),
    ("95 % or more", 950),
    ("80 % or more", 800),
    ("less", 0),
];

/// Colours of the lanes below, and what they show.
const LANES: [(&str, &str); 3] = [
    ("repeat", "repeats of itself"),
    ("literal", "new bytes"),
    ("cost", "bytes of the patch"),
];

const STYLE: &str = "
  .paper { fill: #ffffff }
  text { font: 12px system-ui, sans-serif; fill: #333333 }
  .title { font-size: 15px; font-weight: 600 }
  .end { text-anchor: end }
  .middle { text-anchor: middle }
  .grid { stroke: #e3e3e3; fill: none }
  .frame { stroke: #999999; fill: none }
  .q0, .q1, .q2, .q3, .q4 { fill: none; stroke-width: 2.5; stroke-linecap: round }
  .q0 { stroke: #2563a8 } .q1 { stroke: #149a8c } .q2 { stroke: #c09000 } .q3 { stroke: #e0670a } .q4 { stroke: #c1121f }
  .repeat { fill: #5a8f29 } .literal { fill: #8547b5 } .cost { fill: #666666 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #14171c }
    text { fill: #d6d9de }
    .grid { stroke: #2c3138 }
    .frame { stroke: #6b727c }
    .q0 { stroke: #6ea8fe } .q1 { stroke: #3fd0be } .q2 { stroke: #e9c84a } .q3 { stroke: #f79a4b } .q4 { stroke: #ff6b6b }
    .repeat { fill: #9bd05a } .literal { fill: #c99af0 } .cost { fill: #a7adb7 }
  }
";

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 836.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = WIDTH - 22.0;
const TOP: f64 = 90.0;
/// Where the old image begins.
const BOTTOM: f64 = 640.0;
/// The lanes below, from their upper to their lower edge.
const REPEATS: (f64, f64) = (648.0, 662.0);
const LITERALS: (f64, f64) = (668.0, 682.0);
const COSTS: (f64, f64) = (688.0, 758.0);
/// Width of an entry of the legend.
const LEGEND: f64 = 152.0;
/// Least width and length at which something can be seen.
const VISIBLE: f64 = 0.8;
/// Columns into which the new image is cut: one for every unit of width.
const COLUMNS: usize = (RIGHT - LEFT) as usize;

/// The picture of a patch of `patch_bytes`, as SVG. The same account gives the same picture.
pub fn draw(account: &Account, patch_bytes: usize) -> String {
    let header = &account.outline.header;
    let scale = Scale {
        target_bytes: f64::from(header.target_bytes.max(1)),
        base_bytes: f64::from(header.base_bytes.max(1)),
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">\n<title>Where the new image \
         comes from</title>\n<style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n"
    );
    let title = format!(
        "A patch of {patch_bytes} bytes makes {} bytes from {}",
        header.target_bytes, header.base_bytes
    );
    text(&mut svg, "title", LEFT, 26.0, &title);
    legend(&mut svg);
    axes(&mut svg, &scale);
    copies(&mut svg, &scale, account);
    lanes(&mut svg, &scale, account);
    costs(&mut svg, account, patch_bytes);
    svg + "</svg>\n"
}

/// From offsets to places.
struct Scale {
    target_bytes: f64,
    base_bytes: f64,
}

impl Scale {
    fn x(&self, target: f64) -> f64 {
        LEFT + target / self.target_bytes * (RIGHT - LEFT)
    }

    fn y(&self, base: f64) -> f64 {
        BOTTOM - base / self.base_bytes * (BOTTOM - TOP)
    }
}

fn text(svg: &mut String, class: &str, x: f64, y: f64, text: &str) {
    add(
        svg,
        format_args!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n"),
    );
}

fn add(svg: &mut String, element: std::fmt::Arguments<'_>) {
    svg.write_fmt(element).expect("a String takes any text");
}

fn rect(svg: &mut String, class: &str, x: (f64, f64), y: (f64, f64)) {
    let (left, width) = (x.0, (x.1 - x.0).max(VISIBLE));
    let (top, height) = (y.0, y.1 - y.0);
    add(
        svg,
        format_args!(
            "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\n"
        ),
    );
}

fn legend(svg: &mut String) {
    text(svg, "", LEFT, 50.0, "Copies of the old image:");
    text(svg, "", LEFT, 70.0, "Along the new image:");
    for (at, (name, _)) in QUALITIES.iter().enumerate() {
        let x = LEFT + LEGEND * (at + 1) as f64;
        add(svg, format_args!("<path class=\"q{at}\" d=\"M{x:.1} 46h18\"/>\n"));
        text(svg, "", x + 26.0, 50.0, name);
    }
    for (at, (class, name)) in LANES.iter().enumerate() {
        let x = LEFT + LEGEND * (at + 1) as f64;
        rect(svg, class, (x + 3.0, x + 15.0), (60.0, 72.0));
        text(svg, "", x + 26.0, 70.0, name);
    }
}

fn axes(svg: &mut String, scale: &Scale) {
    for at in ticks(scale.target_bytes, 10) {
        let x = scale.x(at);
        add(
            svg,
            format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{:.1}\"/>\n", COSTS.1),
        );
        text(svg, "middle", x, COSTS.1 + 18.0, &kib(at));
    }
    for at in ticks(scale.base_bytes, 8) {
        let y = scale.y(at);
        add(
            svg,
            format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>\n"),
        );
        text(svg, "end", LEFT - 8.0, y + 4.0, &kib(at));
    }
    add(
        svg,
        format_args!(
            "<path class=\"frame\" d=\"M{LEFT} {TOP}H{RIGHT}V{BOTTOM}H{LEFT}ZM{LEFT} {:.1}H{RIGHT}\"/>\n",
            COSTS.1
        ),
    );
    let middle = (LEFT + RIGHT) / 2.0;
    text(
        svg,
        "middle",
        middle,
        COSTS.1 + 40.0,
        "offset in the new image, KiB",
    );
    let middle = (TOP + BOTTOM) / 2.0;
    add(
        svg,
        format_args!(
            "<text class=\"middle\" transform=\"translate(20 {middle:.1}) rotate(-90)\">offset in the old image, KiB</text>\n"
        ),
    );
    text(svg, "end", LEFT - 8.0, REPEATS.1 - 3.0, "repeats");
    text(svg, "end", LEFT - 8.0, LITERALS.1 - 3.0, "new");
}

/// Round offsets, at most `most` of them and the start.
fn ticks(bytes: f64, most: u32) -> impl Iterator<Item = f64> {
    let mut step = 256.0;
    while bytes / step > f64::from(most) {
        step *= 2.0;
    }
    (0..)
        .map(move |n| f64::from(n) * step)
        .take_while(move |at| *at <= bytes)
}

fn kib(bytes: f64) -> String {
    let kib = bytes / 1_024.0;
    if kib.fract() == 0.0 {
        format!("{kib:.0}")
    } else {
        format!("{kib}")
    }
}

/// Lines for the copies of the old image, one path for each colour, the best ones below the others.
fn copies(svg: &mut String, scale: &Scale, account: &Account) {
    let wrong = Wrong::new(account);
    let mut paths = [const { String::new() }; QUALITIES.len()];
    let mut target = 0;
    for triple in &account.outline.triples {
        if triple.source < account.outline.header.base_bytes {
            copy(&mut paths, scale, &wrong, *triple, target);
        }
        target += triple.copy_bytes + triple.extra_bytes;
    }
    for (at, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        add(svg, format_args!("<path class=\"q{at}\" d=\"{path}\"/>\n"));
    }
}

/// Cuts a copy where the columns are and draws the pieces, neighbours of one colour as one.
fn copy(paths: &mut [String; QUALITIES.len()], scale: &Scale, wrong: &Wrong, triple: Triple, target: u32) {
    let end = target + triple.copy_bytes;
    let mut start = target;
    while start < end {
        let quality = wrong.quality(start, wrong.column_end(start).min(end));
        let mut stop = wrong.column_end(start).min(end);
        while stop < end && wrong.quality(stop, wrong.column_end(stop).min(end)) == quality {
            stop = wrong.column_end(stop).min(end);
        }
        let place = |at: u32| {
            let source = triple.source + (at - target);
            (scale.x(f64::from(at)), scale.y(f64::from(source)))
        };
        let ((x0, y0), (x1, y1)) = (place(start), place(stop));
        write!(paths[quality], "M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}").expect("a String takes any text");
        start = stop;
    }
}

/// Mispredicted groups, and the columns.
struct Wrong<'a> {
    misses: &'a [Stretch],
    target_bytes: u64,
}

impl<'a> Wrong<'a> {
    fn new(account: &'a Account) -> Self {
        Self {
            misses: &account.misses,
            target_bytes: u64::from(account.outline.header.target_bytes.max(1)),
        }
    }

    /// Where the column that `at` is in ends: always behind it.
    fn column_end(&self, at: u32) -> u32 {
        let column = u64::from(at) * COLUMNS as u64 / self.target_bytes + 1;
        (column * self.target_bytes).div_ceil(COLUMNS as u64) as u32
    }

    /// The colour of a stretch.
    fn quality(&self, start: u32, end: u32) -> usize {
        let first = self.misses.partition_point(|miss| miss.target < start);
        let misses = self.misses[first..].iter().take_while(|miss| miss.target < end);
        let wrong: u32 = misses.map(|miss| miss.bytes).sum();
        let bytes = (end - start).max(1);
        let right = u64::from(bytes.saturating_sub(wrong)) * 1_000 / u64::from(bytes);
        let reached = QUALITIES.iter().position(|(_, least)| right >= u64::from(*least));
        reached.unwrap_or(QUALITIES.len() - 1)
    }
}

/// Where the new image repeats itself and where it is new.
fn lanes(svg: &mut String, scale: &Scale, account: &Account) {
    let mut target = 0;
    for triple in &account.outline.triples {
        let (copied, end) = (
            target + triple.copy_bytes,
            target + triple.copy_bytes + triple.extra_bytes,
        );
        let x = |at: u32| scale.x(f64::from(at));
        if triple.copy_bytes > 0 && triple.source >= account.outline.header.base_bytes {
            rect(svg, "repeat", (x(target), x(copied)), REPEATS);
        }
        if triple.extra_bytes > 0 {
            rect(svg, "literal", (x(copied), x(end)), LITERALS);
        }
        target = end;
    }
}

/// Bytes of the patch for each column of the new image.
fn costs(svg: &mut String, account: &Account, patch_bytes: usize) {
    let columns = spent(account);
    let most = columns.iter().copied().fold(0.0, f64::max);
    if most > 0.0 {
        let mut path = format!("M{LEFT} {:.1}", COSTS.1);
        for (at, bytes) in columns.iter().enumerate() {
            let y = COSTS.1 - bytes / most * (COSTS.1 - COSTS.0);
            write!(path, "H{:.1}V{y:.1}", LEFT + at as f64).expect("a String takes any text");
        }
        add(
            svg,
            format_args!("<path class=\"cost\" d=\"{path}H{RIGHT}V{:.1}Z\"/>\n", COSTS.1),
        );
    }
    let bytes_per_column = f64::from(account.outline.header.target_bytes) / COLUMNS as f64;
    let peak = format!("{:.0} B/KiB", most / bytes_per_column.max(1.0) * 1_024.0);
    text(svg, "end", LEFT - 8.0, COSTS.0 + 10.0, &peak);
    text(svg, "end", LEFT - 8.0, COSTS.1, "0");
    let placed: f64 = columns.iter().sum();
    let note = format!(
        "{placed:.0} bytes of the patch are spent on new bytes and mispredictions, the other {:.0} on header, triples and flags.",
        patch_bytes as f64 - placed
    );
    text(svg, "", LEFT, HEIGHT - 16.0, &note);
}

/// What mispredictions and new bytes cost, in bytes, in the column where they begin or, if they are long, spread.
fn spent(account: &Account) -> Vec<f64> {
    let mut columns = vec![0.0; COLUMNS];
    let target_bytes = f64::from(account.outline.header.target_bytes.max(1));
    for stretch in account.misses.iter().chain(&account.literals) {
        let column = |at: u32| f64::from(at) / target_bytes * COLUMNS as f64;
        let (start, end) = (column(stretch.target), column(stretch.target + stretch.bytes));
        let mut from = start;
        while from < end {
            let to = (from.floor() + 1.0).min(end);
            if let Some(bytes) = columns.get_mut(from as usize) {
                *bytes += stretch.bits / 8.0 * (to - from) / (end - start);
            }
            from = to;
        }
    }
    columns
}
