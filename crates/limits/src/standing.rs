//! What is left of the limits that a caller is shown: the numbers of rate-limit headers.

/// Two types in three units: a group has no more counters of its own for one model. Lines about its key come on top, and
/// are rare.
pub const OWN_MAX: usize = 6;
/// As many on each of the five levels that a tree may have.
pub const SHOWN_MAX: usize = 5 * OWN_MAX;

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Index into the limits of the path.
    pub limit: usize,
    /// What is left: after the charge if the call was admitted, before it if it was refused. 0 in debt.
    pub remaining: u64,
    /// Nanoseconds until all of it is back, if nothing else is charged.
    pub reset_nanos: u64,
}

/// Live values of the limits that the caller is shown: those whose counter is its own, unless the path was bound with
/// [`Shown::All`](crate::Shown). Dollars and calls in flight are never among them.
#[derive(Debug, Clone, Default)]
pub struct Standings {
    len: usize,
    values: [Standing; OWN_MAX],
    /// Those that the array has no place for. Only with ancestors' numbers, or with lines, are there so many.
    more: Vec<Standing>,
}

impl Standings {
    /// In the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = Standing> + '_ {
        self.values.iter().take(self.len).chain(&self.more).copied()
    }

    /// Room for so many, so that filling it allocates nothing.
    #[inline]
    pub(crate) fn with_room(standings: usize) -> Self {
        let more = Vec::with_capacity(standings.min(SHOWN_MAX).saturating_sub(OWN_MAX));
        Self { more, ..Self::default() }
    }

    #[inline]
    pub(crate) fn push(&mut self, standing: Standing) {
        if let Some(free) = self.values.get_mut(self.len) {
            *free = standing;
            self.len = self.len.saturating_add(1);
        } else if self.more.len() < self.more.capacity() {
            self.more.push(standing);
        }
    }
}
