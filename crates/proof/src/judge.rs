//! Holds what a run has seen against what its limits promise: every window of every counter.
//!
//! A call counts for a counter if the limit was in force beyond doubt when it was admitted; its cap is the highest
//! threshold that may have been in force then. What it was charged at admission is the part of its tokens that its
//! hold covered; the rest was charged late, when it was settled or as its stream went on.
//!
//! A limit on a day that was away and came back has a new counter; what it opens with is left out here, so that
//! nothing is counted that may not have been.
//!
//! Begins at [`judge`].

use std::collections::HashMap;

use domain::Day;

use crate::clock::SteppedClock;
use crate::history::{Call, Mode, Timeline};
use crate::windows::{Admission, Finding, Late, Span, WITHOUT_END, slide};
use crate::world::{KINDS, Kind, Limits, Manners, SLUGS, Tree};

/// What `hard` holds at least of an output.
const LEAST: u64 = 64;

/// A counter of a tree in one stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CounterId {
    /// Whose.
    pub owner: usize,
    /// For which model.
    pub slug: usize,
    /// Of which kind.
    pub kind: usize,
    /// How often a limit on a day had been away before.
    generation: u32,
    /// Which day, where a day is its window.
    day: Option<Day>,
}

/// What was found in one tree.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Over all counters.
    pub finding: Finding,
    /// Where the worst window was.
    pub worst: Option<CounterId>,
    /// Charges at admission that were placed in a window.
    pub charges: u64,
}

/// The charges of one counter.
type Charges = (Vec<Admission>, Vec<Late>);

/// Looks at every counter of a tree. `calls` are those of all trees; their places in it are how a breach names them.
#[must_use]
pub fn judge(
    (at, tree): (usize, &Tree),
    timeline: &Timeline,
    calls: &[Call],
    clock: &SteppedClock,
    mode: Mode,
) -> Judgement {
    let mut judgement = Judgement::default();
    let generations = generations(tree, timeline);
    let case = Case { tree, timeline, generations, clock, mode };
    // Kind by kind, so that the charges of a long run fit into memory.
    for (kind, Kind { length_us, .. }) in KINDS.iter().enumerate() {
        let mut counters: HashMap<CounterId, Charges> = HashMap::new();
        let of_tree = calls.iter().zip(0_u32..).filter(|(call, _)| usize::from(call.tree) == at);
        for (call, number) in of_tree.filter(|(call, _)| call.admitted) {
            case.charge(call, number, kind, &mut counters);
        }
        for (id, (admissions, late)) in counters {
            judgement.charges += u64::try_from(admissions.len()).unwrap_or(u64::MAX);
            if judgement.finding.add(slide(admissions, late, *length_us)) {
                judgement.worst = Some(id);
            }
        }
    }
    judgement
}

struct Case<'a> {
    tree: &'a Tree,
    timeline: &'a Timeline,
    generations: Vec<Limitless>,
    clock: &'a SteppedClock,
    mode: Mode,
}

/// Of one version: for each group and model, how often each limit on its path had been away.
type Limitless = Vec<[[u32; KINDS.len()]; SLUGS.len()]>;

impl Case<'_> {
    /// Puts what a call was charged to the counters of this kind.
    fn charge(&self, call: &Call, number: u32, kind: usize, counters: &mut HashMap<CounterId, Charges>) {
        let day = match KINDS[kind].length_us {
            WITHOUT_END => match self.clock.day(call.span) {
                None => return,
                day => day,
            },
            _ => None,
        };
        for (owner, generation, cap) in self.bound(call, kind) {
            let id = CounterId { owner, slug: usize::from(call.slug), kind, generation, day };
            let (admissions, late) = counters.entry(id).or_default();
            if !KINDS[kind].counts_tokens() {
                admissions.push(Admission { span: call.span, amount: 1, cap, call: number });
                continue;
            }
            let hold = held(call, self.tree.manners, self.mode)
                .map_or(u64::MAX, |(prompt, output)| prompt.saturating_add(output));
            let amount = call.tokens_min.min(hold);
            admissions.push(Admission { span: call.span, amount, cap, call: number });
            let rest = call.tokens_min.saturating_sub(amount);
            let span = Span { earliest_us: call.span.earliest_us, latest_us: call.settled_us };
            if rest > 0 && may_be_in_debt(self.tree.manners, self.mode) {
                late.push(Late { span, amount: rest, call: number });
            } else if rest > 0 && (day.is_none() || self.clock.day(span) == day) {
                // Nothing is charged but by asking the limits, so late charges keep the cap as well.
                admissions.push(Admission { span, amount: rest, cap, call: number });
            }
        }
    }

    /// The counters that a call was charged to beyond doubt, with the highest cap that each may have had.
    fn bound(&self, call: &Call, kind: usize) -> Vec<(usize, u32, u64)> {
        let place = (usize::from(call.group), usize::from(call.slug), kind);
        let mut bound: Option<Vec<(usize, u32, u64)>> = None;
        for (version, config) in self.timeline.during(call.span) {
            let now: Vec<_> = self
                .tree
                .binding(&config.config, place)
                .into_iter()
                .map(|(owner, cap)| (owner, self.generations[version][owner][place.1][kind], cap))
                .collect();
            bound = Some(match bound {
                None => now,
                Some(before) => before
                    .into_iter()
                    .filter_map(|(owner, generation, cap)| {
                        let same = now.iter().find(|also| (also.0, also.1) == (owner, generation))?;
                        Some((owner, generation, cap.max(same.2)))
                    })
                    .collect(),
            });
        }
        bound.unwrap_or_default()
    }
}

/// What a call held at least when it was admitted, as prompt and output. `None`: all that it used.
#[must_use]
pub fn held(call: &Call, manners: Manners, mode: Mode) -> Option<(u64, u64)> {
    match mode {
        Mode::Observed => Some((0, 0)),
        Mode::Learned => Some((call.prompt, 0)),
        // What is guessed where nothing is declared is the gateway's own business; the prompt is in it.
        Mode::Estimate => Some((call.prompt, call.declared.unwrap_or(0))),
        // What fits is held, which is at least this.
        Mode::Hard if call.streamed || manners == Manners::Wild => {
            Some((call.prompt, call.declared.map_or(LEAST, |output| output.min(LEAST))))
        }
        // What does not fit is not asked for, so that all of it was held.
        Mode::Hard => None,
    }
}

/// Whether what a call uses beyond what it held may be charged without asking any limit.
#[must_use]
pub fn may_be_in_debt(manners: Manners, mode: Mode) -> bool {
    manners == Manners::Wild || matches!(mode, Mode::Observed | Mode::Learned)
}

/// How often each limit on a day had been away, version by version. Rolling counters keep what they had.
fn generations(tree: &Tree, timeline: &Timeline) -> Vec<Limitless> {
    let mut all: Vec<Limitless> = Vec::with_capacity(timeline.versions.len());
    let mut before: Option<&[Limits]> = None;
    for version in &timeline.versions {
        let mut now = all.last().cloned().unwrap_or_else(|| vec![Default::default(); tree.groups.len()]);
        for (owner, slugs) in now.iter_mut().enumerate() {
            for (slug, kinds) in slugs.iter_mut().enumerate() {
                for (kind, generation) in
                    kinds.iter_mut().enumerate().filter(|(kind, _)| KINDS[*kind].is_daily())
                {
                    let counts = |limits: &[Limits]| counts(tree, limits, (owner, slug, kind));
                    let came_back = before.is_some_and(|before| !counts(before)) && counts(&version.config);
                    *generation += u32::from(came_back);
                }
            }
        }
        all.push(now);
        before = Some(&version.config);
    }
    all
}

/// Whether a group's own counter is in use under these limits.
fn counts(tree: &Tree, limits: &[Limits], place: (usize, usize, usize)) -> bool {
    tree.binding(limits, place).iter().any(|(owner, _)| *owner == place.0)
}

/// Whether a group's own counter was in use all the time.
#[must_use]
pub fn always_counted(tree: &Tree, timeline: &Timeline, place: (usize, usize, usize)) -> bool {
    timeline.versions.iter().all(|version| counts(tree, &version.config, place))
}

#[cfg(test)]
pub(crate) mod tests;
