//! The form of rate limits: one object with a side for tokens and one for requests, or a list of rules.
//!
//! Begins at [`written`].

use domain::edit::model_config::{RatesDraft, RuleDraft};
use domain::{LineId, Meter, Rate, RateLimits, ResetDuration};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Echo;
use crate::error::Error;
use crate::json::{Object, Whole};

/// The most tokens and requests within a period. A limit needs its duration; a duration alone limits nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimitWanted)]
pub(super) struct PairBody {
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    token_max_limit: Option<Whole>,
    #[schema(value_type = Option<String>, max_length = 64, examples("1m"))]
    token_reset_duration: Option<ResetDuration>,
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    request_max_limit: Option<Whole>,
    #[schema(value_type = Option<String>, max_length = 64, examples("1m"))]
    request_reset_duration: Option<ResetDuration>,
    /// Cannot change: if it is sent, it must be as it is.
    id: Option<LineId>,
    #[serde(default, rename = "token_current_usage")]
    _token_current_usage: Echo,
    #[serde(default, rename = "token_last_reset")]
    _token_last_reset: Echo,
    #[serde(default, rename = "request_current_usage")]
    _request_current_usage: Echo,
    #[serde(default, rename = "request_last_reset")]
    _request_last_reset: Echo,
    #[serde(default, rename = "config_hash")]
    _config_hash: Echo,
    #[serde(default, rename = "created_at")]
    _created_at: Echo,
    #[serde(default, rename = "updated_at")]
    _updated_at: Echo,
    #[serde(default, rename = "model_config_id")]
    _model_config_id: Echo,
}

/// The most tokens, or the most requests, within a period: `max_limit` and `reset_duration`, or the two members of its
/// metric as they are answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RateLimitRule)]
pub(super) struct RuleBody {
    #[schema(value_type = Metric)]
    metric: String,
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    max_limit: Option<Whole>,
    #[schema(value_type = Option<String>, max_length = 64, examples("1m"))]
    reset_duration: Option<ResetDuration>,
    /// The rule that this is, on an update.
    id: Option<LineId>,
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    token_max_limit: Option<Whole>,
    #[schema(value_type = Option<String>, max_length = 64)]
    token_reset_duration: Option<ResetDuration>,
    #[schema(value_type = Option<u64>, minimum = 1, maximum = 9_223_372_036_854_775_807_i64)]
    request_max_limit: Option<Whole>,
    #[schema(value_type = Option<String>, max_length = 64)]
    request_reset_duration: Option<ResetDuration>,
    #[serde(default, rename = "token_current_usage")]
    _token_current_usage: Echo,
    #[serde(default, rename = "token_last_reset")]
    _token_last_reset: Echo,
    #[serde(default, rename = "request_current_usage")]
    _request_current_usage: Echo,
    #[serde(default, rename = "request_last_reset")]
    _request_last_reset: Echo,
    #[serde(default, rename = "config_hash")]
    _config_hash: Echo,
    #[serde(default, rename = "created_at")]
    _created_at: Echo,
    #[serde(default, rename = "updated_at")]
    _updated_at: Echo,
    #[serde(default, rename = "model_config_id")]
    _model_config_id: Echo,
}

/// What a rule counts.
// For the document alone: an unknown word is refused by name.
#[derive(ToSchema)]
#[schema(as = RateLimitMetric, rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum Metric {
    Requests,
    Tokens,
}

/// A maximum and a duration as they were sent, each if it was.
type Sent = (Option<Whole>, Option<ResetDuration>);

/// The rate limits that a config shall have in place of those before, if any are sent.
///
/// # Errors
/// When both forms are there; a limit of 0 or without its duration; a rule that contradicts itself.
pub(super) fn written(
    rate_limit: Option<Object<PairBody>>,
    rate_limits: Option<Vec<Object<RuleBody>>>,
    before: &RateLimits,
) -> Result<Option<RatesDraft>, Error> {
    match (rate_limit, rate_limits) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(Error::invalid("Both rate_limit and rate_limits are there; send one of them."))
        }
        (Some(Object(body)), None) => pair(body, before).map(Some),
        (None, Some(rules)) => {
            let rules = rules.into_iter().map(|Object(body)| rule(body));
            rules.collect::<Result<_, _>>().map(|rules| Some(RatesDraft::Rules(rules)))
        }
    }
}

fn pair(body: PairBody, before: &RateLimits) -> Result<RatesDraft, Error> {
    let is_there = |id| before.iter().any(|limit| limit.id == id);
    if body.id.is_some_and(|id| !is_there(id)) {
        return Err(Error::invalid("rate_limit: this config has none with such an id; leave the id out."));
    }
    Ok(RatesDraft::Pair {
        tokens: side("rate_limit.token_", (body.token_max_limit, body.token_reset_duration))?,
        requests: side("rate_limit.request_", (body.request_max_limit, body.request_reset_duration))?,
    })
}

fn rule(body: RuleBody) -> Result<RuleDraft, Error> {
    let tokens = (body.token_max_limit, body.token_reset_duration);
    let requests = (body.request_max_limit, body.request_reset_duration);
    let (meter, own, (other_max, other_reset)) = match body.metric.as_str() {
        "tokens" => (Meter::Tokens, tokens, requests),
        "requests" => (Meter::Requests, requests, tokens),
        other => {
            return Err(Error::invalid(format!("rate_limits: metric `{other}` is not requests or tokens.")));
        }
    };
    if other_max.is_some() || other_reset.is_some() {
        return Err(Error::invalid("rate_limits: a rule has members of another metric; write two rules."));
    }
    let sent = agreed((body.max_limit, body.reset_duration), own)?;
    let rate = side("rate_limits: ", sent)?;
    let rate = rate.ok_or(Error::invalid("rate_limits: a rule has no max_limit; send one of 1 or more."))?;
    Ok(RuleDraft { id: body.id, meter, rate })
}

/// What two ways of writing one limit say together.
fn agreed((max, reset): Sent, (own_max, own_reset): Sent) -> Result<Sent, Error> {
    let differ = matches!((&max, &own_max), (Some(Whole(one)), Some(Whole(other))) if one != other)
        || matches!((&reset, &own_reset), (Some(one), Some(other)) if one != other);
    if differ {
        return Err(Error::invalid(
            "rate_limits: a rule says two different things; send max_limit and reset_duration.",
        ));
    }
    Ok((max.or(own_max), reset.or(own_reset)))
}

/// One limit, if there is one.
fn side(name: &str, (max, reset): Sent) -> Result<Option<Rate>, Error> {
    match (max, reset) {
        (None, _) => Ok(None),
        (Some(Whole(0)), _) => Err(Error::invalid(format!("{name}max_limit must be 1 or more."))),
        (Some(Whole(max)), Some(reset)) => Ok(Some(Rate { max, reset })),
        (Some(_), None) => Err(Error::invalid(format!(
            "{name}reset_duration is missing; send one such as 30s, 1h, 1d or 1M."
        ))),
    }
}
