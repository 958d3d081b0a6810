//! `POST /v1/gateway/groups/{group_id}/api_keys/register`

use http::Method;
use serde_json::{Value, json};
use testkit::{Gateway, Reply, Signer};

use crate::support::*;

const UNVERIFIED: &str = "Signature verification failed";
const KEY: &str = "Zq3vX9pL2mT7wR5cB8nK4jH6gF1dS0aY";
const VECTOR_BODY: &str = r#"{"name":"k1","key":"Zq3vX9pL2mT7wR5cB8nK4jH6gF1dS0aY"}"#;
const VECTOR_PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const VECTOR_SIGNATURE: &str =
    "FQbIAwIqXRQR5V9bB9RkCtETUJ2+sjyS0yYAGnYcpW5+20MOhr4Ae+Yv/JJvkvWlfOWWhMQjv03APr2/lhbTBg==";

/// A gateway whose workspace has a public key, and the path of a group's keys.
async fn ready() -> (Gateway, Signer, String) {
    let (gw, signer) = (Gateway::start().await, Signer::new(0));
    let path = format!("/v1/workspaces/{}", gw.first_workspace().await);
    gw.patch(&path, json!({"ed25519_public_key": signer.public_key()})).await.expect(200);
    let group = created(&gw, plain("cust_42")).await;
    (gw, signer, format!("{GROUPS}/{group}/api_keys"))
}

async fn post(gw: &Gateway, path: &str, body: &str, signature: Option<&str>) -> Reply {
    let request = gw.manage(Method::POST, &format!("{path}/register"));
    let request =
        if let Some(text) = signature { request.header("x-baseten-signature", text) } else { request };
    request.body(body.to_owned()).send().await
}

/// Registers a key as it should be done.
async fn register(gw: &Gateway, signer: &Signer, path: &str, key: &str) -> Reply {
    let body = json!({"key": key}).to_string();
    post(gw, path, &body, Some(&signer.sign(body.as_bytes()))).await
}

#[track_caller]
fn says(reply: &Reply, message: &str) {
    assert_eq!((reply.status, &reply.body["message"]), (400, &json!(message)), "{}", reply.text);
    assert_eq!(reply.body["code"], "VALIDATION_ERROR");
}

/// A key of so many characters, all as different as can be.
fn varied(length: u32) -> String {
    (0..length).map(|n| char::from_digit(n * 7 % 36, 36).unwrap()).collect()
}

#[tokio::test]
async fn case_117_without_a_public_key_nothing_is_registered() {
    let gw = Gateway::start().await;
    let path = format!("{GROUPS}/{}/api_keys", created(&gw, plain("cust_42")).await);
    for signature in [None, Some("not base64"), Some(VECTOR_SIGNATURE)] {
        let reply = post(&gw, &path, VECTOR_BODY, signature).await;
        says(&reply, "Must configure a public key before registering API keys");
    }
    refused(&post(&gw, &path, "{}", None).await, 400, "the form comes first");
}

#[tokio::test]
async fn case_118_the_published_vector_registers() {
    let (gw, signer, path) = ready().await;
    assert_eq!(
        (signer.public_key().as_str(), signer.sign(VECTOR_BODY.as_bytes()).as_str()),
        (VECTOR_PUBLIC_KEY, VECTOR_SIGNATURE)
    );
    let reply = post(&gw, &path, VECTOR_BODY, Some(VECTOR_SIGNATURE)).await;
    assert_eq!((reply.status, &reply.body), (200, &json!({"ok": true})), "{}", reply.text);
}

#[tokio::test]
async fn case_119_to_122_only_the_holders_signature_over_the_exact_bytes_counts() {
    let (gw, signer, path) = ready().await;
    let by_another = Signer::new(1).sign(VECTOR_BODY.as_bytes());
    let unpadded = VECTOR_SIGNATURE.trim_end_matches('=');
    for (case, body, signature) in [
        ("119", VECTOR_BODY.to_owned(), None),
        ("120", VECTOR_BODY.to_owned(), Some("***")),
        ("120, empty", VECTOR_BODY.to_owned(), Some("")),
        ("120, cut", VECTOR_BODY.to_owned(), Some(unpadded)),
        ("120, short", VECTOR_BODY.to_owned(), Some("AAAA")),
        ("121", VECTOR_BODY.to_owned(), Some(by_another.as_str())),
        ("122", VECTOR_BODY.replace(":", ": "), Some(VECTOR_SIGNATURE)),
        ("122, at the end", format!("{VECTOR_BODY} "), Some(VECTOR_SIGNATURE)),
    ] {
        let reply = post(&gw, &path, &body, signature).await;
        assert_eq!(reply.body["message"], UNVERIFIED, "{case}");
        says(&reply, UNVERIFIED);
    }
    let twice =
        gw.manage(Method::POST, &format!("{path}/register")).header("x-baseten-signature", VECTOR_SIGNATURE);
    let twice = twice.header("x-baseten-signature", VECTOR_SIGNATURE).body(VECTOR_BODY).send().await;
    says(&twice, UNVERIFIED);
    let weak = json!({"key": "a".repeat(32)}).to_string();
    says(&post(&gw, &path, &weak, Some(&by_another)).await, UNVERIFIED);
    assert_eq!(gw.get(&path).await.body["items"], json!([]));
    register(&gw, &signer, &path, KEY).await.expect(200);
}

#[tokio::test]
async fn a_registered_key_is_bound_to_a_user_by_the_signed_body() {
    let (gw, signer, path) = ready().await;
    let sent = |user: Value| json!({"key": KEY, "user_id": user}).to_string();
    for user in [json!(""), json!("x".repeat(257)), json!("a\tb"), json!(1)] {
        let body = sent(user);
        refused(&post(&gw, &path, &body, Some(&signer.sign(body.as_bytes()))).await, 400, &body);
    }
    let body = sent(json!("u_1"));
    let reply = post(&gw, &path, &body, Some(&signer.sign(body.as_bytes()))).await;
    assert_eq!((reply.status, &reply.body), (200, &json!({"ok": true})), "{}", reply.text);
    let shown = json!([{"prefix": KEY[..16], "name": null, "user_id": "u_1"}]);
    assert_eq!(gw.get(&path).await.body["items"], shown);
}

#[tokio::test]
async fn case_123_a_key_has_32_to_128_characters() {
    let (gw, signer, path) = ready().await;
    for (length, status) in [(31, 400), (32, 200), (128, 200), (129, 400)] {
        // Another beginning for each, since prefixes are unique.
        let key = format!("{length:<04}{}", varied(length - 4)).replace(' ', "-");
        assert_eq!(register(&gw, &signer, &path, &key).await.status, status, "{length}");
    }
    let wide: String = (0..32).map(|n| char::from_u32(0xe0 + n % 16).unwrap()).collect();
    assert_eq!(register(&gw, &signer, &path, &wide).await.status, 200, "characters, not bytes");
}

#[tokio::test]
async fn case_124_to_125_a_key_has_three_bits_of_entropy_a_character() {
    let (gw, signer, path) = ready().await;
    for (key, status) in
        [("abcdefgh".repeat(4), 200), (format!("{}abcd", "abcdefg".repeat(4)), 400), ("a".repeat(32), 400)]
    {
        assert_eq!(register(&gw, &signer, &path, &key).await.status, status, "{key}");
    }
}

#[tokio::test]
async fn case_126_a_prefix_is_taken_once_in_a_workspace_even_when_its_key_was_revoked() {
    let (mut gw, signer, path) = ready().await;
    let other = format!("{GROUPS}/{}/api_keys", created(&gw, plain("other")).await);
    let same_start = format!("{}{}", &KEY[..16], varied(20));
    register(&gw, &signer, &path, KEY).await.expect(200);
    let taken = register(&gw, &signer, &path, &same_start).await;
    refused(&taken, 400, "126, same group");
    for (path, key) in [(&other, same_start.as_str()), (&other, KEY), (&path, KEY)] {
        assert_eq!(register(&gw, &signer, path, key).await.body, taken.body, "126");
    }
    gw.delete(&format!("{path}/{}", &KEY[..16])).await.expect(200);
    for key in [KEY, &same_start] {
        assert_eq!(register(&gw, &signer, &other, key).await.body, taken.body, "126, revoked");
    }
    gw.restart().await;
    for key in [KEY, &same_start] {
        assert_eq!(
            register(&gw, &signer, &other, key).await.body,
            taken.body,
            "126, revoked, after a restart"
        );
    }
}

#[tokio::test]
async fn case_126_a_whole_key_is_one_over_the_gateway_and_a_prefix_in_its_workspace() {
    let (gw, signer, path) = ready().await;
    let tenant = gw.tenant("beta", &[]).await;
    gw.patch(&format!("/v1/workspaces/{}", tenant.id), json!({"ed25519_public_key": signer.public_key()}))
        .await;
    let group = gw.send_as(&tenant.key, Method::POST, GROUPS, plain("cust_42")).await.expect(200).body;
    let there = format!("{GROUPS}/{}/api_keys", group["id"].as_str().unwrap());
    let register_there = async |key: &str| {
        let body = json!({"key": key}).to_string();
        let request = gw.manage_as(&tenant.key, Method::POST, &format!("{there}/register"));
        request.header("x-baseten-signature", signer.sign(body.as_bytes())).body(body).send().await
    };
    register(&gw, &signer, &path, KEY).await.expect(200);
    refused(&register_there(KEY).await, 400, "the whole key");
    register_there(&format!("{}{}", &KEY[..16], varied(20))).await.expect(200);
    gw.delete(&format!("{path}/{}", &KEY[..16])).await.expect(200);
    refused(&register_there(KEY).await, 400, "revoked elsewhere");
    for ours in [tenant.key.as_str(), gw.key(&created(&gw, plain("a")).await).await.as_str()] {
        refused(&register_there(ours).await, 400, "a key of our own");
    }
}

#[tokio::test]
async fn case_127_to_129_a_registered_key_is_listed_authenticates_whole_and_is_revoked_by_its_prefix() {
    let (gw, signer, path) = ready().await;
    let body = json!({"key": KEY, "name": "theirs"}).to_string();
    post(&gw, &path, &body, Some(&signer.sign(body.as_bytes()))).await.expect(200);
    let view = json!({"prefix": &KEY[..16], "name": "theirs"});
    assert_eq!(gw.get(&path).await.body["items"], json!([view]), "127");
    let one = format!("{path}/{}", &KEY[..16]);
    assert_eq!(gw.get(&one).await.body, view, "127");
    assert_eq!(chat(&gw, KEY, "acme/m1").await, 200, "128");
    assert_eq!(chat(&gw, &format!("{}b", &KEY[..31]), "acme/m1").await, 401, "129");
    assert_eq!(chat(&gw, &KEY[..16], "acme/m1").await, 401, "129");
    assert_eq!(gw.delete(&one).await.expect(200).body, json!({"prefix": &KEY[..16]}), "127");
    assert_eq!(chat(&gw, KEY, "acme/m1").await, 401, "127");
}

#[tokio::test]
async fn case_130_a_group_that_is_not_there_is_404_and_anothers_403() {
    let (gw, signer, _) = ready().await;
    refused(&register(&gw, &signer, &format!("{GROUPS}/00000000001/api_keys"), KEY).await, 404, "130");
    let tenant = gw.tenant("beta", &[]).await;
    let theirs = gw.send_as(&tenant.key, Method::POST, GROUPS, plain("x")).await.expect(200).body;
    let there = format!("{GROUPS}/{}/api_keys", theirs["id"].as_str().unwrap());
    refused(&register(&gw, &signer, &there, KEY).await, 403, "130");
}

#[tokio::test]
async fn case_131_a_body_without_a_key_is_refused_and_so_are_other_forms() {
    let (gw, signer, path) = ready().await;
    for (case, body) in [
        ("131", json!({"name": "k1"})),
        ("null", json!({"key": null})),
        ("number", json!({"key": 42})),
        ("list", json!([KEY])),
        ("long name", json!({"key": KEY, "name": "é".repeat(256)})),
        ("ours", json!({"key": format!("sky_{}", varied(40))})),
        ("ours", json!({"key": format!("mgmt_{}", varied(40))})),
        ("space", json!({"key": format!(" {}", varied(40))})),
        ("line", json!({"key": format!("{}\n{}", varied(20), varied(20))})),
    ] {
        let body = body.to_string();
        let reply = post(&gw, &path, &body, Some(&signer.sign(body.as_bytes()))).await;
        refused(&reply, 400, case);
        assert!(!reply.text.contains(&varied(20)), "{case}");
    }
    let body = format!(r#"{{"key":"{KEY}","key":"{KEY}"}}"#);
    refused(&post(&gw, &path, &body, Some(&signer.sign(body.as_bytes()))).await, 400, "twice");
    assert_eq!(gw.get(&path).await.body["items"], json!([]));
}

#[tokio::test]
async fn case_132_the_whole_key_is_in_no_answer_and_in_no_file() {
    let (mut gw, signer, path) = ready().await;
    let replies = [
        register(&gw, &signer, &path, KEY).await,
        register(&gw, &signer, &path, KEY).await,
        gw.get(&path).await,
        gw.get(&format!("{path}/{}", &KEY[..16])).await,
        gw.delete(&format!("{path}/{}", &KEY[..16])).await,
    ];
    assert_eq!(replies.each_ref().map(|reply| reply.status), [200, 400, 200, 200, 200]);
    assert!(replies.iter().all(|reply| !reply.text.contains(&KEY[16..])));
    gw.stop().await;
    for file in std::fs::read_dir(gw.dir()).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = if file.is_file() { std::fs::read(&file).unwrap() } else { continue };
        assert!(!bytes.windows(16).any(|window| window == &KEY.as_bytes()[16..]), "{}", file.display());
    }
}
