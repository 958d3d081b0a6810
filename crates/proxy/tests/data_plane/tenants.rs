//! Calls of several workspaces over one gateway.

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Tenant};

use crate::support::*;

/// An endpoint of a tenant, written by an operator, who may point it at a private address.
pub(crate) async fn endpoint(gw: &Gateway, tenant: &Tenant, slug: &str, secret: Option<&str>) {
    let mut target = at(&gw.model.base_url());
    if let Some(secret) = secret {
        target["secret_id"] = secret.into();
    }
    let made = gw.manage(Method::POST, "/v1/gateway/endpoints").header("x-tollgate-workspace", &tenant.id);
    made.json(&json!({ "slug": slug, "targets": [target] })).send().await.expect(200);
}

/// A key of a tenant's group that may call this slug.
pub(crate) async fn key(gw: &Gateway, tenant: &Tenant, slug: &str) -> String {
    let body = json!({
        "metadata": { "external_entity_id": "cust" },
        "models": models(slug, &COUNTED),
        "hierarchy": { "limit_enforcement": "INDEPENDENT", "parent_group_id": null },
    });
    let group = gw.send_as(&tenant.key, Method::POST, "/v1/gateway/groups", body).await.expect(200);
    let keys = format!("/v1/gateway/groups/{}/api_keys", group.body["id"].as_str().unwrap());
    let minted = gw.send_as(&tenant.key, Method::POST, &keys, Value::Null).await.expect(200);
    minted.body["api_key"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn case_040_a_workspace_that_is_not_onboarded_cannot_call() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("north", &["north"]).await;
    endpoint(&gw, &tenant, "north/a", None).await;
    let key = key(&gw, &tenant, "north/a").await;
    gw.chat(&key, "north/a").await.expect(200);
    let workspace = format!("/v1/workspaces/{}", tenant.id);
    gw.patch(&workspace, json!({ "onboarded": false })).await.expect(200);
    refused(&gw.chat(&key, "north/a").await, 403, "workspace_not_onboarded");
    let message = gw.request(Method::POST, "/v1/messages").header("x-api-key", &key);
    let message = message.json(&chat("north/a")).send().await.expect(403);
    assert_eq!(message.body["error"]["type"], "permission_error");
    let listed = gw.request(Method::GET, "/v1/models").header("x-api-key", &key).send().await;
    refused(&listed, 403, "workspace_not_onboarded");
    assert_eq!(gw.model.served().started, 1);
    gw.patch(&workspace, json!({ "onboarded": true })).await.expect(200);
    gw.chat(&key, "north/a").await.expect(200);
}

#[tokio::test]
async fn secrets_of_one_workspace_are_not_sent_for_another() {
    let gw = Gateway::start().await;
    for (name, slug, value) in [("north", "north/a", "sk-north"), ("south", "south/a", "sk-south")] {
        let tenant = gw.tenant(name, &[name]).await;
        let secret = json!({ "name": "UP", "value": value });
        gw.send_as(&tenant.key, Method::POST, "/v1/secrets", secret).await.expect(200);
        endpoint(&gw, &tenant, slug, Some("UP")).await;
        let key = key(&gw, &tenant, slug).await;
        gw.chat(&key, slug).await.expect(200);
        let sent = gw.model.last_request().unwrap();
        assert_eq!(sent.header("authorization"), Some(&*format!("Bearer {value}")));
    }
}

#[tokio::test]
async fn a_tenant_cannot_point_the_gateway_at_private_addresses() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("north", &["north"]).await;
    let port = gw.model.addr().port();
    // A literal is refused when it is written, a name when it is called: it may lead anywhere by then.
    for (host, written) in [("127.0.0.1", 400), ("localhost", 200)] {
        let body = json!({ "slug": "north/a", "targets": [at(&format!("http://{host}:{port}/v1"))] });
        let made = gw.send_as(&tenant.key, Method::POST, "/v1/gateway/endpoints", body).await;
        assert_eq!(made.status, written, "{host}: {}", made.text);
    }
    let key = key(&gw, &tenant, "north/a").await;
    refused(&gw.chat(&key, "north/a").await, 502, "upstream_unavailable");
    assert_eq!(gw.model.served().started, 0);
}
