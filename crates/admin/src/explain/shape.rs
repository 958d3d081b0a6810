//! The form of a question about a call, and of its answer.

use std::sync::Arc;

use domain::money::usd_as_number;
use domain::{Admission, BindingLimit, Limit, Meter, Slug, Usd, advice_on};
use limits::{Explanation, Fit, LimitState, Measure, Owner, PathLimit, Size, Source, Verdict};
use serde::{Deserialize, Serialize};
use storage::TurnedAway;
use utoipa::ToSchema;

use crate::error::Error;
use crate::json::{Text, Whole};
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
    /// The end user that the call would be made for, unless the key is bound to one.
    user: Option<Text>,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) who: Who,
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    pub(super) max_tokens: Option<u64>,
    pub(super) stream: bool,
    pub(super) user: Option<Arc<str>>,
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
    /// At the price of its route; 0 where it has none.
    #[serde(serialize_with = "usd_as_number")]
    #[schema(value_type = f64)]
    usd: Usd,
}

/// What of an answer depends on more than the limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged {
    /// How the call is admitted.
    pub(crate) mode: Admission,
    /// Most tokens that its target writes in one answer, if that is known.
    pub(crate) output_max: Option<u64>,
    /// The status of a refusal by a budget.
    pub(crate) budget_status: u16,
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
        let user = self.user.map(|Text(user)| user);
        Ok(Question { who, model: model.as_ref().to_owned(), prompt_tokens, max_tokens, stream, user })
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
            hold: HoldView { requests: 0, tokens: 0, usd: Usd::ZERO },
            limits: Vec::new(),
            binding: None,
            passes_at: None,
            warnings: Vec::new(),
        }
    }

    /// What the limits say of a call for this slug.
    pub(crate) fn of(
        slug: &str,
        limits: &[PathLimit],
        explained: &Explanation,
        Judged { mode, output_max, budget_status }: Judged,
    ) -> Self {
        let measure = |limit: usize| limits.get(limit).map(|limit| limit.counter.measure);
        let refused = explained.refusal.and_then(|(limit, verdict)| Some((measure(limit)?, verdict)));
        let code = refused.map(|(measure, verdict)| verdict.code(measure));
        let passes_at = match explained.refusal {
            Some((_, Verdict::Wait { nanos, .. })) => Some(Moment::after(explained.at.wall_ms, nanos)),
            Some((_, Verdict::NeverFits | Verdict::Blocked)) | None => None,
        };
        let rows = limits.iter().zip(&explained.limits);
        // Where limits were looked at, the model was a slug.
        let slug: Option<Slug> = slug.parse().ok();
        let view = |(limit, state)| Some(VerdictView::of(slug.as_ref()?, limit, state, explained));
        let views = rows.filter_map(view).collect();
        Self {
            admitted: explained.refusal.is_none(),
            status: match refused {
                None => 200,
                Some((Measure::Spend(Meter::Usd), _)) => budget_status,
                Some(_) => 429,
            },
            code,
            mode,
            hold: HoldView::of(explained.asked),
            limits: views,
            binding: explained.refusal.map(|(limit, _)| limit),
            passes_at,
            warnings: advice_on(&bindings(limits), mode, output_max),
        }
    }
}

/// The limits on use among these, as they are declared.
fn bindings(limits: &[PathLimit]) -> Vec<BindingLimit> {
    let binding = |path_limit: &PathLimit| {
        let PathLimit { counter, threshold, since, source, .. } = path_limit;
        match (counter.measure, &counter.owner, source) {
            (Measure::Use(kind, unit), Owner::Model(owner, _), Source::Group(source)) => {
                let limit = Limit { kind, unit, threshold: *threshold, since: *since };
                Some(BindingLimit { limit, source: *source, owner: *owner })
            }
            _ => None,
        }
    };
    limits.iter().filter_map(binding).collect()
}

impl HoldView {
    fn of(asked: Size) -> Self {
        Self { requests: 1, tokens: asked.tokens, usd: asked.usd }
    }
}

impl VerdictView {
    fn of(slug: &Slug, limit: &PathLimit, state: &LimitState, explained: &Explanation) -> Self {
        let passes_at = match state.fit {
            Fit::Fits | Fit::Never => None,
            Fit::After(nanos) => Some(Moment::after(explained.at.wall_ms, nanos)),
        };
        let standing = StandingView::of(slug, limit, state, explained);
        Self { standing, fits: state.fit == Fit::Fits, passes_at }
    }
}
