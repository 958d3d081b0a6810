//! The form of a question about a call, and of its answer.

use domain::{Admission, BindingLimit, Limit, advice_on};
use limits::{Explanation, Fit, LimitState, Measure, PathLimit, Verdict};
use serde::{Deserialize, Serialize};
use storage::TurnedAway;
use utoipa::ToSchema;

use crate::error::Error;
use crate::json::{NotYet, Text, Whole};
use crate::standing::StandingView;
use crate::time::Moment;

/// A call to be explained: who would make it, and what it would ask for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Explain, examples(json!({
    "group_id": "0G7uY2kQ9fa", "model": "acme/chat", "prompt_tokens": 1_200, "max_tokens": 4_000,
})))]
pub(super) struct ExplainBody {
    /// The prefix of the key that would call. Exactly one of this and `group_id`.
    api_key_prefix: Option<Text>,
    /// The group that would call.
    group_id: Option<String>,
    /// The slug, as callers put it into `model`.
    model: Text,
    /// Tokens of the prompt; 0 if it is left out.
    #[schema(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    prompt_tokens: Option<Whole>,
    /// The bound that the call declares for its output, times the number of answers; 0 or left out: it declares none.
    #[schema(value_type = Option<u64>, maximum = 9_223_372_036_854_775_807_i64)]
    max_tokens: Option<Whole>,
    /// Whether the answer would come as a stream: `hard` admits one step of it at a time. Left out: it comes whole.
    stream: Option<bool>,
    #[serde(default, rename = "user")]
    #[schema(ignore)]
    _user: NotYet,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) who: Who,
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) max_tokens: Option<u64>,
    pub(super) stream: bool,
}

/// Who would call.
#[derive(Debug)]
pub(super) enum Who {
    /// The group of the key with this prefix.
    Key(String),
    /// The group with this id.
    Group(String),
}

/// What would become of the call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explained)]
pub(crate) struct ExplainView {
    admitted: bool,
    /// The status that the gateway would answer by itself; 200 if the call would go on to the model.
    status: u16,
    /// The code of the refusal.
    #[schema(required)]
    code: Option<&'static str>,
    /// How the call would be admitted.
    mode: Admission,
    hold: HoldView,
    /// Every limit that the call has to fit. Empty where the call is refused before any limit is looked at.
    limits: Vec<VerdictView>,
    /// The limit that refuses the call, as an index into `limits`.
    #[schema(required)]
    binding: Option<usize>,
    /// When the same call would pass, if nothing else were charged until then; in a second where only calls in flight
    /// are in its way. `null` if it is admitted now, or would never pass.
    #[schema(required)]
    passes_at: Option<Moment>,
    /// What may surprise you about these limits.
    warnings: Vec<String>,
}

/// What the call would hold until it ends: what it asks the limits for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
struct HoldView {
    requests: u64,
    tokens: u64,
    /// 0: calls have no prices yet.
    usd: u64,
}

/// A limit, how it stands, and what it says of the call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LimitVerdict)]
struct VerdictView {
    #[serde(flatten)]
    standing: StandingView,
    fits: bool,
    /// When the call would fit this limit; `null` if it fits now, or never will.
    #[schema(required)]
    passes_at: Option<Moment>,
}

impl ExplainBody {
    /// # Errors
    /// When it names nobody, or two.
    pub(super) fn question(self) -> Result<Question, Error> {
        let who = match (self.api_key_prefix, self.group_id) {
            (Some(Text(prefix)), None) => Who::Key(prefix.as_ref().to_owned()),
            (None, Some(id)) => Who::Group(id),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::invalid(
                    "Say who calls: send exactly one of api_key_prefix and group_id.",
                ));
            }
        };
        let Text(model) = self.model;
        let number = |whole: Option<Whole>| whole.map_or(0, |Whole(number)| number);
        let max_tokens = Some(number(self.max_tokens)).filter(|declared| *declared > 0);
        let prompt_tokens = number(self.prompt_tokens);
        let stream = self.stream.unwrap_or(false);
        Ok(Question { who, model: model.as_ref().to_owned(), prompt_tokens, max_tokens, stream })
    }
}

impl ExplainView {
    /// Refused before any limit was looked at.
    pub(crate) fn turned_away(why: TurnedAway, mode: Admission) -> Self {
        Self {
            admitted: false,
            status: why.status(),
            code: Some(why.code()),
            mode,
            hold: HoldView { requests: 0, tokens: 0, usd: 0 },
            limits: Vec::new(),
            binding: None,
            passes_at: None,
            warnings: Vec::new(),
        }
    }

    /// What the limits say of a call to a target that writes at most `output_max` tokens in one answer.
    pub(crate) fn of(
        limits: &[PathLimit],
        explained: &Explanation,
        mode: Admission,
        output_max: Option<u64>,
    ) -> Self {
        let code = explained
            .refusal
            .and_then(|(limit, verdict)| limits.get(limit).map(|limit| verdict.code(limit.counter.measure)));
        let passes_at = match explained.refusal {
            Some((_, Verdict::Wait { nanos, .. })) => Some(Moment::after(explained.at.wall_ms, nanos)),
            Some((_, Verdict::NeverFits)) | None => None,
        };
        let rows = limits.iter().zip(&explained.limits);
        Self {
            admitted: explained.refusal.is_none(),
            status: if explained.refusal.is_none() { 200 } else { 429 },
            code,
            mode,
            hold: HoldView { requests: 1, tokens: explained.tokens, usd: 0 },
            limits: rows.map(|(limit, state)| VerdictView::of(limit, state, explained)).collect(),
            binding: explained.refusal.map(|(limit, _)| limit),
            passes_at,
            warnings: advice_on(&bindings(limits), mode, output_max),
        }
    }
}

/// The limits on use among these, as they are declared.
fn bindings(limits: &[PathLimit]) -> Vec<BindingLimit> {
    let binding = |path_limit: &PathLimit| match path_limit.counter.measure {
        Measure::Concurrency => None,
        Measure::Use(kind, unit) => {
            let PathLimit { threshold, since, source, .. } = *path_limit;
            let limit = Limit { kind, unit, threshold, since };
            Some(BindingLimit { limit, source, owner: path_limit.counter.owner })
        }
    };
    limits.iter().filter_map(binding).collect()
}

impl VerdictView {
    fn of(limit: &PathLimit, state: &LimitState, explained: &Explanation) -> Self {
        let passes_at = match state.fit {
            Fit::Fits | Fit::Never => None,
            Fit::After(nanos) => Some(Moment::after(explained.at.wall_ms, nanos)),
        };
        let standing = StandingView::of(limit, state, explained);
        Self { standing, fits: state.fit == Fit::Fits, passes_at }
    }
}
