//! What a call is answered: whom it lets in, where it goes, and that its body is not touched.

use http::Method;
use serde_json::json;
use testkit::{Gateway, OPERATOR_KEY};

use crate::support::*;

#[tokio::test]
async fn case_151_a_call_answers_200_with_the_slug_in_model() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let reply = gw.chat(&key, M1).await.expect(200);
    assert_eq!(reply.body["object"], "chat.completion");
    assert_eq!(reply.body["model"], M1);
    assert!(reply.body["choices"][0]["message"]["content"].is_string());
    assert_eq!(
        reply.body["usage"],
        json!({ "prompt_tokens": 10, "completion_tokens": 9, "total_tokens": 19 })
    );
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn case_152_without_a_known_key_a_call_is_401_and_goes_nowhere() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let (prefix, secret) = key.split_once('.').unwrap();
    let other: String = secret.chars().rev().collect();
    for (case, header, value) in [
        ("nothing", "x-nothing", String::new()),
        ("empty", "authorization", String::new()),
        ("no scheme", "authorization", key.clone()),
        ("another scheme", "authorization", format!("Basic {key}")),
        ("only a scheme", "authorization", "Bearer ".into()),
        ("garbage", "authorization", "Bearer garbage".into()),
        ("the right prefix with a wrong secret", "authorization", format!("Bearer {prefix}.{other}")),
        ("the prefix alone", "authorization", format!("Bearer {prefix}")),
        ("the secret alone", "authorization", format!("Bearer {secret}")),
        ("one character more", "authorization", format!("Bearer {key}x")),
        ("another case", "authorization", format!("Bearer {}", key.to_uppercase())),
        ("two keys", "authorization", format!("Bearer {key} {key}")),
        ("garbage in another header", "x-api-key", "garbage".into()),
    ] {
        let request = gw.request(Method::POST, "/v1/chat/completions").header(header, &value);
        let reply = request.json(&chat(M1)).send().await;
        assert_eq!(reply.status, 401, "{case}");
        refused(&reply, 401, "invalid_api_key");
        assert_eq!(reply.body["error"]["type"], "authentication_error", "{case}");
        assert!(!reply.text.contains(secret), "{case}");
        assert_eq!(reply.header("connection"), "close", "{case}");
    }
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn a_401_does_not_wait_for_the_body() {
    let gw = Gateway::start().await;
    let mut raw = Raw::open(&gw).await;
    raw.send(chat_head("garbage", "content-length: 1000000\r\n")).await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn case_153_bearer_is_accepted_unless_the_operator_is_strict() {
    for (strict, bearer) in [(false, 200), (true, 401)] {
        let gw = Gateway::with(|config| config.data_plane.strict_bearer = strict).await;
        let key = gw.customer("cust", models(M1, &[])).await.key;
        for (header, value, status) in [
            ("authorization", format!("Bearer {key}"), bearer),
            ("authorization", format!("bearer {key}"), bearer),
            ("authorization", format!("Api-Key {key}"), 200),
            ("authorization", format!("api-key  {key}"), 200),
            ("x-api-key", key.clone(), 200),
        ] {
            let request = gw.request(Method::POST, "/v1/chat/completions").header(header, &value);
            let reply = request.json(&chat(M1)).send().await;
            assert_eq!(reply.status, status, "strict: {strict}, {header}: {}", &value[..8]);
        }
    }
}

#[tokio::test]
async fn the_key_is_read_from_every_header_that_clients_put_it_in() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    for header in ["x-api-key", "api-key", "x-goog-api-key", "x-bf-vk"] {
        let request = gw.request(Method::POST, "/v1/chat/completions").header(header, &key);
        assert_eq!(request.json(&chat(M1)).send().await.status, 200, "{header}");
    }
}

#[tokio::test]
async fn a_management_key_is_nobody_on_the_data_plane() {
    let gw = Gateway::start().await;
    refused(&gw.chat(OPERATOR_KEY, M1).await, 401, "invalid_api_key");
    for path in ["/v1/models", "/v1/models/acme/m1"] {
        refused(&gw.get(path).await, 401, "invalid_api_key");
    }
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn a_revoked_key_and_one_of_a_deleted_group_fail_at_the_next_call() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[])).await;
    let other = gw.key(&customer.id).await;
    let prefix = customer.key.split_once('.').unwrap().0;
    gw.chat(&customer.key, M1).await.expect(200);
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", customer.id)).await.expect(200);
    refused(&gw.chat(&customer.key, M1).await, 401, "invalid_api_key");
    gw.chat(&other, M1).await.expect(200);
    gw.delete(&format!("/v1/gateway/groups/{}", customer.id)).await.expect(200);
    refused(&gw.chat(&other, M1).await, 401, "invalid_api_key");
}

#[tokio::test]
async fn case_154_a_call_without_model_is_400() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let reply = gw.chat_with(&key, json!({ "messages": [] })).await;
    refused(&reply, 400, "missing_model");
    assert_eq!(reply.body["error"]["param"], "model");
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn case_155_a_slug_outside_the_groups_set_is_403_in_the_same_words_whether_it_exists_or_not() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let mut sentences = Vec::new();
    for slug in [M2, "acme/m9", "gpt-4o", "", "ACME/M1", "acme/m1 "] {
        let reply = gw.chat(&key, slug).await;
        refused(&reply, 403, "model_not_allowed");
        assert_eq!(reply.body["error"]["type"], "permission_error");
        let message = reply.body["error"]["message"].as_str().unwrap();
        sentences.push(message.replacen(&format!("`{slug}`"), "`?`", 1));
    }
    assert!(sentences.iter().all(|sentence| *sentence == sentences[0]), "{sentences:?}");
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn a_slug_that_is_granted_but_has_no_endpoint_is_404() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models("acme/later", &[])).await.key;
    refused(&gw.chat(&key, "acme/later").await, 404, "model_not_found");
    gw.endpoint("acme/later").await;
    gw.chat(&key, "acme/later").await.expect(200);
}

#[tokio::test]
async fn case_156_one_key_calls_every_slug_of_its_group() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", json!([model(M1, &[]), model(M2, &[])])).await.key;
    for slug in [M1, M2] {
        assert_eq!(gw.chat(&key, slug).await.expect(200).body["model"], slug);
    }
}

/// Everything that a reader and writer of JSON would have changed.
const PECULIAR: &str = r#" { "zeta":1,"alpha" : [ 1.0, 1e3, -0, 12345678901234567890123 ],
    "model"  :  "acme\/m1" ,
    "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"model":"acme/m1"}}},
    "tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":2}}}],
    "unknown":null,"unknown":null,"max_tokens":9,"text":"\u00e9é\u2028 \"model\":\"acme/m1\"",
    "messages":[{"role":"user","content":"model"}] }
 "#;

#[tokio::test]
async fn case_159_a_body_reaches_the_model_server_byte_for_byte() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    gw.chat_request(&key).header("content-type", "application/json").body(PECULIAR).send().await.expect(200);
    let seen = gw.model.last_request().unwrap();
    let expected = PECULIAR.replacen(r#""acme\/m1""#, r#""simulated""#, 1);
    assert_eq!(std::str::from_utf8(&seen.body).unwrap(), expected);
    assert_eq!(seen.header("content-length"), Some(expected.len().to_string().as_str()));
}

#[tokio::test]
async fn a_stream_asks_for_its_usage_and_nothing_else_is_changed() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    for (sent, expected) in [
        (
            r#"{ "model":"acme/m1","stream":true, "messages":[] }"#,
            r#"{"stream_options":{"include_usage":true}, "model":"simulated","stream":true, "messages":[] }"#,
        ),
        (
            r#"{"stream_options":{"include_usage":false,"x":1},"stream":true,"model":"acme/m1","messages":[]}"#,
            r#"{"stream_options":{"include_usage":true,"x":1},"stream":true,"model":"simulated","messages":[]}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":true},"stream":true,"model":"acme/m1","messages":[]}"#,
            r#"{"stream_options":{"include_usage":true},"stream":true,"model":"simulated","messages":[]}"#,
        ),
        (
            r#"{"stream_options":null,"stream":false,"model":"acme/m1","messages":[]}"#,
            r#"{"stream_options":null,"stream":false,"model":"simulated","messages":[]}"#,
        ),
    ] {
        gw.chat_request(&key).body(sent).send().await.expect(200);
        let seen = gw.model.last_request().unwrap();
        assert_eq!(std::str::from_utf8(&seen.body).unwrap(), expected);
    }
}

#[tokio::test]
async fn case_160_the_model_server_sees_the_target_model_and_the_caller_the_slug() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let reply = gw.chat(&key, M1).await.expect(200);
    let seen = gw.model.last_request().unwrap();
    let body: serde_json::Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!((body["model"].as_str(), seen.path.as_str()), (Some("simulated"), "/v1/chat/completions"));
    assert_eq!(reply.body["model"], M1);
    assert!(!reply.text.contains("simulated"));
}

#[tokio::test]
async fn case_164_a_slug_that_is_added_can_be_called_at_once() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[])).await;
    refused(&gw.chat(&customer.key, M2).await, 403, "model_not_allowed");
    let group = format!("/v1/gateway/groups/{}", customer.id);
    gw.patch(&group, json!({ "models": [model(M1, &[]), model(M2, &[])] })).await.expect(200);
    gw.chat(&customer.key, M2).await.expect(200);
    gw.patch(&group, json!({ "models": [model(M2, &[])] })).await.expect(200);
    refused(&gw.chat(&customer.key, M1).await, 403, "model_not_allowed");
}

#[tokio::test]
async fn a_query_does_not_go_upstream() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[])).await.key;
    let request = gw.request(Method::POST, "/v1/chat/completions?api-version=2026-01-01");
    request.header("api-key", &key).json(&chat(M1)).send().await.expect(200);
    assert_eq!(gw.model.last_request().unwrap().path, "/v1/chat/completions");
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &COUNTED)).await.key;
    for (status, method, path) in [
        (404, Method::GET, "/"),
        (404, Method::POST, "/v1"),
        (404, Method::POST, "/v1/"),
        (404, Method::POST, "/v1/chat"),
        (404, Method::POST, "/v1/chat/completions/"),
        (404, Method::POST, "/v1//chat/completions"),
        (404, Method::POST, "/V1/chat/completions"),
        (404, Method::POST, "/v2/chat/completions"),
        (404, Method::POST, "/chat/completions"),
        (404, Method::GET, "/v1/models/"),
        (404, Method::GET, "/v1/files"),
        (404, Method::GET, "/v1/responses/resp_1"),
        (405, Method::GET, "/v1/chat/completions"),
        (405, Method::PUT, "/v1/chat/completions"),
        (405, Method::DELETE, "/v1/chat/completions"),
        (405, Method::POST, "/v1/models"),
        (405, Method::DELETE, "/v1/models/acme/m1"),
    ] {
        let request = gw.request(method.clone(), path).header("authorization", format!("Bearer {key}"));
        let reply = request.json(&chat(M1)).send().await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text);
        refused(&reply, status, "unknown_route");
    }
    assert_eq!(gw.model.served().started, 0, "there is no way past the limits");
}
