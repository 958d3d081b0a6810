//! What a run promises, what it checked, and what it found broken.
//!
//! Guarantees: one line a promise, with how often it was checked; a break is told once, however often it is met again;
//! what is told of one promise is bounded.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Breaks of one promise that are told in full.
const TOLD_MAX: usize = 8;

/// What must hold, whenever the gateway is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Promise {
    /// A call whose end its caller saw is in the ledger once, with what the model server counted.
    Acknowledged,
    /// A call that the model server saw is there once.
    Served,
    /// Nothing is there twice, and nothing that nobody sent.
    Own,
    /// A refused call is neither there nor at the model server.
    Refused,
    /// A recovered call is there with no less than it can have used.
    Recovered,
    /// Events have no gap and none is there twice; what was read once reads the same ever after.
    Events,
    /// Each billed line is one event, with the same tokens.
    Billed,
    /// No counter is below what was acknowledged, nor above what was used and left open.
    Counters,
    /// An edit that was answered stands.
    Edits,
    /// The audit finds nothing.
    Audit,
    /// A torn journal loses what was torn off, and no more.
    Torn,
    /// Without room on its disk the gateway refuses calls, in words that name the ledger, and goes on when there is room.
    Disk,
}

/// What became of one promise.
#[derive(Debug, Default)]
struct Kept {
    checked: u64,
    broken: u64,
    told: Vec<String>,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Verdict {
    title: String,
    promises: BTreeMap<Promise, Kept>,
    met: HashSet<(Promise, String)>,
}

impl Promise {
    fn words(self) -> &'static str {
        match self {
            Self::Acknowledged => "calls whose end was seen: in the ledger once, with the server's count",
            Self::Served => "calls that the server saw: in the ledger once",
            Self::Own => "lines of the ledger: each of a call that was sent, none twice",
            Self::Refused => "refused calls: neither in the ledger nor at the server",
            Self::Recovered => "recovered calls: at no less than they can have used",
            Self::Events => "events read: no gap, none twice, unchanged ever after",
            Self::Billed => "billed lines: each is one event, with its tokens",
            Self::Counters => {
                "counters read after a restart: what was acknowledged <= used <= what can have been used"
            }
            Self::Edits => "edits looked for after a restart: what was answered stands",
            Self::Audit => "audits: no difference",
            Self::Torn => "torn journals: nothing is lost but what was torn off",
            Self::Disk => "steps on a full disk: refused by name, recorded, served again",
        }
    }
}

impl Verdict {
    /// Nothing is found yet; these are looked for, and each must be checked at least once.
    #[must_use]
    pub fn of(promises: &[Promise]) -> Self {
        let promises = promises.iter().map(|promise| (*promise, Kept::default())).collect();
        Self { promises, ..Self::default() }
    }

    /// What the run was.
    pub fn title(&mut self, title: String) {
        self.title = title;
    }

    /// So many more were checked.
    pub fn checked(&mut self, promise: Promise, more: u64) {
        self.promises.entry(promise).or_default().checked += more;
    }

    /// So many are checked, each time anew.
    pub fn stands_at(&mut self, promise: Promise, all: u64) {
        let kept = self.promises.entry(promise).or_default();
        kept.checked = kept.checked.max(all);
    }

    /// A promise is broken about this; told once.
    pub fn broken(&mut self, promise: Promise, about: impl Into<String>, text: impl Into<String>) {
        if !self.met.insert((promise, about.into())) {
            return;
        }
        let kept = self.promises.entry(promise).or_default();
        kept.broken += 1;
        if kept.told.len() < TOLD_MAX {
            kept.told.push(text.into());
        }
    }

    /// Whether everything was checked, and holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.promises.values().all(|kept| kept.broken == 0 && kept.checked > 0)
    }

    /// How often a promise was checked.
    #[must_use]
    pub fn count(&self, promise: Promise) -> u64 {
        self.promises.get(&promise).map_or(0, |kept| kept.checked)
    }

    /// How often a promise was found broken.
    #[must_use]
    pub fn breaks(&self, promise: Promise) -> u64 {
        self.promises.get(&promise).map_or(0, |kept| kept.broken)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for (promise, Kept { checked, broken, told }) in &self.promises {
            let word = match (checked, broken) {
                (0, 0) => "NOT CHECKED".to_owned(),
                (_, 0) => "ok".to_owned(),
                _ => format!("{broken} BROKEN"),
            };
            writeln!(f, "  {word:>12}  {checked:>8} {}", promise.words())?;
            for text in told {
                writeln!(f, "{:24}{text}", "")?;
            }
            let more = usize::try_from(*broken).unwrap_or(usize::MAX).saturating_sub(told.len());
            if more > 0 {
                writeln!(f, "{:24}and {more} more", "")?;
            }
        }
        write!(f, "  {}", if self.holds() { "everything holds" } else { "FAILED" })
    }
}

#[cfg(test)]
mod tests {
    use super::{Promise, Verdict};

    #[test]
    fn a_break_is_told_once_and_what_was_never_checked_does_not_hold() {
        let mut verdict = Verdict::of(&[Promise::Events, Promise::Own]);
        verdict.checked(Promise::Events, 3);
        assert!(!verdict.holds(), "nothing was looked at for one of them");
        verdict.stands_at(Promise::Own, 5);
        verdict.stands_at(Promise::Own, 4);
        assert!(verdict.holds() && verdict.count(Promise::Own) == 5);
        for _ in 0..2 {
            verdict.broken(Promise::Own, "call 7", "call 7 is there twice");
        }
        assert_eq!(verdict.breaks(Promise::Own), 1);
        assert!(!verdict.holds() && verdict.to_string().contains("call 7 is there twice"));
    }
}
