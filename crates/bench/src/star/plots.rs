//! What is worth a picture: calls a second by connections, CPU a call and added latency at every point.

use super::measure::{Measured, Row};
use super::point::{Point, Prompt};
use super::sides::Role;
use super::spread::Spread;
use crate::options::Answers;
use crate::plot::{COLOURS, Chart, Group, Mark, Scale, grouped};

/// File names below `docs/performance`, with their plots.
pub(super) fn plots(points: &[Measured], source: &str) -> Vec<(&'static str, Chart)> {
    vec![
        ("calls.svg", calls(points, source)),
        ("cpu.svg", cpu(points, source)),
        ("latency.svg", latency(points, source)),
    ]
}

/// What a picture says without being seen.
pub(super) const CAPTIONS: [(&str, &str); 3] = [
    ("calls.svg", "Calls a second by connections"),
    ("cpu.svg", "CPU time a call"),
    ("latency.svg", "Added latency at half the rate of the slowest"),
];

fn calls(points: &[Measured], source: &str) -> Chart {
    let mut by_connections: Vec<_> =
        points.iter().filter(|measured| varies_connections(&measured.point)).collect();
    by_connections.sort_by_key(|measured| measured.point.connections);
    let shown = |row: &Row| !matches!(row.role, Role::Many(_));
    let value = |_: &Measured, row: &Row| {
        let spread = Spread::of(row.closed.iter().map(|closed| closed.calls_per_second))?;
        Some((spread, None))
    };
    let groups = by_connections.into_iter().map(|measured| {
        let connections = measured.point.connections;
        let name = format!("{connections} connection{}", if connections == 1 { "" } else { "s" });
        Group { name, marks: marks(measured, shown, value) }
    });
    Chart {
        title: "Calls a second",
        axis: "calls a second, closed loop, whole answers to small prompts; more is better",
        scale: Scale::Linear,
        per_unit: 1,
        series: series(points, |_| true),
        groups: groups.collect(),
        source: source.to_owned(),
    }
}

fn cpu(points: &[Measured], source: &str) -> Chart {
    let value = |_: &Measured, row: &Row| {
        Some((Spread::of(row.closed.iter().map(|closed| closed.cpu_centimicros))?, None))
    };
    Chart {
        title: "CPU time a call",
        axis: "µs a call with what is finished later, logarithmic; less is better",
        scale: Scale::Log,
        per_unit: 100,
        series: series(points, |role| role != Role::Straight),
        groups: groups(points, value),
        source: source.to_owned(),
    }
}

fn latency(points: &[Measured], source: &str) -> Chart {
    let value = |measured: &Measured, row: &Row| {
        let micros = |added: Vec<u64>| Spread::of(added.into_iter().map(|nanos| nanos / 1_000));
        let p50 = micros(measured.added(row, |timed| Some(timed.p50)))?;
        let p99 = micros(measured.added(row, |timed| Some(timed.p99)))?;
        Some((p50, Some(p99.median)))
    };
    Chart {
        title: "Added latency: p50 (dot) and p99 (ring)",
        axis: "µs more than straight to the model server, at the same rate, logarithmic; less is better",
        scale: Scale::Log,
        per_unit: 1,
        series: series(points, |role| role != Role::Straight),
        groups: groups(points, value),
        source: source.to_owned(),
    }
}

/// Every point; gateways with more groups stand below the centre as if they were points.
fn groups(
    points: &[Measured],
    value: impl Fn(&Measured, &Row) -> Option<(Spread, Option<u64>)> + Copy,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for measured in points {
        let proxies = |row: &Row| !matches!(row.role, Role::Straight | Role::Many(_));
        let name = measured.point.name.clone();
        groups.push(Group { name, marks: marks(measured, proxies, value) });
        for row in &measured.rows {
            if let Role::Many(count) = row.role {
                let name = format!("{} groups", grouped(u64::try_from(count).unwrap_or_default()));
                groups.push(Group { name, marks: marks(measured, |other| other.role == row.role, value) });
            }
        }
    }
    groups.retain(|group| !group.marks.is_empty());
    groups
}

fn marks(
    measured: &Measured,
    shown: impl Fn(&Row) -> bool,
    value: impl Fn(&Measured, &Row) -> Option<(Spread, Option<u64>)>,
) -> Vec<Mark> {
    let mark = |row: &Row| {
        let (Spread { median, least, most }, second) = value(measured, row)?;
        Some(Mark { colour: colour(row), value: median, least, most, second })
    };
    measured.rows.iter().filter(|row| shown(row)).filter_map(mark).collect()
}

/// Who has a colour of their own, from all points.
fn series(points: &[Measured], shown: impl Fn(Role) -> bool) -> Vec<(usize, String)> {
    let rows = points.first().map_or(&[][..], |measured| &measured.rows);
    let named = rows.iter().filter(|row| !matches!(row.role, Role::Many(_)) && shown(row.role));
    named.map(|row| (colour(row), row.name.clone())).collect()
}

/// A gateway with more groups is the same gateway. Other binaries share what colours are left.
fn colour(row: &Row) -> usize {
    match row.role {
        Role::Straight => 0,
        Role::Nginx => 1,
        Role::Again => 2,
        Role::Bare => 3,
        Role::Full | Role::Many(_) => 4,
        Role::Other(nth) => 5 + nth % (COLOURS - 5),
    }
}

fn varies_connections(point: &Point) -> bool {
    (point.answers, point.prompt, point.gap_ms) == (Answers::Whole, Prompt::Small, 0)
}
