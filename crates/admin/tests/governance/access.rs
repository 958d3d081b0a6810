//! Who may do what to whose model configs.

use std::collections::BTreeSet;

use admin::Admin;
use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, OPERATOR_KEY};

use crate::support::*;

/// An operation: its method, the form of its path, the path and a body that would do.
type Operation = (Method, &'static str, String, Value);

/// Every operation on a config and its parts.
fn on_one(config: &Value) -> Vec<Operation> {
    let (budget, limit) = (text(&config["budgets"][0], "id"), text(&config["rate_limit"], "id"));
    let one = "/api/governance/model-configs/{id}";
    vec![
        (Method::GET, one, path_of(config), Value::Null),
        (Method::PUT, one, path_of(config), json!({ "budgets": [] })),
        (Method::DELETE, one, path_of(config), Value::Null),
        (Method::POST, "/api/governance/budgets/{id}/reset", format!("{BUDGETS}/{budget}/reset"), json!({})),
        (
            Method::POST,
            "/api/governance/rate-limits/{id}/reset",
            format!("{RATE_LIMITS}/{limit}/reset"),
            json!({}),
        ),
    ]
}

/// Every operation that takes a management key.
fn operations(config: &Value) -> Vec<Operation> {
    let (form, provider) = ("/api/governance/providers/{name}", format!("{PROVIDERS}/openai_compatible"));
    let mut all = on_one(config);
    all.extend([
        (Method::POST, CONFIGS, CONFIGS.to_owned(), json!({ "model_name": "m" })),
        (Method::PUT, form, provider.clone(), json!({})),
        (Method::DELETE, form, provider, Value::Null),
    ]);
    let lists = [CONFIGS, BUDGETS, RATE_LIMITS, PROVIDERS];
    all.extend(lists.map(|list| (Method::GET, list, list.to_owned(), Value::Null)));
    all
}

fn whole() -> Value {
    let rate_limit = json!({ "token_max_limit": 5, "token_reset_duration": "1h" });
    json!({ "model_name": "*", "budgets": [budget(1, "1d")], "rate_limit": rate_limit })
}

#[tokio::test]
async fn every_operation_is_tried_here() {
    let gw = Gateway::start().await;
    let config = made(&gw, whole()).await;
    let tried =
        operations(&config).into_iter().map(|(method, form, ..)| (method.to_string(), form.to_owned()));
    let tried: BTreeSet<_> = tried.chain([("GET".to_owned(), QUOTA.to_owned())]).collect();
    let document = serde_json::to_value(Admin::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let governance = paths.filter(|(path, _)| path.starts_with("/api/governance/"));
    let served = governance.flat_map(|(path, operations)| {
        operations.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
    });
    assert_eq!(tried, served.collect());
}

#[tokio::test]
async fn what_belongs_to_another_workspace_is_not_there() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    let ours = made(&gw, whole()).await;
    for (method, _, path, body) in on_one(&ours) {
        refused(
            &gw.send_as(&tenant.key, method.clone(), &path, body).await,
            404,
            &format!("{method} {path}"),
        );
    }
    for (path, rows) in [
        (CONFIGS, "model_configs"),
        (BUDGETS, "budgets"),
        (RATE_LIMITS, "rate_limits"),
        (PROVIDERS, "providers"),
    ] {
        assert_eq!(
            gw.send_as(&tenant.key, Method::GET, path, Value::Null).await.expect(200).body[rows],
            json!([])
        );
    }
    assert_eq!(read(&gw, &ours).await, ours);
    let theirs = gw.send_as(&tenant.key, Method::POST, CONFIGS, whole()).await.expect(200);
    assert_ne!(theirs.body["model_config"]["id"], ours["id"], "an identity is one in its workspace only");
    let as_operator = gw.manage(Method::GET, CONFIGS).header("x-tollgate-workspace", &tenant.id).send().await;
    assert_eq!(as_operator.expect(200).body["model_configs"], json!([theirs.body["model_config"]]));
}

#[tokio::test]
async fn keys_groups_and_providers_of_another_workspace_are_not_there() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    let (customer, prefix) = customer(&gw, "cust_42").await;
    for (scope, id) in [("virtual_key", &prefix), ("group", &customer.id)] {
        let body = json!({ "model_name": "*", "scope": scope, "scope_id": id });
        refused(&gw.send_as(&tenant.key, Method::POST, CONFIGS, body).await, 400, scope);
    }
    let body = json!({ "budgets": [budget(1, "1d")] });
    let provider = format!("{PROVIDERS}/openai_compatible");
    refused(&gw.send_as(&tenant.key, Method::PUT, &provider, body).await, 404, "no endpoint of theirs");
}

#[tokio::test]
async fn a_key_that_may_only_read_changes_nothing() {
    let gw = Gateway::start().await;
    let config = made(&gw, whole()).await;
    let home = gw.first_workspace().await;
    let (view, none) = (gw.management_key(&home, "view").await, gw.management_key(&home, "none").await);
    for (method, _, path, body) in operations(&config) {
        let case = format!("{method} {path}");
        let reply = gw.send_as(&view, method.clone(), &path, body.clone()).await;
        if method == Method::GET {
            reply.expect(200);
        } else {
            refused(&reply, 403, &case);
        }
        refused(&gw.send_as(&none, method.clone(), &path, body.clone()).await, 403, &case);
        refused(&gw.send_as("mgmt_nobody.nothing", method, &path, body).await, 401, &case);
    }
    assert_eq!(read(&gw, &config).await, config);
}

#[tokio::test]
async fn a_workspace_that_is_not_onboarded_has_no_governance() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    gw.patch(&format!("/v1/workspaces/{}", tenant.id), json!({ "onboarded": false })).await.expect(200);
    refused(&gw.send_as(&tenant.key, Method::GET, CONFIGS, Value::Null).await, 403, "read");
    refused(&gw.send_as(&tenant.key, Method::POST, CONFIGS, whole()).await, 403, "write");
    gw.send_as(OPERATOR_KEY, Method::GET, CONFIGS, Value::Null).await.expect(200);
}
