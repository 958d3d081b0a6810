//! What may surprise whoever set these limits: thresholds that are small beside one answer.

use domain::{Admission, LimitType, Unit};
use limits::{Measure, PathLimit};

/// A sentence for each limit that refuses more than its threshold suggests.
pub(super) fn about(limits: &[PathLimit], mode: Admission, output_max: Option<u64>) -> Vec<String> {
    let of_tokens = limits.iter().filter_map(|limit| match limit.counter.measure {
        Measure::Use(LimitType::Token, unit) => Some((limit, unit)),
        Measure::Use(LimitType::Request, _) | Measure::Concurrency => None,
    });
    of_tokens.flat_map(|limit| [small(limit, output_max), short(limit, mode)]).flatten().collect()
}

/// Two calls that declare all the target can write do not fit side by side.
fn small((limit, unit): (&PathLimit, Unit), output_max: Option<u64>) -> Option<String> {
    let most = output_max.filter(|most| limit.threshold < most.saturating_mul(2))?;
    let (unit, threshold, source) = (unit.name(), limit.threshold, limit.source);
    Some(format!(
        "TOKEN/{unit} {threshold} of group {source} is less than twice what the target may write in one answer ({most} tokens): \
         a call that declares as much leaves no room for a second one; raise the threshold, or have callers declare less."
    ))
}

/// Calls outlast the window, so what they did not use never comes back to it.
fn short((limit, unit): (&PathLimit, Unit), mode: Admission) -> Option<String> {
    let wasteful = unit == Unit::Second && mode == Admission::Estimate;
    let (threshold, source) = (limit.threshold, limit.source);
    wasteful.then(|| {
        format!(
            "TOKEN/SECOND {threshold} of group {source} counts estimates: calls last longer than a second, so what they \
             do not use never comes back; use TOKEN/MINUTE, or the admission mode `observed`."
        )
    })
}
