//! `POST /v1/gateway/explain`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, End, Gateway, Reply, Script};
use wire::Operation;

use crate::support::*;

const EXPLAIN: &str = "/v1/gateway/explain";
const MODEL: &str = "acme/m1";

/// An answer, in its published form.
async fn explain(gw: &Gateway, question: Value) -> Value {
    let answer = gw.post(EXPLAIN, question).await.expect(200).body;
    let names = ["admitted", "binding", "code", "hold", "limits", "mode", "passes_at", "status", "warnings"];
    assert_eq!(fields(&answer), names);
    assert_eq!(fields(&answer["hold"]), ["requests", "tokens", "usd"]);
    for row in answer["limits"].as_array().unwrap() {
        assert_eq!(row.as_object().unwrap().len(), 15, "{row}");
        assert!(row["fits"].is_boolean() && row.get("passes_at").is_some(), "{row}");
    }
    answer
}

/// The body of a call, and the question what would become of it.
fn body_and_question(key: &str, max_tokens: Option<u64>) -> (Value, Value) {
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let mut body = json!({"model": MODEL, "messages": messages});
    if let Some(max_tokens) = max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    let text = body.to_string();
    let call = wire::read_call(Operation::ChatCompletions, text.as_bytes()).unwrap();
    let (prefix, prompt) = (prefix(key), call.prompt_tokens());
    let question =
        json!({"api_key_prefix": prefix, "model": MODEL, "prompt_tokens": prompt, "max_tokens": max_tokens});
    (body, question)
}

fn millis(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Milliseconds from now until the same call passes.
fn wait_ms(gw: &Gateway, answer: &Value) -> i64 {
    millis(&answer["passes_at"]) - i64::try_from(domain::Clock::now(&*gw.clock).wall_ms).unwrap()
}

/// Asks, then calls: both say the same.
async fn explained_call(gw: &Gateway, key: &str, max_tokens: Option<u64>) -> Reply {
    let (body, question) = body_and_question(key, max_tokens);
    let answer = explain(gw, question).await;
    let reply = gw.chat_with(key, body).await;
    assert_eq!(answer["status"], reply.status, "{answer} {}", reply.text);
    assert_eq!(answer["admitted"], reply.status == 200);
    assert_eq!(answer["code"], reply.body["error"]["code"], "{answer} {}", reply.text);
    let said = &reply.body["error"]["limit"];
    match answer["binding"].as_u64() {
        None => assert_eq!((said, &answer["passes_at"]), (&Value::Null, &Value::Null)),
        Some(nth) => {
            let row = &answer["limits"][usize::try_from(nth).unwrap()];
            for field in ["type", "unit", "window", "threshold", "scope", "source_group"] {
                assert_eq!(row[field], said[field], "{field}");
            }
            assert_eq!((&row["fits"], &row["passes_at"]), (&json!(false), &answer["passes_at"]));
            match reply.header("retry-after-ms") {
                "" => assert_eq!(answer["passes_at"], Value::Null),
                wait => assert_eq!(wait_ms(gw, &answer), wait.parse::<i64>().unwrap()),
            }
        }
    }
    reply
}

#[tokio::test]
async fn an_explanation_is_what_the_call_meets_a_moment_later() {
    for declared in [
        vec![limit("REQUEST", "SECOND", 3)],
        vec![limit("REQUEST", "MINUTE", 3)],
        vec![limit("REQUEST", "SECOND", 1), limit("TOKEN", "MINUTE", 30)],
        vec![limit("TOKEN", "SECOND", 70)],
        vec![tok_min(70), limit("REQUEST", "MINUTE", 2), limit("REQUEST", "DAY", 100)],
        vec![limit("REQUEST", "DAY", 3)],
        vec![limit("TOKEN", "DAY", 70)],
    ] {
        for mode in ["INDEPENDENT", "CASCADING"] {
            let gw = Gateway::start().await;
            let ids = chain(&gw, mode, &[&[m1(&declared)], &[m1(&[])]]).await;
            let (root, leaf) = (gw.key(&ids[0]).await, gw.key(&ids[1]).await);
            let mut statuses = Vec::new();
            for (step, max_tokens) in
                [(7, Some(9)), (131, Some(9)), (23, None), (311, Some(9)), (600, Some(40))]
            {
                for key in [&root, &leaf] {
                    statuses.push(explained_call(&gw, key, max_tokens).await.status);
                    gw.quiet().await;
                }
                gw.clock.advance(Duration::from_millis(step));
            }
            assert!(statuses.contains(&200) && statuses.contains(&429), "{declared:?} {statuses:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_never_fits_or_has_no_way_is_explained_as_it_is_answered() {
    let gw = Gateway::start().await;
    let models = [m1(&[tok_min(100)]), model("acme/gone", &[tok_min(100)])];
    let group = created(&gw, body("cust_42", &models, "INDEPENDENT", None)).await;
    let key = gw.key(&group).await;
    let never = explained_call(&gw, &key, Some(1_000)).await;
    assert_eq!(never.body["error"]["code"], "request_exceeds_limit");
    for (slug, status, code) in [
        ("acme/m2", 403, "model_not_allowed"),
        ("gpt-4", 403, "model_not_allowed"),
        ("acme/gone", 404, "model_not_found"),
    ] {
        let reply = gw.chat(&key, slug).await;
        assert_eq!((reply.status, &reply.body["error"]["code"]), (status, &json!(code)));
        let answer = explain(&gw, json!({"group_id": group, "model": slug})).await;
        let expected = json!({
            "admitted": false, "status": status, "code": code, "mode": "estimate",
            "hold": {"requests": 0, "tokens": 0, "usd": 0},
            "limits": [], "binding": null, "passes_at": null, "warnings": [],
        });
        assert_eq!(answer, expected);
    }
}

#[tokio::test]
async fn asking_charges_nothing_however_often() {
    let gw = Gateway::start().await;
    let declared = [limit("REQUEST", "MINUTE", 1), limit("REQUEST", "DAY", 1), limit("TOKEN", "DAY", 100)];
    let customer = gw.customer("cust_42", json!([m1(&declared)])).await;
    let question = json!({"group_id": customer.id, "model": MODEL, "prompt_tokens": 5, "max_tokens": 50});
    for _ in 0..20 {
        let answer = explain(&gw, question.clone()).await;
        assert_eq!((&answer["admitted"], &answer["status"]), (&json!(true), &json!(200)));
        assert_eq!(answer["hold"], json!({"requests": 1, "tokens": 55, "usd": 0}));
        assert!(
            answer["limits"].as_array().unwrap().iter().all(|row| row["used"] == 0 && row["pending"] == 0)
        );
    }
    assert_eq!(gw.used(&customer.id, MODEL, "REQUEST").await, Value::Null, "no call ever");
    assert_eq!(chat(&gw, &customer.key, MODEL).await, 200, "the one request is still there");
    gw.quiet().await;
    for _ in 0..20 {
        let answer = explain(&gw, question.clone()).await;
        assert_eq!((&answer["admitted"], &answer["code"]), (&json!(false), &json!("usage_limit_exceeded")));
        assert_eq!(answer["passes_at"], "2026-05-14T00:00:00.000Z");
        assert_eq!((&answer["limits"][0]["used"], &answer["limits"][2]["used"]), (&json!(1), &json!(19)));
    }
}

#[tokio::test]
async fn calls_in_flight_are_seen_and_a_second_is_the_advice() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(End::StallAfter(2)));
    let key = gw.customer("cust_42", json!([m1(&[limit("TOKEN", "DAY", 100)])])).await.key;
    let (mut body, _) = body_and_question(&key, Some(80));
    body["stream"] = true.into();
    let mut stream = gw.chat_request(&key).json(&body).open().await;
    stream.piece().await.unwrap();
    let reply = explained_call(&gw, &key, Some(9)).await.expect(429);
    assert_eq!(reply.header("retry-after-ms"), "1000");
}

#[tokio::test]
async fn without_a_declared_bound_the_hold_is_a_guess_that_never_makes_a_call_impossible() {
    let gw = Gateway::start().await;
    let hold = async |declared: &[Value], question: Value| {
        let group = created(&gw, body(&question.to_string(), &[m1(declared)], "INDEPENDENT", None)).await;
        let mut question = question;
        question["group_id"] = group.into();
        question["model"] = MODEL.into();
        explain(&gw, question).await
    };
    assert_eq!(hold(&[], json!({})).await["hold"]["tokens"], 512);
    assert_eq!(hold(&[], json!({"prompt_tokens": 8, "max_tokens": 0})).await["hold"]["tokens"], 520);
    assert_eq!(hold(&[], json!({"prompt_tokens": null, "max_tokens": null})).await["hold"]["tokens"], 512);
    let clamped = hold(&[tok_min(100)], json!({"prompt_tokens": 30})).await;
    assert_eq!((&clamped["hold"]["tokens"], &clamped["admitted"]), (&json!(100), &json!(true)));
    let too_long = hold(&[tok_min(100)], json!({"prompt_tokens": 101})).await;
    assert_eq!(too_long["code"], "request_exceeds_limit");
    assert_eq!(too_long["limits"][0]["fits"], false);
}

#[tokio::test]
async fn the_mode_is_the_groups_the_endpoints_or_the_gateways() {
    let gw = Gateway::with(|config| config.limits.admission = domain::Admission::Observed).await;
    let ask = async |group: &str| {
        let question = json!({"group_id": group, "model": MODEL, "prompt_tokens": 1_000});
        let answer = explain(&gw, question).await;
        (answer["mode"].as_str().unwrap().to_owned(), answer["hold"]["tokens"].as_u64().unwrap())
    };
    let group = created(&gw, body("cust_42", &[m1(&[tok_min(100)])], "INDEPENDENT", None)).await;
    assert_eq!(ask(&group).await, ("observed".to_owned(), 0), "the gateway's");
    let endpoint = gw.get(ENDPOINTS).await.body["items"][0]["id"].as_str().unwrap().to_owned();
    gw.patch(&format!("{ENDPOINTS}/{endpoint}"), json!({"admission": "estimate"})).await.expect(200);
    assert_eq!(ask(&group).await.0, "estimate", "the endpoint's");
    let mut own = m1(&[tok_min(100)]);
    own["admission"] = "observed".into();
    gw.patch(&group_path(&group), json!({"models": [own]})).await.expect(200);
    assert_eq!(ask(&group).await, ("observed".to_owned(), 0), "its own");
}

#[tokio::test]
async fn small_and_short_token_limits_are_warned_about() {
    let gw = Gateway::start().await;
    let target = json!({
        "provider": "OPENAI_COMPATIBLE", "base_url": gw.model.base_url(), "target_model": "m", "max_output_tokens": 400,
    });
    gw.post(ENDPOINTS, json!({"slug": "acme/small", "targets": [target]})).await.expect(200);
    let warnings = async |slug: &str, admission: &str, declared: &[Value]| {
        let mut models = model(slug, declared);
        models["admission"] = admission.into();
        let external = format!("{slug} {admission} {declared:?}");
        let group = created(&gw, body(&external, &[models], "INDEPENDENT", None)).await;
        let answer = explain(&gw, json!({"group_id": group, "model": slug})).await;
        (answer["warnings"].as_array().unwrap().clone(), answer["hold"]["tokens"].clone())
    };
    let (small, hold) = warnings("acme/small", "estimate", &[tok_min(799), limit("TOKEN", "DAY", 800)]).await;
    assert_eq!(hold, 400, "a guess is no more than the target can write");
    assert_eq!(small.len(), 1, "{small:?}");
    assert!(small[0].as_str().unwrap().starts_with("TOKEN/MINUTE 799 of group "), "{small:?}");
    let (short, _) = warnings("acme/m1", "estimate", &[limit("TOKEN", "SECOND", 9_000)]).await;
    assert!(short.len() == 1 && short[0].as_str().unwrap().starts_with("TOKEN/SECOND 9000"), "{short:?}");
    for (slug, admission, declared) in [
        ("acme/m1", "observed", limit("TOKEN", "SECOND", 9_000)),
        ("acme/m1", "estimate", tok_min(1)),
        ("acme/small", "estimate", limit("REQUEST", "SECOND", 1)),
        ("acme/small", "estimate", tok_min(800)),
    ] {
        assert_eq!(warnings(slug, admission, &[declared]).await.0, [] as [Value; 0]);
    }
}

#[tokio::test]
async fn a_question_names_one_caller_and_is_read_strictly() {
    let gw = Gateway::start().await;
    let Customer { id, key } = gw.customer("cust_42", json!([m1(&[])])).await;
    let prefix = prefix(&key);
    for (case, question) in [
        ("nobody", json!({"model": MODEL})),
        ("two", json!({"model": MODEL, "group_id": id, "api_key_prefix": prefix})),
        ("two nulls", json!({"model": MODEL, "group_id": null, "api_key_prefix": null})),
        ("an empty prefix", json!({"model": MODEL, "api_key_prefix": ""})),
        ("no model", json!({"group_id": id})),
        ("an empty model", json!({"group_id": id, "model": ""})),
        ("a negative prompt", json!({"group_id": id, "model": MODEL, "prompt_tokens": -1})),
        ("half a token", json!({"group_id": id, "model": MODEL, "max_tokens": 1.5})),
        ("a number as text", json!({"group_id": id, "model": MODEL, "max_tokens": "9"})),
        ("a user by number", json!({"group_id": id, "model": MODEL, "user": 1})),
        ("a user without a name", json!({"group_id": id, "model": MODEL, "user": ""})),
        ("an array", json!([id])),
    ] {
        refused(&gw.post(EXPLAIN, question).await, 400, case);
    }
    for question in [
        json!({"model": MODEL, "group_id": id, "api_key_prefix": null, "user": null}),
        json!({"model": MODEL, "group_id": null, "api_key_prefix": prefix, "anything": "else"}),
        json!({"model": MODEL, "group_id": id, "user": "u_1"}),
    ] {
        assert_eq!(explain(&gw, question).await["admitted"], true);
    }
    for question in [
        json!({"model": MODEL, "group_id": "00000000001"}),
        json!({"model": MODEL, "group_id": "cust_42"}),
        json!({"model": MODEL, "api_key_prefix": "sky_nobody"}),
        json!({"model": MODEL, "api_key_prefix": key}),
    ] {
        refused(&gw.post(EXPLAIN, question.clone()).await, 404, &question.to_string());
    }
    gw.delete(&format!("{GROUPS}/{id}/api_keys/{prefix}")).await.expect(200);
    let revoked = json!({"model": MODEL, "api_key_prefix": prefix});
    refused(&gw.post(EXPLAIN, revoked).await, 404, "revoked");
}

#[tokio::test]
async fn a_viewer_may_ask_about_its_own_workspace_and_about_no_other() {
    let gw = Gateway::start().await;
    let Customer { id, key } = gw.customer("cust_42", json!([m1(&[])])).await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    let ours = gw.management_key(&gw.first_workspace().await, "view").await;
    let theirs = gw.management_key(&tenant.id, "view").await;
    for question in
        [json!({"model": MODEL, "group_id": id}), json!({"model": MODEL, "api_key_prefix": prefix(&key)})]
    {
        let answer = gw.send_as(&ours, Method::POST, EXPLAIN, question.clone()).await;
        assert_eq!(answer.expect(200).body["admitted"], true);
        for stranger in [&theirs, &tenant.key] {
            let reply = gw.send_as(stranger, Method::POST, EXPLAIN, question.clone()).await;
            refused(&reply, 403, &question.to_string());
        }
        let acting = gw.manage(Method::POST, EXPLAIN).header("x-tollgate-workspace", &tenant.id);
        refused(&acting.json(&question).send().await, 403, "an operator, there");
    }
}
