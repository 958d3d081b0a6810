//! The form of budgets: a list, or one of them as older clients write it.
//!
//! Begins at [`of_new`] and [`of_known`].

use domain::edit::model_config::BudgetDraft;
use domain::{Budget, LineId, ResetDuration, Usd};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Echo;
use crate::error::Error;
use crate::json::Object;

/// The most that may be spent within a period, in USD.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BudgetWanted)]
pub(super) struct BudgetBody {
    /// The budget that this is, on an update; it keeps what is used. Else one of the same length is looked for.
    id: Option<LineId>,
    /// In USD; nine decimals are kept.
    #[schema(value_type = f64, exclusive_minimum = 0, maximum = 9_223_372_036_i64)]
    max_limit: Amount,
    /// `30s`, `1h30m`, a number with `d`, `w`, `M` or `Y`, or `daily`, `weekly`, `monthly`, `yearly`.
    #[schema(value_type = String, max_length = 64, examples("1d"))]
    reset_duration: ResetDuration,
    /// On a create that does not say so itself: whether the config follows the calendar. Ignored anywhere else.
    calendar_aligned: Option<bool>,
    #[serde(default, rename = "last_reset")]
    _last_reset: Echo,
    #[serde(default, rename = "current_usage")]
    _current_usage: Echo,
    #[serde(default, rename = "config_hash")]
    _config_hash: Echo,
    #[serde(default, rename = "created_at")]
    _created_at: Echo,
    #[serde(default, rename = "updated_at")]
    _updated_at: Echo,
    #[serde(default, rename = "model_config_id")]
    _model_config_id: Echo,
}

/// More than nothing, in USD; never a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Amount(Usd);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The very digits: a float in between would not hold the large amounts.
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = raw.get();
        if !text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Err(D::Error::custom("expected an amount in USD, as a number"));
        }
        match text.parse::<Usd>() {
            Ok(Usd::ZERO) => Err(D::Error::custom("expected an amount above 0, of at least 0.000000001 USD")),
            Ok(amount) => Ok(Self(amount)),
            Err(not) => Err(D::Error::custom(format_args!("an amount in USD that is {}", not.why()))),
        }
    }
}

impl BudgetBody {
    pub(super) fn draft(self) -> BudgetDraft {
        BudgetDraft { id: self.id, max: self.max_limit.0, reset: self.reset_duration }
    }

    fn says(&self, max: Usd, reset: &ResetDuration) -> bool {
        self.max_limit.0 == max && self.reset_duration == *reset
    }
}

/// Whether these budgets ask for the calendar: some do, and none says otherwise.
pub(super) fn aligned(budgets: &[BudgetBody]) -> bool {
    let mut said = budgets.iter().filter_map(|budget| budget.calendar_aligned).peekable();
    said.peek().is_some() && said.all(|aligned| aligned)
}

/// The budgets of a new config.
///
/// # Errors
/// When they are written in both ways.
pub(super) fn of_new(
    budgets: Option<Vec<Object<BudgetBody>>>,
    budget: Option<Object<BudgetBody>>,
) -> Result<Vec<BudgetBody>, Error> {
    match (budgets, budget) {
        (Some(_), Some(_)) => Err(Error::invalid("Both budget and budgets are there; send budgets alone.")),
        (budgets, budget) => {
            Ok(plain(budgets.unwrap_or_default()).into_iter().chain(plain(budget)).collect())
        }
    }
}

/// The budgets that a config shall have in place of those before, if any are sent.
///
/// # Errors
/// When the two ways of writing them contradict each other, or the older one would drop a budget unseen.
pub(super) fn of_known(
    budgets: Option<Vec<Object<BudgetBody>>>,
    budget: Option<Object<BudgetBody>>,
    before: &[Budget],
) -> Result<Option<Vec<BudgetBody>>, Error> {
    let budgets: Option<Vec<BudgetBody>> = budgets.map(plain);
    match (budgets, budget) {
        (budgets, None) => Ok(budgets),
        (None, Some(_)) if before.len() > 1 => {
            Err(Error::invalid("budget is one of several that this config has; send budgets, all of them."))
        }
        (None, Some(Object(budget))) => Ok(Some(vec![budget])),
        (Some(budgets), Some(Object(budget))) if is_first(&budget, &budgets, before) => Ok(Some(budgets)),
        (Some(_), Some(_)) => Err(Error::invalid("budget is not the first of budgets; send budgets alone.")),
    }
}

/// Whether `budget` only repeats the first of `budgets`, as our answers do: as that is wanted, or as it is so far.
fn is_first(budget: &BudgetBody, budgets: &[BudgetBody], before: &[Budget]) -> bool {
    let Some(first) = budgets.first().filter(|first| first.id.is_some() && first.id == budget.id) else {
        return false;
    };
    let so_far = before.iter().find(|line| Some(line.id) == first.id);
    budget.says(first.max_limit.0, &first.reset_duration)
        || so_far.is_some_and(|line| budget.says(line.max, &line.reset))
}

fn plain<T>(objects: impl IntoIterator<Item = Object<T>>) -> Vec<T> {
    objects.into_iter().map(|Object(body)| body).collect()
}
