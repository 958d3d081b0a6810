//! `/v1/gateway/endpoints`

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::*;

fn baseten() -> Value {
    json!({"provider": "BASETEN", "model_id": "3kZ9xqd"})
}

fn compatible() -> Value {
    json!({"provider": "OPENAI_COMPATIBLE", "target_model": "m", "base_url": "https://models.example/v1"})
}

fn endpoint(slug: &str, target: Value) -> Value {
    let mut body = json!({"slug": slug, "targets": []});
    body["targets"] = Value::Array(vec![target]);
    body
}

/// A target with one field set, or taken away where the value is null.
fn with(mut target: Value, field: &str, value: Value) -> Value {
    target[field] = value;
    target
}

async fn each_is_refused(cases: &[(&str, Value)]) {
    let gw = Gateway::start().await;
    let before = gw.get(ENDPOINTS).await.body;
    for (case, body) in cases {
        refused(&gw.post(ENDPOINTS, body.clone()).await, 400, case);
    }
    assert_eq!(gw.get(ENDPOINTS).await.body, before);
}

fn path(endpoint: &Value) -> String {
    format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap())
}

#[tokio::test]
async fn case_133_a_created_endpoint_has_exactly_the_published_form() {
    let gw = Gateway::start().await;
    let target = with(baseten(), "environment_name", json!("staging"));
    let reply = gw.post(ENDPOINTS, endpoint("acme/glm-5.2", target.clone())).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!(fields(&reply.body), ["created_at", "id", "region", "slug", "targets", "updated_at"]);
    assert_eq!((&reply.body["slug"], &reply.body["targets"]), (&json!("acme/glm-5.2"), &json!([target])));
    assert_eq!(reply.body["created_at"], reply.body["updated_at"]);
    let read = gw.get(&path(&reply.body)).await;
    assert_eq!((read.status, read.body), (200, reply.body));
}

#[tokio::test]
async fn case_134_production_is_not_echoed() {
    let gw = Gateway::start().await;
    for (slug, environment) in [("acme/a", Value::Null), ("acme/b", json!("production"))] {
        let reply =
            gw.post(ENDPOINTS, endpoint(slug, with(baseten(), "environment_name", environment))).await;
        assert_eq!((reply.status, &reply.body["targets"]), (200, &json!([baseten()])), "{slug}");
    }
}

#[tokio::test]
async fn case_135_to_138_one_target_a_good_slug_and_a_known_provider() {
    each_is_refused(&[
        ("135, none", json!({"slug": "acme/x", "targets": []})),
        ("135, two", json!({"slug": "acme/x", "targets": [baseten(), baseten()]})),
        ("135, missing", json!({"slug": "acme/x"})),
        ("136, no slash", endpoint("acme", baseten())),
        ("136, two slashes", endpoint("acme/x/y", baseten())),
        ("136, space", endpoint("acme/x y", baseten())),
        ("136, missing", json!({"targets": [baseten()]})),
        ("137", endpoint("acme/m1", baseten())),
        ("138", endpoint("acme/x", json!({"provider": "FOO"}))),
        ("138, missing", endpoint("acme/x", json!({"model_id": "x"}))),
        ("142", json!({"slug": "acme/x", "targets": [baseten()], "region": "US"})),
    ])
    .await;
}

#[tokio::test]
async fn case_139_to_141_each_provider_has_its_own_fields() {
    let openai = json!({"provider": "OPENAI", "secret_id": "s", "target_model": "gpt"});
    let x = |target: Value| endpoint("acme/x", target);
    each_is_refused(&[
        ("139, no secret", x(with(openai.clone(), "secret_id", Value::Null))),
        ("139, no model", x(with(openai.clone(), "target_model", Value::Null))),
        ("139, model_id", x(with(openai.clone(), "model_id", json!("m")))),
        ("139, unknown secret", x(openai.clone())),
        ("140", x(with(baseten(), "model_id", Value::Null))),
        ("140, secret", x(with(baseten(), "secret_id", json!("s")))),
        ("140, a model that is another host", x(with(baseten(), "model_id", json!("x.evil.example/")))),
        ("141, no url", x(with(compatible(), "base_url", Value::Null))),
        ("141, url", x(with(openai, "base_url", json!("https://a.example")))),
        ("vertex without config", x(json!({"provider": "VERTEX", "secret_id": "s", "target_model": "m"}))),
        ("empty model", x(with(compatible(), "target_model", json!("")))),
        ("long model", x(with(compatible(), "target_model", json!("m".repeat(256))))),
        ("output of nothing", x(with(compatible(), "max_output_tokens", json!(0)))),
        ("output in text", x(with(compatible(), "max_output_tokens", json!("5")))),
        ("tokenizer of nobody", x(with(compatible(), "tokenizer", json!("p50k")))),
        ("tokenizer in other letters", x(with(compatible(), "tokenizer", json!("O200K")))),
        ("tokenizer by number", x(with(compatible(), "tokenizer", json!(200)))),
    ])
    .await;
}

#[tokio::test]
async fn targets_that_must_not_be_called_are_refused() {
    let to = |url: &str| endpoint("acme/x", with(compatible(), "base_url", json!(url)));
    let reading = |secret: &str| endpoint("acme/x", with(compatible(), "secret_id", json!(secret)));
    each_is_refused(&[
        ("scheme", to("file:///etc/passwd")),
        ("user", to("https://user:password@models.example/v1")),
        ("query", to("https://models.example/v1?x=1")),
        ("metadata service", to("http://169.254.169.254/v1")),
        ("metadata service, mapped", to("http://[::ffff:169.254.169.254]/v1")),
        ("unspecified", to("http://0.0.0.0:8000/v1")),
        ("any variable", reading("env.HOME")),
        ("our own variable", reading("env.TOLLGATE_MASTER_KEY")),
    ])
    .await;
}

#[tokio::test]
async fn variables_that_the_configuration_lists_may_be_secrets() {
    let gw = Gateway::with(|config| config.secrets.env_allow = vec!["MODEL_KEY".into()]).await;
    let reading = |secret: &str| endpoint("acme/x", with(compatible(), "secret_id", json!(secret)));
    refused(&gw.post(ENDPOINTS, reading("env.OTHER")).await, 400, "not listed");
    let reply = gw.post(ENDPOINTS, reading("env.MODEL_KEY")).await;
    assert_eq!((reply.status, &reply.body["targets"][0]["secret_id"]), (200, &json!("env.MODEL_KEY")));
}

#[tokio::test]
async fn an_operators_target_may_stand_in_a_private_network() {
    let gw = Gateway::start().await;
    let plain_http = endpoint("acme/x", with(compatible(), "base_url", json!("http://10.0.0.5:8000/v1")));
    assert_eq!(gw.post(ENDPOINTS, plain_http).await.status, 200);
}

#[tokio::test]
async fn hidden_output_and_every_way_of_admission_are_stored_and_shown() {
    let gw = Gateway::start().await;
    let target = with(compatible(), "hidden_output", json!(true));
    for (slug, word) in
        [("acme/a", "estimate"), ("acme/b", "learned"), ("acme/c", "hard"), ("acme/d", "observed")]
    {
        let mut wanted = endpoint(slug, target.clone());
        wanted["admission"] = json!(word);
        let made = gw.post(ENDPOINTS, wanted).await;
        assert_eq!((made.status, &made.body["targets"]), (200, &json!([target])));
        assert_eq!(gw.get(&path(&made.body)).await.body["admission"], word);
    }
    let mut soft = endpoint("acme/x", compatible());
    soft["admission"] = json!("soft");
    refused(&gw.post(ENDPOINTS, soft).await, 400, "admission");
}

#[tokio::test]
async fn a_tokenizer_is_stored_and_shown_where_it_is_set() {
    let gw = Gateway::start().await;
    for (slug, word) in [("acme/a", "o200k"), ("acme/b", "cl100k"), ("acme/c", "bytes")] {
        let target = with(compatible(), "tokenizer", json!(word));
        let made = gw.post(ENDPOINTS, endpoint(slug, target.clone())).await;
        assert_eq!((made.status, &made.body["targets"]), (200, &json!([target])));
        assert_eq!(gw.get(&path(&made.body)).await.body["targets"], json!([target]));
    }
    let mut target = compatible();
    target["tokenizer"] = Value::Null;
    let made = gw.post(ENDPOINTS, endpoint("acme/d", target)).await;
    assert_eq!(
        (made.status, &made.body["targets"]),
        (200, &json!([compatible()])),
        "left out where it is not"
    );
}

#[tokio::test]
async fn case_142_a_region_is_stored_and_shown() {
    let gw = Gateway::start().await;
    for (slug, given, shown) in [
        ("acme/a", Value::Null, "UNRESTRICTED"),
        ("acme/b", json!("EU"), "EU"),
        ("acme/c", json!("UNRESTRICTED"), "UNRESTRICTED"),
    ] {
        let mut body = endpoint(slug, baseten());
        body["region"] = given;
        assert_eq!(gw.post(ENDPOINTS, body).await.body["region"], shown);
    }
}

#[tokio::test]
async fn case_143_146_targets_are_replaced_whole() {
    let gw = Gateway::start().await;
    let before =
        gw.post(ENDPOINTS, endpoint("acme/x", with(compatible(), "max_output_tokens", json!(5)))).await.body;
    gw.clock.advance(Duration::from_secs(5));
    let after = gw.patch(&path(&before), json!({"targets": [baseten()]})).await;
    assert_eq!((after.status, &after.body["targets"]), (200, &json!([baseten()])), "143");
    for field in ["id", "slug", "created_at", "region"] {
        assert_eq!(after.body[field], before[field], "143");
    }
    assert!(after.body["updated_at"].as_str() > before["updated_at"].as_str(), "143");
    for (case, patch) in [
        ("146", json!({"targets": []})),
        ("nothing", json!({})),
        ("nothing but null", json!({"targets": null, "slug": null, "region": null})),
        ("taken slug", json!({"slug": "acme/m1"})),
        ("bad slug", json!({"slug": "acme"})),
        ("bad target", json!({"targets": [{"provider": "BASETEN"}]})),
    ] {
        refused(&gw.patch(&path(&before), patch).await, 400, case);
        assert_eq!(gw.get(&path(&before)).await.body, after.body, "{case}");
    }
}

#[tokio::test]
async fn case_145_a_slug_is_renamed_and_the_old_one_is_free_at_once() {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    let key = gw.key(&group).await;
    let endpoints = gw.get(ENDPOINTS).await.body;
    let m1 = endpoints["items"].as_array().unwrap().iter().find(|e| e["slug"] == "acme/m1").unwrap().clone();
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    let renamed = gw.patch(&path(&m1), json!({"slug": "acme/m1-old"})).await;
    assert_eq!((renamed.status, &renamed.body["slug"]), (200, &json!("acme/m1-old")));
    assert_eq!((&renamed.body["id"], &renamed.body["targets"]), (&m1["id"], &m1["targets"]));
    assert_eq!(chat(&gw, &key, "acme/m1").await, 404);
    assert_eq!(gw.patch(&path(&m1), json!({"slug": "acme/m1"})).await.status, 200);
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
}

#[tokio::test]
async fn case_147_to_148_a_deleted_endpoint_is_gone_and_its_slug_free() {
    let gw = Gateway::start().await;
    let endpoint_x = endpoint("acme/x", baseten());
    let first = gw.post(ENDPOINTS, endpoint_x.clone()).await.body;
    let deleted = gw.delete(&path(&first)).await;
    assert_eq!((deleted.status, deleted.body), (200, json!({"id": first["id"], "slug": "acme/x"})), "147");
    refused(&gw.get(&path(&first)).await, 404, "147");
    refused(&gw.delete(&path(&first)).await, 404, "147");
    refused(&gw.patch(&path(&first), json!({})).await, 404, "147");
    refused(&gw.post(&format!("{}/test", path(&first)), json!({})).await, 404, "147");
    let second = gw.post(ENDPOINTS, endpoint_x).await;
    assert_eq!(second.status, 200, "148");
    assert_ne!(second.body["id"], first["id"], "148");
}

#[tokio::test]
async fn case_149_endpoints_are_listed_in_pages() {
    let gw = Gateway::start().await;
    let third = gw.post(ENDPOINTS, endpoint("acme/m3", baseten())).await.body;
    let first = gw.get(&format!("{ENDPOINTS}?limit=2")).await.body;
    let slugs: Vec<&str> =
        first["items"].as_array().unwrap().iter().map(|e| e["slug"].as_str().unwrap()).collect();
    assert_eq!((slugs, &first["pagination"]["has_more"]), (vec!["acme/m1", "acme/m2"], &json!(true)));
    let cursor = first["pagination"]["cursor"].as_str().unwrap();
    let second = gw.get(&format!("{ENDPOINTS}?limit=2&cursor={cursor}")).await.body;
    assert_eq!(second, json!({"items": [third], "pagination": {"has_more": false, "cursor": null}}));
}

#[tokio::test]
async fn an_endpoint_is_tested_with_one_call_that_nobody_pays() {
    let gw = Gateway::start().await;
    let endpoints = gw.get(ENDPOINTS).await.body;
    let reply = gw.post(&format!("{}/test", path(&endpoints["items"][0])), json!({})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(fields(&reply.body), ["error", "status", "ttft_ms", "usage"]);
    assert_eq!((&reply.body["status"], &reply.body["error"]), (&json!(200), &Value::Null));
    assert_eq!(fields(&reply.body["usage"]), ["cached_input_tokens", "input_tokens", "output_tokens"]);
}

#[tokio::test]
async fn case_144_traffic_follows_a_new_target_with_the_next_call() {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    let key = gw.key(&group).await;
    let other = testkit::ModelServer::start(testkit::Script::default()).await.unwrap();
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    let endpoints = gw.get(ENDPOINTS).await.body;
    let m1 = endpoints["items"].as_array().unwrap().iter().find(|e| e["slug"] == "acme/m1").unwrap().clone();
    let target =
        json!({"provider": "OPENAI_COMPATIBLE", "base_url": other.base_url(), "target_model": "other"});
    assert_eq!(gw.patch(&path(&m1), json!({"targets": [target]})).await.status, 200);
    assert_eq!(chat(&gw, &key, "acme/m1").await, 200);
    assert_eq!((gw.model.served().started, other.served().started), (1, 1));
}
