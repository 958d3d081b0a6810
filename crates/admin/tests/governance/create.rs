//! `POST /api/governance/model-configs`

use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

const GPT: &str = "gpt-4o";

fn with_budgets(rows: impl Into<Value>) -> Value {
    let rows: Value = rows.into();
    json!({ "model_name": GPT, "budgets": rows })
}

fn with_rate_limit(rate_limit: impl Into<Value>) -> Value {
    let rate_limit: Value = rate_limit.into();
    json!({ "model_name": GPT, "rate_limit": rate_limit })
}

fn with_rules(rules: impl Into<Value>) -> Value {
    let rules: Value = rules.into();
    json!({ "model_name": GPT, "rate_limits": rules })
}

#[tokio::test]
async fn bifrost_case_01_a_name_is_all_that_a_config_needs() {
    let gw = Gateway::start().await;
    let reply = post(&gw, json!({ "model_name": GPT })).await.expect(200);
    assert_eq!(fields(&reply.body), ["message", "model_config"]);
    assert!(!text(&reply.body, "message").is_empty());
    let config = &reply.body["model_config"];
    assert_eq!(
        fields(config),
        [
            "budgets",
            "calendar_aligned",
            "config_hash",
            "created_at",
            "id",
            "model_name",
            "scope",
            "updated_at"
        ]
    );
    let id = text(config, "id");
    let is_uuid = id.len() == 36 && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    assert!(is_uuid && id.as_bytes()[14] == b'4', "{id}");
    assert_eq!((&config["model_name"], &config["scope"]), (&json!(GPT), &json!("global")));
    assert_eq!((&config["calendar_aligned"], &config["budgets"]), (&json!(false), &json!([])));
    assert_eq!((&config["created_at"], &config["updated_at"]), (&json!(BEGIN), &json!(BEGIN)));
    assert_eq!(config["config_hash"], "");
    assert_eq!(&read(&gw, config).await, config);
}

#[tokio::test]
async fn bifrost_case_02_a_config_without_a_name_is_refused() {
    let gw = Gateway::start().await;
    for body in [json!({}), json!({ "model_name": "" }), json!({ "model_name": " \t" })] {
        refused_naming(&post(&gw, body).await, 400, &["model_name"]);
    }
    let long = "m".repeat(256);
    refused_naming(&post(&gw, json!({ "model_name": long })).await, 400, &["model_name", "255"]);
    let spaced = made(&gw, json!({ "model_name": format!("  {}  ", &long[1..]) })).await;
    assert_eq!(spaced["model_name"], long[1..]);
}

#[tokio::test]
async fn bifrost_case_03_what_is_not_json_of_the_right_types_is_refused() {
    let gw = Gateway::start().await;
    for raw in ["", "{", "[]", "null", "5", "{\"model_name\": \"a\"} x", "{\"model_name\": 5}"] {
        let reply = gw.manage(Method::POST, CONFIGS).body(raw.to_owned()).send().await;
        refused(&reply, 400, raw);
    }
    for (member, value) in [
        ("provider", json!(5)),
        ("scope", json!(["global"])),
        ("scope_id", json!(7)),
        ("calendar_aligned", json!("true")),
        ("budgets", json!({})),
        ("budgets", json!([5])),
        ("budget", json!([])),
        ("rate_limit", json!([])),
        ("rate_limits", json!({})),
    ] {
        let mut body = json!({ "model_name": GPT });
        body[member] = value;
        refused_naming(&post(&gw, body).await, 400, &[member]);
    }
    assert_eq!(gw.get(CONFIGS).await.body["total_count"], 0, "none of them left anything");
}

#[tokio::test]
async fn bifrost_case_04_a_scope_that_there_is_not_is_named() {
    let gw = Gateway::start().await;
    for scope in ["galaxy", "Global", "team", ""] {
        let body = json!({ "model_name": GPT, "scope": scope, "scope_id": "x" });
        refused_naming(&post(&gw, body).await, 400, &[&format!("`{scope}`")]);
    }
}

#[tokio::test]
async fn bifrost_case_05_every_scope_but_the_global_one_needs_an_id() {
    let gw = Gateway::start().await;
    for scope in ["virtual_key", "user", "group"] {
        for id in [Value::Null, json!("")] {
            let body = json!({ "model_name": GPT, "scope": scope, "scope_id": id });
            refused_naming(&post(&gw, body).await, 400, &["scope_id"]);
        }
        refused_naming(&post(&gw, json!({ "model_name": GPT, "scope": scope })).await, 400, &["scope_id"]);
        let long = json!({ "model_name": GPT, "scope": scope, "scope_id": "u".repeat(257) });
        refused_naming(&post(&gw, long).await, 400, &["scope_id", "256"]);
    }
    made(&gw, json!({ "model_name": GPT, "scope": "user", "scope_id": "u".repeat(256) })).await;
}

#[tokio::test]
async fn bifrost_case_06_a_key_or_group_of_a_scope_must_be_there() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    for (scope, id) in [
        ("virtual_key", "sky_000000000000"),
        ("virtual_key", &customer.id),
        ("group", "00000000001"),
        ("group", &prefix),
    ] {
        let body = json!({ "model_name": GPT, "scope": scope, "scope_id": id });
        refused_naming(&post(&gw, body).await, 400, &["scope_id"]);
    }
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", customer.id)).await.expect(200);
    let revoked = json!({ "model_name": GPT, "scope": "virtual_key", "scope_id": prefix });
    refused_naming(&post(&gw, revoked).await, 400, &["scope_id"]);
}

#[tokio::test]
async fn bifrost_case_07_the_global_scope_has_no_id() {
    let gw = Gateway::start().await;
    let config = made(&gw, json!({ "model_name": GPT, "scope": "global", "scope_id": "dropped" })).await;
    assert_eq!((&config["scope"], config.get("scope_id")), (&json!("global"), None));
    let implied = made(&gw, json!({ "model_name": "other", "scope": null, "scope_id": "dropped" })).await;
    assert_eq!((&implied["scope"], implied.get("scope_id")), (&json!("global"), None));
}

#[tokio::test]
async fn bifrost_case_08_there_is_one_config_about_one_thing() {
    let gw = Gateway::start().await;
    let (_, prefix) = customer(&gw, "cust_42").await;
    for body in [
        json!({ "model_name": GPT, "provider": "openai" }),
        json!({ "model_name": GPT }),
        json!({ "model_name": "*", "scope": "virtual_key", "scope_id": prefix }),
        json!({ "model_name": GPT, "scope": "user", "scope_id": "ada", "provider": "vertex" }),
    ] {
        made(&gw, body.clone()).await;
        let scope = body["scope"].as_str().unwrap_or("global");
        let words = [text(&body, "model_name"), body["provider"].as_str().unwrap_or("provider"), scope];
        refused_naming(&post(&gw, body.clone()).await, 409, &words);
    }
    let folded = json!({ "model_name": format!(" {GPT} "), "provider": " OpenAI", "scope": "global" });
    refused_naming(&post(&gw, folded).await, 409, &[GPT, "openai", "global"]);
    assert_eq!(gw.get(CONFIGS).await.body["total_count"], 4);
}

#[tokio::test]
async fn bifrost_case_09_no_provider_is_a_provider_of_its_own() {
    let gw = Gateway::start().await;
    for provider in [json!("openai"), json!("azure"), Value::Null] {
        let config = made(&gw, json!({ "model_name": GPT, "provider": provider })).await;
        assert_eq!(config.get("provider"), Some(&provider).filter(|name| name.is_string()));
    }
    refused_naming(&post(&gw, json!({ "model_name": GPT, "provider": "" })).await, 400, &["provider"]);
    let long = json!({ "model_name": GPT, "provider": "p".repeat(65) });
    refused_naming(&post(&gw, long).await, 400, &["provider"]);
    made(&gw, json!({ "model_name": "GPT-4o" })).await;
}

#[tokio::test]
async fn bifrost_case_10_scopes_do_not_get_into_each_others_way() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    made(&gw, json!({ "model_name": GPT })).await;
    for (scope, id) in
        [("virtual_key", &*prefix), ("user", &*prefix), ("user", "ada"), ("group", &customer.id)]
    {
        let config = made(&gw, json!({ "model_name": GPT, "scope": scope, "scope_id": id })).await;
        assert_eq!((&config["scope"], &config["scope_id"]), (&json!(scope), &json!(id)));
    }
}

#[tokio::test]
async fn bifrost_case_11_of_two_creates_at_once_one_wins() {
    let gw = Gateway::start().await;
    for body in [json!({ "model_name": GPT }), json!({ "model_name": GPT, "provider": "openai" })] {
        let (one, other) = tokio::join!(post(&gw, body.clone()), post(&gw, body));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
    assert_eq!(gw.get(CONFIGS).await.body["total_count"], 2);
}

#[tokio::test]
async fn bifrost_case_12_a_config_may_have_several_budgets() {
    let gw = Gateway::start().await;
    let config = made(&gw, with_budgets(json!([budget(10, "1d"), budget(0.3, "1M")]))).await;
    assert_eq!(budgets(&config), [(10.0, "1d".to_owned()), (0.3, "1M".to_owned())]);
    let first = &config["budgets"][0];
    assert_eq!(
        fields(first),
        [
            "calendar_aligned",
            "config_hash",
            "created_at",
            "current_usage",
            "id",
            "last_reset",
            "max_limit",
            "model_config_id",
            "reset_duration",
            "updated_at"
        ]
    );
    assert_eq!((&first["current_usage"], &first["last_reset"]), (&json!(0), &json!(BEGIN)));
    assert_eq!((&first["model_config_id"], &first["calendar_aligned"]), (&config["id"], &json!(false)));
    assert_ne!(first["id"], config["budgets"][1]["id"]);
    assert_eq!(&config["budget"], first, "older clients read the first one alone");
}

#[tokio::test]
async fn bifrost_case_13_to_14_two_budgets_of_one_length_are_refused() {
    let gw = Gateway::start().await;
    for (one, other) in
        [("1d", "1d"), ("24h", "1d"), ("1M", "30d"), ("monthly", "1M"), ("1Y", "365d"), ("7d", "weekly")]
    {
        for aligned in [false, true] {
            let mut body = with_budgets(json!([budget(1, one), budget(2, other)]));
            body["calendar_aligned"] = json!(aligned);
            refused_naming(&post(&gw, body).await, 400, &["budgets", "reset_duration"]);
        }
    }
}

#[tokio::test]
async fn bifrost_case_15_to_17_a_budget_is_a_finite_number_above_0() {
    let gw = Gateway::start().await;
    for max in [
        "-1",
        "0",
        "0.0",
        "-0.01",
        "0.0000000009",
        "NaN",
        "Infinity",
        "1e400",
        "9223372036.854775808",
        "\"10\"",
        "null",
        "true",
    ] {
        let raw = format!(r#"{{"model_name":"m","budgets":[{{"max_limit":{max},"reset_duration":"1d"}}]}}"#);
        let reply = gw.manage(Method::POST, CONFIGS).body(raw).send().await;
        refused(&reply, 400, max);
    }
    refused_naming(&post(&gw, with_budgets(json!([{ "reset_duration": "1d" }]))).await, 400, &["max_limit"]);
    refused_naming(&post(&gw, with_budgets(json!([{ "max_limit": 1 }]))).await, 400, &["reset_duration"]);
}

#[tokio::test]
async fn a_budget_is_answered_to_the_nano_dollar() {
    let gw = Gateway::start().await;
    for (nth, (sent, answered)) in [
        ("10", "10"),
        ("10.0", "10"),
        ("0.3", "0.3"),
        ("1e-9", "0.000000001"),
        ("0.1234567899", "0.123456789"),
        ("1E2", "100"),
        ("9223372036.854775807", "9223372036.854775807"),
    ]
    .into_iter()
    .enumerate()
    {
        let raw =
            format!(r#"{{"model_name":"m{nth}","budgets":[{{"max_limit":{sent},"reset_duration":"1d"}}]}}"#);
        let reply = gw.manage(Method::POST, CONFIGS).body(raw).send().await.expect(200);
        assert!(reply.text.contains(&format!(r#""max_limit":{answered},"#)), "{sent}: {}", reply.text);
    }
}

#[tokio::test]
async fn bifrost_case_18_what_is_no_duration_is_refused() {
    let gw = Gateway::start().await;
    for reset in [
        "", "abc", "0s", "0d", "-1d", "-1h", "1", "d", "1 d", "1d ", "1e3d", "NaNd", ".d", "1.2.3d", "1Q",
        "300Y",
    ] {
        refused_naming(
            &post(&gw, with_budgets(json!([budget(1, reset)]))).await,
            400,
            &["reset_duration", "1d"],
        );
        let rate = json!({ "request_max_limit": 1, "request_reset_duration": reset });
        refused_naming(&post(&gw, with_rate_limit(rate)).await, 400, &["request_reset_duration"]);
    }
}

#[tokio::test]
async fn bifrost_case_19_durations_have_units_whose_case_matters() {
    let gw = Gateway::start().await;
    for reset in ["1D", "1y", "1d12h", "1W", "1H", "1m1d"] {
        refused_naming(&post(&gw, with_budgets(json!([budget(1, reset)]))).await, 400, &["reset_duration"]);
    }
    for reset in ["1.5d", "1h30m", "Weekly", "30s", "250ms", "1m", "1M", "DAILY", "yearly", "2w", "0.5Y"] {
        let config = made(&gw, json!({ "model_name": reset, "budgets": [budget(1, reset)] })).await;
        assert_eq!(config["budget"]["reset_duration"], reset, "as it was written");
    }
}

#[tokio::test]
async fn bifrost_case_20_to_21_a_rate_limit_is_at_least_1_and_has_a_duration() {
    let gw = Gateway::start().await;
    for side in ["token", "request"] {
        let alone = with_rate_limit(json!({ format!("{side}_max_limit"): 5 }));
        refused_naming(&post(&gw, alone).await, 400, &[&format!("{side}_reset_duration")]);
        for max in [json!(0), json!(-1), json!(1.5), json!("5"), json!(9_223_372_036_854_775_808_u64)] {
            let body = json!({ format!("{side}_max_limit"): max, format!("{side}_reset_duration"): "1h" });
            refused_naming(&post(&gw, with_rate_limit(body)).await, 400, &[&format!("{side}_max_limit")]);
        }
    }
    let most = json!({ "token_max_limit": i64::MAX, "token_reset_duration": "1h" });
    assert_eq!(made(&gw, with_rate_limit(most)).await["rate_limit"]["token_max_limit"], i64::MAX);
}

#[tokio::test]
async fn bifrost_case_22_a_side_without_a_limit_shows_its_use_alone() {
    let gw = Gateway::start().await;
    let requests = json!({ "request_max_limit": 5, "request_reset_duration": "1h" });
    let config = made(&gw, with_rate_limit(requests)).await;
    let limit = &config["rate_limit"];
    assert_eq!(
        fields(limit),
        [
            "config_hash",
            "created_at",
            "id",
            "model_config_id",
            "request_current_usage",
            "request_last_reset",
            "request_max_limit",
            "request_reset_duration",
            "token_current_usage",
            "token_last_reset",
            "updated_at"
        ]
    );
    assert_eq!((&limit["token_current_usage"], &limit["token_last_reset"]), (&json!(0), &json!(BEGIN)));
    assert_eq!((&limit["request_max_limit"], &limit["request_reset_duration"]), (&json!(5), &json!("1h")));
    assert_eq!(config["rate_limit_id"], limit["id"]);
    assert_eq!((config.get("rate_limits"), config.get("budget")), (None, None));
}

#[tokio::test]
async fn a_rate_limit_without_a_limit_is_none() {
    let gw = Gateway::start().await;
    for (nth, rate_limit) in
        [json!({}), Value::Null, json!({ "token_max_limit": null, "token_reset_duration": "1h" })]
            .into_iter()
            .enumerate()
    {
        let config = made(&gw, json!({ "model_name": format!("m{nth}"), "rate_limit": rate_limit })).await;
        assert_eq!((config.get("rate_limit"), config.get("rate_limit_id")), (None, None));
    }
    let no_rules = made(&gw, with_rules(json!([]))).await;
    assert_eq!(no_rules.get("rate_limits"), None);
}

#[tokio::test]
async fn bifrost_case_24_a_key_or_group_is_shown_by_its_name() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    let keys = format!("/v1/gateway/groups/{}/api_keys", customer.id);
    let named = gw.post(&keys, json!({ "name": "prod" })).await.expect(200).body;
    let scoped = |scope: &str, id: &str| json!({ "model_name": "*", "scope": scope, "scope_id": id });
    let of_key = made(&gw, scoped("virtual_key", text(&named, "prefix"))).await;
    let of_nameless = made(&gw, scoped("virtual_key", &prefix)).await;
    let of_group = made(&gw, scoped("group", &customer.id)).await;
    let of_user = made(&gw, scoped("user", "ada")).await;
    let listed = gw.get(CONFIGS).await.body["model_configs"].clone();
    for (nth, (config, name)) in
        [(of_key, Some("prod")), (of_nameless, None), (of_group.clone(), Some("cust_42")), (of_user, None)]
            .into_iter()
            .enumerate()
    {
        let name = name.map(Value::from);
        for shown in [&config, &read(&gw, &config).await, &listed[nth]] {
            assert_eq!(shown.get("scope_name"), name.as_ref());
        }
    }
    let renamed = json!({ "metadata": { "name": "Ada & Sons" } });
    gw.patch(&format!("/v1/gateway/groups/{}", customer.id), renamed).await.expect(200);
    assert_eq!(read(&gw, &of_group).await["scope_name"], "Ada & Sons");
}

#[tokio::test]
async fn the_config_of_a_key_or_group_that_is_gone_stays() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    let scoped = |scope: &str, id: &str| json!({ "model_name": "*", "scope": scope, "scope_id": id });
    let of_key = made(&gw, scoped("virtual_key", &prefix)).await;
    let of_group = made(&gw, scoped("group", &customer.id)).await;
    gw.delete(&format!("/v1/gateway/groups/{}", customer.id)).await.expect(200);
    for config in [&of_key, &of_group] {
        let now = read(&gw, config).await;
        assert_eq!((&now["id"], now.get("scope_name")), (&config["id"], None));
        changed(&gw, config, json!({ "budgets": [budget(1, "1d")] })).await;
    }
}

#[tokio::test]
async fn bifrost_case_45_a_budget_in_the_older_way_is_a_budget() {
    let gw = Gateway::start().await;
    let config = made(&gw, json!({ "model_name": GPT, "budget": budget(2.5, "1w") })).await;
    assert_eq!(budgets(&config), [(2.5, "1w".to_owned())]);
    let both = json!({ "model_name": "m", "budget": budget(2.5, "1w"), "budgets": [budget(2.5, "1w")] });
    refused_naming(&post(&gw, both).await, 400, &["budget", "budgets"]);
    let empty = json!({ "model_name": "m", "budget": budget(2.5, "1w"), "budgets": [] });
    refused_naming(&post(&gw, empty).await, 400, &["budget", "budgets"]);
}

#[tokio::test]
async fn bifrost_case_46_rules_are_apart_and_in_one_form() {
    let gw = Gateway::start().await;
    let rule =
        |metric: &str, reset: &str| json!({ "metric": metric, "max_limit": 5, "reset_duration": reset });
    let same = with_rules(json!([rule("requests", "60s"), rule("requests", "1m")]));
    refused_naming(&post(&gw, same).await, 400, &["rate_limits", "metric"]);
    refused_naming(&post(&gw, with_rules(json!([rule("dollars", "1m")]))).await, 400, &["dollars"]);
    let mut both = with_rules(json!([rule("tokens", "1m")]));
    both["rate_limit"] = json!({ "token_max_limit": 5, "token_reset_duration": "1m" });
    refused_naming(&post(&gw, both).await, 400, &["rate_limit", "rate_limits"]);
    for broken in [
        json!({ "metric": "tokens", "reset_duration": "1m" }),
        json!({ "metric": "tokens", "max_limit": 0, "reset_duration": "1m" }),
        json!({ "metric": "tokens", "max_limit": 5 }),
        json!({ "max_limit": 5, "reset_duration": "1m" }),
        json!({ "metric": "tokens", "max_limit": 5, "reset_duration": "1m", "token_max_limit": 6 }),
        json!({ "metric": "tokens", "max_limit": 5, "reset_duration": "1m", "request_max_limit": 5 }),
    ] {
        refused(&post(&gw, with_rules(json!([broken]))).await, 400, &broken.to_string());
    }
    let rules = json!([rule("requests", "1m"), rule("tokens", "1m"), rule("requests", "1h")]);
    let config = made(&gw, with_rules(rules)).await;
    let shown: Vec<_> = config["rate_limits"].as_array().unwrap().iter().map(fields).collect();
    let of = |metric: &str| {
        let own = ["current_usage", "last_reset", "max_limit", "reset_duration"];
        let mut names: Vec<String> = own.iter().map(|member| format!("{metric}_{member}")).collect();
        names.extend(
            ["config_hash", "created_at", "id", "metric", "model_config_id", "updated_at"].map(str::to_owned),
        );
        names.sort_unstable();
        names
    };
    assert_eq!(shown, [of("request"), of("token"), of("request")]);
    assert_eq!((config.get("rate_limit"), config.get("rate_limit_id")), (None, None));
}

#[tokio::test]
async fn a_config_has_sixteen_lines_of_a_kind_at_most() {
    let gw = Gateway::start().await;
    let rows = |n: usize| (1..=n).map(|n| budget(1, &format!("{n}h"))).collect::<Vec<_>>();
    refused_naming(&post(&gw, with_budgets(json!(rows(17)))).await, 400, &["budgets", "16"]);
    assert_eq!(budgets(&made(&gw, with_budgets(json!(rows(16)))).await).len(), 16);
}

#[tokio::test]
async fn members_that_are_unknown_are_refused_by_name() {
    let gw = Gateway::start().await;
    for (body, member) in [
        (json!({ "model_name": GPT, "budgetz": [] }), "budgetz"),
        (json!({ "model_name": GPT, "id": NOBODY }), "id"),
        (json!({ "model_name": GPT, "reset_budget_usage": true }), "reset_budget_usage"),
        (
            with_budgets(json!([{ "max_limit": 1, "reset_duration": "1d", "override_amount": 5 }])),
            "override_amount",
        ),
        (with_rate_limit(json!({ "max_requests": 1 })), "max_requests"),
        (with_rules(json!([{ "metric": "tokens", "max": 1 }])), "max"),
    ] {
        refused_naming(&post(&gw, body).await, 400, &[&format!("`{member}`")]);
    }
    let foreign = with_budgets(json!([{ "id": NOBODY, "max_limit": 1, "reset_duration": "1d" }]));
    refused_naming(&post(&gw, foreign).await, 400, &["budgets", "id"]);
    let foreign =
        with_rate_limit(json!({ "id": NOBODY, "token_max_limit": 1, "token_reset_duration": "1d" }));
    refused_naming(&post(&gw, foreign).await, 400, &["rate_limit", "id"]);
    assert_eq!(gw.get(CONFIGS).await.body["total_count"], 0);
}

#[tokio::test]
async fn the_calendar_is_followed_where_the_config_or_else_its_budgets_say_so() {
    let gw = Gateway::start().await;
    let line =
        |aligned: Value| json!({ "max_limit": 1, "reset_duration": "1M", "calendar_aligned": aligned });
    let other =
        |aligned: Value| json!({ "max_limit": 1, "reset_duration": "1d", "calendar_aligned": aligned });
    for (nth, (config, lines, aligned)) in [
        (Value::Null, json!([line(json!(true))]), true),
        (Value::Null, json!([line(json!(true)), other(Value::Null)]), true),
        (Value::Null, json!([line(json!(true)), other(json!(false))]), false),
        (Value::Null, json!([line(json!(false))]), false),
        (json!(false), json!([line(json!(true))]), false),
        (json!(true), json!([line(json!(false))]), true),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "model_name": format!("m{nth}"), "calendar_aligned": config, "budgets": lines });
        let config = made(&gw, body).await;
        assert_eq!(config["calendar_aligned"], aligned, "{nth}");
        assert_eq!(config["budget"]["calendar_aligned"], aligned, "{nth}, echoed");
        let begun = if aligned { "2026-05-01T00:00:00.000Z" } else { BEGIN };
        assert_eq!(config["budget"]["last_reset"], begun, "{nth}");
    }
}
