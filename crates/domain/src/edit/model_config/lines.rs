//! Which line is which: what a client writes, matched with what is there, so that what stays keeps what it has used.

use super::{BudgetDraft, LINES_MAX, RatesDraft, RuleDraft};
use crate::edit::{Context, Inherits, Rejection};
use crate::id::LineId;
use crate::model_config::{Budget, Meter, Rate, RateLimit, RateLimits};

/// All budgets of a config: those that match one that is there, by id or else by length, keep it; a new one begins with
/// what the longest of the shorter ones has used.
pub(super) fn budgets(
    cx: &Context<'_>,
    before: &[Budget],
    drafts: Vec<BudgetDraft>,
    fresh: &mut dyn FnMut() -> LineId,
) -> Result<(Vec<Budget>, Vec<Inherits>), Rejection> {
    check_number("budgets", drafts.len())?;
    check_apart(drafts.iter().map(|draft| draft.reset.length_ms()), "budgets", "reset_duration")?;
    let kept = matched(before, &drafts)?;
    let (mut after, mut inherits) = (Vec::new(), Vec::new());
    for (draft, kept) in drafts.into_iter().zip(kept) {
        let BudgetDraft { id: _, max, reset } = draft;
        let budget = match kept {
            Some(kept) if kept.max == max && kept.reset == reset => kept.clone(),
            Some(kept) => Budget { max, reset, updated_ms: cx.now_ms, ..kept.clone() },
            None => {
                let line = fresh();
                let shorter = before.iter().filter(|other| other.reset.length_ms() < reset.length_ms());
                let from = shorter.max_by_key(|other| other.reset.length_ms());
                inherits.extend(from.map(|from| Inherits { line, from: from.id }));
                Budget { id: line, max, reset, created_ms: cx.now_ms, updated_ms: cx.now_ms }
            }
        };
        after.push(budget);
    }
    Ok((after, inherits))
}

/// For each draft the budget that it is. No budget is two drafts.
fn matched<'a>(before: &'a [Budget], drafts: &[BudgetDraft]) -> Result<Vec<Option<&'a Budget>>, Rejection> {
    let mut by_id = Vec::with_capacity(drafts.len());
    for draft in drafts {
        by_id.push(
            draft.id.map(|id| named(before.iter().find(|budget| budget.id == id), "budgets")).transpose()?,
        );
    }
    check_apart(by_id.iter().flatten().map(|budget| budget.id), "budgets", "id")?;
    let taken: Vec<LineId> = by_id.iter().flatten().map(|budget| budget.id).collect();
    let by_length = |draft: &BudgetDraft| {
        let same = |budget: &&Budget| budget.reset.length_ms() == draft.reset.length_ms();
        before.iter().filter(same).find(|budget| !taken.contains(&budget.id))
    };
    Ok(by_id.into_iter().zip(drafts).map(|(kept, draft)| kept.or_else(|| by_length(draft))).collect())
}

/// All rate limits of a config.
pub(super) fn rate_limits(
    cx: &Context<'_>,
    before: &RateLimits,
    draft: RatesDraft,
    fresh: &mut dyn FnMut() -> LineId,
) -> Result<RateLimits, Rejection> {
    match draft {
        RatesDraft::None | RatesDraft::Pair { tokens: None, requests: None } => Ok(RateLimits::None),
        RatesDraft::Pair { tokens, requests } => {
            let created_ms = cx.now_ms;
            let begun =
                |id| RateLimit { id, tokens: None, requests: None, created_ms, updated_ms: created_ms };
            let kept = if let RateLimits::Pair(pair) = before { pair.clone() } else { begun(fresh()) };
            Ok(RateLimits::Pair(edited(cx, kept, tokens, requests)))
        }
        RatesDraft::Rules(drafts) if drafts.is_empty() => Ok(RateLimits::None),
        RatesDraft::Rules(drafts) => {
            check_number("rate_limits", drafts.len())?;
            let lengths = drafts.iter().map(|rule| (rule.meter, rule.rate.reset.length_ms()));
            check_apart(lengths, "rate_limits", "metric and reset_duration")?;
            let rules = drafts.into_iter().map(|draft| rule(cx, before, draft, fresh));
            rules.collect::<Result<_, _>>().map(RateLimits::Rules)
        }
    }
}

/// A rule that counts the same over the same length is the one that was there; any other begins anew.
fn rule(
    cx: &Context<'_>,
    before: &RateLimits,
    draft: RuleDraft,
    fresh: &mut dyn FnMut() -> LineId,
) -> Result<RateLimit, Rejection> {
    let RuleDraft { id, meter, rate } = draft;
    if let Some(id) = id {
        named(before.iter().find(|rule| rule.id == id), "rate_limits")?;
    }
    let (tokens, requests) = match meter {
        Meter::Tokens => (Some(rate.clone()), None),
        Meter::Requests | Meter::Usd => (None, Some(rate.clone())),
    };
    let same = |rule: &&RateLimit| {
        let is_rule = rule.tokens.is_none() || rule.requests.is_none();
        is_rule && rule.side(meter).is_some_and(|side| side.reset.length_ms() == rate.reset.length_ms())
    };
    let (updated_ms, created_ms) = (cx.now_ms, cx.now_ms);
    Ok(match before.iter().find(same) {
        Some(kept) => edited(cx, kept.clone(), tokens, requests),
        None => RateLimit { id: fresh(), tokens, requests, created_ms, updated_ms },
    })
}

/// The same limit with these sides. One that is only sent back was not updated.
fn edited(cx: &Context<'_>, kept: RateLimit, tokens: Option<Rate>, requests: Option<Rate>) -> RateLimit {
    if (&kept.tokens, &kept.requests) == (&tokens, &requests) {
        return kept;
    }
    RateLimit { tokens, requests, updated_ms: cx.now_ms, ..kept }
}

fn named<T>(found: Option<T>, field: &str) -> Result<T, Rejection> {
    found.ok_or_else(|| {
        Rejection::invalid(format!(
            "{field}: this config has no line with such an id; leave the id out for a new one."
        ))
    })
}

fn check_number(field: &str, lines: usize) -> Result<(), Rejection> {
    if lines <= LINES_MAX {
        return Ok(());
    }
    Err(Rejection::invalid(format!("{field} has {lines} lines; a model config takes {LINES_MAX} at most.")))
}

fn check_apart<T: PartialEq>(
    lines: impl Iterator<Item = T>,
    field: &str,
    what: &str,
) -> Result<(), Rejection> {
    let lines: Vec<T> = lines.collect();
    let repeated = lines.iter().enumerate().any(|(nth, line)| lines[..nth].contains(line));
    if repeated {
        return Err(Rejection::invalid(format!(
            "{field}: two lines have the same {what}; give each its own (24h and 1d are the same length)."
        )));
    }
    Ok(())
}
