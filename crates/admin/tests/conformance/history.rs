//! `GET /v1/gateway/groups/{id}/usage/history`
//!
//! Every call here uses 19 tokens: 10 of the prompt, 9 of the completion. The clock begins at 2026-05-13T12:00:00Z.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply};

use crate::support::*;

const HOUR: Duration = Duration::from_secs(3_600);

async fn asked(gw: &Gateway, group: &str, query: &str) -> Reply {
    gw.quiet().await;
    gw.node().recorded().await;
    gw.get(&format!("{GROUPS}/{group}/usage/history?{query}")).await
}

async fn items(gw: &Gateway, group: &str, query: &str) -> Value {
    asked(gw, group, query).await.expect(200).body["items"].clone()
}

async fn call(gw: &Gateway, key: &str, slug: &str) {
    assert_eq!(chat(gw, key, slug).await, 200);
    gw.quiet().await;
}

fn item(start: &str, calls: u64, refusals: u64) -> Value {
    json!({
        "start": start, "requests": calls, "input_tokens": 10 * calls, "output_tokens": 9 * calls,
        "cached_input_tokens": 0, "cost_usd": 0, "refusals": refusals,
    })
}

/// The same without refusals, and with a name.
fn named(start: &str, calls: u64, by: &str, name: &str) -> Value {
    let mut item = item(start, calls, 0);
    item.as_object_mut().unwrap().remove("refusals");
    item[by] = name.into();
    item
}

#[tokio::test]
async fn the_history_of_a_group_is_told_by_the_hour_and_by_the_day_without_empty_steps() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust_42", json!([m1(&[])])).await;
    call(&gw, &customer.key, "acme/m1").await;
    call(&gw, &customer.key, "acme/m1").await;
    gw.clock.advance(2 * HOUR);
    call(&gw, &customer.key, "acme/m1").await;
    gw.clock.advance(22 * HOUR);
    call(&gw, &customer.key, "acme/m1").await;
    let reply = asked(&gw, &customer.id, "from=2026-05-13T12:34:56Z&step=hour").await.expect(200).body;
    let hours = json!([
        item("2026-05-13T12:00:00Z", 2, 0),
        item("2026-05-13T14:00:00Z", 1, 0),
        item("2026-05-14T12:00:00Z", 1, 0),
    ]);
    let expected = json!({
        "group_id": customer.id, "external_entity_id": "cust_42", "from": "2026-05-13T12:00:00Z",
        "to": "2026-05-14T13:00:00Z", "step": "hour", "items": hours,
        "pagination": {"has_more": false, "cursor": null},
    });
    assert_eq!(reply, expected);
    let days = json!([item("2026-05-13T00:00:00Z", 3, 0), item("2026-05-14T00:00:00Z", 1, 0)]);
    assert_eq!(items(&gw, &customer.id, "from=2026-05-13T12:34:56Z").await, days, "days unless it is said");
    let cut = "from=2026-05-13T13:59:59Z&to=2026-05-14T12:59:59Z&step=hour";
    assert_eq!(items(&gw, &customer.id, cut).await, json!([item("2026-05-13T14:00:00Z", 1, 0)]));
    let none = "from=2026-05-13T12:00:00Z&to=2026-05-13T23:00:00Z&step=day";
    assert_eq!(items(&gw, &customer.id, none).await, json!([]), "a day that is not over is none");
}

#[tokio::test]
async fn slugs_keys_and_providers_can_be_told_apart() {
    let gw = Gateway::start().await;
    let pricing = json!({"input_per_million": 0.3, "output_per_million": 1_000});
    gw.endpoint_with("acme/priced", json!({"pricing": pricing})).await;
    let customer = gw.customer("cust_42", json!([m1(&[]), model("acme/priced", &[])])).await;
    let second = gw.key(&customer.id).await;
    call(&gw, &customer.key, "acme/m1").await;
    call(&gw, &second, "acme/m1").await;
    call(&gw, &second, "acme/priced").await;
    let from = "from=2026-05-13T00:00:00Z";
    let slugs = items(&gw, &customer.id, &format!("{from}&by=slug")).await;
    let names: Vec<_> =
        slugs.as_array().unwrap().iter().map(|item| (&item["slug"], &item["requests"])).collect();
    assert_eq!(names, [(&json!("acme/m1"), &json!(2)), (&json!("acme/priced"), &json!(1))]);
    assert_eq!(slugs[1]["cost_usd"].to_string(), "0.009003", "to the last digit");
    assert_eq!(slugs[1]["refusals"], 0);
    let keys = items(&gw, &customer.id, &format!("{from}&by=key")).await;
    let found: Vec<_> = keys.as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap()).collect();
    let mut expected = [prefix(&customer.key), prefix(&second)];
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(keys[0].get("refusals").is_none() && keys[0].get("slug").is_none());
    let providers = items(&gw, &customer.id, &format!("{from}&by=provider")).await;
    assert_eq!(providers.as_array().unwrap().len(), 1);
    assert_eq!(
        (&providers[0]["provider"], &providers[0]["requests"]),
        (&json!("OPENAI_COMPATIBLE"), &json!(3))
    );
}

#[tokio::test]
async fn a_subtree_is_counted_with_its_own_and_everything_below_it() {
    let gw = Gateway::start().await;
    let ids = chain(&gw, "CASCADING", &[&[m1(&[limit("REQUEST", "DAY", 2)])], &[m1(&[])], &[m1(&[])]]).await;
    let (root, leaf) = (gw.key(&ids[0]).await, gw.key(&ids[2]).await);
    call(&gw, &root, "acme/m1").await;
    call(&gw, &leaf, "acme/m1").await;
    for _ in 0..3 {
        assert_eq!(chat(&gw, &leaf, "acme/m1").await, 429);
    }
    let (start, from) = ("2026-05-13T00:00:00Z", "from=2026-05-13T00:00:00Z");
    let found = async |group: &str, more: &str| items(&gw, group, &format!("{from}{more}")).await;
    assert_eq!(found(&ids[0], "").await, json!([item(start, 1, 0)]));
    assert_eq!(found(&ids[0], "&subtree=true").await, json!([item(start, 2, 3)]));
    assert_eq!(found(&ids[1], "").await, json!([]));
    assert_eq!(found(&ids[1], "&subtree=true").await, json!([item(start, 1, 3)]));
    assert_eq!(found(&ids[2], "&subtree=false").await, json!([item(start, 1, 3)]));
    let mut keys = [named(start, 1, "key", prefix(&root)), named(start, 1, "key", prefix(&leaf))];
    keys.sort_unstable_by_key(|item| item["key"].to_string());
    assert_eq!(found(&ids[0], "&by=key&subtree=true").await, json!(keys));
    gw.delete(&group_path(&ids[2])).await.expect(200);
    assert_eq!(found(&ids[0], "&by=key&subtree=true").await, json!(keys), "of a deleted group too");
    assert_eq!(found(&ids[0], "&subtree=true").await, json!([item(start, 2, 3)]));
}

#[tokio::test]
async fn refusals_outlive_a_restart_and_count_for_their_slug() {
    let mut gw = Gateway::start().await;
    let customer = gw.customer("cust_42", json!([m1(&[limit("REQUEST", "DAY", 1)])])).await;
    call(&gw, &customer.key, "acme/m1").await;
    assert_eq!(chat(&gw, &customer.key, "acme/m1").await, 429);
    gw.restart().await;
    assert_eq!(chat(&gw, &customer.key, "acme/m1").await, 429);
    let items = items(&gw, &customer.id, "from=2026-05-13T00:00:00Z&by=slug").await;
    assert_eq!((&items[0]["requests"], &items[0]["refusals"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn the_pages_of_a_history_hold_every_item_once() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust_42", json!([m1(&[]), model("acme/m2", &[])])).await;
    for _ in 0..3 {
        call(&gw, &customer.key, "acme/m1").await;
        call(&gw, &customer.key, "acme/m2").await;
        gw.clock.advance(HOUR);
    }
    let query = "from=2026-05-13T00:00:00Z&step=hour&by=slug";
    let whole = items(&gw, &customer.id, query).await;
    for limit in 1..=7 {
        let (mut seen, mut next) = (Vec::new(), format!("{query}&limit={limit}"));
        loop {
            let page = asked(&gw, &customer.id, &next).await.expect(200).body;
            assert_eq!((&page["from"], &page["step"]), (&json!("2026-05-13T00:00:00Z"), &json!("hour")));
            seen.extend(page["items"].as_array().unwrap().clone());
            assert_eq!(page["pagination"]["has_more"], !page["pagination"]["cursor"].is_null());
            let Some(cursor) = page["pagination"]["cursor"].as_str() else { break };
            next = format!("step=hour&by=slug&limit={limit}&cursor={cursor}");
        }
        assert_eq!(json!(seen), whole, "{limit}");
    }
    let page = asked(&gw, &customer.id, &format!("{query}&limit=1")).await.expect(200).body;
    let cursor = page["pagination"]["cursor"].as_str().unwrap();
    for other in ["step=day&by=slug", "step=hour", "step=hour&by=slug&subtree=true"] {
        refused(&asked(&gw, &customer.id, &format!("{other}&cursor={cursor}")).await, 400, other);
    }
    let other = gw.customer("other", json!([m1(&[])])).await.id;
    let of_another = asked(&gw, &other, &format!("step=hour&by=slug&cursor={cursor}")).await;
    refused(&of_another, 400, "another group");
}

#[tokio::test]
async fn what_cannot_be_asked_of_the_past_is_refused() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust_42", json!([m1(&[])])).await;
    let from = "from=2026-05-13T00:00:00Z";
    for query in [
        String::new(),
        "to=2026-05-13T00:00:00Z".into(),
        "from=noon".into(),
        format!("{from}&to=2026-05-12T00:00:00Z"),
        format!("{from}&step=month"),
        format!("{from}&by=user"),
        format!("{from}&subtree=yes"),
        format!("{from}&limit=0"),
        format!("{from}&limit=1001"),
        format!("{from}&{from}"),
        "cursor=garbage".into(),
        "cursor=%00".into(),
    ] {
        refused(&asked(&gw, &customer.id, &query).await, 400, &query);
    }
    for span in
        ["from=0001-01-01&to=0001-01-02", "from=9999-12-30", "from=1970-01-01&to=9999-12-30&step=hour"]
    {
        assert_eq!(items(&gw, &customer.id, span).await, json!([]), "{span}");
    }
    refused(&asked(&gw, "nobody", from).await, 404, "no such group");
    let path = format!("{GROUPS}/{}/usage/history?{from}", customer.id);
    refused(&gw.send_as(&customer.key, Method::GET, &path, Value::Null).await, 403, "a customer");
    let tenant = gw.tenant("beta", &["beta"]).await;
    refused(&gw.send_as(&tenant.key, Method::GET, &path, Value::Null).await, 403, "another workspace");
}

#[tokio::test]
async fn keys_of_a_subtree_that_is_too_wide_are_not_told_apart() {
    let gw = Gateway::start().await;
    let root = created(&gw, plain("root")).await;
    for n in 0..200 {
        created(&gw, body(&format!("child_{n}"), &[m1(&[])], "INDEPENDENT", Some(&root))).await;
    }
    let query = "from=2026-05-13T00:00:00Z&by=key&subtree=true";
    refused(&asked(&gw, &root, query).await, 400, "201 groups");
    assert_eq!(items(&gw, &root, "from=2026-05-13T00:00:00Z&by=slug&subtree=true").await, json!([]));
}
