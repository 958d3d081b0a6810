//! `GET /v1/gateway/events`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Reply};

use crate::support::*;

const EVENTS: &str = "/v1/gateway/events";
/// From before the first call of every test, without an end: the newest minute is not held back.
const ALL: &str = "after_sequence=0";
const SECOND: Duration = Duration::from_secs(1);

/// What a query answers, once everything that has ended is in the ledger.
async fn asked(gw: &Gateway, query: &str) -> Reply {
    gw.quiet().await;
    gw.node().recorded().await;
    gw.get(&format!("{EVENTS}?{query}")).await
}

async fn events(gw: &Gateway, query: &str) -> Vec<Value> {
    asked(gw, query).await.expect(200).body["items"].as_array().unwrap().clone()
}

async fn customer(gw: &Gateway, external: &str) -> Customer {
    gw.customer(external, json!([m1(&[])])).await
}

/// A call that is settled before the next line of a test.
async fn call(gw: &Gateway, key: &str) -> Reply {
    let reply = gw.chat(key, "acme/m1").await;
    gw.quiet().await;
    reply.expect(200)
}

/// A call in each of so many seconds.
async fn calls(gw: &Gateway, key: &str, many: usize) {
    for _ in 0..many {
        call(gw, key).await;
        gw.clock.advance(SECOND);
    }
    gw.node().recorded().await;
}

fn all_of<'a>(events: &'a [Value], field: &str) -> Vec<&'a Value> {
    events.iter().map(|event| &event[field]).collect()
}

/// Every event of a query, page by page.
async fn paged(gw: &Gateway, query: &str) -> Vec<Value> {
    let (mut items, mut next) = (Vec::new(), String::new());
    loop {
        let page = asked(gw, &format!("{query}{next}")).await.expect(200).body;
        items.extend(page["items"].as_array().unwrap().clone());
        assert_eq!(page["pagination"]["has_more"], !page["pagination"]["cursor"].is_null());
        let Some(cursor) = page["pagination"]["cursor"].as_str() else { return items };
        next = format!("&cursor={cursor}");
    }
}

#[tokio::test]
async fn case_202_203_205_207_227_an_event_has_the_published_fields_and_the_counts_of_its_call() {
    let gw = Gateway::start().await;
    let customer = customer(&gw, "cust_42").await;
    let reply = call(&gw, &customer.key).await;
    let page = asked(&gw, ALL).await.expect(200).body;
    assert_eq!(page["pagination"], json!({"has_more": false, "cursor": null}));
    let event = page["items"][0].clone();
    let id = reply.header("x-request-id");
    let named = event["idempotencyKey"].as_str().unwrap();
    assert!(named.len() == 26 && named.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{named}");
    let expected = json!({
        "idempotencyKey": named, "timestamp": "2026-05-13T12:00:00.000Z", "requestId": id, "modelSlug": "acme/m1",
        "externalEntityId": "cust_42", "externalCustomerId": "cust_42", "apiKeyPrefix": prefix(&customer.key),
        "tokens": {"inputTokens": 10, "outputTokens": 9, "cachedInputTokens": 0},
        "sequence": 1, "usageSource": "reported", "costUsd": null,
    });
    assert_eq!(page["items"], json!([expected]), "227: without requestMetadata");
}

#[tokio::test]
async fn case_204_a_call_of_a_child_names_the_child() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[])], &[m1(&[])]]).await;
    call(&gw, &gw.key(&ids[1]).await).await;
    assert_eq!(all_of(&events(&gw, ALL).await, "externalEntityId"), ["level_1"]);
}

#[tokio::test]
async fn case_217_two_calls_are_two_events() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    calls(&gw, &key, 2).await;
    let events = events(&gw, ALL).await;
    assert_eq!(all_of(&events, "sequence"), [1, 2]);
    assert_ne!(events[0]["idempotencyKey"], events[1]["idempotencyKey"]);
}

#[tokio::test]
async fn case_218_what_is_turned_away_is_no_event() {
    let gw = Gateway::start().await;
    let limited = gw.customer("cust_42", json!([m1(&[limit("REQUEST", "DAY", 1)])])).await;
    assert_eq!(chat(&gw, "sky_nobody.knows", "acme/m1").await, 401);
    call(&gw, &limited.key).await;
    assert_eq!(chat(&gw, &limited.key, "acme/m1").await, 429);
    assert_eq!(chat(&gw, &limited.key, "acme/m2").await, 403);
    assert_eq!(events(&gw, ALL).await.len(), 1);
}

#[tokio::test]
async fn case_219_a_stream_counts_like_a_whole_answer() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    call(&gw, &key).await;
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let body = json!({"model": "acme/m1", "max_tokens": 9, "stream": true, "messages": messages});
    gw.chat_with(&key, body).await.expect(200);
    let events = events(&gw, ALL).await;
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["tokens"], events[1]["tokens"]);
}

#[tokio::test]
async fn case_220_what_cannot_be_a_question_is_refused() {
    let gw = Gateway::start().await;
    let start = "start_time=2026-05-13T00:00:00Z";
    let many = "&api_keys=x".repeat(101);
    for query in [
        String::new(),
        "end_time=2026-05-13T00:00:00Z".into(),
        "start_time=".into(),
        "start_time=yesterday".into(),
        "start_time=%00".into(),
        format!("{start}&{start}"),
        format!("{start}&end_time=2026-05-12T23:59:59Z"),
        format!("{start}&end_time=2026-05-14T00:00:00%0aZ"),
        format!("{start}&after_sequence=1"),
        "after_sequence=-1".into(),
        "after_sequence=%2B1".into(),
        "after_sequence=9223372036854775808".into(),
        format!("{start}&limit=0"),
        format!("{start}&limit=1001"),
        format!("{start}&format=xml"),
        format!("{start}{many}"),
        "cursor=".into(),
        "cursor=garbage".into(),
        format!("cursor={}", "A".repeat(32)),
        "cursor=%00%ff".into(),
    ] {
        refused(&gw.get(&format!("{EVENTS}?{query}")).await, 400, &query);
    }
    for query in
        ["after_sequence=9223372036854775807", "start_time=0001-01-01", "start_time=9999-12-30T00:00:00Z"]
    {
        let reply = asked(&gw, query).await.expect(200);
        assert_eq!(
            reply.body,
            json!({"items": [], "pagination": {"has_more": false, "cursor": null}}),
            "{query}"
        );
    }
}

#[tokio::test]
async fn case_221_the_start_is_included_and_the_end_is_not() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    calls(&gw, &key, 3).await;
    let found = async |start: &str, end: &str| {
        let query = format!("start_time=2026-05-13T12:00:{start}Z&end_time=2026-05-13T12:00:{end}Z");
        let events = events(&gw, &query).await;
        events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found("00", "02").await, [1, 2]);
    assert_eq!(found("01", "01.001").await, [2]);
    assert_eq!(found("00.0001", "02.0001").await, [2, 3], "finer than a millisecond");
    assert_eq!(found("01", "01").await, [0_u64; 0]);
}

#[tokio::test]
async fn case_222_226_pages_ascend_and_hold_nothing_that_came_later() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    calls(&gw, &key, 5).await;
    let window = "start_time=2026-05-13T12:00:00Z&end_time=2026-05-14T00:00:00Z&limit=2";
    let first = asked(&gw, window).await.expect(200).body;
    calls(&gw, &key, 2).await;
    let cursor = first["pagination"]["cursor"].as_str().unwrap();
    let mut seen = first["items"].as_array().unwrap().clone();
    // With a cursor, times are not looked at, and padding does no harm.
    let second = asked(&gw, &format!("limit=2&cursor={cursor}==&start_time=nonsense")).await.expect(200).body;
    let third = second["pagination"]["cursor"].as_str().unwrap();
    let third = asked(&gw, &format!("limit=2&cursor={third}")).await.expect(200).body;
    seen.extend([&second, &third].into_iter().flat_map(|page| page["items"].as_array().unwrap().clone()));
    assert_eq!(all_of(&seen, "sequence"), [1, 2, 3, 4, 5], "226");
    assert_eq!(third["pagination"], json!({"has_more": false, "cursor": null}));
    let whole = paged(&gw, window).await;
    assert_eq!(all_of(&whole, "sequence"), [1, 2, 3, 4, 5, 6, 7]);
    assert!(whole.is_sorted_by_key(|event| event["timestamp"].as_str().unwrap().to_owned()), "222");
}

#[tokio::test]
async fn case_223_the_newest_minute_is_held_back_unless_an_end_or_a_sequence_is_given() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    call(&gw, &key).await;
    gw.clock.advance(5 * SECOND);
    let query = "start_time=2026-05-13T12:00:00Z";
    assert_eq!(events(&gw, query).await.len(), 0);
    assert_eq!(events(&gw, "start_time=2026-05-13T12:00:01Z").await.len(), 0, "a start within that minute");
    assert_eq!(events(&gw, &format!("{query}&end_time=2026-05-13T12:00:05Z")).await.len(), 1);
    assert_eq!(events(&gw, ALL).await.len(), 1);
    gw.clock.advance(85 * SECOND);
    assert_eq!(events(&gw, query).await.len(), 1);
    let gw = Gateway::with(|config| config.events.holdback = Duration::ZERO).await;
    call(&gw, &customer(&gw, "cust_42").await.key).await;
    gw.clock.advance(Duration::from_millis(1));
    assert_eq!(events(&gw, query).await.len(), 1, "as the setting says");
}

#[tokio::test]
async fn case_224_225_a_filter_by_keys_or_by_groups_or_by_both() {
    let gw = Gateway::start().await;
    let (one, two) = (customer(&gw, "one").await, customer(&gw, "two, or more").await);
    let spare = gw.key(&one.id).await;
    for key in [&one.key, &spare, &two.key, &one.key] {
        call(&gw, key).await;
    }
    let found = async |filter: &str| {
        let events = events(&gw, &format!("{ALL}{filter}")).await;
        events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let key = |key: &str| format!("&api_keys={}", prefix(key));
    let nothing = [0_u64; 0];
    assert_eq!(found(&key(&one.key)).await, [1, 4]);
    assert_eq!(found(&format!("{}{}", key(&one.key), key(&two.key))).await, [1, 3, 4], "224: a union");
    assert_eq!(found(&format!("{}{}", key(&one.key), key(&one.key))).await, [1, 4]);
    assert_eq!(found("&api_keys=sky_unknown").await, nothing);
    assert_eq!(found("&api_keys=%00").await, nothing);
    assert_eq!(found("&api_keys=").await, nothing, "a name that nothing has");
    assert_eq!(found("&external_entity_ids=one").await, [1, 2, 4], "225");
    assert_eq!(found("&external_entity_ids=two%2C%20or%20more").await, [3]);
    assert_eq!(found("&external_entity_ids=nobody").await, nothing);
    assert_eq!(found("&external_entity_ids=one&external_entity_ids=two%2C+or+more").await, [1, 2, 3, 4]);
    assert_eq!(found(&format!("&external_entity_ids=one{}", key(&spare))).await, [2]);
    assert_eq!(found(&format!("&external_entity_ids=one{}", key(&two.key))).await, nothing, "both must hold");
}

#[tokio::test]
async fn a_cursor_belongs_to_one_question_of_one_workspace() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "one").await.key;
    calls(&gw, &key, 3).await;
    let filter = "external_entity_ids=one";
    let page = asked(&gw, &format!("{ALL}&limit=1&{filter}")).await.expect(200).body;
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    assert_eq!(all_of(&events(&gw, &format!("cursor={cursor}&{filter}")).await, "sequence"), [2, 3]);
    for other in ["", "&external_entity_ids=two", "&api_keys=one", &format!("&{filter}&api_keys=x")] {
        refused(&asked(&gw, &format!("cursor={cursor}{other}")).await, 400, other);
    }
    let tenant = gw.tenant("beta", &["beta"]).await;
    let path = format!("{EVENTS}?cursor={cursor}&{filter}");
    refused(&gw.send_as(&tenant.key, Method::GET, &path, Value::Null).await, 400, "another workspace");
    let mut altered = cursor.to_owned();
    let last = if altered.pop() == Some('A') { 'Q' } else { 'A' };
    altered.push(last);
    refused(&asked(&gw, &format!("cursor={altered}&{filter}")).await, 400, "an altered cursor");
}

#[tokio::test]
async fn case_228_events_are_for_managers_of_their_own_workspace() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    call(&gw, &key).await;
    let path = format!("{EVENTS}?{ALL}");
    refused(&gw.send_as(&key, Method::GET, &path, Value::Null).await, 403, "a customer's key");
    refused(&gw.request(Method::GET, &path).send().await, 401, "nobody");
    let tenant = gw.tenant("beta", &["beta"]).await;
    let view = gw.management_key(&gw.first_workspace().await, "view").await;
    let seen = async |key: &str| {
        let reply = gw.send_as(key, Method::GET, &path, Value::Null).await.expect(200);
        reply.body["items"].as_array().unwrap().len()
    };
    gw.node().recorded().await;
    assert_eq!((seen(&view).await, seen(&tenant.key).await), (1, 0));
}

#[tokio::test]
async fn case_230_events_of_a_deleted_group_remain() {
    let gw = Gateway::start().await;
    let Customer { id, key } = customer(&gw, "cust_42").await;
    call(&gw, &key).await;
    gw.delete(&group_path(&id)).await.expect(200);
    for filter in
        [String::new(), "&external_entity_ids=cust_42".into(), format!("&api_keys={}", prefix(&key))]
    {
        let events = events(&gw, &format!("{ALL}{filter}")).await;
        assert_eq!(all_of(&events, "externalEntityId"), ["cust_42"], "{filter}");
    }
}

#[tokio::test]
async fn the_older_name_of_the_customer_can_be_left_out() {
    let gw = Gateway::with(|config| config.events.legacy_customer_id = false).await;
    call(&gw, &customer(&gw, "cust_42").await.key).await;
    let events = events(&gw, ALL).await;
    assert_eq!(
        (&events[0]["externalEntityId"], events[0].get("externalCustomerId")),
        (&json!("cust_42"), None)
    );
    let csv = asked(&gw, &format!("{ALL}&format=csv")).await;
    assert!(!csv.text.contains("externalCustomerId"));
}

#[tokio::test]
async fn events_never_go_back_in_time_though_the_clock_does() {
    let gw = Gateway::start().await;
    let key = customer(&gw, "cust_42").await.key;
    calls(&gw, &key, 2).await;
    gw.set_clock_back(Duration::from_secs(7_200));
    calls(&gw, &key, 2).await;
    let events = events(&gw, ALL).await;
    let late = "2026-05-13T12:00:01.000Z";
    assert_eq!(all_of(&events, "timestamp")[1..], [late, late, late]);
}

#[tokio::test]
async fn for_spreadsheets_and_for_lines_the_next_page_is_named_in_a_header() {
    let gw = Gateway::start().await;
    let target = json!({"input_per_million": 1_000, "output_per_million": 2_000});
    gw.endpoint_with("acme/priced", json!({"pricing": target})).await;
    let key = gw.customer("=cmd|' /C calc'!A0, \"x\"", json!([m1(&[]), model("acme/priced", &[])])).await.key;
    call(&gw, &key).await;
    gw.chat(&key, "acme/priced").await.expect(200);
    let csv = asked(&gw, &format!("{ALL}&format=csv&limit=1")).await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let next = csv.header("x-next-cursor").to_owned();
    let heading = "idempotencyKey,timestamp,requestId,modelSlug,externalEntityId,externalCustomerId,apiKeyPrefix,\
                   inputTokens,outputTokens,cachedInputTokens,sequence,usageSource,costUsd,corrects\r\n";
    assert!(csv.text.starts_with(heading), "{}", csv.text);
    let customer = "\"'=cmd|' /C calc'!A0, \"\"x\"\"\"";
    let rest = format!(",acme/m1,{customer},{customer},{},10,9,0,1,reported,,\r\n", prefix(&key));
    assert!(csv.text.ends_with(&rest), "{}", csv.text);
    let second = asked(&gw, &format!("cursor={next}&format=csv")).await.expect(200);
    assert!(second.text.ends_with(",2,reported,0.028,\r\n"), "{}", second.text);
    assert!(second.headers.get("x-next-cursor").is_none(), "the last page");

    let lines = asked(&gw, &format!("{ALL}&format=ndjson")).await.expect(200);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, events(&gw, ALL).await);
    assert_eq!(events(&gw, &format!("{ALL}&format=json")).await, lines);
}
