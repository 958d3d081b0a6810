//! The report: targets, tables, plots, on standard output and in `docs/performance.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::measure::{Closed, Measured, Row, Timed};
use super::plots::{CAPTIONS, plots};
use super::point::Axis;
use super::sides::{Kept, Role};
use super::spread::Spread;
use super::targets::{Target, megabytes, millis, targets};
use crate::machine::Machine;
use crate::options::Options;
use crate::plot::grouped;
use crate::table::fraction;

const BEGIN: &str = "<!-- Written by `cargo xtask bench --write` from here -->";
const END: &str = "<!-- to here -->";
/// Percent of a core; with less, something else was waited for.
const SATURATED: u64 = 95;
const NONE: &str = "–";

pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    pub(super) machine: Machine,
    pub(super) points: Vec<Measured>,
    pub(super) sides: Vec<Kept>,
    pub(super) took: Duration,
}

impl Report<'_> {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title(), String::new()];
        lines.extend(self.targets());
        lines.extend(self.throughput());
        lines.extend(self.latency());
        lines.extend(self.processes());
        lines
    }

    /// Into the section between the two comments, and the plots beside it.
    pub(super) fn write(&self) -> anyhow::Result<()> {
        let docs = docs()?;
        let source = format!("{}, {}, {} cores", self.options.date, Machine::processor(), self.machine.cores);
        let folder = docs.join("performance");
        fs::create_dir_all(&folder)?;
        for (name, chart) in plots(&self.points, &source) {
            fs::write(folder.join(name), chart.svg())?;
        }
        let file = docs.join("performance.md");
        let text = fs::read_to_string(&file)?;
        fs::write(&file, replaced(&text, &self.section())?)?;
        Ok(())
    }

    /// Plots stand between what is wanted and the tables.
    fn section(&self) -> String {
        let mut lines = vec![self.title(), String::new()];
        lines.extend(self.targets());
        for (name, caption) in CAPTIONS {
            lines.extend([format!("![{caption}](performance/{name})"), String::new()]);
        }
        lines.extend(self.throughput());
        lines.extend(self.latency());
        lines.extend(self.processes());
        lines.join("\n")
    }

    fn title(&self) -> String {
        let Options { rounds, turn, date, .. } = self.options;
        let (turn, took) = (fraction(millis(*turn) / 100, 10), self.took.as_secs().div_ceil(60));
        format!(
            "{date}, {}: {}. Medians of {rounds} rounds of {turn} s by turns, in brackets the least and the most of any \
             round; {took} minutes in all.",
            Machine::processor(),
            self.machine.describe()
        )
    }

    fn targets(&self) -> Vec<String> {
        let head = ["| Tollgate full, … | wanted | measured | |", "| --- | --- | --- | --- |"];
        let rows = targets(&self.points, &self.sides);
        let mut lines = table(head, rows.iter().map(Target::row));
        lines.extend([self.noise(), String::new()]);
        if self.machine.placed {
            lines.extend(self.points.iter().filter_map(bottleneck));
            lines.push(String::new());
        }
        lines
    }

    /// What two of the same differ by.
    fn noise(&self) -> String {
        let roles = [Role::Again, Role::Nginx];
        let at = |axis| self.points.iter().find(|measured| measured.point.axis == Some(axis));
        let ratio = |spread: Option<Spread>| or_none(spread.map(Spread::ratio));
        let closed = |of| ratio(at(Axis::Centre).and_then(|centre| centre.closed_ratio(roles, of)));
        let added = |axis, of| ratio(at(axis).and_then(|measured| measured.added_ratio(roles, of)));
        format!(
            "What cannot be told apart here, the second nginx of the first: calls/s {}, CPU a call {}, added p50 at 1 connection {}, \
             added p99 at half the rate {}, first token of 128 streams {}.",
            closed(|closed| closed.calls_per_second),
            closed(|closed| closed.cpu_centimicros),
            added(Axis::One, |timed| Some(timed.p50)),
            added(Axis::Centre, |timed| Some(timed.p99)),
            added(Axis::InTime, |timed| Some(timed.p50)),
        )
    }

    fn throughput(&self) -> Vec<String> {
        let head = [
            "| Calls in a closed loop | through | calls/s | of nginx | CPU µs a call | of nginx | core busy | load's core busy | errors |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ];
        let closed = self.points.iter().filter(|measured| measured.point.gap_ms == 0);
        table(head, closed.flat_map(|measured| measured.rows.iter().map(|row| throughput(measured, row))))
    }

    fn latency(&self) -> Vec<String> {
        let head = [
            "| Latency at a rate | calls/s | through | p50 ms | p99 ms | p99.9 ms | of nginx: p50 | p99 | sent late, p99 ms | errors |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ];
        table(
            head,
            self.points.iter().flat_map(|measured| measured.rows.iter().map(|row| latency(measured, row))),
        )
    }

    fn processes(&self) -> Vec<String> {
        let head = [
            "| Process | MB at rest | after the first calls | under load, 512 connections | at most | ready after |",
            "| --- | --- | --- | --- | --- | --- |",
        ];
        let proxies = self.sides.iter().filter(|side| side.role != Role::Straight);
        let mut lines = table(head, proxies.map(process));
        for side in &self.sides {
            if let Some(took) = side.filled_in {
                lines.extend([format!("{}: imported in {} s.", side.name, took.as_secs()), String::new()]);
            }
        }
        lines
    }
}

/// Which core decided over the calls a second of both.
fn bottleneck(measured: &Measured) -> Option<String> {
    let decides = |role| {
        let row = measured.row(role)?;
        let busy = |of: fn(&Closed) -> u64| Some(Spread::of(row.closed.iter().map(of))?.median);
        let (own, load) = (busy(|closed| closed.busy)?, busy(|closed| closed.load_busy)?);
        let verdict = match (own >= SATURATED, load >= SATURATED) {
            (true, _) => "its own core decides",
            (false, true) => "the load's core decides",
            (false, false) => "waiting decides",
        };
        Some(format!("{} {own} % busy, the load's core {load} %: {verdict}", row.name))
    };
    let [nginx, full] = [Role::Nginx, Role::Full].map(decides);
    Some(format!("- {}: {}; {}.", measured.point.name, nginx?, full?))
}

fn throughput(measured: &Measured, row: &Row) -> String {
    let median = |of: fn(&Closed) -> u64| Spread::of(row.closed.iter().map(of)).map(|spread| spread.median);
    let ratio = |of| is_compared(row).then(|| measured.closed_ratio([row.role, Role::Nginx], of)).flatten();
    let [calls, busy, load_busy] = [
        median(|closed| closed.calls_per_second),
        median(|closed| closed.busy),
        median(|closed| closed.load_busy),
    ];
    let cpu = median(|closed| closed.cpu_centimicros);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        measured.point.name,
        row.name,
        or_none(calls.map(grouped)),
        or_none(ratio(|closed| closed.calls_per_second).map(Spread::ratio)),
        or_none(cpu.map(|cpu| fraction(cpu / 10, 10))),
        or_none(ratio(|closed| closed.cpu_centimicros).map(Spread::ratio)),
        // The model server shares its core with the load.
        or_none(busy.filter(|_| row.role != Role::Straight).map(|busy| format!("{busy} %"))),
        or_none(load_busy.map(|busy| format!("{busy} %"))),
        row.closed_errors,
    )
}

/// Straight: what a call takes. Through all others: what they add.
fn latency(measured: &Measured, row: &Row) -> String {
    let straight = row.role == Role::Straight;
    let shown = |of: fn(&Timed) -> Option<u64>| {
        let values =
            if straight { row.timed.iter().filter_map(of).collect() } else { measured.added(row, of) };
        let sign = if straight { "" } else { "+" };
        or_none(Spread::of(values).map(|nanos| format!("{sign}{}", fraction(nanos.median / 1_000, 1_000))))
    };
    let ratio = |of| {
        let ratio = is_compared(row).then(|| measured.added_ratio([row.role, Role::Nginx], of)).flatten();
        or_none(ratio.map(Spread::ratio))
    };
    let late = Spread::of(row.timed.iter().map(|timed| timed.late_p99));
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        measured.point.name,
        grouped(measured.rate),
        row.name,
        shown(|timed| Some(timed.p50)),
        shown(|timed| Some(timed.p99)),
        shown(|timed| timed.p999),
        ratio(|timed| Some(timed.p50)),
        ratio(|timed| Some(timed.p99)),
        or_none(late.map(|late| fraction(late.median / 1_000, 1_000))),
        row.timed_errors,
    )
}

fn process(side: &Kept) -> String {
    let memory = &side.memory;
    let ready = Spread::of(side.starts.iter().map(|took| millis(*took)));
    format!(
        "| {} | {} | {} | {} | {} | {} |",
        side.name,
        megabytes(memory.rest),
        megabytes(memory.counted),
        or_none(memory.loaded.map(megabytes)),
        megabytes(memory.peak),
        or_none(ready.map(|took| format!("{} s", fraction(took.median / 10, 100)))),
    )
}

/// With nginx, which is not compared with itself.
fn is_compared(row: &Row) -> bool {
    !matches!(row.role, Role::Straight | Role::Nginx)
}

fn table(head: [&str; 2], rows: impl Iterator<Item = String>) -> Vec<String> {
    head.map(str::to_owned).into_iter().chain(rows).chain([String::new()]).collect()
}

fn or_none(text: Option<String>) -> String {
    text.unwrap_or_else(|| NONE.to_owned())
}

/// The text with another section between its two comments.
fn replaced(text: &str, section: &str) -> anyhow::Result<String> {
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("there is no {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("there is no {END}"))?;
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", section.trim()))
}

/// Those of the workspace this program was built from.
fn docs() -> anyhow::Result<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    docs.canonicalize().context("the workspace is not where it was when this program was built")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_comments_is_replaced() {
        let text = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let once = replaced(&text, "new\n\n").unwrap();
        assert_eq!(once, format!("above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n"));
        assert_eq!(replaced(&once, "new").unwrap(), once);
        assert!(replaced("nothing", "new").is_err());
    }

    #[test]
    fn the_document_has_a_place_for_the_report() {
        let text = fs::read_to_string(docs().unwrap().join("performance.md")).unwrap();
        let replaced = replaced(&text, "new").unwrap();
        assert!(replaced.contains("\n\nnew\n\n"));
    }
}
