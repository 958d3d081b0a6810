//! What all management routes have in common: credentials, unknown paths, bounds, and the form of errors.

use http::Method;
use serde_json::json;
use testkit::Gateway;

use crate::support::*;

#[tokio::test]
async fn case_043_238_only_an_operator_gets_in_and_is_asked_first() {
    let gw = Gateway::start().await;
    let key = gw.key(&created(&gw, plain("cust_42")).await).await;
    for (path, method) in [
        (GROUPS, Method::POST),
        (GROUPS, Method::GET),
        ("/v1/gateway/groups/00000000001", Method::PATCH),
        ("/v1/gateway/nothing", Method::GET),
        (GROUPS, Method::PUT),
        ("/v1/secrets", Method::POST),
    ] {
        let bare = gw.request(method.clone(), path).body("not json").send().await;
        refused(&bare, 401, "43");
        let with = async |credential: &str| {
            gw.request(method.clone(), path).header("authorization", credential).body("not json").send().await
        };
        for credential in ["", "Api-Key", "Basic b3A6a2V5", "Api-Key nobody.knows", "nobody"] {
            refused(&with(credential).await, 401, credential);
        }
        for scheme in ["Api-Key", "Bearer"] {
            refused(&with(&format!("{scheme} {key}")).await, 403, "238");
        }
    }
}

#[tokio::test]
async fn case_042_both_schemes_are_taken() {
    let gw = Gateway::start().await;
    for (scheme, external) in [("Api-Key", "a"), ("Bearer", "b"), ("api-key", "c")] {
        let credential = format!("{scheme} {}", testkit::OPERATOR_KEY);
        let request = gw.request(Method::POST, GROUPS).header("authorization", credential);
        assert_eq!(request.json(&plain(external)).send().await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn case_234_to_235_unknown_paths_are_404_and_wrong_methods_405() {
    let gw = Gateway::start().await;
    for path in [
        "/v1/gateway",
        "/v1/gateway/",
        "/v1/gateway/users",
        "/v1/gateway/users/u_1/api_keys",
        "/v1/gateway/groups/",
        "/v1/gateway/groups/00000000001/nothing",
        "/v1/secrets/a/b",
        "/v1/workspaces/",
        "/v1/workspaces/00000000001/nothing",
        "/v1/workspaces/00000000001/management_keys/00000000001/x",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            refused(&send(&gw, method, path, b"{}").await, 404, path);
        }
    }
    for (method, path) in [
        (Method::PUT, GROUPS),
        (Method::DELETE, GROUPS),
        (Method::POST, "/v1/gateway/groups/00000000001"),
        (Method::PATCH, "/v1/gateway/groups/00000000001/api_keys/sky_0"),
        (Method::PUT, ENDPOINTS),
        (Method::GET, "/v1/gateway/endpoints/00000000001/test"),
        (Method::GET, "/v1/secrets/a"),
        (Method::GET, "/v1/gateway/groups/00000000001/api_keys/register"),
        (Method::DELETE, "/v1/workspaces/00000000001"),
        (Method::PUT, "/v1/workspaces"),
        (Method::GET, "/v1/workspaces/00000000001/management_keys/00000000001"),
    ] {
        let reply = send(&gw, method, path, b"{}").await;
        refused(&reply, 405, path);
        assert!(reply.headers.contains_key("allow"), "{path}");
    }
}

#[tokio::test]
async fn a_body_has_a_bound_and_no_encoding() {
    let gw = Gateway::start().await;
    let mut long = plain("cust_42");
    long["padding"] = json!("x".repeat(8 << 20));
    refused(&gw.post(GROUPS, long).await, 413, "8 MiB and more");
    let packed = gw.manage(Method::POST, GROUPS).header("content-encoding", "gzip").body(vec![0x1f, 0x8b]);
    refused(&packed.send().await, 415, "gzip");
    assert_eq!(gw.get(GROUPS).await.body["items"], json!([]));
}

#[tokio::test]
async fn case_233_an_error_does_not_grow_with_what_was_sent() {
    let gw = Gateway::start().await;
    let long = plain_with("/models/0/slug", json!("x".repeat(100_000)));
    let reply = gw.post(GROUPS, long).await;
    refused(&reply, 400, "a long slug");
    let wrong = plain_with("/hierarchy/limit_enforcement", json!("X".repeat(100_000)));
    let reply = gw.post(GROUPS, wrong).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["message"].as_str().unwrap().len() < 1_000);
}

#[tokio::test]
async fn case_237_every_timestamp_is_utc_in_whole_seconds() {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    gw.post("/v1/secrets", json!({"name": "upstream", "value": "sk-1"})).await;
    let endpoints = gw.get(ENDPOINTS).await.body;
    let secrets = gw.get("/v1/secrets").await.body;
    let read = gw.get(&group_path(&group)).await.body;
    let deleted = gw.delete(&group_path(&group)).await.body;
    for (what, value) in [
        ("a group's creation", &read["created_at"]),
        ("a group's deletion", &deleted["deleted_at"]),
        ("an endpoint's creation", &endpoints["items"][0]["created_at"]),
        ("an endpoint's update", &endpoints["items"][0]["updated_at"]),
        ("a secret's creation", &secrets["items"][0]["created_at"]),
    ] {
        assert_eq!(value, "2026-05-13T12:00:00Z", "{what}: the test's clock stands at noon");
    }
}
