//! Whatever config there is: what is answered for it may be sent back as it came, and changes nothing.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use testkit::Gateway;

use crate::support::{budget, changed, customer, made, read};

const CONFIGS: usize = 60;
/// All of different lengths.
const DURATIONS: [&str; 12] =
    ["250ms", "30s", "1h30m", "daily", "1.5d", "Weekly", "2w", "1M", "3M", "YEARLY", "7Y", "1µs1ms"];
const AMOUNTS: [&str; 6] = ["1", "0.1", "1e-9", "1.123456789", "4000000.123456789", "1e3"];

fn durations() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(&DURATIONS[..], 0..=4).prop_shuffle()
}

fn budgets() -> impl Strategy<Value = Value> {
    let amount = select(&AMOUNTS[..]).prop_map(|amount| serde_json::from_str::<Value>(amount).unwrap());
    durations().prop_flat_map(move |durations| {
        let amounts = prop::collection::vec(amount.clone(), durations.len());
        amounts.prop_map(move |amounts| {
            amounts.into_iter().zip(&durations).map(|(max, reset)| budget(max, reset)).collect()
        })
    })
}

/// In one form or the other, or not at all.
fn rates() -> impl Strategy<Value = Value> {
    let side = || (prop::option::of(1..=i64::MAX), select(&DURATIONS[..]));
    let pair = (side(), side()).prop_map(|((tokens, token_reset), (requests, request_reset))| {
        json!({ "rate_limit": {
            "token_max_limit": tokens, "token_reset_duration": token_reset,
            "request_max_limit": requests, "request_reset_duration": request_reset,
        }})
    });
    let rules = (durations(), durations()).prop_map(|(tokens, requests)| {
        let rule = |metric: &'static str| {
            move |reset| json!({ "metric": metric, "max_limit": 7, "reset_duration": reset })
        };
        let tokens = tokens.into_iter().map(rule("tokens"));
        json!({ "rate_limits": tokens.chain(requests.into_iter().map(rule("requests"))).collect::<Vec<_>>() })
    });
    prop_oneof![Just(json!({})), pair, rules]
}

/// A body about something that no other is about.
fn body(nth: usize, prefix: &str, group: &str) -> impl Strategy<Value = Value> + use<> {
    let scopes = [
        json!({}),
        json!({ "scope": null, "scope_id": null }),
        json!({ "scope": "global", "scope_id": "dropped" }),
        json!({ "scope": "virtual_key", "scope_id": prefix }),
        json!({ "scope": "user", "scope_id": " a\"b\\ü\n" }),
        json!({ "scope": "group", "scope_id": group }),
    ];
    let names = ["a:b/c d%2F", "モデル", "\u{200b}", "tab\there", "\"quoted\\", "<b>&amp;", "nul\0"];
    let name = select(names.to_vec()).prop_map(move |name| format!("{name}{nth}"));
    let provider = prop::option::of(select(vec!["openai", " OpenAI ", "Ü", "p:q/r"]));
    let aligned = prop::option::of(any::<bool>());
    (select(scopes.to_vec()), name, provider, aligned, budgets(), rates()).prop_map(
        |(mut body, name, provider, aligned, budgets, rates)| {
            let more = json!({
                "model_name": name, "provider": provider, "calendar_aligned": aligned, "budgets": budgets,
            });
            for part in [more, rates] {
                body.as_object_mut().unwrap().extend(part.as_object().unwrap().clone());
            }
            body
        },
    )
}

#[tokio::test]
async fn what_is_answered_may_be_sent_back_and_changes_nothing_but_the_time_of_it() {
    let gw = Gateway::start().await;
    let (customer, prefix) = customer(&gw, "anybody").await;
    let mut runner = TestRunner::deterministic();
    for nth in 0..CONFIGS {
        let body = body(nth, &prefix, &customer.id).new_tree(&mut runner).unwrap().current();
        let config = made(&gw, body.clone()).await;
        gw.clock.advance(std::time::Duration::from_millis(1));
        let answered = read(&gw, &config).await;
        let mut after = changed(&gw, &config, answered.clone()).await;
        assert_ne!(after["updated_at"], answered["updated_at"], "it was written");
        after["updated_at"] = answered["updated_at"].clone();
        assert_eq!(after, answered, "{body}");
    }
}
