//! What was charged shortly before a restart: what a rolling counter opens with.
//!
//! Guarantees: in the order of time, whatever order it was found in.
//! Knows nothing of: where it was kept meanwhile, and whose it is. Which of it still counts is for the windows to say.

use std::sync::Arc;

/// What one call was charged at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charged {
    /// On the clock of rolling windows.
    pub mono_ns: u64,
    /// One, or none for tokens that came later.
    pub requests: u64,
    /// How many.
    pub tokens: u64,
}

/// All charges of a counter in the last minute before a restart; none for a counter that has seen none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recent(Option<Arc<[Charged]>>);

impl Recent {
    /// These charges.
    #[must_use]
    pub fn new(mut charges: Vec<Charged>) -> Self {
        charges.sort_by_key(|charge| charge.mono_ns);
        Self((!charges.is_empty()).then(|| charges.into()))
    }

    /// Oldest first.
    #[must_use]
    pub fn charges(&self) -> &[Charged] {
        self.0.as_deref().unwrap_or_default()
    }
}
