//! Who may do what: every route with every scope, customers' keys, and workspaces that are not onboarded.

use std::collections::BTreeSet;

use admin::Admin;
use http::Method;
use serde_json::{Value, json};
use testkit::Gateway;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;

/// The least scope that a route lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Least {
    View,
    Manage,
    /// `manage` in its own workspace.
    Keeper,
    Operator,
}

/// Every route there is, but for those of governance, which have tests of their own. Ids in them name nothing, so that one who is let in meets 400 or 404, or an empty list.
fn routes(workspace: &str) -> Vec<(Method, &'static str, String, Least)> {
    use Least::{Keeper, Manage, Operator, View};
    let id = "00000000001";
    [
        (Method::POST, "/v1/gateway/groups", Manage),
        (Method::GET, "/v1/gateway/groups", View),
        (Method::GET, "/v1/gateway/groups/{id}", View),
        (Method::PATCH, "/v1/gateway/groups/{id}", Manage),
        (Method::DELETE, "/v1/gateway/groups/{id}", Manage),
        (Method::GET, "/v1/gateway/groups/{id}/usage", View),
        (Method::GET, "/v1/gateway/groups/{id}/usage/history", View),
        (Method::GET, "/v1/gateway/groups/{id}/limits", View),
        // It changes nothing, so it is a way of reading.
        (Method::POST, "/v1/gateway/explain", View),
        (Method::GET, "/v1/gateway/decisions/{request_id}", View),
        (Method::GET, "/v1/gateway/events", View),
        (Method::GET, "/v1/gateway/ledger/{request_id}", View),
        (Method::POST, "/v1/gateway/ledger/{request_id}/corrections", Operator),
        (Method::PUT, "/v1/gateway/webhook", Manage),
        (Method::GET, "/v1/gateway/webhook", View),
        (Method::DELETE, "/v1/gateway/webhook", Manage),
        (Method::POST, "/v1/gateway/webhook/rotate_secret", Manage),
        (Method::POST, "/v1/gateway/webhook/test", Manage),
        (Method::GET, "/v1/gateway/webhook/dead_letters", View),
        (Method::POST, "/v1/gateway/webhook/dead_letters/redrive", Manage),
        (Method::POST, "/v1/gateway/groups/{id}/api_keys", Manage),
        (Method::GET, "/v1/gateway/groups/{id}/api_keys", View),
        (Method::POST, "/v1/gateway/groups/{id}/api_keys/register", Manage),
        (Method::GET, "/v1/gateway/groups/{id}/api_keys/{prefix}", View),
        (Method::DELETE, "/v1/gateway/groups/{id}/api_keys/{prefix}", Manage),
        (Method::POST, "/v1/gateway/endpoints", Manage),
        (Method::GET, "/v1/gateway/endpoints", View),
        (Method::GET, "/v1/gateway/endpoints/{id}", View),
        (Method::PATCH, "/v1/gateway/endpoints/{id}", Manage),
        (Method::DELETE, "/v1/gateway/endpoints/{id}", Manage),
        (Method::POST, "/v1/gateway/endpoints/{id}/test", Manage),
        (Method::GET, "/v1/prices", View),
        (Method::PUT, "/v1/prices", Operator),
        (Method::DELETE, "/v1/prices", Operator),
        (Method::POST, "/v1/secrets", Manage),
        (Method::GET, "/v1/secrets", View),
        (Method::DELETE, "/v1/secrets/{name}", Manage),
        (Method::POST, "/v1/workspaces", Operator),
        (Method::GET, "/v1/workspaces", Operator),
        (Method::GET, "/v1/workspaces/{id}", Operator),
        (Method::PATCH, "/v1/workspaces/{id}", Operator),
        (Method::POST, "/v1/workspaces/{id}/management_keys", Keeper),
        (Method::GET, "/v1/workspaces/{id}/management_keys", Keeper),
        (Method::DELETE, "/v1/workspaces/{id}/management_keys/{key_id}", Keeper),
    ]
    .into_iter()
    .map(|(method, template, least)| {
        let own = if template.starts_with("/v1/workspaces") { workspace } else { id };
        let path = template.replace("{id}", own).replace("{prefix}", "sky_0").replace("{name}", "nobody");
        let path = path.replace("{request_id}", "019a0000-0000-7000-8000-000000000000");
        (method, template, path.replace("{key_id}", id), least)
    })
    .collect()
}

/// A body that no route accepts.
const NOTHING: &str = "[]";

#[test]
fn the_table_of_routes_leaves_none_out() {
    let document = serde_json::to_value(Admin::openapi()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let plain = paths.filter(|(path, _)| !path.starts_with("/api/governance/"));
    let served = plain.flat_map(|(path, operations)| {
        operations.as_object().unwrap().keys().map(move |method| (method.to_uppercase(), path.clone()))
    });
    let listed =
        routes("").into_iter().map(|(method, template, ..)| (method.to_string(), template.to_owned()));
    assert_eq!(listed.collect::<BTreeSet<_>>(), served.collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn case_041_a_key_does_what_its_scope_lets_it_on_every_route_and_nothing_more() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("acme", &[]).await;
    let view = gw.management_key(&tenant.id, "view").await;
    let none = gw.management_key(&tenant.id, "none").await;
    let operator = gw.management_key(&tenant.id, "operator").await;
    for (method, template, path, least) in routes(&tenant.id) {
        for (scope, key, allowed) in [
            ("none", &none, false),
            ("view", &view, least == Least::View),
            ("manage", &tenant.key, least < Least::Operator),
            ("operator", &operator, true),
        ] {
            let case = format!("{scope}: {method} {template}");
            let reply = gw.manage_as(key, method.clone(), &path).body(NOTHING).send().await;
            match allowed {
                false => refused(&reply, 403, &case),
                true => assert!([200, 400, 404].contains(&reply.status), "{case}: {}", reply.text),
            }
        }
    }
}

#[tokio::test]
async fn case_238_a_customers_key_is_forbidden_and_a_stranger_unknown_on_every_route() {
    let gw = Gateway::start().await;
    let customer = gw.customer("cust_42", json!([m1(&[])])).await;
    for (method, template, path, _) in routes(&gw.first_workspace().await) {
        let reply = gw.manage_as(&customer.key, method.clone(), &path).body(NOTHING).send().await;
        refused(&reply, 403, template);
        let reply = gw.manage_as("mgmt_nobody", method.clone(), &path).body(NOTHING).send().await;
        refused(&reply, 401, template);
        refused(&gw.request(method, &path).body(NOTHING).send().await, 401, template);
    }
}

#[tokio::test]
async fn case_040_a_workspace_that_is_not_onboarded_manages_nothing_until_an_operator_says_so() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("acme", &[]).await;
    let set = async |onboarded: bool| {
        gw.patch(&format!("/v1/workspaces/{}", tenant.id), json!({"onboarded": onboarded})).await.expect(200)
    };
    set(false).await;
    for (method, template, path, least) in routes(&tenant.id) {
        let case = format!("{method} {template}");
        let reply = gw.manage_as(&tenant.key, method.clone(), &path).body(NOTHING).send().await;
        refused(&reply, 403, &case);
        let acting = gw.manage(method, &path).header("x-tollgate-workspace", &tenant.id).body(NOTHING);
        let reply = acting.send().await;
        match least {
            Least::View | Least::Manage => refused(&reply, 403, &case),
            // An operator acts there like a manager.
            Least::Operator if template.starts_with("/v1/gateway/") => refused(&reply, 403, &case),
            Least::Keeper | Least::Operator => assert_ne!(reply.status, 403, "{case}: {}", reply.text),
        }
    }
    set(true).await;
    gw.send_as(&tenant.key, Method::POST, GROUPS, plain("cust_42")).await.expect(200);
}

#[tokio::test]
async fn an_operator_names_the_workspace_it_acts_on_and_nobody_else_does() {
    let gw = Gateway::start().await;
    let (acme, beta) = (gw.tenant("acme", &[]).await, gw.tenant("beta", &[]).await);
    let act = async |key: &str, workspace: &str, external: &str| {
        let request = gw.manage_as(key, Method::POST, GROUPS).header("x-tollgate-workspace", workspace);
        request.json(&plain(external)).send().await
    };
    let made = act(testkit::OPERATOR_KEY, &acme.id, "a").await.expect(200);
    let id = made.body["id"].as_str().unwrap();
    gw.send_as(&acme.key, Method::GET, &group_path(id), Value::Null).await.expect(200);
    refused(&gw.get(&group_path(id)).await, 403, "the operator's own workspace is another");
    for nobody in ["00000000001", "acme", ""] {
        refused(&act(testkit::OPERATOR_KEY, nobody, "b").await, 404, nobody);
        refused(&act(&acme.key, nobody, "b").await, 403, nobody);
    }
    act(&acme.key, &acme.id, "b").await.expect(200);
    refused(&act(&acme.key, &beta.id, "c").await, 403, "another's");
    let twice = gw.manage(Method::GET, GROUPS).header("x-tollgate-workspace", &acme.id);
    refused(&twice.header("x-tollgate-workspace", &beta.id).send().await, 400, "twice");
}

async fn finished(mut stream: TcpStream, body: &str) -> String {
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_key_that_is_deleted_while_its_body_comes_changes_nothing_any_more() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("acme", &[]).await;
    let keys = format!("/v1/workspaces/{}/management_keys", tenant.id);
    let minted = gw.post(&keys, json!({"scope": "manage"})).await.expect(200).body;
    let body = r#"{"scope":"manage"}"#;
    let begun = begun(&gw, minted["key"].as_str().unwrap(), &keys, body).await;
    gw.delete(&format!("{keys}/{}", minted["id"].as_str().unwrap())).await.expect(200);
    let answer = finished(begun, body).await;
    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
    assert_eq!(gw.get(&keys).await.body["items"].as_array().unwrap().len(), 1, "the first one alone");
}

#[tokio::test]
async fn a_workspace_that_is_put_out_while_a_body_comes_changes_nothing_any_more() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("acme", &[]).await;
    let body = plain("cust_42").to_string();
    let begun = begun(&gw, &tenant.key, GROUPS, &body).await;
    gw.patch(&format!("/v1/workspaces/{}", tenant.id), json!({"onboarded": false})).await.expect(200);
    let answer = finished(begun, &body).await;
    assert!(answer.contains("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn a_management_key_is_nobody_on_the_data_plane() {
    let gw = Gateway::start().await;
    let tenant = gw.tenant("acme", &[]).await;
    for key in [&tenant.key, testkit::OPERATOR_KEY] {
        assert_eq!(chat(&gw, key, "acme/m1").await, 401);
    }
}
