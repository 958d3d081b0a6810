//! `GET /v1/gateway/decisions/{request_id}`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::fs;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};

use crate::support::*;

const MODEL: &str = "acme/m1";
const DAY: Duration = Duration::from_secs(86_400);

fn path(id: &str) -> String {
    format!("/v1/gateway/decisions/{id}")
}

/// What was decided on the call with this answer, in its published form: who asked for what, and the rest.
async fn decision(gw: &Gateway, answer: &Reply) -> (Value, Value) {
    let id = answer.header("x-request-id");
    let mut rest = gw.get(&path(id)).await.expect(200).body;
    let mut who = json!({});
    for name in ["request_id", "at", "group_id", "api_key_prefix", "model"] {
        who[name] = rest.as_object_mut().unwrap().remove(name).unwrap();
    }
    let names = ["admitted", "binding", "code", "hold", "limits", "mode", "passes_at", "status", "warnings"];
    assert_eq!(fields(&rest), names);
    assert_eq!((&who["request_id"], &rest["status"]), (&json!(id), &json!(answer.status)));
    assert_eq!(rest["code"], answer.body["error"]["code"]);
    (who, rest)
}

/// What would become of a short call by this group now.
async fn explained(gw: &Gateway, key: &str, model: &str, max_tokens: u64) -> Value {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let text = json!({"model": model, "max_tokens": max_tokens, "messages": messages}).to_string();
    let prompt = wire::read_call(wire::Operation::ChatCompletions, text.as_bytes()).unwrap().prompt_tokens();
    let question = json!({"api_key_prefix": prefix(key), "model": model, "prompt_tokens": prompt, "max_tokens": max_tokens});
    gw.post("/v1/gateway/explain", question).await.expect(200).body
}

async fn call(gw: &Gateway, key: &str, model: &str, max_tokens: u64) -> Reply {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    gw.chat_with(key, json!({"model": model, "max_tokens": max_tokens, "messages": messages})).await
}

/// A customer whose one request of the day is used.
async fn exhausted(gw: &Gateway) -> Customer {
    let customer = gw.customer("cust_42", json!([m1(&[limit("REQUEST", "DAY", 1)])])).await;
    call(gw, &customer.key, MODEL, 9).await.expect(200);
    gw.quiet().await;
    customer
}

#[tokio::test]
async fn the_decision_on_a_refused_call_is_what_an_explanation_says_at_that_moment() {
    let gw = Gateway::start().await;
    let target = json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "m", "max_output_tokens": 90,
    });
    gw.post(ENDPOINTS, json!({"slug": "acme/small", "targets": [target]})).await.expect(200);
    let mut refusals = 0;
    for declared in [
        vec![limit("REQUEST", "SECOND", 1), tok_min(100)],
        vec![limit("REQUEST", "MINUTE", 2), limit("TOKEN", "DAY", 40)],
        vec![limit("TOKEN", "SECOND", 40), limit("REQUEST", "DAY", 4)],
    ] {
        for mode in ["INDEPENDENT", "CASCADING"] {
            let root = body(&format!("{declared:?} {mode}"), &[model("acme/small", &declared)], mode, None);
            let root = created(&gw, root).await;
            let leaf = body("leaf", &[model("acme/small", &[])], mode, Some(&root));
            let leaf = json!({"metadata": {"external_entity_id": format!("leaf {declared:?} {mode}"), "name": null},
                "models": leaf["models"], "hierarchy": leaf["hierarchy"]});
            let group = created(&gw, leaf).await;
            let key = gw.key(&group).await;
            for (step, max_tokens) in [(7, 9), (131, 9), (23, 9), (311, 9), (600, 500)] {
                let expected = explained(&gw, &key, "acme/small", max_tokens).await;
                let answer = call(&gw, &key, "acme/small", max_tokens).await;
                gw.quiet().await;
                if answer.status == 429 {
                    refusals += 1;
                    let (who, said) = decision(&gw, &answer).await;
                    assert_eq!(said, expected);
                    assert_eq!(who["group_id"], group);
                    assert_eq!(who["api_key_prefix"], prefix(&key));
                    assert_eq!(who["model"], "acme/small");
                    let now = domain::Clock::now(&*gw.clock).wall_ms;
                    let at: jiff::Timestamp = who["at"].as_str().unwrap().parse().unwrap();
                    assert_eq!(at.as_millisecond(), i64::try_from(now).unwrap());
                }
                gw.clock.advance(Duration::from_millis(step));
            }
        }
    }
    assert!(refusals >= 12, "{refusals}");
}

#[tokio::test]
async fn the_decision_on_an_admitted_call_shows_every_limit_with_the_call_in_it() {
    let gw = Gateway::start().await;
    let declared = [limit("REQUEST", "MINUTE", 1), limit("TOKEN", "DAY", 100)];
    let key = gw.customer("cust_42", json!([m1(&declared)])).await.key;
    let before = explained(&gw, &key, MODEL, 9).await;
    let answer = call(&gw, &key, MODEL, 9).await.expect(200);
    gw.quiet().await;
    gw.clock.advance(Duration::from_secs(5));
    let (who, said) = decision(&gw, &answer).await;
    assert_eq!(who["at"], "2026-05-13T12:00:00.000Z");
    for name in ["admitted", "status", "code", "mode", "hold", "binding", "passes_at", "warnings"] {
        assert_eq!(said[name], before[name], "{name}");
    }
    let (requests, tokens) = (&said["limits"][0], &said["limits"][1]);
    assert_eq!(
        (&requests["used"], &requests["remaining"], &requests["fits"]),
        (&json!(1), &json!(0), &json!(true))
    );
    assert_eq!(
        (&tokens["pending"], &tokens["fits"]),
        (&said["hold"]["tokens"], &json!(true)),
        "held, not settled"
    );
    assert_eq!(requests["resets_at"], "2026-05-13T12:01:00.000Z");
}

#[tokio::test]
async fn a_call_that_was_turned_away_before_any_limit_is_told_as_it_was_answered() {
    let gw = Gateway::start().await;
    let models = json!([m1(&[tok_min(100)]), model("acme/gone", &[tok_min(100)])]);
    let customer = gw.customer("cust_42", models).await;
    let long = "x".repeat(9_000);
    for (asked, kept, status) in [
        ("acme/m2", "acme/m2", 403),
        ("gpt-4", "gpt-4", 403),
        ("acme/gone", "acme/gone", 404),
        (&long, &long[..255], 403),
    ] {
        let expected = gw.post("/v1/gateway/explain", json!({"group_id": customer.id, "model": kept})).await;
        let answer = gw.chat(&customer.key, asked).await.expect(status);
        let (who, said) = decision(&gw, &answer).await;
        assert_eq!((&who["model"], &who["group_id"]), (&json!(kept), &json!(customer.id)));
        assert_eq!(said, expected.expect(200).body);
    }
}

#[tokio::test]
async fn a_call_whose_prompt_cannot_be_counted_is_told_with_the_mode_that_counts() {
    let gw = Gateway::start().await;
    let mut exact = m1(&[tok_min(100)]);
    exact["admission"] = "hard".into();
    let customer = gw.customer("cust_42", json!([exact])).await;
    let request = gw.request(Method::POST, "/v1/responses");
    let request = request.header("authorization", format!("Bearer {}", customer.key));
    let body = json!({"model": MODEL, "input": "more", "previous_response_id": "resp_1"});
    let answer = request.json(&body).send().await.expect(400);
    let (who, said) = decision(&gw, &answer).await;
    assert_eq!((&who["model"], &who["group_id"]), (&json!(MODEL), &json!(customer.id)));
    assert_eq!(
        (&said["mode"], &said["admitted"], &said["limits"]),
        (&json!("hard"), &json!(false), &json!([]))
    );
}

#[tokio::test]
async fn a_refusal_tells_its_caller_the_use_that_the_operator_reads_even_in_debt() {
    let gw = Gateway::start().await;
    let mut afterwards = m1(&[tok_min(15)]);
    afterwards["admission"] = "observed".into();
    let customer = gw.customer("cust_42", json!([afterwards])).await;
    call(&gw, &customer.key, MODEL, 9).await.expect(200);
    gw.quiet().await;
    let refused = call(&gw, &customer.key, MODEL, 9).await.expect(429);
    let (_, said) = decision(&gw, &refused).await;
    assert_eq!((&said["limits"][0]["used"], &said["limits"][0]["debt"]), (&json!(19), &json!(4)));
    assert_eq!(refused.body["error"]["limit"]["used"], said["limits"][0]["used"]);
}

#[tokio::test]
async fn why_a_call_was_refused_yesterday_is_told_today_and_after_a_restart() {
    let mut gw = Gateway::start().await;
    let Customer { key, .. } = exhausted(&gw).await;
    let answers = [call(&gw, &key, MODEL, 9).await.expect(429), gw.chat(&key, "acme/m2").await.expect(403)];
    let fresh = [decision(&gw, &answers[0]).await, decision(&gw, &answers[1]).await];
    gw.clock.advance(DAY);
    let admitted = call(&gw, &key, MODEL, 9).await.expect(200);
    decision(&gw, &admitted).await;
    gw.restart().await;
    gw.clock.advance(DAY);
    for (answer, fresh) in answers.iter().zip(&fresh) {
        assert_eq!(&decision(&gw, answer).await, fresh);
    }
    let (who, said) = &fresh[0];
    assert_eq!(
        (&who["at"], &said["code"]),
        (&json!("2026-05-13T12:00:00.000Z"), &json!("usage_limit_exceeded"))
    );
    assert_eq!((&said["binding"], &said["passes_at"]), (&json!(0), &json!("2026-05-14T00:00:00.000Z")));
    refused(&gw.get(&path(admitted.header("x-request-id"))).await, 404, "admissions are in memory alone");
}

#[tokio::test]
async fn what_is_kept_of_a_refusal_is_neither_what_was_said_nor_with_which_key() {
    let mut gw = Gateway::start().await;
    let Customer { key, .. } = exhausted(&gw).await;
    let secret = key.split_once('.').unwrap().1;
    let said = json!([{"role": "user", "content": "my-very-own-words"}]);
    gw.chat_with(&key, json!({"model": MODEL, "messages": said, "user": "my-very-own-user"}))
        .await
        .expect(429);
    gw.stop().await;
    let folder = fs::read_dir(gw.dir().join("decisions")).unwrap();
    let texts: Vec<_> = folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let text = texts.concat();
    assert!(text.contains(prefix(&key)) && !text.contains(secret) && !text.contains("my-very-own"), "{text}");
    let line: Value = serde_json::from_str(&text).unwrap();
    let kept =
        ["at_ms", "group", "key", "limits", "mode", "model", "outcome", "request_id", "tokens", "workspace"];
    assert_eq!(fields(&line), kept);
}

#[tokio::test]
async fn a_viewer_is_told_of_calls_in_its_own_workspace_alone() {
    let gw = Gateway::start().await;
    let Customer { key, .. } = exhausted(&gw).await;
    let path = path(call(&gw, &key, MODEL, 9).await.expect(429).header("x-request-id"));
    let tenant = gw.tenant("beta", &["beta"]).await;
    let ours = gw.management_key(&gw.first_workspace().await, "view").await;
    let theirs = gw.management_key(&tenant.id, "view").await;
    gw.send_as(&ours, Method::GET, &path, Value::Null).await.expect(200);
    for stranger in [&theirs, &tenant.key] {
        refused(&gw.send_as(stranger, Method::GET, &path, Value::Null).await, 404, "of another workspace");
    }
    let there = gw.manage(Method::GET, &path).header("x-tollgate-workspace", &tenant.id);
    refused(&there.send().await, 404, "an operator, there");
    let here = gw.manage(Method::GET, &path).header("x-tollgate-workspace", gw.first_workspace().await);
    here.send().await.expect(200);
    refused(&gw.send_as(&key, Method::GET, &path, Value::Null).await, 403, "a customer");
}

#[tokio::test]
async fn a_call_that_is_not_kept_and_an_id_that_is_none_are_not_found_with_a_reason() {
    let gw =
        Gateway::with(|config| (config.limits.decisions, config.limits.decisions_disk_mb) = (0, 0)).await;
    let Customer { key, .. } = exhausted(&gw).await;
    let refusal = call(&gw, &key, MODEL, 9).await.expect(429);
    let unknown = "019a0000-0000-7000-8000-000000000000";
    for id in [refusal.header("x-request-id"), unknown, "nobody", "%2e%2e", &"9".repeat(5_000)] {
        let reply = gw.get(&path(id)).await;
        refused(&reply, 404, id);
        let message = reply.body["message"].as_str().unwrap();
        assert!(
            message.contains("limits.decisions ") && message.contains("limits.decisions_disk_mb"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn in_memory_are_as_many_decisions_as_the_setting_says() {
    let gw =
        Gateway::with(|config| (config.limits.decisions, config.limits.decisions_disk_mb) = (2, 0)).await;
    let key = gw.customer("cust_42", json!([m1(&[limit("REQUEST", "DAY", 2)])])).await.key;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(call(&gw, &key, MODEL, 9).await);
    }
    for forgotten in &answers[..2] {
        refused(&gw.get(&path(forgotten.header("x-request-id"))).await, 404, "the oldest made room");
    }
    for kept in &answers[2..] {
        decision(&gw, kept).await;
    }
}
