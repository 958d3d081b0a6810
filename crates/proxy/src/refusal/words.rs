//! The sentence of a refusal: what does not fit, whose limit it is, and what to do.

use domain::{LimitType, Meter, Unit, Usd};
use limits::{ConfigLine, CounterScope, Measure, Source, Verdict};

use super::Refused;

impl Refused {
    pub(super) fn sentence(&self) -> String {
        match (self.limit.counter.measure, &self.limit.source) {
            (Measure::Use(LimitType::Token, unit), _) => self.sentence_of_use("token", per(unit)),
            (Measure::Use(LimitType::Request, unit), _) => self.sentence_of_use("request", per(unit)),
            (Measure::Concurrency, _) => self.sentence_of_calls(),
            (Measure::Spend(meter), Source::Config(line)) => self.sentence_of_config(meter, line),
            // No group declares such a limit.
            (Measure::Spend(meter), Source::Group(_)) => {
                format!("A limit on {} refused the call.", meter.name())
            }
        }
    }

    fn sentence_of_use(&self, one: &str, per: &str) -> String {
        let whose = if self.limit.scope == CounterScope::Group {
            "your group's limit"
        } else {
            "a limit that your group shares with others"
        };
        let (threshold, slug) = (self.limit.threshold, &self.slug);
        let what = numbered(threshold, one);
        match self.verdict {
            Verdict::NeverFits if threshold == 0 => {
                format!("With {whose} of {what} {per} no call for `{slug}` passes; have it raised.")
            }
            Verdict::NeverFits => format!(
                "This call needs more than {whose} of {what} {per} for `{slug}` ever allows; \
                 shorten the prompt or declare a smaller max_tokens."
            ),
            Verdict::Wait { .. } | Verdict::Blocked => {
                let then = self.what_to_do();
                format!("This call does not fit {whose} of {what} {per} for `{slug}` now; {then}.")
            }
        }
    }

    /// A limit of a model config: its budget or rate limit by name, because several may be alike.
    fn sentence_of_config(&self, meter: Meter, line: &ConfigLine) -> String {
        let (slug, per, config) = (&self.slug, &line.reset, line.config);
        let threshold = self.limit.threshold;
        let (what, of) = match meter {
            Meter::Usd => (format!("the budget of {} USD", Usd(threshold)), "budget"),
            Meter::Tokens => (format!("the limit of {}", numbered(threshold, "token")), "rate limit"),
            Meter::Requests => (format!("the limit of {}", numbered(threshold, "request")), "rate limit"),
        };
        let whose = format!(
            "{what} per {per} that applies to `{slug}` ({of} {} of model config {config})",
            line.line
        );
        let size = if meter == Meter::Usd {
            format!(", which may cost {} USD,", self.asked.usd)
        } else {
            String::new()
        };
        match self.verdict {
            Verdict::NeverFits => {
                format!(
                    "This call{size} needs more than {whose} ever allows; shorten the prompt or declare a smaller max_tokens."
                )
            }
            Verdict::Wait { .. } | Verdict::Blocked => {
                let (ends, then) = (self.resets_at(line), self.what_to_do());
                format!("This call{size} does not fit {whose} now; its period ends at {ends}; {then}.")
            }
        }
    }

    /// The end of a sentence about what does not fit now.
    fn what_to_do(&self) -> String {
        match self.retry_after_s() {
            Some(wait) => format!("try again in {wait} s"),
            None => "another limit never lets it pass, so make it smaller".to_owned(),
        }
    }

    /// No call is larger than another here: only a threshold of 0 never lets one pass.
    fn sentence_of_calls(&self) -> String {
        let who = if self.limit.scope == CounterScope::Group {
            "Your group"
        } else {
            "A group that yours belongs to"
        };
        let (threshold, slug) = (self.limit.threshold, &self.slug);
        match self.verdict {
            Verdict::NeverFits => {
                format!(
                    "{who} may have no call in flight for `{slug}`; have its limit on calls in flight raised."
                )
            }
            Verdict::Wait { .. } | Verdict::Blocked => {
                let (calls, then) = (numbered(threshold, "call"), self.what_to_do());
                format!("{who} already has {calls} in flight for `{slug}`, which is its limit; {then}.")
            }
        }
    }
}

/// `1 request`, `2 requests`.
fn numbered(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

fn per(unit: Unit) -> &'static str {
    match unit {
        Unit::Second => "per second",
        Unit::Minute => "per minute",
        Unit::Day => "per day (UTC)",
    }
}
