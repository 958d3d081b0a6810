//! Limits hold exactly however many calls come at once, and whatever is edited meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use testkit::{Customer, Gateway, Script};
use tokio::task::JoinSet;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn case_185_of_a_hundred_calls_at_once_exactly_fifty_pass() {
    let gw = Arc::new(Gateway::start().await);
    let limits = [("REQUEST", "MINUTE", 50), ("REQUEST", "DAY", 1_000)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    assert_eq!(at_once(&gw, &[(&customer.key, 100)]).await, (50, 50));
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, 50);
    assert_eq!(gw.model.served().started, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn case_185_exactly_fifty_of_five_hundred_pass_five_levels_and_every_level_says_fifty() {
    let gw = Arc::new(Gateway::start().await);
    let limits = [("REQUEST", "MINUTE", 50), ("REQUEST", "DAY", 1_000_000)];
    let mut levels: Vec<Customer> = Vec::new();
    for level in 1..=5 {
        let parent = levels.last().map(|above| above.id.as_str());
        levels.push(gw.member(&format!("level-{level}"), models(M1, &limits), "CASCADING", parent).await);
    }
    assert_eq!(at_once(&gw, &[(&levels[4].key, 500)]).await, (50, 450));
    for level in &levels {
        assert_eq!(gw.used(&level.id, M1, "REQUEST").await, 50);
        gw.chat(&level.key, M1).await.expect(429);
    }
    assert_eq!(gw.model.served().started, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn cascading_siblings_together_never_pass_what_their_parent_has() {
    let gw = Arc::new(Gateway::start().await);
    let org = gw.group("org", models(M1, &[("REQUEST", "MINUTE", 50), COUNTED[0]]), "CASCADING", None).await;
    let limits = models(M1, &[("REQUEST", "MINUTE", 40), COUNTED[0]]);
    let one = gw.member("one", limits.clone(), "CASCADING", Some(&org)).await;
    let two = gw.member("two", limits, "CASCADING", Some(&org)).await;
    assert_eq!(at_once(&gw, &[(&one.key, 60), (&two.key, 60)]).await, (50, 70));
    let [one, two, both] = [&one.id, &two.id, &org].map(|group| gw.used(group, M1, "REQUEST"));
    let [one, two, both] = [one.await, two.await, both.await].map(|used| used.as_u64().unwrap());
    assert_eq!((one + two, both), (50, 50));
    assert!(one <= 40 && two <= 40, "{one} and {two}");
}

#[tokio::test(flavor = "multi_thread")]
async fn independent_siblings_do_not_touch_each_other() {
    let gw = Arc::new(Gateway::start().await);
    let limits = [("REQUEST", "MINUTE", 20), ("REQUEST", "DAY", 1_000)];
    let parent = gw.customer("parent", models(M1, &limits)).await;
    let one = gw.member("one", models(M1, &[]), "INDEPENDENT", Some(&parent.id)).await;
    let two = gw.member("two", models(M1, &[]), "INDEPENDENT", Some(&parent.id)).await;
    let three = [(&*parent.key, 40), (&*one.key, 40), (&*two.key, 40)];
    assert_eq!(at_once(&gw, &three).await, (60, 60));
    for group in [&parent.id, &one.id, &two.id] {
        assert_eq!(gw.used(group, M1, "REQUEST").await, 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn declared_calls_never_pass_a_limit_of_tokens_by_the_model_servers_own_count() {
    for threshold in [20, 200, 500, 1_500] {
        let gw = Arc::new(Gateway::start().await);
        gw.model.set(Script { first_byte: Duration::from_millis(20), ..Script::default() });
        let limits = [("TOKEN", "MINUTE", threshold), ("TOKEN", "DAY", 1_000_000)];
        let customer = gw.customer("cust", models(M1, &limits)).await;
        let (admitted, _) = at_once(&gw, &[(&customer.key, 100)]).await;
        let served = gw.model.served();
        let generated = served.prompt_tokens + served.completion_tokens;
        assert!(generated <= threshold, "{generated} of {threshold}");
        assert!(admitted > 0);
        assert_eq!(served.started, u64::try_from(admitted).unwrap());
        assert_eq!(tokens(&gw, &customer.id).await, generated);
    }
}

/// One life of a small tree: every call is judged by the configuration as it stood when it was made.
async fn life_of_a_tree(gw: &Gateway, name: &str) {
    let limits = |threshold| models(M1, &[("REQUEST", "DAY", threshold)]);
    let root = gw.group(&format!("{name}-root"), limits(2), "CASCADING", None).await;
    let child = gw.member(&format!("{name}-child"), models(M1, &[]), "CASCADING", Some(&root)).await;
    assert_eq!(calls(gw, &child.key, M1, 3).await, [200, 200, 429]);
    limit(gw, &root, &[("REQUEST", "DAY", 3)]).await;
    assert_eq!(calls(gw, &child.key, M1, 2).await, [200, 429]);
    let second = gw.key(&child.id).await;
    let prefix = second.split_once('.').unwrap().0.to_owned();
    gw.chat(&second, M1).await.expect(429);
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", child.id)).await.expect(200);
    gw.chat(&second, M1).await.expect(401);
    gw.delete(&format!("/v1/gateway/groups/{root}")).await.expect(200);
    gw.chat(&child.key, M1).await.expect(401);
}

/// Switches a group from one set of models to another and back, until told to stop.
async fn switch_models(gw: &Gateway, group: &str, stop: &AtomicBool) {
    let path = format!("/v1/gateway/groups/{group}");
    while !stop.load(Ordering::SeqCst) {
        for slug in [M2, M1] {
            gw.patch(&path, json!({ "models": models(slug, &COUNTED) })).await.expect(200);
        }
    }
}

/// Calls a group whose models are being switched: it always has one of the two sets, never both or none.
async fn call_switching(gw: &Gateway, key: &str, stop: &AtomicBool) -> u32 {
    let mut rounds = 0;
    while !stop.load(Ordering::SeqCst) {
        let list = gw.request(Method::GET, "/v1/models").header("authorization", format!("Bearer {key}"));
        let list = list.send().await.expect(200);
        let slugs: Vec<&Value> = list.body["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
        assert!(slugs == [M1] || slugs == [M2], "{slugs:?}");
        for slug in [M1, M2] {
            let status = gw.chat(key, slug).await.status;
            assert!([200, 403].contains(&status), "{status}");
        }
        rounds += 1;
    }
    rounds
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_at_once_never_show_a_half_made_configuration_to_a_call() {
    let gw = Arc::new(Gateway::start().await);
    let switching = gw.customer("switching", models(M1, &COUNTED)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (gw, key, stop) = (Arc::clone(&gw), switching.key.clone(), Arc::clone(&stop));
        callers.spawn(async move { call_switching(&gw, &key, &stop).await });
    }
    let mut writers = JoinSet::new();
    for writer in 0..7 {
        let gw = Arc::clone(&gw);
        writers.spawn(async move {
            for round in 0..6 {
                life_of_a_tree(&gw, &format!("{writer}-{round}")).await;
            }
        });
    }
    let switcher = {
        let (gw, stop) = (Arc::clone(&gw), Arc::clone(&stop));
        tokio::spawn(async move { switch_models(&gw, &switching.id, &stop).await })
    };
    writers.join_all().await;
    stop.store(true, Ordering::SeqCst);
    switcher.await.unwrap();
    let rounds = callers.join_all().await;
    assert!(rounds.iter().all(|rounds| *rounds > 0), "{rounds:?}");
}

/// Calls in the same tree, so that its counters are busy and its paths grow stale under them.
async fn keep_busy(gw: &Gateway, key: &str, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        gw.chat(key, M2).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn case_187_after_a_patch_has_answered_every_call_is_judged_by_the_new_threshold() {
    let gw = Arc::new(Gateway::start().await);
    let root = gw.group("root", json!([model(M1, &[]), model(M2, &COUNTED)]), "CASCADING", None).await;
    let busy = gw.member("busy", json!([model(M2, &COUNTED)]), "CASCADING", Some(&root)).await;
    let strict = gw.member("strict", models(M1, &[("REQUEST", "DAY", 2)]), "CASCADING", Some(&root)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for _ in 0..4 {
        let (gw, key, stop) = (Arc::clone(&gw), busy.key.clone(), Arc::clone(&stop));
        load.spawn(async move { keep_busy(&gw, &key, &stop).await });
    }
    assert_eq!(calls(&gw, &strict.key, M1, 3).await, [200, 200, 429]);
    // Several calls each time, so that they land on every worker.
    for used in 2..22 {
        limit(&gw, &strict.id, &[("REQUEST", "DAY", used - 1)]).await;
        assert_eq!(at_once(&gw, &[(&strict.key, 6)]).await, (0, 6), "below what is used");
        limit(&gw, &strict.id, &[("REQUEST", "DAY", used + 1)]).await;
        assert_eq!(at_once(&gw, &[(&strict.key, 6)]).await, (1, 5), "one more");
    }
    stop.store(true, Ordering::SeqCst);
    load.join_all().await;
    assert_eq!(gw.used(&strict.id, M1, "REQUEST").await, 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_revocation_has_answered_no_call_passes() {
    let gw = Arc::new(Gateway::start().await);
    let customer = gw.customer("cust", models(M1, &COUNTED)).await;
    for _ in 0..10 {
        let key = gw.key(&customer.id).await;
        assert_eq!(at_once(&gw, &[(&key, 4)]).await, (4, 0));
        let prefix = key.split_once('.').unwrap().0;
        gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", customer.id)).await.expect(200);
        for _ in 0..4 {
            gw.chat(&key, M1).await.expect(401);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_settles_on_the_path_it_was_admitted_on() {
    let gw = Gateway::start().await;
    gw.model.set(Script::ending(modelsim::End::StallAfter(2)));
    let customer = counted(&gw).await;
    let mut in_flight = gw.chat_request(&customer.key).json(&streamed(M1)).open().await;
    assert!(in_flight.piece().await.is_some());
    for threshold in [5, 1_000_000] {
        limit(&gw, &customer.id, &[("REQUEST", "DAY", threshold), ("TOKEN", "DAY", threshold)]).await;
    }
    drop(in_flight);
    gw.quiet().await;
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, 1);
    assert!(tokens(&gw, &customer.id).await > 0);
}

#[tokio::test]
async fn a_call_whose_body_is_still_on_its_way_is_judged_by_what_is_edited_meanwhile() {
    let body = chat(M1).to_string();
    for (edit, answer) in
        [("nothing", "200"), ("threshold", "429"), ("models", "403"), ("key", "401"), ("group", "401")]
    {
        let gw = Gateway::start().await;
        let customer = gw.customer("cust", models(M1, &[("REQUEST", "DAY", 5)])).await;
        assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 200]);
        let mut raw = Raw::open(&gw).await;
        let lines =
            format!("content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n", body.len());
        raw.send(chat_head(&customer.key, &lines)).await;
        // Said when the caller is known and its body is about to be read.
        assert!(raw.piece().await.starts_with("HTTP/1.1 100 "));
        let group = format!("/v1/gateway/groups/{}", customer.id);
        let prefix = customer.key.split_once('.').unwrap().0;
        match edit {
            "threshold" => limit(&gw, &customer.id, &[("REQUEST", "DAY", 2)]).await,
            "models" => drop(gw.patch(&group, json!({ "models": models(M2, &[]) })).await.expect(200)),
            "key" => drop(gw.delete(&format!("{group}/api_keys/{prefix}")).await.expect(200)),
            "group" => drop(gw.delete(&group).await.expect(200)),
            _ => {}
        }
        raw.send(&body).await;
        let said = raw.rest().await;
        assert!(said.starts_with(&format!("HTTP/1.1 {answer} ")), "{edit}: {said}");
    }
}
