//! Slides a window over what was charged to one counter, and finds where it was over its cap.
//!
//! From outside nobody sees the instant at which a charge was made, only a span in which it was: the id of a call says
//! when its admission began, in milliseconds cut off, and the arrival at the model server that it was over. A set of
//! charges is *certainly* inside one window if the earliest start of their spans and the latest end lie less than a
//! window apart. So cutting off milliseconds, slow threads and slow clocks make the checker see less than there was,
//! by as much as the spans are long, and never see a breach where there was none.
//!
//! The rule that is checked: of all charges certainly within one window, those before its last admission and that
//! admission itself come to no more than the cap in force at that admission. What is charged *late*, after its call was
//! admitted, can pass the cap: that is debt, which is measured, and which must keep the next call out.
//!
//! Knows nothing of: calls, trees, configuration. Begins at [`slide`].

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A window that takes in everything, however far apart: a day's charges, sorted out by day before.
pub const WITHOUT_END: u64 = u64::MAX;

/// In which something happened, in microseconds since the run began; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Not before this.
    pub earliest_us: u64,
    /// Not after this; `u64::MAX` if nobody knows.
    pub latest_us: u64,
}

/// A charge by which a call was let in.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    /// When.
    pub span: Span,
    /// How much.
    pub amount: u64,
    /// The highest threshold that may have been in force.
    pub cap: u64,
    /// Whose, for the report.
    pub call: u32,
}

/// A charge that no limit was asked about.
#[derive(Debug, Clone, Copy)]
pub struct Late {
    /// When.
    pub span: Span,
    /// How much.
    pub amount: u64,
    /// Whose, for the report.
    pub call: u32,
}

/// What was found in the windows of one counter, or of many.
#[derive(Debug, Default)]
pub struct Finding {
    /// Windows looked at: one for each admission.
    pub windows: u64,
    /// How many of them were over their cap.
    pub over: u64,
    /// The worst of those.
    pub worst: Option<Breach>,
    /// The fullest window, in thousandths of its cap.
    pub fullest_permille: u64,
    /// The most by which late charges took a window past its cap.
    pub debt: u64,
}

/// A window over its cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// It reaches from here,
    pub from_us: u64,
    /// to here.
    pub until_us: u64,
    /// What it holds.
    pub used: u64,
    /// What it may hold.
    pub cap: u64,
    /// Whose charges, in no order.
    pub calls: Vec<u32>,
}

/// What is inside the window now.
#[derive(Default)]
struct Inside {
    length_us: u64,
    charges: BinaryHeap<Reverse<(u64, u64, u32, Kind)>>,
    admitted: u64,
    late: u64,
    /// The last admission is none that ended before this.
    last_begins_us: u64,
    /// Ends and caps of the admissions that may be the last one.
    candidates: VecDeque<(u64, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Admission,
    Late,
}

/// Looks at every window of this length that ends with an admission.
#[must_use]
pub fn slide(mut admissions: Vec<Admission>, mut late: Vec<Late>, length_us: u64) -> Finding {
    admissions.sort_by_key(|admission| admission.span.latest_us);
    late.sort_by_key(|charge| charge.span.latest_us);
    let mut late = late.into_iter().peekable();
    let mut inside = Inside { length_us, ..Inside::default() };
    let mut finding = Finding::default();
    for admission in admissions {
        let Span { earliest_us, latest_us } = admission.span;
        inside.leave(latest_us);
        if !inside.fits(admission.span, latest_us) {
            continue;
        }
        inside.last_begins_us = inside.last_begins_us.max(earliest_us);
        while let Some(charge) = late.next_if(|charge| charge.span.latest_us <= inside.last_begins_us) {
            inside.owe(charge, latest_us, &mut finding);
        }
        inside.admit(admission);
        inside.look(latest_us, &mut finding);
    }
    for charge in late.filter(|charge| charge.span.latest_us < u64::MAX) {
        inside.leave(charge.span.latest_us);
        inside.owe(charge, charge.span.latest_us, &mut finding);
    }
    finding
}

impl Inside {
    /// Whether a charge is certainly within the window that ends at `until_us`.
    fn fits(&self, span: Span, until_us: u64) -> bool {
        span.earliest_us.saturating_add(self.length_us) > until_us
    }

    fn leave(&mut self, until_us: u64) {
        while let Some(Reverse((earliest_us, amount, _, kind))) = self.charges.peek().copied() {
            if earliest_us.saturating_add(self.length_us) > until_us {
                return;
            }
            self.charges.pop();
            match kind {
                Kind::Admission => self.admitted = self.admitted.saturating_sub(amount),
                Kind::Late => self.late = self.late.saturating_sub(amount),
            }
        }
    }

    fn admit(&mut self, admission: Admission) {
        let Admission { span, amount, cap, call } = admission;
        self.charges.push(Reverse((span.earliest_us, amount, call, Kind::Admission)));
        self.admitted = self.admitted.saturating_add(amount);
        self.candidates.push_back((span.latest_us, cap));
        while self.candidates.front().is_some_and(|(latest_us, _)| *latest_us < self.last_begins_us) {
            self.candidates.pop_front();
        }
    }

    fn owe(&mut self, charge: Late, until_us: u64, finding: &mut Finding) {
        if !self.fits(charge.span, until_us) {
            return;
        }
        let Late { span, amount, call } = charge;
        self.charges.push(Reverse((span.earliest_us, amount, call, Kind::Late)));
        self.late = self.late.saturating_add(amount);
        if let Some(cap) = self.cap() {
            finding.debt = finding.debt.max(self.used().saturating_sub(cap));
        }
    }

    fn look(&self, until_us: u64, finding: &mut Finding) {
        let Some(cap) = self.cap() else { return };
        // An exhausted counter keeps out a call that holds nothing as well.
        let used = self.used().saturating_add(u64::from(self.admitted == 0));
        finding.windows += 1;
        if cap < u64::MAX {
            let permille = used.saturating_mul(1_000) / cap.max(1);
            finding.fullest_permille = finding.fullest_permille.max(permille);
        }
        if used <= cap {
            return;
        }
        finding.over += 1;
        let excess = |breach: &Breach| breach.used.saturating_sub(breach.cap);
        if finding.worst.as_ref().is_none_or(|worst| excess(worst) < used.saturating_sub(cap)) {
            finding.worst = Some(Breach {
                from_us: until_us.saturating_sub(self.length_us),
                until_us,
                used,
                cap,
                calls: self.charges.iter().map(|Reverse((_, _, call, _))| *call).collect(),
            });
        }
    }

    fn used(&self) -> u64 {
        self.admitted.saturating_add(self.late)
    }

    /// The highest cap of any admission that may be the last one.
    fn cap(&self) -> Option<u64> {
        self.candidates.iter().map(|(_, cap)| *cap).max()
    }
}

impl Finding {
    /// Adds what was found elsewhere. Whether its worst is the worst of both.
    pub fn add(&mut self, other: Self) -> bool {
        self.windows += other.windows;
        self.over += other.over;
        self.fullest_permille = self.fullest_permille.max(other.fullest_permille);
        self.debt = self.debt.max(other.debt);
        let excess = |worst: &Option<Breach>| worst.as_ref().map_or(0, |b| b.used.saturating_sub(b.cap));
        let worse = excess(&other.worst) > excess(&self.worst);
        if worse {
            self.worst = other.worst;
        }
        worse
    }
}

#[cfg(test)]
mod tests;
