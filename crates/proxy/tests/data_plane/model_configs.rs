//! Model configs on calls: whose calls they are about, which models and providers, and what becomes of them when keys
//! and groups go.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Customer, Gateway};

use crate::support::*;
use crate::tenants;

/// `rate_limit` of so many requests in an hour.
fn hourly(requests: u64) -> Value {
    json!({ "request_max_limit": requests, "request_reset_duration": "1h" })
}

/// A config that lets so many calls through in an hour.
async fn lets(gw: &Gateway, requests: u64, about: Value) -> Arc<domain::ModelConfig> {
    let mut body = about;
    body["rate_limit"] = hourly(requests);
    gw.model_config(body).await
}

async fn both(gw: &Gateway, external: &str) -> Customer {
    gw.customer(external, json!([model(M1, &[]), model(M2, &[])])).await
}

#[tokio::test]
async fn bifrost_case_64_so_many_calls_pass_and_the_next_is_refused() {
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    lets(&gw, 3, json!({ "model_name": "*" })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200; 3]);
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 429, "rate_limit_exceeded");
    assert_eq!(reply.body["type"], "request_limited");
}

#[tokio::test]
async fn bifrost_case_66_observed_lets_the_call_through_that_passes_a_token_limit_and_none_after_it() {
    let gw = Gateway::start().await;
    let mut observed = model(M1, &[]);
    observed["admission"] = "observed".into();
    let customer = gw.customer("cust", json!([observed])).await;
    let limit = json!({ "token_max_limit": 30, "token_reset_duration": "1h" });
    let config = gw.model_config(json!({ "model_name": M1, "rate_limit": limit })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200; 2]);
    let reply = gw.chat(&customer.key, M1).await;
    refused(&reply, 429, "rate_limit_exceeded");
    assert_eq!(reply.body["type"], "token_limited");
    assert_eq!(gw.lines_used(config.id), [38]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bifrost_case_69_of_fifty_calls_at_once_exactly_those_pass_that_fit_the_request_limit() {
    let gw = Arc::new(Gateway::start().await);
    let customer = both(&gw, "cust").await;
    let config = lets(&gw, 10, json!({ "model_name": M1 })).await;
    assert_eq!(at_once(&gw, &[(&customer.key, 50)]).await, (10, 40));
    assert_eq!(gw.lines_used(config.id), [10]);
}

#[tokio::test]
async fn bifrost_case_75_a_key_has_limits_that_no_other_key_meets() {
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    let other = gw.key(&customer.id).await;
    assert_eq!(
        calls(&gw, &customer.key, M1, 2).await,
        [200; 2],
        "paths are remembered before there is a config"
    );
    lets(&gw, 1, json!({ "model_name": "*", "scope": "virtual_key", "scope_id": prefix(&customer.key) }))
        .await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    assert_eq!(calls(&gw, &other, M1, 3).await, [200; 3]);
    let reply = gw.chat(&customer.key, M2).await;
    refused(&reply, 429, "rate_limit_exceeded");
    assert_eq!(reply.body["error"]["limit"]["used"], 1, "a key's own use is its own to know");
}

#[tokio::test]
async fn a_global_config_is_about_every_call_of_its_workspace_and_of_no_other() {
    let gw = Gateway::start().await;
    let (one, two) = (both(&gw, "one").await, both(&gw, "two").await);
    let tenant = gw.tenant("other", &["other"]).await;
    tenants::endpoint(&gw, &tenant, "other/m", None).await;
    let key = tenants::key(&gw, &tenant, "other/m").await;
    let key = key.as_str();

    lets(&gw, 2, json!({ "model_name": "*" })).await;
    assert_eq!(calls(&gw, &one.key, M1, 1).await, [200]);
    assert_eq!(calls(&gw, &two.key, M2, 2).await, [200, 429], "one pool for all");
    assert_eq!(calls(&gw, key, "other/m", 5).await, [200; 5]);
    let theirs =
        gw.store().snapshot().workspaces().find(|workspace| workspace.name.as_ref() == "other").unwrap().id;
    let limits = json!({ "model_name": "*", "rate_limit": hourly(1) });
    gw.model_config_in(theirs, limits).await;
    assert_eq!(calls(&gw, key, "other/m", 2).await, [200, 429]);
}

#[tokio::test]
async fn a_group_config_is_one_pool_for_the_group_and_all_below_it() {
    for mode in ["INDEPENDENT", "CASCADING"] {
        let gw = Gateway::start().await;
        let list = || json!([model(M1, &[])]);
        let root = gw.member("root", list(), mode, None).await;
        let child = gw.member("child", list(), mode, Some(&root.id)).await;
        let grandchild = gw.member("grandchild", list(), mode, Some(&child.id)).await;
        let sibling = gw.member("sibling", list(), mode, Some(&root.id)).await;
        let stranger = gw.member("stranger", list(), mode, None).await;
        let config = lets(&gw, 3, json!({ "model_name": "*", "scope": "group", "scope_id": child.id })).await;
        assert_eq!(calls(&gw, &child.key, M1, 1).await, [200]);
        assert_eq!(calls(&gw, &grandchild.key, M1, 3).await, [200, 200, 429]);
        let refusal = gw.chat(&grandchild.key, M1).await;
        assert!(refusal.body["error"]["limit"].get("used").is_none(), "{}", refusal.text);
        let own = gw.chat(&child.key, M1).await;
        assert_eq!((own.status, &own.body["error"]["limit"]["scope"]), (429, &json!("model_config")));
        for untouched in [&root, &sibling, &stranger] {
            assert_eq!(calls(&gw, &untouched.key, M1, 4).await, [200; 4]);
        }
        assert_eq!(gw.lines_used(config.id), [3]);
    }
}

#[tokio::test]
async fn bifrost_case_77_a_config_matches_by_the_slug_and_by_the_models_name_upstream_and_both_apply() {
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    let by_slug = lets(&gw, 2, json!({ "model_name": M1 })).await;
    let by_model = lets(&gw, 3, json!({ "model_name": "simulated" })).await;
    let other_case = lets(&gw, 1, json!({ "model_name": "Simulated" })).await;
    let all = lets(&gw, 9, json!({ "model_name": "*" })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 429]);
    assert_eq!(calls(&gw, &customer.key, M2, 2).await, [200, 429]);
    let used = [&by_slug, &by_model, &other_case, &all].map(|config| gw.lines_used(config.id)[0]);
    assert_eq!(used, [2, 3, 0, 3]);
}

#[tokio::test]
async fn a_config_that_matches_by_slug_and_by_model_alike_is_charged_once() {
    let gw = Gateway::start().await;
    gw.endpoint_with("acme/same", json!({ "target_model": "acme/same" })).await;
    let customer = gw.customer("cust", models("acme/same", &[])).await;
    let config = lets(&gw, 2, json!({ "model_name": "acme/same" })).await;
    assert_eq!(calls(&gw, &customer.key, "acme/same", 3).await, [200, 200, 429]);
    assert_eq!(gw.lines_used(config.id), [2]);
}

#[tokio::test]
async fn bifrost_case_74_a_config_of_a_provider_is_about_what_it_serves_and_nothing_else() {
    let gw = Gateway::start().await;
    gw.endpoint_with("acme/groq", json!({ "provider_name": "groq" })).await;
    let customer = gw.customer("cust", json!([model(M1, &[]), model("acme/groq", &[])])).await;
    let compatible = lets(&gw, 1, json!({ "model_name": "*", "provider": "openai_compatible" })).await;
    let groq = lets(&gw, 2, json!({ "model_name": "simulated", "provider": "groq" })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    assert_eq!(calls(&gw, &customer.key, "acme/groq", 3).await, [200, 200, 429]);
    assert_eq!([gw.lines_used(compatible.id), gw.lines_used(groq.id)], [[1], [2]]);
}

#[tokio::test]
async fn bifrost_case_78_names_with_colons_and_slashes_collide_with_no_other() {
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    for (model, provider) in [
        ("simulated:openai_compatible", None),
        ("simulated", Some("openai_compatible:")),
        (":", Some("*")),
        ("*:openai_compatible", None),
        ("acme", Some("m1")),
    ] {
        lets(&gw, 1, json!({ "model_name": model, "provider": provider })).await;
    }
    assert_eq!(calls(&gw, &customer.key, M1, 4).await, [200; 4]);
}

#[tokio::test]
async fn configs_of_a_revoked_key_and_of_a_deleted_group_bind_nothing() {
    let gw = Gateway::start().await;
    let root = both(&gw, "root").await;
    let child = gw.member("child", json!([model(M1, &[])]), "INDEPENDENT", Some(&root.id)).await;
    let second = gw.key(&root.id).await;
    let of_key =
        lets(&gw, 1, json!({ "model_name": "*", "scope": "virtual_key", "scope_id": prefix(&second) })).await;
    let of_group = lets(&gw, 1, json!({ "model_name": "*", "scope": "group", "scope_id": child.id })).await;
    assert_eq!(calls(&gw, &second, M1, 2).await, [200, 429]);
    assert_eq!(calls(&gw, &child.key, M1, 2).await, [200, 429]);
    let keys = format!("/v1/gateway/groups/{}/api_keys/{}", root.id, prefix(&second));
    gw.delete(&keys).await.expect(200);
    gw.delete(&format!("/v1/gateway/groups/{}", child.id)).await.expect(200);
    assert_eq!(calls(&gw, &second, M1, 1).await, [401]);
    assert_eq!(calls(&gw, &root.key, M1, 3).await, [200; 3]);
    assert_eq!([gw.lines_used(of_key.id), gw.lines_used(of_group.id)], [[1], [1]], "they are still there");
    gw.reset_rate_limit(&of_key, of_key.rate_limits.iter().next().unwrap().id).await;
    gw.delete_config(&of_group).await;
    assert_eq!(gw.lines_used(of_key.id), [0]);
}

#[tokio::test]
async fn bifrost_case_82_of_several_limits_that_refuse_the_one_that_opens_last_is_named_and_always_the_same()
{
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    let by = |length: &str| json!({ "request_max_limit": 1, "request_reset_duration": length });
    gw.model_config(json!({ "model_name": M1, "rate_limit": by("1h") })).await;
    let last = gw.model_config(json!({ "model_name": "*", "rate_limit": by("2h") })).await;
    gw.model_config(json!({ "model_name": "simulated", "rate_limit": by("90m") })).await;
    gw.chat(&customer.key, M1).await.expect(200);
    for _ in 0..3 {
        let reply = gw.chat(&customer.key, M1).await.expect(429);
        assert_eq!(reply.body["error"]["limit"]["model_config_id"], last.id.to_string());
        assert_eq!(reply.body["error"]["limit"]["retry_after_s"], 7_200);
    }
}

#[tokio::test]
async fn bifrost_case_84_a_window_of_a_second_opens_by_itself_when_it_is_over() {
    let gw = Gateway::start().await;
    let customer = both(&gw, "cust").await;
    let limit = json!({ "request_max_limit": 1, "request_reset_duration": "1s" });
    gw.model_config(json!({ "model_name": "*", "rate_limit": limit })).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    gw.clock.advance(Duration::from_millis(999));
    assert_eq!(calls(&gw, &customer.key, M1, 1).await, [429]);
    gw.clock.advance(Duration::from_millis(1));
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
}

#[tokio::test]
async fn own_request_and_token_limits_of_configs_are_in_the_headers_and_budgets_and_shared_ones_are_not() {
    for reveal in [false, true] {
        let gw = Gateway::with(|config| config.limits.reveal_ancestors = reveal).await;
        price(&gw).await;
        let customer = buyer(&gw, "cust").await;
        let limits = |requests: u64| {
            json!({ "request_max_limit": requests, "request_reset_duration": "1h",
                "token_max_limit": 1_000 * requests, "token_reset_duration": "1d" })
        };
        let own = gw
            .model_config(json!({
                "model_name": "*", "scope": "virtual_key", "scope_id": prefix(&customer.key), "rate_limit": limits(50),
                "budgets": [{ "max_limit": 5, "reset_duration": "1d" }],
            }))
            .await;
        gw.model_config(json!({ "model_name": "*", "rate_limit": limits(20) })).await;
        let reply = gw.chat_with(&customer.key, sixty_cents(PRICED)).await.expect(200);
        let line = own.rate_limits.iter().next().unwrap().id;
        let policies = reply.header("ratelimit-policy");
        assert!(policies.starts_with(&format!("\"requests-period-{line}\";q=50;w=3600")), "{policies}");
        assert!(policies.contains(&format!("\"tokens-period-{line}\";q=50000;w=86400")), "{policies}");
        assert_eq!(policies.split(", ").count(), if reveal { 4 } else { 2 });
        assert!(reply.header("ratelimit").contains(&format!("\"requests-period-{line}\";r=49;t=3600")));
        let shown = if reveal { (19, "20") } else { (49, "50") };
        let limit = reply.header("x-ratelimit-limit-requests");
        assert_eq!((remaining(&reply.headers, "requests"), limit), shown);
        assert_eq!(reply.header("x-ratelimit-reset-requests"), "1h0m0s");
    }
}
