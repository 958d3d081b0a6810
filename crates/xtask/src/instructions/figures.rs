//! The table of instructions: read, written, and compared with another.
//!
//! Figures are comparable to the per cent where the same tools made them: the compiler, the C library that copies memory,
//! the valgrind that says what the processor can do. Where one of these is another, more is tolerated; where the
//! processor's language is another, nothing is compared but ratios.
//! Begins at [`Judgement::of`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use anyhow::Context as _;

/// Per cent that instructions may rise by, or fall by without a word. Allocations may not rise at all.
const TOLERANCE: u64 = 3;
/// The same between figures of different tools, and for allocations too.
const TOLERANCE_OF_OTHERS: u64 = 15;

/// What must not depend on how much else there is: the figure, what it is compared with, and at most how many per cent of
/// that it may be.
const RATIOS: &[(&str, &str, u64)] =
    &[("reserve and settle among 100 000 groups, 10 000 lines", "reserve and settle among 10 groups", 110)];

const HEAD: &str = "\
# What it takes to do it once, counted by `cargo xtask instructions`, which compares with these.
# Where a change is meant: `cargo xtask instructions --renew`, and say in the commit what made it.
";

/// What it takes to do something once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    pub(super) instructions: u64,
    /// Made, not those that grew.
    pub(super) allocations: u64,
}

/// What everything costs, and what counted it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) tools: Tools,
    /// By name.
    pub(super) costs: BTreeMap<String, Cost>,
}

/// What a figure depends on beside the code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tools {
    pub(super) rustc: String,
    pub(super) host: String,
    pub(super) valgrind: String,
    pub(super) libc: String,
}

/// What is to be said of figures beside those that are stored.
#[derive(Debug)]
pub(super) struct Judgement {
    /// For whoever looks on.
    pub(super) lines: Vec<String>,
    /// What may not stay so.
    pub(super) failures: Vec<String>,
}

/// One figure beside the one that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Within,
    Worse,
    Better,
    /// Not stored yet.
    New,
    /// Stored, and not counted any more.
    Gone,
}

impl Figures {
    /// Reads what [`Self::text`] wrote.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let table: toml::Table = toml::from_str(text)?;
        let tool = |name: &str| {
            let value = table.get(name).and_then(toml::Value::as_str);
            value.map(str::to_owned).with_context(|| format!("{name} is missing"))
        };
        let tools = Tools {
            rustc: tool("rustc")?,
            host: tool("host")?,
            valgrind: tool("valgrind")?,
            libc: tool("libc")?,
        };
        let costs = table.get("costs").and_then(toml::Value::as_table).context("[costs] is missing")?.iter();
        let costs = costs.map(|(name, cost)| Ok((name.clone(), Cost::parse(cost).context(name.clone())?)));
        Ok(Self { tools, costs: costs.collect::<anyhow::Result<_>>()? })
    }

    /// As it is stored.
    pub(super) fn text(&self) -> String {
        let Tools { rustc, host, valgrind, libc } = &self.tools;
        let mut text = HEAD.to_owned();
        for (name, value) in [("rustc", rustc), ("host", host), ("valgrind", valgrind), ("libc", libc)] {
            let _ = writeln!(text, "{name} = \"{value}\"");
        }
        text.push_str("\n[costs]\n");
        for (name, Cost { instructions, allocations }) in &self.costs {
            let cost = format!("{{ instructions = {instructions}, allocations = {allocations} }}");
            let _ = writeln!(text, "\"{name}\" = {cost}");
        }
        text
    }
}

impl Cost {
    fn parse(value: &toml::Value) -> anyhow::Result<Self> {
        let number = |name: &str| {
            let number = value.get(name).and_then(toml::Value::as_integer);
            let number = number.and_then(|number| u64::try_from(number).ok());
            number.with_context(|| format!("{name} is missing or no whole number"))
        };
        Ok(Self { instructions: number("instructions")?, allocations: number("allocations")? })
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, host, valgrind, libc } = self;
        write!(f, "{rustc}, {host}, {valgrind}, {libc}")
    }
}

impl Judgement {
    /// What was counted now, beside what is stored.
    pub(super) fn of(stored: &Figures, counted: &Figures) -> Self {
        let mut judgement = Self { lines: Vec::new(), failures: Vec::new() };
        judgement.compare(stored, counted);
        judgement.failures.extend(RATIOS.iter().filter_map(|ratio| broken(*ratio, counted)));
        judgement
    }

    fn compare(&mut self, stored: &Figures, counted: &Figures) {
        let same_tools = stored.tools == counted.tools;
        if !same_tools {
            self.lines.push(format!("stored by {}\ncounted by {}", stored.tools, counted.tools));
        }
        let most = if same_tools { (TOLERANCE, 0) } else { (TOLERANCE_OF_OTHERS, TOLERANCE_OF_OTHERS) };
        let fails = stored.tools.host == counted.tools.host;
        let names: BTreeSet<_> = stored.costs.keys().chain(counted.costs.keys()).collect();
        for name in names {
            let [before, now] = [stored, counted].map(|figures| figures.costs.get(name).copied());
            let verdict = verdict(before, now, most);
            let line = format!("{}{}", line(name, before, now), advice(verdict));
            if fails && matches!(verdict, Verdict::Worse | Verdict::New | Verdict::Gone) {
                self.failures.push(line.clone());
            }
            self.lines.push(line);
        }
    }
}

/// `most`: by how many per cent instructions and allocations may rise.
fn verdict(before: Option<Cost>, now: Option<Cost>, most: (u64, u64)) -> Verdict {
    let (before, now) = match (before, now) {
        (Some(before), Some(now)) => (before, now),
        (None, _) => return Verdict::New,
        (Some(_), None) => return Verdict::Gone,
    };
    let rises = |before: u64, now: u64, most: u64| now * 100 > before * (100 + most);
    let falls = |before: u64, now: u64, most: u64| now < before && now * 100 <= before * (100 - most);
    let any = |changes: fn(u64, u64, u64) -> bool| {
        changes(before.instructions, now.instructions, most.0)
            || changes(before.allocations, now.allocations, most.1)
    };
    if any(rises) {
        Verdict::Worse
    } else if any(falls) {
        Verdict::Better
    } else {
        Verdict::Within
    }
}

/// What to do about it.
fn advice(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Within => "",
        Verdict::Worse => ": costs more than is stored; if it is meant, `cargo xtask instructions --renew`",
        Verdict::Better => ": costs less than is stored; keep it so with `cargo xtask instructions --renew`",
        Verdict::New => ": is not stored yet; `cargo xtask instructions --renew`",
        Verdict::Gone => ": is stored, but not counted any more; `cargo xtask instructions --renew`",
    }
}

/// What is stored, what was counted, and the change of its instructions.
fn line(name: &str, before: Option<Cost>, now: Option<Cost>) -> String {
    let shown = |cost: Option<Cost>| {
        let [instructions, allocations] = [|cost: Cost| cost.instructions, |cost: Cost| cost.allocations]
            .map(|of| cost.map_or_else(|| "-".to_owned(), |cost| of(cost).to_string()));
        format!("{instructions:>9} and {allocations:>4}")
    };
    let change = before
        .zip(now)
        .map_or_else(String::new, |(before, now)| per_cent(before.instructions, now.instructions));
    format!("{name:<54}{} stored{} counted{change:>9}", shown(before), shown(now))
}

/// The change to a tenth of a per cent, toward zero.
fn per_cent(before: u64, now: u64) -> String {
    let sign = if now < before { '-' } else { '+' };
    let tenths = now.abs_diff(before) * 1_000 / before.max(1);
    format!("{sign}{}.{} %", tenths / 10, tenths % 10)
}

/// What to say of a ratio that does not hold, or cannot be told.
fn broken((name, base, most): (&str, &str, u64), counted: &Figures) -> Option<String> {
    let [figure, beside] = [name, base].map(|name| counted.costs.get(name).map(|cost| cost.instructions));
    match figure.zip(beside) {
        Some((figure, beside)) if figure * 100 <= beside * most => None,
        Some((figure, beside)) => Some(format!(
            "{name}: {figure} is more than {most} % of {beside}, {base}: it must not depend on how many there are"
        )),
        None => Some(format!("{name}, {base}: one of them was not counted, so their ratio is not known")),
    }
}

#[cfg(test)]
mod tests;
