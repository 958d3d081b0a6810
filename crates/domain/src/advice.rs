//! What may surprise whoever set these limits: thresholds that are small beside one answer.
//!
//! Said where limits are written, asked about and checked: in the log, by `explain`, by `tollgate check`.

use std::sync::Arc;

use crate::effective::{BindingLimit, binding_limits};
use crate::group::{Admission, Group, Model};
use crate::limit::{LimitType, Unit};
use crate::snapshot::Snapshot;

/// A sentence for each limit on tokens that refuses more calls by `group` for the slug of `model` than its threshold
/// suggests. `otherwise` is how calls are admitted where neither endpoint nor group says.
#[must_use]
pub fn advice(snapshot: &Snapshot, group: &Arc<Group>, model: &Model, otherwise: Admission) -> Vec<String> {
    let endpoint = snapshot.endpoint_of(group, &model.slug).map(|endpoint| &**endpoint);
    let mode = model.admission(endpoint, otherwise);
    let output_max = endpoint.and_then(|endpoint| endpoint.target.max_output_tokens);
    advice_on(&binding_limits(snapshot, group, model.slug.as_str()), mode, output_max)
}

/// The same of limits that are known, for calls admitted this way to a target that writes at most `output_max` tokens.
#[must_use]
pub fn advice_on(binding: &[BindingLimit], mode: Admission, output_max: Option<u64>) -> Vec<String> {
    let of_tokens = binding.iter().filter(|binding| binding.limit.kind == LimitType::Token);
    of_tokens.flat_map(|binding| [small(binding, output_max), short(binding, mode)]).flatten().collect()
}

/// Two calls that declare all the target can write do not fit side by side.
fn small(binding: &BindingLimit, output_max: Option<u64>) -> Option<String> {
    let (unit, threshold, source) = (binding.limit.unit.name(), binding.limit.threshold, binding.source);
    let most = output_max.filter(|most| threshold < most.saturating_mul(2))?;
    Some(format!(
        "TOKEN/{unit} {threshold} of group {source} is less than twice what the target may write in one answer ({most} tokens): \
         a call that declares as much leaves no room for a second one; raise the threshold, have callers declare less, or use \
         the admission mode `learned`."
    ))
}

/// Calls outlast the window, so what they did not use never comes back to it.
fn short(binding: &BindingLimit, mode: Admission) -> Option<String> {
    let wasteful = binding.limit.unit == Unit::Second && mode == Admission::Estimate;
    let (threshold, source) = (binding.limit.threshold, binding.source);
    wasteful.then(|| {
        format!(
            "TOKEN/SECOND {threshold} of group {source} counts estimates: calls last longer than a second, so what they \
             do not use never comes back; use TOKEN/MINUTE, or the admission mode `learned`."
        )
    })
}
