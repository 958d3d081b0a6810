//! Which calls pass their limits and which do not. What a refusal says is tested in `refusals`.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Gateway, Script};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn case_166_the_fourth_call_in_a_minute_is_refused() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 3)])).await.key;
    assert_eq!(calls(&gw, &key, M1, 4).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn case_167_a_minute_after_the_first_call_one_more_passes() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 3)])).await.key;
    for _ in 0..3 {
        gw.chat(&key, M1).await.expect(200);
        gw.clock.advance(15 * SECOND);
    }
    gw.clock.advance(15 * SECOND - Duration::from_millis(1));
    gw.chat(&key, M1).await.expect(429);
    gw.clock.advance(Duration::from_millis(1));
    assert_eq!(calls(&gw, &key, M1, 2).await, [200, 429]);
    gw.clock.advance(15 * SECOND);
    assert_eq!(calls(&gw, &key, M1, 2).await, [200, 429]);
}

#[tokio::test]
async fn case_168_a_second_after_twenty_calls_the_next_one_passes() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "SECOND", 20)])).await.key;
    let mut expected = vec![200; 20];
    expected.push(429);
    assert_eq!(calls(&gw, &key, M1, 21).await, expected);
    gw.clock.advance(SECOND);
    gw.chat(&key, M1).await.expect(200);
}

#[tokio::test]
async fn case_169_forty_tokens_a_minute_admit_two_calls_of_nineteen() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", 40), ("TOKEN", "DAY", 1_000)])).await;
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 429]);
    assert_eq!(tokens(&gw, &customer.id).await, 38);
    gw.clock.advance(MINUTE);
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn case_169_observed_admits_a_third_call_whoever_chose_it() {
    let limits = [("TOKEN", "MINUTE", 40), ("TOKEN", "DAY", 1_000)];
    for chosen_by in ["config", "endpoint", "group"] {
        let gw = Gateway::with(|config| {
            if chosen_by == "config" {
                config.limits.admission = domain::Admission::Observed;
            }
        })
        .await;
        if chosen_by == "endpoint" {
            let listed = gw.get("/v1/gateway/endpoints").await.expect(200);
            let m1 = listed.body["items"].as_array().unwrap().iter().find(|item| item["slug"] == M1).unwrap();
            let path = format!("/v1/gateway/endpoints/{}", m1["id"].as_str().unwrap());
            gw.patch(&path, json!({ "admission": "observed" })).await.expect(200);
        }
        let mut model = model(M1, &limits);
        if chosen_by == "group" {
            model["admission"] = "observed".into();
        }
        let customer = gw.customer("cust", json!([model])).await;
        assert_eq!(calls(&gw, &customer.key, M1, 4).await, [200, 200, 200, 429], "{chosen_by}");
        assert_eq!(tokens(&gw, &customer.id).await, 57, "{chosen_by}");
    }
}

#[tokio::test]
async fn the_groups_choice_of_admission_wins_over_the_endpoints_and_the_gateways() {
    let gw = Gateway::with(|config| config.limits.admission = domain::Admission::Observed).await;
    let mut model = model(M1, &[("TOKEN", "MINUTE", 40)]);
    model["admission"] = "estimate".into();
    let key = gw.customer("cust", json!([model])).await.key;
    assert_eq!(calls(&gw, &key, M1, 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn case_170_prompt_and_completion_are_charged() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for (body, total) in [(chat(M1), 19), (streamed(M1), 38)] {
        gw.chat_with(&customer.key, body).await.expect(200);
        assert_eq!(charged(&gw, &customer.id).await.1, total);
    }
    assert_eq!(charged(&gw, &customer.id).await.0, 2);
}

#[tokio::test]
async fn case_171_the_daily_limit_binds_where_the_minutes_does_not() {
    let gw = Gateway::start().await;
    let limits = [("TOKEN", "MINUTE", 1_000_000), ("REQUEST", "DAY", 2)];
    let key = gw.customer("cust", models(M1, &limits)).await.key;
    assert_eq!(calls(&gw, &key, M1, 3).await, [200, 200, 429]);
    gw.clock.advance(10 * MINUTE);
    gw.chat(&key, M1).await.expect(429);
}

#[tokio::test]
async fn case_172_a_day_ends_at_midnight_utc() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "DAY", 2), ("TOKEN", "DAY", 1_000)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    gw.clock.advance_to(23, 59, 50);
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 429]);
    gw.clock.advance(10 * SECOND - Duration::from_millis(1));
    gw.chat(&customer.key, M1).await.expect(429);
    gw.clock.advance(Duration::from_millis(1));
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200, 200, 429]);
    assert_eq!(charged(&gw, &customer.id).await, (json!(2), json!(38)));
}

/// A process cannot change its own time zone safely, so case 172 runs in another one.
#[test]
fn case_173_the_machines_time_zone_changes_nothing() {
    for zone in ["America/St_Johns", "Pacific/Kiritimati", "XXX+11:30"] {
        let again = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "enforcement::case_172_a_day_ends_at_midnight_utc"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{zone}: {said}");
    }
}

#[tokio::test]
async fn case_174_slugs_do_not_share() {
    let gw = Gateway::start().await;
    let limits = [("REQUEST", "MINUTE", 1), ("REQUEST", "DAY", 1)];
    let key = gw.customer("cust", json!([model(M1, &limits), model(M2, &limits)])).await.key;
    assert_eq!(calls(&gw, &key, M1, 2).await, [200, 429]);
    assert_eq!(calls(&gw, &key, M2, 2).await, [200, 429]);
}

#[tokio::test]
async fn case_175_the_keys_of_a_group_share_its_limits() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 3)])).await;
    let second = gw.key(&customer.id).await;
    for (key, status) in [(&customer.key, 200), (&second, 200), (&customer.key, 200), (&second, 429)] {
        gw.chat(key, M1).await.expect(status);
    }
}

#[tokio::test]
async fn case_176_a_new_key_brings_no_new_limit() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 1)])).await;
    gw.chat(&customer.key, M1).await.expect(200);
    let prefix = customer.key.split_once('.').unwrap().0;
    gw.delete(&format!("/v1/gateway/groups/{}/api_keys/{prefix}", customer.id)).await.expect(200);
    let rotated = gw.key(&customer.id).await;
    gw.chat(&rotated, M1).await.expect(429);
}

#[tokio::test]
async fn case_177_independent_siblings_have_the_inherited_limit_each() {
    let gw = Gateway::start().await;
    let parent = gw.customer("parent", models(M1, &[("REQUEST", "MINUTE", 3)])).await;
    for name in ["a", "b"] {
        let child = gw.member(name, models(M1, &[]), "INDEPENDENT", Some(&parent.id)).await;
        assert_eq!(calls(&gw, &child.key, M1, 4).await, [200, 200, 200, 429], "{name}");
    }
}

#[tokio::test]
async fn case_178_independent_parent_and_child_do_not_touch_each_other() {
    let gw = Gateway::start().await;
    for (first_name, second_name) in [("parent-first", "child-second"), ("parent-second", "child-first")] {
        let parent = gw.customer(first_name, models(M1, &[("REQUEST", "MINUTE", 2)])).await;
        let child = gw.member(second_name, models(M1, &[]), "INDEPENDENT", Some(&parent.id)).await;
        let mut order = [&parent.key, &child.key];
        if first_name == "parent-second" {
            order.reverse();
        }
        for key in order {
            assert_eq!(calls(&gw, key, M1, 3).await, [200, 200, 429], "{first_name}");
        }
    }
}

/// `org` with 10 calls a minute, and two departments with 7 each.
async fn organisation(gw: &Gateway) -> [String; 2] {
    let org = gw.group("org", models(M1, &[("REQUEST", "MINUTE", 10)]), "CASCADING", None).await;
    let limits = models(M1, &[("REQUEST", "MINUTE", 7)]);
    let finance = gw.member("finance", limits.clone(), "CASCADING", Some(&org)).await;
    let engineering = gw.member("engineering", limits, "CASCADING", Some(&org)).await;
    [finance.key, engineering.key]
}

#[tokio::test]
async fn case_179_180_cascading_siblings_share_what_their_parent_has_whoever_comes_first() {
    for reversed in [false, true] {
        let gw = Gateway::start().await;
        let mut keys = organisation(&gw).await;
        if reversed {
            keys.reverse();
        }
        assert_eq!(calls(&gw, &keys[0], M1, 7).await, [200; 7]);
        assert_eq!(calls(&gw, &keys[1], M1, 4).await, [200, 200, 200, 429]);
    }
}

#[tokio::test]
async fn case_181_a_cascading_child_without_limits_is_stopped_by_its_ancestors() {
    let gw = Gateway::start().await;
    let root = gw.group("root", models(M1, &[("REQUEST", "MINUTE", 2)]), "CASCADING", None).await;
    let middle = gw.group("middle", models(M1, &[]), "CASCADING", Some(&root)).await;
    let leaf = gw.member("leaf", models(M1, &[]), "CASCADING", Some(&middle)).await;
    assert_eq!(calls(&gw, &leaf.key, M1, 3).await, [200, 200, 429]);
}

#[tokio::test]
async fn case_182_a_cascading_call_counts_at_every_level() {
    let gw = Gateway::start().await;
    let root = gw.group("root", models(M1, &COUNTED), "CASCADING", None).await;
    let middle = gw.group("middle", models(M1, &COUNTED), "CASCADING", Some(&root)).await;
    let leaf = gw.member("leaf", models(M1, &COUNTED), "CASCADING", Some(&middle)).await;
    calls(&gw, &leaf.key, M1, 2).await;
    for group in [&root, &middle, &leaf.id] {
        assert_eq!(charged(&gw, group).await, (json!(2), json!(38)));
    }
}

#[tokio::test]
async fn case_183_an_exhausted_department_leaves_the_other_its_part() {
    let gw = Gateway::start().await;
    let [finance, engineering] = organisation(&gw).await;
    assert_eq!(calls(&gw, &finance, M1, 9).await, [200, 200, 200, 200, 200, 200, 200, 429, 429]);
    assert_eq!(calls(&gw, &engineering, M1, 4).await, [200, 200, 200, 429]);
}

#[tokio::test]
async fn case_184_a_refused_call_counts_at_no_level() {
    for (refusing, minutes) in [
        ("root", [Some(1), None, None]),
        ("middle", [Some(9), Some(1), None]),
        ("leaf", [Some(9), None, Some(1)]),
    ] {
        let gw = Gateway::start().await;
        let mut groups = Vec::new();
        for (level, minute) in minutes.into_iter().enumerate() {
            let minute = minute.map(|threshold| ("REQUEST", "MINUTE", threshold));
            let limits: Vec<Limit> = COUNTED.into_iter().chain(minute).collect();
            let parent = groups.last().map(String::as_str);
            groups.push(gw.group(&format!("level-{level}"), models(M1, &limits), "CASCADING", parent).await);
        }
        let key = gw.key(&groups[2]).await;
        assert_eq!(calls(&gw, &key, M1, 4).await, [200, 429, 429, 429], "{refusing}");
        for group in &groups {
            assert_eq!(charged(&gw, group).await, (json!(1), json!(19)), "{refusing}");
        }
    }
}

#[tokio::test]
async fn case_186_187_188_raising_lowering_and_removing_a_limit_take_effect_on_the_next_call() {
    for unit in ["MINUTE", "DAY"] {
        let gw = Gateway::start().await;
        let customer = gw.customer("cust", models(M1, &[("REQUEST", unit, 2)])).await;
        let key = &customer.key;
        assert_eq!(calls(&gw, key, M1, 3).await, [200, 200, 429], "{unit}");
        limit(&gw, &customer.id, &[("REQUEST", unit, 3)]).await;
        assert_eq!(calls(&gw, key, M1, 2).await, [200, 429], "{unit}: raised");
        limit(&gw, &customer.id, &[("REQUEST", unit, 100)]).await;
        assert_eq!(calls(&gw, key, M1, 1).await, [200], "{unit}: raised far");
        limit(&gw, &customer.id, &[("REQUEST", unit, 1)]).await;
        assert_eq!(calls(&gw, key, M1, 1).await, [429], "{unit}: below what is used");
        limit(&gw, &customer.id, &[]).await;
        assert_eq!(calls(&gw, key, M1, 2).await, [200, 200], "{unit}: removed");
    }
}

#[tokio::test]
async fn case_186_a_limit_of_many_calls_becomes_one_of_few_and_back_without_forgetting() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[("REQUEST", "MINUTE", 100)])).await;
    assert_eq!(calls(&gw, &customer.key, M1, 5).await, [200; 5]);
    limit(&gw, &customer.id, &[("REQUEST", "MINUTE", 6)]).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    limit(&gw, &customer.id, &[("REQUEST", "MINUTE", 5_000)]).await;
    assert_eq!(calls(&gw, &customer.key, M1, 1).await, [200]);
    limit(&gw, &customer.id, &[("REQUEST", "MINUTE", 7)]).await;
    assert_eq!(calls(&gw, &customer.key, M1, 1).await, [429]);
}

#[tokio::test]
async fn a_daily_limit_that_is_new_begins_with_what_was_used_today() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust", models(M1, &[])).await;
    assert_eq!(calls(&gw, &customer.key, M1, 3).await, [200; 3]);
    limit(&gw, &customer.id, &[("REQUEST", "DAY", 4), ("TOKEN", "DAY", 1_000)]).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
    assert_eq!(charged(&gw, &customer.id).await, (json!(4), json!(76)));
}

#[tokio::test]
async fn case_189_a_refused_call_does_not_go_upstream() {
    let gw = Gateway::start().await;
    let key = gw.customer("cust", models(M1, &[("REQUEST", "DAY", 1)])).await.key;
    gw.chat(&key, M1).await.expect(200);
    for body in [chat(M1), streamed(M1)] {
        gw.chat_with(&key, body).await.expect(429);
    }
    assert_eq!(gw.model.served().started, 1);
}

#[tokio::test]
async fn what_a_model_server_reports_is_charged_even_past_the_limit_and_owed_until_it_is_over() {
    let gw = Gateway::start().await;
    let usage = modelsim::UsageReport::Lying { prompt: 100, completion: 400 };
    gw.model.set(Script { usage, ..Script::default() });
    let customer = gw.customer("cust", models(M1, &[("TOKEN", "MINUTE", 100), ("TOKEN", "DAY", 600)])).await;
    gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(tokens(&gw, &customer.id).await, 500);
    gw.chat(&customer.key, M1).await.expect(429);
    gw.clock.advance(MINUTE);
    gw.chat(&customer.key, M1).await.expect(200);
    assert_eq!(tokens(&gw, &customer.id).await, 1_000);
    gw.clock.advance(MINUTE);
    gw.chat(&customer.key, M1).await.expect(429);
}

#[tokio::test]
async fn every_spelling_of_the_output_bound_is_held() {
    let gw = Gateway::start().await;
    // The prompt is some 11 tokens, so one call of 80 fits, and two do not.
    for (bound, status) in [
        (json!({ "max_tokens": 80 }), 200),
        (json!({ "max_tokens": 200 }), 429),
        (json!({ "max_completion_tokens": 200 }), 429),
        // A chat's server may not know it: what is less than a guess declares nothing there.
        (json!({ "max_output_tokens": 600 }), 429),
        (json!({ "max_output_tokens": 200 }), 200),
        (json!({ "max_output_tokens": 200, "max_tokens": 9 }), 429),
        (json!({ "max_tokens": 9, "max_completion_tokens": 200 }), 429),
        (json!({ "max_tokens": 30, "n": 4 }), 429),
        (json!({ "max_tokens": 30, "best_of": 4 }), 429),
        (json!({ "max_tokens": u64::MAX, "n": u64::MAX }), 429),
        (json!({ "max_tokens": null, "n": null }), 200),
        (json!({ "max_tokens": 0 }), 200),
    ] {
        gw.clock.advance(MINUTE);
        let id = format!("cust-{bound}");
        let key = gw.customer(&id, models(M1, &[("TOKEN", "MINUTE", 100)])).await.key;
        let mut body = chat(M1);
        body.as_object_mut().unwrap().remove("max_tokens");
        body.as_object_mut().unwrap().extend(bound.as_object().unwrap().clone());
        let reply = gw.chat_with(&key, body).await;
        assert_eq!(reply.status, status, "{bound}: {}", reply.text);
    }
}

#[tokio::test]
async fn limits_survive_a_restart() {
    let mut gw = Gateway::start().await;
    let limits = [("REQUEST", "DAY", 3), ("TOKEN", "DAY", 1_000)];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 200]);
    gw.restart().await;
    assert_eq!(charged(&gw, &customer.id).await, (json!(2), json!(38)));
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 429]);
}

#[tokio::test]
async fn thresholds_of_any_size_work() {
    let gw = Gateway::start().await;
    let most = u64::try_from(i64::MAX).unwrap();
    let limits = [
        ("REQUEST", "MINUTE", most),
        ("TOKEN", "MINUTE", most),
        ("REQUEST", "DAY", most),
        ("TOKEN", "DAY", most),
    ];
    let customer = gw.customer("cust", models(M1, &limits)).await;
    assert_eq!(calls(&gw, &customer.key, M1, 2).await, [200, 200]);
    assert_eq!(charged(&gw, &customer.id).await, (json!(2), json!(38)));
    assert_ne!(gw.used(&customer.id, M1, "REQUEST").await, Value::Null);
}
