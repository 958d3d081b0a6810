//! Where an endpoint may point, and with which credential it is called.

use serde_json::{Value, json};
use testkit::{Gateway, ModelServer, Script};

use crate::support::*;

#[tokio::test]
async fn an_endpoint_that_points_at_the_gateway_itself_makes_no_loop() {
    for host in ["127.0.0.1", "localhost"] {
        let gw = Gateway::start().await;
        let port = gw.addr().port();
        let customer = customer_of(&gw, at(&format!("http://{host}:{port}/v1"))).await;
        refused(&gw.chat(&customer.key, "acme/x").await, 502, "upstream_unavailable");
        assert_eq!(charged_x(&gw, &customer).await, (json!(1), json!(0)));
        assert_eq!(gw.node().in_flight(), 0);
    }
}

#[tokio::test]
async fn addresses_that_nobody_may_reach_are_not_dialled() {
    let gw = Gateway::start().await;
    for address in ["169.254.169.254", "0.0.0.0", "224.0.0.1", "[fe80::1]", "[::ffff:169.254.169.254]"] {
        let body = json!({ "slug": "acme/x", "targets": [at(&format!("http://{address}/v1"))] });
        gw.post("/v1/gateway/endpoints", body).await.expect(400);
    }
}

#[tokio::test]
async fn a_target_without_its_secret_is_502_and_nothing_is_charged() {
    for target in
        [json!({ "provider": "BASETEN", "model_id": "abc" }), json!({ "provider": "BASETEN_MODEL_API" })]
    {
        let gw = Gateway::start().await;
        let customer = customer_of(&gw, target).await;
        let reply = gw.chat(&customer.key, "acme/x").await;
        refused(&reply, 502, "upstream_refused_credentials");
        assert!(!reply.text.contains("BASETEN_API_KEY"));
        assert_eq!(charged_x(&gw, &customer).await, (Value::Null, Value::Null));
    }
}

#[tokio::test]
async fn each_provider_is_called_at_its_own_address_with_its_own_credential() {
    let server = ModelServer::start(Script::default()).await.unwrap();
    let base = server.base_url();
    let gw = Gateway::with(|config| {
        config.upstream.openai_base_url = format!("{base}/openai");
        config.upstream.baseten_url = format!("{base}/{{model_id}}/{{environment}}");
        config.upstream.baseten_model_api_url = format!("{base}/apis");
    })
    .await;
    for (name, value) in [("BASETEN_API_KEY", "bt-key"), ("UP", "sk-up")] {
        gw.post("/v1/secrets", json!({ "name": name, "value": value })).await.expect(200);
    }
    let baseten = json!({ "provider": "BASETEN", "model_id": "abc" });
    let staging = json!({ "provider": "BASETEN", "model_id": "abc", "environment_name": "staging" });
    let openai = json!({ "provider": "OPENAI", "target_model": "gpt", "secret_id": "UP" });
    let compatible = json!({
        "provider": "OPENAI_COMPATIBLE", "target_model": "m", "secret_id": "UP", "base_url": format!("{base}/own/"),
    });
    let granted = ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e"].map(|slug| model(slug, &[]));
    let key = gw.customer("cust", Value::Array(granted.to_vec())).await.key;
    for (slug, target, path, authorization, name) in [
        ("acme/a", baseten, "/v1/abc/production/chat/completions", "Api-Key bt-key", "acme/a"),
        ("acme/b", staging, "/v1/abc/staging/chat/completions", "Api-Key bt-key", "acme/b"),
        (
            "acme/c",
            json!({ "provider": "BASETEN_MODEL_API", "target_model": "m" }),
            "/v1/apis/chat/completions",
            "Api-Key bt-key",
            "m",
        ),
        ("acme/d", openai, "/v1/openai/chat/completions", "Bearer sk-up", "gpt"),
        ("acme/e", compatible, "/v1/own/chat/completions", "Bearer sk-up", "m"),
    ] {
        gw.post("/v1/gateway/endpoints", json!({ "slug": slug, "targets": [target] })).await.expect(200);
        let reply = gw.chat(&key, slug).await.expect(200);
        let seen = server.last_request().unwrap();
        assert_eq!((seen.path.as_str(), seen.header("authorization")), (path, Some(authorization)));
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((&body["model"], &reply.body["model"]), (&json!(name), &json!(slug)));
    }
}

#[tokio::test]
async fn a_target_that_is_changed_or_renamed_is_followed_at_once() {
    let gw = Gateway::with(|config| config.server.workers = 1).await;
    let other = ModelServer::start(Script::default()).await.unwrap();
    let made =
        gw.post("/v1/gateway/endpoints", json!({ "slug": "acme/x", "targets": [at(&gw.model.base_url())] }));
    let path = format!("/v1/gateway/endpoints/{}", made.await.expect(200).body["id"].as_str().unwrap());
    let key = gw.customer("cust", json!([model("acme/x", &[]), model("acme/y", &[])])).await.key;
    gw.chat(&key, "acme/x").await.expect(200);
    gw.patch(&path, json!({ "targets": [at(&other.base_url())] })).await.expect(200);
    gw.chat(&key, "acme/x").await.expect(200);
    assert_eq!((gw.model.served().started, other.served().started), (1, 1));
    gw.patch(&path, json!({ "slug": "acme/y" })).await.expect(200);
    refused(&gw.chat(&key, "acme/x").await, 404, "model_not_found");
    gw.chat(&key, "acme/y").await.expect(200);
    gw.delete(&path).await.expect(200);
    refused(&gw.chat(&key, "acme/y").await, 404, "model_not_found");
}
