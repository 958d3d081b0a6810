//! `POST /v1/gateway/ledger/{request_id}/corrections`

use std::sync::Arc;

use axum::extract::State;
use domain::{Scope, SignedUsd};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use storage::{BillChange, CORRECTIONS_MAX, CorrectionDraft, NotCorrected};
use utoipa::ToSchema;

use super::NOT_KEPT;
use super::view::CorrectionView;
use crate::access::Manager;
use crate::admin::Admin;
use crate::error::Error;
use crate::json::{Answer, Received, parse};
use crate::path::InPath;

/// Longest reason, in characters.
const REASON_LEN_MAX: usize = 512;
const NO_OPERATOR: &str = "Only an operator's key may correct what was billed.";

/// What is to be put right: signed differences, at least one of them.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CorrectionWanted, examples(json!({"output_tokens": 12, "reason": "The model server told fewer than it wrote."})))]
// A name that is written wrongly would be half a correction, and there is no taking it back unseen.
#[serde(deny_unknown_fields)]
pub(super) struct CorrectionBody {
    /// Prompt tokens.
    input_tokens: Option<i64>,
    /// Completion tokens.
    output_tokens: Option<i64>,
    /// USD, as a number or a decimal string; decimals beyond the ninth are cut off.
    #[schema(value_type = Option<f64>)]
    cost_usd: Option<Difference>,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 512)]
    reason: String,
}

/// A difference in USD, read from its digits alone.
#[derive(Debug, Clone, Copy)]
struct Difference(SignedUsd);

/// Put right what was billed for a call.
///
/// The differences make an event of their own that names the call, and change the sums of the hour in which the call
/// ended. No counter of a limit changes. A call with all its corrections never comes to less than nothing. For operators
/// alone.
#[utoipa::path(
    post,
    path = "/v1/gateway/ledger/{request_id}/corrections",
    tag = "billing",
    params(("request_id" = String, Path, description = "The id in `x-request-id` of the call's answer.")),
    request_body = CorrectionBody,
    responses((status = 200, description = "The correction.", body = CorrectionView)),
)]
pub(crate) async fn ledger_correct(
    manager: Manager,
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
    Received(body): Received,
) -> Result<Answer<CorrectionView>, Error> {
    if manager.scope != Scope::Operator {
        return Err(Error::Forbidden(NO_OPERATOR));
    }
    let corrects = id.parse().map_err(|_| Error::NotFound(NOT_KEPT))?;
    let (change, reason) = parse::<CorrectionBody>(&body)?.checked()?;
    let draft = CorrectionDraft { workspace: manager.workspace, corrects, change, reason };
    let right = manager.right;
    let allowed = move |snapshot: &domain::Snapshot| right.still_holds(snapshot).is_ok();
    let made = admin.store.correct(admin.clock.now(), draft, allowed).await.map_err(refused)?;
    tracing::info!(request.id = %corrects, correction.id = %made.id, "what was billed was corrected");
    Ok(Answer(CorrectionView::of(made)))
}

impl CorrectionBody {
    fn checked(self) -> Result<(BillChange, String), Error> {
        let Self { input_tokens, output_tokens, cost_usd, reason } = self;
        let change = BillChange {
            input: input_tokens.unwrap_or(0),
            output: output_tokens.unwrap_or(0),
            cost: cost_usd.map(|Difference(cost)| cost),
        };
        let is_nothing =
            change.input == 0 && change.output == 0 && change.cost.unwrap_or_default() == SignedUsd(0);
        if is_nothing {
            return Err(Error::invalid(
                "Nothing to correct; send input_tokens, output_tokens or cost_usd, signed and not 0.",
            ));
        }
        let length = reason.chars().count();
        let is_blank = reason.trim().is_empty();
        if is_blank || length > REASON_LEN_MAX || reason.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "reason: expected text of 1 to {REASON_LEN_MAX} characters without control characters."
            )));
        }
        Ok((change, reason))
    }
}

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        let text = json.get();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        text.parse().map(Self).map_err(|_| {
            D::Error::custom(
                "expected a difference in USD, as a number or a decimal string, and not too large",
            )
        })
    }
}

fn refused(why: NotCorrected) -> Error {
    match why {
        NotCorrected::NoSuchCall => Error::NotFound(NOT_KEPT),
        NotCorrected::BelowZero(what) => Error::invalid(format!(
            "{what}: the call would come to less than 0 with all its corrections; take away less."
        )),
        NotCorrected::TooLarge(what) => Error::invalid(format!(
            "{what}: the call would come to more than 10^12 tokens or a million dollars; add less."
        )),
        NotCorrected::TooOften => Error::invalid(format!(
            "The call has been corrected {CORRECTIONS_MAX} times, and no more are kept."
        )),
        NotCorrected::NotAllowed => Error::Unauthorized,
        NotCorrected::Unavailable => Error::Unavailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_reason_is_published() {
        assert_eq!(crate::openapi::published("CorrectionWanted", "reason", "maxLength"), REASON_LEN_MAX);
    }
}
