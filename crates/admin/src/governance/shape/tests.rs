use domain::edit::model_config::RatesDraft;
use domain::{Meter, Slug};
use serde_json::{Value, json};

use super::*;
use crate::json::parse;
use crate::openapi::published;

fn draft(body: &Value) -> Result<ConfigDraft, Error> {
    parse::<CreateBody>(body.to_string().as_bytes())?.draft(WorkspaceId(1))
}

#[test]
fn bounds_are_published_as_they_are() {
    for schema in ["ModelConfigCreate", "ModelConfigUpdate"] {
        assert_eq!(published(schema, "model_name", "maxLength"), MODEL_NAME_LEN_MAX, "{schema}");
        assert_eq!(published(schema, "provider", "maxLength"), PROVIDER_LEN_MAX, "{schema}");
        assert_eq!(published(schema, "budgets", "maxItems"), LINES_MAX, "{schema}");
        assert_eq!(published(schema, "rate_limits", "maxItems"), LINES_MAX, "{schema}");
    }
    assert_eq!(published("ModelConfigCreate", "scope_id", "maxLength"), USER_LEN_MAX);
    assert_eq!(MODEL_NAME_LEN_MAX, Slug::LEN_MAX);
}

#[test]
fn names_are_trimmed_and_providers_folded() {
    let draft = draft(&json!({ "model_name": " Gpt-4o\n", "provider": " OpenAI " })).unwrap();
    assert_eq!((&*draft.identity.model_name, draft.identity.provider.as_deref()), ("Gpt-4o", Some("openai")));
}

#[test]
fn a_duration_alone_limits_nothing_and_a_side_is_one() {
    let of = |pair: Value| draft(&json!({ "model_name": "m", "rate_limit": pair })).unwrap().rate_limits;
    let none = RatesDraft::Pair { tokens: None, requests: None };
    assert_eq!(of(json!({})), none);
    assert_eq!(of(json!({ "token_reset_duration": "1h" })), none);
    let RatesDraft::Pair { tokens, requests } =
        of(json!({ "request_max_limit": 1, "request_reset_duration": "1h" }))
    else {
        panic!("a pair stays a pair")
    };
    assert_eq!((tokens, requests.map(|rate| rate.max)), (None, Some(1)));
}

#[test]
fn a_rule_is_read_as_it_is_written_and_as_it_is_answered() {
    let of = |rule: Value| match draft(&json!({ "model_name": "m", "rate_limits": [rule] }))
        .unwrap()
        .rate_limits
    {
        RatesDraft::Rules(rules) => (rules[0].meter, rules[0].rate.max, rules[0].rate.reset.to_string()),
        other @ (RatesDraft::None | RatesDraft::Pair { .. }) => panic!("rules stay rules: {other:?}"),
    };
    let written = of(json!({ "metric": "tokens", "max_limit": 5, "reset_duration": "1m" }));
    let answered = of(json!({
        "metric": "tokens", "token_max_limit": 5, "token_reset_duration": "1m", "token_current_usage": 3,
        "token_last_reset": "2026-05-13T12:00:00.000Z", "config_hash": "",
    }));
    assert_eq!(written, (Meter::Tokens, 5, "1m".to_owned()));
    assert_eq!(answered, written);
}

#[test]
fn an_amount_is_read_to_the_last_digit() {
    let body = r#"{"model_name":"m","budgets":[{"max_limit":9223372036.854775807,"reset_duration":"1d"}]}"#;
    let draft = parse::<CreateBody>(body.as_bytes()).unwrap().draft(WorkspaceId(1)).unwrap();
    assert_eq!(draft.budgets[0].max, domain::Usd::MAX);
}
