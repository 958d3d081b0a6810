//! What a run came to, for people.

use std::fmt;

use domain::Meter;

use crate::budgets;
use crate::clerk::Record;
use crate::edits::Edited;
use crate::history::{Call, Mode};
use crate::judge::{CounterId, Judgement};
use crate::load::{Told, shown, width_us};
use crate::run::Plan;
use crate::windows::{Breach, Finding};
use crate::world::{KINDS, Manners, SLUGS, Tree};

/// Lines of what is wrong that are kept.
const WRONG_MAX: usize = 40;
/// Calls of a breach that are shown.
const CALLS_MAX: usize = 400;

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    admitted: u64,
    refused: (u64, u64),
    left: u64,
    edits: (u64, u64),
    steps: usize,
    debt_shown: u64,
    charges: u64,
    /// Of trees whose calls declare all, and of the others.
    findings: [Finding; 2],
    /// Of lines of model configs, likewise, by what they count.
    spent: [[Finding; Meter::ALL.len()]; 2],
    entries: usize,
    spending_edits: (u64, usize),
    typical_width_us: u64,
    wrongs: u64,
    wrong: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        plan: Plan,
        told: &[Told],
        (edited, record): (&Edited, &Record),
        debt_shown: u64,
        steps: usize,
    ) -> Self {
        let mut report = Self {
            plan,
            admitted: 0,
            refused: (0, 0),
            left: told.iter().map(|told| told.left).sum(),
            edits: (edited.taken, edited.declined),
            steps,
            debt_shown,
            charges: 0,
            findings: Default::default(),
            spent: Default::default(),
            entries: 0,
            spending_edits: (record.taken, record.resets.len()),
            typical_width_us: 0,
            wrongs: 0,
            wrong: Vec::new(),
        };
        report.wrong(edited.wrong.clone());
        report.wrong(record.wrong.clone());
        report
    }

    pub(crate) fn told(&mut self, told: &Told) {
        self.refused.0 += told.refused.0;
        self.refused.1 += told.refused.1;
        self.admitted += u64::try_from(told.calls.iter().filter(|call| call.admitted).count()).unwrap_or(0);
        self.wrong(told.wrong.clone());
    }

    pub(crate) fn strays(&mut self, strays: u64) {
        if strays > 0 {
            self.wrong(vec![format!(
                "{strays} requests reached the model server that were refused or never made"
            )]);
        }
    }

    pub(crate) fn charged(&mut self, calls: &[Call]) {
        let mut widths: Vec<u64> = calls.iter().map(|call| width_us(call.span)).collect();
        widths.sort_unstable();
        self.typical_width_us = widths.get(widths.len() / 2).copied().unwrap_or(0);
    }

    pub(crate) fn judged(&mut self, (at, tree): (usize, &Tree), judgement: Judgement, calls: &[Call]) {
        let Judgement { finding, worst, charges } = judgement;
        self.charges += charges;
        if let (Some(breach), Some(counter)) = (&finding.worst, worst) {
            self.wrong(vec![breached((at, tree), counter, breach, calls)]);
        }
        self.wrongs += finding.over.saturating_sub(1);
        self.findings[usize::from(tree.manners == Manners::Wild)].add(finding);
    }

    pub(crate) fn spent(&mut self, entries: usize, judgements: Vec<budgets::Judgement>) {
        self.entries = entries;
        for budgets::Judgement { finding, exact, meter, breach } in judgements {
            self.wrong(breach.into_iter().collect());
            self.wrongs += finding.over.saturating_sub(1);
            let column = Meter::ALL.iter().position(|known| *known == meter).unwrap_or(0);
            self.spent[usize::from(!exact)][column].add(finding);
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.plan.mode
    }

    pub(crate) fn wrong(&mut self, wrong: Vec<String>) {
        self.wrongs += u64::try_from(wrong.len()).unwrap_or(u64::MAX);
        let room = WRONG_MAX.saturating_sub(self.wrong.len());
        self.wrong.extend(wrong.into_iter().take(room));
    }

    /// Whether everything is as promised.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.wrongs == 0
    }

    /// Windows that were looked at.
    #[must_use]
    pub fn windows(&self) -> u64 {
        self.findings.iter().map(|finding| finding.windows).sum()
    }

    /// Calls that were admitted, and that were refused.
    #[must_use]
    pub fn calls(&self) -> (u64, u64) {
        (self.admitted, self.refused.0)
    }
}

/// One window over its cap, so that it can be taken apart.
fn breached((at, tree): (usize, &Tree), counter: CounterId, breach: &Breach, calls: &[Call]) -> String {
    let CounterId { owner, slug, kind, .. } = counter;
    let mut text = format!(
        "OVER ITS CAP: tree {at} ({:?}, {:?}) group {owner} ({}) {} {} per {}: {} of {} from {} to {} us",
        tree.mode,
        tree.manners,
        tree.groups[owner].id,
        SLUGS[slug],
        KINDS[kind].kind,
        KINDS[kind].unit,
        breach.used,
        breach.cap,
        breach.from_us,
        breach.until_us,
    );
    let mut inside: Vec<&Call> =
        breach.calls.iter().filter_map(|call| calls.get(usize::try_from(*call).ok()?)).collect();
    inside.sort_by_key(|call| call.span.earliest_us);
    for call in inside.into_iter().take(CALLS_MAX) {
        text.push_str(&format!(
            "\n    {} group {} admitted {}..{} settled ..{} prompt {} declared {:?} charged {}..{}",
            shown(call.id),
            call.group,
            call.span.earliest_us,
            call.span.latest_us,
            call.settled_us,
            call.prompt,
            call.declared,
            call.tokens_min,
            call.tokens_max,
        ));
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { seed, load, mode, callers } = self.plan;
        writeln!(f, "{}: seed {seed}, {} s, {callers} callers", mode.name(), load.as_secs())?;
        writeln!(
            f,
            "  {} calls admitted, {} refused ({} by budgets alone), {} left by their callers; {} edits ({} declined), {} clock steps",
            self.admitted, self.refused.0, self.refused.1, self.left, self.edits.0, self.edits.1, self.steps,
        )?;
        let (taken, resets) = self.spending_edits;
        writeln!(
            f,
            "  {} entries; {taken} edits of model configs and prices ({resets} lines reset)",
            self.entries
        )?;
        let of = ["declared and true", "undeclared or lying"];
        for (what, finding) in of.into_iter().zip(&self.findings) {
            let Finding { windows, over, fullest_permille, debt, .. } = finding;
            let (whole, tenth) = (fullest_permille / 10, fullest_permille % 10);
            writeln!(
                f,
                "  {what}: {windows} windows, {over} over their cap, the fullest at {whole}.{tenth} %, largest debt {debt} tokens",
            )?;
        }
        for (what, meters) in of.into_iter().zip(&self.spent) {
            for (meter, finding) in Meter::ALL.into_iter().zip(meters) {
                let Finding { windows, over, fullest_permille, debt, .. } = finding;
                let (whole, tenth) = (fullest_permille / 10, fullest_permille % 10);
                let unit = if meter == Meter::Usd { "nano-dollars" } else { meter.word() };
                writeln!(
                    f,
                    "  {what}, {} in periods: {windows} admissions, {over} over their cap, the fullest at {whole}.{tenth} %, largest debt {debt} {unit}",
                    meter.name(),
                )?;
            }
        }
        writeln!(
            f,
            "  {} charges, each known to {} us in the middle; the gateway showed a debt of up to {} (edits included)",
            self.charges, self.typical_width_us, self.debt_shown,
        )?;
        for wrong in &self.wrong {
            writeln!(f, "  WRONG: {wrong}")?;
        }
        let verdict = if self.holds() { "holds" } else { "BROKEN" };
        write!(f, "  {verdict}: {} things wrong", self.wrongs)
    }
}
