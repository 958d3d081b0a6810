//! What is left of the limits whose counter is the caller's own: the numbers of rate-limit headers.

/// Two types in three units: a group has no more counters of its own for one model.
pub const STANDINGS_MAX: usize = 6;

/// How one of the caller's own limits stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Index into the limits of the path.
    pub limit: usize,
    /// What is left: after the charge if the call was admitted, before it if it was refused. 0 in debt.
    pub remaining: u64,
    /// Nanoseconds until all of it is back, if nothing else is charged.
    pub reset_nanos: u64,
}

/// Live values of the limits whose counter is the caller's own. An ancestor's are not here: they would tell the
/// caller of its siblings' traffic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standings {
    len: usize,
    values: [Standing; STANDINGS_MAX],
}

impl Standings {
    /// In the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = Standing> + '_ {
        self.values.iter().take(self.len).copied()
    }

    pub(crate) fn push(&mut self, standing: Standing) {
        if let Some(free) = self.values.get_mut(self.len) {
            *free = standing;
            self.len = self.len.saturating_add(1);
        }
    }
}
