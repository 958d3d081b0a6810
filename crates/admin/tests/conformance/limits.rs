//! `GET /v1/gateway/groups/{group_id}/limits`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{End, Gateway, Script};

use crate::support::*;

const ROW: [&str; 13] = [
    "debt",
    "next_capacity_at",
    "pending",
    "remaining",
    "resets_at",
    "scope",
    "slug",
    "source_group",
    "threshold",
    "type",
    "unit",
    "used",
    "window",
];

async fn limits(gw: &Gateway, group: &str) -> Vec<Value> {
    let reply = gw.get(&format!("{GROUPS}/{group}/limits")).await.expect(200);
    assert_eq!(fields(&reply.body), ["at", "group_id", "limits"]);
    assert_eq!(reply.body["group_id"], group);
    let rows = reply.body["limits"].as_array().unwrap().clone();
    rows.iter().for_each(|row| assert_eq!(fields(row), ROW));
    rows
}

/// Which limit it is: `slug TYPE/UNIT threshold scope`.
fn name(row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap().to_owned();
    format!("{} {}/{} {} {}", text("slug"), text("type"), text("unit"), row["threshold"], text("scope"))
}

/// Used, pending, debt, remaining.
fn numbers(row: &Value) -> [u64; 4] {
    ["used", "pending", "debt", "remaining"].map(|field| row[field].as_u64().unwrap())
}

/// When all of it is back, and when more is left.
fn times(row: &Value) -> [&str; 2] {
    ["resets_at", "next_capacity_at"].map(|field| row[field].as_str().unwrap_or("null"))
}

async fn call(gw: &Gateway, key: &str) {
    assert_eq!(chat(gw, key, "acme/m1").await, 200);
    gw.quiet().await;
}

#[tokio::test]
async fn every_limit_of_every_slug_is_listed_as_the_group_lists_them() {
    let gw = Gateway::start().await;
    let models = [
        m1(&[limit("REQUEST", "SECOND", 7), tok_min(1_000), limit("TOKEN", "DAY", 9_000)]),
        model("acme/unlimited", &[]),
        model("acme/m2", &[limit("REQUEST", "DAY", 5)]),
    ];
    let group = created(&gw, body("cust_42", &models, "INDEPENDENT", None)).await;
    let rows = limits(&gw, &group).await;
    let names: Vec<String> = rows.iter().map(name).collect();
    assert_eq!(
        names,
        [
            "acme/m1 REQUEST/SECOND 7 group",
            "acme/m1 TOKEN/MINUTE 1000 group",
            "acme/m1 TOKEN/DAY 9000 group",
            "acme/m2 REQUEST/DAY 5 group",
        ]
    );
    let windows: Vec<&str> = rows.iter().map(|row| row["window"].as_str().unwrap()).collect();
    assert_eq!(windows, ["1s", "60s", "1d", "1d"]);
    for row in &rows {
        assert_eq!(row["source_group"], group.as_str());
        assert_eq!(numbers(row), [0, 0, 0, row["threshold"].as_u64().unwrap()]);
        assert_eq!(times(row), ["null", "null"], "nothing is used");
    }
}

#[tokio::test]
async fn a_group_without_limits_has_an_empty_list_and_the_time_of_the_answer_is_told() {
    let gw = Gateway::start().await;
    let group = created(&gw, plain("cust_42")).await;
    gw.clock.advance(Duration::from_millis(1_250));
    let answer = gw.get(&format!("{GROUPS}/{group}/limits")).await.body;
    assert_eq!(answer, json!({"group_id": group, "at": "2026-05-13T12:00:01.250Z", "limits": []}));
}

#[tokio::test]
async fn numbers_and_times_are_those_of_the_calls_that_were_made() {
    let gw = Gateway::start().await;
    let declared = [limit("REQUEST", "MINUTE", 3), tok_min(100), limit("TOKEN", "DAY", 1_000)];
    let group = created(&gw, body("cust_42", &[m1(&declared)], "INDEPENDENT", None)).await;
    let key = gw.key(&group).await;
    call(&gw, &key).await;
    gw.clock.advance(Duration::from_secs(20));
    call(&gw, &key).await;
    gw.clock.advance(Duration::from_secs(1));
    let rows = limits(&gw, &group).await;
    assert_eq!(numbers(&rows[0]), [2, 0, 0, 1]);
    assert_eq!(numbers(&rows[1]), [38, 0, 0, 62]);
    assert_eq!(numbers(&rows[2]), [38, 0, 0, 962]);
    for rolling in &rows[..2] {
        // Of two calls 20 s apart the first leaves the window 20 s before the second.
        let [all, more] = times(rolling);
        assert!(all.starts_with("2026-05-13T12:01:20.0"), "{all}");
        assert!(more.starts_with("2026-05-13T12:01:00.0"), "{more}");
    }
    assert_eq!(times(&rows[2]), ["2026-05-14T00:00:00.000Z"; 2]);
}

#[tokio::test]
async fn cascading_the_limits_of_all_groups_above_are_there_with_their_siblings_use() {
    let gw = Gateway::start().await;
    let day = |threshold| m1(&[limit("TOKEN", "DAY", threshold)]);
    let ids = chain(&gw, "CASCADING", &[&[day(1_000)], &[m1(&[])], &[day(500)]]).await;
    call(&gw, &gw.key(&ids[2]).await).await;
    call(&gw, &gw.key(&ids[1]).await).await;
    let rows = limits(&gw, &ids[2]).await;
    let seen: Vec<_> =
        rows.iter().map(|row| (name(row), row["source_group"].clone(), numbers(row))).collect();
    assert_eq!(
        seen,
        [
            ("acme/m1 TOKEN/DAY 500 group".to_owned(), json!(ids[2]), [19, 0, 0, 481]),
            ("acme/m1 TOKEN/DAY 1000 ancestor".to_owned(), json!(ids[0]), [38, 0, 0, 962]),
        ]
    );
    assert_eq!(name(&limits(&gw, &ids[0]).await[0]), "acme/m1 TOKEN/DAY 1000 group", "its own to the root");
}

#[tokio::test]
async fn independent_an_inherited_limit_is_the_groups_own_counter() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "INDEPENDENT", &[&[m1(&[tok_min(100)])], &[m1(&[])]]).await;
    call(&gw, &gw.key(&ids[0]).await).await;
    let child = limits(&gw, &ids[1]).await;
    assert_eq!((child.len(), name(&child[0]).as_str()), (1, "acme/m1 TOKEN/MINUTE 100 group"));
    assert_eq!(child[0]["source_group"], ids[0].as_str());
    assert_eq!(numbers(&child[0]), [0, 0, 0, 100], "the parent's calls are the parent's");
    assert_eq!(numbers(&limits(&gw, &ids[0]).await[0]), [19, 0, 0, 81]);
}

#[tokio::test]
async fn a_day_that_is_not_open_is_what_the_ledger_says_and_stays_unopened() {
    for (mode, leaf) in [("INDEPENDENT", 0), ("CASCADING", 1)] {
        let mut gw = Gateway::start().await;
        let day = m1(&[limit("TOKEN", "DAY", 30), limit("REQUEST", "DAY", 5)]);
        let levels: [&[Value]; 2] = [&[day], &[m1(&[])]];
        let ids = chain(&gw, mode, &levels).await;
        call(&gw, &gw.key(&ids[leaf]).await).await;
        gw.restart().await;
        for _ in 0..2 {
            let rows = limits(&gw, &ids[0]).await;
            assert_eq!(numbers(&rows[0]), [19, 0, 0, 11], "{mode}");
            assert_eq!(numbers(&rows[1]), [1, 0, 0, 4], "{mode}");
            assert_eq!(times(&rows[0]), ["2026-05-14T00:00:00.000Z"; 2], "{mode}");
        }
        gw.clock.advance(Duration::from_secs(86_400));
        let next_day = limits(&gw, &ids[0]).await;
        assert_eq!((numbers(&next_day[0]), times(&next_day[0])), ([0, 0, 0, 30], ["null"; 2]), "{mode}");
    }
}

#[tokio::test]
async fn what_calls_in_flight_hold_is_pending_and_an_overrun_is_debt() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(End::StallAfter(2)));
    let declared = [tok_min(1_000), limit("TOKEN", "DAY", 1_000)];
    let group = created(&gw, body("cust_42", &[m1(&declared)], "INDEPENDENT", None)).await;
    let key = gw.key(&group).await;
    let messages = json!([{"role": "user", "content": "Say hello."}]);
    let streamed = json!({"model": "acme/m1", "max_tokens": 500, "stream": true, "messages": messages});
    let mut stream = gw.chat_request(&key).json(&streamed).open().await;
    stream.piece().await.unwrap();
    let rows = limits(&gw, &group).await;
    let [minute, day] = [&rows[0], &rows[1]].map(numbers);
    assert_eq!((minute[0], minute[1]), (day[1], 0), "a rolling window takes what is held at once");
    assert!((501..600).contains(&day[1]) && day[0] == 0, "{day:?}");
    assert_eq!(times(&rows[1]), ["null", "null"], "nothing is used, and midnight ends no hold");
    drop(stream);
    gw.quiet().await;
    let lower = json!({"models": [m1(&[tok_min(1), limit("TOKEN", "DAY", 1)])]});
    gw.patch(&group_path(&group), lower).await.expect(200);
    for row in limits(&gw, &group).await {
        let [used, pending, debt, remaining] = numbers(&row);
        assert!(used > 1, "{row}");
        assert_eq!((pending, debt, remaining), (0, used - 1, 0));
    }
}

#[tokio::test]
async fn a_limit_that_comes_new_shows_at_once() {
    let gw = Gateway::start().await;
    let group = created(&gw, body("cust_42", &[m1(&[])], "INDEPENDENT", None)).await;
    call(&gw, &gw.key(&group).await).await;
    let limited = json!({"models": [m1(&[limit("TOKEN", "DAY", 1_000), tok_min(50)])]});
    gw.patch(&group_path(&group), limited).await.expect(200);
    let rows = limits(&gw, &group).await;
    assert_eq!(rows.iter().map(numbers).collect::<Vec<_>>(), [[0, 0, 0, 50], [19, 0, 0, 981]]);
}

#[tokio::test]
async fn groups_that_are_not_there_or_of_another_workspace_show_nothing() {
    let gw = Gateway::start().await;
    let ours = created(&gw, plain("cust_42")).await;
    let tenant = gw.tenant("beta", &["beta"]).await;
    let path = |id: &str| format!("{GROUPS}/{id}/limits");
    refused(&gw.send_as(&tenant.key, Method::GET, &path(&ours), Value::Null).await, 403, "theirs");
    for id in ["00000000001", "cust_42"] {
        refused(&gw.get(&path(id)).await, 404, id);
    }
    let view = gw.management_key(&gw.first_workspace().await, "view").await;
    gw.send_as(&view, Method::GET, &path(&ours), Value::Null).await.expect(200);
}
