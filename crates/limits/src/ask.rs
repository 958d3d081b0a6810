//! What a call asks for: how many tokens, and what they cost at most.
//!
//! Guarantees: a cost is rounded up; what is granted to a call that takes what fits costs no more than there is room for.
//! Knows nothing of: counters, and how the numbers were guessed (`estimate`). Begins at [`Ask::least`].

use domain::{Tariff, Usd};

use crate::measure::{Kind, Size};

/// What a call asks for, in tokens. It always asks for one request as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The caller bounds its output. If the sum is above a threshold the call can never fit.
    Declared {
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens the caller allows for the answer.
        output: u64,
    },
    /// The output is our guess: clamped to what the smallest threshold leaves beside the prompt, so that only the prompt
    /// can be the reason that a call can never fit.
    Guessed {
        /// Tokens of the prompt.
        prompt: u64,
        /// Tokens we expect of the answer.
        output: u64,
    },
    /// The call takes what fits: the prompt, and as much of `output` as every limit on tokens or dollars has room for.
    /// Refused if that is less than `least`, and for ever if the prompt and `least` together are above a threshold.
    Fitting {
        /// Tokens of the prompt.
        prompt: u64,
        /// The most that the answer may get.
        output: u64,
        /// The least that is worth an answer; above `output` it means `output`.
        least: u64,
    },
    /// Nothing is held: admitted while less than the threshold is used, charged when it settles.
    Observed,
}

/// What a call asks for, and what that costs at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// How many tokens.
    pub need: Need,
    /// What they cost; zero where nothing has a price.
    pub tariff: Tariff,
}

/// The most that limits on tokens and dollars have for one call; `None` where there is no such limit.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Room {
    tokens: Option<u64>,
    usd: Option<Usd>,
}

impl Room {
    /// Takes in what one limit has.
    pub(crate) fn narrow(mut self, kind: Kind, amount: u64) -> Self {
        match kind {
            Kind::Tokens => self.tokens = Some(self.tokens.unwrap_or(amount).min(amount)),
            Kind::Usd => self.usd = Some(self.usd.unwrap_or(Usd(amount)).min(Usd(amount))),
            Kind::Requests | Kind::Calls => {}
        }
        self
    }

    /// The most completion tokens that fit in beside the prompt.
    fn output_beside(self, prompt: u64, tariff: Tariff) -> u64 {
        let of_tokens = self.tokens.map_or(u64::MAX, |room| room.saturating_sub(prompt));
        let of_usd = self.usd.map_or(u64::MAX, |room| tariff.output_within(room, prompt));
        of_tokens.min(of_usd)
    }
}

impl Ask {
    /// What has to fit, on a path whose smallest thresholds are `ceiling`.
    pub(crate) fn least(&self, ceiling: Room) -> Size {
        match self.need {
            Need::Declared { prompt, output } => self.size(prompt, output),
            Need::Guessed { prompt, output } => {
                self.size(prompt, output.min(ceiling.output_beside(prompt, self.tariff)))
            }
            Need::Fitting { prompt, output, least } => self.size(prompt, least.min(output)),
            Need::Observed => Size::ZERO,
        }
    }

    /// What to hold where `least` fits: just this, unless the call takes what every limit has left.
    #[inline]
    pub(crate) fn granted(&self, least: Size, room: impl FnOnce() -> Room) -> Size {
        match self.need {
            Need::Fitting { prompt, output, least } => {
                let most = room().output_beside(prompt, self.tariff);
                // At the edge of what numbers hold a cost is cut; what was found to fit is granted all the same.
                self.size(prompt, output.min(most.max(least)))
            }
            Need::Declared { .. } | Need::Guessed { .. } | Need::Observed => least,
        }
    }

    fn size(&self, prompt: u64, output: u64) -> Size {
        Size { tokens: prompt.saturating_add(output), usd: cost(self.tariff, prompt, output) }
    }
}

/// What so many tokens cost at most. Most paths have no price to reckon with.
#[inline]
pub(crate) fn cost(tariff: Tariff, prompt: u64, output: u64) -> Usd {
    if tariff == Tariff::default() { Usd::ZERO } else { tariff.cost(prompt, output) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Kind::{Tokens as TOKENS, Usd as USD};

    /// A nano-dollar for a token of the prompt, ten for one of the answer.
    const TARIFF: Tariff = Tariff { input: Usd(1_000_000), output: Usd(10_000_000) };

    fn ask(need: Need) -> Ask {
        Ask { need, tariff: TARIFF }
    }

    fn size(tokens: u64, usd: u64) -> Size {
        Size { tokens, usd: Usd(usd) }
    }

    #[test]
    fn a_guess_is_clamped_by_the_smallest_of_all_thresholds() {
        let guess = ask(Need::Guessed { prompt: 100, output: 900 });
        let room = Room::default();
        assert_eq!(guess.least(room), size(1_000, 9_100));
        assert_eq!(guess.least(room.narrow(TOKENS, 700).narrow(TOKENS, 600)), size(600, 5_100));
        assert_eq!(guess.least(room.narrow(TOKENS, 600).narrow(USD, 1_109)), size(200, 1_100));
        assert_eq!(guess.least(room.narrow(USD, 99)), size(100, 100), "the prompt alone is too much");
        let free = Ask { tariff: Tariff::default(), ..guess };
        assert_eq!(free.least(room.narrow(USD, 1)), size(1_000, 0));
    }

    #[test]
    fn what_fits_is_what_all_limits_have_room_for() {
        let fitting = ask(Need::Fitting { prompt: 100, output: 900, least: 5 });
        let least = fitting.least(Room::default());
        assert_eq!(least, size(105, 150));
        let granted = |room: Room| fitting.granted(least, || room);
        assert_eq!(granted(Room::default()), size(1_000, 9_100));
        assert_eq!(granted(Room::default().narrow(TOKENS, 500).narrow(USD, 1_000)), size(190, 1_000));
        assert_eq!(granted(Room::default().narrow(TOKENS, 150).narrow(USD, 1_000)), size(150, 600));
    }

    #[test]
    fn what_is_observed_asks_for_nothing_and_what_is_endless_saturates() {
        assert_eq!(ask(Need::Observed).least(Room::default()), Size::ZERO);
        let endless = ask(Need::Declared { prompt: u64::MAX, output: u64::MAX });
        assert_eq!(endless.least(Room::default()), Size { tokens: u64::MAX, usd: Usd::MAX });
    }
}
