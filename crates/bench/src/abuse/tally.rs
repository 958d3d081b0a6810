//! What abusers got for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Endings of connections by attack: the status of an answer, or how it ended without one.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<(&'static str, String), u64>>);

impl Tally {
    pub(super) fn count(&self, attack: &'static str, ending: String) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seen.entry((attack, ending)).or_default() += 1;
    }

    /// One line for each attack.
    pub(super) fn lines(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((attack, ending), count) in &*seen {
            lines.entry(attack).or_default().push(format!("{ending} × {count}"));
        }
        lines.into_iter().map(|(attack, endings)| format!("- {attack}: {}", endings.join(", "))).collect()
    }
}
