//! Which terms the current segment has told of already.
//!
//! Guarantees: terms that are known are kept alive, so that no others come to their address.
//! Knows nothing of: what they say.

use std::collections::HashMap;
use std::sync::Arc;

use domain::Terms;

/// Terms that are remembered; past this all are forgotten and told anew.
const TERMS_MAX: usize = 16_384;

/// Terms by address: the calls of one path share them.
#[derive(Default)]
pub(super) struct Dictionary {
    known: HashMap<usize, (u32, Arc<Terms>), foldhash::fast::RandomState>,
    next: u32,
    /// Told in a record that is not written yet.
    tentative: Option<usize>,
}

impl Dictionary {
    /// The number of these terms, and whether it has to be told first. Kept if [`confirm`](Self::confirm) follows.
    pub(super) fn number(&mut self, terms: &Arc<Terms>) -> (u32, bool) {
        let address = Arc::as_ptr(terms).addr();
        if let Some((number, _)) = self.known.get(&address) {
            return (*number, false);
        }
        if self.known.len() >= TERMS_MAX {
            self.known.clear();
        }
        let number = self.next;
        self.known.insert(address, (number, Arc::clone(terms)));
        self.next = number.wrapping_add(1);
        self.tentative = Some(address);
        (number, true)
    }

    /// What was told is written.
    pub(super) fn confirm(&mut self) {
        self.tentative = None;
    }

    /// What was told was not written.
    pub(super) fn take_back(&mut self) {
        if let Some(address) = self.tentative.take() {
            self.known.remove(&address);
        }
    }

    /// A new segment has told of nothing.
    pub(super) fn begin(&mut self) {
        self.known.clear();
        (self.next, self.tentative) = (0, None);
    }
}
