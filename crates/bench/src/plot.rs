//! Plots as SVG, written by hand: rows of bars or dots, with the least and the most of all rounds as a thin line.
//!
//! They are read on light and on dark pages, so each brings its own background and both palettes. Integers only: places are
//! tenths of a pixel. Knows nothing of what it shows. Begins at [`Chart::svg`].

use crate::table::fraction;

/// In tenths of a pixel, as all places here.
const WIDTH: u64 = 8_600;
const LEFT: u64 = 1_650;
const RIGHT: u64 = 7_400;
const TOP: u64 = 1_000;
const ROW: u64 = 190;
/// Between two groups.
const GAP: u64 = 130;
const BOTTOM: u64 = 800;
/// More numbers than these on a linear axis are hard to read.
const TICKS_MAX: u64 = 7;

/// On light pages and on dark ones. A colour is a number below [`COLOURS`].
const PALETTE: [[&str; 2]; COLOURS] = [
    ["#8c959f", "#768390"],
    ["#2da44e", "#3fb950"],
    ["#a5d6b0", "#1f6f36"],
    ["#80bfff", "#265f9c"],
    ["#0969da", "#58a6ff"],
    ["#8250df", "#bc8cff"],
    ["#bf3989", "#f778ba"],
];
pub(crate) const COLOURS: usize = 7;
const LIGHT: &str = "\
text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}\
.title{font-size:17px;font-weight:600}.small{font-size:11px}.soft{fill:#656d76}\
.number{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:3px}\
.page{fill:#fff}.grid{stroke:#d8dee4}.spread{stroke:#24292f}";
const DARK: &str = "\
text{fill:#e6edf3}.soft{fill:#9198a1}.number{stroke:#0d1117}\
.page{fill:#0d1117}.grid{stroke:#2d333b}.spread{stroke:#e6edf3}";

#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What is shown, in which unit, and which side of it is good.
    pub(crate) axis: &'static str,
    pub(crate) scale: Scale,
    /// How many of its whole numbers make one unit: 1, 10, 100.
    pub(crate) per_unit: u64,
    /// Colours and what they stand for.
    pub(crate) series: Vec<(usize, String)>,
    pub(crate) groups: Vec<Group>,
    /// Where and when.
    pub(crate) source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Bars from zero.
    Linear,
    /// Dots, since a bar has no beginning there.
    Log,
}

/// Rows with one name.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    /// One of [`COLOURS`].
    pub(crate) colour: usize,
    pub(crate) value: u64,
    /// Of all rounds.
    pub(crate) least: u64,
    pub(crate) most: u64,
    /// A ring beside the dot.
    pub(crate) second: Option<u64>,
}

/// From values to places.
#[derive(Clone, Copy, Debug)]
struct Axis {
    scale: Scale,
    from: u64,
    to: u64,
}

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let axis = self.range();
        let rows: u64 = self.groups.iter().map(|group| group.marks.len() as u64).sum();
        let plot_end = TOP + rows * ROW + self.groups.len() as u64 * GAP;
        let height = plot_end + BOTTOM;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{}\">\n<style>{}</style>\n<rect class=\"page\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\n",
            escaped(self.title),
            style(),
            w = px(WIDTH),
            h = px(height),
        );
        svg += &text((200, 340), "title", "start", self.title);
        svg += &self.legend();
        for tick in axis.ticks() {
            let x = axis.place(tick);
            svg += &line([(x, TOP - 40), (x, plot_end)], "grid", 10);
            svg += &text((x, plot_end + 190), "soft small", "middle", &written(tick, self.per_unit));
        }
        svg += &text(((LEFT + RIGHT) / 2, plot_end + 410), "soft", "middle", self.axis);
        svg += &text((200, plot_end + 650), "soft small", "start", &self.source);
        svg += &self.body(axis);
        svg + "</svg>\n"
    }

    fn legend(&self) -> String {
        let (mut svg, mut x) = (String::new(), 200);
        for (colour, name) in &self.series {
            svg += &format!(
                "<rect class=\"fill{colour}\" x=\"{}\" y=\"{}\" width=\"11\" height=\"11\" rx=\"2\"/>\n",
                px(x),
                px(545)
            );
            svg += &text((x + 170, 645), "", "start", name);
            x += 420 + name.chars().count() as u64 * 62;
        }
        svg
    }

    fn body(&self, axis: Axis) -> String {
        let (mut svg, mut y) = (String::new(), TOP + GAP / 2);
        for group in &self.groups {
            let middle = y + group.marks.len() as u64 * ROW / 2;
            svg += &text((LEFT - 130, middle + 42), "", "end", &group.name);
            for mark in &group.marks {
                svg += &self.mark(axis, *mark, y + ROW / 2);
                y += ROW;
            }
            y += GAP;
        }
        svg
    }

    fn mark(&self, axis: Axis, mark: Mark, y: u64) -> String {
        let [value, least, most] = [mark.value, mark.least, mark.most].map(|value| axis.place(value));
        let second = mark.second.map(|second| axis.place(second));
        let [fill, stroke] = [format!("fill{}", mark.colour), format!("line{}", mark.colour)];
        let mut svg = String::new();
        if let Some(second) = second {
            svg += &line([(value, y), (second, y)], &stroke, 20);
            svg += &circle((second, y), 38, &format!("page {stroke}"));
        }
        svg += &match (self.scale, second) {
            (Scale::Log, None) => line([(least, y), (most, y)], &stroke, 35) + &circle((value, y), 48, &fill),
            (Scale::Log, Some(_)) => circle((value, y), 48, &fill),
            (Scale::Linear, _) => {
                bar((LEFT, y), value - LEFT, &fill) + &line([(least, y), (most, y)], "spread", 12)
            }
        };
        let numbers = [Some(mark.value), mark.second].into_iter().flatten();
        let numbers: Vec<_> = numbers.map(|value| written(value, self.per_unit)).collect();
        let end = value.max(most).max(second.unwrap_or_default());
        svg + &text((end + 90, y + 38), "number", "start", &numbers.join(" · "))
    }

    fn range(&self) -> Axis {
        let marks = self.groups.iter().flat_map(|group| &group.marks);
        let ends = marks.flat_map(|mark| {
            let second = mark.second.unwrap_or(mark.value);
            [mark.least.min(second), mark.most.max(second)]
        });
        let ends: Vec<u64> = ends.collect();
        // Nothing has no place on a logarithmic axis; it stands at its beginning.
        let least = ends.iter().filter(|end| **end > 0).min();
        let most = ends.iter().max().copied().unwrap_or(1);
        let from = match self.scale {
            Scale::Linear => 0,
            Scale::Log => least.copied().unwrap_or(1),
        };
        Axis { scale: self.scale, from, to: most.max(from + 1) }
    }
}

impl Axis {
    fn place(self, value: u64) -> u64 {
        let position = |value: u64| match self.scale {
            Scale::Linear => value,
            Scale::Log => log2(value.max(1)),
        };
        let [value, from, to] = [value, self.from, self.to].map(position);
        LEFT + value.saturating_sub(from) * (RIGHT - LEFT) / (to - from).max(1)
    }

    /// Round numbers along the axis.
    fn ticks(self) -> Vec<u64> {
        let powers = (0..19).map(|power| 10_u64.pow(power));
        let mut steps = powers.clone().flat_map(|power| [1, 2, 5].map(|digit| digit * power));
        match self.scale {
            Scale::Linear => {
                let step = steps.find(|step| self.to / step < TICKS_MAX).unwrap_or(self.to.max(1));
                (0..=self.to / step).map(|nth| nth * step).collect()
            }
            Scale::Log if self.to / self.from >= 2_000 => powers.filter(|tick| self.has(*tick)).collect(),
            Scale::Log => steps.filter(|tick| self.has(*tick)).collect(),
        }
    }

    fn has(self, value: u64) -> bool {
        (self.from..=self.to).contains(&value)
    }
}

/// The binary logarithm in 1024ths; its argument is at least 1.
fn log2(value: u64) -> u64 {
    let whole = value.ilog2();
    let mut mantissa = (u128::from(value) << 32) >> whole;
    let mut fraction = 0;
    for _ in 0..10 {
        mantissa = (mantissa * mantissa) >> 32;
        let doubled = mantissa >= 2 << 32;
        fraction = fraction << 1 | u64::from(doubled);
        mantissa >>= u32::from(doubled);
    }
    u64::from(whole) << 10 | fraction
}

/// `12 500`, `0.25`: three digits where there are fractions.
fn written(value: u64, per_unit: u64) -> String {
    let whole = value / per_unit;
    if value.is_multiple_of(per_unit) || whole >= 100 {
        return grouped(whole);
    }
    let digits = if whole >= 10 { 10 } else { 100 };
    match per_unit > digits {
        true => fraction(value / (per_unit / digits), digits),
        false => fraction(value, per_unit),
    }
}

/// Thousands apart.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Tenths as SVG has them.
fn px(tenths: u64) -> String {
    fraction(tenths, 10)
}

fn text((x, y): (u64, u64), class: &str, anchor: &str, text: &str) -> String {
    let text = escaped(text);
    format!(
        "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>\n",
        px(x),
        px(y)
    )
}

fn line([(x1, y1), (x2, y2)]: [(u64, u64); 2], class: &str, width: u64) -> String {
    let [x1, y1, x2, y2, width] = [x1, y1, x2, y2, width].map(px);
    format!(
        "<line class=\"{class}\" stroke-width=\"{width}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>\n"
    )
}

fn circle((x, y): (u64, u64), radius: u64, class: &str) -> String {
    let [x, y, radius] = [x, y, radius].map(px);
    format!("<circle class=\"{class}\" stroke-width=\"2\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>\n")
}

fn bar((x, y): (u64, u64), width: u64, class: &str) -> String {
    let [x, y, width] = [x, y - 65, width].map(px);
    format!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"13\" rx=\"2\"/>\n")
}

/// Every rule is written out: not all who draw SVG know variables.
fn style() -> String {
    let colours = |scheme: usize| -> String {
        let rule = |(at, colours): (usize, &[&str; 2])| {
            format!(".fill{at}{{fill:{c}}}.line{at}{{stroke:{c}}}", c = colours[scheme])
        };
        PALETTE.iter().enumerate().map(rule).collect()
    };
    format!("{LIGHT}{}@media(prefers-color-scheme:dark){{{DARK}{}}}", colours(0), colours(1))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_a_thousandth() {
        assert_eq!([1, 2, 1 << 40].map(log2), [0, 1 << 10, 40 << 10]);
        // log2(10) is 3.32193.
        assert_eq!(log2(10), 3_401);
        assert!((1..10_000).all(|value| log2(value) <= log2(value + 1)));
    }

    #[test]
    fn an_axis_begins_and_ends_where_the_plot_does() {
        for (scale, from) in [(Scale::Linear, 0), (Scale::Log, 3)] {
            let axis = Axis { scale, from, to: 70_000 };
            assert_eq!((axis.place(from), axis.place(70_000)), (LEFT, RIGHT));
            let ticks = axis.ticks();
            assert!(ticks.len() >= 4 && ticks.iter().all(|tick| *tick <= 70_000), "{ticks:?}");
        }
    }

    #[test]
    fn numbers_are_written_to_be_read() {
        assert_eq!(written(1_234_567, 1), "1 234 567");
        assert_eq!(
            ["0.25", "17.3", "235"],
            [(25, 100), (1_734, 100), (23_560, 100)].map(|(v, u)| written(v, u))
        );
        assert_eq!(["0", "999", "1 000"], [0, 999, 1_000].map(grouped));
    }

    #[test]
    fn whatever_was_measured_is_drawn() {
        let mark = |colour, second| Mark { colour, value: 20, least: 10, most: 40, second };
        let groups =
            [Group { name: "a < b".to_owned(), marks: vec![mark(0, None), mark(COLOURS - 1, Some(90))] }];
        for scale in [Scale::Linear, Scale::Log] {
            let chart = Chart {
                title: "Calls",
                axis: "calls/s",
                scale,
                per_unit: 1,
                series: vec![(0, "nginx".to_owned()), (COLOURS - 1, "tollgate".to_owned())],
                groups: vec![Group { name: "none".to_owned(), marks: Vec::new() }],
                source: "here".to_owned(),
            };
            assert!(chart.svg().ends_with("</svg>\n"), "nothing is drawn as well");
            let svg = Chart {
                groups: groups
                    .iter()
                    .map(|group| Group { name: group.name.clone(), marks: group.marks.clone() })
                    .collect(),
                ..chart
            }
            .svg();
            assert!(svg.contains("a &lt; b") && svg.contains("20 · 90"));
            assert_eq!(
                [0, COLOURS - 1].map(|colour| svg.matches(&format!("\"fill{colour}\"")).count()),
                [2, 2],
                "a legend and a mark for each"
            );
        }
    }
}
