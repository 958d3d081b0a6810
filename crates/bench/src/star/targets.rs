//! What Tollgate wants to reach, with what was measured beside it.

use super::measure::{Closed, Measured, Timed};
use super::point::Axis;
use super::sides::{Kept, Role};
use super::spread::Spread;
use crate::table::fraction;

/// Megabytes, not mebibytes.
const MB: u64 = 1_000_000;

/// One target.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) what: &'static str,
    pub(super) wanted: &'static str,
    /// Written out; none where it was not measured.
    pub(super) figure: Option<String>,
    pub(super) met: bool,
}

pub(super) fn targets(points: &[Measured], sides: &[Kept]) -> Vec<Target> {
    let at = |axis| points.iter().find(|measured| measured.point.axis == Some(axis));
    let nginx = [Role::Full, Role::Nginx];
    let rate = |axis| at(axis)?.closed_ratio(nginx, |closed: &Closed| closed.calls_per_second);
    let cpu = |roles| at(Axis::Centre)?.closed_ratio(roles, |closed: &Closed| closed.cpu_centimicros);
    let p50 = |axis| at(axis)?.added_ratio(nginx, |timed: &Timed| Some(timed.p50));
    let p99 = at(Axis::Centre).and_then(|centre| centre.added_ratio(nginx, |timed| Some(timed.p99)));
    let many = Role::Many(1_000_000);
    let groups = at(Axis::Centre)
        .and_then(|centre| centre.closed_ratio([many, Role::Full], |closed| closed.calls_per_second));
    let side = |role| sides.iter().find(|side| side.role == role);
    let start = side(many).and_then(|many| Spread::of(many.starts.iter().map(|took| millis(*took))));

    vec![
        at_least("calls/s of nginx, 32 connections", "≥ 1.00×", rate(Axis::Centre), 100),
        at_least("calls/s of nginx, 128 connections", "≥ 1.00×", rate(Axis::Many), 100),
        at_most("CPU a call of nginx", "≤ 1.00×", cpu(nginx), 100),
        at_most("added latency of nginx, p50, 1 connection", "≤ 1.25×", p50(Axis::One), 125),
        at_most("added latency of nginx, p99, at half the rate", "≤ 1.50×", p99, 150),
        at_most("time to first token added, of nginx, 128 streams", "≤ 1.25×", p50(Axis::InTime), 125),
        at_most("CPU a call, full of bare", "≤ 1.25×", cpu([Role::Full, Role::Bare]), 125),
        at_least("calls/s, 1 000 000 groups of 10", "≥ 0.95×", groups, 95),
        memory("memory at rest, 10 groups", "≤ 30 MB", side(Role::Full), 30 * MB),
        memory("memory at rest, 1 000 000 groups with a key each", "≤ 1 000 MB", side(many), 1_000 * MB),
        Target {
            what: "start with 1 000 000 groups",
            wanted: "≤ 5 s",
            figure: start.map(|took| format!("{} s", fraction(took.median / 10, 100))),
            met: start.is_some_and(|took| took.median <= 5_000),
        },
    ]
}

fn at_least(what: &'static str, wanted: &'static str, ratio: Option<Spread>, least: u64) -> Target {
    let met = ratio.is_some_and(|ratio| ratio.median >= least);
    Target { what, wanted, figure: ratio.map(Spread::ratio), met }
}

fn at_most(what: &'static str, wanted: &'static str, ratio: Option<Spread>, most: u64) -> Target {
    let met = ratio.is_some_and(|ratio| ratio.median <= most);
    Target { what, wanted, figure: ratio.map(Spread::ratio), met }
}

fn memory(what: &'static str, wanted: &'static str, side: Option<&Kept>, most: u64) -> Target {
    let bytes = side.map(|side| side.memory.rest * 1024);
    let figure = side.map(|side| {
        let [rest, counted] = [side.memory.rest, side.memory.counted].map(megabytes);
        format!("{rest} MB; {counted} after the first token count")
    });
    Target { what, wanted, figure, met: bytes.is_some_and(|bytes| bytes <= most) }
}

/// With one digit, of KiB.
pub(super) fn megabytes(kib: u64) -> String {
    fraction(kib * 1024 * 10 / MB, 10)
}

pub(super) fn millis(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Target {
    pub(super) fn row(&self) -> String {
        let Target { what, wanted, figure, met } = self;
        let (figure, verdict) = match (figure, met) {
            (None, _) => ("–", "not measured"),
            (Some(figure), true) => (figure.as_str(), "met"),
            (Some(figure), false) => (figure.as_str(), "**not met**"),
        };
        format!("| {what} | {wanted} | {figure} | {verdict} |")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_at_its_very_value() {
        let exactly = |median| Some(Spread { median, least: 1, most: 900 });
        assert!(at_least("", "", exactly(100), 100).met && !at_least("", "", exactly(99), 100).met);
        assert!(at_most("", "", exactly(125), 125).met && !at_most("", "", exactly(126), 125).met);
    }

    #[test]
    fn what_was_not_measured_is_not_met_but_says_so() {
        let targets = targets(&[], &[]);
        assert_eq!(targets.len(), 11);
        assert!(targets.iter().all(|target| target.row().ends_with("| – | not measured |")));
    }

    #[test]
    fn memory_is_told_in_millions_of_bytes() {
        assert_eq!((megabytes(1_000), megabytes(29_297)), ("1.0".to_owned(), "30.0".to_owned()));
    }
}
