//! Bodies that cannot be served: a clear 4xx, nothing upstream, nothing charged, and the gateway goes on.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};

use crate::support::*;

/// Stands in every prompt; must stand in no error.
const CANARY: &str = "canary-in-a-prompt";
const PROMPT: &str = r#""messages":[{"role":"user","content":"canary-in-a-prompt"}]"#;

/// Checks what is promised of every bad call, and that a good one passes after it.
async fn nothing_came_of_it(gw: &Gateway, customer: &Customer, reply: &Reply, case: &str) {
    let message = reply.body["error"]["message"].as_str();
    assert!(message.is_some_and(|message| !message.is_empty()), "{case}: {}", reply.text);
    assert!(!reply.text.contains(CANARY), "{case}: {}", reply.text);
    let (prefix, secret) = customer.key.split_once('.').unwrap();
    assert!(!reply.text.contains(secret) && !reply.text.contains(prefix), "{case}: {}", reply.text);
    assert_eq!(gw.model.served().started, 0, "{case}");
    assert_eq!(charged(gw, &customer.id).await, (Value::Null, Value::Null), "{case}");
    assert_eq!(gw.node().in_flight(), 0, "{case}");
}

async fn goes_on(gw: &Gateway, customer: &Customer) {
    gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(charged(gw, &customer.id).await, (json!(1), json!(19)));
}

/// `{"model":"acme/m1", …}` with this in the place of the dots, and the prompt.
fn with(fields: &str) -> String {
    format!(r#"{{"model":"acme/m1",{fields},{PROMPT}}}"#)
}

fn nested(depth: usize) -> String {
    // The object itself is one level.
    with(&format!(r#""x":{}{}"#, "[".repeat(depth - 1), "]".repeat(depth - 1)))
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_400() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let cut = with(r#""stream":true"#);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("blank", b"  \r\n ".into()),
        ("no JSON", format!("model=acme/m1&prompt={CANARY}").into()),
        ("cut in the middle", cut[..cut.len() / 2].into()),
        ("cut before its end", cut[..cut.len() - 1].into()),
        ("cut within a string", cut[..cut.find(CANARY).unwrap() + 6].into()),
        ("more after its end", (cut.clone() + "{}").into()),
        ("two objects", (cut.clone() + &cut).into()),
        ("a trailing comma", format!(r#"{{"model":"acme/m1",{PROMPT},}}"#).into()),
        ("single quotes", format!("{{'model':'acme/m1',{PROMPT}}}").into()),
        ("a comment", format!("{{/* {CANARY} */{}", &cut[1..]).into()),
        ("NaN", with(r#""temperature":NaN"#).into()),
        ("a control character", with("\"x\":\"\n\"").into()),
        ("a lone escape", with(r#""x":"\q""#).into()),
        ("a list", format!("[{cut}]").into()),
        ("a string", format!("\"{CANARY}\"").into()),
        ("a number", b"42".into()),
        ("null", b"null".into()),
        ("no UTF-8", [cut.as_bytes(), b"\xff\xfe"].concat()),
        ("no UTF-8 within a string", [br#"{"x":""#, &b"\xff"[..], b"\",", &cut.as_bytes()[1..]].concat()),
        ("UTF-16", cut.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("a byte order mark", [b"\xef\xbb\xbf", cut.as_bytes()].concat()),
        ("a NUL", [cut.as_bytes(), b"\0"].concat()),
        ("129 levels", nested(129).into()),
        ("100000 levels", nested(100_000).into()),
        ("100000 levels, open", format!("{{\"x\":{}", "[".repeat(100_000)).into()),
    ];
    for (case, body) in cases {
        let request = gw.chat_request(&customer.key).header("content-type", "application/json");
        let reply = request.body(body).send().await;
        assert_eq!(reply.status, 400, "{case}: {}", reply.text);
        refused(&reply, 400, "invalid_json");
        nothing_came_of_it(&gw, &customer, &reply, case).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn a_hundred_and_twenty_eight_levels_are_fine() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    gw.chat_request(&customer.key).body(nested(128)).send().await.expect(200);
    let brackets = with(&format!(r#""x":"{}""#, "[{".repeat(500)));
    gw.chat_request(&customer.key).body(brackets).send().await.expect(200);
}

#[tokio::test]
async fn a_repeated_key_that_is_read_is_400() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for fields in [
        r#""model":"acme/m2""#,
        r#""model":"acme/m1""#,
        r#""\u006dodel":"acme/m2""#,
        r#""mod\u0065l":"acme/m2""#,
        r#""model":null"#,
        r#""max_tokens":1,"max_tokens":1000000"#,
        r#""stream":false,"stream":true"#,
        r#""stream":false,"str\u0065am":true"#,
        r#""n":1,"n":100"#,
        r#""messages":[]"#,
        r#""stream_options":{},"stream_options":{}"#,
        r#""stream_options":{"include_usage":true,"include_usage":false}"#,
    ] {
        let reply = gw.chat_request(&customer.key).body(with(fields)).send().await;
        assert_eq!(reply.status, 400, "{fields}: {}", reply.text);
        refused(&reply, 400, "invalid_json");
        nothing_came_of_it(&gw, &customer, &reply, fields).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn a_key_that_is_read_in_other_letters_is_400_since_some_model_servers_would_read_it_too() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for more in
        [r#""Model":"acme/m2""#, r#""STREAM":true"#, r#""Max_Tokens":100000"#, r#""max_to\u212aens":9"#]
    {
        let body = format!(r#"{{"model":"acme/m1",{more},{PROMPT}}}"#);
        let reply = gw.chat_request(&customer.key).body(body).send().await;
        refused(&reply, 400, "invalid_json");
        nothing_came_of_it(&gw, &customer, &reply, more).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn case_154_a_model_that_is_missing_or_no_string_is_400() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for model in [
        "",
        r#""model":null,"#,
        r#""model":42,"#,
        r#""model":true,"#,
        r#""model":["acme/m1"],"#,
        r#""model":{"model":"acme/m1"},"#,
        r#""nested":{"model":"acme/m1"},"#,
    ] {
        let reply = gw.chat_request(&customer.key).body(format!("{{{model}{PROMPT}}}")).send().await;
        assert_eq!(reply.status, 400, "{model}: {}", reply.text);
        refused(&reply, 400, "missing_model");
        assert_eq!(reply.body["error"]["param"], "model");
        nothing_came_of_it(&gw, &customer, &reply, model).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn a_parameter_of_the_wrong_type_is_400_and_named() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for (param, value) in [
        ("stream", r#""yes""#),
        ("stream", r#""true""#),
        ("stream", "1"),
        ("stream", "[true]"),
        ("stream", r#""canary-in-a-prompt""#),
        ("max_tokens", "-1"),
        ("max_tokens", "1.5"),
        ("max_tokens", "1e3"),
        ("max_tokens", r#""10""#),
        ("max_tokens", "true"),
        ("max_tokens", "[10]"),
        ("max_tokens", r#""canary-in-a-prompt""#),
        ("max_completion_tokens", "-1"),
        ("max_completion_tokens", "{}"),
        ("max_output_tokens", r#""x""#),
        ("n", "1.0"),
        ("n", r#""2""#),
        ("best_of", "-3"),
    ] {
        let case = format!(r#""{param}":{value}"#);
        let reply = gw.chat_request(&customer.key).body(with(&case)).send().await;
        assert_eq!(reply.status, 400, "{case}: {}", reply.text);
        refused(&reply, 400, "invalid_request");
        assert_eq!(reply.body["error"]["param"], param);
        nothing_came_of_it(&gw, &customer, &reply, &case).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn what_is_not_read_is_the_model_servers_affair() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for fields in [
        r#""temperature":"hot""#,
        r#""messages":"none""#,
        r#""metadata":[1,2]"#,
        r#""response_format":7"#,
        r#""stop":{"a":1},"stop":null"#,
    ] {
        let body = format!(r#"{{"model":"acme/m1","max_tokens":9,{fields}}}"#);
        gw.chat_request(&customer.key).body(body.clone()).send().await.expect(200);
        let seen = gw.model.last_request().unwrap();
        assert_eq!(seen.body, body.replace("acme/m1", "simulated"));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_before_it_is_read() {
    let gw = Gateway::with(|config| config.server.max_body_mb = 1).await;
    let customer = counted(&gw).await;
    for length in ["1048577", "99999999999", "9223372036854775807"] {
        let mut raw = Raw::open(&gw).await;
        raw.send(chat_head(&customer.key, &format!("content-length: {length}\r\n"))).await;
        let answer = raw.rest().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
        assert!(answer.contains("request_too_large") && answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(gw.model.served().started, 0);
    assert_eq!(charged(&gw, &customer.id).await, (Value::Null, Value::Null));
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn case_163_a_body_over_100_mb_is_413_and_one_of_100_mb_passes() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let mut raw = Raw::open(&gw).await;
    raw.send(chat_head(&customer.key, &format!("content-length: {}\r\n", (100 << 20) + 1))).await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("request_too_large"), "{answer}");
    let frame = with(r#""x":"""#);
    let body = with(&format!(r#""x":"{}""#, "x".repeat((100 << 20) - frame.len())));
    gw.chat_request(&customer.key).body(body).send().await.expect(200);
    // The model's name upstream is two bytes longer.
    assert_eq!(gw.model.last_request().unwrap().body_len, (100 << 20) + 2);
}

#[tokio::test]
async fn a_body_that_grows_over_the_limit_is_413() {
    let gw = Gateway::with(|config| config.server.max_body_mb = 1).await;
    let customer = counted(&gw).await;
    let mut raw = Raw::open(&gw).await;
    raw.send(chat_head(&customer.key, "transfer-encoding: chunked\r\n")).await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..16 {
        raw.send(&piece).await;
    }
    raw.send("1\r\nx\r\n").await;
    let answer = raw.rest().await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request_too_large") && answer.contains("connection: close"), "{answer}");
    assert_eq!(charged(&gw, &customer.id).await, (Value::Null, Value::Null));
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn a_body_at_the_limit_passes_whole() {
    let gw = Gateway::with(|config| config.server.max_body_mb = 1).await;
    let customer = counted(&gw).await;
    let frame = with(r#""x":"""#);
    let body = with(&format!(r#""x":"{}""#, "x".repeat((1 << 20) - frame.len())));
    assert_eq!(body.len(), 1 << 20);
    gw.chat_request(&customer.key).body(body.clone()).send().await.expect(200);
    let (seen, sent) = (gw.model.last_request().unwrap(), body.replace("acme/m1", "simulated"));
    assert_eq!(usize::try_from(seen.body_len).unwrap(), sent.len());
    // The model server keeps the beginning of a long body only.
    assert!(seen.body.len() > 1 << 19 && sent.as_bytes().starts_with(&seen.body));
}

#[tokio::test]
async fn a_compressed_body_is_415() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for encoding in ["gzip", "br", "identity, gzip"] {
        let request = gw.chat_request(&customer.key).header("content-encoding", encoding);
        let reply = request.json(&chat(M1)).send().await;
        refused(&reply, 415, "invalid_request");
        nothing_came_of_it(&gw, &customer, &reply, encoding).await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn bodies_held_at_once_are_bounded_over_all_callers() {
    let gw = Gateway::with(|config| {
        config.server.max_buffered_mb = 2;
        config.server.max_body_mb = 2;
    })
    .await;
    let customer = counted(&gw).await;
    let mut half_sent = Raw::open(&gw).await;
    let lines = "content-length: 1572864\r\nexpect: 100-continue\r\n";
    half_sent.send(chat_head(&customer.key, lines)).await;
    // Said when the body is about to be read, and so has its room.
    assert!(half_sent.piece().await.starts_with("HTTP/1.1 100 "));
    let body = with(&format!(r#""x":"{}""#, "x".repeat(1 << 20)));
    let reply = gw.chat_request(&customer.key).body(body.clone()).send().await;
    refused(&reply, 503, "overloaded");
    assert_eq!(reply.header("retry-after"), "1");
    gw.chat(&customer.key, M1).await.expect(200);
    drop(half_sent);
    for attempt in 1.. {
        let reply = gw.chat_request(&customer.key).body(body.clone()).send().await;
        if reply.status == 200 {
            break;
        }
        refused(&reply, 503, "overloaded");
        assert!(attempt < 10_000, "the room is never given back");
    }
}

#[tokio::test]
async fn a_body_keeps_its_room_while_it_goes_upstream_though_its_caller_has_left() {
    let gw = Gateway::with(|config| {
        config.server.max_buffered_mb = 32;
        config.server.max_body_mb = 24;
    })
    .await;
    // Takes the connection and never reads, so the body stays here: it is longer than what sockets hold.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let customer = customer_of(&gw, at(&format!("http://{}", deaf.local_addr().unwrap()))).await;
    let body = |length: usize| json!({ "model": "acme/x", "x": "x".repeat(length) }).to_string();
    let long = body(20 << 20);
    let mut leaving = Raw::open(&gw).await;
    leaving.send(chat_head(&customer.key, &format!("content-length: {}\r\n", long.len())) + &long).await;
    let (_taken, _) = deaf.accept().await.unwrap();
    drop(leaving);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    let second = gw.chat_request(&customer.key).body(body(20 << 20)).send();
    let reply = tokio::time::timeout(Duration::from_secs(20), second).await.expect("there is no room for it");
    refused(&reply, 503, "overloaded");
}

#[tokio::test]
async fn a_caller_that_leaves_within_its_body_costs_nothing() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let mut raw = Raw::open(&gw).await;
    raw.send(chat_head(&customer.key, "content-length: 1000\r\n") + &with(r#""stream":true"#)).await;
    drop(raw);
    goes_on(&gw, &customer).await;
    assert_eq!(gw.model.served().started, 1);
}

#[tokio::test]
async fn a_model_name_of_any_length_and_any_characters_makes_a_short_answer() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    let long = "acme/".to_owned() + &"x".repeat(500_000);
    for name in [long.as_str(), "\r\nset-cookie: a=b", "\u{0}", "\"}{", "<script>", "💥"] {
        let reply = gw.chat_with(&customer.key, json!({ "model": name, "messages": [CANARY] })).await;
        refused(&reply, 403, "model_not_allowed");
        assert!(reply.text.len() < 2_000 && reply.header("set-cookie").is_empty());
        nothing_came_of_it(&gw, &customer, &reply, "name").await;
    }
    goes_on(&gw, &customer).await;
}

#[tokio::test]
async fn no_error_repeats_a_prompt_a_completion_or_a_key() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "DAY", 2), ("TOKEN", "DAY", 1_000)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    let body = json!({ "model": M1, "max_tokens": 9, "messages": [{ "role": "user", "content": CANARY }] });
    let script = testkit::Script { word: "completion-canary ".into(), ..testkit::Script::default() };
    let mut errors = Vec::new();
    gw.model.set(testkit::Script { end: modelsim::End::CutAfter(3), ..script.clone() });
    errors.push(gw.chat_with(&customer.key, body.clone()).await.expect(502));
    gw.model.set(testkit::Script { act: modelsim::Act::Garble, ..script });
    errors.push(gw.chat_with(&customer.key, body.clone()).await.expect(502));
    errors.push(gw.chat_with(&customer.key, body.clone()).await.expect(429));
    errors.push(gw.chat_with(&customer.key[1..], body.clone()).await.expect(401));
    let huge = json!({ "model": M1, "max_tokens": 9_999, "messages": body["messages"] });
    errors.push(gw.chat_with(&customer.key, huge).await.expect(429));
    let not_found = gw.request(Method::POST, "/v1/nowhere").header("x-api-key", &customer.key);
    errors.push(not_found.json(&body).send().await.expect(404));
    for error in errors {
        assert!(!error.text.contains("canary"), "{}", error.text);
        assert!(!error.text.contains(&customer.key[1..]), "{}", error.text);
        assert!(error.body["error"]["message"].is_string());
    }
}
