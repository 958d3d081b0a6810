//! Calls of several workspaces over one gateway.

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply, Tenant};

use crate::support::*;

/// A request of a tenant's own manager.
async fn manage(gw: &Gateway, tenant: &Tenant, path: &str, body: &Value) -> Reply {
    let request = gw.request(Method::POST, path).header("authorization", format!("Bearer {}", tenant.key));
    request.json(body).send().await.expect(200)
}

/// A counted group of a tenant that lists these slugs, with one key: its id and the key.
async fn customer(gw: &Gateway, tenant: &Tenant, slugs: &[&str]) -> (String, String) {
    let granted: Vec<Value> = slugs.iter().map(|slug| model(slug, &COUNTED)).collect();
    let body = json!({
        "metadata": { "external_entity_id": "cust" },
        "models": granted,
        "hierarchy": { "limit_enforcement": "INDEPENDENT", "parent_group_id": null },
    });
    let group = manage(gw, tenant, "/v1/gateway/groups", &body).await.body["id"].as_str().unwrap().to_owned();
    let minted = manage(gw, tenant, &format!("/v1/gateway/groups/{group}/api_keys"), &json!({})).await;
    (group, minted.body["api_key"].as_str().unwrap().to_owned())
}

async fn onboard(gw: &Gateway, workspace: &str, onboarded: bool) {
    let path = format!("/v1/workspaces/{workspace}");
    gw.patch(&path, json!({ "onboarded": onboarded })).await.expect(200);
}

#[tokio::test]
async fn case_040_a_workspace_that_is_not_onboarded_cannot_call() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("north", &["north"]).await;
    let target =
        json!({ "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "m" });
    // An operator writes the endpoint, since it points at a private address.
    let made = gw
        .manage(Method::POST, "/v1/gateway/endpoints")
        .header("x-tollgate-workspace", &tenant.id)
        .json(&json!({ "slug": "north/a", "targets": [target] }));
    made.send().await.expect(200);
    let (_, key) = customer(&gw, &tenant, &["north/a"]).await;
    gw.chat(&key, "north/a").await.expect(200);
    onboard(&gw, &tenant.id, false).await;
    refused(&gw.chat(&key, "north/a").await, 403, "workspace_not_onboarded");
    let message = gw.request(Method::POST, "/v1/messages").header("x-api-key", &key);
    let message = message.json(&chat("north/a")).send().await.expect(403);
    assert_eq!(message.body["error"]["type"], "permission_error");
    let listed = gw.request(Method::GET, "/v1/models").header("x-api-key", &key).send().await;
    refused(&listed, 403, "workspace_not_onboarded");
    assert_eq!(gw.model.served().started, 1);
    onboard(&gw, &tenant.id, true).await;
    gw.chat(&key, "north/a").await.expect(200);
}

#[tokio::test]
async fn two_workspaces_cannot_call_or_count_against_anything_of_each_other() {
    let gw = Gateway::start().await;
    let (north, south) = (gw.tenant("north", &["north"]).await, gw.tenant("south", &["south"]).await);
    for (tenant, slug) in [(&north, "north/a"), (&south, "south/a")] {
        let target =
            json!({ "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "m" });
        let made =
            gw.manage(Method::POST, "/v1/gateway/endpoints").header("x-tollgate-workspace", &tenant.id);
        made.json(&json!({ "slug": slug, "targets": [target] })).send().await.expect(200);
    }
    // Both have a group of the same name, and both list both slugs.
    let slugs = ["north/a", "south/a"];
    let (group_n, key_n) = customer(&gw, &north, &slugs).await;
    let (group_s, key_s) = customer(&gw, &south, &slugs).await;
    gw.chat(&key_n, "north/a").await.expect(200);
    gw.chat(&key_s, "south/a").await.expect(200);
    gw.chat(&key_s, "south/a").await.expect(200);
    // A slug of the other's is listed and still has no endpoint here.
    refused(&gw.chat(&key_n, "south/a").await, 404, "model_not_found");
    refused(&gw.chat(&key_s, "north/a").await, 404, "model_not_found");
    assert_eq!(gw.model.served().started, 3);
    for (tenant, group, key, own, calls) in
        [(&north, &group_n, &key_n, "north/a", 1), (&south, &group_s, &key_s, "south/a", 2)]
    {
        let path = format!("/v1/gateway/groups/{group}/usage");
        let usage = gw.request(Method::GET, &path).header("authorization", format!("Bearer {}", tenant.key));
        let usage = usage.send().await.expect(200).body;
        for slug in slugs {
            let entries = usage["usage"][slug].as_array().unwrap();
            let requests = entries.iter().find(|entry| entry["type"] == "REQUEST").unwrap();
            let expected = if slug == own { json!(calls) } else { Value::Null };
            assert_eq!(requests["current_usage"], expected, "{slug}");
        }
        let models = gw.request(Method::GET, "/v1/models").header("x-api-key", key).send().await.expect(200);
        let models: Vec<&str> = models.body["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["id"].as_str().unwrap())
            .collect();
        assert_eq!(models, [own]);
    }
}

#[tokio::test]
async fn secrets_of_one_workspace_are_not_sent_for_another() {
    let gw = Gateway::start().await;
    let (north, south) = (gw.tenant("north", &["north"]).await, gw.tenant("south", &["south"]).await);
    for (tenant, slug, value) in [(&north, "north/a", "sk-north"), (&south, "south/a", "sk-south")] {
        manage(&gw, tenant, "/v1/secrets", &json!({ "name": "UP", "value": value })).await;
        let target = json!({
            "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "m", "secret_id": "UP",
        });
        let made =
            gw.manage(Method::POST, "/v1/gateway/endpoints").header("x-tollgate-workspace", &tenant.id);
        made.json(&json!({ "slug": slug, "targets": [target] })).send().await.expect(200);
        let (_, key) = customer(&gw, tenant, &[slug]).await;
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
    for (base, written) in [("http://127.0.0.1", 400), ("http://localhost", 200)] {
        let target = at(&format!("{base}:{port}/v1"));
        let body = json!({ "slug": "north/a", "targets": [target] });
        let request = gw.request(Method::POST, "/v1/gateway/endpoints");
        let made = request.header("authorization", format!("Bearer {}", tenant.key)).json(&body).send().await;
        assert_eq!(made.status, written, "{base}: {}", made.text);
    }
    let (_, key) = customer(&gw, &tenant, &["north/a"]).await;
    refused(&gw.chat(&key, "north/a").await, 502, "upstream_unavailable");
    assert_eq!(gw.model.served().started, 0);
}
