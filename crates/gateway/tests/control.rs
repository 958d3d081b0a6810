//! The control socket of a gateway in a test, and audits of what it did.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Customer, Gateway, Unpriced};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

async fn connect(gw: &Gateway) -> BufReader<UnixStream> {
    BufReader::new(UnixStream::connect(gw.dir().join("control.sock")).await.unwrap())
}

/// Says a line, and hears the next one; null where the other side has hung up.
async fn exchange(stream: &mut BufReader<UnixStream>, line: &str) -> Value {
    // The other side may hang up while it is told too much.
    let _ = stream.write_all(line.as_bytes()).await;
    let mut answer = String::new();
    let _ = stream.read_line(&mut answer).await;
    serde_json::from_str(&answer).unwrap_or_default()
}

async fn ask(gw: &Gateway, request: &Value) -> Value {
    exchange(&mut connect(gw).await, &format!("{request}\n")).await
}

/// Sees to it that everything follows from the ledger; how many entries there are.
async fn sound(gw: &Gateway) -> u64 {
    let audit = ask(gw, &json!({ "do": "audit" })).await;
    assert_eq!(
        (&audit["done"]["differences"], &audit["done"]["skipped"]),
        (&json!([]), &json!(0)),
        "{audit}"
    );
    audit["done"]["entries"].as_u64().unwrap()
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_the_next_one_is_heard() {
    let gw = Gateway::start().await;
    let mut stream = connect(&gw).await;
    for line in
        ["nonsense\n", "\n", "{}\n", "{\"do\":\"stop\"}\n", "\u{0}\n", "{\"do\":\"backup\",\"to\":\"/x\"}\n"]
    {
        let answer = exchange(&mut stream, line).await;
        assert!(answer["refused"].as_str().unwrap().contains("not understood"), "{line}: {answer}");
    }
    let relative = json!({ "do": "backup", "to": "copy", "with_master_key": false });
    let answer = exchange(&mut stream, &format!("{relative}\n")).await;
    assert!(answer["refused"].as_str().unwrap().contains("from the root"), "{answer}");
    let answer = exchange(&mut stream, "{\"do\":\"ping\"}\n").await;
    assert_eq!(answer["done"]["pid"], std::process::id());
}

#[tokio::test]
async fn whoever_sends_without_end_is_hung_up_on_and_whoever_is_silent_makes_room() {
    let gw = Gateway::start().await;
    let endless = exchange(&mut connect(&gw).await, &"x".repeat(20_000)).await;
    assert_eq!(endless, Value::Null);
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(connect(&gw).await);
    }
    let mut waiting = connect(&gw).await;
    drop(silent.pop());
    assert!(exchange(&mut waiting, "{\"do\":\"ping\"}\n").await["done"].is_object());
}

#[tokio::test]
async fn a_gateway_audits_itself_from_time_to_time_and_remembers_what_it_found() {
    let gw = Gateway::with(|config| config.audit.every = Duration::from_millis(5)).await;
    while gw.store().last_audit().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(gw.store().last_audit().unwrap().differences, 0);
    let gw = Gateway::with(|config| config.audit.every = Duration::ZERO).await;
    assert_eq!(sound(&gw).await, 0);
    assert!(gw.store().last_audit().is_some(), "one that was asked for is remembered too");
}

/// Small numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len().try_into().unwrap())).unwrap()]
    }
}

fn models(per_day: u64) -> Value {
    let limit = |kind: &str, times: u64| json!({ "type": kind, "unit": "DAY", "threshold": per_day * times });
    json!([{ "slug": "acme/m1", "usage_limits": [limit("REQUEST", 1), limit("TOKEN", 1_000)] }])
}

async fn streamed(gw: &Gateway, customer: &Customer) {
    let body =
        json!({ "model": "acme/m1", "stream": true, "messages": [{ "role": "user", "content": "Hi" }] });
    let mut stream = gw.chat_request(&customer.key).json(&body).open().await;
    // Read a piece, and leave.
    stream.piece().await;
}

#[tokio::test]
async fn whatever_is_called_edited_reset_and_restarted_everything_follows_from_the_ledger() {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let mut gw = Gateway::with(|config| config.prices.unpriced = Unpriced::Allow).await;
        let org = gw.member("org", models(30), "CASCADING", None).await;
        let team = gw.member("team", models(20), "CASCADING", Some(&org.id)).await;
        let alone = gw.customer("alone", models(10)).await;
        let config = json!({ "model_name": "*", "calendar_aligned": false,
            "budgets": [{ "max_limit": 1000, "reset_duration": "1d" }],
            "rate_limit": { "request_max_limit": 900, "request_reset_duration": "1h" } });
        let config = gw.model_config(config).await;
        let mut calls = 0;
        for _ in 0..60 {
            let customer = [&org, &team, &alone][usize::try_from(dice.below(3)).unwrap()];
            match dice.below(12) {
                0 => {
                    // Refused where it would pass the limit of a group above, or undercut one below.
                    let group = format!("/v1/gateway/groups/{}", customer.id);
                    gw.patch(&group, json!({ "models": models(5 + dice.below(40)) })).await;
                }
                1 => {
                    let length = dice.of(&["1h", "6h", "1d", "1w"]);
                    let aligned = dice.below(2) == 0;
                    let change = json!({ "calendar_aligned": aligned,
                        "rate_limit": { "request_max_limit": 900, "request_reset_duration": length } });
                    gw.change_config(&config, change).await;
                }
                2 => gw.reset_budget(&config, config.budgets[0].id).await,
                3 => gw.clock.advance(Duration::from_secs(60 * dice.below(300))),
                4 => gw.restart().await,
                5 => streamed(&gw, customer).await,
                _ => calls += u64::from(gw.chat(&customer.key, "acme/m1").await.status == 200),
            }
            gw.quiet().await;
        }
        assert!(calls > 5 && sound(&gw).await >= calls, "seed {seed}: {calls}");
        gw.stop().await;
        assert_eq!(storage::audit_at_rest(gw.dir()).unwrap().differences, [], "seed {seed}");
    }
}
