//! Holds the ledger against what model configs promise: every period of every line.
//!
//! In which period a charge lies is taken from its entry, of which [`bills`](crate::bills) has seen that it says a time
//! at which its call was under way; in what order calls were admitted, from what their callers saw. A call that ran over
//! the end of a period was held in all of it from its admission on, so it counts there as well as in the period that it
//! was charged to.
//!
//! A reset, and an edit of a line's duration, divide its charges: which side a call that was under way lies on nobody
//! outside can tell, so it counts on neither. What a line begins with, and what it keeps when its duration is edited, is
//! left out, so that nothing is counted that may not have been. What lines have used in the end is compared to the unit.
//!
//! Begins at [`judge`] and [`compare`].

use std::collections::HashMap;

use domain::{Meter, ModelConfig, Now, Snapshot};
use storage::{LineEdit, Store, UseChange};

use crate::bills::{Booked, Known};
use crate::configs::{Config, Line, LineKey};
use crate::history::{Call, Mode, Timeline};
use crate::judge::{held, may_be_in_debt};
use crate::load;
use crate::windows::{Admission, Breach, Finding, Late, Span, WITHOUT_END, slide};
use crate::world::Manners;

/// Openings and resets of one line that are read.
const EDITS_MAX: u16 = 60_000;
/// Calls of a breach that are shown.
const CALLS_MAX: usize = 100;

/// What a line shows in the end.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Which line.
    pub key: LineKey,
    /// What it has used in its present period.
    pub used: u64,
    /// What calls in flight hold of it.
    pub pending: u64,
}

/// One line through the run.
#[derive(Debug)]
struct Story<'a> {
    config: &'a Config,
    timeline: &'a Timeline<Vec<Line>>,
    first: Line,
    /// In their order.
    cuts: Vec<Cut>,
}

/// Where the charges of a line are divided.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// The edit was asked for, and answered.
    span: Span,
    /// The line after it, where its periods become others.
    recycled: Option<Line>,
}

/// What was found on one line.
#[derive(Debug)]
pub struct Judgement {
    /// Over all of its periods.
    pub finding: Finding,
    /// Whether there can be no debt.
    pub exact: bool,
    /// What it counts.
    pub meter: Meter,
    /// Its worst period, in words.
    pub breach: Option<String>,
}

/// Charges by where the line was cut last, and by when the period began.
type Periods = HashMap<(usize, u64), (Vec<Admission>, Vec<Late>)>;

/// Looks at every period of every line.
#[must_use]
pub fn judge(known: Known<'_>, booked: &[Booked], mode: Mode) -> Vec<Judgement> {
    let mut judgements = Vec::new();
    // Line by line, so that the charges of a long run fit into memory.
    for story in stories(known) {
        let mut periods = Periods::new();
        for entry in booked.iter().filter(|entry| entry.lines.contains(&story.first.key)) {
            story.charge(known, (entry, mode), &mut periods);
        }
        let mut all = Judgement {
            finding: Finding::default(),
            exact: story.config.is_exact(&known.world.trees),
            meter: story.first.key.1,
            breach: None,
        };
        for ((_, start_ms), (admissions, late)) in periods {
            if all.finding.add(slide(admissions, late, WITHOUT_END)) {
                let worst = all.finding.worst.as_ref();
                all.breach = worst.map(|breach| story.breached(start_ms, breach, booked, known.calls));
            }
        }
        judgements.push(all);
    }
    judgements
}

/// Compares what lines show in the end, live and in the ledger as the next start reads it, with their entries.
///
/// # Errors
/// A ledger that cannot be read.
pub async fn compare(
    known: Known<'_>,
    booked: &[Booked],
    store: &Store,
    (shown, now): (&[Shown], Now),
) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let snapshot = store.snapshot();
    let reread = Shown::all(&snapshot, |config, line| (store.line_used(&snapshot, config, line, now), 0));
    for story in stories(known).iter().filter(|story| story.is_there()) {
        let key = story.first.key;
        let find = |all: &[Shown]| all.iter().find(|shown| shown.key == key).copied();
        let (Some(live), Some(ledger)) = (find(shown), find(&reread)) else {
            wrong.push(format!("{key:?} of {:?} is not there", story.config));
            continue;
        };
        if live.pending != 0 {
            wrong.push(format!("{}: {} are pending", story.name(), live.pending));
        }
        if live.used != ledger.used {
            wrong.push(format!("{}: shows {}, read again {}", story.name(), live.used, ledger.used));
        }
        let edits = store.line_edits(key.0, EDITS_MAX).await?;
        let (least, most) = story.due(known, booked, (&edits, now));
        if !(least..=most).contains(&i128::from(live.used)) {
            wrong.push(format!("{}: shows {}, its entries say {least} to {most}", story.name(), live.used));
        }
    }
    Ok(wrong)
}

impl Shown {
    /// Every line, with what is used and pending of it.
    pub fn all(snapshot: &Snapshot, of: impl Fn(&ModelConfig, &domain::Line<'_>) -> (u64, u64)) -> Vec<Self> {
        let shown = |config: &ModelConfig| {
            let line = |line: domain::Line<'_>| {
                let (used, pending) = of(config, &line);
                Self { key: (line.id, line.meter), used, pending }
            };
            config.lines().map(line).collect::<Vec<_>>()
        };
        snapshot.configs().flat_map(|config| shown(config)).collect()
    }
}

/// Every line that ever was.
fn stories(known: Known<'_>) -> Vec<Story<'_>> {
    let record = known.record;
    let mut stories = Vec::new();
    for (config, timeline) in known.world.configs.iter().zip(&record.configs) {
        let mut keys: Vec<LineKey> = Vec::new();
        for line in timeline.versions.iter().flat_map(|version| &version.config) {
            if !keys.contains(&line.key) {
                keys.push(line.key);
                let resets = record.resets.iter().filter(|(key, _)| *key == line.key).map(|(_, span)| *span);
                stories.push(Story::new(config, timeline, *line, resets));
            }
        }
    }
    stories
}

impl<'a> Story<'a> {
    fn new(
        config: &'a Config,
        timeline: &'a Timeline<Vec<Line>>,
        first: Line,
        resets: impl Iterator<Item = (u64, u64)>,
    ) -> Self {
        let span = |(earliest_us, latest_us)| Span { earliest_us, latest_us };
        let mut cuts: Vec<Cut> = resets.map(|reset| Cut { span: span(reset), recycled: None }).collect();
        let mut last = first;
        for pair in timeline.versions.windows(2) {
            let [before, after] = pair else { continue };
            let Some(line) = after.config.iter().find(|line| line.key == first.key) else { continue };
            if line.length != last.length {
                let span = span((after.from_us, before.until_us));
                cuts.push(Cut { span, recycled: Some(*line) });
            }
            last = *line;
        }
        cuts.sort_by_key(|cut| cut.span.earliest_us);
        Self { config, timeline, first, cuts }
    }

    fn is_there(&self) -> bool {
        self.timeline.latest().is_some_and(|lines| lines.iter().any(|line| line.key == self.first.key))
    }

    /// How many cuts lie before all of this span, if none lies in it.
    fn stretch(&self, span: Span) -> Option<usize> {
        let before = self.cuts.iter().take_while(|cut| cut.span.latest_us < span.earliest_us).count();
        let clear = self.cuts[before..].iter().all(|cut| span.latest_us < cut.span.earliest_us);
        clear.then_some(before)
    }

    /// The line after so many cuts.
    fn line(&self, stretch: usize) -> Line {
        self.cuts[..stretch].iter().rev().find_map(|cut| cut.recycled).unwrap_or(self.first)
    }

    /// The highest that the line may have been when a call was admitted.
    fn cap(&self, call: &Call) -> u64 {
        let lines = self.timeline.during(call.span).flat_map(|(_, version)| &version.config);
        lines.filter(|line| line.key == self.first.key).map(|line| line.max).max().unwrap_or(u64::MAX)
    }

    /// Puts what a call was charged into its periods.
    fn charge(&self, known: Known<'_>, (entry, mode): (&Booked, Mode), periods: &mut Periods) {
        let Some(call) = usize::try_from(entry.call).ok().and_then(|at| known.calls.get(at)) else { return };
        let (cap, number) = (self.cap(call), entry.call);
        let mut admit = |stretch: usize, at_ms: u64, span: Span, amount: u64| {
            let (admissions, _) = periods.entry((stretch, self.line(stretch).period(at_ms))).or_default();
            admissions.push(Admission { span, amount, cap, call: number });
        };
        if self.first.key.1 == Meter::Requests {
            if let Some(stretch) = self.stretch(call.span) {
                admit(stretch, entry.admitted_ms, call.span, 1);
            }
            return;
        }
        let whole = Span { earliest_us: call.span.earliest_us, latest_us: call.settled_us };
        let Some(stretch) = self.stretch(whole) else { return };
        let manners = known.world.trees[usize::from(call.tree)].manners;
        let used = self.amount(entry);
        let hold = used.min(self.hold(call, entry, (manners, mode)));
        let rest = used - hold;
        let line = self.line(stretch);
        admit(stretch, entry.settled_ms, call.span, hold);
        if line.period(entry.admitted_ms) != line.period(entry.settled_ms) {
            admit(stretch, entry.admitted_ms, call.span, hold);
        }
        if rest > 0 && !may_be_in_debt(manners, mode) && !is_miscounted(call, entry) {
            // Nothing is charged but by asking the limits, so late charges keep the cap as well.
            admit(stretch, entry.settled_ms, whole, rest);
        } else if rest > 0 {
            let (_, late) = periods.entry((stretch, line.period(entry.settled_ms))).or_default();
            late.push(Late { span: whole, amount: rest, call: number });
        }
    }

    /// What an entry charges to the line.
    fn amount(&self, entry: &Booked) -> u64 {
        match self.first.key.1 {
            Meter::Requests => 1,
            Meter::Tokens => entry.tokens,
            Meter::Usd => entry.cost,
        }
    }

    /// What its call held of the line at least.
    fn hold(&self, call: &Call, entry: &Booked, (manners, mode): (Manners, Mode)) -> u64 {
        let declared = || (call.prompt, call.declared.unwrap_or(0));
        let known = held(call, manners, mode).or_else(|| is_miscounted(call, entry).then(declared));
        let Some((prompt, output)) = known else { return u64::MAX };
        match self.first.key.1 {
            Meter::Requests => 1,
            Meter::Tokens => prompt.saturating_add(output),
            Meter::Usd => entry.price.hold(prompt, output),
        }
    }

    /// What is used of the present period, by the entries: at least, and at most.
    fn due(&self, known: Known<'_>, booked: &[Booked], (edits, now): (&[LineEdit], Now)) -> (i128, i128) {
        let meter = self.first.key.1;
        let line = self.line(self.cuts.len());
        let start_ms = line.period(now.wall_ms);
        let is_present = |at_ms: u64| line.period(at_ms) == start_ms;
        let of_line = booked.iter().filter(|entry| entry.lines.contains(&self.first.key));
        let present = of_line.filter(|entry| {
            is_present(if meter == Meter::Requests { entry.admitted_ms } else { entry.settled_ms })
        });
        let recycled = self.cuts.iter().rev().find(|cut| cut.recycled.is_some()).map(|cut| cut.span);
        if let Some(span) = recycled.filter(|span| known.clock.latest_ms(span.latest_us) >= start_ms) {
            // It kept what it had used of a period of the other length.
            let is_after = |entry: &&Booked| {
                let call = usize::try_from(entry.call).ok().and_then(|at| known.calls.get(at));
                call.is_some_and(|call| call.span.earliest_us > span.latest_us)
            };
            let forgot =
                edits.iter().any(|edit| edit.meter == meter && matches!(edit.change, UseChange::Forgot(_)));
            let after = present.filter(is_after).map(|entry| i128::from(self.amount(entry))).sum();
            return (if forgot { 0 } else { after }, i128::MAX);
        }
        let used: i128 = present.map(|entry| i128::from(self.amount(entry))).sum();
        let edits = edits.iter().filter(|edit| edit.meter == meter && is_present(edit.at_ms));
        let edited: i128 = edits
            .map(|edit| match edit.change {
                UseChange::Opened(used) => i128::from(used),
                UseChange::Forgot(used) => -i128::from(used),
            })
            .sum();
        (used + edited, used + edited)
    }

    /// The line, for people.
    fn name(&self) -> String {
        let (id, meter) = self.first.key;
        let Config { scope, model, .. } = self.config;
        let length = self.line(self.cuts.len()).length.text;
        format!("{} per {length} of {scope:?} {model:?} ({id})", meter.name())
    }

    /// One period over its cap, so that it can be taken apart.
    fn breached(&self, start_ms: u64, breach: &Breach, booked: &[Booked], calls: &[Call]) -> String {
        let Breach { used, cap, until_us, .. } = breach;
        let mut text = format!(
            "OVER ITS CAP: {}, period of {start_ms} ms: {used} of {cap} by {until_us} us, cut at {:?}",
            self.name(),
            self.cuts
        );
        let inside = booked.iter().filter(|entry| breach.calls.contains(&entry.call));
        for entry in inside.take(CALLS_MAX) {
            let Some(call) = usize::try_from(entry.call).ok().and_then(|at| calls.get(at)) else { continue };
            text.push_str(&format!(
                "\n    {} admitted {}..{} ({} ms) settled ..{} ({} ms) prompt {} declared {:?} charged {} ({}), cap {}",
                load::shown(call.id),
                call.span.earliest_us,
                call.span.latest_us,
                entry.admitted_ms,
                call.settled_us,
                entry.settled_ms,
                call.prompt,
                call.declared,
                self.amount(entry),
                if entry.estimated { "estimated" } else { "reported" },
                self.cap(call),
            ));
        }
        text
    }
}

/// Half of a whole answer is taken for text as it is, which may come to more than was declared, and so than was held.
fn is_miscounted(call: &Call, entry: &Booked) -> bool {
    entry.estimated && entry.tokens > call.prompt.saturating_add(call.declared.unwrap_or(0))
}

#[cfg(test)]
mod tests;
